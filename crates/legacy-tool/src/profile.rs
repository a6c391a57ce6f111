//! The tool profile: all that is known of an installed tool, as `[backend.options]` in `backends.toml` says it. So
//! another executable is a change in the registry, not in code. `docs/tools.md` describes every key.

use std::collections::BTreeMap;
use std::path::PathBuf;

use semver::VersionReq;
use serde::Deserialize;
use serde_json::Value;

use crate::pattern::Pattern;

/// How a tool is found, started, watched and stopped.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// The name under which it is looked for on PATH, and by which it is named to people.
    pub tool: String,
    /// Absolute paths that are looked at first, in this order.
    pub paths: Vec<PathBuf>,
    /// How its version is asked for, and which will do; `None` takes any.
    pub version: Option<Version>,
    /// Its arguments, with placeholders.
    pub start: Vec<String>,
    /// Arguments with which it is called once more to end what runs; empty where there are none.
    pub stop: Vec<String>,
    /// The display to share; `None` means that of the process.
    pub display: Option<String>,
    /// What lines of its output tell of a failure, by the failure's stable name.
    pub failures: Vec<(&'static str, Pattern)>,
    /// What it does once it runs.
    pub kind: Kind,
}

/// The versions that a profile knows how to drive.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    /// Those.
    pub wanted: VersionReq,
    /// Arguments with which the tool prints its version and ends.
    pub args: Vec<String>,
    /// Where in its output the version stands; without it, the first thing that looks like one.
    pub pattern: Option<Pattern>,
}

/// What a tool does.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Serves RFB to the launcher.
    Rfb(Carrier),
    /// Brings its own transport.
    Own(Box<Own>),
}

/// How RFB comes from a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Carrier {
    /// On the socket that is its stdin and stdout.
    Stdio,
    /// The same, inside TLS with the key and certificate at `{pem}`.
    StdioTls,
    /// It connects to the port `{port}` of this machine ('reverse connection').
    DialsIn,
}

/// A tool with its own transport: where its code is, and what its output tells.
#[derive(Debug, Clone, PartialEq)]
pub struct Own {
    /// Where the code comes from.
    pub code: Code,
    /// The line that says that it can be reached; without it, it can from its start on.
    pub ready: Option<Pattern>,
    /// The line that says that somebody has connected.
    pub connected: Option<Pattern>,
    /// The line that says that he left.
    pub left: Option<Pattern>,
}

/// Where the code of a tool with its own transport comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Code {
    /// A line of its output.
    Output(Pattern),
    /// A line of a file that it writes; `{folder}` is one of its own for the session.
    File(String, Pattern),
    /// Made by the launcher, and handed to the tool in this environment variable.
    Launcher(String),
    /// The tool's own window shows it, and nobody else can read it.
    Window,
}

/// What is wrong with the options of a backend in the registry.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// A key that no profile has, one that is missing, or a value of the wrong kind.
    #[error("{0}")]
    Options(#[from] serde_json::Error),
    /// A path that would depend on the folder in which the launcher was started.
    #[error("backend.options.paths: '{0}' is not an absolute path")]
    RelativePath(PathBuf),
    /// A name that is a path.
    #[error("backend.options.tool: '{0}' must be a plain file name; paths belong in 'paths'")]
    NotAName(String),
    /// A placeholder that means nothing here.
    #[error("backend.options.{key}: there is no placeholder '{{{word}}}' here; there are {known}")]
    Placeholder {
        /// `start` or `stop`.
        key: &'static str,
        /// What stands in the braces.
        word: String,
        /// Those that there are.
        known: String,
    },
    /// A failure that customers have no sentence for.
    #[error("backend.options.failures: '{name}' is none of {known}", known = FAILURES.join(", "))]
    NoSuchFailure {
        /// The name.
        name: String,
    },
    /// A key that belongs to the other kind of tool.
    #[error("backend.options.{0}: {1}")]
    Misplaced(&'static str, &'static str),
    /// Not the name of an environment variable.
    #[error("backend.options.code.env: '{0}' is no name of a variable; write it in capitals")]
    NotAVariable(String),
}

/// The failures that a tool's output may tell of.
const FAILURES: [&str; 5] = [
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
    serves: Option<Carrier>,
    code: Option<RawCode>,
    ready: Option<Pattern>,
    connected: Option<Pattern>,
    left: Option<Pattern>,
}

#[derive(Deserialize)]
#[serde(tag = "from", rename_all = "kebab-case", deny_unknown_fields)]
enum RawCode {
    Output { pattern: Pattern },
    File { file: String, pattern: Pattern },
    Launcher { env: String },
    Window {},
}

