//! Opening, reaching and closing sessions.

use std::time::Duration;

use etatuki_service::{Limits, Quota};
use etatuki_trust::{CodeForm, Nameplate};
use reqwest::Method;
use serde_json::json;

use crate::harness::{ENDPOINT, Service, address, lookup_path, opening, text};

#[tokio::test]
async fn one_session_from_open_to_close() {
    let service = Service::start().await;
    let session = service.open("ecom").await;
    assert_eq!(session["expires_in"], 660);
    assert_eq!(session["relay"]["url"], service.running.url);
    let nameplate: Nameplate = text(&session["nameplate"]).parse().unwrap();
    assert_eq!(nameplate.form(), CodeForm::IdAndPassword);

    let token = service.token().await;
    service
        .look_up(&session, &token)
        .await
        .expect_error(409, "not-ready");

    service
        .put_address(&session, address())
        .await
        .expect_status(204);
    let found = service.look_up(&session, &token).await.expect_status(200);
    assert_eq!(found["form"], "ecom");
    assert_eq!(found["address"], address());
    assert_eq!(found["relay"]["url"], service.running.url);
    assert_ne!(found["relay"]["token"], session["relay"]["token"]);

    service.close(&session).await.expect_status(204);
    service
        .look_up(&session, &token)
        .await
        .expect_error(404, "unknown-nameplate");
    service.close(&session).await.expect_status(204);
    service
        .put_address(&session, address())
        .await
        .expect_error(404, "unknown-nameplate");
}

#[tokio::test]
async fn answers_are_for_nobodys_cache() {
    let service = Service::start().await;
    let response = service.post("/v1/sessions", opening("remoteus")).await;
    assert_eq!(response.headers["cache-control"], "no-store");
    assert_eq!(response.headers["x-content-type-options"], "nosniff");
}

#[tokio::test]
async fn a_session_expires() {
    let service = Service::start().await;
    let session = service.reachable().await;
    let token = service.token().await;
    service.advance(659);
    service.look_up(&session, &token).await.expect_status(200);
    service.advance(1);
    service
        .look_up(&session, &token)
        .await
        .expect_error(404, "unknown-nameplate");
    service
        .put_address(&session, address())
        .await
        .expect_error(404, "unknown-nameplate");
    service.close(&session).await.expect_status(204);
}

#[tokio::test]
async fn only_the_owner_changes_a_session() {
    let service = Service::start().await;
    let (session, other) = (service.reachable().await, service.open("remoteus").await);
    let mut stolen = session.clone();
    for owner in [
        &other["owner"],
        &session["relay"]["token"],
        &json!(""),
        &json!("x y"),
    ] {
        stolen["owner"] = owner.clone();
        service
            .put_address(&stolen, address())
            .await
            .expect_error(401, "unauthorised");
        service
            .close(&stolen)
            .await
            .expect_error(401, "unauthorised");
    }
    let path = format!("/v1/sessions/{}", text(&session["nameplate"]));
    let response = service.send(Method::DELETE, &path, None, "").await;
    response.expect_error(401, "unauthorised");
    assert_eq!(response.headers["www-authenticate"], "Bearer");
    // A stranger can't tell a nameplate in use from a free one.
    let nobodys = service
        .send(Method::DELETE, "/v1/sessions/000000", Some("x"), "")
        .await;
    nobodys.expect_error(401, "unauthorised");
    let token = service.token().await;
    service.look_up(&session, &token).await.expect_status(200);
}

#[tokio::test]
async fn only_agents_look_up() {
    let service = Service::start().await;
    let session = service.reachable().await;
    for token in [
        "",
        "x",
        text(&session["owner"]),
        text(&session["relay"]["token"]),
    ] {
        service
            .look_up(&session, token)
            .await
            .expect_error(401, "unauthorised");
    }
    let path = lookup_path(&session);
    service
        .get(&path, None)
        .await
        .expect_error(401, "unauthorised");
}

