//! Every way in which a session ends, and what the customer may deny: nothing is left behind.

use serde_json::json;

use crate::agent::{Agent, RfbViewer};
use crate::customer::Customer;
use crate::desktop::Desktop;
use crate::outcomes::{
    expect_customer_fails, expect_no_processes, host_pid, kill, kill_all, pid_of, processes,
    viewing_session,
};
use crate::testbed::{Testbed, listening_ports, process_tree, wait_until};

const KEY_W: u32 = 0x77;
const KEY_SHIFT: u32 = 0xffe1;

fn pid(process: &etatuki_deployment::process::Process) -> u32 {
    process.pid().as_raw_nonzero().get().unsigned_abs()
}

/// Checks that no process of the customer's side listens on TCP while the agent views.
fn expect_no_port(customer: &Customer) {
    let ports = listening_ports(&process_tree(pid(&customer.process)));
    assert_eq!(ports, Vec::<String>::new());
}

#[test]
fn the_agent_ends_it() {
    let testbed = Testbed::new();
    let (mut customer, mut agent) = viewing_session(&testbed, "remoteus-2008");
    expect_no_port(&customer);
    agent.send("end");
    agent.expect_type("ended");
    assert_eq!(agent.wait_exit().code(), Some(0));
    let closed = customer.expect_type("closed");
    assert!(closed["receipt"]["agent"].is_object(), "{closed:#}");
    assert_eq!(customer.wait_exit().code(), Some(0));
    expect_no_processes(&testbed);
}

#[test]
fn the_end_of_stdin_ends_it() {
    let testbed = Testbed::new();
    let (mut customer, mut agent) = viewing_session(&testbed, "remoteus-2010");
    expect_no_port(&customer);
    customer.close_stdin();
    customer.expect_type("closed");
    assert_eq!(customer.wait_exit().code(), Some(0));
    agent.expect_type("ended");
    assert_eq!(agent.wait_exit().code(), Some(0));
    expect_no_processes(&testbed);
}

#[test]
fn a_waiting_session_is_closed() {
    for backend in ["ecom", "remoteus-2008", "remoteus-2010"] {
        let testbed = Testbed::new();
        let mut customer = Customer::start(&testbed, backend, &[]);
        customer.expect_state("waiting");
        customer.send(json!({"type": "close"}));
        let closed = customer.expect_type("closed");
        assert!(closed["receipt"].is_null(), "{closed:#}");
        assert_eq!(customer.wait_exit().code(), Some(0));
        expect_no_processes(&testbed);
    }
}

/// Waits until the agent's side is interrupted, and has the agent end it before the two minutes
/// are over.
fn expect_agent_gives_up(mut agent: Agent) {
    agent.expect_type("interrupted");
    agent.send("end");
    agent.expect_type("ended");
    assert_eq!(agent.wait_exit().code(), Some(0));
}

