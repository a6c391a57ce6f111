//! A plugin on its worst day: each of `tests/plugins` in the real launcher, which survives it, says in words what
//! happened, and leaves nothing behind.

use etatuki_demo::plugins;
use serde_json::json;

use crate::agent::Agent;
use crate::customer::Customer;
use crate::traces::{agent_fails, customer_fails, nothing_left};
use crate::world::World;

/// What becomes of a session with such a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It can be opened and closed; what is wrong with the plugin hurts nobody.
    Endures,
    /// It fails by this name.
    Fails(&'static str),
    /// The code can be read, and then it fails by this name.
    FailsLater(&'static str),
    /// It fails by this name when the customer allows somebody to look.
    FailsAllowed(&'static str),
}

use Fate::{Endures, Fails, FailsAllowed, FailsLater};

const CRASHES: &[(&str, Fate)] = &[
    ("abort-in-open", Fails("plugin-died")),
    ("crash-with-tool", Fails("plugin-died")),
    ("exit-in-open", Fails("plugin-died")),
    ("segfault-later", FailsAllowed("plugin-died")),
    ("segfault-waiting", FailsLater("plugin-died")),
];

const HANGS: &[(&str, Fate)] = &[
    ("computes-in-open", Fails("plugin-hung")),
    ("hang-in-destroy", Endures),
    ("hang-in-load", Fails("plugin-hung")),
    ("hang-in-open", Fails("plugin-hung")),
    ("hang-in-state", Fails("plugin-hung")),
    ("never-tells", Fails("plugin-hung")),
    ("slow-open", Fails("plugin-hung")),
    ("stands-still", Fails("plugin-hung")),
    ("starves", Fails("plugin-hung")),
];

const GREEDY: &[(&str, Fate)] = &[
    ("allocates", Fails("plugin-failed")),
    ("endless-output", Endures),
    ("floods", Endures),
    ("fork-bomb", Endures),
    ("leaks-handle", Endures),
    ("leaks-thread", Endures),
    ("prints", Endures),
    ("runaway-tool", Endures),
];

const WRONG: &[(&str, Fate)] = &[
    // Its options name its fault, and here they name none: the checker tries those.
    ("bad-rfb", Endures),
    ("breaks-out", Fails("plugin-failed")),
    ("calls-late", Endures),
    ("create-fails", Fails("plugin-failed")),
    ("leaves-out", Endures),
    ("lies-about-id", Fails("plugin-refused")),
    ("logs-code", Endures),
    ("missing-symbol", Fails("plugin-failed")),
    ("no-open", Fails("plugin-failed")),
    ("no-plugin", Fails("plugin-wrong-version")),
    ("not-utf8", Fails("plugin-failed")),
    ("odd-code", Fails("plugin-failed")),
    ("odd-state", Fails("plugin-failed")),
    ("odd-version", Fails("plugin-failed")),
    ("refuses-attach", Endures),
    ("short-descriptor", Fails("plugin-failed")),
    ("short-instance", Fails("plugin-failed")),
    ("wants-network", Fails("plugin-refused")),
    ("well-behaved", Endures),
    ("writes-file", Fails("plugin-failed")),
    ("wrong-major", Fails("plugin-wrong-version")),
];

/// Opens an entry of each, and sees it through.
fn survives(known: &[(&str, Fate)]) {
    for (plugin, fate) in known {
        eprintln!("{plugin}: {fate:?}");
        let world = World::new();
        plugins::only(&world.stage, plugin).unwrap();
        let customer = Customer::start(&world, plugin, &[]);
        match *fate {
            Fails(name) => fails(&world, customer, name),
            FailsLater(name) => fails(&world, with_code(customer).0, name),
            FailsAllowed(name) => {
                let (mut customer, code) = with_code(customer);
                let agent = Agent::join(&world, &code, &[]);
                customer.answer("view", true);
                agent_fails(agent, name, 6);
                fails(&world, customer, name);
            }
            Endures => {
                let (mut customer, _) = with_code(customer);
                customer.say(&json!({ "type": "close" }));
                customer.expect_type("closed");
                assert_eq!(customer.ended().code(), Some(0), "{plugin}");
                nothing_left(&world);
            }
        }
    }
}

fn with_code(mut customer: Customer) -> (Customer, Vec<String>) {
    let code = customer.code();
    assert_eq!(code.len(), 1, "{code:?}");
    (customer, code)
}

fn fails(world: &World, customer: Customer, name: &str) {
    customer_fails(world, customer, name, 4);
}

#[test]
fn of_those_that_crash() {
    survives(CRASHES);
}

#[test]
fn of_those_that_hang() {
    survives(HANGS);
}

#[test]
fn of_those_that_want_too_much() {
    survives(GREEDY);
}

#[test]
fn of_those_that_break_the_contract() {
    survives(WRONG);
}

#[test]
fn all_that_there_are_were_tried() {
    let mut tried: Vec<_> = [CRASHES, HANGS, GREEDY, WRONG].concat();
    tried.sort_by_key(|(name, _)| *name);
    let tried: Vec<_> = tried.into_iter().map(|(name, _)| name).collect();
    assert_eq!(plugins::all().unwrap(), tried);
}
