//! The probe of the entries: loads every plugin in a child of its own, all at the same time, and
//! asks whether it can be used on this machine.

use std::path::Path;
use std::time::Duration;

use etatuki_plugin_host::{HostError, PluginHost, PluginSpec, ProbeReport};
use etatuki_session_core::UsableBackend;
use tokio::task::JoinSet;

use crate::launcher::Launcher;

/// Time-out for one entry's probe; an entry that takes longer is greyed out.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// The result of an entry's probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProbeResult {
    /// The entry's id.
    pub(crate) id: String,
    /// The reason why it can't be used; `None` if it can.
    pub(crate) unusable: Option<Unusable>,
}

/// The reason why an entry can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unusable {
    /// The stable name, which has a sentence in the customer's language.
    pub(crate) name: String,
    /// The details in English, for the log and for the integrator.
    pub(crate) detail: String,
}

impl ProbeResult {
    /// Returns the result in the form that the agent gets.
    pub(crate) fn for_agent(&self, launcher: &Launcher) -> UsableBackend {
        let label = launcher
            .backend(&self.id)
            .map(|backend| launcher.label(backend));
        UsableBackend {
            id: self.id.clone(),
            label: label.unwrap_or(&self.id).to_owned(),
            usable: self.unusable.is_none(),
            reason: self.unusable.as_ref().map(|unusable| unusable.name.clone()),
        }
    }
}

/// Probes the entries with these ids and calls `on_result` for each as it comes. Returns after the
/// last one, within about two seconds.
pub(crate) fn probe_all(launcher: &Launcher, ids: &[String], on_result: impl FnMut(ProbeResult)) {
    let exe = launcher.exe().to_owned();
    let backends = ids.iter().filter_map(|id| launcher.backend(id));
    let entries = backends.map(|backend| (backend.id.clone(), launcher.plugin_spec(backend)));
    probe_entries(&exe, entries.collect(), on_result);
}

/// Probes `entries`, each with its own id: two entries may have the same plugin.
fn probe_entries(
    exe: &Path,
    entries: Vec<(String, PluginSpec)>,
    mut on_result: impl FnMut(ProbeResult),
) {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!("no entry can be probed: {error}"),
    };
    runtime.block_on(async {
        let mut probes = JoinSet::new();
        for (id, spec) in entries {
            let exe = exe.to_owned();
            probes.spawn(async move {
                let outcome = probe(&exe, &spec).await;
                (id, outcome)
            });
        }
        while let Some(done) = probes.join_next().await {
            let Ok((id, outcome)) = done else { continue };
            let unusable = outcome.err().map(unusable);
            if let Some(unusable) = &unusable {
                tracing::info!(
                    backend = id,
                    "can't be used: {}: {}",
                    unusable.name,
                    unusable.detail
                );
            }
            on_result(ProbeResult { id, unusable });
        }
    });
}

/// The reason why a probe failed.
enum ProbeError {
    Unusable { name: String, text: String },
    Host(HostError),
    TimedOut,
}

async fn probe(exe: &Path, spec: &PluginSpec) -> Result<(), ProbeError> {
    tokio::time::timeout(PROBE_TIMEOUT, probe_in_host(exe, spec))
        .await
        .unwrap_or(Err(ProbeError::TimedOut))
}

async fn probe_in_host(exe: &Path, spec: &PluginSpec) -> Result<(), ProbeError> {
    let (host, _events) = PluginHost::start(exe, spec)
        .await
        .map_err(ProbeError::Host)?;
    let report = host.probe().await;
    host.shutdown().await;
    match report.map_err(ProbeError::Host)? {
        ProbeReport::Usable { .. } => Ok(()),
        ProbeReport::Unusable { name, text } => Err(ProbeError::Unusable { name, text }),
    }
}

fn unusable(error: ProbeError) -> Unusable {
    match error {
        ProbeError::Unusable { name, text } => Unusable { name, detail: text },
        ProbeError::TimedOut => {
            let detail = "the probe took longer than two seconds".to_owned();
            Unusable {
                name: "plugin-hung".to_owned(),
                detail,
            }
        }
        ProbeError::Host(error) => Unusable {
            name: error.name().to_owned(),
            detail: error.to_string(),
        },
    }
}
