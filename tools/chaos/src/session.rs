//! One session from the code to its end, with incidents in between: an agent who has control and
//! holds two keys down, and a screen that changes.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use etatuki_testkit::lab::{Access, Side};

use crate::bed::{Bed, LinkPath, Relays, expect_exit};
use crate::incident::{Ends, Expectation, Incident};
use crate::keys::{HELD_KEYS, KEY_AFTER, KEY_DURING};
use crate::line_process::{Line, LineProcess};
use crate::viewer::Viewer;

/// Time-out for a step of a session that nothing disturbs.
const STEP_TIMEOUT: Duration = Duration::from_secs(30);
/// Time-out for a session to be whole again once what disturbed it is over.
const RESUME_TIMEOUT: Duration = Duration::from_secs(40);
/// Longest time until an end has said that it is interrupted. The aim is 3 s; a machine on which
/// many sessions run side by side may need more.
const INTERRUPTED_LIMIT: Duration = Duration::from_secs(6);
/// Longest time until both ends have given up: two minutes from when they noticed, and some more.
const LOST_LIMIT: Duration = Duration::from_secs(130);
/// Time after which an end that isn't interrupted won't be.
const SETTLE_TIME: Duration = Duration::from_secs(5);
/// Time for an interruption to release what is held.
const RELEASE_TIME: Duration = Duration::from_millis(500);
/// The customer's answers count from a question's first second on.
const ANSWER_DELAY: Duration = Duration::from_millis(1_100);
/// Interval at which the screen changes.
const DRAW_INTERVAL: Duration = Duration::from_millis(500);
/// Interval at which pictures are compared.
const COMPARE_INTERVAL: Duration = Duration::from_millis(50);

/// Held while a session is opened, up to its code: the launcher gives up a plugin that takes more
/// than two seconds, as many at once would on few processors.
static OPENING: Mutex<()> = Mutex::new(());

/// A session in which the agent has control.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) viewer: Viewer,
    pub(crate) ends: Ends,
    pub(crate) bed: Bed,
    /// Time from the code that was typed to the link.
    pub(crate) connect_time: Duration,
    drawn: u32,
}

/// A record of an incident. Times are since it began, or since it was over.
#[derive(Clone, Debug)]
pub(crate) struct Course {
    /// Since the beginning; an end that was stopped counts from its going on.
    pub(crate) customer_interrupted: Option<Duration>,
    pub(crate) agent_interrupted: Option<Duration>,
    /// Since the beginning: when nothing was held any more.
    pub(crate) released: Option<Duration>,
    /// Since it was over.
    pub(crate) resumed: Option<Duration>,
    /// Since it was over: when the picture was exact.
    pub(crate) exact: Option<Duration>,
    /// Memory while interrupted: the customer's end and the agent's, in KiB.
    pub(crate) memory: Option<(u64, u64)>,
    pub(crate) end: &'static str,
}

impl Session {
    /// Starts everything and brings a session to the point where the agent has control.
    pub(crate) fn open(
        bin: &Path,
        backend: &str,
        access: (Access, Access),
        relays: Relays,
    ) -> Result<Self> {
        let opening = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
        let bed = Bed::start(bin, access, relays)?;
        bed.desk.draw(0)?;
        let mut customer = bed.start_launcher(backend)?;
        let code = wait_for_code(&customer)?;
        drop(opening);
        let typed = Instant::now();
        let mut agent = bed.start_console(&code)?;
        let ready = agent.wait(0, STEP_TIMEOUT, "the viewer's port", |line| {
            line.value["vnc"].is_string()
        })?;
        let connect_time = ready.at - typed;
        allow(&mut customer, "view")?;
        wait_permission(&agent, "view")?;
        let text = |name: &str| ready.value[name].as_str().unwrap_or_default().to_owned();
        let viewer = Viewer::open(
            bed.connect_on_agents_machine(&text("vnc"))?,
            &text("password"),
        )?;
        agent.send("ask-control")?;
        allow(&mut customer, "control")?;
        wait_permission(&agent, "control")?;
        let mut session = Self {
            viewer,
            ends: Ends { customer, agent },
            bed,
            connect_time,
            drawn: 0,
        };
        session.bed.desk.focus()?;
        session.wait_exact(Instant::now(), STEP_TIMEOUT)?;
        session.check_input()?;
        Ok(session)
    }

