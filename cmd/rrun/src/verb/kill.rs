//! `rrun kill`.

use anyhow::bail;
use container::{ContainerId, Signal};

use crate::global::Global;
use crate::verb::SUCCESS;

/// kill sends the specified signal (default: SIGTERM) to the container's init process
///
/// For example, if the container id is "ubuntu01" the following will send a "KILL" signal to the
/// init process of the "ubuntu01" container: rrun kill ubuntu01 KILL
#[derive(Debug, clap::Args)]
#[command(override_usage = "rrun kill <CONTAINER_ID> [SIGNAL]")]
pub(crate) struct Args {
    // Obsolete in runc, and still passed by engines: it makes a stopped container no error.
    #[arg(long, short, hide = true)]
    all: bool,
    /// the name for the instance of the container, and the signal's name or number
    #[arg(value_name = "CONTAINER_ID [SIGNAL]", required = true, trailing_var_arg = true)]
    words: Vec<String>,
}

/// `rrun kill`.
pub(crate) fn kill(global: &Global, args: &Args) -> anyhow::Result<u8> {
    let (id, signal) = target(&args.words)?;
    // That there is no such container is told first: it is what engines look for.
    let container = global.state_root()?.load(&id)?;
    let signal = signal.map_or(Ok(Signal::TERM), str::parse)?;
    match container.kill(signal, args.all) {
        Err(container::Error::NotRunning) if args.all => Ok(SUCCESS),
        sent => Ok(sent.map(|()| SUCCESS)?),
    }
}

/// The container and the signal for it. Flags end at the first word, as in runc.
fn target(words: &[String]) -> anyhow::Result<(ContainerId, Option<&str>)> {
    match words {
        [id] => Ok((id.parse()?, None)),
        [id, signal] => Ok((id.parse()?, Some(signal.as_str()).filter(|name| !name.is_empty()))),
        _ => bail!("rrun: \"kill\" requires a container id and at most one signal"),
    }
}
