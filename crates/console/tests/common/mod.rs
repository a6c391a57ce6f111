//! The console's surroundings: a service, an agent's file, and a far end of the link that the test
//! drives in the launcher's place.

#![allow(dead_code, reason = "not every test needs all of it")]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use etatuki_link::{
    AcceptParams, Attempt, ClipboardIn, ClipboardOut, ControlIn, ControlOut, CustomerEndpoint,
    CustomerStreams, EndpointKey, InputIn, LinkConnection, PictureOut, RelayAccess, RelayRoute,
    RelayToken, ResumeParams,
};
use etatuki_network::Network;
use etatuki_protocol::{
    CustomerInfo, HEARTBEAT_INTERVAL, InputMessage, ToAgent, ToCustomer, UsableBackend,
};
use etatuki_rfb::{ClientMessage, ClientParser, Limits, PixelFormat, Rect, ServerInit, encode};
use etatuki_service::{Config, ServiceHandle};
use etatuki_trust::{
    AgentCard, AgentFile, AgentKey, CardData, CodeForm, Nameplate, Revocations, SessionCode,
    StaleRevocations, UnixTime, VendorKey,
};
use serde_json::{Value, json};
use tokio::{net::TcpStream, sync::Mutex, task::AbortHandle};
use vnc::{VncClient, VncConnector, VncEncoding};

pub(crate) const DAY: u64 = 86_400;

/// A running service, and a folder with the agent's file.
pub(crate) struct TestEnvironment {
    pub(crate) service: ServiceHandle,
    pub(crate) folder: tempfile::TempDir,
    vendor: VendorKey,
}

impl TestEnvironment {
    pub(crate) async fn new() -> Self {
        let vendor = VendorKey::from_seed([1; 32]);
        let config = Config::new("127.0.0.1:0".parse().unwrap(), vec![vendor.public()]);
        let service = etatuki_service::start(config).await.unwrap();
        let environment = Self {
            service,
            folder: tempfile::tempdir().unwrap(),
            vendor,
        };
        environment.write_agent("agent.toml", now() - DAY, now() + 300 * DAY);
        environment
    }

    pub(crate) fn agent_file(&self) -> PathBuf {
        self.folder.path().join("agent.toml")
    }

