//! `make run`: GnuCash on a virtual display, a service, a console, and one page that shows both
//! sides.

mod page;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Parser;
use etatuki_demo::gnucash;
use etatuki_deployment::deployment::Deployment;
use etatuki_deployment::display::{Display, WindowManager};
use etatuki_deployment::process::Process;

/// Width and height of the customer's virtual display, in pixels.
const SCREEN_SIZE: (u16, u16) = (1100, 860);

/// The whole job on this machine, for a look.
#[derive(Parser)]
struct Args {
    /// The project's folder.
    #[arg(long)]
    repository: PathBuf,
    /// The folder of the demonstration's page.
    #[arg(long)]
    page: PathBuf,
    /// The page's port on 127.0.0.1; the console gets the next one. Any free one when it is taken.
    #[arg(long, default_value_t = 8700)]
    port: u16,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let listener = listen(args.port)?;
    let address = format!("http://127.0.0.1:{}", listener.local_addr()?.port());
    let demo = Demo::start(&args, &address)?;
    let page = page::Page {
        folder: args.page.clone(),
        token: token()?,
        console: demo.console_page.clone(),
        display: demo.display.hand_socket().context("no hand")?,
    };
    print(&format!(
        "\nOpen this address in a browser:\n\n    {address}/?token={}\n\n\
         From another machine, first: ssh -L {port}:127.0.0.1:{port} -L {console}:127.0.0.1:{console} HOST\n\
         Ctrl-C ends everything. Logs: {logs}. The customer's display: {display}",
        page.token,
        logs = demo.deployment.folder().display(),
        display = demo.display.name(),
        port = listener.local_addr()?.port(),
        console = demo.console_port(),
    ));
    runtime.block_on(page::serve(listener, page, stop_signal()))?;
    print("Ending everything that was started…");
    // The page's threads must not outlive the display that they show.
    runtime.shutdown_background();
    drop(demo);
    print("Nothing is left running.");
    Ok(())
}

/// Everything that was started; it ends in the order of the fields.
struct Demo {
    _gnucash: Process,
    _console: Process,
    console_page: String,
    display: Display,
    deployment: Deployment,
}

impl Demo {
    fn start(args: &Args, address: &str) -> Result<Self> {
        let bin = std::env::current_exe()?
            .parent()
            .context("no folder of programs")?
            .to_owned();
        let deployment = step(
            "a vendor's key, an agent's card, a registry, a service",
            || Deployment::start(&bin, "Maija Virtanen", "Ecomin asiakastuki"),
        )?;
        let display = step("a virtual display for the customer", || {
            Display::start_with_hand(SCREEN_SIZE.0, SCREEN_SIZE.1, WindowManager::Openbox)
        })?;
        let (console, console_page) = step("the support's console", || {
            start_console(&deployment, address, args.port)
        })?;
        let gnucash = step("GnuCash with a Finnish demo book", || {
            start_gnucash(&deployment, &display, &args.repository)
        })?;
        Ok(Self {
            _gnucash: gnucash,
            _console: console,
            console_page,
            display,
            deployment,
        })
    }

    fn console_port(&self) -> &str {
        let after = self.console_page.rsplit(':').next().unwrap_or_default();
        after.split('/').next().unwrap_or_default()
    }
}

fn start_console(deployment: &Deployment, address: &str, port: u16) -> Result<(Process, String)> {
    let log = std::fs::File::create(deployment.folder().join("console.log"))?;
    // The next one, if it is free; a page on any port has none.
    let is_free =
        |port: &u16| *port > 1 && std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let wanted = port.checked_add(1).filter(is_free).unwrap_or(0).to_string();
    let mut command =
        deployment.console(&["--no-open", "--port", &wanted, "--frame-ancestor", address]);
    let (process, ready, _) = Process::start_until_ready(command.stderr(log))?;
    let ready: serde_json::Value = serde_json::from_str(&ready)?;
    let page = ready["page"]
        .as_str()
        .context("the console did not say where its page is")?;
    Ok((process, page.to_owned()))
}

fn start_gnucash(deployment: &Deployment, display: &Display, repository: &Path) -> Result<Process> {
    // A background colour instead of black; without xsetroot it stays black.
    let _ = Command::new("xsetroot")
        .args(["-display", display.name(), "-solid", "#3d5a73"])
        .status();
    gnucash::start(deployment, display.name(), repository)
}

/// Binds the port that was asked for, or any free one.
fn listen(port: u16) -> Result<std::net::TcpListener> {
    let loopback = |port| std::net::TcpListener::bind(("127.0.0.1", port));
    Ok(loopback(port).or_else(|_| loopback(0))?)
}

fn token() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Waits for Ctrl-C, SIGTERM or SIGHUP.
async fn stop_signal() {
    let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .expect("signals work");
    let mut hup = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())
        .expect("signals work");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = term.recv() => {}
        _ = hup.recv() => {}
    }
}

/// Runs one step of the start and prints how long it took.
fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let started = Instant::now();
    let result = work().with_context(|| format!("starting {name}"))?;
    print(&format!(
        "  {name}: {:.1} s",
        started.elapsed().as_secs_f32()
    ));
    Ok(result)
}

/// Prints a line for the person who ran `make run`.
fn print(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
