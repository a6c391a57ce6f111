//! Remoteus etätuki (2010): drives the installed tool of the generation that speaks TLS.
//!
//! Tool and plugin sit on one machine, on the two ends of one socket pair: this TLS adds no security, and none is
//! claimed. It is what such tools speak. It ends here, and the launcher gets plain RFB as from any other plugin.

mod bridge;
mod identity;

use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use etatuki_backend_api::{
    Backend, Capabilities, CodeForm, Descriptor, Failure, Host, Probe, Unusable,
};
use etatuki_legacy_tool::{Driver, Profile};

use crate::bridge::EndedBy;
use crate::identity::Identity;

struct Remoteus2010 {
    host: Host,
    session: Mutex<Option<Session>>,
}

struct Session {
    driver: Arc<Driver>,
    /// The key takes some hundred milliseconds to make, and is needed only when somebody is allowed to look.
    identity: Making,
}

enum Making {
    Begun(JoinHandle<Result<Identity, Failure>>),
    Done(Arc<Identity>),
    Failed,
}

impl Backend for Remoteus2010 {
    const DESCRIPTOR: Descriptor = Descriptor {
        id: "remoteus-2010",
        name: "Remoteus etätuki (2010)",
        vendor: "Etätuki",
        version: env!("CARGO_PKG_VERSION"),
        code_form: CodeForm::Remoteus,
        // The tool's two halves talk to each other over loopback.
        capabilities: Capabilities::INPUT.with(Capabilities::NETWORK),
    };

    fn new(host: Host) -> Self {
        Self {
            host,
            session: Mutex::new(None),
        }
    }

    fn probe(&self) -> Result<Probe, Unusable> {
        etatuki_legacy_tool::probe(Profile::x11vnc_tls(), &self.host)
    }

    fn open(&self, code: &str) -> Result<(), Failure> {
        let driver = Driver::new(Profile::x11vnc_tls(), &self.host)
            .map_err(|why| Failure::tool(why.name, why.text))?;
        driver.note_if_running(&self.host);
        let identity = Making::Begun(std::thread::spawn(Identity::make));
        *self.session.lock().expect("no holder panics") = Some(Session {
            driver: Arc::new(driver),
            identity,
        });
        self.host.waiting(code);
        Ok(())
    }

    fn close(&self) {
        let session = self.session.lock().expect("no holder panics").take();
        if let Some(Session {
            identity: Making::Begun(making),
            ..
        }) = session
        {
            let _ = making.join();
        }
    }

    fn attach(&self, stream: UnixStream) -> Result<(), Failure> {
        let (driver, identity) = self.ready()?;
        let (ours, theirs) = UnixStream::pair().map_err(broken)?;
        let pem = identity.pem_file().map_err(broken)?;
        let config = identity.client_config()?;
        let bridge = std::thread::spawn(move || bridge::run(stream, ours, config));
        let path = format!("/proc/self/fd/{}", pem.as_raw_fd());
        let served = theirs
            .try_clone()
            .map_err(broken)
            .and_then(|socket| driver.serve(&self.host, socket.into(), &theirs, &path));
        // The bridge sees its end when the last handle of the tool's side is gone.
        drop(theirs);
        match bridge.join() {
            Ok(Ok(EndedBy::Launcher)) => served,
            // The tool left a launcher that still looks; why is known when it was the tool's end.
            Ok(Ok(EndedBy::Tool)) => served.and(Err(Failure::tool(
                "tool-died",
                "the tool ended its connection",
            ))),
            Ok(Err(error)) => served.and(Err(Failure::tool(
                "tool-died",
                format!("TLS to the tool: {error}"),
            ))),
            Err(_) => Err(Failure::ours("plugin-failed", "the bridge panicked")),
        }
    }

    fn permissions(&self, _view: bool, _control: bool) {
        // As in the 2008 generation: the gate is the lock.
    }
}

impl Remoteus2010 {
    /// The driver and the finished identity of the open session.
    fn ready(&self) -> Result<(Arc<Driver>, Arc<Identity>), Failure> {
        let mut session = self.session.lock().expect("no holder panics");
        let session = session
            .as_mut()
            .ok_or_else(|| Failure::caller("not-open", "attach before open"))?;
        let identity = match std::mem::replace(&mut session.identity, Making::Failed) {
            Making::Begun(making) => making
                .join()
                .map_err(|_| Failure::ours("plugin-failed", "making the key panicked"))?
                .map(Arc::new)?,
            Making::Done(identity) => identity,
            Making::Failed => {
                return Err(Failure::ours("plugin-failed", "no key for this session"));
            }
        };
        session.identity = Making::Done(identity.clone());
        Ok((session.driver.clone(), identity))
    }
}

fn broken(error: std::io::Error) -> Failure {
    Failure::ours("plugin-failed", error.to_string())
}

etatuki_backend_api::export_backend!(Remoteus2010);
