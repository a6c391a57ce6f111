//! What can go wrong on the customer's machine: each has its name, its sentence and its exit code, and leaves nothing.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use etatuki_demo::plugins;
use etatuki_demo::process::Process;
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::customer::Customer;
use crate::traces::{
    agent_fails, customer_fails, host_of, kill, looking, nothing_left, pid_of, processes,
    shared_memory,
};
use crate::world::{LIMIT, World, until};

/// Puts another text in the place of a part of the registry.
fn registry(world: &World, from: &str, to: &str) {
    let text = world.stage.registry_text();
    assert!(text.contains(from), "{from} isn't in the registry");
    std::fs::write(world.stage.registry(), text.replace(from, to)).unwrap();
}

/// A registry whose only entry is a plugin made of `tests/plugins/NAME.c`.
fn with_plugin(name: &str) -> World {
    let world = World::new();
    plugins::only(&world.stage, name).unwrap();
    world
}

/// Opens the entry, which fails.
fn open_fails(world: &World, backend: &str, name: &str, code: i32) -> Value {
    customer_fails(world, Customer::start(world, backend, &[]), name, code)
}

#[test]
fn no_service() {
    let world = World::new();
    // A port that was free a moment ago, and that nobody else is given soon.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    registry(&world, world.stage.service_url(), &format!("http://{port}"));
    open_fails(&world, "ecom", "service-unreachable", 5);
}

#[test]
fn a_service_that_never_answers() {
    let world = World::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    registry(&world, world.stage.service_url(), &address);
    open_fails(&world, "remoteus-2008", "service-unreachable", 5);
}

#[test]
fn a_service_that_talks_nonsense() {
    use std::io::{Read as _, Write as _};
    let world = World::new();
    let odd = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", odd.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in odd.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n<html");
        }
    });
    registry(&world, world.stage.service_url(), &address);
    open_fails(&world, "remoteus-2008", "service-error", 5);
}

#[test]
fn a_service_that_dies_while_somebody_waits() {
    let mut world = World::new();
    let mut customer = Customer::start(&world, "ecom", &[]);
    customer.expect_state("waiting");
    world.stage.kill_service().unwrap();
    notice(&mut customer, "service-lost");
    // The customer can still close it in good order, without waiting for an answer that never comes.
    customer.say(&json!({"type": "close"}));
    customer.expect_type("closed");
    assert_eq!(customer.ended().code(), Some(0));
    nothing_left(&world);
}

/// A service that comes back knows none of its codes: the customer gets another by himself, and it works.
#[test]
fn a_service_that_starts_afresh_while_somebody_waits() {
    let mut world = World::new();
    let mut customer = Customer::start(&world, "remoteus-2008", &[]);
    let forgotten = customer.code();
    world.stage.kill_service().unwrap();
    notice(&mut customer, "service-lost");
    world.stage.start_service().unwrap();
    notice(&mut customer, "code-forgotten");
    let code = until_code(&mut customer);
    assert_ne!(code, forgotten);
    let mut agent = Agent::join(&world, &code, &[]);
    customer.answer("view", true);
    agent.expect("view", |line| {
        line["type"] == "permissions" && line["view"] == true
    });
    agent.say("end");
    customer.expect_type("closed");
    assert_eq!(customer.ended().code(), Some(0));
    agent.ended();
    nothing_left(&world);
}

fn notice(customer: &mut Customer, name: &str) {
    customer.expect(name, |line| {
        line["type"] == "notice" && line["name"] == name
    });
}

/// The next code that can be read: between two there is an empty one.
fn until_code(customer: &mut Customer) -> Vec<String> {
    std::iter::repeat_with(|| customer.code())
        .find(|fields| !fields.is_empty())
        .expect("codes without end")
}

#[test]
fn a_running_session_needs_no_service() {
    let mut world = World::new();
    let (mut customer, mut agent) = looking(&world, "ecom");
    world.stage.kill_service().unwrap();
    agent.say("ask-control");
    customer.answer("control", true);
    agent.expect("control", |line| {
        line["type"] == "permissions" && line["control"] == true
    });
    agent.say("end");
    customer.expect_type("closed");
    assert_eq!(customer.ended().code(), Some(0));
    assert_eq!(agent.ended().code(), Some(0));
    nothing_left(&world);
}

