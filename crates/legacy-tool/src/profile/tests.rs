use super::*;
use serde_json::json;

/// Returns the minimal options with `more` laid over them.
fn options(more: Value) -> Value {
    let mut options = json!({ "tool": "x11vnc", "start": ["-inetd", "-display", "{display}"] });
    let more = more.as_object().unwrap().clone();
    options.as_object_mut().unwrap().extend(more);
    options
}

fn check(read: fn(&Value) -> Result<Profile, ProfileError>, more: Value, error: &str) {
    let found = read(&options(more)).unwrap_err().to_string();
    assert!(found.contains(error), "{found}");
}

#[test]
fn the_least_that_a_profile_says_is_enough() {
    let profile = Profile::rfb(&options(json!({}))).unwrap();
    assert_eq!(profile.kind, ToolKind::Rfb(RfbTransport::Stdio));
    assert_eq!(profile.input, InputPath::Tool);
    assert_eq!((profile.version, profile.paths.len()), (None, 0));
    let args = fill_placeholders(&profile.start, &[("display", ":7")]);
    assert_eq!(args, ["-inetd", "-display", ":7"]);
}

#[test]
fn a_profile_says_all_of_it() {
    let profile = Profile::rfb(&options(json!({
        "serves": "stdio-tls", "input": "plugin", "start": ["{display}", "{pem}"], "display": ":7",
        "version": ">=0.9.13", "version_args": ["-version"], "version_pattern": "x11vnc: ([0-9.]+)",
        "failures": { "display-lost": "caught XIO error" },
    })));
    let profile = profile.unwrap();
    assert_eq!(profile.kind, ToolKind::Rfb(RfbTransport::StdioTls));
    assert_eq!(profile.input, InputPath::Plugin);
    assert_eq!(profile.display().as_deref(), Some(":7"));
    assert_eq!(
        profile.failure_in("x: caught XIO error:"),
        Some("display-lost")
    );
    assert_eq!(profile.failure_in("all is well"), None);
    assert_eq!(profile.version.unwrap().args, ["-version"]);
}

#[test]
fn a_tool_with_its_own_transport_says_where_its_code_is() {
    let code_source = |code: Value| match Profile::external(&options(json!({ "code": code })))
        .unwrap()
        .kind
    {
        ToolKind::External(external) => external.code,
        ToolKind::Rfb(_) => unreachable!("read as own"),
    };
    assert_eq!(code_source(json!({ "from": "window" })), CodeSource::Window);
    let launcher = json!({ "from": "launcher", "env": "TOOL_CODE" });
    assert_eq!(
        code_source(launcher),
        CodeSource::Launcher("TOOL_CODE".into())
    );
    let output = json!({ "from": "output", "pattern": "PORT=(\\d+)" });
    assert!(matches!(code_source(output), CodeSource::Output(_)));
    let file = json!({ "from": "file", "file": "{folder}/flag", "pattern": "PORT=(\\d+)" });
    assert!(matches!(code_source(file), CodeSource::File(..)));
}

#[test]
fn what_is_wrong_is_named() {
    check(
        Profile::rfb,
        json!({ "paths": ["bin/x"] }),
        "backend.options.paths: 'bin/x' is not an absolute path",
    );
    check(
        Profile::rfb,
        json!({ "tool": "a/b" }),
        "paths belong in 'paths'",
    );
    check(Profile::rfb, json!({ "tool": null }), "invalid type: null");
    check(Profile::rfb, json!({ "toolz": 1 }), "toolz");
    check(
        Profile::rfb,
        json!({ "version": "new" }),
        "unexpected character",
    );
    check(Profile::rfb, json!({ "serves": "smoke" }), "`smoke`");
    check(Profile::rfb, json!({ "input": "magic" }), "`magic`");
    check(
        Profile::rfb,
        json!({ "failures": { "broken": "x" } }),
        "'broken' is none of display-missing",
    );
    check(
        Profile::rfb,
        json!({ "failures": { "tool-died": "(" } }),
        "not a pattern",
    );
    check(
        Profile::rfb,
        json!({ "ready": "x" }),
        "backend.options.ready: only a tool with its own",
    );
    check(Profile::external, json!({}), "where is the tool's code");
    let window = json!({ "from": "window" });
    check(
        Profile::external,
        json!({ "code": window, "serves": "stdio" }),
        "backend.options.serves",
    );
    check(
        Profile::external,
        json!({ "code": { "from": "thought" } }),
        "`thought`",
    );
    for env in ["", "tool", "LD_PRELOAD", "PATH", "A=B"] {
        check(
            Profile::external,
            json!({ "code": { "from": "launcher", "env": env } }),
            "code.env",
        );
    }
    let elsewhere = json!({ "from": "file", "file": "/tmp/x", "pattern": "x" });
    check(Profile::external, json!({ "code": elsewhere }), "code.file");
}

#[test]
fn a_placeholder_must_mean_something() {
    check(
        Profile::rfb,
        json!({ "start": ["{dispaly}"] }),
        "no placeholder '{dispaly}' here; there are {display}",
    );
    check(Profile::rfb, json!({ "start": ["{pem}"] }), "{pem}");
    check(
        Profile::rfb,
        json!({ "stop": ["{port}"] }),
        "backend.options.stop",
    );
    let braces = json!({ "start": ["a{1,2}", "{}", "{A}", "x}{display}{"] });
    let profile = Profile::rfb(&options(braces)).unwrap();
    let filled = fill_placeholders(&profile.start, &[("display", ":1")]);
    assert_eq!(filled, ["a{1,2}", "{}", "{A}", "x}:1{"]);
}
