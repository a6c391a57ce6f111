//! The outcomes of sessions: how both sides fail, and which processes are left.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use crate::agent::Agent;
use crate::customer::Customer;
use crate::testbed::{Testbed, wait_until};

/// Returns the running processes of both sides, id and name, without the service and the display.
pub(crate) fn processes(testbed: &Testbed) -> BTreeMap<u32, String> {
    testbed.deployment.processes()
}

/// Fails unless every process of both sides is gone within the time limit.
pub(crate) fn expect_no_processes(testbed: &Testbed) {
    wait_until("no process to be left", || {
        processes(testbed).is_empty().then_some(())
    });
}

/// Waits for the process with this name and returns its id.
pub(crate) fn pid_of(testbed: &Testbed, name: &str) -> u32 {
    wait_until(name, || {
        let found = processes(testbed);
        let pid = found.iter().find(|(_, known)| *known == name)?;
        Some(*pid.0)
    })
}

/// Waits for the plugin host, the second process called `etatuki`, and returns its id.
pub(crate) fn host_pid(testbed: &Testbed, customer: &Customer) -> u32 {
    let launcher = customer.process.pid().as_raw_nonzero().get().unsigned_abs();
    wait_until("the plugin host", || {
        let found = processes(testbed);
        let pid = found
            .iter()
            .find(|(pid, name)| **pid != launcher && *name == "etatuki")?;
        Some(*pid.0)
    })
}

/// Kills a process with SIGKILL. The shared memory that a killed x11vnc leaves is removed too,
/// because a machine has room for a hundred times as much only.
pub(crate) fn kill(pid: u32) {
    kill_all(&[pid]);
}

/// As [`kill`], for several at once: all stand still first, so that none does anything about the
/// death of another.
pub(crate) fn kill_all(pids: &[u32]) {
    let shell = |line: String| Command::new("sh").args(["-c", &line]).status().unwrap();
    let numbers: Vec<_> = pids.iter().map(u32::to_string).collect();
    let numbers = numbers.join(" ");
    assert!(shell(format!("kill -STOP {numbers} && kill -KILL {numbers}")).success());
    for segment in shared_memory(pids) {
        shell(format!("ipcrm -m {segment}"));
    }
}

/// Returns the ids of the System V shared memory segments that these processes created and that
/// still exist.
pub(crate) fn shared_memory(creators: &[u32]) -> Vec<u32> {
    let table = std::fs::read_to_string("/proc/sysvipc/shm").unwrap();
    let number = |field: Option<&str>| field?.parse::<u32>().ok();
    let segments = table.lines().filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (segment, creator) = (number(fields.next())?, number(fields.nth(2))?);
        creators.contains(&creator).then_some(segment)
    });
    segments.collect()
}

/// Waits until the customer's side fails by this name with a sentence, exits with this code, and
/// leaves no process.
pub(crate) fn expect_customer_fails(
    testbed: &Testbed,
    mut customer: Customer,
    name: &str,
    code: i32,
) -> Value {
    let failed = customer.expect_type("failed");
    assert_eq!(failed["name"], name, "{failed:#}");
    assert!(is_sentence(&failed["text"]), "{failed:#}");
    assert_eq!(customer.wait_exit().code(), Some(code), "{failed:#}");
    expect_no_processes(testbed);
    failed
}

/// Waits until the agent's side fails by this name with a sentence, and exits with this code.
pub(crate) fn expect_agent_fails(mut agent: Agent, name: &str, code: i32) {
    let failed = agent.expect_type("failed");
    assert_eq!(failed["name"], name, "{failed:#}");
    assert!(is_sentence(&failed["text"]), "{failed:#}");
    assert_eq!(agent.wait_exit().code(), Some(code), "{failed:#}");
}

/// Returns whether a text is a sentence for people: a full stop at its end, no Rust path, no panic.
fn is_sentence(text: &Value) -> bool {
    let text = text.as_str().unwrap_or_default();
    text.ends_with('.') && text.contains(' ') && !text.contains("::") && !text.contains("panicked")
}

/// Starts a session in which the agent sees the screen.
pub(crate) fn viewing_session(testbed: &Testbed, backend: &str) -> (Customer, Agent) {
    let mut customer = Customer::start(testbed, backend, &[]);
    let code = customer.code();
    let mut agent = Agent::join(testbed, &code, &[]);
    customer.allow("view");
    agent.expect_type("picture");
    (customer, agent)
}
