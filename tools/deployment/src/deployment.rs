//! One vendor on one machine: a key, an agent's card, a registry, and a service in memory, usually on
//! loopback.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::process::Process;

/// A running deployment; its processes and its folder are gone when it is dropped.
#[derive(Debug)]
pub struct Deployment {
    bin: PathBuf,
    /// `None` where the service is somebody else's.
    service: Option<Process>,
    service_url: String,
    vendor_key: String,
    folder: TempDir,
}

impl Deployment {
    /// Makes keys and a registry and starts the service on loopback, with the programs in `bin`. The
    /// agent is `agent_name` of `organisation`.
    ///
    /// # Errors
    /// A program is missing, or fails.
    pub fn start(bin: &Path, agent_name: &str, organisation: &str) -> Result<Self> {
        let mut deployment = Self::make_keys(bin, agent_name, organisation)?;
        let list = deployment.revocations();
        deployment.spawn_service("127.0.0.1:0", Some(&list))?;
        std::fs::write(deployment.registry(), deployment.registry_text())?;
        Ok(deployment)
    }

    /// Does what [`start`](Self::start) does, and leaves it to the caller to run a service at
    /// `service_url`, with [`service_command`](Self::service_command).
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn prepare(
        bin: &Path,
        agent_name: &str,
        organisation: &str,
        service_url: &str,
    ) -> Result<Self> {
        let mut deployment = Self::make_keys(bin, agent_name, organisation)?;
        service_url.clone_into(&mut deployment.service_url);
        std::fs::write(deployment.registry(), deployment.registry_text())?;
        Ok(deployment)
    }

    fn make_keys(bin: &Path, agent_name: &str, organisation: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("etatuki-").tempdir()?;
        let key = folder.path().join("vendor.key");
        let vendor_key = run_vendor(bin, &["key", "new", "--out"], &key)?;
        let card = folder.path().join("agent.toml");
        let key = key.to_string_lossy().into_owned();
        run_vendor(
            bin,
            &[
                "agent",
                "add",
                agent_name,
                "--organisation",
                organisation,
                "--key",
                &key,
                "--out",
            ],
            &card,
        )?;
        Ok(Self {
            bin: bin.to_owned(),
            service: None,
            service_url: String::new(),
            vendor_key,
            folder,
        })
    }

    /// Returns the folder of this run.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the folder of the programs.
    pub fn bin(&self) -> &Path {
        &self.bin
    }

    /// Returns the service's URL; `http://127.0.0.1:PORT` where it is of its own.
    pub fn service_url(&self) -> &str {
        &self.service_url
    }

    /// Kills the service.
    ///
    /// # Errors
    /// It can't be waited for.
    pub fn kill_service(&mut self) -> Result<()> {
        let service = self.service.as_mut().context("no service of its own")?;
        service.child().kill()?;
        service.child().wait()?;
        Ok(())
    }

    /// Starts another service on the port of the one that was killed; it knows none of its
    /// sessions.
    ///
    /// # Errors
    /// It doesn't start, or the port was taken meanwhile.
    pub fn start_service(&mut self) -> Result<()> {
        let list = self.revocations();
        self.restart_service(Some(&list))
    }

    /// Does what [`start_service`](Self::start_service) does, with a service that has no revocation
    /// list.
    ///
    /// # Errors
    /// It doesn't start, or the port was taken meanwhile.
    pub fn start_service_without_list(&mut self) -> Result<()> {
        self.restart_service(None)
    }

    fn restart_service(&mut self, list: Option<&Path>) -> Result<()> {
        let listen = self.service_url.trim_start_matches("http://").to_owned();
        self.spawn_service(&listen, list)
    }

    fn spawn_service(&mut self, listen: &str, list: Option<&Path>) -> Result<()> {
        let log = std::fs::File::create(self.service_log())?;
        let mut command = self.service_command(listen);
        command.args(list.map(|_| "--revocations")).args(list);
        let (process, ready, _) = Process::start_until_ready(command.stderr(log))?;
        let ready: serde_json::Value = serde_json::from_str(&ready)?;
        let url = ready["listening"]
            .as_str()
            .context("the service did not say where it listens")?;
        url.clone_into(&mut self.service_url);
        self.service = Some(process);
        Ok(())
    }

