//! The plugin host as the loop sees it: commands go in, events come out, and nothing in between can hold
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
use crate::view::{Failure, FailureName};

/// A plugin that was told to open or to close has done so after this long, or it hangs.
const STATE_TIMEOUT: Duration = Duration::from_secs(5);
/// A tool with its own transport asks its own service for a code: that takes longer.
const EXTERNAL_OPEN_TIMEOUT: Duration = Duration::from_secs(14);

/// What the plugin is told.
enum PluginCommand {
    Open(Zeroizing<String>),
    Close,
    Permissions(Permissions),
    RestrictToApp(Vec<u32>),
    Attach(UnixStream),
    Shutdown,
}

/// What the plugin has to say.
#[derive(Debug)]
pub(crate) enum PluginEvent {
    /// It is loaded and can be used here.
    Started(PluginInfo),
    /// It is in another state, or has another code.
    Changed {
        state: State,
        code: Option<Zeroizing<String>>,
    },
    /// It has taken note of what is permitted; one for every [`PluginHandle::set_permissions`].
    PermissionsAcknowledged,
    /// It can't go on; it is being ended.
    Failed(Failure),
}

/// What is known of a loaded plugin, for the agent.
#[derive(Clone, Debug, Default)]
pub(crate) struct PluginInfo {
    pub(crate) version: String,
    pub(crate) tool: Option<String>,
    pub(crate) tool_version: Option<String>,
    /// It can share one program alone.
    pub(crate) supports_app_sharing: bool,
    pub(crate) capabilities: BackendCapabilities,
}

/// A plugin host that is starting or running. Dropping it kills the host and all that it started.
pub(crate) struct PluginHandle {
    commands: UnboundedSender<PluginCommand>,
    events: UnboundedReceiver<PluginEvent>,
    task: JoinHandle<()>,
}

impl PluginHandle {
    /// Starts the host, loads the plugin and probes it; [`PluginEvent::Started`] follows.
    pub(crate) fn start(exe: PathBuf, spec: PluginSpec) -> Self {
        let (commands, inbox) = unbounded_channel();
        let (outbox, events) = unbounded_channel();
        let task = tokio::spawn(async move {
            let open_timeout = if spec.external_transport {
                EXTERNAL_OPEN_TIMEOUT
            } else {
                STATE_TIMEOUT
            };
            let mut task = PluginTask {
                events: outbox,
                open_timeout,
                deadline: None,
            };
            if let Err(failure) = task.run(exe, spec, inbox).await {
                let _ = task.events.send(PluginEvent::Failed(failure));
            }
        });
        Self {
            commands,
            events,
            task,
        }
    }

    pub(crate) fn open(&self, code: Zeroizing<String>) {
        self.send(PluginCommand::Open(code));
    }

    pub(crate) fn close(&self) {
        self.send(PluginCommand::Close);
    }

    pub(crate) fn set_permissions(&self, permissions: Permissions) {
        self.send(PluginCommand::Permissions(permissions));
    }

    /// Nothing but the windows of these processes is shown by what is attached after this.
    pub(crate) fn restrict_to_app(&self, pids: Vec<u32>) {
        self.send(PluginCommand::RestrictToApp(pids));
    }

    pub(crate) fn attach(&self, stream: UnixStream) {
        self.send(PluginCommand::Attach(stream));
    }

    /// The next event; none comes any more after [`PluginEvent::Failed`]. Cancel safe.
    pub(crate) async fn next(&mut self) -> PluginEvent {
        match self.events.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }

    /// Ends it in order; the host has a limit for that.
    pub(crate) async fn shutdown(mut self) {
        self.send(PluginCommand::Shutdown);
        let _ = (&mut self.task).await;
    }

    fn send(&self, command: PluginCommand) {
        let _ = self.commands.send(command);
    }
}

impl Drop for PluginHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct PluginTask {
    events: UnboundedSender<PluginEvent>,
    /// How long opening may take.
    open_timeout: Duration,
    /// When what was ordered must have happened, and what that is.
    deadline: Option<(Instant, State)>,
}

