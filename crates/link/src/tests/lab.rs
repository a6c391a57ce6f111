//! Links between machines of the network lab, with a relay: which path they take.
//!
//! Root alone can make a lab; else these tests say that they are left out.

mod relays;

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
};

use etatuki_network::Network;
use etatuki_protocol::{HEARTBEAT_INTERVAL, SILENCE_LIMIT, ToAgent, ToCustomer};
use etatuki_testkit::lab::{Access, Firewall, Host, Lab, Line, Nat, Protocols, Side};
use iroh_relay::server::{RelayConfig, Server, ServerConfig};
use tokio::{
    runtime::{Builder, Runtime},
    time::Instant,
};

use super::*;
use crate::{
    AgentStreams, BootClock, CustomerStreams, LinkConnection, PathKind, PeerWatch, RelayAccess,
    RelayRoute, ResumeParams,
};

/// The most time for anything that has to happen in the lab.
const TIMEOUT: Duration = Duration::from_secs(90);

/// A lab with a relay, and a program on each machine.
struct Machines {
    customer: Runtime,
    agent: Runtime,
    relay: RelayAccess,
    relay_address: SocketAddr,
    // Ends last: the runtimes' sockets are in it.
    service: Runtime,
    server: Option<Server>,
    lab: Lab,
}

impl Machines {
    /// Starts a lab; `None` if this process may not.
    fn start(access: Access) -> Option<Self> {
        Self::start_with(Protocols::V4, access)
    }

    fn start_with(protocols: Protocols, access: Access) -> Option<Self> {
        let lab = Lab::start_with(protocols, access, access)?;
        let service_address: IpAddr = match protocols {
            Protocols::V6 => lab.service_address_v6().into(),
            _ => lab.service_address().into(),
        };
        let on = |host| {
            lab.inside(host, || {
                let mut builder = Builder::new_multi_thread();
                builder.worker_threads(1).enable_all().build().unwrap()
            })
        };
        let (customer, agent) = (on(Host::Customer), on(Host::Agent));
        let service = on(Host::Service);
        let address = SocketAddr::new(service_address, 80);
        let mut machines = Self {
            customer,
            agent,
            relay: RelayAccess::new(format!("http://{address}"), "none"),
            relay_address: address,
            service,
            server: None,
            lab,
        };
        machines.start_relay();
        Some(machines)
    }

    fn start_relay(&mut self) {
        self.server = Some(self.spawn_relay(self.relay_address));
    }

    fn spawn_relay(&self, address: SocketAddr) -> Server {
        run(&self.service, async move {
            let mut config = ServerConfig::default();
            config.relay = Some(RelayConfig::new(address));
            Server::spawn(config).await.unwrap()
        })
    }

    /// Ends the relay with all its connections.
    fn end_relay(&mut self) {
        let server = self.server.take().expect("it runs");
        run(
            &self.service,
            async move { server.shutdown().await.unwrap() },
        );
    }

    /// Links the two machines and lets both ends send heartbeats from then on. Returns the agent's
    /// connection and the time that the dial took.
    fn link(&self) -> (LinkConnection, Duration) {
        let customer = self.bind_customer();
        let address = customer.address();
        self.customer.spawn(async move {
            let Attempt::Authenticated(link) = customer.accept(&params()).await else {
                return;
            };
            beat_customer(link.split(), customer).await;
        });
        self.dial(address)
    }

    /// Dials the customer at `address`, and lets the agent's end send heartbeats from then on. Returns
    /// the connection and the time that the dial took.
    fn dial(&self, address: Value) -> (LinkConnection, Duration) {
        let relay = self.relay.clone();
        let (streams, took) = run(&self.agent, async move {
            let network = &Network::from_system(None).await.unwrap();
            let relay = &relay;
            let route = RelayRoute { relay, network };
            let endpoint = AgentEndpoint::bind(Some(route)).await.unwrap();
            let code = params().code;
            let began = Instant::now();
            let dialled = endpoint
                .dial(&address, &code.nameplate, &code.secret, &agent())
                .await;
            (dialled.unwrap().split(), began.elapsed())
        });
        let connection = streams.connection.clone();
        self.agent.spawn(beat_agent(streams));
        (connection, took)
    }

