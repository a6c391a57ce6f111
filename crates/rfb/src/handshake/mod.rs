//! Handshakes that open a connection, one file for each side: RFC 6143 sections 7.1 to 7.3.

mod client;
mod server;
mod vnc_auth;

pub use client::ClientHandshake;
pub use server::{Security, ServerHandshake};

use crate::error::{ErrorKind, MessageKind};
use crate::field_reader::{FieldReader, Incomplete};
use crate::{Limits, PixelFormat, ProtocolError, plain_text};

/// ClientInit (section 7.3.1), the client's last message of the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientInit {
    /// False when the client asks for every other client to be disconnected.
    pub shared: bool,
}

/// ServerInit (section 7.3.2), the server's last message of the handshake: its screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerInit {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
    /// The server's own format. A client's handshake returns it unchecked, perhaps not usable (an
    /// old server may have a colour map): ask for another with SetPixelFormat.
    pub format: PixelFormat,
    /// The desktop's name. A client's handshake returns it as valid UTF-8, with control characters
    /// replaced by spaces.
    pub name: String,
}

impl ServerInit {
    /// Parses a ServerInit message at the front of `bytes`. Returns the message and its length in
    /// bytes, or `None` while bytes are missing.
    ///
    /// # Errors
    /// The size or the name's length is outside `limits`, or the pixel format is not usable: the
    /// sender broke the protocol, since there is no handshake in which another format could be
    /// asked for.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Option<(Self, usize)>, ProtocolError> {
        let mut fields = FieldReader::new(bytes);
        let fail = |kind| ProtocolError::server(MessageKind::Init, kind);
        let Ok(read) = Self::read(&mut fields, limits) else {
            return Ok(None);
        };
        let (init, true_colour) = read.map_err(fail)?;
        init.format.check_usable(true_colour).map_err(fail)?;
        Ok(Some((init, fields.position())))
    }

    /// Reads the fields; returns them with the format's true-colour flag.
    fn read(
        fields: &mut FieldReader<'_>,
        limits: &Limits,
    ) -> Result<Result<(Self, bool), ErrorKind>, Incomplete> {
        let width = fields.u16()?;
        let height = fields.u16()?;
        let (format, true_colour) = PixelFormat::read(fields)?;
        let length = fields.u32()? as usize;
        let checked = limits
            .check_size(width, height)
            .and_then(|()| ErrorKind::check("name", length, limits.max_name));
        if let Err(kind) = checked {
            return Ok(Err(kind));
        }
        let name = sanitize(fields.bytes(length)?);
        let init = Self {
            width,
            height,
            format,
            name,
        };
        Ok(Ok((init, true_colour)))
    }
}

/// The three versions whose handshakes differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    /// 3.3: the server decides on the security type. Also 3.4 to 3.6, which were never published.
    V3_3,
    /// 3.7: the client chooses a security type from the server's list.
    V3_7,
    /// 3.8: a refusal has a reason.
    V3_8,
}

/// ProtocolVersion of our server, and the highest one of our client.
const VERSION_3_8: &[u8; 12] = b"RFB 003.008\n";

/// Security type None (section 7.2.1).
const SECURITY_NONE: u8 = 1;
/// Security type VNC authentication (section 7.2.2).
const SECURITY_VNC_AUTH: u8 = 2;

impl Version {
    /// Parses a ProtocolVersion. Versions above 3.8, real or not (Apple's 3.889, RealVNC's 4.1 and
    /// 5.0), count as 3.8.
    fn parse(line: &[u8; 12]) -> Result<Self, ErrorKind> {
        let bad = ErrorKind::BadValue("version line");
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
            (Some(3), Some(3..=6)) => Ok(Self::V3_3),
            (Some(3), Some(7)) => Ok(Self::V3_7),
            (Some(3), Some(8..)) | (Some(4..), Some(_)) => Ok(Self::V3_8),
            _ => Err(bad),
        }
    }

    fn line(self) -> &'static [u8; 12] {
        match self {
            Self::V3_3 => b"RFB 003.003\n",
            Self::V3_7 => b"RFB 003.007\n",
            Self::V3_8 => VERSION_3_8,
        }
    }
}

/// Makes a peer's text fit for display.
fn sanitize(text: &[u8]) -> String {
    plain_text(&String::from_utf8_lossy(text))
}
