//! The command line.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, PossibleValue, TypedValueParser};
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum as _};

use crate::language::Language;
use crate::registry::is_id;

/// Remote support: shows your screen to the vendor's support, after you allow it.
///
/// Without a command, the window with all entries opens. `etatuki BACKEND` goes straight to one
/// entry, which is what a Help menu calls.
#[derive(Debug, Parser)]
#[command(
    name = "etatuki",
    version,
    max_term_width = 100,
    args_conflicts_with_subcommands = false
)]
pub struct Cli {
    /// The entry to open: the id of a backend of the registry, such as `ecom`
    #[arg(value_parser = any_text())]
    pub backend: Option<String>,
    /// The options of all commands.
    #[command(flatten)]
    pub options: Options,
    /// The command.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The options of all commands.
#[derive(Debug, Default, Args)]
pub struct Options {
    /// Use this registry, for development: every window says that nobody vouches for it
    #[arg(long, value_name = "FILE", global = true)]
    pub registry: Option<PathBuf>,
    /// The accounting program's version: marks the entry that fits it
    #[arg(long, value_name = "VERSION", global = true, value_parser = any_text())]
    pub app_version: Option<String>,
    /// A process of the accounting program; may be given several times. With it the customer may
    /// choose to show the program's windows alone
    #[arg(long, value_name = "PID", global = true)]
    pub program_pid: Vec<u32>,
    /// The accounting program's name, as customers know it
    #[arg(
        long,
        value_name = "NAME",
        global = true,
        value_parser = any_text()
    )]
    pub program_name: Option<String>,
    /// The language of the windows, unless the registry fixes it
    #[arg(long, value_name = "LANGUAGE", global = true, value_parser = LocaleParser)]
    pub language: Option<String>,
    /// Show the log on stderr too
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

/// The launcher's commands.
#[derive(Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Open one entry's window
    Open {
        /// The id of a backend of the registry, such as `ecom`
        backend: String,
    },
    /// Run one entry without its window, as JSON lines on stdin and stdout
    ///
    /// For accounting programs that show code and questions in windows of their own. The bar that
    /// says who is looking is always shown. docs/session.md describes the lines.
    Session {
        /// The id of a backend of the registry, such as `ecom`
        backend: String,
    },
    /// List the entries, and whether each can be used on this machine
    List {
        /// As one JSON array of {id, label, usable, reason, text}
        #[arg(long)]
        json: bool,
    },
    /// Say what this machine can and can't do: display, entries, service, clock
    Doctor {
        /// As one JSON object of {ok, checks: [{name, verdict, text}]}
        #[arg(long)]
        json: bool,
    },
    /// Open what a link such as etatuki://open/ecom names; the window with all entries without one
    Link {
        /// The link
        #[arg(value_name = "URL", value_parser = any_text())]
        url: Option<String>,
    },
    /// Go on with a session after a restart of the machine; the desktop starts this at login, once
    #[command(hide = true)]
    ComeBack,
    /// For those who write plugins
    Plugin {
        /// The command
        #[command(subcommand)]
        command: PluginSubcommand,
    },
    /// Load one plugin for the launcher (internal)
    #[command(hide = true)]
    PluginHost,
}

/// The commands for plugin authors.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum PluginSubcommand {
    /// Try a plugin against the contract in etatuki_backend.h, each trial in a process of its own
    Check(CheckArgs),
}

/// The arguments of `plugin check`.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct CheckArgs {
    /// The library
    #[arg(value_name = "PATH", required_unless_present = "list")]
    pub library: Option<PathBuf>,
    /// Only this trial; may be given several times
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// The backend's options as JSON, as [backend.options] gives them to the plugin
    #[arg(long, value_name = "JSON", default_value = "null")]
    pub options: String,
    /// The plugin may use the network, as with `network = true` in the registry
    #[arg(long)]
    pub network: bool,
    /// Without the plugin host's jail: the plugin can do all that you can
    #[arg(long)]
    pub no_jail: bool,
    /// End with the first trial that fails, crashes or hangs
    #[arg(long)]
    pub fail_fast: bool,
    /// One JSON object a line for each trial, and one with the sums
    #[arg(long)]
    pub json: bool,
    /// List the trials and their rules
    #[arg(long)]
    pub list: bool,
}

/// The first argument with which the launcher starts itself as the host of a plugin.
pub const PLUGIN_HOST: &str = "plugin-host";

impl Cli {
    /// Returns the options and the command, with `etatuki BACKEND` read as `etatuki open BACKEND`;
    /// `None` is the menu.
    pub fn into_command(self) -> (Options, Option<Command>) {
        let backend = self.backend.map(|backend| Command::Open { backend });
        let command = match self.command.or(backend) {
            Some(Command::Link { url: None }) => None,
            Some(Command::Link { url: Some(url) }) => Some(match backend_in_link(&url) {
                Some(backend) => Command::Open {
                    backend: backend.to_owned(),
                },
                None => Command::Link { url: Some(url) },
            }),
            other => other,
        };
        (self.options, command)
    }
}

