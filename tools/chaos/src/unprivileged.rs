//! Network namespaces without root: in a user namespace, in which this program runs once more.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

/// Returns at once for root, or for somebody who is it in a user namespace. Otherwise becomes this
/// program in a user namespace, where the folder `bin` has the programs.
///
/// # Errors
/// Neither is allowed here; the error says what is missing.
pub(crate) fn become_root_of_a_namespace(bin: &Path) -> Result<()> {
    if rustix::process::geteuid().is_root() {
        return try_out(&["--net", "--mount", "true"]);
    }
    let namespaces = ["--user", "--map-root-user", "--mount"];
    try_out(&[&namespaces[..], &["--net", "true"]].concat())?;
    let error = Command::new("unshare")
        .args(namespaces)
        .args(["--", "sh", "-c", include_str!("unprivileged.sh"), "sh"])
        .arg(bin)
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .exec();
    bail!("can't start in a user namespace: {error}")
}

fn try_out(arguments: &[&str]) -> Result<()> {
    let mut unshare = Command::new("unshare");
    let output = unshare.args(arguments).stdin(Stdio::null()).output();
    let words = match output {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => format!("unshare (Debian's package util-linux): {error}"),
    };
    bail!(
        "network namespaces can't be made here: {words}\n\
         Run it as root, or allow user namespaces: kernel.unprivileged_userns_clone=1 on Debian, \
         kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu, both set with sysctl."
    )
}
