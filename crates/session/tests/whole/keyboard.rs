//! The table of layouts: the agent types on an own keyboard, and a real program on the customer's
//! gets what was meant. Every backend, over the whole chain. Prints each row that failed.

use std::time::Instant;

use etatuki_rfb::ClientMessage;
use x11rb::protocol::xkb::BoolCtrl;
use x11rb::protocol::xproto::ModMask;

use crate::agent::Agent;
use crate::display::TEST_TIMEOUT;
use crate::journeys::controlling;
use crate::text_field::TextField;
use crate::world::World;

const SHIFT: (u32, u32) = (0x2a, 0xffe1);
const CONTROL: (u32, u32) = (0x1d, 0xffe3);
const ALT_GR: (u32, u32) = (0xb8, 0xfe03);
const RETURN: (u32, u32) = (0x1c, 0xff0d);
/// The keypad's keys 1, 2, 4, 5, 0 and the decimal key.
const KP_1: (u32, u32) = (0x4f, 0xffb1);
const KP_2: (u32, u32) = (0x50, 0xffb2);
const KP_5: (u32, u32) = (0x4c, 0xffb5);
const KP_0: (u32, u32) = (0x52, 0xffb0);
const KP_LEFT: (u32, u32) = (0x4b, 0xff96);
const KP_DECIMAL: (u32, u32) = (0x53, 0xffae);
const KP_SEPARATOR: (u32, u32) = (0x53, 0xffac);

/// The keycode of the keypad's decimal key on the customer's keyboard.
const DECIMAL_KEYCODE: u8 = 91;

const LAYOUTS: [&str; 7] = ["fi", "se", "de", "fr", "us", "us(intl)", "ru"];

/// Keys of the agent's, as a browser sends them from a Finnish keyboard.
#[derive(Clone, Default)]
struct Keys(Vec<ClientMessage>);

impl Keys {
    fn key(mut self, (keycode, keysym): (u32, u32), down: bool) -> Self {
        self.0.push(ClientMessage::QemuKey {
            down,
            keysym,
            keycode,
        });
        self
    }

    fn tap(self, key: (u32, u32)) -> Self {
        self.key(key, true).key(key, false)
    }

    fn with(self, modifier: (u32, u32), keys: impl FnOnce(Self) -> Self) -> Self {
        keys(self.key(modifier, true)).key(modifier, false)
    }

    /// Types characters, each with the modifiers that the Finnish keyboard needs for it.
    fn text(self, text: &str) -> Self {
        text.chars().fold(self, |keys, c| {
            let (keycode, modifier) = finnish_key(c);
            let key = (keycode, keysym_of(c));
            match modifier {
                Some(modifier) => keys.with(modifier, |keys| keys.tap(key)),
                None => keys.tap(key),
            }
        })
    }

    /// Types a letter that the browser composed: a dead key without a keysym, then the letter.
    fn composed(self, dead: u32, letter: u32, c: char) -> Self {
        self.tap((dead, 0)).tap((letter, keysym_of(c)))
    }
}

/// Returns a character's scancode and modifier on a Finnish keyboard.
fn finnish_key(c: char) -> (u32, Option<(u32, u32)>) {
    // Each string begins at the scancode beside it.
    const PLAIN: [(u32, &str); 5] = [
        (0x02, "1234567890+"),
        (0x10, "qwertyuiopå"),
        (0x1e, "asdfghjklöä"),
        (0x2b, "'zxcvbnm,.-"),
        (0x56, "<"),
    ];
    const SHIFTED: [(u32, &str); 5] = [
        (0x02, "!\"#¤%&/()=?"),
        (0x10, "QWERTYUIOPÅ"),
        (0x1e, "ASDFGHJKLÖÄ"),
        (0x2b, "*ZXCVBNM;:_"),
        (0x56, ">"),
    ];
    const WITH_ALT_GR: [(u32, &str); 3] = [(0x03, "@£$€\u{0}{[]}\\"), (0x56, "|"), (0x12, "€")];
    let find = |rows: &[(u32, &str)]| {
        let at = |(first, row): &(u32, &str)| {
            let index = row.chars().position(|known| known == c)?;
            Some(first + index as u32)
        };
        rows.iter().find_map(at)
    };
    if c == ' ' {
        return (0x39, None);
    }
    find(&PLAIN)
        .map(|keycode| (keycode, None))
        .or_else(|| find(&SHIFTED).map(|keycode| (keycode, Some(SHIFT))))
        .or_else(|| find(&WITH_ALT_GR).map(|keycode| (keycode, Some(ALT_GR))))
        .unwrap_or_else(|| panic!("no Finnish keyboard has {c}"))
}

