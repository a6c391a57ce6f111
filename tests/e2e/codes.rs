//! Wrong codes and wrong cards: both sides are told, and the session goes on.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use etatuki_trust::{AgentCard, AgentFile, AgentKey, CardData, UnixTime, VendorKey};
use serde_json::json;

use crate::agent::Agent;
use crate::customer::Customer;
use crate::outcomes::{expect_agent_fails, expect_no_processes};
use crate::testbed::{AGENT_NAME, ORGANISATION, Testbed, wait_until};

/// Returns the digits of a shown code.
fn digits(shown: &str) -> Vec<u8> {
    shown.bytes().filter(u8::is_ascii_digit).collect()
}

/// Returns the code with one digit changed: the check digit no longer fits.
fn mistyped(shown: &str) -> String {
    let mut code = digits(shown);
    code[2] = b'0' + (code[2] - b'0' + 1) % 10;
    String::from_utf8(code).unwrap()
}

/// Returns an `ecom` code with another password.
fn wrong_password(code: &[String]) -> Vec<String> {
    let mut password = digits(&code[1]);
    password[0] = b'0' + (password[0] - b'0' + 1) % 10;
    vec![code[0].clone(), String::from_utf8(password).unwrap()]
}

/// Closes a waiting session and expects no process to be left.
fn close(testbed: &Testbed, mut customer: Customer) {
    customer.send(json!({"type": "close"}));
    customer.expect_type("closed");
    assert_eq!(customer.wait_exit().code(), Some(0));
    expect_no_processes(testbed);
}

#[test]
fn an_id_that_nobody_has() {
    let testbed = Testbed::new();
    let password = "111 111".to_owned();
    // The other nine check digits are refused before anything is sent.
    let fits = |digit: &u8| etatuki_trust::parse_typed_code(&format!("12345678{digit}")).is_ok();
    let digit = (0..10u8).find(fits).unwrap();
    let known = [format!("123 456 78{digit}"), password];
    expect_agent_fails(Agent::join(&testbed, &known, &[]), "unknown-nameplate", 4);
    expect_no_processes(&testbed);
}

#[test]
fn a_mistyped_digit_is_caught_before_anything_is_sent() {
    let mut testbed = Testbed::new();
    let mut customer = Customer::start(&testbed, "remoteus-2008", &[]);
    let code = customer.code();
    customer.expect_state("waiting");
    // Without a service, a code that was sent would fail by another name.
    testbed.deployment.kill_service().unwrap();
    expect_agent_fails(
        Agent::join(&testbed, &[mistyped(&code[0])], &[]),
        "code-check-digit",
        4,
    );
    close(&testbed, customer);
}

#[test]
fn a_wrong_secret_is_told_to_both_and_the_third_burns_the_code() {
    let testbed = Testbed::new();
    let mut customer = Customer::start(&testbed, "ecom", &[]);
    let code = customer.code();
    customer.expect_state("waiting");
    for left in [2, 1, 0] {
        expect_agent_fails(
            Agent::join(&testbed, &wrong_password(&code), &[]),
            "wrong-code",
            4,
        );
        let notice = customer.expect_type("notice");
        assert_eq!(notice["agent"]["name"], AGENT_NAME, "{notice:#}");
        assert_eq!(notice["agent"]["organisation"], ORGANISATION);
        let name = if left > 0 {
            "wrong-code-tried"
        } else {
            "code-burnt"
        };
        assert_eq!(notice["name"], name, "{notice:#}");
        if left > 0 {
            assert_eq!(notice["left"], left);
        }
    }
    let fresh = wait_until("a fresh code", || {
        let fields = customer.code();
        (fields.len() == 2 && fields != code).then_some(fields)
    });
    assert_ne!(fresh[0], code[0], "the ID is burnt too");

    // The old code is worth nothing now, though right; the fresh one lets the agent in.
    expect_agent_fails(Agent::join(&testbed, &code, &[]), "unknown-nameplate", 4);
    let mut agent = Agent::join(&testbed, &fresh, &[]);
    customer.expect_question("view");
    agent.expect_type("connected");
    customer.send(json!({"type": "close"}));
    customer.expect_type("closed");
    assert_eq!(customer.wait_exit().code(), Some(0));
    assert_eq!(agent.wait_exit().code(), Some(0));
    expect_no_processes(&testbed);
}

/// Returns an agent's file of this vendor, valid since a hundred seconds and for `seconds_left`
/// more.
fn agent_file(vendor: &VendorKey, seconds_left: i64) -> String {
    let key = AgentKey::from_seed([7; 32]);
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let data = CardData {
        serial: 77,
        name: "Erkki Esimerkki".into(),
        organisation: "Muu Oy".into(),
        issued: UnixTime(now - 100),
        expires: UnixTime(now.saturating_add_signed(seconds_left)),
        key: key.public(),
    };
    let card = AgentCard::issue(vendor, data).unwrap();
    AgentFile { card, key }.to_text().to_string()
}

