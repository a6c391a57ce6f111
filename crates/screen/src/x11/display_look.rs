//! A look at the display, once a second: is it blanked, locked or in the background, was something
//! drawn, and does the program that has the keyboard answer?
//!
//! A program is pinged (EWMH, `_NET_WM_PING`) only while somebody types or points: nobody waits for
//! one that is left alone. Its pong goes to the root window, whose events are selected just as long
//! as a pong is due.

use std::time::{Duration, Instant};

use x11rb::connection::Connection as _;
use x11rb::protocol::Event;
use x11rb::protocol::damage::{ConnectionExt as _, Damage, ReportLevel};
use x11rb::protocol::dpms::{ConnectionExt as _, DPMSMode};
use x11rb::protocol::screensaver::{ConnectionExt as _, State as SaverState};
use x11rb::protocol::xproto::{
    Atom, AtomEnum, CLIENT_MESSAGE_EVENT, ChangeWindowAttributesAux, ClientMessageData,
    ClientMessageEvent, ConnectionExt as _, CreateWindowAux, EventMask, GetPropertyReply, PropMode,
    Window, WindowClass,
};
use x11rb::wrapper::ConnectionExt as _;
use x11rb::{COPY_DEPTH_FROM_PARENT, COPY_FROM_PARENT, NONE};

use super::connection::Connection;
use crate::cancel::CancelToken;
use crate::error::ScreenError;

x11rb::atom_manager! {
    Atoms: AtomsCookie {
        WM_PROTOCOLS,
        _NET_WM_PING,
        _NET_ACTIVE_WINDOW,
        _SCREENSAVER_STATUS,
        LOCK,
        XFree86_has_VT,
    }
}

/// Age of the last key or click up to which the program that has the keyboard is pinged.
const PING_AFTER_INPUT: Duration = Duration::from_millis(1500);
/// Time between two looks from which on this process, or the X server, must have stood still: a
/// pong that is due says nothing then.
const STOOD_STILL: Duration = Duration::from_secs(3);
/// Windows from the one with the focus up to the one that speaks `WM_PROTOCOLS`.
const MAX_DEPTH: usize = 8;

/// State of the display as one look saw it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DisplayState {
    /// The monitor is off (DPMS), or the X server has blanked the screen.
    pub blanked: bool,
    /// A locker has said that the screen is locked. Most lockers say so only to logind.
    pub locked: bool,
    /// The X server isn't on the virtual terminal in front: another session is.
    pub in_background: bool,
    /// Something was drawn since the last look.
    pub drawn: bool,
    /// Time for which a ping hasn't been answered.
    pub ping_unanswered: Option<Duration>,
}

/// Looks at a display, over a connection of its own.
#[derive(Debug)]
pub struct DisplayLook {
    connection: Connection,
    atoms: Atoms,
    /// Own window, whose property tells the X server's time.
    clock: Window,
    has_dpms: bool,
    has_screensaver: bool,
    /// `None` without the extension: everything counts as drawn then.
    damage: Option<Damage>,
    /// Something was drawn since the last look.
    drawn: bool,
    /// The X server's time, from the last change of the clock's property.
    server_time: u32,
    ping: Option<Ping>,
    looked_at: Instant,
}

/// A ping that is not answered.
#[derive(Clone, Copy, Debug)]
struct Ping {
    window: Window,
    time: u32,
    sent_at: Instant,
}

/// The server's answers to one look.
#[derive(Clone, Copy, Debug, Default)]
struct Answers {
    blanked: bool,
    locked: bool,
    in_background: bool,
    /// Time since the last key or click.
    idle: Duration,
}

