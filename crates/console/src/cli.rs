//! The command line: parses the arguments and runs the page or `join`.

#![allow(rustdoc::bare_urls, reason = "clap prints these comments as help")]

use std::{
    io::{self, IsTerminal as _, Write as _},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use etatuki_texts::{Language, catalogue::Catalogue};
use serde_json::json;
use tracing_subscriber::EnvFilter;

use crate::{
    AgentContext, agent_file, doctor, join,
    service::{Service, ServiceUrlError},
    signal::stop_signal,
    web::{FrameAncestor, PageOptions, PageServer, open_browser},
};

/// Exit code for a command line that is right on no machine; clap's own is the same.
const EXIT_USAGE: u8 = 2;
/// Exit code for what this machine lacks, such as the agent's file or a free port.
const EXIT_FAILED: u8 = 1;
/// Log filter without RUST_LOG. The QUIC library is silent: it reports the ends of connections as
/// errors.
const DEFAULT_LOG_FILTER: &str = "warn,iroh=off,iroh_relay=off,noq=off";

/// The support agent's program: enter a customer's code, see and help.
///
/// Without a command it serves its page on this computer and prints the page's address, which opens
/// once.
///
/// Exit codes: 0 ended normally; 1 the agent's file or the port can't be used, or `doctor` found
/// something that blocks; 2 the command line is wrong; and from `join` also 4 the code is wrong, 5 the
/// service or the network, 6 refused, or the link or the viewer failed.
#[derive(Debug, Parser)]
#[command(
    name = "etatuki-console",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
struct Cli {
    #[command(flatten)]
    page: PageArgs,
    #[command(subcommand)]
    command: Option<CliCommand>,
}

#[derive(Debug, Args)]
struct PageArgs {
    /// Your agent's file: card and private key (readable by you alone)
    #[arg(long, value_name = "FILE", required = true)]
    agent: Option<PathBuf>,
    /// The service, https://support.example.com say
    #[arg(long, value_name = "URL", required = true)]
    service: Option<String>,
    /// The page's port on 127.0.0.1; 0 picks a free one
    #[arg(long, value_name = "N", default_value_t = 0)]
    port: u16,
    /// Don't open the page in the browser
    #[arg(long)]
    no_open: bool,
    /// A page of this origin may show the console in a frame (for demonstrations); may be given
    /// again
    #[arg(long, value_name = "ORIGIN")]
    frame_ancestor: Vec<FrameAncestor>,
    /// Language of the page and of the terminal [default: the browser's, and the system's]
    #[arg(long, value_name = "LANGUAGE")]
    language: Option<Language>,
}

#[derive(Debug, Subcommand)]
enum CliCommand {
    /// Open one session for any VNC viewer, without a page
    ///
    /// The code is asked for, or read from standard input: a session code, or an ID and then its
    /// password. Then come commands, one a line: ask-view, ask-control, ask-switch BACKEND, end.
    /// Events are printed as one JSON object a line; the first says where the viewer connects
    /// and with which one-time password. Only the first connection is taken, and the session ends
    /// with it.
    Join(JoinArgs),
    /// Say what this machine can and can't do: service, card, clock, browser
    ///
    /// Exit codes: 0 customers can be helped from here; 1 something blocks it.
    Doctor(DoctorArgs),
}

#[derive(Debug, Args)]
struct DoctorArgs {
    /// Your agent's file: card and private key (readable by you alone)
    #[arg(long, value_name = "FILE")]
    agent: PathBuf,
    /// The service, https://support.example.com say
    #[arg(long, value_name = "URL")]
    service: String,
    /// Print one JSON object instead of lines
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct JoinArgs {
    /// Your agent's file: card and private key (readable by you alone)
    #[arg(long, value_name = "FILE")]
    agent: PathBuf,
    /// The service, https://support.example.com say
    #[arg(long, value_name = "URL")]
    service: String,
    /// Where the viewer connects: 127.0.0.1 and a port; port 0 picks a free one
    #[arg(long, value_name = "127.0.0.1:PORT", value_parser = parse_loopback)]
    vnc: SocketAddr,
    /// Write the bytes on the link, both ways, into this file as JSON: every second and at the end
    #[arg(long, value_name = "FILE")]
    stats: Option<PathBuf>,
    /// Language of the sentences [default: the system's]
    #[arg(long, value_name = "LANGUAGE")]
    language: Option<Language>,
}

/// Keeps this process's memory to itself, because it holds the agent's key and customers' screens:
/// no core dump, and no look into it by the agent's other programs.
fn forbid_inspection() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let none = Rlimit {
            current: Some(0),
            maximum: Some(0),
        };
        // Lowering a limit is always allowed.
        let _ = setrlimit(Resource::Core, none);
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        // Also against programs that collect dumps (core(5)). Can't fail: it is a plain flag.
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

/// Returns the command line's definition, for man pages and shell completions.
#[must_use]
pub fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

/// Runs the program. Returns its exit code.
#[must_use]
pub fn main() -> ExitCode {
    forbid_inspection();
    let cli = Cli::parse();
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_LOG_FILTER));
    let filter = without_secrets(filter);
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_env_filter(filter)
        .init();
    // Tasks that hand over to another worker wake it, twice for each key in all. One worker does
    // everything but the decoding of JPEGs, for which it moves to another thread.
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return report(&error.into()),
    };
    let result = runtime.block_on(async {
        match cli.command {
            Some(CliCommand::Join(args)) => join(args).await,
            Some(CliCommand::Doctor(args)) => doctor::run(&args.agent, &args.service, args.json)
                .await
                .map(|helps| if helps { 0 } else { EXIT_FAILED })
                .context("can't print"),
            None => serve_page(cli.page).await.map(|()| 0),
        }
    });
    // The thread that reads standard input can't be joined: it blocks in a read.
    runtime.shutdown_background();
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => report(&error),
    }
}

