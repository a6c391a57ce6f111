//! Every page and the bar, in three languages, on every screen from 1024×600 at 100 % to 1366×768 at
//! 200 %, with the longest names that a card may have and every notice. Text is measured with DejaVu
//! Sans, the widest of the usual fonts, read by a font parser: no display is needed.

use std::collections::BTreeMap;

use etatuki_session_core::{
    AgentIdentity, AppSharing, Ask, Failure, FailureName, Notice, Permissions, Question, Receipt,
    ScreenCondition, State, View,
};
use etatuki_trust::{CodeForm, Nameplate, SessionCode, ShownCode};
use fltk::enums::Font;
use ttf_parser::Face;

use super::super::page::Button;
use super::super::text_layout::TextStyle;
use super::*;
use crate::language::Language;
use crate::texts::Texts;
use crate::window::bar;
use crate::window::bar_layout;
use crate::window::connected::withdraw_restart;
use crate::window::failure;
use crate::window::menu::{self, MenuEntry};
use crate::window::no_code;
use crate::window::page::ButtonAction;
use crate::window::session;
use crate::window::session_context::{SessionContext, Vendor};

/// Screens in pixels, less a panel of 40 on the second.
const SCREENS: [(i32, i32); 4] = [(1024, 600), (1366, 728), (1280, 800), (1920, 1080)];
const DPIS: [i32; 4] = [96, 120, 144, 192];
/// Height of a title bar, in units.
const TITLE: i32 = 30;

/// Letters whose widths are kept: all that the texts and names use.
const LETTERS: usize = 0x2100;

/// The widths of the letters of DejaVu Sans, in parts of the type's size: regular and bold.
struct Fonts([Vec<f32>; 2]);

impl Fonts {
    fn load() -> Self {
        let widths = |name: &str| {
            let path = format!("/usr/share/fonts/truetype/dejavu/{name}.ttf");
            let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
            let face = Face::parse(&bytes, 0).unwrap();
            let width = |letter| {
                let glyph = char::from_u32(letter).and_then(|letter| face.glyph_index(letter));
                let advance = face.glyph_hor_advance(glyph.unwrap_or_default());
                f32::from(advance.unwrap_or_default()) / f32::from(face.units_per_em())
            };
            (0..LETTERS as u32).map(width).collect()
        };
        Self([widths("DejaVuSans"), widths("DejaVuSans-Bold")])
    }

    fn width(&self, style: TextStyle, text: &str) -> f64 {
        let widths = &self.0[usize::from(style.font == Font::HelveticaBold)];
        let width: f32 = text.chars().map(|letter| widths[letter as usize]).sum();
        f64::from(width) * f64::from(style.size)
    }
}

/// A page with a name for the list of what failed.
type Named = (String, Page);

fn room((width, height): (i32, i32), dpi: i32) -> Room {
    let scale = dpi as f32 / 96.0;
    let units = |pixels: i32| (pixels as f32 / scale) as i32;
    Room::new(units(width), units(height) - TITLE, scale)
}

