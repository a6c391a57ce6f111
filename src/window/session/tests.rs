//! The page for each view of a session, line by line, and the place of the window.

use std::collections::BTreeMap;

use etatuki_session_core::{
    AgentIdentity, Answer, AppSharing, Ask, Failure, FailureName, Notice, Permissions, Question,
    Receipt, ScreenCondition,
};
use etatuki_trust::{CodeForm, FieldKind, Nameplate, SessionCode, ShownCode, ShownField};

use super::super::failure::Remedy;
use super::super::page::{Button, PageItem, Tone};
use super::super::quote;
use super::super::session_context::Vendor;
use super::*;
use crate::language::Language;
use crate::texts::Texts;

fn context() -> SessionContext {
    SessionContext {
        texts: Texts::load(Language::Fi),
        label: "Remoteus etätuki (2008)".into(),
        external_transport: false,
        vendor: Vendor {
            name: "Ecom".into(),
            phone: "02-2767 171".into(),
        },
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
        PageItem::Secondary(text) | PageItem::Support(text) => format!("- {text}"),
        PageItem::Busy(text) => format!("~ {text}"),
        PageItem::Callout(Tone::Alert, text) => format!("! {text}"),
        PageItem::Callout(Tone::Success, text) => format!("+ {text}"),
        PageItem::Callout(_, text) => format!("i {text}"),
        PageItem::Code(code) => {
            let paused = if code.paused { " (grey)" } else { "" };
            format!("{}: {}{paused}", code.label, *code.digits)
        }
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
    assert_eq!(outline(&page(&context(), view, false)), expected);
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
        program: None,
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
            "Paina Avaa yhteys, niin saat koodin.",
            "- Tuki näkee näyttösi vasta, kun annat luvan.",
            "[Sulje] [Avaa yhteys]*",
        ]
    );
    let opening = [
        "~ Avataan yhteyttä…",
        "- Tuki näkee näyttösi vasta, kun annat luvan.",
        "[Peruuta]",
    ];
    check_with_head(&in_state(State::Opening), Visibility::Shown, &opening);
}

/// Returns the line of the code that [`waiting`] shows.
fn code_line() -> String {
    let code = waiting(vec![]).code.unwrap();
    format!("Istuntokoodi: {}", code.fields[0].digits)
}

#[test]
fn the_code_waits_on_top_of_everything() {
    let code = code_line();
    let call =
        "Soita 02-2767 171 ja lue tämä koodi. Kerro koodi vain, jos soitit itse asiakastukeen.";
    let foot = [
        "Odotetaan tukihenkilöä.",
        "- Tuki näkee näyttösi vasta, kun annat luvan.",
        "[Kopioi] [Sulje yhteys]",
    ];
    let rest = [&[call, code.as_str()], &foot[..]].concat();
    check_with_head(&waiting(vec![]), Visibility::OnTop, &rest);
    let late = View {
        waiting_seconds_left: Some(101),
        ..waiting(vec![])
    };
    let lines = outline(&page(&context(), &late, false));
    assert!(lines.contains(
        &"- Tuki näkee näyttösi vasta, kun annat luvan. Jos koodi jää käyttämättä, saat uuden 1:41 kuluttua."
            .to_owned()
    ));
    let renewed = ["i Koodi vanheni. Tässä on uusi koodi."];
    check_with_head(
        &waiting(vec![Notice::CodeRenewed]),
        Visibility::OnTop,
        &[&renewed[..], &rest].concat(),
    );
}

