//! The viewer's side as a viewer meets it: the pure seat, and a real client over TCP.

use std::sync::Arc;

use etatuki_rfb::{
    ClientMessage, ClientParser, CursorImage, Limits, PixelFormat, Rect, Rectangle, ScreenLayout,
    Security, ServerInit, ServerMessage, ServerParser,
    encode::{self, fence_flags},
    encoding,
};
use tokio::net::{TcpListener, TcpStream};
use vnc::{VncClient, VncConnector, VncEncoding, VncEvent};
use zeroize::Zeroizing;

use super::{negotiated_viewer::CannotResize, *};

/// No bytes at all; an empty array alone could be of anything.
const NOTHING: &[u8] = &[];
const SIZE: (u16, u16) = (40, 20);
const RGBX: PixelFormat = PixelFormat {
    red_shift: 0,
    blue_shift: 16,
    ..PixelFormat::BGRX
};
const EXTENDED_CLIPBOARD: i32 = 0xc0a1_e5ce_u32.cast_signed();

fn init() -> ServerInit {
    let (width, height) = SIZE;
    ServerInit {
        width,
        height,
        format: PixelFormat::BGRX,
        name: "desktop".into(),
    }
}

fn remote_desktop() -> RemoteDesktop {
    RemoteDesktop::new(init())
}

/// A seat whose viewer has announced these and asked for its first picture.
fn listening(remote_desktop: &RemoteDesktop, encodings: &[i32]) -> ViewerSession {
    let mut session = ViewerSession::new(remote_desktop.size);
    say(
        &mut session,
        remote_desktop,
        ClientMessage::SetEncodings(encodings.to_vec()),
    );
    say(&mut session, remote_desktop, request(true));
    session
}

fn request(incremental: bool) -> ClientMessage {
    ClientMessage::UpdateRequest {
        incremental,
        rect: Rect::new(1, 2, 3, 4),
    }
}

/// What came of a message.
#[derive(Debug)]
struct Said {
    to_link: Vec<u8>,
    to_viewer: Vec<u8>,
}

impl Said {
    fn new(session: &mut ViewerSession, actions: Actions) -> Self {
        let mut to_viewer = Vec::new();
        session.write_buffer.take(&mut to_viewer);
        Self {
            to_link: actions.to_link,
            to_viewer,
        }
    }
}

fn say(
    session: &mut ViewerSession,
    remote_desktop: &RemoteDesktop,
    message: ClientMessage,
) -> Said {
    let actions = session
        .on_client_message(message, remote_desktop, true)
        .unwrap();
    Said::new(session, actions)
}

fn hear(
    session: &mut ViewerSession,
    remote_desktop: &mut RemoteDesktop,
    message: &ServerMessage,
) -> Said {
    remote_desktop.learn(message);
    let actions = session.on_server_message(message).unwrap();
    Said::new(session, actions)
}

fn update(
    session: &mut ViewerSession,
    remote_desktop: &mut RemoteDesktop,
    rectangles: &[Rectangle],
) -> Vec<ServerMessage> {
    hear(session, remote_desktop, &ServerMessage::UpdateStart);
    for rectangle in rectangles {
        let actions = hear(
            session,
            remote_desktop,
            &ServerMessage::Rectangle(rectangle.clone()),
        );
        assert!(
            actions.to_viewer.is_empty(),
            "an update goes out as a whole"
        );
    }
    to_viewer(&hear(session, remote_desktop, &ServerMessage::UpdateEnd).to_viewer)
}

fn to_link(bytes: &[u8]) -> Vec<ClientMessage> {
    let mut parser = ClientParser::new(Limits::default());
    parser.push(bytes);
    std::iter::from_fn(|| parser.next().unwrap()).collect()
}

/// As a viewer reads them that was told [`SIZE`]; pixels as if they were ours.
fn to_viewer(bytes: &[u8]) -> Vec<ServerMessage> {
    let mut parser = ServerParser::new(Limits::default(), PixelFormat::BGRX, SIZE.0, SIZE.1);
    parser.push(bytes);
    std::iter::from_fn(|| parser.next().unwrap()).collect()
}

fn rectangles(messages: &[ServerMessage]) -> Vec<&Rectangle> {
    let found = messages.iter().filter_map(|message| match message {
        ServerMessage::Rectangle(rectangle) => Some(rectangle),
        _ => None,
    });
    found.collect()
}

fn fence(flags: u32, payload: &[u8]) -> (ServerMessage, ClientMessage) {
    let payload = payload.to_vec();
    (
        ServerMessage::Fence {
            flags,
            payload: payload.clone(),
        },
        ClientMessage::Fence { flags, payload },
    )
}

