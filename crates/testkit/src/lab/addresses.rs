//! The lab's addresses, and the commands that set them. The internet is a documentation network
//! (RFC 5737, RFC 3849), each side's own network a private one (RFC 1918).

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Protocols, Side};

/// The addresses of service and DNS server.
pub(super) const SERVICE_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
pub(super) const DNS_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 53);
pub(super) const SERVICE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10);
pub(super) const DNS_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x53);

/// Returns the commands that give a device its addresses.
pub(super) fn addresses(
    protocols: Protocols,
    device: &str,
    v4: Ipv4Addr,
    prefix: u8,
    v6: Ipv6Addr,
) -> String {
    let mut script = String::new();
    if protocols != Protocols::V6 {
        script += &format!("ip addr add {v4}/{prefix} dev {device}\n");
    }
    if protocols != Protocols::V4 {
        script += &format!("ip addr add {v6}/64 dev {device} nodad\n");
    }
    script
}

/// Returns the commands that give a host its addresses and its way out.
pub(super) fn host_addresses(side: Side, protocols: Protocols, number: u8) -> String {
    let (v4, v6) = (lan_v4(side, number), lan_v6(side, number));
    let mut script = addresses(protocols, "eth0", v4, 24, v6);
    if protocols != Protocols::V6 {
        script += &format!("ip route replace default via {}\n", lan_v4(side, 1));
    }
    if protocols != Protocols::V4 {
        script += &format!("ip -6 route replace default via {}\n", lan_v6(side, 1));
    }
    script
}

/// The third number of a side's own IPv4 network, and a group of its IPv6 network.
pub(super) fn network_number(side: Side) -> u8 {
    match side {
        Side::Customer => 11,
        Side::Agent => 12,
    }
}

pub(super) fn lan_v4(side: Side, number: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 168, network_number(side), number)
}

pub(super) fn lan_v6(side: Side, number: u8) -> Ipv6Addr {
    let group = u16::from(network_number(side));
    Ipv6Addr::new(0x2001, 0xdb8, 0, group, 0, 0, 0, u16::from(number))
}

pub(super) fn wan_v4(side: Side) -> Ipv4Addr {
    Ipv4Addr::new(203, 0, 113, network_number(side) + 10)
}

pub(super) fn wan_v6(side: Side) -> Ipv6Addr {
    let number = u16::from(network_number(side));
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number + 10)
}
