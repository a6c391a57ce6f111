//! Whole sessions, each from the click to the end.

use std::time::Duration;

use etatuki_link::{DialError, LinkError};
use etatuki_protocol::{Ask, Feature, Permissions, ToAgent};
use etatuki_rfb::{ClientMessage, encoding};
use etatuki_session_core::{Command, FailureName, Notice, State, Transport};
use etatuki_trust::{StaleRevocations, UnixTime};

use crate::agent::{Agent, typed};
use crate::display::Display;
use crate::world::{Customer, World, artefacts, holdings, tools_on};

const VIEW: Permissions = Permissions {
    view: true,
    control: false,
};
pub(crate) const BOTH: Permissions = Permissions {
    view: true,
    control: true,
};
const CONTROL: u32 = 0xffe3;

fn letter(letter: char) -> u32 {
    letter.into()
}

/// A customer with an open session, and an agent who dialled with the right code.
async fn connected(world: &World, backend: &str) -> (Customer, Agent) {
    let customer = world.customer(backend);
    let agent = dials(world, &customer).await;
    (customer, agent)
}

/// The customer opens, and an agent dials with the right code.
pub(crate) async fn dials(world: &World, customer: &Customer) -> Agent {
    let code = typed(&customer.opens().code.expect("it is shown"));
    Agent::dial(&world.service.url, &world.agent(1), code)
        .await
        .expect("let in")
}

/// A customer who has allowed viewing, and an agent with a picture.
pub(crate) async fn viewing(world: &World, backend: &str) -> (Customer, Agent) {
    let (customer, mut agent) = connected(world, backend).await;
    customer.answers(&Ask::View, true);
    assert_eq!(agent.greet().await, "Etatuki");
    agent.permitted(VIEW).await;
    (customer, agent)
}

pub(crate) async fn controlling(world: &World, backend: &str) -> (Customer, Agent) {
    let (customer, mut agent) = viewing(world, backend).await;
    agent.ask(Ask::Control).await;
    customer.answers(&Ask::Control, true);
    agent.permitted(BOTH).await;
    (customer, agent)
}

/// From the click to the end, with everything on the way.
async fn whole(backend: &str) {
    artefacts();
    let world = World::alone().await;
    let before = holdings();
    let display = &world.display;
    display.paint(0x00c0_ffee, 100, 50, 300, 200);

    let (customer, mut agent) = connected(&world, backend).await;
    let view = customer.reaches(State::Connected);
    assert_eq!(view.agent.expect("a known agent").name, "Liisa Virtanen");
    assert!(view.code.is_none(), "the code is hidden");
    match agent.told().await {
        ToAgent::Info(info) => {
            assert_eq!((info.backend.as_str(), info.usable.len()), (backend, 2));
            assert_eq!(info.app_version.as_deref(), Some("4.13"));
            let lacking: &[Feature] = match backend {
                "ecom" => &[Feature::Resize],
                _ => &[Feature::Clipboard, Feature::Resize],
            };
            assert_eq!(info.unsupported, lacking);
        }
        other => panic!("first comes the info, not {other:?}"),
    }
    assert_eq!(agent.told().await, ToAgent::Asking { ask: Ask::View });
    // Without view nothing is attached, whatever the agent sends.
    agent.press(letter('x')).await;
    assert!(!agent.sees_anything(Duration::from_millis(200)).await);
    assert_eq!(tools_on(&display.name), 0);

    customer.answers(&Ask::View, true);
    assert_eq!(agent.greet().await, "Etatuki");
    agent.permitted(VIEW).await;
    agent.sees(|| display.picture()).await;
    display.paint(0x0012_3456, 350, 200, 300, 300);
    agent.sees(|| display.picture()).await;

    // Keys arrive only after control was given: of these three, the last one.
    agent.press(letter('a')).await;
    agent.ask(Ask::Control).await;
    customer.sees("a question", |view| view.question.is_some());
    agent.press(letter('b')).await;
    customer.answers(&Ask::Control, true);
    agent.permitted(BOTH).await;
    agent.press(letter('c')).await;
    assert_eq!(display.typed(), letter('c'));

    not_while_a_question_is_open(&customer, &mut agent, display).await;
    nothing_stays_pressed(&customer, &mut agent, display).await;

    customer.give(Command::Close);
    assert_eq!(
        agent.told().await,
        ToAgent::Ended {
            reason: "customer-closed".into()
        }
    );
    assert_eq!(
        agent.closed().await,
        LinkError::Ended("customer-closed".into())
    );
    let view = customer.reaches(State::Closed);
    let receipt = view.receipt.expect("an agent was there");
    assert_eq!(
        (receipt.agent.name.as_str(), receipt.switch_to),
        ("Liisa Virtanen", None)
    );
    customer.leaves();
    agent.close().await;
    nothing_is_left(&world, before);
}

