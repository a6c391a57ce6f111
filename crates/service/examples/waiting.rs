//! Measures the memory that a waiting session costs the service:
//! `cargo run --example waiting -- 10000`, or with `tls` after it over TLS.
//!
//! This process is the service. A child opens the sessions, each with an address and a connection
//! to the relay, as launchers do. The service then prints the growth of its memory per session.
#![allow(clippy::print_stdout)]

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};
use etatuki_service::{Config, Limits, TlsFiles, start};
use etatuki_trust::VendorKey;
use iroh_base::{RelayUrl, SecretKey};
use iroh_dns::dns::DnsResolver;
use iroh_relay::client::ClientBuilder;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<()> {
    raise_descriptor_limit()?;
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["wait", url, count, certificate] => open_sessions(url, count.parse()?, certificate).await,
        [count] => serve(count, false).await,
        [count, "tls"] => serve(count, true).await,
        _ => anyhow::bail!("how many sessions?"),
    }
}

async fn serve(count: &str, tls: bool) -> Result<()> {
    let folder = tempfile::TempDir::new()?;
    let files = certificate(folder.path())?;
    let trusted = files.certificate.display().to_string();
    let sessions: usize = count.parse()?;
    let vendor = VendorKey::from_seed([1; 32]).public();
    let mut config = Config::new(SocketAddr::from(([127, 0, 0, 1], 0)), vec![vendor]);
    config.limits = Limits::without_rate_limits();
    config.tls = tls.then_some(files);
    let running = start(config).await?;
    let url = running.url.replace("127.0.0.1", "localhost");
    let before = resident_kib()?;
    let mut child = Command::new(std::env::current_exe()?)
        .args(["wait", &url, count, &trusted])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let stdout = child.stdout.take().context("the child's stdout")?;
    tokio::task::spawn_blocking(move || BufReader::new(stdout).read_line(&mut String::new()))
        .await??;
    let after = resident_kib()?;
    println!("{sessions} waiting sessions: {before} KiB before, {after} KiB with them");
    println!(
        "{:.1} KiB a session",
        (after - before) as f64 / sessions as f64
    );
    drop(child.stdin.take());
    child.wait()?;
    running.shutdown().await;
    Ok(())
}

/// Writes a certificate for this run into `folder`.
fn certificate(folder: &Path) -> Result<TlsFiles> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()])?;
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&certificate, made.cert.pem())?;
    std::fs::write(&key, made.signing_key.serialize_pem())?;
    Ok(TlsFiles { certificate, key })
}

/// Opens `count` sessions and keeps them until stdin ends.
async fn open_sessions(url: &str, count: usize, certificate: &str) -> Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let pem = std::fs::read(certificate)?;
    let http = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(&pem)?])
        .no_proxy()
        .build()?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&pem)?)?;
    let tls = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let relay: RelayUrl = url.parse()?;
    let mut clients = Vec::new();
    for number in 0..count {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&number.to_le_bytes());
        let key = SecretKey::from_bytes(&seed);
        let opened = http
            .post(format!("{url}/v1/sessions"))
            .json(&json!({ "form": "ecom", "endpoint": key.public() }));
        let session: Value = opened.send().await?.error_for_status()?.json().await?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let addrs: Vec<Value> = (0..6)
            .map(|host| json!({ "Ip": format!("192.0.2.{host}:40000") }))
            .collect();
        let address = json!({ "address": { "id": key.public(), "addrs": addrs } });
        let path = format!("{url}/v1/sessions/{}/address", text(&session["nameplate"]));
        let put = http
            .put(path)
            .bearer_auth(text(&session["owner"]))
            .json(&address);
        put.send().await?.error_for_status()?;
        let client = ClientBuilder::new(relay.clone(), key, DnsResolver::builder().build())
            .tls_client_config(tls.clone())
            .auth_token(text(&session["relay"]["token"]))
            .key_cache_capacity(0)
            .connect()
            .await;
        clients.push(client.map_err(|error| anyhow::anyhow!("{error:#}"))?);
    }
    println!("ready");
    // Stdin ends when the parent closes it.
    tokio::task::spawn_blocking(|| std::io::stdin().lines().for_each(drop)).await?;
    Ok(())
}

/// Returns this process's resident memory in KiB.
fn resident_kib() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .context("no VmRSS")?;
    Ok(line
        .split_whitespace()
        .nth(1)
        .context("no figure")?
        .parse()?)
}

fn raise_descriptor_limit() -> Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    )?;
    Ok(())
}
