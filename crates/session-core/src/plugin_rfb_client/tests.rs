//! The client against RFB's server side, byte by byte.

use etatuki_rfb::encode::server;
use etatuki_rfb::{ClientParser, Security, ServerHandshake};
use proptest::prelude::*;

use super::*;
use crate::flood_brake::FloodBrake;
use std::time::Duration;

const SIZE: (u16, u16) = (64, 32);

/// A tool, with the messages that it has received.
struct Tool {
    client: PluginRfbClient,
    heard: ClientParser,
}

impl Tool {
    /// Returns a tool right after the handshake, and the client's first messages.
    fn open() -> (Self, Vec<ClientMessage>) {
        let init = ServerInit {
            width: SIZE.0,
            height: SIZE.1,
            format: PixelFormat::BGRX,
            name: "a user's name".into(),
        };
        let mut client = PluginRfbClient::new(BackendCapabilities::default());
        let mut server = ServerHandshake::new(init, Security::None);
        loop {
            let shared = server.step().expect("our client is a good one");
            client.push(&server.take_output());
            let event = client.next().expect("our server is a good one");
            server.push(&std::mem::take(client.out()));
            if shared.is_some() {
                assert_eq!(event, Some(PluginRfbEvent::Opened));
                break;
            }
        }
        let mut heard = ClientParser::new(Limits::default());
        heard.push(&server.into_rest());
        let mut tool = Self { client, heard };
        let first = tool.hear();
        (tool, first)
    }

    fn hear(&mut self) -> Vec<ClientMessage> {
        self.heard.push(&std::mem::take(self.client.out()));
        let mut messages = vec![];
        while let Some(message) = self.heard.next().expect("our client is a good one") {
            messages.push(message);
        }
        messages
    }

    fn say(&mut self, bytes: &[u8]) -> Vec<PluginRfbEvent> {
        self.client.push(bytes);
        let mut events = vec![];
        while let Some(event) = self.client.next().expect("good bytes") {
            events.push(event);
        }
        events
    }
}

fn update(colour: u8) -> Vec<u8> {
    let mut out = vec![];
    let rect = Rect::new(0, 0, SIZE.0, SIZE.1);
    server::update_start(&mut out, Some(1));
    server::raw_header(&mut out, rect);
    out.extend([colour, colour, colour, 0].repeat(rect.area()));
    out
}

fn request(incremental: bool, w: u16, h: u16) -> ClientMessage {
    ClientMessage::UpdateRequest {
        incremental,
        rect: Rect::new(0, 0, w, h),
    }
}

/// The first messages have types of RFC 6143 alone. Encodings that only newer servers know come
/// last.
#[test]
fn the_first_words_are_ones_that_every_tool_takes() {
    let (_, first) = Tool::open();
    let expected = [
        ClientMessage::SetPixelFormat(PixelFormat::BGRX),
        ClientMessage::SetEncodings(vec![
            1,
            0,
            -239,
            -232,
            -308,
            -223,
            -224,
            -1163154689,
            -258,
            -316,
        ]),
        request(false, SIZE.0, SIZE.1),
    ];
    assert_eq!(first, expected);
}

#[test]
fn one_request_at_a_time() {
    let (mut tool, _) = Tool::open();
    tool.client.request_update();
    assert_eq!(tool.hear(), []);
    assert_eq!(
        tool.say(&update(9)),
        [PluginRfbEvent::Updated { changed: true }]
    );
    tool.client.request_update();
    tool.client.request_update();
    assert_eq!(tool.hear(), [request(true, SIZE.0, SIZE.1)]);
}

#[test]
fn what_was_there_already_is_no_change() {
    let (mut tool, _) = Tool::open();
    tool.say(&update(9));
    assert_eq!(
        tool.say(&update(9)),
        [PluginRfbEvent::Updated { changed: false }]
    );
    let screen = tool.client.framebuffer().expect("it is open");
    assert_eq!(screen.pixels()[..4], [9, 9, 9, 0]);
}

#[test]
fn inside_an_update_nothing_is_settled() {
    let (mut tool, _) = Tool::open();
    assert!(tool.client.is_between_updates());
    let bytes = update(9);
    let (first, second) = bytes.split_at(bytes.len() / 2);
    assert_eq!(tool.say(first), []);
    assert!(!tool.client.is_between_updates());
    assert_eq!(
        tool.say(second),
        [PluginRfbEvent::Updated { changed: true }]
    );
    assert!(tool.client.is_between_updates());
}

#[test]
fn another_size_is_asked_for_as_a_whole() {
    let (mut tool, _) = Tool::open();
    tool.say(&update(9));
    let mut bytes = vec![];
    server::update_start(&mut bytes, Some(1));
    server::desktop_size(&mut bytes, 100, 50);
    assert_eq!(
        tool.say(&bytes),
        [PluginRfbEvent::Updated { changed: true }]
    );
    tool.client.request_update();
    assert_eq!(tool.hear(), [request(false, 100, 50)]);
}

#[test]
fn the_tools_clipboard_is_heard() {
    let (mut tool, _) = Tool::open();
    let mut bytes = vec![];
    server::cut_text(&mut bytes, b"12,50");
    assert_eq!(tool.say(&bytes), [PluginRfbEvent::CutText("12,50".into())]);
}

