//! Links between machines of the network lab, with a relay: which path they take.
//!
//! Root alone can make a lab; else these tests say that they are left out.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use etatuki_network::Network;
use etatuki_protocol::{ToAgent, ToCustomer};
use etatuki_testkit::lab::{Access, Firewall, Host, Lab, Nat, Protocols, Side};
use iroh_relay::server::{RelayConfig, Server, ServerConfig};
use tokio::{
    runtime::{Builder, Runtime},
    time::Instant,
};

use super::*;
use crate::{AgentStreams, CustomerStreams, LinkConnection, PathKind, RelayAccess, RelayRoute};

/// The most time for anything that has to happen in the lab.
const TIMEOUT: Duration = Duration::from_secs(90);

/// A lab with a relay, and a program on each machine.
struct Machines {
    customer: Runtime,
    agent: Runtime,
    relay: RelayAccess,
    // Ends last: the runtimes' sockets are in it.
    _service: (Runtime, Server),
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
        let server = run(&service, async move {
            let mut config = ServerConfig::default();
            config.relay = Some(RelayConfig::new(address));
            Server::spawn(config).await.unwrap()
        });
        let relay = RelayAccess::new(format!("http://{address}"), "none");
        Some(Self {
            customer,
            agent,
            relay,
            _service: (service, server),
            lab,
        })
    }

    /// Links the two machines and lets both ends send heartbeats from then on. Returns the agent's
    /// connection and the time that the dial took.
    fn link(&self) -> (LinkConnection, Duration) {
        let relay = self.relay.clone();
        let customer = run(&self.customer, async move {
            let network = &Network::from_system(None).await.unwrap();
            let relay = &relay;
            let route = RelayRoute { relay, network };
            CustomerEndpoint::bind(Some(route)).await.unwrap()
        });
        let address = customer.address();
        self.customer.spawn(async move {
            let Attempt::Authenticated(link) = customer.accept(&params()).await else {
                return;
            };
            beat_customer(link.split(), customer).await;
        });
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

async fn beat_customer(mut streams: CustomerStreams, _endpoint: CustomerEndpoint) {
    while streams.control_out.send(&ToAgent::Alive).await.is_ok() {
        tokio::time::sleep(etatuki_protocol::HEARTBEAT_INTERVAL).await;
    }
}

async fn beat_agent(mut streams: AgentStreams) {
    while streams.control_out.send(&ToCustomer::Alive).await.is_ok() {
        tokio::time::sleep(etatuki_protocol::HEARTBEAT_INTERVAL).await;
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
