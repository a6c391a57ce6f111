//! Agents' cards, proofs, tokens and revocations.

use std::{fs, path::Path};

use etatuki_service::{Config, StartError, start};
use etatuki_trust::{
    AgentCard, AgentKey, CardData, RevocationList, SignedRevocations, UnixTime, VendorKey,
};
use serde_json::json;

use crate::harness::{Service, TODAY, agent, card, card_data, loopback, text, vendor};

#[tokio::test]
async fn a_good_card_gets_a_token_for_an_hour() {
    let service = Service::start().await;
    let session = service.reachable().await;
    let response = service.authenticate(&card()).await.expect_status(200);
    assert_eq!(response["expires_in"], 3600);
    let token = text(&response["token"]);
    service.look_up(&session, token).await.expect_status(200);
    service.advance(600);
    let session = service.reachable().await;
    service.look_up(&session, token).await.expect_status(200);
    service.advance(3000);
    service
        .look_up(&session, token)
        .await
        .expect_error(401, "unauthorised");
}

#[tokio::test]
async fn a_token_is_good_no_longer_than_its_card() {
    let service = Service::start().await;
    let data = CardData {
        expires: TODAY.saturating_add(90),
        ..card_data()
    };
    let response = service
        .authenticate(&AgentCard::issue(&vendor(), data).unwrap())
        .await
        .expect_status(200);
    assert_eq!(response["expires_in"], 90);
}

#[tokio::test]
async fn bad_cards_are_refused_by_name() {
    let service = Service::start().await;
    let issue = |data| AgentCard::issue(&vendor(), data).unwrap();
    let cases = [
        (
            AgentCard::issue(&VendorKey::from_seed([9; 32]), card_data()).unwrap(),
            "card-unknown-vendor",
        ),
        (
            issue(CardData {
                issued: UnixTime(0),
                expires: TODAY,
                ..card_data()
            }),
            "card-expired",
        ),
        (
            issue(CardData {
                issued: TODAY.saturating_add(1000),
                ..card_data()
            }),
            "card-not-yet-valid",
        ),
        (forged(), "card-bad-signature"),
    ];
    for (card, name) in cases {
        service.authenticate(&card).await.expect_error(403, name);
    }
    for text in ["", "etcard1-AAAA.AAAA", &card().to_text()[1..]] {
        let body = json!({ "card": text, "challenge": "", "proof": "" });
        service
            .post("/v1/agents/token", body)
            .await
            .expect_error(403, "card-malformed");
    }
}

/// Returns a card whose serial was changed after it was signed.
fn forged() -> AgentCard {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let text = card().to_text();
    let (payload, signature) = text
        .strip_prefix("etcard1-")
        .unwrap()
        .split_once('.')
        .unwrap();
    let payload = String::from_utf8(URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    let payload = URL_SAFE_NO_PAD.encode(payload.replace("\"serial\":7", "\"serial\":8"));
    AgentCard::from_text(&format!("etcard1-{payload}.{signature}")).unwrap()
}

#[tokio::test]
async fn bad_proofs_are_refused() {
    let service = Service::start().await;
    let challenge = service.challenge().await;
    let card = card();
    let url = &service.running.url;
    let stranger = AgentKey::from_seed([3; 32]);
    for proof in [
        stranger.prove_service(&card, url, &challenge),
        agent().prove_service(&card, "http://evil.example:80", &challenge),
        agent().prove_service(&card, url, &[0; 32]),
        [0; 64],
    ] {
        let response = service.token_for(&card, &challenge, &proof).await;
        response.expect_error(403, "card-bad-proof");
        assert!(
            text(&response.json()["message"]).contains(url.as_str()),
            "names the right origin"
        );
    }
    // A stranger's bad proofs didn't use the challenge up.
    let proof = agent().prove_service(&card, url, &challenge);
    service
        .token_for(&card, &challenge, &proof)
        .await
        .expect_status(200);
}

#[tokio::test]
async fn a_challenge_is_good_once_and_for_a_minute() {
    let service = Service::start().await;
    let card = card();
    let prove =
        |challenge: &[u8; 32]| agent().prove_service(&card, &service.running.url, challenge);

    let challenge = service.challenge().await;
    service
        .token_for(&card, &challenge, &prove(&challenge))
        .await
        .expect_status(200);
    let replayed = service
        .token_for(&card, &challenge, &prove(&challenge))
        .await;
    replayed.expect_error(403, "bad-challenge");

    let challenge = service.challenge().await;
    service.advance(60);
    let late = service
        .token_for(&card, &challenge, &prove(&challenge))
        .await;
    late.expect_error(403, "bad-challenge");

    let made_up = service.token_for(&card, &[7; 32], &prove(&[7; 32])).await;
    made_up.expect_error(403, "bad-challenge");
}

#[tokio::test]
async fn a_challenge_of_another_service_is_none() {
    let (service, other) = (Service::start().await, Service::start().await);
    let challenge = other.challenge().await;
    let proof = agent().prove_service(&card(), &service.running.url, &challenge);
    service
        .token_for(&card(), &challenge, &proof)
        .await
        .expect_error(403, "bad-challenge");
}

#[tokio::test]
async fn without_a_list_nobody_is_revoked() {
    let service = Service::start().await;
    let response = service.get("/v1/revocations", None).await;
    assert_eq!(
        (response.status.as_u16(), response.text.as_str()),
        (204, "")
    );
}

#[tokio::test]
async fn a_revoked_agent_is_out_as_soon_as_the_list_is_there() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("revocations.txt");
    write_list(&file, 1, &[99]);
    let service = Service::start_with(|config| config.revocations = vec![file.clone()]).await;
    let (session, token) = (service.reachable().await, service.token().await);
    service.look_up(&session, &token).await.expect_status(200);

    let listed = write_list(&file, 2, &[7]);
    service.advance(1);
    service
        .look_up(&session, &token)
        .await
        .expect_error(401, "unauthorised");
    service
        .authenticate(&card())
        .await
        .expect_error(403, "card-revoked");
    assert_eq!(service.get("/v1/revocations", None).await.text, listed);

    // An older list, or one that isn't the vendor's, changes nothing.
    write_list(&file, 1, &[99]);
    service.advance(1);
    assert_eq!(service.get("/v1/revocations", None).await.text, listed);
    fs::write(&file, "rubbish").unwrap();
    service.advance(1);
    assert_eq!(service.get("/v1/revocations", None).await.text, listed);
    fs::remove_file(&file).unwrap();
    service.advance(1);
    service
        .authenticate(&card())
        .await
        .expect_error(403, "card-revoked");
}

