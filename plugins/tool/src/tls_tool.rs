//! A tool of the TLS generation: it serves RFB inside TLS, which a bridge ends.

use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use etatuki_backend_api::{Failure, Host};
use etatuki_legacy_tool::Driver;

use crate::internal_failure;
use crate::tls_bridge::{self, EndedBy};
use crate::tls_identity::TlsIdentity;

/// Runs the tool behind the bridge until either side ends.
pub(crate) fn serve(
    driver: &Driver,
    host: &Host,
    stream: UnixStream,
    identity: &TlsIdentity,
) -> Result<(), Failure> {
    let (ours, theirs) = UnixStream::pair().map_err(internal_failure)?;
    let pem = identity.pem_file().map_err(internal_failure)?;
    let config = identity.client_config()?;
    let bridge = std::thread::spawn(move || tls_bridge::run(stream, ours, config));
    let path = format!("/proc/self/fd/{}", pem.as_raw_fd());
    let served = theirs
        .try_clone()
        .map_err(internal_failure)
        .and_then(|socket| driver.serve(host, Some(socket.into()), &theirs, &[("pem", &path)]));
    // The bridge sees the tool's end when the last handle of that side is closed.
    drop(theirs);
    match bridge.join() {
        Ok(Ok(EndedBy::Launcher)) => served,
        // The tool closed its connection while the launcher was there. The tool's own exit says
        // more.
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
