//! The console's page: typing the code, comparing the picture, control, switching, the end.

use std::process::Command;

use etatuki::language::Language;
use etatuki::texts::{Texts, fill};
use serde_json::json;
use x11rb::protocol::xproto::KeyButMask;

use crate::console_page::{ConsolePage, start_console, web};
use crate::customer::Customer;
use crate::desktop::Desktop;
use crate::testbed::{
    AGENT_NAME, ORGANISATION, Testbed, expect_all_gone, process_tree, wait_until,
};
use crate::windows::Launcher;

/// Keysym of the Delete key.
const DELETE: u32 = 0xffff;

/// Returns the digits with the last one wrong.
fn mistyped(digits: &str) -> String {
    let last = digits.chars().last().unwrap().to_digit(10).unwrap();
    format!("{}{}", &digits[..digits.len() - 1], (last + 1) % 10)
}

/// Types the code as it is heard, after one mistake.
fn type_code(page: &mut ConsolePage, code: &[String]) {
    page.type_into("code", &mistyped(&code[0]));
    let hint = page.expect_text("hint", "a digit is wrong");
    assert!(!page.is_enabled("connect"), "{hint}");
    page.screenshot("page-1-wrong-digit.png");
    page.key("key", "Backspace");
    page.type_into("code", &code[0][code[0].len() - 1..]);
    page.expect_text("hint", "Now the password");
    page.type_into("password", &code[1]);
    page.expect_text("hint", "Press Enter");
    page.screenshot("page-2-code.png");
}

#[test]
fn page() {
    let testbed = Testbed::new();
    let desktop = Desktop::open(testbed.display.name());
    desktop.draw(1);
    let mut customer = Customer::start(&testbed, "ecom", &["--app-version", "4.13"]);
    let code = customer.code();
    customer.expect_state("waiting");
    let mut page = ConsolePage::open(&testbed);
    page.screenshot("page-0-ready.png");

    check_dead_code(&mut page);
    type_code(&mut page, &code);
    page.key("key", "Enter");
    let question = customer.expect_question("view");
    page.expect_text("wait", "Waiting for the customer's permission");
    page.screenshot("page-3-waiting.png");
    customer.answer(question, true);
    page.expect_attribute("state", "data-permission", "view");
    page.expect_picture(&desktop);
    desktop.draw(2);
    page.expect_picture(&desktop);
    page.screenshot("page-4-viewing.png");
    page.run(&json!({"do": "another-tab"}));
    page.expect_picture(&desktop);

    check_control(&mut page, &mut customer, &desktop);
    check_held_input(&mut page, &desktop);
    check_leaving(&mut page);
    check_switch(&mut page, &mut customer, &testbed);

    page.close();
}

/// The launcher's own window in Finnish, the page in Swedish: the agent reads the question and each
/// button as the customer does, and what they mean.
#[test]
fn the_customers_words_are_quoted() {
    let testbed = Testbed::with_window_manager();
    let program = std::process::id().to_string();
    let arguments = ["--program-pid", &program, "--program-name", "GnuCash"];
    let arguments = [&arguments[..], &["open", "ecom"]].concat();
    let (launcher, xdotool) = Launcher::start(&testbed, &arguments);
    xdotool.expect_focus("Ecom Etätuki");
    let code = xdotool.copied_code();
    let mut page = ConsolePage::open_with(&testbed, &["--language", "sv"]);
    page.expect_text("labels", "Tunnus (ID)");
    page.paste("code", &format!("Koodi: {code}"));
    page.expect_text("hint", "Tryck på Enter");
    page.key("key", "Enter");
    let texts = Texts::load(Language::Fi);
    let agent = [
        ("name", AGENT_NAME),
        ("organisation", ORGANISATION),
        ("program", "GnuCash"),
    ];
    let asked = fill(&texts.question.view, &agent);
    page.expect_text("quote", &asked);
    let card = page.expect_text("wait-question", "s på sig att svara");
    let label = |text: &str| fill(text, &agent).replace('&', "");
    for expected in [
        label(&texts.question.view_program),
        label(&texts.question.view_all),
        label(&texts.question.deny),
        "visar hela skärmen".to_owned(),
        "visar bara bokföringsprogrammet".to_owned(),
        "nekar".to_owned(),
    ] {
        assert!(card.contains(&expected), "{expected} isn't in {card}");
    }
    page.screenshot("page-quoted.png");
    page.end();
    page.expect_text("outcome", "Du avslutade den");
    page.close();
    drop(launcher);
}

/// Every state of the page, in each language and in windows of several sizes: nothing that axe-core
/// finds, nothing outside of the window, the focus always somewhere. A folder in PAGE_STATES gets a
/// screenshot of each.
#[test]
fn every_state_can_be_read_and_reached() {
    let testbed = Testbed::new();
    std::thread::scope(|scope| {
        for (language, setting) in [("sv", "narrow"), ("en", "zoomed"), ("fi", "dark")] {
            let testbed = &testbed;
            scope.spawn(move || check_states(testbed, language, setting));
        }
    });
}