#[tokio::test]
async fn an_address_leads_through_our_relay_or_directly() {
    let service = Service::start().await;
    let session = service.open("remoteus").await;
    let ours =
        json!({ "id": ENDPOINT, "addrs": [{ "Relay": format!("{}/", service.running.url) }] });
    service.put_address(&session, ours).await.expect_status(204);
    for bad in [
        json!(null),
        json!("x"),
        json!({ "id": "x", "addrs": [] }),
        json!({ "id": ENDPOINT, "addrs": [{ "Relay": "https://evil.example/" }] }),
        json!({ "id": ENDPOINT, "addrs": [{ "Ip": "nowhere" }] }),
    ] {
        service
            .put_address(&session, bad)
            .await
            .expect_error(400, "bad-address");
    }
}

#[tokio::test]
async fn a_full_service_says_so() {
    let service = Service::start_with(|config| {
        config.limits = Limits {
            sessions: 2,
            ..Limits::default()
        };
    })
    .await;
    service.open("remoteus").await;
    let second = service.open("ecom").await;
    let form = opening("remoteus");
    service
        .post("/v1/sessions", form.clone())
        .await
        .expect_error(503, "no-nameplate");
    service.close(&second).await.expect_status(204);
    service.post("/v1/sessions", form).await.expect_status(201);
}

#[tokio::test]
async fn one_address_opens_only_so_many() {
    let service = Service::start().await;
    for _ in 0..30 {
        service.open("remoteus").await;
    }
    let form = opening("remoteus");
    let response = service.post("/v1/sessions", form.clone()).await;
    response.expect_error(429, "too-many");
    assert_eq!(response.headers["retry-after"], "2");
    service.advance(2);
    service
        .post("/v1/sessions", form.clone())
        .await
        .expect_status(201);
    service
        .post("/v1/sessions", form)
        .await
        .expect_error(429, "too-many");
}

#[tokio::test]
async fn look_ups_are_limited_in_each_way() {
    let rate = Quota::new(2, Duration::from_secs(60));
    let limits: [fn(&mut Limits) -> &mut Quota; 3] = [
        |limits| &mut limits.lookups_per_address,
        |limits| &mut limits.lookups_per_agent,
        |limits| &mut limits.lookups_per_nameplate,
    ];
    for limit in limits {
        let service = Service::start_with(|config| *limit(&mut config.limits) = rate).await;
        let (session, token) = (service.reachable().await, service.token().await);
        service.look_up(&session, &token).await.expect_status(200);
        service.look_up(&session, &token).await.expect_status(200);
        let response = service.look_up(&session, &token).await;
        response.expect_error(429, "too-many");
        assert_eq!(response.headers["retry-after"], "60");
        service.advance(60);
        service.look_up(&session, &token).await.expect_status(200);
    }
}

#[tokio::test]
async fn the_other_things_are_limited_too() {
    let once = Quota::new(1, Duration::from_secs(60));
    let service = Service::start_with(|config| config.limits.address_changes = once).await;
    let session = service.reachable().await;
    service
        .put_address(&session, address())
        .await
        .expect_error(429, "too-many");

    let service = Service::start_with(|config| config.limits.agent_auth = once).await;
    service.challenge().await;
    service
        .get("/v1/challenge", None)
        .await
        .expect_error(429, "too-many");

    let service = Service::start_with(|config| config.limits.requests = once).await;
    assert_eq!(service.get("/health", None).await.status, 200);
    service
        .get("/health", None)
        .await
        .expect_error(429, "too-many");
    service
        .get("/nothing", None)
        .await
        .expect_error(429, "too-many");
}

#[tokio::test]
async fn a_nameplate_that_was_used_does_not_come_back_within_the_hour() {
    let service = Service::start_with(|config| config.limits = Limits::without_rate_limits()).await;
    let mut seen = std::collections::HashSet::new();
    for _ in 0..200 {
        let session = service.open("remoteus").await;
        assert!(seen.insert(text(&session["nameplate"]).to_owned()));
        service.close(&session).await.expect_status(204);
    }
}

#[tokio::test]
async fn a_look_up_names_the_endpoint_that_will_dial() {
    let service = Service::start().await;
    let (session, token) = (service.reachable().await, service.token().await);
    let path = lookup_path(&session);
    let without = path.split('?').next().unwrap();
    for bad in [without, &path[..path.len() - 1], &format!("{path}&more=1")] {
        service
            .get(bad, Some(&token))
            .await
            .expect_error(400, "bad-request");
    }
}
