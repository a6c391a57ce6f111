//! Shows one of the launcher's windows with a made-up view, until it is killed:
//! `cargo run --example windows -- NAME LANGUAGE`. Without arguments it lists the names.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use etatuki::language::Language;
use etatuki::registry::Connect;
use etatuki::texts::Texts;
use etatuki::window::app;
use etatuki::window::button::ActionHandler;
use etatuki::window::failure;
use etatuki::window::menu::{MenuEntry, MenuWindow};
use etatuki::window::page_window::{Focus, PageWindow};
use etatuki::window::session::SessionWindow;
use etatuki::window::session_context::{SessionContext, Vendor};
use etatuki::window::theme;
use etatuki_session_core::{
    AgentIdentity, AppSharing, Ask, Failure, FailureName, Notice, Permissions, Question, Receipt,
    ScreenCondition, State, View,
};
use etatuki_trust::{CodeForm, Nameplate, SessionCode};

const NAMES: [&str; 36] = [
    "menu",
    "menu-grey",
    "about",
    "before",
    "opening",
    "code-ecom",
    "code-remoteus",
    "code-renewed",
    "code-wrong",
    "code-stranger",
    "code-away",
    "view-early",
    "view-program",
    "view",
    "view-long",
    "control",
    "restart",
    "switch",
    "connected",
    "viewing",
    "controlling",
    "viewing-locked",
    "controlling-slow",
    "controlling-hung",
    "viewing-restart",
    "controlling-restart",
    "interrupted",
    "coming-back",
    "closing",
    "receipt",
    "receipt-nobody",
    "receipt-program",
    "failed",
    "failed-other",
    "broken",
    "hung",
];

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

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [name, language] = arguments.as_slice() else {
        return eprintln!("{}", NAMES.join(" "));
    };
    let language = Language::ALL
        .into_iter()
        .find(|known| known.code() == language);
    let texts = Texts::load(language.unwrap_or_default());
    let banner = std::env::var_os("BANNER").map(|_| texts.window.development.clone());
    let fltk = theme::init();
    match name.as_str() {
        "menu" | "menu-grey" | "about" => show_menu(&texts, banner.as_deref(), name),
        "broken" => {
            let detail = "/etc/etatuki/backends.toml, line 12, key `backend.form`: unknown variant \
                          `letters`, expected `remoteus` or `ecom`; write \"ecom\" or \"remoteus\"";
            let support = vendor().support(&texts);
            eprintln!("shown");
            return app::show_fatal(&texts, "registry-broken", Some(&support), Some(detail));
        }
        "hung" => show_hung(&texts),
        _ => show_session(texts, banner.as_deref(), name),
    }
    // A question's page has replaced the code's by now: who makes pictures waits for this line.
    eprintln!("shown");
    while fltk.wait() {}
}

fn show_menu(texts: &Texts, banner: Option<&str>, name: &str) {
    let entry = |id: &str, label: &str| MenuEntry {
        id: id.into(),
        label: label.into(),
        fits: None,
        unusable: None,
    };
    let mut entries = [
        entry("ecom", "Ecom Etätuki"),
        entry("remoteus-2008", "Remoteus etätuki (2008)"),
        entry("remoteus-2010", "Remoteus etätuki (2010)"),
    ];
    if name == "menu-grey" {
        entries[1].fits = Some("2008.4".into());
        entries[2].unusable = Some("tool-missing".into());
    }
    let mut menu = MenuWindow::new(texts, &vendor(), &entries, banner, &no_action());
    if name == "about" {
        menu.toggle_about();
    }
    menu.show();
    // It lives as long as the program.
    std::mem::forget(menu);
}

fn show_hung(texts: &Texts) {
    let mut window = PageWindow::new(&texts.window.title, None, no_action(), |_| 0);
    let support = vendor().support(texts);
    window.set(failure::hung_launcher(texts, &support), Focus::Take);
    window.centre();
    window.show();
    std::mem::forget(window);
}

fn show_session(texts: Texts, banner: Option<&str>, name: &str) {
    let labels = BTreeMap::from([
        ("ecom".into(), "Ecom Etätuki".into()),
        ("remoteus-2008".into(), "Remoteus etätuki (2008)".into()),
    ]);
    let remoteus = matches!(name, "before" | "code-remoteus" | "code-renewed");
    let label = if remoteus {
        "Remoteus etätuki (2010)"
    } else {
        "Ecom Etätuki"
    };
    let context = SessionContext {
        texts,
        label: label.into(),
        external_transport: false,
        vendor: vendor(),
        labels,
    };
    let connect = if remoteus {
        Connect::OnClick
    } else {
        Connect::AtOnce
    };
    let mut window = SessionWindow::new(context, banner, connect, &no_action());
    window.show();
    if let Some(view) = view(name) {
        window.set(empty(State::Opening));
        if view.question.is_some() {
            // A question follows a code, in the same window.
            window.set(waiting(CodeForm::IdAndPassword, vec![]));
            let shown = Instant::now();
            while shown.elapsed() < Duration::from_millis(500) {
                let _ = fltk::app::wait_for(0.05);
            }
        }
        window.set(view);
    }
    std::mem::forget(window);
}

fn vendor() -> Vendor {
    Vendor {
        name: "Ecom".into(),
        phone: "02-2767 171".into(),
    }
}

fn agent() -> AgentIdentity {
    AgentIdentity {
        name: "Maija Virtanen".into(),
        organisation: "Ecom Oy".into(),
    }
}

