//! Remoteus etätuki (2008): drives the installed tool of the plain RFB generation.
//!
//! The tool serves on the launcher's socket itself, as its stdin and stdout: no port, and no copy in between.

use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

use etatuki_backend_api::{
    Backend, Capabilities, CodeForm, Descriptor, Failure, Host, Probe, Unusable,
};
use etatuki_legacy_tool::{Driver, Profile};

struct Remoteus2008 {
    host: Host,
    driver: Mutex<Option<Arc<Driver>>>,
}

impl Backend for Remoteus2008 {
    const DESCRIPTOR: Descriptor = Descriptor {
        id: "remoteus-2008",
        name: "Remoteus etätuki (2008)",
        vendor: "Etätuki",
        version: env!("CARGO_PKG_VERSION"),
        code_form: CodeForm::Remoteus,
        capabilities: Capabilities::INPUT,
    };

    fn new(host: Host) -> Self {
        Self {
            host,
            driver: Mutex::new(None),
        }
    }

    fn probe(&self) -> Result<Probe, Unusable> {
        etatuki_legacy_tool::probe(Profile::x11vnc(), &self.host)
    }

    fn open(&self, code: &str) -> Result<(), Failure> {
        let driver = Driver::new(Profile::x11vnc(), &self.host)
            .map_err(|why| Failure::tool(why.name, why.text))?;
        driver.note_if_running(&self.host);
        *self.driver.lock().expect("no holder panics") = Some(Arc::new(driver));
        self.host.waiting(code);
        Ok(())
    }

    fn close(&self) {
        self.driver.lock().expect("no holder panics").take();
    }

    fn attach(&self, stream: UnixStream) -> Result<(), Failure> {
        let driver = self.driver.lock().expect("no holder panics").clone();
        let driver = driver.ok_or_else(|| Failure::caller("not-open", "attach before open"))?;
        let socket = stream
            .try_clone()
            .map_err(|error| Failure::ours("plugin-failed", error.to_string()))?;
        driver.serve(&self.host, socket.into(), &stream, "")
    }

    fn permissions(&self, _view: bool, _control: bool) {
        // The gate is the lock: what was not allowed never reaches this process. The tool's own -viewonly can't be
        // lifted while it serves on its stdio.
    }
}

etatuki_backend_api::export_backend!(Remoteus2008);
