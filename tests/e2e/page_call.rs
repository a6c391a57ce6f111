//! A call as an agent of forty calls a day has it: a code that is heard wrong, eyes elsewhere while the
//! customer answers, the wheel, full screen, a case number and a copied log.

use serde_json::{Value, json};

use crate::console_page::ConsolePage;
use crate::customer::Customer;
use crate::desktop::Desktop;
use crate::testbed::{Testbed, wait_until};

#[test]
fn a_call_at_the_page() {
    let testbed = Testbed::new();
    let desktop = Desktop::open(testbed.display.name());
    desktop.draw(1);
    let mut customer = Customer::start(&testbed, "ecom", &[]);
    let mut page = ConsolePage::open(&testbed);
    let code = burn_a_code(&mut page, &mut customer);
    page.press("about-open");
    page.press("sound");
    page.press("notify");
    page.press("about-close");
    page.expect_focus("code");
    page.paste("code", &code.join(" "));
    page.key("key", "Enter");

    check_alerts(&mut page, &mut customer);
    page.expect_picture(&desktop);
    check_wheel(&mut page, &desktop);
    check_copied_log(&mut page);
    check_full_screen(&mut page, &mut customer);
    page.close();
}

/// Types a code wrong until it is burnt, and checks that nothing of it is left in the form. Returns the
/// customer's new code.
fn burn_a_code(page: &mut ConsolePage, customer: &mut Customer) -> Vec<String> {
    let code = customer.code();
    customer.expect_state("waiting");
    let [id, password] = [&code[0], &code[1]];
    page.paste("code", id);
    let (head, last) = password.split_at(password.len() - 1);
    let last: u8 = last.parse().unwrap();
    for wrong in 1..=3 {
        page.expect_focus("password");
        page.type_into("password", &format!("{head}{}", (last + wrong) % 10));
        page.key("key", "Enter");
        wait_until("the wrong password to be gone", || {
            page.value("password").is_empty().then_some(())
        });
    }
    page.expect_text(
        "hint",
        "After three wrong tries the customer has a new code",
    );
    page.expect_focus("code");
    assert_eq!(page.value("code"), "");
    // The burnt code is taken away before there is a new one.
    assert!(customer.code().is_empty());
    customer.code()
}

/// Returns how many tones the page played, and the texts of its notifications.
fn alerts(page: &mut ConsolePage) -> (u64, Value) {
    let alerts = page.run(&json!({"do": "alerts"}));
    (
        alerts["tones"].as_u64().unwrap(),
        alerts["notifications"].clone(),
    )
}

fn title(page: &mut ConsolePage) -> String {
    let title = page.run(&json!({"do": "title"}));
    title.as_str().unwrap().to_owned()
}

/// Checks that an answer is heard, notified of and marked in the title while another tab is in front; and
/// that it is shown alone where the agent looks, without a sound once that is off.
fn check_alerts(page: &mut ConsolePage, customer: &mut Customer) {
    let allowed = "The customer allowed you to see the screen";
    let question = customer.expect_question("view");
    let (before, _) = alerts(page);
    page.run(&json!({"do": "look-away"}));
    customer.answer(question, true);
    wait_until("the mark in the title", || {
        let expected = format!("● {allowed} · Viewing · ");
        title(page).starts_with(&expected).then_some(())
    });
    wait_until("the sound and the notification", || {
        let (tones, notified) = alerts(page);
        (tones > before && notified == json!([allowed])).then_some(())
    });
    page.run(&json!({"do": "look-back"}));
    wait_until("the mark to go", || {
        title(page).starts_with("Viewing · ").then_some(())
    });

    page.press("about-open");
    page.press("sound");
    page.press("about-close");
    let before = alerts(page);
    page.press("ask-control");
    customer.allow("control");
    page.expect_text("toast", "The customer gave you control");
    page.expect_attribute("state", "data-permission", "control");
    assert!(title(page).starts_with("In control · "));
    assert_eq!(alerts(page), before, "a sound or a notification");
}

/// Checks that the wheel turns as far at the customer's as the agent's browser says: a notch, a page,
/// back, and sideways.
fn check_wheel(page: &mut ConsolePage, desktop: &Desktop) {
    page.move_mouse(desktop, (190.0 / 1024.0, 400.0 / 768.0), (190, 400));
    for (x, y) in [(0, 100), (0, 600), (0, -120), (100, 0), (-100, 0)] {
        page.run(&json!({"do": "wheel", "x": x, "y": y}));
    }
    let expected = [5, 5, 5, 5, 5, 5, 5, 4, 7, 6];
    assert_eq!(desktop.expect_buttons(expected.len()), expected);
}

/// Checks that the log is copied with the case number above it and the note below.
fn check_copied_log(page: &mut ConsolePage) {
    page.type_into("case-number", "2026-17");
    page.type_into("case-note", "VAT return, row 12");
    page.press("copy-log");
    page.expect_text("copy-log", "Copied");
    let copied = page.run(&json!({"do": "clipboard"}));
    let copied = copied.as_str().unwrap();
    assert!(copied.starts_with("Case number: 2026-17\n2"), "{copied}");
    assert!(copied.contains("The customer gave you control"), "{copied}");
    assert!(copied.ends_with("\n\nVAT return, row 12\n"), "{copied}");
}

/// Checks real full screen: in, out by its shortcut, and out by itself when the session ends.
fn check_full_screen(page: &mut ConsolePage, customer: &mut Customer) {
    let expect = |page: &mut ConsolePage, full: bool| {
        wait_until(&format!("full screen: {full}"), || {
            (page.run(&json!({"do": "full-screen"})) == full).then_some(())
        });
        page.expect_attribute("full-screen", "aria-pressed", &full.to_string());
    };
    page.press("full-screen");
    expect(page, true);
    page.key("key", "Control+Alt+Shift+KeyF");
    expect(page, false);
    page.key("key", "Control+Alt+Shift+KeyF");
    expect(page, true);
    customer.send(json!({"type": "close"}));
    customer.expect_type("closed");
    assert!(customer.wait_exit().success());
    page.expect_attribute("state", "data-state", "ended");
    expect(page, false);
    page.expect_focus("code");
}
