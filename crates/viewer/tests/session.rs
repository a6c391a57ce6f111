//! One viewer's session, without sockets: messages in, messages out.

#![allow(clippy::unwrap_used, reason = "a test may end with a panic")]

use etatuki_rfb::{
    ClientMessage, ClientParser, CursorImage, Limits, PixelFormat, PointerFormat, Rect, Rectangle,
    ScreenLayout, ServerInit, ServerMessage, ServerParser, encode::fence_flags, encoding,
};
use etatuki_viewer::{
    Actions, CannotResize, Control, PointerReports, RemoteDesktop, ViewerSession,
};

/// No bytes; an empty array literal would have no type.
const NOTHING: &[u8] = &[];
const SIZE: (u16, u16) = (40, 20);
const RGBX: PixelFormat = PixelFormat {
    red_shift: 0,
    blue_shift: 16,
    ..PixelFormat::BGRX
};

fn init() -> ServerInit {
    let (width, height) = SIZE;
    ServerInit {
        width,
        height,
        format: PixelFormat::BGRX,
        name: "desktop".into(),
    }
}

fn desktop() -> RemoteDesktop {
    RemoteDesktop::new(init())
}

/// Creates the session of a viewer that gets pointer reports only if it announces them.
fn new_session(size: (u16, u16)) -> ViewerSession {
    ViewerSession::new(size, PointerReports::IfAnnounced)
}

fn screen(id: u32, width: u16, height: u16) -> ScreenLayout {
    ScreenLayout {
        id,
        rect: Rect::new(0, 0, width, height),
        flags: 0,
    }
}

/// Creates a session whose viewer has announced these encodings and requested its first picture.
fn viewing(desktop: &RemoteDesktop, encodings: &[i32]) -> ViewerSession {
    let mut session = new_session(desktop.size);
    client_sends(
        &mut session,
        desktop,
        ClientMessage::SetEncodings(encodings.to_vec()),
    );
    client_sends(&mut session, desktop, request(true));
    session
}

fn request(incremental: bool) -> ClientMessage {
    ClientMessage::UpdateRequest {
        incremental,
        rect: Rect::new(1, 2, 3, 4),
    }
}

/// The bytes that a message caused, in both directions.
#[derive(Debug)]
struct Output {
    to_link: Vec<u8>,
    to_viewer: Vec<u8>,
}

impl Output {
    fn new(session: &mut ViewerSession, actions: Actions) -> Self {
        let mut to_viewer = Vec::new();
        session.take_output(&mut to_viewer);
        Self {
            to_link: actions.to_link,
            to_viewer,
        }
    }
}

fn client_sends(
    session: &mut ViewerSession,
    desktop: &RemoteDesktop,
    message: ClientMessage,
) -> Output {
    let actions = session
        .on_client_message(message, desktop, Control::Granted)
        .unwrap();
    Output::new(session, actions)
}

fn server_sends(
    session: &mut ViewerSession,
    desktop: &mut RemoteDesktop,
    message: &ServerMessage,
) -> Output {
    desktop.update(message);
    let actions = session.on_server_message(message).unwrap();
    Output::new(session, actions)
}

fn update(
    session: &mut ViewerSession,
    desktop: &mut RemoteDesktop,
    rectangles: &[Rectangle],
) -> Vec<ServerMessage> {
    server_sends(session, desktop, &ServerMessage::UpdateStart);
    for rectangle in rectangles {
        let actions = server_sends(
            session,
            desktop,
            &ServerMessage::Rectangle(rectangle.clone()),
        );
        assert!(
            actions.to_viewer.is_empty(),
            "an update goes out as a whole"
        );
    }
    parse_to_viewer(&server_sends(session, desktop, &ServerMessage::UpdateEnd).to_viewer)
}

fn parse_to_link(bytes: &[u8]) -> Vec<ClientMessage> {
    let mut parser = ClientParser::new(Limits::default());
    parser.push(bytes);
    std::iter::from_fn(|| parser.next().unwrap()).collect()
}

