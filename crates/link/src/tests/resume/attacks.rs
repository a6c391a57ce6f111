//! Attacks on a link by its resume: a thousand in all. Each is refused, the link goes on meanwhile,
//! and nothing of it is used up: the agent resumes afterwards with the key from before.

use std::net::UdpSocket;

use super::super::{middle::forward, refusals::with_list};
use super::*;
use crate::handshake_queue::MAX_HANDSHAKES;

/// A link under attack.
struct Target {
    ends: Interrupted,
    theirs: CustomerStreams,
    ours: AgentStreams,
}

impl Target {
    async fn new() -> Self {
        let (ends, link, ours) = Interrupted::linked().await;
        Self {
            ends,
            theirs: link.split(),
            ours,
        }
    }

    /// Leaves out checks, so that the next one has to refuse by itself.
    async fn set_checks(&self, accept_any_endpoint: bool, accept_any_proof: bool) {
        let checks = Checks {
            accept_any_proof,
            accept_any_endpoint,
        };
        self.ends.customer.set_checks(checks).await;
    }

    /// Checks that the message that `forge` makes of an honest one is refused for this reason.
    /// `endpoint` is the attacker's; without one it is the agent's own.
    async fn check_refused(
        &mut self,
        endpoint: Option<&Endpoint>,
        forge: impl FnOnce(Request) -> HandshakeMessage,
        reason: &'static str,
    ) {
        let address = self.ends.customer.address();
        let endpoint = endpoint
            .cloned()
            .unwrap_or_else(|| self.ends.agent_endpoint.raw());
        let (params, customer) = (self.ends.params.clone(), self.ends.customer.clone());
        let attack = async {
            let mut peer = RawPeer::dial_from(endpoint, &address).await;
            let message = forge(self.ends.honest(&peer));
            peer.send_kind().await;
            peer.send(&message).await;
            assert_eq!(peer.recv().await, None);
            assert_eq!(peer.closed().await, (1, reason.to_owned()));
        };
        let (attempt, ()) =
            soon(async { tokio::join!(customer.accept_resume(&params), attack) }).await;
        assert!(
            matches!(attempt, Attempt::ResumeRefused { reason: named } if named == reason),
            "{attempt:?}"
        );
    }

    /// Checks that the link still works, that no key has changed, and that the agent resumes.
    async fn check_unharmed(mut self, key: [u8; 32]) {
        check_alive(&mut self.theirs, &mut self.ours).await;
        assert_eq!(self.ends.customer.resume_keys().await, [key]);
        assert_eq!(self.ends.key(), key);
        self.set_checks(false, false).await;
        self.ends.check_resumes().await;
    }
}

/// Returns an endpoint of the attacker's own.
async fn foreign_endpoint() -> Endpoint {
    bind(None, Vec::new(), VarInt::from_u32(0)).await.unwrap()
}

/// Returns another agent of the same vendor.
fn other_agent() -> AgentFile {
    let key = AgentKey::from_seed([9; 32]);
    let data = CardData {
        serial: 8,
        name: "Toinen Agentti".into(),
        key: key.public(),
        ..card_data()
    };
    AgentFile {
        card: AgentCard::issue(&vendor(), data).unwrap(),
        key,
    }
}

#[tokio::test]
async fn of_300_wrong_keys_none_resumes() {
    let mut target = Target::new().await;
    let key = target.ends.key();
    for bit in 0..256 {
        let flip = |request: Request| {
            let mut resume = request.resume();
            resume.confirmation[bit / 8] ^= 1 << (bit % 8);
            HandshakeMessage::Resume(resume)
        };
        target.check_refused(None, flip, "resume-refused").await;
    }
    for guess in 0..44 {
        let guessed = |mut request: Request| {
            let pake_key = zeroize::Zeroizing::new(vec![guess; 32]);
            request.key = LinkKeys::derive(&pake_key, &request.exporter).resume_key();
            request.message()
        };
        target.check_refused(None, guessed, "resume-refused").await;
    }
    target.check_unharmed(key).await;
}

