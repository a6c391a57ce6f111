//! Each backend from its entry to the picture, control and the end.

use serde_json::json;

use crate::agent::Agent;
use crate::customer::Customer;
use crate::desktop::Desktop;
use crate::world::{AGENT, World, all_gone, family, listening};

/// A letter that is on every layout.
const KEY_A: u32 = 0x61;

/// From `etatuki session` to pixels, a key, and nothing left.
async fn journey(backend: &str) {
    let world = World::new();
    let desktop = Desktop::open(world.display.name());
    desktop.draw(1);
    let mut customer = Customer::start(&world, backend, &["--app-version", "4.13"]);
    let code = customer.code();
    customer.expect_state("waiting");

    let mut agent = Agent::join(&world, &code, &[]);
    customer.answer("view", true);
    agent.expect_type("connected");
    let mut viewer = agent.viewer().await;
    viewer.shows(|| desktop.pixels()).await;
    desktop.draw(2);
    viewer.shows(|| desktop.pixels()).await;

    // Looking is allowed, touching isn't: the key is dropped, and still is while the question is open.
    desktop.focus();
    viewer.key(KEY_A, true).await;
    viewer.key(KEY_A, false).await;
    agent.say("ask-control");
    let question = customer.question("control");
    viewer.key(KEY_A, true).await;
    viewer.key(KEY_A, false).await;
    desktop.draw(3);
    viewer.shows(|| desktop.pixels()).await;
    assert_eq!(desktop.keys(), [], "a key came through without control");

    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    customer.say(&json!({"type": "answer", "id": question, "allow": true}));
    agent.expect("control", |line| {
        line["type"] == "permissions" && line["control"] == true
    });
    desktop.focus();
    viewer.key(KEY_A, true).await;
    desktop.expect_press();

    // Taken back with the key still down: nothing stays held, and nothing more comes.
    let family = family(customer.process.pid().as_raw_nonzero().get().unsigned_abs());
    assert_eq!(
        listening(&family),
        Vec::<String>::new(),
        "something of the session listens on a TCP port"
    );
    customer.say(&json!({"type": "take-back"}));
    agent.expect("control taken back", |line| {
        line["type"] == "permissions" && line["control"] == false
    });
    crate::world::until("no key to be held", || {
        desktop.held().0.is_empty().then_some(())
    });
    desktop.keys();
    viewer.key(KEY_A, true).await;
    viewer.key(KEY_A, false).await;
    desktop.draw(4);
    viewer.shows(|| desktop.pixels()).await;
    assert_eq!(
        desktop.keys(),
        [],
        "a key came through after control was taken back"
    );

    customer.say(&json!({"type": "close"}));
    let closed = customer.expect_type("closed");
    assert_eq!(closed["receipt"]["agent"]["name"], AGENT);
    assert!(customer.ended().success());
    agent.expect_type("ended");
    assert!(agent.ended().success());
    all_gone(&family);
}

/// A film comes as JPEG, which no picture of even values is; and exactly once it rests, whatever its last frame was.
#[tokio::test(flavor = "multi_thread")]
async fn film() {
    let world = World::new();
    let desktop = Desktop::open(world.display.name());
    desktop.film(0);
    let mut customer = Customer::start(&world, "ecom", &[]);
    let mut agent = Agent::join(&world, &customer.code(), &[]);
    customer.answer("view", true);
    agent.expect_type("connected");
    let mut viewer = agent.viewer().await;
    viewer.shows(|| desktop.pixels()).await;
    let end = std::time::Instant::now() + crate::world::LIMIT;
    let mut frame = 0;
    while !viewer.is_odd().await {
        assert!(std::time::Instant::now() < end, "no JPEG came");
        frame += 1;
        desktop.film(frame);
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    }
    viewer.shows(|| desktop.pixels()).await;
    agent.say("end");
    customer.expect_type("closed");
    assert!(customer.ended().success());
    agent.ended();
}

#[tokio::test(flavor = "multi_thread")]
async fn ecom() {
    journey("ecom").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn remoteus_2008() {
    journey("remoteus-2008").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn remoteus_2010() {
    journey("remoteus-2010").await;
}
