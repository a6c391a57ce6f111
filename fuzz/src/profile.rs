//! A tool's profile from the registry, and its patterns on what the tool prints: written by an
//! integrator, and by whatever program is installed.

use etatuki_legacy_tool::{CodeSource, Pattern, Profile, ToolKind};

/// Reads the options as JSON, a NUL, and lines of output; or a pattern instead of the options.
pub(crate) fn profile(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (options, output) = text.split_once('\0').unwrap_or((&text, &text));
    if let Ok(pattern) = Pattern::new(options) {
        output.lines().for_each(|line| check(&pattern, line));
    }
    let Ok(options) = serde_json::from_str(options) else {
        return;
    };
    for read in [Profile::rfb, Profile::external] {
        match read(&options) {
            Ok(profile) => watch(&profile, output),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

fn watch(profile: &Profile, output: &str) {
    assert!(!profile.tool.contains('/') && profile.paths.iter().all(|path| path.is_absolute()));
    let known = |line: &str| {
        profile
            .failure_in(line)
            .is_none_or(|name| name.contains('-'))
    };
    assert!(output.lines().all(known));
    if let ToolKind::External(tool) = &profile.kind {
        let in_code = match &tool.code {
            CodeSource::Output(pattern) | CodeSource::File(_, pattern) => Some(pattern),
            CodeSource::Launcher(_) | CodeSource::Window => None,
        };
        let patterns = [
            in_code,
            tool.ready.as_ref(),
            tool.connected.as_ref(),
            tool.disconnected.as_ref(),
        ];
        for pattern in patterns.into_iter().flatten() {
            output.lines().for_each(|line| check(pattern, line));
        }
    }
}

/// Checks that a match is a part of the line.
fn check(pattern: &Pattern, line: &str) {
    if let Some(found) = pattern.capture(line) {
        assert!(pattern.is_match(line) && line.contains(found));
    }
}
