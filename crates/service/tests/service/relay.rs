//! The relay: admission and relaying.

use std::time::Duration;

use etatuki_service::Limits;
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
use serde_json::Value;
use tokio::time::timeout;

use crate::harness::{Service, text};

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

async fn connect_admitted(service: &Service, seed: u8, token: &Value) -> Client {
    connect(&service.running.url, seed, Some(text(token)))
        .await
        .expect("a way in")
}

async fn check_refused(service: &Service, token: Option<&str>) {
    match connect(&service.running.url, 3, token).await {
        Err(ConnectError::Handshake {
            source: handshake::Error::ServerDeniedAuth { reason, .. },
            ..
        }) => {
            assert!(reason.contains("relay token"), "{reason}");
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
    let (session, token) = (service.reachable().await, service.token().await);
    let found = service.look_up(&session, &token).await.expect_status(200);
    let mut customer = connect_admitted(&service, 1, &session["relay"]["token"]).await;
    let mut agent = connect_admitted(&service, 2, &found["relay"]["token"]).await;
    send(&mut agent, key(1).public(), b"hello").await;
    assert_eq!(
        receive(&mut customer).await,
        (key(2).public(), b"hello".to_vec())
    );
    let long = vec![7; 60_000];
    send(&mut customer, key(2).public(), &long).await;
    assert_eq!(receive(&mut agent).await, (key(1).public(), long));
}

#[tokio::test]
async fn nobody_gets_in_without_a_relay_token() {
    let service = Service::start().await;
    let session = service.open("ecom").await;
    check_refused(&service, None).await;
    check_refused(&service, Some("x")).await;
    check_refused(&service, Some(text(&session["owner"]))).await;
    check_refused(&service, Some(&service.token().await)).await;
}

#[tokio::test]
async fn a_relay_token_that_was_never_used_expires() {
    let service = Service::start().await;
    let session = service.open("ecom").await;
    service.advance(660);
    check_refused(&service, Some(text(&session["relay"]["token"]))).await;
}

#[tokio::test]
async fn a_relay_token_that_was_used_expires_after_the_last_connection() {
    let service = Service::start().await;
    let session = service.open("ecom").await;
    let token = text(&session["relay"]["token"]);
    service.advance(659);
    drop(
        connect(&service.running.url, 1, Some(token))
            .await
            .expect("a way in"),
    );
    // The connection of each try has ended, and is known to have, within a few tries.
    let expired = async {
        loop {
            service.advance(300);
            if connect(&service.running.url, 1, Some(token)).await.is_err() {
                break;
            }
        }
    };
    timeout(TIMEOUT, expired).await.expect("an end in time");
}

#[tokio::test]
async fn a_link_that_dropped_comes_back_after_the_session_expired() {
    let service = Service::start().await;
    let session = service.open("ecom").await;
    let token = &session["relay"]["token"];
    let mut first = connect_admitted(&service, 1, token).await;
    service.advance(3600);
    // The first is still connected, so the token is good for its successor.
    let mut second = connect_admitted(&service, 1, token).await;
    send(&mut second, key(1).public(), b"echo").await;
    assert_eq!(receive(&mut second).await.1, b"echo");
    first.close().await.unwrap();
}

#[tokio::test]
async fn one_token_is_not_for_everybody() {
    let service = Service::start().await;
    let session = service.open("ecom").await;
    let mut clients = Vec::new();
    for seed in 10..14 {
        clients.push(connect_admitted(&service, seed, &session["relay"]["token"]).await);
    }
    check_refused(&service, Some(text(&session["relay"]["token"]))).await;
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
    let session = service.open("ecom").await;
    let mut sender = connect_admitted(&service, 1, &session["relay"]["token"]).await;
    let mut receiver = connect_admitted(&service, 2, &session["relay"]["token"]).await;
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
    let session = service.open("ecom").await;
    let mut client = connect_admitted(&service, 1, &session["relay"]["token"]).await;
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
