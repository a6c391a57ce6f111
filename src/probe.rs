//! The probe of the entries: loads every plugin in a child of its own, all at the same time, and
//! asks whether it can be used on this machine.

use std::path::Path;
use std::time::Duration;

use etatuki_plugin_host::{HostError, HostEvent, PluginHost, PluginSpec, ProbeReport};
use etatuki_session_core::UsableBackend;
use tokio::task::JoinSet;

use crate::display_check;
use crate::launcher::Launcher;

/// Time-out for one attempt at an entry's probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// Attempts at an entry's probe. On a busy machine the first takes too long, which says nothing
/// about the entry: until the last it stays as it is.
const MAX_ATTEMPTS: u32 = 4;

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
/// last one, within two seconds unless the machine is busy or a plugin hangs.
///
/// A display that can't be shared at all is found out once, for all entries but those with their own
/// transport, whose tools judge for themselves.
pub(crate) fn probe_all(
    launcher: &Launcher,
    ids: &[String],
    mut on_result: impl FnMut(ProbeResult),
) {
    let exe = launcher.exe().to_owned();
    let display = display_check::check().err();
    let mut entries = Vec::new();
    for backend in ids.iter().filter_map(|id| launcher.backend(id)) {
        let (id, spec) = (backend.id.clone(), launcher.plugin_spec(backend));
        match &display {
            Some(failure) if !spec.external_transport => {
                let name = failure.name.as_str().to_owned();
                let detail = failure.detail.clone();
                report(id, Some(Unusable { name, detail }), &mut on_result);
            }
            _ => entries.push((id, spec)),
        }
    }
    probe_entries(&exe, entries, on_result);
}

fn report(id: String, unusable: Option<Unusable>, on_result: &mut impl FnMut(ProbeResult)) {
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
            report(id, outcome.err().map(unusable), &mut on_result);
        }
    });
}

/// The reason why a probe failed.
enum ProbeError {
    Unusable { name: String, text: String },
    Host(HostError),
    TimedOut,
}

impl ProbeError {
    /// Returns whether there was no answer in time.
    fn is_slow(&self) -> bool {
        match self {
            Self::TimedOut => true,
            Self::Host(error) => error.name() == "plugin-hung",
            Self::Unusable { .. } => false,
        }
    }
}

async fn probe(exe: &Path, spec: &PluginSpec) -> Result<(), ProbeError> {
    for _ in 1..MAX_ATTEMPTS {
        match attempt(exe, spec).await {
            Err(error) if error.is_slow() => {
                tracing::info!(backend = spec.id, "the probe is slow; it is made once more");
            }
            outcome => return outcome,
        }
    }
    attempt(exe, spec).await
}

async fn attempt(exe: &Path, spec: &PluginSpec) -> Result<(), ProbeError> {
    tokio::time::timeout(PROBE_TIMEOUT, probe_in_host(exe, spec))
        .await
        .unwrap_or(Err(ProbeError::TimedOut))
}

async fn probe_in_host(exe: &Path, spec: &PluginSpec) -> Result<(), ProbeError> {
    let (host, mut events) = PluginHost::start_with_events(exe, spec).await;
    let report = match host {
        Ok(host) => {
            let report = host.probe().await;
            host.shutdown().await;
            report
        }
        Err(error) => Err(error),
    };
    if report.is_err() {
        // What the plugin said before is why.
        while let Some(event) = events.recv().await {
            if let HostEvent::Log { text, .. } = event {
                tracing::info!(target: "plugin", backend = spec.id, "{text}");
            }
        }
    }
    match report.map_err(ProbeError::Host)? {
        ProbeReport::Usable { .. } => Ok(()),
        ProbeReport::Unusable { name, text } => Err(ProbeError::Unusable { name, text }),
    }
}

fn unusable(error: ProbeError) -> Unusable {
    match error {
        ProbeError::Unusable { name, text } => Unusable { name, detail: text },
        ProbeError::TimedOut => {
            let detail = "each of several probes took longer than two seconds".to_owned();
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use etatuki_plugin_host::Origin;

    use super::*;

    /// A plugin host that hangs once, and ends at once from then on.
    const SLOW_ONCE: &str = "#!/bin/sh
test -e \"$0.seen\" && exit 3
: > \"$0.seen\"
exec sleep 100
";

    #[test]
    fn a_slow_probe_is_made_again_before_its_entry_is_unusable() {
        let folder = tempfile::tempdir().expect("a folder");
        let exe = folder.path().join("host");
        std::fs::write(&exe, SLOW_ONCE).expect("written");
        std::fs::set_permissions(&exe, std::fs::Permissions::from_mode(0o700)).expect("a mode");
        let spec = PluginSpec {
            id: "slow".into(),
            path: folder.path().join("libslow.so"),
            version: semver::VersionReq::STAR,
            sha256: None,
            minisign: None,
            folder: folder.path().to_owned(),
            options: serde_json::Value::Null,
            external_transport: false,
            code_form: None,
            network: false,
            language: "fi".into(),
            origin: Origin::default(),
        };
        let mut results = Vec::new();
        probe_entries(&exe, vec![("slow".into(), spec)], |result| {
            results.push(result)
        });
        let names = results.into_iter().map(|r| r.unusable.map(|u| u.name));
        // Not plugin-hung: the second attempt's answer counts.
        assert_eq!(names.collect::<Vec<_>>(), [Some("plugin-died".to_owned())]);
    }
}