/// Parses the bytes for a viewer whose screen has [`SIZE`] and whose format is BGRX.
fn parse_to_viewer(bytes: &[u8]) -> Vec<ServerMessage> {
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
    let mut session = new_session(SIZE);
    let announced = vec![
        1,
        50,
        7,
        16,
        0,
        encoding::CURSOR,
        encoding::EXTENDED_CLIPBOARD,
        1,
        encoding::FENCE,
        -32,
    ];
    let actions = client_sends(
        &mut session,
        &desktop(),
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
    assert_eq!(parse_to_link(&actions.to_link), [cut]);
    assert!(actions.to_viewer.is_empty());
}

#[test]
fn the_pixel_format_is_ours_to_translate() {
    let mut desktop = desktop();
    let mut session = viewing(&desktop, &[0, encoding::CURSOR]);
    let actions = client_sends(&mut session, &desktop, ClientMessage::SetPixelFormat(RGBX));
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
    let got = update(&mut session, &mut desktop, &sent);
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
    let mut desktop = desktop();
    let mut session = new_session(SIZE);
    client_sends(&mut session, &desktop, ClientMessage::SetEncodings(vec![0]));
    let raw = Rectangle::Raw {
        rect: Rect::new(0, 0, 1, 1),
        pixels: vec![0; 4],
    };
    assert_eq!(
        update(&mut session, &mut desktop, std::slice::from_ref(&raw)),
        []
    );
    assert_eq!(
        parse_to_link(&client_sends(&mut session, &desktop, request(true)).to_link),
        [streaming(true), whole()]
    );
    // A later request is forwarded only if it isn't incremental.
    assert_eq!(
        client_sends(&mut session, &desktop, request(true)).to_link,
        NOTHING
    );
    assert_eq!(
        parse_to_link(&client_sends(&mut session, &desktop, request(false)).to_link),
        [request(false)]
    );
    assert_eq!(
        rectangles(&update(
            &mut session,
            &mut desktop,
            std::slice::from_ref(&raw)
        )),
        [&raw]
    );
    // An empty update answers a request too.
    client_sends(&mut session, &desktop, request(true));
    assert_eq!(
        update(&mut session, &mut desktop, &[]),
        [ServerMessage::UpdateStart, ServerMessage::UpdateEnd]
    );
}

#[test]
fn what_an_earlier_viewer_was_told_a_later_one_is_told_too() {
    let mut desktop = desktop();
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
        desktop.update(&ServerMessage::Rectangle(rectangle));
    }
    let mut session = new_session(desktop.size);
    let announced = [
        encoding::CURSOR,
        encoding::EXTENDED_DESKTOP_SIZE,
        encoding::EXTENDED_MOUSE_BUTTONS,
    ];
    client_sends(
        &mut session,
        &desktop,
        ClientMessage::SetEncodings(announced.to_vec()),
    );
    assert_eq!(session.pointer_format(), PointerFormat::Standard);
    let told = parse_to_viewer(&client_sends(&mut session, &desktop, request(false)).to_viewer);
    assert_eq!(
        rectangles(&told),
        [&size, &Rectangle::Cursor(cursor), &supports]
    );
    assert_eq!(session.pointer_format(), PointerFormat::Extended);

    let mut plain = new_session(desktop.size);
    client_sends(&mut plain, &desktop, ClientMessage::SetEncodings(vec![0]));
    assert_eq!(
        client_sends(&mut plain, &desktop, request(false)).to_viewer,
        NOTHING
    );
}

