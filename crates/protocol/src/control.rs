//! Control messages: everything that the two ends say to each other besides picture, input and
//! clipboard. JSON in frames of at most 64 KiB; anything else than exactly one of these messages
//! ends the link.

use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};

use crate::address::EndpointAddress;
use crate::error::{CodecError, Violation};
use crate::screen_status::ScreenStatus;
use crate::wording::{ShownQuestion, Wording};

/// The most bytes of JSON in one control message: 64 KiB.
pub const MAX_CONTROL: usize = 64 << 10;

/// A message from the customer's machine to the console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is one at a time, and none is kept"
)]
pub enum ToAgent {
    /// The description of the customer's end: the first message, and again after each change.
    Info(Box<CustomerInfo>),
    /// The permissions that the customer gives now; sent after each change.
    Permissions(Permissions),
    /// The answer to a question: the customer's, or a refusal because time ran out.
    Answer {
        /// The question.
        ask: Ask,
        /// Whether the answer is yes.
        allowed: bool,
        /// The number of times that the agent may still ask this.
        asks_left: u8,
    },
    /// A question is on the customer's screen.
    Asking {
        /// The question.
        ask: Ask,
    },
    /// The question that is on the customer's screen, in the customer's own words. After `Asking`,
    /// and again after each change; never where the accounting program asks in windows of its own.
    Shown(Box<ShownQuestion>),
    /// The state of the customer's screen while the agent sees it; sent after each change. A new or
    /// resumed link begins with [`ScreenCondition::Visible`](crate::ScreenCondition::Visible).
    Screen(ScreenStatus),
    /// Heartbeat: sent every [`HEARTBEAT_INTERVAL`](crate::HEARTBEAT_INTERVAL).
    Alive,
    /// The address at which the customer's endpoint is reached from now on, for a resume; sent
    /// after each change.
    Address(EndpointAddress),
    /// The customer's launcher comes back by itself if the machine is restarted: sent when the
    /// customer has allowed it, after each resume, and with 0 when it isn't so any more.
    Restarting {
        /// Seconds in which it comes back.
        seconds_left: u16,
    },
    /// The end of the session; the link closes after this.
    Ended {
        /// A stable name of the reason.
        reason: String,
    },
}

/// A message from the console to the customer's machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ToCustomer {
    /// A request to ask the customer something.
    Ask(Ask),
    /// Heartbeat: sent every [`HEARTBEAT_INTERVAL`](crate::HEARTBEAT_INTERVAL).
    Alive,
    /// The end of the session, by the agent.
    End,
}

/// A question to the customer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Ask {
    /// May the agent see the screen?
    View,
    /// May the agent use mouse and keyboard?
    Control,
    /// May the launcher come back once, by itself, after a restart of the machine?
    Restart,
    /// May this session be closed, and one with another backend be opened?
    Switch {
        /// The backend's id, of 40 bytes at most.
        #[serde(deserialize_with = "backend_id")]
        backend: String,
    },
}

/// The most bytes of a backend's id.
const MAX_BACKEND_ID: usize = 40;

/// Deserializes a backend's id and bounds its length: it comes back in answers, so it has to be
/// short.
fn backend_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let id = String::deserialize(deserializer)?;
    if id.len() > MAX_BACKEND_ID {
        return Err(serde::de::Error::custom("no backend has such a long id"));
    }
    Ok(id)
}

/// The permissions that the customer has given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permissions {
    /// Whether the agent sees the screen.
    pub view: bool,
    /// Whether the agent has mouse and keyboard; never without `view`.
    pub control: bool,
}

/// A description of the customer's end, so that the agent knows what to expect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomerInfo {
    /// The backend's id.
    pub backend: String,
    /// The backend's name in the customer's menu.
    pub label: String,
    /// The legacy tool that serves the picture, if one does.
    pub tool: Option<String>,
    /// The legacy tool's version, as reported by itself.
    pub tool_version: Option<String>,
    /// The plugin's version.
    pub plugin_version: String,
    /// The operating system.
    pub system: String,
    /// The accounting program's version, if known.
    pub app_version: Option<String>,
    /// All backends of the customer's machine, the current one included.
    pub usable: Vec<UsableBackend>,
    /// The launcher's version.
    pub launcher_version: String,
    /// The name of the only program that is shared, if the customer chose one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_program: Option<String>,
    /// Features that the session lacks with this backend: the console doesn't offer them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unsupported: Vec<Feature>,
    /// The words of the launcher's windows; `None` where the accounting program shows code and
    /// questions in windows of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wording: Option<Wording>,
}

/// A part of a session that not every backend has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Feature {
    /// Keys and pointer.
    Control,
    /// Clipboard text, both ways.
    Clipboard,
    /// Another size of the customer's screen.
    Resize,
}

/// A backend of the customer's machine, and whether it would work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsableBackend {
    /// The backend's id.
    pub id: String,
    /// The backend's name in the customer's menu.
    pub label: String,
    /// Whether it would work.
    pub usable: bool,
    /// A stable name of the reason why not.
    pub reason: Option<String>,
}

/// Encodes `message` as the body of a frame.
///
/// # Errors
/// [`CodecError::TooLarge`] above [`MAX_CONTROL`].
pub fn encode_control<M: Serialize>(message: &M) -> Result<Vec<u8>, CodecError> {
    let json = serde_json::to_vec(message).expect("a message is made of strings and numbers");
    if json.len() > MAX_CONTROL {
        return Err(CodecError::TooLarge {
            length: json.len(),
            limit: MAX_CONTROL,
        });
    }
    Ok(json)
}

/// Parses the body of a frame.
///
/// # Errors
/// [`Violation::UnknownMessage`] if it isn't exactly one message.
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

    /// A backend that lacks nothing leaves the field out, as launchers did before the field
    /// existed.
    #[test]
    fn a_missing_list_of_unsupported_features_is_an_empty_one() {
        let json = r#"{"backend":"ecom","label":"Ecom","tool":null,"tool_version":null,"plugin_version":"1","system":"Debian","app_version":null,"usable":[],"launcher_version":"1"}"#;
        let info: CustomerInfo = serde_json::from_str(json).unwrap();
        assert_eq!(info.unsupported, []);
        assert_eq!(serde_json::to_string(&info).unwrap(), json);
        let lacking = CustomerInfo {
            unsupported: vec![Feature::Clipboard, Feature::Resize],
            ..info
        };
        let json = json.replace('}', r#","unsupported":["clipboard","resize"]}"#);
        assert_eq!(serde_json::to_string(&lacking).unwrap(), json);
    }

    #[test]
    fn messages_have_these_shapes() {
        check(&ToCustomer::End, r#""end""#);
        check(&ToCustomer::Alive, r#""alive""#);
        check(&ToAgent::Alive, r#""alive""#);
        check(&ToCustomer::Ask(Ask::View), r#"{"ask":"view"}"#);
        let switch = Ask::Switch {
            backend: "ecom".into(),
        };
        check(&ToCustomer::Ask(Ask::Restart), r#"{"ask":"restart"}"#);
        check(
            &ToAgent::Restarting { seconds_left: 900 },
            r#"{"restarting":{"seconds_left":900}}"#,
        );
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
            r#"{"alive":1}"#,
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
