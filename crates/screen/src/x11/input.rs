//! Keys and pointer, through XTEST.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd};

use x11rb::NONE;
use x11rb::connection::Connection as _;
use x11rb::protocol::Event;
use x11rb::protocol::xkb::{ConnectionExt as _, EventType, ID, MapPart, SelectEventsAux};
use x11rb::protocol::xproto::{
    BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT, ChangeWindowAttributesAux, ConnectionExt as _,
    EventMask, KEY_PRESS_EVENT, KEY_RELEASE_EVENT, MOTION_NOTIFY_EVENT,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::wrapper::ConnectionExt as _;

use super::connection::Connection;
use super::held::{Held, Name};
use super::keymap::{Keymap, Mods, Standing, Stroke};
use super::repeat::Repeat;
use super::scope::Scope;
use super::spare::Spare;
use super::traces::Traces;
use super::tree::Cover;
use crate::error::ScreenError;
use crate::geometry::Size;
use crate::keysym;
use crate::program::Program;
use crate::scancode;
use crate::stop::Stop;

/// Buttons 1 to 9: left, middle, right, the wheel's four directions, back, forward.
const BUTTONS: u16 = 0x1ff;
/// X keycodes are the kernel's key numbers plus this.
const EVDEV_OFFSET: u8 = 8;
const CORE_KEYBOARD: u16 = 0x100;
/// The focus is wherever the pointer is.
const POINTER_ROOT: u32 = 1;

/// Keyboard and pointer of an X display.
///
/// Everything that is pressed is remembered; [`release_all`](Input::release_all), or dropping this,
/// undoes it, and with it whatever was lent to keysyms that the keyboard hasn't got. What is given is
/// on its way only after [`flush`](Input::flush).
#[derive(Debug)]
pub struct Input {
    connection: Connection,
    root: u32,
    size: Size,
    /// `None` until it is needed, and again when the layout has changed.
    keymap: Option<Keymap>,
    held: Held,
    spare: Spare,
    repeat: Repeat,
    traces: Traces,
    /// All may be typed and clicked into when there is none.
    limit: Option<Limit>,
}

impl Input {
    /// Connects to `display` (`$DISPLAY` when `None`).
    ///
    /// # Errors
    /// [`ScreenError::NoDisplay`], [`ScreenError::Unsupported`] without XTEST or XKB, or what ended the wait.
    pub fn open(display: Option<&str>, stop: &Stop) -> Result<Self, ScreenError> {
        Self::open_limited(display, None, stop)
    }

    /// As [`open`](Self::open), but nothing reaches anybody except the windows of `program`: the pointer
    /// neither moves nor presses outside of them, and keys are pressed only while one of them has the focus.
    /// That is looked at for each, with the server held; what is held down is let go of wherever it is.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn of_program(
        display: Option<&str>,
        program: &Program,
        stop: &Stop,
    ) -> Result<Self, ScreenError> {
        Self::open_limited(display, Some(program), stop)
    }

    fn open_limited(
        display: Option<&str>,
        program: Option<&Program>,
        stop: &Stop,
    ) -> Result<Self, ScreenError> {
        let connection = Connection::open(display, stop)?;
        for needed in ["XTEST", "XKEYBOARD"] {
            if !connection.has(needed)? {
                return Err(ScreenError::Unsupported(format!(
                    "the X server has no {needed} extension"
                )));
            }
        }
        listen(&connection)?;
        let limit = match program {
            Some(program) => Some(Limit::new(&connection, program)?),
            None => None,
        };
        let repeat = Repeat::turn_off(&connection.server)?;
        let traces = Traces::begin(&connection, connection.screen().root)?;
        connection.server.flush()?;
        let screen = connection.screen();
        let (root, size) = (
            screen.root,
            Size {
                width: screen.width_in_pixels,
                height: screen.height_in_pixels,
            },
        );
        Ok(Self {
            connection,
            root,
            size,
            keymap: None,
            held: Held::default(),
            spare: Spare::default(),
            repeat,
            traces,
            limit,
        })
    }

    /// Takes in what the server has said (layout and size changes). Never waits for news.
    ///
    /// # Errors
    /// [`ScreenError::Lost`] when the server is gone.
    pub fn pump(&mut self) -> Result<(), ScreenError> {
        while let Some(event) = self.connection.server.poll_for_event()? {
            if let Some(limit) = &mut self.limit {
                limit.scope.apply(&event);
            }
            match event {
                Event::XkbMapNotify(_)
                | Event::XkbNewKeyboardNotify(_)
                | Event::MappingNotify(_) => self.keymap = None,
                Event::ConfigureNotify(e) if e.window == self.root => {
                    self.size = Size {
                        width: e.width,
                        height: e.height,
                    };
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A key named by what it types or is (an X keysym) goes down or up. Pressed again while it is down,
    /// it repeats, and only then. What is no keysym is ignored.
    ///
    /// # Errors
    /// [`ScreenError::Lost`] when the server is gone.
    pub fn key(&mut self, keysym: u32, down: bool) -> Result<(), ScreenError> {
        if !keysym::is_valid(keysym) {
            return Ok(());
        }
        if down {
            self.guarded(|input| match input.may_type()? {
                true => input.press_keysym(Name::Keysym(keysym), keysym),
                false => Ok(()),
            })
        } else {
            self.release(Name::Keysym(keysym), keysym)
        }
    }

    /// A physical key goes down or up, named by its PC scancode (prefix E0 as the highest bit) and what
    /// it typed on the peer's keyboard (0 when the peer doesn't know). Where the same key would type
    /// something else here, what it types counts, not where it lies.
    ///
    /// # Errors
    /// [`ScreenError::Lost`] when the server is gone.
    pub fn scancode(&mut self, scancode: u32, keysym: u32, down: bool) -> Result<(), ScreenError> {
        let name = Name::Scancode(scancode);
        if !down {
            return self.release(name, keysym);
        }
        self.guarded(|input| match input.may_type()? {
            true => input.press_scancode(scancode, keysym),
            false => Ok(()),
        })
    }

    fn press_scancode(&mut self, scancode: u32, keysym: u32) -> Result<(), ScreenError> {
        let name = Name::Scancode(scancode);
        let place = scancode::to_evdev(scancode).and_then(|key| key.checked_add(EVDEV_OFFSET));
        if let Some(keycode) = place {
            let now = self.standing()?;
            let map = self.keymap()?;
            let meant = !keysym::is_valid(keysym) || map.types(keycode, keysym, now);
            if map.has(keycode) && meant {
                return self.strike(
                    name,
                    Stroke {
                        keycode,
                        add: 0,
                        remove: 0,
                    },
                );
            }
        }
        if keysym::is_valid(keysym) {
            self.press_keysym(name, keysym)
        } else {
            Ok(())
        }
    }

    /// The pointer moves to `x`, `y` (brought back onto the screen) and its buttons become `buttons`
    /// (bit 0 is button 1; more than nine are ignored).
    ///
    /// # Errors
    /// [`ScreenError::Lost`] when the server is gone.
    pub fn pointer(&mut self, x: u16, y: u16, buttons: u16) -> Result<(), ScreenError> {
        self.pump()?;
        let within =
            |at: u16, size: u16| at.min(size.saturating_sub(1)).min(i16::MAX.unsigned_abs()) as i16;
        let (x, y) = (within(x, self.size.width), within(y, self.size.height));
        let buttons = buttons & BUTTONS;
        self.guarded(|input| {
            if input.limit.is_some() {
                return input.point_at_program(x, y, buttons);
            }
            input.point(x, y)?;
            input.set_buttons(buttons)
        })
    }

    fn point(&mut self, x: i16, y: i16) -> Result<(), ScreenError> {
        self.connection
            .server
            .xtest_fake_input(MOTION_NOTIFY_EVENT, 0, 0, self.root, x, y, 0)?;
        Ok(())
    }

    /// With only one program shared: nobody else does anything, and all that they did is known, while `act` runs.
    fn guarded(
        &mut self,
        act: impl FnOnce(&mut Self) -> Result<(), ScreenError>,
    ) -> Result<(), ScreenError> {
        if self.limit.is_none() {
            return act(self);
        }
        self.connection.hold()?;
        self.connection.server.sync()?;
        self.pump()?;
        if let Some(limit) = self.limit.as_mut().filter(|l| l.scope.is_unread()) {
            limit.scope.read(&self.connection.server)?;
        }
        act(self)?;
        self.connection.let_go()
    }

    /// Moves and presses inside of the program's windows alone. A button that was pressed outside of them
    /// stays up until it is pressed anew; one that was pressed inside is let go of wherever the pointer is.
    fn point_at_program(&mut self, x: i16, y: i16, buttons: u16) -> Result<(), ScreenError> {
        let Some(limit) = &mut self.limit else {
            return Ok(());
        };
        let inside = limit.is_there(x, y);
        limit.stray &= buttons;
        let held = self.held.buttons();
        if !inside {
            limit.stray |= buttons & !held;
            return self.set_buttons(buttons & held);
        }
        let wanted = buttons & !limit.stray;
        self.point(x, y)?;
        if wanted & !held != 0 && !self.pointer_is_there()? {
            return self.set_buttons(wanted & held);
        }
        self.set_buttons(wanted)
    }

    /// Whether the pointer is on the program: the customer may be moving it just now.
    fn pointer_is_there(&self) -> Result<bool, ScreenError> {
        let at = self.connection.server.query_pointer(self.root)?.reply()?;
        let there = |limit: &Limit| at.same_screen && limit.is_there(at.root_x, at.root_y);
        Ok(self.limit.as_ref().is_none_or(there))
    }

    /// Whether a key that is pressed now reaches the program, or all may be typed into.
    fn may_type(&mut self) -> Result<bool, ScreenError> {
        let Some(limit) = &mut self.limit else {
            return Ok(true);
        };
        let focus = self.connection.server.get_input_focus()?.reply()?.focus;
        match focus {
            NONE => Ok(false),
            POINTER_ROOT => self.pointer_is_there(),
            window => limit.scope.owns(&self.connection.server, window),
        }
    }

    /// Lets go of every key and button that is held, takes back what was lent, and waits (shortly) until
    /// that is done.
    ///
    /// # Errors
    /// [`ScreenError::Lost`] when the server is gone.
    pub fn release_all(&mut self) -> Result<(), ScreenError> {
        let Self {
            connection,
            root,
            held,
            spare,
            traces,
            ..
        } = self;
        connection.last_words(|server| {
            for (button, _) in held.set_buttons(0) {
                server.xtest_fake_input(BUTTON_RELEASE_EVENT, button, 0, *root, 0, 0, 0)?;
            }
            for keycode in held.take_keys() {
                server.xtest_fake_input(KEY_RELEASE_EVENT, keycode, 0, *root, 0, 0, 0)?;
            }
            spare.give_back(server)?;
            traces.write(server, *root, &[])
        })
    }

    /// Sends what was given so far.
    ///
    /// # Errors
    /// [`ScreenError::Lost`] when the server is gone.
    pub fn flush(&self) -> Result<(), ScreenError> {
        Ok(self.connection.server.flush()?)
    }

    fn press_keysym(&mut self, name: Name, keysym: u32) -> Result<(), ScreenError> {
        if let Some(keycode) = self.held.keycode(name) {
            return self.strike(
                name,
                Stroke {
                    keycode,
                    add: 0,
                    remove: 0,
                },
            );
        }
        let now = self.standing()?;
        match self.find(keysym, now)? {
            Some(stroke) => self.strike(name, stroke),
            None => Ok(()),
        }
    }

    /// What to press for a keysym: as the layout has it, else on a spare keycode. A modifier that the
    /// layout hasn't got would do nothing on a spare keycode; the one on the other side may do.
    fn find(&mut self, keysym: u32, now: Standing) -> Result<Option<Stroke>, ScreenError> {
        let map = self.keymap()?;
        if let Some(stroke) = map.stroke(keysym, now) {
            return Ok(Some(stroke));
        }
        if keysym::is_modifier(keysym) {
            return Ok(keysym::counterpart(keysym).and_then(|other| map.stroke(other, now)));
        }
        let Self {
            connection,
            root,
            keymap,
            held,
            spare,
            traces,
            ..
        } = self;
        let Some(map) = keymap else { return Ok(None) };
        let lent = spare.lend(&connection.server, map, keysym, |keycode| {
            held.is_down(keycode)
        })?;
        traces.write(&connection.server, *root, &spare.keycodes())?;
        Ok(lent.map(|keycode| Stroke {
            keycode,
            add: 0,
            remove: 0,
        }))
    }

    /// Presses a key, with the modifiers that it needs put right just for that moment.
    fn strike(&mut self, name: Name, stroke: Stroke) -> Result<(), ScreenError> {
        let Stroke {
            keycode,
            add,
            remove,
        } = stroke;
        if self.held.is_down(keycode) {
            if self.keymap()?.is_modifier(keycode) {
                return Ok(());
            }
            self.fake_key(keycode, false)?;
        }
        let (added, removed) = self.keys_to_change(add, remove)?;
        for (keys, down) in [(&removed, false), (&added, true)] {
            keys.iter().try_for_each(|key| self.fake_key(*key, down))?;
        }
        self.fake_key(keycode, true)?;
        self.held.press(name, keycode);
        for (keys, down) in [(&added, false), (&removed, true)] {
            keys.iter().try_for_each(|key| self.fake_key(*key, down))?;
        }
        Ok(())
    }

    /// The keys that give the modifiers to add, and those held by us that give the ones to remove.
    fn keys_to_change(
        &mut self,
        add: Mods,
        remove: Mods,
    ) -> Result<(Vec<u8>, Vec<u8>), ScreenError> {
        if add == 0 && remove == 0 {
            return Ok((Vec::new(), Vec::new()));
        }
        let held = self.held.keycodes();
        let map = self.keymap()?;
        let added = (0..8)
            .map(|bit| add & 1 << bit)
            .filter(|m| *m != 0)
            .filter_map(|m| map.key_for(m))
            .collect();
        let removed = held
            .into_iter()
            .filter(|keycode| map.modifies(*keycode) & remove != 0)
            .collect();
        Ok((added, removed))
    }

    fn release(&mut self, name: Name, keysym: u32) -> Result<(), ScreenError> {
        let keycode = match self.held.keycode(name) {
            Some(keycode) => Some(keycode),
            // Pressed as 'a' and let go of as 'A', with Shift pressed in between.
            None => self.held_that_gives(keysym)?,
        };
        let Some(keycode) = keycode else {
            return Ok(());
        };
        self.held.release(keycode);
        self.fake_key(keycode, false)
    }

    fn held_that_gives(&mut self, keysym: u32) -> Result<Option<u8>, ScreenError> {
        let held = self.held.keycodes();
        let map = self.keymap()?;
        Ok(held.into_iter().find(|keycode| map.gives(*keycode, keysym)))
    }

    fn set_buttons(&mut self, buttons: u16) -> Result<(), ScreenError> {
        for (button, down) in self.held.set_buttons(buttons) {
            let kind = if down {
                BUTTON_PRESS_EVENT
            } else {
                BUTTON_RELEASE_EVENT
            };
            self.connection
                .server
                .xtest_fake_input(kind, button, 0, self.root, 0, 0, 0)?;
        }
        Ok(())
    }

    fn fake_key(&self, keycode: u8, down: bool) -> Result<(), ScreenError> {
        let kind = if down {
            KEY_PRESS_EVENT
        } else {
            KEY_RELEASE_EVENT
        };
        self.connection
            .server
            .xtest_fake_input(kind, keycode, 0, self.root, 0, 0, 0)?;
        Ok(())
    }

    /// The layout, read anew when it has changed.
    fn keymap(&mut self) -> Result<&Keymap, ScreenError> {
        if self.keymap.is_none() {
            let map = Keymap::read(&self.connection.server, CORE_KEYBOARD)?;
            self.spare.compare(&map);
            self.keymap = Some(map);
        }
        Ok(self.keymap.get_or_insert_default())
    }

    /// Asks the server how the keyboard stands: the customer may hold a key, too, or have locked one.
    /// What it said before its answer is taken in, so that the layout is the one that the answer is about.
    fn standing(&mut self) -> Result<Standing, ScreenError> {
        let state = self
            .connection
            .server
            .xkb_get_state(CORE_KEYBOARD)?
            .reply()?;
        self.pump()?;
        let [mods, base, latched, locked] = [
            state.mods,
            state.base_mods,
            state.latched_mods,
            state.locked_mods,
        ]
        .map(|m| u16::from(m) as Mods);
        let held = self.held.keycodes();
        let map = self.keymap()?;
        let given = held
            .into_iter()
            .fold(0, |all, keycode| all | map.modifies(keycode));
        Ok(Standing {
            group: u8::from(state.group),
            mods,
            ours: given & base & !latched & !locked,
        })
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        // When the server is gone there is nothing left to let go of.
        let _ = self.release_all();
        let Self {
            connection,
            root,
            repeat,
            traces,
            ..
        } = self;
        let _ = connection.last_words(|server| {
            repeat.give_back(server)?;
            traces.end(server, *root)
        });
    }
}

impl AsFd for Input {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.connection.as_fd()
    }
}

/// What there is when only one program may be typed and clicked into.
#[derive(Debug)]
struct Limit {
    scope: Scope,
    /// Buttons that went down outside of the program.
    stray: u16,
}

impl Limit {
    fn new(connection: &Connection, program: &Program) -> Result<Self, ScreenError> {
        Ok(Self {
            scope: Scope::new(connection, program, HashMap::new())?,
            stray: 0,
        })
    }

    fn is_there(&self, x: i16, y: i16) -> bool {
        let places = self.scope.places(Cover::Input);
        let mut places = places.iter();
        places.any(|place| place.visible.has(x.into(), y.into()))
    }
}

/// Asks the server to tell of new layouts and sizes, and not to hold us up while another program has grabbed it.
fn listen(connection: &Connection) -> Result<(), ScreenError> {
    let server = &connection.server;
    let xkb = server.xkb_use_extension(1, 0)?;
    let xtest = server.xtest_get_version(2, 2)?;
    if !xkb.reply()?.supported {
        return Err(ScreenError::Unsupported(
            "the X server has no XKEYBOARD 1.0".into(),
        ));
    }
    xtest.reply()?;
    server.xtest_grab_control(true)?;
    let news = EventType::NEW_KEYBOARD_NOTIFY | EventType::MAP_NOTIFY;
    let parts = MapPart::KEY_TYPES | MapPart::KEY_SYMS | MapPart::MODIFIER_MAP;
    let nothing = EventType::from(0u8);
    server.xkb_select_events(
        ID::USE_CORE_KBD.into(),
        nothing,
        news,
        parts,
        parts,
        &SelectEventsAux::new(),
    )?;
    let sizes = ChangeWindowAttributesAux::new().event_mask(EventMask::STRUCTURE_NOTIFY);
    server.change_window_attributes(connection.screen().root, &sizes)?;
    Ok(())
}
