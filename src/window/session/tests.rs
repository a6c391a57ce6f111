//! The page for each view of a session, line by line, and the place of the window.

use std::collections::BTreeMap;

use etatuki_session_core::{
    AgentIdentity, Answer, AppSharing, Ask, Failure, FailureName, Notice, Permissions, Question,
    Receipt,
};
use etatuki_trust::{CodeForm, FieldKind, Nameplate, SessionCode, ShownCode, ShownField};

use super::super::page::{Button, PageItem, Tone};
use super::super::quote;
use super::*;
use crate::language::Language;
use crate::texts::Texts;

fn context() -> SessionContext {
    SessionContext {
        texts: Texts::load(Language::Fi),
        label: "Remoteus etätuki (2008)".into(),
        external_transport: false,
        vendor: "Ecom".into(),
        phone: "02-2767 171".into(),
        labels: BTreeMap::from([("ecom".into(), "Ecom Etätuki".into())]),
    }
}

/// Returns a page as text: `#` a heading, `-` secondary text, `i`, `!` and `+` a callout; buttons
/// in brackets, with `*` for the one with the focus and `x` for one that can't be pressed.
fn outline(page: &Page) -> Vec<String> {
    let button = |button: &Button| {
        let mark = match (button.focus, button.enabled) {
            (_, false) => "x",
            (true, true) => "*",
            (false, true) => "",
        };
        format!("[{}]{mark}", button.label.replace('&', ""))
    };
    let item = |item: &PageItem| match item {
        PageItem::Heading(text) => format!("# {text}"),
        PageItem::Text(text) => text.clone(),
        PageItem::Secondary(text) => format!("- {text}"),
        PageItem::Callout(Tone::Alert, text) => format!("! {text}"),
        PageItem::Callout(Tone::Success, text) => format!("+ {text}"),
        PageItem::Callout(_, text) => format!("i {text}"),
        PageItem::Code(code) => format!("{}: {} {}", code.label, *code.digits, button(&code.copy)),
        PageItem::Choice(choice) => button(&choice.button),
    };
    let buttons: Vec<_> = page.buttons.iter().map(button).collect();
    let mut lines: Vec<_> = page.items.iter().map(item).collect();
    lines.push(buttons.join(" "));
    lines
}

const NONE: Permissions = Permissions {
    view: false,
    control: false,
};
const VIEW: Permissions = Permissions {
    view: true,
    control: false,
};
const CONTROL: Permissions = Permissions {
    view: true,
    control: true,
};

const HEAD: [&str; 2] = [
    "# Remoteus etätuki (2008)",
    "- Ecom, asiakastuki: 02-2767 171",
];

#[track_caller]
fn check(view: &View, expected_visibility: Visibility, expected: &[&str]) {
    assert_eq!(outline(&page(&context(), view, None)), expected);
    assert_eq!(visibility(view), expected_visibility);
}

#[track_caller]
fn check_with_head(view: &View, expected_visibility: Visibility, expected: &[&str]) {
    check(view, expected_visibility, &[&HEAD, expected].concat());
}

fn in_state(state: State) -> View {
    View {
        state,
        ..View::default()
    }
}

fn agent() -> AgentIdentity {
    AgentIdentity {
        name: "Maija Virtanen".into(),
        organisation: "Ecom Oy".into(),
    }
}

fn waiting(notices: Vec<Notice>) -> View {
    let nameplate = Nameplate::new(CodeForm::SingleCode, "482915").unwrap();
    View {
        code: Some(SessionCode::mint(nameplate, [7; 8]).shown()),
        notices,
        waiting_seconds_left: Some(581),
        ..in_state(State::Waiting)
    }
}

fn connected(permissions: Permissions) -> View {
    View {
        agent: Some(agent()),
        permissions,
        ..in_state(State::Connected)
    }
}

fn asked(ask: Ask, answerable: bool) -> View {
    let question = Question {
        id: 1,
        ask,
        seconds_left: 59,
        answerable,
    };
    View {
        question: Some(question),
        ..connected(VIEW)
    }
}

fn receipt(viewed_seconds: u64, controlled_seconds: u64) -> Option<Receipt> {
    Some(Receipt {
        agent: agent(),
        viewed_seconds,
        controlled_seconds,
        switch_to: None,
    })
}