    /// Returns the command for a service of this vendor, without a revocation list.
    pub fn service_command(&self, listen: &str) -> Command {
        let mut command = Command::new(self.bin.join("etatuki-service"));
        command.args([
            "serve",
            "--listen",
            listen,
            "--vendor-key",
            &self.vendor_key,
        ]);
        command
    }

    /// Returns the path of the vendor's revocation list.
    pub fn revocations(&self) -> PathBuf {
        self.folder().join("revocations.txt")
    }

    /// Returns the path of the service's log.
    pub fn service_log(&self) -> PathBuf {
        self.folder().join("service.log")
    }

    /// Returns the vendor's public key.
    pub fn vendor_key(&self) -> &str {
        &self.vendor_key
    }

    /// Returns the path of the agent's card and key.
    pub fn agent_file(&self) -> PathBuf {
        self.folder().join("agent.toml")
    }

    /// Returns the path of this run's registry.
    pub fn registry(&self) -> PathBuf {
        self.folder().join("backends.toml")
    }

    /// Returns the registry that ships, with this run's vendor key and service.
    pub fn registry_text(&self) -> String {
        let shipped = include_str!("../../../backends.toml");
        let line = |line: &str| match line.split(' ').next() {
            Some("keys") => format!("keys = [\"{}\"]", self.vendor_key),
            Some("url") => format!("url = \"{}\"", self.service_url),
            _ => line.to_owned(),
        };
        shipped.lines().map(line).collect::<Vec<_>>().join("\n") + "\n"
    }

    /// Returns the command for one of the programs in `bin`, with its state and settings inside
    /// this run's folder.
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        let home = self.folder().join("home");
        command.env("HOME", &home);
        for (variable, folder) in [
            ("XDG_CONFIG_HOME", ".config"),
            ("XDG_STATE_HOME", ".local/state"),
            ("XDG_DATA_HOME", ".local/share"),
        ] {
            command.env(variable, home.join(folder));
        }
        command
    }

    /// Returns the command for the launcher on a display, with this run's registry.
    pub fn launcher(&self, display: &str) -> Command {
        let mut command = self.program("etatuki");
        command
            .arg("--registry")
            .arg(self.registry())
            .env("DISPLAY", display);
        command
    }

    /// Returns the running programs of both sides and all that they started: process id and name.
    /// They are found by the home folder in their environment, so that orphans are found as well.
    pub fn processes(&self) -> BTreeMap<u32, String> {
        let home = format!("HOME={}/", self.folder().display());
        let mut found = BTreeMap::new();
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            // A zombie's environment is empty.
            let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
            let is_ours = environment
                .split(|byte| *byte == 0)
                .any(|variable| variable.starts_with(home.as_bytes()));
            let pid = entry.file_name().to_string_lossy().parse();
            if let (true, Ok(pid)) = (is_ours, pid) {
                let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
                found.insert(pid, name.trim().to_owned());
            }
        }
        found
    }

    /// Returns the command for the console with this run's agent. It prints the address of its
    /// page.
    pub fn console(&self, arguments: &[&str]) -> Command {
        let mut command = self.program("etatuki-console");
        command
            .args(arguments)
            .arg("--agent")
            .arg(self.agent_file())
            .args(["--service", &self.service_url]);
        command
    }
}

/// Runs `etatuki-vendor` with `arguments` and the path `out` after them; returns its stdout.
fn run_vendor(bin: &Path, arguments: &[&str], out: &Path) -> Result<String> {
    let program = bin.join("etatuki-vendor");
    let output = Command::new(&program)
        .args(arguments)
        .arg(out)
        .stdin(Stdio::null())
        .output();
    let output = output.with_context(|| format!("can't start {}", program.display()))?;
    if !output.status.success() {
        bail!(
            "etatuki-vendor {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
