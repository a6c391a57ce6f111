//! Lines in, lines out. Every line out is checked against `docs/session.schema.json`.

use std::io::Cursor;
use std::sync::Arc;

use etatuki_protocol::{AgentIdentity, Ask, Permissions, ScreenCondition};
use etatuki_trust::{CodeForm, FieldKind, Nameplate, SessionCode, ShownCode, ShownField, UnixTime};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::failure::{Failure, FailureName};
use crate::transport::Transport;
use crate::view::{AppSharing, Notice, Question, Receipt, View};

fn presenter() -> JsonPresenter {
    presenter_over(Transport::Link(CodeForm::IdAndPassword))
}

fn presenter_over(transport: Transport) -> JsonPresenter {
    let texts = |name: &str, args: &[(&str, &str)]| format!("{name} {args:?}");
    JsonPresenter::new(Arc::new(texts), transport)
}

fn agent() -> AgentIdentity {
    AgentIdentity {
        name: "Liisa Virtanen".into(),
        organisation: "Tilitieto Oy".into(),
    }
}

fn agent_json() -> Value {
    json!({ "name": "Liisa Virtanen", "organisation": "Tilitieto Oy" })
}

fn waiting(form: CodeForm, number: &str) -> View {
    let nameplate = Nameplate::new(form, number).expect("digits of the right number");
    let code = SessionCode::mint(nameplate, [3; 8]).shown();
    View {
        state: State::Waiting,
        code: Some(code),
        ..View::default()
    }
}

fn connected() -> View {
    View {
        state: State::Connected,
        agent: Some(agent()),
        ..View::default()
    }
}

fn asked(ask: Ask) -> View {
    let question = Question {
        id: 7,
        ask,
        seconds_left: 60,
        answerable: false,
    };
    View {
        question: Some(question),
        ..connected()
    }
}

/// Returns the lines for one view after another, as JSON without `text`, which is the launcher's.
fn lines(views: &[View]) -> Vec<Value> {
    let mut presenter = presenter();
    let mut events = vec![];
    for view in views {
        for line in presenter.show(view) {
            let mut event: Value = serde_json::from_str(&line).expect("a line is JSON");
            schema::check("out", &event);
            if let Some(event) = event.as_object_mut() {
                event.remove("text");
            }
            events.push(event);
        }
    }
    events
}

#[track_caller]
fn check(views: &[View], expected: Value) {
    assert_eq!(Value::from(lines(views)), expected);
}

#[test]
fn the_beginning_says_nothing_of_an_end() {
    check(&[View::default()], json!([]));
}

#[test]
fn a_code_has_its_fields() {
    let session_code = lines(&[waiting(CodeForm::SingleCode, "123456")]);
    assert_eq!(session_code[0]["fields"][0]["kind"], "session-code");
    assert_eq!(
        session_code[1],
        json!({ "type": "state", "state": "waiting" })
    );
    let ecom = lines(&[waiting(CodeForm::IdAndPassword, "12345678")]);
    assert_eq!(ecom[0]["fields"][0]["kind"], "id");
    assert_eq!(ecom[0]["fields"][1]["kind"], "password");
}

#[test]
fn a_code_goes_when_somebody_comes() {
    let views = [waiting(CodeForm::SingleCode, "123456"), connected()];
    let after: Vec<Value> = lines(&views).split_off(2);
    let expected = json!([
        { "type": "code", "fields": [] },
        { "type": "state", "state": "connected", "agent": agent_json() },
    ]);
    assert_eq!(Value::from(after), expected);
}

#[test]
fn nothing_changed_nothing_said() {
    let view = asked(Ask::View);
    let once = lines(std::slice::from_ref(&view));
    let later = View {
        waiting_seconds_left: Some(9),
        ..view.clone()
    };
    assert_eq!(lines(&[view.clone(), view, later]), once);
}

#[test]
fn a_question_comes_and_goes() {
    let expected = json!([
        { "type": "state", "state": "connected", "agent": agent_json() },
        { "type": "ask", "id": 7, "ask": "control", "agent": agent_json(), "seconds_left": 60 },
        { "type": "ask-over", "id": 7 },
    ]);
    check(&[asked(Ask::Control), connected()], expected);
}

