//! Video is told from what programs draw, and text is never taken for video.

#![allow(clippy::unwrap_used, reason = "a test may end with a panic")]

use etatuki_picture::looks_like_a_photo;
use etatuki_rfb::Rect;
use etatuki_testkit::{Colour, Scene};

const WIDTH: usize = 512;
const HEIGHT: usize = 320;

/// Returns the share of the blocks that look like a photograph, in percent.
fn share(scene: &Scene, side: usize) -> usize {
    let photo = |block: &Rect| looks_like_a_photo(&scene.pixels, scene.stride(), *block);
    let (all, photos) = (
        scene.blocks(side).count(),
        scene.blocks(side).filter(photo).count(),
    );
    photos * 100 / all
}

#[test]
fn a_video_frame_is_a_photo_also_when_it_is_dark_or_soft() {
    for (brightness, grain, least) in [
        (1.0, 2.5, 90),
        (1.0, 6.0, 90),
        (0.5, 2.0, 90),
        (0.25, 1.5, 80),
    ] {
        let video = Scene::video(WIDTH, HEIGHT, brightness, grain);
        for side in [64, 32, 16] {
            let share = share(&video, side);
            assert!(share >= least, "{share} % at {brightness}, {grain}, {side}");
        }
    }
    // Without any grain, whatever has an edge looks drawn.
    let smooth = Scene::video(WIDTH, HEIGHT, 1.0, 0.0);
    assert!(share(&smooth, 32) >= 60, "{}", share(&smooth, 32));
}

const WHITE: Colour = [255.0; 3];
const BLACK: Colour = [0.0; 3];
const GREY: Colour = [136.0; 3];
const RED: Colour = [0.0, 0.0, 200.0];
const YELLOW: Colour = [0.0, 220.0, 255.0];

fn between(from: Colour, to: Colour, part: f32) -> Colour {
    std::array::from_fn(|at| from[at] + (to[at] - from[at]) * part)
}

fn backgrounds() -> Vec<(&'static str, Scene)> {
    let scene = |colour: fn(f32, f32) -> Colour| {
        Scene::new(WIDTH, HEIGHT, |x, y| colour(x as f32, y as f32))
    };
    vec![
        ("white", scene(|_, _| WHITE)),
        ("dark", scene(|_, _| [43.0; 3])),
        ("blue", scene(|_, _| [180.0, 90.0, 20.0])),
        (
            "down",
            scene(|_, y| between([240.0, 200.0, 160.0], [120.0, 60.0, 20.0], y / 320.0)),
        ),
        (
            "across",
            scene(|x, _| between(WHITE, [160.0; 3], x / 512.0)),
        ),
        (
            "slanting",
            scene(|x, y| between([0.0, 128.0, 255.0], [255.0, 128.0, 0.0], (x + y) / 832.0)),
        ),
        (
            "steep",
            scene(|x, y| between(BLACK, WHITE, (x * 2.0 + y) % 160.0 / 160.0)),
        ),
        (
            "round",
            scene(|x, y| {
                between(
                    WHITE,
                    [220.0, 170.0, 130.0],
                    (x - 256.0).hypot(y - 160.0) / 302.0,
                )
            }),
        ),
        ("video", Scene::video(WIDTH, HEIGHT, 1.0, 2.5)),
    ]
}

#[test]
fn text_is_never_a_photo_whatever_it_stands_on() {
    let mut seen = 0;
    for (name, background) in backgrounds() {
        for colour in [WHITE, BLACK, GREY, RED, YELLOW] {
            for (size, spaced) in [(1.0, 1), (1.0, 9), (1.3, 1), (1.6, 3), (2.2, 1), (3.4, 1)] {
                let mut scene = background.clone();
                scene.write(size, colour, spaced);
                // The corner of a digit is hard to see on video; a whole digit isn't.
                let (sides, least) = if name == "video" {
                    (64..=64, 40)
                } else {
                    (32..=64, 12)
                };
                for block in sides.step_by(32).flat_map(|side| scene.blocks(side)) {
                    let inked = scene.different(&background, block);
                    let photo = looks_like_a_photo(&scene.pixels, scene.stride(), block);
                    seen += usize::from(inked >= least);
                    assert!(
                        !photo || inked < least,
                        "{colour:?} on {name}, {size}: {inked} in {block:?}"
                    );
                }
            }
        }
    }
    assert!(seen > 10_000, "{seen}");
}

#[test]
fn what_programs_draw_is_not_a_photo() {
    let table = |x: usize, y: usize| match (x % 70, y % 18) {
        (0, _) | (_, 0) => [200.0; 3],
        _ => [
            255.0,
            255.0,
            if (x / 70).is_multiple_of(2) {
                230.0
            } else {
                255.0
            },
        ],
    };
    let icon = |x: usize, y: usize| {
        let far = ((x % 48) as f32 - 24.0).hypot((y % 48) as f32 - 24.0);
        let edge = (far - 18.0).clamp(0.0, 1.0);
        between([200.0, 120.0, (x / 48 * 20) as f32], WHITE, edge)
    };
    let stipple = |x: usize, y: usize| {
        if (x + y).is_multiple_of(2) {
            WHITE
        } else {
            [150.0; 3]
        }
    };
    let hatching = |x: usize, y: usize| {
        if (x + y).is_multiple_of(4) {
            GREY
        } else {
            [225.0; 3]
        }
    };
    let scenes = [
        Scene::new(WIDTH, HEIGHT, table),
        Scene::new(WIDTH, HEIGHT, icon),
        Scene::new(WIDTH, HEIGHT, stipple),
        Scene::new(WIDTH, HEIGHT, hatching),
        Scene::new(WIDTH, HEIGHT, |x, y| {
            [if x > 100 && y > 50 { 80.0 } else { 240.0 }; 3]
        }),
        Scene::new(WIDTH, HEIGHT, |_, y| between(WHITE, GREY, y as f32 / 320.0)),
    ];
    for (number, scene) in scenes.iter().enumerate() {
        for side in [64, 32, 16] {
            assert_eq!(share(scene, side), 0, "scene {number}, {side}");
        }
    }
}

#[test]
fn other_sizes_and_places_outside_are_no_photos() {
    let video = Scene::video(128, 128, 0.8, 3.0);
    let check = |rect: Rect, expected: bool| {
        let photo = looks_like_a_photo(&video.pixels, video.stride(), rect);
        assert_eq!(photo, expected, "{rect:?}");
    };
    check(Rect::new(0, 0, 64, 64), true);
    check(Rect::new(64, 64, 64, 64), true);
    check(Rect::new(3, 5, 61, 33), true);
    for rect in [
        Rect::new(0, 0, 15, 64),
        Rect::new(0, 0, 64, 65),
        Rect::new(65, 0, 64, 64),
        Rect::new(0, 65, 64, 64),
        Rect::new(0, 0, 0, 0),
        Rect::new(65_535, 65_535, 64, 64),
    ] {
        check(rect, false);
    }
}
