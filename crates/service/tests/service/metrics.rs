//! Metrics, as Prometheus reads them.

use std::{collections::BTreeMap, time::Duration};

use etatuki_service::{Config, Quota};
use iroh_base::SecretKey;

use crate::{
    harness::{Service, client, loopback, opening, text},
    relay,
    tls::Certificate,
};

/// Returns the values by name and labels, as they are told now.
async fn told(service: &Service) -> BTreeMap<String, f64> {
    let address = service.running.metrics.expect("they are told");
    let url = format!("http://{address}/metrics");
    let response = client().get(url).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let kind = response.headers()["content-type"].to_str().unwrap();
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    let text = response.text().await.unwrap();
    let values = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    let parse = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    values.map(parse).collect()
}

async fn start(change: impl FnOnce(&mut Config)) -> Service {
    Service::start_with(|config| {
        config.metrics = Some(loopback());
        change(config);
    })
    .await
}

#[tokio::test]
async fn sessions_requests_and_refusals_are_counted() {
    let service =
        start(|config| config.limits.session_opens = Quota::new(2, Duration::from_secs(60))).await;
    let before = told(&service).await;
    assert_eq!(before["etatuki_sessions_waiting{form=\"ecom\"}"], 0.0);
    assert_eq!(before["etatuki_lookups_total"], 0.0);
    assert_eq!(before["etatuki_vendor_keys"], 1.0);
    assert_eq!(
        before["etatuki_vendor_keys_without_list"], 1.0,
        "no list was given"
    );

    let session = service.reachable().await;
    let token = service.token().await;
    service.look_up(&session, &token).await.expect_status(200);
    service
        .look_up(&session, "wrong")
        .await
        .expect_error(401, "unauthorised");
    service.open("ecom").await;
    let refused = service.post("/v1/sessions", opening("ecom")).await;
    refused.expect_error(429, "too-many");

    let now = told(&service).await;
    for (name, expected) in [
        ("etatuki_sessions_waiting{form=\"ecom\"}", 1.0),
        ("etatuki_sessions_waiting{form=\"remoteus\"}", 1.0),
        ("etatuki_sessions_opened_total{form=\"ecom\"}", 1.0),
        ("etatuki_sessions_opened_total{form=\"remoteus\"}", 1.0),
        ("etatuki_lookups_total", 1.0),
        (
            "etatuki_requests_refused_total{error=\"unauthorised\"}",
            1.0,
        ),
        ("etatuki_requests_refused_total{error=\"too-many\"}", 1.0),
        ("etatuki_connections_limit", 50_000.0),
    ] {
        assert_eq!(now.get(name), Some(&expected), "{name}: {now:#?}");
    }
    assert!(now["etatuki_connections"] >= 1.0);
    service.close(&session).await.expect_status(204);
    let after = told(&service).await;
    assert_eq!(after["etatuki_sessions_waiting{form=\"remoteus\"}"], 0.0);
}

#[tokio::test]
async fn the_relays_bytes_clients_and_refusals_are_counted() {
    let service = start(|_| {}).await;
    let ends = relay::exchange(&service).await;
    let now = told(&service).await;
    assert_eq!(now["etatuki_relay_connections"], 2.0);
    assert!(
        now["etatuki_relay_received_bytes_total"] >= 60_000.0,
        "{now:#?}"
    );
    assert!(
        now["etatuki_relay_sent_bytes_total"] >= 60_000.0,
        "{now:#?}"
    );
    drop(ends);
    let stolen = service
        .ticket(SecretKey::from_bytes(&[9; 32]).public())
        .await;
    relay::check_refused(&service, Some(&stolen), "ticket-wrong-endpoint").await;
    let now = told(&service).await;
    let name = "etatuki_relay_refused_total{reason=\"ticket-wrong-endpoint\"}";
    assert_eq!(now[name], 1.0);
}

#[tokio::test]
async fn the_certificates_end_is_told_and_nothing_secret() {
    let certificate = Certificate::new();
    let service = start(|config| config.tls = Some(certificate.files())).await;
    let now = told(&service).await;
    // rcgen's certificates are good for long.
    assert!(now["etatuki_certificate_not_after_seconds"] > 4e9);
    let address = service.running.metrics.unwrap();
    let elsewhere = client()
        .get(format!("http://{address}/v1/challenge"))
        .send();
    assert_eq!(elsewhere.await.unwrap().status(), 404);
    let written = client().post(format!("http://{address}/metrics")).send();
    assert_eq!(written.await.unwrap().status(), 405);

    let service = start(|_| {}).await;
    let session = service.reachable().await;
    let token = service.token().await;
    service.look_up(&session, &token).await.expect_status(200);
    let address = service.running.metrics.unwrap();
    let all = client().get(format!("http://{address}/metrics")).send();
    let all = all.await.unwrap().text().await.unwrap();
    for secret in [
        text(&session["owner"]),
        text(&session["relay"]["token"]),
        text(&session["nameplate"]),
        &token,
    ] {
        assert!(!all.contains(secret), "{all}");
    }
}

#[tokio::test]
async fn without_the_option_they_are_told_nowhere() {
    let service = Service::start().await;
    assert_eq!(service.running.metrics, None);
    service
        .get("/metrics", None)
        .await
        .expect_error(404, "not-found");
}
