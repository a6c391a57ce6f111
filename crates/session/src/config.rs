//! What a session is told at its start; all of it comes from the registry or from the launcher itself.

use std::path::PathBuf;

use etatuki_plugin_host::PluginSpec;
use etatuki_protocol::UsableBackend;
use etatuki_trust::{CodeForm, VendorPublicKey};

/// Everything one session needs to know. Plain data: nothing is opened or read before
/// [`Command::Open`](crate::Command::Open).
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// Whose support this is.
    pub vendor: Vendor,
    /// The service's URL, `https://host[:port]`; `http` is for loopback.
    pub service: String,
    /// The entry that was picked.
    pub backend: Backend,
    /// The other entries, and whether they could be used here: what an agent may ask to switch to.
    pub other_backends: Vec<UsableBackend>,
    /// The operating system in words, for the agent: "Debian 12, x86_64".
    pub system: String,
    /// The accounting program's version, when it was given with `--app-version`.
    pub app_version: Option<String>,
    /// The accounting program, when the launcher was told which one it is: the customer may share it alone.
    pub app: Option<App>,
    /// This launcher's own version.
    pub launcher_version: String,
    /// The executable that is started as `plugin-host`: the launcher itself.
    pub host_exe: PathBuf,
    /// Where the newest revocation list that was seen is kept; `None` keeps none (tests).
    pub revocations: Option<PathBuf>,
}

/// The program that called the launcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// Its processes; their windows are the program's.
    pub pids: Vec<u32>,
    /// Its name, as the customer knows it.
    pub name: String,
}

/// Whose support this is, from the registry.
#[derive(Clone, Debug)]
pub struct Vendor {
    /// The vendor's name, as the customer knows it.
    pub name: String,
    /// The phone number to call, as it is to be shown.
    pub phone: String,
    /// The keys that may have signed an agent's card.
    pub keys: Vec<VendorPublicKey>,
}

/// How an entry's sessions reach the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Over our own link, encrypted and with the customer's consent, by a code of this form.
    Link(CodeForm),
    /// By what the entry's tool brings along: with its code, its consent and its encryption.
    External,
}

/// One entry of the registry.
#[derive(Clone, Debug)]
pub struct Backend {
    /// The registry's id: `ecom`, `remoteus-2008`, …
    pub id: String,
    /// The entry's name in the customer's language.
    pub label: String,
    /// Whether its sessions go over our link.
    pub transport: Transport,
    /// The plugin that implements it.
    pub plugin: PluginSpec,
}
