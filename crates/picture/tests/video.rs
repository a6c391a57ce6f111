//! Video goes as JPEG, and losslessly once it rests; what is drawn is lossless always.

#![allow(clippy::unwrap_used, reason = "a test may end with a panic")]

use etatuki_picture::{EncodedChunk, Framebuffer, Updater};
use etatuki_rfb::{Rect, Rectangle, encoding};
use etatuki_testkit::RfbClient;
use etatuki_testkit::Scene;
use proptest::prelude::*;
use std::time::Duration;

const WIDTH: u16 = 320;
const HEIGHT: u16 = 256;
const FRAME: Duration = Duration::from_millis(33);
const ENCODINGS: [i32; 5] = [
    encoding::COPY_RECT,
    encoding::TIGHT,
    encoding::FENCE,
    encoding::CONTINUOUS_UPDATES,
    encoding::LAST_RECT,
];

/// A video in a window, and the client that watches it.
struct Cinema {
    framebuffer: Framebuffer,
    updater: Updater,
    client: RfbClient,
    video: Scene,
    now: Duration,
    frames: usize,
}

impl Cinema {
    /// Returns a client with an empty desktop, and continuous updates over a fast link.
    fn new() -> Self {
        Self::of_size(WIDTH, HEIGHT, Scene::video(400, 300, 0.5, 0.1))
    }

    /// Returns a client of a video that needs more than one chunk.
    fn large() -> Self {
        let (width, height) = (640, 512);
        Self::of_size(width, height, Scene::video(720, 560, 0.5, 6.0))
    }

    fn of_size(width: u16, height: u16, video: Scene) -> Self {
        let mut cinema = Self {
            framebuffer: Framebuffer::new(width, height),
            updater: Updater::new(width, height),
            client: RfbClient::new(width, height),
            video,
            now: Duration::from_secs(1),
            frames: 0,
        };
        cinema.updater.set_encodings(&ENCODINGS);
        let whole = cinema.client.bounds();
        cinema.updater.enable_continuous_updates(true, whole);
        cinema.fill(whole, 200);
        cinema.advance(FRAME);
        cinema
    }

    fn fill(&mut self, rect: Rect, grey: u8) {
        let pixels = [grey, grey, grey, 0].repeat(rect.area());
        self.draw(rect, pixels);
    }

    fn draw(&mut self, rect: Rect, pixels: Vec<u8>) {
        self.framebuffer
            .apply(&Rectangle::Raw { rect, pixels })
            .unwrap();
    }

    /// Draws the next frame: the scene is panned over.
    fn play(&mut self, rect: Rect) {
        self.frames += 1;
        let (x0, y0) = (self.frames % 60, self.frames * 7 % 40);
        let stride = self.video.stride();
        let rows = (y0..y0 + usize::from(rect.h)).flat_map(|y| {
            let start = y * stride + x0 * 4;
            self.video.pixels[start..start + usize::from(rect.w) * 4].to_vec()
        });
        let pixels = rows.collect();
        self.draw(rect, pixels);
    }

    /// Lets time pass, and sends everything that there is to send. Returns the chunks.
    fn advance(&mut self, time: Duration) -> Vec<EncodedChunk> {
        self.now += time;
        let mut chunks = Vec::new();
        while let Some(chunk) = self.chunk() {
            chunks.push(chunk);
            assert!(chunks.len() < 200, "there is always more");
        }
        chunks
    }

    /// Sends one chunk.
    fn chunk(&mut self) -> Option<EncodedChunk> {
        let chunk = self.updater.next_chunk(&mut self.framebuffer, self.now)?;
        self.deliver(&chunk);
        Some(chunk)
    }

    /// Sends what can go although the source's update isn't complete.
    fn start_early(&mut self) -> Option<EncodedChunk> {
        let chunk = self.updater.start_early(&mut self.framebuffer, self.now)?;
        self.deliver(&chunk);
        Some(chunk)
    }

