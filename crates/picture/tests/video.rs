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
struct VideoHarness {
    framebuffer: Framebuffer,
    updater: Updater,
    client: RfbClient,
    video: Scene,
    now: Duration,
    frames: usize,
}

impl VideoHarness {
    /// Returns a harness whose client has an empty desktop, and continuous updates over a fast
    /// link.
    fn new() -> Self {
        Self::of_size(WIDTH, HEIGHT, Scene::video(400, 300, 0.5, 0.1))
    }

    /// Returns a harness with a video that needs more than one chunk.
    fn large() -> Self {
        let (width, height) = (640, 512);
        Self::of_size(width, height, Scene::video(720, 560, 0.5, 6.0))
    }

    fn of_size(width: u16, height: u16, video: Scene) -> Self {
        let mut harness = Self {
            framebuffer: Framebuffer::new(width, height),
            updater: Updater::new(width, height),
            client: RfbClient::new(width, height),
            video,
            now: Duration::from_secs(1),
            frames: 0,
        };
        harness.updater.set_encodings(&ENCODINGS);
        let whole = harness.client.bounds();
        harness.updater.enable_continuous_updates(true, whole);
        harness.fill(whole, 200);
        harness.advance(FRAME);
        harness
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
fn a_video_goes_as_jpeg_and_is_exact_once_it_rests() {
    let mut harness = VideoHarness::new();
    for _ in 0..10 {
        harness.play(WINDOW);
        harness.advance(FRAME);
    }
    assert!(harness.client.jpegs > 0);
    assert!(!harness.is_exact());
    let due = harness.updater.wake_at().unwrap();
    assert!(due <= harness.now + Duration::from_millis(300), "{due:?}");
    assert!(harness.advance(Duration::from_millis(100)).is_empty());
    let jpegs = harness.client.jpegs;
    assert!(!harness.advance(Duration::from_millis(300)).is_empty());
    assert_eq!(harness.client.jpegs, jpegs);
    assert!(harness.is_exact());
    assert_eq!(harness.updater.wake_at(), None);
    assert!(harness.advance(Duration::from_secs(9)).is_empty());
}

#[test]
fn what_is_drawn_beside_a_video_is_exact_at_once() {
    let mut harness = VideoHarness::new();
    let beside = Rect::new(0, 0, 64, 64);
    for grey in 0..20 {
        harness.play(WINDOW);
        harness.fill(beside, grey * 10);
        harness.advance(FRAME);
        let shown = &harness.client.pixels;
        let right = |at: usize| shown[at] == Some([grey * 10, grey * 10, grey * 10, 0]);
        let row = usize::from(WIDTH);
        assert!((0..64).all(|y| (0..64).all(|x| right(y * row + x))));
    }
    assert!(harness.client.jpegs > 0);
}

#[test]
fn what_lies_on_a_video_is_exact_and_the_video_beside_it_is_jpeg() {
    let mut harness = VideoHarness::new();
    let bar = Rect { h: 10, ..WINDOW };
    for shift in 0..20 {
        harness.play(WINDOW);
        let stripe = |at: usize| match (at + shift) / 8 % 2 {
            0 => [0; 4],
            _ => [255, 255, 255, 0],
        };
        harness.draw(bar, (0..bar.area()).flat_map(stripe).collect());
        let jpegs = harness.client.jpegs;
        harness.advance(FRAME);
        let (shown, row) = (&harness.client.pixels, usize::from(WIDTH));
        for at in 0..bar.area() {
            let (x, y) = (at % usize::from(bar.w), at / usize::from(bar.w));
            let place = (usize::from(bar.y) + y) * row + usize::from(bar.x) + x;
            assert_eq!(shown[place], Some(stripe(at)), "{x}, {y}");
        }
        // Both rows of blocks, the upper one without its uppermost tiles.
        let now = harness.client.jpegs - jpegs;
        assert!(shift < 10 || now == 1, "{now} JPEGs");
    }
}

#[test]
fn a_video_for_a_client_without_jpeg_is_exact() {
    let mut harness = VideoHarness::new();
    harness.updater.set_encodings(&ENCODINGS[2..]);
    for _ in 0..10 {
        harness.play(WINDOW);
        harness.advance(FRAME);
        assert!(harness.is_exact());
    }
    assert_eq!(harness.client.jpegs, 0);
}

#[test]
fn a_window_that_is_dragged_over_a_video_leaves_nothing_inexact() {
    let mut harness = VideoHarness::new();
    for _ in 0..6 {
        harness.play(WINDOW);
        harness.advance(FRAME);
    }
    // A part of the video is copied elsewhere, also at the client.
    let rect = Rect::new(0, 192, 128, 64);
    let from = (WINDOW.x, WINDOW.y);
    let copy = Rectangle::CopyRect { rect, from };
    harness.framebuffer.apply(&copy).unwrap();
    harness.advance(FRAME);
    assert!(harness.client.copies > 0);
    assert!(!harness.is_exact());
    harness.advance(Duration::from_millis(400));
    assert!(harness.is_exact());
}

#[test]
fn what_a_client_cant_be_sent_now_keeps_nobody_busy() {
    let mut harness = VideoHarness::new();
    for _ in 0..6 {
        harness.play(WINDOW);
        harness.advance(FRAME);
    }
    assert!(!harness.is_exact());
    // The client has continuous updates of another part only.
    harness
        .updater
        .enable_continuous_updates(true, Rect::new(0, 0, 16, 16));
    harness.advance(Duration::from_secs(1));
    assert!(harness.updater.wake_at().unwrap() > harness.now);
    // The framebuffer shrinks, for a client that doesn't support DesktopSize.
    let whole = harness.client.bounds();
    harness.updater.enable_continuous_updates(true, whole);
    let size = Rectangle::DesktopSize {
        width: 100,
        height: 100,
    };
    harness.framebuffer.apply(&size).unwrap();
    harness.advance(Duration::from_secs(1));
    assert!(harness.is_exact());
    assert!(harness.updater.wake_at().unwrap() > harness.now);
}

#[test]
fn a_large_video_goes_in_parts_of_one_update() {
    let mut harness = VideoHarness::large();
    harness.play_until_mid_update();
    let (updates, answers) = (harness.client.updates, harness.client.fence_replies.len());
    // Inside the update no fence is answered, and no new update begins.
    let flags = etatuki_rfb::encode::fence_flags::REQUEST;
    let asked = harness.updater.on_fence(flags, b"mine", harness.now);
    asked.unwrap();
    assert!(!harness.updater.wants_update());
    let mut parts = 1;
    while harness.updater.is_mid_update() {
        assert_eq!(harness.client.fence_replies.len(), answers);
        harness.chunk().unwrap();
        parts += 1;
    }
    assert!((2..8).contains(&parts), "{parts} parts");
    assert_eq!(harness.client.updates, updates);
    assert!(harness.updater.wants_update());
    harness.chunk().unwrap();
    assert_eq!(harness.client.fence_replies.len(), answers + 1);
    harness.advance(Duration::from_secs(1));
    assert!(harness.is_exact());
}

#[test]
fn a_videos_frame_is_sent_before_it_is_complete() {
    let mut harness = VideoHarness::large();
    let whole = harness.client.bounds();
    harness.play_until_video(whole);
    let (updates, jpegs) = (harness.client.updates, harness.client.jpegs);
    assert_eq!(harness.start_early(), None, "nothing has changed");
    let upper = Rect { h: 200, ..whole };
    harness.play(upper);
    let chunk = harness.start_early().unwrap();
    assert!(chunk.incompressible_from < chunk.len());
    // Three rows of blocks; the fourth isn't whole.
    assert_eq!(harness.client.jpegs, jpegs + 1);
    assert_eq!(harness.client.last_rects, [Rect { h: 192, ..whole }]);
    assert_eq!(harness.start_early(), None);
    let lower = Rect {
        y: 200,
        h: whole.h - 200,
        ..whole
    };
    harness.play(lower);
    harness.advance(FRAME);
    assert!(harness.client.jpegs > jpegs + 1);
    assert_eq!(harness.client.updates, updates + 1, "it is one update");
    assert!(!harness.is_exact());
    harness.advance(Duration::from_secs(1));
    assert!(harness.is_exact());
}

#[test]
fn nothing_else_sets_out_before_the_tools_update_is_whole() {
    let mut harness = VideoHarness::large();
    let whole = harness.client.bounds();
    for _ in 0..2 {
        harness.play(whole);
        assert_eq!(harness.start_early(), None, "that may be a photograph");
        harness.advance(FRAME);
    }
    harness.play_until_video(whole);
    harness.fill(whole, 90);
    assert_eq!(harness.start_early(), None, "that is no video any more");
    harness.advance(FRAME);
    assert!(harness.is_exact());
}

#[test]
fn a_video_starts_early_only_where_it_may() {
    for unknown in [encoding::TIGHT, encoding::LAST_RECT] {
        let mut harness = VideoHarness::large();
        let known: Vec<i32> = ENCODINGS
            .into_iter()
            .filter(|one| *one != unknown)
            .collect();
        harness.updater.set_encodings(&known);
        let whole = harness.client.bounds();
        harness.play_until_video(whole);
        harness.play(whole);
        assert_eq!(harness.start_early(), None, "{unknown}");
    }
    let mut harness = VideoHarness::large();
    let whole = harness.client.bounds();
    harness.play_until_video(whole);
    harness.play(whole);
    // A pending copy must reach the client first.
    let copy = Rectangle::CopyRect {
        rect: Rect::new(0, 0, 64, 64),
        from: (64, 64),
    };
    harness.advance(FRAME);
    harness.framebuffer.apply(&copy).unwrap();
    harness.play(Rect {
        y: 64,
        h: 128,
        ..whole
    });
    assert_eq!(harness.start_early(), None);
    harness.advance(FRAME);
    // Continuous updates of a part aren't enough.
    harness
        .updater
        .enable_continuous_updates(true, Rect { w: 64, ..whole });
    harness.play(whole);
    assert_eq!(harness.start_early(), None);
}

#[test]
fn what_the_client_must_hear_first_ends_what_has_gone_ahead() {
    let mut harness = VideoHarness::large();
    harness.announce_desktop_size();
    let whole = harness.client.bounds();
    harness.play_until_video(whole);
    harness.play(Rect { h: 200, ..whole });
    harness.start_early().unwrap();
    let answers = harness.client.fence_replies.len();
    let flags = etatuki_rfb::encode::fence_flags::REQUEST;
    let asked = harness.updater.on_fence(flags, b"mine", harness.now);
    asked.unwrap();
    assert!(harness.client.mid_update);
    let size = Rectangle::DesktopSize {
        width: 500,
        height: 400,
    };
    harness.framebuffer.apply(&size).unwrap();
    assert_eq!(harness.start_early(), None);
    harness.chunk().unwrap();
    assert!(!harness.client.mid_update);
    assert_eq!(harness.client.fence_replies.len(), answers);
    assert_eq!(harness.client.width, whole.w);
    harness.advance(FRAME);
    assert_eq!(harness.client.fence_replies.len(), answers + 1);
    assert_eq!(harness.client.width, 500);
    assert!(!harness.client.mixed_update);
    harness.advance(Duration::from_secs(1));
    assert!(harness.is_exact());
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
        let mut harness = VideoHarness::new();
        harness.announce_desktop_size();
        for event in events {
            harness.apply(event);
        }
        harness.advance(FRAME);
        harness.advance(Duration::from_secs(1));
        prop_assert!(harness.is_exact());
        prop_assert_eq!(harness.updater.wake_at(), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]
    /// The source should be held there; the picture is right in the end also if it isn't.
    #[test]
    fn whatever_happens_inside_an_update_the_end_is_exact(events in prop::collection::vec(events(), 1..4)) {
        let mut harness = VideoHarness::large();
        harness.announce_desktop_size();
        for event in events {
            harness.play_until_mid_update();
            harness.apply(event);
            harness.advance(FRAME);
        }
        harness.advance(Duration::from_secs(1));
        prop_assert!(harness.is_exact());
        prop_assert_eq!(harness.updater.wake_at(), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]
    #[test]
    fn whatever_happens_while_a_frame_comes_the_end_is_exact(events in prop::collection::vec(events(), 1..8)) {
        let mut harness = VideoHarness::large();
        harness.announce_desktop_size();
        let whole = harness.client.bounds();
        harness.play_until_video(whole);
        for event in events {
            harness.play(Rect { h: 200, ..whole });
            harness.start_early();
            harness.apply(event);
        }
        harness.advance(FRAME);
        harness.advance(Duration::from_secs(1));
        prop_assert!(harness.is_exact());
        prop_assert_eq!(harness.updater.wake_at(), None);
    }
}
