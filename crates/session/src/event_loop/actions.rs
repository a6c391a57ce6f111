//! The machine's actions, carried out.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use etatuki_protocol::{CustomerInfo, Permissions, ToAgent};
use etatuki_session_core::control_barrier::Overflow;
use etatuki_session_core::gate::ServerCapabilities;
use etatuki_session_core::machine::{Action, RESTARTING};
use etatuki_session_core::{Failure, FailureName, PluginInfo, Transport};

use super::SessionLoop;
use crate::agent_connection::{AgentConnection, agent_misbehaved};
use crate::input_release::finish;
use crate::plugin::PluginHandle;
use crate::plugin_stream::PluginStream;
use crate::rendezvous::RendezvousConfig;
use crate::tool_password::random_password;

/// Time at the end for the last message to the agent, and for the last releases to the plugin.
const FAREWELL_TIMEOUT: Duration = Duration::from_millis(300);

impl SessionLoop<'_> {
    /// Carries out one action.
    pub(super) fn perform(&mut self, action: Action) {
        match action {
            Action::Start => self.start(),
            Action::MintCode => self.mint_code(),
            Action::DropCode => {
                self.background_tasks.spawn(self.rendezvous.close());
                let step = self.opening.drop_code();
                self.perform_steps(step);
            }
            Action::AcceptAttempt => self.rendezvous.accept_attempt(),
            Action::AcceptResume => self.rendezvous.accept_resume(),
            Action::InterruptLink => self.interrupt_link(),
            Action::AdoptLink => self.adopt_link(),
            Action::DeleteNameplate => {
                self.background_tasks
                    .spawn(self.rendezvous.release_nameplate());
            }
            Action::SendCustomerInfo => {
                let info = self.customer_info();
                self.send_control(ToAgent::Info(Box::new(info)));
            }
            Action::SendToAgent(message) => self.send_control(message),
            Action::SetPermissions(permissions) => self.set_permissions(permissions),
            Action::BlockInput(blocked) => {
                if let Some(agent) = &mut self.agent {
                    agent.gate.block_input(blocked);
                    if blocked {
                        agent.clipboard_order.release();
                    }
                }
            }
            Action::ReleaseInput => self.release_input(),
            Action::RestrictToApp => {
                if let (Some(plugin), Some(app)) = (&self.plugin, &self.config.app) {
                    plugin.restrict_to_app(app.pids.clone());
                }
            }
            Action::AttachPicture => self.attach_picture(),
            Action::KeepRestart => {
                self.restart_due = true;
                self.keep_restart_if_due();
            }
            Action::ForgetRestart => self.forget_restart(),
            Action::Shutdown { reason } => self.shut_down(reason),
            Action::ForceStop => {
                tracing::warn!("the session didn't end in time; what is left is killed");
                self.teardown = None;
                if let Some(input) = &self.config.input_release {
                    input.finish(Box::new(|| ()));
                }
            }
        }
    }

    fn start(&mut self) {
        if let Some(Err(detail)) = self.config.come_back.take_if(|taken| taken.is_err()) {
            return self.fail(Failure::new(FailureName::RestartRefused, detail));
        }
        let exe = self.config.host_exe.clone();
        let spec = self.config.backend.plugin.clone();
        let check = self.config.display_check;
        self.plugin = Some(PluginHandle::start(exe, spec, check));
        self.plugin_info = PluginInfo::default();
        self.opening.reset();
        self.mint_code();
    }

    fn mint_code(&mut self) {
        self.opening.mint();
        match self.config.backend.transport {
            Transport::Link(form) => self.rendezvous.open(RendezvousConfig {
                service: self.config.service.clone(),
                form,
                vendors: self.config.vendor.keys.clone(),
                revocations: self.config.revocations.clone(),
                stale_revocations: self.config.stale_revocations,
                come_back: self.config.come_back.take().and_then(Result::ok),
            }),
            Transport::External => {
                let step = self.opening.code_minted(random_password());
                self.perform_steps(step);
            }
        }
    }

    /// Keeps what a restart needs, once the link's new key is the only one.
    pub(super) fn keep_restart_if_due(&mut self) {
        if !self.restart_due {
            return;
        }
        let Some(keeper) = self.config.restart.clone() else {
            return;
        };
        // One at a time, so that the newest key is kept last.
        if self.keeping_restart.is_none()
            && let Some(link) = self.rendezvous.credentials()
        {
            self.restart_due = false;
            self.keeping_restart = Some(tokio::task::spawn_blocking(move || keeper.keep(link)));
        }
    }

    /// Removes what was kept for a restart, also what is being kept now.
    fn forget_restart(&mut self) {
        self.restart_due = false;
        let keeping = self.keeping_restart.take();
        if let Some(keeper) = self.config.restart.clone() {
            self.background_tasks.spawn(async move {
                if let Some(keeping) = keeping {
                    let _ = keeping.await;
                }
                let _ = tokio::task::spawn_blocking(move || keeper.forget()).await;
            });
        }
    }

    fn interrupt_link(&mut self) {
        if let Some(agent) = self.agent.take() {
            tracing::info!("the link is interrupted");
            agent.interrupt();
        }
        self.control_barrier.drop_held();
        self.rendezvous.link_interrupted();
    }

    /// Takes the resumed link: new streams, a new gate, and the whole picture anew. The plugin
    /// stays as it is.
    fn adopt_link(&mut self) {
        let Some(link) = self.resumed.take() else {
            return;
        };
        tracing::info!("the link is resumed");
        let server = match &self.plugin_stream {
            Some(plugin) => plugin.server_capabilities(),
            None => ServerCapabilities::declared(self.backend_capabilities()),
        };
        let (_, agent) = AgentConnection::new(link, server, self.clock);
        self.agent = Some(agent);
        if let Some(address) = self.rendezvous.link_resumed() {
            self.tell_address(address);
        }
    }

    pub(super) fn send_control(&mut self, message: ToAgent) {
        match self.control_barrier.push(message) {
            Ok(passing) => self.send_to_agent(passing),
            Err(Overflow) => {
                self.fail(agent_misbehaved("it asks faster than anybody can answer"));
            }
        }
    }

    fn set_permissions(&mut self, permissions: Permissions) {
        if let Some(agent) = &mut self.agent {
            agent.gate.set_permissions(permissions);
            if !permissions.control {
                agent.clipboard_order.release();
            }
        }
        if let Some(input) = self
            .config
            .input_release
            .as_ref()
            .filter(|_| permissions.control)
        {
            input.control_given();
        }
        if let Some(plugin) = &self.plugin {
            self.control_barrier.permissions_sent();
            plugin.set_permissions(permissions);
        }
    }

    fn release_input(&mut self) {
        let Some(agent) = &mut self.agent else { return };
        let releases = agent.gate.release_input();
        // Also where the plugin, or its tool, can't do it any more.
        if let Some(input) = self
            .config
            .input_release
            .as_ref()
            .filter(|_| !releases.is_empty())
        {
            input.release();
        }
        if let Some(plugin) = &mut self.plugin_stream {
            plugin.release_input(releases);
        }
    }

    fn attach_picture(&mut self) {
        let Some(plugin) = &self.plugin else { return };
        let capabilities = self.backend_capabilities();
        let attached = UnixStream::pair().and_then(|(ours, theirs)| {
            let stream = PluginStream::new(ours, capabilities)?;
            plugin.attach(theirs);
            Ok(stream)
        });
        match attached {
            Ok(stream) => {
                self.plugin_stream = Some(stream);
                self.watch_screen();
            }
            Err(error) => {
                let detail = format!("no socket for the picture: {error}");
                self.fail(Failure::new(FailureName::Internal, detail));
            }
        }
    }

    /// Begins the teardown: the plugin's RFB socket before the plugin, so that releases reach it,
    /// and the last message before the link. All of it has time-outs, and the machine has one above
    /// them.
    fn shut_down(&mut self, reason: String) {
        let passing = self.control_barrier.release();
        self.send_to_agent(passing);
        self.opening.reset();
        self.resumed = None;
        self.screen = None;
        let (stream, plugin) = (self.plugin_stream.take(), self.plugin.take());
        if reason != RESTARTING {
            self.rendezvous.leave(&reason);
        }
        let (agent, close_rendezvous) = (self.agent.take(), self.rendezvous.close());
        let input_release = self.config.input_release.clone();
        let mut background_tasks = std::mem::take(&mut self.background_tasks);
        self.teardown = Some(Box::pin(async move {
            let picture = async {
                if let Some(stream) = stream {
                    stream.drain_and_close(FAREWELL_TIMEOUT).await;
                }
                if let Some(plugin) = plugin {
                    plugin.shutdown().await;
                }
                if let Some(input) = input_release {
                    finish(&*input).await;
                }
            };
            let link = async {
                if let Some(agent) = agent {
                    agent.close(&reason, FAREWELL_TIMEOUT).await;
                }
                close_rendezvous.await;
            };
            let rest = async { while background_tasks.join_next().await.is_some() {} };
            tokio::join!(picture, link, rest);
        }));
    }

    fn customer_info(&self) -> CustomerInfo {
        let shared = self.machine.app_sharing();
        let only_program = shared.filter(|app| app.app_only).map(|app| app.name);
        self.config.installation().customer_info(
            &self.plugin_info,
            &self.config.other_backends,
            only_program,
        )
    }
}
