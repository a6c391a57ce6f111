//! A session over a tool's own transport: the code that the tool shows, and whether somebody is
//! connected. It has no service, no link and no gate.

use etatuki_trust::{FieldKind, ShownCode, ShownField};
use zeroize::Zeroizing;

use crate::failure::{Failure, FailureName};
use crate::machine::Event;
use crate::plugin_info::PluginState;

/// The tool's session, as its plugin reports it. The default is a closed one without a code.
pub struct ExternalTransport {
    /// Code of the tool; empty while the tool's own window shows it.
    code: Option<Zeroizing<String>>,
    state: PluginState,
}

impl Default for ExternalTransport {
    fn default() -> Self {
        Self {
            code: None,
            state: PluginState::Closed,
        }
    }
}

impl ExternalTransport {
    /// Returns the code as it is shown; without a field if the tool's own window shows it.
    pub fn shown_code(&self) -> Option<ShownCode> {
        let code = self.code.as_ref()?;
        let field = ShownField {
            kind: FieldKind::ToolCode,
            digits: code.to_string(),
        };
        let fields = if code.is_empty() { vec![] } else { vec![field] };
        Some(ShownCode { fields })
    }

    /// Takes the plugin's state and code. Returns the events that they mean to the machine.
    pub fn plugin_changed(
        &mut self,
        state: PluginState,
        code: Option<Zeroizing<String>>,
    ) -> Vec<Event> {
        use PluginState::{Attached, Closed, Closing, Opening, Waiting};
        let before = std::mem::replace(&mut self.state, state);
        if let Some(code) = code {
            self.code = Some(code);
        }
        match (before, state) {
            (Closed | Opening, Waiting) => vec![Event::CodeReady],
            // Between two readings it may have been waiting.
            (Closed | Opening, Attached) => vec![Event::CodeReady, Event::ExternalPeerConnected],
            (_, Waiting) => vec![Event::ExternalPeerLeft],
            (_, Attached) => vec![Event::ExternalPeerConnected],
            (Waiting | Attached, Closing | Closed) => vec![Event::ExternalToolEnded],
            (Opening, Closing | Closed) => vec![Event::Failed(ended_without_code())],
            _ => vec![],
        }
    }
}

/// The failure of a tool whose window was closed before there was a code.
fn ended_without_code() -> Failure {
    Failure::new(FailureName::ToolDied, "it ended before it had a code")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(before: PluginState, after: PluginState, expected: &[Event]) {
        let mut transport = ExternalTransport {
            code: None,
            state: before,
        };
        let events = transport.plugin_changed(after, None);
        assert_eq!(events, expected, "{before:?} to {after:?}");
    }

    #[test]
    fn the_plugins_states_are_the_tools() {
        use PluginState::{Attached, Closed, Closing, Opening, Waiting};
        check(Closed, Opening, &[]);
        check(Opening, Waiting, &[Event::CodeReady]);
        check(
            Opening,
            Attached,
            &[Event::CodeReady, Event::ExternalPeerConnected],
        );
        check(Waiting, Attached, &[Event::ExternalPeerConnected]);
        check(Attached, Waiting, &[Event::ExternalPeerLeft]);
        check(Waiting, Closing, &[Event::ExternalToolEnded]);
        check(Attached, Closed, &[Event::ExternalToolEnded]);
        check(Opening, Closing, &[Event::Failed(ended_without_code())]);
        check(Closing, Closed, &[]);
    }

    #[test]
    fn a_code_that_the_tool_shows_itself_has_no_field() {
        let mut transport = ExternalTransport::default();
        assert!(transport.shown_code().is_none());
        transport.plugin_changed(PluginState::Waiting, Some(Zeroizing::default()));
        assert_eq!(transport.shown_code().unwrap().fields.len(), 0);
        let code = Zeroizing::new("123 456".into());
        transport.plugin_changed(PluginState::Waiting, Some(code));
        let shown = transport.shown_code().unwrap();
        let field = &shown.fields[0];
        assert_eq!(
            (field.kind, &*field.digits),
            (FieldKind::ToolCode, "123 456")
        );
    }
}
