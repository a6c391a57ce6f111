//! The two handshakes: against each other, against recorded bytes, and against peers that
//! misbehave.

#![allow(clippy::unwrap_used, reason = "a test may end with a panic")]

use etatuki_rfb::{
    ClientHandshake, ClientInit, Culprit, ErrorKind, Limits, MessageKind, PixelFormat,
    ProtocolError, Security, ServerHandshake, ServerInit,
};
use proptest::prelude::*;

fn init() -> ServerInit {
    ServerInit {
        width: 640,
        height: 480,
        format: PixelFormat::BGRX,
        name: "etatuki".to_owned(),
    }
}

fn server_init_bytes() -> Vec<u8> {
    let mut bytes = Vec::new();
    etatuki_rfb::encode::server::server_init(&mut bytes, &init());
    bytes
}

fn password() -> Security {
    Security::VncAuth {
        password: "ABCDEFGH".to_owned().into(),
        challenge: *b"0123456789abcdef",
    }
}

/// Response of VNC implementations to that challenge under that password (checked with OpenSSL's
/// DES).
const CORRECT_RESPONSE: [u8; 16] = [
    0x7c, 0xf1, 0xa7, 0x2f, 0x79, 0x9d, 0x29, 0x8b, 0x07, 0x7f, 0x08, 0x31, 0xea, 0xff, 0xfe, 0xd7,
];

type Outcome<T> = (Vec<u8>, Result<Option<T>, ProtocolError>);

/// Returns the output and outcome of a server that is pushed these bytes in pieces.
fn serve(security: Security, from_client: &[u8], piece: usize) -> Outcome<ClientInit> {
    let mut server = ServerHandshake::new(init(), security);
    let mut sent = server.take_output();
    let mut outcome = Ok(None);
    for bytes in from_client.chunks(piece) {
        server.push(bytes);
        outcome = server.step();
        sent.extend(server.take_output());
    }
    (sent, outcome)
}

/// Returns the output and outcome of a client that is pushed these bytes in pieces.
fn connect(from_server: &[u8], piece: usize) -> Outcome<ServerInit> {
    let mut client = ClientHandshake::new(Limits::default());
    let mut sent = Vec::new();
    let mut outcome = Ok(None);
    for bytes in from_server.chunks(piece) {
        client.push(bytes);
        outcome = client.step();
        sent.extend(client.take_output());
    }
    (sent, outcome)
}

fn check_server(security: fn() -> Security, received: &[&[u8]], sent: &[&[u8]]) {
    let received = received.concat();
    for piece in [1, 5, 100] {
        let outcome = serve(security(), &received, piece);
        assert_eq!(
            outcome,
            (sent.concat(), Ok(Some(ClientInit { shared: true })))
        );
    }
}

fn check_client(received: &[&[u8]], sent: &[&[u8]]) {
    let received = received.concat();
    for piece in [1, 5, 100] {
        let outcome = connect(&received, piece);
        assert_eq!(outcome, (sent.concat(), Ok(Some(init()))));
    }
}

const V3: &[u8] = b"RFB 003.003\n";
const V7: &[u8] = b"RFB 003.007\n";
const V8: &[u8] = b"RFB 003.008\n";
const OK: &[u8] = &[0, 0, 0, 0];

#[test]
fn a_server_speaks_the_three_versions() {
    let none = || Security::None;
    let init = &server_init_bytes();
    check_server(none, &[V3, &[1]], &[V8, &[0, 0, 0, 1], init]);
    check_server(none, &[b"RFB 003.005\n", &[1]], &[V8, &[0, 0, 0, 1], init]);
    check_server(none, &[V7, &[1, 1]], &[V8, &[1, 1], init]);
    check_server(none, &[V8, &[1, 1]], &[V8, &[1, 1], OK, init]);
    check_server(none, &[b"RFB 003.889\n", &[1, 1]], &[V8, &[1, 1], OK, init]);
}

