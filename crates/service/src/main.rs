//! `etatuki-service`: reads the command line, starts the service, says where it listens, and stops it on
//! Ctrl-C or SIGTERM.

use std::{io::Write as _, process::ExitCode};

use anyhow::Context as _;
use clap::Parser as _;
use etatuki_service::{Cli, Command, Config, start};
use tracing_subscriber::{EnvFilter, fmt};

fn main() -> ExitCode {
    let cli = Cli::parse();
    log(cli.verbose);
    let Command::Serve(args) = cli.command;
    let ended = match args.into_config() {
        Ok(config) => serve(config).map_err(|error| (1, error)),
        Err(error) => Err((2, error.into())),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, error)) => {
            eprintln!("etatuki-service: {error:#}");
            ExitCode::from(code)
        }
    }
}

/// Our own words only: what libraries would log in detail may quote headers, and so tokens. For the
/// same reason there is no RUST_LOG.
fn log(verbose: bool) {
    let ours = if verbose { "debug" } else { "info" };
    let filter = EnvFilter::new(format!("error,etatuki_service={ours}"));
    fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}

#[tokio::main]
async fn serve(config: Config) -> anyhow::Result<()> {
    raise_descriptor_limit();
    let running = start(config).await?;
    say(&running.listening).context("can't say where the service listens")?;
    wait_for_the_end().await.context("can't wait for signals")?;
    running.shutdown().await;
    Ok(())
}

/// The one line on stdout.
fn say(listening: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{}", serde_json::json!({ "listening": listening }))?;
    stdout.flush()
}

#[cfg(unix)]
async fn wait_for_the_end() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn wait_for_the_end() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}

/// Every waiting session holds a connection, and most systems allow 1024 to begin with.
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
