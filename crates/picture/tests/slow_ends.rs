//! Ends that are slow to wake are no slow line: simulated sessions in which every fence's answer
//! comes 5 to 30 ms late, beside the same ones with quick ends. Time is a number, and what is
//! random repeats.

#![allow(clippy::unwrap_used, reason = "a test may end with a panic")]

use etatuki_picture::{Framebuffer, Updater};
use etatuki_rfb::{Rect, encoding};
use etatuki_testkit::{Random, RfbClient, Scene, SlowLine};
use std::collections::VecDeque;
use std::time::Duration;
use zstd::stream::raw::{self, InBuffer, Operation, OutBuffer};

const WIDTH: u16 = 640;
const HEIGHT: u16 = 480;
const ALL: Rect = Rect::new(0, 0, WIDTH, HEIGHT);
/// Height of a line of text, and of a row of the spreadsheet.
const ROW: u16 = 16;
const MS: Duration = Duration::from_millis(1);
/// Length of a session.
const SESSION: Duration = Duration::from_secs(4);
/// Time for which a program shows a frame: a 30th of a second.
const FRAME: Duration = Duration::from_nanos(33_333_333);
/// Time after which the congestion control must know a slow line.
const SETTLED: Duration = Duration::from_secs(2);
const ENCODINGS: [i32; 5] = [
    encoding::COPY_RECT,
    encoding::TIGHT,
    encoding::LAST_RECT,
    encoding::FENCE,
    encoding::CONTINUOUS_UPDATES,
];

/// The two ends: how long an update and its fence's answer take them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// No time.
    Quick,
    /// 5 to 30 ms at random: they are slow to wake, and then do all that waits at once.
    Slow,
}

/// QUIC's estimate of the path's round trip: smoothed, an eighth for each acknowledgement, of which
/// there is one for two packets (RFC 9002, section 5.3; RFC 9000, section 13.2.2).
#[derive(Debug)]
struct SmoothedRtt {
    estimate: Duration,
    /// Acknowledgements on their way back: the moment of their arrival, and the round trip.
    samples: VecDeque<(Duration, Duration)>,
}

impl SmoothedRtt {
    fn at(&mut self, now: Duration) -> Duration {
        while let Some((_, sample)) = self.samples.pop_front_if(|(at, _)| *at <= now) {
            self.estimate = (self.estimate * 7 + sample) / 8;
        }
        self.estimate
    }
}

/// A session: a screen, its updater, a line, and a client.
struct Session {
    framebuffer: Framebuffer,
    updater: Updater,
    client: RfbClient,
    zstd: raw::Encoder<'static>,
    line: SlowLine,
    ends: Ends,
    random: Random,
    path_rtt: SmoothedRtt,
    now: Duration,
    /// Fences' answers on their way: arrival, flags, payload.
    acks: VecDeque<(Duration, u32, Vec<u8>)>,
    /// Frames that the program has drawn.
    frames: u32,
    /// Updates that the line hasn't carried yet, the one under way first, by their fences: when it
    /// will have, and the frame that they show.
    queue: VecDeque<(Duration, u32)>,
    /// Largest number of stale updates once settled: they wait behind the one under way, and show
    /// an older frame than the screen. Several of one frame count as one.
    most_stale: usize,
}

impl Session {
    fn new(line: SlowLine, ends: Ends) -> Self {
        let mut updater = Updater::new(WIDTH, HEIGHT);
        updater.set_encodings(&ENCODINGS);
        updater.enable_continuous_updates(true, ALL);
        Self {
            framebuffer: Framebuffer::new(WIDTH, HEIGHT),
            updater,
            client: RfbClient::new(WIDTH, HEIGHT),
            zstd: raw::Encoder::new(3).unwrap(),
            ends,
            random: Random::new(14),
            path_rtt: SmoothedRtt {
                estimate: line.round_trip,
                samples: VecDeque::new(),
            },
            line,
            now: Duration::ZERO,
            acks: VecDeque::new(),
            frames: 0,
            queue: VecDeque::new(),
            most_stale: 0,
        }
    }

    /// Lets a millisecond pass.
    fn step(&mut self) {
        self.now += MS;
        while let Some((_, flags, payload)) = self.acks.pop_front_if(|(at, ..)| *at <= self.now) {
            self.updater.on_fence(flags, &payload, self.now).unwrap();
        }
        while let Some(chunk) = self.updater.next_chunk(&mut self.framebuffer, self.now) {
            let jpeg = chunk.len() - chunk.incompressible_from;
            let wire = jpeg + self.compressed(&chunk[..chunk.incompressible_from]);
            self.write(wire);
            self.client.receive(&chunk, 1 << 20);
            self.answer_fences();
        }
        while self.queue.pop_front_if(|(at, _)| *at <= self.now).is_some() {}
        let waiting = self.queue.iter().skip(1);
        let mut frames: Vec<_> = waiting.map(|(_, frame)| *frame).collect();
        frames.dedup();
        let stale = frames.iter().filter(|frame| **frame < self.frames).count();
        if self.now > SETTLED {
            self.most_stale = self.most_stale.max(stale);
        } else {
            self.line.longest_queue = Duration::ZERO;
        }
    }

