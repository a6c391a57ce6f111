//! The parent's handle on a plugin host, and the task behind it.
//!
//! The task (`driver`) alone talks to the child, so that a limit holds also when a caller stops waiting. The handle
//! may kill: dropping it kills the child's process group at once, with or without a runtime.

mod driver;
mod spawn;

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::error::HostError;
use crate::events::{EventQueue, HostEvents};
use crate::group::Group;
use crate::spec::{LoadedPlugin, Origin, PluginSpec, ProbeReport};
use crate::wire::Call;
use driver::{Driver, Order, Reply};
pub(crate) use spawn::set_apart;

/// How long a call may take, and how long a start or a shutdown may.
const LIMIT: Duration = Duration::from_secs(2);
/// By this name a plugin says that its options in the registry are wrong.
const REGISTRY_BROKEN: &str = "registry-broken";
/// Calls that may wait for the task.
const ORDERS: usize = 16;

/// A running plugin host with one plugin loaded. Dropping it kills the child and everything that it started.
///
/// Every call ends within two seconds of its turn; calls are answered in the order in which they were made. After an
/// error other than [`HostError::Plugin`] the child is gone, and every further call says [`HostError::Died`].
#[derive(Debug)]
pub struct PluginHost {
    orders: mpsc::Sender<Order>,
    group: Arc<Group>,
    plugin: LoadedPlugin,
    origin: Origin,
}

impl PluginHost {
    /// Spawns `exe plugin-host`, greets it, and has it load the plugin. Two seconds at most.
    ///
    /// `exe` is absolute, and must call [`crate::run_child`] for that argument. Needs a tokio runtime with I/O and time.
    pub async fn start(exe: &Path, spec: &PluginSpec) -> Result<(Self, HostEvents), HostError> {
        let (queue, events) = EventQueue::new();
        let child = spawn::spawn(exe).map_err(HostError::Spawn)?;
        let group = Arc::clone(&child.group);
        let (orders, inbox) = mpsc::channel(ORDERS);
        let driver = Driver::new(child, Arc::clone(&queue)).map_err(HostError::Spawn)?;
        tokio::spawn(driver.run(inbox));

        let load = Call::Load {
            plugin: Box::new(spec.clone()),
        };
        // The driver has this limit too; here it bounds all of the start.
        match timeout(LIMIT, call::<LoadedPlugin>(&orders, load, None)).await {
            Ok(Ok(plugin)) => Ok((
                Self {
                    orders,
                    group,
                    plugin,
                    origin: spec.origin.clone(),
                },
                events,
            )),
            Ok(Err(error)) => {
                group.kill();
                Err(error.in_registry(&spec.origin))
            }
            Err(_) => {
                group.kill();
                Err(HostError::Hung {
                    call: "load".to_owned(),
                })
            }
        }
    }

    /// What the plugin says about itself.
    pub fn descriptor(&self) -> &LoadedPlugin {
        &self.plugin
    }

    /// The child's process id, which is its process group's too.
    pub fn pid(&self) -> u32 {
        self.group.leader().as_raw_nonzero().get().unsigned_abs()
    }

    /// Is the backend usable here? Only while nothing is open.
    pub async fn probe(&self) -> Result<ProbeReport, HostError> {
        let mut report = call(&self.orders, Call::Probe, None).await?;
        if let ProbeReport::Unusable { name, text } = &mut report
            && name == REGISTRY_BROKEN
            && !self.origin.options.is_empty()
        {
            *text = format!("{}: {text}; correct it there", self.origin.options);
        }
        Ok(report)
    }

    /// Opens a session with a code in its plain form. The state follows as an event, and so does the code that holds.
    pub async fn open(&self, code: &str) -> Result<(), HostError> {
        call(
            &self.orders,
            Call::Open {
                code: Zeroizing::new(code.to_owned()),
            },
            None,
        )
        .await
    }

    /// Closes the session; the state `closed` follows as an event.
    pub async fn close(&self) -> Result<(), HostError> {
        call(&self.orders, Call::Close, None).await
    }

    /// Says what the customer allows from now on; control without view is nothing.
    pub async fn permissions(&self, view: bool, control: bool) -> Result<(), HostError> {
        call(&self.orders, Call::Permissions { view, control }, None).await
    }

    /// Has streams that are attached from now on show the windows of these processes alone; only where
    /// [`LoadedPlugin::limits`] says that the plugin can.
    pub async fn limit(&self, pids: &[u32]) -> Result<(), HostError> {
        let pids = pids.to_vec();
        call(&self.orders, Call::Limit { pids }, None).await
    }

    /// Hands a connected socket over, on which the plugin serves RFB. It is the plugin's from now on; after an error
    /// it is closed.
    pub async fn attach(&self, stream: UnixStream) -> Result<(), HostError> {
        call(&self.orders, Call::Attach, Some(stream)).await
    }

    /// Lets the plugin put everything away and the child end, then kills what is left of its group. Two seconds at
    /// most. The events end without [`crate::HostEvent::Died`].
    pub async fn shutdown(self) {
        let (done, when_done) = oneshot::channel();
        if self.orders.send(Order::Shutdown(done)).await.is_ok() {
            let _ = when_done.await;
        }
    }
}

impl Drop for PluginHost {
    fn drop(&mut self) {
        self.group.kill();
    }
}

/// Makes a call through the driver.
async fn call<T: DeserializeOwned>(
    orders: &mpsc::Sender<Order>,
    call: Call,
    stream: Option<UnixStream>,
) -> Result<T, HostError> {
    let (reply, answer): (Reply, _) = oneshot::channel();
    let gone = || HostError::Died("it ended before this call".to_owned());
    orders
        .send(Order::Call {
            call,
            stream,
            reply,
        })
        .await
        .map_err(|_| gone())?;
    let value = answer.await.map_err(|_| gone())??;
    serde_json::from_value(value).map_err(|error| HostError::Protocol(error.to_string()))
}
