//! The surroundings of a session: plugins, a vendor, a service, a display; and the customer.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use etatuki_plugin_host::{Origin, PluginSpec};
use etatuki_protocol::{Ask, UsableBackend};
use etatuki_service::{Config, ServiceHandle};
use etatuki_session::{Backend, SessionConfig, SessionHandle, Vendor, start};
use etatuki_session_core::{Command, State, Transport, View};
use etatuki_trust::{
    AgentCard, AgentFile, AgentKey, CardData, CodeForm, RevocationList, SignedRevocations,
    StaleRevocations, UnixTime, VendorKey,
};
use serde_json::Value;

use crate::display::{Display, TEST_TIMEOUT};

/// Sessions beside one another read it. Tests that look at all that this process holds write it, so
/// that everything left over belongs to their session.
static TURN: tokio::sync::RwLock<()> = tokio::sync::RwLock::const_new(());

/// The place of a test in [`TURN`].
enum Turn {
    Shared {
        _turn: tokio::sync::RwLockReadGuard<'static, ()>,
    },
    Alone {
        _turn: tokio::sync::RwLockWriteGuard<'static, ()>,
    },
}

/// Everything around a session.
pub(crate) struct World {
    pub(crate) display: Display,
    pub(crate) service: ServiceHandle,
    pub(crate) vendor: VendorKey,
    pub(crate) state: tempfile::TempDir,
    _turn: Turn,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with_list_until(UnixTime(u64::MAX)).await
    }

    /// Makes a world beside which there is no other in this process.
    pub(crate) async fn alone() -> Self {
        let turn = Turn::Alone {
            _turn: TURN.write().await,
        };
        Self::start(turn, UnixTime(u64::MAX)).await
    }

    /// Makes a world whose vendor's list counts until then, and revokes card 66.
    pub(crate) async fn with_list_until(until: UnixTime) -> Self {
        let turn = Turn::Shared {
            _turn: TURN.read().await,
        };
        Self::start(turn, until).await
    }

    async fn start(turn: Turn, until: UnixTime) -> Self {
        let vendor = VendorKey::from_seed([1; 32]);
        let state = tempfile::tempdir().expect("a folder");
        let list = state.path().join("given");
        let revoked = RevocationList {
            number: 7,
            until,
            serials: [66].into(),
        };
        let signed = SignedRevocations::sign(&vendor, revoked).expect("a short list");
        std::fs::write(&list, signed.to_text()).expect("written");
        let listen = "127.0.0.1:0".parse().expect("an address");
        let mut config = Config::new(listen, vec![vendor.public()]);
        config.revocations = vec![list];
        config.limits = etatuki_service::Limits::without_rate_limits();
        let service = etatuki_service::start(config)
            .await
            .expect("a service on loopback");
        Self {
            display: Display::start(),
            service,
            vendor,
            state,
            _turn: turn,
        }
    }

    /// Revokes this card too, as the vendor, and waits until the customer's end knows.
    pub(crate) fn revoke(&self, serial: u64) {
        let revoked = RevocationList {
            number: 8,
            until: UnixTime(u64::MAX),
            serials: [66, serial].into(),
        };
        let signed = SignedRevocations::sign(&self.vendor, revoked).expect("a short list");
        let (given, seen) = (
            self.state.path().join("given"),
            self.state.path().join("seen"),
        );
        std::fs::write(given, signed.to_text()).expect("written");
        self.display.until("the customer's end knows", |_| {
            std::fs::read_to_string(&seen).is_ok_and(|text| text.contains(&signed.to_text()))
        });
    }

    pub(crate) fn agent(&self, serial: u64) -> AgentFile {
        let key = AgentKey::from_seed([9; 32]);
        let data = CardData {
            serial,
            name: "Liisa Virtanen".into(),
            organisation: "Tilitieto Oy".into(),
            issued: UnixTime(0),
            expires: UnixTime(u64::MAX / 2),
            key: key.public(),
        };
        AgentFile {
            card: AgentCard::issue(&self.vendor, data).expect("good names"),
            key,
        }
    }

    /// Returns a customer who has just picked this entry.
    pub(crate) fn customer(&self, backend: &str) -> Customer {
        Customer::new(self.config(backend))
    }

    pub(crate) fn config(&self, backend: &str) -> SessionConfig {
        let form = if backend == "ecom" {
            CodeForm::IdAndPassword
        } else {
            CodeForm::SingleCode
        };
        let folder = artefacts();
        let (id, library) = match backend {
            "ecom" => ("ecom", "libetatuki_ecom.so"),
            _ => ("tool", "libetatuki_tool.so"),
        };
        let mut options = match backend {
            "dials-in" => dials_in(),
            shipped => shipped_options(shipped),
        };
        options["display"] = self.display.name.clone().into();
        let other = UsableBackend {
            id: "another".into(),
            label: "Another".into(),
            usable: true,
            reason: None,
        };
        SessionConfig {
            vendor: Vendor {
                name: "Tilitieto Oy".into(),
                phone: "09 123 456".into(),
                keys: vec![self.vendor.public()],
            },
            service: self.service.url.clone(),
            backend: Backend {
                id: backend.into(),
                label: backend.to_uppercase(),
                transport: Transport::Link(form),
                plugin: PluginSpec {
                    id: id.into(),
                    external_transport: false,
                    code_form: None,
                    path: folder.join(library),
                    version: "*".parse().expect("any version"),
                    sha256: None,
                    minisign: None,
                    options,
                    network: backend != "remoteus-2008",
                    language: "fi".into(),
                    origin: Origin::default(),
                    folder: folder.clone(),
                },
            },
            other_backends: vec![other],
            system: "a test".into(),
            app_version: Some("4.13".into()),
            app: None,
            launcher_version: "0.1.0".into(),
            wording: None,
            host_exe: folder.join("etatuki-plugin-host"),
            input_release: None,
            display_check: None,
            display_watch: None,
            revocations: Some(self.state.path().join("seen")),
            restart: None,
            come_back: None,
            stale_revocations: StaleRevocations::Refuse,
            resume_limit: etatuki_protocol::RESUME_LIMIT,
        }
    }
}

