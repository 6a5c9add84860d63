//! Flags as runc's command line, which is Go's (package flag), lets people spell them: `-bundle X`, `--tty=false`.
//!
//! Arguments are put into the form that clap reads, up to the first positional one of the verb: what follows may be
//! another program's.

use std::any::TypeId;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use clap::{Arg, Command};

/// The arguments, the program's name first, as `command` has its flags.
pub(crate) fn translate(command: &Command, args: Vec<OsString>) -> Vec<OsString> {
    let mut levels = vec![command];
    let mut translated = Vec::with_capacity(args.len());
    let mut rest = args.into_iter();
    translated.extend(rest.next());
    // Where the flags of the present level begin.
    let mut from = translated.len();
    while let Some(arg) = rest.next() {
        let Some(flag) = Flag::of(&levels, &arg) else {
            let verb = levels.last().and_then(|level| level.find_subcommand(&arg));
            let is_flag = arg.as_bytes().starts_with(b"-") && arg.len() > 1 && arg != "--";
            translated.push(arg);
            match verb {
                Some(verb) => {
                    levels.push(verb);
                    from = translated.len();
                }
                // One that clap complains of, or several short ones.
                None if is_flag => {}
                None => break,
            }
            continue;
        };
        if !flag.arg.get_action().takes_values() {
            let word = flag.value.unwrap_or_else(|| "true".into());
            match boolean(&word) {
                Some(true) => translated.push(name(flag.arg)),
                // The last one counts.
                Some(false) => {
                    let before = translated.split_off(from);
                    translated.extend(before.into_iter().filter(|arg| *arg != name(flag.arg)));
                }
                // clap says what is wrong.
                None => translated.push(with_value(flag.arg, &word)),
            }
            continue;
        }
        // The next argument is the value, whatever it begins with.
        match flag.value.or_else(|| rest.next()) {
            Some(value) if value.is_empty() && !may_be_empty(flag.arg) => {}
            Some(value) => translated.push(with_value(flag.arg, &value)),
            None => translated.push(name(flag.arg)),
        }
    }
    translated.extend(rest);
    translated
}

/// A flag that is known, and its value where that is part of the argument.
struct Flag<'a> {
    arg: &'a Arg,
    value: Option<OsString>,
}

impl<'a> Flag<'a> {
    /// The flags of all levels are taken at the last one, where it has none of the name.
    fn of(levels: &[&'a Command], text: &OsStr) -> Option<Self> {
        let bytes = text.as_bytes();
        let body = bytes.strip_prefix(b"--").or_else(|| bytes.strip_prefix(b"-"))?;
        let (name, value) = match body.iter().position(|byte| *byte == b'=') {
            Some(at) => (body.get(..at)?, body.get(at + 1..)),
            None => (body, None),
        };
        let name = std::str::from_utf8(name).ok()?;
        let is_named = |arg: &&Arg| {
            let short = arg.get_short().map(|short| short.to_string());
            arg.get_long() == Some(name) || short.as_deref() == Some(name)
        };
        let arg = levels.iter().rev().find_map(|level| level.get_arguments().find(is_named))?;
        Some(Self { arg, value: value.map(|value| OsString::from_vec(value.to_vec())) })
    }
}

/// An empty path or number means that there is none.
fn may_be_empty(arg: &Arg) -> bool {
    let numbers =
        [TypeId::of::<u16>(), TypeId::of::<u32>(), TypeId::of::<u64>(), TypeId::of::<i64>()];
    let kind = arg.get_value_parser().type_id();
    kind != TypeId::of::<PathBuf>() && numbers.iter().all(|number| kind != *number)
}

fn name(arg: &Arg) -> OsString {
    match (arg.get_long(), arg.get_short()) {
        (Some(long), _) => format!("--{long}").into(),
        (None, short) => format!("-{}", short.unwrap_or_default()).into(),
    }
}

fn with_value(arg: &Arg, value: &OsStr) -> OsString {
    let mut text = name(arg);
    text.push("=");
    text.push(value);
    text
}

/// The words of Go's `strconv.ParseBool`.
pub(crate) fn boolean(word: &OsStr) -> Option<bool> {
    match word.as_bytes() {
        b"1" | b"t" | b"T" | b"true" | b"TRUE" | b"True" => Some(true),
        b"0" | b"f" | b"F" | b"false" | b"FALSE" | b"False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(line: &str) -> String {
        let args = line.split(' ').map(OsString::from).collect();
        let args = translate(&crate::args::command(), args);
        args.iter().map(|arg| arg.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn flags_may_be_spelled_as_go_has_them() {
        for (line, as_clap) in [
            ("rrun", "rrun"),
            ("rrun -version", "rrun --version"),
            ("rrun -root /x list", "rrun --root=/x list"),
            ("rrun --root= --log  list -q", "rrun list --quiet"),
            ("rrun --debug=false --systemd-cgroup=true list", "rrun --systemd-cgroup list"),
            ("rrun --debug list -debug=0", "rrun --debug list"),
            ("rrun list --debug -debug=0", "rrun list"),
            ("rrun list --debug=maybe", "rrun list --debug=maybe"),
            ("rrun run -b /b -detach c1", "rrun run --bundle=/b --detach c1"),
            ("rrun run c1 -bundle /b", "rrun run c1 -bundle /b"),
            ("rrun spec -rootless=t", "rrun spec --rootless"),
            ("rrun -rootless t spec", "rrun --rootless=t spec"),
            ("rrun net ls -format json", "rrun net ls --format=json"),
            ("rrun update --memory  --cpu-quota -1 c1", "rrun update --cpu-quota=-1 c1"),
            ("rrun exec -env=A=1 -cwd=/tmp c1 ls", "rrun exec --env=A=1 --cwd=/tmp c1 ls"),
            ("rrun exec -t --tty=false c1 sh -c -t", "rrun exec c1 sh -c -t"),
            ("rrun exec -env A=1 -- c1 -cwd", "rrun exec --env=A=1 -- c1 -cwd"),
            ("rrun exec -td c1 sh", "rrun exec -td c1 sh"),
            ("rrun exec --nope c1", "rrun exec --nope c1"),
            ("rrun nope -debug", "rrun nope -debug"),
            ("rrun run --bundle", "rrun run --bundle"),
        ] {
            assert_eq!(translated(line), as_clap, "{line}");
        }
    }
}
