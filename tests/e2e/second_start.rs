//! A second start on a display: the customer is shown the session that there is, or it gives way.

use crate::agent::Agent;
use crate::customer::Customer;
use crate::testbed::{Testbed, expect_all_gone, wait_until};
use crate::windows::{Launcher, Xdotool};

const ECOM: &str = "Ecom Etätuki";
const REMOTEUS: &str = "Remoteus etätuki (2008)";
const MENU: &str = "Etätuki";

/// Returns the number of windows on the screen whose title has this beginning, up to its first
/// umlaut: xdotool's patterns have none.
fn count_windows(xdotool: &Xdotool, title: &str) -> usize {
    let beginning = title.split('ä').next().unwrap();
    let pattern = format!("^{beginning}");
    let found = xdotool.run(&["search", "--onlyvisible", "--name", &pattern]);
    found.lines().count()
}

#[test]
fn two_starts_make_one_session() {
    let testbed = Testbed::with_window_manager();
    let (first, xdotool) = Launcher::start(&testbed, &["open", "ecom"]);
    let (second, _) = Launcher::start(&testbed, &["open", "ecom"]);
    let mut both = [first, second];
    let ended = wait_until("one of two starts to end", || {
        both.iter_mut().position(|one| !one.0.is_running())
    });
    assert_eq!(both[ended].exit_code(), Some(0));
    xdotool.expect_focus(ECOM);
    assert_eq!(count_windows(&xdotool, ECOM), 1);

    // Another program's own session is refused by name, and the menu may open meanwhile.
    let mut embedded = Customer::start(&testbed, "ecom", &[]);
    let failed = embedded.expect_type("failed");
    assert_eq!(failed["name"], "session-running", "{failed}");
    assert_eq!(embedded.wait_exit().code(), Some(4));
    let (mut menu, _) = Launcher::start(&testbed, &[]);
    xdotool.expect_focus(MENU);
    let (mut menu_again, _) = Launcher::start(&testbed, &[]);
    assert_eq!(menu_again.exit_code(), Some(0));
    assert_eq!(count_windows(&xdotool, MENU), 1);
    assert!(menu.0.is_running() && both[1 - ended].0.is_running());

    // Nobody has used the code: another entry takes its place.
    let (_third, _) = Launcher::start(&testbed, &["open", "remoteus-2008"]);
    xdotool.expect_focus(REMOTEUS);
    assert_eq!(both[1 - ended].exit_code(), Some(0));
    assert_eq!(count_windows(&xdotool, ECOM), 0);
}

#[test]
fn a_launcher_that_died_leaves_the_display_free() {
    let testbed = Testbed::with_window_manager();
    let (first, xdotool) = Launcher::start(&testbed, &["open", "ecom"]);
    xdotool.expect_focus(ECOM);
    drop(first);
    let (mut second, _) = Launcher::start(&testbed, &["open", "ecom"]);
    xdotool.expect_focus(ECOM);
    assert!(second.0.is_running());
}

#[test]
fn a_launcher_that_hangs_is_ended_by_the_customer_alone() {
    let testbed = Testbed::with_window_manager();
    let (mut first, xdotool) = Launcher::start(&testbed, &["open", "ecom"]);
    xdotool.expect_focus(ECOM);
    let pid = first.0.pid().as_raw_nonzero().to_string();
    let signal = |name: &str| {
        let mut kill = std::process::Command::new("kill");
        assert!(kill.args([name, &pid]).status().unwrap().success());
    };
    signal("-STOP");
    let (mut second, _) = Launcher::start(&testbed, &["open", "ecom"]);
    xdotool.expect_focus(MENU);
    // The frozen window is above all others too, and has no button in this colour.
    wait_until("the new window to be above the frozen one", || {
        let (pixels, _) = xdotool.pixels();
        let accent = pixels
            .chunks_exact(4)
            .filter(|bgrx| bgrx[..3] == [0xb4, 0x5f, 0x1a]);
        (accent.count() > 4000).then_some(())
    });
    xdotool.screenshot("window-16-session-hung.png");
    xdotool.key("Escape");
    assert_eq!(second.exit_code(), Some(4));
    assert!(first.0.is_running(), "nobody has ended it");

    let (mut third, _) = Launcher::start(&testbed, &["open", "ecom"]);
    xdotool.expect_focus(MENU);
    let processes = first.process_tree();
    xdotool.key("alt+l");
    expect_all_gone(&processes);
    xdotool.expect_focus(ECOM);
    assert_eq!(xdotool.copied_code().replace(' ', "").len(), 15);
    assert!(third.0.is_running());
}

#[test]
fn a_connected_session_without_a_window_is_told_of() {
    let testbed = Testbed::with_window_manager();
    let mut customer = Customer::start(&testbed, "ecom", &[]);
    let code = customer.code();
    let _agent = Agent::join(&testbed, &code, &[]);
    customer.allow("view");
    customer.expect_type("permissions");

    let (mut second, xdotool) = Launcher::start(&testbed, &["open", "remoteus-2008"]);
    xdotool.expect_focus(MENU);
    xdotool.screenshot("window-15-session-running.png");
    xdotool.key("Return");
    assert_eq!(second.exit_code(), Some(4));
    assert!(customer.process.is_running());
}

#[test]
fn a_display_has_one_session_however_it_is_named() {
    let testbed = Testbed::new();
    let mut first = Customer::start(&testbed, "ecom", &[]);
    first.code();
    let mut command = testbed
        .deployment
        .launcher(&format!("{}.0", testbed.display.name()));
    command.args(["session", "remoteus-2008"]);
    let failed = Customer::spawn(command).expect_type("failed");
    assert_eq!(failed["name"], "session-running", "{failed}");
    assert!(first.process.is_running());
}
