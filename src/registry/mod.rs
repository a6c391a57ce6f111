//! The registry `backends.toml`: the vendor, its service, and the entries. Parsing only, from text
//! to checked types; `docs/registry.md` describes every key.
//!
//! [`installed`] finds the file and decides whether it can be trusted; the plugin host decides
//! whether a plugin can be loaded.

use std::collections::HashMap;
use std::ops::Range;

use etatuki_trust::{CodeForm, MAX_VENDOR_KEYS, StaleRevocations, VendorPublicKey};
use semver::{Version, VersionReq};
use serde::Deserialize;
use toml::Spanned;

use crate::language::Language;

mod error;
pub mod installed;
mod load_error;
mod locate;
pub mod signature;
mod trust;
mod vendor_contact;

pub use error::{Problem, RegistryError};

/// Largest registry.
pub const MAX_BYTES: usize = 256 * 1024;
/// Largest number of entries.
pub const MAX_BACKENDS: usize = 32;
/// Longest name, label or phone number, in characters.
pub const MAX_TEXT: usize = 80;

/// A parsed and checked registry.
#[derive(Clone, Debug)]
pub struct Registry {
    /// The language of all windows, if the vendor fixes it.
    pub language: Option<Language>,
    /// The vendor, who gives the support.
    pub vendor: Vendor,
    /// The service's URL: `scheme://host[:port]`, no slash at the end.
    pub service: String,
    /// The enabled entries in their order on the screen; at least one.
    pub backends: Vec<Backend>,
}

/// The vendor, who gives the support.
#[derive(Clone, Debug)]
pub struct Vendor {
    /// The vendor's name, as the customer knows it.
    pub name: String,
    /// The phone number to call, as it is shown.
    pub phone: String,
    /// The keys that sign agents' cards; at least one.
    pub keys: Vec<VendorPublicKey>,
    /// The meaning of a revocation list that is missing or outdated, if the registry says it.
    pub stale_revocations: Option<StaleRevocations>,
}

/// An entry: one kind of support that the customer can open.
#[derive(Clone, Debug)]
pub struct Backend {
    /// The entry's id: `[a-z0-9-]`, unique.
    pub id: String,
    /// The id in the plugin's descriptor: the entry's, unless one library serves several entries.
    pub plugin_id: String,
    /// The entry's name.
    pub label: Label,
    /// The plugin's file name inside the plugin folder, without any folder.
    pub plugin: String,
    /// The lines of its keys in the registry, for errors found later.
    pub lines: PluginLines,
    /// The required plugin version.
    pub version: VersionReq,
    /// The plugin file's SHA-256, if the registry pins it.
    pub sha256: Option<[u8; 32]>,
    /// The minisign key that has signed the plugin file, if the registry names one.
    pub minisign: Option<String>,
    /// The form of this entry's code; `None` if its tool brings its own transport and its own code.
    pub form: Option<CodeForm>,
    /// The moment at which the entry's window opens the connection.
    pub connect: Connect,
    /// The versions of the accounting program for which this entry is the fitting one.
    pub for_app: Option<VersionReq>,
    /// Whether the plugin may use the network itself.
    pub network: bool,
    /// The plugin's options, handed to it unchanged.
    pub options: serde_json::Value,
}

/// The moment at which an entry's window opens the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Connect {
    /// As soon as the window is open.
    AtOnce,
    /// When the customer presses 'Open the connection'.
    #[default]
    OnClick,
}

/// The lines of an entry's plugin, its version, its options (or of the plugin, if it has none), and
/// its form; counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are the keys of their lines")]
pub struct PluginLines {
    pub plugin: usize,
    pub version: usize,
    pub options: usize,
    pub form: usize,
}

/// An entry's name in the three languages.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    fi: String,
    sv: String,
    en: String,
}

impl Label {
    /// Returns the name in `language`.
    pub fn in_language(&self, language: Language) -> &str {
        match language {
            Language::Fi => &self.fi,
            Language::Sv => &self.sv,
            Language::En => &self.en,
        }
    }
}

impl Backend {
    /// Returns whether this is the fitting entry for an accounting program of `version`.
    pub fn fits(&self, version: &Version) -> bool {
        self.for_app
            .as_ref()
            .is_some_and(|wanted| wanted.matches(version))
    }
}

impl Registry {
    /// Parses a registry. `file` is its name for errors.
    ///
    /// # Errors
    /// The first problem, with its line and key.
    pub fn parse(text: &str, file: &str) -> Result<Self, RegistryError> {
        let validator = Validator { file, text };
        if text.len() > MAX_BYTES {
            return Err(validator.error(0..0, Problem::TooLarge));
        }
        let raw: RawRegistry =
            toml::from_str(text).map_err(|error| validator.toml_error(&error))?;
        validator.registry(raw)
    }