#[test]
fn a_switch_names_the_backend() {
    let events = lines(&[asked(Ask::Switch {
        backend: "remoteus-2008".into(),
    })]);
    assert_eq!(
        (&events[1]["ask"], &events[1]["backend"]),
        (&json!("switch"), &json!("remoteus-2008"))
    );
}

#[test]
fn permissions_are_said_when_they_change() {
    let viewing = View {
        permissions: Permissions {
            view: true,
            control: false,
        },
        ..connected()
    };
    let events = lines(&[connected(), viewing.clone(), viewing, connected()]);
    let expected = json!([
        { "type": "permissions", "view": true, "control": false },
        { "type": "permissions", "view": false, "control": false },
    ]);
    assert_eq!(json!(events[1..]), expected);
}

#[test]
fn the_state_of_the_screen_is_said_when_it_changes() {
    let screen = |screen| View {
        screen,
        ..connected()
    };
    let events = lines(&[
        connected(),
        screen(ScreenCondition::Locked),
        screen(ScreenCondition::Locked),
        connected(),
    ]);
    let expected = json!([
        { "type": "screen", "condition": "locked" },
        { "type": "screen", "condition": "visible" },
    ]);
    assert_eq!(json!(events[1..]), expected);
}

#[test]
fn the_program_that_can_be_shared_alone_is_offered_with_the_first_question() {
    let sharing = |app_only| {
        let name = "Tilitin".to_owned();
        Some(AppSharing { name, app_only })
    };
    let mut view = asked(Ask::View);
    view.app_sharing = sharing(false);
    let ask = lines(std::slice::from_ref(&view)).pop();
    assert_eq!(ask.expect("a question")["program"], "Tilitin");
    let mut presenter = presenter();
    if let Some(question) = &mut view.question {
        question.answerable = true;
    }
    let app_only = InputLine::Answer {
        id: 7,
        allow: true,
        app_only: true,
    };
    presenter.show(&view);
    assert_eq!(presenter.check(&app_only), Ok(()));
    view.app_sharing = None;
    presenter.show(&view);
    assert_eq!(
        presenter.check(&app_only),
        Err(InputError::AppSharingNotOffered(7))
    );
    assert_eq!(
        Command::from(app_only),
        Command::AllowAppOnly { question: 7 }
    );

    let mut viewing = connected();
    viewing.permissions.view = true;
    viewing.app_sharing = sharing(true);
    let said = lines(&[connected(), viewing.clone()]).pop();
    let expected = json!({
        "type": "permissions", "view": true, "control": false, "only_program": "Tilitin",
    });
    assert_eq!(said, Some(expected));
    // The question for control names the program, and the one for a switch doesn't.
    for (ask, program) in [
        (Ask::Control, json!("Tilitin")),
        (
            Ask::Switch {
                backend: "x".into(),
            },
            Value::Null,
        ),
    ] {
        let view = View {
            question: asked(ask).question,
            ..viewing.clone()
        };
        let said = lines(&[view]).pop().expect("a question");
        assert_eq!(said.get("program").cloned().unwrap_or_default(), program);
    }
}

#[test]
fn every_notice_is_said_once() {
    let notices = [
        Notice::UnauthorizedAttempt,
        Notice::WrongCodeTried {
            agent: agent(),
            left: 2,
        },
        Notice::CodeBurnt { agent: agent() },
        Notice::CodeRenewed,
        Notice::ServiceLost,
        Notice::ServiceBack,
        Notice::CodeForgotten,
        Notice::UnauthorizedPersists,
        Notice::ClockWrong {
            agent: agent(),
            now: UnixTime(1_700_000_000),
        },
        Notice::CardOutOfTime { agent: agent() },
        Notice::RevocationsStale,
    ];
    let with = |count: usize| View {
        state: State::Waiting,
        notices: notices[..count].to_vec(),
        ..View::default()
    };
    let events = lines(&[with(1), with(1), with(3), with(4), with(7), with(11)]);
    let names: Vec<_> = events
        .iter()
        .filter_map(|event| event["name"].as_str())
        .collect();
    assert_eq!(
        names,
        [
            "stranger-tried",
            "wrong-code-tried",
            "code-burnt",
            "code-renewed",
            "service-lost",
            "service-back",
            "code-forgotten",
            "stranger-persists",
            "wrong-clock",
            "card-out-of-time",
            "revocations-warning"
        ]
    );
    assert_eq!(events[2]["left"], 2);
    assert_eq!(events[9]["clock"], 1_700_000_000);
    assert_eq!(events[3]["agent"], agent_json());
}

