//! The whole chain as one RFB server, for benchmarks:
//! `chain BIN --display :N --port P [--backend ID] [--report FILE]`, with BIN the folder of the
//! programs.
//!
//! Each client gets a session of its own: launcher, plugin host, service, link, console. Both
//! questions are allowed before the client gets the first byte; with AGENT_NETNS set, as
//! scripts/slow-line does, the console runs at the line's far end. Then bytes are relayed between
//! the client and the console's port for viewers. After the client has left, or on SIGTERM, one
//! line of JSON is appended to FILE: CPU seconds of each program, the load of each in the busiest
//! ten seconds, peak memory, bytes on the link, and the duration. Anybody on this machine who
//! connects sees and controls that display.

mod cost;
mod netns;

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use cost::{CpuTimeline, Programs};
use des::cipher::{BlockCipherEncrypt, KeyInit};
use etatuki_deployment::deployment::Deployment;
use etatuki_deployment::json_process::JsonProcess;
use rustix::pipe::SpliceFlags;
use serde_json::{Value, json};

/// Time between two samples of the programs' CPU seconds.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(250);

#[derive(Parser)]
struct Options {
    bin: PathBuf,
    #[arg(long)]
    display: String,
    #[arg(long)]
    port: u16,
    #[arg(long, default_value = "ecom")]
    backend: String,
    #[arg(long)]
    report: Option<PathBuf>,
    /// File for everything that goes to the client, in chunks: a length (u32, little-endian), then
    /// as many bytes
    #[arg(long)]
    record: Option<PathBuf>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let listener = TcpListener::bind(("127.0.0.1", options.port))?;
    let (port, current) = (options.port, Arc::<CurrentClient>::default());
    let stopping = Arc::clone(&current);
    std::thread::spawn(move || {
        if wait_for_signal().is_ok() {
            stopping.stop();
            // One more client wakes the listener, which then ends.
            let _ = TcpStream::connect(("127.0.0.1", port));
        }
    });
    serve_all(&options, &listener, &current)
}

/// The client that is being served, and whether there may be another one.
#[derive(Default)]
struct CurrentClient {
    client: Mutex<Option<TcpStream>>,
    stopped: AtomicBool,
}

impl CurrentClient {
    fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        if let Some(client) = self.lock().take() {
            let _ = client.shutdown(Shutdown::Both);
        }
    }

    /// Sets the client that is served next; returns `false` after a stop.
    fn set(&self, client: &TcpStream) -> Result<bool> {
        *self.lock() = Some(client.try_clone()?);
        Ok(!self.stopped.load(Ordering::SeqCst))
    }

    fn lock(&self) -> MutexGuard<'_, Option<TcpStream>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wait_for_signal() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut term = signal(SignalKind::terminate())?;
        let mut int = signal(SignalKind::interrupt())?;
        tokio::select! {
            _ = term.recv() => Ok(()),
            _ = int.recv() => Ok(()),
        }
    })
}

fn serve_all(options: &Options, listener: &TcpListener, current: &CurrentClient) -> Result<()> {
    let bin = options.bin.canonicalize()?;
    loop {
        let (client, _) = listener.accept()?;
        if !current.set(&client)? {
            return Ok(());
        }
        let accepted = Instant::now();
        // A service of its own for each session: one agent may not ask for a token every second.
        let deployment = Deployment::start(&bin, "Maija Virtanen", "Ecom")?;
        match Chain::start(&deployment, options)
            .and_then(|chain| chain.serve(client, accepted, options.record.as_deref()))
        {
            Ok(report) => append_report(options, &report)?,
            Err(error) => eprintln!("{error:#}"),
        }
    }
}

fn append_report(options: &Options, report: &Value) -> Result<()> {
    let Some(file) = &options.report else {
        return Ok(());
    };
    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
    Ok(writeln!(file, "{report}")?)
}

/// A session with both permissions.
struct Chain {
    customer: JsonProcess,
    agent: JsonProcess,
    ready: Value,
    stats: PathBuf,
    netns: Option<String>,
}

