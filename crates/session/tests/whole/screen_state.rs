//! Both ends say why the picture stands still, and whose fault that is: real X servers, plugins and
//! tools, stopped for real.

use std::sync::Arc;
use std::time::{Duration, Instant};

use etatuki_protocol::{Ask, ScreenCondition};
use etatuki_screen::{CancelToken, DisplayLook};
use etatuki_session::{DisplayWatch, SessionConfig};
use etatuki_session_core::screen_watch::DisplayFacts;
use x11rb::protocol::xproto::ScreenSaver;

use crate::agent::Agent;
use crate::journeys::{BOTH, dials};
use crate::text_field::TextField;
use crate::world::{Customer, World, hosts, signal, tool_processes};

/// Looks at a display as the launcher does.
#[derive(Debug)]
struct Looks {
    display: String,
}

impl DisplayWatch for Looks {
    fn start(&self, report: Box<dyn Fn(DisplayFacts) + Send>) -> Box<dyn Send> {
        let cancel = CancelToken::new().expect("a pipe");
        let mut look = DisplayLook::open(Some(&self.display), &cancel).expect("a display");
        let (guard, ended) = std::sync::mpsc::channel::<()>();
        std::thread::spawn(move || {
            while ended.recv_timeout(Duration::from_millis(500))
                == Err(std::sync::mpsc::RecvTimeoutError::Timeout)
            {
                let Ok(state) = look.look() else { return };
                report(DisplayFacts {
                    blanked: state.blanked,
                    locked: state.locked,
                    other_session: state.in_background,
                    ping_unanswered: state.ping_unanswered,
                    drawn: state.drawn,
                });
            }
        });
        Box::new(guard)
    }
}

fn config(world: &World, backend: &str) -> SessionConfig {
    SessionConfig {
        display_watch: Some(Arc::new(Looks {
            display: world.display.name.clone(),
        })),
        ..world.config(backend)
    }
}

/// Starts a session in which the agent has seen the screen.
async fn viewing(world: &World, backend: &str) -> (Customer, Agent) {
    let customer = Customer::new(config(world, backend));
    let mut agent = dials(world, &customer).await;
    customer.answers(&Ask::View, true);
    assert!(agent.answered(&Ask::View).await);
    agent.greet().await;
    agent.sees(|| world.display.picture()).await;
    (customer, agent)
}

/// Waits until both ends say that this is so.
async fn both_say(customer: &Customer, agent: &mut Agent, condition: ScreenCondition) {
    loop {
        let told = agent.told_screen().await;
        if told.condition == condition {
            assert_eq!(told.age > 0, condition.is_stale(), "{told:?}");
            break;
        }
    }
    customer.sees(condition.name(), |view| view.screen == condition);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blanked_screen_is_told_to_both_ends() {
    let world = World::new().await;
    let (customer, mut agent) = viewing(&world, "ecom").await;
    world.display.set_screen_saver(ScreenSaver::ACTIVE);
    both_say(&customer, &mut agent, ScreenCondition::Blanked).await;
    world.display.set_screen_saver(ScreenSaver::RESET);
    both_say(&customer, &mut agent, ScreenCondition::Visible).await;
    agent.close().await;
}

/// The tool is stopped; then something is drawn, which it doesn't tell.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_tool_is_told_to_both_ends_until_it_goes_on() {
    let world = World::new().await;
    let (customer, mut agent) = viewing(&world, "remoteus-2008").await;
    let tools = tool_processes(&world.display.name);
    signal("STOP", &tools);
    world.display.paint(0x00c0_ffee, 10, 10, 300, 200);
    both_say(&customer, &mut agent, ScreenCondition::ToolHung).await;
    signal("CONT", &tools);
    both_say(&customer, &mut agent, ScreenCondition::Visible).await;
    agent.sees(|| world.display.picture()).await;
    agent.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_plugin_is_told_to_both_ends_until_it_goes_on() {
    let world = World::alone().await;
    let (customer, mut agent) = viewing(&world, "ecom").await;
    let hosts = hosts();
    signal("STOP", &hosts);
    world.display.paint(0x00c0_ffee, 10, 10, 300, 200);
    both_say(&customer, &mut agent, ScreenCondition::PluginHung).await;
    signal("CONT", &hosts);
    both_say(&customer, &mut agent, ScreenCondition::Visible).await;
    agent.sees(|| world.display.picture()).await;
    agent.close().await;
}

/// A real program is stopped, into which the agent types.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_program_is_told_to_both_ends_until_it_goes_on() {
    let world = World::new().await;
    let field = TextField::start(&world.display, "gtk");
    let (customer, mut agent) = viewing(&world, "ecom").await;
    agent.ask(Ask::Control).await;
    customer.answers(&Ask::Control, true);
    agent.permitted(BOTH).await;
    signal("STOP", &[field.id()]);
    agent.press(u32::from(b'a')).await;
    both_say(&customer, &mut agent, ScreenCondition::ProgramHung).await;
    signal("CONT", &[field.id()]);
    both_say(&customer, &mut agent, ScreenCondition::Visible).await;
    agent.close().await;
}

/// Nothing is said while a person works: cells change, pauses are made, a cursor blinks. Runs for
/// `ETATUKI_CALM_SECONDS`, or for a few seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_false_alarm_while_somebody_works_or_nobody_does() {
    let seconds = std::env::var("ETATUKI_CALM_SECONDS").ok();
    let seconds = seconds.and_then(|seconds| seconds.parse().ok());
    let time = Duration::from_secs(seconds.unwrap_or(4));
    for backend in ["ecom", "remoteus-2008"] {
        let world = World::new().await;
        world.display.stay_awake();
        let (customer, mut agent) = viewing(&world, backend).await;
        let began = Instant::now();
        let mut cell = 0_i16;
        while began.elapsed() < time {
            // One half works, the other half is idle.
            if began.elapsed() < time / 2 {
                cell += 1;
                let (x, y) = (cell % 9 * 80, cell / 9 % 20 * 25);
                let colour = 0x0010_2030 + u32::from(cell.unsigned_abs());
                world.display.paint(colour, x, y, 78, 23);
                agent.sees(|| world.display.picture()).await;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
            let condition = customer.sees("anything", |_| true).screen;
            assert_eq!(condition, ScreenCondition::Visible, "{:?}", began.elapsed());
        }
        agent.close().await;
    }
}
