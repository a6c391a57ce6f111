//! The program is ended and started again in the middle of a relayed session.

use std::{
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use etatuki_link::{
    AcceptParams, AgentEndpoint, AgentLink, Attempt, CustomerEndpoint, CustomerLink, EndpointKey,
    RelayAccess, RelayRoute, ResumeParams,
};
use etatuki_network::Network;
use etatuki_trust::{
    AgentCard, AgentFile, CardData, Nameplate, Revocations, SessionCode, StaleRevocations, UnixTime,
};
use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    harness::{agent, card_data, client, text, vendor},
    program::{PROGRAM, Program},
};

/// Time-out for everything that is to happen.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A service in a process of its own, with a key ring.
struct Service {
    program: Program,
    folder: tempfile::TempDir,
    url: String,
}

impl Service {
    fn start() -> Self {
        let folder = tempfile::TempDir::new().unwrap();
        let (program, url) = run("127.0.0.1:0", folder.path().join("keys"));
        Self {
            program,
            folder,
            url,
        }
    }

    /// Ends the program by `signal`, and starts it again at the same address after `pause`.
    async fn restart(&mut self, signal: Signal, pause: Duration) {
        let pid = Pid::from_child(&self.program.0);
        kill_process(pid, signal).unwrap();
        self.program.0.wait().unwrap();
        tokio::time::sleep(pause).await;
        let address = self.url.strip_prefix("http://").unwrap();
        let (program, url) = run(address, self.folder.path().join("keys"));
        assert_eq!(url, self.url);
        self.program = program;
    }

    async fn call(&self, method: Method, path: &str, bearer: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.url);
        let request = client().request(method, url).bearer_auth(bearer);
        let response = request.json(&body).send().await.unwrap();
        assert!(response.status().is_success(), "{path}: {response:?}");
        serde_json::from_str(&response.text().await.unwrap()).unwrap_or_default()
    }

    async fn agents_token(&self, agent: &AgentFile) -> String {
        let made = self.call(Method::GET, "/v1/challenge", "", json!({})).await;
        let challenge = URL_SAFE_NO_PAD.decode(text(&made["challenge"])).unwrap();
        let challenge = challenge.try_into().unwrap();
        let proof = agent.key.prove_service(&agent.card, &self.url, &challenge);
        let body = json!({
            "card": agent.card.to_text(),
            "challenge": made["challenge"],
            "proof": URL_SAFE_NO_PAD.encode(proof),
        });
        let given = self.call(Method::POST, "/v1/agents/token", "", body).await;
        text(&given["token"]).to_owned()
    }
}

/// Runs the program until it says where it listens.
fn run(listen: &str, ring: PathBuf) -> (Program, String) {
    let child = Command::new(PROGRAM)
        .args(["serve", "--listen", listen])
        .args(["--vendor-key", &vendor().public().to_string()])
        .arg("--key-ring")
        .arg(ring)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut program = Program(child);
    let mut line = String::new();
    let stdout = program.0.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    let said: Value = serde_json::from_str(&line).unwrap();
    let url = text(&said["listening"]).to_owned();
    (program, url)
}

/// Returns an agent whose card is good by the machine's clock.
fn agent_file() -> AgentFile {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let data = CardData {
        issued: UnixTime(now - 60),
        expires: UnixTime(now + 3600),
        ..card_data()
    };
    AgentFile {
        card: AgentCard::issue(&vendor(), data).unwrap(),
        key: agent(),
    }
}

/// Both ends of a session, each connected to the relay with a ticket of its own.
struct Session {
    customer: CustomerEndpoint,
    agent: AgentEndpoint,
    file: AgentFile,
    params: AcceptParams,
    /// The customer's address without any direct path.
    address: Value,
    nameplate: Nameplate,
    owner: String,
}