#[test]
fn a_server_asks_for_the_password_in_the_three_versions() {
    let init = &server_init_bytes();
    let challenge = b"0123456789abcdef";
    let (answer, shared) = (&CORRECT_RESPONSE, &[1]);
    let types = &[1, 2];
    check_server(
        password,
        &[V3, answer, shared],
        &[V8, &[0, 0, 0, 2], challenge, OK, init],
    );
    for version in [V7, V8] {
        check_server(
            password,
            &[version, &[2], answer, shared],
            &[V8, types, challenge, OK, init],
        );
    }
}

#[test]
fn a_client_speaks_the_three_versions() {
    let init = &server_init_bytes();
    check_client(&[V3, &[0, 0, 0, 1], init], &[V3, &[1]]);
    check_client(&[V7, &[2, 2, 1], init], &[V7, &[1, 1]]);
    check_client(&[V8, &[3, 16, 1, 2], OK, init], &[V8, &[1, 1]]);
    check_client(&[b"RFB 005.000\n", &[1, 1], OK, init], &[V8, &[1, 1]]);
}

#[test]
fn what_follows_a_handshake_is_kept() {
    let mut client = ClientHandshake::new(Limits::default());
    client.push(&[V8, &[1, 1], OK, &server_init_bytes(), &[2, 2]].concat());
    assert_eq!(client.step(), Ok(Some(init())));
    assert_eq!(client.into_rest(), [2, 2]);
    let mut server = ServerHandshake::new(init(), Security::None);
    server.push(&[V8, &[1, 0], &[9]].concat());
    assert_eq!(server.step(), Ok(Some(ClientInit { shared: false })));
    assert_eq!(server.into_rest(), [9]);
}

fn error(culprit: Culprit, message: MessageKind, kind: ErrorKind) -> ProtocolError {
    ProtocolError {
        culprit,
        message,
        kind,
    }
}

fn check_refusal(security: Security, received: &[&[u8]], sent: &[&[u8]], kind: ErrorKind) {
    let message = match kind {
        ErrorKind::BadValue(_) => MessageKind::Version,
        _ => MessageKind::Security,
    };
    let expected = Err(error(Culprit::Client, message, kind));
    assert_eq!(
        serve(security, &received.concat(), 3),
        (sent.concat(), expected)
    );
}

#[test]
fn a_server_refuses() {
    let wrong = &[7; 16];
    let challenge = b"0123456789abcdef";
    let reason = b"\0\0\0\x01\0\0\0\x0ewrong password";
    check_refusal(
        password(),
        &[V8, &[2], wrong],
        &[V8, &[1, 2], challenge, reason],
        ErrorKind::WrongPassword,
    );
    check_refusal(
        password(),
        &[V7, &[2], wrong],
        &[V8, &[1, 2], challenge, &[0, 0, 0, 1]],
        ErrorKind::WrongPassword,
    );
    check_refusal(
        password(),
        &[V8, &[1]],
        &[V8, &[1, 2], b"\0\0\0\x01\0\0\0\x15no such security type"],
        ErrorKind::NoCommonSecurity,
    );
    let line = ErrorKind::BadValue("version line");
    check_refusal(Security::None, &[b"GET / HTTP/1"], &[V8], line.clone());
    check_refusal(Security::None, &[b"RFB 000.000\n"], &[V8], line);
}

#[test]
fn a_broken_server_handshake_stays_broken() {
    let mut server = ServerHandshake::new(init(), password());
    server.push(&[V8, &[2], &[7; 16]].concat());
    let first = server.step();
    assert!(first.is_err());
    server.push(&[&CORRECT_RESPONSE[..], &[1]].concat());
    assert_eq!(server.step(), first);
}

fn check_server_error(received: &[&[u8]], message: MessageKind, kind: ErrorKind) {
    let (_, outcome) = connect(&received.concat(), 4);
    assert_eq!(outcome, Err(error(Culprit::Server, message, kind)));
}