#[test]
fn only_what_we_know_is_announced() {
    let mut session = ViewerSession::new(SIZE);
    let announced = vec![
        1,
        50,
        7,
        16,
        0,
        encoding::CURSOR,
        EXTENDED_CLIPBOARD,
        1,
        encoding::FENCE,
        -32,
    ];
    let actions = say(
        &mut session,
        &remote_desktop(),
        ClientMessage::SetEncodings(announced),
    );
    let cut = ClientMessage::SetEncodings(vec![
        1,
        0,
        encoding::CURSOR,
        encoding::TIGHT,
        encoding::LAST_RECT,
        encoding::FENCE,
        encoding::CONTINUOUS_UPDATES,
    ]);
    assert_eq!(to_link(&actions.to_link), [cut]);
    assert!(actions.to_viewer.is_empty());
}

#[test]
fn the_pixel_format_is_ours_to_translate() {
    let mut remote_desktop = remote_desktop();
    let mut session = listening(&remote_desktop, &[0, encoding::CURSOR]);
    let actions = say(
        &mut session,
        &remote_desktop,
        ClientMessage::SetPixelFormat(RGBX),
    );
    assert!(actions.to_link.is_empty() && actions.to_viewer.is_empty());
    let rect = Rect::new(5, 6, 2, 1);
    let cursor = |pixels: Vec<u8>| CursorImage {
        hotspot: (0, 0),
        width: 1,
        height: 1,
        pixels,
        mask: vec![0x80],
    };
    let sent = [
        Rectangle::Raw {
            rect,
            pixels: vec![1, 2, 3, 0, 4, 5, 6, 0],
        },
        Rectangle::Cursor(cursor(vec![7, 8, 9, 0])),
    ];
    let got = update(&mut session, &mut remote_desktop, &sent);
    let expected = [
        Rectangle::Raw {
            rect,
            pixels: vec![3, 2, 1, 0, 6, 5, 4, 0],
        },
        Rectangle::Cursor(cursor(vec![9, 8, 7, 0])),
    ];
    assert_eq!(rectangles(&got), expected.iter().collect::<Vec<_>>());
}

#[test]
fn a_new_viewer_gets_the_whole_picture_and_nothing_before() {
    let mut remote_desktop = remote_desktop();
    let mut session = ViewerSession::new(SIZE);
    say(
        &mut session,
        &remote_desktop,
        ClientMessage::SetEncodings(vec![0]),
    );
    let raw = Rectangle::Raw {
        rect: Rect::new(0, 0, 1, 1),
        pixels: vec![0; 4],
    };
    assert_eq!(
        update(
            &mut session,
            &mut remote_desktop,
            std::slice::from_ref(&raw)
        ),
        []
    );
    assert_eq!(
        to_link(&say(&mut session, &remote_desktop, request(true)).to_link),
        [streaming(true), whole()]
    );
    // A later one goes on only where the viewer has lost something.
    assert_eq!(
        say(&mut session, &remote_desktop, request(true)).to_link,
        NOTHING
    );
    assert_eq!(
        to_link(&say(&mut session, &remote_desktop, request(false)).to_link),
        [request(false)]
    );
    assert_eq!(
        rectangles(&update(
            &mut session,
            &mut remote_desktop,
            std::slice::from_ref(&raw)
        )),
        [&raw]
    );
    // An empty update answers a request too.
    say(&mut session, &remote_desktop, request(true));
    assert_eq!(
        update(&mut session, &mut remote_desktop, &[]),
        [ServerMessage::UpdateStart, ServerMessage::UpdateEnd]
    );
}

#[test]
fn what_an_earlier_viewer_was_told_a_later_one_is_told_too() {
    let mut remote_desktop = remote_desktop();
    let cursor = CursorImage {
        hotspot: (0, 0),
        width: 1,
        height: 1,
        pixels: vec![1, 2, 3, 0],
        mask: vec![0x80],
    };
    let screens = vec![ScreenLayout {
        id: 3,
        rect: Rect::new(0, 0, 50, 30),
        flags: 0,
    }];
    let size = Rectangle::ExtendedDesktopSize {
        reason: 0,
        status: 0,
        width: 50,
        height: 30,
        screens,
    };
    let supports = Rectangle::Supports {
        encoding: encoding::EXTENDED_MOUSE_BUTTONS,
    };
    for rectangle in [
        Rectangle::Cursor(cursor.clone()),
        size.clone(),
        supports.clone(),
    ] {
        remote_desktop.learn(&ServerMessage::Rectangle(rectangle));
    }
    let mut session = ViewerSession::new(remote_desktop.size);
    let announced = [
        encoding::CURSOR,
        encoding::EXTENDED_DESKTOP_SIZE,
        encoding::EXTENDED_MOUSE_BUTTONS,
    ];
    say(
        &mut session,
        &remote_desktop,
        ClientMessage::SetEncodings(announced.to_vec()),
    );
    assert!(!session.extended_pointer());
    let told = to_viewer(&say(&mut session, &remote_desktop, request(false)).to_viewer);
    assert_eq!(
        rectangles(&told),
        [&size, &Rectangle::Cursor(cursor), &supports]
    );
    assert!(session.extended_pointer());

    let mut plain = ViewerSession::new(remote_desktop.size);
    say(
        &mut plain,
        &remote_desktop,
        ClientMessage::SetEncodings(vec![0]),
    );
    assert_eq!(
        say(&mut plain, &remote_desktop, request(false)).to_viewer,
        NOTHING
    );
}

