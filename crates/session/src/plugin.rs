//! The plugin host as the loop sees it: orders go in, news come out, and nothing in between can hold
//! the loop up. One task makes the calls, in order; each has a limit.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use etatuki_plugin_host::State;
use etatuki_plugin_host::{
    FailureReport, HostError, HostEvent, HostEvents, LogLevel, PluginHost, PluginSpec, ProbeReport,
};
use etatuki_protocol::Permissions;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::gate::BackendCapabilities;
use crate::view::{FailureName, FailureView};

/// A plugin that was told to open or to close has done so after this long, or it hangs.
const PATIENCE: Duration = Duration::from_secs(5);
/// A tool with its own transport asks its own service for a code: that takes longer.
const OWN_PATIENCE: Duration = Duration::from_secs(14);

/// What the plugin is told.
enum Order {
    Open(Zeroizing<String>),
    Close,
    Permissions(Permissions),
    Limit(Vec<u32>),
    Attach(UnixStream),
    Shutdown,
}

/// What the plugin has to say.
#[derive(Debug)]
pub(crate) enum News {
    /// It is loaded and can be used here.
    Started(Facts),
    /// It is in another state, or has another code.
    Changed {
        state: State,
        code: Option<Zeroizing<String>>,
    },
    /// It has taken note of what is permitted; one for every [`Plugin::permissions`].
    Permitted,
    /// It can't go on; it is being ended.
    Failed(FailureView),
}

/// What is known of a loaded plugin, for the agent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) version: String,
    pub(crate) tool: Option<String>,
    pub(crate) tool_version: Option<String>,
    /// It can share one program alone.
    pub(crate) limits: bool,
    pub(crate) capabilities: BackendCapabilities,
}

/// A plugin host that is starting or running. Dropping it kills the host and all that it started.
pub(crate) struct Plugin {
    orders: UnboundedSender<Order>,
    news: UnboundedReceiver<News>,
    task: JoinHandle<()>,
}

impl Plugin {
    /// Starts the host, loads the plugin and probes it; [`News::Started`] follows.
    pub(crate) fn start(exe: PathBuf, spec: PluginSpec) -> Self {
        let (orders, inbox) = unbounded_channel();
        let (outbox, news) = unbounded_channel();
        let task = tokio::spawn(async move {
            let opening = if spec.own_transport {
                OWN_PATIENCE
            } else {
                PATIENCE
            };
            let mut keeper = Keeper {
                news: outbox,
                opening,
                patience: None,
            };
            if let Err(failure) = keeper.keep(exe, spec, inbox).await {
                let _ = keeper.news.send(News::Failed(failure));
            }
        });
        Self { orders, news, task }
    }

    pub(crate) fn open(&self, code: Zeroizing<String>) {
        self.order(Order::Open(code));
    }

    pub(crate) fn close(&self) {
        self.order(Order::Close);
    }

    pub(crate) fn permissions(&self, permissions: Permissions) {
        self.order(Order::Permissions(permissions));
    }

    /// Nothing but the windows of these processes is shown by what is attached after this.
    pub(crate) fn limit(&self, pids: Vec<u32>) {
        self.order(Order::Limit(pids));
    }

    pub(crate) fn attach(&self, stream: UnixStream) {
        self.order(Order::Attach(stream));
    }

    /// The next news; none come any more after [`News::Failed`]. Cancel safe.
    pub(crate) async fn news(&mut self) -> News {
        match self.news.recv().await {
            Some(news) => news,
            None => std::future::pending().await,
        }
    }

    /// Ends it in order; the host has a limit for that.
    pub(crate) async fn shutdown(mut self) {
        self.order(Order::Shutdown);
        let _ = (&mut self.task).await;
    }