async fn not_while_a_question_is_open(customer: &Customer, agent: &mut Agent, display: &Display) {
    let switch = Ask::Switch {
        backend: "another".into(),
    };
    agent.key(true, CONTROL).await;
    display.until("control is down", |display| {
        display.held().contains(&CONTROL)
    });
    agent.ask(switch.clone()).await;
    customer.sees("a question", |view| view.question.is_some());
    display.until("the question released it", |display| {
        display.held().is_empty()
    });
    agent.press(letter('d')).await;
    customer.answers(&switch, false);
    assert!(!agent.answered(&switch).await);
    agent.press(letter('e')).await;
    // The key itself was typed, and then nothing until the question was over.
    assert_eq!(display.typed(), CONTROL);
    assert_eq!(display.typed(), letter('e'));
}

async fn nothing_stays_pressed(customer: &Customer, agent: &mut Agent, display: &Display) {
    agent.key(true, CONTROL).await;
    agent.key(true, letter('f')).await;
    agent
        .say(&[ClientMessage::Pointer {
            buttons: 1,
            x: 700,
            y: 500,
        }])
        .await;
    display.until("keys and a button are down", |display| {
        [CONTROL, letter('f')]
            .iter()
            .all(|key| display.held().contains(key))
            && display.buttons() != 0
    });
    customer.give(Command::TakeBack);
    agent.permitted(VIEW).await;
    display.until("all is released", |display| {
        display.held().is_empty() && display.buttons() == 0
    });
    agent.press(letter('g')).await;
    assert_eq!(display.typed(), CONTROL);
    assert_eq!(display.typed(), letter('f'));
    // Control is given again: of the keys since then, only this one arrives.
    agent.ask(Ask::Control).await;
    customer.answers(&Ask::Control, true);
    agent.permitted(BOTH).await;
    agent.press(letter('h')).await;
    assert_eq!(display.typed(), letter('h'));
}

fn nothing_is_left(world: &World, before: (Vec<String>, usize)) {
    // The supervisor ends the tool after its host.
    world
        .display
        .until("no process and no file is left", |display| {
            let (children, files) = holdings();
            tools_on(&display.name) == 0 && children == before.0 && files <= before.1 + SPARE_FILES
        });
}