    /// Links the two machines, and lets each end say `interrupted` and `resumed` for as long as the
    /// test listens.
    fn link_and_resume(&self) -> Receiver<(Side, Said)> {
        let (sender, said) = channel();
        let customer = self.bind_customer();
        let address = customer.address();
        let customer_says = sender.clone();
        self.customer.spawn(async move {
            let Attempt::Authenticated(link) = customer.accept(&params()).await else {
                return;
            };
            let _ = resume_customer(*link, customer, customer_says).await;
        });
        let relay = self.relay.clone();
        self.agent.spawn(async move {
            let network = &Network::from_system(None).await.unwrap();
            let relay = &relay;
            let route = RelayRoute { relay, network };
            let endpoint = AgentEndpoint::bind(Some(route)).await.unwrap();
            let _ = resume_agent(endpoint, address, sender).await;
        });
        said
    }

    fn bind_customer(&self) -> CustomerEndpoint {
        let relay = self.relay.clone();
        run(&self.customer, async move {
            let network = &Network::from_system(None).await.unwrap();
            let relay = &relay;
            let route = RelayRoute { relay, network };
            CustomerEndpoint::bind(Some(route)).await.unwrap()
        })
    }

    /// Waits until the link takes this kind of path. Returns the time that it took.
    fn expect_path(&self, connection: &LinkConnection, kind: PathKind) -> Duration {
        let connection = connection.clone();
        run(&self.agent, async move {
            let began = Instant::now();
            while connection.path_kind() != kind {
                assert!(began.elapsed() < TIMEOUT, "never {kind:?}");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            began.elapsed()
        })
    }

    /// Waits until the agent's end has heard the customer's a few times more, all that time over this
    /// kind of path.
    fn expect_heard(&self, connection: &LinkConnection, kind: PathKind, times: u64) {
        self.hear(connection, Some(kind), times);
    }

    fn expect_heard_over_any_path(&self, connection: &LinkConnection, times: u64) {
        self.hear(connection, None, times);
    }

    fn hear(&self, connection: &LinkConnection, kind: Option<PathKind>, times: u64) {
        let connection = connection.clone();
        run(&self.agent, async move {
            let end = connection.stream_frames_received() + times;
            let began = Instant::now();
            while connection.stream_frames_received() < end {
                assert!(began.elapsed() < TIMEOUT, "the customer isn't heard");
                assert!(kind.is_none_or(|kind| connection.path_kind() == kind));
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
    }

    /// Measures how long the agent's end hears nothing of the customer's. Returns the longest
    /// silence so far, in milliseconds.
    fn measure_silence(&self, connection: &LinkConnection) -> Arc<AtomicU64> {
        let (connection, longest) = (connection.clone(), Arc::new(AtomicU64::new(0)));
        let measured = longest.clone();
        self.agent.spawn(async move {
            let (mut heard, mut heard_at) = (0, Instant::now());
            loop {
                let now = connection.stream_frames_received();
                if now > heard {
                    (heard, heard_at) = (now, Instant::now());
                }
                let silence = heard_at.elapsed().as_millis() as u64;
                measured.fetch_max(silence, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        longest
    }
}

/// Runs `work` on a machine of the lab: its sockets and threads stay there.
fn run<T: Send + 'static>(machine: &Runtime, work: impl Future<Output = T> + Send + 'static) -> T {
    let (sender, receiver) = std::sync::mpsc::channel();
    machine.spawn(async move { sender.send(work.await) });
    receiver.recv_timeout(2 * TIMEOUT).expect("it ends in time")
}

async fn beat_customer(mut streams: CustomerStreams, _endpoint: impl Send) {
    while streams.control_out.send(&ToAgent::Alive).await.is_ok() {
        tokio::time::sleep(HEARTBEAT_INTERVAL).await;
    }
}

async fn beat_agent(mut streams: AgentStreams) {
    while streams.control_out.send(&ToCustomer::Alive).await.is_ok() {
        tokio::time::sleep(HEARTBEAT_INTERVAL).await;
    }
}

/// A word of one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Linked,
    Interrupted,
    Resumed,
}

/// The customer's end of a link, over one connection after the other.
async fn resume_customer(
    mut link: CustomerLink,
    endpoint: CustomerEndpoint,
    said: Sender<(Side, Said)>,
) -> Option<()> {
    let clock = BootClock::start();
    let params = params();
    let terms = ResumeParams {
        vendors: params.vendors,
        revoked: params.revoked,
    };
    loop {
        let mut streams = link.split();
        let connection = streams.connection.clone();
        let watch = PeerWatch::new(clock, &connection);
        let beat = async {
            while streams.control_out.send(&ToAgent::Alive).await.is_ok() {
                tokio::time::sleep(HEARTBEAT_INTERVAL).await;
            }
        };
        let hear = async {
            while streams
                .control_in
                .recv()
                .await
                .is_ok_and(|some| some.is_some())
            {}
        };
        let attempt = tokio::select! {
            attempt = endpoint.accept_resume(&terms) => Some(attempt),
            () = until_silent(watch, &connection) => None,
            () = async { tokio::join!(beat, hear); } => None,
        };
        connection.interrupt();
        said.send((Side::Customer, Said::Interrupted)).ok()?;
        endpoint.link_interrupted();
        let mut attempt = attempt;
        link = loop {
            match attempt.take() {
                Some(Attempt::Resumed(link)) => break *link,
                Some(Attempt::Closed) => panic!("the endpoint closed"),
                _ => attempt = Some(endpoint.accept_resume(&terms).await),
            }
        };
        said.send((Side::Customer, Said::Resumed)).ok()?;
    }
}

/// The agent's end of a link, over one connection after the other.
async fn resume_agent(
    endpoint: AgentEndpoint,
    address: Value,
    said: Sender<(Side, Said)>,
) -> Option<()> {
    let clock = BootClock::start();
    let (code, agent) = (params().code, agent());
    let dialled = endpoint.dial(&address, &code.nameplate, &code.secret, &agent);
    let (mut streams, mut resumption) = dialled.await.unwrap().into_parts();
    said.send((Side::Agent, Said::Linked)).ok()?;
    loop {
        let connection = streams.connection.clone();
        let watch = PeerWatch::new(clock, &connection);
        let beat = async {
            while streams.control_out.send(&ToCustomer::Alive).await.is_ok() {
                tokio::time::sleep(HEARTBEAT_INTERVAL).await;
            }
        };
        let hear = async {
            while streams
                .control_in
                .recv()
                .await
                .is_ok_and(|some| some.is_some())
            {}
        };
        tokio::select! {
            () = until_silent(watch, &connection) => {}
            () = async { tokio::join!(beat, hear); } => {}
        }
        connection.interrupt();
        said.send((Side::Agent, Said::Interrupted)).ok()?;
        streams = loop {
            let pause = tokio::time::sleep(TRY_INTERVAL);
            let tried = endpoint.resume(&address, &mut resumption, &agent, REACH_TIMEOUT);
            match tried.await {
                Ok(streams) => break streams,
                Err(DialError::Refused(name)) => panic!("refused: {name}"),
                Err(_) => pause.await,
            }
        };
        said.send((Side::Agent, Said::Resumed)).ok()?;
    }
}

/// As the console's.
const TRY_INTERVAL: Duration = Duration::from_millis(500);
const REACH_TIMEOUT: Duration = Duration::from_secs(2);

/// Looks once a heartbeat, as both ends do, until the peer is silent or the connection is closed.
async fn until_silent(mut watch: PeerWatch, connection: &LinkConnection) {
    let looked = async {
        while !watch.look(connection) {
            let silent_at = watch.silent_at();
            let tick = Instant::now() + HEARTBEAT_INTERVAL;
            tokio::time::sleep_until(silent_at.min(tick)).await;
        }
    };
    tokio::select! {
        () = looked => {}
        _ = connection.closed() => {}
    }
}

/// Waits until this is what both ends have said last. An end may be resumed without the other one, and
/// again.
#[track_caller]
fn expect_both(said: &Receiver<(Side, Said)>, what: Said) {
    let (mut customer, mut agent) = (None, None);
    while customer != Some(what) || agent != Some(what) {
        match said.recv_timeout(TIMEOUT).expect("both say something") {
            (Side::Customer, said) => customer = Some(said),
            (Side::Agent, said) => agent = Some(said),
        }
    }
}

/// The longest time until both ends say that they are interrupted: issue 14, point 2.
const INTERRUPTED_BAR: Duration = Duration::from_secs(3);

/// The longest time from the network's return to the resumed link: design, section 10, less the
/// picture's own time.
const RESUME_BAR: Duration = Duration::from_millis(2_800);

#[test]
fn a_relayed_link_is_resumed_within_the_bar_after_a_short_outage() {
    check_outage(4);
}

/// TCP's and iroh's pauses would have grown to several seconds meanwhile.
#[test]
fn a_relayed_link_is_resumed_within_the_bar_after_an_outage() {
    check_outage(8);
}

fn check_outage(outage: u64) {
    let relayed = Access {
        firewall: Firewall::NoUdp,
        ..Access::default()
    };
    let Some(mut machines) = Machines::start_with(Protocols::V4, relayed) else {
        return;
    };
    let said = machines.link_and_resume();
    assert_eq!(
        said.recv_timeout(TIMEOUT).unwrap(),
        (Side::Agent, Said::Linked)
    );
    let check = |machines: &mut Machines,
                 what: &str,
                 break_off: &dyn Fn(&mut Machines),
                 mend: &dyn Fn(&mut Machines)| {
        break_off(machines);
        let broken = Instant::now();
        expect_both(&said, Said::Interrupted);
        let took = broken.elapsed();
        assert!(
            took <= INTERRUPTED_BAR,
            "{what}: interrupted after {took:?}"
        );
        std::thread::sleep(Duration::from_secs(outage));
        mend(machines);
        let back = Instant::now();
        expect_both(&said, Said::Resumed);
        let took = back.elapsed();
        eprintln!("{what}, {outage} s after the interruption: resumed within {took:?}");
        assert!(took <= RESUME_BAR, "{what}: {took:?}");
    };
    for side in [Side::Customer, Side::Agent] {
        check(
            &mut machines,
            &format!("{side:?}'s cable"),
            &|machines| machines.lab.cut_cable(side),
            &|machines| machines.lab.mend_cable(side),
        );
    }
    check(
        &mut machines,
        "relay",
        &Machines::end_relay,
        &Machines::start_relay,
    );
}

/// The relay knows both ends by their ids, so neither address has to be told to anybody.
#[test]
fn a_link_is_resumed_after_both_ends_have_moved() {
    for firewall in [Firewall::Open, Firewall::NoUdp] {
        let access = Access {
            firewall,
            ..Access::default()
        };
        let Some(mut machines) = Machines::start(access) else {
            return;
        };
        let said = machines.link_and_resume();
        let first = said.recv_timeout(TIMEOUT).unwrap();
        assert_eq!(first, (Side::Agent, Said::Linked));
        let sides = [Side::Customer, Side::Agent];
        for side in sides {
            machines.lab.cut_cable(side);
        }
        expect_both(&said, Said::Interrupted);
        for side in sides {
            machines.lab.change_address(side);
            machines.lab.mend_cable(side);
        }
        let back = Instant::now();
        expect_both(&said, Said::Resumed);
        let took = back.elapsed();
        eprintln!("{firewall:?}: both have moved, resumed within {took:?}");
        assert!(took <= RESUME_BAR, "{firewall:?}: {took:?}");
    }
}

#[test]
fn a_dark_direct_path_is_left_for_the_relay_and_taken_again() {
    check_dark_path(Protocols::V4);
}

#[test]
fn a_dark_direct_path_over_ipv6_is_left_for_the_relay_and_taken_again() {
    check_dark_path(Protocols::V6);
}

fn check_dark_path(protocols: Protocols) {
    let Some(mut machines) = Machines::start_with(protocols, Access::default()) else {
        return;
    };
    let (connection, _) = machines.link();
    machines.expect_path(&connection, PathKind::Direct);
    let silence = machines.measure_silence(&connection);
    // It isn't left for being quiet.
    machines.expect_heard(&connection, PathKind::Direct, 5);
    for _ in 0..2 {
        machines.lab.set_firewall(Side::Customer, Firewall::NoUdp);
        let left = machines.expect_path(&connection, PathKind::Relayed);
        machines.expect_heard(&connection, PathKind::Relayed, 3);
        machines.lab.set_firewall(Side::Customer, Firewall::Open);
        let back = machines.expect_path(&connection, PathKind::Direct);
        machines.expect_heard(&connection, PathKind::Direct, 3);
        eprintln!("left after {left:?}, silence {silence:?} ms, direct again after {back:?}");
    }
    expect_never_silent(&silence);
}

/// Checks that neither end would have been interrupted.
#[track_caller]
fn expect_never_silent(longest_ms: &AtomicU64) {
    let longest = Duration::from_millis(longest_ms.load(Ordering::Relaxed));
    assert!(longest < SILENCE_LIMIT, "silent for {longest:?}");
}

#[test]
fn loss_alone_interrupts_nothing() {
    let line = Line {
        delay: Duration::from_millis(40),
        loss_percent: 5.0,
        kbit_per_second: 0,
    };
    let lossy = Access {
        line: Some(line),
        ..Access::default()
    };
    let Some(machines) = Machines::start(lossy) else {
        return;
    };
    let (connection, _) = machines.link();
    let silence = machines.measure_silence(&connection);
    machines.expect_heard_over_any_path(&connection, 30);
    eprintln!("longest silence {silence:?} ms");
    expect_never_silent(&silence);
}

#[test]
fn a_direct_path_comes_back_after_an_address_change() {
    let Some(mut machines) = Machines::start(Access::default()) else {
        return;
    };
    let (connection, _) = machines.link();
    machines.expect_path(&connection, PathKind::Direct);
    let silence = machines.measure_silence(&connection);
    for side in [Side::Customer, Side::Agent] {
        machines.lab.change_address(side);
        // The old address reaches nobody any more, so what is heard comes over a new path.
        machines.expect_heard_over_any_path(&connection, 6);
        machines.expect_path(&connection, PathKind::Direct);
        machines.expect_heard(&connection, PathKind::Direct, 3);
        eprintln!("{side:?}'s address changed, longest silence {silence:?} ms");
    }
}

#[test]
fn a_code_that_is_typed_at_once_reaches_the_customer_through_the_relay() {
    for firewall in [Firewall::Open, Firewall::NoUdp] {
        let access = Access {
            nat: Nat::Symmetric,
            firewall,
            ..Access::default()
        };
        let Some(machines) = Machines::start(access) else {
            return;
        };
        let (connection, took) = machines.link();
        assert_eq!(connection.path_kind(), PathKind::Relayed);
        eprintln!("{firewall:?}: relayed link after {took:?}, code typed at once");
        machines.expect_heard(&connection, PathKind::Relayed, 3);
    }
}
