//! The handshakes that open a connection, one file per side: RFC 6143 sections 7.1 to 7.3.

mod client;
mod server;
mod vnc_auth;

pub use client::ClientHandshake;
pub use server::{Security, ServerHandshake};

use crate::PixelFormat;
use crate::error::Fault;

/// What a server says of its screen at the end of the handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerInit {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
    /// The server's own format. From a client's handshake it is as the server sent it, perhaps not
    /// usable (an old server may have a colour map): ask for another with SetPixelFormat.
    pub format: PixelFormat,
    /// The desktop's name. From a client's handshake: valid UTF-8, control characters replaced by spaces.
    pub name: String,
}

/// The three versions that differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    /// Security is decided by the server; also 3.4 to 3.6, which nobody published.
    V3,
    /// The client chooses from a list.
    V7,
    /// And hears why it was refused.
    V8,
}

/// What we say as a server, and the most that we say as a client.
const GREETING: &[u8; 12] = b"RFB 003.008\n";

const SECURITY_NONE: u8 = 1;
const SECURITY_VNC_AUTH: u8 = 2;

impl Version {
    /// What is newer than 3.8, or calls itself so (Apple's 3.889, RealVNC's 4.1 and 5.0), knows 3.8.
    fn read(line: &[u8; 12]) -> Result<Self, Fault> {
        let bad = Fault::BadValue("version line");
        let [b'R', b'F', b'B', b' ', a, b, c, b'.', d, e, f, b'\n'] = line else {
            return Err(bad);
        };
        let number = |digits: [u8; 3]| {
            let all = digits.iter().all(u8::is_ascii_digit);
            all.then(|| {
                digits
                    .iter()
                    .fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'))
            })
        };
        match (number([*a, *b, *c]), number([*d, *e, *f])) {
            (Some(3), Some(3..=6)) => Ok(Self::V3),
            (Some(3), Some(7)) => Ok(Self::V7),
            (Some(3), Some(8..)) | (Some(4..), Some(_)) => Ok(Self::V8),
            _ => Err(bad),
        }
    }

    fn line(self) -> &'static [u8; 12] {
        match self {
            Self::V3 => b"RFB 003.003\n",
            Self::V7 => b"RFB 003.007\n",
            Self::V8 => GREETING,
        }
    }
}

/// Text of a peer, for people: valid UTF-8 without control characters.
fn clean(text: &[u8]) -> String {
    String::from_utf8_lossy(text).replace(char::is_control, " ")
}