impl Session {
    async fn open(service: &Service) -> Self {
        let keys = [EndpointKey::generate(), EndpointKey::generate()];
        let body = json!({ "form": "ecom", "endpoint": keys[0].id() });
        let opened = service.call(Method::POST, "/v1/sessions", "", body).await;
        let relay: RelayAccess = serde_json::from_value(opened["relay"].clone()).unwrap();
        let network = Network::from_system(None).await.unwrap();
        let route = |relay| RelayRoute {
            relay,
            network: &network,
        };
        let bound = CustomerEndpoint::bind_as(&keys[0], Some(route(&relay))).await;
        let customer = bound.unwrap();
        let nameplate: Nameplate = text(&opened["nameplate"]).parse().unwrap();
        let mut address = customer.address();
        let paths = address["addrs"].as_array_mut().unwrap();
        paths.retain(|path| path.get("Relay").is_some());
        let owner = text(&opened["owner"]).to_owned();
        let session = |endpoint| format!("/v1/sessions/{nameplate}{endpoint}");
        let body = json!({ "address": address });
        let path = session("/address");
        service.call(Method::PUT, &path, &owner, body).await;
        let file = agent_file();
        let token = service.agents_token(&file).await;
        let path = session(&format!("?endpoint={}", keys[1].id()));
        let found = service.call(Method::GET, &path, &token, json!({})).await;
        let relay: RelayAccess = serde_json::from_value(found["relay"].clone()).unwrap();
        Self {
            customer,
            agent: AgentEndpoint::bind_as(&keys[1], Some(route(&relay)))
                .await
                .unwrap(),
            file,
            params: AcceptParams {
                code: SessionCode::mint(nameplate, [3; 8]),
                vendors: vec![vendor().public()],
                revoked: Revocations::new(StaleRevocations::Warn),
            },
            address,
            nameplate,
            owner,
        }
    }

    async fn link(&self) -> (CustomerLink, AgentLink) {
        let secret = &self.params.code.secret;
        let dial = self
            .agent
            .dial(&self.address, &self.nameplate, secret, &self.file);
        match tokio::join!(self.customer.accept(&self.params), dial) {
            (Attempt::Authenticated(theirs), Ok(ours)) => (*theirs, ours),
            other => panic!("{other:?}"),
        }
    }
}

/// Waits until the customer's end has connected to the relay more than `before` times.
async fn connects_after(customer: &CustomerEndpoint, before: u64) -> u64 {
    let connected = async {
        while customer.relay_connects() <= before {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let connected = timeout(TIMEOUT, connected).await;
    connected.expect("connected to the relay in time");
    customer.relay_connects()
}

/// Checks that a session goes on through the relay after the service was ended by `signal` and was
/// away for `pause`.
async fn check(signal: Signal, pause: Duration) {
    let mut service = Service::start();
    let session = Session::open(&service).await;
    let (theirs, ours) = timeout(TIMEOUT, session.link()).await.unwrap();
    let connects = connects_after(&session.customer, 0).await;
    let (streams, mut resumption) = ours.into_parts();
    service.restart(signal, pause).await;
    streams.connection.interrupt();
    theirs.connection().interrupt();

    connects_after(&session.customer, connects).await;
    let params = ResumeParams {
        vendors: session.params.vendors.clone(),
        revoked: Revocations::new(StaleRevocations::Warn),
    };
    let resume = async {
        let reach_limit = Duration::from_secs(1);
        loop {
            let resumed = session.agent.resume(
                &session.address,
                &mut resumption,
                &session.file,
                reach_limit,
            );
            match resumed.await {
                Ok(resumed) => break resumed,
                Err(error) => eprintln!("agent: {error:?}"),
            }
        }
    };
    let accept = async {
        loop {
            match session.customer.accept_resume(&params).await {
                Attempt::Resumed(resumed) => break resumed,
                other => eprintln!("customer: {other:?}, {}", session.customer.relay_connects()),
            }
        }
    };
    let both = async { tokio::join!(accept, resume) };
    let (theirs, mut ours) = timeout(TIMEOUT, both).await.expect("resumed in time");
    let mut theirs = theirs.split();
    theirs.picture_out.send(&[1; 100_000]).await.unwrap();
    let picture = timeout(TIMEOUT, ours.picture_in.recv()).await;
    assert_eq!(picture.unwrap().unwrap().unwrap().len(), 100_000);

    // Its code would still be good.
    let path = format!("/v1/sessions/{}/address", session.nameplate);
    let body = json!({ "address": session.address });
    let put = service.call(Method::PUT, &path, &session.owner, body);
    put.await;
}

#[tokio::test]
async fn a_relayed_session_goes_on_after_sigterm() {
    check(Signal::TERM, Duration::from_millis(300)).await;
}

#[tokio::test]
async fn a_relayed_session_goes_on_after_kill() {
    check(Signal::KILL, Duration::ZERO).await;
}

#[tokio::test]
async fn a_relayed_session_goes_on_after_five_seconds_without_the_service() {
    check(Signal::KILL, Duration::from_secs(5)).await;
}