/// The page shows the pointer's position beside its viewer, which doesn't support the encoding. Any
/// other viewer gets the position if it supports the encoding.
#[test]
fn the_pointers_place_is_for_those_who_show_it() {
    let place = Rectangle::PointerPos { x: 7, y: 9 };
    let reported = |announced: &[i32], reports: PointerReports| {
        let mut desktop = desktop();
        let mut session = ViewerSession::new(SIZE, reports);
        let announces = ClientMessage::SetEncodings(announced.to_vec());
        let sent = parse_to_link(&client_sends(&mut session, &desktop, announces).to_link);
        let ClientMessage::SetEncodings(asked) = &sent[0] else {
            panic!("{sent:?}");
        };
        let asked = asked
            .iter()
            .filter(|number| **number == encoding::POINTER_POS);
        let asked = asked.count();
        client_sends(&mut session, &desktop, request(true));
        let got = update(&mut session, &mut desktop, std::slice::from_ref(&place));
        assert_eq!(desktop.pointer, Some((7, 9)));
        (asked, rectangles(&got) == [&place])
    };
    let number = encoding::POINTER_POS;
    let (if_announced, always) = (PointerReports::IfAnnounced, PointerReports::Always);
    assert_eq!(reported(&[0], if_announced), (0, false));
    assert_eq!(reported(&[0], always), (1, false));
    assert_eq!(reported(&[number, 0], if_announced), (1, true));
    assert_eq!(reported(&[number, 0], always), (1, true));
}

#[test]
fn screens_are_known_from_left_to_right() {
    let mut desktop = desktop();
    let all = [Rect::new(0, 0, desktop.size.0, desktop.size.1)];
    assert_eq!(desktop.screens(), all);
    let (left, right) = (Rect::new(0, 0, 20, 30), Rect::new(20, 0, 30, 30));
    let screen = |id, rect| ScreenLayout { id, rect, flags: 0 };
    desktop.update(&ServerMessage::Rectangle(Rectangle::ExtendedDesktopSize {
        reason: 0,
        status: 0,
        width: 50,
        height: 30,
        screens: vec![screen(1, right), screen(2, left)],
    }));
    assert_eq!(desktop.screens(), [left, right]);
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
        let mut desktop = desktop();
        let mut session = viewing(&desktop, &[announced]);
        let got = update(&mut session, &mut desktop, std::slice::from_ref(sent));
        assert_eq!(rectangles(&got), [expected]);
    };
    check(encoding::DESKTOP_SIZE, &plain, &plain);
    check(encoding::DESKTOP_SIZE, &extended, &plain);
    check(encoding::EXTENDED_DESKTOP_SIZE, &extended, &extended);
    check(encoding::EXTENDED_DESKTOP_SIZE, &plain, &made);

    let mut desktop = desktop();
    let mut session = viewing(&desktop, &[0]);
    desktop.update(&ServerMessage::Rectangle(plain.clone()));
    assert_eq!(
        session
            .on_server_message(&ServerMessage::Rectangle(plain))
            .unwrap_err(),
        CannotResize
    );
}

#[test]
fn a_size_that_changed_before_the_first_request_is_told_first() {
    let mut desktop = desktop();
    let mut session = new_session(SIZE);
    client_sends(
        &mut session,
        &desktop,
        ClientMessage::SetEncodings(vec![encoding::DESKTOP_SIZE]),
    );
    desktop.update(&ServerMessage::Rectangle(Rectangle::DesktopSize {
        width: 50,
        height: 30,
    }));
    let told = parse_to_viewer(&client_sends(&mut session, &desktop, request(false)).to_viewer);
    assert_eq!(
        rectangles(&told),
        [&Rectangle::DesktopSize {
            width: 50,
            height: 30
        }]
    );
    let mut plain = new_session(SIZE);
    assert_eq!(
        plain
            .on_client_message(request(false), &desktop, Control::Granted)
            .unwrap_err(),
        CannotResize
    );
}

const fn key(down: bool) -> ClientMessage {
    ClientMessage::Key { down, keysym: 0x61 }
}

const fn qemu_key(down: bool) -> ClientMessage {
    ClientMessage::QemuKey {
        down,
        keysym: 0x61,
        keycode: 30,
    }
}

const fn pointer(buttons: u16) -> ClientMessage {
    ClientMessage::Pointer {
        buttons,
        x: 2,
        y: 3,
    }
}

