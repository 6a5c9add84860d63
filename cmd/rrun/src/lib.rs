//! The command line of rrun: runc's verbs, flags, formats and exit codes, and the place where
//! `container` and `network` are joined.
//!
//! A request goes [`args`] (strings become typed values, bad input stops here) → one file under
//! [`verb`] → exit code. Errors are logged once, in [`main`].

mod args;
mod global;
mod log;
mod net;
mod output;
mod owner;
mod spelling;
mod target;
mod verb;
mod version;

use std::process::ExitCode;

use args::Verb;
use global::Global;

pub use args::command;

/// The exit status for errors of the runtime itself, as in runc.
const FAILURE: u8 = 1;
/// `exec`'s, so that a caller can tell them from small statuses of the executed process.
const EXEC_FAILURE: u8 = 255;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let enters = args::enters_container(std::env::args_os());
    let sealed = match enters.then(container::sealed::ensure).transpose() {
        Ok(sealed) => sealed,
        Err(error) => {
            output::complain(&error.to_string());
            return ExitCode::from(FAILURE);
        }
    };
    let cli = match args::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(stop) => return stop.exit(),
    };
    if let Err(error) = log::install(&cli.global) {
        output::complain(&format!("{error:#}"));
        return ExitCode::from(FAILURE);
    }
    if let Some(place) = sealed {
        // The words are runc's: its tests look for them.
        tracing::debug!("{} exeseal: using {place}", version::program());
    }
    let failure = if matches!(cli.verb, Some(Verb::Exec(_))) { EXEC_FAILURE } else { FAILURE };
    let outcome = match cli.verb {
        _ if cli.version => output::print(&version::text()).map(|()| 0),
        None => output::print(&args::help()).map(|()| 0),
        Some(verb) => dispatch(&cli.global, verb),
    };
    match outcome {
        Ok(status) => ExitCode::from(status),
        Err(error) => fail(&cli.global, &error, failure),
    }
}

/// Calls the verb. `Ok` is the exit status: the container's for what stays in the foreground.
fn dispatch(global: &Global, verb: Verb) -> anyhow::Result<u8> {
    match verb {
        Verb::Create(args) => verb::create::create(global, args),
        Verb::Run(args) => verb::run::run(global, args),
        Verb::Exec(args) => verb::exec::exec(global, args),
        Verb::Start(args) => verb::start::start(global, &args),
        Verb::Kill(args) => verb::kill::kill(global, &args),
        Verb::Delete(args) => verb::delete::delete(global, &args),
        Verb::State(args) => verb::state::state(global, &args),
        Verb::List(args) => verb::list::list(global, &args),
        Verb::Ps(args) => verb::ps::ps(global, &args),
        Verb::Pause(args) => verb::pause::pause(global, &args),
        Verb::Resume(args) => verb::pause::resume(global, &args),
        Verb::Update(args) => verb::update::update(global, &args),
        Verb::Events(args) => verb::events::events(global, &args),
        Verb::Checkpoint(args) => verb::checkpoint::checkpoint(global, args),
        Verb::Restore(args) => verb::restore::restore(global, args),
        Verb::Spec(args) => verb::spec::spec(&args),
        Verb::Net(args) => net::net(&args),
        Verb::Features(args) => verb::features::features(&args),
        Verb::Completions(args) => verb::completions::completions(&args),
    }
}

/// Reports the error that ends this process: in the log and, where that is a file, on stderr too
/// (engines show stderr to people and read the log).
fn fail(global: &Global, error: &anyhow::Error, status: u8) -> ExitCode {
    tracing::error!("{error:#}");
    if global.log_file().is_some() {
        output::complain(&format!("{error:#}"));
    }
    ExitCode::from(status)
}
