//! An agent: a card, the service's API, the link's other end, and a viewer with a framebuffer.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use etatuki_link::{
    AgentEndpoint, AgentResumption, AgentStreams, ClipboardIn, ClipboardOut, ControlIn, ControlOut,
    DialError, EndpointKey, InputOut, LinkConnection, LinkError, PictureIn, RelayAccess,
    RelayRoute, RelayToken,
};
use etatuki_network::Network;
use etatuki_protocol::{Ask, HEARTBEAT_INTERVAL, Permissions, ScreenStatus, ToAgent, ToCustomer};
use etatuki_rfb::{
    ClientHandshake, ClientMessage, Limits, PixelFormat, PointerFormat, Rect, ServerMessage, encode,
};
use etatuki_testkit::RfbClient;
use etatuki_trust::{
    AgentFile, FieldKind, Nameplate, Secret, ShownCode, TypedCode, parse_password, parse_typed_code,
};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::task::AbortHandle;

use crate::display::TEST_TIMEOUT;

/// A connected agent.
pub(crate) struct Agent {
    endpoint: AgentEndpoint,
    streams: Streams,
    viewer: Option<RfbClient>,
    file: AgentFile,
    address: Value,
    resumption: AgentResumption,
    service: String,
    ticket: RelayToken,
    /// Streams of earlier connections: dropping them would close a connection that works.
    retired: Vec<Streams>,
}

/// The streams of a link, with a heart that beats until they are dropped.
struct Streams {
    control_out: Arc<Mutex<ControlOut<ToCustomer>>>,
    control_in: ControlIn<ToAgent>,
    picture_in: PictureIn,
    input_out: InputOut,
    clipboard_out: ClipboardOut,
    clipboard_in: ClipboardIn,
    connection: LinkConnection,
    heart: AbortHandle,
}

impl Streams {
    fn new(streams: AgentStreams) -> Self {
        let control_out = Arc::new(Mutex::new(streams.control_out));
        let beats = Arc::clone(&control_out);
        let heart = tokio::spawn(async move {
            while beats.lock().await.send(&ToCustomer::Alive).await.is_ok() {
                tokio::time::sleep(HEARTBEAT_INTERVAL).await;
            }
        });
        Self {
            control_out,
            control_in: streams.control_in,
            picture_in: streams.picture_in,
            input_out: streams.input_out,
            clipboard_out: streams.clipboard_out,
            clipboard_in: streams.clipboard_in,
            connection: streams.connection,
            heart: heart.abort_handle(),
        }
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        self.heart.abort();
    }
}

/// Returns the code that the agent types.
pub(crate) fn typed(code: &ShownCode) -> (Nameplate, Secret) {
    let field = |kind| code.fields.iter().find(|field| field.kind == kind);
    if let Some(field) = field(FieldKind::SessionCode) {
        match parse_typed_code(&field.digits).expect("a good code") {
            TypedCode::SingleCode { nameplate, secret } => return (nameplate, secret),
            _ => panic!("not a session code"),
        }
    }
    let id = &field(FieldKind::Id).expect("an ID").digits;
    let password = &field(FieldKind::Password).expect("a password").digits;
    match parse_typed_code(id).expect("a good ID") {
        TypedCode::Id { nameplate } => (
            nameplate,
            parse_password(password).expect("a good password"),
        ),
        _ => panic!("not an ID"),
    }
}

/// Time-out of a try until TLS is done, as consoles have it.
const REACH_TIMEOUT: Duration = Duration::from_secs(2);

impl Agent {
    /// Looks the code up, and dials.
    pub(crate) async fn dial(
        service: &str,
        file: &AgentFile,
        code: (Nameplate, Secret),
    ) -> Result<Self, DialError> {
        Self::dial_with(service, file, file, code).await
    }

