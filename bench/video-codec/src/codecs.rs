//! Two codecs: JPEG as it is sent and read today, and H.264.

use std::error::Error;

use etatuki_picture::JpegEncoder;
use etatuki_rfb::Rect;
use openh264::OpenH264API;
use openh264::decoder::{Decoder, DecoderConfig, Flush};
use openh264::encoder::{
    BitRate, Complexity, Encoder, EncoderConfig, FrameRate, QpRange, RateControlMode, UsageType,
};
use openh264::formats::{BgraSliceU8, YUVBuffer, YUVSource};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};

/// Rows of one JPEG in an update.
const JPEG_ROWS: usize = 64;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A codec and its quality.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Setting {
    /// 4:2:0 with this quality.
    Jpeg(u8),
    /// One quantiser for every block of every frame.
    H264(Usage, u8),
}

/// The kind of picture that the encoder is configured for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Usage {
    Camera,
    Screen,
}

/// The bytes of one frame, and how they come and go.
pub(crate) trait Codec {
    /// Encodes a frame in BGRX. Returns its bytes.
    fn encode(&mut self, frame: &[u8]) -> Result<usize>;
    /// Decodes the last frame. Returns whether blue comes first.
    fn decode(&mut self, frame: &mut [u8]) -> Result<BlueFirst>;
    /// Decodes the last frame with a decoder in Rust, if there is another one, into planes of its
    /// own.
    fn decode_in_rust(&mut self) -> Result<()>;
}

pub(crate) type BlueFirst = bool;

impl Setting {
    pub(crate) fn codec(self, width: usize, height: usize) -> Result<Box<dyn Codec>> {
        Ok(match self {
            Self::Jpeg(quality) => Box::new(Jpeg {
                encoder: JpegEncoder::default(),
                size: (width, height),
                quality,
                files: Vec::new(),
            }),
            Self::H264(usage, quantiser) => Box::new(H264::new(usage, quantiser, width, height)?),
        })
    }
}

struct Jpeg {
    encoder: JpegEncoder,
    size: (usize, usize),
    quality: u8,
    files: Vec<(Rect, Vec<u8>)>,
}

impl Codec for Jpeg {
    fn encode(&mut self, frame: &[u8]) -> Result<usize> {
        let (width, height) = self.size;
        self.files.clear();
        for top in (0..height).step_by(JPEG_ROWS) {
            let rows = JPEG_ROWS.min(height - top);
            let rect = Rect::new(0, top as u16, width as u16, rows as u16);
            let file = self.encoder.encode(frame, width * 4, rect, self.quality)?;
            self.files.push((rect, file.to_vec()));
        }
        Ok(self.files.iter().map(|(_, file)| file.len()).sum())
    }

    fn decode(&mut self, frame: &mut [u8]) -> Result<BlueFirst> {
        let row = self.size.0 * 4;
        for (rect, file) in &self.files {
            let options = DecoderOptions::default()
                .set_strict_mode(true)
                .jpeg_set_out_colorspace(ColorSpace::BGRA);
            let rows = usize::from(rect.y) * row..rect.bottom() as usize * row;
            JpegDecoder::new_with_options(ZCursor::new(file), options)
                .decode_into(&mut frame[rows])?;
        }
        Ok(true)
    }

    fn decode_in_rust(&mut self) -> Result<()> {
        Ok(())
    }
}

struct H264 {
    encoder: Encoder,
    planes: YUVBuffer,
    size: (usize, usize),
    stream: Vec<u8>,
    decoder: Decoder,
    in_rust: rust_h264::decoder::Decoder,
}

impl H264 {
    fn new(usage: Usage, quantiser: u8, width: usize, height: usize) -> Result<Self> {
        let config = EncoderConfig::new()
            .usage_type(match usage {
                Usage::Camera => UsageType::CameraVideoRealTime,
                Usage::Screen => UsageType::ScreenContentRealTime,
            })
            .rate_control_mode(RateControlMode::Quality)
            .qp(QpRange::new(quantiser, quantiser))
            // Never reached: it is the quantiser that decides.
            .bitrate(BitRate::from_bps(20_000_000))
            .max_frame_rate(FrameRate::from_hz(30.0))
            .skip_frames(false)
            .complexity(Complexity::Low)
            .adaptive_quantization(false)
            .background_detection(false)
            .num_threads(1);
        let api = OpenH264API::from_source();
        let decoding = DecoderConfig::new().flush_after_decode(Flush::NoFlush);
        Ok(Self {
            encoder: Encoder::with_api_config(api, config)?,
            planes: YUVBuffer::new(width, height),
            size: (width, height),
            stream: Vec::new(),
            decoder: Decoder::with_api_config(OpenH264API::from_source(), decoding)?,
            in_rust: rust_h264::decoder::Decoder::new(),
        })
    }
}

impl Codec for H264 {
    fn encode(&mut self, frame: &[u8]) -> Result<usize> {
        self.planes.read_bgra8(BgraSliceU8::new(frame, self.size));
        self.stream.clear();
        self.encoder
            .encode(&self.planes)?
            .write_vec(&mut self.stream);
        Ok(self.stream.len())
    }

    fn decode(&mut self, frame: &mut [u8]) -> Result<BlueFirst> {
        let decoded = self.decoder.decode(&self.stream)?;
        decoded
            .filter(|decoded| decoded.dimensions() == self.size)
            .ok_or("no frame, or one of another size")?
            .write_rgba8(frame);
        Ok(false)
    }

    fn decode_in_rust(&mut self) -> Result<()> {
        for unit in &rust_h264::nal::parse_annex_b(&self.stream) {
            self.in_rust.decode_nal(unit)?;
        }
        // Else it would wait for the next frame to be sure that this one is whole.
        let frame = self
            .in_rust
            .flush()
            .ok_or("no frame from the one in Rust")?;
        if (frame.width as usize, frame.height as usize) != self.size {
            return Err("a frame of another size from the one in Rust".into());
        }
        Ok(())
    }
}
