//! The customer's machine restarts in a session: the launcher ends with its display, and the one that
//! the desktop starts at the next login goes on.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use etatuki_deployment::display::{Display, WindowManager};
use etatuki_deployment::process::Process;

use crate::agent::Agent;
use crate::customer::Customer;
use crate::testbed::{TIMEOUT, Testbed};
use crate::windows::Xdotool;

const ECOM: &str = "Ecom Etätuki";

impl Testbed {
    fn autostart_entry(&self) -> PathBuf {
        let home = self.deployment.folder().join("home");
        home.join(".config/autostart/etatuki-come-back.desktop")
    }

    fn restart_ticket(&self) -> PathBuf {
        let home = self.deployment.folder().join("home");
        home.join(".local/state/etatuki/restart-ticket")
    }

    /// Runs a command line of an autostart entry, as the desktop does at login.
    fn log_in(&self, exec: &str) -> Process {
        // The quotes of an entry are the shell's, too.
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("exec {exec}")]);
        let launcher = self.deployment.launcher(self.display.name());
        for (name, value) in launcher.get_envs() {
            shell.env(name, value.unwrap());
        }
        Process::start(shell.stdin(Stdio::null())).unwrap()
    }
}

/// Opens a session whose agent looks, and lets the customer allow the restart.
fn allowed(testbed: &Testbed) -> (Customer, Agent) {
    let mut customer = Customer::start(testbed, "ecom", &[]);
    let code = customer.code();
    customer.expect_state("waiting");
    let mut agent = Agent::join(testbed, &code, &[]);
    customer.allow("view");
    agent.expect("view", |line| {
        line["type"] == "permissions" && line["view"] == true
    });
    agent.send("ask-restart");
    customer.allow("restart");
    let restarting = agent.expect_type("restarting");
    assert_eq!(restarting["seconds_left"], 900);
    let answer = agent.expect_type("answer");
    assert_eq!(
        (&answer["ask"], &answer["allowed"]),
        (&"restart".into(), &true.into())
    );
    let ticket = testbed.restart_ticket().metadata().unwrap();
    assert_eq!(ticket.permissions().mode() & 0o777, 0o600);
    (customer, agent)
}

/// Ends the display, and with it the launcher; returns the command line for the next login.
fn restart(testbed: &mut Testbed, mut customer: Customer) -> String {
    let entry = std::fs::read_to_string(testbed.autostart_entry()).unwrap();
    let exec = entry.lines().find_map(|line| line.strip_prefix("Exec="));
    let exec = exec.expect("a command line").to_owned();
    testbed.display = Display::start(1024, 768, WindowManager::Openbox).unwrap();
    customer.wait_exit();
    exec
}

#[test]
fn the_launcher_comes_back_once() {
    let mut testbed = Testbed::with_window_manager();
    let (customer, mut agent) = allowed(&testbed);
    let exec = restart(&mut testbed, customer);
    let interrupted = agent.expect_type("interrupted");
    let left = interrupted["seconds_left"].as_u64().unwrap();
    assert!((800..=900).contains(&left), "{interrupted}");

    let mut launcher = testbed.log_in(&exec);
    agent.expect_type("resumed");
    assert!(!testbed.autostart_entry().exists() && !testbed.restart_ticket().exists());
    let permissions = agent.expect_type("permissions");
    assert_eq!(
        (&permissions["view"], &permissions["control"]),
        (&false.into(), &false.into())
    );
    assert_eq!(agent.expect_type("asking")["ask"], "view");
    let xdotool = Xdotool::on(&testbed);
    xdotool.expect_focus(ECOM);
    std::thread::sleep(std::time::Duration::from_millis(1200)); // no key is taken before
    xdotool.screenshot("window-17-came-back.png");
    xdotool.key("alt+a");
    agent.expect("view", |line| {
        line["type"] == "permissions" && line["view"] == true
    });
    // In a stream of its own, so before the permission perhaps.
    let since = agent.received.iter().rev();
    let mut since = since.take_while(|line| line["type"] != "asking");
    if !since.any(|line| line["type"] == "picture") {
        agent.expect_type("picture");
    }

    // Another login finds nothing, and says nothing.
    let mut again = testbed.log_in(&exec);
    assert_eq!(again.wait(TIMEOUT).unwrap().code(), Some(0));
    assert!(launcher.is_running());
    agent.send("end");
    agent.expect_type("ended");
}

#[test]
fn an_end_leaves_nothing_for_the_next_login() {
    let testbed = Testbed::with_window_manager();
    let (mut customer, mut agent) = allowed(&testbed);
    customer.send(serde_json::json!({"type": "close"}));
    agent.expect_type("ended");
    assert!(customer.wait_exit().success());
    assert!(!testbed.autostart_entry().exists() && !testbed.restart_ticket().exists());
}

/// Each is said in a window, which has a button for a new code.
#[test]
fn a_ticket_that_is_no_good_is_said_and_leads_to_a_new_code() {
    let mut testbed = Testbed::with_window_manager();
    let (customer, mut agent) = allowed(&testbed);
    let exec = restart(&mut testbed, customer);
    std::fs::write(testbed.restart_ticket(), "etr1-nonsense").unwrap();
    let _launcher = testbed.log_in(&exec);
    let xdotool = Xdotool::on(&testbed);
    xdotool.expect_focus(ECOM);
    xdotool.screenshot("window-18-not-back.png");
    assert!(!testbed.autostart_entry().exists() && !testbed.restart_ticket().exists());
    agent.send("end");
    agent.expect_type("ended");
    // Trying again is the window's first button.
    xdotool.key("Return");
    assert!(xdotool.copied_code().contains(|c: char| c.is_ascii_digit()));
}
