//! One end of a session, as a process on a machine of the lab: this test's own executable.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use etatuki_link::{
    AcceptParams, AgentEndpoint, Attempt, CustomerEndpoint, EndpointKey, PathKind, RelayAccess,
    RelayRoute,
};
use etatuki_network::{ClientOptions, Network, Unreachable};
use etatuki_testkit::lab::{Host, Lab};
use etatuki_trust::{
    AgentCard, AgentFile, AgentKey, CardData, Nameplate, Revocations, SessionCode,
    StaleRevocations, UnixTime, VendorKey, service_origin,
};
use reqwest::{Client, Method, Url};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

/// Variable that says which end the process is; for the agent's it is the nameplate.
const ROLE: &str = "ETATUKI_LAB_END";
/// Time-out for every step.
const STEP_TIMEOUT: Duration = Duration::from_secs(30);
/// Time in which a link finds its direct path, if there is one.
const PATH_TIMEOUT: Duration = Duration::from_secs(8);

/// A running end. It is killed with this value.
pub(crate) struct End {
    child: Child,
    lines: Receiver<String>,
}

impl End {
    /// Starts the customer's end on its machine.
    pub(crate) fn customer(lab: &Lab, environment: &[(&str, &str)]) -> Self {
        Self::start(lab, Host::Customer, "customer", environment)
    }

    /// Starts the agent's end on its machine.
    pub(crate) fn agent(lab: &Lab, nameplate: &str, environment: &[(&str, &str)]) -> Self {
        Self::start(lab, Host::Agent, nameplate, environment)
    }

    fn start(lab: &Lab, host: Host, role: &str, environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["end::an_end_of_a_session", "--exact", "--nocapture"]);
        for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
            command.env_remove(name).env_remove(name.to_uppercase());
        }
        command.env(ROLE, role).envs(environment.iter().copied());
        let mut child = lab
            .command(host, &command)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if let Some((_, said)) = line.split_once("END: ") {
                    let _ = sender.send(said.to_owned());
                }
            }
        });
        Self { child, lines }
    }

    /// Returns what the end says next.
    #[track_caller]
    pub(crate) fn said(&self) -> String {
        self.lines
            .recv_timeout(STEP_TIMEOUT * 2)
            .expect("it says something")
    }

    /// Returns the nameplate that the customer's end got.
    #[track_caller]
    pub(crate) fn nameplate(&self) -> String {
        let said = self.said();
        let nameplate = said
            .strip_prefix("waiting ")
            .unwrap_or_else(|| panic!("{said}"));
        nameplate.to_owned()
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn vendor() -> VendorKey {
    VendorKey::from_seed([1; 32])
}

fn agent() -> AgentFile {
    let key = AgentKey::from_seed([2; 32]);
    let data = CardData {
        serial: 7,
        name: "Aino Agentti".into(),
        organisation: "Tilitoimisto Oy".into(),
        issued: UnixTime(1_600_000_000),
        expires: UnixTime(4_102_444_800),
        key: key.public(),
    };
    AgentFile {
        card: AgentCard::issue(&vendor(), data).unwrap(),
        key,
    }
}

fn say(what: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "END: {what}").unwrap();
    out.flush().unwrap();
}

/// Not a test of its own: the process that the others start.
#[test]
fn an_end_of_a_session() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let result = runtime.block_on(async {
        let service = Service::new().await;
        match role.as_str() {
            "customer" => customer(&service).await,
            nameplate => agent_end(&service, &nameplate.parse().unwrap()).await,
        }
    });
    if let Err(Unreachable { cause, detail }) = result {
        eprintln!("{}: {detail}", cause.name());
        say(&format!("failed {}", cause.name()));
    }
    runtime.shutdown_background();
}

