//! A router between a host's own network and the lab's internet: its NAT and its firewall, by nft.

use std::process::Command;

use super::Access;
use super::namespace::Namespace;

/// The address translation of a router, for IPv4. IPv6 has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Nat {
    /// None, and no firewall either: everybody reaches the host.
    #[default]
    None,
    /// A home router: an outer port is kept for all peers (endpoint-independent mapping, RFC 4787),
    /// and only answers come in. "Port-restricted cone" in RFC 3489.
    Cone,
    /// A large company's: another outer port for each peer. "Symmetric" in RFC 3489.
    Symmetric,
}

/// The packets that a firewall lets out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Firewall {
    /// All.
    #[default]
    Open,
    /// All but UDP; questions to the DNS server pass.
    NoUdp,
    /// TCP to port 443, and questions to the DNS server.
    HttpsOnly,
    /// None, either way, without a word: a black hole.
    Nothing,
}

/// Gives a router its rules. Connections that it knows already keep their translation.
pub(super) fn apply(router: &Namespace, access: Access) {
    // A home router drops what nobody inside asked for before it remembers the connection;
    // otherwise a peer's early probe takes the outer port away from the host.
    let incoming = match access.nat {
        Nat::None => "",
        Nat::Cone | Nat::Symmetric => "iifname \"wan\" ct state new drop",
    };
    let local = match access.nat {
        Nat::None => "",
        Nat::Cone | Nat::Symmetric => "iifname \"wan\" meta l4proto { tcp, udp } ct state new drop",
    };
    // Two `!=` in one rule are merged into a wrong one by nft 1.0.6, so what may pass is accepted.
    let firewall = match access.firewall {
        Firewall::Open => "",
        Firewall::NoUdp => {
            "udp dport 53 accept
             udp sport 53 accept
             meta l4proto udp drop"
        }
        Firewall::HttpsOnly => {
            "udp dport 53 accept
             udp sport 53 accept
             meta l4proto udp drop
             iifname \"lan\" tcp dport != { 53, 443 } drop"
        }
        Firewall::Nothing => "drop",
    };
    let translation = match access.nat {
        Nat::None => "",
        Nat::Cone => "oifname \"wan\" meta nfproto ipv4 masquerade",
        Nat::Symmetric => "oifname \"wan\" meta nfproto ipv4 masquerade fully-random",
    };
    let rules = format!(
        "flush ruleset
         table inet lab {{
           chain forward {{
             type filter hook forward priority 0; policy accept;
             {incoming}
             {firewall}
           }}
           chain input {{
             type filter hook input priority 0; policy accept;
             {local}
           }}
           chain translation {{
             type nat hook postrouting priority 100; policy accept;
             {translation}
           }}
         }}\n"
    );
    router.pipe(Command::new("nft").args(["-f", "-"]), &rules);
}

/// Forgets every connection and translation, as a router that was switched off and on does.
pub(super) fn flush(router: &Namespace) {
    router.shell("conntrack -F 2>/dev/null");
}
