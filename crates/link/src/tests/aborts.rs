//! Agents that break off, stall or send garbage in every phase; and customers that do.

use super::*;
use crate::LinkError;

impl CustomerTrial {
    /// Checks that the attempt ends without a guess, and that the right agent still gets in.
    async fn ends_aborted(self) {
        self.ends(|attempt| matches!(attempt, Attempt::Aborted))
            .await;
    }

    /// Checks that the attempt ends as a guess, and that the right agent still gets in.
    async fn ends_as_guess(self) {
        self.ends(is_guess).await;
    }

    async fn ends(mut self, expected: fn(&Attempt) -> bool) {
        let (customer, attempt) = self.attempt().await;
        assert!(expected(&attempt), "{attempt:?}");
        check_open(&customer).await;
    }
}

impl AgentTrial {
    /// Checks that the dial fails with this error.
    async fn ends(mut self, expected: DialError) {
        assert_eq!(self.dialled().await.unwrap_err(), expected);
    }
}

fn is_guess(attempt: &Attempt) -> bool {
    matches!(attempt, Attempt::WrongGuess { agent } if agent.name == "Aino Agentti")
}

fn violation(violation: Violation) -> DialError {
    DialError::Protocol(LinkError::Violation(violation))
}

// Breaking off.

#[tokio::test]
async fn leaving_before_a_stream_is_aborted() {
    let trial = CustomerTrial::start().await;
    trial.peer.close(0, "bye");
    trial.ends_aborted().await;
}

#[tokio::test]
async fn leaving_inside_the_hello_is_aborted() {
    let mut trial = CustomerTrial::start().await;
    trial.peer.send_kind().await;
    trial.peer.send_bytes(b"\0\0\x01\0half").await;
    trial.peer.finish();
    trial.peer.check_violation("truncated").await;
    trial.ends_aborted().await;
}

#[tokio::test]
async fn leaving_before_the_pake_is_no_guess() {
    let mut trial = CustomerTrial::start().await;
    trial.peer.send_hello().await;
    trial.peer.finish();
    trial.peer.check_violation("truncated").await;
    trial.ends_aborted().await;
}

#[tokio::test]
async fn leaving_after_our_pake_message_is_a_guess() {
    let mut trial = CustomerTrial::start().await;
    trial.peer.run_until_guess().await;
    trial.peer.close(0, "never mind");
    trial.ends_as_guess().await;
}

#[tokio::test]
async fn leaving_with_a_valid_confirmation_is_a_guess() {
    let mut trial = CustomerTrial::start().await;
    let session = trial.peer.run_until_guess().await;
    trial.peer.send_confirmation(Role::Agent, &session).await;
    let Some(HandshakeMessage::Confirm(theirs)) = trial.peer.recv().await else {
        panic!("no answer")
    };
    let (keys, transcript) = session;
    assert!(keys.is_confirmation(Role::Customer, &transcript, &theirs));
    trial.peer.close(0, "never mind");
    trial.ends_as_guess().await;
}

// Garbage.

#[tokio::test]
async fn a_stream_of_another_kind_is_aborted() {
    for kind in [0, 2, 3, 4, 255] {
        let mut trial = CustomerTrial::start().await;
        trial.peer.send_bytes(&[kind]).await;
        trial.peer.check_violation("wrong-stream").await;
        trial.ends_aborted().await;
    }
}

#[tokio::test]
async fn an_oversized_hello_is_aborted_before_it_comes() {
    let mut trial = CustomerTrial::start().await;
    trial.peer.send_kind().await;
    let header = (5_u32 * 1024 + 1).to_be_bytes();
    trial.peer.send_bytes(&header).await;
    trial.peer.check_violation("too-long").await;
    trial.ends_aborted().await;
}

#[tokio::test]
async fn a_message_that_is_no_hello_is_aborted() {
    for first in [
        HandshakeMessage::Pake(vec![1; 33]),
        HandshakeMessage::Confirm([1; 32]),
    ] {
        let mut trial = CustomerTrial::start().await;
        trial.peer.send_kind().await;
        trial.peer.send(&first).await;
        trial.peer.check_violation("out-of-turn").await;
        trial.ends_aborted().await;
    }
}

