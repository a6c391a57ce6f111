//! The client against the real service, and against servers that answer nonsense.

use etatuki_link::RelayRoute;
use etatuki_service::{Config, ServiceHandle};
use etatuki_trust::VendorKey;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

async fn service() -> ServiceHandle {
    let listen = "127.0.0.1:0".parse().expect("an address");
    let config = Config::new(listen, vec![VendorKey::from_seed([1; 32]).public()]);
    etatuki_service::start(config)
        .await
        .expect("a service on loopback")
}

async fn client(url: &str) -> ServiceClient {
    ServiceClient::new(url, network().await.expect("settings")).expect("a good address")
}

/// Serves one request with these bytes, and returns the URL.
async fn answering(answer: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move {
        let (mut peer, _) = listener.accept().await.expect("a caller");
        let mut request = [0; 4096];
        let _ = peer.read(&mut request).await;
        let _ = peer.write_all(&answer).await;
        let _ = peer.shutdown().await;
    });
    url
}

fn http(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
        .into_bytes()
}

/// Checks the failure of a claim that gets this answer; returns its detail.
#[track_caller]
fn check(answer: Vec<u8>, expected: FailureName) -> impl Future<Output = String> {
    let at = std::panic::Location::caller();
    async move {
        let client = client(&answering(answer).await).await;
        let failed = client
            .claim(CodeForm::SingleCode, &EndpointKey::generate())
            .await
            .expect_err("a bad answer");
        let failed = Failure::from(failed);
        assert_eq!(failed.name, expected, "{at}: {}", failed.detail);
        failed.detail
    }
}

#[tokio::test]
async fn a_session_at_the_real_service() {
    let service = service().await;
    for form in [CodeForm::SingleCode, CodeForm::IdAndPassword] {
        let client = client(&service.url).await;
        let key = EndpointKey::generate();
        let claimed = client.claim(form, &key).await;
        let (claim, relay) = claimed.expect("a nameplate");
        assert_eq!(claim.nameplate.form(), form);
        assert!(!relay.url.is_empty());
        let endpoint = {
            let route = RelayRoute {
                relay: &relay,
                network: client.network(),
            };
            etatuki_link::CustomerEndpoint::bind_as(&key, Some(route))
                .await
                .expect("an endpoint")
        };
        client
            .publish(&claim, &endpoint.address())
            .await
            .expect("an address");
        client.release(&claim).await.expect("given back");
        client.release(&claim).await.expect("twice is fine");
        let late = client.publish(&claim, &endpoint.address()).await;
        assert!(
            matches!(late, Err(ServiceError::Refused { .. })),
            "{late:?}"
        );
        assert_eq!(client.revocations().await.expect("an answer"), None);
    }
    service.shutdown().await;
}

#[tokio::test]
async fn nobody_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    drop(listener);
    let client = client(&url).await;
    let failed = Failure::from(
        client
            .claim(CodeForm::IdAndPassword, &EndpointKey::generate())
            .await
            .expect_err("nobody is there"),
    );
    assert_eq!(failed.name, FailureName::ConnectionRefused);
}

#[tokio::test]
async fn answers_that_are_errors() {
    let full = json!({ "error": "no-nameplate", "message": "all are taken" }).to_string();
    check(
        http("503 Service Unavailable", &full),
        FailureName::NoNameplate,
    )
    .await;
    let many = json!({ "error": "too-many", "message": "slow down" }).to_string();
    let detail = check(
        http("429 Too Many Requests", &many),
        FailureName::ServiceError,
    )
    .await;
    assert!(detail.contains("429 too-many"), "{detail}");
    let rude = json!({ "error": "\u{1b}[2J<b>\n", "message": "" }).to_string();
    let detail = check(http("500 Oh", &rude), FailureName::ServiceError).await;
    assert!(!detail.contains(['\u{1b}', '<', '\n']), "{detail}");
}

