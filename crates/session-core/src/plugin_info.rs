//! A loaded plugin: its state, and facts about it.

use crate::gate::BackendCapabilities;
use crate::machine::ProbedPlugin;

/// State of a plugin, apart from its failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PluginState {
    /// The plugin has no code, and nothing runs.
    Closed,
    /// The plugin was given a code and isn't ready.
    Opening,
    /// The plugin's code can be read aloud.
    Waiting,
    /// The plugin's picture is attached, or somebody has connected by its own transport.
    Attached,
    /// The plugin is ending what it started.
    Closing,
}

/// Facts about a loaded plugin.
#[derive(Clone, Debug, Default)]
pub struct PluginInfo {
    /// Version of the plugin.
    pub version: String,
    /// Tool that it drives, if any.
    pub tool: Option<String>,
    /// Version of the tool, as the tool reports it.
    pub tool_version: Option<String>,
    /// Whether it can share one program alone.
    pub supports_app_sharing: bool,
    /// Capabilities that its descriptor declares.
    pub capabilities: BackendCapabilities,
}

impl PluginInfo {
    /// Returns the facts that decide what a session offers.
    pub fn probed(&self) -> ProbedPlugin {
        ProbedPlugin {
            has_tool: self.tool.is_some(),
            takes_input: self.capabilities.input,
            supports_app_sharing: self.supports_app_sharing,
        }
    }
}
