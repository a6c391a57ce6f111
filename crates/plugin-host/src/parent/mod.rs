//! The parent's handle on a plugin host, and the task behind it.
//!
//! Only the task (`host_task`) talks to the child, so a call's time-out holds also when its caller
//! stops waiting. The handle can kill: dropping it has the supervisor kill everything at once, with
//! or without a runtime.

mod host_task;
mod spawned_child;

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

use etatuki_backend_api::Permissions;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::error::HostError;
use crate::events::{EventQueue, HostEvents};
use crate::plugin_spec::{LoadedPlugin, Origin, PluginSpec, ProbeReport};
use crate::supervised_process::SupervisedProcess;
use crate::wire::{CALL_TIMEOUT, Call};
use host_task::{HostCommand, HostTask, Reply};
use spawned_child::SpawnedChild;
pub(crate) use spawned_child::isolate;

/// Failure name by which a plugin says that its options in the registry are wrong.
const REGISTRY_BROKEN: &str = "registry-broken";
/// Commands that may wait for the task.
const MAX_QUEUED_COMMANDS: usize = 16;

/// A running plugin host with one plugin loaded. Dropping it kills the child and everything that it
/// started.
///
/// Every call ends within two seconds of its turn; calls are answered in the order in which they
/// were made. After an error other than [`HostError::Plugin`] the child is gone, and every further
/// call returns [`HostError::Died`].
#[derive(Debug)]
pub struct PluginHost {
    commands: mpsc::Sender<HostCommand>,
    process: Arc<SupervisedProcess>,
    plugin: LoadedPlugin,
    origin: Origin,
}

impl PluginHost {
    /// Spawns `exe plugin-host`, and has it load the plugin, within two seconds.
    ///
    /// `exe` is absolute, and must call [`crate::run_child`] for that argument. Needs a tokio
    /// runtime with I/O and time.
    ///
    /// # Errors
    /// The child can't be started, or the plugin can't be loaded in time.
    pub async fn start(exe: &Path, spec: &PluginSpec) -> Result<(Self, HostEvents), HostError> {
        let (host, events) = Self::start_with_events(exe, spec).await;
        Ok((host?, events))
    }

    /// As [`start`](Self::start). The events are there also if the start fails: with them what the
    /// plugin said before.
    pub async fn start_with_events(
        exe: &Path,
        spec: &PluginSpec,
    ) -> (Result<Self, HostError>, HostEvents) {
        let (queue, events) = EventQueue::new();
        let host = Self::start_with_queue(exe, spec, &queue).await;
        if matches!(host, Err(HostError::Spawn(_))) {
            queue.end();
        }
        (host, events)
    }

    async fn start_with_queue(
        exe: &Path,
        spec: &PluginSpec,
        queue: &Arc<EventQueue>,
    ) -> Result<Self, HostError> {
        let child = SpawnedChild::spawn(exe).map_err(HostError::Spawn)?;
        let process = Arc::clone(&child.process);
        let (commands, inbox) = mpsc::channel(MAX_QUEUED_COMMANDS);
        let task = HostTask::new(child, Arc::clone(queue)).map_err(HostError::Spawn)?;
        tokio::spawn(task.run(inbox));

        let load = Call::Load {
            plugin: Box::new(spec.clone()),
        };
        // The task has this time-out for the call; here it bounds the whole start.
        match timeout(CALL_TIMEOUT, call::<LoadedPlugin>(&commands, load, None)).await {
            Ok(Ok(plugin)) => Ok(Self {
                commands,
                process,
                plugin,
                origin: spec.origin.clone(),
            }),
            Ok(Err(error)) => {
                process.end_now();
                Err(error.with_registry_place(&spec.origin))
            }
            Err(_) => {
                process.end_now();
                Err(HostError::Hung {
                    call: "load".to_owned(),
                    last_words: queue.last_words(),
                })
            }
        }
    }

    /// Returns the plugin's description of itself.
    pub fn descriptor(&self) -> &LoadedPlugin {
        &self.plugin
    }

    /// Returns the supervisor's process id. The child is its first child.
    pub fn pid(&self) -> u32 {
        self.process.pid().as_raw_nonzero().get().unsigned_abs()
    }

    /// Asks whether the backend can be used on this machine. Only while nothing is open.
    pub async fn probe(&self) -> Result<ProbeReport, HostError> {
        let mut report = call(&self.commands, Call::Probe, None).await?;
        if let ProbeReport::Unusable { name, text } = &mut report
            && name == REGISTRY_BROKEN
            && !self.origin.options.is_empty()
        {
            *text = format!("{}: {text}; correct it there", self.origin.options);
        }
        Ok(report)
    }

    /// Opens a session with a code in its plain form. The state follows as an event, and with it
    /// the valid code, which may be the tool's own.
    pub async fn open(&self, code: &str) -> Result<(), HostError> {
        let code = Zeroizing::new(code.to_owned());
        call(&self.commands, Call::Open { code }, None).await
    }

    /// Closes the session; the state `closed` follows as an event.
    pub async fn close(&self) -> Result<(), HostError> {
        call(&self.commands, Call::Close, None).await
    }

    /// Sets what the customer allows from now on; control without view counts as nothing.
    pub async fn permissions(&self, permissions: Permissions) -> Result<(), HostError> {
        let Permissions { view, control } = permissions;
        call(&self.commands, Call::Permissions { view, control }, None).await
    }

    /// Restricts streams that are attached from now on to the windows of these processes. Only for
    /// a plugin with [`LoadedPlugin::supports_app_sharing`].
    pub async fn restrict_to_app(&self, pids: &[u32]) -> Result<(), HostError> {
        let pids = pids.to_vec();
        call(&self.commands, Call::RestrictToApp { pids }, None).await
    }

    /// Hands over a connected socket, on which the plugin serves RFB. The plugin owns it from now
    /// on; after an error it is closed.
    pub async fn attach(&self, stream: UnixStream) -> Result<(), HostError> {
        call(&self.commands, Call::Attach, Some(stream)).await
    }

    /// Lets the plugin release its resources and the child end, then kills what is left of its tools; takes two seconds at most. The events end without [`crate::HostEvent::Died`].
    pub async fn shutdown(self) {
        let (done, when_done) = oneshot::channel();
        if self
            .commands
            .send(HostCommand::Shutdown(done))
            .await
            .is_ok()
        {
            let _ = when_done.await;
        }
    }
}

impl Drop for PluginHost {
    fn drop(&mut self) {
        self.process.end_now();
    }
}

/// Makes a call through the task.
async fn call<T: DeserializeOwned>(
    commands: &mpsc::Sender<HostCommand>,
    call: Call,
    stream: Option<UnixStream>,
) -> Result<T, HostError> {
    let (reply, result): (Reply, _) = oneshot::channel();
    let gone = || HostError::Died("it ended before this call".to_owned());
    commands
        .send(HostCommand::Call {
            call,
            stream,
            reply,
        })
        .await
        .map_err(|_| gone())?;
    let value = result.await.map_err(|_| gone())??;
    serde_json::from_value(value).map_err(|error| HostError::Protocol(error.to_string()))
}
