//! Whom a session contacts: every packet of both machines is looked at.

use etatuki_testkit::lab::{Access, Dns, Firewall, Host, Lab, Nat, Protocols, Side};

use crate::world::World;

/// Remembers the address of every packet that leaves a machine and goes to nobody of the session:
/// service, peer, name server. What the kernel says by itself (neighbours, groups) doesn't count.
fn watch(lab: &Lab, side: Side) {
    let peer = match side {
        Side::Customer => Side::Agent,
        Side::Agent => Side::Customer,
    };
    let (service, service_v6) = (lab.service_address(), lab.service_address_v6());
    let (name_server, name_server_v6) = (lab.name_server(), lab.name_server_v6());
    let (peer_v4, peer_v6) = (lab.address(peer), lab.address_v6(peer));
    let peer_outside = lab.outer_address(peer);
    let script = format!(
        "nft -f - <<'END'
table inet watch {{
  set others {{ type ipv4_addr; flags dynamic; size 64; }}
  set others_v6 {{ type ipv6_addr; flags dynamic; size 64; }}
  set sent {{ type inet_service; flags dynamic; size 64; }}
  chain out {{
    type filter hook output priority -200;
    oifname \"lo\" accept
    meta l4proto {{ ipv6-icmp, igmp }} accept
    ip daddr {{ {service}, {name_server} }} meta l4proto {{ tcp, udp }} add @sent {{ th dport }}
    ip daddr {service} tcp dport 443 accept
    ip6 daddr {service_v6} tcp dport 443 accept
    ip daddr {service} meta l4proto udp accept
    ip6 daddr {service_v6} meta l4proto udp accept
    ip daddr {name_server} udp dport 53 accept
    ip daddr {name_server} tcp dport 53 accept
    ip6 daddr {name_server_v6} udp dport 53 accept
    ip6 daddr {name_server_v6} tcp dport 53 accept
    ip daddr {{ {peer_v4}, {peer_outside} }} meta l4proto udp accept
    ip6 daddr {peer_v6} meta l4proto udp accept
    meta nfproto ipv4 add @others {{ ip daddr }}
    meta nfproto ipv6 add @others_v6 {{ ip6 daddr }}
  }}
}}
END"
    );
    lab.shell(side.into(), &script);
}

/// Fails unless the packets went to nobody else.
#[track_caller]
fn check(lab: &Lab, side: Side) {
    let host = Host::from(side);
    for set in ["others", "others_v6"] {
        let found = lab.shell(host, &format!("nft list set inet watch {set}"));
        assert!(!found.contains("elements"), "{side:?}: {found}");
    }
    let sent = lab.shell(host, "nft list set inet watch sent");
    assert!(sent.contains("elements"), "the watch sees nothing: {sent}");
}

fn watched(protocols: Protocols, access: Access) -> Option<World> {
    let world = World::start(protocols, access, access)?;
    for side in [Side::Customer, Side::Agent] {
        watch(&world.lab, side);
    }
    Some(world)
}

#[track_caller]
fn check_both(world: &World) {
    for side in [Side::Customer, Side::Agent] {
        check(&world.lab, side);
    }
}

#[test]
fn a_direct_session_contacts_nobody_else() {
    let Some(world) = watched(Protocols::Both, Access::default()) else {
        return;
    };
    assert_eq!(world.session(&[], &[]), "linked direct");
    check_both(&world);
}

#[test]
fn a_direct_session_between_two_routers_contacts_nobody_else() {
    let cone = Access {
        nat: Nat::Cone,
        ..Access::default()
    };
    let Some(world) = watched(Protocols::V4, cone) else {
        return;
    };
    assert_eq!(world.session(&[], &[]), "linked direct");
    check_both(&world);
}

#[test]
fn a_relayed_session_contacts_nobody_else() {
    let no_udp = Access {
        nat: Nat::Cone,
        firewall: Firewall::NoUdp,
        ..Access::default()
    };
    let Some(world) = watched(Protocols::V4, no_udp) else {
        return;
    };
    assert_eq!(world.session(&[], &[]), "linked relayed");
    check_both(&world);
}

#[test]
fn a_session_that_fails_contacts_nobody_else() {
    let cone = Access {
        nat: Nat::Cone,
        ..Access::default()
    };
    let Some(world) = watched(Protocols::V4, cone) else {
        return;
    };
    let customer = world.customer(&[]);
    let nameplate = customer.nameplate();
    world.lab.cut_service_cable();
    let agent = world.agent(&nameplate, &[]);
    assert_eq!(agent.said(), "failed service-unreachable");
    world.lab.set_dns(Dns::Silent);
    let agent = world.agent(&nameplate, &[]);
    assert_eq!(agent.said(), "failed dns-silent");
    check_both(&world);
}
