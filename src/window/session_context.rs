//! The context of a session's pages beside its view: the vendor, the entry, the language.

use std::collections::BTreeMap;

use etatuki_session_core::{AgentIdentity, Notice, View};

use super::page::{Page, PageItem, Tone};
use crate::launcher::Launcher;
use crate::local_time;
use crate::registry::Backend;
use crate::texts::{Texts, fill};

/// The vendor's support, whom the customer calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vendor {
    /// The vendor's name.
    pub name: String,
    /// The number to call.
    pub phone: String,
}

impl Vendor {
    /// Returns the name and the number, for a text's placeholders.
    pub fn values(&self) -> [(&'static str, &str); 2] {
        [("vendor", &self.name), ("phone", &self.phone)]
    }

    /// Returns the line that names support and its number.
    pub fn support(&self, texts: &Texts) -> String {
        fill(&texts.window.support, &self.values())
    }
}

/// The context of a session, unchanged from its start to its end.
#[derive(Clone, Debug)]
pub struct SessionContext {
    /// The customer's texts.
    pub texts: Texts,
    /// The entry's name.
    pub label: String,
    /// Whether its tool brings its own transport.
    pub external_transport: bool,
    /// Who to call.
    pub vendor: Vendor,
    /// The names of all entries, by id.
    pub labels: BTreeMap<String, String>,
}

impl SessionContext {
    /// Returns the context of a session of the entry `id`.
    pub(crate) fn new(launcher: &Launcher, id: &str) -> Self {
        let registry = &launcher.installed.registry;
        let label = |backend: &Backend| launcher.label(backend).to_owned();
        let labels = registry
            .backends
            .iter()
            .map(|backend| (backend.id.clone(), label(backend)));
        Self {
            texts: launcher.texts.clone(),
            label: launcher.backend(id).map_or_else(|| id.to_owned(), label),
            external_transport: launcher
                .backend(id)
                .is_some_and(|backend| backend.form.is_none()),
            vendor: launcher.vendor(),
            labels: labels.collect(),
        }
    }

    /// Returns a page that begins with the entry's name and the number to call.
    pub fn page(&self) -> Page {
        let support = self.vendor.support(&self.texts);
        let items = vec![
            PageItem::Heading(self.label.clone()),
            PageItem::Support(support),
        ];
        Page {
            items,
            ..Page::default()
        }
    }

    /// Returns the promise that nobody sees the screen unasked.
    pub fn promise(&self) -> String {
        if self.external_transport {
            fill(&self.texts.external.promise, &[("label", &self.label)])
        } else {
            self.texts.before.promise.clone()
        }
    }

    /// Returns the name of the entry `id` in the customer's language.
    pub fn label_of<'a>(&'a self, id: &'a str) -> &'a str {
        self.labels.get(id).map_or(id, String::as_str)
    }

    /// Returns the sentence of a notice.
    pub fn notice(&self, notice: &Notice) -> String {
        let texts = &self.texts.notice;
        match notice {
            Notice::UnauthorizedAttempt => fill(&texts.stranger_tried, &self.vendor.values()),
            Notice::UnauthorizedPersists => fill(&texts.stranger_persists, &self.vendor.values()),
            Notice::ClockWrong { agent, now } => {
                let date = local_time::format(&texts.date_format, *now);
                let date = [("date", date.as_str())];
                fill(
                    &texts.wrong_clock,
                    &[&agent_values(agent)[..], &date].concat(),
                )
            }
            Notice::CardOutOfTime { agent } => fill(&texts.card_out_of_time, &agent_values(agent)),
            Notice::WrongCodeTried { agent, left } => {
                fill(wrong_code_text(&self.texts, *left), &agent_values(agent))
            }
            Notice::CodeBurnt { agent } => fill(&texts.code_burnt, &agent_values(agent)),
            Notice::CodeRenewed => texts.code_renewed.clone(),
            Notice::RevocationsStale => texts.revocations_warning.clone(),
            Notice::ServiceLost => texts.service_lost.clone(),
            Notice::ServiceBack => texts.service_back.clone(),
            Notice::CodeForgotten => texts.code_forgotten.clone(),
            Notice::LinkInterrupted => texts.interrupted.clone(),
            Notice::LinkResumed => texts.resumed.clone(),
            Notice::RestartNotKept => texts.restart_not_kept.clone(),
        }
    }

    /// Returns the notice to show, if any: the latest on strangers, until the session ends; else the
    /// latest. Two at once could contradict each other, as 'end the call' and 'read the code' do.
    /// That agents can't be checked outweighs what only explains a new code.
    /// That the service is away, or the link interrupted, is a state, which the page itself says.
    pub fn notices(&self, view: &View) -> Option<PageItem> {
        let stranger = view.notices.iter().rev().find(|notice| is_alert(notice));
        let is_about_link =
            |notice: &&Notice| matches!(notice, Notice::LinkInterrupted | Notice::LinkResumed);
        let last = view
            .notices
            .iter()
            .rev()
            .find(|notice| !is_about_link(notice));
        let unchecked = view.notices.iter().find(|notice| {
            matches!(notice, Notice::RevocationsStale) && last.is_some_and(Notice::is_about_code)
        });
        let notice = stranger.or(unchecked).or(last)?;
        let tone = match notice {
            _ if is_alert(notice) => Tone::Alert,
            Notice::RevocationsStale => Tone::Alert,
            Notice::ServiceLost | Notice::LinkInterrupted | Notice::LinkResumed => return None,
            _ => Tone::Info,
        };
        Some(PageItem::Callout(tone, self.notice(notice)))
    }

    /// Returns the notices that a session's end repeats: that strangers were refused.
    pub fn past_notices(&self, view: &View) -> Vec<PageItem> {
        let stranger = view.notices.iter().find(|notice| is_alert(notice));
        let text = fill(
            &self.texts.notice.stranger_was_refused,
            &self.vendor.values(),
        );
        stranger
            .map(|_| PageItem::Callout(Tone::Alert, text))
            .into_iter()
            .collect()
    }
}

/// Returns whether the service is out of reach, so that the code leads nobody here.
pub fn service_is_away(view: &View) -> bool {
    let mut of_service = view.notices.iter().rev().filter(|notice| {
        matches!(
            notice,
            Notice::ServiceLost | Notice::ServiceBack | Notice::CodeForgotten
        )
    });
    of_service.next() == Some(&Notice::ServiceLost)
}

/// Returns the text for a wrong guess, which says on the last one what comes next.
pub fn wrong_code_text(texts: &Texts, left: u8) -> &str {
    match left {
        1 => &texts.notice.wrong_code_tried_last,
        _ => &texts.notice.wrong_code_tried,
    }
}

/// Returns the values of an agent for a text's placeholders.
pub fn agent_values(agent: &AgentIdentity) -> [(&'static str, &str); 2] {
    [
        ("name", agent.name.as_str()),
        ("organisation", agent.organisation.as_str()),
    ]
}

fn is_alert(notice: &Notice) -> bool {
    matches!(
        notice,
        Notice::UnauthorizedAttempt | Notice::UnauthorizedPersists
    )
}
