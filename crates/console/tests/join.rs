//! `etatuki-console join` as a script uses it: a code on standard input, JSON lines on standard
//! output, a real viewer at the port, and the exit codes.

#![allow(clippy::unwrap_used, reason = "a test may end with a panic")]

mod common;

use std::process::Stdio;

use common::{Customer, DAY, TestEnvironment, connect_viewer, console, info, now};
use etatuki_link::{Attempt, LinkError};
use etatuki_protocol::{Ask, Permissions, ToAgent, ToCustomer};
use etatuki_rfb::ClientMessage;
use etatuki_testkit::Random;
use etatuki_trust::CodeForm;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    net::TcpStream,
    process::{Child, ChildStdin, ChildStdout, Command},
};
use vnc::{ClientKeyEvent, VncClient, VncConnector, VncEncoding, VncEvent, X11Event};

const SIZE: (u16, u16) = (64, 48);

/// A running `etatuki-console join`.
struct Join {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Join {
    fn start(environment: &TestEnvironment) -> Self {
        Self::start_with(&environment.agent_file(), &environment.service.url, &[])
    }

    fn start_with(agent: &std::path::Path, service: &str, more: &[&std::ffi::OsStr]) -> Self {
        let mut child = Command::new(console())
            .arg("join")
            .arg("--agent")
            .arg(agent)
            .args(["--service", service, "--vnc", "127.0.0.1:0"])
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            child,
            input,
            output,
        }
    }

    async fn send_lines(&mut self, lines: &str) {
        self.input.write_all(lines.as_bytes()).await.unwrap();
    }

    async fn next(&mut self) -> Value {
        let line = self
            .output
            .next_line()
            .await
            .unwrap()
            .expect("the console says something before it ends");
        serde_json::from_str(&line).unwrap()
    }

    /// Returns the next line of a type; skips others.
    async fn wait_for(&mut self, kind: &str) -> Value {
        loop {
            let line = self.next().await;
            if line["type"] == kind {
                return line;
            }
        }
    }

    async fn exit_code(&mut self) -> i32 {
        while self.output.next_line().await.unwrap().is_some() {}
        self.child.wait().await.unwrap().code().unwrap()
    }

    /// Returns the failure's name and the exit code.
    async fn failure(mut self) -> (String, i32) {
        let failed = self.wait_for("failed").await;
        assert!(failed["text"].as_str().unwrap().ends_with('.'), "{failed}");
        (
            failed["name"].as_str().unwrap().to_owned(),
            self.exit_code().await,
        )
    }
}

/// Returns noise as pixels; the fourth byte of each is 0.
fn screen() -> Vec<u8> {
    let mut random = Random::new(1);
    let pixels = 0..u32::from(SIZE.0) * u32::from(SIZE.1);
    let noise = pixels.flat_map(|_| random.next_below(1 << 24).to_le_bytes());
    noise.collect()
}

async fn first_picture(viewer: &VncClient) -> Vec<u8> {
    loop {
        if let VncEvent::RawImage(_, pixels) = viewer.recv_event().await.unwrap() {
            return pixels;
        }
    }
}

fn key(down: bool) -> X11Event {
    X11Event::KeyEvent(ClientKeyEvent {
        keycode: 0x61,
        down,
    })
}

async fn allow(customer: &mut Customer, ask: Ask, control: bool) {
    customer
        .send_control(ToAgent::Asking { ask: ask.clone() })
        .await;
    customer
        .send_control(ToAgent::Answer {
            ask,
            allowed: true,
            asks_left: 3,
        })
        .await;
    customer
        .send_control(ToAgent::Permissions(Permissions {
            view: true,
            control,
        }))
        .await;
}

