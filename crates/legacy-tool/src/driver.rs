//! What the plugins have in common: a profile, and the tool that was found by it.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use etatuki_backend_api::{Failure, Host, Level, Probe, Unusable};
use serde_json::Value;

use crate::find::{Found, find};
use crate::profile::{Carrier, Kind, Profile, ProfileError, filled};
use crate::running::{Outcome, Start, Started};

/// A profile at work in one session.
#[derive(Debug)]
pub struct Driver {
    pub(crate) profile: Profile,
    pub(crate) found: Found,
}

impl Driver {
    /// Reads the profile from the registry's options, and finds its tool: is it here, new enough, and is there a
    /// display to share? `read` is [`Profile::rfb`] or [`Profile::own`].
    ///
    /// # Errors
    /// `registry-broken`, `display-missing`, or what [`find`] says.
    pub fn new(
        read: fn(&Value) -> Result<Profile, ProfileError>,
        host: &Host,
    ) -> Result<Self, Unusable> {
        let profile = read(host.options()).map_err(|error| Unusable {
            name: "registry-broken",
            text: error.to_string(),
        })?;
        check_network(&profile)?;
        check_display(&profile)?;
        let found = find(&profile)?;
        Ok(Self { profile, found })
    }

    /// What a probe says of it.
    pub fn probe(&self) -> Probe {
        Probe {
            tool: Some(self.profile.tool.clone()),
            version: self.found.version.as_ref().map(ToString::to_string),
        }
    }

    /// How RFB comes from the tool; `None` for one with its own transport.
    pub fn carrier(&self) -> Option<Carrier> {
        match self.profile.kind {
            Kind::Rfb(carrier) => Some(carrier),
            Kind::Own(_) => None,
        }
    }

    /// Says in the log when the tool runs already: two of them on one screen are slow, but no danger.
    pub fn note_if_running(&self, host: &Host) {
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
                Level::Warn,
                &format!("{} runs already ({count})", self.profile.tool),
            );
        }
    }

    /// Runs the tool until it or the other end of `peer` is done. `socket` becomes its stdin and stdout; without one
    /// it has none. `values` are placeholders beside `{display}`: `("pem", path)`, `("port", number)`.
    ///
    /// # Errors
    /// It can't be started, or ended before its peer: by the failure that its output told of, else `tool-died`.
    pub fn serve(
        &self,
        host: &Host,
        socket: Option<OwnedFd>,
        peer: &UnixStream,
        values: &[(&str, &str)],
    ) -> Result<(), Failure> {
        let log = host.clone();
        let watch = move |line: &str| log.log(Level::Debug, line);
        match self.run(socket, peer, values, &[], watch)? {
            Outcome::Ended => Ok(()),
            Outcome::Failed(name, line) => Err(Failure::tool(name, line)),
            Outcome::Died { how, .. } => {
                let text = format!("{}: {how}", self.profile.tool);
                Err(Failure::tool("tool-died", text))
            }
        }
    }

    /// The same for any kind, with each line of what it prints told to `on_line`.
    pub(crate) fn run(
        &self,
        socket: Option<OwnedFd>,
        peer: &UnixStream,
        values: &[(&str, &str)],
        env: &[(&str, &str)],
        on_line: impl FnMut(&str) + Send + 'static,
    ) -> Result<Outcome, Failure> {
        let display = self.profile.display().unwrap_or_default();
        let display = ("display", display.as_str());
        let values: Vec<_> = [display]
            .into_iter()
            .chain(values.iter().copied())
            .collect();
        let start = Start {
            path: &self.found.path,
            args: &filled(&self.profile.start, &values),
            stop: &filled(&self.profile.stop, &[display]),
            env,
            socket,
        };
        Started::start(start, &self.profile, on_line)
            .and_then(|started| started.watch(peer))
            .map_err(|error| {
                let text = format!("{}: {error}", self.found.path.display());
                Failure::tool("tool-failed", text)
            })
    }
}

/// A tool that needs a network it doesn't have would fail later, in words of its own.
fn check_network(profile: &Profile) -> Result<(), Unusable> {
    let needed = !matches!(profile.kind, Kind::Rfb(Carrier::Stdio));
    if needed && std::net::UdpSocket::bind("127.0.0.1:0").is_err() {
        let text = "this tool needs the network: add `network = true` to the backend";
        return Err(Unusable {
            name: "registry-broken",
            text: text.to_owned(),
        });
    }
    Ok(())
}

fn check_display(profile: &Profile) -> Result<(), Unusable> {
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
