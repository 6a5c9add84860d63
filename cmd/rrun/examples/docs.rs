//! Writes the man pages and the shell completions: `cargo run -p rrun --example docs -- DIR` makes
//! `DIR/man` and `DIR/completions`. Those of the sources are in `docs`, and the test
//! `cmd/rrun/tests/generated.rs` keeps them true.

use std::io;
use std::path::{Path, PathBuf};

use clap_complete::Shell;

fn main() -> io::Result<()> {
    let dir = std::env::args_os().nth(1).map(PathBuf::from);
    let dir = dir.ok_or_else(|| io::Error::other("usage: docs DIR"))?;
    for (path, text) in files()? {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        std::fs::write(path, text)?;
    }
    Ok(())
}

/// Every generated file: its path below `docs`, and its text.
pub(crate) fn files() -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut files = man_pages()?;
    for (shell, name) in
        [(Shell::Bash, "rrun.bash"), (Shell::Fish, "rrun.fish"), (Shell::Zsh, "_rrun")]
    {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut visible(), "rrun", &mut text);
        files.push((Path::new("completions").join(name), text));
    }
    Ok(files)
}

/// A page for rrun and for each verb, nested ones too (`rrun-net-ls.8`).
fn man_pages() -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut files = Vec::new();
    let mut command = visible();
    command.build();
    let mut pending = vec![("rrun".to_owned(), command)];
    while let Some((name, command)) = pending.pop() {
        for verb in command.get_subcommands() {
            pending.push((format!("{name}-{}", verb.get_name()), verb.clone()));
        }
        let mut text = Vec::new();
        clap_mangen::Man::new(command.display_name(&name))
            .title(name.to_uppercase())
            .section("8")
            .source(concat!("rrun ", env!("CARGO_PKG_VERSION")))
            .render(&mut text)?;
        files.push((Path::new("man").join(format!("{name}.8")), text));
    }
    Ok(files)
}

/// The command line without the verbs that are only there to be refused.
fn visible() -> clap::Command {
    let all = rrun::command();
    let verbs = all.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned();
    clap::Command::new("rrun")
        .about(all.get_about().cloned().unwrap_or_default())
        .args(all.get_arguments().filter(|arg| !arg.is_hide_set()).cloned())
        .subcommands(verbs)
        .disable_help_subcommand(true)
}