fn check_states(testbed: &Testbed, language: &str, setting: &str) {
    let (_console, address) = start_console(testbed, &["--language", language]);
    let looked = Command::new("node")
        .arg(web().join("e2e/states.mjs"))
        .args([&address, setting])
        .args(std::env::var_os("PAGE_STATES"))
        .env_remove("DISPLAY")
        .output()
        .unwrap();
    let faults: Vec<String> = serde_json::from_slice(&looked.stdout).unwrap_or_else(|_| {
        let error = String::from_utf8_lossy(&looked.stderr);
        panic!("the script failed: {error}")
    });
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Two monitors: the agent looks at either alone, points at the right place, and sees where the
/// customer points.
#[test]
fn screens() {
    let testbed = Testbed::new();
    let desktop = Desktop::open(testbed.display.name());
    desktop.draw(1);
    let mut customer = Customer::start(&testbed, "ecom", &[]);
    let code = customer.code();
    customer.expect_state("waiting");
    let mut page = ConsolePage::open(&testbed);
    page.type_into("code", &code[0]);
    page.type_into("password", &code[1]);
    page.key("key", "Enter");
    customer.allow("view");
    page.expect_attribute("state", "data-permission", "view");
    page.expect_picture(&desktop);
    page.expect_attribute("screens", "hidden", "");

    set_monitors(
        &testbed,
        &["--setmonitor", "l", "600/100x768/100+0+0", "screen"],
    );
    set_monitors(
        &testbed,
        &["--setmonitor", "r", "424/100x500/100+600+200", "none"],
    );
    page.expect_text("screens", "Screen 2");
    page.expect_attribute("picture", "data-screen", "all");
    desktop.move_pointer(700, 300);
    page.expect_pointer(700, 300);
    page.screenshot("page-screens-1-all.png");
    page.press("screen-2");
    page.expect_attribute("picture", "data-screen", "2");
    page.expect_pointer(700, 300);
    page.screenshot("page-screens-2-right.png");
    page.expect_picture(&desktop);

    page.press("ask-control");
    customer.allow("control");
    page.expect_attribute("state", "data-permission", "control");
    page.move_mouse(&desktop, (0.5, 0.5), (812, 450));
    page.move_mouse(&desktop, (0.02, 0.98), (608, 690));
    page.key("key", "Control+Alt+Shift+Digit1");
    page.expect_attribute("picture", "data-screen", "1");
    page.move_mouse(&desktop, (0.5, 0.5), (300, 384));
    page.press("scale-exact");
    page.move_mouse(&desktop, (0.25, 0.25), (150, 192));
    page.screenshot("page-screens-3-left-exact.png");
    desktop.move_pointer(20, 30);
    page.expect_pointer(20, 30);
    page.press("screen-0");
    page.expect_attribute("picture", "data-screen", "all");
    page.move_mouse(&desktop, (0.5, 0.5), (512, 384));
    page.press("scale-fit");
    page.press("screen-1");

    // The chosen monitor is gone, and so is the choice.
    set_monitors(&testbed, &["--delmonitor", "l"]);
    set_monitors(&testbed, &["--delmonitor", "r"]);
    page.expect_attribute("screens", "hidden", "");
    page.expect_attribute("picture", "data-screen", "all");
    page.expect_picture(&desktop);
    page.end();
    customer.expect_type("closed");
    assert!(customer.wait_exit().success());
    page.close();
}

/// Sets the monitors of the customer's desktop.
fn set_monitors(testbed: &Testbed, arguments: &[&str]) {
    let mut xrandr = Command::new("xrandr");
    xrandr.args(["-display", testbed.display.name()]);
    let output = xrandr.args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Checks that nothing of a code that nobody waits with is left: the customer's new one is typed, or
/// pasted, from its first digit on.
fn check_dead_code(page: &mut ConsolePage) {
    let dead = etatuki_trust::SessionCode::mint("99999999".parse().unwrap(), [3; 8]);
    let shown = dead.shown();
    let [id, password] = [0, 1].map(|at| shown.fields[at].digits.as_str());
    page.paste("code", &format!("ID: {id}, salasana: {password}"));
    page.expect_text("hint", "ID and password. Press Enter.");
    assert_eq!([page.value("code"), page.value("password")], [id, password]);
    page.key("key", "Enter");
    page.expect_attribute("outcome", "data-name", "unknown-nameplate");
    page.expect_focus("code");
    assert_eq!([page.value("code"), page.value("password")], ["", ""]);
    page.expect_attribute("hint", "data-tone", "quiet");
    page.paste("code", &format!("{id}\n{password}7"));
    page.expect_attribute("hint", "data-tone", "bad");
    // A whole new code in the password field of another one.
    page.paste(
        "password",
        &format!("Tunnus (ID)\n{id}\nKertasalasana\n{password}"),
    );
    page.expect_text("hint", "Press Enter");
    page.run(&json!({"do": "clear"}));
}

/// Checks that a key reaches the real window once the customer has allowed control, and not before.
fn check_control(page: &mut ConsolePage, customer: &mut Customer, desktop: &Desktop) {
    desktop.focus();
    desktop.keys();
    page.expect_focus("ask-control");
    page.run(&json!({"do": "focus-picture"}));
    page.key("key", "a");
    page.expect_text("toast", "Nothing was sent");
    page.key("key", "Control+Alt+Shift+KeyC");
    customer.deny("control");
    page.expect_text(
        "toast",
        "didn't give you control. You can ask 2 more times.",
    );
    page.key("key", "Control+Alt+Shift+KeyT");
    page.expect_focus("ask-control");
    page.expect_text("ask-control", "2 left");
    page.key("key", "Enter");
    let question = customer.expect_question("control");
    page.expect_text("question", "May you use the mouse and keyboard?");
    page.key("key", "a");
    page.screenshot("page-5-control-asked.png");
    desktop.draw(3);
    page.expect_picture(desktop);
    assert_eq!(desktop.keys(), [], "a key came through without control");
    customer.answer(question, true);
    page.expect_attribute("state", "data-permission", "control");
    desktop.focus();
    page.key("down", "a");
    desktop.expect_press();
    page.key("up", "a");
    wait_until("the key to be released", || {
        desktop.held_input().0.is_empty().then_some(())
    });
    page.screenshot("page-6-control.png");
}

/// Checks that a shortcut sends exactly its keys, and that nothing stays down at the customer when the
/// picture loses the keyboard.
fn check_held_input(page: &mut ConsolePage, desktop: &Desktop) {
    let modifiers = ["Control", "Alt", "Shift"];
    let held = |page: &mut ConsolePage, what: &str| {
        for key in modifiers {
            page.key(what, key);
        }
    };
    desktop.focus();
    page.run(&json!({"do": "focus-picture"}));
    held(page, "down");
    page.key("key", "d");
    let state = desktop.expect_press_of(DELETE);
    assert_eq!(state, KeyButMask::CONTROL | KeyButMask::MOD1);
    desktop.expect_nothing_held("after Ctrl-Alt-Del");
    held(page, "up");
    desktop.expect_nothing_held("after the shortcut");

    // The keyboard goes to the buttons, with everything still held at the agent.
    let (x, y) = (170.0 / 1024.0, 400.0 / 768.0);
    page.run(&json!({"do": "aim", "x": x, "y": y}));
    page.run(&json!({"do": "mouse-down"}));
    wait_until("the mouse button to be held", || {
        (desktop.held_input().1 != 0).then_some(())
    });
    held(page, "down");
    page.key("key", "t");
    desktop.expect_nothing_held("after Ctrl+Alt+Shift+T");
    held(page, "up");
    page.run(&json!({"do": "mouse-up"}));

    page.run(&json!({"do": "focus-picture"}));
    page.key("down", "Shift");
    wait_until("Shift to be held", || {
        (desktop.held_input().0.len() == 1).then_some(())
    });
    page.press("scale-fit");
    desktop.expect_nothing_held("after a click outside of the picture");
    page.key("up", "Shift");
    desktop.expect_nothing_held("at the end");
}

/// Checks that the browser asks before a tab with a session is closed, and that the session goes on.
fn check_leaving(page: &mut ConsolePage) {
    let asked = page.run(&json!({"do": "close-tab"}));
    assert_eq!(asked, "beforeunload");
    page.expect_attribute("state", "data-permission", "control");
}

/// Checks the switch: the session ends, and the customer's next one, with a code of the other form,
/// opens the other tool.
fn check_switch(page: &mut ConsolePage, customer: &mut Customer, testbed: &Testbed) {
    let first = process_tree(customer.process.pid().as_raw_nonzero().get().unsigned_abs());
    page.press("others-open");
    page.press("ask-switch-remoteus-2008");
    let question = customer.expect_question("switch");
    page.expect_text("question", "May you switch to Remoteus");
    page.screenshot("page-7-switch-asked.png");
    customer.answer(question, true);
    let closed = customer.expect_type("closed");
    let next = closed["receipt"]["switch_to"].as_str().unwrap().to_owned();
    assert_eq!(next, "remoteus-2008");
    assert_eq!(closed["receipt"]["agent"]["name"], AGENT_NAME);
    assert!(customer.wait_exit().success());
    expect_all_gone(&first);
    page.expect_attribute("state", "data-state", "ended");
    page.screenshot("page-8-ended.png");

    // An integrator opens the entry that `switch_to` names.
    let mut customer = Customer::start(testbed, &next, &[]);
    let code = customer.code();
    let [code] = code.as_slice() else {
        panic!("a session code is one field")
    };
    customer.expect_state("waiting");
    page.type_into("code", code);
    page.press("connect");
    customer.allow("view");
    page.expect_attribute("state", "data-permission", "view");
    let desktop = Desktop::open(testbed.display.name());
    desktop.draw(4);
    page.expect_picture(&desktop);
    page.screenshot("page-9-switched.png");

    let second = process_tree(customer.process.pid().as_raw_nonzero().get().unsigned_abs());
    page.end();
    customer.expect_type("closed");
    assert!(customer.wait_exit().success());
    expect_all_gone(&second);
    page.expect_attribute("state", "data-state", "ended");
}