impl DisplayLook {
    /// Connects to `display` (`$DISPLAY` when `None`).
    ///
    /// # Errors
    /// There is no such display, or it went away.
    pub fn open(display: Option<&str>, cancel: &CancelToken) -> Result<Self, ScreenError> {
        let connection = Connection::open(display, cancel)?;
        let server = &connection.server;
        let atoms = Atoms::new(server)?.reply()?;
        let has_dpms = connection.has_extension("DPMS")?
            && server.dpms_get_version(1, 1)?.reply().is_ok()
            && server
                .dpms_capable()?
                .reply()
                .is_ok_and(|reply| reply.capable);
        let has_screensaver = connection.has_extension("MIT-SCREEN-SAVER")?
            && server.screensaver_query_version(1, 1)?.reply().is_ok();
        let root = connection.screen().root;
        let damage = match connection.has_extension("DAMAGE")?
            && server.damage_query_version(1, 1)?.reply().is_ok()
        {
            true => {
                let damage = server.generate_id()?;
                server.damage_create(damage, root, ReportLevel::NON_EMPTY)?;
                Some(damage)
            }
            false => None,
        };
        let clock = server.generate_id()?;
        let aux = CreateWindowAux::new().event_mask(EventMask::PROPERTY_CHANGE);
        let (class, visual) = (WindowClass::INPUT_ONLY, COPY_FROM_PARENT);
        let depth = COPY_DEPTH_FROM_PARENT;
        server.create_window(depth, clock, root, -1, -1, 1, 1, 0, class, visual, &aux)?;
        server.sync()?;
        Ok(Self {
            connection,
            atoms,
            clock,
            has_dpms,
            has_screensaver,
            damage,
            drawn: false,
            server_time: x11rb::CURRENT_TIME,
            ping: None,
            looked_at: Instant::now(),
        })
    }

    /// Looks. To be called once a second.
    ///
    /// # Errors
    /// The display went away, or the token was cancelled.
    pub fn look(&mut self) -> Result<DisplayState, ScreenError> {
        let now = Instant::now();
        if now.duration_since(self.looked_at) > STOOD_STILL {
            self.forget_ping()?;
        }
        let asked = self.ask()?;
        let state = DisplayState {
            blanked: asked.blanked,
            locked: asked.locked,
            in_background: asked.in_background,
            drawn: self.take_drawn()?,
            ping_unanswered: None,
        };
        self.follow_focus(asked.idle)?;
        self.looked_at = Instant::now();
        Ok(DisplayState {
            ping_unanswered: self.ping.map(|ping| ping.sent_at.elapsed()),
            ..state
        })
    }

    /// Asks the server for everything at once, so that one wait is enough.
    fn ask(&self) -> Result<Answers, ScreenError> {
        let (server, root) = (&self.connection.server, self.connection.screen().root);
        let (status, terminal) = (self.atoms._SCREENSAVER_STATUS, self.atoms.XFree86_has_VT);
        let saver = match self.has_screensaver {
            true => Some(server.screensaver_query_info(root)?),
            false => None,
        };
        let monitor = match self.has_dpms {
            true => Some(server.dpms_info()?),
            false => None,
        };
        let status = server.get_property(false, root, status, AtomEnum::ANY, 0, 1)?;
        let terminal = server.get_property(false, root, terminal, AtomEnum::ANY, 0, 1)?;
        let mut answers = Answers {
            idle: Duration::MAX,
            ..Answers::default()
        };
        if let Some(saver) = saver {
            let saver = saver.reply()?;
            answers.blanked = saver.state == u8::from(SaverState::ON);
            answers.idle = Duration::from_millis(saver.ms_since_user_input.into());
        }
        if let Some(monitor) = monitor {
            let monitor = monitor.reply()?;
            answers.blanked |= monitor.state && monitor.power_level != DPMSMode::ON;
        }
        answers.locked = first_number(&status.reply()?) == Some(self.atoms.LOCK);
        answers.in_background = first_number(&terminal.reply()?) == Some(0);
        Ok(answers)
    }

    /// Returns the first number of a root window's property, whatever its type.
    fn root_number(&self, property: Atom) -> Result<Option<u32>, ScreenError> {
        let root = self.connection.screen().root;
        let server = &self.connection.server;
        let reply = server.get_property(false, root, property, AtomEnum::ANY, 0, 1)?;
        Ok(first_number(&reply.reply()?))
    }

    /// Returns whether something was drawn since the last look.
    fn take_drawn(&mut self) -> Result<bool, ScreenError> {
        self.take_events()?;
        let drawn = std::mem::take(&mut self.drawn);
        if let Some(damage) = self.damage.filter(|_| drawn) {
            let server = &self.connection.server;
            server.damage_subtract(damage, NONE, NONE)?;
            server.flush()?;
        }
        Ok(drawn || self.damage.is_none())
    }