    fn deliver(&mut self, chunk: &EncodedChunk) {
        self.client.receive(chunk, 10_000);
        self.updater.on_written(chunk.len(), None, self.now);
        // A link of a gigabit per second.
        self.now += Duration::from_nanos(chunk.len() as u64 * 8);
        for (flags, payload) in std::mem::take(&mut self.client.fence_requests) {
            let answered = self.updater.on_fence(flags, &payload, self.now);
            answered.unwrap();
        }
        let mid_update = self.updater.is_mid_update() || self.updater.has_started_early();
        assert_eq!(mid_update, self.client.mid_update);
    }

    /// Plays until the video is known as one.
    fn play_until_video(&mut self, rect: Rect) {
        for _ in 0..6 {
            self.play(rect);
            self.advance(FRAME);
        }
        self.now += FRAME;
    }

    /// Plays until a chunk has ended inside an update.
    fn play_until_mid_update(&mut self) {
        let whole = self.client.bounds();
        for _ in 0..10 {
            self.play(whole);
            self.now += FRAME;
            self.chunk();
            if self.updater.is_mid_update() {
                return;
            }
            self.advance(FRAME);
        }
        panic!("the video fits into one chunk");
    }

    fn announce_desktop_size(&mut self) {
        let sizes = [encoding::DESKTOP_SIZE];
        let known = [&ENCODINGS[..], &sizes].concat();
        self.updater.set_encodings(&known);
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Play(rect) => self.play(rect),
            Event::Fill(rect, grey) => self.fill(rect, grey),
            Event::Copy(rect, from) => {
                let copy = Rectangle::CopyRect { rect, from };
                self.framebuffer.apply(&copy).unwrap();
            }
            Event::StartEarly => while self.start_early().is_some() {},
            Event::Advance(time) => drop(self.advance(Duration::from_millis(time))),
            Event::Lose(rect) => {
                self.updater.request(false, rect);
                self.client.invalidate(rect);
            }
            Event::Jpeg(known) => {
                let jpeg = if known {
                    &ENCODINGS[..]
                } else {
                    &ENCODINGS[2..]
                };
                let known = [jpeg, &[encoding::DESKTOP_SIZE]].concat();
                self.updater.set_encodings(&known);
            }
            Event::Resize(width, height) => {
                let before = (self.framebuffer.width(), self.framebuffer.height());
                for (width, height) in [(width, height), before] {
                    let size = Rectangle::DesktopSize { width, height };
                    self.framebuffer.apply(&size).unwrap();
                    self.advance(FRAME);
                }
            }
        }
    }

    fn is_exact(&self) -> bool {
        self.client.agrees_with(&self.framebuffer)
    }
}

const WINDOW: Rect = Rect::new(64, 64, 192, 128);

#[test]
fn a_film_goes_as_jpeg_and_is_exact_once_it_rests() {
    let mut cinema = Cinema::new();
    for _ in 0..10 {
        cinema.play(WINDOW);
        cinema.advance(FRAME);
    }
    assert!(cinema.client.jpegs > 0);
    assert!(!cinema.is_exact());
    let due = cinema.updater.wake_at().unwrap();
    assert!(due <= cinema.now + Duration::from_millis(300), "{due:?}");
    assert!(cinema.advance(Duration::from_millis(100)).is_empty());
    let jpegs = cinema.client.jpegs;
    assert!(!cinema.advance(Duration::from_millis(300)).is_empty());
    assert_eq!(cinema.client.jpegs, jpegs);
    assert!(cinema.is_exact());
    assert_eq!(cinema.updater.wake_at(), None);
    assert!(cinema.advance(Duration::from_secs(9)).is_empty());
}

#[test]
fn what_is_drawn_beside_a_film_is_exact_at_once() {
    let mut cinema = Cinema::new();
    let beside = Rect::new(0, 0, 64, 64);
    for grey in 0..20 {
        cinema.play(WINDOW);
        cinema.fill(beside, grey * 10);
        cinema.advance(FRAME);
        let shown = &cinema.client.pixels;
        let right = |at: usize| shown[at] == Some([grey * 10, grey * 10, grey * 10, 0]);
        let row = usize::from(WIDTH);
        assert!((0..64).all(|y| (0..64).all(|x| right(y * row + x))));
    }
    assert!(cinema.client.jpegs > 0);
}

