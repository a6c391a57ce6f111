//! What the parent knows of a plugin before and after it is loaded.

use std::path::PathBuf;

use etatuki_backend_api::raw;
use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

/// Which plugin to load, and what it must turn out to be. All of it comes from the registry.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PluginSpec {
    /// The id that the plugin's descriptor must carry.
    pub id: String,
    /// The library: absolute, without links, `.` or `..`, inside `folder`.
    pub path: PathBuf,
    /// The versions that will do.
    pub version: VersionReq,
    /// What the file must hash to, when the registry says it.
    pub sha256: Option<[u8; 32]>,
    /// The minisign public key whose signature the file must have, when the registry says it: in `FILE.minisig`.
    pub minisign: Option<String>,
    /// The only folder that plugins come from: absolute, without links.
    pub folder: PathBuf,
    /// The backend's options, handed to the plugin as JSON.
    pub options: serde_json::Value,
    /// Whether its sessions go over a transport of its own; the plugin must say the same.
    pub own_transport: bool,
    /// Whether the plugin may use the network; else Unix sockets are all it has.
    pub network: bool,
    /// The customer's language: `fi`, `sv` or `en`.
    pub language: String,
    /// Where all that was written; stays with the parent.
    #[serde(skip)]
    pub origin: Origin,
}

/// Where the registry says what is in a [`PluginSpec`]: the beginning of the sentence about an error that is mended
/// there, such as "backends.toml, line 12, key `backend.plugin`". Empty where there is no registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are the keys of their places")]
pub struct Origin {
    pub plugin: String,
    pub version: String,
    pub options: String,
}

/// What a loaded plugin says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadedPlugin {
    /// Its id.
    pub id: String,
    /// A name for people.
    pub name: String,
    /// Who made it.
    pub vendor: String,
    /// Its version.
    pub version: Version,
    /// `remoteus`, `ecom` or `own`.
    pub code_form: String,
    /// The bits of `etatuki_backend_api::Capabilities`.
    pub capabilities: u64,
    /// Whether it can share one program alone: it has the extension `etatuki.scope/1`.
    #[serde(default)]
    pub limits: bool,
}

impl LoadedPlugin {
    /// Whether it declares that it takes keys and pointer.
    pub fn takes_input(&self) -> bool {
        self.declares(raw::CAP_INPUT)
    }

    /// Whether it declares that it carries clipboard text.
    pub fn carries_clipboard(&self) -> bool {
        self.declares(raw::CAP_CLIPBOARD)
    }

    /// Whether it declares that it obeys SetDesktopSize.
    pub fn resizes(&self) -> bool {
        self.declares(raw::CAP_RESIZE)
    }

    fn declares(&self, capability: u64) -> bool {
        self.capabilities & capability != 0
    }
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum ProbeReport {
    /// The backend can be used here.
    Usable {
        /// The tool that it drives, if any.
        tool: Option<String>,
        /// The tool's version as it says it.
        version: Option<String>,
    },
    /// It can't, and why.
    Unusable {
        /// Stable name, such as `tool-missing`.
        name: String,
        /// A sentence for a person, English.
        text: String,
    },
}