#[tokio::test]
async fn garbage_instead_of_a_pake_message_is_no_guess() {
    let reflected = |peer: &RawPeer| {
        let parties = peer.parties(Role::Agent);
        Spake2Ed25519::start(Role::Customer, &wrong_secret(), &parties).1
    };
    for garbage in [
        Some(vec![]),
        Some(vec![0xff; 33]),
        Some(vec![0x41; 4000]),
        None,
    ] {
        let mut trial = CustomerTrial::start().await;
        trial.peer.send_hello().await;
        let message = garbage.unwrap_or_else(|| reflected(&trial.peer));
        trial.peer.send(&HandshakeMessage::Pake(message)).await;
        assert_eq!(trial.peer.recv().await, None);
        trial.peer.check_violation("out-of-turn").await;
        trial.ends_aborted().await;
    }
}

#[tokio::test]
async fn a_second_hello_is_no_guess() {
    let mut trial = CustomerTrial::start().await;
    trial.peer.send_hello().await;
    let hello = trial.peer.hello(&agent());
    trial.peer.send(&hello).await;
    trial.peer.check_violation("out-of-turn").await;
    trial.ends_aborted().await;
}

#[tokio::test]
async fn garbage_instead_of_a_confirmation_is_a_guess() {
    for (garbage, closed) in [
        (
            &b"\0\0\0\x21\x03wrong wrong wrong wrong wrong xx"[..],
            (2, "wrong-code"),
        ),
        (b"\0\0\0\x02\x03x", (3, "out-of-turn")),
        (b"\0\0\0\0", (3, "out-of-turn")),
        (b"\xff\0\0\0", (3, "too-long")),
        (
            b"\0\0\0\x21\x02xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            (3, "out-of-turn"),
        ),
    ] {
        let mut trial = CustomerTrial::start().await;
        trial.peer.run_until_guess().await;
        trial.peer.send_bytes(garbage).await;
        assert_eq!(trial.peer.closed().await, (closed.0, closed.1.to_owned()));
        trial.ends_as_guess().await;
    }
}

#[tokio::test]
async fn streams_of_the_wrong_kind_are_a_guess() {
    for [one, two] in [[2, 2], [4, 4], [3, 4], [1, 2], [9, 9]] {
        let mut trial = CustomerTrial::start().await;
        let session = trial.peer.run_until_guess().await;
        trial.peer.send_confirmation(Role::Agent, &session).await;
        trial.peer.recv().await.unwrap();
        let _one = trial.peer.open_stream(one).await;
        let _two = trial.peer.open_stream(two).await;
        trial.peer.check_violation("wrong-stream").await;
        trial.ends_as_guess().await;
    }
}

// Stalling. Each takes as long as its time-out, so they run side by side.

#[tokio::test]
async fn stalling() {
    tokio::join!(
        stalling_before_a_stream_is_aborted(),
        a_hello_drop_by_drop_is_aborted(),
        stalling_before_the_pake_is_no_guess(),
        stalling_before_the_confirmation_is_a_guess(),
        stalling_before_the_streams_is_a_guess(),
        a_customer_who_never_answers_is_a_timeout(),
    );
}

async fn stalling_before_a_stream_is_aborted() {
    let trial = CustomerTrial::start().await;
    trial.peer.check_violation("too-slow").await;
    trial.ends_aborted().await;
}

