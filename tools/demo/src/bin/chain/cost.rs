//! What a session's programs cost: processor time, and memory at its highest.

use std::collections::BTreeSet;
use std::fs::{read_dir, read_to_string};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// One number for the launcher, one for its plugin hosts, one for the console.
pub(crate) type OfEach = [f64; 3];

/// The launcher and the console, by their process ids.
#[derive(Clone, Copy)]
pub(crate) struct Programs {
    pub(crate) launcher: i32,
    pub(crate) console: i32,
}

impl Programs {
    /// CPU seconds so far.
    pub(crate) fn cpu(self) -> Result<OfEach> {
        self.of_each(seconds_of)
    }

    /// Megabytes of memory, each at its highest so far.
    pub(crate) fn memory(self) -> Result<OfEach> {
        self.of_each(peak_of)
    }

    fn of_each(self, figure: impl Fn(i32) -> Result<f64>) -> Result<OfEach> {
        // One that has just ended counts no more.
        let hosts = self.hosts()?.into_iter();
        let hosts = hosts.map(|pid| figure(pid).unwrap_or(0.0)).sum();
        Ok([figure(self.launcher)?, hosts, figure(self.console)?])
    }

    fn hosts(self) -> Result<BTreeSet<i32>> {
        let mut hosts = BTreeSet::new();
        for thread in read_dir(format!("/proc/{}/task", self.launcher))? {
            let children = read_to_string(thread?.path().join("children")).unwrap_or_default();
            hosts.extend(children.split_whitespace().flat_map(str::parse::<i32>));
        }
        Ok(hosts)
    }
}

/// CPU seconds as they rise.
#[derive(Default)]
pub(crate) struct Course(Vec<(Instant, OfEach)>);

impl Course {
    pub(crate) fn note(&mut self, cpu: OfEach) {
        self.0.push((Instant::now(), cpu));
    }

    /// What was spent in the busiest stretch of this length, in seconds of CPU a second; nothing if there is none so long.
    pub(crate) fn busiest(&self, length: Duration) -> Option<OfEach> {
        let stretches = self.0.iter().filter_map(|(from, before)| {
            let (to, after) = self.0.iter().find(|(to, _)| *to >= *from + length)?;
            let seconds = to.duration_since(*from).as_secs_f64();
            Some([0, 1, 2].map(|each| (after[each] - before[each]) / seconds))
        });
        stretches.max_by(|a, b| a.iter().sum::<f64>().total_cmp(&b.iter().sum()))
    }
}

/// User and system time of a process (proc_pid_stat: fields 14 and 15, in hundredths of a second).
fn seconds_of(pid: i32) -> Result<f64> {
    let stat = read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("no name in it")?;
    let ticks: Vec<f64> = (fields.split_whitespace().skip(11).take(2))
        .filter_map(|field| field.parse().ok())
        .collect();
    Ok(ticks.iter().sum::<f64>() / 100.0)
}

/// A process's memory at its highest, in megabytes (proc_pid_status: VmHWM, in kB of 1024 bytes).
fn peak_of(pid: i32) -> Result<f64> {
    let status = read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    let kilobytes: f64 = number.context("no VmHWM")?.parse()?;
    Ok(kilobytes * 1024.0 / 1e6)
}
