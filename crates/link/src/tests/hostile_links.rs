//! Peers that got through the handshake and then send what the streams don't allow.

use super::*;
use crate::{CustomerStreams, LinkError};

/// A customer's link whose other end is driven by hand: the control stream, and input and clipboard.
async fn against_raw() -> (CustomerStreams, Raw, SendStream, SendStream) {
    let customer = customer().await;
    let offer = offer();
    let address = customer.address();
    let peer = async {
        let mut raw = Raw::dial(&address).await;
        let (keys, transcript) = raw.up_to_guess(&offer, &offer.code.secret).await;
        raw.say(&HandshakeMessage::Confirm(
            keys.confirmation(Role::Agent, &transcript),
        ))
        .await;
        raw.hear().await.unwrap();
        raw.connection.set_max_concurrent_uni_streams(2_u32.into());
        let mut streams = Vec::new();
        // The clipboard first: the order is free.
        for kind in [StreamKind::Clipboard, StreamKind::Input] {
            let mut stream = raw.connection.open_uni().await.unwrap();
            stream.write_all(&[kind as u8]).await.unwrap();
            streams.push(stream);
        }
        let input = streams.pop().unwrap();
        (raw, input, streams.pop().unwrap())
    };
    let (attempt, (raw, input, clipboard)) =
        soon(async { tokio::join!(customer.accept(&offer), peer) }).await;
    let Attempt::Authenticated(link) = attempt else {
        panic!("{attempt:?}")
    };
    (link.split(), raw, input, clipboard)
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
        let (mut customer, mut raw, _input, _clipboard) = against_raw().await;
        raw.bytes(bytes).await;
        raw.send.finish().unwrap();
        let received = soon(customer.control_in.recv()).await;
        assert_eq!(received, Err(LinkError::Violation(violation)));
    }
}

#[tokio::test]
async fn a_clipboard_is_bounded_text() {
    for (bytes, violation) in [
        (&b"\0\x10\0\x01"[..], Violation::TooLong),
        (b"\0\0\0\x02\xc3\x28", Violation::NotText),
        (b"\0\0\0\x02x", Violation::Truncated),
    ] {
        let (mut customer, _raw, _input, mut clipboard) = against_raw().await;
        clipboard.write_all(bytes).await.unwrap();
        clipboard.finish().unwrap();
        let received = soon(customer.clipboard_in.recv()).await;
        assert_eq!(received, Err(LinkError::Violation(violation)));
    }
}

#[tokio::test]
async fn a_stream_that_is_torn_off_is_an_error() {
    let (mut customer, _raw, mut input, _clipboard) = against_raw().await;
    input.reset(9_u32.into()).unwrap();
    assert_eq!(
        soon(customer.input_in.recv()).await,
        Err(LinkError::Stopped)
    );
}

#[tokio::test]
async fn no_more_streams_than_there_are() {
    let (_customer, raw, _input, _clipboard) = against_raw().await;
    tokio::select! {
        _ = raw.connection.open_uni() => panic!("a third one-way stream"),
        _ = raw.connection.open_bi() => panic!("a second two-way stream"),
        () = tokio::time::sleep(Duration::from_millis(300)) => {}
    }
}

/// Before he is known as an agent, a peer has one stream and nothing else.
#[tokio::test]
async fn a_stranger_has_one_stream() {
    let customer = customer().await;
    let (offer, address) = (offer(), customer.address());
    let stranger = async {
        let raw = Raw::dial(&address).await;
        tokio::select! {
            _ = raw.connection.open_uni() => panic!("a one-way stream"),
            _ = raw.connection.open_bi() => panic!("a second two-way stream"),
            () = tokio::time::sleep(Duration::from_millis(300)) => {}
        }
        assert_eq!(raw.connection.max_datagram_size(), None);
    };
    tokio::select! {
        () = soon(stranger) => {}
        attempt = customer.accept(&offer) => panic!("{attempt:?}"),
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
        let (mut agent, _raw, mut picture) = against_raw_customer().await;
        picture.write_all(bytes).await.unwrap();
        picture.finish().unwrap();
        let received = soon(agent.picture_in.recv()).await;
        assert_eq!(received, Err(LinkError::Violation(violation)));
    }
}

/// An agent's link whose picture is driven by hand.
async fn against_raw_customer() -> (crate::AgentStreams, Raw, SendStream) {
    let endpoint = bind(None, vec![ALPN.to_vec()], VarInt::from_u32(1))
        .await
        .unwrap();
    let port = endpoint
        .bound_sockets()
        .iter()
        .find(|bound| bound.is_ipv4())
        .unwrap()
        .port();
    let address = EndpointAddr::new(endpoint.id()).with_ip_addr(([127, 0, 0, 1], port).into());
    let address = serde_json::to_value(address).unwrap();
    let (code, file) = (offer().code, agent());
    let peer = async {
        let mut raw = Raw::answer(&endpoint).await;
        raw.recv.read_exact(&mut [0]).await.unwrap();
        raw.hear().await.unwrap();
        let Some(HandshakeMessage::Pake(theirs)) = raw.hear().await else {
            panic!("no PAKE message")
        };
        let parties = raw.parties(Role::Customer, code.nameplate);
        let (pake, ours) = Spake::start(Role::Customer, &code.secret, &parties);
        let keys = LinkKeys::derive(&pake.finish(&theirs).unwrap(), &raw.exporter());
        let transcript = Transcript::new(&parties, &file.card.hash(), [&theirs, &ours]);
        raw.say(&HandshakeMessage::Pake(ours)).await;
        raw.hear().await.unwrap();
        raw.say(&HandshakeMessage::Confirm(
            keys.confirmation(Role::Customer, &transcript),
        ))
        .await;
        raw.connection.set_max_concurrent_uni_streams(2_u32.into());
        let mut clipboard = raw.connection.open_uni().await.unwrap();
        clipboard
            .write_all(&[StreamKind::Clipboard as u8])
            .await
            .unwrap();
        let mut picture = raw.connection.open_uni().await.unwrap();
        picture
            .write_all(&[StreamKind::Picture as u8])
            .await
            .unwrap();
        (raw, picture)
    };
    let dialling = AgentEndpoint::bind(None).await.unwrap();
    let dial = dialling.dial(&address, &code.nameplate, &code.secret, &file);
    let (dialled, (raw, picture)) = soon(async { tokio::join!(dial, peer) }).await;
    (dialled.unwrap().split(), raw, picture)
}
