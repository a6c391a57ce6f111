//! Messages that pass the gate, one by one; and that no other ever does.

use etatuki_protocol::Permissions;
use etatuki_rfb::{
    ClientMessage, PixelFormat, PointerFormat, Rect, ScreenLayout, encode, encoding,
};
use proptest::prelude::*;

use super::*;

/// x11vnc: it confirms no extension of the input, and runs without a clipboard.
const OLD_TOOL: ServerCapabilities = ServerCapabilities {
    backend: BackendCapabilities {
        input: true,
        clipboard: false,
        resize: false,
    },
    qemu_keys: false,
    extended_buttons: false,
    utf8_cut_text: false,
    extended_desktop_size: true,
};
/// A backend and server with every capability.
const FULL: ServerCapabilities = ServerCapabilities {
    backend: BackendCapabilities {
        input: true,
        clipboard: true,
        resize: true,
    },
    qemu_keys: true,
    extended_buttons: true,
    utf8_cut_text: true,
    extended_desktop_size: true,
};
const NONE: Permissions = Permissions {
    view: false,
    control: false,
};
const VIEW: Permissions = Permissions {
    view: true,
    control: false,
};
const BOTH: Permissions = Permissions {
    view: true,
    control: true,
};

fn gate(server: ServerCapabilities, permissions: Permissions) -> Gate {
    let mut gate = Gate::new(server);
    gate.set_permissions(permissions);
    gate.set_size(1280, 800);
    gate
}

fn bytes(messages: &[ClientMessage], extended: bool) -> Vec<u8> {
    let mut out = vec![];
    for message in messages {
        encode::client::message(&mut out, message, PointerFormat::negotiated(extended));
    }
    out
}

fn all(gate: &mut Gate) -> Result<Vec<GateOutput>, Violation> {
    let mut passed = vec![];
    while let Some(one) = gate.next()? {
        passed.push(one);
    }
    Ok(passed)
}

fn give(gate: &mut Gate, messages: &[ClientMessage]) -> Result<Vec<GateOutput>, Violation> {
    gate.push(&bytes(messages, false));
    all(gate)
}

/// Checks the output of a fresh gate for one message.
#[track_caller]
fn check(
    server: ServerCapabilities,
    permissions: Permissions,
    message: ClientMessage,
    expected: &[GateOutput],
) {
    assert_eq!(
        give(&mut gate(server, permissions), &[message]).as_deref(),
        Ok(expected)
    );
}

/// Checks that `sent` ends the session, with the violation `name`.
#[track_caller]
fn check_violation(server: ServerCapabilities, sent: &[u8], name: &str) {
    let mut gate = gate(server, BOTH);
    gate.push(sent);
    let violation = all(&mut gate).expect_err("it must not pass");
    assert_eq!(violation.name(), name, "{violation}");
    gate.push(&bytes(&[key(true, 0x61)], false));
    assert_eq!(all(&mut gate), Err(violation), "the end is final");
}

fn key(down: bool, keysym: u32) -> ClientMessage {
    ClientMessage::Key { down, keysym }
}

fn pointer(buttons: u16, x: u16, y: u16) -> ClientMessage {
    ClientMessage::Pointer { buttons, x, y }
}

fn key_in(down: bool, keysym: u32) -> GateOutput {
    GateOutput::Input(PluginInput::Key { down, keysym })
}

fn pointer_in(buttons: u16, x: u16, y: u16) -> GateOutput {
    GateOutput::Input(PluginInput::Pointer { buttons, x, y })
}

fn size_message() -> ClientMessage {
    let rect = Rect::new(0, 0, 1024, 768);
    ClientMessage::SetDesktopSize {
        width: 1024,
        height: 768,
        screens: vec![ScreenLayout {
            id: 1,
            rect,
            flags: 0,
        }],
    }
}

