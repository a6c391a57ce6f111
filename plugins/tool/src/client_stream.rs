//! The launcher's side of the RFB stream, with keys and pointer taken out: bytes in, parts out.
//!
//! The launcher is told that the server knows scan codes and nine buttons. A server that was asked
//! for these extensions confirms them by an update of its own (rfbproto, 'QEMU Extended Key Event
//! Pseudo-encoding'). That update is put in before the launcher's first request has reached the
//! tool, which sends none before.

use etatuki_rfb::{
    ClientMessage, ClientParser, Limits, PointerFormat, ProtocolError, encode, encoding,
};

/// Bytes of the client's version message.
const VERSION_LENGTH: usize = 12;
/// The version in which the client chooses no security type (RFC 6143 section 7.1.2).
const VERSION_3_3: &[u8] = b"RFB 003.003\n";

/// The extensions of the input, which the plugin carries out itself.
const INPUT_EXTENSIONS: [i32; 2] = [
    encoding::QEMU_EXTENDED_KEY,
    encoding::EXTENDED_MOUSE_BUTTONS,
];

/// The stream from the launcher to the tool.
#[derive(Debug)]
pub(crate) struct ClientStream {
    state: State,
    /// Whether the launcher has sent its encodings.
    announced: bool,
}

#[derive(Debug)]
enum State {
    Handshaking(Vec<u8>),
    Running(ClientParser),
}

/// A part of the stream.
#[derive(Debug, PartialEq)]
pub(crate) enum Part {
    /// Bytes for the tool.
    Forward(Vec<u8>),
    /// Bytes for the launcher.
    Reply(Vec<u8>),
    /// A key or a pointer event.
    Input(ClientMessage),
}

impl ClientStream {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Handshaking(Vec::new()),
            announced: false,
        }
    }

    /// Takes more bytes, split anywhere. Returns the parts that are complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Part>, ProtocolError> {
        let mut parts = Vec::new();
        match &mut self.state {
            State::Handshaking(seen) => {
                seen.extend_from_slice(bytes);
                let Some(length) = handshake_length(seen) else {
                    parts.push(Part::Forward(bytes.to_vec()));
                    return Ok(parts);
                };
                // Everything before these bytes went on as it came.
                let before = seen.len() - bytes.len();
                let own = length.saturating_sub(before);
                parts.push(Part::Forward(bytes[..own].to_vec()));
                let mut parser = ClientParser::new(Limits::default());
                parser.push(&bytes[own..]);
                self.state = State::Running(parser);
            }
            State::Running(parser) => parser.push(bytes),
        }
        self.take_messages(&mut parts)?;
        Ok(parts)
    }

    fn take_messages(&mut self, parts: &mut Vec<Part>) -> Result<(), ProtocolError> {
        let State::Running(parser) = &mut self.state else {
            return Ok(());
        };
        while let Some(message) = parser.next()? {
            let message = match message {
                ClientMessage::Key { .. }
                | ClientMessage::QemuKey { .. }
                | ClientMessage::Pointer { .. } => {
                    parts.push(Part::Input(message));
                    continue;
                }
                ClientMessage::SetEncodings(list) => {
                    let is_ours = |encoding: &i32| INPUT_EXTENSIONS.contains(encoding);
                    let (ours, rest): (Vec<i32>, _) = list.into_iter().partition(is_ours);
                    if !ours.is_empty() && !std::mem::replace(&mut self.announced, true) {
                        parts.push(Part::Reply(confirmation(&ours)));
                        let extended = ours.contains(&encoding::EXTENDED_MOUSE_BUTTONS);
                        parser.set_pointer_format(PointerFormat::negotiated(extended));
                    }
                    ClientMessage::SetEncodings(rest)
                }
                other => other,
            };
            let mut bytes = Vec::new();
            encode::client::message(&mut bytes, &message, PointerFormat::Standard);
            parts.push(Part::Forward(bytes));
        }
        Ok(())
    }
}

/// Returns the length of the client's handshake: version, security type, ClientInit. `None` until it
/// is complete.
fn handshake_length(seen: &[u8]) -> Option<usize> {
    let version = seen.get(..VERSION_LENGTH)?;
    let length = match version == VERSION_3_3 {
        true => VERSION_LENGTH + 1,
        false => VERSION_LENGTH + 2,
    };
    (seen.len() >= length).then_some(length)
}

/// Returns an update that confirms extensions.
fn confirmation(extensions: &[i32]) -> Vec<u8> {
    let mut update = Vec::new();
    encode::server::update_start(&mut update, Some(extensions.len() as u16));
    for extension in extensions {
        encode::server::supports(&mut update, *extension);
    }
    update
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(messages: &[ClientMessage], format: PointerFormat) -> Vec<u8> {
        let mut bytes = Vec::new();
        for message in messages {
            encode::client::message(&mut bytes, message, format);
        }
        bytes
    }

    /// Joins what goes each way, and the input.
    fn sorted(parts: Vec<Part>) -> (Vec<u8>, Vec<u8>, Vec<ClientMessage>) {
        let mut all = (Vec::new(), Vec::new(), Vec::new());
        for part in parts {
            match part {
                Part::Forward(bytes) => all.0.extend(bytes),
                Part::Reply(bytes) => all.1.extend(bytes),
                Part::Input(message) => all.2.push(message),
            }
        }
        all
    }

    #[test]
    fn only_keys_and_pointer_stay_here_however_it_is_split() {
        let key = ClientMessage::QemuKey {
            down: true,
            keysym: 0x61,
            keycode: 0x1e,
        };
        let pointer = ClientMessage::Pointer {
            buttons: 0x100,
            x: 3,
            y: 4,
        };
        let encodings = |list: &[i32]| ClientMessage::SetEncodings(list.to_vec());
        let asked = encodings(&[
            0,
            encoding::QEMU_EXTENDED_KEY,
            encoding::EXTENDED_MOUSE_BUTTONS,
        ]);
        let text = ClientMessage::CutText(b"hello".to_vec());
        for (handshake, version) in [
            (&b"RFB 003.008\n\x01\x01"[..], "3.8"),
            (b"RFB 003.003\n\x01", "3.3"),
        ] {
            let mut sent = handshake.to_vec();
            sent.extend(encoded(
                std::slice::from_ref(&asked),
                PointerFormat::Standard,
            ));
            let rest = [key.clone(), text.clone(), pointer.clone(), asked.clone()];
            sent.extend(encoded(&rest, PointerFormat::negotiated(true)));
            let mut expected = handshake.to_vec();
            let forwarded = [encodings(&[0]), text.clone(), encodings(&[0])];
            expected.extend(encoded(&forwarded, PointerFormat::Standard));
            let confirmed = confirmation(&INPUT_EXTENSIONS);
            for step in [1, 7, sent.len()] {
                let mut stream = ClientStream::new();
                let parts = sent
                    .chunks(step)
                    .flat_map(|chunk| stream.push(chunk).unwrap());
                let (forward, reply, input) = sorted(parts.collect());
                assert_eq!(forward, expected, "{version} by {step}");
                assert_eq!(reply, confirmed, "{version} by {step}");
                assert_eq!(input, [key.clone(), pointer.clone()], "{version} by {step}");
            }
        }
    }
}
