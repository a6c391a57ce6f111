//! Agents who break off, stall or send rubbish, at every phase; and customers who do.

use super::*;
use crate::LinkError;

/// What the customer makes of a peer that does `act`, and that the right agent still gets in afterwards.
async fn check<F: Future<Output = ()>>(
    act: impl FnOnce(Raw, Offer) -> F,
    expected: fn(&Attempt) -> bool,
) {
    let customer = customer().await;
    let offer = offer();
    let address = customer.address();
    let peer = async { act(Raw::dial(&address).await, offer.clone()).await };
    let (attempt, ()) = soon(async { tokio::join!(customer.accept(&offer), peer) }).await;
    assert!(expected(&attempt), "{attempt:?}");

    let (attempt, dialled) = meet(&customer, &offer, &offer.code.secret, &agent()).await;
    assert!(matches!(attempt, Attempt::Authenticated(_)), "{attempt:?}");
    dialled.unwrap();
}

fn noise(attempt: &Attempt) -> bool {
    matches!(attempt, Attempt::Noise)
}

fn guess(attempt: &Attempt) -> bool {
    matches!(attempt, Attempt::WrongGuess { agent } if agent.name == "Aino Agentti")
}

fn name(violation: &str) -> (u64, String) {
    (3, violation.to_owned())
}

// Breaking off.

#[tokio::test]
async fn leaving_before_a_stream_is_noise() {
    check(
        |raw, _| async move { raw.connection.close(0_u32.into(), b"bye") },
        noise,
    )
    .await;
}

#[tokio::test]
async fn leaving_inside_the_hello_is_noise() {
    check(
        |mut raw, _| async move {
            raw.kind().await;
            raw.bytes(b"\0\0\x01\0half").await;
            raw.send.finish().unwrap();
            assert_eq!(raw.closed().await, name("truncated"));
        },
        noise,
    )
    .await;
}

#[tokio::test]
async fn leaving_before_the_pake_is_no_guess() {
    check(
        |mut raw, offer| async move {
            raw.kind().await;
            let hello = raw.hello(&agent(), offer.code.nameplate);
            raw.say(&hello).await;
            raw.send.finish().unwrap();
            assert_eq!(raw.closed().await, name("truncated"));
        },
        noise,
    )
    .await;
}

#[tokio::test]
async fn leaving_after_our_pake_message_is_a_guess() {
    check(
        |mut raw, offer| async move {
            raw.up_to_guess(&offer, &offer.code.secret).await;
            raw.connection.close(0_u32.into(), b"never mind");
        },
        guess,
    )
    .await;
}

#[tokio::test]
async fn leaving_with_a_valid_confirmation_is_a_guess() {
    check(
        |mut raw, offer| async move {
            let (keys, transcript) = raw.up_to_guess(&offer, &offer.code.secret).await;
            raw.say(&HandshakeMessage::Confirm(
                keys.confirmation(Role::Agent, &transcript),
            ))
            .await;
            let Some(HandshakeMessage::Confirm(theirs)) = raw.hear().await else {
                panic!("no answer")
            };
            assert!(keys.confirms(Role::Customer, &transcript, &theirs));
            raw.connection.close(0_u32.into(), b"never mind");
        },
        guess,
    )
    .await;
}

// Rubbish.

#[tokio::test]
async fn a_stream_of_another_kind_is_noise() {
    for kind in [0, 2, 3, 4, 255] {
        check(
            |mut raw, _| async move {
                raw.bytes(&[kind]).await;
                assert_eq!(raw.closed().await, name("wrong-stream"));
            },
            noise,
        )
        .await;
    }
}

#[tokio::test]
async fn an_oversized_hello_is_noise_before_it_comes() {
    check(
        |mut raw, _| async move {
            raw.kind().await;
            raw.bytes(&(5_u32 * 1024 + 1).to_be_bytes()).await;
            assert_eq!(raw.closed().await, name("too-long"));
        },
        noise,
    )
    .await;
}

