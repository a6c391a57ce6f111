//! Clipboard texts between the link and one viewer: with Extended Clipboard, without, and without
//! control.

#![allow(clippy::unwrap_used, reason = "a test may end with a panic")]

use etatuki_rfb::{
    ClientMessage, ClipboardCaps, ClipboardMessage, PixelFormat, Rect, ServerInit, encode, encoding,
};
use etatuki_viewer::{Control, LostCharacters, PointerReports, RemoteDesktop, ViewerSession};

const SIZE: (u16, u16) = (40, 20);
const TEXT: &str = "5 € 漢字\n";

/// The session of a viewer that has requested a picture.
struct Harness {
    session: ViewerSession,
    desktop: RemoteDesktop,
}

impl Harness {
    fn new(encodings: &[i32]) -> Self {
        let desktop = RemoteDesktop::new(ServerInit {
            width: SIZE.0,
            height: SIZE.1,
            format: PixelFormat::BGRX,
            name: String::new(),
        });
        let session = ViewerSession::new(SIZE, PointerReports::IfAnnounced);
        let mut harness = Self { session, desktop };
        let encodings = encodings.to_vec();
        harness.send(ClientMessage::SetEncodings(encodings), Control::Denied);
        let rect = Rect::new(0, 0, SIZE.0, SIZE.1);
        let incremental = false;
        let request = ClientMessage::UpdateRequest { incremental, rect };
        harness.send(request, Control::Denied);
        harness
    }

    /// Creates the session of a viewer with Extended Clipboard that has said what it takes.
    fn extended(max_unasked_text: u32) -> Self {
        let mut harness = Self::new(&[encoding::EXTENDED_CLIPBOARD]);
        let [ours] = &harness.sent()[..] else {
            panic!("one message is expected")
        };
        let ClipboardMessage::Caps(ours) = ours else {
            panic!("{ours:?}")
        };
        assert_eq!(ours.max_unasked_text, (2 << 20) + 1);
        let caps = ClipboardCaps {
            max_unasked_text,
            ..*ours
        };
        harness.say(ClipboardMessage::Caps(caps), Control::Denied);
        harness
    }

    /// Sends a message of the viewer's. Returns the text for the customer.
    fn send(&mut self, message: ClientMessage, control: Control) -> Option<String> {
        let actions = self
            .session
            .on_client_message(message, &self.desktop, control);
        actions.unwrap().clipboard
    }

    fn say(&mut self, message: ClipboardMessage, control: Control) -> Option<String> {
        self.send(ClientMessage::Clipboard(message), control)
    }

    /// Returns the bytes that the viewer was sent since the last call.
    fn sent_bytes(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.session.take_output(&mut bytes);
        bytes
    }

    /// Returns the Extended Clipboard messages that the viewer was sent since the last call.
    fn sent(&mut self) -> Vec<ClipboardMessage> {
        let bytes = self.sent_bytes();
        let mut rest = &bytes[..];
        let mut messages = Vec::new();
        while let Some((&[kind, _, _, _, a, b, c, d], after)) = rest.split_first_chunk() {
            assert_eq!(kind, 3, "only ServerCutText is expected");
            let length = i32::from_be_bytes([a, b, c, d]).unsigned_abs() as usize;
            let (content, after) = after.split_at(length);
            messages.push(ClipboardMessage::parse(content, 1 << 20).unwrap());
            rest = after;
        }
        messages
    }
}

fn provide(text: &str) -> ClipboardMessage {
    ClipboardMessage::Provide(Some(text.into()))
}

fn notify(text: bool) -> ClipboardMessage {
    ClipboardMessage::Notify { text }
}

const REQUEST: ClipboardMessage = ClipboardMessage::Request { text: true };

#[test]
fn a_viewer_with_extended_clipboard_gets_every_character_when_it_asks() {
    let mut harness = Harness::extended(0);
    assert_eq!(harness.session.send_clipboard(TEXT), LostCharacters(0));
    assert_eq!(harness.sent(), [notify(true)]);
    for _ in 0..2 {
        harness.say(REQUEST, Control::Granted);
        assert_eq!(harness.sent(), [provide(TEXT)]);
    }
    harness.say(ClipboardMessage::Peek, Control::Granted);
    assert_eq!(harness.sent(), [notify(true)]);
}