/// Starts a session in which the agent has control and holds Shift, a letter and a button down.
async fn session_with_held_input(
    testbed: &Testbed,
    desktop: &Desktop,
    backend: &str,
) -> (Customer, Agent, RfbViewer) {
    let (mut customer, mut agent) = viewing_session(testbed, backend);
    let viewer = agent.viewer().await;
    agent.send("ask-control");
    customer.allow("control");
    agent.expect("control", |line| {
        line["type"] == "permissions" && line["control"] == true
    });
    desktop.focus();
    viewer.key(KEY_SHIFT, true).await;
    viewer.key(KEY_W, true).await;
    viewer.pointer(100, 400, 1).await;
    desktop.expect_press();
    wait_until("all of it to be held", || {
        let (keys, buttons) = desktop.held_input();
        (keys.len() == 2 && buttons != 0).then_some(())
    });
    (customer, agent, viewer)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_who_vanishes_leaves_no_key_held() {
    let testbed = Testbed::new();
    let desktop = Desktop::open(testbed.display.name());
    let (mut customer, agent, _viewer) = session_with_held_input(&testbed, &desktop, "ecom").await;

    kill(pid(&agent.process));
    customer.expect_state("interrupted");
    desktop.expect_nothing_held("at the interruption");
    // They needn't wait for the two minutes.
    customer.send(json!({"type": "close"}));
    customer.expect_type("closed");
    assert_eq!(customer.wait_exit().code(), Some(0));
    expect_no_processes(&testbed);
}

/// Checks that nothing stays held after the process that `victim` finds was killed.
async fn check_killed(backend: &str, failure: &str, victim: fn(&Testbed, &Customer) -> u32) {
    let testbed = Testbed::new();
    let desktop = Desktop::open(testbed.display.name());
    let (customer, _agent, _viewer) = session_with_held_input(&testbed, &desktop, backend).await;
    kill(victim(&testbed, &customer));
    expect_customer_fails(&testbed, customer, failure, 4);
    assert_eq!(
        desktop.held_input(),
        (vec![], 0),
        "{backend}: something stayed held"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_host_that_is_killed_leaves_no_key_held() {
    for backend in ["ecom", "remoteus-2008", "remoteus-2010"] {
        check_killed(backend, "plugin-died", host_pid).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_is_killed_leaves_no_key_held() {
    for backend in ["remoteus-2008", "remoteus-2010"] {
        check_killed(backend, "tool-died", |testbed, _| pid_of(testbed, "x11vnc")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launcher_that_is_killed_leaves_no_key_held() {
    for backend in ["ecom", "remoteus-2008", "remoteus-2010"] {
        let testbed = Testbed::new();
        let desktop = Desktop::open(testbed.display.name());
        let (mut customer, agent, _viewer) =
            session_with_held_input(&testbed, &desktop, backend).await;
        kill(pid(&customer.process));
        customer.wait_exit();
        expect_agent_gives_up(agent);
        // The supervisor, which outlives it, is the last.
        expect_no_processes(&testbed);
        assert_eq!(
            desktop.held_input(),
            (vec![], 0),
            "{backend}: something stayed held"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_when_all_of_a_session_is_killed_is_released_at_the_next_start() {
    let testbed = Testbed::new();
    let desktop = Desktop::open(testbed.display.name());
    let (mut customer, agent, _viewer) =
        session_with_held_input(&testbed, &desktop, "remoteus-2008").await;
    // Children first: each is there still when its turn comes.
    kill_all(&[
        pid_of(&testbed, "x11vnc"),
        host_pid(&testbed, &customer),
        pid_of(&testbed, "etatuki-superv"),
        pid(&customer.process),
    ]);
    customer.wait_exit();
    expect_agent_gives_up(agent);
    expect_no_processes(&testbed);
    assert_ne!(desktop.held_input(), (vec![], 0), "nothing is left to mend");
    let mut next = Customer::start(&testbed, "ecom", &[]);
    next.expect_state("waiting");
    desktop.expect_nothing_held("after the next start");
}

#[test]
fn a_launcher_that_is_killed_takes_its_tool_along() {
    for backend in ["remoteus-2008", "remoteus-2010", "ecom"] {
        let testbed = Testbed::new();
        let (mut customer, agent) = viewing_session(&testbed, backend);
        host_pid(&testbed, &customer);
        if backend != "ecom" {
            pid_of(&testbed, "x11vnc");
        }
        kill(pid(&customer.process));
        customer.wait_exit();
        expect_agent_gives_up(agent);
        expect_no_processes(&testbed);
    }
}

#[test]
fn without_looking_nothing_is_attached() {
    let testbed = Testbed::new();
    let mut customer = Customer::start(&testbed, "remoteus-2008", &[]);
    let code = customer.code();
    let mut agent = Agent::join(&testbed, &code, &[]);
    for left in [2, 1, 0] {
        customer.deny("view");
        let answer = agent.expect_type("answer");
        assert_eq!(answer["allowed"], false, "{answer:#}");
        assert_eq!(answer["asks_left"], left, "{answer:#}");
        let tools = processes(&testbed);
        assert!(!tools.values().any(|name| name == "x11vnc"), "{tools:?}");
        agent.send("ask-view");
    }
    // The fourth request is refused without a question.
    let answer = agent.expect_type("answer");
    assert_eq!(answer["allowed"], false, "{answer:#}");
    customer.send(json!({"type": "close"}));
    customer.expect_type("closed");
    let asked = customer
        .received
        .iter()
        .filter(|line| line["type"] == "ask");
    assert_eq!(asked.count(), 3);
    assert_eq!(customer.wait_exit().code(), Some(0));
    assert_eq!(agent.wait_exit().code(), Some(0));
    expect_no_processes(&testbed);
}

#[tokio::test(flavor = "multi_thread")]
async fn control_that_is_refused_leaves_looking() {
    let testbed = Testbed::new();
    let desktop = Desktop::open(testbed.display.name());
    let (mut customer, mut agent) = viewing_session(&testbed, "remoteus-2008");
    let mut viewer = agent.viewer().await;
    agent.send("ask-control");
    customer.deny("control");
    let answer = agent.expect_type("answer");
    assert_eq!(answer["allowed"], false, "{answer:#}");
    desktop.focus();
    viewer.key(KEY_W, true).await;
    viewer.key(KEY_W, false).await;
    desktop.draw(9);
    viewer.expect_picture(|| desktop.pixels()).await;
    assert_eq!(desktop.keys(), []);
    agent.send("end");
    customer.expect_type("closed");
    assert_eq!(customer.wait_exit().code(), Some(0));
    agent.wait_exit();
    expect_no_processes(&testbed);
}
