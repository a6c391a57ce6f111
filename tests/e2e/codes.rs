//! Wrong codes and wrong cards: what the agent is told, what the customer is told, and that the session goes on.

use std::process::{Command, Output, Stdio};

use etatuki_trust::{AgentCard, AgentFile, AgentKey, CardData, UnixTime, VendorKey};
use serde_json::json;

use crate::agent::Agent;
use crate::customer::Customer;
use crate::traces::{agent_fails, nothing_left};
use crate::world::{AGENT, ORGANISATION, World, until};

/// The digits of a shown code.
fn digits(shown: &str) -> Vec<u8> {
    shown.bytes().filter(u8::is_ascii_digit).collect()
}

/// The code with one digit changed; the check digit no longer fits.
fn mistyped(shown: &str) -> String {
    let mut code = digits(shown);
    code[2] = b'0' + (code[2] - b'0' + 1) % 10;
    String::from_utf8(code).unwrap()
}

/// An `ecom` code with another password.
fn wrong_password(code: &[String]) -> Vec<String> {
    let mut password = digits(&code[1]);
    password[0] = b'0' + (password[0] - b'0' + 1) % 10;
    vec![code[0].clone(), String::from_utf8(password).unwrap()]
}

/// Closes a session that still waits, and looks that nothing is left.
fn close(world: &World, mut customer: Customer) {
    customer.say(&json!({"type": "close"}));
    customer.expect_type("closed");
    assert_eq!(customer.ended().code(), Some(0));
    nothing_left(world);
}

#[test]
fn an_id_that_nobody_has() {
    let world = World::new();
    let password = "111 111".to_owned();
    // The check digit that fits, whichever it is: the other nine are refused before anything is sent.
    let fits = |digit: &u8| etatuki_trust::parse_typed_code(&format!("12345678{digit}")).is_ok();
    let digit = (0..10u8).find(fits).unwrap();
    let known = [format!("123 456 78{digit}"), password];
    agent_fails(Agent::join(&world, &known, &[]), "unknown-nameplate", 4);
    nothing_left(&world);
}

#[test]
fn a_mistyped_digit_is_caught_before_anything_is_sent() {
    let mut world = World::new();
    let mut customer = Customer::start(&world, "remoteus-2008", &[]);
    let code = customer.code();
    customer.expect_state("waiting");
    // Without a service, anything that was sent would be answered by another name.
    world.stage.kill_service().unwrap();
    agent_fails(
        Agent::join(&world, &[mistyped(&code[0])], &[]),
        "code-check-digit",
        4,
    );
    close(&world, customer);
}

#[test]
fn a_wrong_secret_is_told_to_both_and_the_third_burns_the_code() {
    let world = World::new();
    let mut customer = Customer::start(&world, "ecom", &[]);
    let code = customer.code();
    customer.expect_state("waiting");
    for left in [2, 1, 0] {
        agent_fails(
            Agent::join(&world, &wrong_password(&code), &[]),
            "wrong-code",
            4,
        );
        let notice = customer.expect_type("notice");
        assert_eq!(notice["agent"]["name"], AGENT, "{notice:#}");
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
    let fresh = until("a fresh code", || {
        let fields = customer.code();
        (fields.len() == 2 && fields != code).then_some(fields)
    });
    assert_ne!(fresh[0], code[0], "the ID is burnt too");

    // The right old code is worth nothing now; the fresh one lets in.
    agent_fails(Agent::join(&world, &code, &[]), "unknown-nameplate", 4);
    let mut agent = Agent::join(&world, &fresh, &[]);
    customer.question("view");
    agent.expect_type("connected");
    customer.say(&json!({"type": "close"}));
    customer.expect_type("closed");
    assert_eq!(customer.ended().code(), Some(0));
    assert_eq!(agent.ended().code(), Some(0));
    nothing_left(&world);
}

/// An agent's file of this vendor's, good for the last hundred seconds and `good_for` more.
fn agent_file(vendor: &VendorKey, good_for: i64) -> String {
    let key = AgentKey::from_seed([7; 32]);
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let data = CardData {
        serial: 77,
        name: "Erkki Esimerkki".into(),
        organisation: "Muu Oy".into(),
        issued: UnixTime(now - 100),
        expires: UnixTime(now.saturating_add_signed(good_for)),
        key: key.public(),
    };
    let card = AgentCard::issue(vendor, data).unwrap();
    AgentFile { card, key }.to_text().to_string()
}

/// The vendor's key of this world.
fn vendor_of(world: &World) -> VendorKey {
    let text = std::fs::read_to_string(world.stage.folder().join("vendor.key")).unwrap();
    let key = text.lines().find(|line| !line.starts_with('#')).unwrap();
    VendorKey::from_text(key.trim()).unwrap()
}

/// A file that only its owner can read, as the console wants it.
fn private(world: &World, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let file = world.stage.agent_file();
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
}

const SOME_CODE: &str = "123456";

/// A valid session code that nobody waits with.
fn some_code() -> String {
    (0..10u8)
        .map(|digit| format!("{SOME_CODE}11111{digit}"))
        .find(|code| etatuki_trust::parse_typed_code(code).is_ok())
        .unwrap()
}

fn card_refused(text: impl Fn(&World) -> String, name: &str) {
    let world = World::new();
    private(&world, &text(&world));
    agent_fails(Agent::join(&world, &[some_code()], &[]), name, 6);
    nothing_left(&world);
}

#[test]
fn an_expired_card() {
    card_refused(|world| agent_file(&vendor_of(world), -10), "card-expired");
}

#[test]
fn a_card_of_another_vendor() {
    let other = VendorKey::from_seed([9; 32]);
    card_refused(|_| agent_file(&other, 1000), "card-unknown-vendor");
}

#[test]
fn a_card_that_is_none() {
    let world = World::new();
    for text in ["", "card = \"no\"\nkey = \"no\"\n", "\u{0}\u{1}garbage"] {
        private(&world, text);
        let output: Output = joining(&world).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains("agent.toml"), "{told}");
        assert!(!told.contains("panicked"), "{told}");
    }
    nothing_left(&world);
}

fn joining(world: &World) -> Command {
    let mut command = world.stage.console(&["join"]);
    command.args(["--vnc", "127.0.0.1:0"]).stdin(Stdio::null());
    command
}

#[test]
fn a_stranger_at_the_customers_door() {
    let world = World::new();
    // The service lets the agent through; this customer's registry knows another vendor only.
    let other = VendorKey::from_seed([9; 32]).public().to_string();
    let registry = world.stage.registry_text();
    let registry = registry.replace(world.stage.vendor_key(), &other);
    std::fs::write(world.stage.registry(), registry).unwrap();
    let mut customer = Customer::start(&world, "ecom", &[]);
    let code = customer.code();
    customer.expect_state("waiting");
    agent_fails(Agent::join(&world, &code, &[]), "card-unknown-vendor", 6);
    let notice = customer.expect_type("notice");
    assert_eq!(notice["name"], "stranger-tried", "{notice:#}");
    close(&world, customer);
}
