//! The machines of one session, each in a namespace of its own, and the programs that run on them.

use std::fs::File;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use etatuki_deployment::deployment::Deployment;
use etatuki_deployment::process::Process;
use etatuki_testkit::lab::{Access, Firewall, Host, Lab, Line as NetworkLine, Nat};
use rustix::process::{Signal, kill_process};
use serde_json::Value;

use crate::certificate::CertificateFiles;
use crate::desk::Desk;
use crate::line_process::LineProcess;

/// Time-out for both ends to leave no process.
const GONE_TIMEOUT: Duration = Duration::from_secs(15);

/// The way that a session's packets take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkPath {
    /// From one end to the other.
    Direct,
    /// Through the service.
    Relayed,
}

impl LinkPath {
    /// The word of `etatuki-console join --stats`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Relayed => "relayed",
        }
    }

    /// Returns the customer's and the agent's way into the internet.
    pub(crate) fn access(self, line: Option<NetworkLine>) -> (Access, Access) {
        let access = |nat, firewall, line| Access {
            nat,
            firewall,
            line,
        };
        match self {
            Self::Direct => (
                access(Nat::None, Firewall::Open, line),
                access(Nat::Cone, Firewall::Open, None),
            ),
            Self::Relayed => (
                access(Nat::Cone, Firewall::NoUdp, line),
                access(Nat::Cone, Firewall::NoUdp, None),
            ),
        }
    }
}

/// Relays that sessions name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relays {
    /// The service's own.
    One,
    /// Another service's, too.
    Two,
}

/// Port of the second service.
const SECOND_PORT: u16 = 444;

/// A lab with a service and a customer's screen. What it holds ends in the order of the fields.
#[derive(Debug)]
pub(crate) struct Bed {
    pub(crate) desk: Desk,
    service: Option<Process>,
    /// A service whose relay stands in for the other one's, if sessions name two.
    second_service: Option<Process>,
    certificate: CertificateFiles,
    pub(crate) lab: Lab,
    pub(crate) deployment: Deployment,
}

impl Bed {
    /// Lays the cables and starts the service and the screen.
    pub(crate) fn start(
        bin: &Path,
        (customer, agent): (Access, Access),
        relays: Relays,
    ) -> Result<Self> {
        let url = format!("https://{}", Lab::SERVICE);
        let (name, organisation) = ("Maija Virtanen", "Ecomin asiakastuki");
        let deployment = Deployment::prepare(bin, name, organisation, &url)?;
        let certificate = CertificateFiles::make(Lab::SERVICE, deployment.folder())?;
        let lab = Lab::start(customer, agent).context("network namespaces can't be made")?;
        let mut bed = Self {
            desk: Desk::start(&lab)?,
            service: None,
            second_service: None,
            certificate,
            lab,
            deployment,
        };
        if relays == Relays::Two {
            bed.second_service = Some(bed.spawn_service(SECOND_PORT)?);
        }
        bed.start_service()?;
        Ok(bed)
    }

    /// Starts the service, also after it was ended.
    pub(crate) fn start_service(&mut self) -> Result<()> {
        self.service = Some(self.spawn_service(443)?);
        Ok(())
    }

    fn spawn_service(&self, port: u16) -> Result<Process> {
        let mut service = self.deployment.service_command(&format!("0.0.0.0:{port}"));
        let url = self.deployment.service_url();
        if self.second_service.is_some() {
            service.args(["--relay", url, "--relay", &format!("{url}:{SECOND_PORT}")]);
        }
        service
            .args(["--public-url", url])
            .arg("--revocations")
            .arg(self.deployment.revocations())
            .arg("--key-ring")
            .arg(self.deployment.folder().join("key-ring"))
            .arg("--tls-cert")
            .arg(&self.certificate.certificate)
            .arg("--tls-key")
            .arg(&self.certificate.key);
        let mut command = self.lab.command(Host::Service, &service);
        let log = self.log("service.log")?;
        let (process, _, _) = Process::start_until_ready(command.stderr(log))?;
        Ok(process)
    }

