//! The restart of the machine: what the customer allowed is kept for the launcher that the desktop
//! starts at the next login, and that launcher takes it.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use etatuki_restart::{RestartStore, TakeError};
use etatuki_session::{ComeBack, RestartKeeper};
use etatuki_trust::{LinkCredentials, RestartTicket, UnixTime};

use crate::launcher::Launcher;

/// Name of the autostart entry in lists of programs that start at login.
const ENTRY_NAME: &str = "Etätuki";

/// The keeper of one session's ticket.
#[derive(Debug)]
pub(crate) struct TicketKeeper {
    store: RestartStore,
    backend: String,
    /// Command that the desktop runs at the next login.
    command: Vec<String>,
    /// The ticket as it was kept last. Its time is the consent's, and no later ticket prolongs it.
    kept: Mutex<Option<RestartTicket>>,
}

impl TicketKeeper {
    /// Makes a keeper for sessions of this entry; `None` if the system knows no folders of this user's.
    /// Removes what an earlier session has left and nobody can use any more.
    pub(crate) fn new(backend: &str, exe: PathBuf, options: &[String]) -> Option<Self> {
        let store = RestartStore::from_system()?;
        store.discard_expired(now());
        let mut command = vec![exe.into_os_string().into_string().ok()?];
        command.extend_from_slice(options);
        command.push("come-back".into());
        Some(Self {
            store,
            backend: backend.to_owned(),
            command,
            kept: Mutex::default(),
        })
    }
}

impl RestartKeeper for TicketKeeper {
    fn keep(&self, link: LinkCredentials) -> bool {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let issued = kept.as_ref().map_or_else(now, |ticket| ticket.issued);
        let ticket = RestartTicket::issue(self.backend.clone(), link, issued);
        let command: Vec<_> = self.command.iter().map(String::as_str).collect();
        match self.store.keep(&ticket, ENTRY_NAME, &command) {
            Ok(()) => {
                tracing::info!("the launcher comes back after a restart");
                *kept = Some(ticket);
                true
            }
            Err(error) => {
                tracing::warn!(%error, "the launcher can't come back after a restart");
                *kept = None;
                false
            }
        }
    }

    fn forget(&self) {
        let kept = self
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(ticket) = kept {
            self.store.withdraw(&ticket);
        }
    }
}

/// Takes the ticket of an earlier session. Ticket and entry are gone afterwards, whatever comes of it.
pub(crate) fn take() -> Result<RestartTicket, TakeError> {
    let store = RestartStore::from_system().ok_or(TakeError::Missing)?;
    store.take(now())
}

/// A session that goes on after a restart, or the reason why it doesn't.
pub(crate) type Judgement = Result<ComeBack, String>;

/// Returns the entry to open, and the session that goes on in it, or why none does.
pub(crate) fn judge(
    launcher: &Launcher,
    taken: Result<RestartTicket, TakeError>,
) -> (String, Judgement) {
    let refused = match taken {
        Ok(ticket) if launcher.backend(&ticket.backend).is_some() => {
            let limit = Duration::from_secs(ticket.expires.0.saturating_sub(now().0));
            let link = ticket.link;
            return (ticket.backend, Ok(ComeBack { link, limit }));
        }
        Ok(ticket) => format!("there is no backend `{}` any more", ticket.backend),
        Err(error) => error.to_string(),
    };
    tracing::warn!(refused, "the session doesn't go on after the restart");
    let first = launcher.entries().first().map(|entry| entry.id.clone());
    (first.unwrap_or_default(), Err(refused))
}

fn now() -> UnixTime {
    UnixTime(UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs()))
}
