//! The streamer's rules, a test per rule: when a chunk is sent, when the source is asked for more,
//! when it is held. Time is a number.

#![allow(clippy::unwrap_used, reason = "a test may end with a panic")]

use etatuki_picture::{
    EncodedChunk, Framebuffer, MAX_FRAME_HOLD, Source, SourceState, Step, Streamer,
};
use etatuki_rfb::{Rect, Rectangle, encoding};
use etatuki_testkit::RfbClient;
use etatuki_testkit::Scene;
use std::time::Duration;

const WIDTH: u16 = 640;
const HEIGHT: u16 = 512;
const ALL: Rect = Rect::new(0, 0, WIDTH, HEIGHT);
const FRAME: Duration = Duration::from_millis(33);
const MS: Duration = Duration::from_millis(1);
const BETWEEN: SourceState = SourceState::BetweenUpdates;
const MID: SourceState = SourceState::MidUpdate;
const ENCODINGS: [i32; 4] = [
    encoding::TIGHT,
    encoding::LAST_RECT,
    encoding::FENCE,
    encoding::CONTINUOUS_UPDATES,
];

/// A source, a streamer, and a client at the end of a link that the test moves by hand.
struct StreamerHarness {
    framebuffer: Framebuffer,
    has_pixels: bool,
    streamer: Streamer,
    client: RfbClient,
    video: Scene,
    frames: usize,
    now: Duration,
    /// The chunk that is on its way; the outbox is idle without one.
    on_its_way: Option<EncodedChunk>,
}

impl StreamerHarness {
    /// Returns a harness in which nothing has been sent.
    fn new() -> Self {
        Self {
            framebuffer: Framebuffer::new(WIDTH, HEIGHT),
            has_pixels: false,
            streamer: Streamer::new("desk"),
            client: RfbClient::new(WIDTH, HEIGHT),
            video: Scene::video(720, 560, 0.5, 6.0),
            frames: 0,
            now: Duration::from_secs(1),
            on_its_way: None,
        }
    }

    /// Returns a harness whose client has a grey screen, and continuous updates.
    fn streaming() -> Self {
        let mut harness = Self::new();
        harness.drive(BETWEEN);
        // ServerInit is for a client's handshake.
        harness.on_its_way = None;
        let updater = harness.streamer.updater().unwrap();
        updater.set_encodings(&ENCODINGS);
        updater.enable_continuous_updates(true, ALL);
        harness.fill(ALL, 200);
        harness.settle();
        assert!(harness.client.agrees_with(&harness.framebuffer));
        harness
    }

    /// Returns a harness whose client has watched a video for a while; the next frame is due.
    fn watching() -> Self {
        let mut harness = Self::streaming();
        for _ in 0..6 {
            harness.play(ALL);
            harness.streamer.on_source_changed();
            harness.now += FRAME;
            harness.settle();
        }
        harness.now += FRAME;
        harness
    }

    fn fill(&mut self, rect: Rect, grey: u8) {
        let pixels = [grey, grey, grey, 0].repeat(rect.area());
        self.draw(rect, pixels);
        self.streamer.on_source_changed();
    }

    /// Draws the next frame of the video: the scene is panned over.
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

    fn draw(&mut self, rect: Rect, pixels: Vec<u8>) {
        let drawn = Rectangle::Raw { rect, pixels };
        self.framebuffer.apply(&drawn).unwrap();
        self.has_pixels = true;
    }

    /// Drives the streamer for one step. The step's chunk is on its way afterwards.
    fn drive(&mut self, state: SourceState) -> Step {
        let source = Source {
            framebuffer: &mut self.framebuffer,
            state,
            has_pixels: self.has_pixels,
        };
        let is_idle = self.on_its_way.is_none();
        let step = self.streamer.drive(Some(source), is_idle, self.now);
        assert!(is_idle || step.chunk.is_none(), "the outbox is full");
        if step.chunk.is_some() {
            self.on_its_way.clone_from(&step.chunk);
        }
        step
    }