    /// Ends the service by a signal and waits for its end.
    pub(crate) fn end_service(&mut self, signal: Signal) -> Result<()> {
        let mut service = self.service.take().context("the service runs")?;
        kill_process(service.pid(), signal)?;
        service.wait(Duration::from_secs(10))?;
        Ok(())
    }

    /// Starts the launcher with a session of its own.
    pub(crate) fn start_launcher(&self, backend: &str) -> Result<LineProcess> {
        let mut launcher = self.deployment.launcher(&self.desk.display);
        launcher.args(["--language", "fi", "session", backend]);
        self.start_program(Host::Customer, launcher, "launcher.log")
    }

    /// Starts the console, which joins the session with this code.
    pub(crate) fn start_console(&self, code: &[String]) -> Result<LineProcess> {
        let mut console = self.deployment.console(&["join"]);
        console
            .args(["--vnc", "127.0.0.1:0", "--stats"])
            .arg(self.stats_file());
        let mut console = self.start_program(Host::Agent, console, "console.log")?;
        code.iter().try_for_each(|field| console.send(field))?;
        Ok(console)
    }

    fn start_program(&self, host: Host, mut program: Command, log: &str) -> Result<LineProcess> {
        // The system's certificates, for both halves of the link.
        program.env("SSL_CERT_FILE", &self.certificate.authority);
        for proxy in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
            program.env_remove(proxy);
            program.env_remove(proxy.to_lowercase());
        }
        let mut command = self.lab.command(host, &program);
        LineProcess::start(command.stderr(self.log(log)?))
    }

    /// Connects to a port of the agent's own loopback.
    pub(crate) fn connect_on_agents_machine(&self, address: &str) -> Result<TcpStream> {
        let connect = || TcpStream::connect(address);
        Ok(self.lab.inside(Host::Agent, connect)?)
    }

    /// Returns the last counters of the console's link: path, received and sent bytes.
    pub(crate) fn stats(&self) -> Option<Value> {
        let text = std::fs::read_to_string(self.stats_file()).ok()?;
        serde_json::from_str(&text).ok()
    }

    fn stats_file(&self) -> PathBuf {
        self.deployment.folder().join("stats.json")
    }

    fn log(&self, name: &str) -> Result<File> {
        let path = self.deployment.folder().join(name);
        Ok(File::options().create(true).append(true).open(path)?)
    }

    /// Waits until no process of either end is left.
    pub(crate) fn expect_nothing_left(&self) -> Result<()> {
        let end = Instant::now() + GONE_TIMEOUT;
        loop {
            let left = self.deployment.processes();
            if left.is_empty() {
                return Ok(());
            }
            ensure!(Instant::now() < end, "processes are left: {left:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Returns the memory, in KiB, of a program and of those that it started (resident set size).
    pub(crate) fn memory(&self, process: &Process) -> Result<u64> {
        let own = process.pid().as_raw_nonzero().get();
        let pids = std::iter::once(own).chain(children_of(own));
        Ok(pids.filter_map(resident_kib).sum())
    }
}

/// Sends a signal to a program alone, and not to what it started.
pub(crate) fn signal_program(process: &Process, signal: Signal) -> Result<()> {
    kill_process(process.pid(), signal).map_err(|error| anyhow!("it can't be signalled: {error}"))
}

fn children_of(parent: i32) -> Vec<i32> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

fn resident_kib(pid: i32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Returns an error unless a program has ended with this code.
pub(crate) fn expect_exit(program: &mut LineProcess, code: i32, who: &str) -> Result<()> {
    let status = program.process.wait(GONE_TIMEOUT)?;
    if status.code() != Some(code) {
        bail!("{who} ended with {status} in place of {code}");
    }
    Ok(())
}
