//! The relay: admission and relaying.

use std::time::Duration;

use etatuki_service::Limits;
use etatuki_trust::{AgentCard, CardData, UnixTime};
use futures_util::{SinkExt as _, StreamExt as _};
use iroh_base::{EndpointId, RelayUrl, SecretKey};
use iroh_dns::dns::DnsResolver;
use iroh_relay::{
    client::{Client, ClientBuilder, ConnectError},
    protos::{
        handshake,
        relay::{ClientToRelayMsg, RelayToClientMsg},
    },
    tls::{CaTlsConfig, default_provider},
};
use serde_json::json;
use tokio::time::timeout;

use crate::harness::{ENDPOINT, Service, card_data, text, vendor};

const TIMEOUT: Duration = Duration::from_secs(10);

fn key(seed: u8) -> SecretKey {
    SecretKey::from_bytes(&[seed; 32])
}

async fn connect(url: &str, seed: u8, token: Option<&str>) -> Result<Client, ConnectError> {
    let url: RelayUrl = url.parse().unwrap();
    let tls = CaTlsConfig::default()
        .client_config(default_provider())
        .unwrap();
    let resolver = DnsResolver::builder().build();
    let mut builder = ClientBuilder::new(url, key(seed), resolver).tls_client_config(tls);
    if let Some(token) = token {
        builder = builder.auth_token(token);
    }
    timeout(TIMEOUT, builder.connect())
        .await
        .expect("an answer in time")
}

/// Connects an endpoint with a ticket of its own.
async fn connect_admitted(service: &Service, seed: u8) -> Client {
    let ticket = service.ticket(key(seed).public()).await;
    connect(&service.running.url, seed, Some(&ticket))
        .await
        .expect("a way in")
}

/// Checks that endpoint 3 is refused, for the reason of this name.
pub(crate) async fn check_refused(service: &Service, ticket: Option<&str>, name: &str) {
    match connect(&service.running.url, 3, ticket).await {
        Err(ConnectError::Handshake {
            source: handshake::Error::ServerDeniedAuth { reason, .. },
            ..
        }) => {
            assert!(reason.starts_with(&format!("{name}: ")), "{reason}");
        }
        other => panic!("not refused as it should be: {other:?}"),
    }
}

async fn send(from: &mut Client, to: EndpointId, bytes: &[u8]) {
    let message = ClientToRelayMsg::Datagrams {
        dst_endpoint_id: to,
        datagrams: bytes.into(),
    };
    timeout(TIMEOUT, from.send(message)).await.unwrap().unwrap();
}