impl Profile {
    /// Reads the profile of a tool that serves RFB.
    ///
    /// # Errors
    /// What is wrong, with its key.
    pub fn rfb(options: &Value) -> Result<Self, ProfileError> {
        let options = Options::deserialize(options)?;
        let of_own = "only a tool with its own transport has it (the plugin `own-tool`)";
        let misplaced = [
            ("code", options.code.is_some()),
            ("ready", options.ready.is_some()),
            ("connected", options.connected.is_some()),
            ("left", options.left.is_some()),
        ];
        if let Some((key, _)) = misplaced.into_iter().find(|(_, there)| *there) {
            return Err(ProfileError::Misplaced(key, of_own));
        }
        let kind = Kind::Rfb(options.serves.unwrap_or(Carrier::Stdio));
        options.profile(kind)
    }

    /// Reads the profile of a tool with its own transport.
    ///
    /// # Errors
    /// What is wrong, with its key.
    pub fn own(options: &Value) -> Result<Self, ProfileError> {
        let mut options = Options::deserialize(options)?;
        if options.serves.is_some() {
            let of_rfb = "only a tool that serves RFB has it (the plugin `tool`)";
            return Err(ProfileError::Misplaced("serves", of_rfb));
        }
        let Some(code) = options.code.take() else {
            return Err(ProfileError::Misplaced(
                "code",
                "it is missing: where is the tool's code?",
            ));
        };
        let kind = Kind::Own(Box::new(Own {
            code: code.checked()?,
            ready: options.ready.take(),
            connected: options.connected.take(),
            left: options.left.take(),
        }));
        options.profile(kind)
    }

    /// The display's name: the profile's, else the process's own.
    pub fn display(&self) -> Option<String> {
        self.display
            .clone()
            .or_else(|| std::env::var("DISPLAY").ok())
            .filter(|name| !name.is_empty())
    }

    /// The failure that a line of the tool's output tells of.
    pub fn failure_in(&self, line: &str) -> Option<&'static str> {
        let told = self
            .failures
            .iter()
            .find(|(_, pattern)| pattern.is_in(line));
        told.map(|(name, _)| *name)
    }
}

impl Options {
    fn profile(self, kind: Kind) -> Result<Profile, ProfileError> {
        if let Some(path) = self.paths.iter().find(|path| !path.is_absolute()) {
            return Err(ProfileError::RelativePath(path.clone()));
        }
        if self.tool.is_empty() || self.tool.contains('/') {
            return Err(ProfileError::NotAName(self.tool));
        }
        let known = kind.placeholders();
        check_placeholders("start", &self.start, known)?;
        check_placeholders("stop", &self.stop, &["display"])?;
        let failures = self.failures.into_iter().map(|(name, pattern)| {
            let known = FAILURES.into_iter().find(|known| *known == name);
            let known = known.ok_or(ProfileError::NoSuchFailure { name })?;
            Ok((known, pattern))
        });
        let failures = failures.collect::<Result<_, ProfileError>>()?;
        let version = self.version.map(|wanted| Version {
            wanted,
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
            kind,
        })
    }
}

impl Kind {
    /// What may stand in braces in `start`.
    fn placeholders(&self) -> &'static [&'static str] {
        match self {
            Kind::Rfb(Carrier::Stdio) => &["display"],
            Kind::Rfb(Carrier::StdioTls) => &["display", "pem"],
            Kind::Rfb(Carrier::DialsIn) => &["display", "port"],
            Kind::Own(_) => &["display", "folder"],
        }
    }
}

impl RawCode {
    fn checked(self) -> Result<Code, ProfileError> {
        Ok(match self {
            RawCode::Output { pattern } => Code::Output(pattern),
            RawCode::File { file, pattern } => {
                if !file.starts_with("{folder}/") {
                    let why = "it must begin with {folder}/, the only place where a tool can write";
                    return Err(ProfileError::Misplaced("code.file", why));
                }
                Code::File(file, pattern)
            }
            RawCode::Launcher { env } => {
                let fits =
                    |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
                let loader = env.starts_with("LD_") || env == "PATH";
                if env.is_empty() || !env.bytes().all(fits) || loader {
                    return Err(ProfileError::NotAVariable(env));
                }
                Code::Launcher(env)
            }
            RawCode::Window {} => Code::Window,
        })
    }
}

/// Every `{word}` in the arguments must mean something: a misspelt one would reach the tool as it stands.
fn check_placeholders(
    key: &'static str,
    args: &[String],
    known: &[&str],
) -> Result<(), ProfileError> {
    let unknown = args
        .iter()
        .find_map(|arg| words(arg).find(|word| !known.contains(word)));
    match unknown {
        None => Ok(()),
        Some(word) => Err(ProfileError::Placeholder {
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

/// What stands in braces, where it is one word of letters: tools have braces of their own.
fn words(arg: &str) -> impl Iterator<Item = &str> {
    let inner = arg
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}'));
    inner
        .map(|(word, _)| word)
        .filter(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase()))
}

/// Arguments with the placeholders filled in.
pub(crate) fn filled(args: &[String], values: &[(&str, &str)]) -> Vec<String> {
    let fill = |arg: &String| {
        values.iter().fold(arg.clone(), |arg, (word, value)| {
            arg.replace(&format!("{{{word}}}"), value)
        })
    };
    args.iter().map(fill).collect()
}

#[cfg(test)]
mod tests;