#[test]
fn input_goes_nowhere_without_control() {
    let desktop = desktop();
    let mut session = viewing(&desktop, &[0]);
    let mut send = |message: &ClientMessage, control| {
        session
            .on_client_message(message.clone(), &desktop, control)
            .unwrap()
    };
    let (width, height, screens) = (9, 9, vec![screen(0, 9, 9)]);
    let resize = ClientMessage::SetDesktopSize {
        width,
        height,
        screens,
    };
    for input in [key(true), qemu_key(true), pointer(1), resize] {
        assert_eq!(send(&input, Control::Denied).to_link, NOTHING);
        let forwarded = send(&input, Control::Granted).to_link;
        assert_eq!(parse_to_link(&forwarded), [input]);
    }
    let text = ClientMessage::CutText(b"\xe4".to_vec());
    assert_eq!(send(&text, Control::Denied).clipboard, None);
    let forwarded = send(&text, Control::Granted);
    assert_eq!(
        (forwarded.clipboard.as_deref(), &forwarded.to_link[..]),
        (Some("ä"), NOTHING)
    );
    let releases = [key(false), qemu_key(false), pointer(0), streaming(false)];
    assert_eq!(parse_to_link(&session.detach(Control::Granted)), releases);
}

#[test]
fn what_was_released_when_control_ended_is_not_released_again() {
    let desktop = desktop();
    let mut session = viewing(&desktop, &[0]);
    client_sends(
        &mut session,
        &desktop,
        ClientMessage::Key {
            down: true,
            keysym: 0x61,
        },
    );
    session.on_control_revoked();
    assert_eq!(
        parse_to_link(&session.detach(Control::Granted)),
        [streaming(false)]
    );
}

fn whole() -> ClientMessage {
    let incremental = false;
    let rect = Rect::new(0, 0, SIZE.0, SIZE.1);
    ClientMessage::UpdateRequest { incremental, rect }
}

/// Returns the message that enables or disables updates of the whole screen over the link.
fn streaming(enable: bool) -> ClientMessage {
    let rect = Rect::new(0, 0, SIZE.0, SIZE.1);
    ClientMessage::EnableContinuousUpdates { enable, rect }
}

#[test]
fn over_the_link_updates_follow_each_other_whatever_the_viewer_does() {
    let desktop = desktop();
    for announced in [vec![0], vec![encoding::FENCE, encoding::CONTINUOUS_UPDATES]] {
        let mut session = new_session(SIZE);
        let first = client_sends(
            &mut session,
            &desktop,
            ClientMessage::SetEncodings(announced),
        );
        let [ClientMessage::SetEncodings(passed)] = &parse_to_link(&first.to_link)[..] else {
            panic!("{first:?}");
        };
        assert!(passed.ends_with(&[encoding::FENCE, encoding::CONTINUOUS_UPDATES]));
        let asked = parse_to_link(&client_sends(&mut session, &desktop, request(true)).to_link);
        assert_eq!(asked, [streaming(true), whole()]);
        assert_eq!(
            client_sends(&mut session, &desktop, request(true)).to_link,
            NOTHING
        );
        assert_eq!(
            parse_to_link(&session.detach(Control::Denied)),
            [streaming(false)]
        );
    }
    // Without a request there were no updates to stop.
    assert_eq!(new_session(SIZE).detach(Control::Granted), NOTHING);
}