    /// Looks the code up as one agent and dials as another.
    pub(crate) async fn dial_with(
        service: &str,
        known: &AgentFile,
        file: &AgentFile,
        (nameplate, secret): (Nameplate, Secret),
    ) -> Result<Self, DialError> {
        let key = EndpointKey::generate();
        let (address, relay) = look_up(service, known, &nameplate, &key).await;
        let network = Network::from_system(None).await.expect("settings");
        let route = RelayRoute {
            relay: &relay,
            network: &network,
        };
        let endpoint = AgentEndpoint::bind_as(&key, Some(route))
            .await
            .expect("an endpoint");
        match endpoint.dial(&address, &nameplate, &secret, file).await {
            Ok(link) => {
                let (streams, resumption) = link.into_parts();
                Ok(Self {
                    endpoint,
                    streams: Streams::new(streams),
                    viewer: None,
                    file: file.clone(),
                    address,
                    resumption,
                    service: service.to_owned(),
                    ticket: relay.token.clone(),
                    retired: Vec::new(),
                })
            }
            Err(error) => {
                endpoint.close().await;
                Err(error)
            }
        }
    }

    /// Waits for the next message from the customer's machine but heartbeats, addresses, and the state
    /// of the screen, which comes whenever a test is slow.
    pub(crate) async fn told(&mut self) -> ToAgent {
        loop {
            match self.told_anything().await {
                ToAgent::Alive | ToAgent::Screen(_) => {}
                ToAgent::Address(address) => self.address = address.as_json().clone(),
                message => return message,
            }
        }
    }

    /// Closes the connection as an end does that hears nothing any more.
    pub(crate) fn interrupt(&mut self) {
        self.streams.heart.abort();
        self.streams.connection.interrupt();
    }

    /// Falls silent: the connection stays, and nothing more is said.
    pub(crate) fn falls_silent(&mut self) {
        self.streams.heart.abort();
    }

    /// Tries once to resume the link.
    pub(crate) async fn try_resume(&mut self) -> Result<(), DialError> {
        self.try_resume_within(TEST_TIMEOUT).await
    }

    async fn try_resume_within(&mut self, reach_limit: Duration) -> Result<(), DialError> {
        let (address, resumption) = (&self.address, &mut self.resumption);
        let streams = self
            .endpoint
            .resume(address, resumption, &self.file, reach_limit)
            .await?;
        self.falls_silent();
        let retired = std::mem::replace(&mut self.streams, Streams::new(streams));
        self.retired.push(retired);
        self.viewer = None;
        Ok(())
    }

    /// Leaves an ending at the service.
    pub(crate) async fn leave(&self, reason: &str) {
        let ending = self.endpoint.sign_ending(&self.resumption.link(), reason);
        let request = client().put(format!("{}/v1/endings", self.service));
        let request = request.bearer_auth(self.ticket.expose());
        let answer = request.json(&json!({ "ending": ending })).send().await;
        assert_eq!(answer.expect("an answer").status(), 204);
    }

    /// Returns the reason in the customer's ending at the service.
    pub(crate) async fn peer_left(&self) -> Option<String> {
        let link = self.resumption.link();
        let url = format!("{}/v1/endings/{}", self.service, link.peer());
        let request = client().get(url).bearer_auth(self.ticket.expose());
        let answer = request.send().await.expect("an answer");
        let left: Value = answer.json().await.expect("JSON");
        link.read(left["ending"].as_str()?)
    }

    /// Resumes the link as consoles do, try after try, and is told these permissions. A try can meet an
    /// endpoint of the customer's that is just being replaced, or that its relay doesn't know yet.
    pub(crate) async fn resume(&mut self, permissions: Permissions) {
        let redial = async {
            while let Err(error) = self.try_resume_within(REACH_TIMEOUT).await {
                let is_final = matches!(error, DialError::Refused(_) | DialError::WrongKey);
                assert!(!is_final, "{error}");
            }
        };
        let resumed = tokio::time::timeout(TEST_TIMEOUT, redial).await;
        resumed.expect("resumed in time");
        self.permitted(permissions).await;
    }

    /// Waits for the next message about the state of the screen.
    pub(crate) async fn told_screen(&mut self) -> ScreenStatus {
        loop {
            if let ToAgent::Screen(status) = self.told_anything().await {
                return status;
            }
        }
    }

    async fn told_anything(&mut self) -> ToAgent {
        let message = tokio::time::timeout(TEST_TIMEOUT, self.streams.control_in.recv()).await;
        message
            .expect("a message in time")
            .expect("a good link")
            .expect("a message")
    }

