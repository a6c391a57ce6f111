//! What reads what foreign code says, for the fuzz targets.

use std::ffi::c_char;

use etatuki_backend_api::raw;

use crate::child::describe;
use crate::error::FailureReport;
use crate::lines::{MAX_LOG, Messages, Printed};
use crate::wire::{FromChild, MAX_LINE, Request};

/// Lines in both directions, however they are cut; and text that is printed.
pub fn lines(pieces: &[&[u8]]) {
    let mut messages = Messages::default();
    let mut printed = Printed::default();
    let logged = |line: String| assert!(line.chars().count() <= MAX_LOG && !line.is_empty());
    for piece in pieces {
        printed.push(piece, logged);
        messages.push(piece);
        while let Ok(Some(line)) = messages.next() {
            assert!(line.len() < MAX_LINE && !line.contains(&b'\n'));
            if let Ok(FromChild::Changed {
                failure: Some(failure),
                ..
            }) = serde_json::from_slice(&line)
            {
                assert!(!FailureReport::from(failure).to_string().is_empty());
            }
            let _ = serde_json::from_slice::<Request>(&line);
        }
    }
    printed.flush(logged);
}

/// A descriptor with these texts.
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
