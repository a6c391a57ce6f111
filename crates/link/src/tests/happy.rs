//! An agent with a card and the right code.

use std::time::Instant;

use super::*;
use crate::{LinkError, LinkStats, PathKind};
use etatuki_protocol::{Ask, ClipboardText, InputMessage, ToAgent, ToCustomer};

async fn check_form(form: CodeForm) {
    let customer = customer().await;
    let params = params_for(form);
    let (attempt, dialled) = connect(&customer, &params, &params.code.secret, &agent()).await;
    let Attempt::Authenticated(theirs) = attempt else {
        panic!("{attempt:?}")
    };
    let ours = dialled.unwrap();
    assert_eq!(theirs.agent.name, "Aino Agentti");
    assert_eq!(theirs.agent.organisation, "Tilitoimisto Oy");
    let (_, ours) = ours.into_parts();
    let kept = customer.resume_keys().await;
    assert_eq!(kept, [*ours.key().expose()]);
}

#[tokio::test]
async fn a_single_code_links() {
    check_form(CodeForm::SingleCode).await;
}

#[tokio::test]
async fn an_id_and_password_link() {
    check_form(CodeForm::IdAndPassword).await;
}

#[tokio::test]
async fn every_stream_carries_what_it_is_for() {
    let (customer, agent) = linked().await;
    let (mut customer, mut agent) = (customer.split(), agent.split());

    agent
        .control_out
        .send(&ToCustomer::Ask(Ask::Control))
        .await
        .unwrap();
    let asked = soon(customer.control_in.recv()).await.unwrap();
    assert_eq!(asked, Some(ToCustomer::Ask(Ask::Control)));
    let asking = ToAgent::Asking { ask: Ask::Control };
    customer.control_out.send(&asking).await.unwrap();
    assert_eq!(soon(agent.control_in.recv()).await.unwrap(), Some(asking));

    agent.input_out.send(b"\x04\x01key").await.unwrap();
    assert_eq!(
        soon(customer.input_in.recv()).await.unwrap().unwrap(),
        InputMessage::Rfb(b"\x04\x01key".to_vec())
    );
    agent.input_out.mark_clipboard(7).await.unwrap();
    assert_eq!(
        soon(customer.input_in.recv()).await.unwrap().unwrap(),
        InputMessage::ClipboardMark(7)
    );

    let screen = vec![0x5a; 2 << 20];
    for piece in [&screen[..], b"bell", &screen[..1000]] {
        let (sent, received) =
            soon(async { tokio::join!(customer.picture_out.send(piece), agent.picture_in.recv()) })
                .await;
        sent.unwrap();
        assert!(received.unwrap().unwrap() == piece);
    }

    let text = |number, text: &str| ClipboardText {
        number,
        text: text.to_owned(),
    };
    let sent = agent.clipboard_out.send_numbered(7, "euroa: 1 €");
    sent.await.unwrap();
    assert_eq!(
        soon(customer.clipboard_in.recv()).await.unwrap().unwrap(),
        text(7, "euroa: 1 €")
    );
    customer.clipboard_out.send("").await.unwrap();
    assert_eq!(
        soon(agent.clipboard_in.recv()).await.unwrap().unwrap(),
        text(0, "")
    );

    let LinkStats { sent, received } = customer.connection.stats();
    assert!(sent > 1000 && received > 1000);
    assert_eq!(agent.connection.path_kind(), PathKind::Direct);
    assert!(agent.connection.round_trip_time().is_some());
}

#[tokio::test]
async fn a_finished_stream_ends_and_a_closed_link_says_why() {
    let (customer, agent) = linked().await;
    let (mut customer, mut agent) = (customer.split(), agent.split());
    customer.picture_out.send(b"last").await.unwrap();
    customer.picture_out.finish().await.unwrap();
    assert_eq!(
        soon(agent.picture_in.recv()).await.unwrap().unwrap(),
        b"last"
    );
    assert_eq!(soon(agent.picture_in.recv()).await, Ok(None));
    drop(customer.clipboard_out);
    assert_eq!(soon(agent.clipboard_in.recv()).await, Ok(None));

    agent.connection.close("agent-ended");
    let ended = LinkError::Ended("agent-ended".into());
    assert_eq!(soon(customer.connection.closed()).await, ended);
    assert_eq!(soon(customer.input_in.recv()).await, Err(ended.clone()));
    assert_eq!(
        customer
            .control_out
            .send(&ToAgent::Asking { ask: Ask::View })
            .await,
        Err(ended.clone())
    );
    assert_eq!(agent.connection.closed().await, LinkError::Closed);
    assert_eq!(agent.input_out.send(b"x").await, Err(LinkError::Closed));
    assert_eq!(ended.name(), "link-ended");
}

#[tokio::test]
async fn a_link_outlives_its_endpoints_handles() {
    let (customer, agent) = linked().await;
    // `linked` has dropped both endpoints by now.
    let (mut customer, mut agent) = (customer.split(), agent.split());
    agent.input_out.send(b"still here").await.unwrap();
    assert_eq!(
        soon(customer.input_in.recv()).await.unwrap().unwrap(),
        InputMessage::Rfb(b"still here".to_vec())
    );
}

#[tokio::test]
async fn closing_an_endpoint_closes_its_link() {
    let customer = customer().await;
    let params = params();
    let (attempt, agent) = connect(&customer, &params, &params.code.secret, &agent()).await;
    let Attempt::Authenticated(_link) = attempt else {
        panic!("{attempt:?}")
    };
    let connection = agent.unwrap().split().connection;
    soon(customer.close()).await;
    assert!(matches!(
        soon(connection.closed()).await,
        LinkError::Ended(_)
    ));
}

#[tokio::test]
async fn the_address_names_a_way_from_the_start() {
    let customer = customer().await;
    let address = endpoint_addr(&customer.address());
    assert!(address.ip_addrs().any(|address| address.ip().is_loopback()));
}

/// Prints figures; `cargo test -p etatuki-link handshake_time -- --ignored --nocapture`.
#[tokio::test]
#[ignore = "prints how long things take"]
async fn handshake_time() {
    for _ in 0..10 {
        let start = Instant::now();
        let customer = customer().await;
        let endpoint = AgentEndpoint::bind(None).await.unwrap();
        let bound = start.elapsed();
        let (params, agent, address) = (params(), agent(), customer.address());
        let nameplate = params.code.nameplate;
        let dial = endpoint.dial(&address, &nameplate, &params.code.secret, &agent);
        let (attempt, link) = soon(async { tokio::join!(customer.accept(&params), dial) }).await;
        let linked = start.elapsed() - bound;
        let Attempt::Authenticated(theirs) = attempt else {
            panic!("{attempt:?}")
        };
        let (mut theirs, mut ours) = (theirs.split(), link.unwrap().split());
        let start = Instant::now();
        for _ in 0..100 {
            ours.input_out.send(b"key").await.unwrap();
            theirs.input_in.recv().await.unwrap();
            theirs.picture_out.send(&[7; 2000]).await.unwrap();
            ours.picture_in.recv().await.unwrap();
        }
        let round_trip = start.elapsed() / 100;
        eprintln!(
            "bind both {bound:?}, dial to link {linked:?}, key to picture block {round_trip:?}"
        );
    }
}