/// The page shows the pointer's place beside a viewer that doesn't know it; any other viewer gets it if it can.
#[test]
fn the_pointers_place_is_for_those_who_show_it() {
    let place = Rectangle::PointerPos { x: 7, y: 9 };
    let hears = |announced: &[i32], beside: bool| {
        let mut remote_desktop = remote_desktop();
        let mut session = ViewerSession::new(SIZE).with_places(beside);
        let announces = ClientMessage::SetEncodings(announced.to_vec());
        let sent = to_link(&say(&mut session, &remote_desktop, announces).to_link);
        let ClientMessage::SetEncodings(asked) = &sent[0] else {
            panic!("{sent:?}");
        };
        let asked = asked
            .iter()
            .filter(|number| **number == encoding::POINTER_POS);
        let asked = asked.count();
        say(&mut session, &remote_desktop, request(true));
        let got = update(
            &mut session,
            &mut remote_desktop,
            std::slice::from_ref(&place),
        );
        assert_eq!(remote_desktop.pointer, Some((7, 9)));
        (asked, rectangles(&got) == [&place])
    };
    let number = encoding::POINTER_POS;
    assert_eq!(hears(&[0], false), (0, false));
    assert_eq!(hears(&[0], true), (1, false));
    assert_eq!(hears(&[number, 0], false), (1, true));
    assert_eq!(hears(&[number, 0], true), (1, true));
}

#[test]
fn screens_are_known_from_left_to_right() {
    let mut remote_desktop = remote_desktop();
    let all = [Rect::new(
        0,
        0,
        remote_desktop.size.0,
        remote_desktop.size.1,
    )];
    assert_eq!(remote_desktop.screens(), all);
    let (left, right) = (Rect::new(0, 0, 20, 30), Rect::new(20, 0, 30, 30));
    let screen = |id, rect| ScreenLayout { id, rect, flags: 0 };
    remote_desktop.learn(&ServerMessage::Rectangle(Rectangle::ExtendedDesktopSize {
        reason: 0,
        status: 0,
        width: 50,
        height: 30,
        screens: vec![screen(1, right), screen(2, left)],
    }));
    assert_eq!(remote_desktop.screens(), [left, right]);
}

#[test]
fn sizes_are_told_in_the_way_that_the_viewer_knows() {
    let extended = Rectangle::ExtendedDesktopSize {
        reason: 0,
        status: 0,
        width: 50,
        height: 30,
        screens: Vec::new(),
    };
    let plain = Rectangle::DesktopSize {
        width: 50,
        height: 30,
    };
    let one_screen = vec![ScreenLayout {
        id: 0,
        rect: Rect::new(0, 0, 50, 30),
        flags: 0,
    }];
    let made = Rectangle::ExtendedDesktopSize {
        reason: 0,
        status: 0,
        width: 50,
        height: 30,
        screens: one_screen,
    };
    let check = |announced: i32, sent: &Rectangle, expected: &Rectangle| {
        let mut remote_desktop = remote_desktop();
        let mut session = listening(&remote_desktop, &[announced]);
        let got = update(
            &mut session,
            &mut remote_desktop,
            std::slice::from_ref(sent),
        );
        assert_eq!(rectangles(&got), [expected]);
    };
    check(encoding::DESKTOP_SIZE, &plain, &plain);
    check(encoding::DESKTOP_SIZE, &extended, &plain);
    check(encoding::EXTENDED_DESKTOP_SIZE, &extended, &extended);
    check(encoding::EXTENDED_DESKTOP_SIZE, &plain, &made);

    let mut remote_desktop = remote_desktop();
    let mut session = listening(&remote_desktop, &[0]);
    remote_desktop.learn(&ServerMessage::Rectangle(plain.clone()));
    assert_eq!(
        session
            .on_server_message(&ServerMessage::Rectangle(plain))
            .unwrap_err(),
        CannotResize
    );
}

#[test]
fn a_size_that_changed_before_the_first_request_is_told_first() {
    let mut remote_desktop = remote_desktop();
    let mut session = ViewerSession::new(SIZE);
    say(
        &mut session,
        &remote_desktop,
        ClientMessage::SetEncodings(vec![encoding::DESKTOP_SIZE]),
    );
    remote_desktop.learn(&ServerMessage::Rectangle(Rectangle::DesktopSize {
        width: 50,
        height: 30,
    }));
    let told = to_viewer(&say(&mut session, &remote_desktop, request(false)).to_viewer);
    assert_eq!(
        rectangles(&told),
        [&Rectangle::DesktopSize {
            width: 50,
            height: 30
        }]
    );
    let mut plain = ViewerSession::new(SIZE);
    assert_eq!(
        plain
            .on_client_message(request(false), &remote_desktop, true)
            .unwrap_err(),
        CannotResize
    );
}

