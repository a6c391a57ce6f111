use super::*;
use serde_json::json;

/// The least that a profile says, with `more` laid over it.
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
    assert_eq!(profile.kind, Kind::Rfb(Carrier::Stdio));
    assert_eq!((profile.version, profile.paths.len()), (None, 0));
    let args = filled(&profile.start, &[("display", ":7")]);
    assert_eq!(args, ["-inetd", "-display", ":7"]);
}

#[test]
fn a_profile_says_all_of_it() {
    let profile = Profile::rfb(&options(json!({
        "serves": "stdio-tls", "start": ["{display}", "{pem}"], "display": ":7",
        "version": ">=0.9.13", "version_args": ["-version"], "version_pattern": "x11vnc: ([0-9.]+)",
        "failures": { "display-lost": "caught XIO error" },
    })));
    let profile = profile.unwrap();
    assert_eq!(profile.kind, Kind::Rfb(Carrier::StdioTls));
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
    let own = |code: Value| match Profile::own(&options(json!({ "code": code })))
        .unwrap()
        .kind
    {
        Kind::Own(own) => own.code,
        Kind::Rfb(_) => unreachable!("read as own"),
    };
    assert_eq!(own(json!({ "from": "window" })), Code::Window);
    let launcher = json!({ "from": "launcher", "env": "TOOL_CODE" });
    assert_eq!(own(launcher), Code::Launcher("TOOL_CODE".into()));
    let output = json!({ "from": "output", "pattern": "PORT=(\\d+)" });
    assert!(matches!(own(output), Code::Output(_)));
    let file = json!({ "from": "file", "file": "{folder}/flag", "pattern": "PORT=(\\d+)" });
    assert!(matches!(own(file), Code::File(..)));
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
    check(Profile::own, json!({}), "where is the tool's code");
    let window = json!({ "from": "window" });
    check(
        Profile::own,
        json!({ "code": window, "serves": "stdio" }),
        "backend.options.serves",
    );
    check(
        Profile::own,
        json!({ "code": { "from": "thought" } }),
        "`thought`",
    );
    for env in ["", "tool", "LD_PRELOAD", "PATH", "A=B"] {
        check(
            Profile::own,
            json!({ "code": { "from": "launcher", "env": env } }),
            "code.env",
        );
    }
    let elsewhere = json!({ "from": "file", "file": "/tmp/x", "pattern": "x" });
    check(Profile::own, json!({ "code": elsewhere }), "code.file");
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
    let filled = filled(&profile.start, &[("display", ":1")]);
    assert_eq!(filled, ["a{1,2}", "{}", "{A}", "x}:1{"]);
}
