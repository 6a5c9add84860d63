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
    let container = global.state_root()?.load(&id)?;
    match container.kill(signal, args.all) {
        Err(container::Error::NotRunning) if args.all => Ok(SUCCESS),
        sent => Ok(sent.map(|()| SUCCESS)?),
    }
}

/// The container and the signal for it. Flags end at the first word, as in runc.
fn target(words: &[String]) -> anyhow::Result<(ContainerId, Signal)> {
    match words {
        [id] => Ok((id.parse()?, Signal::TERM)),
        [id, signal] if signal.is_empty() => Ok((id.parse()?, Signal::TERM)),
        [id, signal] => Ok((id.parse()?, signal.parse()?)),
        _ => bail!("rrun: \"kill\" requires a container id and at most one signal"),
    }
}