fn empty(state: State) -> View {
    View {
        state,
        code: None,
        agent: None,
        permissions: NONE,
        kept_permissions: NONE,
        question: None,
        restart_allowed: false,
        coming_back: false,
        screen: ScreenCondition::Visible,
        app_sharing: None,
        notices: Vec::new(),
        failure: None,
        receipt: None,
        waiting_seconds_left: None,
        interrupted_seconds_left: None,
    }
}

fn waiting(form: CodeForm, notices: Vec<Notice>) -> View {
    let digits = match form {
        CodeForm::SingleCode => "482915",
        CodeForm::IdAndPassword => "48291573",
    };
    let nameplate = Nameplate::new(form, digits).expect("these digits are a nameplate");
    View {
        code: Some(SessionCode::mint(nameplate, [0x5a, 3, 9, 7, 0, 0, 0, 0]).shown()),
        notices,
        waiting_seconds_left: Some(581),
        ..empty(State::Waiting)
    }
}

fn connected(permissions: Permissions) -> View {
    View {
        agent: Some(agent()),
        permissions,
        ..empty(State::Connected)
    }
}

fn asking(ask: Ask, answerable: bool) -> View {
    let seconds_left = if answerable { 54 } else { 60 };
    let permissions = if ask == Ask::View { NONE } else { VIEW };
    let question = Question {
        id: 1,
        ask,
        seconds_left,
        answerable,
    };
    View {
        question: Some(question),
        ..connected(permissions)
    }
}

fn receipt(viewed_seconds: u64, controlled_seconds: u64) -> Receipt {
    Receipt {
        agent: agent(),
        viewed_seconds,
        controlled_seconds,
        program: None,
        switch_to: None,
    }
}

fn view(name: &str) -> Option<View> {
    let wrong = Notice::WrongCodeTried {
        agent: agent(),
        left: 2,
    };
    Some(match name {
        "opening" => empty(State::Opening),
        "closing" => empty(State::Closing),
        "code-ecom" => waiting(CodeForm::IdAndPassword, vec![]),
        "code-remoteus" => waiting(CodeForm::SingleCode, vec![]),
        "code-renewed" => waiting(CodeForm::SingleCode, vec![Notice::CodeRenewed]),
        "code-wrong" => waiting(CodeForm::IdAndPassword, vec![wrong]),
        "code-stranger" => waiting(
            CodeForm::IdAndPassword,
            vec![wrong, Notice::UnauthorizedAttempt],
        ),
        "code-away" => waiting(CodeForm::IdAndPassword, vec![Notice::ServiceLost]),
        "view-early" => asking(Ask::View, false),
        "view-program" => View {
            app_sharing: Some(AppSharing {
                name: "Tilitin".into(),
                app_only: false,
            }),
            ..asking(Ask::View, true)
        },
        "view" => asking(Ask::View, true),
        "view-long" => View {
            agent: Some(AgentIdentity {
                name: "Anna-Kaarina Hämäläinen-Österlund @& Co".into(),
                organisation: "Länsi-Uudenmaan Tilitoimistopalvelut ja Kumppanit Osakeyhtiö".into(),
            }),
            ..asking(Ask::View, true)
        },
        "control" => asking(Ask::Control, true),
        "switch" => asking(
            Ask::Switch {
                backend: "remoteus-2008".into(),
            },
            true,
        ),
        "restart" => asking(Ask::Restart, true),
        "viewing-restart" => View {
            restart_allowed: true,
            ..connected(VIEW)
        },
        "controlling-restart" => View {
            restart_allowed: true,
            ..connected(CONTROL)
        },
        "connected" => connected(NONE),
        "viewing" => connected(VIEW),
        "controlling" => connected(CONTROL),
        "viewing-locked" => View {
            screen: ScreenCondition::Locked,
            ..connected(VIEW)
        },
        "controlling-slow" => View {
            screen: ScreenCondition::LineSlow,
            ..connected(CONTROL)
        },
        "controlling-hung" => View {
            screen: ScreenCondition::ProgramHung,
            ..connected(CONTROL)
        },
        "interrupted" => View {
            agent: Some(agent()),
            kept_permissions: CONTROL,
            interrupted_seconds_left: Some(107),
            ..empty(State::Interrupted)
        },
        "coming-back" => View {
            coming_back: true,
            interrupted_seconds_left: Some(731),
            agent: Some(agent()),
            ..empty(State::Interrupted)
        },
        "receipt" => View {
            agent: Some(agent()),
            receipt: Some(receipt(720, 250)),
            ..empty(State::Closed)
        },
        "receipt-program" => View {
            agent: Some(agent()),
            receipt: Some(Receipt {
                program: Some("Tilitin".into()),
                ..receipt(11, 6)
            }),
            ..empty(State::Closed)
        },
        "receipt-nobody" => empty(State::Closed),
        "failed" => View {
            agent: Some(agent()),
            receipt: Some(receipt(45, 0)),
            failure: Some(Failure {
                name: FailureName::ToolDied,
                detail: String::new(),
            }),
            ..empty(State::Failed)
        },
        "failed-other" => View {
            failure: Some(Failure {
                name: FailureName::ToolMissing,
                detail: String::new(),
            }),
            ..empty(State::Failed)
        },
        _ => return None,
    })
}

/// Returns a handler that ignores all buttons.
fn no_action() -> ActionHandler {
    Rc::new(|_| {})
}