fn keysym_of(c: char) -> u32 {
    match c {
        '€' => 0x20ac,
        _ => match u32::from(c) {
            latin1 @ 0x20..=0xff => latin1,
            other => 0x0100_0000 | other,
        },
    }
}

/// A row of the table: what the agent types, and the text that has to arrive.
struct Row {
    name: &'static str,
    keys: Keys,
    expected: String,
}

/// A text of letters and signs. On a layout without Latin letters each borrows a keycode: a shorter
/// one needs no wait for those.
fn sample_text(layout: &str) -> &'static str {
    match layout {
        "ru" => "Tili 19/åÄö @#{[|€",
        _ => "Tili 19/åÄö @#{[]}\\|\"%&()=?+*_-;:<> €",
    }
}

/// Returns the rows for a customer's layout; `separator` is what their own decimal key types.
fn rows(layout: &str, separator: &str) -> Vec<Row> {
    let keys = Keys::default;
    let amount = |decimal| {
        [KP_1, KP_2, decimal, KP_5, KP_0]
            .into_iter()
            .fold(keys(), Keys::tap)
    };
    let typed = sample_text(layout);
    let rows = [
        ("text", keys().text(typed), typed),
        (
            "Caps Lock at the agent",
            keys()
                .tap((0x1e, 0x41))
                .with(SHIFT, |k| k.tap((0x30, 0x62))),
            "Ab",
        ),
        ("é composed", keys().composed(0x0d, 0x12, 'é'), "é"),
        ("ü composed", keys().composed(0x1b, 0x16, 'ü'), "ü"),
        (
            "^ by a dead key and space",
            keys().with(SHIFT, |k| k.tap((0x1b, 0))).tap((0x39, 0x5e)),
            "^",
        ),
        (
            "another script",
            keys().tap((0x27, 0x0100_0416)).tap((0x12, 0x0100_0443)),
            "Жу",
        ),
        (
            "an amount on the keypad, with a point",
            amount(KP_DECIMAL),
            "12·50",
        ),
        (
            "an amount on the keypad, with a comma",
            amount(KP_SEPARATOR),
            "12·50",
        ),
        (
            "the keypad's arrow",
            keys().text("ab").tap(KP_LEFT).text("x"),
            "axb",
        ),
        (
            "Ctrl+A",
            keys()
                .text("ab")
                .with(CONTROL, |k| k.tap((0x1e, 0x61)))
                .text("x"),
            "x",
        ),
        (
            "Ctrl+A with Caps Lock",
            keys()
                .text("ab")
                .with(CONTROL, |k| k.tap((0x1e, 0x41)))
                .text("x"),
            "x",
        ),
        (
            "a held key",
            keys()
                .key((0x1e, 0x61), true)
                .key((0x1e, 0x61), true)
                .tap((0x1e, 0x61)),
            "aaa",
        ),
    ];
    let row = |(name, keys, expected): (&'static str, Keys, &str)| Row {
        name,
        keys,
        expected: expected.replace('·', separator),
    };
    rows.into_iter().map(row).collect()
}

/// One backend's session, and what failed in it.
struct Table {
    world: World,
    agent: Agent,
    backend: &'static str,
    failed: Vec<String>,
}

impl Table {
    /// Types rows into the field, without a pause between them.
    async fn check(&mut self, field: &TextField, rows: &[Row], where_: &str) {
        for row in rows {
            self.agent.say(&row.keys.clone().tap(RETURN).0).await;
        }
        for row in rows {
            let got = field.next();
            if got != row.expected.as_str() {
                self.failed.push(format!(
                    "{} {where_}: {}: {got} for {:?}",
                    self.backend, row.name, row.expected
                ));
            }
        }
    }

