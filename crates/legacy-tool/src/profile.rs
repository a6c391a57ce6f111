//! The tool profile: `[backend.options]` in `backends.toml` describes an installed tool. So another
//! executable is a change in the registry, not in code. `docs/tools.md` describes every key.

use std::collections::BTreeMap;
use std::path::PathBuf;

use semver::VersionReq;
use serde::Deserialize;
use serde_json::Value;

use crate::pattern::Pattern;

/// The rules by which a tool is found, started, supervised and stopped.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// The file name that is searched on PATH; messages to people use it too.
    pub tool: String,
    /// Absolute paths that are searched first, in this order.
    pub paths: Vec<PathBuf>,
    /// The check of its version; `None` accepts any.
    pub version: Option<VersionCheck>,
    /// The tool's arguments, with placeholders.
    pub start: Vec<String>,
    /// Arguments of a second call that ends the running tool; empty where the tool has none.
    pub stop: Vec<String>,
    /// The display to share; `None` for the process's own.
    pub display: Option<String>,
    /// Stable names of failures, with the pattern of output lines that report them.
    pub failures: Vec<(&'static str, Pattern)>,
    /// Whoever gives the agent's keys and pointer to the display.
    pub input: InputPath,
    /// The tool's way to share the screen.
    pub kind: ToolKind,
}

/// The path of the agent's keys and pointer to the display.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InputPath {
    /// The tool gets them, as RFB messages, and gives them in its own way.
    #[default]
    Tool,
    /// The plugin gives them to the display itself, as the built-in backend does. The tool shows
    /// the picture only.
    Plugin,
}

/// The check of a tool's version.
#[derive(Debug, Clone, PartialEq)]
pub struct VersionCheck {
    /// The versions that the profile knows how to drive.
    pub accepted: VersionReq,
    /// Arguments with which the tool prints its version and ends.
    pub args: Vec<String>,
    /// The pattern of the version in the output; `None` for the first version-like text.
    pub pattern: Option<Pattern>,
}

/// A tool's way to share the screen.
#[derive(Debug, Clone, PartialEq)]
pub enum ToolKind {
    /// Serves RFB to the launcher.
    Rfb(RfbTransport),
    /// Brings its own transport to the agent.
    External(Box<ExternalTool>),
}

/// The connection on which a tool serves RFB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RfbTransport {
    /// A socket as its stdin and stdout.
    Stdio,
    /// A socket as its stdin and stdout, with TLS inside. Key and certificate are in the file
    /// `{pem}`.
    StdioTls,
    /// A 'reverse connection': it connects to the port `{port}` of this machine.
    #[serde(rename = "dials-in")]
    ReverseConnection,
}

/// A tool with its own transport: the source of its code, and the patterns of its output.
#[derive(Debug, Clone, PartialEq)]
pub struct ExternalTool {
    /// The source of the code that is shown to the customer.
    pub code: CodeSource,
    /// The line that reports that the tool can be reached; `None` when it can from its start on.
    pub ready: Option<Pattern>,
    /// The line that reports that an agent has connected.
    pub connected: Option<Pattern>,
    /// The line that reports that the agent has left.
    pub disconnected: Option<Pattern>,
}

/// The source of the code of a tool with its own transport.
#[derive(Debug, Clone, PartialEq)]
pub enum CodeSource {
    /// A line of its output.
    Output(Pattern),
    /// A line of a file that it writes into `{folder}`, a folder of the session's own.
    File(String, Pattern),
    /// Made by the launcher, and handed to the tool in this environment variable.
    Launcher(String),
    /// Only the tool's own window shows it.
    Window,
}

