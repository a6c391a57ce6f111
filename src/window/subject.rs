//! What a session's pages say beside the view: whose support it is, which entry, in which language.

use std::collections::BTreeMap;

use etatuki_session::{AgentIdentity, Notice, View};

use super::page::{Block, Page, Tone};
use crate::texts::{Texts, fill};

/// Known from the start of a session to its end.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The customer's sentences.
    pub texts: Texts,
    /// The entry's name.
    pub label: String,
    /// Its tool brings its own transport.
    pub own_transport: bool,
    /// The vendor's name.
    pub vendor: String,
    /// The number to call.
    pub phone: String,
    /// The names of all entries, by id.
    pub labels: BTreeMap<String, String>,
}

impl Subject {
    /// A page that begins with the entry's name and the number to call.
    pub fn page(&self) -> Page {
        let support = [
            ("vendor", self.vendor.as_str()),
            ("phone", self.phone.as_str()),
        ];
        let support = fill(&self.texts.window.support, &support);
        let blocks = vec![Block::Heading(self.label.clone()), Block::Quiet(support)];
        Page {
            blocks,
            ..Page::default()
        }
    }

    /// What the customer can count on before anybody looks.
    pub fn promise(&self) -> String {
        if self.own_transport {
            fill(&self.texts.own.promise, &[("label", &self.label)])
        } else {
            self.texts.before.promise.clone()
        }
    }

    /// The entry's name in the customer's language.
    pub fn label_of<'a>(&'a self, id: &'a str) -> &'a str {
        self.labels.get(id).map_or(id, String::as_str)
    }

    /// The sentence of a notice.
    pub fn notice(&self, notice: &Notice) -> String {
        let texts = &self.texts.notice;
        match notice {
            Notice::UnauthorizedAttempt => texts.stranger_tried.clone(),
            Notice::WrongCodeTried { agent, left } => {
                let left = [("left", left.to_string())];
                let left = left.each_ref().map(|(key, value)| (*key, value.as_str()));
                fill(
                    &texts.wrong_code_tried,
                    &[&named(agent)[..], &left].concat(),
                )
            }
            Notice::CodeBurnt { agent } => fill(&texts.code_burnt, &named(agent)),
            Notice::CodeRenewed => texts.code_renewed.clone(),
            Notice::ServiceLost => texts.service_lost.clone(),
            Notice::ServiceBack => texts.service_back.clone(),
            Notice::CodeForgotten => texts.code_forgotten.clone(),
        }
    }

    /// What the customer must know now: that a stranger tried, for as long as the session lasts, and
    /// the latest of the other notices.
    pub fn notices(&self, view: &View) -> Vec<Block> {
        let stranger = view.notices.iter().find(|notice| is_alarm(notice));
        let latest = view.notices.iter().rev().find(|notice| !is_alarm(notice));
        let strip = |notice| {
            let tone = if is_alarm(notice) {
                Tone::Alarm
            } else {
                Tone::Note
            };
            Block::Strip(tone, self.notice(notice))
        };
        stranger.into_iter().chain(latest).map(strip).collect()
    }
}

/// The placeholders that a support person fills.
pub fn named(agent: &AgentIdentity) -> [(&'static str, &str); 2] {
    [
        ("name", agent.name.as_str()),
        ("organisation", agent.organisation.as_str()),
    ]
}

fn is_alarm(notice: &Notice) -> bool {
    matches!(notice, Notice::UnauthorizedAttempt)
}
