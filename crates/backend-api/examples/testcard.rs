//! A whole plugin in Rust: it paints a test card with a square, which moves at a key press and goes
//! to a pressed pointer. Copy it; your picture and input go into `paint` and `move_square`.
//!
//! The SDK has the threads and the states. The plugin has [`Testcard`], which the SDK calls, and
//! [`Stream`], which speaks RFB 3.8 (RFC 6143) as the server on one socket, with plain blocking
//! calls.
#![forbid(unsafe_code)]

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};

use etatuki_backend_api::{
    Backend, Capabilities, CodeForm, Descriptor, Failure, Host, LogLevel, Permissions, Probe,
    Unusable,
};

struct Testcard {
    host: Host,
    /// Whether the customer allows input.
    control: AtomicBool,
}

impl Backend for Testcard {
    const DESCRIPTOR: Descriptor = Descriptor {
        id: "testcard",
        name: "Test card",
        vendor: "Example Ltd",
        version: "1.0.0",
        code_form: CodeForm::SingleCode,
        capabilities: Capabilities::INPUT,
    };

    fn new(host: Host) -> Self {
        let control = AtomicBool::new(false);
        Self { host, control }
    }

    /// Look for your tool here. This plugin drives none, so it is always usable.
    fn probe(&self) -> Result<Probe, Unusable> {
        Ok(Probe::default())
    }

    /// Start your tool here. This plugin has none to wait for.
    fn open(&self, code: &str) -> Result<(), Failure> {
        self.host.waiting(code);
        Ok(())
    }

    /// Resets the permission, which is for one session.
    fn close(&self) {
        self.control.store(false, Ordering::Relaxed);
    }

    /// Serves a stream. Another one may follow, however it ends; only a client's error is logged.
    fn attach(&self, stream: UnixStream) -> Result<(), Failure> {
        match Stream::serve(stream, &self.control) {
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                self.host.log(LogLevel::Warn, &error.to_string());
            }
            _ => {}
        }
        Ok(())
    }

    fn permissions(&self, permissions: Permissions) {
        self.control.store(permissions.control, Ordering::Relaxed);
    }
}

etatuki_backend_api::export_backend!(Testcard);

const WIDTH: usize = 320;
const HEIGHT: usize = 200;
/// Width and height of the square.
const SQUARE_SIZE: usize = 20;
const COLOURS: [[u8; 3]; 8] = [
    [255, 255, 255],
    [255, 255, 0],
    [0, 255, 255],
    [0, 255, 0],
    [255, 0, 255],
    [255, 0, 0],
    [0, 0, 255],
    [0, 0, 0],
];
/// Index of black, the last colour; the others are the stripes'.
const BLACK: usize = COLOURS.len() - 1;
/// Pixel format of ServerInit: 32 bits, depth 24, little-endian, true colour; red, green and blue
/// up to 255 at bits 16, 8 and 0.
const INITIAL_FORMAT: [u8; 16] = [32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0];

/// An area: columns and rows from the first to the second, which is excluded.
#[derive(Clone, Copy)]
struct Area {
    x: (usize, usize),
    y: (usize, usize),
}

impl Area {
    fn pixels(self) -> impl Iterator<Item = (usize, usize)> {
        (self.y.0..self.y.1).flat_map(move |y| (self.x.0..self.x.1).map(move |x| (x, y)))
    }

    /// Returns the bounding box of both.
    fn union(self, other: Self) -> Self {
        let both = |a: (usize, usize), b: (usize, usize)| (a.0.min(b.0), a.1.max(b.1));
        Self {
            x: both(self.x, other.x),
            y: both(self.y, other.y),
        }
    }
}

/// One client on one socket.
struct Stream<'a> {
    socket: UnixStream,
    control: &'a AtomicBool,
    /// The square's left top corner.
    square: (usize, usize),
    /// Each colour as a pixel in the client's format.
    pixels: Vec<Vec<u8>>,
    /// Incremental requests without an update yet.
    requested: Option<Area>,
    /// The colours on the client's screen, row by row.
    sent: Vec<Option<usize>>,
}

