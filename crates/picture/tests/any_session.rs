//! Random sessions: after any sequence of what a tool, a client and a link may do, the client has
//! the framebuffer's picture.

#![allow(clippy::unwrap_used, reason = "a test may end with a panic")]

use etatuki_picture::{Framebuffer, Updater};
use etatuki_rfb::encode::fence_flags;
use etatuki_rfb::{CursorImage, Rect, Rectangle, ScreenLayout, encoding};
use etatuki_testkit::RfbClient;
use proptest::prelude::*;
use std::time::Duration;

#[derive(Clone, Debug)]
enum Event {
    /// The tool draws; places and sizes are clamped to the framebuffer.
    Draw {
        rect: Rect,
        colour: u8,
        striped: bool,
    },
    Copy {
        rect: Rect,
        from: (u16, u16),
    },
    /// The size changes.
    Resize {
        width: u16,
        height: u16,
    },
    /// The tool announces its screens, valid ones or not.
    Layout(Vec<(u8, Rect)>),
    Cursor {
        side: u16,
        colour: u8,
    },
    /// The client supports other encodings from now on.
    Encodings(Vec<i32>),
    /// The client requests an update of any area, and forgets the area unless it is incremental.
    Request {
        incremental: bool,
        rect: Rect,
    },
    Continuous {
        enable: bool,
        rect: Rect,
    },
    Fence(Vec<u8>),
    /// The client answers the fences that it got.
    Answer,
    /// The client presses a key.
    Act,
    SizeAnswer(u16),
    /// The link is idle.
    Next {
        piece: usize,
    },
}

fn areas() -> impl Strategy<Value = Rect> {
    let number = || prop_oneof![0..90u16, any::<u16>()];
    (number(), number(), number(), number()).prop_map(|(x, y, w, h)| Rect { x, y, w, h })
}

fn small_rects() -> impl Strategy<Value = Rect> {
    (0..90u16, 0..70u16, 0..60u16, 0..50u16).prop_map(|(x, y, w, h)| Rect { x, y, w, h })
}

fn events() -> impl Strategy<Value = Event> {
    use Event as E;
    prop_oneof![
        6 => (small_rects(), 0..4u8, any::<bool>())
            .prop_map(|(rect, colour, striped)| E::Draw { rect, colour, striped }),
        4 => (small_rects(), 0..90u16, 0..70u16).prop_map(|(rect, x, y)| E::Copy { rect, from: (x, y) }),
        1 => (1..90u16, 1..70u16).prop_map(|(width, height)| E::Resize { width, height }),
        1 => prop::collection::vec((0..4u8, small_rects()), 0..20).prop_map(E::Layout),
        1 => (0..9u16, 0..4u8).prop_map(|(side, colour)| E::Cursor { side, colour }),
        1 => encodings().prop_map(E::Encodings),
        2 => areas().prop_map(|rect| E::Request { incremental: true, rect }),
        4 => Just(E::Request { incremental: true, rect: Rect::new(0, 0, u16::MAX, u16::MAX) }),
        1 => areas().prop_map(|rect| E::Request { incremental: false, rect }),
        1 => (any::<bool>(), areas()).prop_map(|(enable, rect)| E::Continuous { enable, rect }),
        1 => prop::collection::vec(any::<u8>(), 0..9).prop_map(E::Fence),
        2 => Just(E::Answer),
        2 => Just(E::Act),
        1 => (0..4u16).prop_map(E::SizeAnswer),
        6 => (1..200usize).prop_map(|piece| E::Next { piece }),
    ]
}

fn encodings() -> impl Strategy<Value = Vec<i32>> {
    prop::sample::subsequence(
        vec![
            encoding::COPY_RECT,
            encoding::CURSOR,
            encoding::DESKTOP_SIZE,
            encoding::EXTENDED_DESKTOP_SIZE,
            encoding::LAST_RECT,
            encoding::FENCE,
            encoding::CONTINUOUS_UPDATES,
            encoding::QEMU_EXTENDED_KEY,
            encoding::EXTENDED_MOUSE_BUTTONS,
        ],
        0..=9,
    )
}

/// The tool, the session between, and the client.
struct World {
    framebuffer: Framebuffer,
    updater: Updater,
    client: RfbClient,
    now: Duration,
    /// Number of drawn stripes, so that they differ.
    drawn: u8,
    /// Encodings that the client supports now, and those that it ever did.
    understands: Vec<i32>,
    understood: Vec<i32>,
}

impl World {
    fn new(encodings: &[i32]) -> Self {
        let mut world = Self {
            framebuffer: Framebuffer::new(80, 60),
            updater: Updater::new(80, 60),
            client: RfbClient::new(80, 60),
            now: Duration::ZERO,
            drawn: 0,
            understands: vec![],
            understood: vec![],
        };
        world.encodings(encodings.to_vec());
        world
    }

