//! Looks for the tool: the profile's paths, then PATH, then its version by running it.

use std::io::Read;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use etatuki_backend_api::Unusable;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use semver::Version;

use crate::profile::{self, Profile};

/// How long a tool may take to print its version.
const VERSION_LIMIT: Duration = Duration::from_millis(1500);
/// How much of what it prints is looked at, in bytes.
const VERSION_OUTPUT: usize = 16 * 1024;

/// A tool that is here and that the profile knows how to drive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Absolute path of the executable.
    pub path: PathBuf,
    /// What it says its version is; `None` where the profile doesn't ask.
    pub version: Option<Version>,
}

/// Finds the first executable of the profile whose version fits. `tool-missing` when there is none at all,
/// `tool-too-old` when only unfitting versions were found, `tool-failed` when one would not tell its version.
pub fn find(profile: &Profile) -> Result<Found, Unusable> {
    let mut why = Unusable {
        name: "tool-missing",
        text: format!("{} was not found in {}", profile.tool, places(profile)),
    };
    for path in candidates(profile) {
        let Some(asked) = &profile.version else {
            return Ok(Found {
                path,
                version: None,
            });
        };
        match version_of(&path, asked) {
            Some(version) if asked.wanted.matches(&version) => {
                let version = Some(version);
                return Ok(Found { path, version });
            }
            Some(version) => {
                why = Unusable {
                    name: "tool-too-old",
                    text: format!(
                        "{} {version} is installed, {} is needed",
                        profile.tool, asked.wanted
                    ),
                };
            }
            None if why.name == "tool-missing" => {
                why = Unusable {
                    name: "tool-failed",
                    text: format!("{} did not tell its version", path.display()),
                };
            }
            None => {}
        }
    }
    Err(why)
}

/// Where it was looked for, in words.
fn places(profile: &Profile) -> String {
    let paths = profile.paths.iter().map(|path| path.display().to_string());
    let places: Vec<_> = paths.chain(["the folders of PATH".to_owned()]).collect();
    places.join(", ")
}

fn candidates(profile: &Profile) -> impl Iterator<Item = PathBuf> {
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<_> = std::env::split_paths(&on_path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(&profile.tool))
        .filter(|path| only_root_writes(path))
        .collect();
    profile
        .paths
        .clone()
        .into_iter()
        .chain(on_path)
        .filter(|path| is_executable(path))
}