#[test]
fn of_what_lies_on_a_film_nothing_is_inexact_and_the_film_beside_it_is_jpeg() {
    let mut cinema = Cinema::new();
    let bar = Rect { h: 10, ..WINDOW };
    for shift in 0..20 {
        cinema.play(WINDOW);
        let stripe = |at: usize| match (at + shift) / 8 % 2 {
            0 => [0; 4],
            _ => [255, 255, 255, 0],
        };
        cinema.draw(bar, (0..bar.area()).flat_map(stripe).collect());
        let jpegs = cinema.client.jpegs;
        cinema.advance(FRAME);
        let (shown, row) = (&cinema.client.pixels, usize::from(WIDTH));
        for at in 0..bar.area() {
            let (x, y) = (at % usize::from(bar.w), at / usize::from(bar.w));
            let place = (usize::from(bar.y) + y) * row + usize::from(bar.x) + x;
            assert_eq!(shown[place], Some(stripe(at)), "{x}, {y}");
        }
        // Both rows of blocks, the upper one without its uppermost tiles.
        let now = cinema.client.jpegs - jpegs;
        assert!(shift < 10 || now == 1, "{now} films");
    }
}

#[test]
fn a_film_for_a_client_that_knows_no_jpeg_is_exact() {
    let mut cinema = Cinema::new();
    cinema.updater.set_encodings(&ENCODINGS[2..]);
    for _ in 0..10 {
        cinema.play(WINDOW);
        cinema.advance(FRAME);
        assert!(cinema.is_exact());
    }
    assert_eq!(cinema.client.jpegs, 0);
}

#[test]
fn a_window_that_is_dragged_over_a_film_leaves_nothing_inexact() {
    let mut cinema = Cinema::new();
    for _ in 0..6 {
        cinema.play(WINDOW);
        cinema.advance(FRAME);
    }
    // A part of the video is copied elsewhere, also at the client.
    let rect = Rect::new(0, 192, 128, 64);
    let from = (WINDOW.x, WINDOW.y);
    let copy = Rectangle::CopyRect { rect, from };
    cinema.framebuffer.apply(&copy).unwrap();
    cinema.advance(FRAME);
    assert!(cinema.client.copies > 0);
    assert!(!cinema.is_exact());
    cinema.advance(Duration::from_millis(400));
    assert!(cinema.is_exact());
}

#[test]
fn what_a_client_cant_be_sent_now_keeps_nobody_busy() {
    let mut cinema = Cinema::new();
    for _ in 0..6 {
        cinema.play(WINDOW);
        cinema.advance(FRAME);
    }
    assert!(!cinema.is_exact());
    // The client has continuous updates of another part only.
    cinema
        .updater
        .enable_continuous_updates(true, Rect::new(0, 0, 16, 16));
    cinema.advance(Duration::from_secs(1));
    assert!(cinema.updater.wake_at().unwrap() > cinema.now);
    // The framebuffer shrinks, for a client that doesn't support DesktopSize.
    let whole = cinema.client.bounds();
    cinema.updater.enable_continuous_updates(true, whole);
    let size = Rectangle::DesktopSize {
        width: 100,
        height: 100,
    };
    cinema.framebuffer.apply(&size).unwrap();
    cinema.advance(Duration::from_secs(1));
    assert!(cinema.is_exact());
    assert!(cinema.updater.wake_at().unwrap() > cinema.now);
}

