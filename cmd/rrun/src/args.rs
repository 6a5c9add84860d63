//! The command line as typed values.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::global::Global;
use crate::{FAILURE, log, output, spelling, verb, version};

/// What a person sees first.
const ABOUT: &str = "Open Container Initiative runtime with Docker-style networking built in";

/// The head of every help page has runc's form: its users and its tests look for it.
const HELP: &str = "NAME:\n   {name} - {about}\n\nUSAGE:\n   {usage}\n\n{all-args}{after-help}";

/// Typed arguments of the whole command line.
#[derive(Debug, Parser)]
#[command(name = "rrun", about = ABOUT, args_override_self = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    /// print the version
    #[arg(long, short = 'v')]
    pub(crate) version: bool,
    #[command(subcommand)]
    pub(crate) verb: Option<Verb>,
}

/// The verbs, in the order of the help page.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Create(verb::create::Args),
    Start(verb::start::Args),
    Run(verb::run::Args),
    Exec(verb::exec::Args),
    Kill(verb::kill::Args),
    Delete(verb::delete::Args),
    State(verb::state::Args),
    List(verb::list::Args),
    Ps(verb::ps::Args),
    Pause(verb::pause::PauseArgs),
    Resume(verb::pause::ResumeArgs),
    Update(verb::update::Args),
    Events(verb::events::Args),
    Checkpoint(verb::checkpoint::Args),
    Restore(verb::restore::Args),
    Net(crate::net::Args),
    Spec(verb::spec::Args),
    Features(verb::features::Args),
    Completions(verb::completions::Args),
}

/// The command line as clap sees it: for parsing, man pages and completions.
pub fn command() -> clap::Command {
    command_of("rrun")
}

/// The same for the name that the program goes by.
fn command_of(program: &'static str) -> clap::Command {
    Cli::command().name(program).help_template(HELP).mut_subcommands(|verb| {
        let name = format!("{program} {}", verb.get_name());
        verb.display_name(name).help_template(HELP)
    })
}

/// Whether a verb may be meant that puts a process of rrun into a container: that process must run
/// from where the container cannot write (CVE-2019-5736), which is to be seen to before arguments are
/// parsed and anything else is done. A word that only looks like such a verb costs an execve.
pub(crate) fn enters_container(args: impl Iterator<Item = OsString>) -> bool {
    args.skip(1).any(|arg| arg == "create" || arg == "run" || arg == "exec")
}

/// Why no verb is to be called.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Help was asked for.
    Help(clap::Error),
    /// The arguments make no sense.
    Usage {
        message: String,
        /// The flags before the verb, as far as they can be read: they say where errors go.
        global: Option<Box<Global>>,
    },
}

/// Parses the arguments, the program's name first.
pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Cli, Stop> {
    let mut command = command_of(version::program());
    let args = spelling::translate(&command, args.collect());
    let error = match command.try_get_matches_from_mut(&args) {
        Ok(matches) => match Cli::from_arg_matches(&matches) {
            Ok(cli) => return Ok(cli),
            Err(error) => error,
        },
        Err(error) => error,
    };
    if matches!(error.kind(), ErrorKind::DisplayHelp) {
        return Err(Stop::Help(error));
    }
    let matches = command.ignore_errors(true).try_get_matches_from(&args);
    let global = matches.ok().and_then(|matches| Global::from_arg_matches(&matches).ok());
    Err(Stop::Usage { message: usage_message(&error), global: global.map(Box::new) })
}

/// What is wrong, in one line: clap's first paragraph.
fn usage_message(error: &clap::Error) -> String {
    if error.kind() == ErrorKind::InvalidSubcommand
        && let Some(clap::error::ContextValue::String(word)) =
            error.get(clap::error::ContextKind::InvalidSubcommand)
    {
        // runc's wording.
        return format!("No help topic for '{word}'");
    }
    let text = error.render().to_string();
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let paragraph = paragraph.strip_prefix("error: ").unwrap_or(paragraph);
    paragraph.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Stop {
    /// Prints the help or reports the error, and gives the exit status.
    pub(crate) fn exit(self) -> ExitCode {
        match self {
            Self::Help(help) => {
                let _ = help.print();
                ExitCode::SUCCESS
            }
            Self::Usage { message, global } => match global {
                Some(global) if log::install(&global).is_ok() => {
                    crate::fail(&global, &anyhow::anyhow!(message), FAILURE)
                }
                _ => {
                    output::complain(&message);
                    ExitCode::from(FAILURE)
                }
            },
        }
    }
}

/// The help page, which is what rrun prints without a verb.
pub(crate) fn help() -> String {
    command_of(version::program()).render_help().to_string()
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
