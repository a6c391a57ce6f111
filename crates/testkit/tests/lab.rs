//! The network lab does what its methods say, as seen by sockets and programs in it.

#![allow(clippy::unwrap_used, reason = "a test may end with a panic")]

use std::io::{BufRead as _, BufReader, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use etatuki_testkit::lab::{Access, Dns, Firewall, Host, Lab, Line, Nat, Protocols, Side};

/// Time-out for everything that is to happen.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Time in which a packet that is to be lost would have come.
const QUIET: Duration = Duration::from_millis(300);

fn behind(nat: Nat) -> Access {
    Access {
        nat,
        ..Access::default()
    }
}

/// Returns a UDP socket on `host`.
fn socket(lab: &Lab, host: Host) -> UdpSocket {
    let socket = lab.inside(host, || UdpSocket::bind(("0.0.0.0", 0)).unwrap());
    socket.set_read_timeout(Some(QUIET)).unwrap();
    socket
}

/// Sends a datagram and returns the sender's address as the receiver sees it; `None` if nothing
/// came. It is sent once.
fn carry(from: &UdpSocket, address: Ipv4Addr, to: &UdpSocket) -> Option<SocketAddr> {
    let port = to.local_addr().unwrap().port();
    // Without a cable the sender may be told so.
    let _ = from.send_to(b"?", (address, port));
    receive(to)
}

fn receive(socket: &UdpSocket) -> Option<SocketAddr> {
    match socket.recv_from(&mut [0; 8]) {
        Ok((_, from)) => Some(from),
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(error) => panic!("{error}"),
    }
}

/// Returns whether a customer's datagrams get to the service, tried until `expected` is so.
fn expect_reaches_service(lab: &Lab, expected: bool) {
    let (customer, service) = (socket(lab, Host::Customer), socket(lab, Host::Service));
    let end = Instant::now() + TIMEOUT;
    while carry(&customer, lab.service_address(), &service).is_some() != expected {
        assert!(Instant::now() < end, "it is never {expected}");
    }
}

#[test]
fn a_host_without_nat_is_seen_by_its_own_address() {
    let Some(lab) = Lab::start(Access::default(), Access::default()) else {
        return;
    };
    let (customer, agent) = (socket(&lab, Host::Customer), socket(&lab, Host::Agent));
    let seen = carry(&agent, lab.address(Side::Customer), &customer).unwrap();
    assert_eq!(seen.ip(), lab.address(Side::Agent));
}

/// Returns whether two hosts behind such routers reach each other, once each has learned from the
/// service how the other is seen.
fn punch_a_hole(customer: Nat, agent: Nat) -> Option<bool> {
    let lab = Lab::start(behind(customer), behind(agent))?;
    let service = socket(&lab, Host::Service);
    let customer = socket(&lab, Host::Customer);
    let agent = socket(&lab, Host::Agent);
    let seen_customer = carry(&customer, lab.service_address(), &service).unwrap();
    let seen_agent = carry(&agent, lab.service_address(), &service).unwrap();
    assert_eq!(seen_customer.ip(), lab.outer_address(Side::Customer));
    assert_eq!(seen_agent.ip(), lab.outer_address(Side::Agent));
    for _ in 0..2 {
        customer.send_to(b"?", seen_agent).unwrap();
        agent.send_to(b"?", seen_customer).unwrap();
    }
    let reached = [receive(&customer).is_some(), receive(&agent).is_some()];
    assert_eq!(reached[0], reached[1], "one way alone");
    Some(reached[0])
}

#[test]
fn two_cones_let_a_hole_be_punched() {
    assert_ne!(punch_a_hole(Nat::Cone, Nat::Cone), Some(false));
}

#[test]
fn two_symmetric_nats_do_not() {
    assert_ne!(punch_a_hole(Nat::Symmetric, Nat::Symmetric), Some(true));
}

#[test]
fn a_cone_and_a_symmetric_nat_do_not() {
    assert_ne!(punch_a_hole(Nat::Cone, Nat::Symmetric), Some(true));
}

#[test]
fn only_a_symmetric_nat_has_a_port_for_each_peer() {
    for (nat, expected) in [(Nat::Cone, true), (Nat::Symmetric, false)] {
        let Some(lab) = Lab::start(behind(nat), Access::default()) else {
            return;
        };
        let customer = socket(&lab, Host::Customer);
        let port = |host, address| {
            carry(&customer, address, &socket(&lab, host))
                .unwrap()
                .port()
        };
        let by_service = port(Host::Service, lab.service_address());
        let by_agent = port(Host::Agent, lab.address(Side::Agent));
        assert_eq!(by_service == by_agent, expected, "{nat:?}");
    }
}

#[test]
fn a_firewall_stops_udp_and_lets_https_pass() {
    let blocked = Access {
        nat: Nat::Cone,
        firewall: Firewall::HttpsOnly,
        line: None,
    };
    let Some(mut lab) = Lab::start(blocked, Access::default()) else {
        return;
    };
    expect_reaches_service(&lab, false);
    let listen = |port| TcpListener::bind(("0.0.0.0", port)).unwrap();
    let _listeners = lab.inside(Host::Service, || (listen(443), listen(80)));
    let address = lab.service_address();
    let connect = |port| TcpStream::connect_timeout(&(address, port).into(), QUIET).is_ok();
    let connected = lab.inside(Host::Customer, || (connect(443), connect(80)));
    assert_eq!(connected, (true, false));
    assert!(resolves(&lab, "ahostsv4"));
    lab.set_firewall(Side::Customer, Firewall::Open);
    expect_reaches_service(&lab, true);
}

#[test]
fn a_cable_is_out_until_it_is_in_again() {
    let Some(mut lab) = Lab::start(behind(Nat::Cone), Access::default()) else {
        return;
    };
    expect_reaches_service(&lab, true);
    lab.cut_cable(Side::Customer);
    expect_reaches_service(&lab, false);
    let link = lab.shell(Host::Customer, "ip link show dev eth0");
    assert!(link.contains("NO-CARRIER"), "{link}");
    lab.mend_cable(Side::Customer);
    expect_reaches_service(&lab, true);
    lab.cut_service_cable();
    expect_reaches_service(&lab, false);
    lab.mend_service_cable();
    expect_reaches_service(&lab, true);
    lab.set_firewall(Side::Customer, Firewall::Nothing);
    expect_reaches_service(&lab, false);
}

#[test]
fn a_changed_address_works_and_the_old_one_is_gone() {
    let Some(mut lab) = Lab::start(Access::default(), Access::default()) else {
        return;
    };
    let old = lab.address(Side::Customer);
    lab.change_address(Side::Customer);
    assert_ne!(lab.address(Side::Customer), old);
    let service = socket(&lab, Host::Service);
    let customer = socket(&lab, Host::Customer);
    let seen = carry(&customer, lab.service_address(), &service).unwrap();
    assert_eq!(seen.ip(), lab.address(Side::Customer));
    assert_eq!(carry(&service, old, &customer), None);
}

#[test]
fn a_flushed_nat_forgets_who_asked() {
    let Some(lab) = Lab::start(behind(Nat::Cone), Access::default()) else {
        return;
    };
    let (customer, service) = (socket(&lab, Host::Customer), socket(&lab, Host::Service));
    let seen = carry(&customer, lab.service_address(), &service).unwrap();
    service.send_to(b"!", seen).unwrap();
    assert!(receive(&customer).is_some());
    lab.flush_nat(Side::Customer);
    service.send_to(b"!", seen).unwrap();
    assert_eq!(receive(&customer), None);
}

/// Returns whether the customer's C library finds the service by this database of getent.
fn resolves(lab: &Lab, database: &str) -> bool {
    let mut getent = Command::new("timeout");
    getent.args(["2", "getent", database, Lab::SERVICE]);
    let output = lab.command(Host::Customer, &getent).output().unwrap();
    output.status.success()
}

#[test]
fn the_dns_server_answers_or_fails_as_told() {
    let access = Access::default();
    let Some(lab) = Lab::start_with(Protocols::Both, access, access) else {
        return;
    };
    assert!(resolves(&lab, "ahostsv4") && resolves(&lab, "ahostsv6"));
    lab.set_dns(Dns::DropsAaaa);
    assert!(resolves(&lab, "ahostsv4") && !resolves(&lab, "ahostsv6"));
    lab.set_dns(Dns::KnowsNothing);
    assert!(!resolves(&lab, "ahostsv4"));
    lab.set_dns(Dns::Silent);
    let before = lab.dns_questions();
    assert!(!resolves(&lab, "ahostsv4"));
    assert!(lab.dns_questions() > before);
}

#[test]
fn hosts_reach_each_other_by_ipv6() {
    let access = behind(Nat::None);
    let Some(mut lab) = Lab::start_with(Protocols::V6, access, access) else {
        return;
    };
    for _ in 0..2 {
        let bind = || UdpSocket::bind(("::", 0)).unwrap();
        let (customer, agent) = (
            lab.inside(Host::Customer, bind),
            lab.inside(Host::Agent, bind),
        );
        customer.set_read_timeout(Some(TIMEOUT)).unwrap();
        let port = customer.local_addr().unwrap().port();
        agent
            .send_to(b"?", (lab.address_v6(Side::Customer), port))
            .unwrap();
        assert_eq!(
            receive(&customer).unwrap().ip(),
            lab.address_v6(Side::Agent)
        );
        lab.change_address(Side::Customer);
    }
    assert!(resolves(&lab, "ahostsv6"));
}

#[test]
fn a_line_delays_and_loses() {
    let line = Line {
        delay: Duration::from_millis(40),
        ..Line::default()
    };
    let slow = Access {
        line: Some(line),
        ..Access::default()
    };
    let Some(mut lab) = Lab::start(slow, Access::default()) else {
        return;
    };
    let (customer, service) = (socket(&lab, Host::Customer), socket(&lab, Host::Service));
    let began = Instant::now();
    let seen = carry(&customer, lab.service_address(), &service).unwrap();
    service.send_to(b"!", seen).unwrap();
    assert!(receive(&customer).is_some());
    assert!(began.elapsed() >= Duration::from_millis(80));
    let lossy = Line {
        loss_percent: 100.0,
        ..line
    };
    lab.set_line(Side::Customer, lossy);
    expect_reaches_service(&lab, false);
    lab.set_line(Side::Customer, Line::default());
    expect_reaches_service(&lab, true);
    lab.cut_cable(Side::Customer);
    expect_reaches_service(&lab, false);
    lab.mend_cable(Side::Customer);
    expect_reaches_service(&lab, true);
}

/// Waits until these processes are gone, or are zombies that nobody has waited for.
fn expect_gone(pids: &[u32]) {
    let end = Instant::now() + TIMEOUT;
    let runs = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !(stat.is_empty() || stat.contains(") Z "))
    };
    while pids.iter().any(runs) {
        assert!(Instant::now() < end, "one of {pids:?} still runs");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_program_in_the_lab_ends_with_it() {
    let Some(lab) = Lab::start(behind(Nat::Cone), Access::default()) else {
        return;
    };
    let mut sleep = Command::new("sleep");
    sleep.arg("600");
    let mut child = lab.command(Host::Customer, &sleep).spawn().unwrap();
    drop(lab);
    let end = Instant::now() + TIMEOUT;
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < end, "the program still runs");
    }
}