#[test]
fn encodings_are_cut_to_our_list() {
    // The list of noVNC 1.7.0, with a few numbers that nobody uses.
    let offered = vec![
        1, 50, 7, -260, 16, 21, 5, 2, 6, 0, -32, -247, -239, -223, -308, -258, -224, -312, -313, 99,
    ];
    let expected = |list: Vec<i32>| [GateOutput::Encodings(list)];
    let plain = vec![1, 7, 0, -239, -223, -308, -224, -312, -313];
    let with_place = vec![1, 7, 0, -239, -223, -308, -258, -224, -312, -313];
    for permissions in [NONE, VIEW, BOTH] {
        let message = ClientMessage::SetEncodings(offered.clone());
        check(
            OLD_TOOL,
            permissions,
            message.clone(),
            &expected(plain.clone()),
        );
        check(FULL, permissions, message, &expected(with_place.clone()));
    }
}

#[test]
fn encodings_are_named_once() {
    let message = ClientMessage::SetEncodings(vec![0, 1, 0, 1, 0]);
    check(FULL, VIEW, message, &[GateOutput::Encodings(vec![0, 1])]);
}

#[test]
fn update_requests_are_clipped() {
    let request = |rect| ClientMessage::UpdateRequest {
        incremental: true,
        rect,
    };
    let expected = |rect| GateOutput::UpdateRequest {
        incremental: true,
        rect,
    };
    check(
        FULL,
        VIEW,
        request(Rect::new(0, 0, 1280, 800)),
        &[expected(Rect::new(0, 0, 1280, 800))],
    );
    check(
        FULL,
        VIEW,
        request(Rect::new(1000, 700, 65535, 65535)),
        &[expected(Rect::new(1000, 700, 280, 100))],
    );
    check(FULL, VIEW, request(Rect::new(1280, 0, 10, 10)), &[]);
    check(FULL, VIEW, request(Rect::new(0, 0, 0, 0)), &[]);
}

#[test]
fn without_a_screen_no_update_can_be_asked_for() {
    let mut gate = Gate::new(FULL);
    let rect = Rect::new(0, 0, 100, 100);
    let messages = [
        ClientMessage::UpdateRequest {
            incremental: false,
            rect,
        },
        ClientMessage::EnableContinuousUpdates { enable: true, rect },
    ];
    assert_eq!(give(&mut gate, &messages), Ok(vec![]));
}

#[test]
fn continuous_updates_are_clipped_and_can_be_turned_off() {
    let message = |enable, rect| ClientMessage::EnableContinuousUpdates { enable, rect };
    let expected = |enable, rect| [GateOutput::ContinuousUpdates { enable, rect }];
    let everything = Rect::new(0, 0, 65535, 65535);
    check(
        FULL,
        VIEW,
        message(true, everything),
        &expected(true, Rect::new(0, 0, 1280, 800)),
    );
    check(
        FULL,
        VIEW,
        message(false, Rect::default()),
        &expected(false, Rect::default()),
    );
}

#[test]
fn a_fence_passes_up_to_64_bytes() {
    for length in [0, 1, 64] {
        let payload = vec![7; length];
        let message = ClientMessage::Fence {
            flags: 1,
            payload: payload.clone(),
        };
        check(
            OLD_TOOL,
            VIEW,
            message,
            &[GateOutput::Fence { flags: 1, payload }],
        );
    }
}

#[test]
fn keys_need_control() {
    for permissions in [NONE, VIEW] {
        check(FULL, permissions, key(true, 0x61), &[]);
        check(
            FULL,
            permissions,
            ClientMessage::QemuKey {
                down: true,
                keysym: 0x61,
                keycode: 30,
            },
            &[],
        );
    }
    check(FULL, BOTH, key(true, 0x61), &[key_in(true, 0x61)]);
}

#[test]
fn the_pointer_needs_control() {
    for permissions in [NONE, VIEW] {
        check(FULL, permissions, pointer(1, 3, 4), &[]);
    }
    check(FULL, BOTH, pointer(1, 3, 4), &[pointer_in(1, 3, 4)]);
}

#[test]
fn the_pointer_stays_on_the_screen() {
    check(
        FULL,
        BOTH,
        pointer(0, 65535, 65535),
        &[pointer_in(0, 1279, 799)],
    );
}

