//! The call thread: makes every call that the header tags `[call]`, one after the other, and reads
//! state, code and failure after `changed`.

use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, Sender, channel};

use etatuki_backend_api::{Fault, Permissions};
use serde::Serialize;

use super::host_table::HostTable;
use super::load::load;
use super::message_writer::MessageWriter;
use super::plugin_instance::{PluginInstance, Status};
use super::watchdog::Watchdog;
use crate::error::{CallError, FailureReport};
use crate::plugin_spec::{LoadedPlugin, PluginSpec};
use crate::wire::{Call, ChildMessage, Request, WireState};

/// Job for the call thread.
pub(super) enum Job {
    /// The parent's request, with the handle that came with it.
    Call(Request, Option<OwnedFd>),
    /// The plugin called `changed`.
    Changed,
    /// The parent is gone: destroy the instance and end the thread.
    Quit,
}

/// Starts the thread. The returned channel receives a value when [`Job::Quit`] is done.
pub(super) fn start(
    queue: Sender<Job>,
    jobs: Receiver<Job>,
    writer: MessageWriter,
) -> Receiver<()> {
    let (done, when_done) = channel();
    std::thread::spawn(move || {
        let watchdog = Watchdog::start(writer.clone());
        let mut thread = CallThread {
            queue,
            writer,
            watchdog,
            loaded: None,
            reported: None,
            load_tried: false,
        };
        while let Ok(job) = jobs.recv() {
            match job {
                Job::Call(request, handle) => thread.handle_request(request, handle),
                Job::Changed => thread.report_status(),
                Job::Quit => break,
            }
        }
        thread.destroy();
        let _ = done.send(());
    });
    when_done
}

struct CallThread {
    queue: Sender<Job>,
    writer: MessageWriter,
    watchdog: Watchdog,
    loaded: Option<(PluginInstance, &'static HostTable)>,
    /// Status that the parent got last.
    reported: Option<Status>,
    /// Whether a plugin was loaded, or loading it failed; there is no second time.
    load_tried: bool,
}

type CallResult = Result<serde_json::Value, CallError>;

impl CallThread {
    fn handle_request(&mut self, request: Request, handle: Option<OwnedFd>) {
        let Request { id, call } = request;
        let name = call.name();
        let watchdog = self.watchdog.clone();
        let result = watchdog.run(name, || self.make_call(call, handle));
        self.writer.send(&match result {
            Ok(value) => ChildMessage::Done { id, value },
            Err(error) => ChildMessage::Failed { id, error },
        });
        // Also for a plugin that forgot to call `changed`.
        self.report_status();
    }

    fn make_call(&mut self, call: Call, handle: Option<OwnedFd>) -> CallResult {
        match call {
            Call::Load { plugin } => return to_json(self.load(&plugin)?),
            Call::Probe => return to_json(self.plugin()?.probe()?),
            Call::Open { code } => self.plugin()?.open(&code),
            Call::Close => self.plugin()?.close(),
            Call::Permissions { view, control } => {
                self.plugin()?.permissions(Permissions { view, control })
            }
            Call::RestrictToApp { pids } => self.plugin()?.restrict_to_app(&pids),
            Call::Attach => {
                let handle = handle.ok_or_else(no_socket)?;
                self.plugin()?.attach(handle)
            }
            Call::Shutdown => {
                self.destroy();
                Ok(())
            }
        }
        .map(|()| serde_json::Value::Null)
        .map_err(CallError::from)
    }

    fn load(&mut self, spec: &PluginSpec) -> Result<LoadedPlugin, CallError> {
        if std::mem::replace(&mut self.load_tried, true) {
            return Err(misuse("a plugin was loaded already"));
        }
        let (mut plugin, descriptor) = load(spec)?;
        let options = spec.options.to_string();
        let host = HostTable::leak(
            options,
            spec.language.clone(),
            self.queue.clone(),
            self.writer.clone(),
        );
        let instance = PluginInstance::create(descriptor, host)?;
        plugin.supports_app_sharing = instance.supports_app_sharing();
        self.loaded = Some((instance, host));
        Ok(plugin)
    }

    fn plugin(&self) -> Result<&PluginInstance, CallError> {
        self.loaded
            .as_ref()
            .map(|(plugin, _)| plugin)
            .ok_or_else(|| misuse("no plugin is loaded"))
    }

    /// Reads the plugin's status, and sends it to the parent if it has changed.
    fn report_status(&mut self) {
        let Some((plugin, host)) = &self.loaded else {
            return;
        };
        host.clear_change();
        let status = self.watchdog.run("state", || plugin.status());
        if self.reported.as_ref() == Some(&status) {
            return;
        }
        self.writer.send(&ChildMessage::Changed {
            state: WireState(status.state),
            code: status.code.clone(),
            failure: status.failure.clone().map(Into::into),
        });
        self.reported = Some(status);
    }

    fn destroy(&mut self) {
        if let Some((plugin, _)) = self.loaded.take() {
            self.watchdog.run("destroy", || plugin.destroy());
        }
    }
}

fn to_json(value: impl Serialize) -> CallResult {
    serde_json::to_value(value).map_err(|error| CallError::load(error.to_string()))
}

/// Returns the error of an attach without its socket: the plugin has taken every descriptor, or the
/// parent has sent none.
fn no_socket() -> CallError {
    match std::fs::File::open("/dev/null").map_err(|error| error.raw_os_error()) {
        Err(Some(libc::EMFILE)) => CallError::from(FailureReport {
            fault: Fault::Plugin,
            name: "plugin-failed".to_owned(),
            text: "it has as many files open as it may: none is left for its socket".to_owned(),
        }),
        _ => misuse("no socket came with the call"),
    }
}

/// Returns the error of a request that the protocol doesn't allow.
fn misuse(text: &str) -> CallError {
    CallError::from(FailureReport {
        fault: Fault::Caller,
        name: "internal".to_owned(),
        text: text.to_owned(),
    })
}