impl PluginTask {
    async fn run(
        &mut self,
        exe: PathBuf,
        spec: PluginSpec,
        mut commands: UnboundedReceiver<PluginCommand>,
    ) -> Result<(), Failure> {
        let (host, mut events) = PluginHost::start(&exe, &spec).await.map_err(host_failure)?;
        let ended = self.serve(&host, &mut events, &mut commands).await;
        host.shutdown().await;
        ended
    }

    async fn serve(
        &mut self,
        host: &PluginHost,
        events: &mut HostEvents,
        commands: &mut UnboundedReceiver<PluginCommand>,
    ) -> Result<(), Failure> {
        let info = probe(host).await?;
        let _ = self.events.send(PluginEvent::Started(info));
        loop {
            let deadline = self.deadline;
            tokio::select! {
                command = commands.recv() => match command {
                    None | Some(PluginCommand::Shutdown) => return Ok(()),
                    Some(command) => self.execute(host, command).await.map_err(host_failure)?,
                },
                event = events.recv() => match event {
                    Some(event) => self.on_host_event(event)?,
                    None => return Err(died("it ended")),
                },
                () = until(deadline.map(|(due, _)| due)) => {
                    let state = deadline.map_or("", |(_, state)| state.as_str());
                    let detail = format!("the plugin wasn't {state} in time");
                    return Err(Failure { name: FailureName::PluginHung, detail });
                }
            }
        }
    }

    async fn execute(
        &mut self,
        host: &PluginHost,
        command: PluginCommand,
    ) -> Result<(), HostError> {
        match command {
            PluginCommand::Open(code) => {
                self.deadline = Some((Instant::now() + self.open_timeout, State::Waiting));
                host.open(&code).await
            }
            PluginCommand::Close => {
                self.deadline = Some((Instant::now() + STATE_TIMEOUT, State::Closed));
                host.close().await
            }
            PluginCommand::Permissions(allowed) => {
                host.permissions(etatuki_plugin_host::Permissions {
                    view: allowed.view,
                    control: allowed.control,
                })
                .await?;
                let _ = self.events.send(PluginEvent::PermissionsAcknowledged);
                Ok(())
            }
            PluginCommand::RestrictToApp(pids) => host.restrict_to_app(&pids).await,
            PluginCommand::Attach(stream) => host.attach(stream).await,
            PluginCommand::Shutdown => Ok(()),
        }
    }

    fn on_host_event(&mut self, event: HostEvent) -> Result<(), Failure> {
        match event {
            HostEvent::Log { level, text } => log(level, &text),
            HostEvent::Died { description } => return Err(died(&description)),
            HostEvent::Changed {
                failure: Some(report),
                ..
            } => return Err(reported_failure(report)),
            HostEvent::Changed {
                state: State::Failed,
                ..
            } => {
                let detail = "the plugin failed and didn't say why".into();
                return Err(Failure {
                    name: FailureName::PluginFailed,
                    detail,
                });
            }
            HostEvent::Changed { state, code, .. } => {
                self.deadline.take_if(|(_, awaited)| *awaited == state);
                let _ = self.events.send(PluginEvent::Changed { state, code });
            }
        }
        Ok(())
    }
}

async fn probe(host: &PluginHost) -> Result<PluginInfo, Failure> {
    let plugin = host.descriptor();
    match host.probe().await.map_err(host_failure)? {
        ProbeReport::Usable { tool, version } => Ok(PluginInfo {
            version: plugin.version.to_string(),
            tool,
            tool_version: version,
            supports_app_sharing: plugin.supports_app_sharing,
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

fn host_failure(error: HostError) -> Failure {
    match error {
        HostError::Plugin(report) => reported_failure(report),
        error => named(error.name(), error.to_string()),
    }
}

fn reported_failure(report: FailureReport) -> Failure {
    named(&report.name, report.to_string())
}

/// A plugin may name its failures as it likes; those that customers have no sentence for become
/// `plugin-failed`, and their name stays in the detail.
fn named(name: &str, detail: String) -> Failure {
    let ours = FailureName::from_name(name).filter(|name| {
        let name = name.as_str();
        let theirs = ["plugin-", "tool-", "display-", "registry-"];
        theirs.iter().any(|theirs| name.starts_with(theirs))
    });
    Failure {
        name: ours.unwrap_or(FailureName::PluginFailed),
        detail,
    }
}

fn died(description: &str) -> Failure {
    Failure {
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