async fn a_hello_drop_by_drop_is_aborted() {
    let mut trial = CustomerTrial::start().await;
    trial.peer.send_kind().await;
    trial.peer.send_bytes(b"\0\0\x04\0").await;
    let connection = trial.peer.connection.clone();
    let drops = async {
        loop {
            trial.peer.send_bytes(b"x").await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        _ = connection.closed() => {}
        () = drops => {}
    }
    trial.peer.check_violation("too-slow").await;
    trial.ends_aborted().await;
}

async fn stalling_before_the_pake_is_no_guess() {
    let mut trial = CustomerTrial::start().await;
    trial.peer.send_hello().await;
    trial.peer.check_violation("too-slow").await;
    trial.ends_aborted().await;
}

async fn stalling_before_the_confirmation_is_a_guess() {
    let mut trial = CustomerTrial::start().await;
    trial.peer.run_until_guess().await;
    trial.peer.check_violation("too-slow").await;
    trial.ends_as_guess().await;
}

async fn stalling_before_the_streams_is_a_guess() {
    let mut trial = CustomerTrial::start().await;
    let session = trial.peer.run_until_guess().await;
    trial.peer.send_confirmation(Role::Agent, &session).await;
    trial.peer.check_violation("too-slow").await;
    trial.ends_as_guess().await;
}

#[tokio::test]
async fn stalled_connections_dont_keep_an_agent_out() {
    let customer = customer().await;
    let params = params();
    let address = customer.address();
    let mut stallers = Vec::new();
    for _ in 0..5 {
        // A connection is accepted only while somebody waits in `accept`.
        tokio::select! {
            peer = RawPeer::dial(&address) => stallers.push(peer),
            attempt = customer.accept(&params) => panic!("{attempt:?}"),
        }
    }
    check_open(&customer).await;
}

// Callers that stop waiting.

/// Dials a raw peer while the customer waits in `accept`.
async fn dial_during_accept(customer: &CustomerEndpoint) -> RawPeer {
    let (params, address) = (params(), customer.address());
    tokio::select! {
        peer = RawPeer::dial(&address) => peer,
        attempt = customer.accept(&params) => panic!("{attempt:?}"),
    }
}

/// Starts `peer`'s guess while the customer waits in `accept`, and stops waiting once it has begun.
async fn guess_during_accept(customer: &CustomerEndpoint, peer: &mut RawPeer) {
    let params = params();
    tokio::select! {
        _ = peer.run_until_guess() => {}
        attempt = customer.accept(&params) => panic!("{attempt:?}"),
    }
}

#[tokio::test]
async fn a_guess_is_counted_though_nobody_waits_for_it_any_more() {
    let customer = customer().await;
    let mut peer = dial_during_accept(&customer).await;
    guess_during_accept(&customer, &mut peer).await;
    peer.close(0, "bye");
    // By now there is a fresh code; the guess is reported all the same.
    let nameplate = Nameplate::from_number(CodeForm::SingleCode, 1).unwrap();
    let fresh = AcceptParams {
        code: SessionCode::mint(nameplate, [5; 8]),
        ..params()
    };
    let attempt = soon(customer.accept(&fresh)).await;
    assert!(is_guess(&attempt), "{attempt:?}");
}

#[tokio::test]
async fn one_guess_at_a_time() {
    let customer = customer().await;
    let params = params();
    let mut first = dial_during_accept(&customer).await;
    guess_during_accept(&customer, &mut first).await;
    // The second peer gets no PAKE message while the first one's guess runs.
    let mut second = dial_during_accept(&customer).await;
    tokio::select! {
        _ = second.run_until_guess() => panic!("two guesses at once"),
        attempt = customer.accept(&params) => panic!("{attempt:?}"),
        () = tokio::time::sleep(Duration::from_millis(500)) => {}
    }
    first.close(0, "bye");
    assert!(is_guess(&soon(customer.accept(&params)).await));
    // Nor does it get one while nobody waits; its turn comes with the next call.
    tokio::select! {
        _ = second.recv() => panic!("a guess that nobody has allowed"),
        () = tokio::time::sleep(Duration::from_millis(500)) => {}
    }
    let turn = async {
        assert!(matches!(
            second.recv().await,
            Some(HandshakeMessage::Pake(_))
        ));
        second.close(0, "bye");
    };
    let (attempt, ()) = soon(async { tokio::join!(customer.accept(&params), turn) }).await;
    assert!(is_guess(&attempt), "{attempt:?}");
}

// The agent's side.

#[tokio::test]
async fn the_agent_says_what_the_customers_end_did() {
    let mut trial = AgentTrial::start().await;
    trial.peer.finish();
    trial.peer.connection.closed().await;
    trial.ends(violation(Violation::Truncated)).await;

    let mut trial = AgentTrial::start().await;
    trial.peer.send_bytes(b"\0\xff\0\0").await;
    trial.peer.check_violation("too-long").await;
    trial.ends(violation(Violation::TooLong)).await;

    let mut trial = AgentTrial::start().await;
    let garbage = HandshakeMessage::Pake(vec![0; 33]);
    trial.peer.send(&garbage).await;
    trial.peer.check_violation("out-of-turn").await;
    trial.ends(violation(Violation::OutOfTurn)).await;

    let trial = AgentTrial::start().await;
    trial.peer.close(1, "Call this number!");
    trial.ends(DialError::Refused("refused".into())).await;

    let trial = AgentTrial::start().await;
    trial.peer.close(0, "code-burnt");
    let ended = LinkError::Ended("code-burnt".into());
    trial.ends(DialError::Protocol(ended)).await;
}

async fn a_customer_who_never_answers_is_a_timeout() {
    let trial = AgentTrial::start().await;
    trial.peer.check_violation("too-slow").await;
    trial.ends(DialError::Timeout).await;
}