async fn customer(service: &Service) -> Result<(), Unreachable> {
    let key = EndpointKey::generate();
    let body = Some(json!({"form": "remoteus", "endpoint": key.id()}));
    let opened = service.call(Method::POST, "/v1/sessions", "", body).await?;
    let nameplate: Nameplate = opened["nameplate"].as_str().unwrap().parse().unwrap();
    let relay: RelayAccess = serde_json::from_value(opened["relay"].clone()).unwrap();
    let endpoint = CustomerEndpoint::bind_as(&key, Some(service.route(&relay)))
        .await
        .unwrap();
    let connected = async {
        while !endpoint.is_relay_connected() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    if timeout(STEP_TIMEOUT, connected).await.is_err() {
        say("failed relay");
        return Ok(());
    }
    let path = format!("/v1/sessions/{nameplate}/address");
    let owner = opened["owner"].as_str().unwrap();
    let body = Some(json!({"address": endpoint.address()}));
    service.call(Method::PUT, &path, owner, body).await?;
    say(&format!("waiting {nameplate}"));
    let params = AcceptParams {
        code: SessionCode::mint(nameplate, [3; 8]),
        vendors: vec![vendor().public()],
        revoked: Revocations::new(StaleRevocations::Warn),
    };
    let Attempt::Authenticated(link) = endpoint.accept(&params).await else {
        say("failed handshake");
        return Ok(());
    };
    let streams = link.split();
    say("linked");
    std::future::pending::<()>().await;
    drop(streams);
    Ok(())
}

async fn agent_end(service: &Service, nameplate: &Nameplate) -> Result<(), Unreachable> {
    let key = EndpointKey::generate();
    let (address, relay) = service.look_up(nameplate, &key).await?;
    let endpoint = AgentEndpoint::bind_as(&key, Some(service.route(&relay)))
        .await
        .unwrap();
    let secret = SessionCode::mint(*nameplate, [3; 8]).secret.clone();
    let dialled = endpoint.dial(&address, nameplate, &secret, &agent()).await;
    let link = match dialled {
        Ok(link) => link.split(),
        Err(error) => {
            say(&format!("failed {}", error.name()));
            return Ok(());
        }
    };
    let direct = async {
        while link.connection.path_kind() != PathKind::Direct {
            sleep(Duration::from_millis(20)).await;
        }
    };
    match timeout(PATH_TIMEOUT, direct).await {
        Ok(()) => say("linked direct"),
        Err(_) => say("linked relayed"),
    }
    std::future::pending::<()>().await;
    Ok(())
}

/// The service, as both ends reach it.
struct Service {
    url: Url,
    network: Network,
    http: Client,
}

impl Service {
    async fn new() -> Self {
        let url = Url::parse(&format!("https://{}", Lab::SERVICE)).unwrap();
        let network = Network::from_system(None).await.unwrap();
        let options = ClientOptions {
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(12),
            user_agent: "end",
        };
        let http = network.http_client(&url, options).unwrap();
        Self { url, network, http }
    }

    fn route<'a>(&'a self, relay: &'a RelayAccess) -> RelayRoute<'a> {
        RelayRoute {
            relay,
            network: &self.network,
        }
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        bearer: &str,
        body: Option<Value>,
    ) -> Result<Value, Unreachable> {
        let url = self.url.join(path).unwrap();
        let mut request = self.http.request(method, url).bearer_auth(bearer);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Err(self.network.explain(&self.url, error).await),
        };
        if let Some(another) = Unreachable::by_another(&response) {
            return Err(another);
        }
        assert!(response.status().is_success(), "{path}: {response:?}");
        let text = response.text().await.unwrap();
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    async fn look_up(
        &self,
        nameplate: &Nameplate,
        key: &EndpointKey,
    ) -> Result<(Value, RelayAccess), Unreachable> {
        let challenge = self.call(Method::GET, "/v1/challenge", "", None).await?;
        let challenge = challenge["challenge"].as_str().unwrap();
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(challenge).unwrap();
        let origin = service_origin(self.url.as_str()).unwrap();
        let agent = agent();
        let proof = agent
            .key
            .prove_service(&agent.card, &origin, &bytes.try_into().unwrap());
        let body = json!({
            "card": agent.card.to_text(),
            "challenge": challenge,
            "proof": BASE64_URL_SAFE_NO_PAD.encode(proof),
        });
        let token = self
            .call(Method::POST, "/v1/agents/token", "", Some(body))
            .await?;
        let token = token["token"].as_str().unwrap();
        let path = format!("/v1/sessions/{nameplate}?endpoint={}", key.id());
        let found = self.call(Method::GET, &path, token, None).await?;
        let relay = serde_json::from_value(found["relay"].clone()).unwrap();
        Ok((found["address"].clone(), relay))
    }
}
