//! What the plugins of both generations have in common: a driver with a profile.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use etatuki_backend_api::{Failure, Host, Level, Probe, Unusable};

use crate::find::{Found, find};
use crate::profile::Profile;
use crate::running::{Outcome, Start, Started};

/// A profile at work in one session.
#[derive(Debug)]
pub struct Driver {
    profile: Profile,
    found: Found,
}

/// Is the tool here, new enough, and is there a display to share?
pub fn probe(default: Profile, host: &Host) -> Result<Probe, Unusable> {
    let driver = Driver::new(default, host)?;
    Ok(Probe {
        tool: Some(driver.profile.tool),
        version: Some(driver.found.version.to_string()),
    })
}

impl Driver {
    /// Finds the tool of the plugin's own profile with the registry's options laid over it.
    pub fn new(default: Profile, host: &Host) -> Result<Self, Unusable> {
        let profile = default
            .with_options(host.options())
            .map_err(|error| Unusable {
                name: "registry-broken",
                text: error.to_string(),
            })?;
        check_display(&profile)?;
        let found = find(&profile)?;
        Ok(Self { profile, found })
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

    /// Runs the tool on `socket` until it or the other end of `peer` is done; `pem` is the path of the session's
    /// key and certificate, for the generation that needs one. `socket` and `peer` may be the same socket.
    pub fn serve(
        &self,
        host: &Host,
        socket: OwnedFd,
        peer: &UnixStream,
        pem: &str,
    ) -> Result<(), Failure> {
        let display = self.profile.display().unwrap_or_default();
        let args = self.profile.start_args(&display, pem);
        let start = Start {
            path: &self.found.path,
            args: &args,
            socket,
        };
        let log = host.clone();
        let outcome = Started::start(start, move |line| log.log(Level::Debug, line))
            .and_then(|started| started.watch(peer))
            .map_err(|error| {
                Failure::tool(
                    "tool-failed",
                    format!("{}: {error}", self.found.path.display()),
                )
            })?;
        match outcome {
            Outcome::Ended => Ok(()),
            Outcome::DisplayLost => Err(Failure::tool("display-lost", "the display went away")),
            Outcome::Died(how) => Err(Failure::tool(
                "tool-died",
                format!("{}: {how}", self.profile.tool),
            )),
        }
    }
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