#[test]
fn before_and_while_opening() {
    assert_eq!(
        outline(&no_code::not_opened(&context())),
        [
            HEAD[0],
            HEAD[1],
            "Tuki näkee näyttösi vasta, kun annat luvan.",
            "- Yhteys ei ole auki.",
            "[Sulje] [Avaa yhteys]*",
        ]
    );
    let opening = [
        "Avataan yhteyttä…",
        "- Tuki näkee näyttösi vasta, kun annat luvan.",
        "[Sulje yhteys]",
    ];
    check_with_head(&in_state(State::Opening), Visibility::Shown, &opening);
}

/// Returns the line of the code that [`waiting`] shows.
fn code_line() -> String {
    let code = waiting(vec![]).code.unwrap();
    format!("Istuntokoodi: {} [Kopioi]*", code.fields[0].digits)
}

#[test]
fn the_code_waits_on_top_of_everything() {
    let code = code_line();
    let call =
        "Soita 02-2767 171 ja lue tämä koodi. Kerro koodi vain, jos soitit itse asiakastukeen.";
    let rest = [
        call,
        &code,
        "Odotetaan tukihenkilöä.",
        "- Tuki näkee näyttösi vasta, kun annat luvan. Koodi on voimassa vielä 9:41.",
        "[Sulje yhteys]",
    ];
    check_with_head(&waiting(vec![]), Visibility::OnTop, &rest);
    // A stranger stays on the page, whatever happens afterwards.
    let notices = vec![
        Notice::UnauthorizedAttempt,
        Notice::CodeRenewed,
        Notice::ServiceLost,
    ];
    let told = [
        "! Joku muu kuin Ecom yritti ottaa yhteyden koodillasi, joten sait uuden koodin. Jos et itse \
         soittanut numeroon 02-2767 171, lopeta puhelu.",
        "i Etätukipalveluun ei juuri nyt saada yhteyttä. Yritetään uudelleen…",
    ];
    check_with_head(
        &waiting(notices),
        Visibility::OnTop,
        &[&told[..], &rest].concat(),
    );
}

#[test]
fn nobody_is_warned_of_a_stranger_and_asked_to_read_a_code_at_once() {
    let wrong = Notice::WrongCodeTried {
        agent: agent(),
        left: 2,
    };
    let told = |notices: Vec<Notice>| context().notices(&waiting(notices)).len();
    assert_eq!(told(vec![wrong.clone()]), 1);
    for later in [wrong, Notice::CodeForgotten] {
        assert_eq!(told(vec![Notice::UnauthorizedAttempt, later]), 1);
    }
    assert_eq!(
        told(vec![Notice::UnauthorizedAttempt, Notice::ServiceLost]),
        2
    );
}

#[test]
fn a_receipt_says_that_a_stranger_was_refused() {
    let view = View {
        notices: vec![Notice::UnauthorizedAttempt, Notice::UnauthorizedAttempt],
        receipt: receipt(60, 0),
        ..in_state(State::Closed)
    };
    let outline = outline(&receipt::receipt(&context(), &view));
    let past = "! Joku muu kuin Ecom yritti ottaa yhteyden koodillasi, mutta ei päässyt sisään.";
    assert_eq!(outline.iter().filter(|line| **line == past).count(), 1);
}

#[test]
fn between_two_codes_none_is_shown() {
    let view = View {
        code: None,
        ..waiting(vec![Notice::CodeForgotten])
    };
    let expected = [
        "i Vanha koodi ei enää kelpaa. Lue uusi koodi.",
        "Avataan yhteyttä…",
        "- Tuki näkee näyttösi vasta, kun annat luvan.",
        "[Sulje yhteys]",
    ];
    check_with_head(&view, Visibility::OnTop, &expected);
}