    fn order(&self, order: Order) {
        let _ = self.orders.send(order);
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Keeper {
    news: UnboundedSender<News>,
    /// How long opening may take.
    opening: Duration,
    /// When what was ordered must have happened, and what that is.
    patience: Option<(Instant, State)>,
}

impl Keeper {
    async fn keep(
        &mut self,
        exe: PathBuf,
        spec: PluginSpec,
        mut orders: UnboundedReceiver<Order>,
    ) -> Result<(), FailureView> {
        let (host, mut events) = PluginHost::start(&exe, &spec).await.map_err(failure)?;
        let ended = self.serve(&host, &mut events, &mut orders).await;
        host.shutdown().await;
        ended
    }

    async fn serve(
        &mut self,
        host: &PluginHost,
        events: &mut HostEvents,
        orders: &mut UnboundedReceiver<Order>,
    ) -> Result<(), FailureView> {
        let facts = probed(host).await?;
        let _ = self.news.send(News::Started(facts));
        loop {
            let patience = self.patience;
            tokio::select! {
                order = orders.recv() => match order {
                    None | Some(Order::Shutdown) => return Ok(()),
                    Some(order) => self.obey(host, order).await.map_err(failure)?,
                },
                event = events.recv() => match event {
                    Some(event) => self.hear(event)?,
                    None => return Err(died("it ended")),
                },
                () = until(patience.map(|(due, _)| due)) => {
                    let state = patience.map_or("", |(_, state)| state.as_str());
                    let detail = format!("the plugin wasn't {state} in time");
                    return Err(FailureView { name: FailureName::PluginHung, detail });
                }
            }
        }
    }

    async fn obey(&mut self, host: &PluginHost, order: Order) -> Result<(), HostError> {
        match order {
            Order::Open(code) => {
                self.patience = Some((Instant::now() + self.opening, State::Waiting));
                host.open(&code).await
            }
            Order::Close => {
                self.patience = Some((Instant::now() + PATIENCE, State::Closed));
                host.close().await
            }
            Order::Permissions(allowed) => {
                host.permissions(allowed.view, allowed.control).await?;
                let _ = self.news.send(News::Permitted);
                Ok(())
            }
            Order::Limit(pids) => host.limit(&pids).await,
            Order::Attach(stream) => host.attach(stream).await,
            Order::Shutdown => Ok(()),
        }
    }

    fn hear(&mut self, event: HostEvent) -> Result<(), FailureView> {
        match event {
            HostEvent::Log { level, text } => log(level, &text),
            HostEvent::Died { description } => return Err(died(&description)),
            HostEvent::Changed {
                failure: Some(report),
                ..
            } => return Err(reported(report)),
            HostEvent::Changed {
                state: State::Failed,
                ..
            } => {
                let detail = "the plugin failed and didn't say why".into();
                return Err(FailureView {
                    name: FailureName::PluginFailed,
                    detail,
                });
            }
            HostEvent::Changed { state, code, .. } => {
                self.patience.take_if(|(_, awaited)| *awaited == state);
                let _ = self.news.send(News::Changed { state, code });
            }
        }
        Ok(())
    }
}

async fn probed(host: &PluginHost) -> Result<Facts, FailureView> {
    let plugin = host.descriptor();
    match host.probe().await.map_err(failure)? {
        ProbeReport::Usable { tool, version } => Ok(Facts {
            version: plugin.version.to_string(),
            tool,
            tool_version: version,
            limits: plugin.limits,
            capabilities: BackendCapabilities {
                input: plugin.takes_input(),
                clipboard: plugin.carries_clipboard(),
                resize: plugin.resizes(),
            },
        }),
        ProbeReport::Unusable { name, text } => Err(named(&name, text)),
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

fn failure(error: HostError) -> FailureView {
    match error {
        HostError::Plugin(report) => reported(report),
        error => named(error.name(), error.to_string()),
    }
}

fn reported(report: FailureReport) -> FailureView {
    named(&report.name, report.to_string())
}

/// A plugin may name its failures as it likes; those that customers have no sentence for become
/// `plugin-failed`, and their name stays in the detail.
fn named(name: &str, detail: String) -> FailureView {
    let ours = FailureName::from_name(name).filter(|name| {
        let name = name.as_str();
        let theirs = ["plugin-", "tool-", "display-", "registry-"];
        theirs.iter().any(|theirs| name.starts_with(theirs))
    });
    FailureView {
        name: ours.unwrap_or(FailureName::PluginFailed),
        detail,
    }
}

fn died(description: &str) -> FailureView {
    FailureView {
        name: FailureName::PluginDied,
        detail: description.to_owned(),
    }
}

fn log(level: LogLevel, text: &str) {
    match level {
        LogLevel::Error => tracing::error!(target: "plugin", "{text}"),
        LogLevel::Warn => tracing::warn!(target: "plugin", "{text}"),
        LogLevel::Info => tracing::info!(target: "plugin", "{text}"),
        LogLevel::Debug => tracing::debug!(target: "plugin", "{text}"),
    }
}
