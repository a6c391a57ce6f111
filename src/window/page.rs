//! What stands on a window, as plain data: made from a view of the session, drawn by [`super::sheet`],
//! and checked by tests without a display.

use std::fmt;

use zeroize::Zeroizing;

/// Everything on one window, from top to bottom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// What is read.
    pub blocks: Vec<Block>,
    /// The row of buttons at the foot, from left to right.
    pub buttons: Vec<Button>,
    /// The buttons share the whole width: a question.
    pub wide_buttons: bool,
}

/// One thing on a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// What it is about.
    Heading(String),
    /// To be read.
    Text(String),
    /// To be read by whoever looks for it.
    Quiet(String),
    /// To be read first.
    Strip(Tone, String),
    /// A row of digits to read aloud, with its copy button.
    Code(Code),
    /// A large button with a line below its label.
    Choice(Choice),
}

/// How a strip looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Something to know.
    Note,
    /// Something to act on at once.
    Alarm,
    /// All is well.
    Good,
    /// Not for customers.
    Development,
}

/// A labelled row of digits. Secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Code {
    /// What the digits are.
    pub label: String,
    /// In threes.
    pub digits: Zeroizing<String>,
    /// The copy button.
    pub copy: Button,
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Code({:?}, <redacted>)", self.label)
    }
}

/// One entry of the registry, to be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The button; its label is the entry's.
    pub button: Button,
    /// Why it is grey, or that it is the fitting one.
    pub note: Option<String>,
}

/// Something to press.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Button {
    /// `&` stands before the letter that presses it together with Alt.
    pub label: String,
    /// What it does.
    pub action: Action,
    /// The one that goes on, in colour.
    pub primary: bool,
    /// Whether it can be pressed now.
    pub enabled: bool,
    /// Has the keyboard when the page appears.
    pub focus: bool,
}

impl Button {
    /// A plain button that can be pressed.
    pub fn plain(label: &str, action: Action) -> Self {
        Self {
            label: label.to_owned(),
            action,
            primary: false,
            enabled: true,
            focus: false,
        }
    }

    /// The button that goes on; Enter presses it.
    pub fn primary(label: &str, action: Action) -> Self {
        Self {
            primary: true,
            focus: true,
            ..Self::plain(label, action)
        }
    }

    /// With the keyboard when the page appears.
    #[must_use]
    pub fn focused(self) -> Self {
        Self {
            focus: true,
            ..self
        }
    }
}

/// What a button does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
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
    /// Allow what the question asks, but for the program alone.
    AllowProgram(u32),
    /// Take control back.
    TakeBack,
    /// Copy the code's field of that number.
    Copy(usize),
    /// Choose the entry of that id.
    Choose(String),
    /// Put the window away.
    Leave,
    /// The Esc key: the answer that allows nothing, or the way out of a window that asks nothing.
    Escape,
}

impl Page {
    /// Whether `other` has the same things in the same places, and differs in words alone: then the
    /// keyboard stays where it is.
    pub fn has_shape_of(&self, other: &Self) -> bool {
        self.wide_buttons == other.wide_buttons
            && same(&self.blocks, &other.blocks, Block::has_shape_of)
            && same(&self.buttons, &other.buttons, |a, b| a.action == b.action)
    }
}

impl Block {
    fn has_shape_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Block::Code(a), Block::Code(b)) => a.copy.action == b.copy.action,
            (Block::Choice(a), Block::Choice(b)) => a.button.action == b.button.action,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

fn same<T>(these: &[T], those: &[T], alike: impl Fn(&T, &T) -> bool) -> bool {
    these.len() == those.len()
        && these
            .iter()
            .zip(those)
            .all(|(this, that)| alike(this, that))
}

/// A label without its `&`, and the place of the letter that stood behind it, in bytes.
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
            blocks: vec![Block::Text(text.to_owned())],
            buttons: vec![Button::plain(
                "x",
                Action::Answer {
                    question,
                    allow: false,
                },
            )],
            wide_buttons: true,
        };
        assert!(page("0:59", 1).has_shape_of(&page("0:58", 1)));
        assert!(
            !page("0:59", 1).has_shape_of(&page("0:59", 2)),
            "another question"
        );
        assert!(!page("0:59", 1).has_shape_of(&Page::default()));
    }

    #[test]
    fn a_page_doesnt_tell_its_digits() {
        let code = Code {
            label: "Istuntokoodi".into(),
            digits: Zeroizing::new("123 456".into()),
            copy: Button::plain("x", Action::Copy(0)),
        };
        let debug = format!("{:?}", Block::Code(code));
        assert!(!debug.contains("123"), "{debug}");
    }
}