#[test]
fn input_goes_nowhere_without_control() {
    let remote_desktop = remote_desktop();
    let mut session = listening(&remote_desktop, &[0]);
    let screens = vec![ScreenLayout {
        id: 0,
        rect: Rect::new(0, 0, 9, 9),
        flags: 0,
    }];
    let inputs = [
        ClientMessage::Key {
            down: true,
            keysym: 0x61,
        },
        ClientMessage::QemuKey {
            down: true,
            keysym: 0x61,
            keycode: 30,
        },
        ClientMessage::Pointer {
            buttons: 1,
            x: 2,
            y: 3,
        },
        ClientMessage::SetDesktopSize {
            width: 9,
            height: 9,
            screens,
        },
    ];
    for input in inputs {
        assert_eq!(
            session
                .on_client_message(input.clone(), &remote_desktop, false)
                .unwrap()
                .to_link,
            NOTHING
        );
        assert_eq!(
            to_link(
                &session
                    .on_client_message(input.clone(), &remote_desktop, true)
                    .unwrap()
                    .to_link
            ),
            [input]
        );
    }
    let text = || ClientMessage::CutText(b"\xe4".to_vec());
    assert_eq!(
        session
            .on_client_message(text(), &remote_desktop, false)
            .unwrap()
            .clipboard,
        None
    );
    let allowed = session
        .on_client_message(text(), &remote_desktop, true)
        .unwrap();
    assert_eq!(
        (allowed.clipboard.as_deref(), &allowed.to_link[..]),
        (Some("ä"), NOTHING)
    );
    let releases = [
        ClientMessage::Key {
            down: false,
            keysym: 0x61,
        },
        ClientMessage::QemuKey {
            down: false,
            keysym: 0x61,
            keycode: 30,
        },
        ClientMessage::Pointer {
            buttons: 0,
            x: 2,
            y: 3,
        },
        streaming(false),
    ];
    assert_eq!(to_link(&session.detach(true)), releases);
}

#[test]
fn what_was_released_when_control_ended_is_not_released_again() {
    let remote_desktop = remote_desktop();
    let mut session = listening(&remote_desktop, &[0]);
    say(
        &mut session,
        &remote_desktop,
        ClientMessage::Key {
            down: true,
            keysym: 0x61,
        },
    );
    session.on_control_revoked();
    assert_eq!(to_link(&session.detach(true)), [streaming(false)]);
}

fn whole() -> ClientMessage {
    let incremental = false;
    let rect = Rect::new(0, 0, SIZE.0, SIZE.1);
    ClientMessage::UpdateRequest { incremental, rect }
}

/// Everything of the screen, over the link, as long as somebody watches.
fn streaming(enable: bool) -> ClientMessage {
    let rect = Rect::new(0, 0, SIZE.0, SIZE.1);
    ClientMessage::EnableContinuousUpdates { enable, rect }
}

#[test]
fn over_the_link_updates_follow_each_other_whatever_the_viewer_does() {
    let remote_desktop = remote_desktop();
    for announced in [vec![0], vec![encoding::FENCE, encoding::CONTINUOUS_UPDATES]] {
        let mut session = ViewerSession::new(SIZE);
        let first = say(
            &mut session,
            &remote_desktop,
            ClientMessage::SetEncodings(announced),
        );
        let [ClientMessage::SetEncodings(passed)] = &to_link(&first.to_link)[..] else {
            panic!("{first:?}");
        };
        assert!(passed.ends_with(&[encoding::FENCE, encoding::CONTINUOUS_UPDATES]));
        let asked = to_link(&say(&mut session, &remote_desktop, request(true)).to_link);
        assert_eq!(asked, [streaming(true), whole()]);
        assert_eq!(
            say(&mut session, &remote_desktop, request(true)).to_link,
            NOTHING
        );
        assert_eq!(to_link(&session.detach(false)), [streaming(false)]);
    }
    // Who never asked for a picture was never served.
    assert_eq!(ViewerSession::new(SIZE).detach(true), NOTHING);
}

#[test]
fn a_new_size_is_followed_over_the_link() {
    let mut remote_desktop = remote_desktop();
    let mut session = listening(&remote_desktop, &[encoding::DESKTOP_SIZE]);
    let size = Rectangle::DesktopSize {
        width: 7,
        height: 5,
    };
    let heard = hear(
        &mut session,
        &mut remote_desktop,
        &ServerMessage::Rectangle(size),
    );
    let rect = Rect::new(0, 0, 7, 5);
    let enable = true;
    assert_eq!(
        to_link(&heard.to_link),
        [ClientMessage::EnableContinuousUpdates { enable, rect }]
    );
}

fn dot(x: u16) -> Rectangle {
    Rectangle::Raw {
        rect: Rect::new(x, 0, 1, 1),
        pixels: vec![1, 2, 3, 0],
    }
}

