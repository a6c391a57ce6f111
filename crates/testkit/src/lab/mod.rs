//! A small internet of network namespaces, for tests of what real networks do.
//!
//! ```text
//!  customer ─eth0───lan─ customer's router ─wan─┐
//!                                               ├─ internet: a bridge, and the DNS server
//!  agent ───eth0───lan─ agent's router ────wan──┤
//!  service ─eth0────────────────────────────────┘
//! ```
//!
//! ```no_run
//! use etatuki_testkit::lab::{Access, Host, Lab, Nat, Side};
//! # use std::process::Command;
//! let cone = Access { nat: Nat::Cone, ..Access::default() };
//! let Some(mut lab) = Lab::start(cone, cone) else { return }; // said why: not root
//! let mut program = lab.command(Host::Customer, Command::new("/usr/bin/ping").arg(Lab::SERVICE));
//! program.spawn().unwrap();
//! lab.cut_cable(Side::Customer);
//! lab.mend_cable(Side::Customer);
//! ```
//!
//! Nothing has a name in /run/netns, and nothing outlives the test: when it drops the lab, panics,
//! or is killed, the programs in the lab are killed and its namespaces vanish. No packet can leave
//! the lab. It wants root, and Debian's packages iproute2, nftables, conntrack and util-linux; a
//! [`Line`] wants python3 and /dev/net/tun besides.

mod addresses;
mod dns;
mod line;
mod namespace;
mod router;

use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use addresses::{
    DNS_V4, DNS_V6, SERVICE_V4, SERVICE_V6, addresses, host_addresses, lan_v4, lan_v6, wan_v4,
    wan_v6,
};
pub use dns::Dns;
use dns::{DnsServer, Zone};
pub use line::Line;
use line::RunningLine;
use namespace::Namespace;
pub use router::{Firewall, Nat};

/// A machine of the lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// The customer's machine, behind a router.
    Customer,
    /// The agent's machine, behind a router.
    Agent,
    /// The service, on the internet.
    Service,
    /// The router of one side, where a test may count packets (`lan` and `wan` are its devices).
    Router(Side),
    /// The bridge between all of them, with the DNS server.
    Internet,
}

/// A machine behind a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The customer.
    Customer,
    /// The agent.
    Agent,
}

impl From<Side> for Host {
    fn from(side: Side) -> Self {
        match side {
            Side::Customer => Host::Customer,
            Side::Agent => Host::Agent,
        }
    }
}

/// The protocols of the whole lab.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocols {
    /// IPv4.
    #[default]
    V4,
    /// IPv6.
    V6,
    /// IPv4 and IPv6.
    Both,
}

/// The way of a [`Side`] into the internet.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Access {
    /// The router's address translation.
    pub nat: Nat,
    /// The router's firewall.
    pub firewall: Firewall,
    /// The line between host and router; `None` is a cable without delay or loss.
    pub line: Option<Line>,
}

/// A host behind its router.
#[derive(Debug)]
struct Network {
    access: Access,
    /// The last number of the host's address in its own network.
    host_number: u8,
    line: Option<RunningLine>,
    // The host ends before its router.
    host: Namespace,
    router: Namespace,
}

/// A running lab. See the module's head.
#[derive(Debug)]
pub struct Lab {
    customer: Network,
    agent: Network,
    service: Namespace,
    dns: Option<DnsServer>,
    internet: Namespace,
    protocols: Protocols,
}

/// The first number of a host's address in its own network.
const FIRST_HOST: u8 = 2;
impl Lab {
    /// The service's name, which the lab's DNS server knows.
    pub const SERVICE: &'static str = "etatuki.test";

    /// Starts a lab with IPv4. Without root it says on stderr that the test is left out, and
    /// returns `None`.
    ///
    /// # Panics
    /// Root can't make it: a program is missing, or the kernel lacks something.
    #[must_use]
    pub fn start(customer: Access, agent: Access) -> Option<Self> {
        Self::start_with(Protocols::V4, customer, agent)
    }

