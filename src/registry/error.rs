//! The errors of a registry's content, with line, key and remedy: for the integrator who wrote it.

use etatuki_trust::MAX_VENDOR_KEYS;

/// The reason why a registry can't be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}, line {line}, {}: {problem}; {}", describe_key(key), problem.remedy(key))]
pub struct RegistryError {
    /// The file's name, as the parser got it.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The key with its tables, `backend.plugin`; empty if no key is to blame.
    pub key: String,
    /// The problem.
    pub problem: Problem,
}

/// A problem in a registry.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The text isn't TOML, or has wrong keys or types; the message is the parser's.
    #[error("{0}")]
    Toml(String),
    /// The file is longer than any registry.
    #[error("the file is larger than 256 KiB")]
    TooLarge,
    /// No entry is enabled.
    #[error("there is no [[backend]] that is enabled")]
    NoBackends,
    /// There are more entries than a customer could choose from.
    #[error("there are more than 32 backends")]
    TooManyBackends,
    /// There is no vendor key, so no agent could ever be let in.
    #[error("there is no vendor key, so that no support person could be recognised")]
    NoVendorKey,
    /// There are more vendor keys than lists of revoked cards are fetched for.
    #[error("there are more than {MAX_VENDOR_KEYS} vendor keys")]
    TooManyVendorKeys,
    /// A text for the customer is empty.
    #[error("the text is empty")]
    Empty,
    /// A text for the customer is too long for the windows.
    #[error("the text is longer than 80 characters")]
    TooLong,
    /// A text for the customer has a character that can't be shown.
    #[error("the text has a control character in it")]
    ControlCharacter,
    /// An id couldn't be typed on a command line.
    #[error("this can't be an id")]
    BadId,
    /// Two entries have one id.
    #[error("the id `{id}` is used already in line {first_line}")]
    DuplicateId {
        /// The id.
        id: String,
        /// The line of its first use.
        first_line: usize,
    },
    /// The plugin isn't a file name.
    #[error("this isn't the name of a file in the plugin folder")]
    PluginName,
    /// The hash isn't 64 hexadecimal digits.
    #[error("this isn't a SHA-256")]
    BadHash,
    /// The signing key isn't a minisign public key.
    #[error("this isn't a minisign public key")]
    BadSigningKey,
    /// The URL isn't a service's.
    #[error("this isn't the address of a service")]
    BadUrl,
    /// The URL is plain HTTP to another machine.
    #[error("plain http is for this machine alone")]
    PlainHttp,
}

impl RegistryError {
    /// Returns the error for a problem at the byte `offset` of `text`.
    pub(super) fn at(file: &str, text: &str, offset: usize, problem: Problem) -> Self {
        let line = line_of(text, offset);
        let key = match problem {
            Problem::TooLarge | Problem::NoBackends => String::new(),
            _ => key_at(text, line),
        };
        Self {
            file: file.to_owned(),
            line,
            key,
            problem,
        }
    }
}

impl Problem {
    fn remedy(&self, key: &str) -> &'static str {
        match self {
            Problem::Toml(message) if message.starts_with("unknown field") => {
                "remove the key or correct its name"
            }
            Problem::Toml(message) if message.starts_with("missing field") => "add the key",
            Problem::Toml(_) => remedy_of_key(key),
            Problem::TooLarge => "a registry has a few kilobytes: is this the right file?",
            Problem::NoBackends => "add one table per entry, as docs/registry.md shows",
            Problem::TooManyBackends => "remove some",
            Problem::NoVendorKey => "add the public key that `etatuki-vendor key new` printed",
            Problem::TooManyVendorKeys => "leave out those that no card in use has",
            Problem::Empty => "write what the customer is to read",
            Problem::TooLong => "shorten it",
            Problem::ControlCharacter => "write it on one line, without escapes",
            Problem::BadId => "use 1 to 40 of a-z, 0-9 and -, beginning with a letter or digit",
            Problem::DuplicateId { .. } => "give every backend an id of its own",
            Problem::PluginName => "write the file name alone, such as \"libetatuki_ecom.so\"",
            Problem::BadHash => "write the 64 hexadecimal digits that `sha256sum` prints",
            Problem::BadSigningKey => "write the second line of the signer's minisign.pub",
            Problem::BadUrl => "write https://host or https://host:port and nothing after it",
            Problem::PlainHttp => "write https://",
        }
    }
}

fn remedy_of_key(key: &str) -> &'static str {
    match key.rsplit('.').next().unwrap_or_default() {
        "version" | "for_app" => "write a semver requirement such as \">=1.2, <2\"",
        "keys" => "copy the whole public key that `etatuki-vendor key new` printed",
        "stale_revocations" => "write \"refuse\" or \"warn\", or leave the key out",
        "connect" => "write \"at-once\" or \"on-click\", or leave the key out",
        "form" => "write \"ecom\", \"remoteus\" or \"own\"",
        "language" => "write \"fi\", \"sv\" or \"en\", or leave the key out",
        "order" => "write a whole number",
        _ => "correct this line (docs/registry.md describes every key)",
    }
}

fn describe_key(key: &str) -> String {
    if key.is_empty() {
        "the whole file".into()
    } else {
        format!("key `{key}`")
    }
}

/// Returns the line of a byte, counted from 1.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    let end = offset.min(text.len());
    text.as_bytes()[..end]
        .iter()
        .filter(|byte| **byte == b'\n')
        .count()
        + 1
}

/// Returns the key of a line with the table above it, or the table alone if the line has no key. It
/// reads the text as a person would, because it must also work where the TOML is broken.
fn key_at(text: &str, line: usize) -> String {
    let lines: Vec<&str> = text.lines().take(line).map(str::trim).collect();
    let table = lines
        .iter()
        .rev()
        .find_map(|line| table_of(line))
        .unwrap_or_default();
    let is_rest_of_value = |line: &&str| line.starts_with(['"', '\'', ']', '}']);
    let head = lines
        .iter()
        .rev()
        .find(|line| !is_rest_of_value(line))
        .copied()
        .unwrap_or_default();
    let key = match head.split_once('=') {
        Some((key, _)) if !head.starts_with(['[', '#']) => key.trim(),
        _ => "",
    };
    match (table.is_empty(), key.is_empty()) {
        (true, _) => key.to_owned(),
        (false, true) => table.to_owned(),
        (false, false) => format!("{table}.{key}"),
    }
}

fn table_of(line: &str) -> Option<&str> {
    let name = line.strip_prefix('[')?.trim_start_matches('[');
    name.split(']').next().map(str::trim)
}