#[test]
fn a_client_hears_why_it_is_refused() {
    let reason = b"\0\0\0\x0bgo\x07away now";
    let refused = || ErrorKind::Refused("go away now".to_owned());
    let security = MessageKind::Security;
    check_server_error(&[V8, &[0], reason], security, refused());
    check_server_error(&[V7, &[0], reason], security, refused());
    check_server_error(&[V3, OK, reason], security, refused());
    let failed = &[0, 0, 0, 1];
    check_server_error(&[V8, &[1, 1], failed, reason], security, refused());
    let large = ErrorKind::TooLarge {
        what: "reason",
        value: 4097,
        limit: 4096,
    };
    check_server_error(&[V8, &[0], &[0, 0, 0x10, 1]], security, large);
    check_server_error(&[V8, &[2, 2, 19]], security, ErrorKind::NoCommonSecurity);
    check_server_error(&[V3, &[0, 0, 0, 2]], security, ErrorKind::NoCommonSecurity);
}

#[test]
fn a_client_bounds_the_screen_and_the_name() {
    let mut init = server_init_bytes();
    init[0] = 0xff;
    let width = ErrorKind::TooLarge {
        what: "screen width",
        value: 0xff80,
        limit: 16_384,
    };
    check_server_error(&[V8, &[1, 1], OK, &init], MessageKind::Init, width);
    let mut init = server_init_bytes();
    init[20] = 1;
    let name = ErrorKind::TooLarge {
        what: "name",
        value: (1 << 24) + 7,
        limit: 4096,
    };
    check_server_error(&[V8, &[1, 1], OK, &init], MessageKind::Init, name);
}

#[test]
fn a_password_is_not_in_debug_output() {
    let server = ServerHandshake::new(init(), password());
    assert!(!format!("{server:?}").contains("ABC"));
}

proptest! {
    #[test]
    fn noise_ends_the_same_way_however_it_is_split(
        version in prop::sample::select(vec![&b""[..], V3, V7, V8]),
        noise in prop::collection::vec(prop_oneof![0..4u8, any::<u8>()], 0..80),
        piece in 1usize..9,
    ) {
        let bytes = [version, &noise].concat();
        prop_assert_eq!(serve(password(), &bytes, piece), serve(password(), &bytes, bytes.len().max(1)));
        prop_assert_eq!(connect(&bytes, piece), connect(&bytes, bytes.len().max(1)));
    }
}

#[test]
fn a_server_init_is_parsed_alone() {
    let limits = Limits::default();
    let parse = |bytes: &[u8]| ServerInit::parse(bytes, &limits);
    let whole = server_init_bytes();
    for length in 0..whole.len() {
        assert_eq!(parse(&whole[..length]), Ok(None));
    }
    let followed = [&whole[..], b"more"].concat();
    assert_eq!(parse(&followed), Ok(Some((init(), whole.len()))));
    let kind = |at: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        let error = parse(&bytes).unwrap_err();
        assert_eq!(
            (error.culprit, error.message),
            (Culprit::Server, MessageKind::Init)
        );
        error.kind
    };
    // the height, the true-colour flag, the bits of a pixel, the name's length
    assert!(matches!(
        kind(2, 0xff),
        ErrorKind::TooLarge {
            what: "screen height",
            ..
        }
    ));
    assert_eq!(kind(7, 0), ErrorKind::NotNegotiated("a colour map"));
    assert_eq!(kind(4, 24), ErrorKind::BadValue("pixel format"));
    assert!(matches!(
        kind(20, 1),
        ErrorKind::TooLarge { what: "name", .. }
    ));
}

#[test]
fn a_handshake_without_server_init_ends_with_the_clients_init() {
    for shared in [true, false] {
        let mut server = ServerHandshake::without_server_init(Security::None);
        server.push(b"RFB 003.008\n\x01");
        assert_eq!(server.step(), Ok(None));
        assert_eq!(server.take_output(), b"RFB 003.008\n\x01\x01\0\0\0\0");
        server.push(&[shared.into(), 99]);
        assert_eq!(server.step(), Ok(Some(ClientInit { shared })));
        assert_eq!(server.take_output(), b"");
        assert_eq!(server.into_rest(), [99]);
    }
}
