//! Any installed tool that serves RFB, by its profile in the registry: another tool needs no code.
//! Both Remoteus entries are profiles of this plugin.
//!
//! A tool of the plain generation serves on a socket, as its stdin and stdout: no port. For a tool
//! of the TLS generation the plugin ends the TLS; a tool with a reverse connection connects to the
//! plugin. Tool and plugin are on one machine, so that TLS adds no security and claims none: such
//! tools speak nothing else. Where the profile says so, the plugin gives the agent's keys and
//! pointer to the display itself.

mod client_stream;
mod control;
mod input_bridge;
mod pending_identity;
mod reverse_connection;
mod tls_bridge;
mod tls_identity;
mod tls_tool;

use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

use etatuki_backend_api::{
    Backend, Capabilities, CodeForm, Descriptor, Failure, Host, Permissions, Probe, Unusable,
};
use etatuki_legacy_tool::{Driver, Profile, RfbTransport};

use crate::control::Control;
use crate::input_bridge::BridgeError;
use crate::pending_identity::PendingIdentity;
use crate::tls_identity::TlsIdentity;

struct Tool {
    host: Host,
    session: Mutex<Option<ToolSession>>,
}

/// A session whose tool is running.
struct ToolSession {
    driver: Arc<Driver>,
    /// The key of a tool of the TLS generation.
    identity: Option<PendingIdentity>,
    control: Arc<Control>,
}

impl Backend for Tool {
    const DESCRIPTOR: Descriptor = Descriptor {
        id: "tool",
        name: "A tool that serves RFB, by profile",
        vendor: "Etätuki",
        version: env!("CARGO_PKG_VERSION"),
        code_form: CodeForm::SingleCode,
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
            .map_err(|unusable| Failure::tool(unusable.name, unusable.text))?;
        driver.warn_if_running(&self.host);
        let identity =
            (driver.rfb_transport() == Some(RfbTransport::StdioTls)).then(PendingIdentity::start);
        let control = Control::new().map_err(internal_failure)?;
        *self.session.lock().expect("no holder panics") = Some(ToolSession {
            driver: Arc::new(driver),
            identity,
            control: Arc::new(control),
        });
        self.host.waiting(code);
        Ok(())
    }

    fn close(&self) {
        let session = self.session.lock().expect("no holder panics").take();
        let Some(session) = session else { return };
        session.control.end();
        if let Some(identity) = session.identity {
            identity.discard();
        }
    }

    fn attach(&self, stream: UnixStream) -> Result<(), Failure> {
        let (driver, identity, control) = self.session_parts()?;
        let serve = |stream| self.serve_tool(&driver, stream, identity.as_deref());
        match driver.input_display() {
            Some(display) => serve_with_own_input(stream, display, control, serve),
            None => serve(stream),
        }
    }

    fn permissions(&self, permissions: Permissions) {
        // Old tools can't be changed while they run: x11vnc on its stdio keeps the options that it
        // was started with (`-viewonly`). The launcher's gate is the lock; the plugin's own input
        // has a second one.
        let session = self.session.lock().expect("no holder panics");
        if let Some(session) = session.as_ref() {
            session.control.set(permissions.control);
        }
    }
}

/// A session's driver, its identity where it has one, and its control.
type SessionParts = (Arc<Driver>, Option<Arc<TlsIdentity>>, Arc<Control>);

impl Tool {
    /// Returns the parts of the open session.
    fn session_parts(&self) -> Result<SessionParts, Failure> {
        let mut session = self.session.lock().expect("no holder panics");
        let session = session
            .as_mut()
            .ok_or_else(|| Failure::caller("not-open", "attach before open"))?;
        let identity = session
            .identity
            .as_mut()
            .map(PendingIdentity::wait)
            .transpose()?;
        Ok((session.driver.clone(), identity, session.control.clone()))
    }

    /// Runs the tool on `stream` until either ends.
    fn serve_tool(
        &self,
        driver: &Driver,
        stream: UnixStream,
        identity: Option<&TlsIdentity>,
    ) -> Result<(), Failure> {
        match (driver.rfb_transport(), identity) {
            (Some(RfbTransport::StdioTls), Some(identity)) => {
                tls_tool::serve(driver, &self.host, stream, identity)
            }
            (Some(RfbTransport::ReverseConnection), _) => {
                reverse_connection::serve(driver, &self.host, stream)
            }
            _ => {
                let socket = stream.try_clone().map_err(internal_failure)?;
                driver.serve(&self.host, Some(socket.into()), &stream, &[])
            }
        }
    }
}

/// Runs a tool by `serve`, with keys and pointer taken out of its stream.
fn serve_with_own_input(
    stream: UnixStream,
    display: String,
    control: Arc<Control>,
    serve: impl FnOnce(UnixStream) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (ours, theirs) = UnixStream::pair().map_err(internal_failure)?;
    let bridge = std::thread::spawn(move || input_bridge::run(stream, ours, &display, control));
    // The bridge sees the tool's end when the last handle of that side is closed.
    let served = serve(theirs);
    match bridge.join() {
        Ok(Ok(())) => served,
        Ok(Err(BridgeError::Screen(error))) => {
            served.and(Err(Failure::tool(error.name(), error.to_string())))
        }
        Ok(Err(error)) => served.and(Err(Failure::tool("tool-died", error.to_string()))),
        Err(_) => Err(Failure::ours("plugin-failed", "the bridge panicked")),
    }
}

fn internal_failure(error: std::io::Error) -> Failure {
    Failure::ours("plugin-failed", error.to_string())
}

etatuki_backend_api::export_backend!(Tool);