    /// Waits until the console says that packets take this path.
    pub(crate) fn wait_path(&self, path: LinkPath) -> Result<()> {
        let is_path = || {
            self.bed
                .stats()
                .is_some_and(|stats| stats["path"] == path.name())
        };
        wait_until(STEP_TIMEOUT, &format!("a {} path", path.name()), is_path)
    }

    /// Lets an incident happen, and checks everything that must be so afterwards.
    pub(crate) fn bear(&mut self, incident: Incident, expected: Expectation) -> Result<Course> {
        self.hold_keys()?;
        let marks = (self.ends.customer.mark(), self.ends.agent.mark());
        let during = self.bed.desk.presses(KEY_DURING);
        let began = Instant::now();
        incident.begin(&mut self.bed, &self.ends)?;
        let memory = self.live_through(incident, began, marks)?;
        incident.end(&mut self.bed, &self.ends)?;
        let over = Instant::now();
        let mut course = Course {
            customer_interrupted: None,
            agent_interrupted: None,
            released: None,
            resumed: None,
            exact: None,
            memory,
            end: "goes on",
        };
        if expected == Expectation::IsLost {
            self.note(&mut course, incident, marks, (began, over));
            course.end = "link-lost";
            self.check_interrupted(&course)?;
            self.check_released(began, marks.0)?;
            return Ok(course);
        }
        if expected == Expectation::Ends {
            self.wait_ended()?;
            self.note(&mut course, incident, marks, (began, over));
            course.end = "ended at both ends";
            self.check_interrupted(&course)?;
            self.check_released(began, marks.0)?;
            return Ok(course);
        }
        self.draw()?;
        course.exact = Some(self.wait_exact(over, RESUME_TIMEOUT)?);
        self.wait_whole(marks, began)?;
        self.note(&mut course, incident, marks, (began, over));
        if expected == Expectation::Resumes {
            self.check_interrupted(&course)?;
        }
        if course.customer_interrupted.is_some() {
            self.check_released(began, marks.0)?;
            course.end = "resumed";
        }
        for key in HELD_KEYS {
            self.viewer.key(*key, false)?;
        }
        self.check_input()?;
        self.check_permissions()?;
        wait_until(STEP_TIMEOUT, "nothing to be held", || {
            self.bed.desk.held().is_empty()
        })?;
        let typed = self.bed.desk.presses(KEY_DURING) - during;
        ensure!(
            typed == 0 || course.customer_interrupted.is_none(),
            "a key that was typed while it was interrupted arrived"
        );
        Ok(course)
    }

    /// Lets the agent end the session, and checks that nothing is left of it.
    pub(crate) fn end(mut self) -> Result<()> {
        self.ends.agent.send("end")?;
        self.expect_ended()
    }

    /// Checks that both ends have closed the session, and that nothing is left of it.
    pub(crate) fn expect_ended(mut self) -> Result<()> {
        self.wait_ended()?;
        let Ends { customer, agent } = &mut self.ends;
        expect_exit(agent, 0, "the console")?;
        expect_exit(customer, 0, "the launcher")?;
        self.bed.expect_nothing_left()
    }

    /// Checks that both ends have given up, and that nothing is left of them.
    pub(crate) fn expect_lost(mut self) -> Result<()> {
        for (program, who) in [
            (&mut self.ends.customer, "the launcher"),
            (&mut self.ends.agent, "the console"),
        ] {
            let failed = program.wait(0, STEP_TIMEOUT, "failed", |line| line.is("failed"))?;
            let name = &failed.value["name"];
            ensure!(name == "link-lost", "{who} failed with {name}");
            expect_exit(program, 6, who)?;
        }
        ensure!(self.bed.desk.held().is_empty(), "keys are held for good");
        self.bed.expect_nothing_left()
    }

    fn wait_ended(&self) -> Result<()> {
        let Ends { customer, agent } = &self.ends;
        customer.wait(0, STEP_TIMEOUT, "closed", |line| line.is("closed"))?;
        agent.wait(0, STEP_TIMEOUT, "ended", |line| line.is("ended"))?;
        Ok(())
    }

    fn draw(&mut self) -> Result<()> {
        self.drawn += 1;
        self.bed.desk.draw(self.drawn)
    }

