//! Peers that pass the handshake and then break the streams' rules.

use super::*;
use crate::{AgentStreams, CustomerStreams, LinkError};

/// Returns a customer's link with a raw peer at the other end: its control, input and clipboard
/// streams.
async fn against_raw_agent() -> (CustomerStreams, RawPeer, SendStream, SendStream) {
    let mut trial = CustomerTrial::start().await;
    let session = trial.peer.run_until_guess().await;
    trial.peer.send_confirmation(Role::Agent, &session).await;
    trial.peer.recv().await.unwrap();
    // The clipboard first: any order will do.
    let clipboard = trial.peer.open_stream(StreamKind::Clipboard as u8).await;
    let input = trial.peer.open_stream(StreamKind::Input as u8).await;
    let (_, attempt) = trial.attempt().await;
    let Attempt::Authenticated(link) = attempt else {
        panic!("{attempt:?}")
    };
    (link.split(), trial.peer, input, clipboard)
}

#[tokio::test]
async fn a_control_message_that_doesnt_exist_is_an_error() {
    for (bytes, violation) in [
        (&b"\0\0\0\x07\"begin\""[..], Violation::UnknownMessage),
        (b"\0\0\0\x02{}", Violation::UnknownMessage),
        (b"\0\0\0\0", Violation::UnknownMessage),
        (b"\0\0\0\x01\xff", Violation::UnknownMessage),
        (b"\0\x01\0\x01", Violation::TooLong),
        (b"\0\0\0\x05\"en", Violation::Truncated),
    ] {
        let (mut customer, mut peer, _input, _clipboard) = against_raw_agent().await;
        peer.send_bytes(bytes).await;
        peer.finish();
        let received = soon(customer.control_in.recv()).await;
        assert_eq!(received, Err(LinkError::Violation(violation)));
    }
}

#[tokio::test]
async fn a_clipboard_is_bounded_text() {
    for (bytes, violation) in [
        (&b"\0\x10\0\x05"[..], Violation::TooLong),
        (b"\0\0\0\x06\0\0\0\0\xc3\x28", Violation::NotText),
        (b"\0\0\0\x02\0\0", Violation::UnknownMessage),
        (b"\0\0\0\x02x", Violation::Truncated),
    ] {
        let (mut customer, _peer, _input, mut clipboard) = against_raw_agent().await;
        clipboard.write_all(bytes).await.unwrap();
        clipboard.finish().unwrap();
        let received = soon(customer.clipboard_in.recv()).await;
        assert_eq!(received, Err(LinkError::Violation(violation)));
    }
}

#[tokio::test]
async fn input_has_two_kinds_of_messages() {
    for (bytes, violation) in [
        (&b"\0\0\0\x02\x03x"[..], Violation::UnknownMessage),
        (b"\0\0\0\0", Violation::UnknownMessage),
        (b"\0\0\0\x03\x02\0\0", Violation::UnknownMessage),
        (b"\0\0\x40\x01", Violation::TooLong),
        (b"\0\0\0\x03\x01x", Violation::Truncated),
    ] {
        let (mut customer, _peer, mut input, _clipboard) = against_raw_agent().await;
        input.write_all(bytes).await.unwrap();
        input.finish().unwrap();
        let received = soon(customer.input_in.recv()).await;
        assert_eq!(received, Err(LinkError::Violation(violation)));
    }
}

#[tokio::test]
async fn a_stream_that_is_torn_off_is_an_error() {
    let (mut customer, _peer, mut input, _clipboard) = against_raw_agent().await;
    input.reset(9_u32.into()).unwrap();
    assert_eq!(
        soon(customer.input_in.recv()).await,
        Err(LinkError::Stopped)
    );
}

#[tokio::test]
async fn no_more_streams_than_there_are() {
    let (_customer, peer, _input, _clipboard) = against_raw_agent().await;
    tokio::select! {
        _ = peer.connection.open_uni() => panic!("a third one-way stream"),
        _ = peer.connection.open_bi() => panic!("a second two-way stream"),
        () = tokio::time::sleep(Duration::from_millis(300)) => {}
    }
}

/// A peer has one stream and nothing else before it is authenticated.
#[tokio::test]
async fn a_stranger_has_one_stream() {
    let customer = customer().await;
    let (params, address) = (params(), customer.address());
    let stranger = async {
        let peer = RawPeer::dial(&address).await;
        tokio::select! {
            _ = peer.connection.open_uni() => panic!("a one-way stream"),
            _ = peer.connection.open_bi() => panic!("a second two-way stream"),
            () = tokio::time::sleep(Duration::from_millis(300)) => {}
        }
        assert_eq!(peer.connection.max_datagram_size(), None);
    };
    tokio::select! {
        () = soon(stranger) => {}
        attempt = customer.accept(&params) => panic!("{attempt:?}"),
    }
}

#[tokio::test]
async fn a_picture_out_of_bounds_is_an_error_at_the_agent() {
    let bad_header = [1, 255, 255, 255, 255, 0, 0, 0, 9];
    let mut bad_padding = vec![0; 512];
    bad_padding[4] = 1;
    bad_padding[8] = 1;
    bad_padding[511] = 1;
    let mut bad_content = vec![0; 512];
    bad_content[..9].copy_from_slice(&[1, 0, 0, 16, 0, 0, 0, 0, 9]);
    for (bytes, violation) in [
        (&bad_header[..], Violation::BlockHeader),
        (&bad_padding, Violation::BlockPadding),
        (&bad_content, Violation::BlockContent),
        (&bad_padding[..300], Violation::Truncated),
    ] {
        let (mut agent, _peer, mut picture) = against_raw_customer().await;
        picture.write_all(bytes).await.unwrap();
        picture.finish().unwrap();
        let received = soon(agent.picture_in.recv()).await;
        assert_eq!(received, Err(LinkError::Violation(violation)));
    }
}

/// Returns an agent's link with a raw peer at the other end, and its picture stream.
async fn against_raw_customer() -> (AgentStreams, RawPeer, SendStream) {
    let mut trial = AgentTrial::start().await;
    let parties = trial.peer.parties(Role::Customer);
    let (pake, ours) = Spake2Ed25519::start(Role::Customer, &params().code.secret, &parties);
    let keys = LinkKeys::derive(&pake.finish(&trial.pake).unwrap(), &trial.peer.exporter());
    let messages = [&trial.pake[..], &ours];
    let session = (
        keys,
        Transcript::new(&parties, &agent().card.hash(), messages),
    );
    trial.peer.send(&HandshakeMessage::Pake(ours)).await;
    trial.peer.recv().await.unwrap();
    trial.peer.send_confirmation(Role::Customer, &session).await;
    let _clipboard = trial.peer.open_stream(StreamKind::Clipboard as u8).await;
    let picture = trial.peer.open_stream(StreamKind::Picture as u8).await;
    (trial.dialled().await.unwrap().split(), trial.peer, picture)
}