#[tokio::test]
async fn of_240_messages_of_earlier_connections_none_resumes() {
    let mut target = Target::new().await;
    let key = target.ends.key();
    let foreign = foreign_endpoint().await;
    // A true message that never arrived; the attacker has it, and no key.
    let (customer, params) = (target.ends.customer.clone(), target.ends.params.clone());
    let breaking_off = async {
        let peer = target.ends.dial_raw().await;
        peer.close(4, "interrupted");
        target.ends.honest(&peer).message()
    };
    let (attempt, lost) =
        soon(async { tokio::join!(customer.accept_resume(&params), breaking_off) }).await;
    assert!(matches!(attempt, Attempt::Aborted), "{attempt:?}");
    for _ in 0..40 {
        let replay = |_: Request| lost.clone();
        target.check_refused(None, replay, "card-bad-proof").await;
        target
            .check_refused(Some(&foreign), |_| lost.clone(), "resume-refused")
            .await;
    }
    // Without the other checks, the key refuses by itself; so it does with a fresh proof.
    target.set_checks(true, true).await;
    for _ in 0..40 {
        let replay = |_: Request| lost.clone();
        target
            .check_refused(Some(&foreign), replay, "resume-refused")
            .await;
        target
            .check_refused(None, |_| lost.clone(), "resume-refused")
            .await;
    }
    target.set_checks(false, false).await;
    for seed in 0..80 {
        let old_exporter = |mut request: Request| {
            let fresh = request.resume();
            request.exporter = [seed; 32];
            HandshakeMessage::Resume(Resume {
                hello: fresh.hello,
                ..request.resume()
            })
        };
        target
            .check_refused(None, old_exporter, "resume-refused")
            .await;
    }
    target.check_unharmed(key).await;
}

#[tokio::test]
async fn of_160_tries_with_another_agents_card_none_resumes() {
    let mut target = Target::new().await;
    let key = target.ends.key();
    let foreign = foreign_endpoint().await;
    // Even with the link's key, and all else that the agent has.
    let with_other_card = |mut request: Request| {
        request.agent = other_agent();
        request.message()
    };
    for _ in 0..40 {
        target
            .check_refused(None, with_other_card, "resume-refused")
            .await;
        target
            .check_refused(Some(&foreign), with_other_card, "resume-refused")
            .await;
    }
    target.set_checks(true, true).await;
    for _ in 0..40 {
        target
            .check_refused(Some(&foreign), with_other_card, "resume-refused")
            .await;
        target
            .check_refused(None, with_other_card, "resume-refused")
            .await;
    }
    target.check_unharmed(key).await;
}

#[tokio::test]
async fn of_60_tries_with_a_card_that_was_revoked_meanwhile_none_resumes() {
    let mut target = Target::new().await;
    let (key, params) = (target.ends.key(), target.ends.params.clone());
    target.ends.params.revoked = with_list(FAR, &[7]).revoked;
    for _ in 0..59 {
        target
            .check_refused(None, |request| request.message(), "card-revoked")
            .await;
    }
    let (attempt, dialled) = target.ends.try_resume().await;
    assert!(matches!(
        attempt,
        Attempt::ResumeRefused {
            reason: "card-revoked"
        }
    ));
    let refused = DialError::Refused("card-revoked".into());
    assert_eq!(dialled.unwrap_err(), refused);
    target.ends.params = params;
    target.check_unharmed(key).await;
}

/// The service gave the agent the address of an endpoint of its own, and knows all but the keys.
/// Whatever the agent sends is passed on to the customer's end, and back.
async fn check_middle(target: &mut Target, reason: &'static str, times: usize) {
    let (middle, false_address) = raw_customer_endpoint().await;
    let true_address = target.ends.customer.address();
    let customer_id = target.ends.resumption.parties.customer;
    for _ in 0..times {
        let ends = &mut target.ends;
        let dialled = ends.agent_endpoint.resume(
            &false_address,
            &mut ends.resumption,
            &ends.agent,
            REACH_LIMIT,
        );
        // The agent dials no other endpoint than the one that had the link.
        let address_refused = DialError::Protocol(LinkError::Address);
        assert_eq!(soon(dialled).await.unwrap_err(), address_refused);

        // And if they did:
        ends.resumption.parties.customer = *middle.id().as_bytes();
        let in_between = async {
            let mut to_agent = RawPeer::accept(&middle).await;
            let mut to_customer = RawPeer::dial_from(middle.clone(), &true_address).await;
            to_customer.send_kind().await;
            forward(&mut to_agent, &mut to_customer).await;
            let refused = to_customer.closed().await;
            to_agent.close(refused.0 as u32, &refused.1);
            refused
        };
        let dial = ends.agent_endpoint.resume(
            &false_address,
            &mut ends.resumption,
            &ends.agent,
            REACH_LIMIT,
        );
        let (attempt, refused, dialled) = soon(async {
            tokio::join!(ends.customer.accept_resume(&ends.params), in_between, dial)
        })
        .await;
        assert!(
            matches!(attempt, Attempt::ResumeRefused { reason: named } if named == reason),
            "{attempt:?}"
        );
        assert_eq!(refused, (1, reason.to_owned()));
        assert_eq!(dialled.unwrap_err(), DialError::Refused(reason.into()));
        ends.resumption.parties.customer = customer_id;
    }
}

#[tokio::test]
async fn in_the_middle_of_180_tries_the_service_gets_nothing() {
    let mut target = Target::new().await;
    let key = target.ends.key();
    check_middle(&mut target, "resume-refused", 60).await;
    target.set_checks(true, false).await;
    check_middle(&mut target, "card-bad-proof", 60).await;
    target.set_checks(true, true).await;
    check_middle(&mut target, "resume-refused", 60).await;
    target.check_unharmed(key).await;
}

