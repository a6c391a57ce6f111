//! One session from a typed code to its end: look up, dial, then carry the link's streams between the
//! customer and whoever watches. It reports what happens and decides nothing that an agent could.

use std::{sync::Arc, time::Duration};

use etatuki_link::{
    AgentEndpoint, AgentStreams, ClipboardIn, ClipboardOut, ControlOut, InputOut, LinkConnection,
    LinkError, LinkStats, PathKind, PictureIn,
};
use etatuki_protocol::{Ask, CustomerInfo, EncodeError, Permissions, ToAgent, ToCustomer};
use etatuki_rfb::Rect;
use etatuki_trust::AgentFile;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};

use crate::{
    code::Code,
    service::Service,
    session_error::{SessionError, ending},
    viewer::{DesktopMetadata, PictureError, PictureReader, Readiness, ToLink, ViewerHub},
};

/// How often the link's counters are reported.
const TRAFFIC_STEP: Duration = Duration::from_secs(1);
/// How long the customer's side may take to say goodbye after we did.
const GOODBYE: Duration = Duration::from_secs(2);
/// Texts of the customer's side are cut at this many characters; they are shown to the agent.
const MAX_TEXT: usize = 200;

/// Who we are, and whom we ask.
#[derive(Debug)]
pub struct AgentContext {
    /// Card and key.
    pub agent: AgentFile,
    /// The service.
    pub service: Service,
}

/// What the agent wants done.
#[derive(Debug)]
pub(crate) enum SessionCommand {
    /// Put this question on the customer's screen.
    Ask(Ask),
    /// Text for the customer's clipboard.
    Clipboard(String),
    /// End the session.
    End(EndReason),
}

/// Why this side ends a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndReason {
    /// The agent, or his program's end, wants it.
    Agent,
    /// No page has been open for a while.
    NobodyWatching,
}

impl EndReason {
    /// The stable name.
    const fn reason(self) -> &'static str {
        match self {
            Self::Agent => "agent-ended",
            Self::NobodyWatching => "nobody-watching",
        }
    }
}

/// What happens in a session, in order.
#[derive(Debug)]
pub(crate) enum SessionEvent {
    /// The service told where the customer is.
    Located,
    /// Both ends have proved themselves. Viewers may come.
    Linked(Arc<ViewerHub>),
    /// What the customer has.
    Customer(Box<CustomerInfo>),
    /// What the customer allows now.
    Permissions(Permissions),
    /// A question is on the customer's screen.
    Asking(Ask),
    /// The agent has asked.
    Asked(Ask),
    /// A question was answered.
    Answer {
        ask: Ask,
        allowed: bool,
        asks_left: u8,
    },
    /// The customer's screen is known: a viewer would get a picture.
    Picture,
    /// The customer's screen has this size, and these screens in it, from left to right.
    Desktop {
        size: (u16, u16),
        screens: Vec<Rect>,
    },
    /// The customer moved the pointer there.
    Pointer(u16, u16),
    /// The customer copied text.
    Clipboard(String),
    /// The link's counters.
    Traffic(LinkStats, PathKind),
}

/// How a session ended.
#[derive(Clone, Debug)]
pub(crate) struct Finished {
    /// The reason for an end in good order, a stable name: the customer's side's, or `agent-ended`. Or why
    /// there was no session or it broke off.
    pub(crate) outcome: Result<String, SessionError>,
    /// What went over the link.
    pub(crate) stats: LinkStats,
}

/// Whether the viewer gets the customer's clipboard by RFB, or the page by its own socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClipboardTo {
    /// As cut text.
    Viewer,
    /// As [`SessionEvent::Clipboard`].
    Page,
}

/// Runs one session with one code.
pub(crate) async fn run(
    context: &AgentContext,
    code: Code,
    clipboard: ClipboardTo,
    commands: &mut mpsc::Receiver<SessionCommand>,
    events: &mpsc::Sender<SessionEvent>,
) -> Finished {
    let reached = tokio::select! {
        reached = reach(context, code, events) => reached,
        why = ended_early(commands) => return Finished::unlinked(Ok(why.reason().into())),
    };
    let (endpoint, streams) = match reached {
        Ok(reached) => reached,
        Err(session_error) => return Finished::unlinked(Err(session_error)),
    };
    let connection = streams.connection.clone();
    let outcome = live(streams, clipboard, commands, events).await;
    connection.close(match &outcome {
        Ok(reason) => reason,
        Err(session_error) => session_error.name(),
    });
    let stats = connection.stats();
    endpoint.close().await;
    Finished { outcome, stats }
}

impl Finished {
    fn unlinked(outcome: Result<String, SessionError>) -> Self {
        Self {
            outcome,
            stats: LinkStats::default(),
        }
    }
}

