//! Writes man pages and shell completions of programs: `etatuki-cli-docs FOLDER PROGRAM…`.
//!
//! A tool of its own, so that the programs that ship need neither a hidden command nor the crates
//! for it. FOLDER gets the layout of `/usr/share`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Command, CommandFactory as _};
use clap_complete::{Shell, generate_to};

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let folder = arguments
        .next()
        .context("usage: etatuki-cli-docs FOLDER PROGRAM…")?;
    for program in arguments {
        let name = program.to_str().context("a program's name is UTF-8")?;
        write(command(name)?, Path::new(&folder))?;
    }
    Ok(())
}

/// Returns the command line's definition of a program.
fn command(program: &str) -> anyhow::Result<Command> {
    Ok(match program {
        "etatuki" => etatuki::cli::Cli::command(),
        "etatuki-console" => etatuki_console::cli::command(),
        "etatuki-service" => etatuki_service::Cli::command(),
        "etatuki-vendor" => etatuki_vendor::Cli::command(),
        _ => bail!("there is no program {program}"),
    })
}

/// Writes the man pages of a program and its commands, and its completions for three shells.
fn write(command: Command, share: &Path) -> anyhow::Result<()> {
    let name = command.get_name().to_owned();
    let pages = folder(share, "man/man1")?;
    clap_mangen::generate_to(command.clone().disable_help_subcommand(true), pages)?;
    for (shell, path) in [
        (Shell::Bash, "bash-completion/completions"),
        (Shell::Zsh, "zsh/site-functions"),
        (Shell::Fish, "fish/vendor_completions.d"),
    ] {
        generate_to(shell, &mut visible(&command), &name, folder(share, path)?)?;
    }
    Ok(())
}

/// Copies what completions use of a definition, without hidden commands, which `clap_complete`
/// would offer.
fn visible(command: &Command) -> Command {
    let commands = command.get_subcommands().filter(|one| !one.is_hide_set());
    let name: &'static str = command.get_name().to_owned().leak();
    let copy = Command::new(name)
        .about(command.get_about().cloned().unwrap_or_default())
        .args(command.get_arguments().cloned())
        .subcommands(commands.map(visible));
    match command.get_version() {
        Some(_) => copy.version(env!("CARGO_PKG_VERSION")),
        None => copy,
    }
}

fn folder(share: &Path, path: &str) -> anyhow::Result<PathBuf> {
    let folder = share.join(path);
    std::fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
    Ok(folder)
}
