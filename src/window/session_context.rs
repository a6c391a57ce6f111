//! The context of a session's pages beside its view: the vendor, the entry, the language.

use std::collections::BTreeMap;

use etatuki_session_core::{AgentIdentity, Notice, View};

use super::page::{Page, PageItem, Tone};
use crate::launcher::Launcher;
use crate::local_time;
use crate::registry::Backend;
use crate::texts::{Texts, fill};

/// The context of a session, unchanged from its start to its end.
#[derive(Clone, Debug)]
pub struct SessionContext {
    /// The customer's texts.
    pub texts: Texts,
    /// The entry's name.
    pub label: String,
    /// Whether its tool brings its own transport.
    pub external_transport: bool,
    /// The vendor's name.
    pub vendor: String,
    /// The number to call.
    pub phone: String,
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
            vendor: registry.vendor.name.clone(),
            phone: registry.vendor.phone.clone(),
            labels: labels.collect(),
        }
    }

    /// Returns a page that begins with the entry's name and the number to call.
    pub fn page(&self) -> Page {
        let support = fill(&self.texts.window.support, &self.support());
        let items = vec![
            PageItem::Heading(self.label.clone()),
            PageItem::Secondary(support),
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
            Notice::UnauthorizedAttempt => fill(&texts.stranger_tried, &self.support()),
            Notice::UnauthorizedPersists => fill(&texts.stranger_persists, &self.support()),
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
                let left = [("left", left.to_string())];
                let left = left.each_ref().map(|(key, value)| (*key, value.as_str()));
                fill(
                    &texts.wrong_code_tried,
                    &[&agent_values(agent)[..], &left].concat(),
                )
            }
            Notice::CodeBurnt { agent } => fill(&texts.code_burnt, &agent_values(agent)),
            Notice::CodeRenewed => texts.code_renewed.clone(),
            Notice::ServiceLost => texts.service_lost.clone(),
            Notice::ServiceBack => texts.service_back.clone(),
            Notice::CodeForgotten => texts.code_forgotten.clone(),
        }
    }

    /// Returns the vendor's name and phone number, for a text's placeholders.
    pub fn support(&self) -> [(&'static str, &str); 2] {
        [("vendor", &self.vendor), ("phone", &self.phone)]
    }

    /// Returns the notices to show: the latest on strangers, until the session ends, and the latest
    /// of the others, unless it asks to read a code aloud to whom the first one warns of.
    pub fn notices(&self, view: &View) -> Vec<PageItem> {
        let mut newest_first = view.notices.iter().rev();
        let stranger = newest_first.clone().find(|notice| is_alert(notice));
        let latest = newest_first
            .find(|notice| !is_alert(notice))
            .filter(|notice| stranger.is_none() || !asks_for_code(notice));
        let callout = |notice| {
            let tone = if is_alert(notice) {
                Tone::Alert
            } else {
                Tone::Info
            };
            PageItem::Callout(tone, self.notice(notice))
        };
        stranger.into_iter().chain(latest).map(callout).collect()
    }

    /// Returns the notices that a session's end repeats: that strangers were refused.
    pub fn past_notices(&self, view: &View) -> Vec<PageItem> {
        let stranger = view.notices.iter().find(|notice| is_alert(notice));
        let text = fill(&self.texts.notice.stranger_was_refused, &self.support());
        stranger
            .map(|_| PageItem::Callout(Tone::Alert, text))
            .into_iter()
            .collect()
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

fn asks_for_code(notice: &Notice) -> bool {
    matches!(
        notice,
        Notice::WrongCodeTried { .. } | Notice::CodeBurnt { .. } | Notice::CodeForgotten
    )
}
