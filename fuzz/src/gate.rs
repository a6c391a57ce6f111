//! An agent's input at the gate of a session: nothing reaches a plugin without control.

use etatuki_session_core::Permissions;
use etatuki_session_core::gate::{
    BackendCapabilities, Gate, GateOutput, PluginInput, ServerCapabilities,
};

use crate::pieces;

/// Width and height of the screen.
const SIZE: (u16, u16) = (640, 480);

/// Feeds bytes to a gate. The first byte decides over permissions and capabilities, the next four
/// over the splits.
pub(crate) fn session_gate(bytes: &[u8]) {
    let Some((&flags, rest)) = bytes.split_first() else {
        return;
    };
    let Some((lengths, bytes)) = rest.split_at_checked(4) else {
        return;
    };
    let flag = |bit: u8| flags & (1 << bit) != 0;
    let (control, blocked) = (flag(0), flag(1));
    let server = ServerCapabilities {
        backend: BackendCapabilities {
            input: flag(2),
            clipboard: flag(3),
            resize: flag(4),
        },
        qemu_keys: flag(5),
        extended_buttons: flag(6),
        utf8_cut_text: flag(7),
        extended_desktop_size: flag(7),
    };
    let mut gate = Gate::new(server);
    gate.set_permissions(Permissions {
        view: true,
        control,
    });
    gate.block_input(blocked);
    gate.set_size(SIZE.0, SIZE.1);
    'bytes: for piece in pieces(lengths, bytes) {
        gate.push(piece);
        loop {
            match gate.next() {
                Ok(Some(output)) => check(&output, control && !blocked, &server),
                Ok(None) => break,
                Err(violation) => {
                    assert_eq!(gate.next(), Err(violation), "the end is final");
                    break 'bytes;
                }
            }
        }
    }
    let releases = gate.release_input();
    assert!(releases.len() <= 65);
    assert!(control && !blocked || releases.is_empty());
    assert_eq!(gate.release_input(), []);
}

fn check(output: &GateOutput, may_act: bool, server: &ServerCapabilities) {
    let GateOutput::Input(input) = output else {
        return;
    };
    assert!(may_act, "{input:?} without control");
    match input {
        PluginInput::Key { .. } => assert!(server.backend.input),
        PluginInput::QemuKey { .. } => assert!(server.backend.input && server.qemu_keys),
        PluginInput::Pointer { buttons, x, y } => {
            assert!(server.backend.input && *x < SIZE.0 && *y < SIZE.1);
            assert!(*buttons <= 0xff || server.extended_buttons);
        }
        PluginInput::CutText(_) => assert!(server.backend.clipboard),
        PluginInput::DesktopSize { .. } => assert!(server.can_resize()),
    }
}
