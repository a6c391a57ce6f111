//! Any tool that brings its own transport, by its profile in the registry: another tool needs no
//! code. The plugin starts it, shows its session code and stops it. Consent, access and encryption
//! are the tool's own, and the launcher's windows say so.

use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

use etatuki_backend_api::{
    Backend, Capabilities, CodeForm, Descriptor, Failure, Host, Permissions, Probe, Unusable,
};
use etatuki_legacy_tool::{Driver, ExternalSession, Profile};

struct OwnTool {
    host: Host,
    session: Mutex<Option<ExternalSession>>,
}

impl Backend for OwnTool {
    const DESCRIPTOR: Descriptor = Descriptor {
        id: "own-tool",
        name: "A tool with its own transport, by profile",
        vendor: "Etätuki",
        version: env!("CARGO_PKG_VERSION"),
        code_form: CodeForm::External,
        capabilities: Capabilities::OWN_CODE
            .with(Capabilities::OWN_TRANSPORT)
            .with(Capabilities::NETWORK),
    };

    fn new(host: Host) -> Self {
        Self {
            host,
            session: Mutex::new(None),
        }
    }

    fn probe(&self) -> Result<Probe, Unusable> {
        Driver::new(Profile::external, &self.host).map(|driver| driver.probe())
    }

    fn open(&self, code: &str) -> Result<(), Failure> {
        let driver = Driver::new(Profile::external, &self.host)
            .map_err(|unusable| Failure::tool(unusable.name, unusable.text))?;
        driver.warn_if_running(&self.host);
        let session = ExternalSession::open(Arc::new(driver), &self.host, code)?;
        *self.session.lock().expect("no holder panics") = Some(session);
        Ok(())
    }

    fn close(&self) {
        let session = self.session.lock().expect("no holder panics").take();
        if let Some(session) = session {
            session.close();
        }
    }

    fn attach(&self, stream: UnixStream) -> Result<(), Failure> {
        drop(stream);
        Err(Failure::caller(
            "own-transport",
            "this tool has its own transport",
        ))
    }

    fn permissions(&self, _permissions: Permissions) {
        // Consent is the tool's own.
    }
}

etatuki_backend_api::export_backend!(OwnTool);
