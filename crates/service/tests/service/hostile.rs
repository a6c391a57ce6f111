//! Malformed input: each gets a clear error, and the service goes on.

use std::time::Duration;

use etatuki_service::Quota;
use reqwest::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::harness::{Service, opening, text};

#[tokio::test]
async fn junk_bodies_are_refused_by_name() {
    let service = Service::start().await;
    for body in [
        "",
        "{",
        "null",
        "[]",
        "{}",
        "{\"form\":\"other\"}",
        "{\"form\":3}",
        "{\"form\":\"ecom\"}",
        "{\"form\":\"ecom\",\"endpoint\":\"00\"}",
        &opening("other").to_string(),
        &opening("ecom").to_string().replace('{', "{\"more\":1,"),
        "\u{0}\u{1}",
        &"[".repeat(10_000),
    ] {
        let response = service
            .send(Method::POST, "/v1/sessions", None, body.to_owned())
            .await;
        response.expect_error(400, "bad-request");
    }
    let response = service
        .send(Method::POST, "/v1/sessions", None, vec![0xff; 100])
        .await;
    response.expect_error(400, "bad-request");
    service
        .post("/v1/agents/token", json!({ "card": 1 }))
        .await
        .expect_error(400, "bad-request");
}

#[tokio::test]
async fn bodies_are_bounded() {
    let service = Service::start().await;
    let body = opening("ecom").to_string();
    let padded = |bytes: usize| format!("{body}{}", " ".repeat(bytes - body.len()));
    let fits = service
        .send(Method::POST, "/v1/sessions", None, padded(16 * 1024))
        .await;
    fits.expect_status(201);
    let over = service
        .send(Method::POST, "/v1/sessions", None, padded(16 * 1024 + 1))
        .await;
    over.expect_error(413, "too-large");
}

#[tokio::test]
async fn junk_paths_and_methods_are_refused_by_name() {
    let service = Service::start().await;
    for path in [
        "/",
        "/v1",
        "/v2/sessions",
        "/v1/sessions/",
        "/v1/sessions/123456/more",
        "/%00",
    ] {
        service.get(path, None).await.expect_error(404, "not-found");
    }
    service
        .send(Method::PUT, "/v1/sessions", None, "")
        .await
        .expect_error(405, "method-not-allowed");
    service
        .send(Method::POST, "/health", None, "")
        .await
        .expect_error(405, "method-not-allowed");
    let token = service.token().await;
    for nameplate in [
        "1",
        "12345a",
        "123456789",
        "%2e%2e%2f",
        "%ff%fe",
        "1234567%30%30",
        &"1".repeat(5000),
    ] {
        let path = format!("/v1/sessions/{nameplate}");
        service
            .get(&path, Some(&token))
            .await
            .expect_error(404, "unknown-nameplate");
    }
}

#[tokio::test]
async fn bytes_that_are_no_http_end_their_connection_and_nothing_else() {
    let service = Service::start().await;
    let session = service.reachable().await;
    let mut junk: Vec<Vec<u8>> = vec![
        vec![],
        vec![0; 100],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        b"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n".to_vec(),
        b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n"
            .to_vec(),
        [b"GET /".as_slice(), &[b'a'; 100_000], b" HTTP/1.1\r\n\r\n"].concat(),
        [
            b"GET / HTTP/1.1\r\n".as_slice(),
            &b"a: b\r\n".repeat(10_000),
            b"\r\n",
        ]
        .concat(),
        b"GET /relay HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
    ];
    // Pseudorandom bytes, equal in every run.
    junk.push(
        (0..20_000u32)
            .map(|step| (step.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect(),
    );
    for bytes in junk {
        let mut stream = TcpStream::connect(service.running.addr).await.unwrap();
        // The service may close the connection at any point.
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(
            !answer.starts_with(b"HTTP/1.1 5"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
    let token = service.token().await;
    service.look_up(&session, &token).await.expect_status(200);
}

#[tokio::test]
async fn one_address_gets_only_so_many_connections() {
    let service = Service::start_with(|config| config.limits.connections_per_address = 3).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(TcpStream::connect(service.running.addr).await.unwrap());
    }
    // A connection is counted once it is accepted; a response proves that it was.
    for stream in &mut open {
        ask_health(stream).await.expect("an answer");
    }
    let mut fourth = TcpStream::connect(service.running.addr).await.unwrap();
    assert!(ask_health(&mut fourth).await.is_none());
    // A connection that ends makes room; when it does is up to the scheduler.
    open.pop();
    let room = async {
        loop {
            let mut next = TcpStream::connect(service.running.addr).await.unwrap();
            if ask_health(&mut next).await.is_some() {
                break;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), room)
        .await
        .expect("room in the end");
}

/// Sends a request; returns `None` if the connection was closed instead.
async fn ask_health(stream: &mut TcpStream) -> Option<()> {
    stream
        .write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .ok()?;
    let mut answer = [0; 15];
    stream.read_exact(&mut answer).await.ok()?;
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    Some(())
}

#[tokio::test]
async fn tokens_are_as_long_as_they_should_be() {
    let service = Service::start().await;
    let session = service.open("ecom").await;
    assert_eq!(text(&session["owner"]).len(), 59);
    assert_eq!(text(&session["relay"]["token"]).len(), 162);
    assert_eq!(service.token().await.len(), 43);
}

#[tokio::test]
async fn a_connection_that_goes_on_after_it_was_told_to_wait_is_closed() {
    let service = Service::start_with(|config| {
        config.limits.requests = Quota::new(2, Duration::from_secs(60));
    })
    .await;
    let mut stream = TcpStream::connect(service.running.addr).await.unwrap();
    let request = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
    for _ in 0..20 {
        if stream.write_all(request).await.is_err() {
            break;
        }
    }
    let mut heard = Vec::new();
    let closed = timeout(Duration::from_secs(20), stream.read_to_end(&mut heard)).await;
    closed.expect("it is closed").ok();
    let heard = String::from_utf8_lossy(&heard);
    assert_eq!(heard.matches("200 OK").count(), 2, "{heard}");
    assert_eq!(heard.matches("429 Too Many").count(), 5, "{heard}");
    assert_eq!(heard.matches("connection: close").count(), 1, "{heard}");
}

#[tokio::test]
async fn a_request_that_names_no_host_is_refused() {
    let service = Service::start().await;
    let mut stream = TcpStream::connect(service.running.addr).await.unwrap();
    stream
        .write_all(b"GET /health HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    let mut heard = String::new();
    let read = stream.read_to_string(&mut heard);
    timeout(Duration::from_secs(20), read)
        .await
        .expect("it is closed")
        .unwrap();
    assert!(heard.starts_with("HTTP/1.1 400 "), "{heard}");
    assert!(heard.contains("\"bad-request\""), "{heard}");
}