#[test]
fn a_new_size_is_followed_over_the_link() {
    let mut desktop = desktop();
    let mut session = viewing(&desktop, &[encoding::DESKTOP_SIZE]);
    let size = Rectangle::DesktopSize {
        width: 7,
        height: 5,
    };
    let output = server_sends(&mut session, &mut desktop, &ServerMessage::Rectangle(size));
    let rect = Rect::new(0, 0, 7, 5);
    let enable = true;
    assert_eq!(
        parse_to_link(&output.to_link),
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
    let mut desktop = desktop();
    let mut session = new_session(SIZE);
    client_sends(&mut session, &desktop, request(false));
    assert_eq!(
        rectangles(&update(&mut session, &mut desktop, &[dot(0)])),
        [&dot(0)]
    );
    assert_eq!(update(&mut session, &mut desktop, &[dot(1)]), []);
    assert_eq!(update(&mut session, &mut desktop, &[dot(2)]), []);
    assert!(!session.must_pause_link());
    let asked = parse_to_viewer(&client_sends(&mut session, &desktop, request(true)).to_viewer);
    assert_eq!(rectangles(&asked), [&dot(1), &dot(2)]);
    // An update that has begun isn't sent before its end.
    assert_eq!(update(&mut session, &mut desktop, &[dot(3)]), []);
    server_sends(&mut session, &mut desktop, &ServerMessage::UpdateStart);
    let asked = client_sends(&mut session, &desktop, request(true));
    assert_eq!(asked.to_viewer, NOTHING);
    let ended = server_sends(&mut session, &mut desktop, &ServerMessage::UpdateEnd);
    assert_eq!(rectangles(&parse_to_viewer(&ended.to_viewer)), [&dot(3)]);
}

const LAST_RECT: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0x20];

fn starts_update(session: &mut ViewerSession, desktop: &mut RemoteDesktop) -> Vec<u8> {
    server_sends(session, desktop, &ServerMessage::UpdateStart).to_viewer
}

/// A viewer with LastRect shows the first rectangle before the last one is made.
#[test]
fn an_update_goes_as_it_comes_to_a_viewer_that_is_ready() {
    let mut desktop = desktop();
    let mut session = viewing(&desktop, &[encoding::LAST_RECT, encoding::FENCE]);
    let mut sent = starts_update(&mut session, &mut desktop);
    assert_eq!(sent, [0, 0, 0xff, 0xff]);
    for at in [0, 1] {
        let part = server_sends(
            &mut session,
            &mut desktop,
            &ServerMessage::Rectangle(dot(at)),
        );
        assert!(!part.to_viewer.is_empty());
        sent.extend(part.to_viewer);
        // Other messages go behind the update.
        let (_, question) = fence(fence_flags::REQUEST, &[at as u8]);
        assert_eq!(
            client_sends(&mut session, &desktop, question).to_viewer,
            NOTHING
        );
        assert_eq!(
            server_sends(&mut session, &mut desktop, &ServerMessage::Bell).to_viewer,
            NOTHING
        );
        let _ = session.send_clipboard("text");
    }
    let end = server_sends(&mut session, &mut desktop, &ServerMessage::UpdateEnd);
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
    assert_eq!(parse_to_viewer(&sent), expected);
}

#[test]
fn what_the_viewer_asks_for_inside_an_update_is_the_next_one() {
    let mut desktop = desktop();
    let mut session = viewing(&desktop, &[encoding::LAST_RECT]);
    starts_update(&mut session, &mut desktop);
    // Some viewers request the next update when one begins.
    assert_eq!(
        client_sends(&mut session, &desktop, request(true)).to_viewer,
        NOTHING
    );
    // An update has one pixel format throughout.
    client_sends(&mut session, &desktop, ClientMessage::SetPixelFormat(RGBX));
    let part = server_sends(
        &mut session,
        &mut desktop,
        &ServerMessage::Rectangle(dot(0)),
    );
    assert!(part.to_viewer.ends_with(&[1, 2, 3, 0]));
    let end = server_sends(&mut session, &mut desktop, &ServerMessage::UpdateEnd);
    assert_eq!(end.to_viewer, LAST_RECT);
    assert!(!starts_update(&mut session, &mut desktop).is_empty());
    let part = server_sends(
        &mut session,
        &mut desktop,
        &ServerMessage::Rectangle(dot(0)),
    );
    assert!(part.to_viewer.ends_with(&[3, 2, 1, 0]));
    server_sends(&mut session, &mut desktop, &ServerMessage::UpdateEnd);
    // There was no third request.
    assert_eq!(update(&mut session, &mut desktop, &[dot(0)]), []);
    let asked = parse_to_viewer(&client_sends(&mut session, &desktop, request(true)).to_viewer);
    assert_eq!(rectangles(&asked).len(), 1);
}