#[test]
fn more_buttons_only_where_they_are_understood() {
    let send = |server, announced: Vec<i32>| {
        let mut gate = gate(server, BOTH);
        give(&mut gate, &[ClientMessage::SetEncodings(announced)]).expect("a list");
        gate.push(&bytes(&[pointer(0x101, 3, 4)], server.extended_buttons));
        all(&mut gate)
    };
    let announced = vec![encoding::RAW, encoding::EXTENDED_MOUSE_BUTTONS];
    assert_eq!(
        send(FULL, announced.clone()),
        Ok(vec![pointer_in(0x101, 3, 4)])
    );
    assert_eq!(send(OLD_TOOL, announced), Ok(vec![pointer_in(1, 3, 4)]));
}

#[test]
fn a_key_by_its_place_becomes_a_plain_one_for_old_tools() {
    let message = |keysym, keycode| ClientMessage::QemuKey {
        down: true,
        keysym,
        keycode,
    };
    let qemu = GateOutput::Input(PluginInput::QemuKey {
        down: true,
        keysym: 0x61,
        keycode: 30,
    });
    check(FULL, BOTH, message(0x61, 30), &[qemu]);
    check(OLD_TOOL, BOTH, message(0x61, 30), &[key_in(true, 0x61)]);
    check(OLD_TOOL, BOTH, message(0, 30), &[]);
    check(FULL, BOTH, message(0x61, 0x1000), &[key_in(true, 0x61)]);
}

#[test]
fn clipboard_needs_control() {
    let message = ClientMessage::CutText(b"12,50".to_vec());
    check(FULL, VIEW, message.clone(), &[]);
    check(
        FULL,
        BOTH,
        message,
        &[GateOutput::Input(PluginInput::CutText("12,50".into()))],
    );
    for permissions in [NONE, VIEW] {
        assert_eq!(gate(FULL, permissions).clipboard_in("12,50".into()), None);
        assert_eq!(gate(FULL, permissions).clipboard_out("12,50".into()), None);
    }
}

#[test]
fn clipboard_is_latin_1_unless_the_tool_agreed_on_more() {
    let text = gate(FULL, BOTH).clipboard_in("Määrä 5 €".into());
    let text = text.expect("it may");
    for (utf8, bytes) in [
        (false, b"M\xe4\xe4r\xe4 5 ?".as_slice()),
        (true, "Määrä 5 €".as_bytes()),
    ] {
        let (mut encoded, mut expected) = (vec![], vec![]);
        let server = ServerCapabilities {
            utf8_cut_text: utf8,
            ..FULL
        };
        text.encode(&server, &mut encoded);
        let message = ClientMessage::CutText(bytes.to_vec());
        encode::client::message(&mut expected, &message, PointerFormat::Standard);
        assert_eq!(encoded, expected);
    }
}

#[test]
fn clipboard_lines_end_with_lf_both_ways() {
    let open = gate(FULL, BOTH);
    for (text, expected) in [("a\r\nb\rc\nd", "a\nb\nc\nd"), ("\r\n\r\r\n", "\n\n\n")] {
        let input = PluginInput::CutText(expected.into());
        assert_eq!(open.clipboard_in(text.into()), Some(input));
        assert_eq!(open.clipboard_out(text.into()).as_deref(), Some(expected));
    }
    // Nothing to paste; and nothing that can be taken.
    assert_eq!(open.clipboard_in(String::new()), None);
    assert_eq!(open.clipboard_out(String::new()), Some(String::new()));
}

#[test]
fn clipboard_is_bounded() {
    let open = gate(FULL, BOTH);
    let (most, more) = (MAX_CLIPBOARD, MAX_CLIPBOARD + 1);
    assert!(open.clipboard_in("x".repeat(most)).is_some());
    assert_eq!(open.clipboard_in("x".repeat(more)), None);
    let untakable = Some(String::new());
    assert_eq!(open.clipboard_out("x".repeat(more)), untakable);
    // As UTF-8, the text would be too long for the tool.
    check(FULL, BOTH, ClientMessage::CutText(vec![0xe4; most]), &[]);
}

