//! One vendor on one machine: a key, an agent's card, a service in memory on loopback, and a registry.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::process::Process;

/// Where everything is while the stage stands; all of it is gone afterwards.
#[derive(Debug)]
pub struct Stage {
    bin: PathBuf,
    service: Process,
    service_url: String,
    vendor_key: String,
    folder: TempDir,
}

impl Stage {
    /// Sets it up with the programs that lie in `bin`. The agent is `agent_name` of `organisation`.
    pub fn set_up(bin: &Path, agent_name: &str, organisation: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("etatuki-").tempdir()?;
        let key = folder.path().join("vendor.key");
        let vendor_key = vendor(bin, &["key", "new", "--out"], &key, &[])?;
        let card = folder.path().join("agent.toml");
        let owner = key.to_string_lossy().into_owned();
        vendor(
            bin,
            &[
                "agent",
                "add",
                agent_name,
                "--organisation",
                organisation,
                "--key",
                &owner,
                "--out",
            ],
            &card,
            &[],
        )?;
        let (service, service_url) = service(bin, &vendor_key, folder.path(), "127.0.0.1:0")?;
        let stage = Self {
            bin: bin.to_owned(),
            service,
            service_url,
            vendor_key,
            folder,
        };
        std::fs::write(stage.registry(), stage.registry_text())?;
        Ok(stage)
    }

    /// The folder of this run.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of the programs.
    pub fn bin(&self) -> &Path {
        &self.bin
    }

    /// The service's address, `http://127.0.0.1:PORT`.
    pub fn service_url(&self) -> &str {
        &self.service_url
    }

    /// Kills the service.
    ///
    /// # Errors
    /// It can't be waited for.
    pub fn kill_service(&mut self) -> Result<()> {
        self.service.child().kill()?;
        self.service.child().wait()?;
        Ok(())
    }

    /// Starts another service in the place of the one that was killed; it knows nothing of what that one knew.
    ///
    /// # Errors
    /// It doesn't start, or the port was taken meanwhile.
    pub fn start_service(&mut self) -> Result<()> {
        let listen = self.service_url.trim_start_matches("http://");
        let (process, _) = service(&self.bin, &self.vendor_key, self.folder.path(), listen)?;
        self.service = process;
        Ok(())
    }

    /// What the service wrote to its log so far.
    pub fn service_log(&self) -> PathBuf {
        self.folder().join("service.log")
    }

    /// The vendor's public key.
    pub fn vendor_key(&self) -> &str {
        &self.vendor_key
    }

    /// The agent's card and key.
    pub fn agent_file(&self) -> PathBuf {
        self.folder().join("agent.toml")
    }

    /// The registry made for this run.
    pub fn registry(&self) -> PathBuf {
        self.folder().join("backends.toml")
    }

    /// The registry that ships, with this run's vendor key and service.
    pub fn registry_text(&self) -> String {
        let shipped = include_str!("../../../backends.toml");
        let line = |line: &str| match line.split(' ').next() {
            Some("keys") => format!("keys = [\"{}\"]", self.vendor_key),
            Some("url") => format!("url = \"{}\"", self.service_url),
            _ => line.to_owned(),
        };
        shipped.lines().map(line).collect::<Vec<_>>().join("\n") + "\n"
    }

    /// A program of ours, with its state and settings kept inside this run's folder.
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

    /// The launcher on a display, with this run's registry.
    pub fn launcher(&self, display: &str) -> Command {
        let mut command = self.program("etatuki");
        command
            .arg("--registry")
            .arg(self.registry())
            .env("DISPLAY", display);
        command
    }

    /// The running programs of both sides, and all that they started: number and name. They are found by the home folder
    /// that they were started with, so that those whose parent died are found as well.
    pub fn processes(&self) -> BTreeMap<u32, String> {
        let home = format!("HOME={}/", self.folder().display());
        let mut found = BTreeMap::new();
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            // A zombie's environment is empty.
            let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
            let ours = environment
                .split(|byte| *byte == 0)
                .any(|variable| variable.starts_with(home.as_bytes()));
            let pid = entry.file_name().to_string_lossy().parse();
            if let (true, Ok(pid)) = (ours, pid) {
                let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
                found.insert(pid, name.trim().to_owned());
            }
        }
        found
    }

    /// The console, with this run's agent. The address of its page comes on its stdout.
    pub fn console(&self, mode: &[&str]) -> Command {
        let mut command = self.program("etatuki-console");
        command
            .args(mode)
            .arg("--agent")
            .arg(self.agent_file())
            .args(["--service", &self.service_url]);
        command
    }
}

fn vendor(bin: &Path, args: &[&str], out: &Path, more: &[&str]) -> Result<String> {
    let program = bin.join("etatuki-vendor");
    let done = Command::new(&program)
        .args(args)
        .arg(out)
        .args(more)
        .stdin(Stdio::null())
        .output();
    let done = done.with_context(|| format!("can't start {}", program.display()))?;
    if !done.status.success() {
        bail!(
            "etatuki-vendor {}: {}",
            args.join(" "),
            String::from_utf8_lossy(&done.stderr).trim()
        );
    }
    Ok(String::from_utf8(done.stdout)?.trim().to_owned())
}

fn service(bin: &Path, vendor_key: &str, folder: &Path, listen: &str) -> Result<(Process, String)> {
    let log = std::fs::File::create(folder.join("service.log"))?;
    let (process, ready, _) = Process::start_ready(
        Command::new(bin.join("etatuki-service"))
            .args(["serve", "--listen", listen, "--vendor-key", vendor_key])
            .stderr(log),
    )?;
    let ready: serde_json::Value = serde_json::from_str(&ready)?;
    let url = ready["listening"]
        .as_str()
        .context("the service did not say where it listens")?;
    Ok((process, url.to_owned()))
}