#[tokio::test]
async fn each_vendor_key_has_a_list_of_its_own() {
    let folder = tempfile::TempDir::new().unwrap();
    let files = ["old.txt", "new.txt"].map(|name| folder.path().join(name));
    let successor = VendorKey::from_seed([9; 32]);
    let old = write_lines(&files[0], 1, &[signed_list(&vendor(), u64::MAX, &[7])]);
    let new = write_lines(&files[1], 1, &[signed_list(&successor, 1, &[9])]);
    let service = Service::start_with(|config| {
        config.vendors.push(successor.public());
        config.revocations = files.to_vec();
    })
    .await;
    let handed_out = service.get("/v1/revocations", None).await.text;
    let mut lines: Vec<_> = handed_out.lines().collect();
    lines.sort_unstable();
    let mut expected = [old.as_str(), new.as_str()];
    expected.sort_unstable();
    assert_eq!(lines, expected);

    // The new key's next list is taken, whatever number the old one has used, and takes nobody of
    // the old key's in again.
    let newer = write_lines(&files[1], 2, &[signed_list(&successor, 2, &[9, 10])]);
    service.advance(1);
    let handed_out = service.get("/v1/revocations", None).await.text;
    assert!(handed_out.lines().any(|line| line == newer), "{handed_out}");
    service
        .authenticate(&card())
        .await
        .expect_error(403, "card-revoked");
    let same_serial = AgentCard::issue(&successor, card_data()).unwrap();
    service.authenticate(&same_serial).await.expect_status(200);
}

#[tokio::test]
async fn an_outdated_list_is_handed_out_and_revokes_on() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("revocations.txt");
    let listed = write_list(&file, 1, &[8]);
    let service = Service::start_with(|config| config.revocations = vec![file.clone()]).await;
    service.advance(86_400);
    assert_eq!(service.get("/v1/revocations", None).await.text, listed);
    service.authenticate(&card()).await.expect_status(200);
    let revoked = CardData {
        serial: 8,
        ..card_data()
    };
    service
        .authenticate(&AgentCard::issue(&vendor(), revoked).unwrap())
        .await
        .expect_error(403, "card-revoked");
}

#[tokio::test]
async fn a_list_that_is_not_the_vendors_stops_the_start() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("revocations.txt");
    let mut config = Config::new(loopback(), vec![vendor().public()]);
    config.revocations = vec![file.clone()];
    let missing = start(config.clone()).await;
    assert!(matches!(missing, Err(StartError::ReadRevocations { .. })));

    let foreign = signed_list(&VendorKey::from_seed([9; 32]), 1, &[]);
    fs::write(&file, foreign).unwrap();
    assert!(matches!(
        start(config).await,
        Err(StartError::Revocations { .. })
    ));
}

/// Signs a list that counts for a day more.
pub(crate) fn signed_list(key: &VendorKey, number: u64, serials: &[u64]) -> String {
    let revoked = RevocationList {
        number,
        until: TODAY.saturating_add(86_400),
        serials: serials.iter().copied().collect(),
    };
    let signed = SignedRevocations::sign(key, revoked).unwrap();
    signed.to_text()
}

/// Replaces the file by one of these lines, and returns them.
fn write_lines(file: &Path, change: u64, lines: &[String]) -> String {
    let text = lines.join("\n");
    // A new file each time, with a time of change of its own however coarse the clock is.
    let fresh = file.with_extension(change.to_string());
    fs::write(&fresh, format!("{text}\n")).unwrap();
    let time = std::time::SystemTime::now() + std::time::Duration::from_secs(change * 10);
    fs::File::options()
        .write(true)
        .open(&fresh)
        .unwrap()
        .set_modified(time)
        .unwrap();
    fs::rename(&fresh, file).unwrap();
    text
}

fn write_list(file: &Path, number: u64, serials: &[u64]) -> String {
    let list = signed_list(&vendor(), number, serials);
    write_lines(file, number * 100 + serials[0], &[list])
}