#[test]
fn only_a_backend_that_can_changes_its_size_and_only_with_control() {
    check(FULL, VIEW, size_message(), &[GateOutput::ResizeProhibited]);
    let ClientMessage::SetDesktopSize {
        width,
        height,
        screens,
    } = size_message()
    else {
        unreachable!()
    };
    check(
        FULL,
        BOTH,
        size_message(),
        &[GateOutput::Input(PluginInput::DesktopSize {
            width,
            height,
            screens,
        })],
    );
    check(
        OLD_TOOL,
        BOTH,
        size_message(),
        &[GateOutput::ResizeProhibited],
    );
    let unconfirmed = ServerCapabilities {
        extended_desktop_size: false,
        ..FULL
    };
    check(
        unconfirmed,
        BOTH,
        size_message(),
        &[GateOutput::ResizeProhibited],
    );
}

/// An extension that the plugin's server confirms later is announced to the agent's viewer then,
/// and used from there on.
#[test]
fn what_is_confirmed_later_passes_from_then_on() {
    let declared = ServerCapabilities::declared(FULL.backend);
    let mut gate = gate(declared, BOTH);
    let list = vec![
        encoding::RAW,
        encoding::QEMU_EXTENDED_KEY,
        encoding::EXTENDED_MOUSE_BUTTONS,
    ];
    let passed = give(&mut gate, &[ClientMessage::SetEncodings(list.clone())]);
    assert_eq!(passed, Ok(vec![GateOutput::Encodings(vec![encoding::RAW])]));
    let message = ClientMessage::QemuKey {
        down: true,
        keysym: 0x61,
        keycode: 30,
    };
    let plain = give(&mut gate, std::slice::from_ref(&message));
    assert_eq!(plain, Ok(vec![key_in(true, 0x61)]));
    assert_eq!(gate.set_server_capabilities(declared), None);
    assert_eq!(
        gate.set_server_capabilities(FULL),
        Some(GateOutput::Encodings(list))
    );
    let qemu = PluginInput::QemuKey {
        down: true,
        keysym: 0x61,
        keycode: 30,
    };
    assert_eq!(
        give(&mut gate, &[message]),
        Ok(vec![GateOutput::Input(qemu)])
    );
    gate.push(&bytes(&[pointer(0x101, 3, 4)], true));
    assert_eq!(all(&mut gate), Ok(vec![pointer_in(0x101, 3, 4)]));
}

#[test]
fn a_backend_gets_nothing_that_it_doesnt_declare() {
    let nothing = ServerCapabilities {
        backend: BackendCapabilities::default(),
        ..FULL
    };
    check(nothing, BOTH, key(true, 0x61), &[]);
    check(nothing, BOTH, pointer(1, 3, 4), &[]);
    check(
        nothing,
        BOTH,
        size_message(),
        &[GateOutput::ResizeProhibited],
    );
    let gate = gate(nothing, BOTH);
    assert_eq!(gate.clipboard_in("12,50".into()), None);
    assert_eq!(gate.clipboard_out("12,50".into()), None);
}

#[test]
fn nothing_acts_while_a_question_is_open() {
    let mut gate = gate(FULL, BOTH);
    gate.block_input(true);
    let acts = [
        key(true, 0xff0d),
        ClientMessage::QemuKey {
            down: true,
            keysym: 0xff0d,
            keycode: 28,
        },
        pointer(1, 640, 400),
        ClientMessage::CutText(b"x".to_vec()),
    ];
    assert_eq!(give(&mut gate, &acts), Ok(vec![]));
    assert_eq!(
        give(&mut gate, &[size_message()]),
        Ok(vec![GateOutput::ResizeProhibited])
    );
    assert_eq!(gate.clipboard_in("x".into()), None);
    gate.block_input(false);
    assert_eq!(
        give(&mut gate, &[key(true, 0xff0d)]),
        Ok(vec![key_in(true, 0xff0d)])
    );
}

