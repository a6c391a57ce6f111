//! Every way in which a session ends, and what the customer may refuse: nothing is left behind.

use serde_json::json;

use crate::agent::{Agent, Viewer};
use crate::customer::Customer;
use crate::desktop::Desktop;
use crate::traces::{customer_fails, host_of, kill, looking, nothing_left, pid_of, processes};
use crate::world::{World, family, listening, until};

const KEY_A: u32 = 0x61;

fn pid(process: &etatuki_demo::process::Process) -> u32 {
    process.pid().as_raw_nonzero().get().unsigned_abs()
}

/// Nothing of the customer's listens on TCP while somebody looks on.
fn no_port(customer: &Customer) {
    let ports = listening(&family(pid(&customer.process)));
    assert_eq!(ports, Vec::<String>::new());
}

#[test]
fn the_agent_ends_it() {
    let world = World::new();
    let (mut customer, mut agent) = looking(&world, "remoteus-2008");
    no_port(&customer);
    agent.say("end");
    agent.expect_type("ended");
    assert_eq!(agent.ended().code(), Some(0));
    let closed = customer.expect_type("closed");
    assert!(closed["receipt"]["agent"].is_object(), "{closed:#}");
    assert_eq!(customer.ended().code(), Some(0));
    nothing_left(&world);
}

#[test]
fn the_end_of_stdin_ends_it() {
    let world = World::new();
    let (mut customer, mut agent) = looking(&world, "remoteus-2010");
    no_port(&customer);
    customer.hang_up();
    customer.expect_type("closed");
    assert_eq!(customer.ended().code(), Some(0));
    agent.expect_type("ended");
    assert_eq!(agent.ended().code(), Some(0));
    nothing_left(&world);
}

#[test]
fn a_waiting_session_is_closed() {
    for backend in ["ecom", "remoteus-2008", "remoteus-2010"] {
        let world = World::new();
        let mut customer = Customer::start(&world, backend, &[]);
        customer.expect_state("waiting");
        customer.say(&json!({"type": "close"}));
        let closed = customer.expect_type("closed");
        assert!(closed["receipt"].is_null(), "{closed:#}");
        assert_eq!(customer.ended().code(), Some(0));
        nothing_left(&world);
    }
}

/// An agent in control who holds a key and a button down.
async fn holding(world: &World, desktop: &Desktop) -> (Customer, Agent, Viewer) {
    let (mut customer, mut agent) = looking(world, "ecom");
    let viewer = agent.viewer().await;
    agent.say("ask-control");
    customer.answer("control", true);
    agent.expect("control", |line| {
        line["type"] == "permissions" && line["control"] == true
    });
    desktop.focus();
    viewer.key(KEY_A, true).await;
    viewer.pointer(100, 400, 1).await;
    desktop.expect_press();
    until("a button to be held", || {
        (desktop.held().1 != 0).then_some(())
    });
    (customer, agent, viewer)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_who_vanishes_leaves_no_key_held() {
    let world = World::new();
    let desktop = Desktop::open(world.display.name());
    let (customer, agent, _viewer) = holding(&world, &desktop).await;

    kill(pid(&agent.process));
    customer_fails(&world, customer, "link-lost", 6);
    assert_eq!(desktop.held(), (vec![], 0), "something stayed held");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_host_that_is_killed_leaves_no_key_held() {
    let world = World::new();
    let desktop = Desktop::open(world.display.name());
    let (customer, _agent, _viewer) = holding(&world, &desktop).await;
    kill(host_of(&world, &customer));
    customer_fails(&world, customer, "plugin-died", 4);
    assert_eq!(desktop.held(), (vec![], 0), "something stayed held");
}

#[test]
fn a_launcher_that_is_killed_takes_its_tool_along() {
    for backend in ["remoteus-2008", "remoteus-2010", "ecom"] {
        let world = World::new();
        let (mut customer, mut agent) = looking(&world, backend);
        host_of(&world, &customer);
        if backend != "ecom" {
            pid_of(&world, "x11vnc");
        }
        kill(pid(&customer.process));
        customer.ended();
        let failed = agent.expect_type("failed");
        assert_eq!(failed["name"], "link-lost", "{failed:#}");
        assert_eq!(agent.ended().code(), Some(6));
        nothing_left(&world);
    }
}

#[test]
fn without_looking_nothing_is_attached() {
    let world = World::new();
    let mut customer = Customer::start(&world, "remoteus-2008", &[]);
    let code = customer.code();
    let mut agent = Agent::join(&world, &code, &[]);
    for left in [2, 1, 0] {
        customer.answer("view", false);
        let answer = agent.expect_type("answer");
        assert_eq!(answer["allowed"], false, "{answer:#}");
        assert_eq!(answer["asks_left"], left, "{answer:#}");
        let tools = processes(&world);
        assert!(!tools.values().any(|name| name == "x11vnc"), "{tools:?}");
        agent.say("ask-view");
    }
    // The fourth is refused without a question.
    let answer = agent.expect_type("answer");
    assert_eq!(answer["allowed"], false, "{answer:#}");
    customer.say(&json!({"type": "close"}));
    customer.expect_type("closed");
    let asked = customer.seen.iter().filter(|line| line["type"] == "ask");
    assert_eq!(asked.count(), 3);
    assert_eq!(customer.ended().code(), Some(0));
    assert_eq!(agent.ended().code(), Some(0));
    nothing_left(&world);
}

#[tokio::test(flavor = "multi_thread")]
async fn control_that_is_refused_leaves_looking() {
    let world = World::new();
    let desktop = Desktop::open(world.display.name());
    let (mut customer, mut agent) = looking(&world, "remoteus-2008");
    let mut viewer = agent.viewer().await;
    agent.say("ask-control");
    customer.answer("control", false);
    let answer = agent.expect_type("answer");
    assert_eq!(answer["allowed"], false, "{answer:#}");
    desktop.focus();
    viewer.key(KEY_A, true).await;
    viewer.key(KEY_A, false).await;
    desktop.draw(9);
    viewer.shows(|| desktop.pixels()).await;
    assert_eq!(desktop.keys(), []);
    agent.say("end");
    customer.expect_type("closed");
    assert_eq!(customer.ended().code(), Some(0));
    agent.ended();
    nothing_left(&world);
}
