//! Opening, reaching and closing sessions.

use std::time::Duration;

use etatuki_service::{Limits, Quota};
use etatuki_trust::{CodeForm, Nameplate};
use reqwest::Method;
use serde_json::json;

use crate::harness::{ENDPOINT, Service, address, text};

#[tokio::test]
async fn one_session_from_open_to_close() {
    let service = Service::start().await;
    let session = service.open("ecom").await;
    assert_eq!(session["expires_in"], 660);
    assert_eq!(session["relay"]["url"], service.running.url);
    let nameplate: Nameplate = text(&session["nameplate"]).parse().unwrap();
    assert_eq!(nameplate.form(), CodeForm::Ecom);

    let token = service.token().await;
    service
        .look_up(&session, &token)
        .await
        .is_error(409, "not-ready");

    service.put_address(&session, address()).await.is(204);
    let found = service.look_up(&session, &token).await.is(200);
    assert_eq!(found["form"], "ecom");
    assert_eq!(found["address"], address());
    assert_eq!(found["relay"]["url"], service.running.url);
    assert_ne!(found["relay"]["token"], session["relay"]["token"]);

    service.close(&session).await.is(204);
    service
        .look_up(&session, &token)
        .await
        .is_error(404, "unknown-nameplate");
    service.close(&session).await.is(204);
    service
        .put_address(&session, address())
        .await
        .is_error(404, "unknown-nameplate");
}

#[tokio::test]
async fn answers_are_for_nobodys_cache() {
    let service = Service::start().await;
    let answer = service
        .post("/v1/sessions", json!({ "form": "remoteus" }))
        .await;
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
}

#[tokio::test]
async fn a_session_expires() {
    let service = Service::start().await;
    let session = service.reachable().await;
    let token = service.token().await;
    service.pass(659);
    service.look_up(&session, &token).await.is(200);
    service.pass(1);
    service
        .look_up(&session, &token)
        .await
        .is_error(404, "unknown-nameplate");
    service
        .put_address(&session, address())
        .await
        .is_error(404, "unknown-nameplate");
    service.close(&session).await.is(204);
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
            .is_error(401, "unauthorised");
        service.close(&stolen).await.is_error(401, "unauthorised");
    }
    let path = format!("/v1/sessions/{}", text(&session["nameplate"]));
    let answer = service.send(Method::DELETE, &path, None, "").await;
    answer.is_error(401, "unauthorised");
    assert_eq!(answer.headers["www-authenticate"], "Bearer");
    // A stranger can't tell a nameplate that is taken from one that isn't.
    let nobodys = service
        .send(Method::DELETE, "/v1/sessions/000000", Some("x"), "")
        .await;
    nobodys.is_error(401, "unauthorised");
    let token = service.token().await;
    service.look_up(&session, &token).await.is(200);
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
            .is_error(401, "unauthorised");
    }
    let path = format!("/v1/sessions/{}", text(&session["nameplate"]));
    service.get(&path, None).await.is_error(401, "unauthorised");
}

#[tokio::test]
async fn an_address_leads_through_our_relay_or_directly() {
    let service = Service::start().await;
    let session = service.open("remoteus").await;
    let ours =
        json!({ "id": ENDPOINT, "addrs": [{ "Relay": format!("{}/", service.running.url) }] });
    service.put_address(&session, ours).await.is(204);
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
            .is_error(400, "bad-address");
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
    let form = json!({ "form": "remoteus" });
    service
        .post("/v1/sessions", form.clone())
        .await
        .is_error(503, "no-nameplate");
    service.close(&second).await.is(204);
    service.post("/v1/sessions", form).await.is(201);
}

#[tokio::test]
async fn one_address_opens_only_so_many() {
    let service = Service::start().await;
    for _ in 0..30 {
        service.open("remoteus").await;
    }
    let form = json!({ "form": "remoteus" });
    let answer = service.post("/v1/sessions", form.clone()).await;
    answer.is_error(429, "too-many");
    assert_eq!(answer.headers["retry-after"], "2");
    service.pass(2);
    service.post("/v1/sessions", form.clone()).await.is(201);
    service
        .post("/v1/sessions", form)
        .await
        .is_error(429, "too-many");
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
        service.look_up(&session, &token).await.is(200);
        service.look_up(&session, &token).await.is(200);
        let answer = service.look_up(&session, &token).await;
        answer.is_error(429, "too-many");
        assert_eq!(answer.headers["retry-after"], "60");
        service.pass(60);
        service.look_up(&session, &token).await.is(200);
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
        .is_error(429, "too-many");

    let service = Service::start_with(|config| config.limits.proving = once).await;
    service.challenge().await;
    service
        .get("/v1/challenge", None)
        .await
        .is_error(429, "too-many");

    let service = Service::start_with(|config| config.limits.requests = once).await;
    assert_eq!(service.get("/health", None).await.status, 200);
    service.get("/health", None).await.is_error(429, "too-many");
    service
        .get("/nothing", None)
        .await
        .is_error(429, "too-many");
}

#[tokio::test]
async fn a_nameplate_that_was_used_does_not_come_back_within_the_hour() {
    let service = Service::start_with(|config| config.limits = Limits::without_rate_limits()).await;
    let mut seen = std::collections::HashSet::new();
    for _ in 0..200 {
        let session = service.open("remoteus").await;
        assert!(seen.insert(text(&session["nameplate"]).to_owned()));
        service.close(&session).await.is(204);
    }
}