#[test]
fn what_comes_while_the_viewer_isnt_ready_is_one_update_for_it() {
    let mut remote_desktop = remote_desktop();
    let mut session = ViewerSession::new(SIZE);
    say(&mut session, &remote_desktop, request(false));
    assert_eq!(
        rectangles(&update(&mut session, &mut remote_desktop, &[dot(0)])),
        [&dot(0)]
    );
    assert_eq!(update(&mut session, &mut remote_desktop, &[dot(1)]), []);
    assert_eq!(update(&mut session, &mut remote_desktop, &[dot(2)]), []);
    assert!(!session.must_pause_link());
    let asked = to_viewer(&say(&mut session, &remote_desktop, request(true)).to_viewer);
    assert_eq!(rectangles(&asked), [&dot(1), &dot(2)]);
    // Nor does an update that has begun go before its end.
    assert_eq!(update(&mut session, &mut remote_desktop, &[dot(3)]), []);
    hear(
        &mut session,
        &mut remote_desktop,
        &ServerMessage::UpdateStart,
    );
    let asked = say(&mut session, &remote_desktop, request(true));
    assert_eq!(asked.to_viewer, NOTHING);
    let ended = hear(&mut session, &mut remote_desktop, &ServerMessage::UpdateEnd);
    assert_eq!(rectangles(&to_viewer(&ended.to_viewer)), [&dot(3)]);
}

const LAST_RECT: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0x20];

fn begins(session: &mut ViewerSession, remote_desktop: &mut RemoteDesktop) -> Vec<u8> {
    hear(session, remote_desktop, &ServerMessage::UpdateStart).to_viewer
}

/// A viewer that knows LastRect is on the screen with the first rectangle while the last isn't made yet.
#[test]
fn an_update_goes_as_it_comes_to_a_viewer_that_is_ready() {
    let mut remote_desktop = remote_desktop();
    let mut session = listening(&remote_desktop, &[encoding::LAST_RECT, encoding::FENCE]);
    let mut sent = begins(&mut session, &mut remote_desktop);
    assert_eq!(sent, [0, 0, 0xff, 0xff]);
    for at in [0, 1] {
        let part = hear(
            &mut session,
            &mut remote_desktop,
            &ServerMessage::Rectangle(dot(at)),
        );
        assert!(!part.to_viewer.is_empty());
        sent.extend(part.to_viewer);
        // What isn't part of it goes after it.
        let (_, question) = fence(fence_flags::REQUEST, &[at as u8]);
        assert_eq!(
            say(&mut session, &remote_desktop, question).to_viewer,
            NOTHING
        );
        assert_eq!(
            hear(&mut session, &mut remote_desktop, &ServerMessage::Bell).to_viewer,
            NOTHING
        );
        session.clipboard("text");
    }
    let end = hear(&mut session, &mut remote_desktop, &ServerMessage::UpdateEnd);
    sent.extend(end.to_viewer);
    let answers = |at| {
        let text = ServerMessage::CutText(b"text".to_vec());
        [fence(0, &[at]).0, ServerMessage::Bell, text]
    };
    let mut expected = vec![
        ServerMessage::UpdateStart,
        ServerMessage::Rectangle(dot(0)),
        ServerMessage::Rectangle(dot(1)),
        ServerMessage::UpdateEnd,
    ];
    expected.extend([0, 1].into_iter().flat_map(answers));
    assert_eq!(to_viewer(&sent), expected);
}

#[test]
fn what_the_viewer_asks_for_inside_an_update_is_the_next_one() {
    let mut remote_desktop = remote_desktop();
    let mut session = listening(&remote_desktop, &[encoding::LAST_RECT]);
    begins(&mut session, &mut remote_desktop);
    // Some ask as soon as they see an update begin.
    assert_eq!(
        say(&mut session, &remote_desktop, request(true)).to_viewer,
        NOTHING
    );
    // Its pixels are in one format throughout.
    say(
        &mut session,
        &remote_desktop,
        ClientMessage::SetPixelFormat(RGBX),
    );
    let part = hear(
        &mut session,
        &mut remote_desktop,
        &ServerMessage::Rectangle(dot(0)),
    );
    assert!(part.to_viewer.ends_with(&[1, 2, 3, 0]));
    let end = hear(&mut session, &mut remote_desktop, &ServerMessage::UpdateEnd);
    assert_eq!(end.to_viewer, LAST_RECT);
    assert!(!begins(&mut session, &mut remote_desktop).is_empty());
    let part = hear(
        &mut session,
        &mut remote_desktop,
        &ServerMessage::Rectangle(dot(0)),
    );
    assert!(part.to_viewer.ends_with(&[3, 2, 1, 0]));
    hear(&mut session, &mut remote_desktop, &ServerMessage::UpdateEnd);
    // It hasn't asked for a third.
    assert_eq!(update(&mut session, &mut remote_desktop, &[dot(0)]), []);
    let asked = to_viewer(&say(&mut session, &remote_desktop, request(true)).to_viewer);
    assert_eq!(rectangles(&asked).len(), 1);
}

