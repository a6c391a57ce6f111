//! The updater's rules, one by one.

#![allow(clippy::unwrap_used, reason = "a test may end with a panic")]

use etatuki_picture::{Framebuffer, MAX_UPDATE_PIXELS, PictureError, UpdateError, Updater};
use etatuki_rfb::encode::fence_flags;
use etatuki_rfb::{CursorImage, Rect, Rectangle, ScreenLayout, encoding};
use etatuki_testkit::{RfbClient, SlowLine};
use std::time::Duration;

/// A fixed time: nothing here depends on durations.
const NOW: Duration = Duration::ZERO;
const WIDTH: u16 = 100;
const HEIGHT: u16 = 80;
const ALL: Rect = Rect::new(0, 0, WIDTH, HEIGHT);

struct Session {
    framebuffer: Framebuffer,
    updater: Updater,
    client: RfbClient,
}

/// Creates a session with a client of these encodings that has received the black screen.
fn session(encodings: &[i32]) -> Session {
    let mut updater = Updater::new(WIDTH, HEIGHT);
    updater.set_encodings(encodings);
    let mut session = Session {
        framebuffer: Framebuffer::new(WIDTH, HEIGHT),
        updater,
        client: RfbClient::new(WIDTH, HEIGHT),
    };
    let Session {
        framebuffer,
        updater,
        client,
    } = &mut session;
    client.catch_up(updater, framebuffer, 10_000);
    // The last request of catching up is still open: answer it.
    updater.request(false, Rect::default());
    fill(framebuffer, ALL, 1);
    let chunk = updater.next_chunk(framebuffer, NOW).unwrap();
    client.receive(&chunk, 10_000);
    assert!(client.agrees_with(framebuffer));
    session
}

fn fill(framebuffer: &mut Framebuffer, rect: Rect, colour: u8) -> bool {
    let pixels = vec![colour; rect.area() * 4];
    framebuffer.apply(&Rectangle::Raw { rect, pixels }).unwrap()
}

impl Session {
    /// Returns the next chunk's pixel rectangles; `None` when there is no chunk.
    fn next(&mut self) -> Option<Vec<Rect>> {
        let chunk = self.updater.next_chunk(&mut self.framebuffer, NOW)?;
        self.client.receive(&chunk, 100_000);
        Some(self.client.last_rects.clone())
    }

    fn request(&mut self, rect: Rect) {
        self.updater.request(true, rect);
    }

    fn answer_fences(&mut self) {
        for (flags, payload) in std::mem::take(&mut self.client.fence_requests) {
            self.updater.on_fence(flags, &payload, NOW).unwrap();
        }
    }
}

#[test]
fn nothing_without_credit() {
    let mut session = session(&[]);
    fill(&mut session.framebuffer, ALL, 9);
    assert!(!session.updater.wants_update());
    assert_eq!(session.next(), None);
    session.request(ALL);
    assert!(session.updater.wants_update());
    assert_eq!(session.next(), Some(vec![ALL]));
    assert!(!session.updater.wants_update());
    fill(&mut session.framebuffer, ALL, 8);
    assert_eq!(session.next(), None);
}

#[test]
fn what_is_drawn_again_alike_costs_nothing() {
    let mut session = session(&[]);
    assert!(!fill(&mut session.framebuffer, ALL, 1));
    session.request(ALL);
    assert_eq!(session.next(), None);
    // The unused byte doesn't count.
    let pixels = [1, 1, 1, 77].repeat(ALL.area());
    let raw = Rectangle::Raw { rect: ALL, pixels };
    assert_eq!(session.framebuffer.apply(&raw), Ok(false));
    assert_eq!(session.next(), None);
    assert!(fill(&mut session.framebuffer, Rect::new(40, 40, 1, 1), 2));
    assert_eq!(session.next(), Some(vec![Rect::new(32, 32, 16, 16)]));
}

#[test]
fn only_the_asked_area_is_sent() {
    let mut session = session(&[]);
    fill(&mut session.framebuffer, ALL, 3);
    let asked = Rect::new(10, 10, 30, 20);
    session.request(asked);
    assert_eq!(session.next(), Some(vec![asked]));
    session.request(asked);
    assert_eq!(session.next(), None);
    // Beyond the framebuffer it is clipped; wholly outside there is nothing.
    session.updater.request(false, Rect::new(90, 70, 500, 500));
    let around_both = Rect::new(10, 10, 90, 70);
    let rects = session.next().unwrap();
    assert!(rects.iter().all(|rect| around_both.contains(rect)));
    session.request(Rect::new(u16::MAX, u16::MAX, u16::MAX, u16::MAX));
    assert_eq!(session.next(), None);
}

