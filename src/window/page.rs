//! A window's content as plain data: made from a view of the session, drawn by
//! [`super::page_window`], and tested without a display.

use super::hands::Reply;
use std::fmt;

use zeroize::Zeroizing;

/// The content of one window, from top to bottom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The items above the buttons.
    pub items: Vec<PageItem>,
    /// The row of buttons at the foot, from left to right.
    pub buttons: Vec<Button>,
    /// Whether the buttons share the whole width, as under a question.
    pub wide_buttons: bool,
}

/// One item of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageItem {
    /// The heading.
    Heading(String),
    /// Ordinary text.
    Text(String),
    /// Secondary text: small and grey.
    Secondary(String),
    /// The line that names support and its number; left out where the screen is too small for it.
    Support(String),
    /// Something that is being done; a mark moves below it.
    Busy(String),
    /// A coloured box that is read first.
    Callout(Tone, String),
    /// A row of digits to read aloud.
    Code(CodeField),
    /// A large button with a line below its label.
    Choice(Choice),
}

/// The meaning of a callout, as a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// The customer should know this.
    Info,
    /// The customer should act at once.
    Alert,
    /// All is well.
    Success,
    /// A warning for developers.
    Development,
}

/// A labelled row of digits. Secret.
#[derive(Clone, PartialEq, Eq)]
pub struct CodeField {
    /// The name of the digits.
    pub label: String,
    /// The digits in groups of three.
    pub digits: Zeroizing<String>,
    /// Whether they can't be used at the moment: they are grey then.
    pub paused: bool,
}

impl fmt::Debug for CodeField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CodeField({:?}, <redacted>)", self.label)
    }
}

/// An entry of the registry that the customer can choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The button; its label is the entry's.
    pub button: Button,
    /// The reason why it is greyed out, or the hint that it is the fitting one.
    pub note: Option<String>,
}

/// A button.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Button {
    /// The label; `&` stands before the letter that presses the button together with Alt.
    pub label: String,
    /// The action of pressing it.
    pub action: ButtonAction,
    /// Whether it is the primary button, in colour.
    pub primary: bool,
    /// Whether it can be pressed now.
    pub enabled: bool,
    /// Whether it gets the keyboard focus when the page appears.
    pub focus: bool,
    /// The mark before the label of an answer.
    pub mark: Option<Mark>,
}

/// The mark on an answer, which tells allowing from denying by more than colour and words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A tick.
    Allow,
    /// A cross.
    Deny,
}

impl Button {
    /// Returns a plain button that can be pressed.
    pub fn plain(label: &str, action: ButtonAction) -> Self {
        Self {
            label: label.to_owned(),
            action,
            primary: false,
            enabled: true,
            focus: false,
            mark: None,
        }
    }

    /// Returns the primary button; Enter presses it.
    pub fn primary(label: &str, action: ButtonAction) -> Self {
        Self {
            primary: true,
            focus: true,
            ..Self::plain(label, action)
        }
    }

    /// Puts a mark before its label.
    #[must_use]
    pub fn marked(self, mark: Mark) -> Self {
        Self {
            mark: Some(mark),
            ..self
        }
    }

    /// Gives it the keyboard focus when the page appears.
    #[must_use]
    pub fn focused(self) -> Self {
        Self {
            focus: true,
            ..self
        }
    }
}

/// The action of a button.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ButtonAction {
    /// Open the connection, for the first time or again.
    Open,
    /// Close the connection.
    Close,
    /// Answer the question.
    Answer {
        /// The question's id.
        question: u32,
        /// The answer.
        allow: bool,
    },
    /// Allow what the question with this id asks, but for the accounting program's windows only.
    AllowAppOnly(u32),
    /// Take control back.
    TakeBack,
    /// Withdraws the permission to come back after a restart.
    WithdrawRestart,
    /// Copy the code; on a page without one, its text.
    Copy,
    /// Open the entry with this id.
    ChooseEntry(String),
    /// Show the other entries.
    ChooseOther,
    /// End the launcher that keeps the display and answers nobody.
    EndHungLauncher,
    /// Show the version and the language of this program.
    About,
    /// Close the window.
    CloseWindow,
    /// The Esc key: denies a question, and closes a window without one.
    Escape,
}