    pub(crate) async fn ask(&mut self, ask: Ask) {
        let mut control = self.streams.control_out.lock().await;
        control.send(&ToCustomer::Ask(ask)).await.expect("sent");
    }

    pub(crate) async fn end(&mut self) {
        let mut control = self.streams.control_out.lock().await;
        control.send(&ToCustomer::End).await.expect("sent");
    }

    /// Reads ServerInit, the picture's first block, and returns the desktop's name.
    pub(crate) async fn greet(&mut self) -> String {
        // The handshake up to the point where the console takes over.
        let mut handshake = ClientHandshake::new(Limits::default());
        handshake.push(b"RFB 003.008\n\x01\x01\0\0\0\0");
        handshake.push(&self.block().await);
        let init = loop {
            let init = handshake.step().expect("a good ServerInit");
            let _ = handshake.take_output();
            if let Some(init) = init {
                break init;
            }
        };
        assert_eq!(init.format, PixelFormat::BGRX);
        self.viewer = Some(RfbClient::new(init.width, init.height));
        self.say(&[ClientMessage::SetEncodings(vec![
            1, 0, -239, -223, -224, -308,
        ])])
        .await;
        self.request(false).await;
        init.name
    }

    /// Requests updates until the screen looks like this.
    pub(crate) async fn sees(&mut self, wanted: impl Fn() -> Vec<u8>) {
        let seen = async {
            loop {
                self.update().await;
                self.request(true).await;
                if self.viewer().shows(&wanted()) {
                    return;
                }
            }
        };
        if tokio::time::timeout(TEST_TIMEOUT, seen).await.is_err() {
            panic!(
                "the picture never became the screen's: {}",
                difference(self.viewer(), &wanted())
            );
        }
    }

    /// Requests updates until the customer's screens are these.
    pub(crate) async fn sees_screens(&mut self, wanted: &[Rect]) {
        let seen = async {
            while self.screens() != wanted {
                self.update().await;
                self.request(true).await;
            }
        };
        let in_time = tokio::time::timeout(TEST_TIMEOUT, seen).await.is_ok();
        assert!(in_time, "still {:?}", self.screens());
    }

    fn screens(&self) -> Vec<Rect> {
        let screens = self.viewer.as_ref().expect("greeted").screens.iter();
        screens.map(|screen| screen.rect).collect()
    }

    fn viewer(&mut self) -> &mut RfbClient {
        self.viewer.as_mut().expect("greeted")
    }

    /// Sends RFB messages on the input stream.
    pub(crate) async fn say(&mut self, messages: &[ClientMessage]) {
        let mut bytes = vec![];
        for message in messages {
            encode::client::message(&mut bytes, message, PointerFormat::Standard);
        }
        self.raw(&bytes).await;
    }

    /// Sends any bytes on the input stream.
    pub(crate) async fn raw(&mut self, bytes: &[u8]) {
        self.streams.input_out.send(bytes).await.expect("sent");
    }

    /// Sends text for the customer's clipboard.
    pub(crate) async fn copies(&mut self, text: &str) {
        self.streams.clipboard_out.send(text).await.expect("sent");
    }

    /// Sends a text and then a key, as one who pastes at once. The text reaches the link last.
    pub(crate) async fn copies_and_presses(&mut self, number: u32, text: &str, keysym: u32) {
        let marked = self.streams.input_out.mark_clipboard(number);
        marked.await.expect("sent");
        self.press(keysym).await;
        let sent = self.streams.clipboard_out.send_numbered(number, text);
        sent.await.expect("sent");
    }

    /// Waits for the next text that the customer copies.
    pub(crate) async fn hears_copied(&mut self) -> String {
        let text = tokio::time::timeout(TEST_TIMEOUT, self.streams.clipboard_in.recv()).await;
        text.expect("in time")
            .expect("a good link")
            .expect("a text")
            .text
    }

    /// Returns whether the next message of permissions gives control.
    pub(crate) async fn told_of_control(&mut self) -> bool {
        matches!(self.told().await, ToAgent::Permissions(given) if given.control)
    }

    pub(crate) async fn key(&mut self, down: bool, keysym: u32) {
        self.say(&[ClientMessage::Key { down, keysym }]).await;
    }

    pub(crate) async fn press(&mut self, keysym: u32) {
        self.key(true, keysym).await;
        self.key(false, keysym).await;
    }

