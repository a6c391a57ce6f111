//! What a backend says about itself, and how that becomes read-only data of the library at compile time.

use std::ffi::c_char;
use std::marker::PhantomData;

use crate::{Backend, raw, table};

/// Bytes that one text of the descriptor may have, its NUL included.
const ROOM: usize = 128;

/// What the library says about itself. Texts are at most 127 bytes, without NUL; that is checked when it is compiled.
#[derive(Debug, Clone, Copy)]
pub struct Descriptor {
    /// The registry's id of the backend, such as `remoteus-2008`.
    pub id: &'static str,
    /// A name for people.
    pub name: &'static str,
    /// Who made the plugin.
    pub vendor: &'static str,
    /// The plugin's version, semver; `env!("CARGO_PKG_VERSION")` will do.
    pub version: &'static str,
    /// The form in which the code is handed in and shown.
    pub code_form: CodeForm,
    /// What the backend can do.
    pub capabilities: Capabilities,
}

/// The form of a backend's session code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeForm {
    /// Twelve digits, shown as one session code.
    Remoteus,
    /// An ID of nine digits, a space and a password of six.
    Ecom,
    /// Whatever the tool makes; for backends with [`Capabilities::OWN_TRANSPORT`].
    Own,
}

impl CodeForm {
    /// `remoteus`, `ecom` or `own`, as in the descriptor.
    pub const fn as_str(self) -> &'static str {
        match self {
            CodeForm::Remoteus => "remoteus",
            CodeForm::Ecom => "ecom",
            CodeForm::Own => "own",
        }
    }
}

/// A set of things that a backend can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities(u64);

impl Capabilities {
    /// None of them.
    pub const NONE: Self = Self(0);
    /// Takes keys and the pointer.
    pub const INPUT: Self = Self(raw::CAP_INPUT);
    /// Carries the clipboard.
    pub const CLIPBOARD: Self = Self(raw::CAP_CLIPBOARD);
    /// Obeys SetDesktopSize.
    pub const RESIZE: Self = Self(raw::CAP_RESIZE);
    /// Makes its own code, whatever `open` was given.
    pub const OWN_CODE: Self = Self(raw::CAP_OWN_CODE);
    /// Brings its own transport and never gets `attach`.
    pub const OWN_TRANSPORT: Self = Self(raw::CAP_OWN_TRANSPORT);
    /// Needs the network itself.
    pub const NETWORK: Self = Self(raw::CAP_NETWORK);

    /// These and the others.
    #[must_use]
    pub const fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// The bits as they cross the interface.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Reads the bits; those that this version doesn't know are kept.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Are all of `others` among these?
    pub const fn has(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }
}

/// The descriptor of `B` as the interface wants it.
pub(crate) const fn raw<B: Backend>() -> raw::Descriptor {
    raw::Descriptor {
        struct_size: size_of::<raw::Descriptor>() as u32,
        reserved: 0,
        capabilities: B::DESCRIPTOR.capabilities.bits(),
        id: Texts::<B>::ID.as_ptr().cast::<c_char>(),
        name: Texts::<B>::NAME.as_ptr().cast::<c_char>(),
        vendor: Texts::<B>::VENDOR.as_ptr().cast::<c_char>(),
        version: Texts::<B>::VERSION.as_ptr().cast::<c_char>(),
        code_form: Texts::<B>::CODE_FORM.as_ptr().cast::<c_char>(),
        create: Some(table::create::<B>),
    }
}

/// The descriptor's texts with their NULs, as data that lives as long as the library.
struct Texts<B>(PhantomData<B>);

impl<B: Backend> Texts<B> {
    const ID: &'static [u8; ROOM] = &terminated(B::DESCRIPTOR.id);
    const NAME: &'static [u8; ROOM] = &terminated(B::DESCRIPTOR.name);
    const VENDOR: &'static [u8; ROOM] = &terminated(B::DESCRIPTOR.vendor);
    const VERSION: &'static [u8; ROOM] = &terminated(B::DESCRIPTOR.version);
    const CODE_FORM: &'static [u8; ROOM] = &terminated(B::DESCRIPTOR.code_form.as_str());
}

const fn terminated(text: &str) -> [u8; ROOM] {
    let bytes = text.as_bytes();
    assert!(
        bytes.len() < ROOM,
        "a text of the descriptor is longer than 127 bytes"
    );
    let mut room = [0; ROOM];
    let mut at = 0;
    while at < bytes.len() {
        assert!(bytes[at] != 0, "a text of the descriptor has a NUL in it");
        room[at] = bytes[at];
        at += 1;
    }
    room
}