#[tokio::test]
async fn a_message_that_is_no_hello_is_noise() {
    for first in [
        HandshakeMessage::Pake(vec![1; 33]),
        HandshakeMessage::Confirm([1; 32]),
    ] {
        check(
            |mut raw, _| async move {
                raw.kind().await;
                raw.say(&first).await;
                assert_eq!(raw.closed().await, name("out-of-turn"));
            },
            noise,
        )
        .await;
    }
}

#[tokio::test]
async fn garbage_instead_of_a_pake_message_is_no_guess() {
    let reflected = |raw: &Raw, offer: &Offer| {
        let parties = raw.parties(Role::Agent, offer.code.nameplate);
        Spake::start(Role::Customer, &wrong_secret(), &parties).1
    };
    for garbage in [
        Some(vec![]),
        Some(vec![0xff; 33]),
        Some(vec![0x41; 4000]),
        None,
    ] {
        check(
            |mut raw, offer| async move {
                raw.kind().await;
                let hello = raw.hello(&agent(), offer.code.nameplate);
                raw.say(&hello).await;
                let message = garbage.unwrap_or_else(|| reflected(&raw, &offer));
                raw.say(&HandshakeMessage::Pake(message)).await;
                assert_eq!(raw.hear().await, None);
                assert_eq!(raw.closed().await, name("out-of-turn"));
            },
            noise,
        )
        .await;
    }
}

#[tokio::test]
async fn a_second_hello_is_no_guess() {
    check(
        |mut raw, offer| async move {
            raw.kind().await;
            let hello = raw.hello(&agent(), offer.code.nameplate);
            raw.say(&hello).await;
            raw.say(&hello).await;
            assert_eq!(raw.closed().await, name("out-of-turn"));
        },
        noise,
    )
    .await;
}

#[tokio::test]
async fn garbage_instead_of_a_confirmation_is_a_guess() {
    for (garbage, closed) in [
        (
            &b"\0\0\0\x21\x03wrong wrong wrong wrong wrong xx"[..],
            (2, "wrong-code".to_owned()),
        ),
        (b"\0\0\0\x02\x03x", name("out-of-turn")),
        (b"\0\0\0\0", name("out-of-turn")),
        (b"\xff\0\0\0", name("too-long")),
        (
            b"\0\0\0\x21\x02xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            name("out-of-turn"),
        ),
    ] {
        check(
            |mut raw, offer| async move {
                raw.up_to_guess(&offer, &offer.code.secret).await;
                raw.bytes(garbage).await;
                assert_eq!(raw.closed().await, closed);
            },
            guess,
        )
        .await;
    }
}

#[tokio::test]
async fn streams_of_the_wrong_kind_are_a_guess() {
    for kinds in [[2, 2], [4, 4], [3, 4], [1, 2], [9, 9]] {
        check(
            |mut raw, offer| async move {
                let (keys, transcript) = raw.up_to_guess(&offer, &offer.code.secret).await;
                raw.say(&HandshakeMessage::Confirm(
                    keys.confirmation(Role::Agent, &transcript),
                ))
                .await;
                raw.hear().await.unwrap();
                let (mut one, mut two) = (
                    raw.connection.open_uni().await.unwrap(),
                    raw.connection.open_uni().await.unwrap(),
                );
                raw.connection.set_max_concurrent_uni_streams(2_u32.into());
                one.write_all(&kinds[..1]).await.unwrap();
                two.write_all(&kinds[1..]).await.unwrap();
                assert_eq!(raw.closed().await, name("wrong-stream"));
            },
            guess,
        )
        .await;
    }
}

// Stalling. Each takes as long as its limit is, so they go side by side.

