//! A tool of the TLS generation: its session's key and certificate, and the bridge on which its TLS ends.

use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::JoinHandle;

use etatuki_backend_api::{Failure, Host};
use etatuki_legacy_tool::Driver;

use crate::bridge::{self, EndedBy};
use crate::broken;
use crate::identity::Identity;

/// A key takes some hundred milliseconds to make, and is needed only when somebody is allowed to look.
pub(crate) enum Making {
    Begun(JoinHandle<Result<Identity, Failure>>),
    Done(Arc<Identity>),
    Failed,
}

impl Making {
    pub(crate) fn begin() -> Self {
        Self::Begun(std::thread::spawn(Identity::make))
    }

    /// Waits for it, if it isn't done yet.
    pub(crate) fn done(&mut self) -> Result<Arc<Identity>, Failure> {
        let identity = match std::mem::replace(self, Making::Failed) {
            Making::Begun(making) => making
                .join()
                .map_err(|_| Failure::ours("plugin-failed", "making the key panicked"))?
                .map(Arc::new)?,
            Making::Done(identity) => identity,
            Making::Failed => {
                return Err(Failure::ours("plugin-failed", "no key for this session"));
            }
        };
        *self = Making::Done(identity.clone());
        Ok(identity)
    }

    /// Nobody needs it any more; its thread is waited for.
    pub(crate) fn abandon(self) {
        if let Making::Begun(making) = self {
            let _ = making.join();
        }
    }
}

/// Runs the tool behind the bridge until either side is done.
pub(crate) fn serve(
    driver: &Driver,
    host: &Host,
    stream: UnixStream,
    identity: &Identity,
) -> Result<(), Failure> {
    let (ours, theirs) = UnixStream::pair().map_err(broken)?;
    let pem = identity.pem_file().map_err(broken)?;
    let config = identity.client_config()?;
    let bridge = std::thread::spawn(move || bridge::run(stream, ours, config));
    let path = format!("/proc/self/fd/{}", pem.as_raw_fd());
    let served = theirs
        .try_clone()
        .map_err(broken)
        .and_then(|socket| driver.serve(host, Some(socket.into()), &theirs, &[("pem", &path)]));
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
