//! The tool profile: which executable, which versions, how it is started.
//!
//! The plugin carries a default; `[backend.options]` in `backends.toml` replaces any field of it, so another
//! executable is a change in the registry, not in code.

use std::path::PathBuf;

use semver::VersionReq;
use serde::Deserialize;
use serde_json::Value;

/// How a tool is found, asked for its version, and started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The name under which it is looked for on PATH, and by which it is named to people.
    pub tool: String,
    /// Absolute paths that are looked at first, in this order.
    pub paths: Vec<PathBuf>,
    /// Versions that this profile knows how to drive.
    pub version: VersionReq,
    /// Arguments with which the tool prints its version and ends.
    pub version_args: Vec<String>,
    /// Arguments that start it as an RFB server on the socket which is its stdin and stdout. `{display}` stands for
    /// the display's name, `{pem}` for the path of the session's key and certificate.
    pub start: Vec<String>,
    /// The display to share; None means that of the process.
    pub display: Option<String>,
}

/// What is wrong with the options of a backend in the registry.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// A key that no profile has, or a value of the wrong kind.
    #[error("{0}")]
    Options(#[from] serde_json::Error),
    /// A path that would depend on the folder in which the launcher was started.
    #[error("backend.options.paths: '{0}' is not an absolute path")]
    RelativePath(PathBuf),
    /// A name that is a path.
    #[error("backend.options.tool: '{0}' must be a plain file name; paths belong in 'paths'")]
    NotAName(String),
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Options {
    tool: Option<String>,
    paths: Option<Vec<PathBuf>>,
    version: Option<VersionReq>,
    version_args: Option<Vec<String>>,
    start: Option<Vec<String>>,
    display: Option<String>,
}

impl Profile {
    /// x11vnc, the tool of those years on Linux: on its stdio, with no port, no configuration file, no clipboard of
    /// its own and no extensions beyond plain RFB.
    pub fn x11vnc() -> Self {
        let start = "-inetd -display {display} -norc -nopw -once -repeat -rfbport 0 -rfbportv6 -1 -nosel -noultraext \
                     -noncache -wait 2 -defer 1 -wait_ui 1 -nowait_bog -sb 0 -o /dev/stderr";
        Self {
            tool: "x11vnc".to_owned(),
            paths: vec!["/usr/bin/x11vnc".into(), "/usr/local/bin/x11vnc".into()],
            version: VersionReq::parse(">=0.9.13").expect("a valid requirement"),
            version_args: vec!["-version".to_owned()],
            start: start.split_whitespace().map(str::to_owned).collect(),
            display: None,
        }
    }

    /// The same as TLS server, with the key and certificate at `{pem}`.
    pub fn x11vnc_tls() -> Self {
        let mut profile = Self::x11vnc();
        profile
            .start
            .extend(["-ssl".to_owned(), "{pem}".to_owned()]);
        profile
    }

    /// This profile with what the registry's options say otherwise. `null` and `{}` change nothing.
    pub fn with_options(mut self, options: &Value) -> Result<Self, ProfileError> {
        let options: Options = match options {
            Value::Null => Options::default(),
            other => Options::deserialize(other)?,
        };
        replace(&mut self.tool, options.tool);
        replace(&mut self.paths, options.paths);
        replace(&mut self.version, options.version);
        replace(&mut self.version_args, options.version_args);
        replace(&mut self.start, options.start);
        self.display = options.display.or(self.display);
        self.check()
    }

    fn check(self) -> Result<Self, ProfileError> {
        if let Some(path) = self.paths.iter().find(|path| !path.is_absolute()) {
            return Err(ProfileError::RelativePath(path.clone()));
        }
        if self.tool.is_empty() || self.tool.contains('/') {
            return Err(ProfileError::NotAName(self.tool));
        }
        Ok(self)
    }

    /// The display's name: the profile's, else the process's own.
    pub fn display(&self) -> Option<String> {
        self.display
            .clone()
            .or_else(|| std::env::var("DISPLAY").ok())
            .filter(|name| !name.is_empty())
    }

    /// The arguments of [`Profile::start`] with the placeholders filled in.
    pub fn start_args(&self, display: &str, pem: &str) -> Vec<String> {
        self.start
            .iter()
            .map(|arg| arg.replace("{display}", display).replace("{pem}", pem))
            .collect()
    }
}

fn replace<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(options: Value, error: &str) {
        assert_eq!(
            Profile::x11vnc_tls()
                .with_options(&options)
                .unwrap_err()
                .to_string(),
            error
        );
    }

    #[test]
    fn options_replace_what_they_name() {
        let profile = Profile::x11vnc_tls()
            .with_options(&json!({"tool": "other", "version": "^2", "display": ":7"}))
            .unwrap();
        assert_eq!(
            (profile.tool.as_str(), profile.version.to_string().as_str()),
            ("other", "^2")
        );
        assert_eq!(profile.start, Profile::x11vnc_tls().start);
        let args = profile.start_args(&profile.display().unwrap(), "/x");
        assert_eq!(
            (&args[2], &args[args.len() - 1]),
            (&":7".to_owned(), &"/x".to_owned())
        );
        assert_eq!(
            Profile::x11vnc_tls().with_options(&Value::Null).unwrap(),
            Profile::x11vnc_tls()
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        check(
            json!({"paths": ["bin/x"]}),
            "backend.options.paths: 'bin/x' is not an absolute path",
        );
        check(
            json!({"tool": "a/b"}),
            "backend.options.tool: 'a/b' must be a plain file name; paths belong in 'paths'",
        );
        assert!(
            Profile::x11vnc_tls()
                .with_options(&json!({"toolz": 1}))
                .unwrap_err()
                .to_string()
                .contains("toolz")
        );
        assert!(
            Profile::x11vnc_tls()
                .with_options(&json!({"version": "new"}))
                .is_err()
        );
    }
}
