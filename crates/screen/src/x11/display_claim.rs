//! The claim of a display: one process holds it at a time, and the others can send it a request.
//!
//! A claim is an X11 selection without contents (ICCCM 2.8, manager selections). The server gives
//! it back when its holder's connection ends, however that ends. It belongs to the whole display,
//! whatever name a process calls the display by.

use std::time::{Duration, Instant};

use x11rb::NONE;
use x11rb::connection::Connection as _;
use x11rb::protocol::Event;
use x11rb::protocol::res::{ClientIdMask, ClientIdSpec, ConnectionExt as _};
use x11rb::protocol::xproto::{
    Atom, CLIENT_MESSAGE_EVENT, ClientMessageData, ClientMessageEvent, ConnectionExt as _,
    CreateWindowAux, EventMask, Window, WindowClass,
};
use x11rb::wrapper::ConnectionExt as _;

use super::connection::Connection;
use crate::cancel::CancelToken;
use crate::error::ScreenError;

/// Type of the messages between a claim's holder and those who ask it.
const MESSAGE: &[u8] = b"_ETATUKI_CLAIM";
/// Second word of an answer, so that no answer is taken for a request.
const ANSWER: u32 = 2;
/// First word of a request.
const REQUEST: u32 = 1;
/// Longest name of a subject that is read, in bytes.
const MAX_SUBJECT: usize = 64;
/// Pause between two looks at the answer.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Requests that are kept between two calls of [`DisplayClaim::requests`]. Further ones are dropped:
/// their senders run into their time-outs.
const MAX_REQUESTS: usize = 16;

/// The claim of a display. Dropping it gives it back.
#[derive(Debug)]
pub struct DisplayClaim(Peer);

/// The process that holds a claim, as another one sees it.
#[derive(Debug)]
pub struct ClaimHolder {
    peer: Peer,
    window: Window,
}

/// The outcome of [`DisplayClaim::acquire`].
#[derive(Debug)]
pub enum Acquired {
    /// The claim is ours.
    Held(DisplayClaim),
    /// Another process holds it.
    Other(ClaimHolder),
}

/// A request to the holder of a claim. What kind and answer mean is up to both ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRequest {
    /// The kind of request.
    pub kind: u32,
    /// The subject of the request, such as a backend's id; may be empty.
    pub subject: String,
    /// The sender's window.
    sender: Window,
}

/// One end of a conversation about a claim.
#[derive(Debug)]
struct Peer {
    connection: Connection,
    window: Window,
    selection: Atom,
    message: Atom,
}

impl DisplayClaim {
    /// Takes the claim called `name` on `display` (`$DISPLAY` when `None`), unless it is held.
    ///
    /// # Errors
    /// The display doesn't answer.
    pub fn acquire(
        display: Option<&str>,
        name: &str,
        cancel: &CancelToken,
    ) -> Result<Acquired, ScreenError> {
        let peer = Peer::open(display, name, cancel)?;
        // Between the question for the owner and our claim nobody else may take it.
        peer.connection.grab_server()?;
        let owner = peer.owner()?;
        if owner == NONE {
            let server = &peer.connection.server;
            server.set_selection_owner(peer.window, peer.selection, x11rb::CURRENT_TIME)?;
        }
        peer.connection.ungrab_server()?;
        if owner != NONE {
            return Ok(Acquired::Other(ClaimHolder {
                peer,
                window: owner,
            }));
        }
        peer.connection.server.sync()?;
        Ok(Acquired::Held(Self(peer)))
    }

    /// Returns the requests that have come since the last call.
    ///
    /// # Errors
    /// The claim is lost: another program took it, or the display is gone.
    pub fn requests(&self) -> Result<Vec<ClaimRequest>, ScreenError> {
        let mut requests = Vec::new();
        while let Some(event) = self.0.connection.server.poll_for_event()? {
            match event {
                Event::SelectionClear(event) if event.selection == self.0.selection => {
                    return Err(ScreenError::Lost("another program claimed it".into()));
                }
                Event::ClientMessage(event) if requests.len() < MAX_REQUESTS => {
                    requests.extend(self.0.request(&event)?);
                }
                _ => {}
            }
        }
        Ok(requests)
    }

    /// Answers a request. A sender that is gone is no error.
    ///
    /// # Errors
    /// The display is gone.
    pub fn answer(&self, request: &ClaimRequest, answer: u32) -> Result<(), ScreenError> {
        self.0.send(request.sender, [ANSWER, answer, 0, 0, 0])
    }
}

