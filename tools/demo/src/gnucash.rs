//! GnuCash in Finnish with the demo book, and the three entries in its Help menu.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use etatuki_deployment::deployment::Deployment;
use etatuki_deployment::process::Process;

/// Time-out for GnuCash to show its book; a slow machine needs some ten seconds.
const START_TIMEOUT: Duration = Duration::from_secs(90);

/// Starts GnuCash on a display, and waits for its window. `repository` is the folder with
/// `integrations/gnucash`. GnuCash keeps its files in the deployment's folder, and the launcher in
/// its menu uses the deployment's registry.
pub fn start(deployment: &Deployment, display: &str, repository: &Path) -> Result<Process> {
    let home = deployment.folder().join("accountant");
    for folder in [".config", ".local/share", "run"] {
        fs::create_dir_all(home.join(folder))?;
    }
    fs::set_permissions(
        home.join("run"),
        std::os::unix::fs::PermissionsExt::from_mode(0o700),
    )?;
    let book = home.join("Esimerkki.gnucash");
    fs::write(&book, include_bytes!("../book/demo.gnucash"))?;
    let mut command = Command::new("dbus-run-session");
    command
        .args(["--", "sh", "-c", START_SCRIPT])
        .arg("sh")
        .arg(&book);
    set_environment(&mut command, deployment, display, &home)?;
    install_menu_entries(&command, repository)?;
    let log = fs::File::create(deployment.folder().join("gnucash.log"))?;
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    let mut gnucash = Process::start(&mut command)
        .context("dbus-run-session is needed: Debian's package dbus-x11")?;
    wait_for_book(&mut gnucash, display).map_err(|error| {
        let log = fs::read_to_string(deployment.folder().join("gnucash.log")).unwrap_or_default();
        let end = log.lines().last().unwrap_or("it said nothing").to_owned();
        error.context(end)
    })?;
    Ok(gnucash)
}

/// Waits for the book's window.
fn wait_for_book(gnucash: &mut Process, display: &str) -> Result<()> {
    let end = Instant::now() + START_TIMEOUT;
    loop {
        let mut tree = Command::new("xwininfo");
        tree.args(["-display", display, "-root", "-tree"])
            .stderr(Stdio::null());
        let tree = tree
            .output()
            .context("xwininfo is needed: Debian's package x11-utils")?;
        if String::from_utf8_lossy(&tree.stdout).contains("Esimerkki") {
            return Ok(());
        }
        if !gnucash.is_running() {
            bail!("GnuCash ended before its window was there");
        }
        if Instant::now() > end {
            bail!("GnuCash showed no window for {START_TIMEOUT:?}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The shell script that switches GnuCash's first-run windows off and starts it on the book.
const START_SCRIPT: &str = "
set -e
gsettings set org.gnucash.GnuCash.dialogs.totd show-at-startup false
gsettings set org.gnucash.GnuCash.dialogs.new-user first-startup false
gsettings set org.gnucash.GnuCash.general show-splash-screen false
exec gnucash \"$1\"";

fn set_environment(
    command: &mut Command,
    deployment: &Deployment,
    display: &str,
    home: &Path,
) -> Result<()> {
    let locales = make_finnish_locale(deployment.folder())?;
    command
        .env("DISPLAY", display)
        .env("HOME", home)
        .env("XDG_CONFIG_HOME", home.join(".config"))
        .env("XDG_DATA_HOME", home.join(".local/share"))
        .env("XDG_RUNTIME_DIR", home.join("run"))
        .env("ETATUKI", launcher_script(deployment)?)
        .env("LOCPATH", locales)
        .env("LANG", "fi_FI.UTF-8")
        .env("LC_ALL", "fi_FI.UTF-8")
        .env("LANGUAGE", "fi")
        .env("NO_AT_BRIDGE", "1")
        .env_remove("GNC_CONFIG_HOME")
        .env_remove("WAYLAND_DISPLAY");
    Ok(())
}

/// Writes the script that the menu starts: the launcher with this run's registry, since none is
/// installed on this machine.
fn launcher_script(deployment: &Deployment) -> Result<PathBuf> {
    let path = deployment.folder().join("etatuki");
    let program = deployment.bin().join("etatuki");
    let script = format!(
        "#!/bin/sh\nexec '{}' --registry '{}' \"$@\"\n",
        program.display(),
        deployment.registry().display()
    );
    fs::write(&path, script)?;
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    Ok(path)
}

/// Makes the Finnish locale in this run's folder: nothing else on the machine changes.
fn make_finnish_locale(folder: &Path) -> Result<PathBuf> {
    let locales = folder.join("locales");
    fs::create_dir_all(&locales)?;
    // localedef's exit code reports warnings about its own sources; the locale is made all the
    // same.
    let _ = Command::new("localedef")
        .args(["-i", "fi_FI", "-f", "UTF-8"])
        .arg(locales.join("fi_FI.UTF-8"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("localedef is needed: Debian's package locales")?;
    Ok(locales)
}

/// Runs the integration's own install script for the demonstration's user.
fn install_menu_entries(gnucash: &Command, repository: &Path) -> Result<()> {
    let mut install = Command::new("sh");
    install
        .arg(repository.join("integrations/gnucash/install.sh"))
        .stdin(Stdio::null());
    for (variable, value) in gnucash.get_envs() {
        match value {
            Some(value) => install.env(variable, value),
            None => install.env_remove(variable),
        };
    }
    let done = install.output()?;
    if !done.status.success() {
        bail!(
            "integrations/gnucash/install.sh: {}",
            String::from_utf8_lossy(&done.stderr).trim()
        );
    }
    Ok(())
}