#[test]
fn a_tool_that_is_missing() {
    let world = World::new();
    registry(&world, "x11vnc\"", "no-such-tool\"");
    let failed = open_fails(&world, "remoteus-2008", "tool-missing", 4);
    assert!(failed["detail"].as_str().unwrap().contains("no-such-tool"));
    open_fails(&world, "remoteus-2010", "tool-missing", 4);
}

#[test]
fn a_tool_that_is_too_old() {
    let world = World::new();
    registry(&world, "version = \">=0.9.13\"", "version = \">=99\"");
    open_fails(&world, "remoteus-2008", "tool-too-old", 4);
    open_fails(&world, "remoteus-2010", "tool-too-old", 4);
}

#[test]
fn a_tool_that_is_killed_in_the_middle() {
    for backend in ["remoteus-2008", "remoteus-2010"] {
        let world = World::new();
        let (customer, mut agent) = looking(&world, backend);
        kill(pid_of(&world, "x11vnc"));
        let failed = agent.expect_type("failed");
        assert_eq!(failed["name"], "tool-died", "{failed:#}");
        assert_eq!(agent.ended().code(), Some(6));
        customer_fails(&world, customer, "tool-died", 4);
    }
}

#[test]
fn a_plugin_that_others_can_write() {
    let world = with_plugin("well-behaved");
    let library = world.stage.folder().join("plugins/well-behaved.so");
    std::fs::set_permissions(library, std::fs::Permissions::from_mode(0o777)).unwrap();
    open_fails(&world, "well-behaved", "plugin-refused", 4);
}

#[test]
fn a_plugin_host_that_is_killed() {
    for backend in ["remoteus-2008", "remoteus-2010", "ecom"] {
        let world = World::new();
        let (customer, mut agent) = looking(&world, backend);
        let pids: Vec<_> = processes(&world).into_keys().collect();
        kill(host_of(&world, &customer));
        let failed = agent.expect_type("failed");
        assert_eq!(failed["name"], "plugin-died", "{failed:#}");
        assert_eq!(agent.ended().code(), Some(6));
        customer_fails(&world, customer, "plugin-died", 4);
        // What belongs to no process is gone too, for the tool could put it away.
        let left = shared_memory(&pids);
        assert!(left.is_empty(), "{backend}: {left:?}");
    }
}

#[test]
fn a_display_that_isnt_there() {
    let world = World::new();
    for backend in ["ecom", "remoteus-2008"] {
        let mut command = world.stage.launcher(":9999");
        command.args(["session", backend]);
        let customer = Customer::spawn(command);
        customer_fails(&world, customer, "display-missing", 4);
    }
    let mut command = world.stage.launcher(":9999");
    let output = command.args(["open", "ecom"]).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert!(!output.stderr.is_empty(), "nobody was told");
    nothing_left(&world);
}

/// The windows' library ends the program when its display dies; the session has its last words all the same.
#[test]
fn a_display_that_dies() {
    for backend in ["ecom", "remoteus-2008"] {
        let mut world = World::new();
        let (customer, agent) = looking(&world, backend);
        end_display(&mut world);
        customer_fails(&world, customer, "display-lost", 4);
        agent_fails(agent, "display-lost", 6);
    }
}

#[test]
fn a_display_that_dies_under_a_window() {
    let mut world = World::new();
    let mut launcher = world.stage.launcher(world.display.name());
    launcher.args(["open", "ecom"]);
    let mut launcher = Process::start(&mut launcher).unwrap();
    until("the code's plugin to be there", || {
        let hosts = processes(&world).len();
        (hosts > 1).then_some(())
    });
    end_display(&mut world);
    assert_eq!(launcher.wait(LIMIT).unwrap().code(), Some(4));
    nothing_left(&world);
}

fn end_display(world: &mut World) {
    let server = world.display.server();
    server.child().kill().unwrap();
    server.child().wait().unwrap();
}

/// The detail with which `etatuki session` refuses the registry.
fn registry_broken(world: &World) -> String {
    let mut customer = Customer::start(world, "ecom", &[]);
    let failed = customer.expect_type("failed");
    assert_eq!(failed["name"], "registry-broken", "{failed:#}");
    assert_eq!(customer.ended().code(), Some(3));
    nothing_left(world);
    failed["detail"].as_str().unwrap().to_owned()
}