    /// Presses the keys that the agent goes on holding.
    fn hold_keys(&mut self) -> Result<()> {
        for key in HELD_KEYS {
            self.viewer.key(*key, true)?;
        }
        wait_until(STEP_TIMEOUT, "the agent's keys to be held", || {
            self.bed.desk.held().len() == HELD_KEYS.len()
        })
    }

    /// Draws and types until the incident is over. Returns the memory of both ends while
    /// interrupted.
    fn live_through(
        &mut self,
        incident: Incident,
        began: Instant,
        marks: (usize, usize),
    ) -> Result<Option<(u64, u64)>> {
        let limit = incident.duration().unwrap_or(LOST_LIMIT);
        let mut memory = None;
        let mut next_draw = began;
        while began.elapsed() < limit {
            if Instant::now() >= next_draw {
                self.draw()?;
                next_draw += DRAW_INTERVAL;
            }
            let Ends { customer, agent } = &self.ends;
            let both_interrupted = customer.find(marks.0, is_interrupted).is_some()
                && agent.find(marks.1, is_interrupted).is_some();
            if both_interrupted && memory.is_none() {
                memory = Some((
                    self.bed.memory(&customer.process)?,
                    self.bed.memory(&agent.process)?,
                ));
                self.viewer.tap(KEY_DURING)?;
                match incident.ending() {
                    Some(Side::Customer) => self.ends.customer.send(r#"{"type":"close"}"#)?,
                    Some(Side::Agent) => self.ends.agent.send("end")?,
                    None => {}
                }
            }
            let Ends { customer, agent } = &self.ends;
            if incident.duration().is_none() && has_failed(customer) && has_failed(agent) {
                break;
            }
            let left = limit.saturating_sub(began.elapsed());
            std::thread::sleep(left.min(Duration::from_millis(50)));
        }
        Ok(memory)
    }

    /// Waits until the picture is exact, and returns how long after `since` it was.
    fn wait_exact(&mut self, since: Instant, timeout: Duration) -> Result<Duration> {
        let end = Instant::now() + timeout;
        loop {
            self.check_alive()?;
            let pixels = self.bed.desk.pixels()?;
            if let Some(changed_at) = self.viewer.shows(&pixels) {
                return Ok(changed_at.saturating_duration_since(since));
            }
            ensure!(Instant::now() < end, "the picture isn't exact");
            std::thread::sleep(COMPARE_INTERVAL);
        }
    }

    /// Waits until neither end is interrupted or will be.
    fn wait_whole(&self, marks: (usize, usize), began: Instant) -> Result<()> {
        let Ends { customer, agent } = &self.ends;
        std::thread::sleep(SETTLE_TIME.saturating_sub(began.elapsed()));
        wait_until(RESUME_TIMEOUT, "both ends to go on", || {
            let is_over = |program: &LineProcess, mark, is_resumed: fn(&Line) -> bool| {
                let last = program.last(|line| is_interrupted(line) || is_resumed(line));
                program.find(mark, is_interrupted).is_none()
                    || last.is_some_and(|line| is_resumed(&line))
            };
            is_over(customer, marks.0, is_resumed) && is_over(agent, marks.1, is_resumed)
        })
    }

    /// Notes when each end said what.
    fn note(
        &self,
        course: &mut Course,
        incident: Incident,
        marks: (usize, usize),
        (began, over): (Instant, Instant),
    ) {
        let Ends { customer, agent } = &self.ends;
        let since = |side| {
            if incident.silenced() == Some(side) {
                over
            } else {
                began
            }
        };
        let at = |program: &LineProcess, mark, side| {
            let line = program.find(mark, is_interrupted)?;
            Some(line.at.saturating_duration_since(since(side)))
        };
        course.customer_interrupted = at(customer, marks.0, Side::Customer);
        course.agent_interrupted = at(agent, marks.1, Side::Agent);
        let resumed = |program: &LineProcess, mark| {
            let line = program.find(mark, is_resumed)?;
            Some(line.at.saturating_duration_since(over))
        };
        course.resumed = resumed(customer, marks.0).max(resumed(agent, marks.1));
        let held = self.bed.desk.held_since(began);
        let free = held.iter().find(|held| held.keysyms.is_empty());
        course.released = free.map(|held| held.at.saturating_duration_since(began));
    }

    fn check_interrupted(&self, course: &Course) -> Result<()> {
        for (said, who) in [
            (course.customer_interrupted, "the launcher"),
            (course.agent_interrupted, "the console"),
        ] {
            let said = said.with_context(|| format!("{who} never said 'interrupted'"))?;
            ensure!(
                said <= INTERRUPTED_LIMIT,
                "{who} said 'interrupted' after {said:.1?}"
            );
        }
        Ok(())
    }

    /// Checks that nothing was held from the customer's interruption on.
    fn check_released(&self, began: Instant, mark: usize) -> Result<()> {
        let Some(line) = self.ends.customer.find(mark, is_interrupted) else {
            return Ok(());
        };
        let free_from = line.at + RELEASE_TIME;
        for held in self.bed.desk.held_since(free_from) {
            ensure!(
                held.keysyms.is_empty(),
                "{:x?} held {:.1?} after the drop",
                held.keysyms,
                held.at.max(free_from).saturating_duration_since(began)
            );
        }
        Ok(())
    }

    /// Checks that a key arrives, and once.
    fn check_input(&mut self) -> Result<()> {
        let before = self.bed.desk.presses(KEY_AFTER);
        self.viewer.tap(KEY_AFTER)?;
        wait_until(STEP_TIMEOUT, "a typed key to arrive", || {
            self.bed.desk.presses(KEY_AFTER) > before
        })?;
        std::thread::sleep(Duration::from_millis(300));
        let count = self.bed.desk.presses(KEY_AFTER) - before;
        ensure!(count == 1, "a key typed once arrived {count} times");
        Ok(())
    }

    /// Checks that both ends say that the agent may look and control.
    fn check_permissions(&self) -> Result<()> {
        for (program, who) in [
            (&self.ends.customer, "the launcher"),
            (&self.ends.agent, "the console"),
        ] {
            let said = program.last(|line| line.is("permissions"));
            let said = said.with_context(|| format!("{who} never said permissions"))?;
            ensure!(
                said.value["view"] == true && said.value["control"] == true,
                "{who} says {}",
                said.value
            );
        }
        Ok(())
    }

    /// Returns an error if an end has failed.
    fn check_alive(&self) -> Result<()> {
        for (program, who) in [
            (&self.ends.customer, "the launcher"),
            (&self.ends.agent, "the console"),
        ] {
            if let Some(line) = program.last(|line| line.is("failed") || line.is("ended")) {
                let name = &line.value["name"];
                let detail = &line.value["detail"];
                anyhow::bail!("{who} ended: {name} {detail}");
            }
        }
        Ok(())
    }
}

fn is_interrupted(line: &Line) -> bool {
    line.is("interrupted") || line.is("state") && line.value["state"] == "interrupted"
}

fn is_resumed(line: &Line) -> bool {
    line.is("resumed") || line.is("state") && line.value["state"] == "connected"
}

fn has_failed(program: &LineProcess) -> bool {
    program.last(|line| line.is("failed")).is_some()
}

/// Waits for the session's code: its fields as they are read aloud.
fn wait_for_code(customer: &LineProcess) -> Result<Vec<String>> {
    let line = customer.wait(0, STEP_TIMEOUT, "a code", |line| {
        line.is("code")
            && line.value["fields"]
                .as_array()
                .is_some_and(|f| !f.is_empty())
    })?;
    let fields = line.value["fields"].as_array().context("fields")?;
    Ok(fields
        .iter()
        .filter_map(|field| Some(field["digits"].as_str()?.to_owned()))
        .collect())
}

/// Waits for a question and allows it.
fn allow(customer: &mut LineProcess, ask: &str) -> Result<()> {
    let asked = customer.wait(0, STEP_TIMEOUT, ask, |line| {
        line.is("ask") && line.value["ask"] == ask
    })?;
    std::thread::sleep(ANSWER_DELAY.saturating_sub(asked.at.elapsed()));
    let id = &asked.value["id"];
    customer.send(&format!(r#"{{"type":"answer","id":{id},"allow":true}}"#))
}

fn wait_permission(agent: &LineProcess, permission: &str) -> Result<()> {
    let is_given = |line: &Line| line.is("permissions") && line.value[permission] == true;
    agent.wait(0, STEP_TIMEOUT, permission, is_given)?;
    Ok(())
}

fn wait_until(timeout: Duration, what: &str, is_so: impl Fn() -> bool) -> Result<()> {
    let end = Instant::now() + timeout;
    while !is_so() {
        ensure!(Instant::now() < end, "still waiting for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