/// A fault in the options of a backend in the registry.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// An unknown key, a missing one, or a value of the wrong type.
    #[error("{0}")]
    Options(#[from] serde_json::Error),
    /// A relative path: it would depend on the folder in which the launcher was started.
    #[error("backend.options.paths: '{0}' is not an absolute path")]
    RelativePath(PathBuf),
    /// A tool name that is empty or a path.
    #[error("backend.options.tool: '{0}' must be a plain file name; paths belong in 'paths'")]
    NotAFileName(String),
    /// A placeholder that this key doesn't have.
    #[error("backend.options.{key}: there is no placeholder '{{{word}}}' here; there are {known}")]
    UnknownPlaceholder {
        /// `start` or `stop`.
        key: &'static str,
        /// The word in the braces.
        word: String,
        /// The placeholders that this key has.
        known: String,
    },
    /// A failure that the customer's texts have no sentence for.
    #[error("backend.options.failures: '{name}' is none of {known}", known = KNOWN_FAILURES.join(", "))]
    UnknownFailure {
        /// The name.
        name: String,
    },
    /// A key that this kind of tool doesn't have or lacks, or that has a wrong value; and the
    /// reason.
    #[error("backend.options.{0}: {1}")]
    KeyNotAllowed(&'static str, &'static str),
    /// A name that no environment variable may have here.
    #[error("backend.options.code.env: '{0}' is no name of a variable; write it in capitals")]
    InvalidVariable(String),
}

/// The failures that a tool's output may report.
const KNOWN_FAILURES: [&str; 5] = [
    "display-missing",
    "display-unsupported",
    "display-lost",
    "tool-failed",
    "tool-died",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    tool: String,
    #[serde(default)]
    paths: Vec<PathBuf>,
    version: Option<VersionReq>,
    version_args: Option<Vec<String>>,
    version_pattern: Option<Pattern>,
    start: Vec<String>,
    #[serde(default)]
    stop: Vec<String>,
    display: Option<String>,
    #[serde(default)]
    failures: BTreeMap<String, Pattern>,
    serves: Option<RfbTransport>,
    input: Option<InputPath>,
    code: Option<CodeOptions>,
    ready: Option<Pattern>,
    connected: Option<Pattern>,
    #[serde(rename = "left")]
    disconnected: Option<Pattern>,
}

#[derive(Deserialize)]
#[serde(tag = "from", rename_all = "kebab-case", deny_unknown_fields)]
enum CodeOptions {
    Output { pattern: Pattern },
    File { file: String, pattern: Pattern },
    Launcher { env: String },
    Window {},
}

impl Profile {
    /// Reads the profile of a tool that serves RFB.
    ///
    /// # Errors
    /// [`ProfileError`], which names the key.
    pub fn rfb(options: &Value) -> Result<Self, ProfileError> {
        let options = Options::deserialize(options)?;
        let external_only = "only a tool with its own transport has it (the plugin `own-tool`)";
        let misplaced = [
            ("code", options.code.is_some()),
            ("ready", options.ready.is_some()),
            ("connected", options.connected.is_some()),
            ("left", options.disconnected.is_some()),
        ];
        if let Some((key, _)) = misplaced.into_iter().find(|(_, there)| *there) {
            return Err(ProfileError::KeyNotAllowed(key, external_only));
        }
        let kind = ToolKind::Rfb(options.serves.unwrap_or(RfbTransport::Stdio));
        options.profile(kind)
    }

    /// Reads the profile of a tool with its own transport.
    ///
    /// # Errors
    /// [`ProfileError`], which names the key.
    pub fn external(options: &Value) -> Result<Self, ProfileError> {
        let mut options = Options::deserialize(options)?;
        let rfb_only = "only a tool that serves RFB has it (the plugin `tool`)";
        let misplaced = [
            ("serves", options.serves.is_some()),
            ("input", options.input.is_some()),
        ];
        if let Some((key, _)) = misplaced.into_iter().find(|(_, there)| *there) {
            return Err(ProfileError::KeyNotAllowed(key, rfb_only));
        }
        let Some(code) = options.code.take() else {
            return Err(ProfileError::KeyNotAllowed(
                "code",
                "it is missing: where is the tool's code?",
            ));
        };
        let kind = ToolKind::External(Box::new(ExternalTool {
            code: code.into_source()?,
            ready: options.ready.take(),
            connected: options.connected.take(),
            disconnected: options.disconnected.take(),
        }));
        options.profile(kind)
    }

    /// Returns the display's name: the profile's, else the process's own.
    pub fn display(&self) -> Option<String> {
        self.display
            .clone()
            .or_else(|| std::env::var("DISPLAY").ok())
            .filter(|name| !name.is_empty())
    }

