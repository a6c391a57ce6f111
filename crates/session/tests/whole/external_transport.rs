//! Sessions over a tool's own transport: x11vnc on a port of its own, without our link.

use std::io::{Read, Write};
use std::net::TcpStream;

use etatuki_session::SessionConfig;
use etatuki_session_core::{Command, FailureName, State, Transport, View};
use etatuki_trust::FieldKind;
use serde_json::{Value, json};

use crate::world::{Customer, World, artefacts, tools_on};

/// Returns the configuration of x11vnc on a free port; `code` says where the port is read.
fn config(world: &World, code: Value) -> SessionConfig {
    let mut config = world.config("remoteus-2008");
    config.backend.transport = Transport::External;
    // The service is never asked.
    config.service = "http://127.0.0.1:1".into();
    let plugin = &mut config.backend.plugin;
    plugin.id = "own-tool".into();
    plugin.path = artefacts().join("libetatuki_own_tool.so");
    plugin.external_transport = true;
    plugin.network = true;
    plugin.options = json!({
        "tool": "x11vnc",
        "display": world.display.name,
        "start": [
            "-display", "{display}", "-norc", "-nopw", "-localhost", "-forever", "-autoport", "5950",
            "-flag", "{folder}/flag", "-passwdfile", "cmd:/usr/bin/printenv TOOL_PASSWORD",
        ],
        "stop": ["-display", "{display}", "-R", "stop"],
        "code": code,
        "connected": "Got connection from client",
        "left": "client_count: 0",
        "failures": { "display-lost": "caught XIO error" },
    });
    config
}

fn code(view: &View) -> String {
    let fields = &view.code.as_ref().expect("there is a code").fields;
    assert_eq!((fields.len(), fields[0].kind), (1, FieldKind::ToolCode));
    fields[0].digits.clone()
}

async fn opened(code: Value) -> (World, Customer) {
    let world = World::new().await;
    let mut config = config(&world, code);
    // Without a variable there is no password, so x11vnc is started without one.
    if config.backend.plugin.options["code"]["env"].is_null() {
        let start = config.backend.plugin.options["start"]
            .as_array_mut()
            .expect("arguments");
        start.truncate(start.len() - 2);
    }
    let customer = Customer::new(config);
    (world, customer)
}

fn nothing_is_left(world: &World) {
    world
        .display
        .until("the tool is gone", |display| tools_on(&display.name) == 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_code_is_read_from_what_it_prints() {
    let pattern = json!({ "from": "output", "pattern": "^PORT=(\\d+)$" });
    let (world, customer) = opened(pattern).await;
    let view = customer.opens();
    assert_eq!(
        (view.state, view.waiting_seconds_left),
        (State::Waiting, None)
    );
    let port = code(&view);
    // A peer of the tool's own transport is seen to come and to go.
    let address = format!("127.0.0.1:{port}");
    let mut somebody = TcpStream::connect(&address).expect("the tool listens there");
    somebody.read_exact(&mut [0; 12]).expect("it speaks RFB");
    let view = customer.reaches(State::Connected);
    assert!(
        view.agent.is_none() && view.question.is_none(),
        "nobody of ours is there"
    );
    somebody.write_all(b"RFB 003.008\n").expect("it listens");
    somebody
        .read_exact(&mut [0; 2])
        .expect("its security types");
    drop(somebody);
    customer.reaches(State::Waiting);
    customer.give(Command::Close);
    let view = customer.reaches(State::Closed);
    assert!(view.code.is_none() && view.receipt.is_none());
    nothing_is_left(&world);
    // A second peer is seen too.
    code(&customer.opens());
    customer.leaves();
    nothing_is_left(&world);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_code_is_read_from_a_file() {
    let file = json!({ "from": "file", "file": "{folder}/flag", "pattern": "PORT=(\\d+)" });
    let (world, customer) = opened(file).await;
    let port: u16 = code(&customer.opens()).parse().expect("a port");
    TcpStream::connect(("127.0.0.1", port)).expect("the tool listens there");
    customer.leaves();
    nothing_is_left(&world);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_of_ours_is_handed_to_it() {
    let launcher = json!({ "from": "launcher", "env": "TOOL_PASSWORD" });
    let (world, customer) = opened(launcher).await;
    let shown = code(&customer.opens());
    assert!(shown.len() == 8 && shown.bytes().all(|byte| byte.is_ascii_digit()));
    // The password is in the tool's environment, and on no command line.
    world
        .display
        .until("the tool runs", |display| tools_on(&display.name) > 0);
    customer.leaves();
    nothing_is_left(&world);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_in_the_tools_own_window_has_no_field() {
    let (world, customer) = opened(json!({ "from": "window" })).await;
    let view = customer.opens();
    assert_eq!(view.code.expect("it is somewhere").fields.len(), 0);
    customer.leaves();
    nothing_is_left(&world);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_that_never_says_its_code() {
    let (world, customer) = opened(json!({ "from": "output", "pattern": "never" })).await;
    customer.give(Command::Open);
    customer.reaches(State::Opening);
    world
        .display
        .until("it runs", |display| tools_on(&display.name) > 0);
    // The customer closes before the time-out.
    customer.give(Command::Close);
    customer.reaches(State::Closed);
    nothing_is_left(&world);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_that_ends_is_told_of() {
    let window = json!({ "from": "window" });
    for (script, expected) in [
        ("sleep 0.3", State::Closed),
        ("sleep 0.3; exit 3", State::Failed),
    ] {
        let world = World::new().await;
        let mut config = config(&world, window.clone());
        config.backend.plugin.options["tool"] = "sh".into();
        config.backend.plugin.options["start"] = json!(["-c", script]);
        config.backend.plugin.options["stop"] = json!([]);
        let customer = Customer::new(config);
        customer.opens();
        let view = customer.reaches(expected);
        let name = view.failure.map(|failure| failure.name);
        let died = (expected == State::Failed).then_some(FailureName::ToolDied);
        assert_eq!(name, died);
        customer.leaves();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registry_and_plugin_must_agree_on_the_transport() {
    let world = World::new().await;
    let mut own = config(&world, json!({ "from": "window" }));
    own.backend.transport = Transport::Link(etatuki_trust::CodeForm::SingleCode);
    own.backend.plugin.external_transport = false;
    own.service = world.service.url.clone();
    let mut ours = world.config("remoteus-2008");
    ours.backend.transport = Transport::External;
    ours.backend.plugin.external_transport = true;
    for config in [own, ours] {
        let customer = Customer::new(config);
        customer.give(Command::Open);
        let failure = customer
            .reaches(State::Failed)
            .failure
            .expect("it says why");
        assert_eq!(failure.name, FailureName::PluginRefused);
        assert!(
            failure.detail.contains("form = \"own\""),
            "{}",
            failure.detail
        );
        customer.leaves();
    }
}