#[test]
fn another_pixel_format_ends_it() {
    check_violation(
        FULL,
        &bytes(&[ClientMessage::SetPixelFormat(PixelFormat::BGRX)], false),
        "pixel-format",
    );
}

#[test]
fn a_long_fence_ends_it() {
    let mut sent = vec![248, 0, 0, 0, 0, 0, 0, 1, 65];
    sent.extend([0; 65]);
    check_violation(FULL, &sent, "broken-message");
}

#[test]
fn a_long_clipboard_ends_it() {
    check_violation(
        FULL,
        &[6, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff],
        "broken-message",
    );
}

#[test]
fn the_extended_clipboard_ends_it() {
    check_violation(
        FULL,
        &[6, 0, 0, 0, 0xff, 0xff, 0xff, 0xf0],
        "unknown-message",
    );
}

/// All message types except the ten in the list; among them FixColourMapEntries (1), UltraVNC's
/// file transfer (7), scaling (8), SetServerInput (9), SetSW (10), text chat (11), keep-alive (13),
/// PalmVNC (15), VMware (127), gii (253), xvp (250), OLIVE (249) and Tight's (252).
#[test]
fn every_unknown_type_ends_it() {
    const KNOWN: [u8; 10] = [0, 2, 3, 4, 5, 6, 150, 248, 251, 255];
    for kind in (0..=255).filter(|kind| !KNOWN.contains(kind)) {
        let mut sent = vec![kind];
        sent.extend([0; 64]);
        check_violation(FULL, &sent, "unknown-message");
    }
}

