//! The sessions, and their running side by side.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use etatuki_testkit::lab::Side::{Agent, Customer};

use crate::bed::{
    LinkPath::{self, Direct, Relayed},
    Relays,
};
use crate::incident::{Expectation, Incident};
use crate::session::{Course, Session};

/// A session and what happens to it, in order. The last one may be its end.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) backend: &'static str,
    pub(crate) path: LinkPath,
    pub(crate) incidents: Vec<Incident>,
}

/// The end of a session, and how it came to that.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) number: usize,
    pub(crate) scenario: Scenario,
    pub(crate) connect_time: Option<Duration>,
    pub(crate) courses: Vec<(Incident, Course)>,
    pub(crate) duration: Duration,
    pub(crate) result: Result<()>,
}

const ECOM: &str = "ecom";
const REMOTEUS: &str = "remoteus-2008";

/// Returns the sessions of `make test`: each kind of incident that doesn't take long.
pub(crate) fn quick() -> Vec<Scenario> {
    let short = [
        Incident::Cable(Agent, 1),
        Incident::NatFlush(Agent),
        Incident::Address(Customer),
        Incident::Cable(Customer, 7),
    ];
    let service = [Incident::ServiceRestarted, Incident::RelayKilled(7)];
    let stopped = [
        Incident::LauncherStopped(7),
        Incident::ConsoleStopped(7),
        Incident::EndsMeanwhile(Customer, 7),
    ];
    let each = |backend, path, incidents: &[Incident]| Scenario {
        backend,
        path,
        incidents: incidents.to_vec(),
    };
    vec![
        each(ECOM, Direct, &short),
        each(REMOTEUS, Relayed, &short),
        each(ECOM, Relayed, &service),
        each(REMOTEUS, Direct, &stopped),
        each(ECOM, Relayed, &[Incident::LossyLine(10)]),
        each(ECOM, Relayed, &[Incident::RelayGone]),
    ]
}

/// Returns every incident, on each path and with each backend; the long ones first.
pub(crate) fn all() -> Vec<Scenario> {
    let incidents = |side, other| {
        [
            Incident::CableForGood(side),
            Incident::Cable(other, 110),
            Incident::LauncherStopped(60),
            Incident::ConsoleStopped(60),
            Incident::Cable(side, 20),
            Incident::LossyLine(20),
            Incident::LossyLineAndCable(10),
            Incident::RelayKilledAndCable(other, 15),
            Incident::Carried(side, 10),
            Incident::Cable(other, 7),
            Incident::Cable(side, 7),
            Incident::EndsMeanwhile(side, 7),
            Incident::EndsMeanwhile(other, 7),
            Incident::RelayKilled(10),
            Incident::RelayGone,
            Incident::ServiceRestarted,
            Incident::Address(Customer),
            Incident::Address(Agent),
            Incident::NatFlush(Agent),
            Incident::Cable(side, 1),
        ]
    };
    let kinds = [
        (ECOM, Direct, incidents(Customer, Agent)),
        (REMOTEUS, Relayed, incidents(Agent, Customer)),
        (ECOM, Relayed, incidents(Agent, Customer)),
        (REMOTEUS, Direct, incidents(Customer, Agent)),
    ];
    let count = kinds[0].2.len();
    let mut scenarios = Vec::new();
    for at in 0..count {
        for (backend, path, incidents) in &kinds {
            scenarios.push(Scenario {
                backend,
                path: *path,
                incidents: vec![incidents[at]],
            });
        }
    }
    scenarios
}

/// Runs a session through its incidents.
pub(crate) fn live(bin: &Path, number: usize, scenario: &Scenario) -> Outcome {
    let began = Instant::now();
    let mut outcome = Outcome {
        number,
        scenario: scenario.clone(),
        connect_time: None,
        courses: Vec::new(),
        duration: Duration::ZERO,
        result: Ok(()),
    };
    outcome.result = caught(|| live_through(bin, scenario, &mut outcome));
    outcome.duration = began.elapsed();
    outcome
}

fn live_through(bin: &Path, scenario: &Scenario, outcome: &mut Outcome) -> Result<()> {
    let line = scenario
        .incidents
        .iter()
        .find_map(|incident| incident.line());
    let access = scenario.path.access(line);
    let mut relays = scenario.incidents.iter().map(|incident| incident.relays());
    let relays = relays.find(|relays| *relays == Relays::Two);
    let relays = relays.unwrap_or(Relays::One);
    let mut session = Session::open(bin, scenario.backend, access, relays)?;
    outcome.connect_time = Some(session.connect_time);
    session.wait_path(scenario.path)?;
    for incident in &scenario.incidents {
        let expected = incident.expectation(scenario.path);
        let course = session.bear(*incident, expected)?;
        outcome.courses.push((*incident, course));
        match expected {
            Expectation::IsLost => return session.expect_lost(),
            Expectation::Ends => return session.expect_ended(),
            Expectation::GoesOn | Expectation::Resumes => {}
        }
    }
    session.end()
}

/// Does `work` on each of `jobs`, which are numbered from 1, so many side by side. Calls `report`
/// with each result as it comes, and returns all of them.
pub(crate) fn side_by_side<J: Send, R: Send>(
    count: usize,
    jobs: Vec<J>,
    work: impl Fn(usize, J) -> R + Sync,
    mut report: impl FnMut(&R),
) -> Vec<R> {
    let queue: VecDeque<_> = (1..).zip(jobs).collect();
    let queue = Mutex::new(queue);
    let (sender, results) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..count {
            let (sender, queue, work) = (sender.clone(), &queue, &work);
            scope.spawn(move || {
                let next = || {
                    let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
                    queue.pop_front()
                };
                while let Some((number, job)) = next() {
                    let _ = sender.send(work(number, job));
                }
            });
        }
        drop(sender);
        results
            .into_iter()
            .inspect(|result| report(result))
            .collect()
    })
}

/// Runs `work`, and makes a panic an error: the lab panics if something is missing on this machine.
pub(crate) fn caught<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let joined = scope.spawn(work).join();
        joined.unwrap_or_else(|panic| {
            let words = panic.downcast_ref::<String>();
            Err(anyhow!("{}", words.map_or("it panicked", String::as_str)))
        })
    })
}
