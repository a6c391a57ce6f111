//! The lines and figures that a person reads.

use std::fmt::Write as _;
use std::time::Duration;

use crate::bed::{LinkPath, Relays};
use crate::schedule::{Outcome, Scenario};
use crate::session::Course;

/// Returns a session and its incidents in words, for choosing.
pub(crate) fn head(scenario: &Scenario) -> String {
    let names: Vec<_> = scenario.incidents.iter().map(|one| one.name()).collect();
    format!(
        "{} {} {}",
        scenario.path.name(),
        scenario.backend,
        names.join(", ")
    )
}

/// Returns the lines about a session: one for each incident, and one more if it ended otherwise than
/// it must.
pub(crate) fn lines(outcome: &Outcome) -> String {
    let scenario = &outcome.scenario;
    let head = format!(
        "{:3}  {:7}  {:13}",
        outcome.number,
        scenario.path.name(),
        scenario.backend
    );
    let mut text = String::new();
    for (incident, course) in &outcome.courses {
        let _ = writeln!(text, "{head}  {:42}  {}", incident.name(), describe(course));
    }
    if let Err(error) = &outcome.result {
        let names: Vec<_> = scenario.incidents.iter().map(|one| one.name()).collect();
        let at = names
            .get(outcome.courses.len())
            .map_or("the end", String::as_str);
        let _ = writeln!(text, "{head}  {at:42}  FAILED: {error:#}");
    }
    text.trim_end().to_owned()
}

fn describe(course: &Course) -> String {
    let mut words = Vec::new();
    match (course.customer_interrupted, course.agent_interrupted) {
        (None, None) => words.push("not interrupted".to_owned()),
        (customer, agent) => words.push(format!(
            "interrupted after {} / {}",
            seconds(customer),
            seconds(agent)
        )),
    }
    match course.released {
        Some(released) => words.push(format!("Shift, Ctrl held for {}", seconds(Some(released)))),
        None => words.push("Shift, Ctrl held throughout".to_owned()),
    }
    if let Some(exact) = course.exact {
        words.push(format!("exact {} after", seconds(Some(exact))));
    }
    words.push(course.end.to_owned());
    words.join(", ")
}

fn seconds(time: Option<Duration>) -> String {
    time.map_or("–".to_owned(), |time| {
        format!("{:.1} s", time.as_secs_f64())
    })
}

/// Returns the figures for docs/performance.md.
pub(crate) fn summary(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    let courses = |path: Option<LinkPath>| {
        outcomes
            .iter()
            .filter(move |outcome| path.is_none_or(|path| outcome.scenario.path == path))
            .flat_map(|outcome| outcome.courses.iter())
    };
    let mut row = |name: &str, times: Vec<Duration>| {
        if !times.is_empty() {
            let _ = writeln!(text, "{name:58}  {}", percentiles(times));
        }
    };
    let customer = courses(None).filter_map(|(_, course)| course.customer_interrupted);
    row("until the launcher says 'interrupted'", customer.collect());
    let agent = courses(None).filter_map(|(_, course)| course.agent_interrupted);
    row("until the console says 'interrupted'", agent.collect());
    for path in [LinkPath::Direct, LinkPath::Relayed] {
        // A relay that stands in for another is there from the beginning: no network comes back.
        let resumed = courses(Some(path)).filter(|(incident, course)| {
            course.customer_interrupted.is_some() && incident.relays() == Relays::One
        });
        let exact = resumed.filter_map(|(_, course)| course.exact);
        let name = format!("network back to exact picture, {}", path.name());
        row(&name, exact.collect());
        let connected = outcomes
            .iter()
            .filter(|outcome| outcome.scenario.path == path);
        let times = connected.filter_map(|outcome| outcome.connect_time);
        row(
            &format!("code typed to link, {}", path.name()),
            times.collect(),
        );
    }
    let memory: Vec<_> = courses(None)
        .filter_map(|(_, course)| course.memory)
        .collect();
    if let Some(most) = memory.iter().max() {
        let (customer, agent) = (most.0 >> 10, most.1 >> 10);
        let _ = writeln!(
            text,
            "memory while interrupted, at most: launcher and host {customer} MiB, console {agent} MiB"
        );
    }
    text.trim_end().to_owned()
}

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |share: usize| times[(times.len() - 1) * share / 100].as_secs_f64();
    format!(
        "p50 {:.2} s, p95 {:.2} s, at most {:.2} s, of {}",
        at(50),
        at(95),
        at(100),
        times.len()
    )
}