#[test]
fn a_large_film_goes_in_parts_of_one_update() {
    let mut cinema = Cinema::large();
    cinema.play_until_mid_update();
    let (updates, answers) = (cinema.client.updates, cinema.client.fence_replies.len());
    // Inside the update no fence is answered, and no new update begins.
    let flags = etatuki_rfb::encode::fence_flags::REQUEST;
    let asked = cinema.updater.on_fence(flags, b"mine", cinema.now);
    asked.unwrap();
    assert!(!cinema.updater.wants_update());
    let mut parts = 1;
    while cinema.updater.is_mid_update() {
        assert_eq!(cinema.client.fence_replies.len(), answers);
        cinema.chunk().unwrap();
        parts += 1;
    }
    assert!((2..8).contains(&parts), "{parts} parts");
    assert_eq!(cinema.client.updates, updates);
    assert!(cinema.updater.wants_update());
    cinema.chunk().unwrap();
    assert_eq!(cinema.client.fence_replies.len(), answers + 1);
    cinema.advance(Duration::from_secs(1));
    assert!(cinema.is_exact());
}

#[test]
fn a_films_frame_sets_out_before_it_is_whole() {
    let mut cinema = Cinema::large();
    let whole = cinema.client.bounds();
    cinema.play_until_video(whole);
    let (updates, jpegs) = (cinema.client.updates, cinema.client.jpegs);
    assert_eq!(cinema.start_early(), None, "nothing has changed");
    let upper = Rect { h: 200, ..whole };
    cinema.play(upper);
    let chunk = cinema.start_early().unwrap();
    assert!(chunk.incompressible_from < chunk.len());
    // Three rows of blocks; the fourth isn't whole.
    assert_eq!(cinema.client.jpegs, jpegs + 1);
    assert_eq!(cinema.client.last_rects, [Rect { h: 192, ..whole }]);
    assert_eq!(cinema.start_early(), None);
    let lower = Rect {
        y: 200,
        h: whole.h - 200,
        ..whole
    };
    cinema.play(lower);
    cinema.advance(FRAME);
    assert!(cinema.client.jpegs > jpegs + 1);
    assert_eq!(cinema.client.updates, updates + 1, "it is one update");
    assert!(!cinema.is_exact());
    cinema.advance(Duration::from_secs(1));
    assert!(cinema.is_exact());
}

#[test]
fn nothing_else_sets_out_before_the_tools_update_is_whole() {
    let mut cinema = Cinema::large();
    let whole = cinema.client.bounds();
    for _ in 0..2 {
        cinema.play(whole);
        assert_eq!(cinema.start_early(), None, "that may be a photograph");
        cinema.advance(FRAME);
    }
    cinema.play_until_video(whole);
    cinema.fill(whole, 90);
    assert_eq!(cinema.start_early(), None, "that is no film any more");
    cinema.advance(FRAME);
    assert!(cinema.is_exact());
}

#[test]
fn a_film_goes_ahead_only_where_it_may() {
    for unknown in [encoding::TIGHT, encoding::LAST_RECT] {
        let mut cinema = Cinema::large();
        let known: Vec<i32> = ENCODINGS
            .into_iter()
            .filter(|one| *one != unknown)
            .collect();
        cinema.updater.set_encodings(&known);
        let whole = cinema.client.bounds();
        cinema.play_until_video(whole);
        cinema.play(whole);
        assert_eq!(cinema.start_early(), None, "{unknown}");
    }
    let mut cinema = Cinema::large();
    let whole = cinema.client.bounds();
    cinema.play_until_video(whole);
    cinema.play(whole);
    // A pending copy must reach the client first.
    let copy = Rectangle::CopyRect {
        rect: Rect::new(0, 0, 64, 64),
        from: (64, 64),
    };
    cinema.advance(FRAME);
    cinema.framebuffer.apply(&copy).unwrap();
    cinema.play(Rect {
        y: 64,
        h: 128,
        ..whole
    });
    assert_eq!(cinema.start_early(), None);
    cinema.advance(FRAME);
    // Continuous updates of a part aren't enough.
    cinema
        .updater
        .enable_continuous_updates(true, Rect { w: 64, ..whole });
    cinema.play(whole);
    assert_eq!(cinema.start_early(), None);
}