/// Some viewers count the rectangles even of an open-ended update.
#[test]
fn more_rectangles_than_can_be_counted_are_several_updates() {
    let mut desktop = desktop();
    let mut session = viewing(&desktop, &[encoding::LAST_RECT]);
    let mut sent = starts_update(&mut session, &mut desktop);
    let most = usize::from(u16::MAX) - 1;
    for _ in 0..most + 5 {
        let part = server_sends(
            &mut session,
            &mut desktop,
            &ServerMessage::Rectangle(dot(0)),
        );
        sent.extend(part.to_viewer);
    }
    sent.extend(server_sends(&mut session, &mut desktop, &ServerMessage::UpdateEnd).to_viewer);
    assert!(sent.ends_with(&LAST_RECT));
    assert_eq!(rectangles(&parse_to_viewer(&sent)).len(), most);
    let rest = parse_to_viewer(&client_sends(&mut session, &desktop, request(true)).to_viewer);
    assert_eq!(rectangles(&rest).len(), 5);
}

#[test]
fn the_link_waits_for_a_viewer_that_is_far_behind() {
    let mut desktop = RemoteDesktop::new(ServerInit {
        width: 2000,
        height: 1000,
        ..init()
    });
    let mut session = new_session(desktop.size);
    let screen = Rectangle::Raw {
        rect: Rect::new(0, 0, 2000, 1000),
        pixels: vec![0; 8_000_000],
    };
    client_sends(&mut session, &desktop, request(false));
    for waits in [false, true] {
        server_sends(&mut session, &mut desktop, &ServerMessage::UpdateStart);
        server_sends(
            &mut session,
            &mut desktop,
            &ServerMessage::Rectangle(screen.clone()),
        );
        server_sends(&mut session, &mut desktop, &ServerMessage::UpdateEnd);
        assert_eq!(session.must_pause_link(), waits);
    }
    client_sends(&mut session, &desktop, request(true));
    assert!(!session.must_pause_link());
}

#[test]
fn a_size_gets_no_pixels_beside_it() {
    let mut desktop = desktop();
    let mut session = viewing(&desktop, &[encoding::DESKTOP_SIZE]);
    update(&mut session, &mut desktop, &[]);
    assert_eq!(update(&mut session, &mut desktop, &[dot(1)]), []);
    let size = Rectangle::DesktopSize {
        width: 7,
        height: 5,
    };
    server_sends(&mut session, &mut desktop, &ServerMessage::UpdateStart);
    let told = server_sends(
        &mut session,
        &mut desktop,
        &ServerMessage::Rectangle(size.clone()),
    );
    assert_eq!(rectangles(&parse_to_viewer(&told.to_viewer)), [&dot(1)]);
    server_sends(&mut session, &mut desktop, &ServerMessage::UpdateEnd);
    assert!(session.must_pause_link());
    let asked = parse_to_viewer(&client_sends(&mut session, &desktop, request(true)).to_viewer);
    assert_eq!(rectangles(&asked), [&size]);
}