/// Starts a session and waits for the viewer's first picture.
async fn viewing(form: CodeForm) -> (TestEnvironment, Join, Customer, VncClient) {
    let environment = TestEnvironment::new().await;
    let waiting = environment.customer(form).await;
    let mut join = Join::start(&environment);
    join.send_lines(&waiting.lines()).await;
    let mut customer = waiting.connected().await;
    let ready = join.next().await;
    customer.send_control(ToAgent::Info(Box::new(info()))).await;
    assert_eq!(
        join.next().await,
        json!({"type": "connected", "customer": info()})
    );
    allow(&mut customer, Ask::View, false).await;
    assert_eq!(join.next().await, json!({"type": "asking", "ask": "view"}));
    let answer = json!({"type": "answer", "ask": "view", "allowed": true, "asks_left": 3});
    assert_eq!(join.next().await, answer);
    assert_eq!(
        join.next().await,
        json!({"type": "permissions", "view": true, "control": false})
    );
    let drawing = async {
        customer.begin_picture(SIZE.0, SIZE.1).await;
        while !matches!(
            customer.input().await,
            ClientMessage::UpdateRequest {
                incremental: false,
                ..
            }
        ) {}
        customer.send_picture(SIZE.0, SIZE.1, &screen()).await;
    };
    let (viewer, ()) = tokio::join!(connect_viewer(&ready), drawing);
    let seen = first_picture(&viewer).await;
    let rgb = |pixels: &[u8]| {
        pixels
            .chunks(4)
            .map(|pixel| pixel[..3].to_vec())
            .collect::<Vec<_>>()
    };
    assert_eq!(rgb(&seen), rgb(&screen()));
    (environment, join, customer, viewer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_from_the_code_to_the_end() {
    let (_environment, mut join, mut customer, viewer) = viewing(CodeForm::IdAndPassword).await;
    // Without control a key is dropped; the first that arrives is pressed with control.
    viewer.input(key(true)).await.unwrap();
    viewer.input(key(false)).await.unwrap();
    viewer.input(X11Event::FullRefresh).await.unwrap();
    assert!(matches!(
        customer.input().await,
        ClientMessage::UpdateRequest { .. }
    ));
    // Without control the customer's clipboard is nobody's: a withdrawn text never comes, another one waits for control.
    // It is longer than the stream's window (768 KiB), so once it is sent the console has taken those before it.
    let kept = "k".repeat(900 << 10);
    for text in ["without control", "", &kept] {
        customer.streams.clipboard_out.send(text).await.unwrap();
    }
    join.send_lines("ask-control\n").await;
    let asked = customer.told().await.unwrap();
    assert_eq!(asked, ToCustomer::Ask(Ask::Control));
    allow(&mut customer, Ask::Control, true).await;
    while join.wait_for("permissions").await["control"] != true {}
    viewer.input(key(true)).await.unwrap();
    let pressed = loop {
        match customer.input().await {
            ClientMessage::UpdateRequest { .. } => {}
            other => break other,
        }
    };
    assert_eq!(
        pressed,
        ClientMessage::Key {
            down: true,
            keysym: 0x61
        }
    );
    let copied = customer.streams.clipboard_out.send("with control: 5 €");
    copied.await.unwrap();
    let mut texts = Vec::new();
    while texts.len() < 2 {
        if let VncEvent::Text(text) = viewer.recv_event().await.unwrap() {
            texts.push(text);
        }
    }
    assert_eq!(texts, [&kept, "with control: 5 ?"]);
    assert_eq!(join.wait_for("clipboard-loss").await["characters"], 1);
    join.send_lines("end\n").await;
    assert_eq!(customer.told().await, Some(ToCustomer::End));
    customer
        .send_control(ToAgent::Ended {
            reason: "agent-ended".into(),
        })
        .await;
    customer.streams.connection.close("agent-ended");
    assert_eq!(join.wait_for("ended").await["reason"], "agent-ended");
    assert_eq!(join.exit_code().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_customer_ends_it() {
    let (_environment, mut join, mut customer, _viewer) = viewing(CodeForm::SingleCode).await;
    customer
        .send_control(ToAgent::Ended {
            reason: "customer-closed".into(),
        })
        .await;
    assert_eq!(join.wait_for("ended").await["reason"], "customer-closed");
    assert_eq!(join.exit_code().await, 0);
}

/// The link breaks while the agent has control. The viewer stays; a key that it sends meanwhile is
/// dropped; then it gets the whole picture, and its keys arrive.
#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_session_goes_on_with_the_same_viewer() {
    let (_environment, mut join, mut customer, viewer) = viewing(CodeForm::SingleCode).await;
    allow(&mut customer, Ask::Control, true).await;
    while join.wait_for("permissions").await["control"] != true {}
    customer.streams.fall_silent();
    let interrupted = join.wait_for("interrupted").await;
    assert_eq!(interrupted["seconds_left"], 120);
    assert_eq!(
        customer.streams.connection.closed().await,
        LinkError::Interrupted
    );
    viewer.input(key(true)).await.unwrap();

    customer.resumed().await;
    join.wait_for("resumed").await;
    let (view, control) = (true, true);
    customer
        .send_control(ToAgent::Permissions(Permissions { view, control }))
        .await;
    while join.wait_for("permissions").await["control"] != true {}
    customer.begin_picture(SIZE.0, SIZE.1).await;
    while !matches!(
        customer.input().await,
        ClientMessage::UpdateRequest {
            incremental: false,
            ..
        }
    ) {}
    let mut turned = screen();
    turned.reverse();
    customer.send_picture(SIZE.0, SIZE.1, &turned).await;
    join.wait_for("picture").await;
    let rgb = |pixels: &[u8]| -> Vec<Vec<u8>> {
        let pixels = pixels.chunks(4);
        pixels.map(|pixel| pixel[..3].to_vec()).collect()
    };
    // This viewer asks for nothing by itself.
    viewer.input(X11Event::Refresh).await.unwrap();
    while rgb(&first_picture(&viewer).await) != rgb(&turned) {
        viewer.input(X11Event::Refresh).await.unwrap();
    }
    viewer.input(key(false)).await.unwrap();
    let typed = loop {
        if let ClientMessage::Key { down, keysym } = customer.input().await {
            break (down, keysym);
        }
    };
    assert_eq!(typed, (false, 0x61), "the first key was dropped");
    join.send_lines("end\n").await;
    assert_eq!(customer.told().await, Some(ToCustomer::End));
    customer.streams.connection.close("agent-ended");
    assert_eq!(join.wait_for("ended").await["reason"], "agent-ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_left_an_interrupted_session_isnt_dialled_for_two_minutes() {
    let (_environment, mut join, customer, _viewer) = viewing(CodeForm::SingleCode).await;
    customer.streams.fall_silent();
    join.wait_for("interrupted").await;
    customer.leave("customer-closed").await;
    assert_eq!(join.wait_for("ended").await["reason"], "customer-closed");
    assert_eq!(join.exit_code().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_who_ends_an_interrupted_session_leaves_word_of_it() {
    let (_environment, mut join, customer, _viewer) = viewing(CodeForm::SingleCode).await;
    customer.streams.fall_silent();
    join.wait_for("interrupted").await;
    join.send_lines("end\n").await;
    assert_eq!(join.wait_for("ended").await["reason"], "agent-ended");
    assert_eq!(join.exit_code().await, 0);
    let peer_left =
        tokio::time::timeout(std::time::Duration::from_secs(20), customer.peer_left()).await;
    assert_eq!(peer_left.unwrap(), "agent-ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_viewer_goes_and_the_session_with_it() {
    let (_environment, mut join, mut customer, viewer) = viewing(CodeForm::IdAndPassword).await;
    viewer.close().await.unwrap();
    drop(viewer);
    assert_eq!(customer.told().await, Some(ToCustomer::End));
    customer.streams.connection.close("agent-ended");
    assert_eq!(join.wait_for("ended").await["reason"], "agent-ended");
    assert_eq!(join.exit_code().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_at_the_customers_is_named() {
    let (_environment, join, mut customer, _viewer) = viewing(CodeForm::IdAndPassword).await;
    customer
        .send_control(ToAgent::Ended {
            reason: "tool-died".into(),
        })
        .await;
    assert_eq!(join.failure().await, ("tool-died".into(), 6));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_sends_rubbish_ends_the_session() {
    let (_environment, join, mut customer, _viewer) = viewing(CodeForm::IdAndPassword).await;
    customer.streams.picture_out.send(&[99; 100]).await.unwrap();
    assert_eq!(join.failure().await, ("customer-misbehaved".into(), 6));
    customer.streams.connection.closed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_first_connection_and_only_with_the_password() {
    let environment = TestEnvironment::new().await;
    let waiting = environment.customer(CodeForm::IdAndPassword).await;
    let mut join = Join::start(&environment);
    join.send_lines(&waiting.lines()).await;
    let _customer = waiting.connected().await;
    let mut ready = join.next().await;
    let address = ready["vnc"].as_str().unwrap().to_owned();
    ready["password"] = "wrong".into();
    let socket = TcpStream::connect(&address).await.unwrap();
    let refused = VncConnector::new(socket)
        .set_auth_method(async { Ok("wrong".to_owned()) })
        .add_encoding(VncEncoding::Raw)
        .build()
        .unwrap()
        .try_start()
        .await;
    assert!(refused.is_err());
    assert_eq!(join.failure().await, ("viewer-failed".into(), 6));
    assert!(TcpStream::connect(&address).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_told_at_both_ends() {
    let environment = TestEnvironment::new().await;
    let waiting = environment.customer(CodeForm::IdAndPassword).await;
    let fields = waiting.fields();
    let wrong = if fields[1].starts_with('1') {
        "211 111"
    } else {
        "111 111"
    };
    let mut join = Join::start(&environment);
    join.send_lines(&format!("{}\n{wrong}\n", fields[0])).await;
    let attempt = waiting.attempt().await;
    assert!(
        matches!(&attempt, Attempt::WrongGuess { agent } if agent.name == "Sari Saarinen"),
        "{attempt:?}"
    );
    assert_eq!(join.failure().await, ("wrong-code".into(), 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_that_reach_nobody() {
    let environment = TestEnvironment::new().await;
    let check = async |lines: &str, name: &str| {
        let mut join = Join::start(&environment);
        join.send_lines(lines).await;
        drop(std::mem::replace(&mut join.input, spare_input()));
        assert_eq!(join.failure().await, (name.into(), 4), "{lines:?}");
    };
    check("", "code-empty").await;
    check("12a\n", "code-not-digits").await;
    check("1234\n", "code-length").await;
    check("123456789\n", "code-check-digit").await;
    check("123456789012\n", "code-check-digit").await;
    let absent = etatuki_trust::SessionCode::mint("123456".parse().unwrap(), [3; 8]);
    check(
        &format!("{}\n", absent.shown().fields[0].digits),
        "unknown-nameplate",
    )
    .await;
    let absent = etatuki_trust::SessionCode::mint("12345678".parse().unwrap(), [3; 8]);
    let shown = absent.shown();
    check(&format!("{}\n", shown.fields[0].digits), "code-empty").await;
    let [id, password] = [0, 1].map(|at| shown.fields[at].digits.as_str());
    check(
        &format!("Tunnus (ID)\r\n{id}\r\nKertasalasana\r\n{password}\r\n"),
        "unknown-nameplate",
    )
    .await;
    check(
        &format!("{}\n12345\n", shown.fields[0].digits),
        "code-length",
    )
    .await;
    // In one line, as it is pasted.
    check(
        &format!("{} {}\n", shown.fields[0].digits, shown.fields[1].digits),
        "unknown-nameplate",
    )
    .await;
}

/// Returns a stand-in for an input that is to be closed.
fn spare_input() -> ChildStdin {
    let child = Command::new("true")
        .stdin(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    child.unwrap().stdin.take().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn services_that_help_nobody() {
    let environment = TestEnvironment::new().await;
    let code = etatuki_trust::SessionCode::mint("123456".parse().unwrap(), [3; 8]);
    let line = format!("{}\n", code.shown().fields[0].digits);
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut join = Join::start_with(&environment.agent_file(), &format!("http://{closed}"), &[]);
    join.send_lines(&line).await;
    assert_eq!(join.failure().await, ("connection-refused".into(), 5));

    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    let mut join = Join::start_with(&environment.agent_file(), &address, &[]);
    join.send_lines(&line).await;
    assert_eq!(join.failure().await, ("service-unreachable".into(), 5));

    // It grants an endless token and then knows no code.
    let mut join = Join::start_with(&environment.agent_file(), &lying_service(), &[]);
    join.send_lines(&line).await;
    assert_eq!(join.failure().await, ("unknown-nameplate".into(), 4));

    let expired = environment.write_agent("expired.toml", now() - 9 * DAY, now() - DAY);
    let mut join = Join::start_with(&expired, &environment.service.url, &[]);
    join.send_lines(&line).await;
    assert_eq!(join.failure().await, ("card-expired".into(), 6));
}

/// Starts a service that responds at once, and knows no code.
fn lying_service() -> String {
    use std::io::{BufRead as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut first = String::new();
            let _ = std::io::BufReader::new(&stream).read_line(&mut first);
            let (status, body) = if first.contains("/v1/challenge") {
                ("200 OK", json!({"challenge": "A".repeat(43)}))
            } else if first.contains("/v1/agents/token") {
                ("200 OK", json!({"token": "x", "expires_in": u64::MAX}))
            } else {
                ("404 Not Found", json!({}))
            };
            let body = body.to_string();
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}", body.len());
            let _ = write!(&stream, "{head}\r\nconnection: close\r\n\r\n{body}");
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_use_ends_with_two_and_a_file_of_no_use_with_one() {
    let environment = TestEnvironment::new().await;
    let check = async |agent: &std::path::Path, service: &str, expected| {
        let mut join = Join::start_with(agent, service, &[]);
        assert_eq!(join.exit_code().await, expected, "{agent:?} {service}");
    };
    check(
        &environment.folder.path().join("missing.toml"),
        &environment.service.url,
        1,
    )
    .await;
    check(&environment.agent_file(), "support.example", 2).await;
    check(&environment.agent_file(), "http://support.example", 2).await;
    let open = environment.write_agent("open.toml", now() - DAY, now() + DAY);
    std::fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    check(&open, &environment.service.url, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_links_bytes_are_written() {
    let environment = TestEnvironment::new().await;
    let file = environment.folder.path().join("stats.json");
    let waiting = environment.customer(CodeForm::SingleCode).await;
    let more = [std::ffi::OsStr::new("--stats"), file.as_os_str()];
    let mut join = Join::start_with(&environment.agent_file(), &environment.service.url, &more);
    join.send_lines(&waiting.lines()).await;
    let mut customer = waiting.connected().await;
    customer.begin_picture(SIZE.0, SIZE.1).await;
    customer.send_picture(SIZE.0, SIZE.1, &screen()).await;
    join.wait_for("picture").await;
    join.send_lines("end\n").await;
    customer.told().await;
    customer.streams.connection.close("agent-ended");
    assert_eq!(join.exit_code().await, 0);
    let stats: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    // Three bytes of each pixel are noise, which can't be compressed.
    let least = u64::from(SIZE.0) * u64::from(SIZE.1) * 3;
    assert!(
        stats["received"].as_u64().unwrap() > least && stats["sent"].as_u64().unwrap() > 0,
        "{stats}"
    );
}
