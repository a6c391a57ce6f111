//! Lines for the accounting program: the differences between two views, as events.

use std::sync::Arc;

use etatuki_protocol::{AgentIdentity, Ask};
use etatuki_trust::ShownField;
use serde::Serialize;
use serde_json::{Value, json};

use super::input::{InputError, InputLine};
use super::{PROTOCOL_VERSION, Texts, is_final};
use crate::failure::Failure;
use crate::installation::Installation;
use crate::transport::Transport;
use crate::view::{Notice, Question, Receipt, State, View};

/// Turns views into lines. It keeps the last view, so that only changes are written.
pub struct JsonPresenter {
    texts: Arc<dyn Texts>,
    last: View,
    /// Whether the session was opened: then `closed` is an end and not a beginning.
    was_opened: bool,
    /// Transport of the session. Over an external one, nobody here knows what was seen.
    transport: Transport,
}

impl JsonPresenter {
    /// Makes a presenter that hasn't shown a view yet.
    pub fn new(texts: Arc<dyn Texts>, transport: Transport) -> Self {
        Self {
            texts,
            last: View::default(),
            was_opened: false,
            transport,
        }
    }

    /// Returns the first line of a session.
    pub fn hello(&self, installation: &Installation) -> String {
        let backend = json!({ "id": installation.backend, "label": installation.label });
        to_line(json!({
            "type": "hello",
            "protocol": PROTOCOL_VERSION,
            "launcher": installation.launcher_version,
            "backend": backend,
            "transport": match self.transport {
                Transport::Link(_) => "link",
                Transport::External => "own",
            },
        }))
    }

