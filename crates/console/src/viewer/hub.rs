//! What the viewers of one session share: the customer's screen as far as it is known, the seat of the one
//! viewer that is watching, and the ways to the link.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use etatuki_rfb::{
    ClientMessage, Limits, PixelFormat, PointerFormat, ProtocolError, Rect, ServerInit,
    ServerMessage, ServerParser,
    encode::{self, fence_flags},
};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::{
    Actions, RemoteDesktop, ViewerSession, jpeg::PictureParser, negotiated_viewer::CannotResize,
    viewer_session,
};

/// Chunks of input that may wait for the link.
const INPUT_QUEUE: usize = 256;
/// Bytes that may wait for the viewer before nothing more is taken in: little, for what waits is old.
const MAX_OUTGOING: usize = 4 << 20;
/// Of a block of the link's, so much is taken in before the viewer gets it.
const CHUNK: usize = 128 << 10;
/// What a buffer may keep of its room when there was more.
const KEEP: usize = 2 * MAX_OUTGOING;
/// Clipboard texts that may wait for the link.
const CLIPBOARD_QUEUE: usize = 4;
/// Bytes of a ServerInit but for its name.
const INIT_LENGTH: usize = 24;

/// How far a session's picture is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// The screen's size isn't known yet.
    Waiting,
    /// A viewer can be let in.
    Ready,
    /// The session is over.
    Over,
}

/// What belongs around the picture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DesktopMetadata {
    /// Columns and rows, and the screens in them from left to right.
    pub(crate) desktop: Option<((u16, u16), Vec<Rect>)>,
    /// Where the customer moved the pointer to last.
    pub(crate) pointer: Option<(u16, u16)>,
}

/// Why a viewer is sent away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DisconnectReason {
    /// Another viewer took its place.
    Replaced,
    /// The session is over.
    Over,
    /// It can't follow the screen's new size.
    CannotResize,
}

/// Why the customer's side can't be listened to any longer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PictureError {
    /// What the link began with is no ServerInit in our format.
    #[error("the customer's side began the picture wrongly")]
    Init,
    /// What came after is no RFB.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// It asks and asks, and takes no answers.
    #[error("the customer's side takes no input")]
    Stuck,
}

/// The ends of the link's streams that the hub feeds.
#[derive(Debug)]
pub(crate) struct ToLink {
    /// Whole client messages for the input stream.
    pub(crate) input: mpsc::Receiver<Vec<u8>>,
    /// Texts for the clipboard stream.
    pub(crate) clipboard: mpsc::Receiver<String>,
}

/// See the module. One for each session.
#[derive(Debug)]
pub(crate) struct ViewerHub {
    shared: Mutex<Shared>,
    readiness: watch::Sender<Readiness>,
    control: AtomicBool,
    /// The pointer's place is shown beside the viewer.
    places: AtomicBool,
    input: mpsc::Sender<Vec<u8>>,
    clipboard: mpsc::Sender<String>,
    /// There is something for the viewer, or it has taken something, said something, or is gone.
    moved: Notify,
}

#[derive(Debug, Default)]
struct Shared {
    remote_desktop: Option<RemoteDesktop>,
    watching: Option<Watching>,
    seats: u64,
}

#[derive(Debug)]
struct Watching {
    number: u64,
    session: ViewerSession,
    dismiss: oneshot::Sender<DisconnectReason>,
}

/// A viewer's place, as its connection holds it; dropping it leaves the seat.
#[derive(Debug)]
pub(crate) struct ViewerGuard<'a> {
    hub: &'a ViewerHub,
    number: u64,
}

/// What is to be sent to a viewer.
#[derive(Debug)]
pub(crate) struct ViewerOutput<'a> {
    hub: &'a ViewerHub,
    number: u64,
}

/// What a viewer gets with its place.
#[derive(Debug)]
pub(crate) struct AttachedViewer<'a> {
    /// The place.
    pub(crate) place: ViewerGuard<'a>,
    /// The screen as the viewer must be told.
    pub(crate) init: ServerInit,
    /// What to send to the viewer.
    pub(crate) picture: ViewerOutput<'a>,
    /// Tells when it must go.
    pub(crate) dismissed: oneshot::Receiver<DisconnectReason>,
}

