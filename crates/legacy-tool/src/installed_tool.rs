//! Finds the installed tool: in the profile's paths, then on PATH. Its version is found by running
//! it.

use std::io::Read;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use etatuki_backend_api::Unusable;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use semver::Version;

use crate::profile::{Profile, VersionCheck};

/// Longest time for a tool to print its version.
const VERSION_TIMEOUT: Duration = Duration::from_millis(1500);
/// Bytes of a tool's output that are searched for its version.
const MAX_VERSION_OUTPUT: usize = 16 * 1024;

/// An installed tool that the profile knows how to drive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledTool {
    /// The executable's absolute path.
    pub path: PathBuf,
    /// The version that it prints; `None` where the profile doesn't check it.
    pub version: Option<Version>,
}

/// Finds the first executable of the profile whose version is accepted.
///
/// # Errors
/// `tool-missing` when there is no executable, `tool-too-old` when no version is accepted,
/// `tool-failed` when one doesn't print its version.
pub fn find_tool(profile: &Profile) -> Result<InstalledTool, Unusable> {
    let mut failure = Unusable {
        name: "tool-missing",
        text: format!(
            "{} was not found in {}",
            profile.tool,
            searched_places(profile)
        ),
    };
    for path in candidates(profile) {
        let Some(check) = &profile.version else {
            return Ok(InstalledTool {
                path,
                version: None,
            });
        };
        match version_of(&path, check) {
            Some(version) if check.accepted.matches(&version) => {
                let version = Some(version);
                return Ok(InstalledTool { path, version });
            }
            Some(version) => {
                failure = Unusable {
                    name: "tool-too-old",
                    text: format!(
                        "{} {version} is installed, {} is needed",
                        profile.tool, check.accepted
                    ),
                };
            }
            None if failure.name == "tool-missing" => {
                failure = Unusable {
                    name: "tool-failed",
                    text: format!("{} did not tell its version", path.display()),
                };
            }
            None => {}
        }
    }
    Err(failure)
}

/// Returns the searched places, for a message.
fn searched_places(profile: &Profile) -> String {
    let paths = profile.paths.iter().map(|path| path.display().to_string());
    let places: Vec<_> = paths.chain(["the folders of PATH".to_owned()]).collect();
    places.join(", ")
}

fn candidates(profile: &Profile) -> impl Iterator<Item = PathBuf> {
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<_> = std::env::split_paths(&on_path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(&profile.tool))
        .filter(|path| is_writable_by_root_only(path))
        .collect();
    profile
        .paths
        .clone()
        .into_iter()
        .chain(on_path)
        .filter(|path| is_executable(path))
}

/// Returns whether only root can change this file or replace it. The registry vouches for its own
/// paths. Nobody vouches for a file on somebody's PATH, and it will see the whole screen.
fn is_writable_by_root_only(path: &Path) -> bool {
    const GROUP_OR_OTHERS: u32 = 0o022;
    let only_root = |path: &Path| {
        let metadata = path.metadata();
        metadata.is_ok_and(|file| file.uid() == 0 && file.mode() & GROUP_OR_OTHERS == 0)
    };
    let real = path.canonicalize();
    real.is_ok_and(|real| real.ancestors().all(only_root))
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// Runs the tool and returns the version that it prints. Time and output are bounded.
fn version_of(path: &Path, check: &VersionCheck) -> Option<Version> {
    let (mut output, writer) = std::io::pipe().ok()?;
    let mut child = Command::new(path)
        .args(&check.args)
        .stdin(Stdio::null())
        .stdout(writer.try_clone().ok()?)
        .stderr(writer)
        .spawn()
        .ok()?;
    let text = read_bounded(&mut output);
    // The output is read: a tool that goes on isn't waited for.
    let _ = child.kill();
    let _ = child.wait();
    match &check.pattern {
        None => parse_version(&text),
        Some(pattern) => text
            .lines()
            .find_map(|line| pattern.capture(line).and_then(parse_version)),
    }
}

/// Reads until the end, the size limit or the time-out.
fn read_bounded(output: &mut std::io::PipeReader) -> String {
    let end = std::time::Instant::now() + VERSION_TIMEOUT;
    let mut bytes = Vec::new();
    while bytes.len() < MAX_VERSION_OUTPUT {
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

/// Returns the first version in a text: two to four numbers with dots (`0.9.16`, `1.6`, `1.4.3.6`).
fn parse_version(text: &str) -> Option<Version> {
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

    fn check_version(text: &str, expected: Option<(u64, u64, u64)>) {
        assert_eq!(
            parse_version(text),
            expected.map(|(a, b, c)| Version::new(a, b, c)),
            "{text}"
        );
    }

    #[test]
    fn versions_as_tools_print_them() {
        check_version("x11vnc: 0.9.16 lastmod: 2019-01-05", Some((0, 9, 16)));
        check_version("UltraVNC Server 1.4.3.6\n", Some((1, 4, 3)));
        check_version("tool 2008 v1.6", Some((1, 6, 0)));
        check_version("no version here 12.", None);
        check_version("99999999999999999999999.1", None);
    }

    /// Returns a profile whose only candidate is the shell, which runs `script` when it is asked
    /// for its version. No test writes an executable: while another thread starts a process, such a
    /// file can be busy (ETXTBSY).
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
        let found = find_tool(&shell(script)).map_or_else(
            |failure| failure.name.to_owned(),
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
        let version = find_tool(&profile).unwrap().version.unwrap();
        assert_eq!(version, Version::new(0, 9, 16));
    }

    #[test]
    fn a_tool_whose_version_doesnt_matter_isnt_run() {
        let mut profile = shell("exec sleep 1000");
        profile.version = None;
        assert_eq!(find_tool(&profile).unwrap().version, None);
    }

    #[test]
    fn a_tool_on_path_is_roots() {
        assert!(is_writable_by_root_only(Path::new("/bin/sh")));
        assert!(!is_writable_by_root_only(Path::new("/tmp")));
        assert!(!is_writable_by_root_only(Path::new("/nonexistent/tool")));
    }

    #[test]
    fn a_missing_tool_is_missing() {
        let mut profile = shell("true");
        profile.paths = vec!["/nonexistent/tool".into()];
        assert_eq!(find_tool(&profile).unwrap_err().name, "tool-missing");
    }
}