impl Chain {
    fn start(deployment: &Deployment, options: &Options) -> Result<Self> {
        let mut launcher = deployment.launcher(&options.display);
        let mut customer = JsonProcess::start(launcher.args(["session", &options.backend]))?;
        let code = customer.wait_for("code")?;
        let stats = deployment.folder().join("stats.json");
        let mut console = deployment.console(&["join", "--vnc", "127.0.0.1:0"]);
        console.arg("--stats").arg(&stats);
        let netns = std::env::var("AGENT_NETNS").ok();
        if let Some(netns) = &netns {
            let port = deployment.service_url().rsplit(':').next();
            netns::forward_port(netns, port.context("a port")?.parse()?)?;
            console = netns::command_in(netns, &console);
        }
        let mut agent = JsonProcess::start(&mut console)?;
        for field in code["fields"].as_array().context("a code has fields")? {
            agent.send(field["digits"].as_str().unwrap_or_default())?;
        }
        let ready = agent.next_line()?;
        allow_question(&mut customer)?;
        agent.wait_for("permissions")?;
        agent.send("ask-control")?;
        allow_question(&mut customer)?;
        agent.wait_for("permissions")?;
        Ok(Self {
            customer,
            agent,
            ready,
            stats,
            netns,
        })
    }

    /// Relays bytes until the client leaves. Returns the report of the cost, without the beginning
    /// in which the first picture is sent.
    fn serve(self, client: TcpStream, accepted: Instant, record: Option<&Path>) -> Result<Value> {
        let console = self.connect_viewer().context("the console's port")?;
        accept_viewer(&client).context("the client")?;
        let set_up_seconds = accepted.elapsed().as_secs_f64();
        let (from, to) = (client.try_clone()?, console.try_clone()?);
        let record = record.map(File::create).transpose()?;
        let upstream = std::thread::spawn(move || relay(from, to, None));
        let downstream = std::thread::spawn(move || relay(console, client, record));
        // Time for the first picture, and for the console's counters, written twice a second.
        std::thread::sleep(Duration::from_millis(1600));
        let programs = Programs {
            launcher: self.customer.process.pid().as_raw_nonzero().get(),
            console: self.agent.process.pid().as_raw_nonzero().get(),
        };
        let started = Instant::now();
        let (cpu_before, link_before) = (programs.cpu_seconds()?, self.link_bytes()?);
        let (mut timeline, mut memory) = (CpuTimeline::default(), None);
        while !downstream.is_finished() {
            timeline.record(programs.cpu_seconds()?);
            // A program that has ended has no memory any more; the last figure stays.
            memory = programs.peak_memory().ok().or(memory);
            std::thread::sleep(SAMPLE_INTERVAL);
        }
        let _ = (downstream.join(), upstream.join());
        let seconds = started.elapsed().as_secs_f64();
        let cpu_after = programs.cpu_seconds()?;
        let cpu = [0, 1, 2].map(|program| cpu_after[program] - cpu_before[program]);
        // The console writes its counters twice a second.
        std::thread::sleep(Duration::from_millis(600));
        Ok(json!({
            "set_up_s": set_up_seconds,
            "secs": seconds,
            "launcher_cpu_s": cpu[0],
            "host_cpu_s": cpu[1],
            "console_cpu_s": cpu[2],
            "busiest_10_s": timeline.peak_load(Duration::from_secs(10)),
            "memory_mb": memory,
            "link_first_bytes": link_before,
            "link_bytes": self.link_bytes()? - link_before,
        }))
    }

