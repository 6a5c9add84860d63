//! `rrun completions`.

use crate::output;
use crate::verb::SUCCESS;

/// print the completions of a shell
///
/// For example, in ~/.bashrc: source <(rrun completions bash)
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// bash, fish or zsh
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// The shells that rrun has completions for.
#[derive(Debug, Clone, Copy)]
enum Shell {
    Bash,
    Fish,
    Zsh,
}

impl std::str::FromStr for Shell {
    type Err = &'static str;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s {
            "bash" => Ok(Self::Bash),
            "fish" => Ok(Self::Fish),
            "zsh" => Ok(Self::Zsh),
            _ => Err("bash, fish or zsh is expected"),
        }
    }
}

/// `rrun completions`. The files are generated (`cmd/rrun/tests/generated.rs`): their generator
/// would be more of the binary than they are.
pub(crate) fn completions(args: &Args) -> anyhow::Result<u8> {
    let text = match args.shell {
        Shell::Bash => include_str!("../../../../docs/completions/rrun.bash"),
        Shell::Fish => include_str!("../../../../docs/completions/rrun.fish"),
        Shell::Zsh => include_str!("../../../../docs/completions/_rrun"),
    };
    output::print(text)?;
    Ok(SUCCESS)
}
