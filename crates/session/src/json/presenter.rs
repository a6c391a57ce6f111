//! Lines that go out: what changed between two views, as events.

use std::sync::Arc;

use etatuki_protocol::{AgentIdentity, Ask};
use etatuki_trust::ShownField;
use serde::Serialize;
use serde_json::{Value, json};

use super::input::{Input, InputError};
use super::{PROTOCOL, Texts, is_final};
use crate::config::{SessionConfig, Transport};
use crate::view::{Failure, Notice, Question, Receipt, State, View};

/// Turns views into lines. It remembers the last one, so that only what changed is said.
pub struct JsonPresenter {
    texts: Arc<dyn Texts>,
    last: View,
    /// The session was opened: from now on `closed` is an end and not a beginning.
    begun: bool,
    /// The tool brings its own transport: nobody here knows what was seen.
    external_transport: bool,
}

impl JsonPresenter {
    /// A front that has said nothing yet, for a session over this transport.
    pub fn new(texts: Arc<dyn Texts>, transport: Transport) -> Self {
        Self {
            texts,
            last: View::default(),
            begun: false,
            external_transport: transport == Transport::External,
        }
    }

    /// The first line of all.
    pub fn hello(&self, config: &SessionConfig) -> String {
        let backend = json!({ "id": config.backend.id, "label": config.backend.label });
        line(json!({
            "type": "hello",
            "protocol": PROTOCOL,
            "launcher": config.launcher_version,
            "backend": backend,
            "transport": if self.external_transport { "own" } else { "link" },
        }))
    }

    /// What changed since the last view, one event a line (without line ends). What the customer must
    /// know comes first, the end last. The lines of `code` are secret.
    pub fn show(&mut self, view: &View) -> Vec<String> {
        let last = std::mem::replace(&mut self.last, view.clone());
        self.begun |= view.state != State::Closed;
        let heard = if view.notices.starts_with(&last.notices) {
            last.notices.len()
        } else {
            0
        };
        let notices = view.notices[heard..].iter();
        let mut lines: Vec<String> = notices.map(|notice| line(self.notice(notice))).collect();
        if view.code != last.code {
            lines.push(code(view));
        }
        let mut events = Vec::new();
        if (view.state, &view.agent) != (last.state, &last.agent) {
            events.push(state(view));
        }
        if view.permissions != last.permissions {
            let permissions = view.permissions;
            let mut event = json!({
                "type": "permissions", "view": permissions.view, "control": permissions.control,
            });
            if let Some(program) = view
                .app_sharing
                .as_ref()
                .filter(|p| p.app_only && permissions.view)
            {
                event["only_program"] = program.name.as_str().into();
            }
            events.push(event);
        }
        let (open, before) = (id(view), id(&last));
        if open != before {
            events.extend(before.map(|id| json!({ "type": "ask-over", "id": id })));
            events.extend(
                view.question
                    .iter()
                    .map(|question| self.ask(question, view)),
            );
        }
        if view.state != last.state && self.is_over() {
            events.push(self.end(view));
        }
        lines.extend(events.into_iter().map(line));
        lines
    }

    /// Whether the last view was the end.
    pub fn is_over(&self) -> bool {
        self.begun && is_final(self.last.state)
    }

    /// Whether a command means anything now. The machine ignores one that doesn't; a program that
    /// speaks to us hears why.
    ///
    /// # Errors
    /// The answer is to no open question, or comes too early.
    pub fn check(&self, input: &Input) -> Result<(), InputError> {
        let Input::Answer {
            id, only_program, ..
        } = *input
        else {
            return Ok(());
        };
        match &self.last.question {
            Some(question) if question.id == id && question.answerable => {
                let offered = self.last.app_sharing.is_some() && question.ask == Ask::View;
                if only_program && !offered {
                    return Err(InputError::NoProgram(id));
                }
                Ok(())
            }
            Some(question) if question.id == id => Err(InputError::TooEarly(id)),
            _ => Err(InputError::NoSuchQuestion(id)),
        }
    }

    /// A line that says why one was refused.
    pub fn error(&self, error: &InputError) -> String {
        line(json!({ "type": "error", "name": error.name(), "text": error.to_string() }))
    }

    fn notice(&self, notice: &Notice) -> Value {
        let name = notice.name();
        match notice {
            Notice::UnauthorizedAttempt
            | Notice::CodeRenewed
            | Notice::ServiceLost
            | Notice::ServiceBack
            | Notice::CodeForgotten => {
                json!({ "type": "notice", "name": name, "text": self.texts.text(name, &[]) })
            }
            Notice::WrongCodeTried { agent, left } => {
                let left_text = left.to_string();
                let text = self.texts.text(name, &with(agent, &[("left", &left_text)]));
                json!({ "type": "notice", "name": name, "agent": person(agent), "left": left, "text": text })
            }
            Notice::CodeBurnt { agent } => {
                let text = self.texts.text(name, &with(agent, &[]));
                json!({ "type": "notice", "name": name, "agent": person(agent), "text": text })
            }
        }
    }

