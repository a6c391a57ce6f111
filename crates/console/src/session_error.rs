//! Failures of a session: each has a stable name for programs, an exit code, and a sentence for the
//! agent that says what happened and what to do.

use std::fmt::Display;

use etatuki_link::{DialError, LinkError};
use etatuki_network::{Cause, Unreachable};
use etatuki_trust::CodeError;

use crate::message::Message;

/// A failure between the typed code and the session's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionError {
    /// The code was mistyped; nothing was sent.
    Code(CodeError),
    /// No customer waits with this code.
    UnknownCode,
    /// The customer's machine hasn't registered its address yet.
    NotReady,
    /// The service limits the rate of look-ups.
    RateLimited,
    /// The service can't be reached.
    ServiceUnreachable(Unreachable),
    /// The service is reached, and its relay isn't.
    RelayUnreachable,
    /// The service's response was unexpected: its error name, status or fault.
    ServiceError(String),
    /// The service refused the agent's card: the stable name of the card's fault.
    CardRefused(String),
    /// The customer's machine took a card that is valid for one out of its time: its clock is wrong.
    CustomerClock,
    /// The link to the customer couldn't be established.
    Dial(DialError),
    /// The link broke, or its far end broke the protocol.
    Link(LinkError),
    /// The customer's side ended the session with a failure: its stable name, such as `tool-died`.
    Customer(String),
    /// The customer's side sent a picture that can't be parsed.
    Picture(String),
    /// In `join`: the viewer was refused or broke the protocol.
    Viewer(String),
}

impl SessionError {
    /// Returns the stable name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Code(error) => error.name(),
            Self::UnknownCode => "unknown-nameplate",
            Self::NotReady => "not-ready",
            Self::RateLimited => "too-many",
            // `clock-wrong` is the customer's clock here.
            Self::ServiceUnreachable(Unreachable {
                cause: Cause::ClockWrong,
                ..
            }) => "own-clock",
            Self::ServiceUnreachable(unreachable) => unreachable.cause.name(),
            Self::RelayUnreachable => "relay-unreachable",
            Self::ServiceError(_) => "service-error",
            Self::CardRefused(name) | Self::Customer(name) => name,
            Self::CustomerClock => "customer-clock",
            Self::Dial(DialError::Refused(reason)) if reason.starts_with("card-") => reason,
            Self::Dial(error) => error.name(),
            Self::Link(error) => error.name(),
            Self::Picture(_) => "customer-misbehaved",
            Self::Viewer(_) => "viewer-failed",
        }
    }

    /// Returns the exit code of `join`: 4 for the code, 5 for the service or the network, 6 for
    /// refusals and the link.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Code(_) | Self::UnknownCode | Self::Dial(DialError::WrongCode) => 4,
            Self::NotReady
            | Self::RateLimited
            | Self::ServiceUnreachable(_)
            | Self::RelayUnreachable
            | Self::ServiceError(_)
            | Self::Dial(DialError::Unreachable | DialError::Timeout) => 5,
            Self::CardRefused(_)
            | Self::CustomerClock
            | Self::Dial(_)
            | Self::Link(_)
            | Self::Customer(_)
            | Self::Picture(_)
            | Self::Viewer(_) => 6,
        }
    }

    /// Returns one or two sentences for the agent.
    #[must_use]
    pub fn message(&self) -> Message {
        match self {
            Self::Code(error) => code_message(*error),
            Self::UnknownCode => Message::new("failure.unknown-nameplate"),
            Self::NotReady => Message::new("failure.not-ready"),
            Self::RateLimited => Message::new("failure.too-many"),
            Self::ServiceUnreachable(unreachable) => unreachable_message(unreachable.cause),
            Self::RelayUnreachable => Message::new("failure.relay-unreachable"),
            Self::ServiceError(detail) => detailed("failure.service-error", detail),
            Self::CardRefused(name) => card_message(name),
            Self::CustomerClock => Message::new("failure.customer-clock"),
            Self::Dial(error) => dial_message(error),
            Self::Link(error) => link_message(error),
            Self::Customer(name) => customer_message(name),
            Self::Picture(detail) => detailed("failure.picture", detail),
            Self::Viewer(detail) => detailed("failure.viewer", detail),
        }
    }
}

fn detailed(key: &'static str, detail: impl Display) -> Message {
    Message::new(key).with("detail", detail.to_string())
}