    /// Does what [`start`](Self::start) does, with these protocols.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    #[must_use]
    pub fn start_with(protocols: Protocols, customer: Access, agent: Access) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            let test = std::thread::current();
            let name = test.name().unwrap_or("a test").to_owned();
            eprintln!("LEFT OUT: {name}: network namespaces need root");
            return None;
        }
        Some(Self::build(protocols, customer, agent))
    }

    fn build(protocols: Protocols, customer: Access, agent: Access) -> Self {
        let make = |resolv_conf| Namespace::new(resolv_conf).expect("namespaces can be made");
        let resolv_conf = write_resolv_conf(protocols);
        let internet = make(None);
        internet.shell(&format!(
            "ip link add br0 type bridge && ip link set br0 up\n{}",
            addresses(protocols, "br0", DNS_V4, 24, DNS_V6)
        ));
        let service = make(Some(&resolv_conf));
        plug_in(&internet, &service, "eth0", "service");
        service.shell(&addresses(protocols, "eth0", SERVICE_V4, 24, SERVICE_V6));
        let network = |side: Side, access: Access| {
            let router = make(None);
            plug_in(&internet, &router, "wan", wan_port(side));
            let host = make(Some(&resolv_conf));
            let mut network = Network {
                access,
                host_number: FIRST_HOST,
                line: None,
                host,
                router,
            };
            network.connect(side, protocols, &internet);
            network
        };
        let mut lab = Self {
            customer: network(Side::Customer, customer),
            agent: network(Side::Agent, agent),
            service,
            dns: None,
            internet,
            protocols,
        };
        // The hosts keep the file that is mounted.
        let _ = std::fs::remove_file(resolv_conf);
        lab.route();
        let (v4, v6) = (protocols != Protocols::V6, protocols != Protocols::V4);
        let bind = || match protocols {
            Protocols::V6 => UdpSocket::bind((DNS_V6, 53)),
            _ => UdpSocket::bind((DNS_V4, 53)),
        };
        let socket = lab.internet.inside(bind).expect("port 53 is free there");
        let zone = Zone {
            name: Self::SERVICE,
            v4: v4.then_some(SERVICE_V4),
            v6: v6.then_some(SERVICE_V6),
        };
        lab.dns = Some(DnsServer::start(socket, zone));
        lab
    }

    /// Tells everybody on the internet which router leads to which network: IPv6, and hosts without
    /// NAT, are reached by their own addresses.
    fn route(&self) {
        for side in [Side::Customer, Side::Agent] {
            let other = match side {
                Side::Customer => Side::Agent,
                Side::Agent => Side::Customer,
            };
            let mut script = String::new();
            if self.protocols != Protocols::V6 && self.network(side).access.nat == Nat::None {
                let (network, router) = (lan_v4(side, 0), wan_v4(side));
                script += &format!("ip route add {network}/24 via {router}\n");
            }
            if self.protocols != Protocols::V4 {
                let (network, router) = (lan_v6(side, 0), wan_v6(side));
                script += &format!("ip -6 route add {network}/64 via {router}\n");
            }
            for host in [Host::Internet, Host::Service, Host::Router(other)] {
                self.shell(host, &script);
            }
        }
    }

    /// Returns `command` run on `host`, from the root folder (so name files by whole paths), and
    /// with the lab's DNS server. The process has the id of the child that is spawned.
    #[must_use]
    pub fn command(&self, host: Host, command: &Command) -> Command {
        self.namespace(host).command(command)
    }

    /// Runs `work` on a thread that is on `host`: its sockets stay there. Names are resolved by the
    /// machine's own DNS server, so use addresses.
    pub fn inside<T: Send>(&self, host: Host, work: impl FnOnce() -> T + Send) -> T {
        self.namespace(host).inside(work)
    }

    /// Runs a shell script on `host` and returns its output.
    ///
    /// # Panics
    /// One of its commands failed.
    pub fn shell(&self, host: Host, script: &str) -> String {
        self.namespace(host).shell(script)
    }

    /// Returns the present IPv4 address of a host in its own network.
    #[must_use]
    pub fn address(&self, side: Side) -> Ipv4Addr {
        lan_v4(side, self.network(side).host_number)
    }

    /// Returns the present IPv6 address of a host.
    #[must_use]
    pub fn address_v6(&self, side: Side) -> Ipv6Addr {
        lan_v6(side, self.network(side).host_number)
    }

    /// Returns the IPv4 address of a side's router in the side's own network.
    #[must_use]
    pub fn router_address(&self, side: Side) -> Ipv4Addr {
        lan_v4(side, 1)
    }

    /// Returns the outer IPv4 address of a side's router: what others see of a host behind NAT.
    #[must_use]
    pub fn outer_address(&self, side: Side) -> Ipv4Addr {
        wan_v4(side)
    }

    /// Returns the service's IPv4 address.
    #[must_use]
    pub fn service_address(&self) -> Ipv4Addr {
        SERVICE_V4
    }

    /// Returns the service's IPv6 address.
    #[must_use]
    pub fn service_address_v6(&self) -> Ipv6Addr {
        SERVICE_V6
    }

    /// Returns the IPv4 address of the DNS server.
    #[must_use]
    pub fn name_server(&self) -> Ipv4Addr {
        DNS_V4
    }

    /// Returns the IPv6 address of the DNS server.
    #[must_use]
    pub fn name_server_v6(&self) -> Ipv6Addr {
        DNS_V6
    }

    /// Pulls a host's cable out: its device has no carrier, and keeps its addresses.
    pub fn cut_cable(&self, side: Side) {
        self.shell(Host::Router(side), "ip link set lan down");
    }

    /// Plugs a host's cable in again.
    pub fn mend_cable(&self, side: Side) {
        self.shell(Host::Router(side), "ip link set lan up");
    }

    /// Pulls the service's cable out.
    pub fn cut_service_cable(&self) {
        self.shell(Host::Internet, "ip link set service down");
    }

    /// Plugs the service's cable in again.
    pub fn mend_service_cable(&self) {
        self.shell(Host::Internet, "ip link set service up");
    }

    /// Gives a host the next address of its network and takes the present one away, as a changed
    /// Wi-Fi does.
    pub fn change_address(&mut self, side: Side) {
        let protocols = self.protocols;
        let network = self.network_mut(side);
        let old = network.host_number;
        network.host_number += 1;
        let new = network.host_number;
        let gone = [
            (protocols != Protocols::V6).then(|| format!("{}/24", lan_v4(side, old))),
            (protocols != Protocols::V4).then(|| format!("{}/64", lan_v6(side, old))),
        ];
        let mut script = String::new();
        for address in gone.into_iter().flatten() {
            script += &format!("ip addr del {address} dev eth0\n");
        }
        script += &host_addresses(side, protocols, new);
        network.host.shell(&script);
    }

    /// Lets a router forget every connection and translation.
    pub fn flush_nat(&self, side: Side) {
        router::flush(&self.network(side).router);
    }

    /// Changes a router's firewall.
    pub fn set_firewall(&mut self, side: Side, firewall: Firewall) {
        let network = self.network_mut(side);
        network.access.firewall = firewall;
        router::apply(&network.router, network.access);
    }

    /// Changes a line, for packets from now on.
    ///
    /// # Panics
    /// The side's [`Access`] had none.
    pub fn set_line(&mut self, side: Side, line: Line) {
        let network = self.network_mut(side);
        network.line.as_mut().expect("it has a line").set(line);
    }

    /// Changes the DNS server's behaviour.
    pub fn set_dns(&self, behaviour: Dns) {
        self.dns.as_ref().expect("it runs").set(behaviour);
    }

    /// Returns the number of questions that the DNS server was asked.
    #[must_use]
    pub fn dns_questions(&self) -> usize {
        self.dns.as_ref().expect("it runs").questions()
    }

    fn network(&self, side: Side) -> &Network {
        match side {
            Side::Customer => &self.customer,
            Side::Agent => &self.agent,
        }
    }

    fn network_mut(&mut self, side: Side) -> &mut Network {
        match side {
            Side::Customer => &mut self.customer,
            Side::Agent => &mut self.agent,
        }
    }

    fn namespace(&self, host: Host) -> &Namespace {
        match host {
            Host::Customer => &self.customer.host,
            Host::Agent => &self.agent.host,
            Host::Service => &self.service,
            Host::Router(side) => &self.network(side).router,
            Host::Internet => &self.internet,
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // All at once, so that it takes no longer than one.
        let networks = [&mut self.customer, &mut self.agent];
        for network in networks {
            network.host.end();
            network.router.end();
        }
        self.service.end();
        self.internet.end();
    }
}

