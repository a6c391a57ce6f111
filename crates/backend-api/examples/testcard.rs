//! A whole plugin in Rust: it paints a test card with a square on it, which moves when a key is
//! pressed and goes where the pointer is pressed. Copy it; your picture and input go into `paint`
//! and `move_square`.
//!
//! The SDK has the threads and the states. What is left is [`Testcard`], which the SDK calls, and
//! [`Stream`], which speaks RFB 3.8 (RFC 6143) as the server on one socket, with plain blocking
//! calls.
#![forbid(unsafe_code)]

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};

use etatuki_backend_api::{
    Backend, Capabilities, CodeForm, Descriptor, Failure, Host, Level, Permissions, Probe, Unusable,
};

struct Testcard {
    host: Host,
    /// Whether the customer allows keys and the pointer.
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

    /// Look for your tool here. This plugin drives none, so it can be used everywhere.
    fn probe(&self) -> Result<Probe, Unusable> {
        Ok(Probe::default())
    }

    /// Start your tool here. There is none to wait for.
    fn open(&self, code: &str) -> Result<(), Failure> {
        self.host.waiting(code);
        Ok(())
    }

    /// What is allowed is allowed for one session.
    fn close(&self) {
        self.control.store(false, Ordering::Relaxed);
    }

    /// However a stream ends, another one may come. Only why the client is at fault is worth a
    /// line.
    fn attach(&self, stream: UnixStream) -> Result<(), Failure> {
        match Stream::serve(stream, &self.control) {
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                self.host.log(Level::Warn, &error.to_string());
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
/// Of the square.
const SIDE: usize = 20;
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
/// The last of the colours; the others are the stripes'.
const BLACK: usize = COLOURS.len() - 1;
/// As RFB has it: 32 bits, depth 24, little-endian, true colour; the three go up to 255, at bits
/// 16, 8 and 0.
const FIRST_FORMAT: [u8; 16] = [32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0];

/// Columns and rows from the first to the second, which isn't in it.
#[derive(Clone, Copy)]
struct Area {
    x: (usize, usize),
    y: (usize, usize),
}

impl Area {
    fn pixels(self) -> impl Iterator<Item = (usize, usize)> {
        (self.y.0..self.y.1).flat_map(move |y| (self.x.0..self.x.1).map(move |x| (x, y)))
    }

    /// The smallest area that holds both.
    fn with(self, other: Self) -> Self {
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
    /// Each colour as the client wants it.
    pixels: Vec<Vec<u8>>,
    /// What was asked for incrementally and isn't answered yet.
    wanted: Option<Area>,
    /// The colours that the client has on its screen, row by row.
    sent: Vec<Option<usize>>,
}

impl<'a> Stream<'a> {
    /// Serves the client until it leaves or breaks the protocol, or the SDK shuts the socket down.
    fn serve(socket: UnixStream, control: &'a AtomicBool) -> io::Result<()> {
        let mut stream = Self {
            socket,
            control,
            square: (0, 0),
            pixels: colours_in(&FIRST_FORMAT)?,
            wanted: None,
            sent: vec![None; WIDTH * HEIGHT],
        };
        stream.shake_hands()?;
        loop {
            stream.obey()?;
        }
    }

    fn shake_hands(&mut self) -> io::Result<()> {
        let version = b"RFB 003.008\n";
        self.socket.write_all(version)?;
        ensure(self.read()? == *version, "the client doesn't speak RFB 3.8")?;
        self.socket.write_all(&[1, 1])?; // one security type: None
        ensure(
            self.read()? == [1],
            "the client wants another security type",
        )?;
        self.socket.write_all(&[0; 4])?; // it is in
        let [_shared] = self.read()?;
        let size = [WIDTH as u16, HEIGHT as u16].map(u16::to_be_bytes);
        self.socket.write_all(size.as_flattened())?;
        self.socket.write_all(&FIRST_FORMAT)?;
        self.socket.write_all(b"\0\0\0\x08testcard")
    }

    /// Reads one message, and does what it says.
    fn obey(&mut self) -> io::Result<()> {
        match self.read()? {
            [0] => {
                let [_, _, _, format @ ..]: [u8; 19] = self.read()?;
                self.pixels = colours_in(&format)?;
            }
            // Encodings: everybody must take Raw.
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
                    self.move_square(self.next_place())?;
                }
            }
            [5] => {
                let [buttons, place @ ..]: [u8; 5] = self.read()?;
                // The other bits are the wheel.
                if buttons & 7 != 0 {
                    let [x, y] = numbers(place);
                    let middle = SIDE / 2;
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

    /// Of a request that reaches beyond the screen what lies on it is answered, and of one wholly
    /// outside nothing.
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
            return self.send(area);
        }
        self.wanted = Some(self.wanted.map_or(area, |wanted| wanted.with(area)));
        self.answer()
    }

    /// Answers the incremental requests, if anything has changed; otherwise they go on waiting.
    fn answer(&mut self) -> io::Result<()> {
        let wanted = self.wanted.into_iter().flat_map(Area::pixels);
        let changed = wanted.filter(|&(x, y)| self.sent[y * WIDTH + x] != Some(self.paint(x, y)));
        let pixels = changed.map(|(x, y)| Area {
            x: (x, x + 1),
            y: (y, y + 1),
        });
        let Some(area) = pixels.reduce(Area::with) else {
            return Ok(());
        };
        self.wanted = None;
        self.send(area)
    }

    /// One update of one Raw rectangle.
    fn send(&mut self, area: Area) -> io::Result<()> {
        let Area { x, y } = area;
        let place = [x.0, y.0, x.1 - x.0, y.1 - y.0].map(|number| (number as u16).to_be_bytes());
        let mut update = [&[0, 0, 0, 1], place.as_flattened(), &[0; 4]].concat();
        for (x, y) in area.pixels() {
            let colour = self.paint(x, y);
            self.sent[y * WIDTH + x] = Some(colour);
            update.extend(&self.pixels[colour]);
        }
        self.socket.write_all(&update)
    }

    /// The picture: which colour it has here.
    fn paint(&self, x: usize, y: usize) -> usize {
        let inside = |at: usize, from: usize| (from..from + SIDE).contains(&at);
        if inside(x, self.square.0) && inside(y, self.square.1) {
            BLACK
        } else {
            x * BLACK / WIDTH
        }
    }

    /// As one reads.
    fn next_place(&self) -> (usize, usize) {
        let columns = WIDTH / SIDE;
        let next = self.square.1 / SIDE * columns + self.square.0 / SIDE + 1;
        (
            next % columns * SIDE,
            next / columns % (HEIGHT / SIDE) * SIDE,
        )
    }

    /// The launcher lets only input through that the customer allows. This is the second lock.
    fn move_square(&mut self, (x, y): (usize, usize)) -> io::Result<()> {
        if self.control.load(Ordering::Relaxed) {
            self.square = (x.min(WIDTH - SIDE), y.min(HEIGHT - SIDE));
        }
        self.answer()
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

/// RFB's numbers of two bytes are big-endian.
fn numbers<const N: usize, const BYTES: usize>(bytes: [u8; BYTES]) -> [usize; N] {
    let (pairs, _) = bytes.as_chunks();
    std::array::from_fn(|at| u16::from_be_bytes(pairs[at]).into())
}

/// Each colour as a pixel in the client's format.
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
        let number = parts.fold(0, |sum, (&value, (max, shift))| {
            let scaled = (usize::from(value) * max + 127) / 255;
            sum | (scaled as u64) << shift
        }) as u32;
        match big_endian {
            0 => number.to_le_bytes()[..size].to_vec(),
            _ => number.to_be_bytes()[4 - size..].to_vec(),
        }
    };
    Ok(COLOURS.iter().map(pixel).collect())
}

/// Ends the stream unless it holds. Never say what the client sent: it may be a password.
fn ensure(holds: bool, what_is_wrong: &str) -> io::Result<()> {
    if holds {
        return Ok(());
    }
    Err(io::Error::new(ErrorKind::InvalidData, what_is_wrong))
}
