//! The whole chain as one RFB server, for benchmarks: `chain BIN --display :N --port P [--backend ID] [--report FILE]`,
//! with BIN the folder of the programs.
//!
//! Each client gets a session of its own: launcher, plugin host, service, link, console. Both questions are allowed
//! before the client hears the first word (with AGENT_NETNS set, as scripts/slow-line does, the console sits at the line's
//! other end); then its bytes pass between it and the console's port for viewers. After it has left, or the chain was told
//! to end (TERM), one line of JSON is added to FILE: CPU seconds of each program, and of each a second in the busiest ten;
//! memory at its highest; bytes on the link; the length. Anybody on this machine who connects sees and controls that
//! display.

mod cost;
mod line;

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
use cost::{Course, Programs};
use des::cipher::{BlockCipherEncrypt, KeyInit};
use etatuki_demo::stage::Stage;
use etatuki_demo::talk::Talk;
use rustix::pipe::SpliceFlags;
use serde_json::{Value, json};

/// How often the programs' CPU seconds are looked at.
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);

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
    /// What goes to the client, piece by piece: a length (u32, little-endian), then so many bytes.
    #[arg(long)]
    record: Option<PathBuf>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let listener = TcpListener::bind(("127.0.0.1", options.port))?;
    let (port, present) = (options.port, Arc::<Present>::default());
    let waiting = Arc::clone(&present);
    std::thread::spawn(move || {
        if wait_for_the_end().is_ok() {
            waiting.end();
            // The next client, which finds the door closed.
            let _ = TcpStream::connect(("127.0.0.1", port));
        }
    });
    serve_all(&options, &listener, &present)
}

/// The client that is being served, and whether there may be another one.
#[derive(Default)]
struct Present {
    client: Mutex<Option<TcpStream>>,
    ended: AtomicBool,
}

impl Present {
    fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        if let Some(client) = self.lock().take() {
            let _ = client.shutdown(Shutdown::Both);
        }
    }

    /// False when there may be none any more.
    fn comes(&self, client: &TcpStream) -> Result<bool> {
        *self.lock() = Some(client.try_clone()?);
        Ok(!self.ended.load(Ordering::SeqCst))
    }

    fn lock(&self) -> MutexGuard<'_, Option<TcpStream>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wait_for_the_end() -> Result<()> {
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

fn serve_all(options: &Options, listener: &TcpListener, present: &Present) -> Result<()> {
    let bin = options.bin.canonicalize()?;
    loop {
        let (client, _) = listener.accept()?;
        if !present.comes(&client)? {
            return Ok(());
        }
        let accepted = Instant::now();
        // A service of its own for each: one agent may not ask for a token every second.
        let stage = Stage::set_up(&bin, "Maija Virtanen", "Ecom")?;
        match Chain::begin(&stage, options)
            .and_then(|chain| chain.serve(client, accepted, options.record.as_deref()))
        {
            Ok(report) => write_down(options, &report)?,
            Err(error) => eprintln!("{error:#}"),
        }
    }
}

fn write_down(options: &Options, report: &Value) -> Result<()> {
    let Some(file) = &options.report else {
        return Ok(());
    };
    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
    Ok(writeln!(file, "{report}")?)
}

/// A session with both permissions.
struct Chain {
    customer: Talk,
    agent: Talk,
    ready: Value,
    stats: PathBuf,
    netns: Option<String>,
}

impl Chain {
    fn begin(stage: &Stage, options: &Options) -> Result<Self> {
        let mut launcher = stage.launcher(&options.display);
        let mut customer = Talk::start(launcher.args(["session", &options.backend]))?;
        let code = customer.until("code")?;
        let stats = stage.folder().join("stats.json");
        let mut console = stage.console(&["join", "--vnc", "127.0.0.1:0"]);
        console.arg("--stats").arg(&stats);
        let netns = std::env::var("AGENT_NETNS").ok();
        if let Some(netns) = &netns {
            let port = stage.service_url().rsplit(':').next();
            line::forward(netns, port.context("a port")?.parse()?)?;
            console = line::within(netns, &console);
        }
        let mut agent = Talk::start(&mut console)?;
        for field in code["fields"].as_array().context("a code has fields")? {
            agent.say(field["digits"].as_str().unwrap_or_default())?;
        }
        let ready = agent.line()?;
        allow(&mut customer)?;
        agent.until("permissions")?;
        agent.say("ask-control")?;
        allow(&mut customer)?;
        agent.until("permissions")?;
        Ok(Self {
            customer,
            agent,
            ready,
            stats,
            netns,
        })
    }

