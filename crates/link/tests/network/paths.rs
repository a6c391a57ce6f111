//! Networks on which a session comes up, and by which path.

use std::net::TcpListener;
use std::path::Path;

use etatuki_testkit::ConnectProxy;
use etatuki_testkit::lab::{Access, Dns, Firewall, Host, Nat, Protocols, Side};

use crate::end::End;
use crate::world::World;

fn access(nat: Nat, firewall: Firewall) -> Access {
    Access {
        nat,
        firewall,
        ..Access::default()
    }
}

/// No UDP, so that a session needs the relay.
fn relay_only() -> Access {
    access(Nat::Cone, Firewall::HttpsOnly)
}

#[test]
fn a_private_ca_of_the_system_is_good_for_api_and_relay() {
    let Some(world) = World::start(Protocols::V4, relay_only(), relay_only()) else {
        return;
    };
    assert_eq!(world.session(&[], &[]), "linked relayed");
    // Elsewhere nobody trusts it.
    let customer = End::customer(&world.lab, &[]);
    assert_eq!(customer.said(), "failed certificate-untrusted");
}

/// Starts a proxy on the customer's router.
fn proxy(world: &World, authorization: Option<&str>) -> (ConnectProxy, String) {
    let target = (world.lab.service_address(), 443).into();
    let address = (world.lab.router_address(Side::Customer), 3128);
    let proxy = world.lab.inside(Host::Router(Side::Customer), || {
        ConnectProxy::start(TcpListener::bind(address).unwrap(), target, authorization)
    });
    (proxy, format!("{}:{}", address.0, address.1))
}

#[test]
fn a_proxy_carries_api_and_relay() {
    let nothing_else = access(Nat::Cone, Firewall::Nothing);
    let Some(world) = World::start(Protocols::V4, nothing_else, relay_only()) else {
        return;
    };
    let (proxy, address) = proxy(&world, None);
    let url = format!("http://{address}");
    let names = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"];
    side_by_side(&names, |name| {
        let said = world.session(&[(name, &url)], &[]);
        assert_eq!(said, "linked relayed", "{name}");
    });
    assert!(proxy.tunnels() >= 2 * names.len(), "API and relay");
}

/// Runs a session for each of these, at the same time: most of each is a wait for a direct path.
fn side_by_side(cases: &[&str], session: impl Fn(&str) + Sync) {
    std::thread::scope(|scope| {
        for case in cases {
            scope.spawn(|| session(case));
        }
    });
}

#[test]
fn a_proxys_password_opens_it_for_api_and_relay() {
    let nothing_else = access(Nat::Cone, Firewall::Nothing);
    let Some(world) = World::start(Protocols::V4, nothing_else, relay_only()) else {
        return;
    };
    // aino:s@la
    let (_proxy, address) = proxy(&world, Some("Basic YWlubzpzQGxh"));
    let right = format!("http://aino:s%40la@{address}");
    assert_eq!(
        world.session(&[("HTTPS_PROXY", &right)], &[]),
        "linked relayed"
    );
    for wrong in [address.clone(), format!("http://aino:sala@{address}")] {
        let customer = world.customer(&[("HTTPS_PROXY", &wrong)]);
        assert_eq!(customer.said(), "failed proxy-login", "{wrong}");
    }
}

#[test]
fn no_proxy_counts_for_api_and_relay() {
    let Some(world) = World::start(Protocols::V4, relay_only(), relay_only()) else {
        return;
    };
    // Nothing listens there.
    let dead = "http://192.0.2.1:3128";
    let exceptions = ["etatuki.test", ".test", "*", "etatuki.test:443"];
    side_by_side(&exceptions, |exception| {
        let environment = [("HTTPS_PROXY", dead), ("NO_PROXY", exception)];
        let said = world.session(&environment, &environment);
        assert_eq!(said, "linked relayed", "{exception}");
    });
}

#[test]
fn the_hosts_file_counts_while_the_name_server_is_silent() {
    let Some(world) = World::start(Protocols::V4, relay_only(), relay_only()) else {
        return;
    };
    world.lab.set_dns(Dns::Silent);
    let line = format!("{} {}\n", world.lab.service_address(), "etatuki.test");
    for host in [Host::Customer, Host::Agent] {
        world.replace(host, Path::new("/etc/hosts"), &line);
    }
    assert_eq!(world.session(&[], &[]), "linked relayed");
}

#[test]
fn a_name_server_that_drops_questions_for_ipv6_is_no_obstacle() {
    let Some(world) = World::start(Protocols::V4, relay_only(), relay_only()) else {
        return;
    };
    world.lab.set_dns(Dns::DropsAaaa);
    assert_eq!(world.session(&[], &[]), "linked relayed");
}

#[test]
fn ipv6_alone_is_enough() {
    let open = access(Nat::None, Firewall::Open);
    let no_udp = access(Nat::None, Firewall::NoUdp);
    for (customer, expected) in [(open, "linked direct"), (no_udp, "linked relayed")] {
        let Some(world) = World::start(Protocols::V6, customer, open) else {
            return;
        };
        assert_eq!(world.session(&[], &[]), expected);
    }
}

#[test]
fn ipv6_that_leads_nowhere_is_left_for_ipv4() {
    let Some(world) = World::start(Protocols::Both, relay_only(), relay_only()) else {
        return;
    };
    for side in [Side::Customer, Side::Agent] {
        let nowhere = "ip6tables -w -I FORWARD -j DROP 2>/dev/null || \
            nft add rule inet lab forward meta nfproto ipv6 drop";
        world.lab.shell(Host::Router(side), nowhere);
    }
    assert_eq!(world.session(&[], &[]), "linked relayed");
}

/// QUIC wants packets of 1280 bytes with its own heads (RFC 9000 section 14): below that the relay
/// carries the session.
#[test]
fn small_packets_are_enough() {
    let open = access(Nat::None, Firewall::Open);
    for (mtu, expected) in [(1280, "linked direct"), (1200, "linked relayed")] {
        let Some(world) = World::start(Protocols::V4, open, open) else {
            return;
        };
        // The router clamps TCP's segments, as home routers do, and tells nobody of lost datagrams.
        let script = format!(
            "ip link set wan mtu {mtu}
             nft add rule inet lab forward tcp flags syn tcp option maxseg size set {}
             nft add chain inet lab out '{{ type filter hook output priority 0; }}'
             nft add rule inet lab out icmp type destination-unreachable drop",
            mtu - 40
        );
        world.lab.shell(Host::Router(Side::Customer), &script);
        assert_eq!(world.session(&[], &[]), expected, "{mtu}");
    }
}

/// The service tells both ends their outer addresses (QUIC address discovery).
#[test]
fn two_cone_routers_are_no_obstacle() {
    let cone = access(Nat::Cone, Firewall::Open);
    let Some(world) = World::start(Protocols::V4, cone, cone) else {
        return;
    };
    assert_eq!(world.session(&[], &[]), "linked direct");
}

/// A symmetric router has another outer port for the peer than for the service.
#[test]
fn a_cone_and_a_symmetric_router_leave_the_relay() {
    let (cone, symmetric) = [Nat::Cone, Nat::Symmetric]
        .map(|nat| access(nat, Firewall::Open))
        .into();
    for (customer, agent) in [(cone, symmetric), (symmetric, symmetric)] {
        let Some(world) = World::start(Protocols::V4, customer, agent) else {
            return;
        };
        assert_eq!(world.session(&[], &[]), "linked relayed");
    }
}