/// A parser of a language: of one of ours, of the name of a locale, or of anything else, for an
/// accounting program may hand on its own setting. An unknown one gets the system's language.
#[derive(Clone)]
struct LocaleParser;

impl TypedValueParser for LocaleParser {
    type Value = String;

    fn parse_ref(
        &self,
        _: &clap::Command,
        _: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        Ok(from_any_encoding(value))
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let known = Language::value_variants().iter();
        Some(Box::new(known.filter_map(Language::to_possible_value)))
    }
}

/// Returns a parser that takes every text: an old accounting program may run in a Latin-1 locale, and
/// a name that isn't UTF-8 must not keep its customer from help.
fn any_text() -> impl TypedValueParser<Value = String> {
    OsStringValueParser::new().map(|text| from_any_encoding(&text))
}

/// Returns an argument as text: UTF-8, or else Latin-1, whose bytes are Unicode's first 256 letters.
fn from_any_encoding(text: &OsStr) -> String {
    match text.to_str() {
        Some(text) => text.to_owned(),
        None => text
            .as_encoded_bytes()
            .iter()
            .copied()
            .map(char::from)
            .collect(),
    }
}

/// Returns the command that `word` was probably meant to be: one that differs in two letters at most,
/// or in two that are exchanged.
pub fn similar_command(word: &str) -> Option<String> {
    let command = Cli::command();
    let names = command
        .get_subcommands()
        .filter(|known| !known.is_hide_set());
    let names = names.map(|known| (distance(word, known.get_name()), known.get_name()));
    // The nearest: a word that is a command itself wasn't meant to be another one.
    let (distance, name) = names.min()?;
    let is_mistyped = (1..=2).contains(&distance) && word.chars().count() > 2;
    is_mistyped.then(|| name.to_owned())
}

/// Returns whether a command line that isn't understood was to open a window: it has the command, or
/// the id of one of these entries, and no command without a window.
pub fn opens_window(arguments: &[OsString], entries: &[&str]) -> bool {
    let words: Vec<_> = arguments.iter().filter_map(|word| word.to_str()).collect();
    let opens = |word: &&str| *word == "open" || entries.contains(word);
    let other = ["session", "list", "doctor", "plugin", "help"];
    words.iter().any(opens) && !words.iter().any(|word| other.contains(word))
}

/// Returns a hint for a command line that wasn't understood because its command is mistyped.
pub fn hint(arguments: &[OsString]) -> Option<String> {
    let words = arguments.iter().filter_map(|argument| argument.to_str());
    let mistyped = words.take_while(|word| *word != "--").find_map(|word| {
        let meant = similar_command(word).filter(|_| !word.starts_with('-'))?;
        Some((word, meant))
    });
    mistyped.map(|(word, meant)| format!("there is no command `{word}`; did you mean `{meant}`?"))
}