#[test]
fn a_question_can_be_answered_after_a_second_and_no_is_marked() {
    let view = |answers| {
        [
            "# Saako Maija Virtanen (Ecom Oy) katsoa näyttöäsi?",
            "Maija Virtanen näkee silloin kaiken, mitä näytölläsi on.",
            "- Jos et vastaa, lupaa ei anneta. 0:59",
            answers,
        ]
    };
    let early = view("[Salli katselu]x [Älä salli]x");
    check(&asked(Ask::View, false), Visibility::OnTop, &early);
    let open = view("[Salli katselu] [Älä salli]*");
    check(&asked(Ask::View, true), Visibility::OnTop, &open);
    let control = [
        "# Saako Maija Virtanen käyttää hiirtäsi ja näppäimistöäsi?",
        "Saat ohjauksen takaisin milloin tahansa: pidä Esc-näppäintä pohjassa sekunnin ajan.",
        "- Jos et vastaa, lupaa ei anneta. 0:59",
        "[Salli ohjaus] [Älä salli]*",
    ];
    check(&asked(Ask::Control, true), Visibility::OnTop, &control);
    let switch = [
        "# Saako Maija Virtanen vaihtaa toiseen etätukeen?",
        "Uusi etätuki on Ecom Etätuki. Tämä yhteys suljetaan, ja saat uuden koodin.",
        "- Jos et vastaa, lupaa ei anneta. 0:59",
        "[Salli vaihto] [Älä salli]*",
    ];
    let backend = "ecom".into();
    check(
        &asked(Ask::Switch { backend }, true),
        Visibility::OnTop,
        &switch,
    );
}

#[test]
fn while_support_works_the_window_is_away_and_shows_no_code() {
    let quiet = [
        "i Maija Virtanen on yhteydessä, mutta ei näe näyttöäsi.",
        "[Sulje yhteys]*",
    ];
    check_with_head(&connected(NONE), Visibility::Iconified, &quiet);
    let viewing = ["i Maija Virtanen katsoo näyttöäsi.", "[Sulje yhteys]*"];
    let with_code = View {
        code: waiting(vec![]).code,
        ..connected(VIEW)
    };
    check_with_head(&with_code, Visibility::Iconified, &viewing);
    let controlling = [
        "! Maija Virtanen ohjaa konettasi.",
        "Saat ohjauksen takaisin myös pitämällä Esc-näppäintä pohjassa sekunnin ajan.",
        "[Sulje yhteys] [Ota ohjaus takaisin]*",
    ];
    check_with_head(&connected(CONTROL), Visibility::Iconified, &controlling);
}

fn app_sharing(app_only: bool) -> Option<AppSharing> {
    let name = "Tilitin".to_owned();
    Some(AppSharing { name, app_only })
}

#[test]
fn the_first_question_offers_the_program_alone_where_that_can_be_done() {
    let view = View {
        app_sharing: app_sharing(false),
        ..asked(Ask::View, true)
    };
    let lines = outline(&page(&context(), &view, None));
    assert_eq!(
        lines[1],
        "Voit näyttää koko näytön tai vain ohjelman Tilitin. Kaikki muu näkyy silloin harmaana."
    );
    assert_eq!(
        lines.last().unwrap(),
        "[Vain ohjelma] [Koko näyttö] [Älä salli]*"
    );
}

#[test]
fn the_agent_is_told_the_question_and_its_buttons_word_for_word() {
    let check = |view: &View, wanted: &[(&str, Answer)]| {
        let page = page(&context(), view, None);
        let quoted = quote::question_text(&page);
        let lines = outline(&page);
        assert_eq!(format!("# {}", quoted.question), lines[0]);
        assert_eq!(quoted.explanation, lines[1]);
        let buttons = quoted.buttons.iter();
        let buttons: Vec<_> = buttons
            .map(|one| (one.label.as_str(), one.answer))
            .collect();
        assert_eq!(buttons, wanted);
    };
    let allow_or_deny = |allow| [(allow, Answer::Allow), ("Älä salli", Answer::Deny)];
    check(&asked(Ask::View, false), &allow_or_deny("Salli katselu"));
    check(&asked(Ask::Control, true), &allow_or_deny("Salli ohjaus"));
    let offering = View {
        app_sharing: app_sharing(false),
        ..asked(Ask::View, true)
    };
    let last = outline(&page(&context(), &offering, None)).pop().unwrap();
    let quoted = quote::question_text(&page(&context(), &offering, None));
    let labels: Vec<_> = quoted
        .buttons
        .iter()
        .map(|one| format!("[{}]", one.label))
        .collect();
    assert_eq!(last.replace('*', ""), labels.join(" "));
    let answers: Vec<_> = quoted.buttons.iter().map(|one| one.answer).collect();
    assert_eq!(answers, [Answer::AllowProgram, Answer::Allow, Answer::Deny]);
}