    /// Returns the length of what zstd makes of these bytes, behind everything before.
    fn compressed(&mut self, bytes: &[u8]) -> usize {
        let mut out = vec![0; bytes.len() + 1024];
        let (mut input, mut output) = (InBuffer::around(bytes), OutBuffer::around(&mut out[..]));
        while input.pos() < bytes.len() {
            self.zstd.run(&mut input, &mut output).unwrap();
        }
        while self.zstd.flush(&mut output).unwrap() > 0 {}
        output.pos()
    }

    fn write(&mut self, wire: usize) {
        let path_rtt = self.path_rtt.at(self.now);
        self.updater.on_written(wire, Some(path_rtt), self.now);
        // One acknowledgement for two packets.
        for start in (0..wire).step_by(2400) {
            let back_at = self.line.send(2400.min(wire - start), self.now);
            self.path_rtt
                .samples
                .push_back((back_at, back_at - self.now));
        }
    }

    /// Puts the answers to what has just been written on their way.
    fn answer_fences(&mut self) {
        for (flags, payload) in std::mem::take(&mut self.client.fence_requests) {
            let takes = match self.ends {
                Ends::Quick => Duration::ZERO,
                Ends::Slow => {
                    Duration::from_micros(5000 + u64::from(self.random.next_below(25_000)))
                }
            };
            let leaves_at = self.now + self.line.queue(self.now);
            self.queue.push_back((leaves_at, self.frames));
            let before = self.acks.back().map_or(Duration::ZERO, |ack| ack.0);
            let at = (leaves_at + self.line.round_trip + takes).max(before);
            self.acks.push_back((at, flags, payload));
        }
    }

    fn draw(&mut self, scene: &Scene, from: (usize, usize), rect: Rect) {
        let pixels = &scene.pixels[from.1 * scene.stride() + from.0 * 4..];
        self.framebuffer.draw(rect, pixels, scene.stride()).unwrap();
    }
}

/// Text that scrolls by half a page in each frame, as a long listing in a terminal does.
fn draw_text(session: &mut Session, scene: &Scene) {
    let top = session.frames as usize * usize::from(ROW) * 15;
    session.draw(scene, (0, top % (scene.height - usize::from(HEIGHT))), ALL);
}

/// A spreadsheet: twice a second it scrolls by a row, every two seconds it jumps to another page,
/// and between that three cells a second are typed into.
fn draw_calc(session: &mut Session, scene: &Scene) {
    let frame = session.frames as usize;
    let page = frame / 60 % 5 * usize::from(HEIGHT) + frame / 15 * usize::from(ROW) % 160;
    if frame.is_multiple_of(15) {
        session.draw(scene, (0, page), ALL);
    } else if frame % 10 == 3 {
        let cell = Rect::new((frame % 72 * 8) as u16, (frame % 29) as u16 * ROW, 64, ROW);
        session.draw(scene, (frame % 64, page), cell);
    }
}

/// A film: a photograph that is panned over.
fn draw_film(session: &mut Session, scene: &Scene) {
    let frame = session.frames as usize;
    session.draw(scene, (frame % 60, frame * 7 % 40), ALL);
}

/// A customer's program: its name, what it draws from, and the drawing of a frame.
type Program = (&'static str, Scene, fn(&mut Session, &Scene));

fn programs() -> [Program; 3] {
    let mut page = Scene::new(usize::from(WIDTH) + 64, 4000, |_, _| [255.0; 3]);
    page.write(1.3, [0.0; 3], 2);
    let photo = Scene::video(720, 560, 0.8, 4.0);
    [
        ("text", page.clone(), draw_text),
        ("calc", page, draw_calc),
        ("film", photo, draw_film),
    ]
}

fn run((_, scene, draw): &Program, line: SlowLine, ends: Ends) -> Session {
    let mut session = Session::new(line, ends);
    while session.now < SESSION {
        if session.now >= FRAME * session.frames {
            draw(&mut session, scene);
            session.frames += 1;
        }
        session.step();
    }
    session
}

#[test]
fn slow_ends_get_no_more_updates_than_quick_ones() {
    for program in programs() {
        let run = |ends| {
            let session = run(&program, SlowLine::new(100e6, MS / 5), ends);
            (session.client.updates, session.line.carried)
        };
        let (quick, slow) = (run(Ends::Quick), run(Ends::Slow));
        let name = program.0;
        assert!(slow.0 * 5 <= quick.0 * 6, "{name}: {slow:?}, {quick:?}");
        assert!(slow.1 * 5 <= quick.1 * 6, "{name}: {slow:?}, {quick:?}");
        // Nor is the picture withheld.
        assert!(slow.1 * 2 >= quick.1, "{name}: {slow:?}, {quick:?}");
    }
}

#[test]
fn a_slow_line_with_slow_ends_holds_one_stale_update_at_most() {
    for program in programs() {
        for kbit in [1000, 256] {
            let line = SlowLine::new(f64::from(kbit) * 125.0, 100 * MS);
            let session = run(&program, line, Ends::Slow);
            let (name, stale) = (program.0, session.most_stale);
            assert!(stale <= 1, "{name} at {kbit} kbit/s: {stale} stale updates");
            let queue = session.line.longest_queue;
            assert!(queue < 100 * MS, "{name} at {kbit} kbit/s: {queue:?}");
        }
    }
}