/// An impostor in the customer's part doesn't have the key: the agent's end notices by itself.
#[tokio::test]
async fn a_customer_without_the_links_key_is_noticed() {
    let mut target = Target::new().await;
    let key = target.ends.key();
    let customer_id = target.ends.resumption.parties.customer;
    let (impostor, address) = raw_customer_endpoint().await;
    target.ends.resumption.parties.customer = *impostor.id().as_bytes();
    for confirmation in [[0; 32], key] {
        let ends = &mut target.ends;
        let answer = async {
            let mut peer = RawPeer::accept(&impostor).await;
            assert!(matches!(
                peer.recv().await,
                Some(HandshakeMessage::Resume(_))
            ));
            peer.send(&HandshakeMessage::Confirm(confirmation)).await;
            peer.closed().await
        };
        let dial =
            ends.agent_endpoint
                .resume(&address, &mut ends.resumption, &ends.agent, REACH_LIMIT);
        let (closed, dialled) = soon(async { tokio::join!(answer, dial) }).await;
        assert_eq!(closed, (1, "wrong-key".to_owned()));
        assert_eq!(dialled.unwrap_err(), DialError::WrongKey);
    }
    target.ends.resumption.parties.customer = customer_id;
    target.check_unharmed(key).await;
}

#[tokio::test]
async fn of_60_resumes_that_are_sent_twice_at_once_only_the_agents_own_gets_through() {
    let mut ends = Interrupted::new().await;
    let foreign = foreign_endpoint().await;
    for round in 0..60 {
        let address = ends.customer.address();
        let customer = ends.customer.clone();
        let params = ends.params.clone();
        let thief = if round % 2 == 0 {
            foreign.clone()
        } else {
            ends.agent_endpoint.raw().clone()
        };
        // The agent's message has arrived and is answered when the thief's copy comes.
        let own = {
            let begun = async {
                let mut peer = ends.dial_raw().await;
                let request = ends.honest(&peer);
                peer.send_kind().await;
                peer.send(&request.message()).await;
                request.check_confirmation(&mut peer).await;
                (peer, request)
            };
            tokio::select! {
                begun = begun => begun,
                attempt = customer.accept_resume(&params) => panic!("{attempt:?}"),
            }
        };
        let copy = async {
            let mut peer = RawPeer::dial_from(thief, &address).await;
            peer.send_kind().await;
            peer.send(&own.1.message()).await;
            assert_eq!(peer.recv().await, None);
            peer.closed().await
        };
        let (attempt, closed) =
            soon(async { tokio::join!(customer.accept_resume(&params), copy) }).await;
        assert!(
            matches!(attempt, Attempt::ResumeRefused { .. }),
            "{attempt:?}"
        );
        assert_eq!(closed.0, 1);
        let streams = async { (own.0.open_stream(2).await, own.0.open_stream(4).await) };
        let (attempt, _streams) =
            soon(async { tokio::join!(customer.accept_resume(&params), streams) }).await;
        assert!(matches!(attempt, Attempt::Resumed(_)), "{attempt:?}");
        ends.resumption.advance(&own.1.keys());
        assert_eq!(ends.customer.resume_keys().await, [ends.key()]);
    }
    ends.check_resumes().await;
}

/// A try that was under way for long arrives when the agent has gone on with a later one: it must
/// not take away the key that the agent has by now.
#[tokio::test]
async fn a_try_that_arrives_after_a_later_one_changes_nothing() {
    let mut ends = Interrupted::new().await;
    let (customer, params) = (ends.customer.clone(), ends.params.clone());
    let (mut early, early_request, late) = {
        let dials = async {
            let early = ends.dial_raw().await;
            let early_request = ends.honest(&early);
            let mut late = ends.dial_raw().await;
            let request = ends.honest(&late);
            late.send_kind().await;
            late.send(&request.message()).await;
            request.check_confirmation(&mut late).await;
            (early, early_request, (late, request))
        };
        tokio::select! {
            dials = dials => dials,
            attempt = customer.accept_resume(&params) => panic!("{attempt:?}"),
        }
    };
    ends.resumption.advance(&late.1.keys());
    let arrival = async {
        early.send_kind().await;
        early.send(&early_request.message()).await;
        early.closed().await
    };
    let (attempt, closed) =
        soon(async { tokio::join!(customer.accept_resume(&params), arrival) }).await;
    assert!(
        matches!(attempt, Attempt::ResumeRefused { .. }),
        "{attempt:?}"
    );
    assert_eq!(closed, (1, "resume-refused".to_owned()));
    // The later one's connection is open, and its key counts.
    assert!(late.0.connection.close_reason().is_none());
    ends.check_resumes().await;
}

