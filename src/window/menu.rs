//! The small window with the entries: a menu bar with **Ohje**, as in the accounting program, and
//! the same entries as large buttons.

use fltk::enums::{FrameType, Key, Shortcut};
use fltk::menu::{MenuBar, MenuFlag};
use fltk::prelude::*;
use fltk::window::DoubleWindow;

use super::button::ActionHandler;
use super::layout::MAX_WIDTH;
use super::page::{Button, ButtonAction, Choice, Page, PageItem, mnemonic};
use super::page_events::on_close;
use super::page_window::{Focus, PageWindow};
use super::session_context::Vendor;
use super::theme;
use crate::texts::{Texts, fill};

const MENU_BAR_HEIGHT: i32 = 34;

/// An entry in the menu.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MenuEntry {
    /// The backend's id.
    pub id: String,
    /// The entry's name in the customer's language.
    pub label: String,
    /// The accounting program's version, if this is the fitting entry for it.
    pub fits: Option<String>,
    /// The stable name of the reason why it can't be used here.
    pub unusable: Option<String>,
}

/// Returns the window's page.
pub fn page(texts: &Texts, phone: &str, entries: &[MenuEntry]) -> Page {
    let mut items = vec![
        PageItem::Heading(texts.menu.heading.clone()),
        PageItem::Text(fill(&texts.menu.hint, &[("phone", phone)])),
    ];
    let fitting = entries
        .iter()
        .position(|entry| entry.fits.is_some() && entry.unusable.is_none());
    let usable = entries.iter().position(|entry| entry.unusable.is_none());
    let focus = fitting.or(usable);
    items.extend(entries.iter().enumerate().map(|(index, entry)| {
        let label = entry.label.replace('&', "");
        let button = Button {
            enabled: entry.unusable.is_none(),
            focus: focus == Some(index),
            ..Button::plain(&label, ButtonAction::ChooseEntry(entry.id.clone()))
        };
        PageItem::Choice(Choice {
            button,
            note: entry_note(texts, entry),
        })
    }));
    Page {
        items,
        ..Page::default()
    }
}

/// Returns the page with the version and the language of this program.
pub fn about(texts: &Texts, support: &str) -> Page {
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    Page {
        items: vec![
            PageItem::Heading(texts.window.title.clone()),
            PageItem::Support(support.to_owned()),
            PageItem::Text(fill(&texts.menu.version, &version)),
        ],
        buttons: vec![
            Button::plain(&texts.code.copy, ButtonAction::Copy),
            Button::primary(&texts.window.close, ButtonAction::About),
        ],
        wide_buttons: false,
    }
}

fn entry_note(texts: &Texts, entry: &MenuEntry) -> Option<String> {
    match (&entry.unusable, &entry.fits) {
        (Some(name), _) => Some(texts.failure(name).happened.clone()),
        (None, Some(version)) => Some(fill(&texts.menu.fitting, &[("version", version)])),
        (None, None) => None,
    }
}

/// The menu window.
pub struct MenuWindow {
    window: PageWindow,
    bar: MenuBar,
    texts: Texts,
    vendor: Vendor,
    entries: Vec<MenuEntry>,
    /// Whether the page about this program is shown.
    about: bool,
}

impl MenuWindow {
    /// Creates the hidden window.
    pub fn new(
        texts: &Texts,
        vendor: &Vendor,
        entries: &[MenuEntry],
        banner: Option<&str>,
        on_action: &ActionHandler,
    ) -> Self {
        let mut bar = None;
        let mut window = PageWindow::new(
            &texts.window.title,
            banner,
            on_action.clone(),
            |_: &mut DoubleWindow| {
                bar = Some(menu_bar(texts, entries, on_action));
                MENU_BAR_HEIGHT
            },
        );
        let sender = |action: ButtonAction| {
            let on_action = on_action.clone();
            move || on_action(action.clone())
        };
        // Esc alone doesn't end the program.
        on_close(
            window.fltk_window(),
            sender(ButtonAction::CloseWindow),
            sender(ButtonAction::Escape),
        );
        let bar = bar.expect("the window builds what is above its pages");
        let mut made = Self {
            window,
            bar,
            texts: texts.clone(),
            vendor: vendor.clone(),
            entries: Vec::new(),
            about: false,
        };
        made.set(entries);
        made.window.centre();
        made
    }