/// Returns the options of an entry of the registry that ships: its tool's profile.
fn shipped_options(backend: &str) -> Value {
    let shipped = include_str!("../../../../backends.toml");
    let registry: Value = toml::from_str(shipped).expect("the registry is TOML");
    let entries = registry["backend"].as_array().expect("entries");
    let entry = entries.iter().find(|entry| entry["id"] == backend);
    let options = entry.expect("such an entry").get("options").cloned();
    options.unwrap_or_else(|| Value::Object(serde_json::Map::new()))
}

/// Returns options of x11vnc as a tool that can't serve on its stdio.
fn dials_in() -> Value {
    let mut options = shipped_options("remoteus-2008");
    options["serves"] = "dials-in".into();
    let start = options["start"].as_array_mut().expect("arguments");
    start.retain(|arg| arg != "-inetd");
    let dial = ["-connect_or_exit", "127.0.0.1:{port}"];
    start.extend(dial.map(Value::from));
    options
}

/// Returns the folder of cargo's artefacts, without links. Builds those that are missing.
pub(crate) fn artefacts() -> PathBuf {
    static BUILT: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    BUILT
        .get_or_init(|| {
            let test = std::env::current_exe().expect("a test has a path");
            let folder = test
                .parent()
                .and_then(Path::parent)
                .expect("target/<profile>/deps");
            let packages = ["plugin-host", "ecom", "tool", "own-tool"];
            let mut cargo = std::process::Command::new(env!("CARGO"));
            cargo
                .arg("build")
                .arg("--quiet")
                .current_dir(env!("CARGO_MANIFEST_DIR"));
            cargo.args(
                packages
                    .iter()
                    .flat_map(|name| ["-p".to_owned(), format!("etatuki-{name}")]),
            );
            assert!(
                cargo.status().expect("cargo runs").success(),
                "the plugins don't build"
            );
            folder.canonicalize().expect("it is there")
        })
        .clone()
}

/// A customer in front of a session: sees its views, gives commands.
pub(crate) struct Customer {
    handle: Option<SessionHandle>,
    views: Arc<(Mutex<Vec<View>>, Condvar)>,
}

impl Customer {
    pub(crate) fn new(config: SessionConfig) -> Self {
        let views: Arc<(Mutex<Vec<View>>, Condvar)> = Arc::default();
        let sees = Arc::clone(&views);
        let on_view = Box::new(move |view| {
            sees.0.lock().expect("no holder panics").push(view);
            sees.1.notify_all();
        });
        Self {
            handle: Some(start(config, on_view)),
            views,
        }
    }

    pub(crate) fn give(&self, command: Command) {
        self.handle.as_ref().expect("it runs").send(command);
    }

