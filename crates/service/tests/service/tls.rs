//! Requests over TLS, which the service ends itself.

use std::{fs, net::SocketAddr, path::PathBuf};

use etatuki_service::{Config, StartError, TlsFiles, start};
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::harness::{client, loopback, vendor};

/// A certificate for `localhost`, signed by itself.
pub(crate) struct Certificate {
    folder: TempDir,
    pub(crate) pem: String,
}

impl Certificate {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let pem = made.cert.pem();
        fs::write(folder.path().join("cert.pem"), &pem).unwrap();
        fs::write(
            folder.path().join("key.pem"),
            made.signing_key.serialize_pem(),
        )
        .unwrap();
        Self { folder, pem }
    }

    /// Returns a client that trusts this certificate alone.
    pub(crate) fn client(&self) -> reqwest::Client {
        drop(client()); // which installs the crypto provider
        reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(self.pem.as_bytes()).unwrap()])
            .no_proxy()
            .build()
            .unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn files(&self) -> TlsFiles {
        TlsFiles {
            certificate: self.path("cert.pem"),
            key: self.path("key.pem"),
        }
    }
}

fn config(tls: TlsFiles) -> Config {
    Config {
        tls: Some(tls),
        ..Config::new(loopback(), vec![vendor().public()])
    }
}

#[tokio::test]
async fn requests_come_through_tls() {
    let certificate = Certificate::new();
    let running = start(config(certificate.files())).await.unwrap();
    assert!(running.listening.starts_with("https://127.0.0.1:"));
    let trusting = certificate.client();
    let url = format!("https://localhost:{}/health", running.addr.port());
    assert_eq!(trusting.get(&url).send().await.unwrap().status(), 200);
    assert!(
        client().get(&url).send().await.is_err(),
        "nobody trusts that certificate unasked"
    );

    // Plain HTTP gets no response, and does no harm.
    let mut plain = TcpStream::connect(running.addr).await.unwrap();
    plain
        .write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(trusting.get(&url).send().await.unwrap().status(), 200);
    running.shutdown().await;
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_stops_the_start() {
    let (certificate, other) = (Certificate::new(), Certificate::new());
    let missing = TlsFiles {
        certificate: certificate.path("none.pem"),
        ..certificate.files()
    };
    let swapped = TlsFiles {
        certificate: certificate.path("key.pem"),
        key: certificate.path("cert.pem"),
    };
    let mixed = TlsFiles {
        key: other.path("key.pem"),
        ..certificate.files()
    };
    for files in [missing, swapped, mixed] {
        let refused = start(config(files)).await;
        assert!(
            matches!(refused, Err(StartError::Certificate { .. })),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn the_public_url_is_what_clients_are_given() {
    let start_at = async |listen: &str, public: Option<&str>| {
        let listen: SocketAddr = listen.parse().unwrap();
        let public_url = public.map(str::to_owned);
        start(Config {
            public_url,
            ..Config::new(listen, vec![vendor().public()])
        })
        .await
    };
    let running = start_at("127.0.0.1:0", Some("https://Tuki.example/"))
        .await
        .unwrap();
    assert_eq!(running.url, "https://tuki.example:443");
    assert!(running.listening.starts_with("http://127.0.0.1:"));
    let bad = start_at("127.0.0.1:0", Some("https://tuki.example/path")).await;
    assert!(matches!(bad, Err(StartError::PublicUrl { .. })));
    let nowhere = start_at("0.0.0.0:0", None).await;
    assert!(matches!(nowhere, Err(StartError::NoPublicUrl(_))));
    let taken = start_at(&running.addr.to_string(), None).await;
    assert!(matches!(taken, Err(StartError::Listen { .. })));
    let nobody = start(Config::new(loopback(), Vec::new())).await;
    assert!(matches!(nobody, Err(StartError::NoVendor)));
}

/// Within this time a certificate that has changed is used: the files are looked at every five seconds.
const RENEWAL_TIME: std::time::Duration = std::time::Duration::from_secs(60);

#[tokio::test]
async fn a_certificate_is_taken_anew_when_its_files_change() {
    let (certificate, renewed) = (Certificate::new(), Certificate::new());
    let running = start(config(certificate.files())).await.unwrap();
    let url = format!("https://localhost:{}/health", running.addr.port());
    let (before, after) = (certificate.client(), renewed.client());
    assert_eq!(before.get(&url).send().await.unwrap().status(), 200);

    // A new chain without its key is no certificate: the one before stays.
    let copy = |name: &str| fs::copy(renewed.path(name), certificate.path(name)).unwrap();
    copy("cert.pem");
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    let fresh = certificate.client();
    assert_eq!(fresh.get(&url).send().await.unwrap().status(), 200);

    copy("key.pem");
    let taken = async {
        while after.get(&url).send().await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    };
    let taken = tokio::time::timeout(RENEWAL_TIME, taken).await;
    taken.expect("the new certificate is used");
    // The connection that was up goes on.
    assert_eq!(before.get(&url).send().await.unwrap().status(), 200);
    running.shutdown().await;
}
