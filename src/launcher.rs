//! What the launcher knows once it has started: the registry, the user's settings, the language, and
//! what a session or a probe needs of them.

use std::path::{Path, PathBuf};

use directories::ProjectDirs;
use etatuki_plugin_host::{Origin, PluginSpec};
use etatuki_session::{SessionConfig, Transport, UsableBackend};

use crate::cli::Options;
use crate::language::Language;
use crate::registry::place::{Installed, PlaceError};
use crate::registry::{self, Backend};
use crate::settings::{Settings, SettingsError};
use crate::texts::Texts;

/// Where the user's own files are.
#[derive(Clone, Debug, Default)]
pub struct Folders {
    settings: Option<PathBuf>,
    state: Option<PathBuf>,
}

impl Folders {
    /// As the system says; none when it doesn't know the user's home.
    pub fn of_system() -> Self {
        let Some(folders) = ProjectDirs::from("", "", "etatuki") else {
            return Self::default();
        };
        let state = folders
            .state_dir()
            .unwrap_or_else(|| folders.data_local_dir());
        Self {
            settings: Some(folders.config_dir().join("settings.toml")),
            state: Some(state.to_owned()),
        }
    }

    /// Where the log goes.
    pub fn logs(&self) -> Option<PathBuf> {
        self.state.as_ref().map(|state| state.join("logs"))
    }

    fn revocations(&self) -> Option<PathBuf> {
        self.state
            .as_ref()
            .map(|state| state.join("revocations.txt"))
    }

    fn settings(&self) -> Result<Settings, SettingsError> {
        self.settings
            .as_deref()
            .map_or_else(|| Ok(Settings::default()), Settings::read)
    }
}

/// What is known before there is a registry: enough to say what is wrong in the customer's language.
#[derive(Debug)]
pub struct Start {
    options: Options,
    settings: Settings,
    folders: Folders,
    exe: PathBuf,
    /// What was wrong with the settings, for the log.
    pub settings_error: Option<SettingsError>,
}

impl Start {
    /// Reads the user's settings.
    pub fn new(options: Options) -> Self {
        let folders = Folders::of_system();
        let (settings, settings_error) = match folders.settings() {
            Ok(settings) => (settings, None),
            Err(error) => (Settings::default(), Some(error)),
        };
        // Without its own path there is no registry beside it and no plugin host: both say so.
        let exe = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("etatuki"));
        Self {
            options,
            settings,
            folders,
            exe,
            settings_error,
        }
    }

    /// Where the user's own files are.
    pub fn folders(&self) -> &Folders {
        &self.folders
    }

    /// Whether the log goes to stderr too.
    pub fn verbose(&self) -> bool {
        self.options.verbose
    }

    /// The language as far as it is known without the registry.
    pub fn language(&self) -> Language {
        let variable = |name: &str| std::env::var(name).ok();
        let chosen = self.options.language.or(self.settings.language);
        chosen
            .or_else(|| Language::of_system(variable))
            .unwrap_or_default()
    }

    /// Reads the registry.
    ///
    /// # Errors
    /// Why there is none.
    pub fn launcher(self) -> Result<Launcher, Box<(Self, PlaceError)>> {
        match Installed::load(self.options.registry.as_deref(), &self.exe) {
            Ok(installed) => Ok(Launcher::new(self, installed)),
            Err(error) => Err(Box::new((self, error))),
        }
    }
}

/// What is known once the registry was read.
#[derive(Debug)]
pub struct Launcher {
    /// The registry and its place.
    pub installed: Installed,
    /// The language of everything that the customer reads.
    pub language: Language,
    /// The customer's sentences.
    pub texts: Texts,
    start: Start,
}

impl Launcher {
    fn new(start: Start, installed: Installed) -> Self {
        let language = installed
            .registry
            .language
            .unwrap_or_else(|| start.language());
        Self {
            installed,
            language,
            texts: Texts::load(language),
            start,
        }
    }

    /// What was known before.
    pub fn start(&self) -> &Start {
        &self.start
    }

