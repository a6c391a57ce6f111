//! The handshakes that open a connection, one file per side: RFC 6143 sections 7.1 to 7.3.

mod client;
mod server;
mod vnc_auth;

pub use client::ClientHandshake;
pub use server::{Security, ServerHandshake};

use crate::error::{Fault, MessageKind};
use crate::input::Fields;
use crate::{Limits, PixelFormat, ProtocolError};

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

impl ServerInit {
    /// Parses a ServerInit message (RFC 6143 section 7.3.2) at the front of `bytes`. Returns the message and
    /// its length in bytes, or `None` while bytes are missing.
    ///
    /// # Errors
    /// The size or the name's length is outside `limits`, or the pixel format is not usable: the sender
    /// broke the protocol, since there is no handshake in which another format could be asked for.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Option<(Self, usize)>, ProtocolError> {
        let mut fields = Fields::new(bytes);
        let broken = |fault| ProtocolError::server(MessageKind::Init, fault);
        let Some(read) = Self::read(&mut fields, limits) else {
            return Ok(None);
        };
        let (init, true_colour) = read.map_err(broken)?;
        init.format.check_usable(true_colour).map_err(broken)?;
        Ok(Some((init, fields.read())))
    }

    /// Reads the fields, and whether the format is true colour; `None` while bytes are missing.
    fn read(fields: &mut Fields<'_>, limits: &Limits) -> Option<Result<(Self, bool), Fault>> {
        let width = fields.u16()?;
        let height = fields.u16()?;
        let (format, true_colour) = PixelFormat::read(fields)?;
        let length = fields.u32()? as usize;
        let allowed = limits
            .check_size(width, height)
            .and_then(|()| Fault::check("name", length, limits.max_name));
        if let Err(fault) = allowed {
            return Some(Err(fault));
        }
        let name = clean(fields.take(length)?);
        let init = Self {
            width,
            height,
            format,
            name,
        };
        Some(Ok((init, true_colour)))
    }
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
