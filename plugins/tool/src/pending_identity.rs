//! The TLS identity that a thread generates while the customer reads the code aloud.

use std::sync::Arc;
use std::thread::JoinHandle;

use etatuki_backend_api::Failure;

use crate::tls_identity::TlsIdentity;

/// An identity that may still be in the making: it takes some hundred milliseconds, and is needed
/// only when an agent may view.
pub(crate) enum PendingIdentity {
    Generating(JoinHandle<Result<TlsIdentity, Failure>>),
    Ready(Arc<TlsIdentity>),
    Failed,
}

impl PendingIdentity {
    /// Starts the thread.
    pub(crate) fn start() -> Self {
        Self::Generating(std::thread::spawn(TlsIdentity::generate))
    }

    /// Returns the identity; waits for the thread if necessary.
    pub(crate) fn wait(&mut self) -> Result<Arc<TlsIdentity>, Failure> {
        let identity = match std::mem::replace(self, Self::Failed) {
            Self::Generating(thread) => thread
                .join()
                .map_err(|_| Failure::ours("plugin-failed", "making the key panicked"))?
                .map(Arc::new)?,
            Self::Ready(identity) => identity,
            Self::Failed => {
                return Err(Failure::ours("plugin-failed", "no key for this session"));
            }
        };
        *self = Self::Ready(identity.clone());
        Ok(identity)
    }

    /// Drops the identity; waits for the thread.
    pub(crate) fn discard(self) {
        if let Self::Generating(thread) = self {
            let _ = thread.join();
        }
    }
}
