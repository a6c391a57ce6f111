//! Opening: hands a code to the plugin, and waits for the plugin to show it; the customer then reads
//! it aloud.
//!
//! Two sequences run side by side and join. The code is minted; the plugin is loaded and closed.
//! When both are there, the plugin is given the code, and once it waits with that code, the machine
//! is told.
//!
//! ```text
//!   the code                                          the plugin
//!
//!    none ◀── dropped: ClosePlugin if given ───┐       loading
//!     │ mint                                   │          │ loaded
//!     ▼                                        │          ▼
//!   minting                                    │       closed ◀──────┐
//!     │ minted                                 │          │ another  │ closed
//!     ▼                                        │          ▼ state    │
//!   minted ── the plugin is closed: ───────▶ given      busy ────────┘
//!             OpenPlugin                       │
//!                    the plugin waits with it: │
//!                             Event::CodeReady ▼
//!                                            shown
//! ```
//!
//! A plugin that waits with another code than it was given has failed: only a tool with a transport
//! of its own may make its own code. There the code is what the plugin says, and the plugin's
//! states are the session's; see [`ExternalTransport`].

use std::fmt;

use etatuki_trust::ShownCode;
use zeroize::Zeroizing;

use crate::external_transport::ExternalTransport;
use crate::failure::{Failure, FailureName};
use crate::machine::Event;
use crate::plugin_info::PluginState;
use crate::transport::Transport;

/// A step that the event loop has to take for the opening. `Debug` redacts the code.
#[derive(PartialEq)]
pub enum OpeningStep {
    /// Give the plugin this code.
    OpenPlugin(Zeroizing<String>),
    /// Have the plugin give its code up.
    ClosePlugin,
    /// Tell the machine.
    Report(Event),
}

impl fmt::Debug for OpeningStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpeningStep::OpenPlugin(_) => f.write_str("OpenPlugin(<redacted>)"),
            OpeningStep::ClosePlugin => f.write_str("ClosePlugin"),
            OpeningStep::Report(event) => f.debug_tuple("Report").field(event).finish(),
        }
    }
}

/// The opening of a session, and of every fresh code in it.
pub struct Opening {
    transport: Transport,
    code: CodeProgress,
    plugin: PluginProgress,
    /// The tool's own session, if the transport is external and a code was minted.
    external: Option<ExternalTransport>,
}

/// Progress of the code; it is secret, so there is no `Debug`.
enum CodeProgress {
    None,
    Minting,
    Minted(Zeroizing<String>),
    /// The plugin was given the code.
    Given(Zeroizing<String>),
    /// The plugin waits with the code.
    Shown(Zeroizing<String>),
}

/// Progress of the plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PluginProgress {
    Loading,
    /// The plugin is loaded and may be given a code.
    Closed,
    /// The plugin has a code, or is still ending the last one.
    Busy,
}

impl Opening {
    /// Makes the opening of a session over `transport`.
    pub fn new(transport: Transport) -> Self {
        Self {
            transport,
            code: CodeProgress::None,
            plugin: PluginProgress::Loading,
            external: None,
        }
    }

    /// Begins anew: a plugin is being loaded, and there is no code.
    pub fn reset(&mut self) {
        *self = Self::new(self.transport);
    }

    /// Records that a code is being minted.
    pub fn mint(&mut self) {
        self.code = CodeProgress::Minting;
    }

    /// Takes the minted code. For an external transport it is a password that the tool may take.
    pub fn code_minted(&mut self, code: Zeroizing<String>) -> Option<OpeningStep> {
        if !matches!(self.code, CodeProgress::Minting) {
            return None;
        }
        self.code = CodeProgress::Minted(code);
        self.external = match self.transport {
            Transport::Link(_) => None,
            Transport::External => Some(ExternalTransport::default()),
        };
        self.join()
    }

    /// Records that the plugin is loaded; it is closed then.
    pub fn plugin_loaded(&mut self) -> Option<OpeningStep> {
        self.plugin = PluginProgress::Closed;
        self.join()
    }

    /// Takes the plugin's present state, and its code if it has one.
    pub fn plugin_changed(
        &mut self,
        state: PluginState,
        code: Option<Zeroizing<String>>,
    ) -> Vec<OpeningStep> {
        if self.plugin != PluginProgress::Loading {
            self.plugin = match state {
                PluginState::Closed => PluginProgress::Closed,
                _ => PluginProgress::Busy,
            };
        }
        let mut steps: Vec<OpeningStep> = match &mut self.external {
            Some(external) => {
                let events = external.plugin_changed(state, code);
                events.into_iter().map(OpeningStep::Report).collect()
            }
            None if state == PluginState::Waiting => self.plugin_waits(code).into_iter().collect(),
            None => vec![],
        };
        steps.extend(self.join());
        steps
    }

    /// Forgets the code. The plugin has to give it up if it was given it.
    pub fn drop_code(&mut self) -> Option<OpeningStep> {
        let code = std::mem::replace(&mut self.code, CodeProgress::None);
        matches!(code, CodeProgress::Given(_) | CodeProgress::Shown(_))
            .then_some(OpeningStep::ClosePlugin)
    }

    /// Returns the code of a tool with its own transport, as it is shown.
    pub fn external_code(&self) -> Option<ShownCode> {
        self.external.as_ref()?.shown_code()
    }

    /// Gives the code to the plugin when both are ready.
    fn join(&mut self) -> Option<OpeningStep> {
        let (CodeProgress::Minted(code), PluginProgress::Closed) = (&self.code, self.plugin) else {
            return None;
        };
        let code = code.clone();
        self.code = CodeProgress::Given(code.clone());
        Some(OpeningStep::OpenPlugin(code))
    }

    /// Compares the code with which the plugin waits with the one that it was given.
    fn plugin_waits(&mut self, shown: Option<Zeroizing<String>>) -> Option<OpeningStep> {
        let (CodeProgress::Given(given) | CodeProgress::Shown(given)) = &self.code else {
            return None;
        };
        if shown.as_ref() != Some(given) {
            let detail = "the plugin doesn't show the code that it was given";
            let failure = Failure::new(FailureName::PluginFailed, detail);
            return Some(OpeningStep::Report(Event::Failed(failure)));
        }
        if let CodeProgress::Given(given) = &self.code {
            self.code = CodeProgress::Shown(given.clone());
            return Some(OpeningStep::Report(Event::CodeReady));
        }
        None
    }
}

#[cfg(test)]
mod tests;