    /// Returns the failure that a line of the tool's output reports.
    pub fn failure_in(&self, line: &str) -> Option<&'static str> {
        let reported = self
            .failures
            .iter()
            .find(|(_, pattern)| pattern.is_match(line));
        reported.map(|(name, _)| *name)
    }
}

impl Options {
    fn profile(self, kind: ToolKind) -> Result<Profile, ProfileError> {
        if let Some(path) = self.paths.iter().find(|path| !path.is_absolute()) {
            return Err(ProfileError::RelativePath(path.clone()));
        }
        if self.tool.is_empty() || self.tool.contains('/') {
            return Err(ProfileError::NotAFileName(self.tool));
        }
        let known = kind.placeholders();
        check_placeholders("start", &self.start, known)?;
        check_placeholders("stop", &self.stop, &["display"])?;
        let failures = self.failures.into_iter().map(|(name, pattern)| {
            let known = KNOWN_FAILURES.into_iter().find(|known| *known == name);
            let known = known.ok_or(ProfileError::UnknownFailure { name })?;
            Ok((known, pattern))
        });
        let failures = failures.collect::<Result<_, ProfileError>>()?;
        let version = self.version.map(|accepted| VersionCheck {
            accepted,
            args: self
                .version_args
                .unwrap_or_else(|| vec!["--version".to_owned()]),
            pattern: self.version_pattern,
        });
        Ok(Profile {
            tool: self.tool,
            paths: self.paths,
            version,
            start: self.start,
            stop: self.stop,
            display: self.display,
            failures,
            input: self.input.unwrap_or_default(),
            kind,
        })
    }
}

impl ToolKind {
    /// Returns the placeholders that `start` has.
    fn placeholders(&self) -> &'static [&'static str] {
        match self {
            ToolKind::Rfb(RfbTransport::Stdio) => &["display"],
            ToolKind::Rfb(RfbTransport::StdioTls) => &["display", "pem"],
            ToolKind::Rfb(RfbTransport::ReverseConnection) => &["display", "port"],
            ToolKind::External(_) => &["display", "folder"],
        }
    }
}

impl CodeOptions {
    fn into_source(self) -> Result<CodeSource, ProfileError> {
        Ok(match self {
            CodeOptions::Output { pattern } => CodeSource::Output(pattern),
            CodeOptions::File { file, pattern } => {
                if !file.starts_with("{folder}/") {
                    let why = "it must begin with {folder}/, the only place where a tool can write";
                    return Err(ProfileError::KeyNotAllowed("code.file", why));
                }
                CodeSource::File(file, pattern)
            }
            CodeOptions::Launcher { env } => {
                let is_allowed =
                    |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
                let is_reserved = env.starts_with("LD_") || env == "PATH";
                if env.is_empty() || !env.bytes().all(is_allowed) || is_reserved {
                    return Err(ProfileError::InvalidVariable(env));
                }
                CodeSource::Launcher(env)
            }
            CodeOptions::Window {} => CodeSource::Window,
        })
    }
}

/// Checks that every `{word}` in the arguments is known: a misspelt one would reach the tool
/// literally.
fn check_placeholders(
    key: &'static str,
    args: &[String],
    known: &[&str],
) -> Result<(), ProfileError> {
    let unknown = args
        .iter()
        .find_map(|arg| placeholders_in(arg).find(|word| !known.contains(word)));
    match unknown {
        None => Ok(()),
        Some(word) => Err(ProfileError::UnknownPlaceholder {
            key,
            word: word.to_owned(),
            known: known
                .iter()
                .map(|word| format!("{{{word}}}"))
                .collect::<Vec<_>>()
                .join(" and "),
        }),
    }
}

/// Returns the words in braces. Only lower-case letters count: tools have braces of their own.
fn placeholders_in(arg: &str) -> impl Iterator<Item = &str> {
    let inner = arg
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}'));
    inner
        .map(|(word, _)| word)
        .filter(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase()))
}

/// Returns the arguments with their placeholders replaced by values.
pub(crate) fn fill_placeholders(args: &[String], values: &[(&str, &str)]) -> Vec<String> {
    let fill = |arg: &String| {
        values.iter().fold(arg.clone(), |arg, (word, value)| {
            arg.replace(&format!("{{{word}}}"), value)
        })
    };
    args.iter().map(fill).collect()
}

#[cfg(test)]
mod tests;
