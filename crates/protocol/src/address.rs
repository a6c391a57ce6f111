//! The address of an endpoint, as the customer's end tells it to the agent's.

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::Value;

use crate::error::CodecError;

/// The most bytes of an address as JSON: 4 KiB. 32 IPv6 addresses take 2 KiB.
pub const MAX_ADDRESS: usize = 4 << 10;

/// The address of an endpoint: the transport's JSON, opaque here, at most [`MAX_ADDRESS`] bytes. It
/// comes from the other end, so whoever dials filters it first, as an address from the service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct EndpointAddress(Value);

impl EndpointAddress {
    /// Wraps the transport's JSON.
    ///
    /// # Errors
    /// [`CodecError::TooLarge`] above [`MAX_ADDRESS`].
    pub fn new(json: Value) -> Result<Self, CodecError> {
        let length = json.to_string().len();
        if length > MAX_ADDRESS {
            return Err(CodecError::TooLarge {
                length,
                limit: MAX_ADDRESS,
            });
        }
        Ok(Self(json))
    }

    /// Returns the transport's JSON.
    #[must_use]
    pub const fn as_json(&self) -> &Value {
        &self.0
    }
}

impl<'de> Deserialize<'de> for EndpointAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Value::deserialize(deserializer)?;
        if !json.is_object() || has_fraction(&json) {
            return Err(D::Error::custom("not an address"));
        }
        Self::new(json).map_err(D::Error::custom)
    }
}

/// Returns whether a number in `json` isn't an integer. No address has one, and a fraction may
/// change when it is written and read again. The depth is bounded by the parser (128).
fn has_fraction(json: &Value) -> bool {
    match json {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(has_fraction),
        Value::Object(fields) => fields.values().any(has_fraction),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{ToAgent, Violation, encode_control, parse_control};

    #[test]
    fn an_address_arrives_as_it_was_sent() {
        let json = json!({"id": "ab", "addrs": [{"Relay": "https://relay.example/"}, {"Ip": "192.0.2.1:7"}]});
        let sent = ToAgent::Address(EndpointAddress::new(json.clone()).unwrap());
        let text = encode_control(&sent).unwrap();
        assert!(text.starts_with(br#"{"address":{""#));
        assert_eq!(parse_control(&text), Ok(sent));
    }

    #[test]
    fn an_address_is_a_short_object() {
        let check = |json: String| {
            let parsed = parse_control::<ToAgent>(format!(r#"{{"address":{json}}}"#).as_bytes());
            assert_eq!(parsed, Err(Violation::UnknownMessage), "{json}");
        };
        for json in [
            "null",
            "7",
            r#""here""#,
            "[]",
            r#"{"a":0.5}"#,
            r#"{"a":[{"b":1e9}]}"#,
        ] {
            check(json.to_owned());
        }
        check(format!(r#"{{"id":"{}"}}"#, "a".repeat(MAX_ADDRESS)));
        let long = json!({ "id": "a".repeat(MAX_ADDRESS) });
        assert!(matches!(
            EndpointAddress::new(long),
            Err(CodecError::TooLarge { .. })
        ));
    }
}
