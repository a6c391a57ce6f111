//! The link is interrupted, and resumed.

use std::time::Duration;

use etatuki_link::{DialError, LinkError};
use etatuki_protocol::{Ask, Permissions, ToAgent};
use etatuki_session_core::{Command, FailureName, Notice, State, View};

use crate::journeys::{controlling, viewing};
use crate::world::{Customer, World, tools_on};

const VIEW: Permissions = Permissions {
    view: true,
    control: false,
};
const BOTH: Permissions = Permissions {
    view: true,
    control: true,
};
const NONE: Permissions = Permissions {
    view: false,
    control: false,
};
const SHIFT: u32 = 0xffe1;

fn letter(letter: char) -> u32 {
    letter.into()
}

fn is_controlled(view: &View) -> bool {
    view.state == State::Connected && view.permissions == BOTH
}

/// An agent with control holds Shift when the connection goes. It is released; what changes on the
/// screen meanwhile is seen afterwards; and what is typed then arrives, and nothing else.
async fn resumed(backend: &str) {
    let world = World::new().await;
    let display = &world.display;
    let (customer, mut agent) = controlling(&world, backend).await;
    display.paint(0x00c0_ffee, 100, 50, 300, 200);
    agent.sees(|| display.picture()).await;
    let tools = tools_on(&display.name);
    for round in 0..2 {
        agent.key(true, SHIFT).await;
        display.until("Shift is down", |display| display.held().contains(&SHIFT));
        assert_eq!(display.typed(), SHIFT);
        agent.interrupt();
        let view = customer.reaches(State::Interrupted);
        assert_eq!((view.permissions, view.kept_permissions), (NONE, BOTH));
        assert_eq!(view.interrupted_seconds_left, Some(120));
        display.until("it is released", |display| display.held().is_empty());
        display.paint(0x0012_3456, 350, 200 + 50 * round, 300, 30);

        agent.resume(BOTH).await;
        customer.sees("control again", is_controlled);
        agent.greet().await;
        agent.sees(|| display.picture()).await;
        agent.press(letter('c')).await;
        assert_eq!(display.typed(), letter('c'));
        display.paint(0x0065_4321 + round as u32, 10, 300, 90, 90);
        agent.sees(|| display.picture()).await;
        assert_eq!(tools_on(&display.name), tools, "the tool was started anew");
    }
    customer.leaves();
    agent.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ecom_is_resumed() {
    resumed("ecom").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn remoteus_2008_is_resumed() {
    resumed("remoteus-2008").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn remoteus_2010_is_resumed() {
    resumed("remoteus-2010").await;
}

/// Nothing is closed: the agent's end is silent, and that alone interrupts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_interrupts_and_releases() {
    let world = World::new().await;
    let (customer, mut agent) = controlling(&world, "ecom").await;
    agent.key(true, SHIFT).await;
    world
        .display
        .until("Shift is down", |display| display.held().contains(&SHIFT));
    agent.falls_silent();
    customer.reaches(State::Interrupted);
    world
        .display
        .until("it is released", |display| display.held().is_empty());
    assert_eq!(agent.closed().await, LinkError::Interrupted);
    agent.resume(BOTH).await;
    customer.sees("control again", is_controlled);
    customer.leaves();
    agent.close().await;
}

/// The agent's end notices first, and resumes a link that works for all that the customer's end
/// knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_seems_to_work_is_resumed_too() {
    let world = World::new().await;
    let display = &world.display;
    let (customer, mut agent) = controlling(&world, "ecom").await;
    agent.key(true, SHIFT).await;
    display.until("Shift is down", |display| display.held().contains(&SHIFT));
    assert_eq!(display.typed(), SHIFT);
    agent.resume(BOTH).await;
    display.until("it is released", |display| display.held().is_empty());
    let view = customer.sees("control again", is_controlled);
    assert_eq!(view.notices, [Notice::LinkInterrupted, Notice::LinkResumed]);
    agent.greet().await;
    agent.sees(|| display.picture()).await;
    agent.press(letter('c')).await;
    assert_eq!(display.typed(), letter('c'));
    customer.leaves();
    agent.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_question_is_asked_anew() {
    let world = World::new().await;
    let (customer, mut agent) = viewing(&world, "ecom").await;
    for _ in 0..4 {
        agent.ask(Ask::Control).await;
        let asked = customer.sees("a question", |view| view.question.is_some());
        agent.interrupt();
        customer.sees("no question", |view| {
            view.state == State::Interrupted && view.question.is_none()
        });
        agent.resume(VIEW).await;
        while agent.told().await != (ToAgent::Asking { ask: Ask::Control }) {}
        let anew = customer.sees("a question", |view| view.question.is_some());
        let id = |view: View| view.question.expect("it is open").id;
        assert_ne!(id(asked), id(anew));
    }
    customer.answers(&Ask::Control, true);
    agent.permitted(BOTH).await;
    customer.leaves();
    agent.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_taken_back_meanwhile_doesnt_come_back() {
    let world = World::new().await;
    let display = &world.display;
    let (customer, mut agent) = controlling(&world, "ecom").await;
    agent.interrupt();
    customer.reaches(State::Interrupted);
    customer.give(Command::TakeBack);
    customer.sees("only viewing is kept", |view| view.kept_permissions == VIEW);
    agent.resume(VIEW).await;
    agent.press(letter('a')).await;
    agent.ask(Ask::Control).await;
    customer.answers(&Ask::Control, true);
    agent.permitted(BOTH).await;
    agent.press(letter('b')).await;
    assert_eq!(display.typed(), letter('b'));
    customer.leaves();
    agent.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_customer_ends_an_interrupted_session() {
    let world = World::new().await;
    let (customer, mut agent) = controlling(&world, "ecom").await;
    agent.interrupt();
    customer.reaches(State::Interrupted);
    customer.give(Command::Close);
    let view = customer.reaches(State::Closed);
    assert!(view.receipt.is_some());
    customer.leaves();
    // So the agent needn't dial for two minutes.
    assert_eq!(agent.peer_left().await.as_deref(), Some("customer-closed"));
    agent.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agent_ends_an_interrupted_session() {
    let world = World::new().await;
    let (customer, mut agent) = controlling(&world, "ecom").await;
    agent.interrupt();
    customer.reaches(State::Interrupted);
    agent.leave("agent-ended").await;
    let view = customer.reaches(State::Closed);
    assert!(view.receipt.is_some() && view.failure.is_none());
    customer.leaves();
    agent.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_isnt_resumed_in_time_is_lost() {
    let world = World::new().await;
    let mut config = world.config("ecom");
    config.resume_limit = Duration::from_secs(2);
    let customer = Customer::new(config);
    let mut agent = crate::journeys::dials(&world, &customer).await;
    customer.answers(&Ask::View, true);
    agent.permitted(VIEW).await;
    agent.interrupt();
    customer.reaches(State::Interrupted);
    let view = customer.reaches(State::Failed);
    assert_eq!(view.failure.expect("it failed").name, FailureName::LinkLost);
    assert!(view.receipt.is_some());
    customer.leaves();
    agent.close().await;
}

/// The numbers of texts begin anew at both ends, and so does their order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_are_pasted_in_order_after_a_resume() {
    let world = World::new().await;
    let pasted = crate::pasting::PastingProgram::run(&world.display);
    let (customer, mut agent) = controlling(&world, "ecom").await;
    for text in ["before", "after"] {
        agent.copies_and_presses(1, text, letter('v')).await;
        assert_eq!(
            pasted.recv_timeout(crate::display::TEST_TIMEOUT).as_deref(),
            Ok(text)
        );
        agent.interrupt();
        customer.reaches(State::Interrupted);
        agent.resume(BOTH).await;
    }
    customer.leaves();
    agent.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_whose_card_was_revoked_meanwhile_doesnt_resume() {
    let world = World::new().await;
    let (customer, mut agent) = controlling(&world, "ecom").await;
    agent.interrupt();
    customer.reaches(State::Interrupted);
    world.revoke(1);
    let refused = agent.try_resume().await;
    assert_eq!(refused, Err(DialError::Refused("card-revoked".into())));
    let view = customer.reaches(State::Interrupted);
    assert_eq!(view.permissions, NONE);
    customer.leaves();
    agent.close().await;
}
