//! The plugin: the SDK's `Backend` around [`serve`].

use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};

use etatuki_backend_api::{
    Backend, Capabilities, CodeForm, Descriptor, Failure, Host, LogLevel, Permissions, Probe,
    Unusable,
};
use etatuki_screen::{CancelToken, Capture, Input, ScreenError, SharedApp};

use crate::server::{ServeError, serve};
use crate::share::Share;

/// The permissions of a client as it attaches. To be handed a stream is to be asked for the
/// picture; control comes by `permissions` only.
const INITIAL_PERMISSIONS: Permissions = Permissions::VIEW;

/// The built-in backend. Its option `{"display": ":N"}` replaces the process's own `$DISPLAY`.
#[derive(Debug)]
pub struct Ecom {
    host: Host,
    /// The open session.
    share: Mutex<Option<Share>>,
}

impl Backend for Ecom {
    const DESCRIPTOR: Descriptor = Descriptor {
        id: "ecom",
        name: "Ecom Etätuki",
        vendor: "Etätuki",
        version: env!("CARGO_PKG_VERSION"),
        code_form: CodeForm::IdAndPassword,
        capabilities: Capabilities::INPUT.with(Capabilities::CLIPBOARD),
    };

    const SUPPORTS_APP_SHARING: bool = true;

    fn new(host: Host) -> Self {
        Self {
            host,
            share: Mutex::new(None),
        }
    }

    fn probe(&self) -> Result<Probe, Unusable> {
        let open_screen = || {
            let cancel = CancelToken::new()?;
            Capture::open(self.display(), None, &cancel)?;
            Input::open(self.display(), None, &cancel)
        };
        match open_screen() {
            Ok(_) => Ok(Probe {
                tool: None,
                version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            }),
            Err(error) => Err(Unusable {
                name: error.name(),
                text: error.to_string(),
            }),
        }
    }

    fn open(&self, code: &str) -> Result<(), Failure> {
        let share = Share::new(self.display())
            .map_err(|error| Failure::ours("internal", error.to_string()))?;
        share.set_permissions(INITIAL_PERMISSIONS);
        *self.share() = Some(share);
        self.host.waiting(code);
        Ok(())
    }

    fn close(&self) {
        if let Some(share) = self.share().take() {
            share.stop();
        }
    }

    fn attach(&self, stream: UnixStream) -> Result<(), Failure> {
        let Some(share) = self.share().clone() else {
            return Err(Failure::caller("not-open", "attach before open"));
        };
        let ended = serve(&share, stream);
        // The permissions were the client's on that stream.
        share.set_permissions(INITIAL_PERMISSIONS);
        match ended {
            Ok(()) => Ok(()),
            Err(error @ (ServeError::Protocol(_) | ServeError::Silent)) => {
                self.host.log(LogLevel::Error, &error.to_string());
                Ok(())
            }
            Err(ServeError::Screen(error)) => Err(failure(&error)),
            Err(error) => Err(Failure::ours(error.name(), error.to_string())),
        }
    }

    fn restrict_to_app(&self, pids: &[u32]) -> Result<(), Failure> {
        let Some(share) = self.share().clone() else {
            return Err(Failure::caller("not-open", "limit before open"));
        };
        share.restrict_to_app(SharedApp::from_pids(pids));
        Ok(())
    }

    fn permissions(&self, permissions: Permissions) {
        if let Some(share) = &*self.share() {
            share.set_permissions(permissions);
        }
    }
}

impl Ecom {
    fn display(&self) -> Option<&str> {
        self.host.options().get("display")?.as_str()
    }

    fn share(&self) -> std::sync::MutexGuard<'_, Option<Share>> {
        self.share.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failure(error: &ScreenError) -> Failure {
    Failure::tool(error.name(), error.to_string())
}