    /// Passes bytes on until the client leaves; what that cost, without the beginning, in which the first picture
    /// goes over.
    fn serve(self, client: TcpStream, accepted: Instant, record: Option<&Path>) -> Result<Value> {
        let console = self.viewer().context("the console's port")?;
        greet(&client).context("the client")?;
        let set_up = accepted.elapsed().as_secs_f64();
        let (from, to) = (client.try_clone()?, console.try_clone()?);
        let record = record.map(File::create).transpose()?;
        let onward = std::thread::spawn(move || pass(from, to, None));
        let back = std::thread::spawn(move || pass(console, client, record));
        // The first picture, and the console's counters, which it writes twice a second.
        std::thread::sleep(Duration::from_millis(1600));
        let programs = Programs {
            launcher: self.customer.process.pid().as_raw_nonzero().get(),
            console: self.agent.process.pid().as_raw_nonzero().get(),
        };
        let (began, cpu, link) = (Instant::now(), programs.cpu()?, self.link()?);
        let (mut course, mut memory) = (Course::default(), None);
        while !back.is_finished() {
            course.note(programs.cpu()?);
            // What has ended has none any more.
            memory = programs.memory().ok().or(memory);
            std::thread::sleep(BETWEEN_LOOKS);
        }
        let _ = (back.join(), onward.join());
        let seconds = began.elapsed().as_secs_f64();
        let now = programs.cpu()?;
        let spent = [0, 1, 2].map(|each| now[each] - cpu[each]);
        // The console writes its counters twice a second.
        std::thread::sleep(Duration::from_millis(600));
        Ok(json!({
            "set_up_s": set_up,
            "secs": seconds,
            "launcher_cpu_s": spent[0],
            "host_cpu_s": spent[1],
            "console_cpu_s": spent[2],
            "busiest_10_s": course.busiest(Duration::from_secs(10)),
            "memory_mb": memory,
            "link_first_bytes": link,
            "link_bytes": self.link()? - link,
        }))
    }

    fn viewer(&self) -> Result<TcpStream> {
        let address = self.ready["vnc"].as_str().context("no address")?;
        let password = self.ready["password"].as_str().context("no password")?;
        let address = address.to_owned();
        let connect = move || Ok(TcpStream::connect(address)?);
        let mut console = match &self.netns {
            Some(netns) => line::inside(netns, connect)?,
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
        console.write_all(&response(password, challenge))?;
        let mut result = [0; 4];
        console.read_exact(&mut result)?;
        ensure!(result == [0; 4], "the password isn't taken");
        Ok(console)
    }

    /// Bytes on the link so far, towards the agent.
    fn link(&self) -> Result<u64> {
        let stats: Value = serde_json::from_str(&std::fs::read_to_string(&self.stats)?)?;
        stats["received"].as_u64().context("no count")
    }
}

fn allow(customer: &mut Talk) -> Result<()> {
    let question = customer.until("ask")?;
    // A question takes no answer in its first second.
    std::thread::sleep(Duration::from_millis(1050));
    customer.say(&json!({"type": "answer", "id": question["id"], "allow": true}).to_string())
}

/// RFB 3.8 with security type None, up to where the client says ClientInit.
fn greet(mut client: &TcpStream) -> Result<()> {
    client.set_nodelay(true)?;
    client.write_all(b"RFB 003.008\n")?;
    client.read_exact(&mut [0; 12])?;
    client.write_all(&[1, 1])?;
    client.read_exact(&mut [0; 1])?;
    Ok(client.write_all(&[0; 4])?)
}

fn pass(from: TcpStream, to: TcpStream, record: Option<File>) {
    // At the end of either there is nobody left to tell.
    let _ = match record {
        Some(record) => copy(&from, &to, record),
        None => hand_over(&from, &to),
    };
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

/// Without a copy, which would cost a full screen milliseconds that no user of the programs has.
fn hand_over(from: &TcpStream, to: &TcpStream) -> Result<()> {
    const PIECE: usize = 1 << 20;
    let (leaves, enters) = rustix::pipe::pipe()?;
    rustix::pipe::fcntl_setpipe_size(&enters, PIECE)?;
    let splice = |from: BorrowedFd<'_>, to: BorrowedFd<'_>, most| {
        rustix::pipe::splice(from, None, to, None, most, SpliceFlags::MOVE)
    };
    loop {
        let mut held = splice(from.as_fd(), enters.as_fd(), PIECE)?;
        if held == 0 {
            return Ok(());
        }
        while held > 0 {
            held -= splice(leaves.as_fd(), to.as_fd(), held)?;
        }
    }
}

fn copy(mut from: &TcpStream, mut to: &TcpStream, mut record: File) -> Result<()> {
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

/// RFC 6143 section 7.2.2; the key's bytes have their bits in reverse.
fn response(password: &str, challenge: [u8; 16]) -> Vec<u8> {
    let mut key = [0; 8];
    for (place, byte) in key.iter_mut().zip(password.bytes()) {
        *place = byte.reverse_bits();
    }
    let cipher = des::Des::new(&key.into());
    let mut response = challenge;
    for block in response.as_chunks_mut::<8>().0 {
        cipher.encrypt_block(block.into());
    }
    response.to_vec()
}