#[test]
fn a_lost_area_comes_again() {
    let mut session = session(&[]);
    let lost = Rect::new(3, 5, 20, 30);
    session.updater.request(false, lost);
    assert_eq!(session.next(), Some(vec![lost]));
}

#[test]
fn a_move_stays_a_move() {
    let mut session = session(&[encoding::COPY_RECT]);
    fill(&mut session.framebuffer, Rect::new(0, 0, 20, 20), 5);
    session.request(ALL);
    session.next().unwrap();
    let rect = Rect::new(30, 30, 20, 20);
    let from = (0, 0);
    let copy = Rectangle::CopyRect { rect, from };
    assert_eq!(session.framebuffer.apply(&copy), Ok(true));
    assert_eq!(session.framebuffer.apply(&copy), Ok(false));
    // Something is drawn inside the target before the client has got the copy.
    fill(&mut session.framebuffer, Rect::new(32, 32, 1, 1), 6);
    session.request(ALL);
    let expected = vec![rect, Rect::new(32, 32, 16, 16)];
    assert_eq!(session.next(), Some(expected));
    assert_eq!(session.client.copies, 1);
    assert!(session.client.agrees_with(&session.framebuffer));
}

#[test]
fn a_move_becomes_pixels_for_a_client_that_sees_a_part() {
    let mut session = session(&[encoding::COPY_RECT]);
    fill(&mut session.framebuffer, Rect::new(0, 0, 20, 20), 5);
    session.request(ALL);
    session.next().unwrap();
    let rect = Rect::new(30, 30, 20, 20);
    let from = (0, 0);
    session
        .framebuffer
        .apply(&Rectangle::CopyRect { rect, from })
        .unwrap();
    session.request(Rect::new(0, 0, 40, 40));
    session.next().unwrap();
    session.request(ALL);
    session.next().unwrap();
    assert_eq!(session.client.copies, 0);
    assert!(session.client.agrees_with(&session.framebuffer));
}

#[test]
fn a_resize_is_told_first_and_the_picture_follows() {
    for (encoding, told) in [
        (encoding::DESKTOP_SIZE, [9, 0, 50, 120]),
        (encoding::EXTENDED_DESKTOP_SIZE, [0, 0, 50, 120]),
    ] {
        let mut session = session(&[encoding]);
        session.client.sizes.clear();
        assert!(session.framebuffer.resize(50, 120));
        assert_eq!(session.next(), None);
        session.request(Rect::new(0, 0, 200, 200));
        session.next().unwrap();
        assert_eq!(session.client.sizes, [told]);
        assert!(!session.client.mixed_update);
        assert!(session.client.agrees_with(&session.framebuffer));
        assert_eq!(session.client.bounds(), Rect::new(0, 0, 50, 120));
    }
}

#[test]
fn a_client_that_cannot_resize_gets_what_fits() {
    let mut session = session(&[]);
    session.framebuffer.resize(300, 40);
    session.request(ALL);
    session.next().unwrap();
    assert_eq!(session.client.bounds(), ALL);
    assert!(session.client.agrees_with(&session.framebuffer));
}

#[test]
fn the_layout_is_told_when_asked_for_the_whole() {
    let mut session = session(&[encoding::EXTENDED_DESKTOP_SIZE]);
    session.client.sizes.clear();
    session.updater.request(false, ALL);
    assert_eq!(session.next(), Some(vec![ALL]));
    assert_eq!(session.client.sizes, [[0, 0, WIDTH, HEIGHT]]);
}

#[test]
fn the_pointers_place_is_told_to_those_who_show_it() {
    for (encodings, told) in [
        (&[encoding::POINTER_POS][..], vec![(7, 9), (WIDTH - 1, 9)]),
        (&[], vec![]),
    ] {
        let mut session = session(encodings);
        for x in [5, 6, 7, 5000] {
            let place = Rectangle::PointerPos { x, y: 9 };
            session.framebuffer.apply(&place).unwrap();
            if x >= 7 {
                session.request(ALL);
                session.next();
            }
        }
        session.request(ALL);
        assert_eq!(session.next(), None, "it is told once");
        assert_eq!(session.client.pointer_positions, told);
    }
}