/// Returns the next datagram and its sender.
async fn receive(client: &mut Client) -> (EndpointId, Vec<u8>) {
    loop {
        let message = timeout(TIMEOUT, client.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        if let RelayToClientMsg::Datagrams {
            remote_endpoint_id,
            datagrams,
        } = message
        {
            return (remote_endpoint_id, datagrams.contents.to_vec());
        }
    }
}

#[tokio::test]
async fn customer_and_agent_reach_each_other() {
    let service = Service::start().await;
    exchange(&service).await;
}

/// Lets a customer and an agent exchange two messages. Returns both, connected.
pub(crate) async fn exchange(service: &Service) -> (Client, Client) {
    let (session, token) = (service.reachable().await, service.token().await);
    let found = service.look_up(&session, &token).await.expect_status(200);
    let mut customer = connect_admitted(service, 1).await;
    let ticket = text(&found["relay"]["token"]);
    let mut agent = connect(&service.running.url, 2, Some(ticket))
        .await
        .unwrap();
    send(&mut agent, key(1).public(), b"hello").await;
    assert_eq!(
        receive(&mut customer).await,
        (key(2).public(), b"hello".to_vec())
    );
    let long = vec![7; 60_000];
    send(&mut customer, key(2).public(), &long).await;
    assert_eq!(receive(&mut agent).await, (key(1).public(), long));
    (customer, agent)
}

#[tokio::test]
async fn nobody_gets_in_without_a_ticket_of_its_own() {
    let service = Service::start().await;
    let session = service.open("ecom").await;
    check_refused(&service, None, "ticket-malformed").await;
    check_refused(&service, Some("x"), "ticket-malformed").await;
    let owner = text(&session["owner"]);
    check_refused(&service, Some(owner), "ticket-malformed").await;
    let token = service.token().await;
    check_refused(&service, Some(&token), "ticket-malformed").await;
    // Another endpoint's ticket is waste paper, though its text is known.
    let stolen = service.ticket(key(1).public()).await;
    check_refused(&service, Some(&stolen), "ticket-wrong-endpoint").await;
    let foreign = Service::start().await.ticket(key(3).public()).await;
    check_refused(&service, Some(&foreign), "ticket-bad-signature").await;
}

#[tokio::test]
async fn a_session_names_two_relays_and_agents_go_to_the_customers() {
    let folder = tempfile::TempDir::new().unwrap();
    let keys = folder.path().join("keys");
    let relay = async || {
        let keys = keys.clone();
        Service::start_with(|config| config.key_ring = Some(keys)).await
    };
    let (one, other) = (relay().await, relay().await);
    let [own, url] = [&one, &other].map(|service| service.running.url.clone());
    let first = Service::start_with(|config| {
        config.key_ring = Some(keys.clone());
        config.relays = vec![own.clone(), url.clone()];
    })
    .await;

    let session = first.open("ecom").await;
    assert_eq!(session["relay"]["url"], own);
    assert_eq!(session["relay"]["others"], json!([{ "url": url }]));
    let ticket = first.ticket(key(1).public()).await;
    for relay in [&own, &url] {
        connect(relay, 1, Some(&ticket)).await.unwrap();
    }
    // The customer's relay is gone, so it says where it is now.
    let address = json!({ "id": ENDPOINT, "addrs": [{ "Relay": format!("{url}/") }] });
    let put = first.put_address(&session, address.clone()).await;
    put.expect_status(204);
    let found = first.look_up(&session, &first.token().await).await;
    let found = found.expect_status(200);
    assert_eq!(found["address"], address);
    assert_eq!(found["relay"]["url"], url);
    assert_eq!(found["relay"]["others"], json!([{ "url": own }]));
    let elsewhere = json!({ "id": ENDPOINT, "addrs": [{ "Relay": "http://127.0.0.1:9/" }] });
    let put = first.put_address(&session, elsewhere).await;
    put.expect_error(400, "bad-address");
}

#[tokio::test]
async fn a_ticket_is_good_as_long_as_it_is_renewed() {
    let service = Service::start().await;
    let first = service.ticket(key(3).public()).await;
    let mut newest = first.clone();
    for _ in 0..9 {
        service.advance(300);
        let renewed = service.renew(&newest).await.expect_status(200);
        assert_eq!(renewed["expires_in"], 900);
        newest = text(&renewed["ticket"]).to_owned();
    }
    // A client of iroh's presents its first ticket each time.
    for ticket in [&first, &newest] {
        let admitted = connect(&service.running.url, 3, Some(ticket)).await;
        drop(admitted.expect("a way in"));
    }
    service
        .renew(&first)
        .await
        .expect_error(403, "ticket-expired");
    service.advance(900);
    check_refused(&service, Some(&first), "ticket-expired").await;
    check_refused(&service, Some(&newest), "ticket-expired").await;
    service
        .renew(&newest)
        .await
        .expect_error(403, "ticket-expired");
}

#[tokio::test]
async fn what_isnt_a_ticket_is_not_renewed() {
    let service = Service::start().await;
    service
        .post("/v1/tickets", serde_json::json!({}))
        .await
        .expect_error(401, "unauthorised");
    service
        .renew("etrt1-AAAA")
        .await
        .expect_error(403, "ticket-malformed");
    let foreign = Service::start().await.ticket(key(3).public()).await;
    service
        .renew(&foreign)
        .await
        .expect_error(403, "ticket-bad-signature");
}

#[tokio::test]
async fn a_ticket_outlives_a_restart_and_a_new_key() {
    let folder = tempfile::TempDir::new().unwrap();
    let ring = folder.path().join("keys");
    let service = Service::start_with(|config| config.key_ring = Some(ring.clone())).await;
    let ticket = service.ticket(key(3).public()).await;
    etatuki_service::add_key(&ring).unwrap();
    let restarted = Service::start_with(|config| config.key_ring = Some(ring.clone())).await;
    let admitted = connect(&restarted.running.url, 3, Some(&ticket)).await;
    drop(admitted.expect("a way in"));
    let renewed = restarted.renew(&ticket).await.expect_status(200);
    // The service that runs on knows the new key after it has read its ring again.
    let unknown = service.renew(text(&renewed["ticket"])).await;
    unknown.expect_error(403, "ticket-unknown-key");
    etatuki_service::add_key(&ring).unwrap();
    let later = Service::start_with(|config| config.key_ring = Some(ring.clone())).await;
    check_refused(&later, Some(&ticket), "ticket-unknown-key").await;
    let ticket = text(&renewed["ticket"]);
    let admitted = connect(&later.running.url, 3, Some(ticket)).await;
    drop(admitted.expect("a way in"));
}

#[tokio::test]
async fn a_revoked_agent_is_dropped_from_the_relay() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("revocations.txt");
    std::fs::write(&file, crate::agents::signed_list(&vendor(), 1, &[99])).unwrap();
    let service = Service::start_with(|config| {
        config.revocations = vec![file.clone()];
        // The sweep goes by the machine's clock.
        config.clock = etatuki_service::Clock::system();
    })
    .await;
    let card = current_card();
    let token = service.authenticate(&card).await.expect_status(200);
    let session = service.reachable().await;
    let found = service.look_up(&session, text(&token["token"])).await;
    let found = found.expect_status(200);
    let ticket = text(&found["relay"]["token"]);
    let mut agent = connect(&service.running.url, 2, Some(ticket))
        .await
        .unwrap();
    let mut customer = connect_admitted(&service, 1).await;
    std::fs::write(&file, crate::agents::signed_list(&vendor(), 2, &[7, 99])).unwrap();
    let dropped = async { while let Some(Ok(_)) = agent.next().await {} };
    timeout(TIMEOUT, dropped).await.expect("dropped by a sweep");
    let again = connect(&service.running.url, 2, Some(ticket)).await;
    let reason = format!("{:?}", again.expect_err("refused"));
    assert!(reason.contains("ticket-revoked"), "{reason}");
    service
        .renew(ticket)
        .await
        .expect_error(403, "ticket-revoked");
    send(&mut customer, key(1).public(), b"still here").await;
    assert_eq!(receive(&mut customer).await.1, b"still here");
}