#[test]
fn the_receipt_comes_with_the_end() {
    let receipt = Receipt {
        agent: agent(),
        viewed_seconds: 720,
        controlled_seconds: 240,
        program: None,
        switch_to: Some("ecom".into()),
    };
    let closing = View {
        state: State::Closing,
        receipt: Some(receipt),
        ..connected()
    };
    let closed = View {
        state: State::Closed,
        ..closing.clone()
    };
    let events = lines(&[connected(), closing, closed]);
    let paper = json!({
        "agent": agent_json(), "viewed_seconds": 720, "controlled_seconds": 240, "switch_to": "ecom",
    });
    assert_eq!(
        events.last(),
        Some(&json!({ "type": "closed", "receipt": paper }))
    );
}

#[test]
fn every_failure_has_its_name_and_fault() {
    for name in FailureName::ALL {
        let failure = Failure {
            name,
            detail: "why".into(),
        };
        let events = lines(&[View {
            state: State::Failed,
            failure: Some(failure),
            ..View::default()
        }]);
        let failed = events.last().expect("an end");
        assert_eq!(
            (&failed["type"], &failed["name"]),
            (&json!("failed"), &json!(name.as_str()))
        );
        assert_eq!(FailureName::from_name(name.as_str()), Some(name));
        assert_eq!(json!(name), json!(name.as_str()));
    }
}

#[test]
fn a_tool_with_its_own_transport() {
    let field = ShownField {
        kind: FieldKind::ToolCode,
        digits: "r4 xyz".into(),
    };
    let code = ShownCode {
        fields: vec![field],
    };
    let waiting = View {
        state: State::Waiting,
        code: Some(code),
        ..View::default()
    };
    let connected = View {
        state: State::Connected,
        ..waiting.clone()
    };
    let fields = json!([{ "kind": "tool-code", "digits": "r4 xyz" }]);
    check(
        &[waiting.clone(), connected],
        json!([
            { "type": "code", "fields": fields },
            { "type": "state", "state": "waiting" },
            { "type": "state", "state": "connected" },
        ]),
    );
    // The launcher doesn't know what was seen.
    let mut presenter = presenter_over(Transport::External);
    presenter.show(&waiting);
    let end = presenter.show(&View::default()).pop().expect("the end");
    let end: Value = serde_json::from_str(&end).expect("JSON");
    assert_eq!(
        (&end["type"], &end["text"]),
        (&json!("closed"), &json!("closed-own []"))
    );
}

#[test]
fn texts_get_their_arguments() {
    let mut presenter = presenter();
    let asks = presenter
        .show(&asked(Ask::Switch {
            backend: "ecom".into(),
        }))
        .pop()
        .expect("a question");
    let text =
        r#"[("name", "Liisa Virtanen"), ("organisation", "Tilitieto Oy"), ("backend", "ecom")]"#;
    let asks: Value = serde_json::from_str(&asks).expect("JSON");
    assert_eq!(asks["text"], format!("ask-switch {text}"));
}