#[test]
fn a_broken_registry_names_line_and_key() {
    let world = World::new();
    registry(&world, "form = \"ecom\"", "farm = \"ecom\"");
    let line = world
        .stage
        .registry_text()
        .lines()
        .position(|line| line.starts_with("form = \"ecom\""));
    let told = registry_broken(&world);
    assert!(
        told.contains(&format!("line {}", line.unwrap() + 1)),
        "{told}"
    );
    assert!(told.contains("farm"), "{told}");

    std::fs::write(world.stage.registry(), "[vendor\n").unwrap();
    let told = registry_broken(&world);
    assert!(told.contains("line 1"), "{told}");

    std::fs::remove_file(world.stage.registry()).unwrap();
    let told = registry_broken(&world);
    assert!(told.contains("backends.toml"), "{told}");
}

#[test]
fn a_plugin_that_is_missing() {
    let world = World::new();
    plugins::only_entry(&world.stage, "ecom", "libnothing.so").unwrap();
    // The other entries would still work, so it is this one that fails and not the registry.
    let failed = open_fails(&world, "ecom", "plugin-missing", 4);
    let detail = failed["detail"].as_str().unwrap();
    assert!(detail.contains("libnothing.so"), "{detail}");
    assert!(detail.contains("key `backend.plugin`"), "{detail}");
}

#[test]
fn a_plugin_of_a_version_that_wont_do() {
    let world = World::new();
    registry(&world, "version = \">=0.1, <1\"", "version = \"^9\"");
    let failed = open_fails(&world, "ecom", "plugin-wrong-version", 4);
    let detail = failed["detail"].as_str().unwrap();
    assert!(detail.contains("key `backend.version`"), "{detail}");
    assert!(detail.ends_with("correct the requirement"), "{detail}");
}

#[test]
fn options_that_the_plugin_doesnt_know() {
    let world = World::new();
    registry(&world, "tool = \"x11vnc\"", "toool = \"x11vnc\"");
    let failed = open_fails(&world, "remoteus-2008", "registry-broken", 3);
    let detail = failed["detail"].as_str().unwrap();
    assert!(detail.contains("key `backend.options`"), "{detail}");
    assert!(detail.contains("`toool`"), "{detail}");
}

#[test]
fn an_entry_that_is_not_in_the_registry() {
    let world = World::new();
    open_fails(&world, "teamviewer", "unknown-backend", 2);
}

/// The launcher is ready to try again: after a failure, the same entry opens.
#[test]
fn after_a_failure_it_can_be_tried_again() {
    let world = World::new();
    let (customer, mut agent) = looking(&world, "remoteus-2008");
    kill(pid_of(&world, "x11vnc"));
    agent.expect_type("failed");
    agent.ended();
    customer_fails(&world, customer, "tool-died", 4);
    let (mut customer, mut agent) = looking(&world, "remoteus-2008");
    agent.say("end");
    customer.expect_type("closed");
    assert_eq!(customer.ended().code(), Some(0));
    agent.ended();
    nothing_left(&world);
}

/// The plugins that ship keep the contract that everybody's plugins are held to, with the options that ship.
#[test]
fn our_own_plugins_pass_the_checker() {
    let world = World::new();
    let shipped: toml::Table = include_str!("../../backends.toml").parse().unwrap();
    let check = |id: &str, only: &[&str]| {
        let mut backends = shipped["backend"].as_array().unwrap().iter();
        let backend = backends.find(|backend| backend["id"].as_str() == Some(id));
        let backend = backend.unwrap();
        let mut command = world.stage.program("etatuki");
        command
            .args(["plugin", "check"])
            .arg(world.stage.bin().join(backend["plugin"].as_str().unwrap()))
            .env("DISPLAY", world.display.name());
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
    nothing_left(&world);
}

#[test]
fn a_plugin_that_breaks_the_contract_fails_the_check() {
    let world = with_plugin("prints");
    let library = world.stage.folder().join("plugins/prints.so");
    let mut command = world.stage.program("etatuki");
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

    let mut command = world.stage.program("etatuki");
    let done = command
        .args(["plugin", "check", "/nonexistent.so"])
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(2));
}