#[test]
fn a_new_layout_is_told_though_the_size_stays() {
    let mut session = session(&[encoding::EXTENDED_DESKTOP_SIZE]);
    let framebuffer = |id, x, w| ScreenLayout {
        id,
        rect: Rect::new(x, 0, w, HEIGHT),
        flags: 0,
    };
    let one = framebuffer(0, 0, WIDTH);
    let (left, right) = (framebuffer(5, 0, 60), framebuffer(6, 60, 40));
    let reaching_out = framebuffer(6, 60, 5000);
    let nowhere = framebuffer(7, WIDTH, 10);
    for (told, expected) in [
        (vec![left, right], vec![left, right]),
        (vec![right], vec![right]),
        (vec![left, left, reaching_out, nowhere], vec![left, right]),
        (vec![nowhere], vec![one]),
        (vec![right, left], vec![right, left]),
        (vec![], vec![one]),
    ] {
        let rectangle = Rectangle::ExtendedDesktopSize {
            reason: 0,
            status: 0,
            width: WIDTH,
            height: HEIGHT,
            screens: told,
        };
        assert!(session.framebuffer.apply(&rectangle).unwrap());
        assert!(!session.framebuffer.apply(&rectangle).unwrap());
        session.request(ALL);
        assert_eq!(session.next(), Some(vec![]), "no pixel is sent again");
        assert_eq!(session.client.screens, expected);
    }
}

#[test]
fn a_wish_for_another_size_is_answered_at_once() {
    let mut session = session(&[encoding::EXTENDED_DESKTOP_SIZE]);
    session.client.sizes.clear();
    session.updater.answer_set_desktop_size(1).unwrap();
    session.next().unwrap();
    session.framebuffer.resize(64, 64);
    session.updater.answer_set_desktop_size(0).unwrap();
    session.next().unwrap();
    assert_eq!(
        session.client.sizes,
        [[1, 1, WIDTH, HEIGHT], [1, 0, 64, 64]]
    );
    session.request(ALL);
    session.next().unwrap();
    assert!(session.client.agrees_with(&session.framebuffer));
}

fn pointer(colour: u8) -> CursorImage {
    CursorImage {
        hotspot: (1, 1),
        width: 3,
        height: 2,
        pixels: [colour, 0, 0, 0].repeat(6),
        mask: vec![0xe0; 2],
    }
}

#[test]
fn the_pointer_is_sent_when_it_changed() {
    let mut session = session(&[encoding::CURSOR]);
    assert_eq!(session.client.cursor, None);
    assert!(session.framebuffer.set_cursor(pointer(1)));
    assert!(!session.framebuffer.set_cursor(pointer(1)));
    session.request(ALL);
    assert_eq!(session.next(), Some(vec![]));
    assert_eq!(session.client.cursor, Some(pointer(1)));
    session.request(ALL);
    assert_eq!(session.next(), None);
    session
        .framebuffer
        .apply(&Rectangle::Cursor(pointer(2)))
        .unwrap();
    assert_eq!(session.next(), Some(vec![]));
    assert_eq!(session.client.cursor, Some(pointer(2)));
}

#[test]
fn a_client_without_pointer_support_gets_none() {
    let mut session = session(&[]);
    session.framebuffer.set_cursor(pointer(1));
    session.request(ALL);
    assert_eq!(session.next(), None);
}

#[test]
fn extensions_are_confirmed_once() {
    let list = [
        encoding::QEMU_EXTENDED_KEY,
        encoding::EXTENDED_MOUSE_BUTTONS,
        encoding::FENCE,
        encoding::CONTINUOUS_UPDATES,
    ];
    let mut session = session(&list);
    assert_eq!(session.client.confirmed, list[..2]);
    assert_eq!(session.client.continuous_ends, 1);
    session.updater.set_encodings(&list);
    session.request(ALL);
    assert_eq!(session.next(), None);
}

