//! Each backend from its entry to the picture, control and the end.

use serde_json::json;

use crate::agent::Agent;
use crate::customer::Customer;
use crate::desktop::Desktop;
use crate::testbed::{AGENT_NAME, Testbed, expect_all_gone, listening_ports, process_tree};

/// A letter that is on every layout.
const KEY_A: u32 = 0x61;

/// Plays a session through, from `etatuki session` to pixels, a key, and no process left.
async fn check_journey(backend: &str) {
    let testbed = Testbed::new();
    let desktop = Desktop::open(testbed.display.name());
    desktop.draw(1);
    let mut customer = Customer::start(&testbed, backend, &["--app-version", "4.13"]);
    let code = customer.code();
    customer.expect_state("waiting");

    let mut agent = Agent::join(&testbed, &code, &[]);
    customer.allow("view");
    agent.expect_type("connected");
    let mut viewer = agent.viewer().await;
    viewer.expect_picture(|| desktop.pixels()).await;
    desktop.draw(2);
    viewer.expect_picture(|| desktop.pixels()).await;

    // Viewing is allowed, control isn't: keys are dropped, also while the question is open.
    desktop.focus();
    viewer.key(KEY_A, true).await;
    viewer.key(KEY_A, false).await;
    agent.send("ask-control");
    let question = customer.expect_question("control");
    viewer.key(KEY_A, true).await;
    viewer.key(KEY_A, false).await;
    desktop.draw(3);
    viewer.expect_picture(|| desktop.pixels()).await;
    assert_eq!(desktop.keys(), [], "a key came through without control");

    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    customer.send(json!({"type": "answer", "id": question, "allow": true}));
    agent.expect("control", |line| {
        line["type"] == "permissions" && line["control"] == true
    });
    desktop.focus();
    viewer.key(KEY_A, true).await;
    desktop.expect_press();

    // Control is taken back with the key still down: nothing stays held, and no more input comes.
    let processes = process_tree(customer.process.pid().as_raw_nonzero().get().unsigned_abs());
    assert_eq!(
        listening_ports(&processes),
        Vec::<String>::new(),
        "something of the session listens on a TCP port"
    );
    customer.send(json!({"type": "take-back"}));
    agent.expect("control taken back", |line| {
        line["type"] == "permissions" && line["control"] == false
    });
    crate::testbed::wait_until("no key to be held", || {
        desktop.held_input().0.is_empty().then_some(())
    });
    desktop.keys();
    viewer.key(KEY_A, true).await;
    viewer.key(KEY_A, false).await;
    desktop.draw(4);
    viewer.expect_picture(|| desktop.pixels()).await;
    assert_eq!(
        desktop.keys(),
        [],
        "a key came through after control was taken back"
    );

    customer.send(json!({"type": "close"}));
    let closed = customer.expect_type("closed");
    assert_eq!(closed["receipt"]["agent"]["name"], AGENT_NAME);
    assert!(customer.wait_exit().success());
    agent.expect_type("ended");
    assert!(agent.wait_exit().success());
    expect_all_gone(&processes);
}

/// A video comes as JPEG, which has odd values where the real picture has even ones only; once it
/// rests, the picture is exact.
#[tokio::test(flavor = "multi_thread")]
async fn video() {
    let testbed = Testbed::new();
    let desktop = Desktop::open(testbed.display.name());
    desktop.draw_video_frame(0);
    let mut customer = Customer::start(&testbed, "ecom", &[]);
    let mut agent = Agent::join(&testbed, &customer.code(), &[]);
    customer.allow("view");
    agent.expect_type("connected");
    let mut viewer = agent.viewer().await;
    viewer.expect_picture(|| desktop.pixels()).await;
    let end = std::time::Instant::now() + crate::testbed::TIMEOUT;
    let mut frame = 0;
    while !viewer.has_odd_value().await {
        assert!(std::time::Instant::now() < end, "no JPEG came");
        frame += 1;
        desktop.draw_video_frame(frame);
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    }
    viewer.expect_picture(|| desktop.pixels()).await;
    agent.send("end");
    customer.expect_type("closed");
    assert!(customer.wait_exit().success());
    agent.wait_exit();
}

#[tokio::test(flavor = "multi_thread")]
async fn ecom() {
    check_journey("ecom").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn remoteus_2008() {
    check_journey("remoteus-2008").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn remoteus_2010() {
    check_journey("remoteus-2010").await;
}