const fn unreachable_message(cause: Cause) -> Message {
    Message::new(match cause {
        Cause::Offline => "failure.network-offline",
        Cause::NameServerSilent => "failure.dns-silent",
        Cause::NameUnknown => "failure.dns-name-unknown",
        Cause::ConnectionRefused => "failure.connection-refused",
        Cause::NoAnswer => "failure.service-unreachable",
        Cause::ProxyUnreachable => "failure.proxy-unreachable",
        Cause::ProxyLogin => "failure.proxy-login",
        Cause::ProxyRefused => "failure.proxy-refused",
        Cause::ProxyUnsupported => "failure.proxy-unsupported",
        Cause::CertificateUntrusted => "failure.certificate-untrusted",
        Cause::ClockWrong => "failure.own-clock",
        Cause::LoginPage => "failure.login-page",
    })
}

const fn code_message(error: CodeError) -> Message {
    Message::new(match error {
        CodeError::Empty => "failure.code-empty",
        CodeError::NotDigits => "failure.code-not-digits",
        CodeError::Length { .. } => "failure.code-length",
        CodeError::CheckDigit => "failure.code-check-digit",
    })
}

fn card_message(name: &str) -> Message {
    Message::new(match name {
        "card-expired" => "failure.card-expired",
        "card-not-yet-valid" => "failure.card-not-yet-valid",
        "card-revoked" => "failure.card-revoked",
        "card-unknown-vendor" => "failure.card-unknown-vendor",
        "card-bad-proof" => "failure.card-bad-proof",
        _ => return Message::new("failure.card-refused").with("name", name),
    })
}

fn dial_message(error: &DialError) -> Message {
    match error {
        DialError::Unreachable => Message::new("failure.unreachable"),
        DialError::Timeout => Message::new("failure.timeout"),
        DialError::WrongCode => Message::new("failure.wrong-code"),
        DialError::Refused(reason) if reason.starts_with("card-") => card_message(reason),
        DialError::Refused(reason) if reason == "revocations-stale" => {
            Message::new("failure.revocations-stale")
        }
        DialError::Refused(reason) => Message::new("failure.refused").with("reason", reason),
        other => detailed("failure.dial-failed", other),
    }
}

fn link_message(error: &LinkError) -> Message {
    match error {
        LinkError::Lost | LinkError::Interrupted => Message::new("failure.link-lost"),
        LinkError::Violation(detail) => detailed("failure.link-violation", detail),
        other => detailed("failure.link-ended", other),
    }
}

fn customer_message(name: &str) -> Message {
    Message::new(match name {
        "agent-misbehaved" => "failure.agent-misbehaved",
        "tool-died" => "failure.tool-died",
        "tool-failed" => "failure.tool-failed",
        "plugin-died" | "plugin-hung" | "plugin-failed" => "failure.plugin-failed",
        "plugin-unverifiable" => "failure.plugin-unverifiable",
        "link-lost" => "failure.link-lost",
        "clock-wrong" => "failure.clock-wrong",
        "revocations-stale" => "failure.revocations-stale",
        "session-running" => "failure.session-running",
        "restart-refused" => "failure.restart-refused",
        "internal" => "failure.internal",
        _ => return named_customer_message(name),
    })
}

/// Returns the sentence for several failures of one kind, with the failure's name for the log.
fn named_customer_message(name: &str) -> Message {
    let key = match name {
        "service-unreachable"
        | "network-offline"
        | "dns-silent"
        | "dns-name-unknown"
        | "connection-refused"
        | "proxy-unreachable"
        | "proxy-login"
        | "proxy-refused"
        | "proxy-unsupported"
        | "certificate-untrusted"
        | "login-page"
        | "service-error"
        | "no-nameplate"
        | "link-failed" => "failure.customer-network",
        "display-missing"
        | "display-unsupported"
        | "display-wayland"
        | "display-too-large"
        | "display-lost" => "failure.customer-display",
        "tool-missing" | "tool-too-old" => "failure.tool-unfit",
        "registry-broken" | "plugin-missing" | "plugin-refused" | "plugin-wrong-version" => {
            "failure.installation"
        }
        _ => "failure.customer",
    };
    Message::new(key).with("name", name)
}

/// Stable names of the reasons for an orderly end.
const ORDERLY_END_REASONS: [&str; 4] = [
    "agent-ended",
    "customer-closed",
    "switch",
    "nobody-watching",
];

