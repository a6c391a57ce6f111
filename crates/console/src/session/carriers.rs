//! The tasks that carry the link's data streams: picture, input, clipboard in both directions, and
//! the counters. Each ends silently when its stream ends: the control stream reports how the link
//! ended.

use std::sync::Arc;

use etatuki_link::{
    ClipboardIn, ClipboardOut, InputOut, LinkConnection, LinkError, LinkStats, PictureIn,
};
use etatuki_protocol::{ClipboardText, CodecError, InputMessage};
use etatuki_viewer::LostCharacters;
use tokio::{
    sync::{Notify, mpsc},
    task::JoinSet,
};

use super::{ClipboardTo, SessionEvent, traffic::report_traffic};
use crate::viewer::{
    DesktopMetadata, PictureReadError, PictureReader, Readiness, ToLink, ViewerHub,
};

/// The link's streams but for the control stream.
pub(super) struct DataStreams {
    pub(super) picture_in: PictureIn,
    pub(super) input_out: InputOut,
    pub(super) clipboard_out: ClipboardOut,
    pub(super) clipboard_in: ClipboardIn,
    pub(super) connection: LinkConnection,
    /// Bytes over earlier connections of this link.
    pub(super) earlier: LinkStats,
    /// Notified at each heartbeat of the customer's end.
    pub(super) heartbeats: Arc<Notify>,
}

/// Spawns the carriers; dropping the set ends them. Only the picture's carrier can fail.
pub(super) fn spawn_carriers(
    hub: &Arc<ViewerHub>,
    to_link: ToLink,
    streams: DataStreams,
    clipboard: ClipboardTo,
    events: &mpsc::Sender<SessionEvent>,
) -> JoinSet<Result<(), PictureReadError>> {
    let ToLink {
        input,
        clipboard: clipboard_texts,
    } = to_link;
    let mut carriers = JoinSet::new();
    carriers.spawn(carry_picture(
        Arc::clone(hub),
        streams.picture_in,
        events.clone(),
    ));
    carriers.spawn(carry_input(input, streams.input_out));
    carriers.spawn(carry_clipboard_out(clipboard_texts, streams.clipboard_out));
    carriers.spawn(carry_clipboard_in(
        Arc::clone(hub),
        streams.clipboard_in,
        clipboard,
        events.clone(),
    ));
    let reports = report_traffic(
        streams.connection,
        streams.earlier,
        streams.heartbeats,
        events.clone(),
    );
    carriers.spawn(async {
        reports.await;
        Ok(())
    });
    carriers
}

async fn carry_picture(
    hub: Arc<ViewerHub>,
    mut picture: PictureIn,
    events: mpsc::Sender<SessionEvent>,
) -> Result<(), PictureReadError> {
    let mut reader = PictureReader::default();
    let mut announced = false;
    let mut reported = DesktopMetadata::default();
    while let Ok(Some(block)) = picture.recv().await {
        reader.read_block(&hub, &block).await?;
        if !announced && *hub.readiness().borrow() == Readiness::Ready {
            announced = true;
            let _ = events.send(SessionEvent::Picture).await;
        }
        report_metadata(hub.metadata(), &mut reported, &events).await;
    }
    Ok(())
}

/// Reports the metadata that differ from the ones reported last.
async fn report_metadata(
    current: DesktopMetadata,
    reported: &mut DesktopMetadata,
    events: &mpsc::Sender<SessionEvent>,
) {
    if current == *reported {
        return;
    }
    let previous = std::mem::replace(reported, current.clone());
    if let Some((size, screens)) = current
        .desktop
        .filter(|_| previous.desktop != reported.desktop)
    {
        let _ = events.send(SessionEvent::Desktop { size, screens }).await;
    }
    if let Some((x, y)) = current
        .pointer
        .filter(|_| previous.pointer != reported.pointer)
    {
        let _ = events.send(SessionEvent::Pointer(x, y)).await;
    }
}

/// Carries input; chunks that have queued up are sent as one.
async fn carry_input(
    mut input: mpsc::Receiver<InputMessage>,
    mut link: InputOut,
) -> Result<(), PictureReadError> {
    while let Some(message) = input.recv().await {
        if send_input(message, &mut input, &mut link).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// Sends a message, and with it those that have queued up.
async fn send_input(
    first: InputMessage,
    input: &mut mpsc::Receiver<InputMessage>,
    link: &mut InputOut,
) -> Result<(), LinkError> {
    let mut next = Some(first);
    let mut bytes = Vec::new();
    while let Some(message) = next {
        match message {
            InputMessage::Rfb(more) => bytes.extend_from_slice(&more),
            InputMessage::ClipboardMark(number) => {
                link.send(&std::mem::take(&mut bytes)).await?;
                link.mark_clipboard(number).await?;
            }
        }
        next = input.try_recv().ok();
    }
    link.send(&bytes).await
}

async fn carry_clipboard_out(
    mut texts: mpsc::Receiver<ClipboardText>,
    mut link: ClipboardOut,
) -> Result<(), PictureReadError> {
    while let Some(ClipboardText { number, text }) = texts.recv().await {
        match link.send_numbered(number, &text).await {
            Ok(()) | Err(LinkError::Codec(CodecError::TooLarge { .. })) => {}
            Err(_) => break,
        }
    }
    Ok(())
}

/// Hands the customer's clipboard on while the agent has control, and at no other time: a viewer
/// makes it the agent's own clipboard at once, and nobody else's machine may write that.
async fn carry_clipboard_in(
    hub: Arc<ViewerHub>,
    mut link: ClipboardIn,
    receiver: ClipboardTo,
    events: mpsc::Sender<SessionEvent>,
) -> Result<(), PictureReadError> {
    // A text that came without control waits for it: the permission travels in another stream.
    let mut held: Option<String> = None;
    loop {
        let text = tokio::select! {
            biased; // a newer text takes the place of the one that is held
            received = link.recv() => match received {
                Ok(Some(ClipboardText { text, .. })) => text,
                _ => return Ok(()),
            },
            () = hub.control_granted(), if held.is_some() => held.take().unwrap_or_default(),
        };
        held = None;
        match receiver {
            // The offer was taken back with control.
            ClipboardTo::Viewer if text.is_empty() && !hub.is_controlled() => {}
            _ if !text.is_empty() && !hub.is_controlled() => held = Some(text),
            ClipboardTo::Viewer => {
                let LostCharacters(lost) = hub.show_clipboard(&text).await;
                if lost > 0 {
                    drop(events.send(SessionEvent::ClipboardLoss(lost)).await);
                }
            }
            ClipboardTo::Page => drop(events.send(SessionEvent::Clipboard(text)).await),
        }
    }
}