/// Reads the vendor's key of this test bed.
fn vendor_key(testbed: &Testbed) -> VendorKey {
    let text = std::fs::read_to_string(testbed.deployment.folder().join("vendor.key")).unwrap();
    let key = text.lines().find(|line| !line.starts_with('#')).unwrap();
    VendorKey::from_text(key.trim()).unwrap()
}

/// Writes the agent's file, readable for its owner only, as the console wants it.
fn write_agent_file(testbed: &Testbed, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let file = testbed.deployment.agent_file();
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
}

const SOME_CODE: &str = "123456";

/// Returns a valid session code that no customer has.
fn some_code() -> String {
    (0..10u8)
        .map(|digit| format!("{SOME_CODE}11111{digit}"))
        .find(|code| etatuki_trust::parse_typed_code(code).is_ok())
        .unwrap()
}

/// Checks that a join with this agent's file fails by `name`.
fn check_card_refused(text: impl Fn(&Testbed) -> String, name: &str) {
    let testbed = Testbed::new();
    write_agent_file(&testbed, &text(&testbed));
    expect_agent_fails(Agent::join(&testbed, &[some_code()], &[]), name, 6);
    expect_no_processes(&testbed);
}

#[test]
fn an_expired_card() {
    check_card_refused(
        |testbed| agent_file(&vendor_key(testbed), -10),
        "card-expired",
    );
}

#[test]
fn a_card_of_another_vendor() {
    let other = VendorKey::from_seed([9; 32]);
    check_card_refused(|_| agent_file(&other, 1000), "card-unknown-vendor");
}

#[test]
fn a_card_that_is_none() {
    let testbed = Testbed::new();
    for text in ["", "card = \"no\"\nkey = \"no\"\n", "\u{0}\u{1}garbage"] {
        write_agent_file(&testbed, text);
        let output: Output = join_command(&testbed).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("agent.toml"), "{told}");
        assert!(!told.contains("panicked"), "{told}");
    }
    expect_no_processes(&testbed);
}

fn join_command(testbed: &Testbed) -> Command {
    let mut command = testbed.deployment.console(&["join"]);
    command.args(["--vnc", "127.0.0.1:0"]).stdin(Stdio::null());
    command
}

/// A library that makes its process's clock slow by the seconds in `ETATUKI_TEST_CLOCK_SLOW`.
fn slow_clock_library() -> PathBuf {
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("slow-clock.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/slow_clock.c");
    let mut compiler = Command::new("cc");
    compiler
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source]);
    assert!(compiler.status().unwrap().success());
    library
}

#[test]
fn a_wrong_clock_is_named_at_the_end_where_it_is_wrong() {
    let testbed = Testbed::new();
    // The agent's card begins with today.
    let mut command = testbed.deployment.launcher(testbed.display.name());
    command.args(["--language", "fi", "session", "ecom"]);
    command.env("LD_PRELOAD", slow_clock_library());
    command.env("ETATUKI_TEST_CLOCK_SLOW", "172800");
    let mut customer = Customer::spawn(command);
    let code = customer.code();
    customer.expect_state("waiting");
    expect_agent_fails(Agent::join(&testbed, &code, &[]), "customer-clock", 6);
    let notice = customer.expect_type("notice");
    assert_eq!(notice["name"], "wrong-clock", "{notice:#}");
    assert_eq!(notice["agent"]["name"], AGENT_NAME, "{notice:#}");
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let shown = notice["clock"].as_u64().unwrap();
    assert!((172_700..172_900).contains(&(now - shown)), "{notice:#}");
    close(&testbed, customer);
}

#[test]
fn the_customer_is_told_of_an_unauthorized_agent() {
    let testbed = Testbed::new();
    // The service lets the agent through; the customer's registry knows another vendor only.
    let other = VendorKey::from_seed([9; 32]).public().to_string();
    let registry = testbed.deployment.registry_text();
    let registry = registry.replace(testbed.deployment.vendor_key(), &other);
    std::fs::write(testbed.deployment.registry(), registry).unwrap();
    let mut customer = Customer::start(&testbed, "ecom", &[]);
    let code = customer.code();
    customer.expect_state("waiting");
    expect_agent_fails(Agent::join(&testbed, &code, &[]), "card-unknown-vendor", 6);
    let notice = customer.expect_type("notice");
    assert_eq!(notice["name"], "stranger-tried", "{notice:#}");
    wait_until("a fresh code", || {
        let fields = customer.code();
        (fields != code).then_some(())
    });
    close(&testbed, customer);
}
