//! Descriptions of a plugin, before and after it is loaded.

use std::path::PathBuf;

use etatuki_backend_api::Capabilities;
use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

/// The plugin to load, and what it must turn out to be, as the registry says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PluginSpec {
    /// Id that the plugin's descriptor must carry.
    pub id: String,
    /// Library file: absolute, without links, `.` or `..`, inside `folder`.
    pub path: PathBuf,
    /// Accepted versions.
    pub version: VersionReq,
    /// SHA-256 that the file must have, if the registry says it.
    pub sha256: Option<[u8; 32]>,
    /// Minisign public key that must have signed the file, if the registry says it; the signature
    /// is in `FILE.minisig`.
    pub minisign: Option<String>,
    /// The only folder that plugins come from: absolute, without links.
    pub folder: PathBuf,
    /// The backend's options, given to the plugin as JSON.
    pub options: serde_json::Value,
    /// Whether the tool brings its own transport; the plugin's descriptor must agree.
    #[serde(rename = "own_transport")]
    pub external_transport: bool,
    /// Form that the plugin's code must have, by its name in the registry: `remoteus`, `ecom` or
    /// `own`. `None` takes any (tests).
    #[serde(default)]
    pub code_form: Option<String>,
    /// Whether the plugin may use the network; else it has Unix sockets alone.
    pub network: bool,
    /// The customer's language: `fi`, `sv` or `en`.
    pub language: String,
    /// Places of these values in the registry; stays with the parent.
    #[serde(skip)]
    pub origin: Origin,
}

/// Places in the registry of values of a [`PluginSpec`]: the beginning of an error's sentence, such
/// as "backends.toml, line 12, key `backend.plugin`". Empty without a registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// Place of the plugin's file name.
    pub plugin: String,
    /// Place of the version requirement.
    pub version: String,
    /// Place of the options.
    pub options: String,
    /// Place of the code's form.
    pub form: String,
}

/// A loaded plugin's description of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadedPlugin {
    /// Id.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Vendor for people.
    pub vendor: String,
    /// Version.
    pub version: Version,
    /// Name of an `etatuki_backend_api::CodeForm`: `remoteus`, `ecom` or `own`.
    pub code_form: String,
    /// Bits of `etatuki_backend_api::Capabilities`.
    pub capabilities: u64,
    /// Whether the plugin can share the windows of one app alone: it has the extension
    /// `etatuki.scope/1`.
    #[serde(default, rename = "limits")]
    pub supports_app_sharing: bool,
}

impl LoadedPlugin {
    /// Returns whether the plugin declares that it takes keys and pointer.
    pub fn takes_input(&self) -> bool {
        self.declares(Capabilities::INPUT)
    }

    /// Returns whether the plugin declares that it carries clipboard text.
    pub fn carries_clipboard(&self) -> bool {
        self.declares(Capabilities::CLIPBOARD)
    }

    /// Returns whether the plugin declares that it obeys SetDesktopSize.
    pub fn resizes(&self) -> bool {
        self.declares(Capabilities::RESIZE)
    }

    fn declares(&self, capability: Capabilities) -> bool {
        Capabilities::from_bits(self.capabilities).has(capability)
    }
}

/// Result of a probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum ProbeReport {
    /// The backend can be used on this machine.
    Usable {
        /// The tool that the plugin drives, if any.
        tool: Option<String>,
        /// The tool's version in its own words.
        version: Option<String>,
    },
    /// The backend can't be used on this machine.
    Unusable {
        /// Stable name, such as `tool-missing`.
        name: String,
        /// Reason, an English sentence for a person.
        text: String,
    },
}
