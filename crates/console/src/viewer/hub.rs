//! The hub between a session's link and its viewers: the customer's screen but for its pixels, the
//! session of the one attached viewer, and the queues to the link.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use etatuki_protocol::{ClipboardText, InputMessage, MAX_CLIPBOARD};
use etatuki_rfb::{
    PixelFormat, PointerFormat, Rect, ServerInit, ServerMessage,
    encode::{self, fence_flags},
};
use etatuki_viewer::{
    Control, LostCharacters, PointerReports, RemoteDesktop, ViewerSession, fence_reply,
};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::{
    guard::{AttachedViewer, ViewerGuard, ViewerOutput},
    picture_reader::PictureReadError,
};

/// Chunks of input that may wait for the link.
const INPUT_QUEUE: usize = 256;
/// Clipboard texts that may wait for the link.
const CLIPBOARD_QUEUE: usize = 4;
/// Bytes that may wait for the viewer before the link is paused: few, since waiting pixels are old.
const MAX_OUTPUT: usize = 4 << 20;
/// Output, in bytes, after which the viewer's task is woken before the whole block is parsed.
const WAKE_BYTES: usize = 128 << 10;

/// The readiness of a session for viewers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// The screen's size isn't known yet.
    Waiting,
    /// A viewer can be attached.
    Ready,
    /// The session is over.
    Over,
}

/// Facts about the desktop that the page shows around the picture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DesktopMetadata {
    /// Columns and rows, and the screens from left to right.
    pub(crate) desktop: Option<((u16, u16), Vec<Rect>)>,
    /// The column and row to which the customer moved the pointer last.
    pub(crate) pointer: Option<(u16, u16)>,
}

/// The reason for which a viewer is detached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DisconnectReason {
    /// Another viewer replaced it.
    Replaced,
    /// The session is over.
    Over,
    /// It can't follow the screen's new size.
    CannotResize,
}

/// The receiving ends of the queues to the link.
#[derive(Debug)]
pub(crate) struct ToLink {
    /// Whole client messages for the input stream, and the marks of the texts among them.
    pub(crate) input: mpsc::Receiver<InputMessage>,
    /// Texts for the clipboard stream.
    pub(crate) clipboard: mpsc::Receiver<ClipboardText>,
}

/// The hub of one session; at most one viewer is attached at a time.
#[derive(Debug)]
pub(crate) struct ViewerHub {
    state: Mutex<HubState>,
    readiness: watch::Sender<Readiness>,
    /// Whether the customer allows control.
    control: watch::Sender<Control>,
    /// Whether viewers that attach get [`PointerReports::Always`].
    report_pointer_always: AtomicBool,
    /// Notified when there is output for the viewer, and when the viewer has taken output, sent a
    /// message or detached.
    pub(super) changed: Notify,
}

#[derive(Debug, Default)]
pub(super) struct HubState {
    pub(super) desktop: Option<RemoteDesktop>,
    pub(super) attached: Option<Attached>,
    last_id: u64,
    /// The queues to the link; `None` while it is interrupted.
    link: Option<LinkQueues>,
}

/// The queues to one link.
#[derive(Clone, Debug)]
struct LinkQueues {
    input: mpsc::Sender<InputMessage>,
    clipboard: mpsc::Sender<ClipboardText>,
    /// Number of the last text for the customer's clipboard.
    last_text: u32,
}

/// The attached viewer.
#[derive(Debug)]
pub(super) struct Attached {
    id: u64,
    pub(super) session: ViewerSession,
    disconnect: oneshot::Sender<DisconnectReason>,
}

impl HubState {
    /// Returns the viewer with this id, unless it has been detached.
    pub(super) fn viewer(&mut self, id: u64) -> Option<&mut ViewerSession> {
        self.viewer_and_desktop(id).map(|(session, _)| session)
    }

