//! A session over a tool's own transport, as far as there is anything of ours in it: the code that the tool shows, and
//! whether somebody is connected. No service, no link, no gate.

use etatuki_plugin_host::State;
use etatuki_trust::{FieldKind, ShownCode, ShownField};
use zeroize::Zeroizing;

use crate::machine::Event;
use crate::view::{Failure, FailureName};

/// Digits of the password that a tool may take.
const PASSWORD_DIGITS: usize = 8;

/// What stands where other sessions have their rendezvous.
pub(crate) struct ExternalTransport {
    password: Zeroizing<String>,
    /// What the plugin says; empty while the tool's own window shows it.
    code: Option<Zeroizing<String>>,
    state: State,
}

impl ExternalTransport {
    pub(crate) fn new() -> Self {
        Self {
            password: random_password(),
            code: None,
            state: State::Closed,
        }
    }

    /// A fresh password: a tool that takes none makes its own.
    pub(crate) fn password(&self) -> Zeroizing<String> {
        self.password.clone()
    }

    /// The code as it is shown: no field when the tool's own window shows it.
    pub(crate) fn shown_code(&self) -> Option<ShownCode> {
        let code = self.code.as_ref()?;
        let field = ShownField {
            kind: FieldKind::ToolCode,
            digits: code.to_string(),
        };
        let fields = if code.is_empty() { vec![] } else { vec![field] };
        Some(ShownCode { fields })
    }

    /// What the plugin's news mean to the machine.
    pub(crate) fn on_plugin_state(
        &mut self,
        state: State,
        code: Option<Zeroizing<String>>,
    ) -> Vec<Event> {
        let before = std::mem::replace(&mut self.state, state);
        if let Some(code) = code {
            self.code = Some(code);
        }
        match (before, state) {
            (State::Closed | State::Opening, State::Waiting) => vec![Event::CodeReady],
            // Between two readings it may have been waiting.
            (State::Closed | State::Opening, State::Attached) => {
                vec![Event::CodeReady, Event::ExternalPeerConnected]
            }
            (_, State::Waiting) => vec![Event::ExternalPeerLeft],
            (_, State::Attached) => vec![Event::ExternalPeerConnected],
            (State::Waiting | State::Attached, State::Closing | State::Closed) => {
                vec![Event::ExternalToolEnded]
            }
            // Its window was closed before there was a code.
            (State::Opening, State::Closing | State::Closed) => {
                vec![Event::Failed(ended_without_code())]
            }
            _ => vec![],
        }
    }
}

fn ended_without_code() -> Failure {
    Failure {
        name: FailureName::ToolDied,
        detail: "it ended before it had a code".to_owned(),
    }
}

/// Random digits, each as likely as the others.
fn random_password() -> Zeroizing<String> {
    let mut digits = Zeroizing::new(String::with_capacity(PASSWORD_DIGITS));
    while digits.len() < PASSWORD_DIGITS {
        let mut byte = [0];
        getrandom::fill(&mut byte).expect("the system has randomness");
        if byte[0] < 250 {
            digits.push(char::from(b'0' + byte[0] % 10));
        }
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(before: State, after: State, expected: &[Event]) {
        let mut transport = ExternalTransport::new();
        transport.state = before;
        assert_eq!(
            transport.on_plugin_state(after, None),
            expected,
            "{before:?} to {after:?}"
        );
    }

    #[test]
    fn the_plugins_states_are_the_tools() {
        use State::{Attached, Closed, Closing, Opening, Waiting};
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
        let mut transport = ExternalTransport::new();
        assert!(transport.shown_code().is_none());
        transport.on_plugin_state(State::Waiting, Some(Zeroizing::default()));
        assert_eq!(transport.shown_code().unwrap().fields.len(), 0);
        transport.on_plugin_state(State::Waiting, Some(Zeroizing::new("123 456".into())));
        let shown = transport.shown_code().unwrap();
        let fields = &shown.fields;
        assert_eq!(
            (fields[0].kind, &*fields[0].digits),
            (FieldKind::ToolCode, "123 456")
        );
    }

    #[test]
    fn a_password_is_digits_and_never_the_same() {
        let (one, other) = (random_password(), random_password());
        assert!(one.len() == PASSWORD_DIGITS && one.bytes().all(|byte| byte.is_ascii_digit()));
        assert_ne!(one, other);
    }
}
