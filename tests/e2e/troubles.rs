//! Failures on the customer's machine: each has its name, its sentence and its exit code, and
//! leaves no process.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use etatuki_deployment::plugins;
use etatuki_deployment::process::Process;
use serde_json::{Value, json};
use x11rb::protocol::xproto::ConnectionExt as _;
use x11rb::wrapper::ConnectionExt as _;

use crate::agent::Agent;
use crate::customer::Customer;
use crate::outcomes::{
    expect_agent_fails, expect_customer_fails, expect_no_processes, host_pid, kill, pid_of,
    processes, shared_memory, viewing_session,
};
use crate::testbed::{TIMEOUT, Testbed, wait_until};

/// Replaces a part of the registry.
fn edit_registry(testbed: &Testbed, from: &str, to: &str) {
    let text = testbed.deployment.registry_text();
    assert!(text.contains(from), "{from} isn't in the registry");
    std::fs::write(testbed.deployment.registry(), text.replace(from, to)).unwrap();
}

/// Starts a test bed whose registry has one entry, the plugin `tests/plugins/NAME.c`.
fn testbed_with_plugin(name: &str) -> Testbed {
    let testbed = Testbed::new();
    plugins::install_only(&testbed.deployment, name).unwrap();
    testbed
}

/// Opens an entry and expects it to fail.
fn expect_open_fails(testbed: &Testbed, backend: &str, name: &str, code: i32) -> Value {
    expect_customer_fails(testbed, Customer::start(testbed, backend, &[]), name, code)
}

#[test]
fn no_service() {
    let testbed = Testbed::new();
    // A port that was free a moment ago, and that the system doesn't hand out again soon.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    edit_registry(
        &testbed,
        testbed.deployment.service_url(),
        &format!("http://{port}"),
    );
    expect_open_fails(&testbed, "ecom", "connection-refused", 5);
}

#[test]
fn a_service_that_never_answers() {
    let testbed = Testbed::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    edit_registry(&testbed, testbed.deployment.service_url(), &address);
    expect_open_fails(&testbed, "remoteus-2008", "service-unreachable", 5);
}

#[test]
fn a_service_that_talks_nonsense() {
    use std::io::{Read as _, Write as _};
    let testbed = Testbed::new();
    let odd = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", odd.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in odd.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n<html");
        }
    });
    edit_registry(&testbed, testbed.deployment.service_url(), &address);
    expect_open_fails(&testbed, "remoteus-2008", "service-error", 5);
}

/// A service that withholds the list of revoked cards lets nobody in that the vendor doesn't want.
#[test]
fn a_service_that_withholds_the_revocation_list() {
    let mut testbed = Testbed::new();
    let keys = format!("keys = [\"{}\"]", testbed.deployment.vendor_key());
    let when_stale = |rule: &str| format!("{keys}\nstale_revocations = \"{rule}\"");
    edit_registry(&testbed, &keys, &when_stale("refuse"));
    let mut customer = Customer::start(&testbed, "ecom", &[]);
    customer.expect_state("waiting");
    customer.send(json!({"type": "close"}));
    customer.expect_type("closed");
    customer.wait_exit();

    testbed.deployment.kill_service().unwrap();
    testbed.deployment.start_service_without_list().unwrap();
    // The list that was seen before counts on; a customer who never saw one lets nobody in.
    let mut customer = Customer::start(&testbed, "ecom", &[]);
    customer.expect_state("waiting");
    customer.send(json!({"type": "close"}));
    customer.expect_type("closed");
    customer.wait_exit();
    let state = testbed
        .deployment
        .folder()
        .join("home/.local/state/etatuki");
    std::fs::remove_file(state.join("revocations.txt")).unwrap();
    expect_open_fails(&testbed, "ecom", "revocations-stale", 5);

    edit_registry(&testbed, &keys, &when_stale("warn"));
    let mut customer = Customer::start(&testbed, "ecom", &[]);
    expect_notice(&mut customer, "revocations-warning");
    customer.expect_state("waiting");
}

#[test]
fn a_service_that_dies_while_somebody_waits() {
    let mut testbed = Testbed::new();
    let mut customer = Customer::start(&testbed, "ecom", &[]);
    customer.expect_state("waiting");
    testbed.deployment.kill_service().unwrap();
    expect_notice(&mut customer, "service-lost");
    // The customer can still close it cleanly, without waiting for an answer of the service.
    customer.send(json!({"type": "close"}));
    customer.expect_type("closed");
    assert_eq!(customer.wait_exit().code(), Some(0));
    expect_no_processes(&testbed);
}

