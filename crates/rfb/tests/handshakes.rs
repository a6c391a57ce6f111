//! The two handshakes: against each other, against recorded bytes, and against peers that misbehave.

#![allow(clippy::unwrap_used, reason = "a test may end with a panic")]

use etatuki_rfb::{
    ClientHandshake, Culprit, Fault, Limits, MessageKind, PixelFormat, ProtocolError, Security,
    ServerHandshake, ServerInit,
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

/// What VNC implementations answer to that challenge under that password (checked with OpenSSL's DES).
const RIGHT_ANSWER: [u8; 16] = [
    0x7c, 0xf1, 0xa7, 0x2f, 0x79, 0x9d, 0x29, 0x8b, 0x07, 0x7f, 0x08, 0x31, 0xea, 0xff, 0xfe, 0xd7,
];

type Outcome<T> = (Vec<u8>, Result<Option<T>, ProtocolError>);

/// What a server says to these bytes, pushed in pieces.
fn serve(security: Security, from_client: &[u8], piece: usize) -> Outcome<bool> {
    let mut server = ServerHandshake::new(init(), security);
    let mut said = server.output();
    let mut outcome = Ok(None);
    for bytes in from_client.chunks(piece) {
        server.push(bytes);
        outcome = server.step();
        said.extend(server.output());
    }
    (said, outcome)
}

/// What a client says to these bytes.
fn connect(from_server: &[u8], piece: usize) -> Outcome<ServerInit> {
    let mut client = ClientHandshake::new(Limits::default());
    let mut said = Vec::new();
    let mut outcome = Ok(None);
    for bytes in from_server.chunks(piece) {
        client.push(bytes);
        outcome = client.step();
        said.extend(client.output());
    }
    (said, outcome)
}

fn check_server(security: fn() -> Security, heard: &[&[u8]], said: &[&[u8]]) {
    let heard = heard.concat();
    for piece in [1, 5, 100] {
        let outcome = serve(security(), &heard, piece);
        assert_eq!(outcome, (said.concat(), Ok(Some(true))));
    }
}

fn check_client(heard: &[&[u8]], said: &[&[u8]]) {
    let heard = heard.concat();
    for piece in [1, 5, 100] {
        let outcome = connect(&heard, piece);
        assert_eq!(outcome, (said.concat(), Ok(Some(init()))));
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
    let (answer, shared) = (&RIGHT_ANSWER, &[1]);
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
    assert_eq!(server.step(), Ok(Some(false)));
    assert_eq!(server.into_rest(), [9]);
}

fn error(culprit: Culprit, message: MessageKind, fault: Fault) -> ProtocolError {
    ProtocolError {
        culprit,
        message,
        fault,
    }
}

fn check_refusal(security: Security, heard: &[&[u8]], said: &[&[u8]], fault: Fault) {
    let message = match fault {
        Fault::BadValue(_) => MessageKind::Version,
        _ => MessageKind::Security,
    };
    let expected = Err(error(Culprit::Client, message, fault));
    assert_eq!(
        serve(security, &heard.concat(), 3),
        (said.concat(), expected)
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
        Fault::WrongPassword,
    );
    check_refusal(
        password(),
        &[V7, &[2], wrong],
        &[V8, &[1, 2], challenge, &[0, 0, 0, 1]],
        Fault::WrongPassword,
    );
    check_refusal(
        password(),
        &[V8, &[1]],
        &[V8, &[1, 2], b"\0\0\0\x01\0\0\0\x15no such security type"],
        Fault::NoCommonSecurity,
    );
    let line = Fault::BadValue("version line");
    check_refusal(Security::None, &[b"GET / HTTP/1"], &[V8], line.clone());
    check_refusal(Security::None, &[b"RFB 000.000\n"], &[V8], line);
}

#[test]
fn a_broken_server_handshake_stays_broken() {
    let mut server = ServerHandshake::new(init(), password());
    server.push(&[V8, &[2], &[7; 16]].concat());
    let first = server.step();
    assert!(first.is_err());
    server.push(&[&RIGHT_ANSWER[..], &[1]].concat());
    assert_eq!(server.step(), first);
}

fn check_server_error(heard: &[&[u8]], message: MessageKind, fault: Fault) {
    let (_, outcome) = connect(&heard.concat(), 4);
    assert_eq!(outcome, Err(error(Culprit::Server, message, fault)));
}

#[test]
fn a_client_hears_why_it_is_refused() {
    let reason = b"\0\0\0\x0bgo\x07away now";
    let refused = || Fault::Refused("go away now".to_owned());
    let security = MessageKind::Security;
    check_server_error(&[V8, &[0], reason], security, refused());
    check_server_error(&[V7, &[0], reason], security, refused());
    check_server_error(&[V3, OK, reason], security, refused());
    let failed = &[0, 0, 0, 1];
    check_server_error(&[V8, &[1, 1], failed, reason], security, refused());
    let large = Fault::TooLarge {
        what: "reason",
        value: 4097,
        limit: 4096,
    };
    check_server_error(&[V8, &[0], &[0, 0, 0x10, 1]], security, large);
    check_server_error(&[V8, &[2, 2, 19]], security, Fault::NoCommonSecurity);
    check_server_error(&[V3, &[0, 0, 0, 2]], security, Fault::NoCommonSecurity);
}

#[test]
fn a_client_bounds_the_screen_and_the_name() {
    let mut init = server_init_bytes();
    init[0] = 0xff;
    let width = Fault::TooLarge {
        what: "screen width",
        value: 0xff80,
        limit: 16_384,
    };
    check_server_error(&[V8, &[1, 1], OK, &init], MessageKind::Init, width);
    let mut init = server_init_bytes();
    init[20] = 1;
    let name = Fault::TooLarge {
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
    let fault = |at: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        let error = parse(&bytes).unwrap_err();
        assert_eq!(
            (error.culprit, error.message),
            (Culprit::Server, MessageKind::Init)
        );
        error.fault
    };
    // the height, the true-colour flag, the bits of a pixel, the name's length
    assert!(matches!(
        fault(2, 0xff),
        Fault::TooLarge {
            what: "screen height",
            ..
        }
    ));
    assert_eq!(fault(7, 0), Fault::NotNegotiated("a colour map"));
    assert_eq!(fault(4, 24), Fault::BadValue("pixel format"));
    assert!(matches!(fault(20, 1), Fault::TooLarge { what: "name", .. }));
}

#[test]
fn a_handshake_without_server_init_ends_with_the_clients_init() {
    for shared in [true, false] {
        let mut server = ServerHandshake::without_server_init(Security::None);
        server.push(b"RFB 003.008\n\x01");
        assert_eq!(server.step(), Ok(None));
        assert_eq!(server.output(), b"RFB 003.008\n\x01\x01\0\0\0\0");
        server.push(&[shared.into(), 99]);
        assert_eq!(server.step(), Ok(Some(shared)));
        assert_eq!(server.output(), b"");
        assert_eq!(server.into_rest(), [99]);
    }
}