#[test]
fn what_is_shared_alone_is_named() {
    let app_only = |permissions| View {
        app_sharing: app_sharing(true),
        ..connected(permissions)
    };
    let viewing = [
        "i Maija Virtanen katsoo vain ohjelmaa Tilitin.",
        "[Sulje yhteys]*",
    ];
    check_with_head(&app_only(VIEW), Visibility::Iconified, &viewing);
    let shown = bar::status(&context().texts, &app_only(CONTROL)).map(|status| status.text);
    assert_eq!(
        shown.as_deref(),
        Some("Maija Virtanen ohjaa vain ohjelmaa Tilitin")
    );
    let control = View {
        app_sharing: app_sharing(true),
        ..asked(Ask::Control, true)
    };
    assert_eq!(
        outline(&page(&context(), &control, None))[0],
        "# Saako Maija Virtanen käyttää hiirtäsi ja näppäimistöäsi ohjelmassa Tilitin?"
    );
}

#[test]
fn an_interrupted_session_counts_down() {
    let view = View {
        agent: Some(agent()),
        interrupted_seconds_left: Some(107),
        ..in_state(State::Interrupted)
    };
    let expected = [
        "Yhteys katkesi. Yritetään uudelleen… 1:47",
        "[Sulje yhteys]*",
    ];
    check_with_head(&view, Visibility::Iconified, &expected);
}

#[test]
fn the_receipt_says_who_saw_what_and_that_it_is_over() {
    let view = |receipt| View {
        receipt,
        ..in_state(State::Closed)
    };
    let page = |done, strip| {
        [
            "# Yhteys on suljettu.",
            HEAD[1],
            done,
            strip,
            "[Avaa uudelleen] [Sulje]*",
        ]
    };
    let nobody = "+ Kukaan ei enää näe näyttöäsi.";
    let both = page(
        "Maija Virtanen katsoi näyttöäsi 12 min ja ohjasi 4 min.",
        nobody,
    );
    check(&view(receipt(720, 250)), Visibility::OnTop, &both);
    let looked = page("Maija Virtanen katsoi näyttöäsi 45 s.", nobody);
    check(&view(receipt(45, 0)), Visibility::OnTop, &looked);
    let refused = page("Maija Virtanen ei nähnyt näyttöäsi.", nobody);
    check(&view(receipt(0, 0)), Visibility::OnTop, &refused);
    let mut never = page("", "+ Kukaan ei nähnyt näyttöäsi.").to_vec();
    never.remove(2);
    check(&view(None), Visibility::Shown, &never);
}

#[test]
fn every_failure_says_what_happened_and_can_be_tried_again() {
    for name in FailureName::ALL {
        let failure = Failure {
            name,
            detail: "in English".into(),
        };
        let view = View {
            failure: Some(failure),
            receipt: receipt(45, 0),
            ..in_state(State::Failed)
        };
        let lines = outline(&page(&context(), &view, None));
        let texts = Texts::load(Language::Fi);
        assert_eq!(
            lines[0],
            format!("# {}", texts.failure(name.as_str()).happened)
        );
        assert!(lines.contains(&"+ Kukaan ei enää näe näyttöäsi.".to_owned()));
        assert!(lines.contains(&format!("- Tuelle: {}", name.as_str())));
        assert_eq!(lines.last().unwrap(), "[Sulje] [Yritä uudelleen]*");
        assert!(!lines.join(" ").contains("in English"));
        assert_eq!(visibility(&view), Visibility::OnTop);
    }
}