#[test]
fn a_viewer_that_takes_texts_unasked_gets_those_that_fit() {
    let mut harness = Harness::extended(20);
    let _ = harness.session.send_clipboard(TEXT);
    assert_eq!(harness.sent(), [provide(TEXT)]);
    let _ = harness.session.send_clipboard("x".repeat(20).as_str());
    assert_eq!(harness.sent(), [notify(true)]);
}

#[test]
fn a_viewer_that_has_not_said_what_it_takes_gets_texts_unasked() {
    let mut harness = Harness::new(&[encoding::EXTENDED_CLIPBOARD]);
    harness.sent();
    let _ = harness.session.send_clipboard(TEXT);
    assert_eq!(harness.sent(), [provide(TEXT)]);
}

#[test]
fn what_the_customer_copied_instead_of_a_text_is_told() {
    let mut harness = Harness::extended(0);
    let _ = harness.session.send_clipboard(TEXT);
    let _ = harness.session.send_clipboard("");
    assert_eq!(harness.sent(), [notify(true), notify(false)]);
    harness.say(REQUEST, Control::Granted);
    assert_eq!(harness.sent(), [ClipboardMessage::Provide(None)]);
}

#[test]
fn an_offer_ends_with_control() {
    let mut harness = Harness::extended(0);
    let _ = harness.session.send_clipboard(TEXT);
    harness.session.on_control_revoked();
    harness.say(REQUEST, Control::Denied);
    harness.say(ClipboardMessage::Peek, Control::Denied);
    let expected = [
        notify(true),
        notify(false),
        ClipboardMessage::Provide(None),
        notify(false),
    ];
    assert_eq!(harness.sent(), expected);
    harness.session.on_control_revoked();
    assert_eq!(harness.sent(), [], "nothing was offered any more");
}

#[test]
fn the_viewers_text_is_asked_for_and_taken_with_control_alone() {
    let mut harness = Harness::extended(0);
    assert_eq!(harness.say(notify(true), Control::Denied), None);
    assert_eq!(harness.say(provide(TEXT), Control::Denied), None);
    assert_eq!(harness.sent(), []);
    harness.say(notify(false), Control::Granted);
    assert_eq!(harness.sent(), []);
    harness.say(notify(true), Control::Granted);
    assert_eq!(harness.sent(), [REQUEST]);
    let taken = harness.say(provide(TEXT), Control::Granted);
    assert_eq!(taken.as_deref(), Some(TEXT));
    let nothing = ClipboardMessage::Provide(None);
    assert_eq!(harness.say(nothing, Control::Granted), None);
}

#[test]
fn each_announcement_is_answered() {
    let mut harness = Harness::extended(0);
    let encodings = vec![encoding::EXTENDED_CLIPBOARD];
    harness.send(ClientMessage::SetEncodings(encodings), Control::Denied);
    assert!(matches!(harness.sent()[..], [ClipboardMessage::Caps(_)]));
    // What the viewer said before is still true.
    let _ = harness.session.send_clipboard(TEXT);
    assert_eq!(harness.sent(), [notify(true)]);
}

#[test]
fn a_viewer_without_it_gets_latin1_and_the_loss_is_counted() {
    let mut harness = Harness::new(&[encoding::RAW]);
    assert_eq!(harness.sent_bytes(), []);
    assert_eq!(harness.session.send_clipboard(TEXT), LostCharacters(3));
    let mut expected = Vec::new();
    encode::server::cut_text(&mut expected, b"5 ? ??\n");
    assert_eq!(harness.sent_bytes(), expected);
    assert_eq!(harness.session.send_clipboard("Äiti"), LostCharacters(0));
    harness.sent_bytes();
    // It can't be told that there is something else now, and its messages of that kind are ignored.
    let _ = harness.session.send_clipboard("");
    assert_eq!(harness.say(provide(TEXT), Control::Granted), None);
    harness.say(REQUEST, Control::Granted);
    assert_eq!(harness.sent_bytes(), []);
}