    /// The launcher's own executable, which is also the plugin host's.
    pub fn exe(&self) -> &Path {
        &self.start.exe
    }

    /// The strip that says that the registry is nobody's, if so.
    pub fn banner(&self) -> Option<&str> {
        self.installed
            .development
            .then_some(self.texts.window.development.as_str())
    }

    /// The entries in the order in which this user sees them.
    pub fn entries(&self) -> Vec<&Backend> {
        self.start.settings.sort(&self.installed.registry.backends)
    }

    /// The entry of that id.
    pub fn backend(&self, id: &str) -> Option<&Backend> {
        self.installed.registry.backend(id)
    }

    /// An entry's name.
    pub fn label<'a>(&self, backend: &'a Backend) -> &'a str {
        backend.label.in_language(self.language)
    }

    /// The accounting program's version, when this entry is the fitting one for it.
    pub fn fits(&self, backend: &Backend) -> Option<String> {
        let given = self.start.options.app_version.as_deref()?;
        registry::app_version(given)
            .is_some_and(|version| backend.fits(&version))
            .then(|| given.to_owned())
    }

    /// What the plugin host needs to load an entry's plugin.
    pub fn spec(&self, backend: &Backend) -> PluginSpec {
        PluginSpec {
            id: backend.plugin_id.clone(),
            external_transport: backend.form.is_none(),
            path: self.installed.plugins.join(&backend.plugin),
            version: backend.version.clone(),
            sha256: backend.sha256,
            minisign: backend.minisign.clone(),
            folder: self.installed.plugins.clone(),
            options: backend.options.clone(),
            network: backend.network,
            language: self.language.code().to_owned(),
            origin: self.origin(backend),
        }
    }

    /// Where the registry says so, for errors that are found when the plugin is loaded.
    fn origin(&self, backend: &Backend) -> Origin {
        let file = self.installed.file.display();
        let place = |line, key: &str| format!("{file}, line {line}, key `backend.{key}`");
        Origin {
            plugin: place(backend.lines.plugin, "plugin"),
            version: place(backend.lines.version, "version"),
            options: place(backend.lines.options, "options"),
        }
    }

    /// What a session needs.
    pub fn session(&self, backend: &Backend, others: Vec<UsableBackend>) -> SessionConfig {
        let registry = &self.installed.registry;
        SessionConfig {
            vendor: etatuki_session::Vendor {
                name: registry.vendor.name.clone(),
                phone: registry.vendor.phone.clone(),
                keys: registry.vendor.keys.clone(),
            },
            service: registry.service.clone(),
            backend: etatuki_session::Backend {
                id: backend.id.clone(),
                label: self.label(backend).to_owned(),
                transport: backend.form.map_or(Transport::External, Transport::Link),
                plugin: self.spec(backend),
            },
            other_backends: others,
            system: system(),
            app_version: self.start.options.app_version.clone(),
            app: program(&self.start.options),
            launcher_version: env!("CARGO_PKG_VERSION").to_owned(),
            host_exe: self.exe().to_owned(),
            revocations: self.start.folders.revocations(),
        }
    }
}

/// Most characters of a program's name.
const LONGEST_NAME: usize = 24;

/// The program that called us, if it said which one it is. One without a name is called by its executable's.
fn program(options: &Options) -> Option<etatuki_session::App> {
    let pids = options.program_pid.clone();
    let first = pids.first()?;
    let given = options.program_name.clone();
    let name = given.or_else(|| std::fs::read_to_string(format!("/proc/{first}/comm")).ok())?;
    let name = name.trim().chars().filter(|c| !c.is_control());
    let name: String = name.take(LONGEST_NAME).collect();
    Some(etatuki_session::App { pids, name }).filter(|program| !program.name.is_empty())
}

/// The operating system in words, for the agent: `Debian GNU/Linux 12 (bookworm), x86_64`.
fn system() -> String {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let name = name.map_or(std::env::consts::OS, |name| name.trim_matches('"'));
    format!(
        "{}, {}",
        name.chars().take(80).collect::<String>(),
        std::env::consts::ARCH
    )
}
