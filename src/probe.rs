//! Which entries can be used on this machine: every plugin is loaded and asked in a child of its own,
//! all at the same time.

use std::path::Path;
use std::time::Duration;

use etatuki_plugin_host::{HostError, PluginHost, PluginSpec, ProbeReport};
use etatuki_session::UsableBackend;
use tokio::task::JoinSet;

use crate::launcher::Launcher;

/// How long an entry may take to answer; after that it is grey.
const LIMIT: Duration = Duration::from_secs(2);

/// What an entry's probe said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Probed {
    /// The entry's id.
    pub(crate) id: String,
    /// Why it can't be used, if so.
    pub(crate) unusable: Option<Unusable>,
}

/// Why an entry can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unusable {
    /// The stable name, which has a sentence in the customer's language.
    pub(crate) name: String,
    /// What exactly, in English, for the log and for the integrator.
    pub(crate) detail: String,
}

impl Probed {
    /// As the agent is told.
    pub(crate) fn usable(&self, launcher: &Launcher) -> UsableBackend {
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

/// Probes the entries with these ids and calls `each` with every answer as it comes; returns when all
/// have answered, two seconds later at most.
pub(crate) fn all(launcher: &Launcher, ids: &[String], each: impl FnMut(Probed)) {
    let exe = launcher.exe().to_owned();
    let backends = ids.iter().filter_map(|id| launcher.backend(id));
    let entries = backends.map(|backend| (backend.id.clone(), launcher.spec(backend)));
    run(&exe, entries.collect(), each);
}

/// Entries by their own ids: those of their plugins may be one and the same.
fn run(exe: &Path, entries: Vec<(String, PluginSpec)>, mut each: impl FnMut(Probed)) {
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
            each(Probed { id, unusable });
        }
    });
}

/// Why a probe didn't say yes.
enum No {
    Report { name: String, text: String },
    Host(HostError),
    TooLate,
}

async fn probe(exe: &Path, spec: &PluginSpec) -> Result<(), No> {
    tokio::time::timeout(LIMIT, ask(exe, spec))
        .await
        .unwrap_or(Err(No::TooLate))
}

async fn ask(exe: &Path, spec: &PluginSpec) -> Result<(), No> {
    let (host, _events) = PluginHost::start(exe, spec).await.map_err(No::Host)?;
    let report = host.probe().await;
    host.shutdown().await;
    match report.map_err(No::Host)? {
        ProbeReport::Usable { .. } => Ok(()),
        ProbeReport::Unusable { name, text } => Err(No::Report { name, text }),
    }
}

fn unusable(no: No) -> Unusable {
    match no {
        No::Report { name, text } => Unusable { name, detail: text },
        No::TooLate => {
            let detail = "the probe took longer than two seconds".to_owned();
            Unusable {
                name: "plugin-hung".to_owned(),
                detail,
            }
        }
        No::Host(error) => Unusable {
            name: error.name().to_owned(),
            detail: error.to_string(),
        },
    }
}