    /// Connects to the console's port for viewers: RFB 3.8 with VNC authentication (RFC 6143,
    /// section 7.2.2), up to ClientInit.
    fn connect_viewer(&self) -> Result<TcpStream> {
        let address = self.ready["vnc"].as_str().context("no address")?;
        let password = self.ready["password"].as_str().context("no password")?;
        let address = address.to_owned();
        let connect = move || Ok(TcpStream::connect(address)?);
        let mut console = match &self.netns {
            Some(netns) => netns::run_in(netns, connect)?,
            None => connect()?,
        };
        console.set_nodelay(true)?;
        let mut version = [0; 12];
        console.read_exact(&mut version)?;
        console.write_all(b"RFB 003.008\n")?;
        let mut types = [0; 2];
        console.read_exact(&mut types)?;
        ensure!(types == [1, 2], "not VNC authentication: {types:?}");
        console.write_all(&[2])?;
        let mut challenge = [0; 16];
        console.read_exact(&mut challenge)?;
        console.write_all(&vnc_auth_response(password, challenge))?;
        let mut result = [0; 4];
        console.read_exact(&mut result)?;
        ensure!(result == [0; 4], "the password isn't taken");
        Ok(console)
    }

    /// Returns the bytes on the link so far, towards the agent.
    fn link_bytes(&self) -> Result<u64> {
        let stats: Value = serde_json::from_str(&std::fs::read_to_string(&self.stats)?)?;
        stats["received"].as_u64().context("no count")
    }
}

fn allow_question(customer: &mut JsonProcess) -> Result<()> {
    let question = customer.wait_for("ask")?;
    // A question accepts no answer in its first second.
    std::thread::sleep(Duration::from_millis(1050));
    customer.send(&json!({"type": "answer", "id": question["id"], "allow": true}).to_string())
}

/// Greets the client: RFB 3.8 with security type None, up to ClientInit.
fn accept_viewer(mut client: &TcpStream) -> Result<()> {
    client.set_nodelay(true)?;
    client.write_all(b"RFB 003.008\n")?;
    client.read_exact(&mut [0; 12])?;
    client.write_all(&[1, 1])?;
    client.read_exact(&mut [0; 1])?;
    Ok(client.write_all(&[0; 4])?)
}

/// Relays bytes in one direction until either end closes.
fn relay(from: TcpStream, to: TcpStream, record: Option<File>) {
    // An error means that an end has closed.
    let _ = match record {
        Some(record) => copy_and_record(&from, &to, record),
        None => splice(&from, &to),
    };
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

/// Relays without copying: a copy would cost a full screen milliseconds that no user of the
/// programs has.
fn splice(from: &TcpStream, to: &TcpStream) -> Result<()> {
    const PIPE_BYTES: usize = 1 << 20;
    let (pipe_out, pipe_in) = rustix::pipe::pipe()?;
    rustix::pipe::fcntl_setpipe_size(&pipe_in, PIPE_BYTES)?;
    let splice = |from: BorrowedFd<'_>, to: BorrowedFd<'_>, max_bytes| {
        rustix::pipe::splice(from, None, to, None, max_bytes, SpliceFlags::MOVE)
    };
    loop {
        let mut buffered = splice(from.as_fd(), pipe_in.as_fd(), PIPE_BYTES)?;
        if buffered == 0 {
            return Ok(());
        }
        while buffered > 0 {
            buffered -= splice(pipe_out.as_fd(), to.as_fd(), buffered)?;
        }
    }
}

fn copy_and_record(mut from: &TcpStream, mut to: &TcpStream, mut record: File) -> Result<()> {
    let mut bytes = vec![0; 16 << 20];
    loop {
        let n = from.read(&mut bytes)?;
        if n == 0 {
            return Ok(());
        }
        to.write_all(&bytes[..n])?;
        record.write_all(&(n as u32).to_le_bytes())?;
        record.write_all(&bytes[..n])?;
    }
}

/// Returns the response of VNC authentication (RFC 6143, section 7.2.2): the challenge encrypted
/// with DES. The key's bytes have their bits in reverse order.
fn vnc_auth_response(password: &str, challenge: [u8; 16]) -> Vec<u8> {
    let mut key = [0; 8];
    for (key_byte, byte) in key.iter_mut().zip(password.bytes()) {
        *key_byte = byte.reverse_bits();
    }
    let cipher = des::Des::new(&key.into());
    let mut response = challenge;
    for block in response.as_chunks_mut::<8>().0 {
        cipher.encrypt_block(block.into());
    }
    response.to_vec()
}
