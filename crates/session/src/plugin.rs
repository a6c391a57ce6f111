//! The plugin host as the event loop sees it: commands go in, events come out, and no call holds
//! the loop up. One task makes the calls, in order; each has a time-out.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use etatuki_plugin_host::{
    FailureReport, HostError, HostEvent, HostEvents, LogLevel, PluginHost, PluginSpec, ProbeReport,
    State,
};
use etatuki_protocol::Permissions;
use etatuki_session_core::gate::BackendCapabilities;
use etatuki_session_core::{Failure, FailureName, PluginInfo, PluginState};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::display_check::{self, DisplayCheck};
use crate::maybe::maybe_until;

/// Time in which a plugin must have opened or closed after it was told to. Then it counts as hung.
const STATE_TIMEOUT: Duration = Duration::from_secs(5);
/// Time in which a tool with its own transport must have opened: it fetches a code from a service of
/// its own.
const EXTERNAL_OPEN_TIMEOUT: Duration = Duration::from_secs(14);

/// Time in which the last lines of a plugin that has ended must be there.
const LAST_LINES_TIMEOUT: Duration = Duration::from_millis(500);

/// A command to the plugin.
enum PluginCommand {
    Open(Zeroizing<String>),
    Close,
    SetPermissions(Permissions),
    RestrictToApp(Vec<u32>),
    Attach(UnixStream),
    Shutdown,
}

/// An event of the plugin's. It has no `Debug`, because it carries the session code.
pub(crate) enum PluginEvent {
    /// The plugin is loaded and can be used here.
    Started(PluginInfo),
    /// The plugin's state or code changed.
    Changed {
        /// Present state.
        state: PluginState,
        /// Present code.
        code: Option<Zeroizing<String>>,
    },
    /// The plugin knows the permissions; once for every [`PluginHandle::set_permissions`].
    PermissionsAcknowledged,
    /// The plugin can't go on and is being ended. No event follows.
    Failed(Failure),
}

/// A plugin host that is starting or running. Dropping it kills the host and everything it started.
pub(crate) struct PluginHandle {
    commands: UnboundedSender<PluginCommand>,
    events: UnboundedReceiver<PluginEvent>,
    task: JoinHandle<()>,
}

impl PluginHandle {
    /// Checks the display, starts the host `exe`, loads the plugin and probes it;
    /// [`PluginEvent::Started`] follows.
    pub(crate) fn start(exe: PathBuf, spec: PluginSpec, check: Option<DisplayCheck>) -> Self {
        let check = check.filter(|_| !spec.external_transport);
        let (commands, inbox) = unbounded_channel();
        let (sender, events) = unbounded_channel();
        let open_timeout = if spec.external_transport {
            EXTERNAL_OPEN_TIMEOUT
        } else {
            STATE_TIMEOUT
        };
        let mut task = PluginTask {
            events: sender,
            open_timeout,
            deadline: None,
        };
        let task = tokio::spawn(async move {
            let checked = match check {
                Some(check) => display_check::run(check).await,
                None => Ok(()),
            };
            let ended = match checked {
                Ok(()) => task.run(exe, spec, inbox).await,
                Err(failure) => Err(failure),
            };
            if let Err(failure) = ended {
                task.send(PluginEvent::Failed(failure));
            }
        });
        Self {
            commands,
            events,
            task,
        }
    }

    /// Hands the code over and has the plugin wait for an agent.
    pub(crate) fn open(&self, code: Zeroizing<String>) {
        self.send(PluginCommand::Open(code));
    }

    /// Has the plugin give the code up.
    pub(crate) fn close(&self) {
        self.send(PluginCommand::Close);
    }

    /// Tells the plugin the permissions; [`PluginEvent::PermissionsAcknowledged`] follows.
    pub(crate) fn set_permissions(&self, permissions: Permissions) {
        self.send(PluginCommand::SetPermissions(permissions));
    }

    /// Restricts every picture that is attached after this to the windows of these processes.
    pub(crate) fn restrict_to_app(&self, pids: Vec<u32>) {
        self.send(PluginCommand::RestrictToApp(pids));
    }

    /// Gives the plugin its end of an RFB socket.
    pub(crate) fn attach(&self, stream: UnixStream) {
        self.send(PluginCommand::Attach(stream));
    }

    /// Waits for the next event; none comes after [`PluginEvent::Failed`]. Cancel safe.
    pub(crate) async fn next(&mut self) -> PluginEvent {
        match self.events.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }

