//! Established links: bounds, cancel safety, and dead connections.

use super::*;
use crate::LinkError;
use etatuki_protocol::{
    Ask, CodecError, InputMessage, MAX_CLIPBOARD, MAX_CONTROL, MAX_PICTURE, ToAgent, ToCustomer,
};

#[tokio::test]
async fn what_is_too_large_is_refused_here_and_the_streams_go_on() {
    let (customer, agent) = linked().await;
    let (mut customer, mut agent) = (customer.split(), agent.split());

    let reason = "x".repeat(MAX_CONTROL);
    let sent = customer.control_out.send(&ToAgent::Ended { reason }).await;
    assert!(matches!(
        sent,
        Err(LinkError::Codec(CodecError::TooLarge {
            limit: MAX_CONTROL,
            ..
        }))
    ));
    let sent = customer
        .clipboard_out
        .send(&"x".repeat(MAX_CLIPBOARD + 1))
        .await;
    assert!(matches!(
        sent,
        Err(LinkError::Codec(CodecError::TooLarge {
            limit: MAX_CLIPBOARD,
            ..
        }))
    ));
    let sent = customer.picture_out.send(&vec![0; MAX_PICTURE + 1]).await;
    assert!(matches!(
        sent,
        Err(LinkError::Codec(CodecError::TooLarge {
            limit: MAX_PICTURE,
            ..
        }))
    ));

    let text = "ä".repeat(MAX_CLIPBOARD / 2);
    let (sent, received) = soon(async {
        tokio::join!(
            customer.clipboard_out.send(&text),
            agent.clipboard_in.recv()
        )
    })
    .await;
    sent.unwrap();
    assert!(received.unwrap().unwrap().text == text);
    customer.picture_out.send(b"picture").await.unwrap();
    assert_eq!(
        soon(agent.picture_in.recv()).await.unwrap().unwrap(),
        b"picture"
    );
}

/// Receiving is cancelled again and again while messages come in pieces; none is lost or torn.
#[tokio::test]
async fn receiving_is_cancel_safe() {
    let (customer, agent) = linked().await;
    let (mut customer, mut agent) = (customer.split(), agent.split());
    let text = "0123456789".repeat(60_000);
    let picture: Vec<u8> = (0..450_000_u32).flat_map(u32::to_le_bytes).collect();
    let messages = 6;
    let sending = async {
        for _ in 0..messages {
            let reason = "r".repeat(60_000);
            customer
                .control_out
                .send(&ToAgent::Ended { reason })
                .await
                .unwrap();
            customer.clipboard_out.send(&text).await.unwrap();
            customer.picture_out.send(&picture).await.unwrap();
        }
    };
    let receiving = async {
        let (mut controls, mut texts, mut pictures) = (0, 0, 0);
        while controls + texts + pictures < 3 * messages {
            tokio::select! {
                biased;
                () = tokio::task::yield_now() => tokio::task::yield_now().await,
                message = agent.control_in.recv() => {
                    assert!(matches!(message, Ok(Some(ToAgent::Ended { reason })) if reason.len() == 60_000));
                    controls += 1;
                }
                message = agent.clipboard_in.recv() => {
                    assert!(message.unwrap().unwrap().text == text);
                    texts += 1;
                }
                message = agent.picture_in.recv() => {
                    assert!(message.unwrap().unwrap() == picture);
                    pictures += 1;
                }
            }
        }
    };
    soon(async { tokio::join!(sending, receiving) }).await;
}

/// A send that is cancelled half way is completed by the next.
#[tokio::test]
async fn sending_is_all_or_nothing() {
    let (customer, agent) = linked().await;
    let (mut customer, mut agent) = (customer.split(), agent.split());
    // Doesn't compress, and is more than may be in flight.
    let mut state = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(MAX_PICTURE)
    .collect();
    let cancelled = tokio::time::timeout(
        Duration::from_millis(200),
        customer.picture_out.send(&noise),
    );
    assert!(
        cancelled.await.is_err(),
        "nobody reads, so this can't be done"
    );

    // The picture's stream is full; control overtakes it.
    customer
        .control_out
        .send(&ToAgent::Asking { ask: Ask::View })
        .await
        .unwrap();
    assert!(soon(agent.control_in.recv()).await.unwrap().is_some());

    let (sent, received) = soon(async {
        tokio::join!(customer.picture_out.send(b"next"), async {
            [agent.picture_in.recv().await, agent.picture_in.recv().await]
        })
    })
    .await;
    sent.unwrap();
    let [first, second] = received.map(|piece| piece.unwrap().unwrap());
    assert!(first == noise);
    assert_eq!(second, b"next");
}

#[tokio::test]
async fn both_ends_may_send_before_either_reads() {
    let (customer, agent) = linked().await;
    let (mut customer, mut agent) = (customer.split(), agent.split());
    soon(async {
        agent.control_out.send(&ToCustomer::End).await.unwrap();
        agent.input_out.send(&[3; 100_000]).await.unwrap();
        customer
            .control_out
            .send(&ToAgent::Asking { ask: Ask::View })
            .await
            .unwrap();
        customer.picture_out.send(&[1; 100_000]).await.unwrap();
        let mut input = 0;
        while input < 100_000 {
            match customer.input_in.recv().await.unwrap().unwrap() {
                InputMessage::Rfb(bytes) => input += bytes.len(),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(
            agent.picture_in.recv().await.unwrap().unwrap().len(),
            100_000
        );
        assert_eq!(
            customer.control_in.recv().await.unwrap(),
            Some(ToCustomer::End)
        );
        assert!(agent.control_in.recv().await.unwrap().is_some());
    })
    .await;
}

/// A peer that vanishes without closing, as after a crash or a pulled plug.
#[tokio::test]
async fn a_dead_line_is_noticed() {
    let customer = customer().await;
    let params = params();
    let (address, code) = (customer.address(), params.code.clone());
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let agent = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let link = runtime.block_on(async {
            let endpoint = AgentEndpoint::bind(None).await.unwrap();
            endpoint
                .dial(&address, &code.nameplate, &code.secret, &agent())
                .await
                .unwrap()
        });
        // The runtime doesn't run while this waits: nothing is sent, not even an acknowledgement.
        stopped.recv().unwrap();
        drop(link);
    });
    let attempt = soon(customer.accept(&params)).await;
    let Attempt::Authenticated(link) = attempt else {
        panic!("{attempt:?}")
    };
    let start = std::time::Instant::now();
    assert_eq!(soon(link.connection().closed()).await, LinkError::Lost);
    eprintln!("noticed after {:?}", start.elapsed());
    stop.send(()).unwrap();
    agent.join().unwrap();
}