    /// Delivers the chunk, whose fences the client answers.
    fn arrive(&mut self) {
        let chunk = self.on_its_way.take().unwrap();
        // A link of a gigabit per second, on which raw pixels compress eightfold.
        let raw = chunk.incompressible_from;
        let wire = raw / 8 + (chunk.len() - raw);
        self.streamer.on_written(wire, None, self.now);
        self.now += Duration::from_nanos(wire as u64 * 8);
        self.client.receive(&chunk, 10_000);
        let updater = self.streamer.updater().unwrap();
        for (flags, payload) in std::mem::take(&mut self.client.fence_requests) {
            updater.on_fence(flags, &payload, self.now).unwrap();
        }
    }

    /// Drives the streamer until there is nothing more to send.
    fn settle(&mut self) -> Step {
        for _ in 0..100 {
            let step = self.drive(BETWEEN);
            if step.chunk.is_none() {
                return step;
            }
            self.arrive();
        }
        panic!("there is always more");
    }

    fn wake_at(&self, state: SourceState) -> Option<Duration> {
        let is_idle = self.on_its_way.is_none();
        self.streamer.wake_at(state, is_idle, self.now)
    }

    /// Plays the video until an update is on its way whose rest is still to be made.
    fn play_until_mid_update(&mut self) {
        for _ in 0..10 {
            self.play(ALL);
            self.now += FRAME;
            self.drive(BETWEEN);
            if self.streamer.updater().unwrap().is_mid_update() {
                return;
            }
            self.settle_arrivals();
        }
        panic!("the video fits into one chunk");
    }

    fn settle_arrivals(&mut self) {
        if self.on_its_way.is_some() {
            self.arrive();
        }
        self.settle();
    }
}

#[test]
fn the_size_is_told_first_and_no_picture_before_the_source_has_drawn() {
    let mut harness = StreamerHarness::new();
    let nothing = harness.streamer.drive(None, true, harness.now);
    assert_eq!(nothing.chunk, None);
    assert!(harness.streamer.updater().is_none());
    assert_eq!(harness.drive(MID).chunk, None, "the size may still change");
    let init = harness.drive(BETWEEN).chunk.unwrap();
    assert_eq!(init[..4], [2, 128, 2, 0]);
    assert!(init.ends_with(b"desk"));
    assert_eq!(init.incompressible_from, init.len());
    harness.on_its_way = None;
    harness.streamer.updater().unwrap().request(true, ALL);
    let step = harness.drive(BETWEEN);
    assert_eq!(step.chunk, None, "our own black is no picture");
    assert!(step.request_more);
    harness.fill(ALL, 9);
    assert!(harness.drive(BETWEEN).chunk.is_some());
}

#[test]
fn the_latest_state_wins() {
    let mut harness = StreamerHarness::streaming();
    let updater = harness.streamer.updater().unwrap();
    updater.enable_continuous_updates(false, ALL);
    harness.settle();
    let updates = harness.client.updates;
    for grey in 1..20 {
        harness.fill(ALL, grey);
        harness.streamer.updater().unwrap().request(true, ALL);
        let sent = harness.drive(BETWEEN).chunk.is_some();
        assert_eq!(sent, grey == 1, "the link is busy with the first");
    }
    harness.arrive();
    assert!(!harness.client.agrees_with(&harness.framebuffer));
    harness.settle();
    assert_eq!(harness.client.updates, updates + 2);
    assert!(harness.client.agrees_with(&harness.framebuffer));
}

#[test]
fn nothing_is_requested_while_something_waits() {
    let mut harness = StreamerHarness::streaming();
    harness.fill(ALL, 1);
    assert!(
        harness.drive(BETWEEN).request_more,
        "all of it has been sent"
    );
    harness.fill(ALL, 2);
    assert!(!harness.drive(BETWEEN).request_more, "the link is busy");
    harness.arrive();
    assert!(harness.settle().request_more);
    // Without credit, what has changed waits for the client.
    let updater = harness.streamer.updater().unwrap();
    updater.enable_continuous_updates(false, ALL);
    harness.settle();
    assert!(harness.drive(BETWEEN).request_more, "nothing waits");
    harness.fill(ALL, 3);
    assert_eq!(harness.drive(BETWEEN).chunk, None);
    assert!(!harness.drive(BETWEEN).request_more);
    harness.streamer.updater().unwrap().request(true, ALL);
    harness.settle();
    assert!(harness.drive(BETWEEN).request_more);
}

