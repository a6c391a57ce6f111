//! The command line. The comments on its fields are the text of `etatuki-service --help`.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};
use etatuki_trust::{KeyError, VendorKey, VendorPublicKey};

use crate::config::{Config, TlsFiles};

/// Rendezvous and relay for Etätuki: gives out nameplates, leads agents to customers, relays what
/// is encrypted from end to end.
#[derive(Debug, Parser)]
#[command(name = "etatuki-service", version)]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
    /// Log more, to stderr
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

/// The program's commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the service until Ctrl-C or SIGTERM; SIGHUP reloads keys, lists and certificate
    Serve(ServeArgs),
    /// Say what `serve` would meet with these arguments, without starting; exit code 1 if anything
    /// is at fault
    Check(ServeArgs),
    /// Add a key to the key ring, which signs from the next SIGHUP on; the one before stays valid
    NewKey(NewKeyArgs),
}

/// The arguments of `new-key`.
#[derive(Clone, Debug, Args)]
pub struct NewKeyArgs {
    /// The key ring's file
    #[arg(long, value_name = "FILE")]
    pub key_ring: PathBuf,
}

/// The arguments of `serve` and of `check`.
#[derive(Clone, Debug, Args)]
pub struct ServeArgs {
    /// Where to listen; port 0 picks a free one, which is printed
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8477")]
    listen: SocketAddr,
    /// The vendor's public key, or a file that holds it; may be given more than once
    #[arg(long = "vendor-key", required = true, num_args = 1.., value_name = "KEY|FILE")]
    vendor_keys: Vec<String>,
    /// The vendor's signed revocation list, one for each key; read again whenever it changes. May be
    /// given more than once. Without a list that counts, launchers refuse the key's agents
    #[arg(long, num_args = 1.., value_name = "FILE")]
    revocations: Vec<PathBuf>,
    /// The URL by which launchers and consoles reach the service [default: what it listens on]
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// The URL of a relay that sessions name; may be given more than once: the later ones stand in for
    /// the first. Each is a service with the same key ring and the same choice of UDP ports, at the
    /// public URL's name or one below it [default: this service, at the public URL]
    #[arg(long = "relay", num_args = 1.., value_name = "URL")]
    relays: Vec<String>,
    /// Where to tell Prometheus's metrics, in plain HTTP at /metrics: an address that operators alone
    /// reach [default: nowhere]
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
    /// The certificate's chain, PEM; without it, plain HTTP
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The file of the keys that sign codes and relay tickets; made at the first start. Without it,
    /// a restart voids them
    #[arg(long, value_name = "FILE")]
    key_ring: Option<PathBuf>,
    /// The certificate's private key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// The UDP port on which the service tells clients their public address, so that two ends behind
    /// NAT find a direct path; has to be open from outside, as the TCP port [default: the TCP port]
    #[arg(
        long,
        value_name = "PORT",
        conflicts_with = "no_quic",
        requires = "tls_cert"
    )]
    quic_port: Option<u16>,
    /// Listen on no UDP port
    #[arg(long)]
    no_quic: bool,
}

impl ServeArgs {
    /// Returns the configuration that these arguments ask for.
    ///
    /// # Errors
    /// A `--vendor-key` isn't a vendor's public key. Not left to clap, which would print the
    /// argument.
    pub fn into_config(self) -> Result<Config, KeyArgError> {
        let vendors = self
            .vendor_keys
            .iter()
            .map(|text| parse_vendor_key(text))
            .collect::<Result<_, _>>()?;
        let tls = self.tls_cert.zip(self.tls_key);
        Ok(Config {
            revocations: self.revocations,
            public_url: self.public_url,
            relays: self.relays,
            metrics: self.metrics,
            key_ring: self.key_ring,
            tls: tls.map(|(certificate, key)| TlsFiles { certificate, key }),
            quic_port: (!self.no_quic).then(|| self.quic_port.unwrap_or(self.listen.port())),
            ..Config::new(self.listen, vendors)
        })
    }
}

/// The reason why `--vendor-key` was refused. Never carries the argument, which may be a secret.
#[derive(Debug, thiserror::Error)]
pub enum KeyArgError {
    /// The argument is neither a public key nor a readable file.
    #[error(
        "--vendor-key takes a public key (etv1-…) or a file that holds one, which can't be read: {0}"
    )]
    Unreadable(std::io::Error),
    /// The file holds no public key.
    #[error("the file given as --vendor-key holds no vendor's public key: {0}")]
    Content(KeyError),
    /// The argument is, or the file holds, the private key, which a service must not have.
    #[error(
        "that is the vendor's private key, which must not be on this machine: `etatuki-vendor key show` prints the public one"
    )]
    Private,
}

/// Parses a public key, or the one in a file whose other lines are comments.
fn parse_vendor_key(text: &str) -> Result<VendorPublicKey, KeyArgError> {
    if VendorKey::from_text(text).is_ok() {
        return Err(KeyArgError::Private);
    }
    if let Ok(key) = text.parse() {
        return Ok(key);
    }
    let content = read_bounded(text).map_err(KeyArgError::Unreadable)?;
    let line = content
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with('#'));
    let line = line.unwrap_or_default();
    if VendorKey::from_text(line).is_ok() {
        return Err(KeyArgError::Private);
    }
    line.parse().map_err(KeyArgError::Content)
}

fn read_bounded(path: &str) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)?
        .take(16 * 1024)
        .read_to_string(&mut text)?;
    Ok(text)
}