/// Classifies the reason with which the customer's side ended the session.
///
/// # Errors
/// The reason is the name of a failure.
pub(crate) fn classify_end(reason: String) -> Result<String, SessionError> {
    if ORDERLY_END_REASONS.contains(&reason.as_str()) {
        Ok(reason)
    } else {
        Err(SessionError::Customer(reason))
    }
}

/// Returns the agent's sentence for an orderly end.
#[must_use]
pub fn ended_message(reason: &str) -> Message {
    Message::new(match reason {
        "agent-ended" => "outcome.agent-ended",
        "switch" => "outcome.switch",
        "nobody-watching" => "outcome.nobody-watching",
        _ => "outcome.customer-closed",
    })
}

#[cfg(test)]
mod tests {
    use etatuki_texts::{Language, catalogue::Catalogue};

    use super::*;

    #[track_caller]
    fn check(error: SessionError, name: &str, exit_code: u8) {
        assert_eq!((error.name(), error.exit_code()), (name, exit_code));
        error.message().check();
        for language in Language::ALL {
            let sentence = error.message().text(&Catalogue::load(language));
            assert!(sentence.ends_with('.') && sentence.len() > 20, "{sentence}");
        }
    }

    #[test]
    fn names_and_exit_codes_are_stable() {
        check(
            SessionError::Code(CodeError::CheckDigit),
            "code-check-digit",
            4,
        );
        check(SessionError::UnknownCode, "unknown-nameplate", 4);
        check(SessionError::Dial(DialError::WrongCode), "wrong-code", 4);
        check(SessionError::NotReady, "not-ready", 5);
        check(SessionError::RateLimited, "too-many", 5);
        for cause in Cause::ALL {
            let name = match cause {
                Cause::ClockWrong => "own-clock",
                cause => cause.name(),
            };
            let detail = String::new();
            let unreachable = Unreachable { cause, detail };
            check(SessionError::ServiceUnreachable(unreachable), name, 5);
        }
        check(SessionError::RelayUnreachable, "relay-unreachable", 5);
        check(SessionError::ServiceError("500".into()), "service-error", 5);
        check(SessionError::Dial(DialError::Unreachable), "unreachable", 5);
        check(
            SessionError::CardRefused("card-expired".into()),
            "card-expired",
            6,
        );
        check(SessionError::CustomerClock, "customer-clock", 6);
        check(
            SessionError::Dial(DialError::Refused("card-revoked".into())),
            "card-revoked",
            6,
        );
        check(
            SessionError::Dial(DialError::Refused("busy".into())),
            "refused",
            6,
        );
        check(SessionError::Link(LinkError::Lost), "link-lost", 6);
        check(SessionError::Customer("tool-died".into()), "tool-died", 6);
        check(
            SessionError::Picture("a message of type 99".into()),
            "customer-misbehaved",
            6,
        );
        check(
            SessionError::Viewer("its password was wrong".into()),
            "viewer-failed",
            6,
        );
    }

    #[test]
    fn every_end_has_its_sentence() {
        for reason in ORDERLY_END_REASONS {
            ended_message(reason).check();
        }
        for name in ["agent-misbehaved", "tool-failed", "plugin-hung", "other"] {
            customer_message(name).check();
        }
        for name in [
            "card-not-yet-valid",
            "card-unknown-vendor",
            "card-bad-proof",
            "card-odd",
        ] {
            card_message(name).check();
        }
        let codes = [CodeError::Empty, CodeError::NotDigits];
        for error in codes {
            code_message(error).check();
        }
        code_message(CodeError::Length { digits: 1 }).check();
    }

    /// The list is the launcher's own: no failure of the customer's side is told by its name alone.
    #[test]
    fn every_failure_of_the_customers_side_has_its_sentence() {
        for name in etatuki_session_core::FailureName::ALL {
            let message = customer_message(name.as_str());
            assert_ne!(message.key, "failure.customer", "{name:?}");
            check(
                SessionError::Customer(name.as_str().into()),
                name.as_str(),
                6,
            );
        }
        assert_eq!(customer_message("new-name").key, "failure.customer");
    }

    #[test]
    fn failures_are_no_good_ends() {
        assert_eq!(
            classify_end("customer-closed".into()),
            Ok("customer-closed".into())
        );
        assert_eq!(
            classify_end("tool-died".into()),
            Err(SessionError::Customer("tool-died".into()))
        );
    }
}
