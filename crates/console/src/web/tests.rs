//! Access to the page, tested with raw requests: an HTTP client would not send a wrong Host header.

use etatuki_trust::{AgentCard, AgentFile, AgentKey, CardData, UnixTime, VendorKey};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::*;
use crate::service::Service;

/// A running server.
struct Served {
    address: SocketAddr,
    token: String,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .next()
    }
}

fn context() -> AgentContext {
    let key = AgentKey::from_seed([2; 32]);
    let data = CardData {
        serial: 1,
        name: "Sari Saarinen".into(),
        organisation: "Tilitieto".into(),
        issued: UnixTime(1),
        expires: UnixTime(4_000_000_000),
        key: key.public(),
    };
    let card = AgentCard::issue(&VendorKey::from_seed([1; 32]), data).unwrap();
    AgentContext {
        agent: AgentFile { card, key },
        service: Service::new("http://127.0.0.1:9").unwrap(),
        resume_limit: etatuki_protocol::RESUME_LIMIT,
    }
}

async fn serve(ancestors: &[&str]) -> Served {
    let options = PageOptions {
        ancestors: ancestors.iter().map(|text| text.parse().unwrap()).collect(),
        ..PageOptions::default()
    };
    let server = PageServer::open(context(), options).await.unwrap();
    let (_, token) = server
        .address()
        .split_once("?token=")
        .map(|(url, token)| (url.to_owned(), token.to_owned()))
        .unwrap();
    let address = server.address;
    let task = tokio::spawn(async move { server.serve(std::future::pending()).await.unwrap() });
    Served {
        address,
        token,
        task,
    }
}

impl Served {
    /// Sends a GET request with exactly these headers.
    async fn ask(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        let headers: String = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        socket
            .write_all(format!("GET {path} HTTP/1.1\r\n{headers}\r\n").as_bytes())
            .await
            .unwrap();
        let mut text = Vec::new();
        while !is_whole(&text) {
            assert!(
                socket.read_buf(&mut text).await.unwrap() > 0,
                "the answer is cut off"
            );
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer {
            status,
            head: head.into(),
            body: body.into(),
        }
    }

    fn host(&self) -> String {
        self.address.to_string()
    }

    async fn redeem_token(&self) -> Answer {
        self.ask(
            &format!("/?token={}", self.token),
            &[("Host", &self.host())],
        )
        .await
    }

    /// Redeems the token. Returns the cookie as a browser sends it back.
    async fn cookie(&self) -> String {
        self.cookie_and_protocols().await.0
    }

    /// Redeems the token. Returns the cookie, and the protocols that the page's sockets offer.
    async fn cookie_and_protocols(&self) -> (String, String) {
        let answer = self.redeem_token().await;
        let cookie = answer.header("Set-Cookie").unwrap();
        let (_, secret) = answer.body.split_once("/#secret=").unwrap();
        let secret = secret.split('"').next().unwrap();
        let cookie = cookie.split(';').next().unwrap().to_owned();
        (cookie, format!("etatuki, secret.{secret}"))
    }
}

fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer).to_ascii_lowercase();
    let Some((head, _)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    answer.len() >= head.len() + 4 + length.map_or(0, |length| length.parse().unwrap())
}

const UPGRADE: [(&str, &str); 4] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

#[tokio::test]
async fn the_token_is_traded_once_for_a_strict_cookie() {
    let served = serve(&[]).await;
    let first = served.redeem_token().await;
    assert_eq!(first.status, 200);
    let cookie = first.header("Set-Cookie").unwrap();
    assert!(
        cookie.contains("; HttpOnly; SameSite=Strict; Path=/"),
        "{cookie}"
    );
    assert!(!cookie.contains(&served.token) && !first.body.contains(&served.token));
    let second = served.redeem_token().await;
    assert_eq!((second.status, second.header("Set-Cookie")), (401, None));
    let guess = served
        .ask("/?token=AAAA", &[("Host", &served.host())])
        .await;
    assert_eq!((guess.status, guess.header("Set-Cookie")), (401, None));
    // With the cookie, a reload of the first address leads to the page.
    let cookie = cookie.split(';').next().unwrap();
    let again = served
        .ask(
            &format!("/?token={}", served.token),
            &[("Host", &served.host()), ("Cookie", cookie)],
        )
        .await;
    assert_eq!((again.status, again.header("Location")), (303, Some("/")));
}

#[tokio::test]
async fn nothing_without_the_cookie() {
    let served = serve(&[]).await;
    let host = served.host();
    let cookie = served.cookie().await;
    let (name, _) = cookie.split_once('=').unwrap();
    let wrong = format!("{name}=AAAA");
    for path in [
        "/",
        "/console.js",
        "/licences.txt",
        "/events",
        "/rfb",
        "/elsewhere",
    ] {
        for headers in [vec![], vec![("Cookie", wrong.as_str())]] {
            let origin = format!("http://{host}");
            let mut headers = [
                &[("Host", host.as_str()), ("Origin", &origin)][..],
                &headers,
            ]
            .concat();
            headers.extend(
                UPGRADE
                    .iter()
                    .filter(|_| path == "/events" || path == "/rfb"),
            );
            assert_eq!(served.ask(path, &headers).await.status, 401, "{path}");
        }
    }
    for path in [
        "/",
        "/console.js",
        "/console.css",
        "/icon.svg",
        "/licences.txt",
    ] {
        let other = format!("other=1; {cookie}; more=2");
        assert_eq!(
            served
                .ask(path, &[("Host", &host), ("Cookie", &other)])
                .await
                .status,
            200,
            "{path}"
        );
    }
}