impl ViewerHub {
    /// A hub that waits for the link's first bytes.
    pub(crate) fn new() -> (Self, ToLink) {
        let (input, input_end) = mpsc::channel(INPUT_QUEUE);
        let (clipboard, clipboard_end) = mpsc::channel(CLIPBOARD_QUEUE);
        let hub = Self {
            shared: Mutex::default(),
            readiness: watch::Sender::new(Readiness::Waiting),
            control: AtomicBool::new(false),
            places: AtomicBool::new(false),
            input,
            clipboard,
            moved: Notify::new(),
        };
        (
            hub,
            ToLink {
                input: input_end,
                clipboard: clipboard_end,
            },
        )
    }

    /// How far the picture is, now and later.
    pub(crate) fn readiness(&self) -> watch::Receiver<Readiness> {
        self.readiness.subscribe()
    }

    /// The session is over: the viewer goes, and no other comes.
    pub(crate) fn close(&self) {
        let mut shared = self.lock();
        self.readiness.send_replace(Readiness::Over);
        self.dismiss(&mut shared, DisconnectReason::Over);
    }

    /// Whether the customer allows control now.
    pub(crate) fn set_control(&self, control: bool) {
        self.control.store(control, Ordering::Relaxed);
        if !control && let Some(watching) = &mut self.lock().watching {
            watching.session.on_control_revoked();
        }
    }

    /// From now on viewers are seated whose page shows the pointer's place itself.
    pub(crate) fn report_pointer_always(&self) {
        self.places.store(true, Ordering::Relaxed);
    }

    /// What a page shows around the picture, as far as it is known.
    pub(crate) fn metadata(&self) -> DesktopMetadata {
        let shared = self.lock();
        let remote_desktop = shared.remote_desktop.as_ref();
        DesktopMetadata {
            desktop: remote_desktop
                .map(|remote_desktop| (remote_desktop.size, remote_desktop.screens())),
            pointer: remote_desktop.and_then(|remote_desktop| remote_desktop.pointer),
        }
    }

    /// Text for the customer's clipboard, if control is given. False when it can't be sent.
    pub(crate) fn send_clipboard(&self, text: String) -> bool {
        self.controls() && self.clipboard.try_send(text).is_ok()
    }

    /// Text from the customer's clipboard for the viewer.
    pub(crate) async fn show_clipboard(&self, text: &str) {
        self.until_taken().await;
        if let Some(watching) = &mut self.lock().watching {
            watching.session.clipboard(text);
        }
        self.moved.notify_waiters();
    }

