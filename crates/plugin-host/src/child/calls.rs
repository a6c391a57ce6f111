//! The call thread: every call into the plugin that the header tags [call], one after the other, and the reading of
//! state, code and failure after the plugin said that something changed.

use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, Sender, channel};

use etatuki_backend_api::Fault;
use serde::Serialize;

use super::host_table::HostTable;
use super::load::load;
use super::output::Output;
use super::plugin::{Plugin, Reading};
use super::watchdog::Watchdog;
use crate::error::{FailureReport, Refusal};
use crate::spec::{LoadedPlugin, PluginSpec};
use crate::wire::{Call, FromChild, Request, WireState};

/// What the call thread is given to do.
pub(super) enum Work {
    /// The parent's request, and the handle that came with it.
    Call(Request, Option<OwnedFd>),
    /// The plugin says that something changed.
    Changed,
    /// The parent is gone: put everything away.
    Quit,
}

/// Starts the thread. What is returned becomes ready when `Quit` has been done.
pub(super) fn start(queue: Sender<Work>, work: Receiver<Work>, output: Output) -> Receiver<()> {
    let (done, when_done) = channel();
    std::thread::spawn(move || {
        let watchdog = Watchdog::start(output.clone());
        let mut caller = Caller {
            queue,
            output,
            watchdog,
            loaded: None,
            said: None,
            spent: false,
        };
        while let Ok(work) = work.recv() {
            match work {
                Work::Call(request, handle) => caller.call(request, handle),
                Work::Changed => caller.read(),
                Work::Quit => break,
            }
        }
        caller.destroy();
        let _ = done.send(());
    });
    when_done
}

struct Caller {
    queue: Sender<Work>,
    output: Output,
    watchdog: Watchdog,
    loaded: Option<(Plugin, &'static HostTable)>,
    /// What the parent was told last.
    said: Option<Reading>,
    /// A plugin was loaded, or tried; there is no second time.
    spent: bool,
}

type Answer = Result<serde_json::Value, Refusal>;

impl Caller {
    fn call(&mut self, request: Request, handle: Option<OwnedFd>) {
        let Request { id, call } = request;
        let name = call.name();
        let watchdog = self.watchdog.clone();
        let answer = watchdog.during(name, || self.answer(call, handle));
        self.output.send(&match answer {
            Ok(value) => FromChild::Done { id, value },
            Err(error) => FromChild::Failed { id, error },
        });
        // A plugin should have said so itself; this costs one look.
        self.read();
    }

    fn answer(&mut self, call: Call, handle: Option<OwnedFd>) -> Answer {
        match call {
            Call::Load { plugin } => return to_json(self.load(&plugin)?),
            Call::Probe => return to_json(self.plugin()?.probe().map_err(refusal)?),
            Call::Open { code } => self.plugin()?.open(&code),
            Call::Close => self.plugin()?.close(),
            Call::Permissions { view, control } => self.plugin()?.permissions(view, control),
            Call::Limit { pids } => self.plugin()?.limit(&pids),
            Call::Attach => {
                let handle = handle.ok_or_else(|| misuse("no socket came with the call"))?;
                self.plugin()?.attach(handle)
            }
            Call::Shutdown => {
                self.destroy();
                Ok(())
            }
        }
        .map(|()| serde_json::Value::Null)
        .map_err(refusal)
    }

    fn load(&mut self, spec: &PluginSpec) -> Result<LoadedPlugin, Refusal> {
        if std::mem::replace(&mut self.spent, true) {
            return Err(misuse("a plugin was loaded already"));
        }
        let (mut plugin, descriptor) = load(spec)?;
        let options = spec.options.to_string();
        let host = HostTable::leak(
            options,
            spec.language.clone(),
            self.queue.clone(),
            self.output.clone(),
        );
        let created = Plugin::create(descriptor, host)?;
        plugin.limits = created.limits();
        self.loaded = Some((created, host));
        Ok(plugin)
    }

    fn plugin(&self) -> Result<&Plugin, Refusal> {
        self.loaded
            .as_ref()
            .map(|(plugin, _)| plugin)
            .ok_or_else(|| misuse("no plugin is loaded"))
    }

    /// Reads what has changed, and tells the parent if it has.
    fn read(&mut self) {
        let Some((plugin, host)) = &self.loaded else {
            return;
        };
        host.clear();
        let reading = self.watchdog.during("state", || plugin.read());
        if self.said.as_ref() == Some(&reading) {
            return;
        }
        self.output.send(&FromChild::Changed {
            state: WireState(reading.state),
            code: reading.code.clone(),
            failure: reading.failure.clone().map(Into::into),
        });
        self.said = Some(reading);
    }

    fn destroy(&mut self) {
        if let Some((plugin, _)) = self.loaded.take() {
            self.watchdog.during("destroy", || plugin.destroy());
        }
    }
}

fn to_json(value: impl Serialize) -> Answer {
    serde_json::to_value(value).map_err(|error| Refusal::Load {
        text: error.to_string(),
    })
}

fn refusal(report: FailureReport) -> Refusal {
    Refusal::Plugin {
        fault: report.fault.as_str().to_owned(),
        failure: report.name,
        text: report.text,
    }
}

/// The parent did what the protocol doesn't allow.
fn misuse(text: &str) -> Refusal {
    refusal(FailureReport {
        fault: Fault::Caller,
        name: "internal".to_owned(),
        text: text.to_owned(),
    })
}