#[tokio::test]
async fn other_hosts_and_origins_are_refused() {
    let served = serve(&[]).await;
    let host = served.host();
    let port = served.address.port();
    let cookie = served.cookie().await;
    let ours = format!("http://{host}");
    for wrong in [
        "evil.example",
        &format!("evil.example:{port}"),
        "127.0.0.1",
        "127.0.0.1:1",
        &format!("127.0.0.2:{port}"),
    ] {
        let answer = served
            .ask("/", &[("Host", wrong), ("Cookie", &cookie)])
            .await;
        assert_eq!(answer.status, 421, "{wrong}");
    }
    let twice = served
        .ask(
            "/",
            &[
                ("Host", &host),
                ("Host", "evil.example"),
                ("Cookie", &cookie),
            ],
        )
        .await;
    assert!(matches!(twice.status, 400 | 421), "{}", twice.status);
    for wrong in [
        "http://evil.example",
        "null",
        &format!("https://{host}"),
        &format!("http://127.0.0.1:{}", port ^ 1),
    ] {
        for path in ["/", "/console.js", "/events"] {
            let answer = served
                .ask(
                    path,
                    &[("Host", &host), ("Origin", wrong), ("Cookie", &cookie)],
                )
                .await;
            assert_eq!(answer.status, 403, "{wrong} {path}");
        }
    }
    let name = format!("localhost:{port}");
    assert_eq!(
        served
            .ask("/", &[("Host", &name), ("Cookie", &cookie)])
            .await
            .status,
        200
    );
    // The server's other name is a foreign origin too.
    assert_eq!(
        served
            .ask(
                "/",
                &[("Host", &name), ("Origin", &ours), ("Cookie", &cookie)]
            )
            .await
            .status,
        403
    );
}

#[tokio::test]
async fn sockets_need_the_pages_own_origin() {
    let served = serve(&[]).await;
    let host = served.host();
    let (cookie, protocols) = served.cookie_and_protocols().await;
    let ours = format!("http://{host}");
    let base = [
        &[
            ("Host", host.as_str()),
            ("Cookie", cookie.as_str()),
            ("Sec-WebSocket-Protocol", protocols.as_str()),
        ][..],
        &UPGRADE,
    ]
    .concat();
    let with = |origin| [&base[..], &[("Origin", origin)]].concat();
    let taken = served.ask("/events", &with(&ours)).await;
    assert_eq!(taken.status, 101);
    assert_eq!(taken.header("Sec-WebSocket-Protocol"), Some("etatuki"));
    assert_eq!(served.ask("/events", &base).await.status, 403);
    assert_eq!(
        served
            .ask("/events", &with("http://evil.example"))
            .await
            .status,
        403
    );
    assert_eq!(served.ask("/rfb", &base).await.status, 403);
    // No session runs, so there is no picture.
    assert_eq!(served.ask("/rfb", &with(&ours)).await.status, 409);
}

/// Another web server on 127.0.0.1 that the browser visits is sent the cookie, whatever its port.
#[tokio::test]
async fn the_cookie_alone_opens_no_socket() {
    let served = serve(&[]).await;
    let host = served.host();
    let cookie = served.cookie().await;
    let ours = format!("http://{host}");
    for protocols in [None, Some("etatuki"), Some("etatuki, secret.AAAA")] {
        let mut headers = vec![("Host", host.as_str()), ("Cookie", &cookie)];
        headers.push(("Origin", &ours));
        headers.extend(protocols.map(|offered| ("Sec-WebSocket-Protocol", offered)));
        headers.extend(UPGRADE);
        for path in ["/events", "/rfb"] {
            let answer = served.ask(path, &headers).await;
            assert_eq!(answer.status, 401, "{path} {protocols:?}");
        }
        // And no page with the secret in it.
        let page = served.ask("/", &headers[..2]).await;
        assert!(!page.body.contains("secret="));
    }
}

#[tokio::test]
async fn every_answer_is_dressed() {
    let served = serve(&[]).await;
    let host = served.host();
    for (path, name) in [
        ("/", host.as_str()),
        ("/console.js", &host),
        ("/", "evil.example"),
    ] {
        let answer = served.ask(path, &[("Host", name)]).await;
        let policy = answer.header("Content-Security-Policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"),
            "{policy}"
        );
        assert!(
            policy.ends_with("frame-ancestors 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert_eq!(answer.header("X-Frame-Options"), Some("DENY"));
        assert_eq!(answer.header("X-Content-Type-Options"), Some("nosniff"));
        assert_eq!(answer.header("Referrer-Policy"), Some("no-referrer"));
        assert_eq!(answer.header("Cache-Control"), Some("no-store"));
    }
    let framed = serve(&["http://127.0.0.1:8080"]).await;
    let answer = framed.ask("/", &[("Host", &framed.host())]).await;
    assert!(
        answer
            .header("Content-Security-Policy")
            .unwrap()
            .ends_with("frame-ancestors http://127.0.0.1:8080")
    );
    assert_eq!(answer.header("X-Frame-Options"), None);
}

#[test]
fn the_page_has_nothing_inline() {
    let page = include_str!("../../web/src/index.html");
    for inline in [
        "<script>",
        "<style",
        " style=",
        " onclick=",
        " onload=",
        "javascript:",
    ] {
        assert!(!page.contains(inline), "{inline}");
    }
    assert!(page.contains(r#"<script type="module" src="/console.js"></script>"#));
}
