//! A restart of the service voids nothing that it has signed.

use std::path::Path;

use etatuki_service::Clock;

use crate::harness::{Service, TODAY, address, agent, card, text};

/// Starts a service with this key ring and this clock.
async fn start(ring: &Path, clock: &Clock) -> Service {
    let mut service = Service::start_with(|config| {
        config.key_ring = Some(ring.to_owned());
        config.clock = clock.clone();
    })
    .await;
    service.clock = clock.clone();
    service
}

#[tokio::test]
async fn a_launcher_keeps_its_nameplate() {
    let folder = tempfile::TempDir::new().unwrap();
    let (ring, clock) = (folder.path().join("keys"), Clock::manual(TODAY));
    let before = start(&ring, &clock).await;
    let (session, closed) = (before.reachable().await, before.reachable().await);
    before.close(&closed).await.expect_status(204);
    before.advance(100);
    let after = start(&ring, &clock).await;
    let token = after.token().await;
    after
        .look_up(&session, &token)
        .await
        .expect_error(404, "unknown-nameplate");
    after
        .put_address(&session, address())
        .await
        .expect_status(204);
    let found = after.look_up(&session, &token).await.expect_status(200);
    assert_eq!(found["address"], address());
    // It has the rest of its eleven minutes.
    after.advance(559);
    after.look_up(&session, &token).await.expect_status(200);
    after.advance(1);
    after
        .put_address(&session, address())
        .await
        .expect_error(404, "unknown-nameplate");
    // Closing counts too, though the service has forgotten the session.
    let again = start(&ring, &clock).await;
    again.close(&session).await.expect_status(204);
}

#[tokio::test]
async fn a_nameplate_is_given_back_to_its_owner_alone() {
    let folder = tempfile::TempDir::new().unwrap();
    let (ring, clock) = (folder.path().join("keys"), Clock::manual(TODAY));
    let before = start(&ring, &clock).await;
    let session = before.reachable().await;
    let other = before.reachable().await;
    let after = start(&ring, &clock).await;
    let mut stolen = session.clone();
    stolen["owner"] = other["owner"].clone();
    after
        .put_address(&stolen, address())
        .await
        .expect_error(401, "unauthorised");
    // What its owner has closed doesn't come back, nor does it for anybody else.
    after.close(&session).await.expect_status(204);
    after
        .put_address(&session, address())
        .await
        .expect_error(404, "unknown-nameplate");
    // A token from before the key ring, or of another service, is nobody's.
    let stranger = Service::start().await;
    stranger
        .put_address(&session, address())
        .await
        .expect_error(401, "unauthorised");
}

#[tokio::test]
async fn a_challenge_can_be_answered_after_it() {
    let folder = tempfile::TempDir::new().unwrap();
    let (ring, clock) = (folder.path().join("keys"), Clock::manual(TODAY));
    let before = start(&ring, &clock).await;
    let challenge = before.challenge().await;
    clock.advance(std::time::Duration::from_secs(5));
    let after = start(&ring, &clock).await;
    let url = &after.running.url;
    let proof = agent().prove_service(&card(), url, &challenge);
    let answered = after.token_for(&card(), &challenge, &proof).await;
    assert!(!text(&answered.expect_status(200)["token"]).is_empty());
}