    /// Returns the viewer with this id, unless it has been detached, and the desktop.
    pub(super) fn viewer_and_desktop(
        &mut self,
        id: u64,
    ) -> Option<(&mut ViewerSession, &RemoteDesktop)> {
        let attached = self
            .attached
            .as_mut()
            .filter(|attached| attached.id == id)?;
        Some((&mut attached.session, self.desktop.as_ref()?))
    }

    /// Sends messages to the customer's side, unless the link is interrupted or takes none.
    fn send_input(&self, messages: Vec<u8>) {
        let _ = self.try_send_input(messages);
    }

    /// As [`send_input`](Self::send_input).
    ///
    /// # Errors
    /// The customer's side takes no input.
    fn try_send_input(&self, messages: Vec<u8>) -> Result<(), PictureReadError> {
        match &self.link {
            Some(link) if !messages.is_empty() => link
                .input
                .try_send(InputMessage::Rfb(messages))
                .map_err(|_| PictureReadError::InputBlocked),
            _ => Ok(()),
        }
    }

    /// Replies to a fence: everything before it has been handled, so the customer's side sends
    /// more.
    fn reply_to_fence(&self, flags: u32, payload: &[u8]) -> Result<(), PictureReadError> {
        if flags & fence_flags::REQUEST == 0 {
            return Ok(());
        }
        let mut bytes = Vec::new();
        let reply = fence_reply(flags, payload.to_vec());
        encode::client::message(&mut bytes, &reply, PointerFormat::Standard);
        self.try_send_input(bytes)
    }
}

impl ViewerHub {
    /// Creates a hub that waits for the link's first bytes.
    pub(crate) fn new() -> (Self, ToLink) {
        let hub = Self {
            state: Mutex::default(),
            readiness: watch::Sender::new(Readiness::Waiting),
            control: watch::Sender::new(Control::Denied),
            report_pointer_always: AtomicBool::new(false),
            changed: Notify::new(),
        };
        let to_link = hub.open_link();
        (hub, to_link)
    }

    /// Opens the queues to a new link. The numbers of texts begin anew.
    pub(crate) fn open_link(&self) -> ToLink {
        let (input, input_end) = mpsc::channel(INPUT_QUEUE);
        let (clipboard, clipboard_end) = mpsc::channel(CLIPBOARD_QUEUE);
        self.lock().link = Some(LinkQueues {
            input,
            clipboard,
            last_text: 0,
        });
        ToLink {
            input: input_end,
            clipboard: clipboard_end,
        }
    }

    /// Handles an interruption of the link: there is no control, and what waits for the link or
    /// comes from now on is dropped. The viewer stays attached.
    pub(crate) fn interrupt(&self) {
        self.control.send_replace(Control::Denied);
        let mut state = self.lock();
        state.link = None;
        if let Some(attached) = &mut state.attached {
            attached.session.on_link_interrupted();
        }
        self.changed.notify_waiters();
    }

    /// Returns a receiver of the readiness, now and after each change.
    pub(crate) fn readiness(&self) -> watch::Receiver<Readiness> {
        self.readiness.subscribe()
    }