#[test]
fn continuous_updates_wait_for_the_client() {
    let mut session = session(&[encoding::FENCE, encoding::CONTINUOUS_UPDATES]);
    session.answer_fences();
    session.updater.enable_continuous_updates(true, ALL);
    let mut sent = 0;
    let mut draw = |session: &mut Session| {
        sent += 1;
        fill(&mut session.framebuffer, ALL, 10 + sent);
        let next = session.next().is_some();
        session.updater.on_written(4000, None, NOW);
        next
    };
    let drawn = [(); 9].map(|()| draw(&mut session));
    assert_eq!(drawn.iter().filter(|sent| **sent).count(), 7);
    assert!(drawn.is_sorted_by(|before, after| before >= after));
    assert!(!session.updater.wants_update());
    // Requests don't help meanwhile.
    session.request(ALL);
    assert!(!draw(&mut session));
    let first = session.client.fence_requests.remove(0);
    session.updater.on_fence(first.0, &first.1, NOW).unwrap();
    assert_eq!(session.next(), Some(vec![ALL]));
    // An invented acknowledgement doesn't either.
    session.updater.on_fence(0, &[9, 9, 9, 9], NOW).unwrap();
    assert!(!draw(&mut session));
    // An area that the client has lost comes anyway.
    session.updater.request(false, ALL);
    assert_eq!(session.next(), Some(vec![ALL]));
}

#[test]
fn what_the_line_has_no_room_for_comes_later() {
    let mut session = session(&[encoding::FENCE, encoding::CONTINUOUS_UPDATES]);
    session.answer_fences();
    session.updater.enable_continuous_updates(true, ALL);
    // It didn't compress at all: from now on little goes at a time.
    fill(&mut session.framebuffer, ALL, 9);
    session.next().unwrap();
    session.updater.on_written(32_000, None, NOW);
    session.answer_fences();
    fill(&mut session.framebuffer, ALL, 8);
    let letter = Rect::new(96, 64, 4, 16);
    let mut parts = 0;
    while let Some(rects) = session.next() {
        parts += 1;
        let pixels: usize = rects.iter().map(Rect::area).sum();
        assert!(pixels * 4 <= 8192, "{rects:?}");
        session.updater.on_written(8192, None, NOW);
        session.answer_fences();
        if parts == 2 {
            fill(&mut session.framebuffer, letter, 7);
        }
    }
    assert!(parts >= 4, "{parts}");
    assert!(session.client.agrees_with(&session.framebuffer));
}

#[test]
fn the_end_of_continuous_updates_is_told() {
    let mut session = session(&[encoding::FENCE, encoding::CONTINUOUS_UPDATES]);
    session.answer_fences();
    session.updater.enable_continuous_updates(true, ALL);
    session.updater.enable_continuous_updates(false, ALL);
    session.next().unwrap();
    assert_eq!(session.client.continuous_ends, 2);
    fill(&mut session.framebuffer, ALL, 7);
    assert_eq!(session.next(), None);
    session.request(ALL);
    assert_eq!(session.next(), Some(vec![ALL]));
}

#[test]
fn continuous_updates_need_fences() {
    let mut session = session(&[encoding::CONTINUOUS_UPDATES]);
    assert_eq!(session.client.continuous_ends, 0);
    session.updater.enable_continuous_updates(true, ALL);
    fill(&mut session.framebuffer, ALL, 7);
    assert_eq!(session.next(), None);
}

#[test]
fn fences_are_answered_in_order_without_credit() {
    let mut session = session(&[encoding::FENCE]);
    let request = fence_flags::REQUEST;
    session.updater.on_fence(request | 1, b"one", NOW).unwrap();
    session
        .updater
        .on_fence(request | 0xff6, b"two", NOW)
        .unwrap();
    session.next().unwrap();
    let expected = [(1, b"one".to_vec()), (6, b"two".to_vec())];
    assert_eq!(session.client.fence_replies, expected);
}

#[test]
fn a_client_that_never_reads_answers_is_stopped() {
    let mut updater = Updater::new(WIDTH, HEIGHT);
    let ask = |updater: &mut Updater| updater.on_fence(fence_flags::REQUEST, b"?", NOW);
    assert!((0..64).all(|_| ask(&mut updater).is_ok()));
    assert_eq!(ask(&mut updater), Err(UpdateError::TooManyUnanswered));
    for _ in 0..1000 {
        updater.enable_continuous_updates(false, ALL);
    }
    let chunk = updater
        .next_chunk(&mut Framebuffer::new(WIDTH, HEIGHT), NOW)
        .unwrap();
    assert_eq!(chunk.len(), 64 * 10 + 1);
}

