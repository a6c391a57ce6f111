//! The customer's permissions.

use crate::raw;

/// Permissions that the customer has given to the agent; control without view counts as none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Permissions {
    /// The picture is sent.
    pub view: bool,
    /// Input is carried out, and the clipboard exchanged.
    pub control: bool,
}

impl Permissions {
    /// Neither view nor control.
    pub const NONE: Self = Self {
        view: false,
        control: false,
    };
    /// View alone.
    pub const VIEW: Self = Self {
        view: true,
        control: false,
    };
    /// View and control.
    pub const CONTROL: Self = Self {
        view: true,
        control: true,
    };

    /// Returns the bits of the C interface.
    pub const fn bits(self) -> u32 {
        match (self.view, self.control) {
            (false, _) => 0,
            (true, false) => raw::PERMISSION_VIEW,
            (true, true) => raw::PERMISSION_VIEW | raw::PERMISSION_CONTROL,
        }
    }

    /// Reads the bits of the C interface; ignores undefined ones.
    pub const fn from_bits(bits: u32) -> Self {
        Self {
            view: bits & raw::PERMISSION_VIEW != 0,
            control: bits & raw::PERMISSION_CONTROL != 0,
        }
    }
}