/// Some viewers count them, although the number says that nobody does.
#[test]
fn more_rectangles_than_can_be_counted_are_several_updates() {
    let mut remote_desktop = remote_desktop();
    let mut session = listening(&remote_desktop, &[encoding::LAST_RECT]);
    let mut sent = begins(&mut session, &mut remote_desktop);
    let most = usize::from(u16::MAX) - 1;
    for _ in 0..most + 5 {
        let part = hear(
            &mut session,
            &mut remote_desktop,
            &ServerMessage::Rectangle(dot(0)),
        );
        sent.extend(part.to_viewer);
    }
    sent.extend(hear(&mut session, &mut remote_desktop, &ServerMessage::UpdateEnd).to_viewer);
    assert!(sent.ends_with(&LAST_RECT));
    assert_eq!(rectangles(&to_viewer(&sent)).len(), most);
    let rest = to_viewer(&say(&mut session, &remote_desktop, request(true)).to_viewer);
    assert_eq!(rectangles(&rest).len(), 5);
}

#[test]
fn the_link_waits_for_a_viewer_that_is_far_behind() {
    let mut remote_desktop = RemoteDesktop::new(ServerInit {
        width: 2000,
        height: 1000,
        ..init()
    });
    let mut session = ViewerSession::new(remote_desktop.size);
    let screen = Rectangle::Raw {
        rect: Rect::new(0, 0, 2000, 1000),
        pixels: vec![0; 8_000_000],
    };
    say(&mut session, &remote_desktop, request(false));
    for waits in [false, true] {
        hear(
            &mut session,
            &mut remote_desktop,
            &ServerMessage::UpdateStart,
        );
        hear(
            &mut session,
            &mut remote_desktop,
            &ServerMessage::Rectangle(screen.clone()),
        );
        hear(&mut session, &mut remote_desktop, &ServerMessage::UpdateEnd);
        assert_eq!(session.must_pause_link(), waits);
    }
    say(&mut session, &remote_desktop, request(true));
    assert!(!session.must_pause_link());
}

#[test]
fn a_size_gets_no_pixels_beside_it() {
    let mut remote_desktop = remote_desktop();
    let mut session = listening(&remote_desktop, &[encoding::DESKTOP_SIZE]);
    update(&mut session, &mut remote_desktop, &[]);
    assert_eq!(update(&mut session, &mut remote_desktop, &[dot(1)]), []);
    let size = Rectangle::DesktopSize {
        width: 7,
        height: 5,
    };
    hear(
        &mut session,
        &mut remote_desktop,
        &ServerMessage::UpdateStart,
    );
    let told = hear(
        &mut session,
        &mut remote_desktop,
        &ServerMessage::Rectangle(size.clone()),
    );
    assert_eq!(rectangles(&to_viewer(&told.to_viewer)), [&dot(1)]);
    hear(&mut session, &mut remote_desktop, &ServerMessage::UpdateEnd);
    assert!(session.must_pause_link());
    let asked = to_viewer(&say(&mut session, &remote_desktop, request(true)).to_viewer);
    assert_eq!(rectangles(&asked), [&size]);
}

#[test]
fn a_viewer_with_continuous_updates_may_be_a_little_behind() {
    let mut remote_desktop = remote_desktop();
    let mut session = ViewerSession::new(SIZE);
    let rect = Rect::new(0, 0, 9, 9);
    let enable = |enable| ClientMessage::EnableContinuousUpdates { enable, rect };
    // Before it was told that this is understood, it counts for nothing.
    say(&mut session, &remote_desktop, enable(true));
    let encodings = vec![encoding::FENCE, encoding::CONTINUOUS_UPDATES];
    say(
        &mut session,
        &remote_desktop,
        ClientMessage::SetEncodings(encodings),
    );
    let told = to_viewer(&say(&mut session, &remote_desktop, request(false)).to_viewer);
    let [
        ServerMessage::Fence { flags, .. },
        ServerMessage::EndOfContinuousUpdates,
    ] = told[..]
    else {
        panic!("{told:?}");
    };
    assert_ne!(flags & fence_flags::REQUEST, 0);
    assert_eq!(
        say(&mut session, &remote_desktop, enable(true)).to_link,
        NOTHING
    );
    // The first of its questions is open, too.
    let mut asked = Vec::new();
    loop {
        let told = update(&mut session, &mut remote_desktop, &[]);
        if told.is_empty() {
            break;
        }
        asked.extend(told);
        assert!(asked.len() < 20);
    }
    let last = asked.iter().rev().find_map(|message| match message {
        ServerMessage::Fence { payload, .. } => Some(payload.clone()),
        _ => None,
    });
    let (_, answer) = fence(0, &last.unwrap());
    let invented = say(&mut session, &remote_desktop, fence(0, b"never asked").1);
    assert_eq!(invented.to_viewer, NOTHING);
    let answered = say(&mut session, &remote_desktop, answer);
    assert_eq!(answered.to_link, NOTHING);
    assert_ne!(answered.to_viewer, NOTHING);
    // The end is confirmed, and then it has to ask again.
    let ended = say(&mut session, &remote_desktop, enable(false)).to_viewer;
    assert_eq!(to_viewer(&ended), [ServerMessage::EndOfContinuousUpdates]);
    assert_eq!(update(&mut session, &mut remote_desktop, &[]), []);
}

