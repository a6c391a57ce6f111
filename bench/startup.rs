//! Measures a program's time from exec to its first window, and its memory then: `cargo run
//! --example startup -- RUNS PROGRAM ARGUMENTS…`, on a display of its own (Xvfb) without a window
//! manager. Prints each run in milliseconds, then the median, and for the last run the processor
//! time up to the window (which a busy machine changes less) and the memory.

use std::error::Error;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use x11rb::connection::Connection as _;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{ChangeWindowAttributesAux, ConnectionExt as _, EventMask, Window};
use x11rb::rust_connection::RustConnection;

/// Time-out for the window.
const MAP_TIMEOUT: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let runs: usize = arguments
        .next()
        .ok_or("usage: startup RUNS PROGRAM ARGUMENTS…")?
        .parse()?;
    let command: Vec<_> = arguments.collect();
    let (server, screen) = x11rb::connect(None)?;
    let root = server.setup().roots[screen].root;
    let watch = ChangeWindowAttributesAux::new().event_mask(EventMask::SUBSTRUCTURE_NOTIFY);
    server.change_window_attributes(root, &watch)?.check()?;
    let mut times = Vec::new();
    let mut memory = String::new();
    for _ in 0..runs {
        let (time, at_map) = run(&server, root, &command)?;
        times.push(time);
        memory = at_map;
    }
    times.sort();
    let shown: Vec<_> = times
        .iter()
        .map(|time| format!("{:.1}", ms(*time)))
        .collect();
    eprintln!(
        "{} ms; median {:.1} ms; {memory}",
        shown.join(" "),
        ms(times[times.len() / 2])
    );
    Ok(())
}

fn run(
    server: &RustConnection,
    root: Window,
    command: &[String],
) -> Result<(Duration, String), Box<dyn Error>> {
    while server.poll_for_event()?.is_some() {}
    let (program, arguments) = command.split_first().ok_or("no program")?;
    let started = Instant::now();
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .spawn()?;
    let mapped = wait_for_window(server, root, started);
    let time = started.elapsed();
    let cpu = processor_ms(&child);
    // The log and the probes follow the window.
    std::thread::sleep(Duration::from_millis(1500));
    let memory = format!("{cpu:.1} ms of processor time; {}", memory(&child));
    child.kill()?;
    child.wait()?;
    mapped?;
    Ok((time, memory))
}

fn wait_for_window(
    server: &RustConnection,
    root: Window,
    started: Instant,
) -> Result<(), Box<dyn Error>> {
    while started.elapsed() < MAP_TIMEOUT {
        match server.poll_for_event()? {
            Some(Event::MapNotify(map)) if map.event == root => return Ok(()),
            Some(_) => {}
            None => std::thread::sleep(Duration::from_micros(200)),
        }
    }
    Err("no window came".into())
}

/// Returns the processor time in milliseconds: the first number of `schedstat`, see the kernel's
/// sched-stats.rst.
fn processor_ms(child: &Child) -> f64 {
    let path = format!("/proc/{}/schedstat", child.id());
    let stat = std::fs::read_to_string(path).unwrap_or_default();
    let nanoseconds = stat
        .split(' ')
        .next()
        .and_then(|first| first.parse::<f64>().ok());
    nanoseconds.unwrap_or(0.0) / 1e6
}

fn memory(child: &Child) -> String {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = |key: &str| {
        status
            .lines()
            .find(|line| line.starts_with(key))
            .unwrap_or("")
            .to_owned()
    };
    format!("{} {}", line("VmRSS"), line("RssAnon")).replace('\t', " ")
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
