//! The part that both plugins share: a profile, and the installed tool that it found.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use etatuki_backend_api::{Failure, Host, LogLevel, Probe, Unusable};
use serde_json::Value;

use crate::installed_tool::{InstalledTool, find_tool};
use crate::profile::{InputPath, Profile, ProfileError, RfbTransport, ToolKind, fill_placeholders};
use crate::running_tool::{RunningTool, ToolCommand, ToolExit};

/// A profile and its tool, for one session.
#[derive(Debug)]
pub struct Driver {
    pub(crate) profile: Profile,
    pub(crate) installed: InstalledTool,
}

impl Driver {
    /// Reads the profile from the registry's options, and finds its tool and the display to share.
    /// `read` is [`Profile::rfb`] or [`Profile::external`].
    ///
    /// # Errors
    /// `registry-broken`, `display-missing`, or an error of [`find_tool`].
    pub fn new(
        read: fn(&Value) -> Result<Profile, ProfileError>,
        host: &Host,
    ) -> Result<Self, Unusable> {
        let profile = read(host.options()).map_err(|error| Unusable {
            name: "registry-broken",
            text: error.to_string(),
        })?;
        require_network(&profile)?;
        require_display(&profile)?;
        let installed = find_tool(&profile)?;
        Ok(Self { profile, installed })
    }

    /// Returns the result of a probe.
    pub fn probe(&self) -> Probe {
        Probe {
            tool: Some(self.profile.tool.clone()),
            version: self.installed.version.as_ref().map(ToString::to_string),
        }
    }

    /// Returns the connection on which the tool serves RFB; `None` for a tool with its own
    /// transport.
    pub fn rfb_transport(&self) -> Option<RfbTransport> {
        match self.profile.kind {
            ToolKind::Rfb(transport) => Some(transport),
            ToolKind::External(_) => None,
        }
    }

    /// Returns the display on which the plugin gives the agent's input itself; `None` where the tool
    /// does.
    pub fn input_display(&self) -> Option<String> {
        match self.profile.input {
            InputPath::Plugin => self.profile.display(),
            InputPath::Tool => None,
        }
    }

    /// Logs a warning if the tool runs already: two of them on one screen are slow, but no danger.
    pub fn warn_if_running(&self, host: &Host) {
        let Ok(mut system) = sysinfo::System::new() else {
            return;
        };
        let _ = system.refresh_processes_specifics(
            sysinfo::ProcessesToUpdate::All,
            true,
            sysinfo::ProcessRefreshKind::nothing(),
        );
        let count = system
            .processes_by_exact_name(self.profile.tool.as_ref())
            .count();
        if count > 0 {
            host.log(
                LogLevel::Warn,
                &format!("{} runs already ({count})", self.profile.tool),
            );
        }
    }

    /// Runs the tool until it exits or the other end of `peer` is gone. `socket` becomes its stdin
    /// and stdout; without one it has none. `values` are placeholders beside `{display}`: `("pem",
    /// path)`, `("port", number)`.
    ///
    /// # Errors
    /// The tool can't be started, or exited before its peer left: the failure that its output
    /// reported, else `tool-died`.
    pub fn serve(
        &self,
        host: &Host,
        socket: Option<OwnedFd>,
        peer: &UnixStream,
        values: &[(&str, &str)],
    ) -> Result<(), Failure> {
        let log = host.clone();
        let log_line = move |line: &str| log.log(LogLevel::Debug, line);
        match self.run_tool(socket, peer, values, &[], log_line)? {
            ToolExit::Ended => Ok(()),
            ToolExit::Failed(name, line) => Err(Failure::tool(name, line)),
            ToolExit::Died { how, .. } => {
                let text = format!("{}: {how}", self.profile.tool);
                Err(Failure::tool("tool-died", text))
            }
        }
    }

    /// Runs a tool of any kind, as [`serve`](Self::serve) does. `on_line` gets each line of its
    /// output, `env` is added to its environment.
    pub(crate) fn run_tool(
        &self,
        socket: Option<OwnedFd>,
        peer: &UnixStream,
        values: &[(&str, &str)],
        env: &[(&str, &str)],
        on_line: impl FnMut(&str) + Send + 'static,
    ) -> Result<ToolExit, Failure> {
        let display = self.profile.display().unwrap_or_default();
        let display = ("display", display.as_str());
        let values: Vec<_> = [display]
            .into_iter()
            .chain(values.iter().copied())
            .collect();
        let command = ToolCommand {
            path: &self.installed.path,
            args: &fill_placeholders(&self.profile.start, &values),
            stop: &fill_placeholders(&self.profile.stop, &[display]),
            env,
            socket,
        };
        RunningTool::start(command, &self.profile, on_line)
            .and_then(|tool| tool.supervise(peer))
            .map_err(|error| {
                let text = format!("{}: {error}", self.installed.path.display());
                Failure::tool("tool-failed", text)
            })
    }
}

/// Checks that there is a network if the tool needs one: it would fail later, with a message of its
/// own.
fn require_network(profile: &Profile) -> Result<(), Unusable> {
    let needed = !matches!(profile.kind, ToolKind::Rfb(RfbTransport::Stdio));
    if needed && std::net::UdpSocket::bind("127.0.0.1:0").is_err() {
        let text = "this tool needs the network: add `network = true` to the backend";
        return Err(Unusable {
            name: "registry-broken",
            text: text.to_owned(),
        });
    }
    Ok(())
}

fn require_display(profile: &Profile) -> Result<(), Unusable> {
    let missing = |text: String| Unusable {
        name: "display-missing",
        text,
    };
    let display = profile
        .display()
        .ok_or_else(|| missing("DISPLAY is not set".to_owned()))?;
    x11rb::connect(Some(&display))
        .map(drop)
        .map_err(|error| missing(format!("display {display}: {error}")))
}