impl ButtonAction {
    /// Returns the answer that this gives to a question, if it is one.
    pub(crate) fn reply(&self) -> Option<Reply> {
        match self {
            Self::Answer { allow: false, .. } => Some(Reply::Deny),
            Self::Answer { allow: true, .. } | Self::AllowAppOnly(_) => Some(Reply::Allow),
            _ => None,
        }
    }
}

impl Page {
    /// Returns whether `other` has the same items and buttons and differs in words only: then the
    /// keyboard focus stays where it is.
    pub fn has_layout_of(&self, other: &Self) -> bool {
        self.wide_buttons == other.wide_buttons
            && all_match(&self.items, &other.items, PageItem::has_layout_of)
            && all_match(&self.buttons, &other.buttons, |a, b| a.action == b.action)
    }

    /// Returns what the page says, a line for each item, for the clipboard. Without the code.
    pub fn text(&self) -> String {
        let lines = self.items.iter().filter_map(|item| match item {
            PageItem::Heading(text)
            | PageItem::Text(text)
            | PageItem::Secondary(text)
            | PageItem::Support(text)
            | PageItem::Busy(text)
            | PageItem::Callout(_, text) => Some(text.as_str()),
            PageItem::Code(_) | PageItem::Choice(_) => None,
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Returns the code on the page as one row of digits in groups, for the clipboard.
    pub fn code(&self) -> Option<Zeroizing<String>> {
        let mut row = Zeroizing::new(String::new());
        for item in &self.items {
            if let PageItem::Code(code) = item {
                let space = if row.is_empty() { "" } else { " " };
                row.push_str(space);
                row.push_str(&code.digits);
            }
        }
        (!row.is_empty()).then_some(row)
    }
}

impl PageItem {
    fn has_layout_of(&self, other: &Self) -> bool {
        match (self, other) {
            (PageItem::Choice(a), PageItem::Choice(b)) => a.button.action == b.button.action,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

fn all_match<T>(left: &[T], right: &[T], is_match: impl Fn(&T, &T) -> bool) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(a, b)| is_match(a, b))
}

/// Returns a label without its `&`, and the byte offset of the letter that followed it.
pub fn mnemonic(label: &str) -> (String, Option<usize>) {
    match label.split_once('&') {
        Some((before, after)) if !after.is_empty() => {
            (format!("{before}{after}"), Some(before.len()))
        }
        _ => (label.to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mnemonic_is_the_letter_behind_the_ampersand() {
        assert_eq!(mnemonic("&Sulje"), ("Sulje".to_owned(), Some(0)));
        assert_eq!(mnemonic("&Älä salli"), ("Älä salli".to_owned(), Some(0)));
        assert_eq!(
            mnemonic("Tillåt &inte"),
            ("Tillåt inte".to_owned(), Some(8))
        );
        assert_eq!(mnemonic("Ecom"), ("Ecom".to_owned(), None));
        assert_eq!(mnemonic("A &"), ("A &".to_owned(), None));
    }

    #[test]
    fn words_may_change_and_the_shape_stays() {
        let page = |text: &str, question| Page {
            items: vec![PageItem::Text(text.to_owned())],
            buttons: vec![Button::plain(
                "x",
                ButtonAction::Answer {
                    question,
                    allow: false,
                },
            )],
            wide_buttons: true,
        };
        assert!(page("0:59", 1).has_layout_of(&page("0:58", 1)));
        assert!(
            !page("0:59", 1).has_layout_of(&page("0:59", 2)),
            "another question"
        );
        assert!(!page("0:59", 1).has_layout_of(&Page::default()));
    }

    #[test]
    fn a_page_doesnt_tell_its_digits() {
        let code = CodeField {
            label: "Istuntokoodi".into(),
            digits: Zeroizing::new("123 456".into()),
            paused: false,
        };
        let debug = format!("{:?}", PageItem::Code(code));
        assert!(!debug.contains("123"), "{debug}");
    }
}