impl Network {
    /// Lays the line between host and router and gives both their addresses and rules.
    fn connect(&mut self, side: Side, protocols: Protocols, internet: &Namespace) {
        match self.access.line {
            None => {
                let peer = self.host.pid();
                self.router.shell(&format!(
                    "ip link add lan type veth peer name eth0 netns {peer}"
                ));
            }
            Some(line) => {
                let (host, router) = (&self.host, &self.router);
                let running = RunningLine::start(internet, host, router, wan_port(side), line);
                self.line = Some(running);
            }
        }
        let keep = "echo 1 >/proc/sys/net/ipv6/conf/all/keep_addr_on_down\n";
        self.router.shell(&format!(
            "{keep}
             echo 1 >/proc/sys/net/ipv4/ip_forward
             echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
             ip link set lan up
             {}{}",
            addresses(protocols, "lan", lan_v4(side, 1), 24, lan_v6(side, 1)),
            addresses(protocols, "wan", wan_v4(side), 24, wan_v6(side)),
        ));
        self.host.shell(&format!(
            "{keep} ip link set eth0 up\n{}",
            host_addresses(side, protocols, self.host_number)
        ));
        router::apply(&self.router, self.access);
    }
}

/// Connects a namespace to the bridge; `port` is the bridge's end.
fn plug_in(internet: &Namespace, namespace: &Namespace, device: &str, port: &str) {
    let pid = namespace.pid();
    internet.shell(&format!(
        "ip link add {port} type veth peer name {device} netns {pid}
         ip link set {port} master br0 up"
    ));
    namespace.shell(&format!("ip link set {device} up"));
}

/// Writes the file that hosts see as /etc/resolv.conf.
fn write_resolv_conf(protocols: Protocols) -> PathBuf {
    static LABS: AtomicUsize = AtomicUsize::new(0);
    let number = LABS.fetch_add(1, Ordering::Relaxed);
    let name = format!("etatuki-lab-{}-{number}.resolv.conf", std::process::id());
    let path = std::env::temp_dir().join(name);
    let server = match protocols {
        Protocols::V6 => DNS_V6.to_string(),
        _ => DNS_V4.to_string(),
    };
    std::fs::write(&path, format!("nameserver {server}\n")).expect("the folder can be written");
    path
}

/// The name of the bridge's end of a router's cable.
fn wan_port(side: Side) -> &'static str {
    match side {
        Side::Customer => "customer",
        Side::Agent => "agent",
    }
}
