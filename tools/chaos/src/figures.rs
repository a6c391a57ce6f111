//! The figures of docs/performance.md that need a network: how long an interruption takes, which
//! pairs of routers let two ends reach each other, and what an idle session sends.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use etatuki_testkit::lab::{Access, Firewall, Nat, Side};

use crate::bed::{LinkPath, Relays};
use crate::incident::Incident;
use crate::report;
use crate::schedule::{Outcome, Scenario, caught, live, side_by_side};
use crate::session::Session;

/// Sessions for each path, and drops in each of them: a hundred in all.
const SESSIONS: usize = 10;
const DROPS: usize = 10;
/// Time for a link to find its final path.
const PATH_TIME: Duration = Duration::from_secs(10);
/// Time during which an idle session's bytes are counted.
const IDLE_TIME: Duration = Duration::from_secs(30);

/// A way into the internet, with its name for the table.
const ROUTERS: [(&str, Access); 4] = [
    ("no NAT", router(Nat::None, Firewall::Open)),
    ("cone NAT", router(Nat::Cone, Firewall::Open)),
    ("symmetric NAT", router(Nat::Symmetric, Firewall::Open)),
    ("UDP blocked", router(Nat::Cone, Firewall::NoUdp)),
];

const fn router(nat: Nat, firewall: Firewall) -> Access {
    Access {
        nat,
        firewall,
        line: None,
    }
}

/// Measures everything, prints it as it comes, and returns how many sessions failed.
pub(crate) fn measure(bin: &Path, count: usize, print: fn(&str)) -> usize {
    print("| customer | agent | path | code typed to link, ms |\n|---|---|---|---|");
    let pairs: Vec<_> = ROUTERS
        .into_iter()
        .flat_map(|customer| ROUTERS.map(|agent| (customer, agent)))
        .collect();
    let mut failed = 0;
    side_by_side(
        count.min(4),
        pairs,
        |_, (customer, agent)| {
            let connected = caught(|| connect(bin, (customer.1, agent.1)));
            (format!("| {} | {} |", customer.0, agent.0), connected)
        },
        |(head, connected)| match connected {
            Ok((path, time)) => print(&format!("{head} {path} | {} |", time.as_millis())),
            Err(error) => {
                failed += 1;
                print(&format!("{head} FAILED: {error:#} | |"));
            }
        },
    );
    for path in [LinkPath::Direct, LinkPath::Relayed] {
        match caught(|| count_idle_bytes(bin, path)) {
            Ok(bytes) => print(&format!(
                "idle session, {}: {bytes:.0} bytes a second",
                path.name()
            )),
            Err(error) => {
                failed += 1;
                print(&format!("idle session, {}: FAILED: {error:#}", path.name()));
            }
        }
    }
    let outcomes = drop_often(bin, count, print);
    print(&report::summary(&outcomes));
    let ended_otherwise = outcomes.iter().filter(|outcome| outcome.result.is_err());
    failed + ended_otherwise.count()
}

/// Interrupts a hundred times on each path.
fn drop_often(bin: &Path, count: usize, print: fn(&str)) -> Vec<Outcome> {
    let each = |path| Scenario {
        backend: "ecom",
        path,
        incidents: [
            Incident::Cable(Side::Customer, 7),
            Incident::Cable(Side::Agent, 7),
        ]
        .repeat(DROPS / 2),
    };
    let paths = [LinkPath::Direct, LinkPath::Relayed].repeat(SESSIONS);
    let scenarios = paths.into_iter().map(each).collect();
    side_by_side(
        count,
        scenarios,
        |number, scenario| live(bin, number, &scenario),
        |outcome| {
            if outcome.result.is_err() {
                print(&report::lines(outcome));
            }
        },
    )
}

/// Connects, and returns the path on which the link stays and the time that connecting took.
fn connect(bin: &Path, access: (Access, Access)) -> Result<(String, Duration)> {
    let session = Session::open(bin, "ecom", access, Relays::One)?;
    std::thread::sleep(PATH_TIME);
    let stats = session.bed.stats().context("no counters")?;
    let path = stats["path"].as_str().unwrap_or_default().to_owned();
    let time = session.connect_time;
    session.end()?;
    Ok((path, time))
}

/// Returns the bytes a second, both ways, of a session in which nothing happens.
fn count_idle_bytes(bin: &Path, path: LinkPath) -> Result<f64> {
    let session = Session::open(bin, "ecom", path.access(None), Relays::One)?;
    session.wait_path(path)?;
    std::thread::sleep(PATH_TIME);
    let before = bytes(&session)?;
    std::thread::sleep(IDLE_TIME);
    let after = bytes(&session)?;
    session.end()?;
    Ok((after - before) as f64 / IDLE_TIME.as_secs_f64())
}

fn bytes(session: &Session) -> Result<u64> {
    let stats = session.bed.stats().context("no counters")?;
    let count = |name: &str| stats[name].as_u64().unwrap_or_default();
    Ok(count("sent") + count("received"))
}