    /// Updates the entries.
    pub fn set(&mut self, entries: &[MenuEntry]) {
        self.entries = entries.to_vec();
        self.set_page();
        for (index, entry) in (0..).zip(entries) {
            // Item 0 is the menu itself. (`set_mode` does nothing in this version of fltk-rs.)
            match (self.bar.at(index + 1), &entry.unusable) {
                (Some(mut item), Some(_)) => item.deactivate(),
                (Some(mut item), None) => item.activate(),
                (None, _) => {}
            }
        }
    }

    /// Shows the version and the language, or the entries again.
    pub fn toggle_about(&mut self) {
        self.about = !self.about;
        self.set_page();
    }

    /// Shows the entries again, if the page about this program is shown.
    pub fn on_escape(&mut self) {
        if self.about {
            self.toggle_about();
        }
    }

    /// Returns what the page says.
    pub fn page(&self) -> &Page {
        self.window.page()
    }

    fn set_page(&mut self) {
        let page = if self.about {
            about(&self.texts, &self.vendor.support(&self.texts))
        } else {
            page(&self.texts, &self.vendor.phone, &self.entries)
        };
        let width = self.window.set(page, Focus::Take);
        self.bar.set_size(width, MENU_BAR_HEIGHT);
    }

    /// Shows the window, above others if it is shown already.
    pub fn show(&mut self) {
        self.window.show();
    }

    /// Keeps a window that was just shown on the screen. To be called a few times a second.
    pub(crate) fn tick(&mut self) {
        self.window.tick(true);
        self.bar
            .set_size(self.window.fltk_window().w(), MENU_BAR_HEIGHT);
    }

    /// Returns the FLTK window.
    pub fn fltk_window(&mut self) -> &mut DoubleWindow {
        self.window.fltk_window()
    }
}

fn menu_bar(texts: &Texts, entries: &[MenuEntry], on_action: &ActionHandler) -> MenuBar {
    let mut bar = MenuBar::new(0, 0, MAX_WIDTH, MENU_BAR_HEIGHT, None);
    bar.set_frame(FrameType::GtkThinUpBox);
    bar.set_text_size(theme::TEXT_SIZE);
    let mut add = |label: &str, action: ButtonAction| {
        let on_action = on_action.clone();
        let path = format!("{}/{label}", texts.menu.help);
        bar.add(&path, Shortcut::None, MenuFlag::Normal, move |_| {
            on_action(action.clone())
        });
    };
    for (label, entry) in menu_labels(entries).iter().zip(entries) {
        add(label, ButtonAction::ChooseEntry(entry.id.clone()));
    }
    add(&texts.menu.about, ButtonAction::About);
    add(&texts.menu.quit, ButtonAction::CloseWindow);
    if let Some(mut help) = bar.at(0) {
        help.set_shortcut(Shortcut::from_key(Key::F10));
    }
    bar.end();
    bar
}

/// Returns a unique label for each entry. FLTK takes a second item with an equal name for the first
/// one, so such a name gets spaces at its end, which nobody sees.
fn menu_labels(entries: &[MenuEntry]) -> Vec<String> {
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

/// Escapes a name for FLTK's menus, which interpret `/`, `&`, `@` and a leading `_`.
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

    fn entry(id: &str, fits: Option<&str>, unusable: Option<&str>) -> MenuEntry {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        MenuEntry {
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
            .items
            .iter()
            .filter_map(|item| match item {
                PageItem::Choice(choice) => Some((
                    choice.button.enabled,
                    choice.button.focus,
                    choice.note.as_deref(),
                )),
                _ => None,
            })
            .collect();
        let fits = "Sopii ohjelmasi versioon 2008.";
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
        let named = |label: &str| MenuEntry {
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