async fn reach(
    context: &AgentContext,
    code: Code,
    events: &mpsc::Sender<SessionEvent>,
) -> Result<(AgentEndpoint, AgentStreams), SessionError> {
    let found = context
        .service
        .look_up(&context.agent, &code.nameplate)
        .await?;
    let _ = events.send(SessionEvent::Located).await;
    let endpoint = AgentEndpoint::bind(Some(&found.relay))
        .await
        .map_err(SessionError::Link)?;
    let dialled = endpoint
        .dial(
            &found.address,
            &code.nameplate,
            &code.secret,
            &context.agent,
        )
        .await;
    match dialled {
        Ok(link) => Ok((endpoint, link.split())),
        Err(error) => {
            endpoint.close().await;
            Err(SessionError::Dial(error))
        }
    }
}

/// Until the agent gives up. Questions make no sense before there is anybody to ask.
async fn ended_early(commands: &mut mpsc::Receiver<SessionCommand>) -> EndReason {
    loop {
        match commands.recv().await {
            Some(SessionCommand::End(why)) => return why,
            Some(_) => {}
            None => return EndReason::Agent,
        }
    }
}

/// From the first message to the last; comes back with the reason for the end.
async fn live(
    streams: AgentStreams,
    clipboard: ClipboardTo,
    commands: &mut mpsc::Receiver<SessionCommand>,
    events: &mpsc::Sender<SessionEvent>,
) -> Result<String, SessionError> {
    let AgentStreams {
        mut control_out,
        mut control_in,
        connection,
        ..
    } = streams;
    let (
        hub,
        ToLink {
            input,
            clipboard: clipboard_out,
        },
    ) = ViewerHub::new();
    if clipboard == ClipboardTo::Page {
        hub.show_places();
    }
    let hub = Arc::new(hub);
    let _ = events.send(SessionEvent::Linked(Arc::clone(&hub))).await;
    let _closes = CloseOnDrop(Arc::clone(&hub));
    let mut carriers = JoinSet::new();
    carriers.spawn(carry_picture(
        Arc::clone(&hub),
        streams.picture_in,
        events.clone(),
    ));
    carriers.spawn(carry_input(input, streams.input_out));
    carriers.spawn(carry_clipboard_out(clipboard_out, streams.clipboard_out));
    carriers.spawn(carry_clipboard_in(
        Arc::clone(&hub),
        streams.clipboard_in,
        clipboard,
        events.clone(),
    ));
    carriers.spawn(report_traffic(connection.clone(), events.clone()));
    loop {
        tokio::select! {
            message = control_in.recv() => match message {
                Ok(Some(ToAgent::Ended { reason })) => return ending(plain(&reason)),
                Ok(Some(message)) => hear(message, &hub, events).await,
                Ok(None) => return over(timeout(GOODBYE, connection.closed()).await.unwrap_or(LinkError::Lost)),
                Err(error) => return over(error),
            },
            command = commands.recv() => match command {
                Some(SessionCommand::Ask(ask)) => {
                    if let Err(error) = control_out.send(&ToCustomer::Ask(ask.clone())).await {
                        return over(error);
                    }
                    let _ = events.send(SessionEvent::Asked(ask)).await;
                }
                Some(SessionCommand::Clipboard(text)) => {
                    hub.send_clipboard(text);
                }
                Some(SessionCommand::End(why)) => {
                    let _ = timeout(GOODBYE, say_goodbye(&mut control_out, &connection)).await;
                    return Ok(why.reason().into());
                }
                None => return Ok(EndReason::Agent.reason().into()),
            },
            Some(carried) = carriers.join_next() => {
                if let Ok(Err(error)) = carried {
                    return Err(SessionError::Picture(error.to_string()));
                }
            }
        }
    }
}

async fn say_goodbye(control_out: &mut ControlOut<ToCustomer>, connection: &LinkConnection) {
    if control_out.send(&ToCustomer::End).await.is_ok() {
        connection.closed().await;
    }
}

/// A link that was closed with a reason has an end in good order, or one that somebody understands.
fn over(error: LinkError) -> Result<String, SessionError> {
    match error {
        LinkError::Ended(reason) => ending(plain(&reason)),
        other => Err(SessionError::Link(other)),
    }
}

async fn hear(message: ToAgent, hub: &ViewerHub, events: &mpsc::Sender<SessionEvent>) {
    let event = match message {
        ToAgent::Info(info) => SessionEvent::Customer(Box::new(clean(*info))),
        ToAgent::Permissions(permissions) => {
            hub.set_control(permissions.control);
            SessionEvent::Permissions(permissions)
        }
        ToAgent::Answer {
            ask,
            allowed,
            asks_left,
        } => SessionEvent::Answer {
            ask,
            allowed,
            asks_left,
        },
        ToAgent::Asking { ask } => SessionEvent::Asking(ask),
        ToAgent::Ended { .. } => return,
    };
    let _ = events.send(event).await;
}