/// Leaves out the messages that hold a proxy's password: iroh logs its whole URL, and the request's
/// head.
fn without_secrets(filter: EnvFilter) -> EnvFilter {
    let directives = ["iroh_relay::client=off", "hyper_util=warn", "reqwest=warn"];
    let directives = directives.iter().filter_map(|text| text.parse().ok());
    directives.fold(filter, EnvFilter::add_directive)
}

/// Prints the error on standard error; returns its exit code.
fn report(error: &anyhow::Error) -> ExitCode {
    let _ = writeln!(io::stderr(), "etatuki-console: {error:#}");
    ExitCode::from(match error.is::<ServiceUrlError>() {
        true => EXIT_USAGE,
        false => EXIT_FAILED,
    })
}

async fn join(args: JoinArgs) -> anyhow::Result<u8> {
    let context = load_context(&args.agent, &args.service)?;
    let options = join::Options {
        vnc: args.vnc,
        stats: args.stats,
        texts: Catalogue::load(terminal_language(args.language)),
    };
    join::run(context, options)
        .await
        .with_context(|| format!("can't serve a viewer at {}", args.vnc))
}

async fn serve_page(args: PageArgs) -> anyhow::Result<()> {
    let agent = args.agent.context("--agent is missing")?;
    let context = load_context(&agent, &args.service.context("--service is missing")?)?;
    let options = PageOptions {
        port: args.port,
        ancestors: args.frame_ancestor,
        language: args.language,
    };
    let texts = Catalogue::load(terminal_language(args.language));
    let server = PageServer::open(context, options)
        .await
        .with_context(|| format!("can't listen on 127.0.0.1:{}", args.port))?;
    let address = server.address();
    print_address(&address, &texts)?;
    if !args.no_open {
        let was_opened = server.was_opened();
        tokio::spawn(async move {
            if let Err(error) = open_browser(&address, was_opened).await {
                tracing::warn!(%error, "no browser could be opened");
                let sentence = texts.text("console.terminal.no-browser");
                let _ = writeln!(io::stderr(), "{sentence}");
            }
        });
    }
    server
        .serve(stop_signal())
        .await
        .context("the page's port failed")
}

fn load_context(agent: &std::path::Path, service: &str) -> anyhow::Result<AgentContext> {
    Ok(AgentContext {
        // First what is wrong on every machine.
        service: Service::new(service)?,
        agent: agent_file::load(agent)?,
        resume_limit: etatuki_protocol::RESUME_LIMIT,
    })
}

/// Returns the language of sentences in a terminal: the given one, or the system's; English for
/// systems that speak none of ours.
pub(crate) fn terminal_language(given: Option<Language>) -> Language {
    given
        .or_else(|| Language::from_environment(|name| std::env::var(name).ok()))
        .unwrap_or(Language::En)
}

/// Prints the page's address as one JSON line, and a sentence on standard error for people at a
/// terminal.
fn print_address(address: &str, texts: &Catalogue) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", json!({"page": address}))?;
    out.flush()?;
    if io::stderr().is_terminal() {
        writeln!(io::stderr(), "{}", texts.text("console.terminal.open"))?;
    }
    Ok(())
}

/// Parses a socket address and refuses any that other machines could reach.
fn parse_loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| "an address like 127.0.0.1:5901 is needed".to_owned())?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("the viewer connects on this computer only: use 127.0.0.1".into())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[track_caller]
    fn check(line: &str, good: bool) {
        let words = std::iter::once("etatuki-console").chain(line.split(' '));
        let result = Cli::try_parse_from(words);
        assert_eq!(result.is_ok(), good, "{line}: {result:?}");
    }

    #[test]
    fn command_lines() {
        Cli::command().debug_assert();
        check("--agent a --service https://s", true);
        check(
            "--agent a --service https://s --port 8080 --no-open --frame-ancestor http://127.0.0.1:1",
            true,
        );
        check("--agent a --service s --language sv", true);
        check("--agent a --service s --language de", false);
        check("--agent a", false);
        check("--agent a --service s --frame-ancestor *", false);
        check("join --agent a --service s --vnc 127.0.0.1:0", true);
        check(
            "join --agent a --service s --vnc [::1]:5901 --stats f",
            true,
        );
        check("join --agent a --service s --vnc 0.0.0.0:5901", false);
        check("join --agent a --service s", false);
        check(
            "join --agent a --service s --vnc 127.0.0.1:0 123456789012",
            false,
        );
    }

    #[test]
    fn no_log_holds_a_proxys_password() {
        let filter = without_secrets(EnvFilter::new("trace,iroh_relay::client=trace"));
        let filter = filter.to_string();
        assert!(filter.contains("iroh_relay::client=off"), "{filter}");
        assert!(!filter.contains("iroh_relay::client=trace"), "{filter}");
    }
}
