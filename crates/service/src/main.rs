//! `etatuki-service`: reads the command line, starts the service, prints where it listens, and
//! stops it on Ctrl-C or SIGTERM.

use std::{io::Write as _, process::ExitCode};

use anyhow::Context as _;
use clap::Parser as _;
use etatuki_service::{Cli, Command, Config, start};
use tracing_subscriber::{EnvFilter, fmt};

fn main() -> ExitCode {
    let cli = Cli::parse();
    init_logging(cli.verbose);
    let Command::Serve(args) = cli.command;
    let result = match args.into_config() {
        Ok(config) => serve(config).map_err(|error| (1, error)),
        Err(error) => Err((2, error.into())),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, error)) => {
            eprintln!("etatuki-service: {error:#}");
            ExitCode::from(code)
        }
    }
}

/// Logs to stderr, below errors only from this crate: libraries' details may quote headers, and so
/// tokens. There is no RUST_LOG for the same reason.
fn init_logging(verbose: bool) {
    let level = if verbose { "debug" } else { "info" };
    let filter = EnvFilter::new(format!("error,etatuki_service={level}"));
    fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}

#[tokio::main]
async fn serve(config: Config) -> anyhow::Result<()> {
    raise_descriptor_limit();
    let running = start(config).await?;
    print_listening(&running.listening).context("can't say where the service listens")?;
    wait_for_signal().await.context("can't wait for signals")?;
    running.shutdown().await;
    Ok(())
}

/// Prints the only line on stdout.
fn print_listening(listening: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{}", serde_json::json!({ "listening": listening }))?;
    stdout.flush()
}

#[cfg(unix)]
async fn wait_for_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn wait_for_signal() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}

/// Raises the limit of open files: every waiting session holds a connection, and most systems allow
/// 1024 by default.
#[cfg(unix)]
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    ) {
        tracing::warn!(%error, "the limit of open files couldn't be raised");
    }
}

#[cfg(not(unix))]
fn raise_descriptor_limit() {}