/// Not a test of its own: it is started and killed by the one below.
#[test]
fn a_lab_that_waits_to_be_killed() {
    if std::env::var_os("ETATUKI_LAB_WAITS").is_none() {
        return;
    }
    let lab = Lab::start(behind(Nat::Cone), Access::default()).unwrap();
    let mut sleep = Command::new("setsid");
    sleep.args(["sleep", "600"]);
    let mut child = lab.command(Host::Customer, &sleep).spawn().unwrap();
    eprintln!("\npid {}", child.id());
    child.wait().unwrap();
}

#[test]
fn nothing_is_left_of_a_test_that_was_killed() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("LEFT OUT: network namespaces need root");
        return;
    }
    let mut test = Command::new(std::env::current_exe().unwrap())
        .args(["a_lab_that_waits_to_be_killed", "--exact", "--nocapture"])
        .env("ETATUKI_LAB_WAITS", "1")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(test.stderr.take().unwrap()).lines();
    let mut pids = lines.map_while(Result::ok).filter_map(|line| {
        let pid: u32 = line.strip_prefix("pid ")?.parse().ok()?;
        Some(pid)
    });
    let program = pids.next().expect("it said so");
    let mut all = children(test.id());
    assert!(all.len() >= 7, "six holders and a program: {all:?}");
    all.push(program);
    test.kill().unwrap();
    test.wait().unwrap();
    expect_gone(&all);
}

/// Returns the child processes of a process.
fn children(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let lists = tasks.flatten().map(|task| {
        let list = std::fs::read_to_string(task.path().join("children"));
        list.unwrap_or_default()
    });
    let numbers = lists.collect::<String>();
    numbers
        .split_whitespace()
        .map(|pid| pid.parse().unwrap())
        .collect()
}
