//! A resume that breaks off at any place: both ends still hold one key, and a later try succeeds.
//! Cut by bytes, not by time.

use etatuki_protocol::append_frame;

use super::*;

/// Places to cut a message of this many bytes: each of the first ones, where its fields begin, and
/// the last ones.
fn cuts(length: usize) -> impl Iterator<Item = usize> {
    let fields = [9, 10, 11, 73, 74, 75, 105, 106, 107];
    (0..8)
        .chain(fields)
        .chain(length - 3..=length)
        .filter(move |&at| at <= length)
}

#[tokio::test]
async fn a_request_that_is_cut_anywhere_costs_nothing() {
    let mut ends = Interrupted::new().await;
    let length = {
        let mut ends = Interrupted::new().await;
        let customer = ends.customer.clone();
        let peer = tokio::select! {
            peer = ends.dial_raw() => peer,
            attempt = customer.accept_resume(&ends.params) => panic!("{attempt:?}"),
        };
        let mut stream = vec![StreamKind::Control as u8];
        ends.honest(&peer).message().append_to(&mut stream);
        stream.len()
    };
    for cut in cuts(length) {
        let (customer, params) = (ends.customer.clone(), ends.params.clone());
        let broken = async {
            let mut peer = ends.dial_raw().await;
            let mut stream = vec![StreamKind::Control as u8];
            ends.honest(&peer).message().append_to(&mut stream);
            peer.send_bytes(&stream[..cut]).await;
            if cut == length {
                // It has arrived. The answer is lost.
                peer.recv().await.unwrap();
            }
            peer.close(4, "interrupted");
        };
        let (attempt, ()) =
            soon(async { tokio::join!(customer.accept_resume(&params), broken) }).await;
        assert!(matches!(attempt, Attempt::Aborted), "{cut}: {attempt:?}");
        ends.check_resumes().await;
    }
}

#[tokio::test]
async fn streams_that_never_arrive_cost_nothing() {
    let mut ends = Interrupted::new().await;
    // The kinds that arrive; with all of them there is a link.
    let kinds: [&[u8]; 4] = [&[], &[2], &[4], &[9]];
    for arriving in kinds {
        let (customer, params) = (ends.customer.clone(), ends.params.clone());
        let broken = async {
            let mut peer = ends.dial_raw().await;
            let request = ends.honest(&peer);
            peer.send_kind().await;
            peer.send(&request.message()).await;
            request.check_confirmation(&mut peer).await;
            for kind in arriving {
                peer.open_stream(*kind).await;
            }
            peer.close(4, "interrupted");
            request.keys()
        };
        let (attempt, keys) =
            soon(async { tokio::join!(customer.accept_resume(&params), broken) }).await;
        assert!(matches!(attempt, Attempt::Aborted), "{attempt:?}");
        // The agent's end had the confirmation, so it holds the new key.
        ends.resumption.advance(&keys);
        ends.check_resumes().await;
    }
}

/// The customer's side by hand, at the endpoint that had the link.
struct RawCustomer {
    ends: Interrupted,
    /// The keys that the customer's end would hold.
    key: ResumeKey,
}

impl RawCustomer {
    async fn new() -> Self {
        let ends = Interrupted::new().await;
        let key = ends.resumption.key().clone();
        Self { ends, key }
    }

    /// Answers the agent's try with the first `cut` bytes of the confirmation, then breaks off.
    /// Returns the new link's resume key and the agent's error.
    async fn answer(&mut self, cut: usize) -> (ResumeKey, DialError) {
        let ends = &mut self.ends;
        let address = ends.customer.address();
        let endpoint = ends.customer.raw().clone();
        let mut request = Request {
            agent: ends.agent.clone(),
            parties: ends.resumption.parties.clone(),
            key: self.key.clone(),
            exporter: [0; 32],
            number: 0,
        };
        let answer = async {
            let mut peer = RawPeer::accept(&endpoint).await;
            let Some(HandshakeMessage::Resume(resume)) = peer.recv().await else {
                panic!("no request")
            };
            (request.exporter, request.number) = (peer.exporter(), resume.number);
            let keys = request.keys();
            let transcript = request.transcript();
            assert!(keys.is_confirmation(Role::Agent, &transcript, &resume.confirmation));
            let confirmation = keys.confirmation(Role::Customer, &transcript);
            let mut body = vec![3];
            body.extend(confirmation);
            let mut frame = Vec::new();
            append_frame(&mut frame, &body);
            peer.send_bytes(&frame[..cut]).await;
            if cut == frame.len() {
                // It has arrived when the agent opens their streams.
                peer.connection.set_max_concurrent_uni_streams(2_u32.into());
                peer.connection.accept_uni().await.unwrap();
            }
            peer.close(4, "interrupted");
            keys.resume_key()
        };
        let dial =
            ends.agent_endpoint
                .resume(&address, &mut ends.resumption, &ends.agent, REACH_LIMIT);
        let (key, dialled) = soon(async { tokio::join!(answer, dial) }).await;
        (key, dialled.unwrap_err())
    }
}

#[tokio::test]
async fn a_confirmation_that_is_cut_anywhere_leaves_the_agent_a_key_that_both_hold() {
    let mut customer = RawCustomer::new().await;
    /// Bytes of a confirmation's frame.
    const FRAME: usize = 4 + 1 + 32;
    for cut in [0, 1, 4, 5, 6, FRAME - 1, FRAME, FRAME, 3, FRAME] {
        let (new, error) = customer.answer(cut).await;
        assert_eq!(error, DialError::Protocol(LinkError::Interrupted), "{cut}");
        if cut == FRAME {
            customer.key = new;
        }
        assert_eq!(customer.ends.key(), *customer.key.expose(), "{cut}");
    }
}
