//! The figures of `docs/performance.md` that need whole programs: `measure BIN [RUNS]`, with BIN the folder of the
//! programs and plugins. One line per figure: the median, and the least and the most.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use etatuki_demo::display::Display;
use etatuki_demo::process::Process;
use etatuki_demo::stage::Stage;
use etatuki_demo::talk::Talk;
use serde_json::{Value, json};
use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{ChangeWindowAttributesAux, ConnectionExt, EventMask};

const BACKENDS: [&str; 3] = ["ecom", "remoteus-2008", "remoteus-2010"];

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let bin = PathBuf::from(args.next().context("usage: measure BIN [RUNS]")?).canonicalize()?;
    let runs: usize = args.next().map_or(Ok(10), |runs| runs.parse())?;
    let display = Display::start(1280, 800, false)?;
    for entries in [3, 30] {
        let stage = Stage::set_up(&bin, "Maija Virtanen", "Ecom")?;
        fill_up(&stage, entries)?;
        let mut menu = (Vec::new(), Vec::new());
        for _ in 0..runs {
            let (mapped, memory) = window(&stage, &display)?;
            menu.0.push(mapped);
            menu.1.push(memory);
        }
        say(
            &format!("etatuki, {entries} entries: exec to window mapped, ms"),
            menu.0,
        );
        say(
            &format!("etatuki, {entries} entries: memory (RSS) with its window, MiB"),
            menu.1,
        );
    }
    for backend in BACKENDS {
        let mut figures: [Vec<f64>; 4] = Default::default();
        for _ in 0..runs {
            // A service of its own for each run: one agent may not ask for a token every second.
            let stage = Stage::set_up(&bin, "Maija Virtanen", "Ecom")?;
            for (all, one) in figures.iter_mut().zip(session(&stage, &display, backend)?) {
                all.push(one);
            }
        }
        let [code, linked, picture, memory] = figures;
        say(&format!("{backend}: exec to code, ms"), code);
        say(
            &format!("{backend}: console started with the code to connected, ms"),
            linked,
        );
        say(
            &format!("{backend}: view allowed to first picture at the agent, ms"),
            picture,
        );
        say(
            &format!("{backend}: memory (RSS) of the launcher in the session, MiB"),
            memory,
        );
    }
    sizes(&bin)
}

/// Adds copies of the first entry to the registry until it has so many.
fn fill_up(stage: &Stage, entries: usize) -> Result<()> {
    let mut text = stage.registry_text();
    let first = text.split("[[backend]]").nth(1).context("an entry")?;
    let copies = (4..=entries).map(|nth| {
        let copy = first.replace("id = \"ecom\"", &format!("id = \"ecom-{nth}\""));
        let copy = copy.replace("Ecom", &format!("Ecom {nth}"));
        format!("\n[[backend]]{copy}")
    });
    text.extend(copies.collect::<Vec<_>>());
    Ok(std::fs::write(stage.registry(), text)?)
}

fn say(what: &str, mut values: Vec<f64>) {
    values.sort_by(f64::total_cmp);
    let line = format!(
        "{what:<70} {:8.1}   [{:.1}..{:.1}]",
        values[values.len() / 2],
        values[0],
        values[values.len() - 1]
    );
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}

/// From exec to the X server's word that a window of some size is mapped; and the memory then.
fn window(stage: &Stage, display: &Display) -> Result<(f64, f64)> {
    let (conn, screen) = x11rb::connect(Some(display.name()))?;
    let root = conn.setup().roots[screen].root;
    let watch = ChangeWindowAttributesAux::new().event_mask(EventMask::SUBSTRUCTURE_NOTIFY);
    conn.change_window_attributes(root, &watch)?.check()?;
    let started = Instant::now();
    let launcher = Process::start(stage.launcher(display.name()).stdin(Stdio::null()))?;
    loop {
        if let Event::MapNotify(event) = conn.wait_for_event()? {
            let mapped = milliseconds(started);
            if conn.get_geometry(event.window)?.reply()?.width > 50 {
                return Ok((mapped, memory(launcher.pid().as_raw_nonzero().get())?));
            }
        }
    }
}

/// Exec to code; code to connected; allowed to first picture; memory. Milliseconds and MiB.
fn session(stage: &Stage, display: &Display, backend: &str) -> Result<[f64; 4]> {
    let started = Instant::now();
    let mut command = stage.launcher(display.name());
    command.args(["session", backend]);
    let mut customer = Talk::start(&mut command)?;
    let code = customer.until("code")?;
    let to_code = milliseconds(started);
    let fields = code["fields"].as_array().context("a code has fields")?;

    let started = Instant::now();
    let mut agent = Talk::start(&mut stage.console(&["join", "--vnc", "127.0.0.1:0"]))?;
    for field in fields {
        agent.say(field["digits"].as_str().unwrap_or_default())?;
    }
    let ready = agent.line()?;
    agent.until("connected")?;
    let linked = milliseconds(started);
    let viewer = std::thread::spawn(move || first_picture(&ready));

    let question = customer.until("ask")?;
    // A question takes no answer in its first second.
    std::thread::sleep(Duration::from_millis(1050));
    let answer = json!({"type": "answer", "id": question["id"], "allow": true});
    let started = Instant::now();
    customer.say(&answer.to_string())?;
    viewer
        .join()
        .map_err(|_| anyhow::anyhow!("the viewer panicked"))??;
    let picture = milliseconds(started);
    let pid = customer.process.pid().as_raw_nonzero().get();
    let launcher_memory = memory(pid)?;
    customer.say(&json!({"type": "close"}).to_string())?;
    customer.process.wait(Duration::from_secs(10))?;
    Ok([to_code, linked, picture, launcher_memory])
}

/// Resident memory of a process, MiB.
fn memory(pid: i32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .context("no VmRSS")?;
    let kib: f64 = line
        .split_whitespace()
        .nth(1)
        .context("no number")?
        .parse()?;
    Ok(kib / 1024.0)
}

/// Connects a real RFB client to the port and password of the ready line, and waits until it has every pixel.
#[tokio::main(flavor = "current_thread")]
async fn first_picture(ready: &Value) -> Result<()> {
    let tcp = tokio::net::TcpStream::connect(ready["vnc"].as_str().context("no address")?).await?;
    let password = ready["password"]
        .as_str()
        .context("no password")?
        .to_owned();
    let client = vnc::VncConnector::new(tcp)
        .set_auth_method(async move { Ok(password) })
        .add_encoding(vnc::VncEncoding::Raw)
        .set_pixel_format(vnc::PixelFormat::bgra())
        .build()?
        .try_start()
        .await?
        .finish()?;
    let (mut whole, mut have) = (usize::MAX, 0);
    while have < whole {
        match client.recv_event().await? {
            vnc::VncEvent::SetResolution(screen) => {
                whole = usize::from(screen.width) * usize::from(screen.height)
            }
            vnc::VncEvent::RawImage(_, pixels) => have += pixels.len() / 4,
            _ => {}
        }
    }
    Ok(())
}

fn sizes(bin: &Path) -> Result<()> {
    let names = [
        "etatuki",
        "libetatuki_ecom.so",
        "libetatuki_tool.so",
        "libetatuki_own_tool.so",
        "etatuki-console",
        "etatuki-service",
        "etatuki-vendor",
    ];
    for name in names {
        let bytes = bin
            .join(name)
            .metadata()
            .with_context(|| name.to_owned())?
            .len();
        let line = format!(
            "{:<70} {:8.1}",
            format!("{name}: size, MB"),
            bytes as f64 / 1e6
        );
        let _ = writeln!(std::io::stdout(), "{line}");
    }
    Ok(())
}