/// Returns a card that is good by the machine's clock.
fn current_card() -> AgentCard {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let data = CardData {
        issued: UnixTime(now - 60),
        expires: UnixTime(now + 3600),
        ..card_data()
    };
    AgentCard::issue(&vendor(), data).unwrap()
}

#[tokio::test]
async fn one_endpoint_has_a_few_connections() {
    let service = Service::start().await;
    let ticket = service.ticket(key(3).public()).await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        let admitted = connect(&service.running.url, 3, Some(&ticket)).await;
        clients.push(admitted.expect("a way in"));
    }
    check_refused(&service, Some(&ticket), "too-many").await;
}

#[tokio::test]
async fn a_client_sends_no_faster_than_it_may() {
    let service = Service::start_with(|config| {
        config.limits = Limits {
            relay_bytes_per_second: 400_000,
            ..Limits::default()
        };
    })
    .await;
    let mut sender = connect_admitted(&service, 1).await;
    let mut receiver = connect_admitted(&service, 2).await;
    let started = std::time::Instant::now();
    // 1.2 MB, of which 0.8 MB may come at once.
    for _ in 0..20 {
        send(&mut sender, key(2).public(), &[0; 60_000]).await;
    }
    for _ in 0..20 {
        receive(&mut receiver).await;
    }
    assert!(
        started.elapsed() > Duration::from_millis(500),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn iroh_can_measure_how_far_the_relay_is() {
    let service = Service::start().await;
    let response = service.get("/ping", None).await;
    assert_eq!(response.status, 200);
    assert_eq!(response.headers["access-control-allow-origin"], "*");
}

#[tokio::test]
async fn stopping_ends_relayed_connections() {
    let service = Service::start().await;
    let mut client = connect_admitted(&service, 1).await;
    let addr = service.running.addr;
    timeout(TIMEOUT, service.running.shutdown())
        .await
        .expect("an end in time");
    let end = async { while let Some(Ok(_)) = client.next().await {} };
    timeout(TIMEOUT, end)
        .await
        .expect("the client sees the end");
    assert!(
        tokio::net::TcpStream::connect(addr).await.is_err(),
        "the port is closed"
    );
}