#[test]
fn a_viewer_with_continuous_updates_may_be_a_little_behind() {
    let mut desktop = desktop();
    let mut session = new_session(SIZE);
    let rect = Rect::new(0, 0, 9, 9);
    let enable = |enable| ClientMessage::EnableContinuousUpdates { enable, rect };
    // Before the announcement the message is ignored.
    client_sends(&mut session, &desktop, enable(true));
    let encodings = vec![encoding::FENCE, encoding::CONTINUOUS_UPDATES];
    client_sends(
        &mut session,
        &desktop,
        ClientMessage::SetEncodings(encodings),
    );
    let told = parse_to_viewer(&client_sends(&mut session, &desktop, request(false)).to_viewer);
    let [
        ServerMessage::Fence { flags, .. },
        ServerMessage::EndOfContinuousUpdates,
    ] = told[..]
    else {
        panic!("{told:?}");
    };
    assert_ne!(flags & fence_flags::REQUEST, 0);
    assert_eq!(
        client_sends(&mut session, &desktop, enable(true)).to_link,
        NOTHING
    );
    // The fence of the announcement is unacknowledged too.
    let mut asked = Vec::new();
    loop {
        let told = update(&mut session, &mut desktop, &[]);
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
    let invented = client_sends(&mut session, &desktop, fence(0, b"never asked").1);
    assert_eq!(invented.to_viewer, NOTHING);
    let answered = client_sends(&mut session, &desktop, answer);
    assert_eq!(answered.to_link, NOTHING);
    assert_ne!(answered.to_viewer, NOTHING);
    // The end is confirmed; then updates need requests again.
    let ended = client_sends(&mut session, &desktop, enable(false)).to_viewer;
    assert_eq!(
        parse_to_viewer(&ended),
        [ServerMessage::EndOfContinuousUpdates]
    );
    assert_eq!(update(&mut session, &mut desktop, &[]), []);
}

#[test]
fn a_viewers_own_fences_are_answered_here() {
    let desktop = desktop();
    let mut session = viewing(&desktop, &[encoding::FENCE]);
    let flags = fence_flags::REQUEST | fence_flags::BLOCK_BEFORE;
    let (_, question) = fence(flags, b"mine");
    let (answer, _) = fence(fence_flags::BLOCK_BEFORE, b"mine");
    let output = client_sends(&mut session, &desktop, question);
    assert_eq!(output.to_link, NOTHING);
    assert_eq!(parse_to_viewer(&output.to_viewer), [answer]);
}

/// A viewer in the middle of an update gets its end, and then all that a resumed link needs.
#[test]
fn an_interruption_ends_the_update_and_a_resume_asks_for_everything() {
    let mut desktop = desktop();
    let announced = [encoding::LAST_RECT, encoding::EXTENDED_DESKTOP_SIZE];
    let mut session = viewing(&desktop, &announced);
    let pixels = Rectangle::Raw {
        rect: Rect::new(0, 0, 1, 1),
        pixels: vec![1, 2, 3, 0],
    };
    let mut bytes = Vec::new();
    for message in [ServerMessage::UpdateStart, ServerMessage::Rectangle(pixels)] {
        bytes.extend(server_sends(&mut session, &mut desktop, &message).to_viewer);
    }
    session.on_link_interrupted();
    let mut rest = Vec::new();
    session.take_output(&mut rest);
    bytes.extend(rest);
    assert_eq!(
        parse_to_viewer(&bytes).last(),
        Some(&ServerMessage::UpdateEnd)
    );

    let larger = RemoteDesktop::new(ServerInit {
        width: 80,
        ..init()
    });
    let messages = parse_to_link(&session.on_link_resumed(&larger).unwrap());
    assert!(matches!(messages[0], ClientMessage::SetEncodings(_)));
    let whole = Rect::new(0, 0, 80, SIZE.1);
    let enabled = ClientMessage::EnableContinuousUpdates {
        enable: true,
        rect: whole,
    };
    let request = ClientMessage::UpdateRequest {
        incremental: false,
        rect: whole,
    };
    assert_eq!(messages[1..], [enabled, request]);

    let mut fixed = viewing(&desktop, &[]);
    assert_eq!(fixed.on_link_resumed(&larger), Err(CannotResize));
}

#[test]
fn a_viewer_that_has_asked_for_nothing_yet_isnt_answered_by_a_resume() {
    let mut session = new_session(SIZE);
    session.on_link_interrupted();
    assert_eq!(session.on_link_resumed(&desktop()), Ok(vec![]));
}