    /// Waits until the newest view is like this.
    #[track_caller]
    pub(crate) fn sees(&self, what: &str, like: impl Fn(&View) -> bool) -> View {
        let (views, changed) = &*self.views;
        let deadline = Instant::now() + TEST_TIMEOUT;
        let mut views = views.lock().expect("no holder panics");
        loop {
            match views.last() {
                Some(view) if like(view) => return view.clone(),
                _ => {}
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "never saw {what}; last: {:#?}",
                views.last()
            );
            views = changed
                .wait_timeout(views, left)
                .expect("no holder panics")
                .0;
        }
    }

    #[track_caller]
    pub(crate) fn reaches(&self, state: State) -> View {
        self.sees(&format!("{state:?}"), |view| view.state == state)
    }

    /// Waits for the question and for its first second, and answers.
    #[track_caller]
    pub(crate) fn answers(&self, ask: &Ask, allow: bool) {
        let open = |view: &View| {
            view.question
                .as_ref()
                .is_some_and(|question| question.ask == *ask && question.answerable)
        };
        let view = self.sees("the question", open);
        let question = view.question.expect("it is open").id;
        self.give(Command::Answer { question, allow });
    }

    /// Opens the session, and waits for the code.
    #[track_caller]
    pub(crate) fn opens(&self) -> View {
        self.give(Command::Open);
        self.sees("a code", |view| {
            assert_ne!(view.state, State::Failed, "{:?}", view.failure);
            view.code.is_some()
        })
    }

    /// Ends the session's thread, and returns the time that it took.
    pub(crate) fn leaves(mut self) -> Duration {
        let began = Instant::now();
        if let Some(handle) = self.handle.take() {
            handle.join();
        }
        began.elapsed()
    }
}

/// Returns the children of this process without X servers, and the number of its open files.
pub(crate) fn holdings() -> (Vec<String>, usize) {
    let files = std::fs::read_dir("/proc/self/fd").expect("proc").count();
    let me = std::process::id();
    let mine = processes()
        .into_iter()
        .filter(|process| process.parent == me);
    let commands = mine.map(|process| process.command.join(" "));
    (
        commands
            .filter(|command| !command.starts_with("Xvfb"))
            .collect(),
        files,
    )
}

/// Returns the plugin hosts of this process, each under its supervisor.
pub(crate) fn hosts() -> Vec<u32> {
    let me = std::process::id();
    let all = processes();
    let supervisors: Vec<u32> = all
        .iter()
        .filter(|process| process.parent == me)
        .map(|process| process.id)
        .collect();
    let is_host = |process: &Process| process.command.iter().any(|word| word == "plugin-host");
    all.into_iter()
        .filter(|process| supervisors.contains(&process.parent) && is_host(process))
        .map(|it| it.id)
        .collect()
}

/// Counts the tools that were started for this display, by anybody.
pub(crate) fn tools_on(display: &str) -> usize {
    tool_processes(display).len()
}

/// Kills the tools that serve that display.
pub(crate) fn end_tools_on(display: &str) {
    signal("KILL", &tool_processes(display));
}

/// Sends a signal to these processes.
pub(crate) fn signal(name: &str, ids: &[u32]) {
    assert!(!ids.is_empty(), "a process runs");
    let sent = std::process::Command::new("kill")
        .args(["-s", name])
        .args(ids.iter().map(u32::to_string))
        .status();
    assert!(sent.expect("kill is installed").success());
}

/// Returns the tools that serve that display.
pub(crate) fn tool_processes(display: &str) -> Vec<u32> {
    let is_tool = |process: &Process| {
        let mut words = process.command.iter();
        words
            .next()
            .is_some_and(|program| program.ends_with("x11vnc"))
            && words.any(|word| word == display)
    };
    let tools = processes().into_iter().filter(is_tool);
    tools.map(|process| process.id).collect()
}

struct Process {
    id: u32,
    parent: u32,
    command: Vec<String>,
}

/// Returns all processes, except those that end meanwhile.
fn processes() -> Vec<Process> {
    let read = |folder: &Path| {
        let id = folder.file_name()?.to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
        let parent = stat
            .rsplit_once(')')?
            .1
            .split_whitespace()
            .nth(1)?
            .parse()
            .ok()?;
        let command = std::fs::read_to_string(folder.join("cmdline")).ok()?;
        let command = command.split('\0').map(str::to_owned).collect();
        Some(Process {
            id,
            parent,
            command,
        })
    };
    let folders = std::fs::read_dir("/proc").expect("proc").flatten();
    folders.filter_map(|folder| read(&folder.path())).collect()
}
