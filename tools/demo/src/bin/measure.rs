//! Measures the figures of `docs/performance.md` that need whole programs: `measure BIN [RUNS]`,
//! with BIN the folder of the programs and plugins. Prints a line per figure: median, minimum and
//! maximum.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use etatuki_deployment::deployment::Deployment;
use etatuki_deployment::display::{Display, WindowManager};
use etatuki_deployment::json_process::JsonProcess;
use etatuki_deployment::process::Process;
use serde_json::{Value, json};
use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{ChangeWindowAttributesAux, ConnectionExt, EventMask};

const BACKENDS: [&str; 3] = ["ecom", "remoteus-2008", "remoteus-2010"];

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let bin = PathBuf::from(args.next().context("usage: measure BIN [RUNS]")?).canonicalize()?;
    let runs: usize = args.next().map_or(Ok(10), |runs| runs.parse())?;
    let display = Display::start(1280, 800, WindowManager::None)?;
    for entries in [3, 30] {
        let deployment = Deployment::start(&bin, "Maija Virtanen", "Ecom")?;
        add_entries(&deployment, entries)?;
        let (mut times, mut memory) = (Vec::new(), Vec::new());
        for _ in 0..runs {
            let (time_ms, resident) = measure_menu(&deployment, &display)?;
            times.push(time_ms);
            memory.push(resident);
        }
        print_figure(
            &format!("etatuki, {entries} entries: exec to window mapped, ms"),
            times,
        );
        print_figure(
            &format!("etatuki, {entries} entries: memory (RSS) with its window, MiB"),
            memory,
        );
    }
    for backend in BACKENDS {
        let mut figures: [Vec<f64>; 4] = Default::default();
        for _ in 0..runs {
            // A service of its own for each run: one agent may not ask for a token every second.
            let deployment = Deployment::start(&bin, "Maija Virtanen", "Ecom")?;
            let measured = measure_session(&deployment, &display, backend)?;
            for (values, value) in figures.iter_mut().zip(measured) {
                values.push(value);
            }
        }
        let [code, linked, picture, memory] = figures;
        print_figure(&format!("{backend}: exec to code, ms"), code);
        print_figure(
            &format!("{backend}: console started with the code to connected, ms"),
            linked,
        );
        print_figure(
            &format!("{backend}: view allowed to first picture at the agent, ms"),
            picture,
        );
        print_figure(
            &format!("{backend}: memory (RSS) of the launcher in the session, MiB"),
            memory,
        );
    }
    print_sizes(&bin)
}

/// Adds copies of the first entry to the registry until it has `entries` of them.
fn add_entries(deployment: &Deployment, entries: usize) -> Result<()> {
    let mut text = deployment.registry_text();
    let first = text.split("[[backend]]").nth(1).context("an entry")?;
    let copies = (4..=entries).map(|nth| {
        let copy = first.replace("id = \"ecom\"", &format!("id = \"ecom-{nth}\""));
        let copy = copy.replace("Ecom", &format!("Ecom {nth}"));
        format!("\n[[backend]]{copy}")
    });
    text.extend(copies.collect::<Vec<_>>());
    Ok(std::fs::write(deployment.registry(), text)?)
}

fn print_figure(name: &str, mut values: Vec<f64>) {
    values.sort_by(f64::total_cmp);
    let line = format!(
        "{name:<70} {:8.1}   [{:.1}..{:.1}]",
        values[values.len() / 2],
        values[0],
        values[values.len() - 1]
    );
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn elapsed_ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}

/// Returns the time from exec to the menu window's MapNotify in milliseconds, and the resident
/// memory then in MiB.
fn measure_menu(deployment: &Deployment, display: &Display) -> Result<(f64, f64)> {
    let (conn, screen) = x11rb::connect(Some(display.name()))?;
    let root = conn.setup().roots[screen].root;
    let watch = ChangeWindowAttributesAux::new().event_mask(EventMask::SUBSTRUCTURE_NOTIFY);
    conn.change_window_attributes(root, &watch)?.check()?;
    let started = Instant::now();
    let launcher = Process::start(deployment.launcher(display.name()).stdin(Stdio::null()))?;
    loop {
        if let Event::MapNotify(event) = conn.wait_for_event()? {
            let mapped = elapsed_ms(started);
            if conn.get_geometry(event.window)?.reply()?.width > 50 {
                let memory = resident_mib(launcher.pid().as_raw_nonzero().get())?;
                return Ok((mapped, memory));
            }
        }
    }
}

/// Returns exec to code, code to connected, and allowed to first picture, in milliseconds; and the
/// launcher's resident memory in MiB.
fn measure_session(deployment: &Deployment, display: &Display, backend: &str) -> Result<[f64; 4]> {
    let started = Instant::now();
    let mut command = deployment.launcher(display.name());
    command.args(["session", backend]);
    let mut customer = JsonProcess::start(&mut command)?;
    let code = customer.wait_for("code")?;
    let code_ms = elapsed_ms(started);
    let fields = code["fields"].as_array().context("a code has fields")?;

    let started = Instant::now();
    let mut agent = JsonProcess::start(&mut deployment.console(&["join", "--vnc", "127.0.0.1:0"]))?;
    for field in fields {
        agent.send(field["digits"].as_str().unwrap_or_default())?;
    }
    let ready = agent.next_line()?;
    agent.wait_for("connected")?;
    let linked_ms = elapsed_ms(started);
    let viewer = std::thread::spawn(move || first_picture(&ready));

    let question = customer.wait_for("ask")?;
    // A question accepts no answer in its first second.
    std::thread::sleep(Duration::from_millis(1050));
    let answer = json!({"type": "answer", "id": question["id"], "allow": true});
    let started = Instant::now();
    customer.send(&answer.to_string())?;
    viewer
        .join()
        .map_err(|_| anyhow::anyhow!("the viewer panicked"))??;
    let picture_ms = elapsed_ms(started);
    let pid = customer.process.pid().as_raw_nonzero().get();
    let memory = resident_mib(pid)?;
    customer.send(&json!({"type": "close"}).to_string())?;
    customer.process.wait(Duration::from_secs(10))?;
    Ok([code_ms, linked_ms, picture_ms, memory])
}

/// Returns the resident memory of a process in MiB.
fn resident_mib(pid: i32) -> Result<f64> {
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

/// Connects a real RFB client to the port and password of the ready line, and waits until it has
/// every pixel.
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
    // The first picture may come in several updates, and vnc-rs asks for the first one alone.
    let mut missing = Vec::new();
    let mut width = 0;
    loop {
        match client.recv_event().await? {
            vnc::VncEvent::SetResolution(screen) => {
                width = usize::from(screen.width);
                missing = vec![true; width * usize::from(screen.height)];
            }
            vnc::VncEvent::RawImage(area, _) => {
                let (left, top) = (usize::from(area.x), usize::from(area.y));
                for row in top..top + usize::from(area.height) {
                    let start = row * width + left;
                    missing[start..start + usize::from(area.width)].fill(false);
                }
                if !missing.contains(&true) {
                    return Ok(());
                }
                client.input(vnc::X11Event::Refresh).await?;
            }
            _ => {}
        }
    }
}

fn print_sizes(bin: &Path) -> Result<()> {
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
