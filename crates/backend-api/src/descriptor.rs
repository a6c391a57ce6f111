//! A backend's description of itself, and its conversion into read-only data of the library at
//! compile time.

use std::ffi::c_char;
use std::marker::PhantomData;

use crate::{Backend, raw, table};

/// Longest text of the descriptor in bytes, its NUL included.
const MAX_TEXT_BYTES: usize = 128;

/// A library's description of itself. A text has at most 127 bytes and no NUL, which the compiler
/// checks.
#[derive(Debug, Clone, Copy)]
pub struct Descriptor {
    /// The backend's id in the registry, such as `remoteus-2008`.
    pub id: &'static str,
    /// Name for people.
    pub name: &'static str,
    /// The plugin's vendor.
    pub vendor: &'static str,
    /// The plugin's version, semver; `env!("CARGO_PKG_VERSION")` will do.
    pub version: &'static str,
    /// Form in which the session code is handed in and shown.
    pub code_form: CodeForm,
    /// Abilities of the backend.
    pub capabilities: Capabilities,
}

/// Form of a backend's session code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeForm {
    /// Twelve digits, shown as one session code: `remoteus`.
    SingleCode,
    /// An ID of nine digits, a space and a password of six: `ecom`.
    IdAndPassword,
    /// The tool's own code, in whatever form; for backends with [`Capabilities::OWN_TRANSPORT`]:
    /// `own`.
    External,
}

impl CodeForm {
    /// All forms.
    pub const ALL: [Self; 3] = [Self::SingleCode, Self::IdAndPassword, Self::External];

    /// Returns the name in the descriptor: `remoteus`, `ecom` or `own`.
    pub const fn as_str(self) -> &'static str {
        match self {
            CodeForm::SingleCode => "remoteus",
            CodeForm::IdAndPassword => "ecom",
            CodeForm::External => "own",
        }
    }

    /// Returns the form of this name; `None` for an unknown name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.as_str() == name)
    }
}

/// A set of abilities of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities(u64);

impl Capabilities {
    /// The empty set.
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

    /// Returns the union with the others.
    #[must_use]
    pub const fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Returns the bits of the C interface.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Reads the bits of the C interface; keeps those that this version doesn't know.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Returns whether all of the others are in this set.
    pub const fn has(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }
}

/// Returns the descriptor of `B` in the form of the C interface.
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

/// The descriptor's NUL-terminated texts, as data that lives as long as the library.
struct Texts<B>(PhantomData<B>);

impl<B: Backend> Texts<B> {
    const ID: &'static [u8; MAX_TEXT_BYTES] = &nul_terminated(B::DESCRIPTOR.id);
    const NAME: &'static [u8; MAX_TEXT_BYTES] = &nul_terminated(B::DESCRIPTOR.name);
    const VENDOR: &'static [u8; MAX_TEXT_BYTES] = &nul_terminated(B::DESCRIPTOR.vendor);
    const VERSION: &'static [u8; MAX_TEXT_BYTES] = &nul_terminated(B::DESCRIPTOR.version);
    const CODE_FORM: &'static [u8; MAX_TEXT_BYTES] =
        &nul_terminated(B::DESCRIPTOR.code_form.as_str());
}

const fn nul_terminated(text: &str) -> [u8; MAX_TEXT_BYTES] {
    let bytes = text.as_bytes();
    assert!(
        bytes.len() < MAX_TEXT_BYTES,
        "a text of the descriptor is longer than 127 bytes"
    );
    let mut terminated = [0; MAX_TEXT_BYTES];
    let mut index = 0;
    while index < bytes.len() {
        assert!(
            bytes[index] != 0,
            "a text of the descriptor has a NUL in it"
        );
        terminated[index] = bytes[index];
        index += 1;
    }
    terminated
}
