//! `etatuki-service`: reads the command line, starts the service, prints where it listens, reloads it
//! on SIGHUP, and stops it on Ctrl-C or SIGTERM. Or says what a start would meet.

use std::{
    io::{IsTerminal as _, Write as _},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Parser as _;
use etatuki_service::{
    Cli, Command, Config, Finding, ServeArgs, ServiceHandle, StartError, add_key, check,
    connections_for, start,
};
use tracing_subscriber::{EnvFilter, fmt};

fn main() -> ExitCode {
    let cli = Cli::parse();
    init_logging(cli.verbose);
    let result = match cli.command {
        Command::Serve(args) => match args.clone().into_config() {
            Ok(config) => serve(config, &args).map_err(|error| (exit_code(&error), error)),
            Err(error) => Err((2, error.into())),
        },
        Command::Check(args) => match args.into_config() {
            Ok(config) => return report(&config),
            Err(error) => Err((2, error.into())),
        },
        Command::NewKey(args) => match add_key(&args.key_ring) {
            Ok(number) => {
                eprintln!("key {number} signs from the next SIGHUP on");
                Ok(())
            }
            Err(error) => Err((1, error.into())),
        },
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, error)) => {
            eprintln!("etatuki-service: {error:#}");
            ExitCode::from(code)
        }
    }
}

/// Returns the exit code of a service that didn't start: 2 if the command line is wrong, 1 for
/// everything else.
fn exit_code(error: &anyhow::Error) -> u8 {
    match error.downcast_ref() {
        Some(
            StartError::PublicUrl { .. }
            | StartError::NoPublicUrl(_)
            | StartError::Relay { .. }
            | StartError::TooManyVendors,
        ) => 2,
        _ => 1,
    }
}

/// Prints a line for each part of a start. The exit code is 1 if anything is at fault.
fn report(config: &Config) -> ExitCode {
    let findings = check(config, raise_descriptor_limit());
    let mut stdout = std::io::stdout().lock();
    for Finding { part, result } in &findings {
        let (mark, text) = match result {
            Ok(text) => ("ok", text),
            Err(text) => ("FAULT", text),
        };
        // Without a reader there is nobody to tell.
        let _ = writeln!(stdout, "{mark:6} {part:12} {text}");
    }
    let is_at_fault = findings.iter().any(|finding| finding.result.is_err());
    ExitCode::from(u8::from(is_at_fault))
}

/// Logs to stderr, in colour on a terminal alone. Below errors only from this crate: libraries'
/// details may quote headers, and so tokens. There is no RUST_LOG for the same reason.
fn init_logging(verbose: bool) {
    let level = if verbose { "debug" } else { "info" };
    let filter = EnvFilter::new(format!("error,etatuki_service={level}"));
    fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}

#[tokio::main]
async fn serve(mut config: Config, args: &ServeArgs) -> anyhow::Result<()> {
    if let Some(open_files) = raise_descriptor_limit() {
        let carried = connections_for(open_files);
        if carried < config.limits.connections {
            tracing::warn!(
                open_files,
                connections = carried,
                "the limit of open files carries fewer connections than are allowed"
            );
            config.limits.connections = carried;
        }
    }
    let running = start(config).await?;
    print_listening(&running.listening).context("can't say where the service listens")?;
    run_until_signalled(&running, args)
        .await
        .context("can't wait for signals")?;
    running.shutdown().await;
    Ok(())
}

/// Prints the only line on stdout.
fn print_listening(listening: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{}", serde_json::json!({ "listening": listening }))?;
    stdout.flush()
}

/// Waits for the signal that ends the service, and reloads it at each SIGHUP.
#[cfg(unix)]
async fn run_until_signalled(running: &ServiceHandle, args: &ServeArgs) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut quit = signal(SignalKind::quit())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    loop {
        tokio::select! {
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            _ = quit.recv() => return Ok(()),
            _ = hang_up.recv() => reload(running, args),
        }
    }
}

#[cfg(not(unix))]
async fn run_until_signalled(_: &ServiceHandle, _: &ServeArgs) -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}

/// Reads the files on the command line again: keys, lists, certificate, key ring.
#[cfg(unix)]
fn reload(running: &ServiceHandle, args: &ServeArgs) {
    let reloaded = args
        .clone()
        .into_config()
        .map_err(anyhow::Error::from)
        .and_then(|config| Ok(running.reload(&config)?));
    match reloaded {
        Ok(()) => {
            tracing::info!("vendor keys, revocation lists, certificate and key ring were reloaded")
        }
        Err(error) => tracing::error!(
            error = format!("{error:#}"),
            "nothing was reloaded, and all stays as it was"
        ),
    }
}

/// Raises the limit of open files: every waiting session holds a connection, and most systems allow
/// 1024 by default. Returns the limit; `None` if there is none.
#[cfg(unix)]
fn raise_descriptor_limit() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files couldn't be raised");
    }
    getrlimit(Resource::Nofile).current
}

#[cfg(not(unix))]
fn raise_descriptor_limit() -> Option<u64> {
    None
}
