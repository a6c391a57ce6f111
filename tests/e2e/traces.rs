//! What a world's programs leave behind.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use crate::agent::Agent;
use crate::customer::Customer;
use crate::world::{World, until};

/// The running processes of both sides: number and name. The service and the display are not among them.
pub(crate) fn processes(world: &World) -> BTreeMap<u32, String> {
    world.stage.processes()
}

/// Fails unless every process of both sides is gone within the limit.
pub(crate) fn nothing_left(world: &World) {
    until("no process to be left", || {
        processes(world).is_empty().then_some(())
    });
}

/// The number of the one process with this name, once it runs.
pub(crate) fn pid_of(world: &World, name: &str) -> u32 {
    until(name, || {
        let found = processes(world);
        let pid = found.iter().find(|(_, known)| *known == name)?;
        Some(*pid.0)
    })
}

/// The plugin host's number: the second process that is called `etatuki`.
pub(crate) fn host_of(world: &World, customer: &Customer) -> u32 {
    let launcher = customer.process.pid().as_raw_nonzero().get().unsigned_abs();
    until("the plugin host", || {
        let found = processes(world);
        let pid = found
            .iter()
            .find(|(pid, name)| **pid != launcher && *name == "etatuki")?;
        Some(*pid.0)
    })
}

/// SIGKILL: no last words. The shared memory of a killed x11vnc is taken away, for a machine has room for a hundred
/// times as much.
pub(crate) fn kill(pid: u32) {
    let shell = |line: String| Command::new("sh").args(["-c", &line]).status().unwrap();
    assert!(shell(format!("kill -9 {pid}")).success());
    for piece in shared_memory(&[pid]) {
        shell(format!("ipcrm -m {piece}"));
    }
}

/// The numbers of the pieces of System V shared memory that these processes made, and that are still there.
pub(crate) fn shared_memory(makers: &[u32]) -> Vec<u32> {
    let table = std::fs::read_to_string("/proc/sysvipc/shm").unwrap();
    let number = |field: Option<&str>| field?.parse::<u32>().ok();
    let pieces = table.lines().filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (piece, maker) = (number(fields.next())?, number(fields.nth(2))?);
        makers.contains(&maker).then_some(piece)
    });
    pieces.collect()
}

/// The customer's side fails by this name with a sentence, ends with this exit code, and leaves nothing.
pub(crate) fn customer_fails(
    world: &World,
    mut customer: Customer,
    name: &str,
    code: i32,
) -> Value {
    let failed = customer.expect_type("failed");
    assert_eq!(failed["name"], name, "{failed:#}");
    assert!(is_sentence(&failed["text"]), "{failed:#}");
    assert_eq!(customer.ended().code(), Some(code), "{failed:#}");
    nothing_left(world);
    failed
}

/// The agent's side fails by this name with a sentence, and ends with this exit code.
pub(crate) fn agent_fails(mut agent: Agent, name: &str, code: i32) {
    let failed = agent.expect_type("failed");
    assert_eq!(failed["name"], name, "{failed:#}");
    assert!(is_sentence(&failed["text"]), "{failed:#}");
    assert_eq!(agent.ended().code(), Some(code), "{failed:#}");
}

/// Words that end with a full stop, and nothing that only a programmer reads.
fn is_sentence(text: &Value) -> bool {
    let text = text.as_str().unwrap_or_default();
    text.ends_with('.') && text.contains(' ') && !text.contains("::") && !text.contains("panicked")
}

/// A session in which the agent sees the screen.
pub(crate) fn looking(world: &World, backend: &str) -> (Customer, Agent) {
    let mut customer = Customer::start(world, backend, &[]);
    let code = customer.code();
    let mut agent = Agent::join(world, &code, &[]);
    customer.answer("view", true);
    agent.expect_type("picture");
    (customer, agent)
}