#[test]
fn no_letter_presses_two_buttons_in_a_row_of_pages() {
    // A letter meant for one page must not answer the question that has replaced it.
    for language in Language::ALL {
        let context = SessionContext {
            texts: Texts::load(language),
            ..context()
        };
        let letter = |button: &Button| {
            let at = button.label.find('&')?;
            button.label[at + 1..].chars().next()
        };
        let letters = |view: &View| -> Vec<_> {
            let page = page(&context, view, None);
            let copies = page.items.iter().filter_map(|item| match item {
                PageItem::Code(code) => Some(&code.copy),
                _ => None,
            });
            let buttons = page.buttons.iter().chain(copies);
            buttons
                .filter_map(letter)
                .flat_map(char::to_lowercase)
                .collect()
        };
        let mut offering = asked(Ask::View, true);
        offering.app_sharing = app_sharing(false);
        let mut allows: Vec<_> = [Ask::View, Ask::Control]
            .map(|ask| letters(&asked(ask, true))[0])
            .into();
        allows.extend(&letters(&offering)[..2]);
        for before in [
            waiting(vec![]),
            connected(NONE),
            connected(VIEW),
            connected(CONTROL),
        ] {
            for letter in letters(&before) {
                assert!(!allows.contains(&letter), "{language:?}: {letter}");
            }
        }
    }
}

#[test]
fn a_tool_with_its_own_transport() {
    let context = SessionContext {
        external_transport: true,
        ..context()
    };
    let see = |view: &View| outline(&page(&context, view, None))[2..].to_vec();
    let promise = "Tämän yhteyden hoitaa toinen ohjelma: Remoteus etätuki (2008). Luvat ja salaus ovat sen omat.";
    let before = outline(&no_code::not_opened(&context));
    assert!(before.contains(&promise.to_owned()), "{before:?}");
    let code = |fields| View {
        code: Some(ShownCode { fields }),
        ..in_state(State::Waiting)
    };
    let elsewhere = see(&code(vec![]));
    assert!(
        elsewhere[0].starts_with("Koodi näkyy toisen ohjelman ikkunassa."),
        "{elsewhere:?}"
    );
    assert_eq!(
        visibility(&code(vec![])),
        Visibility::Shown,
        "the tool's window is needed too"
    );
    let field = ShownField {
        kind: FieldKind::ToolCode,
        digits: "r4 xyz".into(),
    };
    let here = see(&code(vec![field]));
    assert!(here[1].contains("Ohjelman koodi"), "{here:?}");
    let warning = "Joku voi nähdä näyttösi, kunnes suljet yhteyden.".to_owned();
    for waiting in [elsewhere, here] {
        assert!(waiting.contains(&warning), "{waiting:?}");
        assert!(
            waiting.iter().any(|line| line.contains(promise)),
            "{waiting:?}"
        );
    }
    let connected = see(&in_state(State::Connected));
    assert!(connected.contains(&warning), "{connected:?}");
    let status = bar::status(&context.texts, &in_state(State::Connected)).unwrap();
    assert_eq!(status.text, "Joku on yhteydessä tietokoneeseesi");
    assert_eq!(bar::status(&context.texts, &in_state(State::Waiting)), None);
    let over = outline(&page(&context, &in_state(State::Closed), None));
    assert!(
        over.iter().any(|line| line.contains("sen kautta")),
        "{over:?}"
    );
    assert!(
        !over.iter().any(|line| line.contains("Kukaan ei nähnyt")),
        "nobody here knows"
    );
}

#[test]
fn the_bar_says_the_same_in_one_line() {
    let text = |view: &View| bar::status(&context().texts, view).map(|status| status.text);
    let check = |view: &View, expected: Option<&str>| assert_eq!(text(view).as_deref(), expected);
    check(&waiting(vec![]), None);
    check(&connected(VIEW), Some("Maija Virtanen katsoo näyttöäsi"));
    check(&connected(CONTROL), Some("Maija Virtanen ohjaa konettasi"));
    let mut long = connected(CONTROL);
    if let Some(agent) = &mut long.agent {
        agent.name = "Ä".repeat(80);
    }
    let shortened = format!("{}… ohjaa konettasi", "Ä".repeat(29));
    check(&long, Some(&shortened));
    let first = View {
        permissions: Permissions::default(),
        ..asked(Ask::View, true)
    };
    check(&first, Some("Maija Virtanen odottaa vastaustasi"));
    check(
        &asked(Ask::Control, true),
        Some("Maija Virtanen katsoo näyttöäsi"),
    );
}