    /// Takes in what the server has sent.
    fn take_events(&mut self) -> Result<(), ScreenError> {
        while let Some(event) = self.connection.server.poll_for_event()? {
            match event {
                Event::DamageNotify(_) => self.drawn = true,
                Event::ClientMessage(message) if self.is_pong(&message) => self.forget_ping()?,
                Event::PropertyNotify(change) if change.window == self.clock => {
                    self.server_time = change.time;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn is_pong(&self, message: &ClientMessageEvent) -> bool {
        let [ping, time, window, ..] = message.data.as_data32();
        message.type_ == self.atoms.WM_PROTOCOLS
            && ping == self.atoms._NET_WM_PING
            && self
                .ping
                .is_some_and(|due| (due.time, due.window) == (time, window))
    }

    /// Pings the program that has the keyboard, if somebody types or points and it owes no pong. A
    /// ping of a program that has lost the keyboard counts no longer.
    fn follow_focus(&mut self, idle: Duration) -> Result<(), ScreenError> {
        if self.ping.is_none() && idle > PING_AFTER_INPUT {
            return Ok(());
        }
        let focused = self.focused_window()?;
        match self.ping {
            Some(ping) if Some(ping.window) == focused => return Ok(()),
            Some(_) => self.forget_ping()?,
            None => {}
        }
        match focused {
            Some(window) if idle <= PING_AFTER_INPUT => self.send_ping(window),
            _ => Ok(()),
        }
    }

    /// Returns the window that has the keyboard, if it answers pings.
    fn focused_window(&self) -> Result<Option<Window>, ScreenError> {
        let server = &self.connection.server;
        let active = self.root_number(self.atoms._NET_ACTIVE_WINDOW)?;
        let mut window = match active.filter(|window| *window != NONE) {
            Some(window) => window,
            None => server.get_input_focus()?.reply()?.focus,
        };
        // 0 and 1 are None and PointerRoot.
        for _ in 0..MAX_DEPTH {
            if window <= 1 || window == self.connection.screen().root {
                return Ok(None);
            }
            let protocols = self.atoms.WM_PROTOCOLS;
            let asked = server.get_property(false, window, protocols, AtomEnum::ATOM, 0, 32)?;
            let tree = server.query_tree(window)?;
            // The window may go at any time.
            let (Ok(asked), Ok(tree)) = (asked.reply(), tree.reply()) else {
                return Ok(None);
            };
            if let Some(mut atoms) = asked.value32().filter(|_| asked.value_len > 0) {
                let speaks = atoms.any(|atom| atom == self.atoms._NET_WM_PING);
                return Ok(speaks.then_some(window));
            }
            window = tree.parent;
        }
        Ok(None)
    }

    fn send_ping(&mut self, window: Window) -> Result<(), ScreenError> {
        let time = self.server_time()?;
        let server = &self.connection.server;
        self.select_root_events(EventMask::SUBSTRUCTURE_NOTIFY)?;
        let message = ClientMessageEvent {
            response_type: CLIENT_MESSAGE_EVENT,
            format: 32,
            sequence: 0,
            window,
            type_: self.atoms.WM_PROTOCOLS,
            data: ClientMessageData::from([self.atoms._NET_WM_PING, time, window, 0, 0]),
        };
        server.send_event(false, window, EventMask::NO_EVENT, message)?;
        server.flush()?;
        self.ping = Some(Ping {
            window,
            time,
            sent_at: Instant::now(),
        });
        Ok(())
    }

    fn forget_ping(&mut self) -> Result<(), ScreenError> {
        self.ping = None;
        self.select_root_events(EventMask::NO_EVENT)
    }

    fn select_root_events(&self, mask: EventMask) -> Result<(), ScreenError> {
        let aux = ChangeWindowAttributesAux::new().event_mask(mask);
        let (server, root) = (&self.connection.server, self.connection.screen().root);
        server.change_window_attributes(root, &aux)?;
        Ok(server.flush()?)
    }

    /// Returns the X server's time: toolkits take the time of a ping for it.
    fn server_time(&mut self) -> Result<u32, ScreenError> {
        let server = &self.connection.server;
        let (kind, property) = (AtomEnum::INTEGER, self.atoms._SCREENSAVER_STATUS);
        server.change_property32(PropMode::REPLACE, self.clock, property, kind, &[])?;
        server.sync()?;
        self.take_events()?;
        Ok(self.server_time)
    }
}

fn first_number(property: &GetPropertyReply) -> Option<u32> {
    property.value32().and_then(|mut value| value.next())
}