#[test]
fn a_viewers_own_fences_are_answered_here() {
    let remote_desktop = remote_desktop();
    let mut session = listening(&remote_desktop, &[encoding::FENCE]);
    let flags = fence_flags::REQUEST | fence_flags::BLOCK_BEFORE;
    let (_, question) = fence(flags, b"mine");
    let (answer, _) = fence(fence_flags::BLOCK_BEFORE, b"mine");
    let said = say(&mut session, &remote_desktop, question);
    assert_eq!(said.to_link, NOTHING);
    assert_eq!(to_viewer(&said.to_viewer), [answer]);
}

/// A customer's side that answers every request with the whole of `screen`.
struct Customer {
    hub: Arc<ViewerHub>,
    reader: PictureReader,
    input: tokio::sync::mpsc::Receiver<Vec<u8>>,
    parser: ClientParser,
    screen: Vec<u8>,
}

impl Customer {
    async fn new() -> Self {
        let (hub, ToLink { input, .. }) = ViewerHub::new();
        let pixels = 0..usize::from(SIZE.0) * usize::from(SIZE.1);
        let screen = pixels
            .flat_map(|at| [at as u8, (at >> 3) as u8, (at * 7) as u8, 0])
            .collect();
        let hub = Arc::new(hub);
        let parser = ClientParser::new(Limits::default());
        let mut customer = Self {
            hub,
            reader: PictureReader::default(),
            input,
            parser,
            screen,
        };
        let mut first = Vec::new();
        encode::server::server_init(&mut first, &init());
        // In two pieces, for a block may end anywhere.
        for piece in first.chunks(25) {
            customer
                .reader
                .read_block(&customer.hub, piece)
                .await
                .unwrap();
        }
        customer
    }

    /// The next message from the viewer's side.
    async fn next(&mut self) -> ClientMessage {
        loop {
            if let Some(message) = self.parser.next().unwrap() {
                return message;
            }
            let bytes = self.input.recv().await.unwrap();
            self.parser.push(&bytes);
        }
    }

    /// Waits for a request for the whole picture and answers it.
    async fn answer_request(&mut self) {
        while !matches!(
            self.next().await,
            ClientMessage::UpdateRequest {
                incremental: false,
                ..
            }
        ) {}
        let (w, h) = SIZE;
        let mut update = Vec::new();
        encode::server::update_start(&mut update, Some(1));
        encode::server::raw_from(
            &mut update,
            Rect::new(0, 0, w, h),
            &self.screen,
            usize::from(w) * 4,
        );
        self.reader.read_block(&self.hub, &update).await.unwrap();
    }
}

/// Connects a real client to the hub; comes back with it and with how its service ends.
async fn client(
    hub: &Arc<ViewerHub>,
    security: Security,
    password: &'static str,
) -> (
    VncClient,
    tokio::task::JoinHandle<Result<ViewerExit, ViewerError>>,
) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let hub = Arc::clone(hub);
    let served = tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let (source, sink) = socket.into_split();
        serve(&hub, TcpSource(source), sink, security).await
    });
    let socket = TcpStream::connect(address).await.unwrap();
    let client = VncConnector::new(socket)
        .set_auth_method(async move { Ok(password.to_owned()) })
        .add_encoding(VncEncoding::CopyRect)
        .add_encoding(VncEncoding::Raw)
        .set_pixel_format(vnc::PixelFormat::rgba())
        .build()
        .unwrap()
        .try_start()
        .await
        .unwrap()
        .finish()
        .unwrap();
    (client, served)
}

async fn first_picture(client: &VncClient) -> Vec<u8> {
    loop {
        if let VncEvent::RawImage(_, pixels) = client.recv_event().await.unwrap() {
            return pixels;
        }
    }
}

fn as_rgb(pixels: &[u8]) -> Vec<[u8; 3]> {
    pixels
        .chunks(4)
        .map(|pixel| [pixel[0], pixel[1], pixel[2]])
        .collect()
}

fn vnc_auth(password: &str) -> Security {
    Security::VncAuth {
        password: Zeroizing::new(password.into()),
        challenge: [5; 16],
    }
}

#[tokio::test]
async fn viewers_come_and_go_and_each_sees_the_whole_screen() {
    let mut customer = Customer::new().await;
    let expected: Vec<_> = customer
        .screen
        .chunks(4)
        .map(|pixel| [pixel[2], pixel[1], pixel[0]])
        .collect();
    for security in [Security::None, vnc_auth("secret12")] {
        let hub = Arc::clone(&customer.hub);
        let ((client, served), ()) = tokio::join!(
            client(&hub, security, "secret12"),
            customer.answer_request()
        );
        assert_eq!(as_rgb(&first_picture(&client).await), expected);
        client.close().await.unwrap();
        drop(client);
        assert_eq!(served.await.unwrap().unwrap(), ViewerExit::Gone);
    }
}

