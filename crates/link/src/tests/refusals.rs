//! Agents that are refused.

use super::*;
use crate::LinkError;
use etatuki_protocol::AgentIdentity;

/// Checks that this agent is refused before the PAKE: the customer sends nothing on the stream.
async fn check_stranger(params: AcceptParams, agent: AgentFile, name: &str) {
    let customer = customer().await;
    let (attempt, dialled) = connect(&customer, &params, &params.code.secret, &agent).await;
    assert!(
        matches!(attempt, Attempt::Unauthorized { reason } if reason == name),
        "{attempt:?}"
    );
    assert_eq!(dialled.unwrap_err(), DialError::Refused(name.into()));
}

#[tokio::test]
async fn a_foreign_card_is_a_strangers() {
    let foreign = VendorKey::from_seed([9; 32]);
    check_stranger(
        params(),
        agent_with(&foreign, card_data()),
        "card-unknown-vendor",
    )
    .await;
}

/// Checks that an agent whose card is out of its time is refused before the PAKE, and known by name.
async fn check_out_of_time(data: CardData, name: &str) {
    let customer = customer().await;
    let params = params();
    let agent = agent_with(&vendor(), data.clone());
    let (attempt, dialled) = connect(&customer, &params, &params.code.secret, &agent).await;
    match attempt {
        Attempt::CardOutOfTime { agent, validity } => {
            assert_eq!(agent.name, data.name);
            assert_eq!(validity, data.validity());
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(dialled.unwrap_err(), DialError::Refused(name.into()));
}

fn expired() -> CardData {
    CardData {
        expires: UnixTime(1_700_000_000),
        ..card_data()
    }
}

#[tokio::test]
async fn an_expired_card_is_refused_and_its_agent_known() {
    check_out_of_time(expired(), "card-expired").await;
}

#[tokio::test]
async fn a_card_for_later_is_refused_and_its_agent_known() {
    let data = CardData {
        issued: UnixTime(FAR.0 - 1),
        ..card_data()
    };
    check_out_of_time(data, "card-not-yet-valid").await;
}

#[tokio::test]
async fn an_expired_card_that_is_stolen_forged_or_revoked_is_a_strangers() {
    let stolen = AgentFile {
        key: AgentKey::from_seed([3; 32]),
        ..agent_with(&vendor(), expired())
    };
    check_stranger(params(), stolen, "card-bad-proof").await;
    let foreign = VendorKey::from_seed([9; 32]);
    check_stranger(
        params(),
        agent_with(&foreign, expired()),
        "card-unknown-vendor",
    )
    .await;
    let params = with_list(FAR, &[7]);
    check_stranger(params, agent_with(&vendor(), expired()), "card-revoked").await;
}

#[tokio::test]
async fn a_revoked_card_is_a_strangers() {
    check_stranger(with_list(FAR, &[7]), agent(), "card-revoked").await;
    check_stranger(with_list(UnixTime(1), &[7]), agent(), "card-revoked").await;
}

#[tokio::test]
async fn a_card_whose_keys_list_is_outdated_is_let_in_by_nobody() {
    check_stranger(with_list(UnixTime(1), &[]), agent(), "revocations-stale").await;
    let customer = customer().await;
    let params = with_list(FAR, &[]);
    let (attempt, dialled) = connect(&customer, &params, &params.code.secret, &agent()).await;
    assert!(matches!(attempt, Attempt::Authenticated(_)), "{attempt:?}");
    assert!(dialled.is_ok());
}

/// Returns terms under which this list of the vendor's is the newest, and has to count.
pub(super) fn with_list(until: UnixTime, serials: &[u64]) -> AcceptParams {
    let list = RevocationList {
        number: 1,
        until,
        serials: serials.iter().copied().collect(),
    };
    let signed = SignedRevocations::sign(&vendor(), list).unwrap();
    let mut revoked = Revocations::new(StaleRevocations::Refuse);
    let verified = signed.verify(&[vendor().public()]).unwrap();
    revoked.advance(verified).unwrap();
    AcceptParams {
        revoked,
        ..params()
    }
}

#[tokio::test]
async fn a_stolen_card_without_its_key_is_a_strangers() {
    let agent = AgentFile {
        key: AgentKey::from_seed([3; 32]),
        ..agent()
    };
    check_stranger(params(), agent, "card-bad-proof").await;
}

#[tokio::test]
async fn a_proof_for_another_nameplate_is_a_strangers() {
    let customer = customer().await;
    let params = params();
    let other = Nameplate::from_number(CodeForm::SingleCode, 654_321).unwrap();
    let endpoint = AgentEndpoint::bind(None).await.unwrap();
    let (address, agent) = (customer.address(), agent());
    let dial = endpoint.dial(&address, &other, &params.code.secret, &agent);
    let (attempt, dialled) = soon(async { tokio::join!(customer.accept(&params), dial) }).await;
    assert!(
        matches!(
            attempt,
            Attempt::Unauthorized {
                reason: "card-bad-proof"
            }
        ),
        "{attempt:?}"
    );
    assert_eq!(
        dialled.unwrap_err(),
        DialError::Refused("card-bad-proof".into())
    );
}

/// Checks that a peer with this text as its card is refused, without one byte of the PAKE.
async fn check_card_text(card: String, name: &str) {
    let customer = customer().await;
    let params = params();
    let address = customer.address();
    let stranger = async {
        let mut peer = RawPeer::dial(&address).await;
        let (_, ours) =
            Spake2Ed25519::start(Role::Agent, &params.code.secret, &peer.parties(Role::Agent));
        peer.send_kind().await;
        peer.send(&HandshakeMessage::Hello(Hello {
            proof: [0; 64],
            card,
        }))
        .await;
        peer.send(&HandshakeMessage::Pake(ours)).await;
        assert_eq!(peer.recv().await, None);
        assert_eq!(peer.closed().await, (1, name.to_owned()));
    };
    let (attempt, ()) = soon(async { tokio::join!(customer.accept(&params), stranger) }).await;
    assert!(
        matches!(attempt, Attempt::Unauthorized { reason } if reason == name),
        "{attempt:?}"
    );
}

#[tokio::test]
async fn an_unsigned_card_is_a_strangers() {
    let good = agent().card.to_text();
    check_card_text(String::new(), "card-malformed").await;
    check_card_text("let me in".into(), "card-malformed").await;
    check_card_text("x".repeat(4096), "card-malformed").await;
    check_card_text(good[..good.len() - 4].to_owned(), "card-malformed").await;
}

#[tokio::test]
async fn a_forged_signature_is_a_strangers() {
    // The signature is in the last characters; the card knows exactly where.
    let good = agent().card.to_text();
    let forged = (0..good.len()).rev().find_map(|at| {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let text = String::from_utf8(bytes).ok()?;
        let card = AgentCard::from_text(&text).ok()?;
        (card
            .verify(
                &[vendor().public()],
                &Revocations::new(StaleRevocations::Warn),
                UnixTime(1_700_000_000),
            )
            .is_err())
        .then_some(text)
    });
    check_card_text(
        forged.expect("some flip leaves the form whole"),
        "card-bad-signature",
    )
    .await;
}

#[tokio::test]
async fn a_wrong_secret_is_a_wrong_code_there_and_a_guess_here() {
    let customer = customer().await;
    let (attempt, dialled) = connect(&customer, &params(), &wrong_secret(), &agent()).await;
    let identity = AgentIdentity {
        name: "Aino Agentti".into(),
        organisation: "Tilitoimisto Oy".into(),
    };
    assert!(matches!(attempt, Attempt::WrongGuess { agent } if agent == identity));
    assert_eq!(dialled.unwrap_err(), DialError::WrongCode);

    check_open(&customer).await;
}

#[tokio::test]
async fn nobody_there_is_unreachable_and_a_bad_address_is_the_services_fault() {
    let endpoint = AgentEndpoint::bind(None).await.unwrap();
    let params = params();
    let agent = agent();
    let nameplate = params.code.nameplate;
    let gone = customer().await;
    let address = gone.address();
    soon(gone.close()).await;
    let dialled = soon(endpoint.dial(&address, &nameplate, &params.code.secret, &agent)).await;
    assert_eq!(dialled.unwrap_err(), DialError::Unreachable);

    let id = address["id"].clone();
    let foreign_relay =
        serde_json::json!({"id": id, "addrs": [{"Relay": "https://example.com./"}]});
    for bad in [
        Value::Null,
        serde_json::json!({"id": id, "addrs": []}),
        foreign_relay,
    ] {
        let dialled = soon(endpoint.dial(&bad, &nameplate, &params.code.secret, &agent)).await;
        assert_eq!(
            dialled.unwrap_err(),
            DialError::Protocol(LinkError::Address)
        );
    }
}