/// The other messages of QEMU's type, which are audio.
#[test]
fn qemu_audio_ends_it() {
    for operation in 0..3_u8 {
        let mut gate = gate(FULL, BOTH);
        gate.push(&[255, 1, 0, operation, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert!(all(&mut gate).is_err());
    }
}

#[test]
fn what_came_before_the_breach_has_passed() {
    let mut gate = gate(FULL, BOTH);
    let mut sent = bytes(&[key(true, 0x61)], false);
    sent.push(99);
    gate.push(&sent);
    assert_eq!(gate.next(), Ok(Some(key_in(true, 0x61))));
    assert!(gate.next().is_err());
}

mod pressed_input {
    use super::*;

    #[test]
    fn everything_is_released_latest_first() {
        let mut gate = gate(FULL, BOTH);
        let qemu = ClientMessage::QemuKey {
            down: true,
            keysym: 0xffe1,
            keycode: 42,
        };
        give(
            &mut gate,
            &[key(true, 0xffe3), qemu, key(true, 0x61), pointer(5, 10, 20)],
        )
        .expect("allowed");
        let expected = [
            PluginInput::Key {
                down: false,
                keysym: 0x61,
            },
            PluginInput::QemuKey {
                down: false,
                keysym: 0xffe1,
                keycode: 42,
            },
            PluginInput::Key {
                down: false,
                keysym: 0xffe3,
            },
            PluginInput::Pointer {
                buttons: 0,
                x: 10,
                y: 20,
            },
        ];
        assert_eq!(gate.release_input(), expected);
        assert_eq!(gate.release_input(), []);
    }

    #[test]
    fn what_was_let_go_is_not_released_again() {
        let mut gate = gate(FULL, BOTH);
        let messages = [
            key(true, 0x61),
            key(true, 0x61),
            key(false, 0x61),
            pointer(1, 1, 1),
            pointer(0, 1, 1),
        ];
        give(&mut gate, &messages).expect("allowed");
        assert_eq!(gate.release_input(), []);
    }

    #[test]
    fn what_never_passed_is_not_released() {
        let mut gate = gate(FULL, VIEW);
        give(&mut gate, &[key(true, 0x61), pointer(1, 1, 1)]).expect("dropped");
        assert_eq!(gate.release_input(), []);
    }

    #[test]
    fn a_thousand_keys_at_once_are_not_held() {
        let mut gate = gate(FULL, BOTH);
        let presses: Vec<_> = (1..=1000).map(|keysym| key(true, keysym)).collect();
        assert_eq!(give(&mut gate, &presses).expect("allowed").len(), 64);
        assert_eq!(gate.release_input().len(), 64);
    }
}

fn any_rect() -> impl Strategy<Value = Rect> {
    any::<(u16, u16, u16, u16)>().prop_map(|(x, y, w, h)| Rect::new(x, y, w, h))
}

fn any_message() -> impl Strategy<Value = ClientMessage> {
    prop_oneof![
        prop::collection::vec(any::<i32>(), 0..20).prop_map(ClientMessage::SetEncodings),
        (any::<bool>(), any_rect())
            .prop_map(|(incremental, rect)| ClientMessage::UpdateRequest { incremental, rect }),
        (any::<bool>(), 0..200_u32).prop_map(|(down, keysym)| key(down, keysym)),
        (any::<bool>(), 0..9_u32, 0..300_u32).prop_map(|(down, keysym, keycode)| {
            ClientMessage::QemuKey {
                down,
                keysym,
                keycode,
            }
        }),
        (0..256_u16, any::<u16>(), any::<u16>()).prop_map(|(buttons, x, y)| pointer(buttons, x, y)),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(ClientMessage::CutText),
        (any::<u32>(), prop::collection::vec(any::<u8>(), 0..65))
            .prop_map(|(flags, payload)| ClientMessage::Fence { flags, payload }),
        (any::<bool>(), any_rect())
            .prop_map(|(enable, rect)| ClientMessage::EnableContinuousUpdates { enable, rect }),
    ]
}

/// The keys and buttons that a tool has pressed after its input.
#[derive(Default)]
struct Tool {
    keys: std::collections::BTreeSet<(u32, Option<u32>)>,
    buttons: u16,
}

impl Tool {
    fn take(&mut self, input: &PluginInput) {
        let (down, key) = match *input {
            PluginInput::Key { down, keysym } => (down, (keysym, None)),
            PluginInput::QemuKey {
                down,
                keysym,
                keycode,
            } => (down, (keysym, Some(keycode))),
            PluginInput::Pointer { buttons, .. } => {
                self.buttons = buttons;
                return;
            }
            _ => return,
        };
        if down {
            self.keys.insert(key);
        } else {
            self.keys.remove(&key);
        }
    }
}

proptest! {
    /// Random messages while permissions come and go. A tool gets input only with control and
    /// without a question, in RFC 6143's messages if it is an old one, and on the screen. Nothing
    /// stays pressed after a release.
    #[test]
    fn nothing_but_what_is_allowed(
        extended in any::<bool>(),
        steps in prop::collection::vec((any::<(bool, bool)>(), prop::collection::vec(any_message(), 0..20)), 1..10),
    ) {
        let server = if extended { FULL } else { OLD_TOOL };
        let mut gate = gate(server, NONE);
        let mut tool = Tool::default();
        for ((control, muted), messages) in steps {
            for input in gate.release_input() {
                tool.take(&input);
            }
            prop_assert!(tool.keys.is_empty() && tool.buttons == 0);
            gate.set_permissions(Permissions { view: true, control });
            gate.block_input(muted);
            for message in messages {
                // Each message in the plain form: lists in between may turn the longer one on.
                for passed in give(&mut gate, &[message]).expect("all of these are known") {
                    let GateOutput::Input(input) = passed else { continue };
                    prop_assert!(control && !muted);
                    let mut bytes = vec![];
                    input.encode(&server, &mut bytes);
                    prop_assert!(extended || (4..=6).contains(&bytes[0]), "{:?}", bytes);
                    if let PluginInput::Pointer { x, y, .. } = input {
                        prop_assert!(x < 1280 && y < 800);
                    }
                    tool.take(&input);
                }
            }
        }
    }

    /// Hostile bytes, split anywhere. No panic, and no input without control.
    #[test]
    fn hostile_bytes(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 0..20)) {
        let mut gate = gate(FULL, VIEW);
        for chunk in chunks {
            gate.push(&chunk);
            while let Ok(Some(passed)) = gate.next() {
                prop_assert!(!matches!(passed, GateOutput::Input(_)));
            }
        }
    }
}
