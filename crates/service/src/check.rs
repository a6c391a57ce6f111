//! `etatuki-service check`: looks at everything that a start needs, without starting.

use std::{
    net::{SocketAddr, TcpListener, UdpSocket},
    path::Path,
};

use etatuki_trust::{UnixTime, service_origin};

use crate::{
    certificate_facts::CertificateFacts,
    config::{Config, StartError},
    key_ring::KeyRing,
    relays::KnownRelays,
    revocations::RevocationFiles,
    state, tls,
};

/// Days before a certificate's end from which on it is a fault not to have renewed it.
const RENEWAL_DAYS: u64 = 7;

/// Descriptors besides those of connections: files, listeners, timers, standard streams.
const OTHER_DESCRIPTORS: u64 = 64;

/// Connections without which a service is of little use: what one address may have.
const MIN_CONNECTIONS: usize = 1_000;

const DAY: u64 = 24 * 60 * 60;

/// The outcome of one look: a sentence that says what is so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The part that was looked at, in one or two words.
    pub part: &'static str,
    /// The sentence; `Err` if the service wouldn't start with this, or not do its work.
    pub result: Result<String, String>,
}

/// Looks at everything that a service with this configuration needs. Listens on its ports for a moment,
/// and makes and changes nothing.
///
/// `open_files` is the limit of open files; `None` if there is none.
#[must_use]
pub fn check(config: &Config, open_files: Option<u64>) -> Vec<Finding> {
    let now = config.clock.unix_time();
    let looks: [(&'static str, Result<String, String>); 8] = [
        ("public URL", check_url(config)),
        ("TCP port", check_tcp(config.listen)),
        ("UDP port", check_udp(config)),
        ("metrics", check_metrics(config)),
        ("certificate", check_certificate(config, now)),
        ("vendor keys", check_vendors(config, now)),
        ("key ring", check_key_ring(config.key_ring.as_deref())),
        ("open files", check_open_files(config, open_files)),
    ];
    let finding = |(part, result)| Finding { part, result };
    looks.into_iter().map(finding).collect()
}

/// Returns the most connections that the limit of open files carries.
#[must_use]
pub fn connections_for(open_files: u64) -> usize {
    usize::try_from(open_files.saturating_sub(OTHER_DESCRIPTORS)).unwrap_or(usize::MAX)
}

fn sentence(error: StartError) -> String {
    error.to_string()
}

fn check_url(config: &Config) -> Result<String, String> {
    let origin = config.origin(config.listen).map_err(sentence)?;
    let relays = KnownRelays::new(config, &origin, None).map_err(sentence)?;
    let others = relays.others(relays.first()).len();
    Ok(match others {
        0 => format!("clients find it at {origin}"),
        _ => format!(
            "clients find it at {origin}; sessions begin with the relay {} and name {others} more",
            relays.first().url
        ),
    })
}

fn check_tcp(listen: SocketAddr) -> Result<String, String> {
    match TcpListener::bind(listen) {
        Ok(_) => Ok(format!("{listen} is free")),
        Err(error) => Err(sentence(StartError::Listen {
            address: listen,
            error,
        })),
    }
}

fn check_udp(config: &Config) -> Result<String, String> {
    let Some(port) = config.quic_port else {
        return Ok("no address discovery: two ends behind NAT stay on the relay".into());
    };
    if config.tls.is_none() {
        return Ok("no address discovery: it takes a certificate".into());
    }
    let address = SocketAddr::new(config.listen.ip(), port);
    match UdpSocket::bind(address) {
        Ok(_) => Ok(format!("{address} is free")),
        Err(error) => Err(sentence(StartError::ListenUdp { address, error })),
    }
}

fn check_metrics(config: &Config) -> Result<String, String> {
    config.metrics.map_or(Ok("told nowhere".into()), check_tcp)
}

fn check_certificate(config: &Config, now: UnixTime) -> Result<String, String> {
    let Some(files) = &config.tls else {
        return match config.listen.ip().is_loopback() {
            true => Ok("none: plain HTTP, on this machine alone".into()),
            false => {
                Ok("none: something in front has to end TLS, or tokens travel in the clear".into())
            }
        };
    };
    tls::server_config(files, b"http/1.1").map_err(sentence)?;
    let certificate = CertificateFacts::read(files).map_err(sentence)?;
    let path = files.certificate.display();
    if certificate.begins > now.0 {
        return Err(format!("{path} isn't valid yet, by this machine's clock"));
    }
    if certificate.ends <= now.0 {
        return Err(format!("{path} has expired"));
    }
    let days = (certificate.ends - now.0) / DAY;
    if days < RENEWAL_DAYS {
        return Err(format!("{path} ends in {days} days: renew it"));
    }
    let host = config.public_url.as_deref().and_then(host_of);
    match host.filter(|host| !certificate.covers(host)) {
        Some(host) => Err(format!("{path} isn't for {host}")),
        None => Ok(format!("good for {days} days more")),
    }
}

/// Returns the host of an URL.
fn host_of(url: &str) -> Option<String> {
    let origin = service_origin(url).ok()?;
    let (_, authority) = origin.split_once("://")?;
    let (host, _) = authority.rsplit_once(':')?;
    Some(host.trim_matches(['[', ']']).to_owned())
}

fn check_vendors(config: &Config, now: UnixTime) -> Result<String, String> {
    state::check_vendors(&config.vendors).map_err(sentence)?;
    let count = config.vendors.len();
    let lists = RevocationFiles::open(config.revocations.clone(), config.vendors.clone());
    let without = lists.map_err(sentence)?.keys_without_list(now);
    if without.is_empty() {
        return Ok(format!("{count}, each with a revocation list that counts"));
    }
    Err(format!(
        "launchers let in no agent of {}, whose revocation list is missing or outdated: use --revocations",
        without.join(" and ")
    ))
}

fn check_key_ring(path: Option<&Path>) -> Result<String, String> {
    let Some(path) = path else {
        return Ok("none: a restart voids waiting codes and relay tickets".into());
    };
    if path.exists() {
        return KeyRing::read(path).map(|_| "good".into()).map_err(sentence);
    }
    let folder = path.parent().filter(|folder| folder.is_dir());
    match folder {
        Some(_) => Ok(format!("{} will be made", path.display())),
        None => Err(format!("there is no folder for {}", path.display())),
    }
}

fn check_open_files(config: &Config, open_files: Option<u64>) -> Result<String, String> {
    let configured = config.limits.connections;
    let Some(limit) = open_files else {
        return Ok("without a limit".into());
    };
    match connections_for(limit) {
        carried if carried >= configured => {
            Ok(format!("{limit}, which carries {configured} connections"))
        }
        carried => {
            let text = format!(
                "{limit}, which carries {carried} connections where {configured} are allowed: raise it (LimitNOFILE= of systemd)"
            );
            match carried >= MIN_CONNECTIONS {
                true => Ok(text),
                false => Err(text),
            }
        }
    }
}
