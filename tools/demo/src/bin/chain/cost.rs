//! The cost of a session's programs: processor time and peak memory.

use std::collections::BTreeSet;
use std::fs::{read_dir, read_to_string};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// A figure for the launcher, its plugin hosts, and the console.
pub(crate) type PerProgram = [f64; 3];

/// The launcher and the console, by their process ids.
#[derive(Clone, Copy)]
pub(crate) struct Programs {
    pub(crate) launcher: i32,
    pub(crate) console: i32,
}

impl Programs {
    /// Returns the CPU seconds so far.
    pub(crate) fn cpu_seconds(self) -> Result<PerProgram> {
        self.per_program(cpu_seconds)
    }

    /// Returns the peak memory so far in megabytes.
    pub(crate) fn peak_memory(self) -> Result<PerProgram> {
        self.per_program(peak_megabytes)
    }

    fn per_program(self, figure: impl Fn(i32) -> Result<f64>) -> Result<PerProgram> {
        // A host that has just ended counts as 0.
        let hosts = self.plugin_hosts()?.into_iter();
        let hosts = hosts.map(|pid| figure(pid).unwrap_or(0.0)).sum();
        Ok([figure(self.launcher)?, hosts, figure(self.console)?])
    }

    /// Returns the supervisors and their plugin hosts; not the tools, which have figures of their own.
    fn plugin_hosts(self) -> Result<BTreeSet<i32>> {
        let supervisors = children(self.launcher)?;
        // One that has just ended has none.
        let hosts = supervisors
            .iter()
            .flat_map(|pid| children(*pid).unwrap_or_default());
        let hosts: BTreeSet<_> = hosts.collect();
        Ok(hosts.into_iter().chain(supervisors).collect())
    }
}

/// Returns the children of a process, of all of its threads.
fn children(pid: i32) -> Result<Vec<i32>> {
    let mut found = Vec::new();
    for thread in read_dir(format!("/proc/{pid}/task"))? {
        let children = read_to_string(thread?.path().join("children")).unwrap_or_default();
        found.extend(children.split_whitespace().flat_map(str::parse::<i32>));
    }
    Ok(found)
}

/// Samples of CPU seconds over time.
#[derive(Default)]
pub(crate) struct CpuTimeline(Vec<(Instant, PerProgram)>);

impl CpuTimeline {
    pub(crate) fn record(&mut self, cpu_seconds: PerProgram) {
        self.0.push((Instant::now(), cpu_seconds));
    }

    /// Returns the CPU load (seconds per second) of the busiest window of `length`; `None` if the
    /// timeline is shorter.
    pub(crate) fn peak_load(&self, length: Duration) -> Option<PerProgram> {
        let loads = self.0.iter().filter_map(|(from, before)| {
            let (to, after) = self.0.iter().find(|(to, _)| *to >= *from + length)?;
            let seconds = to.duration_since(*from).as_secs_f64();
            Some([0, 1, 2].map(|program| (after[program] - before[program]) / seconds))
        });
        loads.max_by(|a, b| a.iter().sum::<f64>().total_cmp(&b.iter().sum()))
    }
}

/// Returns the user and system time of a process (proc_pid_stat: fields 14 and 15, in hundredths of
/// a second).
fn cpu_seconds(pid: i32) -> Result<f64> {
    let stat = read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("no name in it")?;
    let ticks: Vec<f64> = (fields.split_whitespace().skip(11).take(2))
        .filter_map(|field| field.parse().ok())
        .collect();
    Ok(ticks.iter().sum::<f64>() / 100.0)
}

/// Returns the peak memory of a process in megabytes (proc_pid_status: VmHWM, in kB of 1024 bytes).
fn peak_megabytes(pid: i32) -> Result<f64> {
    let status = read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    let kilobytes: f64 = number.context("no VmHWM")?.parse()?;
    Ok(kilobytes * 1024.0 / 1e6)
}
