//! Agents who are not let in.

use super::*;
use crate::LinkError;
use etatuki_protocol::AgentIdentity;

/// Nobody without a good card reaches the PAKE: the customer never says a word on the stream.
async fn check_stranger(offer: Offer, agent: AgentFile, name: &str) {
    let customer = customer().await;
    let (attempt, dialled) = meet(&customer, &offer, &offer.code.secret, &agent).await;
    assert!(
        matches!(attempt, Attempt::Stranger { reason } if reason == name),
        "{attempt:?}"
    );
    assert_eq!(dialled.unwrap_err(), DialError::Refused(name.into()));
}

#[tokio::test]
async fn a_foreign_card_is_a_strangers() {
    let foreign = VendorKey::from_seed([9; 32]);
    check_stranger(
        offer(),
        agent_with(&foreign, card_data()),
        "card-unknown-vendor",
    )
    .await;
}

#[tokio::test]
async fn an_expired_card_is_a_strangers() {
    let data = CardData {
        expires: UnixTime(1_700_000_000),
        ..card_data()
    };
    check_stranger(offer(), agent_with(&vendor(), data), "card-expired").await;
}

#[tokio::test]
async fn a_card_for_later_is_a_strangers() {
    let data = CardData {
        issued: UnixTime(FAR.0 - 1),
        ..card_data()
    };
    check_stranger(offer(), agent_with(&vendor(), data), "card-not-yet-valid").await;
}

#[tokio::test]
async fn a_revoked_card_is_a_strangers() {
    let revoked = Revocations {
        number: 1,
        serials: [7].into(),
    };
    check_stranger(Offer { revoked, ..offer() }, agent(), "card-revoked").await;
}

#[tokio::test]
async fn a_stolen_card_without_its_key_is_a_strangers() {
    let agent = AgentFile {
        key: AgentKey::from_seed([3; 32]),
        ..agent()
    };
    check_stranger(offer(), agent, "card-bad-proof").await;
}

#[tokio::test]
async fn a_proof_for_another_nameplate_is_a_strangers() {
    let customer = customer().await;
    let offer = offer();
    let other = Nameplate::from_number(CodeForm::Remoteus, 654_321).unwrap();
    let endpoint = AgentEndpoint::bind(None).await.unwrap();
    let (address, agent) = (customer.address(), agent());
    let dial = endpoint.dial(&address, &other, &offer.code.secret, &agent);
    let (attempt, dialled) = soon(async { tokio::join!(customer.accept(&offer), dial) }).await;
    assert!(
        matches!(
            attempt,
            Attempt::Stranger {
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

/// Whatever stands where a card should be, the answer is a refusal and not one byte of the PAKE.
async fn check_card_text(card: String, name: &str) {
    let customer = customer().await;
    let offer = offer();
    let address = customer.address();
    let stranger = async {
        let mut raw = Raw::dial(&address).await;
        let (_, ours) = Spake::start(
            Role::Agent,
            &offer.code.secret,
            &raw.parties(Role::Agent, offer.code.nameplate),
        );
        raw.kind().await;
        raw.say(&HandshakeMessage::Hello(Hello {
            proof: [0; 64],
            card,
        }))
        .await;
        raw.say(&HandshakeMessage::Pake(ours)).await;
        assert_eq!(raw.hear().await, None);
        assert_eq!(raw.closed().await, (1, name.to_owned()));
    };
    let (attempt, ()) = soon(async { tokio::join!(customer.accept(&offer), stranger) }).await;
    assert!(
        matches!(attempt, Attempt::Stranger { reason } if reason == name),
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
    // The last characters are the signature's; which part of the text holds it is the card's business.
    let good = agent().card.to_text();
    let forged = (0..good.len()).rev().find_map(|at| {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let text = String::from_utf8(bytes).ok()?;
        let card = AgentCard::from_text(&text).ok()?;
        (card
            .verify(
                &[vendor().public()],
                &Revocations::default(),
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
    let (attempt, dialled) = meet(&customer, &offer(), &wrong_secret(), &agent()).await;
    let identity = AgentIdentity {
        name: "Aino Agentti".into(),
        organisation: "Tilitoimisto Oy".into(),
    };
    assert!(matches!(attempt, Attempt::WrongGuess { agent } if agent == identity));
    assert_eq!(dialled.unwrap_err(), DialError::WrongCode);

    // The endpoint goes on, and the right code still links.
    let offer = offer();
    let (attempt, dialled) = meet(&customer, &offer, &offer.code.secret, &agent()).await;
    assert!(matches!(attempt, Attempt::Authenticated(_)), "{attempt:?}");
    dialled.unwrap();
}

#[tokio::test]
async fn nobody_there_is_unreachable_and_a_bad_address_is_the_services_fault() {
    let endpoint = AgentEndpoint::bind(None).await.unwrap();
    let offer = offer();
    let agent = agent();
    let nameplate = offer.code.nameplate;
    let gone = customer().await;
    let address = gone.address();
    soon(gone.close()).await;
    let dialled = soon(endpoint.dial(&address, &nameplate, &offer.code.secret, &agent)).await;
    assert_eq!(dialled.unwrap_err(), DialError::Unreachable);

    let id = address["id"].clone();
    let foreign_relay =
        serde_json::json!({"id": id, "addrs": [{"Relay": "https://example.com./"}]});
    for bad in [
        Value::Null,
        serde_json::json!({"id": id, "addrs": []}),
        foreign_relay,
    ] {
        let dialled = soon(endpoint.dial(&bad, &nameplate, &offer.code.secret, &agent)).await;
        assert_eq!(
            dialled.unwrap_err(),
            DialError::Protocol(LinkError::Address)
        );
    }
}
