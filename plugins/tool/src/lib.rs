//! Any installed tool that serves RFB, by its profile in the registry: no code. Both Remoteus entries are profiles of
//! this plugin.
//!
//! A tool of the plain generation serves on the launcher's socket itself, as its stdin and stdout: no port, and no copy
//! in between. One of the TLS generation gets its TLS ended here, and one that dials in is answered here. Tool and
//! plugin sit on one machine: that TLS adds no security, and none is claimed; it is what such tools speak.

mod bridge;
mod dialled;
mod identity;
mod tls;

use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

use etatuki_backend_api::{
    Backend, Capabilities, CodeForm, Descriptor, Failure, Host, Probe, Unusable,
};
use etatuki_legacy_tool::{Carrier, Driver, Profile};

use crate::tls::Making;

struct Tool {
    host: Host,
    session: Mutex<Option<Session>>,
}

struct Session {
    driver: Arc<Driver>,
    /// For the TLS generation.
    identity: Option<Making>,
}

impl Backend for Tool {
    const DESCRIPTOR: Descriptor = Descriptor {
        id: "tool",
        name: "A tool that serves RFB, by profile",
        vendor: "Etätuki",
        version: env!("CARGO_PKG_VERSION"),
        code_form: CodeForm::Remoteus,
        capabilities: Capabilities::INPUT,
    };

    fn new(host: Host) -> Self {
        Self {
            host,
            session: Mutex::new(None),
        }
    }

    fn probe(&self) -> Result<Probe, Unusable> {
        Driver::new(Profile::rfb, &self.host).map(|driver| driver.probe())
    }

    fn open(&self, code: &str) -> Result<(), Failure> {
        let driver = Driver::new(Profile::rfb, &self.host)
            .map_err(|why| Failure::tool(why.name, why.text))?;
        driver.note_if_running(&self.host);
        let identity = (driver.carrier() == Some(Carrier::StdioTls)).then(Making::begin);
        *self.session.lock().expect("no holder panics") = Some(Session {
            driver: Arc::new(driver),
            identity,
        });
        self.host.waiting(code);
        Ok(())
    }

    fn close(&self) {
        let session = self.session.lock().expect("no holder panics").take();
        if let Some(identity) = session.and_then(|session| session.identity) {
            identity.abandon();
        }
    }

    fn attach(&self, stream: UnixStream) -> Result<(), Failure> {
        let (driver, identity) = self.ready()?;
        match (driver.carrier(), identity) {
            (Some(Carrier::StdioTls), Some(identity)) => {
                tls::serve(&driver, &self.host, stream, &identity)
            }
            (Some(Carrier::DialsIn), _) => dialled::serve(&driver, &self.host, stream),
            _ => {
                let socket = stream.try_clone().map_err(broken)?;
                driver.serve(&self.host, Some(socket.into()), &stream, &[])
            }
        }
    }

    fn permissions(&self, _view: bool, _control: bool) {
        // Old tools can't be told while they run: what x11vnc is started with (`-viewonly`) it keeps when it serves
        // on its stdio. The gate in the launcher is the lock.
    }
}

impl Tool {
    /// The driver of the open session, and its finished identity where it has one.
    fn ready(&self) -> Result<(Arc<Driver>, Option<Arc<identity::Identity>>), Failure> {
        let mut session = self.session.lock().expect("no holder panics");
        let session = session
            .as_mut()
            .ok_or_else(|| Failure::caller("not-open", "attach before open"))?;
        let identity = session.identity.as_mut().map(Making::done).transpose()?;
        Ok((session.driver.clone(), identity))
    }
}

fn broken(error: std::io::Error) -> Failure {
    Failure::ours("plugin-failed", error.to_string())
}

etatuki_backend_api::export_backend!(Tool);