#[tokio::test]
async fn the_last_viewer_that_comes_has_the_seat() {
    let mut customer = Customer::new().await;
    let hub = Arc::clone(&customer.hub);
    hub.set_control(true);
    let ((first, served), ()) =
        tokio::join!(client(&hub, Security::None, ""), customer.answer_request());
    first_picture(&first).await;
    let key = vnc::ClientKeyEvent {
        keycode: 0x61,
        down: true,
    };
    first.input(vnc::X11Event::KeyEvent(key)).await.unwrap();
    while customer.next().await
        != (ClientMessage::Key {
            down: true,
            keysym: 0x61,
        })
    {}
    let ((second, _), ()) = tokio::join!(client(&hub, Security::None, ""), async {
        // The first one's key is released before the second one is served.
        while customer.next().await
            != (ClientMessage::Key {
                down: false,
                keysym: 0x61,
            })
        {}
        customer.answer_request().await;
    });
    assert_eq!(served.await.unwrap().unwrap(), ViewerExit::Replaced);
    first_picture(&second).await;
    hub.close();
}

#[tokio::test]
async fn a_wrong_password_gets_no_seat() {
    let customer = Customer::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = async {
        let (socket, _) = listener.accept().await.unwrap();
        let (source, sink) = socket.into_split();
        serve(&customer.hub, TcpSource(source), sink, vnc_auth("secret12")).await
    };
    let trying = async {
        let socket = TcpStream::connect(address).await.unwrap();
        let connector = VncConnector::new(socket)
            .set_auth_method(async { Ok("secret13".to_owned()) })
            .add_encoding(VncEncoding::Raw)
            .build()
            .unwrap();
        connector.try_start().await.is_err()
    };
    let (served, refused) = tokio::join!(serving, trying);
    assert!(
        matches!(served, Err(ViewerError::Protocol(_))),
        "{served:?}"
    );
    assert!(refused);
}

#[tokio::test]
async fn the_end_of_the_session_sends_viewers_away() {
    let customer = Customer::new().await;
    let (client, served) = client(&customer.hub, Security::None, "").await;
    customer.hub.close();
    assert_eq!(served.await.unwrap().ok(), Some(ViewerExit::Over));
    drop(client);
    assert!(customer.hub.attach_viewer().is_none());
}

#[tokio::test]
async fn a_customer_who_sends_rubbish_is_found_out() {
    let (hub, _ends) = ViewerHub::new();
    let mut huge = Vec::new();
    encode::server::server_init(
        &mut huge,
        &ServerInit {
            width: 65_535,
            height: 65_535,
            ..init()
        },
    );
    let mut other_format = Vec::new();
    encode::server::server_init(
        &mut other_format,
        &ServerInit {
            format: RGBX,
            ..init()
        },
    );
    let mut unknown = Vec::new();
    encode::server::server_init(&mut unknown, &init());
    unknown.extend([99; 64]);
    for bytes in [huge, other_format, unknown] {
        assert!(
            PictureReader::default()
                .read_block(&hub, &bytes)
                .await
                .is_err()
        );
    }
}

#[tokio::test]
async fn the_customers_side_hears_when_its_picture_was_taken_in() {
    let mut customer = Customer::new().await;
    let mut bytes = Vec::new();
    encode::server::fence(
        &mut bytes,
        fence_flags::REQUEST | fence_flags::SYNC_NEXT,
        b"x",
    );
    customer
        .reader
        .read_block(&customer.hub, &bytes)
        .await
        .unwrap();
    let (_, answer) = fence(fence_flags::SYNC_NEXT, b"x");
    assert_eq!(customer.next().await, answer);
}

#[tokio::test]
async fn while_the_viewer_is_far_behind_the_customers_side_hears_nothing() {
    let mut customer = Customer::new().await;
    let hub = Arc::clone(&customer.hub);
    let ((client, served), ()) =
        tokio::join!(client(&hub, Security::None, ""), customer.answer_request());
    first_picture(&client).await;
    // A size waits by itself until the viewer asks: the first fence is answered, the second isn't before that.
    let mut blocks = Vec::new();
    encode::server::update_start(&mut blocks, Some(1));
    encode::server::desktop_size(&mut blocks, SIZE.0, SIZE.1);
    encode::server::fence(&mut blocks, fence_flags::REQUEST, b"1");
    encode::server::update_start(&mut blocks, Some(0));
    encode::server::fence(&mut blocks, fence_flags::REQUEST, b"2");
    let hub = Arc::clone(&customer.hub);
    let mut reader = std::mem::take(&mut customer.reader);
    let reading = tokio::spawn(async move {
        reader.read_block(&hub, &blocks).await.unwrap();
    });
    while customer.next().await != fence(0, b"1").1 {}
    tokio::task::yield_now().await;
    assert!(!reading.is_finished());
    client.input(vnc::X11Event::Refresh).await.unwrap();
    while customer.next().await != fence(0, b"2").1 {}
    reading.await.unwrap();
    drop(client);
    served.abort();
}
