//! The description of the customer's end: for the agent, and for the first JSON line.

use etatuki_protocol::{CustomerInfo, UsableBackend, Wording};

use crate::plugin_info::PluginInfo;
use crate::transport::Transport;

/// Facts about the launcher and the entry that was picked, from the registry and the command line.
#[derive(Clone, Debug)]
pub struct Installation {
    /// Id of the entry in the registry: `ecom`, `remoteus-2008`, …
    pub backend: String,
    /// Name of the entry in the customer's language.
    pub label: String,
    /// Transport of the entry's sessions.
    pub transport: Transport,
    /// Operating system in words: "Debian 12, x86_64".
    pub system: String,
    /// Version of the accounting program, if it was given with `--app-version`.
    pub app_version: Option<String>,
    /// Version of the launcher.
    pub launcher_version: String,
    /// Words of the launcher's windows; `None` if an accounting program's windows stand for them.
    pub wording: Option<Wording>,
}

impl Installation {
    /// Returns what the agent is told of the customer's end. `others` are the other entries and
    /// whether they could be used here; `only_program` names the only program that is shared, if
    /// one is.
    pub fn customer_info(
        &self,
        plugin: &PluginInfo,
        others: &[UsableBackend],
        only_program: Option<String>,
    ) -> CustomerInfo {
        let this = UsableBackend {
            id: self.backend.clone(),
            label: self.label.clone(),
            usable: true,
            reason: None,
        };
        let others = others.iter().filter(|other| other.id != self.backend);
        CustomerInfo {
            backend: self.backend.clone(),
            label: self.label.clone(),
            tool: plugin.tool.clone(),
            tool_version: plugin.tool_version.clone(),
            plugin_version: plugin.version.clone(),
            system: self.system.clone(),
            app_version: self.app_version.clone(),
            usable: std::iter::once(this).chain(others.cloned()).collect(),
            launcher_version: self.launcher_version.clone(),
            only_program,
            unsupported: plugin.capabilities.unsupported(),
            wording: self.wording.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str) -> UsableBackend {
        UsableBackend {
            id: id.into(),
            label: id.to_uppercase(),
            usable: true,
            reason: None,
        }
    }

    #[test]
    fn the_agent_is_told_of_this_entry_first_and_of_each_once() {
        let installation = Installation {
            backend: "ecom".into(),
            label: "ECOM".into(),
            transport: Transport::External,
            system: "a test".into(),
            app_version: Some("4.13".into()),
            launcher_version: "0.1.0".into(),
            wording: None,
        };
        let plugin = PluginInfo {
            version: "1.2".into(),
            tool: Some("x11vnc".into()),
            ..PluginInfo::default()
        };
        let others = [entry("another"), entry("ecom")];
        let info = installation.customer_info(&plugin, &others, Some("Tilitin".into()));
        assert_eq!(info.usable, [entry("ecom"), entry("another")]);
        assert_eq!(info.tool.as_deref(), Some("x11vnc"));
        assert_eq!(info.plugin_version, "1.2");
        assert_eq!(info.only_program.as_deref(), Some("Tilitin"));
    }
}