    /// Seats a viewer that is past its handshake; one that sat there is sent away. `None` when the session is
    /// over or the screen not known yet.
    pub(crate) fn attach_viewer(&self) -> Option<AttachedViewer<'_>> {
        let mut shared = self.lock();
        self.dismiss(&mut shared, DisconnectReason::Replaced);
        let remote_desktop = shared
            .remote_desktop
            .as_ref()
            .filter(|_| *self.readiness.borrow() == Readiness::Ready)?;
        let (width, height) = remote_desktop.size;
        let init = ServerInit {
            width,
            height,
            format: PixelFormat::BGRX,
            name: remote_desktop.name.clone(),
        };
        let (dismiss, dismissed) = oneshot::channel();
        shared.seats += 1;
        let number = shared.seats;
        shared.watching = Some(Watching {
            number,
            session: ViewerSession::new((width, height))
                .with_places(self.places.load(Ordering::Relaxed)),
            dismiss,
        });
        Some(AttachedViewer {
            place: ViewerGuard { hub: self, number },
            init,
            picture: ViewerOutput { hub: self, number },
            dismissed,
        })
    }

    fn controls(&self) -> bool {
        self.control.load(Ordering::Relaxed)
    }

    /// A panic in another thread can't have left it half changed in a way that matters.
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Empties the seat and tells the customer's side what it must hear of that.
    fn dismiss(&self, shared: &mut Shared, why: DisconnectReason) {
        let Some(watching) = shared.watching.take() else {
            return;
        };
        let _ = watching.dismiss.send(why);
        self.moved.notify_waiters();
        let farewell = watching.session.detach(self.controls());
        if !farewell.is_empty() {
            // A full queue means that the link is as good as gone.
            let _ = self.input.try_send(farewell);
        }
    }

    /// Takes in one message of the customer's side; true if much waits for the viewer now.
    fn take_in(&self, message: &ServerMessage) -> Result<bool, PictureError> {
        let mut shared = self.lock();
        let remote_desktop = shared.remote_desktop.as_mut().ok_or(PictureError::Init)?;
        remote_desktop.learn(message);
        if let ServerMessage::Fence { flags, payload } = message {
            return self.answer(*flags, payload).map(|()| false);
        }
        let Some(watching) = &mut shared.watching else {
            return Ok(false);
        };
        let Ok(actions) = watching.session.on_server_message(message) else {
            self.dismiss(&mut shared, DisconnectReason::CannotResize);
            return Ok(false);
        };
        if !actions.to_link.is_empty() {
            self.input
                .try_send(actions.to_link)
                .map_err(|_| PictureError::Stuck)?;
        }
        Ok(watching.session.write_buffer.len() > CHUNK)
    }

    /// Whatever was before the question has been taken in by now; the customer's side sends more when it knows.
    fn answer(&self, flags: u32, payload: &[u8]) -> Result<(), PictureError> {
        if flags & fence_flags::REQUEST == 0 {
            return Ok(());
        }
        let mut bytes = Vec::new();
        let answer = viewer_session::answer(flags, payload.to_vec());
        encode::client::message(&mut bytes, &answer, PointerFormat::Standard);
        self.input.try_send(bytes).map_err(|_| PictureError::Stuck)
    }

    /// Waits until something is so of the viewer that is watching, or nobody is.
    async fn until(&self, done: impl Fn(&ViewerSession) -> bool) {
        loop {
            // Before the look, so that nothing that happens after it is missed.
            let moved = self.moved.notified();
            if self
                .lock()
                .watching
                .as_ref()
                .is_none_or(|watching| done(&watching.session))
            {
                return;
            }
            moved.await;
        }
    }

    /// Waits while the viewer doesn't take what waits for it.
    async fn until_taken(&self) {
        self.until(|session| session.write_buffer.len() <= MAX_OUTGOING)
            .await;
    }
}

impl ViewerOutput<'_> {
    /// Waits for bytes, and exchanges the buffer, whose content has been sent, for them. For ever once another viewer
    /// has the place. Cancel safe.
    pub(crate) async fn next(&mut self, buffer: &mut Vec<u8>) {
        buffer.clear();
        buffer.shrink_to(KEEP);
        while buffer.is_empty() {
            let moved = self.hub.moved.notified();
            if let Some(watching) = &mut self.hub.lock().watching
                && watching.number == self.number
            {
                watching.session.write_buffer.take(buffer);
            }
            if buffer.is_empty() {
                moved.await;
            }
        }
        self.hub.moved.notify_waiters();
    }
}

impl ViewerGuard<'_> {
    /// Whether pointer events may come in the longer form now.
    pub(crate) fn extended_pointer(&self) -> bool {
        let shared = self.hub.lock();
        shared
            .watching
            .as_ref()
            .is_some_and(|watching| watching.session.extended_pointer())
    }

    /// Takes in what the viewer sent, and passes on what follows from it; waits while the viewer doesn't take the
    /// answers.
    ///
    /// # Errors
    /// The viewer can't go on.
    pub(crate) async fn take_in(&self, message: ClientMessage) -> Result<(), CannotResize> {
        let (actions, answered) = self.act(message)?;
        self.hub.moved.notify_waiters();
        if !actions.to_link.is_empty() {
            let _ = self.hub.input.send(actions.to_link).await;
        }
        if let Some(text) = actions.clipboard {
            let _ = self.hub.clipboard.send(text).await;
        }
        if answered {
            self.hub.until_taken().await;
        }
        Ok(())
    }

    /// What follows for the customer's side, and whether anything did for the viewer.
    fn act(&self, message: ClientMessage) -> Result<(Actions, bool), CannotResize> {
        let control = self.hub.controls();
        let mut shared = self.hub.lock();
        let Shared {
            remote_desktop: Some(remote_desktop),
            watching: Some(Watching {
                number, session, ..
            }),
            ..
        } = &mut *shared
        else {
            return Ok(Default::default());
        };
        if *number != self.number {
            return Ok(Default::default());
        }
        let before = session.write_buffer.len();
        let actions = session.on_client_message(message, remote_desktop, control)?;
        Ok((actions, session.write_buffer.len() > before))
    }
}