#[test]
fn no_notice_contradicts_another() {
    let wrong = |left| Notice::WrongCodeTried {
        agent: agent(),
        left,
    };
    let told = |notices| {
        let lines = outline(&page(&context(), &waiting(notices), false));
        let boxes = lines
            .into_iter()
            .filter(|line| line.starts_with(['!', 'i']));
        boxes.collect::<Vec<_>>()
    };
    let rest = "Maija Virtanen (Ecom Oy) kirjoitti koodin väärin. Lue se rauhassa uudelleen.";
    assert_eq!(told(vec![wrong(2)]), [format!("i {rest}")]);
    let last = told(vec![wrong(2), wrong(1)]);
    assert!(last[0].ends_with("Jos se menee vielä kerran väärin, saat uuden koodin."));
    // A stranger stays on the page, alone, whatever happens afterwards.
    for later in [wrong(2), Notice::CodeRenewed, Notice::ServiceBack] {
        let boxes = told(vec![Notice::UnauthorizedAttempt, later]);
        assert_eq!(boxes.len(), 1, "{boxes:?}");
        assert!(boxes[0].starts_with('!'), "{boxes:?}");
    }
}

#[test]
fn while_the_service_is_away_the_code_is_grey_and_not_to_be_read() {
    let code = format!("{} (grey)", code_line());
    let expected = [
        "i Etätukipalveluun ei juuri nyt saada yhteyttä. Odota hetki, älä lue koodia vielä.",
        &code,
        "- Tuki näkee näyttösi vasta, kun annat luvan.",
        "[Kopioi]x [Sulje yhteys]",
    ];
    for earlier in [
        vec![],
        vec![Notice::CodeRenewed],
        vec![Notice::ServiceLost, Notice::ServiceBack],
    ] {
        let notices = [earlier, vec![Notice::ServiceLost]].concat();
        check_with_head(&waiting(notices), Visibility::OnTop, &expected);
    }
    let back = waiting(vec![Notice::ServiceLost, Notice::ServiceBack]);
    let lines = outline(&page(&context(), &back, false));
    assert!(lines.contains(&code_line()), "{lines:?}");
    assert!(
        lines.iter().any(|line| line.contains("Voit lukea koodin.")),
        "{lines:?}"
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
fn id_and_password_are_read_in_their_order_and_copied_together() {
    let nameplate = Nameplate::new(CodeForm::IdAndPassword, "48291573").unwrap();
    let view = View {
        code: Some(SessionCode::mint(nameplate, [7; 8]).shown()),
        ..waiting(vec![])
    };
    let page = page(&context(), &view, true);
    let lines = outline(&page);
    assert!(lines[2].starts_with("Soita 02-2767 171 ja lue ensin tunnus, sitten kertasalasana."));
    assert_eq!(
        lines.last().unwrap(),
        "[Kopioitu] [Sulje yhteys]",
        "no button has the focus"
    );
    let fields = &view.code.as_ref().unwrap().fields;
    let both = format!("{} {}", fields[0].digits, fields[1].digits);
    assert_eq!(page.code().as_deref(), Some(&both));
}

#[test]
fn between_two_codes_none_is_shown() {
    let view = View {
        code: None,
        ..waiting(vec![Notice::CodeForgotten])
    };
    let expected = [
        "i Vanha koodi ei enää kelpaa. Lue uusi koodi.",
        "~ Avataan yhteyttä…",
        "- Tuki näkee näyttösi vasta, kun annat luvan.",
        "[Peruuta]",
    ];
    check_with_head(&view, Visibility::OnTop, &expected);
}

#[test]
fn a_question_can_be_answered_after_a_second_and_no_is_marked() {
    let view = |answers| {
        [
            "# Saako Maija Virtanen (Ecom Oy) katsoa näyttöäsi?",
            "Maija Virtanen näkee silloin kaiken, mitä näytölläsi on.",
            "- Jos et vastaa, lupaa ei anneta. Aikaa 59 s. Näppäimistöllä: Alt ja alleviivattu kirjain.",
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
        "- Jos et vastaa, lupaa ei anneta. Aikaa 59 s. Näppäimistöllä: Alt ja alleviivattu kirjain.",
        "[Salli ohjaus] [Älä salli]*",
    ];
    check(&asked(Ask::Control, true), Visibility::OnTop, &control);
    let switch = [
        "# Saako Maija Virtanen vaihtaa toiseen etätukeen?",
        "Uusi etätuki on Ecom Etätuki. Tämä yhteys suljetaan, ja saat uuden koodin.",
        "- Jos et vastaa, lupaa ei anneta. Aikaa 59 s. Näppäimistöllä: Alt ja alleviivattu kirjain.",
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
    let lines = outline(&page(&context(), &view, false));
    assert_eq!(
        lines[1],
        "Jos valitset Vain Tilitin, tuki näkee muun näytön harmaana."
    );
    assert_eq!(
        lines.last().unwrap(),
        "[Vain Tilitin] [Koko näyttö] [Älä salli]*"
    );
}

#[test]
fn the_agent_is_told_the_question_and_its_buttons_word_for_word() {
    let check = |view: &View, wanted: &[(&str, Answer)]| {
        let page = page(&context(), view, false);
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
    let last = outline(&page(&context(), &offering, false)).pop().unwrap();
    let quoted = quote::question_text(&page(&context(), &offering, false));
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
    let shown =
        bar::status(&context().texts, &app_only(CONTROL)).map(|status| status.sentence.whole());
    assert_eq!(
        shown.as_deref(),
        Some("Maija Virtanen ohjaa vain ohjelmaa Tilitin")
    );
    let control = View {
        app_sharing: app_sharing(true),
        ..asked(Ask::Control, true)
    };
    assert_eq!(
        outline(&page(&context(), &control, false))[0],
        "# Saako Maija Virtanen käyttää hiirtäsi ja näppäimistöäsi ohjelmassa Tilitin?"
    );
}

#[test]
fn the_customer_reads_what_support_sees() {
    let check = |view: &View, expected: &str| {
        let bar = bar::status(&context().texts, view).expect("somebody is connected");
        assert_eq!(bar.sentence.whole(), expected);
        let sentence = expected.split_once(". ").map_or(expected, |(_, sees)| sees);
        let page = outline(&page(&context(), view, false));
        assert!(page.iter().any(|line| line.contains(sentence)), "{page:?}");
    };
    let screen = |screen, permissions| View {
        screen,
        ..connected(permissions)
    };
    check(
        &screen(ScreenCondition::Locked, VIEW),
        "Maija Virtanen katsoo näyttöäsi. Tuki näkee vain lukitusnäytön.",
    );
    check(
        &View {
            app_sharing: app_sharing(true),
            ..screen(ScreenCondition::Locked, VIEW)
        },
        "Maija Virtanen katsoo vain ohjelmaa Tilitin. Tuki ei näe mitään, kun näyttö on lukittu.",
    );
    check(
        &screen(ScreenCondition::PluginHung, CONTROL),
        "Maija Virtanen ohjaa konettasi. Tuen kuva on juuri nyt pysähtynyt.",
    );
    check(
        &screen(ScreenCondition::Visible, CONTROL),
        "Maija Virtanen ohjaa konettasi",
    );
    // Nobody who may not look is told of.
    check(
        &screen(ScreenCondition::LineSlow, NONE),
        "Maija Virtanen on yhteydessä, mutta ei näe näyttöäsi",
    );
}

#[test]
fn an_interrupted_session_counts_down() {
    let view = View {
        agent: Some(agent()),
        interrupted_seconds_left: Some(107),
        ..in_state(State::Interrupted)
    };
    let now = "i Yhteys on poikki.";
    let more = "Maija Virtanen ei nyt näe näyttöäsi eikä voi tehdä koneellasi mitään. Sinun ei tarvitse tehdä mitään: yhteyttä yritetään itsestään uudelleen vielä 1:47.";
    let expected = [now, more, "[Sulje yhteys]*"];
    check_with_head(&view, Visibility::Iconified, &expected);
    let controlled = View {
        kept_permissions: Permissions {
            view: true,
            control: true,
        },
        ..view
    };
    let expected = [
        now,
        more,
        "Kun yhteys palaa, Maija Virtanen voi taas ohjata konettasi. Jos et halua sitä, ota ohjaus takaisin.",
        "[Sulje yhteys] [Ota ohjaus takaisin]*",
    ];
    check_with_head(&controlled, Visibility::Iconified, &expected);
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
        "Maija Virtanen katsoi näyttöäsi 12 min ja ohjasi konettasi 4 min.",
        nobody,
    );
    check(&view(receipt(720, 250)), Visibility::OnTop, &both);
    let looked = page("Maija Virtanen katsoi näyttöäsi 45 sekuntia.", nobody);
    check(&view(receipt(45, 0)), Visibility::OnTop, &looked);
    let alone = |times: (u64, u64)| {
        let mut receipt = receipt(times.0, times.1).unwrap();
        receipt.program = Some("GnuCash".into());
        view(Some(receipt))
    };
    let both = "Maija Virtanen katsoi vain ohjelmaa GnuCash 11 sekuntia ja ohjasi sitä 6 sekuntia.";
    check(&alone((11, 6)), Visibility::OnTop, &page(both, nobody));
    let looked = "Maija Virtanen katsoi vain ohjelmaa GnuCash 1 sekunnin.";
    check(&alone((1, 0)), Visibility::OnTop, &page(looked, nobody));
    let refused = page("Maija Virtanen ei nähnyt näyttöäsi.", nobody);
    check(&view(receipt(0, 0)), Visibility::OnTop, &refused);
    let mut never = page("", "+ Kukaan ei nähnyt näyttöäsi.").to_vec();
    never.remove(2);
    check(&view(None), Visibility::Shown, &never);
}

#[test]
fn every_failure_says_what_happened_and_offers_what_its_sentence_names() {
    let texts = Texts::load(Language::Fi);
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
        let mut context = context();
        context
            .labels
            .insert("remoteus-2008".into(), "Remoteus".into());
        let lines = outline(&page(&context, &view, false));
        assert_eq!(
            lines[0],
            format!("# {}", texts.failure(name.as_str()).happened)
        );
        assert!(lines.contains(&"+ Kukaan ei enää näe näyttöäsi.".to_owned()));
        assert!(lines.contains(&format!("- Kerro tuelle: {}", name.as_str())));
        let buttons = lines.last().unwrap();
        let todo = &texts.failure(name.as_str()).todo;
        // The first thing that the sentence names has Enter on it.
        let first = [
            ("Valitse toinen", "[Valitse toinen etätuki]*"),
            ("ritä uudelleen", "[Yritä uudelleen]*"),
        ]
        .into_iter()
        .filter_map(|(words, button)| Some((todo.find(words)?, button)))
        .min();
        if let Some((_, button)) = first {
            assert!(buttons.contains(button), "{name:?}: {todo} {buttons}");
        }
        let offers_other = buttons.contains("Valitse toinen etätuki");
        assert_eq!(
            offers_other,
            Remedy::of(name) != Remedy::Retry && Remedy::of(name) != Remedy::None
        );
        context.labels.retain(|id, _| id == "ecom");
        let alone = outline(&page(&context, &view, false));
        assert!(
            !alone.last().unwrap().contains("Valitse"),
            "there is no other entry"
        );
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
            let page = page(&context, view, false);
            page.buttons
                .iter()
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
    let see = |view: &View| outline(&page(&context, view, false))[2..].to_vec();
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
    assert_eq!(
        status.sentence.whole(),
        "Joku on yhteydessä tietokoneeseesi"
    );
    assert_eq!(bar::status(&context.texts, &in_state(State::Waiting)), None);
    let over = outline(&page(&context, &in_state(State::Closed), false));
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
    let text =
        |view: &View| bar::status(&context().texts, view).map(|status| status.sentence.whole());
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
