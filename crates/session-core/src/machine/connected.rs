//! The session while somebody is connected: an agent over the link, or a peer of an external
//! transport.

use std::time::Duration;

use etatuki_protocol::{AgentIdentity, Ask, QuestionText};

use super::consent::{AnswerOutcome, Consent};
use super::{Action, Actions, Machine, Phase, RESTARTING, STREAM_CLOSED_GRACE, Teardown};
use crate::failure::{Failure, FailureName};
use crate::view::Notice;

impl Machine {
    pub(super) fn authenticated(&mut self, agent: AgentIdentity, now: Duration) -> Actions {
        if !self.accepts_attempts() {
            return vec![];
        }
        self.phase = Phase::Connected { fails_at: None };
        let consent = self.consent.insert(Consent::new(agent));
        let mut actions = vec![
            Action::DeleteNameplate,
            Action::AcceptResume,
            Action::SendCustomerInfo,
        ];
        self.questions += 1;
        actions.extend(consent.ask(Ask::View, self.questions, now));
        actions
    }

    /// Returns the consent while an agent is connected.
    fn connected(&mut self) -> Option<&mut Consent> {
        match self.phase {
            Phase::Connected { .. } => self.consent.as_mut(),
            _ => None,
        }
    }

    pub(super) fn asked(&mut self, ask: Ask, now: Duration) -> Actions {
        let (Phase::Connected { .. }, Some(consent)) = (&self.phase, &mut self.consent) else {
            return vec![];
        };
        let is_possible = match &ask {
            Ask::View => true,
            Ask::Control => self.plugin.is_none_or(|plugin| plugin.takes_input),
            Ask::Restart => self.settings.can_come_back,
            Ask::Switch { backend } => self.settings.switchable.contains(backend),
        };
        if !is_possible {
            return vec![consent.refusal(ask)];
        }
        // Only a question that is asked takes a number: an agent may be refused without end.
        let id = self.questions + 1;
        let actions = consent.ask(ask, id, now);
        if consent
            .question(now)
            .is_some_and(|question| question.id == id)
        {
            self.questions = id;
        }
        actions
    }

    pub(super) fn question_shown(
        &mut self,
        question: u32,
        text: QuestionText,
        now: Duration,
    ) -> Actions {
        let shown = self
            .connected()
            .and_then(|consent| consent.question_shown(question, text, now));
        shown.into_iter().collect()
    }

    pub(super) fn answer(&mut self, question: u32, allow: bool, now: Duration) -> Actions {
        let Some(consent) = self.connected() else {
            return vec![];
        };
        match consent.answer(question, allow, now) {
            AnswerOutcome::Ignored => vec![],
            AnswerOutcome::Continue(actions) => actions,
            AnswerOutcome::Switch(mut actions) => {
                actions.extend(self.shut_down("switch", now));
                actions
            }
        }
    }

    pub(super) fn allow_app_only(&mut self, question: u32, now: Duration) -> Actions {
        let offered = self.app_sharing().is_some();
        match self.connected() {
            Some(consent) if offered => consent.allow_app_only(question, now),
            _ => vec![],
        }
    }

    pub(super) fn take_back(&mut self, now: Duration) -> Actions {
        match (&self.phase, &mut self.consent) {
            (Phase::Connected { .. }, Some(consent)) => consent.take_back(now),
            (Phase::Interrupted { .. }, Some(consent)) => {
                consent.withdraw_control(now);
                vec![]
            }
            _ => vec![],
        }
    }

    pub(super) fn restart_kept(&mut self, kept: bool, now: Duration) -> Actions {
        let Some(consent) = &mut self.consent else {
            return vec![];
        };
        let actions = consent.restart_kept(kept, now);
        if !kept && !actions.is_empty() {
            self.add_notice(Notice::RestartNotKept);
        }
        actions
    }

    pub(super) fn withdraw_restart(&mut self) -> Actions {
        let consent = self.consent.as_mut();
        consent.map(Consent::withdraw_restart).unwrap_or_default()
    }