impl ClaimHolder {
    /// Sends a request and returns the answer. `None` if the holder gives none within `timeout`, or
    /// gives the claim back meanwhile: [`is_gone`](Self::is_gone) tells which.
    ///
    /// # Errors
    /// The display doesn't answer.
    pub fn ask(
        &self,
        kind: u32,
        subject: &str,
        timeout: Duration,
    ) -> Result<Option<u32>, ScreenError> {
        let server = &self.peer.connection.server;
        let subject = match subject {
            "" => NONE,
            name => server.intern_atom(false, name.as_bytes())?.reply()?.atom,
        };
        let sender = self.peer.window;
        self.peer
            .send(self.window, [REQUEST, kind, subject, sender, 0])?;
        let mut answer = None;
        self.wait(timeout, || {
            while let Some(event) = server.poll_for_event()? {
                if let Event::ClientMessage(event) = event {
                    answer = answer.or(self.peer.answer(&event));
                }
            }
            Ok(answer.is_some() || self.is_gone()?)
        })?;
        Ok(answer)
    }

    /// Waits until the holder has given the claim back, for `timeout` at most; returns whether it
    /// has.
    ///
    /// # Errors
    /// The display doesn't answer.
    pub fn wait_until_gone(&self, timeout: Duration) -> Result<bool, ScreenError> {
        self.wait(timeout, || self.is_gone())
    }

    /// Returns whether this process doesn't hold the claim any more.
    ///
    /// # Errors
    /// The display doesn't answer.
    pub fn is_gone(&self) -> Result<bool, ScreenError> {
        Ok(self.peer.owner()? != self.window)
    }

    /// Returns the process that holds the claim, as the display server knows it; `None` if it is on
    /// another machine.
    ///
    /// # Errors
    /// The display doesn't answer, or has no X-Resource extension 1.2.
    pub fn process(&self) -> Result<Option<u32>, ScreenError> {
        let mask = ClientIdMask::LOCAL_CLIENT_PID;
        let spec = ClientIdSpec {
            client: self.window,
            mask,
        };
        let server = &self.peer.connection.server;
        let reply = server.res_query_client_ids(&[spec])?.reply()?;
        let mut processes = reply.ids.iter().filter(|id| id.spec.mask == mask);
        Ok(processes.find_map(|id| id.value.first().copied()))
    }

    fn wait(
        &self,
        timeout: Duration,
        mut is_done: impl FnMut() -> Result<bool, ScreenError>,
    ) -> Result<bool, ScreenError> {
        let end = Instant::now() + timeout;
        loop {
            if is_done()? {
                return Ok(true);
            }
            if Instant::now() > end {
                return Ok(false);
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }
}

impl Peer {
    fn open(display: Option<&str>, name: &str, cancel: &CancelToken) -> Result<Self, ScreenError> {
        let connection = Connection::open(display, cancel)?;
        let server = &connection.server;
        let selection = server.intern_atom(false, name.as_bytes())?;
        let message = server.intern_atom(false, MESSAGE)?;
        let (selection, message) = (selection.reply()?.atom, message.reply()?.atom);
        let window = server.generate_id()?;
        let root = connection.screen().root;
        let (class, attributes) = (WindowClass::INPUT_ONLY, CreateWindowAux::new());
        server.create_window(0, window, root, 0, 0, 1, 1, 0, class, 0, &attributes)?;
        Ok(Self {
            connection,
            window,
            selection,
            message,
        })
    }

    fn owner(&self) -> Result<Window, ScreenError> {
        let server = &self.connection.server;
        Ok(server.get_selection_owner(self.selection)?.reply()?.owner)
    }

    fn send(&self, to: Window, words: [u32; 5]) -> Result<(), ScreenError> {
        let event = ClientMessageEvent {
            response_type: CLIENT_MESSAGE_EVENT,
            format: 32,
            sequence: 0,
            window: to,
            type_: self.message,
            data: ClientMessageData::from(words),
        };
        let server = &self.connection.server;
        server.send_event(false, to, EventMask::NO_EVENT, event)?;
        server.flush()?;
        Ok(())
    }

    /// Returns the request in a message, if it is one.
    fn request(&self, event: &ClientMessageEvent) -> Result<Option<ClaimRequest>, ScreenError> {
        let [REQUEST, kind, subject, sender, _] = self.words(event) else {
            return Ok(None);
        };
        let subject = match subject {
            NONE => String::new(),
            atom => match self.connection.server.get_atom_name(atom)?.reply() {
                Ok(reply) if reply.name.len() <= MAX_SUBJECT => {
                    String::from_utf8_lossy(&reply.name).into_owned()
                }
                Ok(_) | Err(x11rb::errors::ReplyError::X11Error(_)) => return Ok(None),
                Err(error) => return Err(error.into()),
            },
        };
        Ok(Some(ClaimRequest {
            kind,
            subject,
            sender,
        }))
    }

    /// Returns the answer in a message, if it is one.
    fn answer(&self, event: &ClientMessageEvent) -> Option<u32> {
        match self.words(event) {
            [ANSWER, answer, ..] => Some(answer),
            _ => None,
        }
    }

    /// Returns the words of a message of ours; zeros of any other.
    fn words(&self, event: &ClientMessageEvent) -> [u32; 5] {
        if event.type_ == self.message && event.format == 32 {
            event.data.as_data32()
        } else {
            [0; 5]
        }
    }
}
