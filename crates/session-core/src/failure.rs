//! Failures of a session: one table of their stable names, and whose fault each is.

use serde::Serialize;

/// The party at whose side a failure lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fault {
    /// The launcher or its plugin.
    Ours,
    /// The installed tool, or the display that it needs.
    Tool,
    /// The network or the service.
    Network,
    /// The agent's program, which broke the rules.
    Agent,
    /// The installation: a plugin that is missing, untrusted or unfit.
    Setup,
}

/// Makes [`FailureName`] from lines of variant, stable name and fault.
macro_rules! failure_names {
    ($($(#[$doc:meta])* $variant:ident $name:literal $fault:ident;)*) => {
        /// Stable names of failures. The launcher has a sentence per language for each.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
        pub enum FailureName {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl FailureName {
            /// All names, for tables of texts and of exit codes.
            pub const ALL: [FailureName; [$($name),*].len()] = [$(FailureName::$variant),*];

            /// Returns the name as it is written everywhere: `tool-missing`.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(FailureName::$variant => $name,)*
                }
            }

            /// Returns whose fault a failure of this name is.
            pub fn fault(self) -> Fault {
                match self {
                    $(FailureName::$variant => Fault::$fault,)*
                }
            }
        }
    };
}

failure_names! {
    /// The service can't be connected to, or didn't answer in time, for no reason below.
    ServiceUnreachable "service-unreachable" Network;
    /// This machine has no network.
    NetworkOffline "network-offline" Network;
    /// The name servers don't answer.
    DnsSilent "dns-silent" Network;
    /// The service's name isn't there.
    DnsNameUnknown "dns-name-unknown" Network;
    /// The service's machine is there, and its port is closed.
    ConnectionRefused "connection-refused" Network;
    /// The proxy can't be reached.
    ProxyUnreachable "proxy-unreachable" Network;
    /// The proxy wants a user and password, or others.
    ProxyLogin "proxy-login" Network;
    /// The proxy doesn't let this machine to the service.
    ProxyRefused "proxy-refused" Network;
    /// The proxy that is set is of a kind that isn't used, and without it nothing answers.
    ProxyUnsupported "proxy-unsupported" Network;
    /// The service's certificate is by an unknown CA.
    CertificateUntrusted "certificate-untrusted" Network;
    /// Something else answers in the service's place, such as the login page of a guest network.
    LoginPage "login-page" Network;
    /// The service answered with an error or nonsense.
    ServiceError "service-error" Network;
    /// The revocation lists are missing or outdated, or this computer's clock is wrong, and the
    /// registry lets nobody in then.
    RevocationsStale "revocations-stale" Network;
    /// The service has no nameplate free.
    NoNameplate "no-nameplate" Network;
    /// The service's certificate is out of its time by this machine's clock.
    ClockWrong "clock-wrong" Setup;
    /// There is no display.
    DisplayMissing "display-missing" Tool;
    /// The display is of a kind that can't be shared.
    DisplayUnsupported "display-unsupported" Tool;
    /// The desktop runs on Wayland, where no program sees the screen.
    DisplayWayland "display-wayland" Tool;
    /// The screen has more pixels than the launcher's framebuffer takes.
    DisplayTooLarge "display-too-large" Tool;
    /// The display died.
    DisplayLost "display-lost" Tool;
    /// Another session has the display.
    SessionRunning "session-running" Tool;
    /// The tool isn't installed.
    ToolMissing "tool-missing" Tool;
    /// The installed tool is too old.
    ToolTooOld "tool-too-old" Tool;
    /// The tool ended by itself.
    ToolDied "tool-died" Tool;
    /// The tool runs, but not as it must.
    ToolFailed "tool-failed" Tool;
    /// The registry can't be used, or a plugin's options in it are wrong.
    RegistryBroken "registry-broken" Setup;
    /// The plugin's file isn't there.
    PluginMissing "plugin-missing" Setup;
    /// The plugin's file isn't trusted.
    PluginRefused "plugin-refused" Setup;
    /// The owner of the plugin's file isn't known in this user namespace.
    PluginUnverifiable "plugin-unverifiable" Setup;
    /// The plugin is of a version that the registry or the launcher doesn't take.
    PluginWrongVersion "plugin-wrong-version" Setup;
    /// The plugin's process ended by itself.
    PluginDied "plugin-died" Ours;
    /// The plugin didn't do in time what it was told.
    PluginHung "plugin-hung" Ours;
    /// The plugin failed otherwise.
    PluginFailed "plugin-failed" Ours;
    /// The link's endpoint couldn't be opened.
    LinkFailed "link-failed" Network;
    /// The link dropped and didn't come back.
    LinkLost "link-lost" Network;
    /// The session didn't come back after a restart of the machine.
    RestartRefused "restart-refused" Ours;
    /// The agent's program broke the rules.
    AgentMisbehaved "agent-misbehaved" Agent;
    /// Anything else.
    Internal "internal" Ours;
}

impl FailureName {
    /// Returns the failure with this stable name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }

    /// Returns the name under which a plugin's own failure `name` is shown to customers.
    ///
    /// Plugins may name their failures freely. A name of plugins, tools, displays or the registry
    /// stays; every other becomes [`PluginFailed`](Self::PluginFailed).
    pub fn from_plugin(name: &str) -> Self {
        const ALLOWED_PREFIXES: [&str; 4] = ["plugin-", "tool-", "display-", "registry-"];
        Self::from_name(name)
            .filter(|_| {
                ALLOWED_PREFIXES
                    .iter()
                    .any(|prefix| name.starts_with(prefix))
            })
            .unwrap_or(Self::PluginFailed)
    }
}

/// The reason why a session failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Stable name; the launcher has the sentence for it.
    pub name: FailureName,
    /// Exact description in English, for the log and for support. Holds no secrets.
    pub detail: String,
}

impl Failure {
    /// Makes a failure.
    pub fn new(name: FailureName, detail: impl Into<String>) -> Self {
        Self {
            name,
            detail: detail.into(),
        }
    }

    /// Returns whose fault it is.
    pub fn fault(&self) -> Fault {
        self.name.fault()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_may_name_plugins_tools_displays_and_the_registry() {
        for name in FailureName::ALL {
            let shown = FailureName::from_plugin(name.as_str());
            let kind = name.as_str().split('-').next().expect("a first word");
            if ["plugin", "tool", "display", "registry"].contains(&kind) {
                assert_eq!(shown, name);
            } else {
                assert_eq!(shown, FailureName::PluginFailed, "{name:?}");
            }
        }
        for made_up in ["", "tool-", "tool-tired", "closed"] {
            assert_eq!(FailureName::from_plugin(made_up), FailureName::PluginFailed);
        }
    }

    #[test]
    fn serde_writes_the_stable_name() {
        for name in FailureName::ALL {
            assert_eq!(serde_json::json!(name), name.as_str());
            assert_eq!(FailureName::from_name(name.as_str()), Some(name));
        }
    }
}
