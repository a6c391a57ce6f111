//! The launcher's state after its start: the registry, the user's settings, the language, and what
//! a session or a probe needs of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use directories::ProjectDirs;
use etatuki_plugin_host::{Origin, PluginSpec};
use etatuki_session::{RestartKeeper, SessionConfig};
use etatuki_session_core::{Transport, UsableBackend, Wording};
use etatuki_trust::{CodeForm, StaleRevocations};

use crate::cli::Options;
use crate::display_check;
use crate::display_watch::DisplayLooks;
use crate::held_input::HeldInput;
use crate::language::Language;
use crate::registry::installed::{Installed, LoadError};
use crate::registry::{self, Backend};
use crate::restart::TicketKeeper;
use crate::settings::{Settings, SettingsError};
use crate::texts::Texts;
use crate::window::session_context::Vendor;

/// The places of the user's own files.
#[derive(Clone, Debug, Default)]
pub struct UserFolders {
    settings: Option<PathBuf>,
    state: Option<PathBuf>,
}

impl UserFolders {
    /// Asks the system; there are none if it doesn't know the user's home.
    pub fn from_system() -> Self {
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

    /// Returns the folder of the log files.
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

/// The environment of a run, known before the registry: enough to report an error in the customer's
/// language.
#[derive(Debug)]
pub struct Environment {
    options: Options,
    settings: Settings,
    folders: UserFolders,
    exe: PathBuf,
    /// The reason why the settings were ignored, for the log.
    pub settings_error: Option<SettingsError>,
}

impl Environment {
    /// Reads the user's settings.
    pub fn new(options: Options) -> Self {
        let folders = UserFolders::from_system();
        let (settings, settings_error) = match folders.settings() {
            Ok(settings) => (settings, None),
            Err(error) => (Settings::default(), Some(error)),
        };
        // Without its own path there is no registry beside it and no plugin host: both report that.
        let exe = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("etatuki"));
        Self {
            options,
            settings,
            folders,
            exe,
            settings_error,
        }
    }

    /// Returns the places of the user's own files.
    pub fn folders(&self) -> &UserFolders {
        &self.folders
    }

    /// Returns whether the log goes to stderr too.
    pub fn verbose(&self) -> bool {
        self.options.verbose
    }

    /// Returns the version of `--app-version`, if it is none.
    pub fn unknown_version(&self) -> Option<&str> {
        let given = self.options.app_version.as_deref()?;
        registry::app_version(given).is_none().then_some(given)
    }

    /// Returns the language of `--language`, if it isn't one of ours.
    pub fn unknown_language(&self) -> Option<&str> {
        let given = self.options.language.as_deref()?;
        Language::from_locale(given).is_none().then_some(given)
    }

    /// Returns the language as far as it is known without the registry.
    pub fn language(&self) -> Language {
        let variable = |name: &str| std::env::var(name).ok();
        let given = self.options.language.as_deref();
        let given = given.and_then(Language::from_locale);
        let chosen = given.or(self.settings.language);
        chosen
            .or_else(|| Language::from_environment(variable))
            .unwrap_or_default()
    }

    /// Reads the registry.
    ///
    /// # Errors
    /// The reason why there is none, and the environment unchanged.
    pub fn load_registry(self) -> Result<Launcher, Box<(Self, LoadError)>> {
        match Installed::load(self.options.registry.as_deref(), &self.exe) {
            Ok(installed) => Ok(Launcher::new(self, installed)),
            Err(error) => Err(Box::new((self, error))),
        }
    }
}

/// The launcher, once it has read the registry.
#[derive(Debug)]
pub struct Launcher {
    /// The registry and the place it came from.
    pub installed: Installed,
    /// The language of the customer's texts.
    pub language: Language,
    /// The customer's texts in that language.
    pub texts: Texts,
    environment: Environment,
}

impl Launcher {
    fn new(environment: Environment, installed: Installed) -> Self {
        let language = installed
            .registry
            .language
            .unwrap_or_else(|| environment.language());
        Self {
            installed,
            language,
            texts: Texts::load(language),
            environment,
        }
    }

    /// Returns the environment of this run.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Returns the path of the launcher's own executable, which is also the plugin host's.
    pub fn exe(&self) -> &Path {
        &self.environment.exe
    }

    /// Returns the text of the banner over a development registry, which nobody vouches for.
    pub fn banner(&self) -> Option<&str> {
        self.installed
            .development
            .then_some(self.texts.window.development.as_str())
    }

    /// Returns the vendor's support, whom the customer calls.
    pub fn vendor(&self) -> Vendor {
        let vendor = &self.installed.registry.vendor;
        Vendor {
            name: vendor.name.clone(),
            phone: vendor.phone.clone(),
        }
    }

    /// Returns the entries in the user's order.
    pub fn entries(&self) -> Vec<&Backend> {
        self.environment
            .settings
            .sort(&self.installed.registry.backends)
    }

    /// Returns the entry with that id.
    pub fn backend(&self, id: &str) -> Option<&Backend> {
        self.installed.registry.backend(id)
    }