    /// Returns the changes since the last view, one event a line, without line ends. Notices come
    /// first, the end last. The lines of `code` are secret.
    pub fn show(&mut self, view: &View) -> Vec<String> {
        let last = std::mem::replace(&mut self.last, view.clone());
        self.was_opened |= view.state != State::Closed;
        let shown = if view.notices.starts_with(&last.notices) {
            last.notices.len()
        } else {
            0
        };
        let notices = view.notices[shown..].iter();
        let mut lines: Vec<String> = notices.map(|notice| to_line(self.notice(notice))).collect();
        if view.code != last.code {
            lines.push(code_line(view));
        }
        let mut events = Vec::new();
        if (view.state, &view.agent) != (last.state, &last.agent) {
            events.push(state_event(view));
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
        if view.screen != last.screen {
            events.push(json!({ "type": "screen", "condition": view.screen.name() }));
        }
        let (open, before) = (question_id(view), question_id(&last));
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
        lines.extend(events.into_iter().map(to_line));
        lines
    }

    /// Returns whether the last view was the end.
    pub fn is_over(&self) -> bool {
        self.was_opened && is_final(self.last.state)
    }

    /// Checks whether a command means anything now. The machine ignores one that doesn't; the
    /// accounting program is told why.
    ///
    /// # Errors
    /// The answer is to no open question, comes too early, or chooses app sharing that isn't
    /// offered.
    pub fn check(&self, input: &InputLine) -> Result<(), InputError> {
        let InputLine::Answer { id, app_only, .. } = *input else {
            return Ok(());
        };
        match &self.last.question {
            Some(question) if question.id == id && question.answerable => {
                let offered = self.last.app_sharing.is_some() && question.ask == Ask::View;
                if app_only && !offered {
                    return Err(InputError::AppSharingNotOffered(id));
                }
                Ok(())
            }
            Some(question) if question.id == id => Err(InputError::TooEarly(id)),
            _ => Err(InputError::NoSuchQuestion(id)),
        }
    }

    /// Returns a line that tells why a line was refused.
    pub fn error(&self, error: &InputError) -> String {
        to_line(json!({ "type": "error", "name": error.name(), "text": error.to_string() }))
    }

    fn notice(&self, notice: &Notice) -> Value {
        let name = notice.name();
        match notice {
            Notice::UnauthorizedAttempt
            | Notice::UnauthorizedPersists
            | Notice::CodeRenewed
            | Notice::RevocationsStale
            | Notice::ServiceLost
            | Notice::ServiceBack
            | Notice::CodeForgotten
            | Notice::LinkInterrupted
            | Notice::LinkResumed
            | Notice::RestartNotKept => {
                json!({ "type": "notice", "name": name, "text": self.texts.text(name, &[]) })
            }
            Notice::WrongCodeTried { agent, left } => {
                let left_text = left.to_string();
                let text = self
                    .texts
                    .text(name, &agent_args(agent, &[("left", &left_text)]));
                json!({ "type": "notice", "name": name, "agent": agent_json(agent), "left": left, "text": text })
            }
            Notice::ClockWrong { agent, now } => {
                let clock = now.to_string();
                let text = self
                    .texts
                    .text(name, &agent_args(agent, &[("clock", &clock)]));
                json!({ "type": "notice", "name": name, "agent": agent_json(agent), "clock": now, "text": text })
            }
            Notice::CodeBurnt { agent } | Notice::CardOutOfTime { agent } => {
                let text = self.texts.text(name, &agent_args(agent, &[]));
                json!({ "type": "notice", "name": name, "agent": agent_json(agent), "text": text })
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
            Ask::Restart => ("restart", None),
            Ask::Switch { backend } => ("switch", Some(backend.as_str())),
        };
        // The first question offers the program; once it was chosen, control is asked for it alone.
        let program = view
            .app_sharing
            .as_ref()
            .filter(|program| match question.ask {
                Ask::View => true,
                Ask::Control => program.app_only,
                Ask::Restart | Ask::Switch { .. } => false,
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
        let text = self.texts.text(&name, &agent_args(agent, &more));
        let mut event = json!({
            "type": "ask",
            "id": question.id,
            "ask": ask,
            "agent": agent_json(agent),
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
            None => match self.transport {
                Transport::Link(_) => self.texts.text("closed", &[]),
                Transport::External => self.texts.text("closed-own", &[]),
            },
            Some(receipt) => {
                let (viewed, controlled) = (
                    receipt.viewed_seconds.to_string(),
                    receipt.controlled_seconds.to_string(),
                );
                let mut values = vec![
                    ("viewed_seconds", &*viewed),
                    ("controlled_seconds", &*controlled),
                ];
                let program = receipt.program.as_deref();
                values.extend(program.map(|program| ("program", program)));
                self.texts
                    .text("closed-receipt", &agent_args(&receipt.agent, &values))
            }
        };
        json!({ "type": "closed", "receipt": receipt.map(receipt_json), "text": text })
    }

    fn failed(&self, failure: &Failure, receipt: Option<&Receipt>) -> Value {
        let name = failure.name.as_str();
        let text = self.texts.text(name, &[("detail", &failure.detail)]);
        json!({
            "type": "failed",
            "name": name,
            "fault": failure.fault(),
            "detail": failure.detail,
            "receipt": receipt.map(receipt_json),
            "text": text,
        })
    }
}

fn question_id(view: &View) -> Option<u32> {
    view.question.as_ref().map(|question| question.id)
}

/// Returns the line of `code`. It is serialized straight from the view, so that the line is the
/// only further copy of the secret.
fn code_line(view: &View) -> String {
    #[derive(Serialize)]
    #[serde(tag = "type", rename = "code")]
    struct Code<'a> {
        fields: &'a [ShownField],
    }
    let fields = view.code.as_ref().map_or(&[][..], |code| &code.fields);
    serde_json::to_string(&Code { fields }).expect("digits are always JSON")
}

fn state_event(view: &View) -> Value {
    let mut event = json!({ "type": "state", "state": view.state });
    if let Some(agent) = &view.agent {
        event["agent"] = agent_json(agent);
    }
    if let Some(left) = view.interrupted_seconds_left {
        event["seconds_left"] = left.into();
    }
    event
}

fn agent_json(agent: &AgentIdentity) -> Value {
    json!({ "name": agent.name, "organisation": agent.organisation })
}

fn receipt_json(receipt: &Receipt) -> Value {
    let mut json = json!({
        "agent": agent_json(&receipt.agent),
        "viewed_seconds": receipt.viewed_seconds,
        "controlled_seconds": receipt.controlled_seconds,
    });
    if let Some(program) = &receipt.program {
        json["program"] = program.as_str().into();
    }
    if let Some(backend) = &receipt.switch_to {
        json["switch_to"] = backend.as_str().into();
    }
    json
}

/// Returns the arguments of a sentence about an agent.
fn agent_args<'a>(
    agent: &'a AgentIdentity,
    more: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let mut args = vec![
        ("name", agent.name.as_str()),
        ("organisation", agent.organisation.as_str()),
    ];
    args.extend_from_slice(more);
    args
}

fn to_line(event: Value) -> String {
    event.to_string()
}