#[test]
fn what_the_client_must_hear_first_ends_what_has_gone_ahead() {
    let mut cinema = Cinema::large();
    cinema.announce_desktop_size();
    let whole = cinema.client.bounds();
    cinema.play_until_video(whole);
    cinema.play(Rect { h: 200, ..whole });
    cinema.start_early().unwrap();
    let answers = cinema.client.fence_replies.len();
    let flags = etatuki_rfb::encode::fence_flags::REQUEST;
    let asked = cinema.updater.on_fence(flags, b"mine", cinema.now);
    asked.unwrap();
    assert!(cinema.client.mid_update);
    let size = Rectangle::DesktopSize {
        width: 500,
        height: 400,
    };
    cinema.framebuffer.apply(&size).unwrap();
    assert_eq!(cinema.start_early(), None);
    cinema.chunk().unwrap();
    assert!(!cinema.client.mid_update);
    assert_eq!(cinema.client.fence_replies.len(), answers);
    assert_eq!(cinema.client.width, whole.w);
    cinema.advance(FRAME);
    assert_eq!(cinema.client.fence_replies.len(), answers + 1);
    assert_eq!(cinema.client.width, 500);
    assert!(!cinema.client.mixed_update);
    cinema.advance(Duration::from_secs(1));
    assert!(cinema.is_exact());
}

/// Something that may happen.
#[derive(Clone, Debug)]
enum Event {
    Play(Rect),
    Fill(Rect, u8),
    Copy(Rect, (u16, u16)),
    StartEarly,
    Advance(u64),
    Lose(Rect),
    Jpeg(bool),
    Resize(u16, u16),
}

fn rects() -> impl Strategy<Value = Rect> {
    (0..WIDTH, 0..HEIGHT).prop_flat_map(|(x, y)| {
        (1..=WIDTH - x, 1..=HEIGHT - y).prop_map(move |(w, h)| Rect { x, y, w, h })
    })
}

fn events() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => Just(Event::Play(WINDOW)),
        3 => rects().prop_map(Event::Play),
        2 => (rects(), any::<u8>()).prop_map(|(rect, grey)| Event::Fill(rect, grey)),
        1 => (rects(), 0..WIDTH, 0..HEIGHT).prop_map(|(rect, x, y)| {
            Event::Copy(rect, (x.min(WIDTH - rect.w), y.min(HEIGHT - rect.h)))
        }),
        4 => Just(Event::StartEarly),
        8 => (1..120u64).prop_map(Event::Advance),
        1 => rects().prop_map(Event::Lose),
        1 => any::<bool>().prop_map(Event::Jpeg),
        1 => (200..WIDTH, 100..HEIGHT).prop_map(|(width, height)| Event::Resize(width, height)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn whatever_happens_the_end_is_exact(events in prop::collection::vec(events(), 1..60)) {
        let mut cinema = Cinema::new();
        cinema.announce_desktop_size();
        for event in events {
            cinema.apply(event);
        }
        cinema.advance(FRAME);
        cinema.advance(Duration::from_secs(1));
        prop_assert!(cinema.is_exact());
        prop_assert_eq!(cinema.updater.wake_at(), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]
    /// The source should be held there; the picture is right in the end also if it isn't.
    #[test]
    fn whatever_happens_inside_an_update_the_end_is_exact(events in prop::collection::vec(events(), 1..4)) {
        let mut cinema = Cinema::large();
        cinema.announce_desktop_size();
        for event in events {
            cinema.play_until_mid_update();
            cinema.apply(event);
            cinema.advance(FRAME);
        }
        cinema.advance(Duration::from_secs(1));
        prop_assert!(cinema.is_exact());
        prop_assert_eq!(cinema.updater.wake_at(), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]
    #[test]
    fn whatever_happens_while_a_frame_comes_the_end_is_exact(events in prop::collection::vec(events(), 1..8)) {
        let mut cinema = Cinema::large();
        cinema.announce_desktop_size();
        let whole = cinema.client.bounds();
        cinema.play_until_video(whole);
        for event in events {
            cinema.play(Rect { h: 200, ..whole });
            cinema.start_early();
            cinema.apply(event);
        }
        cinema.advance(FRAME);
        cinema.advance(Duration::from_secs(1));
        prop_assert!(cinema.is_exact());
        prop_assert_eq!(cinema.updater.wake_at(), None);
    }
}