    fn encodings(&mut self, encodings: Vec<i32>) {
        self.updater.set_encodings(&encodings);
        self.understood.extend(&encodings);
        self.understands = encodings;
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Draw {
                rect,
                colour,
                striped,
            } => self.draw(rect, colour, striped),
            Event::Copy { rect, from } => self.copy(rect, from),
            Event::Resize { width, height } => {
                let size = Rectangle::DesktopSize { width, height };
                self.framebuffer.apply(&size).unwrap();
            }
            Event::Layout(told) => self.layout(&told),
            Event::Cursor { side, colour } => self.cursor(side, colour),
            Event::Encodings(encodings) => self.encodings(encodings),
            Event::Request { incremental, rect } => {
                self.updater.request(incremental, rect);
                if !incremental {
                    self.client.invalidate(rect);
                }
            }
            Event::Continuous { enable, rect } => {
                self.updater.enable_continuous_updates(enable, rect)
            }
            Event::Fence(payload) => {
                let flags = fence_flags::REQUEST | 0x77;
                // It is an error if the client never reads; the session would end.
                let _ = self.updater.on_fence(flags, &payload, self.now);
            }
            Event::Answer => {
                for (flags, payload) in std::mem::take(&mut self.client.fence_requests) {
                    self.updater.on_fence(flags, &payload, self.now).unwrap();
                }
            }
            Event::Act => self.updater.on_input(&self.framebuffer),
            Event::SizeAnswer(status) => {
                let _ = self.updater.answer_set_desktop_size(status);
            }
            Event::Next { piece } => {
                if let Some(chunk) = self.updater.next_chunk(&mut self.framebuffer, self.now) {
                    self.client.receive(&chunk, piece);
                    // The link is as fast as the pieces are long, and compresses as little.
                    self.now += Duration::from_millis(chunk.len() as u64);
                    self.updater
                        .on_written(chunk.len().min(piece), None, self.now);
                }
            }
        }
    }

    fn draw(&mut self, rect: Rect, colour: u8, striped: bool) {
        let Some(rect) = rect.intersection(&self.framebuffer.bounds()) else {
            return;
        };
        self.drawn = self.drawn.wrapping_add(7);
        let stripe = |i: usize| {
            if striped {
                (i % 5) as u8 ^ self.drawn
            } else {
                0
            }
        };
        let pixels = (0..rect.area())
            .flat_map(|i| [colour, stripe(i), 0, i as u8])
            .collect();
        self.framebuffer
            .apply(&Rectangle::Raw { rect, pixels })
            .unwrap();
    }

    fn copy(&mut self, rect: Rect, from: (u16, u16)) {
        let Some(rect) = rect.intersection(&self.framebuffer.bounds()) else {
            return;
        };
        let from = (
            from.0.min(self.framebuffer.width() - rect.w),
            from.1.min(self.framebuffer.height() - rect.h),
        );
        self.framebuffer
            .apply(&Rectangle::CopyRect { rect, from })
            .unwrap();
    }

    fn layout(&mut self, told: &[(u8, Rect)]) {
        let screen = |(id, rect): &(u8, Rect)| ScreenLayout {
            id: u32::from(*id),
            rect: *rect,
            flags: 7,
        };
        let told = Rectangle::ExtendedDesktopSize {
            reason: 0,
            status: 0,
            width: self.framebuffer.width(),
            height: self.framebuffer.height(),
            screens: told.iter().map(screen).collect(),
        };
        self.framebuffer.apply(&told).unwrap();
    }

    fn cursor(&mut self, side: u16, colour: u8) {
        let area = usize::from(side) * usize::from(side);
        let cursor = CursorImage {
            hotspot: (side / 2, side / 2),
            width: side,
            height: side,
            pixels: [colour, 1, 2, 3].repeat(area),
            mask: vec![0xff; CursorImage::mask_stride(side) * usize::from(side)],
        };
        self.framebuffer.apply(&Rectangle::Cursor(cursor)).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn the_client_sees_what_the_screen_shows(
        encodings in encodings(),
        events in prop::collection::vec(events(), 0..60),
        piece in 1..5000usize,
    ) {
        let mut world = World::new(&encodings);
        for event in events {
            world.happens(event);
        }
        // Incremental requests are ignored while continuous updates are on.
        world.updater.enable_continuous_updates(false, Rect::default());
        let World { mut framebuffer, mut updater, mut client, understands, understood, .. } = world;
        client.catch_up(&mut updater, &mut framebuffer, piece);
        prop_assert!(client.agrees_with(&framebuffer));
        let resizes = understands.contains(&encoding::DESKTOP_SIZE)
            || understands.contains(&encoding::EXTENDED_DESKTOP_SIZE);
        if resizes {
            prop_assert_eq!((client.width, client.height), (framebuffer.width(), framebuffer.height()));
        }
        if understands.contains(&encoding::EXTENDED_DESKTOP_SIZE) && !client.screens.is_empty() {
            prop_assert_eq!(&client.screens, framebuffer.layout());
        }
        let bounds = framebuffer.bounds();
        prop_assert!((1..=16).contains(&framebuffer.layout().len()));
        prop_assert!(framebuffer.layout().iter().all(|s| !s.rect.is_empty() && bounds.contains(&s.rect)));
        if understands.contains(&encoding::CURSOR) {
            prop_assert_eq!(client.cursor.as_ref(), framebuffer.cursor());
        }
        prop_assert!(understood.contains(&encoding::CURSOR) || client.cursor.is_none());
        prop_assert!(understood.contains(&encoding::COPY_RECT) || client.copies == 0);
        prop_assert!(!client.mixed_update);
        prop_assert!(framebuffer.pixels().iter().skip(3).step_by(4).all(|unused| *unused == 0));
    }

    #[test]
    fn after_every_whole_update_the_client_sees_the_screen(
        events in prop::collection::vec(events(), 0..60),
    ) {
        let all = [encoding::COPY_RECT, encoding::DESKTOP_SIZE];
        let mut world = World::new(&all);
        for event in events {
            if matches!(event, Event::Continuous { .. }) {
                // Incremental requests are ignored meanwhile.
                continue;
            }
            world.happens(event);
            world.client.catch_up(&mut world.updater, &mut world.framebuffer, 1000);
            prop_assert!(world.client.agrees_with(&world.framebuffer));
        }
    }
}