#[test]
fn cut_text_is_latin_1_until_the_tool_says_otherwise() {
    let (mut tool, _) = Tool::open();
    let cut = |text: &[u8]| {
        let mut bytes = vec![];
        server::cut_text(&mut bytes, text);
        bytes
    };
    let heard = |text: &str| [PluginRfbEvent::CutText(text.into())];
    assert_eq!(tool.say(&cut(b"\xe4")), heard("ä"));
    let mut bytes = vec![];
    server::update_start(&mut bytes, Some(1));
    server::supports(&mut bytes, encoding::UTF8_CUT_TEXT);
    tool.say(&bytes);
    assert_eq!(tool.say(&cut("Ж €".as_bytes())), heard("Ж €"));
    // No text, and too much of it: nothing that can be taken.
    assert_eq!(tool.say(&cut(b"\xe4")), heard(""));
    assert_eq!(tool.say(&cut(&vec![b'x'; (1 << 20) + 1])), heard(""));
    tool.client.send_input(&PluginInput::CutText("漢 €".into()));
    let sent = ClientMessage::CutText("漢 €".into());
    assert_eq!(tool.hear(), [sent]);
}

/// Extensions of the input are used once the server has confirmed them, and not before.
#[test]
fn a_server_confirms_what_it_takes() {
    let (mut tool, first) = Tool::open();
    let announced = |message: &ClientMessage| matches!(message, ClientMessage::SetEncodings(list) if list.contains(&encoding::QEMU_EXTENDED_KEY));
    assert!(first.iter().any(announced));
    assert_eq!(
        tool.client.server_capabilities(),
        ServerCapabilities::default()
    );
    let mut bytes = vec![];
    server::update_start(&mut bytes, Some(2));
    server::supports(&mut bytes, encoding::QEMU_EXTENDED_KEY);
    server::supports(&mut bytes, encoding::EXTENDED_MOUSE_BUTTONS);
    tool.say(&bytes);
    let confirmed = ServerCapabilities {
        qemu_keys: true,
        extended_buttons: true,
        ..ServerCapabilities::default()
    };
    assert_eq!(tool.client.server_capabilities(), confirmed);
}

#[test]
fn what_was_never_announced_gets_no_answer() {
    let (mut tool, _) = Tool::open();
    let mut bytes = vec![];
    server::bell(&mut bytes);
    server::fence(&mut bytes, 1 << 31, b"x");
    server::end_of_continuous_updates(&mut bytes);
    assert_eq!(tool.say(&bytes), []);
    assert_eq!(tool.hear(), []);
}

#[test]
fn input_waits_for_a_screen() {
    let key = PluginInput::Key {
        down: true,
        keysym: 0x61,
    };
    let mut client = PluginRfbClient::new(BackendCapabilities::default());
    client.send_input(&key);
    assert!(client.out().is_empty());
    let (mut tool, _) = Tool::open();
    tool.client.send_input(&key);
    assert_eq!(
        tool.hear(),
        [ClientMessage::Key {
            down: true,
            keysym: 0x61
        }]
    );
}

proptest! {
    /// A hostile plugin gets an error or nothing; never a panic, and bounded memory.
    #[test]
    fn hostile_bytes(greet in any::<bool>(), chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20)) {
        let mut client = if greet { Tool::open().0.client } else { PluginRfbClient::new(BackendCapabilities::default()) };
        for chunk in chunks {
            client.push(&chunk);
            while let Ok(Some(_)) = client.next() {}
        }
        prop_assert!(client.out().len() < 4096);
    }
}

#[test]
fn a_flood_of_bells_or_texts_costs_the_server_time_and_a_usual_message_none() {
    let pause = |bytes: &[u8]| {
        let (mut tool, _) = Tool::open();
        tool.say(bytes);
        FloodBrake::default().on_work(tool.client.take_cheap_messages(), Duration::ZERO)
    };
    let mut text = vec![];
    server::cut_text(&mut text, &vec![b'x'; 20_000]);
    assert_eq!(pause(&text), None);
    assert_eq!(pause(&[&text[..], &[2; 30], &update(1)].concat()), None);
    assert!(pause(&[2; 256 << 10]).is_some_and(|pause| pause >= Duration::from_millis(200)));
    assert!(pause(&text.repeat(12)).is_some());
    assert!(pause(&[0, 0, 0, 0].repeat(1000)).is_some(), "empty updates");
    let pixels = |count: u16| {
        let mut bytes = vec![];
        server::update_start(&mut bytes, Some(count));
        for _ in 0..count {
            server::raw_header(&mut bytes, Rect::new(0, 0, 1, 1));
            bytes.extend([1, 2, 3, 0]);
        }
        bytes
    };
    assert_eq!(pause(&pixels(2000)), None);
    assert!(pause(&pixels(20_000)).is_some(), "rectangles of a pixel");
    // Also in pieces that count less than one.
    let (mut tool, _) = Tool::open();
    let mut brake = FloodBrake::default();
    let mut paused = false;
    for piece in pixels(8000).chunks(100) {
        tool.say(piece);
        paused |= brake
            .on_work(tool.client.take_cheap_messages(), Duration::ZERO)
            .is_some();
    }
    assert!(paused, "in pieces");
}

#[test]
fn a_message_that_has_begun_is_known() {
    let (mut tool, _) = Tool::open();
    assert!(!tool.client.is_mid_message());
    let update = update(1);
    let (first, rest) = update.split_at(100);
    tool.say(first);
    assert!(tool.client.is_mid_message() && !tool.client.take_completed());
    tool.say(&[rest, &[3, 0]].concat());
    assert!(tool.client.is_mid_message(), "half a cut text has begun");
    assert!(tool.client.take_completed());
}
