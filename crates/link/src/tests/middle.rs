//! Replays, and an attacker in the middle: the service gave the agent the address of an endpoint
//! that isn't the customer's, and its owner even knows the code.

use super::*;

/// Forwards frames in both directions until one side ends.
pub(super) async fn forward(agent: &mut RawPeer, customer: &mut RawPeer) {
    loop {
        let (from, to) = tokio::select! {
            frame = agent.recv_frame() => (frame, &mut *customer),
            frame = customer.recv_frame() => (frame, &mut *agent),
        };
        match from {
            Some(frame) => to.send_bytes(&frame).await,
            None => break,
        }
    }
}

#[tokio::test]
async fn a_replayed_hello_is_refused() {
    let customer = customer().await;
    let params = params();
    let address = customer.address();
    let good = async {
        let mut peer = RawPeer::dial(&address).await;
        let hello = peer.hello(&agent());
        peer.send_kind().await;
        peer.send(&hello).await;
        peer.close(0, "");
        (peer.endpoint, hello)
    };
    let (attempt, (endpoint, hello)) =
        soon(async { tokio::join!(customer.accept(&params), good) }).await;
    // The card was good, but no guess began.
    assert!(matches!(attempt, Attempt::Aborted), "{attempt:?}");

    // From another endpoint, and from the same one.
    let fresh = bind(None, Vec::new(), VarInt::from_u32(0)).await.unwrap();
    for endpoint in [fresh, endpoint] {
        let replay = async {
            let mut peer = RawPeer::dial_from(endpoint, &address).await;
            peer.send_kind().await;
            peer.send(&hello).await;
            assert_eq!(peer.recv().await, None);
            assert_eq!(peer.closed().await, (1, "card-bad-proof".to_owned()));
        };
        let (attempt, ()) = soon(async { tokio::join!(customer.accept(&params), replay) }).await;
        assert!(
            matches!(
                attempt,
                Attempt::Unauthorized {
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
    let params = params();
    let (endpoint, false_address) = raw_customer_endpoint().await;
    let true_address = customer.address();
    let in_between = async {
        let mut to_agent = RawPeer::accept(&endpoint).await;
        let mut to_customer = RawPeer::dial(&true_address).await;
        to_customer.send_kind().await;
        forward(&mut to_agent, &mut to_customer).await;
        let refused = to_customer.closed().await;
        to_agent.close(refused.0 as u32, &refused.1);
        refused
    };
    let dialling = AgentEndpoint::bind(None).await.unwrap();
    let file = agent();
    let dial = dialling.dial(
        &false_address,
        &params.code.nameplate,
        &params.code.secret,
        &file,
    );
    let (attempt, refused, dialled) =
        soon(async { tokio::join!(customer.accept(&params), in_between, dial) }).await;
    assert!(
        matches!(
            attempt,
            Attempt::Unauthorized {
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

/// The way in which the attacker gets past the check of the proof.
#[derive(PartialEq, Eq)]
enum Bypass {
    /// A valid card of the attacker's own.
    OwnCard,
    /// The customer's side leaves out the check.
    NoCheck,
}

/// Checks that, with the proof out of the way, the PAKE's messages are still bound to the
/// connection that they were made for.
async fn check_pake_binding(bypass: Bypass) {
    let customer = customer().await;
    if bypass == Bypass::NoCheck {
        customer
            .set_checks(Checks {
                accept_any_proof: true,
                ..Checks::default()
            })
            .await;
    }
    let params = params();
    let (endpoint, false_address) = raw_customer_endpoint().await;
    let true_address = customer.address();
    let in_between = async {
        let mut to_agent = RawPeer::accept(&endpoint).await;
        let mut to_customer = RawPeer::dial(&true_address).await;
        to_customer.send_kind().await;
        let mut hello = to_agent.recv().await.unwrap();
        if bypass == Bypass::OwnCard {
            let data = CardData {
                name: "Mies Keskellä".into(),
                ..card_data()
            };
            hello = to_customer.hello(&agent_with(&vendor(), data));
        }
        to_customer.send(&hello).await;
        forward(&mut to_agent, &mut to_customer).await;
        let closed = to_customer.closed().await;
        to_agent.close(closed.0 as u32, &closed.1);
        closed
    };
    let dialling = AgentEndpoint::bind(None).await.unwrap();
    let file = agent();
    let dial = dialling.dial(
        &false_address,
        &params.code.nameplate,
        &params.code.secret,
        &file,
    );
    let (attempt, closed, dialled) =
        soon(async { tokio::join!(customer.accept(&params), in_between, dial) }).await;
    let name = if bypass == Bypass::OwnCard {
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
    check_pake_binding(Bypass::OwnCard).await;
}

#[tokio::test]
async fn in_the_middle_without_the_proof_the_pake_doesnt_fit() {
    check_pake_binding(Bypass::NoCheck).await;
}

/// An impostor in the customer's part doesn't know the code: the agent's side notices by itself.
#[tokio::test]
async fn a_customer_who_doesnt_know_the_code_is_noticed() {
    let (endpoint, address) = raw_customer_endpoint().await;
    let nameplate = params().code.nameplate;
    let impostor = async {
        let mut peer = RawPeer::accept(&endpoint).await;
        assert!(matches!(
            peer.recv().await,
            Some(HandshakeMessage::Hello(_))
        ));
        assert!(matches!(peer.recv().await, Some(HandshakeMessage::Pake(_))));
        let parties = peer.parties(Role::Customer);
        let (_, ours) = Spake2Ed25519::start(Role::Customer, &wrong_secret(), &parties);
        peer.send(&HandshakeMessage::Pake(ours)).await;
        assert!(matches!(
            peer.recv().await,
            Some(HandshakeMessage::Confirm(_))
        ));
        peer.send(&HandshakeMessage::Confirm([0; 32])).await;
        peer.closed().await
    };
    let dialling = AgentEndpoint::bind(None).await.unwrap();
    let (file, secret) = (agent(), params().code.secret);
    let dial = dialling.dial(&address, &nameplate, &secret, &file);
    let (closed, dialled) = soon(async { tokio::join!(impostor, dial) }).await;
    assert_eq!(dialled.unwrap_err(), DialError::WrongCode);
    assert_eq!(closed, (2, "wrong-code".to_owned()));
}
