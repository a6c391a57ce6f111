//! The service in the lab, and the CA of its certificate.

use std::path::{Path, PathBuf};

use etatuki_service::{Config, ServiceHandle, TlsFiles, start};
use etatuki_testkit::lab::{Access, Host, Lab, Protocols};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::end::{End, vendor};

/// A lab with a CA of its own, and a folder for files.
pub(crate) struct World {
    // The service ends before the lab.
    pub(crate) service: Option<RunningService>,
    pub(crate) lab: Lab,
    pub(crate) folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

pub(crate) struct RunningService {
    runtime: Option<Runtime>,
    _handle: ServiceHandle,
}

impl Drop for RunningService {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl World {
    /// Starts a lab without a service. `None` without root.
    pub(crate) fn without_service(
        protocols: Protocols,
        customer: Access,
        agent: Access,
    ) -> Option<Self> {
        let lab = Lab::start_with(protocols, customer, agent)?;
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let folder = TempDir::new().unwrap();
        let root = params.self_signed(&key).unwrap();
        std::fs::write(folder.path().join("ca.pem"), root.pem()).unwrap();
        Some(Self {
            service: None,
            lab,
            folder,
            issuer: Issuer::new(params, key),
        })
    }

    /// Starts a lab with the service.
    pub(crate) fn start(protocols: Protocols, customer: Access, agent: Access) -> Option<Self> {
        let mut world = Self::without_service(protocols, customer, agent)?;
        let params = CertificateParams::new(vec![Lab::SERVICE.into()]).unwrap();
        world.start_service(params);
        Some(world)
    }

    /// Starts the service with such a certificate.
    pub(crate) fn start_service(&mut self, certificate: CertificateParams) {
        let tls = self.certificate(certificate);
        let config = Config {
            public_url: Some(format!("https://{}", Lab::SERVICE)),
            tls: Some(tls),
            ..Config::new("[::]:443".parse().unwrap(), vec![vendor().public()])
        };
        self.service = Some(self.lab.inside(Host::Service, || {
            let _ = rustls::crypto::ring::default_provider().install_default();
            // The runtime's threads stay in the namespace of this one.
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap();
            let handle = runtime.block_on(start(config)).unwrap();
            RunningService {
                runtime: Some(runtime),
                _handle: handle,
            }
        }));
    }

    /// Issues a certificate.
    pub(crate) fn certificate(&self, params: CertificateParams) -> TlsFiles {
        let key = KeyPair::generate().unwrap();
        let issued = params.signed_by(&key, &self.issuer).unwrap();
        let files = TlsFiles {
            certificate: self.path("cert.pem"),
            key: self.path("key.pem"),
        };
        std::fs::write(&files.certificate, issued.pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The variable that makes the private CA a part of the system's store.
    pub(crate) fn trusted(&self) -> (&'static str, String) {
        ("SSL_CERT_FILE", self.path("ca.pem").display().to_string())
    }

    /// Writes a file that a machine then has in another's place.
    pub(crate) fn replace(&self, host: Host, file: &Path, content: &str) {
        let name = file.file_name().unwrap().to_str().unwrap();
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        let script = format!("mount --bind {} {}", path.display(), file.display());
        self.lab.shell(host, &script);
    }

    /// Starts a customer's end whose system trusts the private CA.
    pub(crate) fn customer(&self, environment: &[(&str, &str)]) -> End {
        let (name, ca) = self.trusted();
        let mut all = vec![(name, ca.as_str())];
        all.extend_from_slice(environment);
        End::customer(&self.lab, &all)
    }

    /// Starts an agent's end whose system trusts the private CA.
    pub(crate) fn agent(&self, nameplate: &str, environment: &[(&str, &str)]) -> End {
        let (name, ca) = self.trusted();
        let mut all = vec![(name, ca.as_str())];
        all.extend_from_slice(environment);
        End::agent(&self.lab, nameplate, &all)
    }

    /// Runs a session with such environments; returns what the agent's end says of it.
    #[track_caller]
    pub(crate) fn session(&self, customer: &[(&str, &str)], agent: &[(&str, &str)]) -> String {
        let customer = self.customer(customer);
        let nameplate = customer.nameplate();
        let agent = self.agent(&nameplate, agent);
        let said = agent.said();
        if said.starts_with("linked") {
            assert_eq!(customer.said(), "linked");
        }
        said
    }
}