    /// Ends the session: the viewer is detached, and no other can be attached.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        self.readiness.send_replace(Readiness::Over);
        self.detach(&mut state, DisconnectReason::Over);
    }

    /// Sets whether the customer allows control.
    pub(crate) fn set_control(&self, control: bool) {
        self.control.send_replace(if control {
            Control::Granted
        } else {
            Control::Denied
        });
        if !control && let Some(attached) = &mut self.lock().attached {
            attached.session.on_control_revoked();
            self.changed.notify_waiters();
        }
    }

    /// Requests the pointer's position for all viewers that attach from now on: the page shows it.
    pub(crate) fn report_pointer_always(&self) {
        self.report_pointer_always.store(true, Ordering::Relaxed);
    }

    /// Returns the metadata that have arrived.
    pub(crate) fn metadata(&self) -> DesktopMetadata {
        let state = self.lock();
        let desktop = state.desktop.as_ref();
        DesktopMetadata {
            desktop: desktop.map(|desktop| (desktop.size, desktop.screens())),
            pointer: desktop.and_then(|desktop| desktop.pointer),
        }
    }

    /// Sends a text to the customer's clipboard; input that is sent later arrives after it. Returns
    /// false without control, if the text is too long, or if a queue is full.
    pub(crate) fn send_clipboard(&self, text: String) -> bool {
        let fits = self.control() == Control::Granted && text.len() <= MAX_CLIPBOARD;
        let Some(link) = self.link().filter(|_| fits) else {
            return false;
        };
        match (link.input.try_reserve(), link.clipboard.try_reserve()) {
            (Ok(mark), Ok(place)) => {
                self.number_text(text, mark, place);
                true
            }
            _ => false,
        }
    }

    fn link(&self) -> Option<LinkQueues> {
        self.lock().link.clone()
    }

    /// As [`send_clipboard`](Self::send_clipboard), for a viewer that has control. Waits for a place
    /// in the queues.
    pub(super) async fn forward_clipboard(&self, text: String) {
        let Some(link) = self.link().filter(|_| text.len() <= MAX_CLIPBOARD) else {
            return;
        };
        if let (Ok(mark), Ok(place)) = (link.input.reserve().await, link.clipboard.reserve().await)
        {
            self.number_text(text, mark, place);
        }
    }

    /// Forwards a viewer's input. Waits for a place in the queue.
    pub(super) async fn forward_input(&self, bytes: Vec<u8>) {
        if let Some(link) = self.link() {
            let _ = link.input.send(InputMessage::Rfb(bytes)).await;
        }
    }

    /// Puts a text and its mark into their queues, under the next number.
    fn number_text(
        &self,
        text: String,
        mark: mpsc::Permit<'_, InputMessage>,
        place: mpsc::Permit<'_, ClipboardText>,
    ) {
        let mut state = self.lock();
        let Some(link) = &mut state.link else { return };
        link.last_text += 1;
        let number = link.last_text;
        place.send(ClipboardText { number, text });
        mark.send(InputMessage::ClipboardMark(number));
    }

    /// Waits until the customer allows control. Cancel safe.
    pub(crate) async fn control_granted(&self) {
        let mut control = self.control.subscribe();
        // An error would mean that the hub is gone, and so is whoever waits.
        let _ = control.wait_for(|now| *now == Control::Granted).await;
    }

    /// Returns whether a viewer is attached that has requested a picture.
    pub(super) fn is_listened_to(&self) -> bool {
        let state = self.lock();
        let attached = state.attached.as_ref();
        attached.is_some_and(|attached| attached.session.is_listening())
    }

    /// Sends a text of the customer's clipboard to the viewer, once the viewer has taken earlier
    /// output. An empty one says that the customer copied something else.
    pub(crate) async fn show_clipboard(&self, text: &str) -> LostCharacters {
        self.wait_for_drain().await;
        let mut lost = LostCharacters::default();
        if let Some(attached) = &mut self.lock().attached {
            lost = attached.session.send_clipboard(text);
        }
        self.changed.notify_waiters();
        lost
    }

    /// Attaches a viewer that is past its handshake, in place of an attached one. Returns `None`
    /// when the session is over or the screen isn't known yet.
    pub(crate) fn attach_viewer(&self) -> Option<AttachedViewer<'_>> {
        let mut state = self.lock();
        self.detach(&mut state, DisconnectReason::Replaced);
        let desktop = state
            .desktop
            .as_ref()
            .filter(|_| *self.readiness.borrow() == Readiness::Ready)?;
        let (width, height) = desktop.size;
        let init = ServerInit {
            width,
            height,
            format: PixelFormat::BGRX,
            name: desktop.name.clone(),
        };
        let pointer_reports = if self.report_pointer_always.load(Ordering::Relaxed) {
            PointerReports::Always
        } else {
            PointerReports::IfAnnounced
        };
        let (disconnect, disconnected) = oneshot::channel();
        state.last_id += 1;
        let id = state.last_id;
        state.attached = Some(Attached {
            id,
            session: ViewerSession::new((width, height), pointer_reports),
            disconnect,
        });
        Some(AttachedViewer {
            guard: ViewerGuard { hub: self, id },
            init,
            output: ViewerOutput { hub: self, id },
            disconnected,
        })
    }

    /// Sets the desktop from the link's first message. Viewers can be attached from now on.
    ///
    /// A viewer that is attached from before an interruption goes on with this desktop.
    pub(super) fn set_desktop(&self, desktop: RemoteDesktop) {
        let mut state = self.lock();
        let attached = state.attached.as_mut();
        match attached.map(|attached| attached.session.on_link_resumed(&desktop)) {
            Some(Ok(messages)) => state.send_input(messages),
            Some(Err(_)) => self.detach(&mut state, DisconnectReason::CannotResize),
            None => {}
        }
        state.desktop = Some(desktop);
        self.readiness.send_replace(Readiness::Ready);
        self.changed.notify_waiters();
    }

    /// Returns whether the customer allows control.
    pub(crate) fn is_controlled(&self) -> bool {
        self.control() == Control::Granted
    }

    pub(super) fn control(&self) -> Control {
        *self.control.borrow()
    }

    /// Locks the state. It stays usable after a panic elsewhere, which can't leave it half changed
    /// in a way that matters.
    pub(super) fn lock(&self) -> MutexGuard<'_, HubState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Detaches the viewer with this id, if it is still attached.
    pub(super) fn detach_by_id(&self, id: u64) {
        let mut state = self.lock();
        if state.viewer(id).is_some() {
            self.detach(&mut state, DisconnectReason::Replaced);
        }
    }

    /// Detaches the viewer, if there is one, and sends the customer's side its last messages.
    fn detach(&self, state: &mut HubState, reason: DisconnectReason) {
        let Some(attached) = state.attached.take() else {
            return;
        };
        let _ = attached.disconnect.send(reason);
        self.changed.notify_waiters();
        // A full queue means that the link is broken.
        state.send_input(attached.session.detach(self.control()));
    }

    /// Handles a message of the customer's side. Returns whether the viewer's connection should be
    /// woken for its output.
    pub(super) fn on_server_message(
        &self,
        message: &ServerMessage,
    ) -> Result<bool, PictureReadError> {
        let mut state = self.lock();
        let desktop = state.desktop.as_mut().ok_or(PictureReadError::Init)?;
        desktop.update(message);
        if let ServerMessage::Fence { flags, payload } = message {
            return state.reply_to_fence(*flags, payload).map(|()| false);
        }
        let Some(attached) = &mut state.attached else {
            return Ok(false);
        };
        let Ok(actions) = attached.session.on_server_message(message) else {
            self.detach(&mut state, DisconnectReason::CannotResize);
            return Ok(false);
        };
        let wakes = attached.session.output_len() > WAKE_BYTES;
        state.try_send_input(actions.to_link)?;
        Ok(wakes)
    }

    /// Waits until a condition holds for the attached viewer, or none is attached. Cancel safe.
    pub(super) async fn wait_until(&self, condition: impl Fn(&ViewerSession) -> bool) {
        loop {
            // Registered before the condition is checked, so that no change in between is missed.
            let changed = self.changed.notified();
            if self
                .lock()
                .attached
                .as_ref()
                .is_none_or(|attached| condition(&attached.session))
            {
                return;
            }
            changed.await;
        }
    }

    /// Waits while too much output waits for the viewer. Cancel safe.
    pub(super) async fn wait_for_drain(&self) {
        self.wait_until(|session| session.output_len() <= MAX_OUTPUT)
            .await;
    }
}
