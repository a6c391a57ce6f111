//! Configuration of a session, given at its start; all of it comes from the registry or the
//! launcher.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use etatuki_plugin_host::PluginSpec;
use etatuki_protocol::{UsableBackend, Wording};
use etatuki_session_core::{Installation, Transport};
use etatuki_trust::{LinkCredentials, StaleRevocations, VendorPublicKey};

use crate::display_check::DisplayCheck;
use crate::display_watch::DisplayWatch;
use crate::input_release::InputRelease;
use crate::restart_keeper::RestartKeeper;

/// Configuration of one session. Plain data: nothing is opened or read before
/// [`Command::Open`](etatuki_session_core::Command::Open).
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// Vendor whose support this is.
    pub vendor: Vendor,
    /// URL of the service, `https://host[:port]`; `http` for loopback alone.
    pub service: String,
    /// Entry that was picked.
    pub backend: Backend,
    /// The other entries, and whether they could be used here: an agent may ask to switch to them.
    pub other_backends: Vec<UsableBackend>,
    /// Operating system in words, for the agent: "Debian 12, x86_64".
    pub system: String,
    /// Version of the accounting program, if it was given with `--app-version`.
    pub app_version: Option<String>,
    /// The accounting program, if the launcher was told which one it is. The customer may share it
    /// alone.
    pub app: Option<App>,
    /// Version of this launcher.
    pub launcher_version: String,
    /// Words of the launcher's windows; `None` if an accounting program's windows stand for them.
    pub wording: Option<Wording>,
    /// Executable that is started as `plugin-host`: the launcher itself.
    pub host_exe: PathBuf,
    /// File of the newest revocation lists ever seen; `None` keeps none (tests).
    pub revocations: Option<PathBuf>,
    /// Releases held input over a connection of the launcher's own; `None` where there is no display
    /// (tests).
    pub input_release: Option<Arc<dyn InputRelease>>,
    /// Check of the display before the plugin is started; `None` where there is none (tests). Entries
    /// with their own transport aren't checked: their tools judge for themselves.
    pub display_check: Option<DisplayCheck>,
    /// Watch over the display while the agent sees it; `None` where there is none (tests).
    pub display_watch: Option<Arc<dyn DisplayWatch>>,
    /// The place of what a restart needs; `None` where this launcher can't come back.
    pub restart: Option<Arc<dyn RestartKeeper>>,
    /// Link of a process before a restart of the machine: the first `Open` goes on with it. Or the
    /// reason why it can't: the first `Open` fails as `restart-refused`.
    pub come_back: Option<Result<ComeBack, String>>,
    /// Meaning of a revocation list that is missing or outdated.
    pub stale_revocations: StaleRevocations,
    /// Time from an interruption of the link in which it can be resumed: two minutes
    /// ([`RESUME_LIMIT`](etatuki_protocol::RESUME_LIMIT)) but in tests.
    pub resume_limit: Duration,
}

/// A link that goes on after a restart of the machine.
#[derive(Clone, Debug)]
pub struct ComeBack {
    /// The customer's end of it.
    pub link: LinkCredentials,
    /// Time from `Open` in which the agent can resume it.
    pub limit: Duration,
}

/// The accounting program that called the launcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// Ids of its processes. Their windows are the program's.
    pub pids: Vec<u32>,
    /// Name, as the customer knows it.
    pub name: String,
}

/// The vendor whose support this is, from the registry.
#[derive(Clone, Debug)]
pub struct Vendor {
    /// Name, as the customer knows it.
    pub name: String,
    /// Phone number to call, as it is shown.
    pub phone: String,
    /// Keys that may have signed an agent's card.
    pub keys: Vec<VendorPublicKey>,
}

/// One entry of the registry.
#[derive(Clone, Debug)]
pub struct Backend {
    /// Id in the registry: `ecom`, `remoteus-2008`, …
    pub id: String,
    /// Name in the customer's language.
    pub label: String,
    /// Transport of the entry's sessions.
    pub transport: Transport,
    /// Plugin that implements the entry.
    pub plugin: PluginSpec,
}

impl SessionConfig {
    /// Returns the description of the customer's end.
    pub fn installation(&self) -> Installation {
        Installation {
            backend: self.backend.id.clone(),
            label: self.backend.label.clone(),
            transport: self.backend.transport,
            system: self.system.clone(),
            app_version: self.app_version.clone(),
            launcher_version: self.launcher_version.clone(),
            wording: self.wording.clone(),
        }
    }
}