/// A service that was restarted knows none of its codes: the customer gets another without asking,
/// and it works.
#[test]
fn a_service_that_starts_afresh_while_somebody_waits() {
    let mut testbed = Testbed::new();
    let mut customer = Customer::start(&testbed, "remoteus-2008", &[]);
    let forgotten = customer.code();
    testbed.deployment.kill_service().unwrap();
    expect_notice(&mut customer, "service-lost");
    testbed.deployment.start_service().unwrap();
    expect_notice(&mut customer, "code-forgotten");
    let code = next_code(&mut customer);
    assert_ne!(code, forgotten);
    let mut agent = Agent::join(&testbed, &code, &[]);
    customer.allow("view");
    agent.expect("view", |line| {
        line["type"] == "permissions" && line["view"] == true
    });
    agent.send("end");
    customer.expect_type("closed");
    assert_eq!(customer.wait_exit().code(), Some(0));
    agent.wait_exit();
    expect_no_processes(&testbed);
}

fn expect_notice(customer: &mut Customer, name: &str) {
    customer.expect(name, |line| {
        line["type"] == "notice" && line["name"] == name
    });
}

/// Returns the next code that can be read: between two codes there is an empty one.
fn next_code(customer: &mut Customer) -> Vec<String> {
    std::iter::repeat_with(|| customer.code())
        .find(|fields| !fields.is_empty())
        .expect("codes without end")
}

#[test]
fn a_running_session_needs_no_service() {
    let mut testbed = Testbed::new();
    let (mut customer, mut agent) = viewing_session(&testbed, "ecom");
    testbed.deployment.kill_service().unwrap();
    agent.send("ask-control");
    customer.allow("control");
    agent.expect("control", |line| {
        line["type"] == "permissions" && line["control"] == true
    });
    agent.send("end");
    customer.expect_type("closed");
    assert_eq!(customer.wait_exit().code(), Some(0));
    assert_eq!(agent.wait_exit().code(), Some(0));
    expect_no_processes(&testbed);
}

#[test]
fn a_tool_that_is_missing() {
    let testbed = Testbed::new();
    edit_registry(&testbed, "x11vnc\"", "no-such-tool\"");
    let failed = expect_open_fails(&testbed, "remoteus-2008", "tool-missing", 4);
    assert!(failed["detail"].as_str().unwrap().contains("no-such-tool"));
    expect_open_fails(&testbed, "remoteus-2010", "tool-missing", 4);
}

#[test]
fn a_tool_that_is_too_old() {
    let testbed = Testbed::new();
    edit_registry(&testbed, "version = \">=0.9.13\"", "version = \">=99\"");
    expect_open_fails(&testbed, "remoteus-2008", "tool-too-old", 4);
    expect_open_fails(&testbed, "remoteus-2010", "tool-too-old", 4);
}

#[test]
fn a_tool_that_is_killed_in_the_middle() {
    for backend in ["remoteus-2008", "remoteus-2010"] {
        let testbed = Testbed::new();
        let (customer, mut agent) = viewing_session(&testbed, backend);
        kill(pid_of(&testbed, "x11vnc"));
        let failed = agent.expect_type("failed");
        assert_eq!(failed["name"], "tool-died", "{failed:#}");
        assert_eq!(agent.wait_exit().code(), Some(6));
        expect_customer_fails(&testbed, customer, "tool-died", 4);
    }
}

#[test]
fn a_plugin_that_others_can_write() {
    let testbed = testbed_with_plugin("well-behaved");
    let library = testbed.deployment.folder().join("plugins/well-behaved.so");
    std::fs::set_permissions(library, std::fs::Permissions::from_mode(0o777)).unwrap();
    expect_open_fails(&testbed, "well-behaved", "plugin-refused", 4);
}

#[test]
fn a_plugin_host_that_is_killed() {
    for backend in ["remoteus-2008", "remoteus-2010", "ecom"] {
        let testbed = Testbed::new();
        let (customer, mut agent) = viewing_session(&testbed, backend);
        let pids: Vec<_> = processes(&testbed).into_keys().collect();
        kill(host_pid(&testbed, &customer));
        let failed = agent.expect_type("failed");
        assert_eq!(failed["name"], "plugin-died", "{failed:#}");
        assert_eq!(agent.wait_exit().code(), Some(6));
        expect_customer_fails(&testbed, customer, "plugin-died", 4);
        // The shared memory, which belongs to no process, is gone too: the tool had time to remove
        // it.
        let left = shared_memory(&pids);
        assert!(left.is_empty(), "{backend}: {left:?}");
    }
}