#[tokio::test]
async fn stalling() {
    tokio::join!(
        stalling_before_a_stream_is_noise(),
        a_hello_drop_by_drop_is_noise(),
        stalling_before_the_pake_is_no_guess(),
        stalling_before_the_confirmation_is_a_guess(),
        stalling_before_the_streams_is_a_guess(),
        a_customer_who_never_answers_is_a_timeout(),
    );
}

async fn stalling_before_a_stream_is_noise() {
    check(
        |raw, _| async move { assert_eq!(raw.closed().await, name("too-slow")) },
        noise,
    )
    .await;
}

async fn a_hello_drop_by_drop_is_noise() {
    check(
        |mut raw, _| async move {
            raw.kind().await;
            raw.bytes(b"\0\0\x04\0").await;
            let drops = async {
                loop {
                    let _ = raw.send.write_all(b"x").await;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            };
            let connection = raw.connection.clone();
            tokio::select! {
                _ = connection.closed() => {}
                () = drops => {}
            }
            assert_eq!(raw.closed().await, name("too-slow"));
        },
        noise,
    )
    .await;
}

async fn stalling_before_the_pake_is_no_guess() {
    check(
        |mut raw, offer| async move {
            raw.kind().await;
            let hello = raw.hello(&agent(), offer.code.nameplate);
            raw.say(&hello).await;
            assert_eq!(raw.closed().await, name("too-slow"));
        },
        noise,
    )
    .await;
}

async fn stalling_before_the_confirmation_is_a_guess() {
    check(
        |mut raw, offer| async move {
            raw.up_to_guess(&offer, &offer.code.secret).await;
            assert_eq!(raw.closed().await, name("too-slow"));
        },
        guess,
    )
    .await;
}

async fn stalling_before_the_streams_is_a_guess() {
    check(
        |mut raw, offer| async move {
            let (keys, transcript) = raw.up_to_guess(&offer, &offer.code.secret).await;
            raw.say(&HandshakeMessage::Confirm(
                keys.confirmation(Role::Agent, &transcript),
            ))
            .await;
            assert_eq!(raw.closed().await, name("too-slow"));
        },
        guess,
    )
    .await;
}

#[tokio::test]
async fn stallers_at_the_door_dont_keep_an_agent_out() {
    let customer = customer().await;
    let offer = offer();
    let address = customer.address();
    let mut stallers = Vec::new();
    for _ in 0..5 {
        let connecting = async {
            let raw = Raw::dial(&address).await;
            stallers.push(raw);
        };
        // Doors only open while somebody waits for them.
        tokio::select! {
            () = connecting => {}
            attempt = customer.accept(&offer) => panic!("{attempt:?}"),
        }
    }
    let (attempt, dialled) = meet(&customer, &offer, &offer.code.secret, &agent()).await;
    assert!(matches!(attempt, Attempt::Authenticated(_)), "{attempt:?}");
    dialled.unwrap();
}

// Whoever stops waiting.

#[tokio::test]
async fn a_guess_is_counted_though_nobody_waits_for_it_any_more() {
    let customer = customer().await;
    let offer = offer();
    let address = customer.address();
    let mut raw = tokio::select! {
        raw = Raw::dial(&address) => raw,
        attempt = customer.accept(&offer) => panic!("{attempt:?}"),
    };
    // Given up as soon as our PAKE message is there.
    tokio::select! {
        _ = raw.up_to_guess(&offer, &offer.code.secret) => {}
        attempt = customer.accept(&offer) => panic!("{attempt:?}"),
    }
    raw.connection.close(0_u32.into(), b"bye");
    // A fresh code by now: the guess is reported all the same.
    let nameplate = Nameplate::from_number(CodeForm::Remoteus, 1).unwrap();
    let fresh = Offer {
        code: SessionCode::mint(nameplate, [5; 8]),
        ..offer
    };
    let attempt = soon(customer.accept(&fresh)).await;
    assert!(guess(&attempt), "{attempt:?}");
}

#[tokio::test]
async fn one_guess_at_a_time() {
    let customer = customer().await;
    let offer = offer();
    let address = customer.address();
    let mut first = tokio::select! {
        raw = Raw::dial(&address) => raw,
        attempt = customer.accept(&offer) => panic!("{attempt:?}"),
    };
    tokio::select! {
        _ = first.up_to_guess(&offer, &offer.code.secret) => {}
        attempt = customer.accept(&offer) => panic!("{attempt:?}"),
    }
    // The second gets no PAKE message while the first's guess is open.
    let mut second = tokio::select! {
        raw = Raw::dial(&address) => raw,
        attempt = customer.accept(&offer) => panic!("{attempt:?}"),
    };
    tokio::select! {
        _ = second.up_to_guess(&offer, &offer.code.secret) => panic!("two guesses at once"),
        attempt = customer.accept(&offer) => panic!("{attempt:?}"),
        () = tokio::time::sleep(Duration::from_millis(500)) => {}
    }
    first.connection.close(0_u32.into(), b"bye");
    assert!(guess(&soon(customer.accept(&offer)).await));
    // And none at all while nobody waits; the second's turn comes with the next call.
    tokio::select! {
        _ = second.hear() => panic!("a guess that nobody has allowed"),
        () = tokio::time::sleep(Duration::from_millis(500)) => {}
    }
    let turn = async {
        assert!(matches!(
            second.hear().await,
            Some(HandshakeMessage::Pake(_))
        ));
        second.connection.close(0_u32.into(), b"bye");
    };
    let (attempt, ()) = soon(async { tokio::join!(customer.accept(&offer), turn) }).await;
    assert!(guess(&attempt), "{attempt:?}");
}

// The agent's side of it.

/// What the agent makes of a customer's end that does `act` once it has heard hello and PAKE message.
async fn check_agent<F: Future<Output = ()>>(act: impl FnOnce(Raw) -> F, expected: DialError) {
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
    let peer = async {
        let mut raw = Raw::answer(&endpoint).await;
        raw.recv.read_exact(&mut [0]).await.unwrap();
        raw.hear().await.unwrap();
        raw.hear().await.unwrap();
        act(raw).await;
    };
    let dialling = AgentEndpoint::bind(None).await.unwrap();
    let (code, file) = (offer().code, agent());
    let dial = dialling.dial(&address, &code.nameplate, &code.secret, &file);
    let (dialled, ()) = soon(async { tokio::join!(dial, peer) }).await;
    assert_eq!(dialled.unwrap_err(), expected);
}

fn protocol(violation: Violation) -> DialError {
    DialError::Protocol(LinkError::Violation(violation))
}

#[tokio::test]
async fn the_agent_says_what_the_customers_end_did() {
    check_agent(
        |mut raw| async move {
            raw.send.finish().unwrap();
            raw.connection.closed().await;
        },
        protocol(Violation::Truncated),
    )
    .await;
    check_agent(
        |mut raw| async move {
            raw.bytes(b"\0\xff\0\0").await;
            assert_eq!(raw.closed().await, name("too-long"));
        },
        protocol(Violation::TooLong),
    )
    .await;
    check_agent(
        |mut raw| async move {
            raw.say(&HandshakeMessage::Pake(vec![0; 33])).await;
            assert_eq!(raw.closed().await, name("out-of-turn"));
        },
        protocol(Violation::OutOfTurn),
    )
    .await;
    check_agent(
        |raw| async move { raw.connection.close(1_u32.into(), b"Call this number!") },
        DialError::Refused("refused".into()),
    )
    .await;
    check_agent(
        |raw| async move { raw.connection.close(0_u32.into(), b"code-burnt") },
        DialError::Protocol(LinkError::Ended("code-burnt".into())),
    )
    .await;
}

async fn a_customer_who_never_answers_is_a_timeout() {
    check_agent(
        |raw| async move { assert_eq!(raw.closed().await, name("too-slow")) },
        DialError::Timeout,
    )
    .await;
}
