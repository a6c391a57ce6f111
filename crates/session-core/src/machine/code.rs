//! The code while it waits: attempts with it, the service behind it, and its renewal.

use std::time::Duration;

use etatuki_protocol::AgentIdentity;

use super::consent::Consent;
use super::{Action, Actions, MAX_UNAUTHORIZED_RENEWALS, MAX_WRONG_GUESSES, Machine, Phase};
use crate::clock_verdict::ClockVerdict;
use crate::transport::Transport;
use crate::view::Notice;

impl Machine {
    pub(super) fn code_ready(&mut self, now: Duration) -> Actions {
        let (Phase::Opening { since } | Phase::RenewingCode { since }) = self.phase else {
            return vec![];
        };
        if let Some(come_back) = self.settings.come_back.take() {
            self.phase = Phase::Interrupted {
                until: since + come_back.limit,
                fails_at: None,
                coming_back: true,
            };
            self.consent = Some(Consent::after_restart(come_back.agent));
            // The code was for the plugin alone, and nobody is told it.
            return vec![
                Action::DeleteNameplate,
                Action::InterruptLink,
                Action::AcceptResume,
            ];
        }
        if self.settings.transport == Transport::External {
            self.phase = Phase::External { connected: false };
            return vec![];
        }
        self.phase = Phase::Waiting {
            since: now,
            wrong_guesses: 0,
        };
        vec![Action::AcceptAttempt]
    }

    /// Returns whether the code can be tried now.
    pub(super) fn accepts_attempts(&self) -> bool {
        matches!(self.phase, Phase::Waiting { .. })
    }

    pub(super) fn attempt_aborted(&mut self) -> Actions {
        if self.accepts_attempts() {
            vec![Action::AcceptAttempt]
        } else {
            vec![]
        }
    }

    /// Replaces the code: whoever tried it knows it, and leads the next caller astray. A fresh code
    /// is at another place, which they would have to find anew.
    pub(super) fn unauthorized_attempt(&mut self, now: Duration) -> Actions {
        if !self.accepts_attempts() {
            return vec![];
        }
        let told = |notice: &&Notice| **notice == Notice::UnauthorizedAttempt;
        if self.notices.iter().filter(told).count() < MAX_UNAUTHORIZED_RENEWALS {
            self.add_notice(Notice::UnauthorizedAttempt);
            return self.renew_code(now);
        }
        self.add_notice_once(Notice::UnauthorizedPersists);
        vec![Action::AcceptAttempt]
    }

    /// Tells the customer whose clock or card is wrong. Nobody has guessed, and the code stays.
    pub(super) fn card_out_of_time(
        &mut self,
        agent: AgentIdentity,
        clock: ClockVerdict,
    ) -> Actions {
        if !self.accepts_attempts() {
            return vec![];
        }
        self.add_notice_once(match clock {
            ClockVerdict::Ours(now) => Notice::ClockWrong { agent, now },
            ClockVerdict::Card => Notice::CardOutOfTime { agent },
        });
        vec![Action::AcceptAttempt]
    }

    /// Adds a notice unless the last one says the same.
    fn add_notice_once(&mut self, notice: Notice) {
        if self.notices.last().map(Notice::name) != Some(notice.name()) {
            self.add_notice(notice);
        }
    }

    pub(super) fn wrong_guess(&mut self, agent: AgentIdentity, now: Duration) -> Actions {
        let Phase::Waiting { wrong_guesses, .. } = &mut self.phase else {
            return vec![];
        };
        *wrong_guesses += 1;
        let left = MAX_WRONG_GUESSES.saturating_sub(*wrong_guesses);
        if left > 0 {
            self.add_notice(Notice::WrongCodeTried { agent, left });
            return vec![Action::AcceptAttempt];
        }
        self.add_notice(Notice::CodeBurnt { agent });
        self.renew_code(now)
    }

    /// Tells the customer, once a session, that a revoked agent might not be recognised.
    pub(super) fn revocations_stale(&mut self) -> Actions {
        if !self.notices.contains(&Notice::RevocationsStale) {
            self.add_notice(Notice::RevocationsStale);
        }
        vec![]
    }

    /// Tells the customer that the service went or came back. The code goes on waiting.
    pub(super) fn service_changed(&mut self, notice: Notice) -> Actions {
        if self.accepts_attempts() {
            self.add_notice(notice);
        }
        vec![]
    }

    pub(super) fn code_forgotten(&mut self, now: Duration) -> Actions {
        if !self.accepts_attempts() {
            return vec![];
        }
        self.add_notice(Notice::CodeForgotten);
        self.renew_code(now)
    }

    pub(super) fn renew_code(&mut self, now: Duration) -> Actions {
        self.phase = Phase::RenewingCode { since: now };
        vec![Action::DropCode, Action::MintCode]
    }
}
