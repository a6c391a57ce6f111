//! Entry points of the fuzz targets: parsers of what foreign code sends.

use std::ffi::c_char;

use etatuki_backend_api::raw;

use crate::child::describe;
use crate::error::FailureReport;
use crate::line_decoder::LineDecoder;
use crate::log_lines::{LogLines, MAX_UNREDACTED_LINE};
use crate::wire::{ChildMessage, MAX_LINE_BYTES, Request};

/// Parses lines of both directions, split anywhere, and printed text.
pub fn lines(pieces: &[&[u8]]) {
    let mut decoder = LineDecoder::default();
    let mut log_lines = LogLines::default();
    let check =
        |line: String| assert!(line.chars().count() <= MAX_UNREDACTED_LINE && !line.is_empty());
    for piece in pieces {
        log_lines.push(piece, check);
        decoder.push(piece);
        while let Ok(Some(line)) = decoder.next() {
            assert!(line.len() < MAX_LINE_BYTES && !line.contains(&b'\n'));
            if let Ok(ChildMessage::Changed {
                failure: Some(failure),
                ..
            }) = serde_json::from_slice(&line)
            {
                assert!(!FailureReport::from(failure).to_string().is_empty());
            }
            let _ = serde_json::from_slice::<Request>(&line);
        }
    }
    log_lines.flush(check);
}

/// Reads a descriptor with these texts.
pub fn descriptor(texts: [&[u8]; 5], capabilities: u64) {
    let texts = texts.map(|text| [text, &[0]].concat());
    let [id, name, vendor, version, code_form] =
        texts.each_ref().map(|text| text.as_ptr().cast::<c_char>());
    let descriptor = raw::Descriptor {
        struct_size: size_of::<raw::Descriptor>() as u32,
        reserved: 0,
        capabilities,
        id,
        name,
        vendor,
        version,
        code_form,
        create: None,
    };
    if let Ok(plugin) = describe(&descriptor) {
        for text in [&plugin.id, &plugin.name, &plugin.vendor, &plugin.code_form] {
            assert!((1..=127).contains(&text.len()) && !text.contains(char::is_control));
        }
    }
}
