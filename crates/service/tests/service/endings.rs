//! Endings: what one end of an interrupted link leaves for the other one.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{ENDPOINT, Response, Service, text};

async fn leave(service: &Service, ticket: &str, ending: Value) -> Response {
    let body = json!({ "ending": ending }).to_string();
    service
        .send(Method::PUT, "/v1/endings", Some(ticket), body)
        .await
}

async fn ask(service: &Service, ticket: &str, endpoint: &str) -> Response {
    service
        .get(&format!("/v1/endings/{endpoint}"), Some(ticket))
        .await
}

#[tokio::test]
async fn an_ending_is_there_for_whoever_has_a_ticket_for_16_minutes() {
    let service = Service::start().await;
    let session = service.reachable().await;
    let found = service.look_up(&session, &service.token().await).await;
    let found = found.expect_status(200);
    let customers = text(&session["relay"]["token"]);
    let agents = text(&found["relay"]["token"]);
    ask(&service, agents, ENDPOINT)
        .await
        .expect_error(404, "not-found");

    let ending = json!("customer-closed.signature");
    leave(&service, customers, ending.clone())
        .await
        .expect_status(204);
    // Whoever has the ticket can't take it back.
    leave(&service, customers, json!("another"))
        .await
        .expect_status(204);
    let left = ask(&service, agents, ENDPOINT).await.expect_status(200);
    assert_eq!(left["ending"], ending);

    // Longer than a customer's machine may take to restart.
    service.clock.advance(Duration::from_secs(600));
    let renewed = service.renew(agents).await.expect_status(200);
    service.clock.advance(Duration::from_secs(359));
    let agents = text(&renewed["ticket"]);
    let left = ask(&service, agents, ENDPOINT).await.expect_status(200);
    assert_eq!(left["ending"], ending);
    service.clock.advance(Duration::from_secs(1));
    ask(&service, agents, ENDPOINT)
        .await
        .expect_error(404, "not-found");
}

#[tokio::test]
async fn an_ending_wants_a_ticket_and_is_short() {
    let service = Service::start().await;
    let session = service.reachable().await;
    let ticket = text(&session["relay"]["token"]);
    for wrong in [json!("a".repeat(161)), json!("ä"), json!(7)] {
        leave(&service, ticket, wrong)
            .await
            .expect_error(400, "bad-request");
    }
    let forged = "not-a-ticket";
    leave(&service, forged, json!("x"))
        .await
        .expect_error(403, "ticket-malformed");
    ask(&service, forged, ENDPOINT)
        .await
        .expect_error(403, "ticket-malformed");
    ask(&service, ticket, "nobody")
        .await
        .expect_error(400, "bad-request");
    service.clock.advance(Duration::from_secs(900));
    leave(&service, ticket, json!("x"))
        .await
        .expect_error(403, "ticket-expired");
}