#[test]
fn an_answer_must_fit_the_question() {
    let answer = |id| InputLine::Answer {
        id,
        allow: true,
        app_only: false,
    };
    let mut presenter = presenter();
    assert_eq!(
        presenter.check(&answer(7)),
        Err(InputError::NoSuchQuestion(7))
    );
    let mut view = asked(Ask::View);
    presenter.show(&view);
    assert_eq!(presenter.check(&answer(7)), Err(InputError::TooEarly(7)));
    if let Some(question) = &mut view.question {
        question.answerable = true;
    }
    assert_eq!(presenter.show(&view), Vec::<String>::new());
    assert_eq!(presenter.check(&answer(7)), Ok(()));
    assert_eq!(
        presenter.check(&answer(8)),
        Err(InputError::NoSuchQuestion(8))
    );
    assert_eq!(presenter.check(&InputLine::TakeBack {}), Ok(()));
    for error in [
        InputError::TooEarly(7),
        InputError::AppSharingNotOffered(7),
        InputError::LineTooLong,
        InputError::UnknownInput("x".into()),
    ] {
        schema::check(
            "out",
            &serde_json::from_str(&presenter.error(&error)).expect("JSON"),
        );
    }
}

mod input {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: Result<Option<InputLine>, &str>) {
        assert_eq!(
            parse(line.as_bytes()).map_err(|error| error.name()),
            expected,
            "{line}"
        );
        if let Ok(Some(_)) = expected {
            schema::check("in", &serde_json::from_str(line).expect("JSON"));
        }
    }

    #[test]
    fn what_exists() {
        check(
            r#"{"type":"answer","id":1,"allow":true}"#,
            Ok(Some(InputLine::Answer {
                id: 1,
                allow: true,
                app_only: false,
            })),
        );
        check(
            r#" { "allow": false, "id": 0, "type": "answer" } "#,
            Ok(Some(InputLine::Answer {
                id: 0,
                allow: false,
                app_only: false,
            })),
        );
        check(
            r#"{"type":"answer","id":3,"allow":true,"only_program":true}"#,
            Ok(Some(InputLine::Answer {
                id: 3,
                allow: true,
                app_only: true,
            })),
        );
        check(r#"{"type":"take-back"}"#, Ok(Some(InputLine::TakeBack {})));
        check(r#"{"type":"close"}"#, Ok(Some(InputLine::Close {})));
        check("", Ok(None));
        check("  \r", Ok(None));
    }

    #[test]
    fn what_does_not() {
        for line in [
            "x",
            "null",
            "[]",
            "{}",
            "\"close\"",
            r#"{"type":"open"}"#,
            r#"{"type":"close","force":true}"#,
            r#"{"type":"take-back","id":1}"#,
            r#"{"type":"answer","id":1}"#,
            r#"{"type":"answer","id":-1,"allow":true}"#,
            r#"{"type":"answer","id":4294967296,"allow":true}"#,
            r#"{"type":"answer","id":1,"allow":"yes"}"#,
            r#"{"type":"answer","id":1,"allow":true,"always":true}"#,
            r#"{"type":"close"}{"type":"close"}"#,
        ] {
            check(line, Err("unknown-input"));
        }
        check(&"[".repeat(MAX_LINE), Err("unknown-input"));
        check(&" ".repeat(MAX_LINE + 1), Err("line-too-long"));
    }

    #[test]
    fn an_error_never_quotes_the_line() {
        let error = parse(br#"{"type":"123 456"}"#).expect_err("no such type");
        assert!(!error.to_string().contains("456"), "{error}");
    }

    /// Returns the lines of a stream, as lengths or names of errors.
    fn split(bytes: &[u8], piece: usize) -> Vec<Result<usize, &'static str>> {
        let mut input = std::io::BufReader::with_capacity(piece, Cursor::new(bytes));
        let mut lines = vec![];
        while let Some(line) = read_line(&mut input).expect("memory can be read") {
            lines.push(line.map(|line| line.len()).map_err(|error| error.name()));
        }
        lines
    }

    #[test]
    fn lines_are_bounded() {
        let long = [
            b"ab\n".to_vec(),
            vec![b'x'; 3 * MAX_LINE],
            b"\n\nabc".to_vec(),
        ]
        .concat();
        for piece in [1, 7, 4096, 1 << 20] {
            assert_eq!(
                split(&long, piece),
                [Ok(2), Err("line-too-long"), Ok(0), Ok(3)]
            );
        }
        let just = [
            vec![b'x'; MAX_LINE],
            b"\n".to_vec(),
            vec![b'x'; MAX_LINE + 1],
        ]
        .concat();
        assert_eq!(split(&just, 100), [Ok(MAX_LINE), Err("line-too-long")]);
    }

    proptest! {
        #[test]
        fn hostile_bytes(bytes in prop::collection::vec(any::<u8>(), 0..5000)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn hostile_json(kind in "[a-z-]{0,12}", id in any::<i64>(), allow in any::<bool>(), more in "[a-z]{1,8}") {
            let line = json!({ "type": kind, "id": id, "allow": allow, more: 1 }).to_string();
            prop_assert!(parse(line.as_bytes()).is_err());
        }

        #[test]
        fn answers_come_through(id in any::<u32>(), allow in any::<bool>()) {
            let line = json!({ "type": "answer", "id": id, "allow": allow }).to_string();
            prop_assert_eq!(parse(line.as_bytes()), Ok(Some(InputLine::Answer { id, allow, app_only: false })));
        }
    }
}

/// The part of JSON Schema that `docs/session.schema.json` uses.
mod schema {
    use serde_json::Value;

    /// Panics unless the value is exactly one of the alternatives of the definition.
    #[track_caller]
    pub(super) fn check(definition: &str, value: &Value) {
        let root: Value =
            serde_json::from_str(include_str!("../../../../docs/session.schema.json"))
                .expect("JSON");
        let alternatives = root["$defs"][definition]["oneOf"]
            .as_array()
            .expect("a list of types");
        let fitting = alternatives
            .iter()
            .filter(|schema| holds(&root, schema, value))
            .count();
        assert_eq!(
            fitting, 1,
            "{value} is not exactly one of the schema's {definition}"
        );
    }

    fn holds(root: &Value, schema: &Value, value: &Value) -> bool {
        let schema = schema.as_object().expect("a schema is an object");
        schema
            .iter()
            .all(|(keyword, wanted)| match keyword.as_str() {
                "description" => true,
                "$ref" => {
                    let name = wanted
                        .as_str()
                        .and_then(|path| path.strip_prefix("#/$defs/"))
                        .expect("a reference");
                    holds(root, &root["$defs"][name], value)
                }
                "const" => value == wanted,
                "enum" => wanted.as_array().expect("a list").contains(value),
                "anyOf" | "oneOf" => wanted
                    .as_array()
                    .expect("a list")
                    .iter()
                    .any(|schema| holds(root, schema, value)),
                "type" => match wanted.as_str().expect("a type") {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "integer" => value.is_u64() || value.is_i64(),
                    "boolean" => value.is_boolean(),
                    "null" => value.is_null(),
                    other => panic!("unknown type {other}"),
                },
                "minimum" => value
                    .as_i64()
                    .is_none_or(|value| value >= wanted.as_i64().expect("a number")),
                "maximum" => value
                    .as_i64()
                    .is_none_or(|value| value <= wanted.as_i64().expect("a number")),
                "pattern" => value.as_str().is_none_or(digits_in_threes),
                "items" => value
                    .as_array()
                    .is_none_or(|list| list.iter().all(|item| holds(root, wanted, item))),
                "properties" => properties(root, wanted, value),
                "required" => wanted
                    .as_array()
                    .expect("a list")
                    .iter()
                    .all(|name| value.get(name.as_str().expect("a name")).is_some()),
                "additionalProperties" => {
                    let known = schema["properties"].as_object().expect("properties");
                    value
                        .as_object()
                        .is_none_or(|object| object.keys().all(|key| known.contains_key(key)))
                }
                other => panic!("the test doesn't know the keyword {other}"),
            })
    }

    fn properties(root: &Value, schemas: &Value, value: &Value) -> bool {
        let schemas = schemas.as_object().expect("properties");
        schemas.iter().all(|(name, schema)| {
            value
                .get(name)
                .is_none_or(|value| holds(root, schema, value))
        })
    }

    /// The schema's only pattern.
    fn digits_in_threes(text: &str) -> bool {
        text.split(' ').all(|part| {
            (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
        })
    }
}