    /// Waits for the answer to a request.
    pub(crate) async fn answered(&mut self, wanted: &Ask) -> bool {
        loop {
            if let ToAgent::Answer { ask, allowed, .. } = self.told().await
                && ask == *wanted
            {
                return allowed;
            }
        }
    }

    /// Waits until these are the permissions.
    pub(crate) async fn permitted(&mut self, wanted: Permissions) {
        while self.told().await != ToAgent::Permissions(wanted) {}
    }

    /// Returns whether a picture comes within a while, to prove that none does.
    pub(crate) async fn sees_anything(&mut self, within: Duration) -> bool {
        tokio::time::timeout(within, self.streams.picture_in.recv())
            .await
            .is_ok()
    }

    /// Waits for the link's end, and returns it as the agent sees it.
    pub(crate) async fn closed(&mut self) -> LinkError {
        tokio::time::timeout(TEST_TIMEOUT, self.streams.connection.closed())
            .await
            .expect("an end")
    }

    pub(crate) async fn close(self) {
        self.streams.connection.close("ended");
        self.endpoint.close().await;
    }

    async fn request(&mut self, incremental: bool) {
        let rect = Rect::new(0, 0, 800, 600);
        self.say(&[ClientMessage::UpdateRequest { incremental, rect }])
            .await;
    }

    async fn block(&mut self) -> Vec<u8> {
        self.streams
            .picture_in
            .recv()
            .await
            .expect("a good link")
            .expect("a picture")
    }

    /// Reads one whole update.
    async fn update(&mut self) {
        loop {
            while let Some(message) = self.viewer().next_message() {
                if message == ServerMessage::UpdateEnd {
                    return;
                }
            }
            let block = self.block().await;
            self.viewer().push(&block);
        }
    }
}

/// Describes the number and the place of the pixels that differ.
fn difference(viewer: &RfbClient, wanted: &[u8]) -> String {
    let wanted = wanted.as_chunks::<4>().0.iter().map(|pixel| Some(*pixel));
    let pairs = viewer.pixels.iter().copied().zip(wanted).enumerate();
    let wrong: Vec<_> = pairs.filter(|(_, (seen, wanted))| seen != wanted).collect();
    let spots: Vec<_> = wrong
        .iter()
        .take(9)
        .map(|(at, pair)| (at % 800, at / 800, pair))
        .collect();
    format!("{} pixels, first {spots:?}", wrong.len())
}

fn client() -> reqwest::Client {
    let builder = reqwest::Client::builder().no_proxy();
    builder.build().expect("a client")
}

async fn look_up(
    service: &str,
    file: &AgentFile,
    nameplate: &Nameplate,
    key: &EndpointKey,
) -> (Value, RelayAccess) {
    let http = client();
    let url = |path: &str| format!("{service}/v1/{path}");
    let challenge: Value = http
        .get(url("challenge"))
        .send()
        .await
        .expect("sent")
        .json()
        .await
        .expect("JSON");
    let challenge = challenge["challenge"].as_str().expect("a challenge");
    let bytes: [u8; 32] = URL_SAFE_NO_PAD
        .decode(challenge)
        .expect("base64")
        .try_into()
        .expect("32 bytes");
    let origin = etatuki_trust::service_origin(service).expect("a URL");
    let proof = file.key.prove_service(&file.card, &origin, &bytes);
    let body = json!({
        "card": file.card.to_text(), "challenge": challenge, "proof": URL_SAFE_NO_PAD.encode(proof),
    });
    let token = http
        .post(url("agents/token"))
        .json(&body)
        .send()
        .await
        .expect("sent");
    let token: Value = token
        .error_for_status()
        .expect("let in")
        .json()
        .await
        .expect("JSON");
    let token = token["token"].as_str().expect("a token");
    let found = http
        .get(url(&format!("sessions/{nameplate}?endpoint={}", key.id())))
        .bearer_auth(token)
        .send()
        .await
        .expect("sent")
        .error_for_status()
        .expect("found");
    let found: Value = found.json().await.expect("JSON");
    let relay = serde_json::from_value(found["relay"].clone()).expect("a relay");
    (found["address"].clone(), relay)
}