    /// Returns the entry with that id.
    pub fn backend(&self, id: &str) -> Option<&Backend> {
        self.backends.iter().find(|backend| backend.id == id)
    }
}

/// Parses the accounting program's version, as `--app-version` gives it. Programs count in years,
/// in two numbers or in four: missing numbers are 0, and whatever follows the third is ignored.
/// `2008` is 2008.0.0, `4.13+git.7` is 4.13.0. `None` if the text doesn't begin with a number.
pub fn app_version(text: &str) -> Option<Version> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let mut numbers = text[..end].split('.').map(str::parse);
    let major = numbers.next()?.ok()?;
    let mut next = || numbers.next().and_then(Result::ok).unwrap_or(0);
    Some(Version::new(major, next(), next()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRegistry {
    language: Option<Language>,
    vendor: RawVendor,
    service: RawService,
    #[serde(default)]
    backend: Vec<RawBackend>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawVendor {
    name: Spanned<String>,
    phone: Spanned<String>,
    keys: Spanned<Vec<VendorPublicKey>>,
    stale_revocations: Option<StaleRevocations>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawService {
    url: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBackend {
    id: Spanned<String>,
    label: Spanned<Label>,
    plugin: Spanned<String>,
    version: Spanned<VersionReq>,
    sha256: Option<Spanned<String>>,
    minisign: Option<Spanned<String>>,
    plugin_id: Option<Spanned<String>>,
    form: Spanned<Form>,
    #[serde(default)]
    connect: Connect,
    #[serde(default = "default_enabled")]
    enabled: bool,
    for_app: Option<VersionReq>,
    #[serde(default)]
    order: i64,
    #[serde(default)]
    network: bool,
    options: Option<Spanned<serde_json::Map<String, serde_json::Value>>>,
}

#[derive(Clone, Copy, Deserialize)]
enum Form {
    #[serde(rename = "remoteus")]
    SingleCode,
    #[serde(rename = "ecom")]
    IdAndPassword,
    #[serde(rename = "own")]
    External,
}

impl Form {
    fn code_form(self) -> Option<CodeForm> {
        match self {
            Form::SingleCode => Some(CodeForm::SingleCode),
            Form::IdAndPassword => Some(CodeForm::IdAndPassword),
            Form::External => None,
        }
    }
}

fn default_enabled() -> bool {
    true
}

/// Turns the raw registry into checked types. It has the text, so that every error names its line.
struct Validator<'a> {
    file: &'a str,
    text: &'a str,
}

impl Validator<'_> {
    fn error(&self, span: Range<usize>, problem: Problem) -> RegistryError {
        RegistryError::at(self.file, self.text, span.start, problem)
    }

    fn toml_error(&self, error: &toml::de::Error) -> RegistryError {
        let offset = error.span().map_or(0, |span| span.start);
        RegistryError::at(
            self.file,
            self.text,
            offset,
            Problem::Toml(error.message().to_owned()),
        )
    }

    fn registry(&self, raw: RawRegistry) -> Result<Registry, RegistryError> {
        let vendor = self.vendor(raw.vendor)?;
        let service = self.service_url(&raw.service.url)?;
        if !raw.backend.iter().any(|backend| backend.enabled) {
            return Err(self.error(0..0, Problem::NoBackends));
        }
        if let Some(extra) = raw.backend.get(MAX_BACKENDS) {
            return Err(self.error(extra.id.span(), Problem::TooManyBackends));
        }
        self.check_ids(&raw.backend)?;
        let mut raw_backends = raw.backend;
        raw_backends.sort_by_key(|backend| backend.order);
        // Disabled entries are checked too: they must not be wrong on the day they are enabled.
        let backends = raw_backends
            .into_iter()
            .map(|raw| Ok((raw.enabled, self.backend(raw)?)))
            .collect::<Result<Vec<_>, RegistryError>>()?
            .into_iter()
            .filter_map(|(enabled, backend)| enabled.then_some(backend))
            .collect();
        Ok(Registry {
            language: raw.language,
            vendor,
            service,
            backends,
        })
    }

    fn vendor(&self, raw: RawVendor) -> Result<Vendor, RegistryError> {
        if raw.keys.get_ref().is_empty() {
            return Err(self.error(raw.keys.span(), Problem::NoVendorKey));
        }
        if raw.keys.get_ref().len() > MAX_VENDOR_KEYS {
            return Err(self.error(raw.keys.span(), Problem::TooManyVendorKeys));
        }
        Ok(Vendor {
            name: self.customer_text(raw.name)?,
            phone: self.customer_text(raw.phone)?,
            keys: raw.keys.into_inner(),
            stale_revocations: raw.stale_revocations,
        })
    }

    /// Checks the service's URL. Plain `http` is for one's own machine: sessions are encrypted end
    /// to end, but owner tokens and nameplates are not.
    fn service_url(&self, url: &Spanned<String>) -> Result<String, RegistryError> {
        let refuse = |problem| Err(self.error(url.span(), problem));
        let Ok(parsed) = url::Url::parse(url.get_ref()) else {
            return refuse(Problem::BadUrl);
        };
        let loopback = match parsed.host() {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => return refuse(Problem::BadUrl),
        };
        match parsed.scheme() {
            "https" => {}
            "http" if loopback => {}
            "http" => return refuse(Problem::PlainHttp),
            _ => return refuse(Problem::BadUrl),
        }
        let bare = parsed.path() == "/" && parsed.query().is_none() && parsed.fragment().is_none();
        if !bare || !parsed.username().is_empty() || parsed.password().is_some() {
            return refuse(Problem::BadUrl);
        }
        Ok(parsed.origin().ascii_serialization())
    }

    fn check_ids(&self, backends: &[RawBackend]) -> Result<(), RegistryError> {
        let mut first = HashMap::new();
        for backend in backends {
            let id = backend.id.get_ref();
            if !is_id(id) {
                return Err(self.error(backend.id.span(), Problem::BadId));
            }
            if let Some(earlier) = first.insert(id, backend.id.span().start) {
                let first_line = error::line_of(self.text, earlier);
                let problem = Problem::DuplicateId {
                    id: id.clone(),
                    first_line,
                };
                return Err(self.error(backend.id.span(), problem));
            }
        }
        Ok(())
    }

    fn backend(&self, raw: RawBackend) -> Result<Backend, RegistryError> {
        if !is_file_name(raw.plugin.get_ref()) {
            return Err(self.error(raw.plugin.span(), Problem::PluginName));
        }
        let line = |offset| error::line_of(self.text, offset);
        let options = raw.options.as_ref().map(Spanned::span);
        let options = options.unwrap_or_else(|| raw.plugin.span());
        let lines = PluginLines {
            plugin: line(raw.plugin.span().start),
            version: line(raw.version.span().start),
            options: line(options.start),
            form: line(raw.form.span().start),
        };
        let sha256 = raw.sha256.map(|hash| self.sha256(&hash)).transpose()?;
        let minisign = raw.minisign.map(|key| self.signing_key(key)).transpose()?;
        let id = raw.id.into_inner();
        let plugin_id = match raw.plugin_id {
            None => id.clone(),
            Some(id) if is_id(id.get_ref()) => id.into_inner(),
            Some(id) => return Err(self.error(id.span(), Problem::BadId)),
        };
        Ok(Backend {
            id,
            plugin_id,
            label: self.label(raw.label)?,
            plugin: raw.plugin.into_inner(),
            lines,
            version: raw.version.into_inner(),
            sha256,
            minisign,
            form: raw.form.into_inner().code_form(),
            connect: raw.connect,
            for_app: raw.for_app,
            network: raw.network,
            options: raw
                .options
                .map(Spanned::into_inner)
                .unwrap_or_default()
                .into(),
        })
    }

    fn label(&self, label: Spanned<Label>) -> Result<Label, RegistryError> {
        let span = label.span();
        let label = label.into_inner();
        for text in [&label.fi, &label.sv, &label.en] {
            check_customer_text(text).map_err(|problem| self.error(span.clone(), problem))?;
        }
        Ok(label)
    }

    fn customer_text(&self, text: Spanned<String>) -> Result<String, RegistryError> {
        check_customer_text(text.get_ref()).map_err(|problem| self.error(text.span(), problem))?;
        Ok(text.into_inner())
    }

    fn signing_key(&self, key: Spanned<String>) -> Result<String, RegistryError> {
        if signature::RegistryKey::parse(key.get_ref()).is_none() {
            return Err(self.error(key.span(), Problem::BadSigningKey));
        }
        Ok(key.into_inner())
    }

    fn sha256(&self, hash: &Spanned<String>) -> Result<[u8; 32], RegistryError> {
        parse_sha256(hash.get_ref()).ok_or_else(|| self.error(hash.span(), Problem::BadHash))
    }
}

/// Returns whether `id` may be a backend's id.
pub(crate) fn is_id(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=40).contains(&id.len()) && id.bytes().all(allowed) && !id.starts_with('-')
}

fn is_file_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=120).contains(&name.len()) && name.chars().all(allowed) && !name.starts_with('.')
}

fn check_customer_text(text: &str) -> Result<(), Problem> {
    if text.trim().is_empty() {
        return Err(Problem::Empty);
    }
    if text.chars().count() > MAX_TEXT {
        return Err(Problem::TooLong);
    }
    if text.chars().any(char::is_control) {
        return Err(Problem::ControlCharacter);
    }
    Ok(())
}

fn parse_sha256(hex: &str) -> Option<[u8; 32]> {
    let digits = hex.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests;
