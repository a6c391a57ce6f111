//! The state machine of one instance, pure: calls and reports go in, whether they are allowed comes
//! out.
//!
//! ```text
//!            open            waiting           attach
//!  closed ─────────▶ opening ───────▶ waiting ◀──────▶ attached
//!    ▲                  │                │    detached    │
//!    │ closed           ├─── failed ─────┼────────────────┤
//!  closing ◀─ close ────┴────────────────┴────────────────┘
//!    ▲
//!    └─ close ── failed
//! ```

use zeroize::Zeroizing;

use crate::{Failure, raw};

/// State of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing is open.
    Closed,
    /// `open` was called; there is no code yet.
    Opening,
    /// There is a code; a stream may be attached.
    Waiting,
    /// A stream is being served.
    Attached,
    /// `close` was called; resources are being released.
    Closing,
    /// The session failed.
    Failed,
}

impl State {
    /// All states.
    pub const ALL: [Self; 6] = [
        State::Closed,
        State::Opening,
        State::Waiting,
        State::Attached,
        State::Closing,
        State::Failed,
    ];

    /// Returns the number in the C interface.
    pub fn to_raw(self) -> u32 {
        match self {
            State::Closed => raw::STATE_CLOSED,
            State::Opening => raw::STATE_OPENING,
            State::Waiting => raw::STATE_WAITING,
            State::Attached => raw::STATE_ATTACHED,
            State::Closing => raw::STATE_CLOSING,
            State::Failed => raw::STATE_FAILED,
        }
    }

    /// Returns the state of a number in the C interface.
    pub fn from_raw(state: u32) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|candidate| candidate.to_raw() == state)
    }

    /// Returns the state of this name; `None` for an unknown name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Returns the name in logs and JSON, lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Closed => "closed",
            State::Opening => "opening",
            State::Waiting => "waiting",
            State::Attached => "attached",
            State::Closing => "closing",
            State::Failed => "failed",
        }
    }
}

/// State machine with the code and the last failure of one instance.
#[derive(Debug)]
pub(crate) struct Machine {
    state: State,
    code: Option<Zeroizing<String>>,
    failure: Option<Failure>,
}

/// A call that isn't allowed in this state.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused;

impl Machine {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Closed,
            code: None,
            failure: None,
        }
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    pub(crate) fn code(&self) -> Option<&str> {
        self.code.as_ref().map(|code| code.as_str())
    }

    pub(crate) fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Handles the call `open`.
    pub(crate) fn open(&mut self) -> Result<(), Refused> {
        self.transition(&[State::Closed], State::Opening)?;
        self.failure = None;
        Ok(())
    }

    /// Handles the report of the valid code; a second report while waiting replaces the code.
    pub(crate) fn waiting(&mut self, code: &str) -> Result<(), Refused> {
        self.transition(&[State::Opening, State::Waiting], State::Waiting)?;
        self.code = Some(Zeroizing::new(code.to_owned()));
        Ok(())
    }

    /// Handles the call `attach`.
    pub(crate) fn attach(&mut self) -> Result<(), Refused> {
        self.transition(&[State::Waiting], State::Attached)
    }

    /// Handles the report that the attached stream has ended.
    pub(crate) fn detached(&mut self) -> Result<(), Refused> {
        self.transition(&[State::Attached], State::Waiting)
    }

    /// Handles the report of a failure.
    pub(crate) fn failed(&mut self, failure: Failure) -> Result<(), Refused> {
        self.transition(
            &[State::Opening, State::Waiting, State::Attached],
            State::Failed,
        )?;
        self.code = None;
        self.failure = Some(failure);
        Ok(())
    }

    /// Handles the call `close`, or the report that the session ended by itself. After `Ok` the
    /// resources must be released.
    pub(crate) fn close(&mut self) -> Result<(), Refused> {
        self.transition(
            &[
                State::Opening,
                State::Waiting,
                State::Attached,
                State::Failed,
            ],
            State::Closing,
        )?;
        self.code = None;
        Ok(())
    }

    /// Handles the report that all resources are released.
    pub(crate) fn closed(&mut self) -> Result<(), Refused> {
        self.transition(&[State::Closing], State::Closed)
    }

    /// Records the failure of a call that doesn't change the state.
    pub(crate) fn record_failure(&mut self, failure: Failure) {
        self.failure = Some(failure);
    }

    fn transition(&mut self, from: &[State], to: State) -> Result<(), Refused> {
        if !from.contains(&self.state) {
            return Err(Refused);
        }
        self.state = to;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::State::{Attached, Closed, Closing, Failed, Opening, Waiting};
    use super::*;

    /// Checks that the transition has exactly the edges in `allowed`.
    fn check(
        name: &str,
        transition: impl Fn(&mut Machine) -> Result<(), Refused>,
        allowed: &[(State, State)],
    ) {
        for from in State::ALL {
            let mut machine = Machine::new();
            machine.state = from;
            let result = transition(&mut machine);
            let expected = allowed
                .iter()
                .find(|edge| edge.0 == from)
                .map(|edge| edge.1);
            assert_eq!(result.is_ok(), expected.is_some(), "{name} in {from:?}");
            assert_eq!(
                machine.state,
                expected.unwrap_or(from),
                "{name} in {from:?}"
            );
        }
    }

    #[test]
    fn only_the_edges_of_the_drawing_exist() {
        check("open", Machine::open, &[(Closed, Opening)]);
        check(
            "waiting",
            |m| m.waiting("1"),
            &[(Opening, Waiting), (Waiting, Waiting)],
        );
        check("attach", Machine::attach, &[(Waiting, Attached)]);
        check("detached", Machine::detached, &[(Attached, Waiting)]);
        let failed = |m: &mut Machine| m.failed(Failure::ours("plugin-failed", ""));
        check(
            "failed",
            failed,
            &[(Opening, Failed), (Waiting, Failed), (Attached, Failed)],
        );
        let close = [
            (Opening, Closing),
            (Waiting, Closing),
            (Attached, Closing),
            (Failed, Closing),
        ];
        check("close", Machine::close, &close);
        check("closed", Machine::closed, &[(Closing, Closed)]);
    }

    #[test]
    fn the_code_lives_no_longer_than_the_session() {
        let mut machine = Machine::new();
        machine.open().unwrap();
        assert_eq!(machine.code(), None);
        machine.waiting("123").unwrap();
        assert_eq!(machine.code(), Some("123"));
        machine.close().unwrap();
        assert_eq!(machine.code(), None);
        machine.closed().unwrap();
        machine.open().unwrap();
        machine.waiting("456").unwrap();
        machine.failed(Failure::tool("tool-died", "gone")).unwrap();
        assert_eq!(machine.code(), None);
        assert_eq!(machine.failure().unwrap().name, "tool-died");
    }

    #[test]
    fn states_survive_the_crossing() {
        for state in State::ALL {
            assert_eq!(State::from_raw(state.to_raw()), Some(state));
        }
        assert_eq!(State::from_raw(6), None);
    }
}