    /// Goes through all layouts, with these locks at the customer.
    async fn check_layouts(&mut self, field: &TextField, locks: &[ModMask]) {
        for layout in LAYOUTS {
            let display = &self.world.display;
            display.set_layout(layout);
            display.lock_modifiers(ModMask::M2);
            // The program has read the layout when it has read this key.
            assert_eq!(
                field.after_customers_keys(display, &[]),
                "",
                "under {layout}"
            );
            let separator = field.after_customers_keys(display, &[DECIMAL_KEYCODE]);
            let separator = separator.as_str().expect("a text");
            assert!(
                [".", ","].contains(&separator),
                "{separator:?} under {layout}"
            );
            let rows = rows(layout, separator);
            for lock in locks {
                self.world.display.lock_modifiers(*lock);
                let where_ = format!("gtk {layout}, locked {lock:?}");
                self.check(field, &rows, &where_).await;
            }
        }
        self.world.display.lock_modifiers(ModMask::from(0u16));
    }

    /// Types on the customer's own keypad and the agent's by turns, with Num Lock on: each change of
    /// keyboards makes Qt forget the locks.
    async fn check_turns(&mut self) {
        let field = TextField::start(&self.world.display, "qt");
        for (layout, separator) in [("fi", ","), ("us", ".")] {
            self.world.display.set_layout(layout);
            self.world.display.lock_modifiers(ModMask::M2);
            for turn in ["first", "second"] {
                // The customer's first keys go to a program that has forgotten them.
                let end = Instant::now() + TEST_TIMEOUT;
                while field.after_customers_keys(&self.world.display, &[DECIMAL_KEYCODE])
                    != separator
                {
                    assert!(Instant::now() < end, "the customer's keypad under {layout}");
                }
                let mut amounts = rows(layout, separator);
                amounts.retain(|row| row.name.contains("amount"));
                let where_ = format!("qt {layout}, {turn} turn");
                self.check(&field, &amounts, &where_).await;
            }
        }
        self.world.display.lock_modifiers(ModMask::from(0u16));
    }

    /// Slow hands and left hands at the customer.
    async fn check_settings(&mut self, field: &TextField) {
        self.world.display.set_layout("us");
        let settings = [
            BoolCtrl::STICKY_KEYS,
            BoolCtrl::SLOW_KEYS,
            BoolCtrl::BOUNCE_KEYS,
        ];
        self.world.display.set_controls(&settings, true);
        let row = |name| Row {
            name,
            keys: Keys::default().text("aAbb"),
            expected: "aAbb".into(),
        };
        self.agent.say(&Keys::default().tap(RETURN).0).await;
        let first = field.next();
        assert_eq!(first, "", "a key before the settings are noticed");
        let rows = [row("sticky, slow and bouncing keys")];
        self.check(field, &rows, "gtk us").await;
        self.world.display.set_controls(&settings, false);
        for left_handed in [true, false] {
            self.world.display.set_left_handed(left_handed);
            for (buttons, expected) in [
                (1 << 0, "button 1"),
                (1 << 2, "button 3"),
                (1 << 3, "wheel up"),
                (1 << 4, "wheel down"),
                (1 << 5, "wheel left"),
                (1 << 6, "wheel right"),
            ] {
                let at = |buttons| ClientMessage::Pointer {
                    buttons,
                    x: 200,
                    y: 80,
                };
                self.agent.say(&[at(0), at(buttons), at(0)]).await;
                let got = field.next();
                if got != expected {
                    let backend = self.backend;
                    let hand = if left_handed { "left" } else { "right" };
                    self.failed
                        .push(format!("{backend} {hand}-handed: {got} for {expected}"));
                }
            }
        }
    }
}

/// Runs the table for a backend.
async fn check_backend(backend: &'static str) {
    let world = World::new().await;
    let (customer, agent) = controlling(&world, backend).await;
    let mut table = Table {
        world,
        agent,
        backend,
        failed: Vec::new(),
    };
    let locks = [ModMask::from(0u16), ModMask::LOCK | ModMask::M2];
    let field = TextField::start(&table.world.display, "gtk");
    table.check_layouts(&field, &locks).await;
    table.check_settings(&field).await;
    drop(field);
    table.check_turns().await;
    assert!(table.failed.is_empty(), "\n{}", table.failed.join("\n"));
    table.agent.close().await;
    customer.leaves();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_layout_through_ecom() {
    check_backend("ecom").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_layout_through_remoteus_2008() {
    check_backend("remoteus-2008").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_layout_through_remoteus_2010() {
    check_backend("remoteus-2010").await;
}