impl<'a> Stream<'a> {
    /// Serves the client until it leaves or breaks the protocol, or the SDK shuts the socket down.
    fn serve(socket: UnixStream, control: &'a AtomicBool) -> io::Result<()> {
        let mut stream = Self {
            socket,
            control,
            square: (0, 0),
            pixels: colours_in(&INITIAL_FORMAT)?,
            requested: None,
            sent: vec![None; WIDTH * HEIGHT],
        };
        stream.handshake()?;
        loop {
            stream.handle_message()?;
        }
    }

    fn handshake(&mut self) -> io::Result<()> {
        let version = b"RFB 003.008\n";
        self.socket.write_all(version)?;
        ensure(self.read()? == *version, "the client doesn't speak RFB 3.8")?;
        self.socket.write_all(&[1, 1])?; // one security type: None
        ensure(
            self.read()? == [1],
            "the client wants another security type",
        )?;
        self.socket.write_all(&[0; 4])?; // SecurityResult: OK
        let [_shared] = self.read()?;
        let size = [WIDTH as u16, HEIGHT as u16].map(u16::to_be_bytes);
        self.socket.write_all(size.as_flattened())?;
        self.socket.write_all(&INITIAL_FORMAT)?;
        self.socket.write_all(b"\0\0\0\x08testcard")
    }

    /// Reads and handles one message.
    fn handle_message(&mut self) -> io::Result<()> {
        match self.read()? {
            [0] => {
                let [_, _, _, format @ ..]: [u8; 19] = self.read()?;
                self.pixels = colours_in(&format)?;
            }
            // SetEncodings: every client accepts Raw.
            [2] => {
                let [_, count @ ..]: [u8; 3] = self.read()?;
                self.skip(4 * u64::from(u16::from_be_bytes(count)))?;
            }
            [3] => {
                let [incremental, area @ ..]: [u8; 9] = self.read()?;
                self.on_request(incremental != 0, area)?;
            }
            [4] => {
                let [down, ..]: [u8; 7] = self.read()?;
                if down != 0 {
                    self.move_square(self.next_position())?;
                }
            }
            [5] => {
                let [buttons, position @ ..]: [u8; 5] = self.read()?;
                // The other bits are the wheel.
                if buttons & 7 != 0 {
                    let [x, y] = numbers(position);
                    let middle = SQUARE_SIZE / 2;
                    self.move_square((x.saturating_sub(middle), y.saturating_sub(middle)))?;
                }
            }
            [6] => {
                let [_, _, _, length @ ..]: [u8; 7] = self.read()?;
                self.skip(u32::from_be_bytes(length).into())?;
            }
            _ => ensure(false, "the client sent a message of an unknown type")?,
        }
        Ok(())
    }

    /// Clips a request to the screen, and ignores one wholly outside.
    fn on_request(&mut self, incremental: bool, area: [u8; 8]) -> io::Result<()> {
        let [x, y, w, h] = numbers(area);
        let area = Area {
            x: (x, (x + w).min(WIDTH)),
            y: (y, (y + h).min(HEIGHT)),
        };
        if area.pixels().next().is_none() {
            return Ok(());
        }
        if !incremental {
            return self.send_update(area);
        }
        self.requested = Some(
            self.requested
                .map_or(area, |requested| requested.union(area)),
        );
        self.send_changes()
    }

    /// Answers the incremental requests if anything has changed; else they stay open.
    fn send_changes(&mut self) -> io::Result<()> {
        let requested = self.requested.into_iter().flat_map(Area::pixels);
        let changed =
            requested.filter(|&(x, y)| self.sent[y * WIDTH + x] != Some(self.paint(x, y)));
        let pixels = changed.map(|(x, y)| Area {
            x: (x, x + 1),
            y: (y, y + 1),
        });
        let Some(area) = pixels.reduce(Area::union) else {
            return Ok(());
        };
        self.requested = None;
        self.send_update(area)
    }

