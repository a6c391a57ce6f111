//! The machine restarts in a session: the launcher's process ends, and a later one goes on.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use etatuki_link::DialError;
use etatuki_protocol::{Ask, Permissions, ToAgent};
use etatuki_session::{ComeBack, RestartKeeper, SessionConfig};
use etatuki_session_core::{Command, State};
use etatuki_trust::LinkCredentials;

use crate::agent::Agent;
use crate::journeys::dials;
use crate::world::{Customer, World};

const VIEW: Permissions = Permissions {
    view: true,
    control: false,
};
const NONE: Permissions = Permissions {
    view: false,
    control: false,
};
/// Time in which the agent can resume the link.
const RETURN_LIMIT: Duration = Duration::from_secs(600);

/// A disk, as far as these tests need one.
#[derive(Debug, Default)]
struct Disk(Mutex<Vec<LinkCredentials>>);

impl RestartKeeper for Disk {
    fn keep(&self, link: LinkCredentials) -> bool {
        *self.0.lock().expect("no holder panics") = vec![link];
        true
    }

    fn forget(&self) {
        self.0.lock().expect("no holder panics").clear();
    }
}

impl Disk {
    fn kept(&self) -> Option<LinkCredentials> {
        self.0.lock().expect("no holder panics").last().cloned()
    }
}

fn config(world: &World, backend: &str, disk: &Arc<Disk>) -> SessionConfig {
    SessionConfig {
        restart: Some(disk.clone()),
        ..world.config(backend)
    }
}

/// Starts the launcher that comes back.
fn comes_back(world: &World, backend: &str, link: LinkCredentials, limit: Duration) -> Customer {
    let customer = Customer::new(SessionConfig {
        come_back: Some(Ok(ComeBack { link, limit })),
        ..world.config(backend)
    });
    customer.give(Command::Open);
    customer
}

/// A session whose agent looks, and whose customer has allowed the restart.
async fn allowed(world: &World, backend: &str, disk: &Arc<Disk>) -> (Customer, Agent) {
    let customer = Customer::new(config(world, backend, disk));
    let mut agent = dials(world, &customer).await;
    customer.answers(&Ask::View, true);
    agent.permitted(VIEW).await;
    agent.ask(Ask::Restart).await;
    customer.answers(&Ask::Restart, true);
    assert!(agent.answered(&Ask::Restart).await);
    customer.sees("it is allowed", |view| view.restart_allowed);
    (customer, agent)
}

async fn restarted(backend: &str) {
    let world = World::new().await;
    let disk = Arc::default();
    let (customer, mut agent) = allowed(&world, backend, &disk).await;
    agent.greet().await;
    // An interruption before that moves the key.
    let before = disk.kept();
    agent.interrupt();
    customer.reaches(State::Interrupted);
    agent.resume(VIEW).await;
    while !matches!(
        agent.told().await,
        ToAgent::Restarting { seconds_left: 1.. }
    ) {}
    assert_ne!(disk.kept(), before, "the link's key is another one");

    customer.give(Command::DisplayLost);
    let view = customer.reaches(State::Failed);
    assert!(!view.restart_allowed);
    customer.leaves();
    agent.closed().await;

    let kept = disk.kept().expect("it outlives the process");
    let customer = comes_back(&world, backend, kept, RETURN_LIMIT);
    let view = customer.reaches(State::Interrupted);
    assert!(view.coming_back && view.code.is_none());
    agent.resume(NONE).await;
    // Nobody has asked for it.
    customer.answers(&Ask::View, true);
    agent.permitted(VIEW).await;
    agent.greet().await;
    agent.sees(|| world.display.picture()).await;
    customer.leaves();
    agent.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ecom_goes_on_after_a_restart() {
    restarted("ecom").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn remoteus_2008_goes_on_after_a_restart() {
    restarted("remoteus-2008").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn remoteus_2010_goes_on_after_a_restart() {
    restarted("remoteus-2010").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_leaves_nothing_to_come_back_with() {
    let world = World::new().await;
    let disk = Arc::default();
    let (customer, mut agent) = allowed(&world, "ecom", &disk).await;
    assert!(disk.kept().is_some());
    customer.give(Command::WithdrawRestart);
    while agent.told().await != (ToAgent::Restarting { seconds_left: 0 }) {}
    assert_eq!(disk.kept(), None);
    agent.ask(Ask::Restart).await;
    customer.answers(&Ask::Restart, true);
    assert!(agent.answered(&Ask::Restart).await);
    assert!(disk.kept().is_some());
    agent.end().await;
    customer.reaches(State::Closed);
    assert_eq!(disk.kept(), None);
    customer.leaves();
    agent.close().await;
}

/// The card is revoked while the launcher waits for the agent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_that_was_revoked_meanwhile_isnt_let_in() {
    let world = World::new().await;
    let disk = Arc::default();
    let (customer, mut agent) = allowed(&world, "ecom", &disk).await;
    customer.give(Command::DisplayLost);
    customer.leaves();
    agent.closed().await;
    let kept = disk.kept().expect("it outlives the process");
    let customer = comes_back(&world, "ecom", kept, RETURN_LIMIT);
    customer.reaches(State::Interrupted);
    world.revoke(1);
    let refused = agent.try_resume().await.expect_err("it is revoked");
    assert_eq!(refused, DialError::Refused("card-revoked".into()));
    customer.leaves();
    agent.close().await;
}
