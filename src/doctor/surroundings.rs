//! The checks of what surrounds the launcher: the system, the display, the folders.

use super::Check;
use crate::fonts::NO_FONTS;
use crate::launcher::{UserFolders, system_description};
use crate::registry::installed::Installed;

/// Names the launcher's version and the system.
pub(super) fn system() -> Check {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = kernel.trim();
    Check::ok(
        "system",
        format!(
            "etatuki {}; {}; kernel {kernel}",
            env!("CARGO_PKG_VERSION"),
            system_description()
        ),
    )
}

/// Reports whether the display answers, and why it can't be shared (`unsupported`): for each entry
/// this comes out the same.
pub(super) fn display(answers: bool, unsupported: Option<String>) -> Check {
    let name = std::env::var("DISPLAY").unwrap_or_default();
    if let Some(reason) = unsupported {
        return Check::blocked("display", reason);
    }
    match (answers, name.is_empty()) {
        (true, _) => Check::ok("display", format!("{name} answers")),
        (false, true) => Check::blocked(
            "display",
            "DISPLAY isn't set: start this on the customer's desktop, not over ssh or from a service",
        ),
        (false, false) => Check::blocked(
            "display",
            format!(
                "{name} doesn't answer: is the X server running, and may this user use it (XAUTHORITY)?"
            ),
        ),
    }
}

/// Reports whether there is a font to show a window with.
pub(super) fn fonts(there: bool) -> Check {
    match there {
        true => Check::ok("fonts", "there are some"),
        false => Check::blocked("fonts", NO_FONTS),
    }
}

/// Reports whether the log can be written.
pub(super) fn log_folder(folders: &UserFolders) -> Check {
    let Some(folder) = folders.logs() else {
        return Check::warning("log", "this user has no home folder, so there is no log");
    };
    let shown = folder.display();
    let written = std::fs::create_dir_all(&folder).and_then(|()| {
        let file = folder.join(".doctor");
        std::fs::write(&file, [])?;
        std::fs::remove_file(&file)
    });
    match written {
        Ok(()) => Check::ok("log", format!("{shown}")),
        Err(error) => Check::warning("log", format!("{shown} can't be written: {error}")),
    }
}

/// Names the registry and who vouches for it.
pub(super) fn registry(installed: &Installed) -> Check {
    let shown = installed.file.display();
    let keys = installed.registry.vendor.keys.len();
    if installed.development {
        return Check::warning(
            "registry",
            format!("{shown}, given with --registry: for development, every window says so"),
        );
    }
    let plural = if keys == 1 { "" } else { "s" };
    let vendor = &installed.registry.vendor.name;
    Check::ok(
        "registry",
        format!("{shown}: {vendor} with {keys} key{plural}"),
    )
}
