//! Control messages: what the two ends tell each other besides picture and input. JSON in frames of at
//! most 64 KiB; whatever isn't exactly one of these ends the link.

use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};

use crate::{block::EncodeError, violation::Violation};

/// The most bytes of JSON that one message may have: 64 KiB.
pub const MAX_CONTROL: usize = 64 << 10;

/// From the customer's machine to the console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is one at a time, and none is kept"
)]
pub enum ToAgent {
    /// What is at the customer's end; first of all, and again when something of it has changed.
    Info(Box<CustomerInfo>),
    /// What the customer allows now; sent whenever it changes.
    Permissions(Permissions),
    /// The customer has answered, or the question was answered for him (time ran out).
    Answer {
        /// What was asked.
        ask: Ask,
        /// Whether it was allowed.
        allowed: bool,
        /// How often the agent may still ask for this.
        asks_left: u8,
    },
    /// The question is on the customer's screen.
    Asking {
        /// What is asked.
        ask: Ask,
    },
    /// The session is over; the link closes after this.
    Ended {
        /// A stable name.
        reason: String,
    },
}

/// From the console to the customer's machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ToCustomer {
    /// The agent would like the customer to be asked.
    Ask(Ask),
    /// The agent ends the session.
    End,
}

/// What a customer can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Ask {
    /// May the agent see the screen?
    View,
    /// May the agent use mouse and keyboard?
    Control,
    /// May this session be closed, and one with another backend be opened?
    Switch {
        /// The backend's id, of 40 bytes at most.
        #[serde(deserialize_with = "backend_id")]
        backend: String,
    },
}

/// No backend's id is longer.
const MAX_ID: usize = 40;

/// It comes back in answers, so it has to be short.
fn backend_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let id = String::deserialize(deserializer)?;
    if id.len() > MAX_ID {
        return Err(serde::de::Error::custom("no backend has such a long id"));
    }
    Ok(id)
}

/// What the customer has allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permissions {
    /// The agent sees the screen.
    pub view: bool,
    /// The agent has mouse and keyboard; never without `view`.
    pub control: bool,
}

/// What is at the customer's end, for the agent to know what to expect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomerInfo {
    /// The backend's id.
    pub backend: String,
    /// The backend's name in the customer's menu.
    pub label: String,
    /// The legacy tool that serves the picture, if one does.
    pub tool: Option<String>,
    /// Its version, as it says itself.
    pub tool_version: Option<String>,
    /// The plugin's version.
    pub plugin_version: String,
    /// The operating system.
    pub system: String,
    /// The accounting program's version, if it told.
    pub app_version: Option<String>,
    /// All backends of this machine, this one too.
    pub usable: Vec<UsableBackend>,
    /// The launcher's version.
    pub launcher_version: String,
    /// The name of the program that alone is shared, when the customer chose that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_program: Option<String>,
}

/// A backend of the customer's machine, and whether it would work there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsableBackend {
    /// The backend's id.
    pub id: String,
    /// Its name in the customer's menu.
    pub label: String,
    /// Whether it would work.
    pub usable: bool,
    /// Why not, by a stable name.
    pub reason: Option<String>,
}

/// Returns `message` as the body of a frame.
///
/// # Errors
/// [`EncodeError::TooLarge`] above [`MAX_CONTROL`].
pub fn encode_control<M: Serialize>(message: &M) -> Result<Vec<u8>, EncodeError> {
    let json = serde_json::to_vec(message).expect("a message is made of strings and numbers");
    if json.len() > MAX_CONTROL {
        return Err(EncodeError::TooLarge {
            length: json.len(),
            limit: MAX_CONTROL,
        });
    }
    Ok(json)
}

/// Reads the body of a frame as a message.
///
/// # Errors
/// [`Violation::UnknownMessage`] if it is anything but exactly one message.
pub fn parse_control<M: DeserializeOwned>(json: &[u8]) -> Result<M, Violation> {
    serde_json::from_slice(json).map_err(|_| Violation::UnknownMessage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<M>(message: &M, json: &str)
    where
        M: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
    {
        assert_eq!(serde_json::to_string(message).unwrap(), json);
        assert_eq!(parse_control::<M>(json.as_bytes()).as_ref(), Ok(message));
    }

    #[test]
    fn messages_have_these_shapes() {
        check(&ToCustomer::End, r#""end""#);
        check(&ToCustomer::Ask(Ask::View), r#"{"ask":"view"}"#);
        let switch = Ask::Switch {
            backend: "ecom".into(),
        };
        check(
            &ToCustomer::Ask(switch.clone()),
            r#"{"ask":{"switch":{"backend":"ecom"}}}"#,
        );
        check(
            &ToAgent::Asking { ask: Ask::Control },
            r#"{"asking":{"ask":"control"}}"#,
        );
        check(
            &ToAgent::Answer {
                ask: switch,
                allowed: false,
                asks_left: 2,
            },
            r#"{"answer":{"ask":{"switch":{"backend":"ecom"}},"allowed":false,"asks_left":2}}"#,
        );
        check(
            &ToAgent::Permissions(Permissions {
                view: true,
                control: false,
            }),
            r#"{"permissions":{"view":true,"control":false}}"#,
        );
        check(
            &ToAgent::Ended {
                reason: "closed".into(),
            },
            r#"{"ended":{"reason":"closed"}}"#,
        );
    }

    #[test]
    fn anything_else_is_refused() {
        for json in [
            "",
            "null",
            "\"begin\"",
            "\"end\" ]",
            r#"{"end":1}"#,
            r#"{"ask":"everything"}"#,
            r#"{"ask":"view","also":1}"#,
            r#"{"ask":{"view":1}}"#,
            r#"{"ask":{"switch":{"backend":"ecom","force":true}}}"#,
            r#"{"ask":{"switch":{}}}"#,
            "{\"ask\":\"view\"",
            "\u{feff}\"end\"",
        ] {
            assert_eq!(
                parse_control::<ToCustomer>(json.as_bytes()),
                Err(Violation::UnknownMessage),
                "{json}"
            );
        }
        for json in [
            r#"{"permissions":{"view":true}}"#,
            r#"{"permissions":{"view":true,"control":true,"root":true}}"#,
            r#"{"answer":{"ask":"view","allowed":true,"asks_left":256}}"#,
        ] {
            assert_eq!(
                parse_control::<ToAgent>(json.as_bytes()),
                Err(Violation::UnknownMessage),
                "{json}"
            );
        }
        let deep = "[".repeat(60_000);
        assert_eq!(
            parse_control::<ToAgent>(deep.as_bytes()),
            Err(Violation::UnknownMessage)
        );
    }
}