/// Returns how many letters must be added, dropped, replaced or exchanged with their neighbour
/// (optimal string alignment).
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<_>, Vec<_>) = (one.chars().collect(), other.chars().collect());
    let mut rows = vec![(0..=other.len()).collect::<Vec<_>>()];
    for (y, a) in one.iter().enumerate() {
        let mut row = vec![y + 1];
        for (x, b) in other.iter().enumerate() {
            let replaced = rows[y][x] + usize::from(a != b);
            let mut least = replaced.min(rows[y][x + 1] + 1).min(row[x] + 1);
            if x > 0 && y > 0 && *a == other[x - 1] && one[y - 1] == *b {
                least = least.min(rows[y - 1][x - 1] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[one.len()][other.len()]
}

/// Returns the backend that a link names. Links come from anywhere: one that holds anything else is
/// refused.
fn backend_in_link(url: &str) -> Option<&str> {
    let id = url.strip_prefix("etatuki://open/")?;
    let id = id.strip_suffix('/').unwrap_or(id);
    is_id(id).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(arguments: &[&str], expected: Option<Command>) -> Options {
        let all = std::iter::once("etatuki").chain(arguments.iter().copied());
        let (options, command) = Cli::try_parse_from(all).unwrap().into_command();
        assert_eq!(command, expected, "{arguments:?}");
        options
    }

    #[test]
    fn commands() {
        let open = || {
            Some(Command::Open {
                backend: "ecom".into(),
            })
        };
        check(&[], None);
        check(&["open", "ecom"], open());
        check(&["ecom"], open());
        check(
            &["session", "ecom"],
            Some(Command::Session {
                backend: "ecom".into(),
            }),
        );
        check(&["list"], Some(Command::List { json: false }));
        check(&["list", "--json"], Some(Command::List { json: true }));
        check(&["doctor", "--json"], Some(Command::Doctor { json: true }));
        check(&[PLUGIN_HOST], Some(Command::PluginHost));
    }

    #[test]
    fn a_name_in_any_encoding_doesnt_stop_help() {
        use std::os::unix::ffi::OsStringExt as _;
        let latin1 = OsString::from_vec(b"Kirjanpit\xe4j\xe4".to_vec());
        let arguments: Vec<OsString> = vec![
            "etatuki".into(),
            "ecom".into(),
            "--program-pid".into(),
            "1".into(),
            "--program-name".into(),
            latin1.clone(),
            "--app-version".into(),
            latin1,
        ];
        let options = Cli::try_parse_from(arguments).unwrap().into_command().0;
        assert_eq!(options.program_name.as_deref(), Some("Kirjanpitäjä"));
        assert_eq!(options.app_version.as_deref(), Some("Kirjanpitäjä"));
    }

    #[test]
    fn a_mistyped_command_is_recognised() {
        let check = |words: &[&str], expected: Option<&str>| {
            let words: Vec<OsString> = words.iter().map(Into::into).collect();
            let expected = expected.map(|name| name.to_owned());
            let meant = hint(&words).and_then(|hint| Some(hint.split('`').nth(3)?.to_owned()));
            assert_eq!(meant, expected, "{words:?}");
        };
        check(&["opne", "ecom"], Some("open"));
        check(&["-v", "sesion", "ecom"], Some("session"));
        check(&["lst", "--json"], Some("list"));
        check(&["open"], None);
        check(&["list", "--jsn"], None);
        check(&["ecom", "again"], None);
        check(&["remoteus-2008"], None);
    }

    #[test]
    fn a_mistake_in_a_help_menu_is_shown_in_a_window() {
        let check = |words: &[&str], expected| {
            let words: Vec<OsString> = words.iter().map(Into::into).collect();
            assert_eq!(opens_window(&words, &["ecom"]), expected, "{words:?}");
        };
        check(&["open", "ecom", "--app-versoin", "1"], true);
        check(&["ecom", "--program-pid", "x"], true);
        check(&["open"], true);
        check(&["session", "ecom", "--what"], false);
        check(&["list", "--what"], false);
        check(&["opne", "other"], false);
    }

    #[test]
    fn links_name_an_entry_and_nothing_else() {
        let open = |id: &str| Some(Command::Open { backend: id.into() });
        check(&["link", "etatuki://open/ecom"], open("ecom"));
        check(
            &["link", "etatuki://open/remoteus-2008/"],
            open("remoteus-2008"),
        );
        check(&["link"], None);
        for bad in [
            "etatuki://open/",
            "etatuki://open/ecom?code=1",
            "etatuki://open/../x",
            "etatuki://open/--registry",
            "etatuki://session/ecom",
            "https://open/ecom",
            "ecom",
        ] {
            let url = Some(bad.to_owned());
            check(&["link", bad], Some(Command::Link { url }));
        }
    }

    #[test]
    fn options_stand_before_or_after() {
        let before = check(
            &["--registry", "a.toml", "list"],
            Some(Command::List { json: false }),
        );
        assert_eq!(before.registry, Some(PathBuf::from("a.toml")));
        let after = [
            "ecom",
            "--registry",
            "a.toml",
            "--app-version",
            "4.13",
            "--language",
            "sv",
            "-v",
        ];
        let after = check(
            &after,
            Some(Command::Open {
                backend: "ecom".into(),
            }),
        );
        assert_eq!(after.registry, Some(PathBuf::from("a.toml")));
        assert_eq!(after.app_version.as_deref(), Some("4.13"));
        assert_eq!(after.language.as_deref(), Some("sv"));
        assert!(after.verbose);
    }

    #[test]
    fn what_isnt_understood_is_refused_with_2() {
        for arguments in [&["open"][..], &["ecom", "again"], &["--what"]] {
            let all = std::iter::once("etatuki").chain(arguments.iter().copied());
            let error = Cli::try_parse_from(all).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{arguments:?}");
        }
    }

    /// The help text is the one in `cli_help.txt` and in `docs/cli.md`.
    #[test]
    fn help() {
        let help = <Cli as clap::CommandFactory>::command()
            .term_width(100)
            .render_long_help()
            .to_string();
        assert_eq!(
            help.trim_end(),
            include_str!("cli_help.txt").trim_end(),
            "\n{help}"
        );
        let docs = include_str!("../docs/cli.md");
        assert!(
            docs.contains(include_str!("cli_help.txt").trim_end()),
            "docs/cli.md"
        );
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