#[test]
fn the_source_is_held_inside_an_update_and_not_for_ever() {
    let mut harness = StreamerHarness::watching();
    assert!(!harness.streamer.holds_source(harness.now));
    assert!(!harness.streamer.should_yield(harness.now));
    harness.play_until_mid_update();
    let began = harness.now;
    assert!(harness.streamer.should_yield(began));
    // A stuck update is looked at again and again, and that doesn't prolong the hold.
    for part in 0..6 {
        harness.now = began + MAX_FRAME_HOLD * part / 4;
        let step = harness.drive(BETWEEN);
        let held = part < 4;
        assert_eq!(harness.streamer.holds_source(harness.now), held, "{part}");
        assert!(!(held && step.request_more), "{part}");
        let wake_at = held.then_some(began + MAX_FRAME_HOLD);
        assert_eq!(harness.wake_at(BETWEEN), wake_at, "{part}");
    }
    harness.settle_arrivals();
    assert!(!harness.streamer.holds_source(harness.now));
    // The next one is held anew.
    harness.play_until_mid_update();
    assert_eq!(harness.wake_at(BETWEEN), Some(harness.now + MAX_FRAME_HOLD));
    harness.streamer.on_client_gone();
    assert!(!harness.streamer.holds_source(harness.now), "for whom?");
}

#[test]
fn a_frame_starts_early_only_inside_the_sources_update() {
    let upper = Rect { h: 200, ..ALL };
    let mut harness = StreamerHarness::watching();
    assert_eq!(harness.drive(MID).chunk, None, "nothing has changed");
    harness.play(upper);
    assert!(harness.drive(MID).chunk.is_some());
    let mut updater = harness.streamer.updater().unwrap();
    assert!(updater.has_started_early());
    // It is held until the chunk has left, and then needs the source's rest.
    assert!(harness.streamer.holds_source(harness.now));
    harness.arrive();
    assert!(harness.drive(MID).chunk.is_none());
    assert!(!harness.streamer.holds_source(harness.now));
    assert!(harness.streamer.should_yield(harness.now));
    harness.play(Rect {
        y: 200,
        h: HEIGHT - 200,
        ..ALL
    });
    harness.settle();
    updater = harness.streamer.updater().unwrap();
    assert!(!updater.has_started_early());
    // Between updates a frame goes as a whole one.
    harness.now += FRAME;
    harness.play(upper);
    harness.drive(BETWEEN);
    updater = harness.streamer.updater().unwrap();
    assert!(!updater.has_started_early());
}

#[test]
fn nothing_but_video_goes_inside_the_sources_update() {
    let mut harness = StreamerHarness::streaming();
    for grey in 0..10 {
        harness.fill(ALL, grey);
        harness.now += FRAME;
        assert_eq!(harness.drive(MID).chunk, None);
    }
    assert!(harness.drive(BETWEEN).chunk.is_some());
}

#[test]
fn it_wakes_for_the_lossless_refresh_where_that_can_go() {
    let mut harness = StreamerHarness::streaming();
    assert_eq!(harness.wake_at(BETWEEN), None);
    harness = StreamerHarness::watching();
    let refresh_at = harness.wake_at(BETWEEN).unwrap();
    assert!(refresh_at > harness.now && refresh_at <= harness.now + 300 * MS);
    assert_eq!(harness.wake_at(MID), None, "the source isn't done");
    // It may be that early; blocks that changed later wait for longer.
    while harness.drive(BETWEEN).chunk.is_none() {
        harness.now = harness.wake_at(BETWEEN).unwrap();
    }
    assert_eq!(harness.wake_at(BETWEEN), None, "the link is busy");
    harness.settle_arrivals();
    harness.now += Duration::from_secs(1);
    harness.settle();
    assert!(harness.client.agrees_with(&harness.framebuffer));
    assert_eq!(harness.wake_at(BETWEEN), None, "all is exact");
}