#[test]
fn a_large_picture_comes_in_parts() {
    let (width, height) = (3840, 2160);
    let mut framebuffer = Framebuffer::new(width, height);
    let mut updater = Updater::new(width, height);
    let mut client = RfbClient::new(width, height);
    fill(&mut framebuffer, Rect::new(5, 5, 3000, 2000), 3);
    let mut blocks = 0;
    loop {
        updater.request(true, client.bounds());
        let Some(chunk) = updater.next_chunk(&mut framebuffer, NOW) else {
            break;
        };
        assert!(chunk.len() <= MAX_UPDATE_PIXELS + 65_536);
        client.receive(&chunk, 1 << 20);
        blocks += 1;
    }
    assert_eq!(blocks, 4);
    assert!(client.agrees_with(&framebuffer));
}

#[test]
fn a_large_change_goes_in_parts_of_one_update() {
    let (width, height) = (1920, 1080);
    let mut framebuffer = Framebuffer::new(width, height);
    let mut updater = Updater::new(width, height);
    let mut client = RfbClient::new(width, height);
    updater.set_encodings(&[encoding::FENCE, encoding::CONTINUOUS_UPDATES]);
    updater.enable_continuous_updates(true, client.bounds());
    let mut now = NOW;
    let mut most = 0;
    for colour in 1..40 {
        fill(&mut framebuffer, client.bounds(), colour);
        let (updates, mut parts) = (client.updates, 0);
        while let Some(chunk) = updater.next_chunk(&mut framebuffer, now) {
            assert!(chunk.len() <= (512 << 10) + 65_536, "{} bytes", chunk.len());
            client.receive(&chunk, 1 << 16);
            assert_eq!(updater.is_mid_update(), client.mid_update);
            // It compresses well, and the link is fast.
            updater.on_written(chunk.len() / 60, Some(Duration::ZERO), now);
            now += Duration::from_micros(10);
            parts += 1;
            if !updater.is_mid_update() {
                break;
            }
        }
        assert_eq!(client.updates, updates + 1);
        most = most.max(parts);
        for (flags, payload) in std::mem::take(&mut client.fence_requests) {
            updater.on_fence(flags, &payload, now).unwrap();
        }
    }
    assert_eq!(most, 16);
    assert!(client.agrees_with(&framebuffer));
}

#[test]
fn many_small_changes_come_in_parts() {
    let (width, height) = (3840, 2160);
    let mut framebuffer = Framebuffer::new(width, height);
    let mut updater = Updater::new(width, height);
    let mut client = RfbClient::new(width, height);
    client.catch_up(&mut updater, &mut framebuffer, 1 << 20);
    for y in (0..height).step_by(16) {
        for x in (y / 16 % 2 * 16..width).step_by(32) {
            fill(&mut framebuffer, Rect::new(x, y, 1, 1), 3);
        }
    }
    let chunk = updater.next_chunk(&mut framebuffer, NOW).unwrap();
    assert!(chunk.len() <= MAX_UPDATE_PIXELS + 65_536);
    client.receive(&chunk, 1 << 20);
    client.catch_up(&mut updater, &mut framebuffer, 1 << 20);
    assert!(client.agrees_with(&framebuffer));
}

#[test]
fn a_later_client_sees_everything() {
    let mut session = session(&[]);
    let mut updater = Updater::new(WIDTH, HEIGHT);
    let mut client = RfbClient::new(WIDTH, HEIGHT);
    client.catch_up(&mut updater, &mut session.framebuffer, 7);
    assert!(client.agrees_with(&session.framebuffer));
}

#[test]
fn a_tool_that_draws_outside_is_named() {
    let mut framebuffer = Framebuffer::new(WIDTH, HEIGHT);
    let rect = Rect::new(90, 0, 11, 1);
    let pixels = vec![0; 44];
    let outside = Err(PictureError::OutsideFramebuffer(rect));
    assert_eq!(framebuffer.apply(&Rectangle::Raw { rect, pixels }), outside);
    let from = (0, 0);
    assert_eq!(
        framebuffer.apply(&Rectangle::CopyRect { rect, from }),
        outside
    );
    let rect = Rect::new(0, 0, 2, 2);
    let pixels = vec![0; 15];
    let short = PictureError::WrongLength {
        got: 15,
        wanted: 16,
    };
    assert_eq!(
        framebuffer.apply(&Rectangle::Raw { rect, pixels }),
        Err(short)
    );
    let mut cursor = pointer(1);
    cursor.mask.pop();
    let short = PictureError::WrongLength { got: 1, wanted: 2 };
    assert_eq!(framebuffer.apply(&Rectangle::Cursor(cursor)), Err(short));
}

