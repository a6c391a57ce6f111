//! Replays, and somebody in the middle: the service gave the agent the address of an endpoint that isn't
//! the customer's, and whoever owns it even knows the code.

use super::*;

/// An endpoint in the middle, and the address to give to the agent.
async fn middle() -> (Endpoint, Value) {
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
    (endpoint, serde_json::to_value(address).unwrap())
}

/// Passes frames on, both ways, until a side has no more.
async fn pass_on(agent: &mut Raw, customer: &mut Raw) {
    loop {
        let (from, to) = tokio::select! {
            frame = agent.frame() => (frame, &mut *customer),
            frame = customer.frame() => (frame, &mut *agent),
        };
        match from {
            Some(frame) => to.bytes(&frame).await,
            None => break,
        }
    }
}

#[tokio::test]
async fn a_replayed_hello_is_refused() {
    let customer = customer().await;
    let offer = offer();
    let address = customer.address();
    let good = async {
        let mut raw = Raw::dial(&address).await;
        let hello = raw.hello(&agent(), offer.code.nameplate);
        raw.kind().await;
        raw.say(&hello).await;
        raw.connection.close(0_u32.into(), b"");
        (raw.endpoint, hello)
    };
    let (attempt, (endpoint, hello)) =
        soon(async { tokio::join!(customer.accept(&offer), good) }).await;
    // The card was good, but it never came to a guess.
    assert!(matches!(attempt, Attempt::Noise), "{attempt:?}");

    // From another endpoint, and from the very same one.
    let fresh = bind(None, Vec::new(), VarInt::from_u32(0)).await.unwrap();
    for endpoint in [fresh, endpoint] {
        let replay = async {
            let mut raw = Raw::dial_from(endpoint, &address).await;
            raw.kind().await;
            raw.say(&hello).await;
            assert_eq!(raw.hear().await, None);
            assert_eq!(raw.closed().await, (1, "card-bad-proof".to_owned()));
        };
        let (attempt, ()) = soon(async { tokio::join!(customer.accept(&offer), replay) }).await;
        assert!(
            matches!(
                attempt,
                Attempt::Stranger {
                    reason: "card-bad-proof"
                }
            ),
            "{attempt:?}"
        );
    }
}

#[tokio::test]
async fn in_the_middle_the_agents_proof_doesnt_fit() {
    let customer = customer().await;
    let offer = offer();
    let (endpoint, false_address) = middle().await;
    let true_address = customer.address();
    let in_between = async {
        let mut to_agent = Raw::answer(&endpoint).await;
        let mut to_customer = Raw::dial(&true_address).await;
        let mut kind = [0];
        to_agent.recv.read_exact(&mut kind).await.unwrap();
        to_customer.bytes(&kind).await;
        pass_on(&mut to_agent, &mut to_customer).await;
        let refused = to_customer.closed().await;
        to_agent
            .connection
            .close((refused.0 as u32).into(), refused.1.as_bytes());
        refused
    };
    let dialling = AgentEndpoint::bind(None).await.unwrap();
    let file = agent();
    let dial = dialling.dial(
        &false_address,
        &offer.code.nameplate,
        &offer.code.secret,
        &file,
    );
    let (attempt, refused, dialled) =
        soon(async { tokio::join!(customer.accept(&offer), in_between, dial) }).await;
    assert!(
        matches!(
            attempt,
            Attempt::Stranger {
                reason: "card-bad-proof"
            }
        ),
        "{attempt:?}"
    );
    assert_eq!(refused, (1, "card-bad-proof".to_owned()));
    assert_eq!(
        dialled.unwrap_err(),
        DialError::Refused("card-bad-proof".into())
    );
}

/// The proof out of the way, by a card of the middle's own or by leaving the check out: the PAKE's
/// messages still belong to the connection that they were made for.
async fn check_pake_binding(own_card: bool) {
    let customer = customer().await;
    if !own_card {
        customer.believe_any_proof().await;
    }
    let offer = offer();
    let (endpoint, false_address) = middle().await;
    let true_address = customer.address();
    let in_between = async {
        let mut to_agent = Raw::answer(&endpoint).await;
        let mut to_customer = Raw::dial(&true_address).await;
        let mut kind = [0];
        to_agent.recv.read_exact(&mut kind).await.unwrap();
        to_customer.bytes(&kind).await;
        let mut hello = to_agent.hear().await.unwrap();
        if own_card {
            let data = CardData {
                name: "Mies Keskellä".into(),
                ..card_data()
            };
            hello = to_customer.hello(&agent_with(&vendor(), data), offer.code.nameplate);
        }
        to_customer.say(&hello).await;
        pass_on(&mut to_agent, &mut to_customer).await;
        let closed = to_customer.closed().await;
        to_agent
            .connection
            .close((closed.0 as u32).into(), closed.1.as_bytes());
        closed
    };
    let dialling = AgentEndpoint::bind(None).await.unwrap();
    let file = agent();
    let dial = dialling.dial(
        &false_address,
        &offer.code.nameplate,
        &offer.code.secret,
        &file,
    );
    let (attempt, closed, dialled) =
        soon(async { tokio::join!(customer.accept(&offer), in_between, dial) }).await;
    let name = if own_card {
        "Mies Keskellä"
    } else {
        "Aino Agentti"
    };
    assert!(
        matches!(&attempt, Attempt::WrongGuess { agent } if agent.name == name),
        "{attempt:?}"
    );
    assert_eq!(closed, (2, "wrong-code".to_owned()));
    assert_eq!(dialled.unwrap_err(), DialError::WrongCode);
}

#[tokio::test]
async fn in_the_middle_with_a_card_of_ones_own_the_pake_doesnt_fit() {
    check_pake_binding(true).await;
}

#[tokio::test]
async fn in_the_middle_without_the_proof_the_pake_doesnt_fit() {
    check_pake_binding(false).await;
}

/// The customer's part, played by somebody who doesn't know the code: the agent notices by himself.
#[tokio::test]
async fn a_customer_who_doesnt_know_the_code_is_noticed() {
    let (endpoint, address) = middle().await;
    let nameplate = offer().code.nameplate;
    let impostor = async {
        let mut raw = Raw::answer(&endpoint).await;
        raw.recv.read_exact(&mut [0]).await.unwrap();
        assert!(matches!(raw.hear().await, Some(HandshakeMessage::Hello(_))));
        assert!(matches!(raw.hear().await, Some(HandshakeMessage::Pake(_))));
        let parties = raw.parties(Role::Customer, nameplate);
        let (_, ours) = Spake::start(Role::Customer, &wrong_secret(), &parties);
        raw.say(&HandshakeMessage::Pake(ours)).await;
        assert!(matches!(
            raw.hear().await,
            Some(HandshakeMessage::Confirm(_))
        ));
        raw.say(&HandshakeMessage::Confirm([0; 32])).await;
        raw.closed().await
    };
    let dialling = AgentEndpoint::bind(None).await.unwrap();
    let (file, secret) = (agent(), offer().code.secret);
    let dial = dialling.dial(&address, &nameplate, &secret, &file);
    let (closed, dialled) = soon(async { tokio::join!(impostor, dial) }).await;
    assert_eq!(dialled.unwrap_err(), DialError::WrongCode);
    assert_eq!(closed, (2, "wrong-code".to_owned()));
}