#[test]
fn a_display_that_isnt_there() {
    let testbed = Testbed::new();
    for backend in ["ecom", "remoteus-2008"] {
        let mut command = testbed.deployment.launcher(":9999");
        command.args(["session", backend]);
        let customer = Customer::spawn(command);
        expect_customer_fails(&testbed, customer, "display-missing", 4);
    }
    let mut command = testbed.deployment.launcher(":9999");
    let output = command.args(["open", "ecom"]).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert!(!output.stderr.is_empty(), "nobody was told");
    expect_no_processes(&testbed);
}

/// The windows' library ends the program when its display dies; the session still sends its last
/// message.
#[test]
fn a_display_that_dies() {
    for backend in ["ecom", "remoteus-2008"] {
        let mut testbed = Testbed::new();
        let (customer, agent) = viewing_session(&testbed, backend);
        end_display(&mut testbed);
        expect_customer_fails(&testbed, customer, "display-lost", 4);
        expect_agent_fails(agent, "display-lost", 6);
    }
}

#[test]
fn a_display_that_dies_under_a_window() {
    let mut testbed = Testbed::new();
    let mut launcher = testbed.deployment.launcher(testbed.display.name());
    launcher.args(["open", "ecom"]);
    let mut launcher = Process::start(&mut launcher).unwrap();
    wait_until("the code's plugin to be there", || {
        let hosts = processes(&testbed).len();
        (hosts > 1).then_some(())
    });
    end_display(&mut testbed);
    assert_eq!(launcher.wait(TIMEOUT).unwrap().code(), Some(4));
    expect_no_processes(&testbed);
}

/// A program that keeps all others from the display leaves the customer no button to press.
#[test]
fn a_display_that_a_program_keeps_for_itself() {
    let testbed = Testbed::new();
    let (mut customer, agent) = viewing_session(&testbed, "remoteus-2008");
    let (x, _) = x11rb::connect(Some(testbed.display.name())).unwrap();
    x.grab_server().unwrap();
    x.sync().unwrap();
    assert_eq!(customer.expect_type("failed")["name"], "display-lost");
    expect_agent_fails(agent, "display-lost", 6);
    drop(x);
    assert_eq!(customer.wait_exit().code(), Some(4));
    expect_no_processes(&testbed);
}

fn end_display(testbed: &mut Testbed) {
    let server = testbed.display.server();
    server.child().kill().unwrap();
    server.child().wait().unwrap();
}

/// Returns the detail with which `etatuki session` refuses the registry.
fn registry_broken(testbed: &Testbed) -> String {
    let mut customer = Customer::start(testbed, "ecom", &[]);
    let failed = customer.expect_type("failed");
    assert_eq!(failed["name"], "registry-broken", "{failed:#}");
    assert_eq!(customer.wait_exit().code(), Some(3));
    expect_no_processes(testbed);
    failed["detail"].as_str().unwrap().to_owned()
}

#[test]
fn a_broken_registry_names_line_and_key() {
    let testbed = Testbed::new();
    edit_registry(&testbed, "form = \"ecom\"", "farm = \"ecom\"");
    let line = testbed
        .deployment
        .registry_text()
        .lines()
        .position(|line| line.starts_with("form = \"ecom\""));
    let told = registry_broken(&testbed);
    assert!(
        told.contains(&format!("line {}", line.unwrap() + 1)),
        "{told}"
    );
    assert!(told.contains("farm"), "{told}");

    std::fs::write(testbed.deployment.registry(), "[vendor\n").unwrap();
    let told = registry_broken(&testbed);
    assert!(told.contains("line 1"), "{told}");

    std::fs::remove_file(testbed.deployment.registry()).unwrap();
    let told = registry_broken(&testbed);
    assert!(told.contains("backends.toml"), "{told}");
}

#[test]
fn a_plugin_that_is_missing() {
    let testbed = Testbed::new();
    plugins::register_only(&testbed.deployment, "ecom", "libnothing.so").unwrap();
    // The other entries would still work, so it is this one that fails and not the registry.
    let failed = expect_open_fails(&testbed, "ecom", "plugin-missing", 4);
    let detail = failed["detail"].as_str().unwrap();
    assert!(detail.contains("libnothing.so"), "{detail}");
    assert!(detail.contains("key `backend.plugin`"), "{detail}");
}