    /// Returns an entry's name in the customer's language.
    pub fn label<'a>(&self, backend: &'a Backend) -> &'a str {
        backend.label.in_language(self.language)
    }

    /// Returns the accounting program's version if this entry is the fitting one for it.
    pub fn fitting_version(&self, backend: &Backend) -> Option<String> {
        let given = self.environment.options.app_version.as_deref()?;
        registry::app_version(given)
            .is_some_and(|version| backend.fits(&version))
            .then(|| given.to_owned())
    }

    /// Returns what the plugin host needs to load an entry's plugin.
    pub fn plugin_spec(&self, backend: &Backend) -> PluginSpec {
        PluginSpec {
            id: backend.plugin_id.clone(),
            external_transport: backend.form.is_none(),
            code_form: Some(code_form_name(backend.form).to_owned()),
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

    /// Returns the registry's lines of an entry, for errors that are found when its plugin is
    /// loaded.
    fn origin(&self, backend: &Backend) -> Origin {
        let file = self.installed.file.display();
        let position = |line, key: &str| format!("{file}, line {line}, key `backend.{key}`");
        Origin {
            plugin: position(backend.lines.plugin, "plugin"),
            version: position(backend.lines.version, "version"),
            options: position(backend.lines.options, "options"),
            form: position(backend.lines.form, "form"),
        }
    }

    /// Returns what a missing or outdated revocation list means. Where the registry doesn't say it,
    /// nobody is let in; but nobody vouches for a development registry anyway, as its banner says.
    fn stale_revocations(&self) -> StaleRevocations {
        let default = if self.installed.development {
            StaleRevocations::Warn
        } else {
            StaleRevocations::Refuse
        };
        let said = self.installed.registry.vendor.stale_revocations;
        said.unwrap_or(default)
    }

    /// Returns the words of this launcher's windows that the agent is told.
    fn wording(&self) -> Wording {
        let code = &self.texts.code;
        Wording {
            language: self.language.code().to_owned(),
            id: code.id.clone(),
            password: code.password.clone(),
            session_code: code.session_code.clone(),
        }
    }

    /// Returns the keeper of what a restart needs. The launcher comes back with the same registry and
    /// language.
    fn restart_keeper(&self, backend: &Backend) -> Option<Arc<dyn RestartKeeper>> {
        backend.form?;
        let options = &self.environment.options;
        let mut more = vec!["--language".to_owned(), self.language.code().to_owned()];
        if let Some(registry) = &options.registry {
            let registry = std::path::absolute(registry).ok()?;
            more.extend(["--registry".to_owned(), registry.to_str()?.to_owned()]);
        }
        if let Some(version) = &options.app_version {
            more.extend(["--app-version".to_owned(), version.clone()]);
        }
        let keeper = TicketKeeper::new(&backend.id, self.exe().to_owned(), &more)?;
        Some(Arc::new(keeper))
    }

    /// Returns the configuration of an entry's session in this launcher's own windows.
    pub fn session_config(&self, backend: &Backend, others: Vec<UsableBackend>) -> SessionConfig {
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
                plugin: self.plugin_spec(backend),
            },
            other_backends: others,
            system: system_description(),
            app_version: self.environment.options.app_version.clone(),
            app: calling_program(&self.environment.options),
            launcher_version: env!("CARGO_PKG_VERSION").to_owned(),
            wording: Some(self.wording()),
            host_exe: self.exe().to_owned(),
            revocations: self.environment.folders.revocations(),
            input_release: Some(Arc::new(HeldInput::start())),
            display_check: Some(display_check::check),
            display_watch: Some(Arc::new(DisplayLooks)),
            restart: self.restart_keeper(backend),
            come_back: None,
            stale_revocations: self.stale_revocations(),
            resume_limit: etatuki_session::RESUME_LIMIT,
        }
    }
}

/// Returns the name of an entry's form in the registry, which is also the plugins'.
fn code_form_name(form: Option<CodeForm>) -> &'static str {
    form.map_or("own", CodeForm::name)
}

/// Longest name of an accounting program, in characters.
const MAX_PROGRAM_NAME_CHARS: usize = 24;

/// Returns the accounting program that the options name, if any. Without a name it gets its
/// executable's.
fn calling_program(options: &Options) -> Option<etatuki_session::App> {
    let pids = options.program_pid.clone();
    let first = pids.first()?;
    let given = options.program_name.clone();
    let name = given.or_else(|| std::fs::read_to_string(format!("/proc/{first}/comm")).ok())?;
    let name = name.trim().chars().filter(|c| !c.is_control());
    let name: String = name.take(MAX_PROGRAM_NAME_CHARS).collect();
    Some(etatuki_session::App { pids, name }).filter(|program| !program.name.is_empty())
}

/// Returns the operating system's name and architecture for the agent:
/// `Debian GNU/Linux 12 (bookworm), x86_64`.
pub(crate) fn system_description() -> String {
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