/// Whether nobody but root can change this file, or put another in its place. The registry vouches for its own paths;
/// for what lies on somebody's PATH nobody does, and it will see the whole screen.
fn only_root_writes(path: &Path) -> bool {
    const GROUP_OR_OTHERS: u32 = 0o022;
    let only_root = |path: &Path| {
        let metadata = path.metadata();
        metadata.is_ok_and(|found| found.uid() == 0 && found.mode() & GROUP_OR_OTHERS == 0)
    };
    let real = path.canonicalize();
    real.is_ok_and(|real| real.ancestors().all(only_root))
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// Runs the tool for its version, bounded in time and output.
fn version_of(path: &Path, asked: &profile::Version) -> Option<Version> {
    let (mut output, writer) = std::io::pipe().ok()?;
    let mut child = Command::new(path)
        .args(&asked.args)
        .stdin(Stdio::null())
        .stdout(writer.try_clone().ok()?)
        .stderr(writer)
        .spawn()
        .ok()?;
    let text = read_bounded(&mut output);
    // It has said all we listen to: a tool that goes on is not waited for.
    let _ = child.kill();
    let _ = child.wait();
    match &asked.pattern {
        None => version_in(&text),
        Some(pattern) => text
            .lines()
            .find_map(|line| pattern.find(line).and_then(version_in)),
    }
}

/// Reads until a version is there, the end, the size limit or the time limit.
fn read_bounded(output: &mut std::io::PipeReader) -> String {
    let end = std::time::Instant::now() + VERSION_LIMIT;
    let mut bytes = Vec::new();
    while bytes.len() < VERSION_OUTPUT {
        let left = end.saturating_duration_since(std::time::Instant::now());
        let Ok(left) = Timespec::try_from(left) else {
            break;
        };
        let mut ready = [PollFd::new(output, PollFlags::IN)];
        if !matches!(poll(&mut ready, Some(&left)), Ok(1..)) {
            break;
        }
        let mut chunk = [0; 4096];
        match output.read(&mut chunk) {
            Ok(n @ 1..) => bytes.extend_from_slice(&chunk[..n]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The first thing in a text that looks like a version: two to four numbers with dots (`0.9.16`, `1.6`, `1.4.3.6`).
fn version_in(text: &str) -> Option<Version> {
    text.split(|c: char| !c.is_ascii_digit() && c != '.')
        .find_map(|word| {
            let numbers: Vec<u64> = word
                .split('.')
                .map(str::parse)
                .collect::<Result<_, _>>()
                .ok()?;
            match numbers[..] {
                [major, minor] => Some(Version::new(major, minor, 0)),
                [major, minor, patch] | [major, minor, patch, _] => {
                    Some(Version::new(major, minor, patch))
                }
                _ => None,
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::Pattern;
    use serde_json::json;

    fn check(text: &str, expected: Option<(u64, u64, u64)>) {
        assert_eq!(
            version_in(text),
            expected.map(|(a, b, c)| Version::new(a, b, c)),
            "{text}"
        );
    }

    #[test]
    fn versions_as_tools_print_them() {
        check("x11vnc: 0.9.16 lastmod: 2019-01-05", Some((0, 9, 16)));
        check("UltraVNC Server 1.4.3.6\n", Some((1, 4, 3)));
        check("tool 2008 v1.6", Some((1, 6, 0)));
        check("no version here 12.", None);
        check("99999999999999999999999.1", None);
    }

    /// A profile whose only candidate is the shell, which runs `script` when it is asked for its version. No test
    /// writes an executable: while another thread starts a process, such a file can be busy (ETXTBSY).
    fn shell(script: &str) -> Profile {
        Profile::rfb(&json!({
            "tool": "no-such-tool-on-path",
            "paths": ["/bin/sh"],
            "version": ">=0.9.13",
            "version_args": ["-c", script],
            "start": [],
        }))
        .unwrap()
    }

    fn check_tool(script: &str, expected: &str) {
        let found = find(&shell(script)).map_or_else(
            |why| why.name.to_owned(),
            |found| found.version.unwrap().to_string(),
        );
        assert_eq!(found, expected, "{script}");
    }

    #[test]
    fn what_is_found_is_run_and_judged() {
        check_tool("echo tool 0.9.16", "0.9.16");
        check_tool("echo tool 0.9.16 >&2", "0.9.16");
        check_tool("echo tool 0.9.9", "tool-too-old");
        check_tool("true", "tool-failed");
        check_tool("yes", "tool-failed");
        check_tool("exec sleep 1000", "tool-failed");
    }

    #[test]
    fn a_pattern_says_where_the_version_stands() {
        let mut profile = shell("echo built with 3.4.5; echo tool v0.9.16");
        profile.version.as_mut().unwrap().pattern = Some(Pattern::new("tool v(.*)").unwrap());
        let version = find(&profile).unwrap().version.unwrap();
        assert_eq!(version, Version::new(0, 9, 16));
    }

    #[test]
    fn a_tool_whose_version_doesnt_matter_isnt_run() {
        let mut profile = shell("exec sleep 1000");
        profile.version = None;
        assert_eq!(find(&profile).unwrap().version, None);
    }

    #[test]
    fn a_tool_on_path_is_roots() {
        assert!(only_root_writes(Path::new("/bin/sh")));
        assert!(!only_root_writes(Path::new("/tmp")));
        assert!(!only_root_writes(Path::new("/nonexistent/tool")));
    }

    #[test]
    fn a_missing_tool_is_missing() {
        let mut profile = shell("true");
        profile.paths = vec!["/nonexistent/tool".into()];
        assert_eq!(find(&profile).unwrap_err().name, "tool-missing");
    }
}