#[tokio::test]
async fn answers_that_are_nonsense() {
    for body in [
        "",
        "{}",
        "null",
        "x",
        r#"{"nameplate":"12","owner":"o","relay":{"url":"u","token":"t"}}"#,
    ] {
        check(http("201 Created", body), FailureName::ServiceError).await;
    }
    check(http("200 OK", "{}"), FailureName::ServiceError).await;
    check(
        http("201 Created", &" ".repeat(MAX_JSON_BYTES + 1)),
        FailureName::ServiceError,
    )
    .await;
    check(
        b"SSH-2.0-OpenSSH\r\n".to_vec(),
        FailureName::ServiceUnreachable,
    )
    .await;
    check(vec![], FailureName::ServiceUnreachable).await;
    let elsewhere =
        b"HTTP/1.1 307 Moved\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    check(elsewhere.to_vec(), FailureName::LoginPage).await;
}

#[tokio::test]
async fn a_relay_of_somebody_elses_is_refused() {
    for relay in [
        r#"{"url":"http://192.0.2.1:1","token":"t"}"#,
        r#"{"url":"http://127.0.0.1:1","token":"t","others":[{"url":"http://192.0.2.1:1"}]}"#,
    ] {
        let body = format!(r#"{{"nameplate":"123456","owner":"o","relay":{relay}}}"#);
        let detail = check(http("201 Created", &body), FailureName::ServiceError).await;
        assert!(detail.contains("another's"), "{detail}");
    }
}

#[tokio::test]
async fn a_token_is_in_no_message() {
    let body = r#"{"nameplate":"123456","owner":"s3cret","relay":{"url":"u","token":5}}"#;
    let detail = check(http("201 Created", body), FailureName::ServiceError).await;
    assert!(!detail.contains("s3cret"), "{detail}");
    assert!(!format!("{:?}", OwnerToken("s3cret".into())).contains("s3cret"));
}

#[tokio::test]
async fn only_https_or_this_machine() {
    let network = network().await.expect("settings");
    for good in [
        "https://support.example",
        "https://support.example/etatuki/",
        "http://127.0.0.1:1",
        "http://[::1]:1",
        "http://localhost:1",
    ] {
        assert!(ServiceClient::new(good, network.clone()).is_ok(), "{good}");
    }
    for bad in [
        "",
        "support.example",
        "http://support.example",
        "http://127.0.0.1.example",
        "ftp://127.0.0.1",
        "file:///etc/passwd",
    ] {
        assert!(ServiceClient::new(bad, network.clone()).is_err(), "{bad}");
    }
}

#[tokio::test]
async fn a_login_page_is_no_service() {
    let page = "<html>Welcome to Hotel Seurahuone</html>";
    let head = "content-type: text/html; charset=utf-8\r\ncontent-length";
    let answer = format!("HTTP/1.1 200 OK\r\n{head}: {}\r\n\r\n{page}", page.len());
    check(answer.into_bytes(), FailureName::LoginPage).await;
    let page = http("511 Network Authentication Required", page);
    check(page, FailureName::LoginPage).await;
    let proxy = http("407 Proxy Authentication Required", "");
    check(proxy, FailureName::ProxyLogin).await;
    // A web server in front of a service that is down.
    let page = "content-type: text/html\r\ncontent-length: 2\r\n\r\n:(";
    let bad_gateway = format!("HTTP/1.1 502 Bad Gateway\r\n{page}");
    check(bad_gateway.into_bytes(), FailureName::ServiceError).await;
}

#[test]
fn every_cause_is_a_failures_name() {
    for cause in Cause::ALL {
        assert_eq!(failure_name(cause).as_str(), cause.name());
    }
}

#[tokio::test]
async fn the_services_clock_is_known_after_a_response() {
    let service = service().await;
    let client = client(&service.url).await;
    assert_eq!(client.time(), None);
    client.revocations().await.expect("an answer");
    let ours = UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
    let theirs = client.time().expect("told").0;
    assert!(theirs.abs_diff(ours) < 60, "{theirs} {ours}");
    service.shutdown().await;
}