    fn ask(&self, question: &Question, view: &View) -> Value {
        let nobody = AgentIdentity {
            name: String::new(),
            organisation: String::new(),
        };
        let agent = view.agent.as_ref().unwrap_or(&nobody);
        let (ask, backend) = match &question.ask {
            Ask::View => ("view", None),
            Ask::Control => ("control", None),
            Ask::Switch { backend } => ("switch", Some(backend.as_str())),
        };
        // Offered with the first question, and what the others are about once it was chosen.
        let program = view
            .app_sharing
            .as_ref()
            .filter(|program| match question.ask {
                Ask::View => true,
                Ask::Control => program.app_only,
                Ask::Switch { .. } => false,
            });
        let name = match program {
            Some(_) => format!("ask-{ask}-program"),
            None => format!("ask-{ask}"),
        };
        let backends = backend.iter().map(|backend| ("backend", *backend));
        let programs = program
            .iter()
            .map(|program| ("program", program.name.as_str()));
        let more: Vec<(&str, &str)> = backends.chain(programs).collect();
        let text = self.texts.text(&name, &with(agent, &more));
        let mut event = json!({
            "type": "ask",
            "id": question.id,
            "ask": ask,
            "agent": person(agent),
            "seconds_left": question.seconds_left,
            "text": text,
        });
        if let Some(backend) = backend {
            event["backend"] = backend.into();
        }
        if let Some(program) = program {
            event["program"] = program.name.as_str().into();
        }
        event
    }

    fn end(&self, view: &View) -> Value {
        let receipt = view.receipt.as_ref();
        if let Some(failure) = &view.failure {
            return self.failed(failure, receipt);
        }
        let text = match receipt {
            None if self.external_transport => self.texts.text("closed-own", &[]),
            None => self.texts.text("closed", &[]),
            Some(receipt) => {
                let (viewed, controlled) = (
                    receipt.viewed_seconds.to_string(),
                    receipt.controlled_seconds.to_string(),
                );
                let times = [
                    ("viewed_seconds", &*viewed),
                    ("controlled_seconds", &*controlled),
                ];
                self.texts
                    .text("closed-receipt", &with(&receipt.agent, &times))
            }
        };
        json!({ "type": "closed", "receipt": receipt.map(paper), "text": text })
    }

    fn failed(&self, failure: &Failure, receipt: Option<&Receipt>) -> Value {
        let name = failure.name.as_str();
        let text = self.texts.text(name, &[("detail", &failure.detail)]);
        json!({
            "type": "failed",
            "name": name,
            "fault": failure.fault(),
            "detail": failure.detail,
            "receipt": receipt.map(paper),
            "text": text,
        })
    }
}

fn id(view: &View) -> Option<u32> {
    view.question.as_ref().map(|question| question.id)
}

/// Written straight from the code, so that the line is the only copy of it.
fn code(view: &View) -> String {
    #[derive(Serialize)]
    #[serde(tag = "type", rename = "code")]
    struct Code<'a> {
        fields: &'a [ShownField],
    }
    let fields = view.code.as_ref().map_or(&[][..], |code| &code.fields);
    serde_json::to_string(&Code { fields }).expect("digits are always JSON")
}

fn state(view: &View) -> Value {
    let mut event = json!({ "type": "state", "state": view.state });
    if let Some(agent) = &view.agent {
        event["agent"] = person(agent);
    }
    if let Some(left) = view.interrupted_seconds_left {
        event["seconds_left"] = left.into();
    }
    event
}

fn person(agent: &AgentIdentity) -> Value {
    json!({ "name": agent.name, "organisation": agent.organisation })
}

fn paper(receipt: &Receipt) -> Value {
    let mut paper = json!({
        "agent": person(&receipt.agent),
        "viewed_seconds": receipt.viewed_seconds,
        "controlled_seconds": receipt.controlled_seconds,
    });
    if let Some(backend) = &receipt.switch_to {
        paper["switch_to"] = backend.as_str().into();
    }
    paper
}

fn with<'a>(agent: &'a AgentIdentity, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut args = vec![
        ("name", agent.name.as_str()),
        ("organisation", agent.organisation.as_str()),
    ];
    args.extend_from_slice(more);
    args
}

fn line(event: Value) -> String {
    event.to_string()
}
