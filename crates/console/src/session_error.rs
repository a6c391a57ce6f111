//! Failures of a session: each has a stable name for programs, an exit code, and a sentence for the
//! agent that says what happened and what to do.

use etatuki_link::{DialError, LinkError};
use etatuki_trust::CodeError;

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
    /// The service can't be reached: the reason in a few words.
    ServiceUnreachable(String),
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
            Self::ServiceUnreachable(_) => "service-unreachable",
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
    pub fn sentence(&self) -> String {
        match self {
            Self::Code(error) => code_sentence(*error).into(),
            Self::UnknownCode => {
                "No customer is waiting with this code. It may have been replaced by a new \
                one or already used: ask the customer to read what stands in the window now."
                    .into()
            }
            Self::NotReady => {
                "The customer's computer is still getting ready. Wait a moment and connect again."
                    .into()
            }
            Self::RateLimited => {
                "Too many codes were tried in a short time. Wait a minute and connect again.".into()
            }
            Self::ServiceUnreachable(detail) => format!(
                "The service can't be reached ({detail}). Check this computer's network and the address given with --service."
            ),
            Self::ServiceError(detail) => format!(
                "The service answered with an error ({detail}). Try again; if it stays, tell whoever runs it."
            ),
            Self::CardRefused(name) => card_sentence(name),
            Self::CustomerClock => {
                "The clock of the customer's computer is wrong, so it took your card for one that isn't valid now. \
                 Ask the customer to set its date and time right, and connect again: the code stays the same."
                    .into()
            }
            Self::Dial(error) => dial_sentence(error),
            Self::Link(error) => link_sentence(error),
            Self::Customer(name) => customer_sentence(name),
            Self::Picture(detail) => format!(
                "The customer's side sent a picture that can't be read ({detail}), so the session was ended. \
                 Ask the customer to open the connection again."
            ),
            Self::Viewer(detail) => format!("The viewer was sent away: {detail}."),
        }
    }
}

const fn code_sentence(error: CodeError) -> &'static str {
    match error {
        CodeError::Empty => "No code was given.",
        CodeError::NotDigits => "Codes have digits only.",
        CodeError::Length { .. } => {
            "A session code has 12 digits; an ID has 9, and its password 6."
        }
        CodeError::CheckDigit => {
            "A digit is wrong, or two are swapped. Nothing was sent; ask the customer to read the code again."
        }
    }
}

fn card_sentence(name: &str) -> String {
    let what = match name {
        "card-expired" => {
            "Your agent card has expired. Ask whoever issues the cards for a new one."
        }
        "card-not-yet-valid" => {
            "Your agent card isn't valid yet. Ask whoever issues the cards, and whoever runs the service, to check their clocks."
        }
        "card-revoked" => "Your agent card has been revoked. Ask whoever issues the cards.",
        "card-unknown-vendor" => {
            "Your agent card is from another vendor than this service or customer accepts. Check --agent and --service."
        }
        "card-bad-proof" => {
            "Your proof wasn't accepted. Give --service exactly as the service's operator writes it, and check --agent."
        }
        _ => {
            return format!(
                "Your agent card was refused ({name}). Ask whoever issues the cards for a new one."
            );
        }
    };
    what.into()
}

fn dial_sentence(error: &DialError) -> String {
    match error {
        DialError::Unreachable => {
            "The customer's computer can't be reached. Its window may have been closed, or its network stopped \
             working; ask the customer, then connect again."
                .into()
        }
        DialError::Timeout => "The customer's computer took too long to answer. Connect again.".into(),
        DialError::WrongCode => {
            "The code was wrong. Ask the customer to read it again; after three wrong tries a new one is shown there."
                .into()
        }
        DialError::Refused(reason) if reason.starts_with("card-") => card_sentence(reason),
        DialError::Refused(reason) if reason == "revocations-stale" => {
            "The customer's computer can't check agent cards of your key: the vendor's revocation list is missing or \
             outdated, or the clock there is wrong. Ask whoever runs the service to renew the list."
                .into()
        }
        DialError::Refused(reason) => {
            format!("The customer's computer refused this session ({reason}). Ask the customer for a new code.")
        }
        other => format!("The connection failed ({other}). Ask the customer for a new code and try again."),
    }
}

fn link_sentence(error: &LinkError) -> String {
    match error {
        LinkError::Lost => {
            "The connection to the customer was lost. Ask them to open it again and read you the new code.".into()
        }
        LinkError::Violation(detail) => format!(
            "The customer's side broke the protocol ({detail}), so the session was ended. Ask the customer to open it again."
        ),
        other => format!("The connection ended ({other}). Ask the customer to open it again."),
    }
}

fn customer_sentence(name: &str) -> String {
    let what = match name {
        "agent-misbehaved" => "the customer's side didn't accept what your viewer sent",
        "tool-died" => "the tool on the customer's computer stopped",
        "tool-failed" => "the tool on the customer's computer failed",
        "plugin-died" | "plugin-hung" | "plugin-failed" => {
            "the backend on the customer's computer failed"
        }
        "link-lost" => "the connection was lost",
        other => {
            return format!(
                "The customer's side gave up ({other}). Ask the customer to open the connection again."
            );
        }
    };
    format!(
        "It was ended: {what}. Ask the customer to open the connection again, or to choose another backend."
    )
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
pub fn ended_sentence(reason: &str) -> &'static str {
    match reason {
        "agent-ended" => "You ended it. Nobody sees the customer's screen any more.",
        "switch" => {
            "The customer agreed to switch. A new code appears on their screen: ask them to read it to you."
        }
        "nobody-watching" => "No page of the console was open for two minutes, so it was ended.",
        _ => "The customer closed the connection.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(error: SessionError, name: &str, exit_code: u8) {
        assert_eq!((error.name(), error.exit_code()), (name, exit_code));
        let sentence = error.sentence();
        assert!(sentence.ends_with('.') && sentence.len() > 20, "{sentence}");
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
        check(
            SessionError::ServiceUnreachable("no answer".into()),
            "service-unreachable",
            5,
        );
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
