//! App sharing over the whole chain: the test's own window covers the screen, and the shared
//! program is another process, which runs this executable.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command as Process, Stdio};

use etatuki_protocol::{Ask, Permissions, ToAgent};
use etatuki_session::App;
use etatuki_session_core::{AppSharing, Command};
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{ConnectionExt, CreateWindowAux, WindowClass};

use crate::agent::{Agent, typed};
use crate::world::{Customer, World};

const DISPLAY: &str = "ETATUKI_TEST_DISPLAY";
/// Colour and place of the program's window.
const COLOUR: u32 = 0x0000_c8ff;
const PLACE: (i16, i16, u16, u16) = (100, 80, 300, 200);
/// Colour that stands for everything else.
const GREY: u8 = 0x80;

/// The program, which the test below runs in a process of its own.
#[test]
fn the_program() {
    let Some(display) = std::env::var_os(DISPLAY) else {
        return;
    };
    let (connection, screen) = x11rb::connect(display.to_str()).expect("a display");
    let root = connection.setup().roots[screen].root;
    let window = connection.generate_id().expect("an id");
    let (x, y, width, height) = PLACE;
    let look = CreateWindowAux::new()
        .background_pixel(COLOUR)
        .override_redirect(1);
    let class = WindowClass::INPUT_OUTPUT;
    connection
        .create_window(0, window, root, x, y, width, height, 0, class, 0, &look)
        .expect("sent");
    connection.map_window(window).expect("sent");
    let _ = connection.get_input_focus().expect("sent").reply();
    println!("shown");
    // The window stays until the test is over.
    let _ = std::io::stdin().read_line(&mut String::new());
}

/// The program's process. Dropping it ends the program.
struct Running(Child);

impl Running {
    fn start(display: &str) -> Self {
        let mut child = Process::new(std::env::current_exe().expect("this test"))
            .args(["program::the_program", "--exact", "--nocapture"])
            .env(DISPLAY, display)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let said = BufReader::new(child.stdout.take().expect("piped"));
        let shown = said.lines().map_while(Result::ok);
        assert!(shown.into_iter().any(|line| line.ends_with("shown")));
        Self(child)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns the picture with nothing in it but the program.
fn app_only() -> Vec<u8> {
    let (left, top, width, height) = PLACE;
    let [blue, green, red, _] = COLOUR.to_le_bytes();
    let mut pixels = Vec::with_capacity(800 * 600 * 4);
    for (y, x) in (0..600).flat_map(|y| (0..800).map(move |x| (y, x))) {
        let inside =
            (left..left + width as i16).contains(&x) && (top..top + height as i16).contains(&y);
        pixels.extend(if inside {
            [blue, green, red, 0]
        } else {
            [GREY, GREY, GREY, 0]
        });
    }
    pixels
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_else_is_seen_or_used() {
    let world = World::new().await;
    let display = &world.display;
    display.paint(0x00c0_ffee, 0, 0, 800, 600);
    let program = Running::start(&display.name);
    let mut config = world.config("ecom");
    config.app = Some(App {
        pids: vec![program.0.id()],
        name: "Tilitin".into(),
    });
    let customer = Customer::new(config);
    let code = typed(&customer.opens().code.expect("it is shown"));
    let mut agent = Agent::dial(&world.service.url, &world.agent(1), code)
        .await
        .expect("let in");
    let open = customer.sees("a question that can be answered", |view| {
        view.question
            .as_ref()
            .is_some_and(|question| question.answerable)
    });
    let offered = AppSharing {
        name: "Tilitin".into(),
        app_only: false,
    };
    assert_eq!(open.app_sharing, Some(offered));
    let question = open.question.expect("it is open").id;
    customer.give(Command::AllowAppOnly { question });
    assert_eq!(agent.greet().await, "Etatuki");
    agent.sees(app_only).await;
    let view = customer.sees("that it is alone", |view| {
        view.app_sharing
            .as_ref()
            .is_some_and(|program| program.app_only)
    });
    assert!(view.permissions.view);
    assert_eq!(
        told_of_program(&mut agent).await.as_deref(),
        Some("Tilitin")
    );

    // The other program draws, and no pixel of it comes.
    display.paint(0x0012_3456, 350, 200, 300, 300);
    agent.ask(Ask::Control).await;
    customer.answers(&Ask::Control, true);
    let both = Permissions {
        view: true,
        control: true,
    };
    agent.permitted(both).await;
    // The other program has the keyboard, so a key goes nowhere.
    agent.press(u32::from('a')).await;
    drop(program);
    agent.sees(|| [GREY, GREY, GREY, 0].repeat(800 * 600)).await;
    display.nothing_typed();
    customer.leaves();
    agent.close().await;
}

/// Waits until the agent is told of the program that is shared alone.
async fn told_of_program(agent: &mut Agent) -> Option<String> {
    loop {
        if let ToAgent::Info(info) = agent.told().await
            && info.only_program.is_some()
        {
            return info.only_program;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_that_cant_isnt_offered() {
    let world = World::new().await;
    let mut config = world.config("remoteus-2008");
    config.app = Some(App {
        pids: vec![std::process::id()],
        name: "Tilitin".into(),
    });
    let customer = Customer::new(config);
    assert_eq!(customer.opens().app_sharing, None);
    customer.leaves();
}
