//! Misbehaving plugins: each of `tests/plugins` in the real launcher, which survives it, reports in
//! words what happened, and leaves nothing behind.

use etatuki_deployment::plugins;
use serde_json::json;

use crate::agent::Agent;
use crate::customer::Customer;
use crate::outcomes::{expect_agent_fails, expect_customer_fails, expect_no_processes};
use crate::testbed::Testbed;

/// The outcome of a session with such a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The session can be opened and closed; the plugin's fault does no harm.
    Survives,
    /// The session fails by this name.
    Fails(&'static str),
    /// The code is shown, and then the session fails by this name.
    FailsLater(&'static str),
    /// The session fails by this name when the customer allows viewing.
    FailsAllowed(&'static str),
}

use Outcome::{Fails, FailsAllowed, FailsLater, Survives};

const CRASHES: &[(&str, Outcome)] = &[
    ("abort-in-open", Fails("plugin-died")),
    ("closes-pipe", Fails("plugin-died")),
    ("closes-socket", FailsAllowed("plugin-died")),
    ("crash-with-tool", Fails("plugin-died")),
    ("exit-in-open", Fails("plugin-died")),
    ("segfault-later", FailsAllowed("plugin-died")),
    ("segfault-waiting", FailsLater("plugin-died")),
];

const HANGS: &[(&str, Outcome)] = &[
    ("computes-in-open", Fails("plugin-hung")),
    ("hang-in-destroy", Survives),
    ("hang-in-load", Fails("plugin-hung")),
    ("hang-in-open", Fails("plugin-hung")),
    ("hang-in-state", Fails("plugin-hung")),
    ("never-tells", Fails("plugin-hung")),
    ("slow-open", Fails("plugin-hung")),
    ("stands-still", Fails("plugin-hung")),
    ("starves", Fails("plugin-hung")),
];

const GREEDY: &[(&str, Outcome)] = &[
    ("allocates", Fails("plugin-failed")),
    ("endless-output", Survives),
    ("floods", Survives),
    ("fork-bomb", Survives),
    ("leaks-handle", Survives),
    ("leaks-thread", Survives),
    ("prints", Survives),
    ("runaway-tool", Survives),
    ("spins", Survives),
    ("takes-descriptors", Survives),
];

const WRONG: &[(&str, Outcome)] = &[
    // Its options choose its fault; here they choose none. The checker tries the others.
    ("bad-rfb", Survives),
    ("breaks-out", Fails("plugin-failed")),
    ("calls-late", Survives),
    ("create-fails", Fails("plugin-failed")),
    ("dirty-text", Survives),
    ("leaves-out", Survives),
    ("lies-about-id", Fails("plugin-refused")),
    ("logs-code", Survives),
    ("long-version", Survives),
    ("missing-symbol", Fails("plugin-failed")),
    ("no-open", Fails("plugin-failed")),
    ("no-plugin", Fails("plugin-wrong-version")),
    ("not-utf8", Fails("plugin-failed")),
    ("odd-code", Fails("plugin-failed")),
    ("odd-lengths", Fails("plugin-failed")),
    ("odd-state", Fails("plugin-failed")),
    ("odd-version", Fails("plugin-failed")),
    ("refuses-attach", Survives),
    ("short-descriptor", Fails("plugin-failed")),
    ("short-instance", Fails("plugin-failed")),
    ("wants-network", Fails("plugin-refused")),
    ("well-behaved", Survives),
    ("writes-file", Fails("plugin-failed")),
    ("wrong-major", Fails("plugin-wrong-version")),
];

/// Opens an entry of each plugin and checks its outcome.
fn check_outcomes(expected: &[(&str, Outcome)]) {
    for (plugin, outcome) in expected {
        eprintln!("{plugin}: {outcome:?}");
        let testbed = Testbed::new();
        plugins::install_only(&testbed.deployment, plugin).unwrap();
        let customer = Customer::start(&testbed, plugin, &[]);
        match *outcome {
            Fails(name) => fails(&testbed, customer, name),
            FailsLater(name) => fails(&testbed, with_code(customer).0, name),
            FailsAllowed(name) => {
                let (mut customer, code) = with_code(customer);
                let agent = Agent::join(&testbed, &code, &[]);
                customer.allow("view");
                expect_agent_fails(agent, name, 6);
                fails(&testbed, customer, name);
            }
            Survives => {
                let (mut customer, _) = with_code(customer);
                customer.send(json!({ "type": "close" }));
                customer.expect_type("closed");
                assert_eq!(customer.wait_exit().code(), Some(0), "{plugin}");
                expect_no_processes(&testbed);
            }
        }
    }
}

fn with_code(mut customer: Customer) -> (Customer, Vec<String>) {
    let code = customer.code();
    assert_eq!(code.len(), 1, "{code:?}");
    (customer, code)
}

fn fails(testbed: &Testbed, customer: Customer, name: &str) {
    expect_customer_fails(testbed, customer, name, 4);
}

#[test]
fn of_those_that_crash() {
    check_outcomes(CRASHES);
}

#[test]
fn of_those_that_hang() {
    check_outcomes(HANGS);
}

#[test]
fn of_those_that_want_too_much() {
    check_outcomes(GREEDY);
}

#[test]
fn of_those_that_break_the_contract() {
    check_outcomes(WRONG);
}

/// Kinds of messages, and how many of each the launcher takes in a second at most, with a wide margin.
/// Without a brake it takes millions of the first two, and as many of the others as it can.
const FLOODS: [(&str, u64); 8] = [
    ("bells", 200_000),
    ("ends", 200_000),
    ("fences", 50_000),
    ("texts", 500),
    ("empty updates", 10_000),
    ("pixels", 10_000),
    ("copies", 3_000),
    // Updates of a hundred each.
    ("rectangles", 3_000),
];

/// Whatever a server sends, the launcher's work is bounded; and half a picture is noticed.
#[test]
fn of_those_whose_server_floods() {
    let testbed = Testbed::new();
    plugins::install_only(&testbed.deployment, "floods-rfb").unwrap();
    let log = testbed.deployment.folder().join("launcher.log");
    let mut command = testbed.deployment.launcher(testbed.display.name());
    command
        .args(["-v", "session", "floods-rfb"])
        .stderr(std::fs::File::create(&log).unwrap());
    let (mut customer, code) = with_code(Customer::spawn(command));
    let agent = Agent::join(&testbed, &code, &[]);
    customer.allow("view");
    expect_agent_fails(agent, "plugin-failed", 6);
    let failed = expect_customer_fails(&testbed, customer, "plugin-failed", 4);
    let detail = failed["detail"].as_str().unwrap();
    assert!(detail.contains("in the middle of an update"), "{failed:#}");

    let log = std::fs::read_to_string(log).unwrap();
    for (kind, most_a_second) in FLOODS {
        let start = format!("flood of {kind}: ");
        let line = log.lines().find_map(|line| line.split(&start).nth(1));
        let line = line.unwrap_or_else(|| panic!("no flood of {kind}: {log}"));
        let numbers = line.split(' ').filter_map(|word| word.parse().ok());
        let [count, milliseconds] = numbers.collect::<Vec<u64>>()[..] else {
            panic!("{line}")
        };
        let most = most_a_second * milliseconds / 1000;
        eprintln!("{count} {kind} in {milliseconds} ms; at most {most}");
        assert!(count <= most, "{count} {kind} are more than {most}");
    }
}

#[test]
fn all_that_there_are_were_tried() {
    let floods = [("floods-rfb", FailsAllowed("plugin-failed"))];
    let mut tried: Vec<_> = [CRASHES, HANGS, GREEDY, WRONG, &floods].concat();
    tried.sort_by_key(|(name, _)| *name);
    let tried: Vec<_> = tried.into_iter().map(|(name, _)| name).collect();
    assert_eq!(plugins::names().unwrap(), tried);
}