    /// Sends one update with one Raw rectangle.
    fn send_update(&mut self, area: Area) -> io::Result<()> {
        let Area { x, y } = area;
        let rect = [x.0, y.0, x.1 - x.0, y.1 - y.0].map(|number| (number as u16).to_be_bytes());
        let mut update = [&[0, 0, 0, 1], rect.as_flattened(), &[0; 4]].concat();
        for (x, y) in area.pixels() {
            let colour = self.paint(x, y);
            self.sent[y * WIDTH + x] = Some(colour);
            update.extend(&self.pixels[colour]);
        }
        self.socket.write_all(&update)
    }

    /// Returns the colour of the picture at this position.
    fn paint(&self, x: usize, y: usize) -> usize {
        let inside =
            |position: usize, start: usize| (start..start + SQUARE_SIZE).contains(&position);
        if inside(x, self.square.0) && inside(y, self.square.1) {
            BLACK
        } else {
            x * BLACK / WIDTH
        }
    }

    /// Returns the next position of the square, in reading order.
    fn next_position(&self) -> (usize, usize) {
        let columns = WIDTH / SQUARE_SIZE;
        let next = self.square.1 / SQUARE_SIZE * columns + self.square.0 / SQUARE_SIZE + 1;
        (
            next % columns * SQUARE_SIZE,
            next / columns % (HEIGHT / SQUARE_SIZE) * SQUARE_SIZE,
        )
    }

    /// Moves the square. The launcher passes on only input that the customer allows; this check is
    /// a second lock.
    fn move_square(&mut self, (x, y): (usize, usize)) -> io::Result<()> {
        if self.control.load(Ordering::Relaxed) {
            self.square = (x.min(WIDTH - SQUARE_SIZE), y.min(HEIGHT - SQUARE_SIZE));
        }
        self.send_changes()
    }

    fn read<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.socket.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn skip(&mut self, count: u64) -> io::Result<()> {
        io::copy(&mut (&self.socket).take(count), &mut io::sink())?;
        Ok(())
    }
}

/// Reads RFB's two-byte numbers, which are big-endian.
fn numbers<const N: usize, const BYTES: usize>(bytes: [u8; BYTES]) -> [usize; N] {
    let (pairs, _) = bytes.as_chunks();
    std::array::from_fn(|index| u16::from_be_bytes(pairs[index]).into())
}

/// Returns each colour as a pixel in the client's format.
fn colours_in(format: &[u8; 16]) -> io::Result<Vec<Vec<u8>>> {
    let [bits, _depth, big_endian, true_colour, rest @ ..] = *format;
    let [maxima @ .., _, _, _, _, _, _]: [u8; 12] = rest;
    let [red, green, blue]: [usize; 3] = numbers(maxima);
    let parts = [(red, rest[6]), (green, rest[7]), (blue, rest[8])];
    let fits = |(max, shift): (usize, u8)| shift < bits && (max as u64) << shift >> bits == 0;
    let possible = true_colour != 0 && matches!(bits, 8 | 16 | 32) && parts.into_iter().all(fits);
    ensure(possible, "the client wants an impossible pixel format")?;
    let size = usize::from(bits) / 8;
    let pixel = |colour: &[u8; 3]| {
        let parts = colour.iter().zip(parts);
        let value = parts.fold(0, |sum, (&channel, (max, shift))| {
            let scaled = (usize::from(channel) * max + 127) / 255;
            sum | (scaled as u64) << shift
        }) as u32;
        match big_endian {
            0 => value.to_le_bytes()[..size].to_vec(),
            _ => value.to_be_bytes()[4 - size..].to_vec(),
        }
    };
    Ok(COLOURS.iter().map(pixel).collect())
}

/// Ends the stream with this error unless the condition holds. The error must not contain the
/// client's bytes: they may be a password.
fn ensure(condition: bool, error: &str) -> io::Result<()> {
    if condition {
        return Ok(());
    }
    Err(io::Error::new(ErrorKind::InvalidData, error))
}
