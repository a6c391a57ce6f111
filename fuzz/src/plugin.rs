//! Foreign code's messages to the launcher: its lines, and its descriptor.

use etatuki_plugin_host::fuzzing;

use crate::pieces;

pub(crate) fn plugin_lines(input: &[u8]) {
    let (lengths, bytes) = input.split_at(input.len().min(4));
    let cut: Vec<_> = pieces(lengths, bytes).collect();
    fuzzing::lines(&cut);
}

pub(crate) fn plugin_descriptor(input: &[u8]) {
    let mut texts = input.splitn(5, |byte| *byte == b'|');
    let texts = std::array::from_fn(|_| texts.next().unwrap_or_default());
    fuzzing::descriptor(texts, 0);
}