#[test]
fn captures_may_have_wider_rows() {
    let mut framebuffer = Framebuffer::new(WIDTH, HEIGHT);
    let rect = Rect::new(1, 1, 2, 2);
    let capture: Vec<u8> = (0..20).collect();
    assert_eq!(framebuffer.draw(rect, &capture, 12), Ok(true));
    let row = |y: usize| &framebuffer.pixels()[(y * usize::from(WIDTH) + 1) * 4..][..8];
    assert_eq!(row(1), [0, 1, 2, 0, 4, 5, 6, 0]);
    assert_eq!(row(2), [12, 13, 14, 0, 16, 17, 18, 0]);
    let short = PictureError::WrongLength {
        got: 19,
        wanted: 20,
    };
    assert_eq!(
        framebuffer.draw(rect, &capture[..19], 12),
        Err(short.clone())
    );
    assert!(framebuffer.draw(rect, &capture, 7).is_err());
}

#[test]
fn a_resize_keeps_what_fits() {
    let mut framebuffer = Framebuffer::new(4, 4);
    fill(&mut framebuffer, Rect::new(0, 0, 4, 4), 9);
    framebuffer.resize(2, 6);
    let expected = [vec![[9, 9, 9, 0]; 8], vec![[0; 4]; 4]].concat();
    assert_eq!(framebuffer.pixels(), expected.as_flattened());
}

/// Tests a slow link, on which a page is under way that takes seconds.
#[test]
fn what_follows_a_key_needs_no_credit() {
    let (width, height) = (800, 600);
    let mut framebuffer = Framebuffer::new(width, height);
    let mut updater = Updater::new(width, height);
    let mut client = RfbClient::new(width, height);
    let mut now = Duration::from_secs(1);
    let mut line = SlowLine::new(32_000.0, Duration::from_millis(100));
    updater.set_encodings(&[encoding::FENCE, encoding::CONTINUOUS_UPDATES]);
    updater.enable_continuous_updates(true, client.bounds());
    // The black screen, and a part of the page.
    let mut blocks = 0;
    while blocks < 10 {
        let Some(chunk) = updater.next_chunk(&mut framebuffer, now) else {
            fill(&mut framebuffer, Rect::new(0, 0, width, 400), 1);
            blocks = 1;
            continue;
        };
        blocks += usize::from(blocks > 0);
        client.receive(&chunk, 10_000);
        let wire = chunk.len() / 8;
        updater.on_written(wire, Some(line.round_trip), now);
        now = line.send(wire, now);
        for (flags, payload) in std::mem::take(&mut client.fence_requests) {
            updater.on_fence(flags, &payload, now).unwrap();
        }
    }
    let mut send = |updater: &mut Updater, framebuffer: &mut Framebuffer| {
        let chunk = updater.next_chunk(framebuffer, now)?;
        client.receive(&chunk, 10_000);
        updater.on_written(chunk.len() / 8, None, now);
        Some(client.last_rects.clone())
    };
    while send(&mut updater, &mut framebuffer).is_some() {}
    let clock = Rect::new(640, 420, 16, 16);
    fill(&mut framebuffer, clock, 2);
    assert_eq!(send(&mut updater, &mut framebuffer), None);
    updater.on_input(&framebuffer);
    assert!(updater.wants_update());
    assert_eq!(
        send(&mut updater, &mut framebuffer),
        None,
        "that was there before"
    );
    let letter = Rect::new(640, 560, 16, 16);
    fill(&mut framebuffer, letter, 2);
    assert_eq!(send(&mut updater, &mut framebuffer), Some(vec![letter]));
    // The page continues when there is credit.
    assert_eq!(send(&mut updater, &mut framebuffer), None);
    now += Duration::from_secs(9);
    for (flags, payload) in std::mem::take(&mut client.fence_requests) {
        updater.on_fence(flags, &payload, now).unwrap();
    }
    let chunk = updater.next_chunk(&mut framebuffer, now).unwrap();
    client.receive(&chunk, 10_000);
    assert!(client.last_rects[0].y < 400);
}