/// Open files that may remain: the service's side of connections that are just being closed, and
/// the like. A leak shows by the dozen.
const SPARE_FILES: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ecom() {
    whole("ecom").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn remoteus_2008() {
    whole("remoteus-2008").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn remoteus_2010() {
    whole("remoteus-2010").await;
}

/// Another profile of the plugin: the tool connects to a port of this machine.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_that_dials_in() {
    whole("dials-in").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agent_ends() {
    let world = World::new().await;
    let (customer, mut agent) = controlling(&world, BACKEND).await;
    agent.key(true, CONTROL).await;
    world.display.until("control is down", |display| {
        display.held().contains(&CONTROL)
    });
    agent.end().await;
    assert_eq!(agent.closed().await, LinkError::Ended("agent-ended".into()));
    customer.reaches(State::Closed);
    world
        .display
        .until("it is released", |display| display.held().is_empty());
    customer.leaves();
    agent.close().await;
}

/// A burst that fills the tool's queue while nothing on the screen changes, as after a gap in the
/// agent's Wi-Fi.
async fn a_burst_of_input(backend: &str) {
    let world = World::new().await;
    let (customer, mut agent) = controlling(&world, backend).await;
    let moves = |from: u16| {
        (from..from + 100).map(|x| ClientMessage::Pointer {
            buttons: 0,
            x: 400 + x % 50,
            y: 300,
        })
    };
    let key = |down| ClientMessage::Key {
        down,
        keysym: letter('g'),
    };
    agent
        .say(&moves(0).chain([key(true)]).collect::<Vec<_>>())
        .await;
    assert_eq!(world.display.typed(), letter('g'));
    agent
        .say(&[key(false)].into_iter().chain(moves(7)).collect::<Vec<_>>())
        .await;
    world
        .display
        .until("the key is up", |display| display.held().is_empty());
    agent.press(letter('h')).await;
    world.display.until("another key is typed", |display| {
        display.typed() == letter('h')
    });
    agent.close().await;
    customer.leaves();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_input_reaches_ecom() {
    a_burst_of_input("ecom").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_input_reaches_remoteus_2008() {
    a_burst_of_input("remoteus-2008").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_input_reaches_remoteus_2010() {
    a_burst_of_input("remoteus-2010").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agent_vanishes() {
    let world = World::new().await;
    let (customer, agent) = controlling(&world, BACKEND).await;
    agent.close().await;
    customer.reaches(State::Closed);
    customer.leaves();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_gate_does_not_know_ends_it() {
    let world = World::new().await;
    let (customer, mut agent) = viewing(&world, BACKEND).await;
    agent.raw(&[10, 0, 0, 0]).await;
    assert_eq!(
        agent.closed().await,
        LinkError::Ended("agent-misbehaved".into())
    );
    let failure = customer
        .reaches(State::Failed)
        .failure
        .expect("it says why");
    assert_eq!(failure.name, FailureName::AgentMisbehaved);
    assert!(
        failure.detail.starts_with("unknown-message"),
        "{}",
        failure.detail
    );
    customer.leaves();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_wrong_codes_burn_it() {
    let world = World::new().await;
    let customer = world.customer(BACKEND);
    let first = customer.opens().code.expect("it is shown");
    let (nameplate, secret) = typed(&first);
    let wrong = etatuki_trust::Secret::from_random(nameplate.form(), [77; 8]);
    assert_ne!(wrong, secret);
    for left in [Some(2), Some(1), None] {
        let tried = Agent::dial(
            &world.service.url,
            &world.agent(1),
            (nameplate, wrong.clone()),
        )
        .await;
        assert!(
            matches!(tried, Err(DialError::WrongCode)),
            "{:?}",
            tried.err()
        );
        customer.sees("the right notice", |view| {
            match (view.notices.last(), left) {
                (Some(Notice::WrongCodeTried { left, .. }), Some(wanted)) => *left == wanted,
                (Some(Notice::CodeBurnt { agent }), None) => agent.name == "Liisa Virtanen",
                _ => false,
            }
        });
    }
    let second = customer.sees("a fresh code", |view| {
        view.code.as_ref().is_some_and(|code| *code != first)
    });
    let fresh = typed(&second.code.expect("it is shown"));
    let agent = Agent::dial(&world.service.url, &world.agent(1), fresh)
        .await
        .expect("let in");
    customer.reaches(State::Connected);
    agent.close().await;
    customer.leaves();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_card_is_a_stranger() {
    let world = World::new().await;
    let customer = world.customer(BACKEND);
    let code = typed(&customer.opens().code.expect("it is shown"));
    // The service knows the list too. So a good agent looks the session up, and the revoked one
    // dials.
    let tried = Agent::dial_with(&world.service.url, &world.agent(1), &world.agent(66), code).await;
    assert!(
        matches!(&tried, Err(DialError::Refused(name)) if name.contains("revoked")),
        "{:?}",
        tried.err()
    );
    let view = customer.sees("a notice", |view| !view.notices.is_empty());
    assert_eq!(
        (view.state, view.notices.as_slice()),
        (State::Waiting, &[Notice::UnauthorizedAttempt][..])
    );
    assert!(
        world.state.path().join("seen").exists(),
        "the newest list is kept"
    );
    customer.leaves();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_an_outdated_list_nobody_is_let_in_unless_the_registry_says_so() {
    let world = World::with_list_until(UnixTime(1_700_000_000)).await;
    let customer = world.customer(BACKEND);
    customer.give(Command::Open);
    let failed = customer.reaches(State::Failed);
    let failure = failed.failure.expect("a reason");
    assert_eq!(failure.name, FailureName::RevocationsStale);
    assert_eq!(failed.code, None);
    customer.leaves();

    let mut warns = world.config(BACKEND);
    warns.stale_revocations = StaleRevocations::Warn;
    let customer = Customer::new(warns);
    let view = customer.opens();
    assert_eq!(view.notices, [Notice::RevocationsStale]);
    let code = typed(&view.code.expect("it is shown"));
    let agent = Agent::dial(&world.service.url, &world.agent(1), code).await;
    let agent = agent.expect("let in");
    customer.reaches(State::Connected);
    agent.close().await;
    customer.leaves();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn view_denied_and_asked_again() {
    let world = World::new().await;
    let (customer, mut agent) = connected(&world, BACKEND).await;
    for asked_before in [false, true, true] {
        if asked_before {
            agent.ask(Ask::View).await;
        }
        customer.answers(&Ask::View, false);
        assert!(!agent.answered(&Ask::View).await);
    }
    agent.ask(Ask::View).await;
    assert!(!agent.answered(&Ask::View).await, "refused without asking");
    assert_eq!(customer.reaches(State::Connected).question, None);
    assert!(!agent.sees_anything(Duration::from_millis(100)).await);
    customer.leaves();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_plugin_host_is_named() {
    let world = World::alone().await;
    let (customer, mut agent) = viewing(&world, BACKEND).await;
    signal("KILL");
    let failure = customer
        .reaches(State::Failed)
        .failure
        .expect("it says why");
    assert_eq!(failure.name, FailureName::PluginDied);
    assert_eq!(agent.closed().await, LinkError::Ended("plugin-died".into()));
    customer.give(Command::Open);
    customer.sees("it can be tried again", |view| view.code.is_some());
    customer.leaves();
}

/// The form of a code says nothing of the backend: x11vnc behind an ID and a password gets no
/// message that it doesn't know, and its death is a tool's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_with_an_id_and_a_password_stays_a_tool() {
    let world = World::new().await;
    let mut config = world.config("remoteus-2008");
    config.backend.transport = Transport::Link(etatuki_trust::CodeForm::IdAndPassword);
    let customer = Customer::new(config);
    let mut agent = dials(&world, &customer).await;
    customer.answers(&Ask::View, true);
    agent.greet().await;
    agent.permitted(VIEW).await;
    agent.ask(Ask::Control).await;
    customer.answers(&Ask::Control, true);
    agent.permitted(BOTH).await;
    let display = &world.display;
    display.paint(0x0012_3456, 350, 200, 300, 300);
    agent.sees(|| display.picture()).await;

    agent
        .say(&[
            ClientMessage::SetEncodings(vec![
                encoding::RAW,
                encoding::EXTENDED_DESKTOP_SIZE,
                encoding::QEMU_EXTENDED_KEY,
                encoding::EXTENDED_MOUSE_BUTTONS,
            ]),
            ClientMessage::SetDesktopSize {
                width: 640,
                height: 480,
                screens: vec![],
            },
        ])
        .await;
    for down in [true, false] {
        let keysym = letter('q');
        let keycode = 0x10;
        let key = ClientMessage::QemuKey {
            down,
            keysym,
            keycode,
        };
        agent.say(&[key]).await;
    }
    assert_eq!(display.typed(), letter('q'));
    agent.press(letter('w')).await;
    assert_eq!(display.typed(), letter('w'), "the tool still listens");

    crate::world::end_tools_on(&display.name);
    let failure = customer
        .reaches(State::Failed)
        .failure
        .expect("it says why");
    assert!(
        failure.name.as_str().starts_with("tool-"),
        "{:?}",
        failure.name
    );
    agent.close().await;
    customer.leaves();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_plugin_host_holds_nobody_up() {
    let world = World::alone().await;
    let before = holdings();
    let (customer, agent) = viewing(&world, BACKEND).await;
    signal("STOP");
    customer.give(Command::Close);
    customer.sees("an end", |view| {
        matches!(view.state, State::Closed | State::Failed)
    });
    customer.leaves();
    agent.close().await;
    nothing_is_left(&world, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_service() {
    let world = World::new().await;
    let mut config = world.config(BACKEND);
    // A port where nobody listens: bound and given back.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|port| port.local_addr())
        .expect("a port");
    config.service = format!("http://{port}");
    let customer = Customer::new(config);
    customer.give(Command::Open);
    let failure = customer
        .reaches(State::Failed)
        .failure
        .expect("it says why");
    assert_eq!(failure.name, FailureName::ConnectionRefused);
    customer.leaves();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_display_no_tool_and_no_plugin() {
    let world = World::new().await;
    let unsupported = |backend: &str| {
        let mut config = world.config(backend);
        config.display_check = Some(|| {
            let name = FailureName::DisplayUnsupported;
            Err(etatuki_session_core::Failure::new(name, "Wayland"))
        });
        (config, FailureName::DisplayUnsupported)
    };
    let mut config = world.config("remoteus-2008");
    config.backend.plugin.options["tool"] = "not-there".into();
    config.backend.plugin.options["paths"] = serde_json::json!([]);
    let mut missing = world.config("remoteus-2008");
    missing.backend.plugin.path.set_file_name("libnot_there.so");
    for (config, name) in [
        (config, FailureName::ToolMissing),
        (missing, FailureName::PluginMissing),
        unsupported("ecom"),
        unsupported("remoteus-2008"),
        unsupported("remoteus-2010"),
    ] {
        let customer = Customer::new(config);
        customer.give(Command::Open);
        let failed = customer.reaches(State::Failed);
        assert!(failed.code.is_none());
        let failure = failed.failure.expect("it says why");
        assert_eq!(failure.name, name, "{}", failure.detail);
        customer.leaves();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closed_at_any_moment_of_opening() {
    let world = World::alone().await;
    let before = holdings();
    for pause in [0, 1, 5, 20, 50, 100, 200] {
        let customer = world.customer(BACKEND);
        customer.give(Command::Open);
        std::thread::sleep(Duration::from_millis(pause));
        customer.leaves();
    }
    nothing_is_left(&world, before);
}

/// The backend of journeys that are about something else.
const BACKEND: &str = "remoteus-2008";

/// Sends a signal to the one plugin host that runs.
fn signal(name: &str) {
    let hosts = crate::world::hosts();
    assert_eq!(hosts.len(), 1, "one session runs");
    let sent = std::process::Command::new("kill")
        .args(["-s", name, &hosts[0].to_string()])
        .status();
    assert!(sent.expect("kill is installed").success());
}

/// Not a test: `cargo test -p etatuki-session --test whole -- --ignored --nocapture figures`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a benchmark"]
async fn figures() {
    for backend in ["ecom", "remoteus-2008", "remoteus-2010"] {
        let mut rows = vec![];
        for _ in 0..7 {
            let world = World::new().await;
            let customer = world.customer(backend);
            let click = std::time::Instant::now();
            let code = typed(&customer.opens().code.expect("it is shown"));
            let to_code = click.elapsed();
            let dialled = std::time::Instant::now();
            let mut agent = Agent::dial(&world.service.url, &world.agent(1), code)
                .await
                .expect("let in");
            let to_question = dialled.elapsed();
            customer.answers(&Ask::View, true);
            let allowed = std::time::Instant::now();
            agent.greet().await;
            let to_screen = allowed.elapsed();
            agent.sees(|| world.display.picture()).await;
            rows.push([to_code, to_question, to_screen, allowed.elapsed()]);
            let to_end = customer.leaves();
            eprintln!(
                "{backend}: code, connected, ServerInit, picture: {:.0?}; end {to_end:.0?}",
                rows.last()
            );
        }
    }
}