    /// Ends the plugin in order. The host bounds the time.
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

/// The task that makes the calls to the host.
struct PluginTask {
    events: UnboundedSender<PluginEvent>,
    open_timeout: Duration,
    /// The state that the last `Open` or `Close` must lead to, and until when.
    deadline: Option<(Instant, State)>,
}

impl PluginTask {
    async fn run(
        &mut self,
        exe: PathBuf,
        spec: PluginSpec,
        mut commands: UnboundedReceiver<PluginCommand>,
    ) -> Result<(), Failure> {
        let (host, mut events) = PluginHost::start_with_events(&exe, &spec).await;
        let ended = match host {
            Ok(host) => {
                let ended = self.serve(&host, &mut events, &mut commands).await;
                host.shutdown().await;
                ended
            }
            Err(error) => Err(host_failure(error)),
        };
        log_last_lines(&mut events).await;
        ended
    }

    /// Serves commands and the host's events until the plugin is shut down or fails.
    async fn serve(
        &mut self,
        host: &PluginHost,
        events: &mut HostEvents,
        commands: &mut UnboundedReceiver<PluginCommand>,
    ) -> Result<(), Failure> {
        let info = probe(host).await?;
        self.send(PluginEvent::Started(info));
        loop {
            let deadline = self.deadline;
            tokio::select! {
                command = commands.recv() => match command {
                    None | Some(PluginCommand::Shutdown) => return Ok(()),
                    Some(command) => self.execute(host, command).await.map_err(host_failure)?,
                },
                event = events.recv() => match event {
                    Some(event) => self.on_host_event(event)?,
                    None => return Err(Failure::new(FailureName::PluginDied, "it ended")),
                },
                () = maybe_until(deadline.map(|(due, _)| due)) => {
                    let state = deadline.map_or("", |(_, state)| state.as_str());
                    let detail = format!("the plugin wasn't {state} in time");
                    return Err(Failure::new(FailureName::PluginHung, detail));
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
            PluginCommand::SetPermissions(permissions) => {
                host.permissions(etatuki_plugin_host::Permissions {
                    view: permissions.view,
                    control: permissions.control,
                })
                .await?;
                self.send(PluginEvent::PermissionsAcknowledged);
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
            HostEvent::Died { description } => {
                return Err(Failure::new(FailureName::PluginDied, description));
            }
            HostEvent::Changed {
                failure: Some(report),
                ..
            } => return Err(reported_failure(report)),
            HostEvent::Changed { state, code, .. } => {
                self.deadline.take_if(|(_, awaited)| *awaited == state);
                let state = plugin_state(state)?;
                self.send(PluginEvent::Changed { state, code });
            }
        }
        Ok(())
    }

    fn send(&self, event: PluginEvent) {
        let _ = self.events.send(event);
    }
}

/// Returns the host's state as the session knows it; an unexplained failure is an error.
fn plugin_state(state: State) -> Result<PluginState, Failure> {
    Ok(match state {
        State::Closed => PluginState::Closed,
        State::Opening => PluginState::Opening,
        State::Waiting => PluginState::Waiting,
        State::Attached => PluginState::Attached,
        State::Closing => PluginState::Closing,
        State::Failed => {
            let detail = "the plugin failed and didn't say why";
            return Err(Failure::new(FailureName::PluginFailed, detail));
        }
    })
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
        ProbeReport::Unusable { name, text } => {
            Err(Failure::new(FailureName::from_plugin(&name), text))
        }
    }
}

fn host_failure(error: HostError) -> Failure {
    match error {
        HostError::Plugin(report) => reported_failure(report),
        error => Failure::new(FailureName::from_plugin(error.name()), error.to_string()),
    }
}

/// Keeps the plugin's own name for the failure in the detail.
fn reported_failure(report: FailureReport) -> Failure {
    Failure::new(FailureName::from_plugin(&report.name), report.to_string())
}

/// Logs what a plugin said before its end; a failed call comes before the lines that led to it.
async fn log_last_lines(events: &mut HostEvents) {
    let lines = async {
        while let Some(event) = events.recv().await {
            if let HostEvent::Log { level, text } = event {
                log(level, &text);
            }
        }
    };
    let _ = tokio::time::timeout(LAST_LINES_TIMEOUT, lines).await;
}

fn log(level: LogLevel, text: &str) {
    match level {
        LogLevel::Error => tracing::error!(target: "plugin", "{text}"),
        LogLevel::Warn => tracing::warn!(target: "plugin", "{text}"),
        LogLevel::Info => tracing::info!(target: "plugin", "{text}"),
        LogLevel::Debug => tracing::debug!(target: "plugin", "{text}"),
    }
}