impl Drop for ViewerGuard<'_> {
    fn drop(&mut self) {
        let mut shared = self.hub.lock();
        if shared
            .watching
            .as_ref()
            .is_some_and(|watching| watching.number == self.number)
        {
            self.hub.dismiss(&mut shared, DisconnectReason::Replaced);
        }
    }
}

/// Reads the picture's blocks for a hub.
#[derive(Debug, Default)]
pub(crate) struct PictureReader {
    begun: Vec<u8>,
    parser: Option<PictureParser>,
}

impl PictureReader {
    /// Takes in one block of the link's picture stream and hands its content to the viewer, if there is
    /// one; waits while the viewer is slow, so that the link fills up and the customer's side sends less.
    ///
    /// # Errors
    /// The customer's side broke the protocol.
    pub(crate) async fn read_block(
        &mut self,
        hub: &ViewerHub,
        block: &[u8],
    ) -> Result<(), PictureError> {
        match &mut self.parser {
            Some(parser) => parser.push(block),
            None => self.begin(hub, block)?,
        }
        let Some(parser) = &mut self.parser else {
            return Ok(());
        };
        while let Some(message) = parser.next()? {
            if message == ServerMessage::UpdateStart {
                hub.until(|session| !session.must_pause_link()).await;
            }
            if hub.take_in(&message)? {
                hub.moved.notify_waiters();
                hub.until_taken().await;
            }
        }
        hub.moved.notify_waiters();
        Ok(())
    }

    /// The stream begins with a ServerInit.
    fn begin(&mut self, hub: &ViewerHub, block: &[u8]) -> Result<(), PictureError> {
        self.begun.extend_from_slice(block);
        let limits = Limits::default();
        let Some((init, length)) = read_init(&self.begun, &limits)? else {
            return Ok(());
        };
        let parser = ServerParser::new(limits, PixelFormat::BGRX, init.width, init.height);
        let mut parser = PictureParser::new(parser);
        parser.push(&self.begun[length..]);
        self.begun = Vec::new();
        self.parser = Some(parser);
        hub.lock().remote_desktop = Some(RemoteDesktop::new(init));
        hub.readiness.send_replace(Readiness::Ready);
        Ok(())
    }
}

/// A ServerInit and its length, once it is whole; only our own pixel format will do.
fn read_init(bytes: &[u8], limits: &Limits) -> Result<Option<(ServerInit, usize)>, PictureError> {
    let Some((head, rest)) = bytes.split_at_checked(INIT_LENGTH) else {
        return Ok(None);
    };
    let two = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let name_length = u32::from_be_bytes([head[20], head[21], head[22], head[23]]) as usize;
    let (width, height) = (two(0), two(2));
    if !limits.allows_size(width, height) || name_length > limits.max_name {
        return Err(PictureError::Init);
    }
    let Some(name) = rest.get(..name_length) else {
        return Ok(None);
    };
    let init = ServerInit {
        width,
        height,
        format: PixelFormat::BGRX,
        name: String::from_utf8_lossy(name)
            .chars()
            .filter(|character| !character.is_control())
            .collect(),
    };
    let mut ours = Vec::new();
    encode::server::server_init(&mut ours, &init);
    if ours[4..20] != head[4..20] {
        return Err(PictureError::Init);
    }
    Ok(Some((init, INIT_LENGTH + name_length)))
}
