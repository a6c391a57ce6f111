//! The contrast of every pair of colours that meet in a window, as WCAG 2.2 wants it: 4.5 for text
//! (1.4.3), 3 for the edges of what can be pressed (1.4.11).

use super::*;

const TEXT: f64 = 4.5;
const EDGE: f64 = 3.0;

fn luminance(colour: Color) -> f64 {
    let (r, g, b) = colour.to_rgb();
    let linear = |channel: u8| {
        let part = f64::from(channel) / 255.0;
        if part <= 0.04045 {
            part / 12.92
        } else {
            ((part + 0.055) / 1.055).powf(2.4)
        }
    };
    0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
}

fn contrast(one: Color, other: Color) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

/// Returns every pair of a text and what is behind it, and every pair of an edge and what is beside
/// it.
fn pairs(colours: &Palette) -> Vec<(&'static str, f64, Color, Color)> {
    let tones = [
        colours.info,
        colours.alert,
        colours.success,
        colours.development,
    ];
    let bars = [colours.bar_none, colours.bar_view, colours.bar_control];
    let pressed = blend(colours.surface, Color::Black, 0.16);
    let mut pairs = vec![
        ("text", TEXT, colours.foreground, colours.background),
        ("label", TEXT, colours.foreground, colours.surface),
        ("label while pressed", TEXT, colours.foreground, pressed),
        ("secondary", TEXT, colours.secondary, colours.background),
        ("code's name", TEXT, colours.secondary, colours.surface),
        ("primary label", TEXT, colours.on_accent, colours.accent),
        ("note", TEXT, colours.accent_text, colours.surface),
        ("paused digits", TEXT, colours.paused, colours.surface),
        ("edge", EDGE, colours.border, colours.background),
        ("edge inside", EDGE, colours.border, colours.surface),
        ("ring", EDGE, colours.accent, colours.background),
        ("ring inside", EDGE, colours.accent, colours.surface),
        ("track", EDGE, colours.border, colours.background),
    ];
    for tone in tones {
        pairs.push(("callout", TEXT, tone.text, tone.fill));
        pairs.push(("callout's edge", EDGE, tone.border, colours.background));
    }
    for bar in bars {
        pairs.push(("bar", TEXT, colours.on_bar, bar));
        pairs.push(("ring on the bar", EDGE, colours.on_bar, bar));
    }
    pairs
}

#[test]
fn every_text_and_every_edge_can_be_seen() {
    for (name, colours) in [
        ("ordinary", Palette::ORDINARY),
        ("high contrast", Palette::HIGH_CONTRAST),
        ("inverse", Palette::HIGH_CONTRAST_INVERSE),
    ] {
        let low: Vec<_> = pairs(&colours)
            .into_iter()
            .map(|(pair, least, one, other)| (pair, least, contrast(one, other)))
            .filter(|(_, least, contrast)| contrast < least)
            .map(|(pair, least, contrast)| format!("{pair}: {contrast:.2} of {least}"))
            .collect();
        assert!(low.is_empty(), "{name}: {low:#?}");
    }
}

#[test]
fn the_desktops_theme_decides() {
    let check = |theme: &str, expected: &Palette| assert_eq!(of_theme(theme), expected, "{theme}");
    check("Adwaita", &Palette::ORDINARY);
    check("", &Palette::ORDINARY);
    check("HighContrast", &Palette::HIGH_CONTRAST);
    check("HighContrastInverse", &Palette::HIGH_CONTRAST_INVERSE);
    check("ContrastHighInverse", &Palette::HIGH_CONTRAST_INVERSE);
    check("Adwaita-hc", &Palette::HIGH_CONTRAST);
    check("Adwaita:hc-dark", &Palette::HIGH_CONTRAST_INVERSE);
}