/// Passes datagrams between the agent's endpoint and the customer's, and records the agent's.
fn record(customer: std::net::SocketAddr) -> (std::net::SocketAddr, Recording) {
    let front = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    let address = front.local_addr().unwrap();
    front.set_nonblocking(true).unwrap();
    let front = tokio::net::UdpSocket::from_std(front).unwrap();
    let recorded = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let kept = recorded.clone();
    let task = tokio::spawn(async move {
        let back = tokio::net::UdpSocket::bind(("127.0.0.1", 0)).await.unwrap();
        let (mut agent, mut out, mut home) = (None, vec![0; 2048], vec![0; 2048]);
        loop {
            tokio::select! {
                Ok((length, from)) = front.recv_from(&mut out) => {
                    agent = Some(from);
                    kept.lock().unwrap().push(out[..length].to_vec());
                    let _ = back.send_to(&out[..length], customer).await;
                }
                Ok(length) = back.recv(&mut home) => if let Some(agent) = agent {
                    let _ = front.send_to(&home[..length], agent).await;
                },
            }
        }
    });
    (address, (recorded, task.abort_handle()))
}

/// The datagrams of a connection, and the task that records them.
type Recording = (
    std::sync::Arc<std::sync::Mutex<Vec<Vec<u8>>>>,
    tokio::task::AbortHandle,
);

#[tokio::test]
async fn recorded_packets_of_a_link_open_nothing() {
    let customer = customer().await;
    let customer_address = endpoint_addr(&customer.address());
    let direct = *customer_address.ip_addrs().find(|ip| ip.is_ipv4()).unwrap();
    let (front, (recorded, task)) = record(direct);
    let through = EndpointAddr::new(customer_address.id).with_ip_addr(front);
    let through = serde_json::to_value(through).unwrap();
    let (mut ends, link, streams) = Interrupted::linked_at(customer, &through).await;
    streams.connection.interrupt();
    drop(link);
    let dial = ends
        .agent_endpoint
        .resume(&through, &mut ends.resumption, &ends.agent, REACH_LIMIT);
    let (attempt, dialled) =
        soon(async { tokio::join!(ends.customer.accept_resume(&ends.params), dial) }).await;
    let Attempt::Resumed(link) = attempt else {
        panic!("{attempt:?}")
    };
    let (mut theirs, mut ours) = (link.split(), dialled.unwrap());
    let key = ends.key();
    task.abort();
    let packets = recorded.lock().unwrap().clone();
    assert!(packets.len() >= 3, "{} packets", packets.len());
    let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    let replay = async {
        for _ in 0..20 {
            for packet in &packets {
                socket.send_to(packet, direct).unwrap();
            }
            check_alive(&mut theirs, &mut ours).await;
        }
    };
    // A connection that a recorded packet begins is never completed, and ends as such.
    let resumed = async {
        loop {
            let attempt = ends.customer.accept_resume(&ends.params).await;
            if !matches!(attempt, Attempt::Aborted) {
                return attempt;
            }
        }
    };
    tokio::select! {
        () = replay => {}
        attempt = resumed => panic!("{attempt:?}"),
    }
    assert_eq!(ends.customer.resume_keys().await, [key]);
    ends.check_resumes().await;
}

/// First packets of connections whose sender never hears an answer, as with forged addresses.
#[tokio::test]
async fn first_packets_from_nowhere_leave_a_place_for_the_agent() {
    let mut target = Target::new().await;
    let address = endpoint_addr(&target.ends.customer.address());
    let direct = *address.ip_addrs().find(|ip| ip.is_ipv4()).unwrap();
    let front = tokio::net::UdpSocket::bind(("127.0.0.1", 0)).await.unwrap();
    let through = EndpointAddr::new(address.id).with_ip_addr(front.local_addr().unwrap());
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let (endpoint, through) = (foreign_endpoint().await, through.clone());
        senders.spawn(async move { endpoint.connect(through, ALPN).await });
    }
    let (params, customer) = (target.ends.params.clone(), target.ends.customer.clone());
    let flood = async {
        let (mut heard, mut packet) = (std::collections::HashSet::new(), [0; 2048]);
        while heard.len() < 12 {
            let (length, from) = front.recv_from(&mut packet).await.unwrap();
            heard.insert(from);
            front.send_to(&packet[..length], direct).await.unwrap();
        }
        // What was sent to the customer's socket before has arrived then.
        check_alive(&mut target.theirs, &mut target.ours).await;
    };
    let attempts = async {
        loop {
            let attempt = customer.accept_resume(&params).await;
            assert!(matches!(attempt, Attempt::Aborted), "{attempt:?}");
        }
    };
    tokio::select! {
        () = soon(flood) => {}
        () = attempts => {}
    }
    assert!(customer.handshakes().await < MAX_HANDSHAKES);
}