async fn carry_picture(
    hub: Arc<ViewerHub>,
    mut picture: PictureIn,
    events: mpsc::Sender<SessionEvent>,
) -> Result<(), PictureError> {
    let mut reader = PictureReader::default();
    let mut announced = false;
    let mut told = DesktopMetadata::default();
    // How the link ended is told by the control stream.
    while let Ok(Some(block)) = picture.recv().await {
        reader.block(&hub, &block).await?;
        if !announced && *hub.readiness().borrow() == Readiness::Ready {
            announced = true;
            let _ = events.send(SessionEvent::Picture).await;
        }
        tell_around(hub.metadata(), &mut told, &events).await;
    }
    Ok(())
}

/// Tells what has changed around the picture.
async fn tell_around(
    now: DesktopMetadata,
    told: &mut DesktopMetadata,
    events: &mpsc::Sender<SessionEvent>,
) {
    if now == *told {
        return;
    }
    let before = std::mem::replace(told, now.clone());
    if let Some((size, screens)) = now.desktop.filter(|_| before.desktop != told.desktop) {
        let _ = events.send(SessionEvent::Desktop { size, screens }).await;
    }
    if let Some((x, y)) = now.pointer.filter(|_| before.pointer != told.pointer) {
        let _ = events.send(SessionEvent::Pointer(x, y)).await;
    }
}

/// What has piled up goes in one piece.
async fn carry_input(
    mut input: mpsc::Receiver<Vec<u8>>,
    mut link: InputOut,
) -> Result<(), PictureError> {
    while let Some(mut bytes) = input.recv().await {
        while let Ok(more) = input.try_recv() {
            bytes.extend_from_slice(&more);
        }
        if link.send(&bytes).await.is_err() {
            break;
        }
    }
    Ok(())
}

async fn carry_clipboard_out(
    mut texts: mpsc::Receiver<String>,
    mut link: ClipboardOut,
) -> Result<(), PictureError> {
    while let Some(text) = texts.recv().await {
        match link.send(&text).await {
            Ok(()) | Err(LinkError::Encode(EncodeError::TooLarge { .. })) => {}
            Err(_) => break,
        }
    }
    Ok(())
}

async fn carry_clipboard_in(
    hub: Arc<ViewerHub>,
    mut link: ClipboardIn,
    to: ClipboardTo,
    events: mpsc::Sender<SessionEvent>,
) -> Result<(), PictureError> {
    while let Ok(Some(text)) = link.recv().await {
        match to {
            ClipboardTo::Viewer => hub.show_clipboard(&text).await,
            ClipboardTo::Page => drop(events.send(SessionEvent::Clipboard(text)).await),
        }
    }
    Ok(())
}

async fn report_traffic(
    connection: LinkConnection,
    events: mpsc::Sender<SessionEvent>,
) -> Result<(), PictureError> {
    let mut ticks = interval(TRAFFIC_STEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let report = SessionEvent::Traffic(connection.stats(), connection.path_kind());
        if events.send(report).await.is_err() {
            return Ok(());
        }
    }
}

/// However the session ends, its viewer is sent away.
struct CloseOnDrop(Arc<ViewerHub>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// A stable name from outside, as far as it looks like one.
fn plain(name: &str) -> String {
    name.chars()
        .filter(|character| character.is_ascii_alphanumeric() || *character == '-')
        .take(40)
        .collect()
}

/// What the customer's side says of itself is shown to the agent: short, and nothing that moves a cursor.
fn clean(info: CustomerInfo) -> CustomerInfo {
    const MAX_BACKENDS: usize = 32;
    let mut usable = info.usable;
    usable.truncate(MAX_BACKENDS);
    for backend in &mut usable {
        backend.id = shown(&backend.id);
        backend.label = shown(&backend.label);
        backend.reason = backend.reason.as_deref().map(shown);
    }
    CustomerInfo {
        backend: shown(&info.backend),
        label: shown(&info.label),
        tool: info.tool.as_deref().map(shown),
        tool_version: info.tool_version.as_deref().map(shown),
        plugin_version: shown(&info.plugin_version),
        system: shown(&info.system),
        app_version: info.app_version.as_deref().map(shown),
        usable,
        launcher_version: shown(&info.launcher_version),
        only_program: info.only_program.as_deref().map(shown),
    }
}

fn shown(text: &str) -> String {
    text.chars()
        .filter(|character| !character.is_control())
        .take(MAX_TEXT)
        .collect()
}
