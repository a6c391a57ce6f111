//! The small window with the entries: a menu bar with **Ohje**, as in the accounting program, and the
//! same entries as large buttons.

use fltk::enums::{FrameType, Shortcut};
use fltk::menu::{MenuBar, MenuFlag};
use fltk::prelude::*;
use fltk::window::DoubleWindow;

use super::button::Pressed;
use super::look;
use super::page::{Action, Block, Button, Choice, Page, mnemonic};
use super::sheet::{Sheet, WIDTH, on_close};
use crate::texts::{Texts, fill};

const BAR: i32 = 34;

/// One entry as the menu shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The backend's id.
    pub id: String,
    /// Its name in the customer's language.
    pub label: String,
    /// The accounting program's version, when this is the fitting entry for it.
    pub fits: Option<String>,
    /// The stable name of why it can't be used here.
    pub unusable: Option<String>,
}

/// The window's page.
pub fn page(texts: &Texts, phone: &str, entries: &[Entry]) -> Page {
    let mut blocks = vec![
        Block::Heading(texts.menu.heading.clone()),
        Block::Text(fill(&texts.menu.hint, &[("phone", phone)])),
    ];
    let fitting = entries
        .iter()
        .position(|entry| entry.fits.is_some() && entry.unusable.is_none());
    let usable = entries.iter().position(|entry| entry.unusable.is_none());
    let focus = fitting.or(usable);
    blocks.extend(entries.iter().enumerate().map(|(at, entry)| {
        let label = entry.label.replace('&', "");
        let button = Button {
            enabled: entry.unusable.is_none(),
            focus: focus == Some(at),
            ..Button::plain(&label, Action::Choose(entry.id.clone()))
        };
        Block::Choice(Choice {
            button,
            note: note(texts, entry),
        })
    }));
    Page {
        blocks,
        ..Page::default()
    }
}

fn note(texts: &Texts, entry: &Entry) -> Option<String> {
    match (&entry.unusable, &entry.fits) {
        (Some(name), _) => Some(texts.failure(name).happened.clone()),
        (None, Some(version)) => Some(fill(&texts.menu.fitting, &[("version", version)])),
        (None, None) => None,
    }
}

/// The menu window.
pub struct Menu {
    sheet: Sheet,
    bar: MenuBar,
    texts: Texts,
    phone: String,
}

impl Menu {
    /// The window, not shown yet.
    pub fn new(
        texts: &Texts,
        phone: &str,
        entries: &[Entry],
        banner: Option<&str>,
        pressed: &Pressed,
    ) -> Self {
        let mut bar = None;
        let mut sheet = Sheet::new(
            &texts.window.title,
            banner,
            pressed.clone(),
            |_: &mut DoubleWindow| {
                bar = Some(menu_bar(texts, entries, pressed));
                BAR
            },
        );
        let leave = {
            let pressed = pressed.clone();
            move || pressed(Action::Leave)
        };
        on_close(sheet.window(), leave.clone(), leave);
        let bar = bar.expect("the sheet builds what stands above it");
        let mut made = Self {
            sheet,
            bar,
            texts: texts.clone(),
            phone: phone.to_owned(),
        };
        made.set(entries);
        made.sheet.centre();
        made
    }

    /// Shows what is known of the entries now.
    pub fn set(&mut self, entries: &[Entry]) {
        self.sheet
            .set(page(&self.texts, &self.phone, entries), true);
        for (at, entry) in (0..).zip(entries) {
            // Item 0 is the menu itself. (`set_mode` does nothing in this version of fltk-rs.)
            match (self.bar.at(at + 1), &entry.unusable) {
                (Some(mut item), Some(_)) => item.deactivate(),
                (Some(mut item), None) => item.activate(),
                (None, _) => {}
            }
        }
    }

    /// The window itself.
    pub fn window(&mut self) -> &mut DoubleWindow {
        self.sheet.window()
    }
}

fn menu_bar(texts: &Texts, entries: &[Entry], pressed: &Pressed) -> MenuBar {
    let mut bar = MenuBar::new(0, 0, WIDTH, BAR, None);
    bar.set_frame(FrameType::GtkThinUpBox);
    bar.set_text_size(look::TEXT);
    let mut add = |label: &str, action: Action| {
        let pressed = pressed.clone();
        let path = format!("{}/{label}", texts.menu.help);
        bar.add(&path, Shortcut::None, MenuFlag::Normal, move |_| {
            pressed(action.clone())
        });
    };
    for (label, entry) in menu_labels(entries).iter().zip(entries) {
        add(label, Action::Choose(entry.id.clone()));
    }
    add(&texts.menu.quit, Action::Leave);
    bar.end();
    bar
}

/// One label for each entry. FLTK takes a second item of the same name for the first one, so such a name gets spaces at its
/// end, which nobody sees.
fn menu_labels(entries: &[Entry]) -> Vec<String> {
    let mut labels: Vec<String> = Vec::with_capacity(entries.len());
    for entry in entries {
        let mut label = menu_label(&entry.label);
        while labels.contains(&label) {
            label.push(' ');
        }
        labels.push(label);
    }
    labels
}

/// FLTK's menus take `/`, `&`, `@` and a leading `_` as commands; an entry's name shows them.
fn menu_label(label: &str) -> String {
    let plain = mnemonic(label).0;
    let escaped = plain
        .replace('\\', "\\\\")
        .replace('/', "\\/")
        .replace('@', "@@");
    escaped.trim_start_matches('_').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Language;

    fn entry(id: &str, fits: Option<&str>, unusable: Option<&str>) -> Entry {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Entry {
            id: id.into(),
            label: id.into(),
            fits: owned(fits),
            unusable: owned(unusable),
        }
    }

    #[test]
    fn grey_entries_say_why_and_the_fitting_one_has_the_keyboard() {
        let texts = Texts::load(Language::Fi);
        let entries = [
            entry("a", None, None),
            entry("b", Some("2008"), None),
            entry("c", None, Some("tool-missing")),
        ];
        let page = page(&texts, "02 123", &entries);
        let choices: Vec<_> = page
            .blocks
            .iter()
            .filter_map(|block| match block {
                Block::Choice(choice) => Some((
                    choice.button.enabled,
                    choice.button.focus,
                    choice.note.as_deref(),
                )),
                _ => None,
            })
            .collect();
        let fits = "Sopii ohjelmaasi (versio 2008).";
        let missing = "Tätä etätukea ei ole asennettu tälle koneelle.";
        let expected = [
            (true, false, None),
            (true, true, Some(fits)),
            (false, false, Some(missing)),
        ];
        assert_eq!(choices, expected);
    }

    #[test]
    fn entries_of_one_name_stay_apart() {
        let named = |label: &str| Entry {
            label: label.into(),
            ..entry("x", None, None)
        };
        let labels = menu_labels(&[named("A"), named("B"), named("A"), named("_A")]);
        assert_eq!(labels, ["A", "B", "A ", "A  "]);
    }

    #[test]
    fn entry_names_are_no_menu_commands() {
        assert_eq!(menu_label("A/B & C@D"), "A\\/B  C@@D");
        assert_eq!(menu_label("_x"), "x");
    }
}