#[test]
fn a_plugin_of_a_version_that_wont_do() {
    let testbed = Testbed::new();
    edit_registry(&testbed, "version = \">=0.1, <1\"", "version = \"^9\"");
    let failed = expect_open_fails(&testbed, "ecom", "plugin-wrong-version", 4);
    let detail = failed["detail"].as_str().unwrap();
    assert!(detail.contains("key `backend.version`"), "{detail}");
    assert!(detail.ends_with("correct the requirement"), "{detail}");
}

#[test]
fn options_that_the_plugin_doesnt_know() {
    let testbed = Testbed::new();
    edit_registry(&testbed, "tool = \"x11vnc\"", "toool = \"x11vnc\"");
    let failed = expect_open_fails(&testbed, "remoteus-2008", "registry-broken", 3);
    let detail = failed["detail"].as_str().unwrap();
    assert!(detail.contains("key `backend.options`"), "{detail}");
    assert!(detail.contains("`toool`"), "{detail}");
}

#[test]
fn an_entry_that_is_not_in_the_registry() {
    let testbed = Testbed::new();
    expect_open_fails(&testbed, "teamviewer", "unknown-backend", 2);
}

/// The launcher is ready to try again: after a failure, the same entry opens.
#[test]
fn after_a_failure_it_can_be_tried_again() {
    let testbed = Testbed::new();
    let (customer, mut agent) = viewing_session(&testbed, "remoteus-2008");
    kill(pid_of(&testbed, "x11vnc"));
    agent.expect_type("failed");
    agent.wait_exit();
    expect_customer_fails(&testbed, customer, "tool-died", 4);
    let (mut customer, mut agent) = viewing_session(&testbed, "remoteus-2008");
    agent.send("end");
    customer.expect_type("closed");
    assert_eq!(customer.wait_exit().code(), Some(0));
    agent.wait_exit();
    expect_no_processes(&testbed);
}

/// The plugins that ship keep the contract that everybody's plugins are held to, with the options
/// that ship.
#[test]
fn our_own_plugins_pass_the_checker() {
    let testbed = Testbed::new();
    let shipped: toml::Table = include_str!("../../backends.toml").parse().unwrap();
    let check = |id: &str, only: &[&str]| {
        let mut backends = shipped["backend"].as_array().unwrap().iter();
        let backend = backends.find(|backend| backend["id"].as_str() == Some(id));
        let backend = backend.unwrap();
        let mut command = testbed.deployment.program("etatuki");
        command
            .args(["plugin", "check"])
            .arg(
                testbed
                    .deployment
                    .bin()
                    .join(backend["plugin"].as_str().unwrap()),
            )
            .env("DISPLAY", testbed.display.name());
        if let Some(options) = backend.get("options") {
            command.args(["--options", &serde_json::to_string(options).unwrap()]);
        }
        if backend.get("network").is_some() {
            command.arg("--network");
        }
        for name in only {
            command.args(["--only", name]);
        }
        let done = command.output().unwrap();
        let told = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(done.status.success(), "{id}:\n{told}");
        assert!(told.ends_with(" passed, 0 failed, 0 skipped\n"), "{told}");
    };
    check("ecom", &[]);
    check("remoteus-2008", &[]);
    // Each session makes an RSA key, so not a hundred of them.
    let some = [
        "descriptor",
        "probe",
        "open",
        "attach-again",
        "rfb",
        "close-attached",
        "leaves-nothing",
    ];
    check("remoteus-2010", &some);
    expect_no_processes(&testbed);
}

#[test]
fn a_plugin_that_breaks_the_contract_fails_the_check() {
    let testbed = testbed_with_plugin("prints");
    let library = testbed.deployment.folder().join("plugins/prints.so");
    let mut command = testbed.deployment.program("etatuki");
    let done = command
        .args(["plugin", "check", "--json"])
        .arg(library)
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(1));
    let lines = String::from_utf8_lossy(&done.stdout).into_owned();
    let trials: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let quiet = trials
        .iter()
        .find(|trial| trial["name"] == "quiet-load")
        .unwrap();
    assert_eq!(quiet["verdict"], "failed", "{quiet:#}");
    assert!(trials.last().unwrap()["failed"].as_u64().unwrap() > 0);

    let mut command = testbed.deployment.program("etatuki");
    let done = command
        .args(["plugin", "check", "/nonexistent.so"])
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(2));
}