    /// Fails the session, because nobody sees its windows any more. Where the customer allowed it, this is the restart: what
    /// was kept for it stays, and the agent's end is told of no end, but of an interruption.
    pub(super) fn display_lost(&mut self, now: Duration) -> Actions {
        let failure = Failure::new(
            FailureName::DisplayLost,
            "the display of the session's windows died",
        );
        let connected = matches!(self.phase, Phase::Connected { .. });
        let Some(consent) = self
            .consent
            .as_mut()
            .filter(|consent| consent.restart_allowed())
        else {
            return self.fail(failure, now);
        };
        if !connected && !matches!(self.phase, Phase::Interrupted { .. }) {
            return self.fail(failure, now);
        }
        let mut actions = consent.end(now);
        if connected {
            actions.push(Action::InterruptLink);
        }
        let reason = RESTARTING.to_owned();
        actions.push(Action::Shutdown { reason });
        self.failure = Some(failure);
        self.phase = Phase::Failed(Some(Teardown::new(now)));
        actions
    }

    pub(super) fn agent_ended(&mut self, now: Duration) -> Actions {
        match self.phase {
            Phase::Connected { .. } | Phase::Interrupted { .. } => {
                self.shut_down("agent-ended", now)
            }
            _ => vec![],
        }
    }

    /// Interrupts the session: from now on nothing is permitted, and the two minutes run.
    pub(super) fn link_interrupted(&mut self, since: Duration, now: Duration) -> Actions {
        let (Phase::Connected { fails_at }, Some(consent)) = (&self.phase, &mut self.consent)
        else {
            return vec![];
        };
        self.phase = Phase::Interrupted {
            until: since + self.settings.resume_limit,
            fails_at: *fails_at,
            coming_back: false,
        };
        let mut actions = consent.interrupt(since);
        actions.push(Action::InterruptLink);
        self.add_notice(Notice::LinkInterrupted);
        // After a long stop the time may be over already.
        actions.extend(self.tick(now));
        actions
    }

    /// Goes on with the link that the agent has resumed. A question that was open is asked anew.
    pub(super) fn link_resumed(&mut self, now: Duration) -> Actions {
        let mut actions = self.link_interrupted(now, now);
        let (
            Phase::Interrupted {
                until, fails_at, ..
            },
            Some(consent),
        ) = (&self.phase, &mut self.consent)
        else {
            return actions;
        };
        if now >= *until {
            return self.tick(now);
        }
        self.phase = Phase::Connected {
            fails_at: *fails_at,
        };
        let (resumed, question) = consent.resume(now);
        actions.extend(resumed);
        self.add_notice(Notice::LinkResumed);
        if let Some(ask) = question {
            actions.extend(self.asked(ask, now));
        }
        actions
    }

    pub(super) fn plugin_stream_closed(&mut self, now: Duration) -> Actions {
        if let Phase::Connected { fails_at } | Phase::Interrupted { fails_at, .. } = &mut self.phase
        {
            fails_at.get_or_insert(now + STREAM_CLOSED_GRACE);
        }
        // A key that repeats doesn't wait for the reason.
        match self.connected() {
            Some(consent) if consent.permissions().control => vec![Action::ReleaseInput],
            _ => vec![],
        }
    }

    /// Returns the name for a failure of the plugin's RFB socket: `if_tool` where a tool serves it,
    /// else the plugin's own failure.
    pub fn picture_failure(&self, if_tool: FailureName) -> FailureName {
        match self.plugin {
            Some(plugin) if !plugin.has_tool => FailureName::PluginFailed,
            _ => if_tool,
        }
    }

    pub(super) fn set_peer_connected(&mut self, is_connected: bool) -> Actions {
        if let Phase::External { connected } = &mut self.phase {
            *connected = is_connected;
        }
        vec![]
    }

    pub(super) fn external_tool_ended(&mut self, now: Duration) -> Actions {
        match self.phase {
            Phase::External { .. } => self.shut_down("tool-ended", now),
            _ => vec![],
        }
    }
}
