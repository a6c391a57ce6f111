//! The machine's view: what a window shows of it.

use std::time::Duration;

use etatuki_protocol::ScreenCondition;
use etatuki_trust::ShownCode;

use super::consent::Consent;
use super::{Machine, Phase, deadline};
use crate::view::{AppSharing, View};

impl Machine {
    /// Returns the session as a window shows it. `code` is shown only in states that let it be
    /// seen. The state of the screen isn't the machine's: the caller puts it in.
    pub fn view(&self, now: Duration, code: Option<&ShownCode>) -> View {
        let code_is_out = self.accepts_attempts() || matches!(self.phase, Phase::External { .. });
        let is_over = matches!(
            self.phase,
            Phase::Closed | Phase::Closing(_) | Phase::Failed(_)
        );
        let interrupted = matches!(self.phase, Phase::Interrupted { .. });
        let coming_back = matches!(
            self.phase,
            Phase::Interrupted {
                coming_back: true,
                ..
            }
        );
        let consent = self.consent.as_ref();
        let kept = consent.map(Consent::permissions);
        View {
            state: self.state(),
            code: code.filter(|_| code_is_out).cloned(),
            agent: consent.map(|consent| consent.agent.clone()),
            permissions: kept.filter(|_| !interrupted).unwrap_or_default(),
            kept_permissions: kept.filter(|_| interrupted).unwrap_or_default(),
            question: consent.and_then(|consent| consent.question(now)),
            restart_allowed: consent.is_some_and(Consent::restart_allowed) && !is_over,
            coming_back,
            screen: ScreenCondition::default(),
            app_sharing: self.app_sharing(),
            notices: self.notices.clone(),
            failure: self.failure.clone(),
            receipt: consent
                .filter(|_| is_over)
                .map(|consent| consent.receipt(self.settings.app_name.as_deref(), now)),
            waiting_seconds_left: self
                .code_expires_at()
                .map(|due| deadline::seconds_left(due, now)),
            interrupted_seconds_left: self
                .resume_deadline()
                .map(|due| deadline::seconds_left(due, now)),
        }
    }

    /// Returns the program that can be shared alone, and whether it is.
    pub fn app_sharing(&self) -> Option<AppSharing> {
        if !self.plugin?.supports_app_sharing {
            return None;
        }
        let name = self.settings.app_name.as_ref()?;
        Some(AppSharing {
            name: name.clone(),
            app_only: self
                .consent
                .as_ref()
                .is_some_and(|consent| consent.app_only),
        })
    }
}