    pub(crate) fn write_agent(&self, name: &str, issued: u64, expires: u64) -> PathBuf {
        let key = AgentKey::from_seed([2; 32]);
        let data = CardData {
            serial: 7,
            name: "Sari Saarinen".into(),
            organisation: "Tilitieto Oy".into(),
            issued: UnixTime(issued),
            expires: UnixTime(expires),
            key: key.public(),
        };
        let card = AgentCard::issue(&self.vendor, data).unwrap();
        let path = self.folder.path().join(name);
        fs::write(&path, &*AgentFile { card, key }.to_text()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// Opens a session at the service with a code of this form, and waits for the agent.
    pub(crate) async fn customer(&self, form: CodeForm) -> WaitingCustomer {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = client();
        let url = format!("{}/v1/sessions", self.service.url);
        let key = EndpointKey::generate();
        let opened = http
            .post(&url)
            .json(&json!({"form": form, "endpoint": key.id()}))
            .send()
            .await
            .unwrap();
        let opened: Value = opened.json().await.unwrap();
        let relay: RelayAccess = serde_json::from_value(opened["relay"].clone()).unwrap();
        let network = Network::from_system(None).await.unwrap();
        let route = RelayRoute {
            relay: &relay,
            network: &network,
        };
        let endpoint = CustomerEndpoint::bind_as(&key, Some(route)).await.unwrap();
        let nameplate: Nameplate = serde_json::from_value(opened["nameplate"].clone()).unwrap();
        let put = http
            .put(format!("{url}/{nameplate}/address"))
            .bearer_auth(opened["owner"].as_str().unwrap())
            .json(&json!({"address": endpoint.address()}))
            .send()
            .await
            .unwrap();
        assert!(put.status().is_success(), "{}", put.status());
        let code = SessionCode::mint(nameplate, 0x0123_4567_89ab_cdef_u64.to_le_bytes());
        let accept_params = AcceptParams {
            code,
            vendors: vec![self.vendor.public()],
            revoked: Revocations::new(StaleRevocations::Warn),
        };
        WaitingCustomer {
            endpoint,
            accept_params,
            endings: format!("{}/v1/endings", self.service.url),
            ticket: relay.token.clone(),
        }
    }
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// A customer's endpoint with a code, before the agent connects.
pub(crate) struct WaitingCustomer {
    endpoint: CustomerEndpoint,
    pub(crate) accept_params: AcceptParams,
    endings: String,
    ticket: RelayToken,
}

impl WaitingCustomer {
    /// Returns the code's fields: one for a session code, two for an ID and its password.
    pub(crate) fn fields(&self) -> Vec<String> {
        let shown = self.accept_params.code.shown();
        shown
            .fields
            .iter()
            .map(|field| field.digits.clone())
            .collect()
    }

    /// Returns the fields as lines of input for `join`.
    pub(crate) fn lines(&self) -> String {
        self.fields()
            .iter()
            .map(|field| format!("{field}\n"))
            .collect()
    }

    /// Waits for the next attempt of an agent, successful or not.
    pub(crate) async fn attempt(&self) -> Attempt {
        self.endpoint.accept(&self.accept_params).await
    }

    /// Waits for the authenticated agent.
    pub(crate) async fn connected(self) -> Customer {
        loop {
            match self.endpoint.accept(&self.accept_params).await {
                Attempt::Authenticated(link) => {
                    let parser = ClientParser::new(Limits::default());
                    return Customer {
                        streams: Streams::new(link.split()),
                        parser,
                        endpoint: self.endpoint,
                        endings: self.endings,
                        ticket: self.ticket,
                        resume_params: ResumeParams {
                            vendors: self.accept_params.vendors,
                            revoked: self.accept_params.revoked,
                        },
                    };
                }
                Attempt::Aborted => {}
                other => panic!("no agent but {other:?}"),
            }
        }
    }
}

/// The customer's end of an established link.
pub(crate) struct Customer {
    pub(crate) streams: Streams,
    parser: ClientParser,
    pub(crate) endpoint: CustomerEndpoint,
    endings: String,
    ticket: RelayToken,
    resume_params: ResumeParams,
}

/// The streams of a link, with a heart that beats until they are dropped.
pub(crate) struct Streams {
    control_out: Arc<Mutex<ControlOut<ToAgent>>>,
    pub(crate) control_in: ControlIn<ToCustomer>,
    pub(crate) picture_out: PictureOut,
    pub(crate) input_in: InputIn,
    pub(crate) clipboard_out: ClipboardOut,
    pub(crate) clipboard_in: ClipboardIn,
    pub(crate) connection: LinkConnection,
    heart: Heart,
}

/// Sends heartbeats until it is dropped.
struct Heart(AbortHandle);

impl Streams {
    fn new(streams: CustomerStreams) -> Self {
        let control_out = Arc::new(Mutex::new(streams.control_out));
        let beats = Arc::clone(&control_out);
        let heart = tokio::spawn(async move {
            while beats.lock().await.send(&ToAgent::Alive).await.is_ok() {
                tokio::time::sleep(HEARTBEAT_INTERVAL).await;
            }
        });
        Self {
            control_out,
            control_in: streams.control_in,
            picture_out: streams.picture_out,
            input_in: streams.input_in,
            clipboard_out: streams.clipboard_out,
            clipboard_in: streams.clipboard_in,
            connection: streams.connection,
            heart: Heart(heart.abort_handle()),
        }
    }

    /// Falls silent: the connection stays, and nothing more is said.
    pub(crate) fn fall_silent(&self) {
        self.heart.0.abort();
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Customer {
    pub(crate) async fn send_control(&mut self, message: ToAgent) {
        let mut control = self.streams.control_out.lock().await;
        control.send(&message).await.unwrap();
    }

    /// Waits for the console's next control message but heartbeats; `None` at the stream's end.
    pub(crate) async fn told(&mut self) -> Option<ToCustomer> {
        told(&mut self.streams.control_in).await
    }

    /// Leaves an ending at the service.
    pub(crate) async fn leave(&self, reason: &str) {
        let ending = self.endpoint.sign_ending(reason).unwrap();
        let request = client().put(&self.endings);
        let request = request.bearer_auth(self.ticket.expose());
        let answer = request.json(&json!({ "ending": ending })).send().await;
        assert_eq!(answer.unwrap().status(), 204);
    }

    /// Waits for the console's ending at the service, and returns its reason.
    pub(crate) async fn peer_left(&self) -> String {
        let link = self.endpoint.link().unwrap();
        let url = format!("{}/{}", self.endings, link.peer());
        loop {
            let request = client().get(&url).bearer_auth(self.ticket.expose());
            let answer = request.send().await.unwrap();
            if answer.status() == 200 {
                let left: Value = answer.json().await.unwrap();
                return link.read(left["ending"].as_str().unwrap()).unwrap();
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    /// Waits until the console has resumed the link.
    pub(crate) async fn resumed(&mut self) {
        loop {
            match self.endpoint.accept_resume(&self.resume_params).await {
                Attempt::Resumed(link) => {
                    self.streams = Streams::new(link.split());
                    self.parser = ClientParser::new(Limits::default());
                    return;
                }
                Attempt::Aborted => {}
                other => panic!("not resumed but {other:?}"),
            }
        }
    }

    /// Sends the start of the picture stream, which has the screen's size.
    pub(crate) async fn begin_picture(&mut self, width: u16, height: u16) {
        let init = ServerInit {
            width,
            height,
            format: PixelFormat::BGRX,
            name: "Etätuki".into(),
        };
        let mut bytes = Vec::new();
        encode::server::server_init(&mut bytes, &init);
        self.streams.picture_out.send(&bytes).await.unwrap();
    }

    /// Sends the whole screen as one update.
    pub(crate) async fn send_picture(&mut self, width: u16, height: u16, pixels: &[u8]) {
        let mut bytes = Vec::new();
        encode::server::update_start(&mut bytes, Some(1));
        let rect = Rect::new(0, 0, width, height);
        encode::server::raw_from(&mut bytes, rect, pixels, usize::from(width) * 4);
        self.streams.picture_out.send(&bytes).await.unwrap();
    }

    /// Waits for the viewer's next message.
    pub(crate) async fn input(&mut self) -> ClientMessage {
        loop {
            if let Some(message) = self.parser.next().unwrap() {
                return message;
            }
            let received = self.streams.input_in.recv().await.unwrap().unwrap();
            if let InputMessage::Rfb(bytes) = received {
                self.parser.push(&bytes);
            }
        }
    }
}

/// Waits for the console's next control message but heartbeats; `None` at the stream's end.
pub(crate) async fn told(control_in: &mut ControlIn<ToCustomer>) -> Option<ToCustomer> {
    loop {
        match control_in.recv().await.unwrap() {
            Some(ToCustomer::Alive) => {}
            message => return message,
        }
    }
}

pub(crate) fn info() -> CustomerInfo {
    let backend = |id: &str, label: &str, reason: Option<&str>| UsableBackend {
        id: id.into(),
        label: label.into(),
        usable: reason.is_none(),
        reason: reason.map(Into::into),
    };
    CustomerInfo {
        backend: "ecom".into(),
        label: "Ecom Etätuki".into(),
        tool: None,
        tool_version: None,
        plugin_version: "0.1.0".into(),
        system: "Debian GNU/Linux 12 (bookworm)".into(),
        app_version: Some("4.13".into()),
        usable: vec![
            backend("ecom", "Ecom Etätuki", None),
            backend("remoteus-2008", "Remoteus etätuki (2008)", None),
            backend(
                "remoteus-2010",
                "Remoteus etätuki (2010)",
                Some("x11vnc isn't installed"),
            ),
        ],
        launcher_version: "0.1.0".into(),
        only_program: None,
        unsupported: vec![],
        wording: None,
    }
}

pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// Returns the path of the console's executable.
pub(crate) fn console() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_etatuki-console"))
}

/// Connects a real viewer to the port of the ready line.
pub(crate) async fn connect_viewer(ready: &Value) -> VncClient {
    let socket = TcpStream::connect(ready["vnc"].as_str().unwrap())
        .await
        .unwrap();
    let password = ready["password"].as_str().unwrap().to_owned();
    let connector = VncConnector::new(socket)
        .set_auth_method(async move { Ok(password) })
        .add_encoding(VncEncoding::CopyRect)
        .add_encoding(VncEncoding::Raw)
        .set_pixel_format(vnc::PixelFormat::bgra())
        .build()
        .unwrap();
    connector.try_start().await.unwrap().finish().unwrap()
}