#[test]
fn every_page_is_whole_on_every_screen() {
    let fonts = Fonts::load();
    let measure = |style: TextStyle, text: &str| fonts.width(style, text);
    let mut failed = Vec::new();
    for_all(|place, room, context, people| {
        for (name, page) in pages(context, people) {
            for top in [0, 34 + 30] {
                // A menu bar and a banner stand above the small window alone; a banner above all.
                let top = if name.starts_with("menu") {
                    top
                } else {
                    top.min(30)
                };
                let room = below_the_bar(&name, context, people, room, &measure);
                let layout = fit(&page, top, room, &measure);
                let wrong = faults(&page, &layout, room, &measure);
                failed.extend(wrong.map(|wrong| format!("{place} {name}: {wrong}")));
            }
        }
    });
    assert!(
        failed.is_empty(),
        "{} failed:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

#[test]
fn the_bar_is_whole_on_every_screen() {
    let fonts = Fonts::load();
    let measure = |style: TextStyle, text: &str| fonts.width(style, text);
    let mut failed = Vec::new();
    for_all(|place, room, context, people| {
        let texts = &context.texts;
        let take_back = Button::plain(&texts.bar.take_back, ButtonAction::TakeBack);
        let close = Button::plain(&texts.bar.close, ButtonAction::Close);
        for (name, view) in views(people) {
            let Some(status) = bar::status(texts, &view) else {
                continue;
            };
            let mut buttons = vec![close.clone()];
            if view.permissions.control {
                buttons.insert(0, take_back.clone());
            }
            if let Some(withdraw) = withdraw_restart(texts, &view) {
                buttons.insert(0, withdraw);
            }
            for banner in [false, true] {
                let layout = bar_layout::fit(&status.sentence, &buttons, banner, room, &measure);
                let wrong = bar_faults(&layout, &buttons, room, &measure);
                if !layout.text.ends_with(&status.sentence.after) {
                    failed.push(format!("{place} {name}: '{}' is cut", layout.text));
                }
                failed.extend(wrong.map(|wrong| format!("{place} {name}: {wrong}")));
            }
        }
    });
    assert!(
        failed.is_empty(),
        "{} failed:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

/// Returns the room that the bar leaves for a question, which stands below it.
fn below_the_bar(
    name: &str,
    context: &SessionContext,
    people: &People,
    room: Room,
    measure: Measure<'_>,
) -> Room {
    if !name.starts_with("question") {
        return room;
    }
    let close = [Button::plain(&context.texts.bar.close, ButtonAction::Close)];
    let status = bar::status(&context.texts, &connected(people, true)).unwrap();
    let bar = bar_layout::fit(&status.sentence, &close, true, room, measure);
    Room {
        height: room.height - bar.height,
        ..room
    }
}

/// Calls `check` for every screen, size of type, language, and for short and long names.
fn for_all(mut check: impl FnMut(&str, Room, &SessionContext, &People)) {
    for language in Language::ALL {
        for people in [People::short(), People::words(), People::letters()] {
            let context = context(language, &people);
            for screen in SCREENS {
                for dpi in DPIS {
                    let (w, h) = screen;
                    let place = format!("{w}x{h}@{dpi} {} {}", language.code(), people.kind);
                    check(&place, room(screen, dpi), &context, &people);
                }
            }
        }
    }
}

/// Returns the first thing that is wrong with a page's layout.
fn faults(page: &Page, layout: &Layout, room: Room, measure: Measure<'_>) -> Option<String> {
    let Layout {
        width,
        height,
        viewport,
        ..
    } = *layout;
    let inside = |rect: &Rect, outer: Rect| {
        rect.x >= outer.x
            && rect.y >= outer.y
            && rect.x + rect.w <= outer.x + outer.w
            && rect.y + rect.h <= outer.y + outer.h
    };
    let window = Rect {
        x: 0,
        y: 0,
        w: width,
        h: height,
    };
    if width > room.width || height > room.height {
        return Some(format!(
            "{width}x{height} in {}x{}",
            room.width, room.height
        ));
    }
    if layout.scrolls {
        return Some("it scrolls".into());
    }
    let places: Vec<_> = layout
        .items
        .iter()
        .flatten()
        .chain(&layout.buttons)
        .collect();
    if let Some(rect) = places.iter().find(|rect| !inside(rect, window)) {
        return Some(format!("{rect:?} isn't in {window:?}"));
    }
    if let Some(rect) = layout
        .items
        .iter()
        .flatten()
        .find(|rect| !inside(rect, viewport))
    {
        return Some(format!("{rect:?} is scrolled away"));
    }
    let overlap = places.iter().enumerate().find_map(|(at, a)| {
        let meets =
            |b: &&&Rect| a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
        places[at + 1..]
            .iter()
            .find(meets)
            .map(|b| format!("{a:?} is over {b:?}"))
    });
    if overlap.is_some() {
        return overlap;
    }
    let too_narrow = page
        .buttons
        .iter()
        .zip(&layout.buttons)
        .find(|(button, rect)| layout.metrics.label_width(button, measure) > rect.w - 12);
    if let Some((button, rect)) = too_narrow {
        return Some(format!("'{}' is cut in {}", button.label, rect.w));
    }
    page.items
        .iter()
        .zip(&layout.items)
        .find_map(|(item, place)| match (item, place) {
            (PageItem::Support(line), None) => {
                let number = line.rsplit(": ").next().unwrap_or_default();
                let said = page.text().matches(number).count();
                (said < 2).then(|| format!("{number} is nowhere"))
            }
            (_, None) => Some("an item is left out".into()),
            (PageItem::Code(code), Some(place)) => {
                let digits = layout
                    .metrics
                    .digits_style(code)
                    .width(&code.digits, measure);
                (digits > place.w - 8).then(|| format!("{digits} of digits in {}", place.w))
            }
            _ => None,
        })
}

fn bar_faults(
    layout: &bar_layout::BarLayout,
    buttons: &[Button],
    room: Room,
    measure: Measure<'_>,
) -> Option<String> {
    if layout.width > room.width || layout.height > room.height {
        return Some(format!(
            "{}x{} in {}x{}",
            layout.width, layout.height, room.width, room.height
        ));
    }
    let text_width = bar_layout::text_style(layout.metrics).width(&layout.text, measure);
    let right = layout.text_rect.x + text_width;
    if right > layout.width || text_width > layout.text_rect.w {
        return Some(format!(
            "'{}' ends at {right} of {}",
            layout.text, layout.width
        ));
    }
    for (button, rect) in buttons.iter().zip(&layout.buttons) {
        if rect.x < 0 || rect.x + rect.w > layout.width || rect.y + rect.h > layout.height {
            return Some(format!(
                "{rect:?} isn't in {}x{}",
                layout.width, layout.height
            ));
        }
        if layout.metrics.label_width(button, measure) > rect.w - 12 {
            return Some(format!("'{}' is cut in {}", button.label, rect.w));
        }
        if rect.y < layout.text_rect.h && rect.x < right {
            return Some(format!("{rect:?} is over the sentence"));
        }
    }
    None
}

/// The names that appear on pages.
struct People {
    kind: &'static str,
    agent: AgentIdentity,
    program: String,
    label: String,
    vendor: String,
}

impl People {
    fn short() -> Self {
        Self::new(
            "short",
            [
                "Maija Virtanen",
                "Ecom Oy",
                "GnuCash",
                "Ecom Etätuki",
                "Ecom",
            ],
        )
    }

    fn words() -> Self {
        let name =
            "Anna-Kaarina Hämäläinen-Österlund Länsi-Uudenmaan Tilitoimistopalvelut ja Kumppa";
        let names = [
            name,
            name,
            "Kirjanpitäjä Plus 2012 W",
            "Remoteus etätuki (2010), vanha",
            name,
        ];
        Self::new("words", names)
    }

    fn letters() -> Self {
        let [long, short] = [80, 24].map(|count| "M".repeat(count));
        Self::new(
            "letters",
            [&long, &long, &short, "Remoteus etätuki (2010)", "Ecom"],
        )
    }

    fn new(kind: &'static str, [name, organisation, program, label, vendor]: [&str; 5]) -> Self {
        for text in [name, organisation] {
            assert!(text.chars().count() <= etatuki_trust::MAX_NAME_CHARS);
        }
        Self {
            kind,
            agent: AgentIdentity {
                name: name.into(),
                organisation: organisation.into(),
            },
            program: program.into(),
            label: label.into(),
            vendor: vendor.into(),
        }
    }
}

fn context(language: Language, people: &People) -> SessionContext {
    let labels = ["ecom", "remoteus-2008", "remoteus-2010"];
    SessionContext {
        texts: Texts::load(language),
        label: people.label.clone(),
        external_transport: false,
        vendor: Vendor {
            name: people.vendor.clone(),
            phone: "+358 2 2767 171".into(),
        },
        labels: BTreeMap::from(labels.map(|id| (id.into(), people.label.clone()))),
    }
}

/// Returns every page that a window can show.
fn pages(context: &SessionContext, people: &People) -> Vec<Named> {
    let texts = &context.texts;
    let support = context.vendor.support(texts);
    let entry = |id: &str, fits: Option<&str>, unusable: Option<&str>| MenuEntry {
        id: id.into(),
        label: people.label.clone(),
        fits: fits.map(str::to_owned),
        unusable: unusable.map(str::to_owned),
    };
    let entries = [
        entry("ecom", Some("2008.4"), None),
        entry("remoteus-2008", None, Some("plugin-refused")),
        entry("remoteus-2010", None, Some("plugin-refused")),
    ];
    let mut pages = vec![
        (
            "menu".to_owned(),
            menu::page(texts, &context.vendor.phone, &entries),
        ),
        ("menu about".to_owned(), menu::about(texts, &support)),
        ("before".to_owned(), no_code::not_opened(context)),
    ];
    let detail =
        "/etc/etatuki/backends.toml, line 12, key `backend.form`: unknown variant `letters`";
    let fatal = failure::without_session(texts, "registry-broken", Some(&support), Some(detail));
    pages.push(("fatal".to_owned(), fatal));
    for (name, view) in views(people) {
        let shown = SessionContext {
            external_transport: name.starts_with("external"),
            ..context.clone()
        };
        pages.push((name, session::page(&shown, &view, false)));
    }
    pages
}

/// Returns every view that a session can have, as far as pages differ.
fn views(people: &People) -> Vec<(String, View)> {
    let in_state = |state| View {
        state,
        ..View::default()
    };
    let mut views = vec![
        ("opening".to_owned(), in_state(State::Opening)),
        ("closing".to_owned(), in_state(State::Closing)),
        ("closed".to_owned(), in_state(State::Closed)),
        ("external connected".to_owned(), in_state(State::Connected)),
    ];
    for (name, notices) in notices(people) {
        for form in [CodeForm::SingleCode, CodeForm::IdAndPassword] {
            let view = waiting(form, notices.clone());
            views.push((format!("waiting {form:?} {name}"), view));
        }
        views.push((
            format!("receipt {name}"),
            View {
                notices: notices.clone(),
                receipt: Some(receipt(people)),
                ..in_state(State::Closed)
            },
        ));
        for (view, control) in [(false, false), (true, false), (true, true)] {
            let connected = View {
                notices: notices.clone(),
                permissions: Permissions { view, control },
                ..connected(people, false)
            };
            views.push((format!("connected {name}"), connected));
        }
        for (view, control) in [(true, false), (true, true)] {
            let comes_back = View {
                restart_allowed: true,
                permissions: Permissions { view, control },
                ..connected(people, false)
            };
            views.push(("connected, comes back".to_owned(), comes_back));
        }
        for screen in [
            ScreenCondition::ToolHung,
            ScreenCondition::LineSlow,
            ScreenCondition::OtherSession,
            ScreenCondition::Locked,
            ScreenCondition::Blanked,
            ScreenCondition::ProgramHung,
        ] {
            let controlled = View {
                screen,
                permissions: Permissions {
                    view: true,
                    control: true,
                },
                ..connected(people, false)
            };
            views.push((format!("connected {}", screen.name()), controlled));
        }
    }
    let external = View {
        code: Some(ShownCode { fields: vec![] }),
        ..in_state(State::Waiting)
    };
    views.push(("external waiting".to_owned(), external));
    for name in FailureName::ALL {
        let failed = View {
            failure: Some(Failure::new(name, "")),
            receipt: Some(receipt(people)),
            ..in_state(State::Failed)
        };
        views.push((format!("failed {}", name.as_str()), failed));
    }
    views.extend(questions(people));
    let interrupted = View {
        agent: Some(people.agent.clone()),
        interrupted_seconds_left: Some(107),
        ..in_state(State::Interrupted)
    };
    let coming_back = View {
        coming_back: true,
        interrupted_seconds_left: Some(899),
        ..interrupted.clone()
    };
    views.push(("interrupted".to_owned(), interrupted));
    views.push(("coming back".to_owned(), coming_back));
    views
}

fn waiting(form: CodeForm, notices: Vec<Notice>) -> View {
    let digits = match form {
        CodeForm::SingleCode => "482915",
        CodeForm::IdAndPassword => "48291573",
    };
    let nameplate = Nameplate::new(form, digits).unwrap();
    View {
        state: State::Waiting,
        code: Some(SessionCode::mint(nameplate, [7; 8]).shown()),
        notices,
        waiting_seconds_left: Some(101),
        ..View::default()
    }
}

fn connected(people: &People, app_only: bool) -> View {
    View {
        state: State::Connected,
        agent: Some(people.agent.clone()),
        permissions: Permissions {
            view: true,
            control: true,
        },
        app_sharing: Some(AppSharing {
            name: people.program.clone(),
            app_only,
        }),
        ..View::default()
    }
}

fn receipt(people: &People) -> Receipt {
    Receipt {
        agent: people.agent.clone(),
        viewed_seconds: 720,
        controlled_seconds: 250,
        program: Some(people.program.clone()),
        switch_to: None,
    }
}

/// Returns each set of notices that can stand on a page.
fn notices(people: &People) -> Vec<(&'static str, Vec<Notice>)> {
    let wrong = |left| Notice::WrongCodeTried {
        agent: people.agent.clone(),
        left,
    };
    let clock = Notice::ClockWrong {
        agent: people.agent.clone(),
        now: etatuki_trust::UnixTime(1_796_000_000),
    };
    let card = Notice::CardOutOfTime {
        agent: people.agent.clone(),
    };
    let burnt = Notice::CodeBurnt {
        agent: people.agent.clone(),
    };
    vec![
        ("quiet", vec![]),
        ("stranger", vec![Notice::UnauthorizedAttempt]),
        (
            "stranger, wrong",
            vec![Notice::UnauthorizedAttempt, wrong(1)],
        ),
        (
            "stranger, away",
            vec![Notice::UnauthorizedAttempt, Notice::ServiceLost],
        ),
        ("stranger persists", vec![Notice::UnauthorizedPersists]),
        ("clock", vec![clock]),
        ("card", vec![card]),
        ("wrong", vec![wrong(2)]),
        ("wrong again", vec![wrong(2), wrong(1)]),
        ("burnt", vec![burnt]),
        ("renewed", vec![Notice::CodeRenewed]),
        ("away", vec![Notice::ServiceLost]),
        ("back", vec![Notice::ServiceLost, Notice::ServiceBack]),
        ("forgotten", vec![Notice::CodeForgotten]),
    ]
}

fn questions(people: &People) -> Vec<(String, View)> {
    let switch = Ask::Switch {
        backend: "remoteus-2008".into(),
    };
    let mut views = Vec::new();
    for ask in [Ask::View, Ask::Control, Ask::Restart, switch] {
        for app_only in [None, Some(false), Some(true)] {
            let connected = connected(people, app_only == Some(true));
            let question = Question {
                id: 1,
                ask: ask.clone(),
                seconds_left: 59,
                answerable: true,
            };
            let view = View {
                question: Some(question),
                app_sharing: connected.app_sharing.clone().filter(|_| app_only.is_some()),
                ..connected
            };
            views.push((format!("question {ask:?} {app_only:?}"), view));
        }
    }
    views
}
