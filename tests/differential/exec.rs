//! Further processes in a running container.

use serde_json::{Value, json};

use crate::case::Case;
use crate::dice::Dice;
use crate::process::CAPABILITIES;

/// One `exec`.
#[derive(Debug)]
pub(crate) struct Exec {
    /// Flags of `exec` without the process file.
    pub(crate) flags: Vec<String>,
    /// The command, where there is no process file.
    pub(crate) command: Vec<String>,
    /// `--process FILE` with this in it.
    pub(crate) process: Option<Value>,
    /// On a terminal.
    pub(crate) terminal: bool,
    /// Fails, and what the error must name.
    pub(crate) fails: Option<&'static str>,
}

/// An `exec` for the container of `case`.
pub(crate) fn generate(dice: &mut Dice, case: &Case) -> Exec {
    match dice.below(10) {
        0..2 => by_file(dice, case),
        2 => failing(dice),
        _ => by_flags(dice, case),
    }
}

fn witness() -> Vec<String> {
    ["/bin/witness", "report"].map(str::to_owned).to_vec()
}

fn by_flags(dice: &mut Dice, case: &Case) -> Exec {
    let mut flags: Vec<String> = Vec::new();
    let mut add = |flag: &str, value: &str| flags.extend([flag.to_owned(), value.to_owned()]);
    if dice.chance(40) {
        add("--user", dice.one(&["1000", "0", "1000:1000", "4242:5", "0:0"]));
    }
    if dice.chance(30) {
        add("--cwd", dice.one(&["/", "/tmp", "/bin", "/var"]));
    }
    for env in
        dice.some(&["A=exec", "PATH=/nowhere:/bin", "HOME=/exec", "EMPTY=", "TWICE=3", "NEW=1"], 25)
    {
        add("--env", env);
    }
    for gid in dice.some(&["5", "1000", "7"], 25) {
        add("--additional-gids", gid);
    }
    if dice.chance(40) {
        for capability in dice.some(CAPABILITIES, 12) {
            add("--cap", capability);
        }
    }
    if dice.chance(25) {
        flags.push("--no-new-privs".to_owned());
    }
    // The container has a terminal to give only with a devpts at the usual place.
    let devpts = case.spec["mounts"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|m| m["destination"] == "/dev/pts");
    let terminal = devpts && dice.chance(25);
    if terminal {
        flags.push("--tty".to_owned());
    }
    let mut command = witness();
    if dice.chance(50) {
        command[0] = "witness".to_owned();
    }
    Exec { flags, command, process: None, terminal, fails: None }
}

fn by_file(dice: &mut Dice, case: &Case) -> Exec {
    let mut process = case.spec["process"].clone();
    process["args"] = json!(witness());
    process["terminal"] = json!(false);
    process["cwd"] = json!(dice.one(&["/", "/tmp"]));
    process["env"] = json!(["PATH=/bin", "BY=file"]);
    dice.maybe(50, &mut process, "noNewPrivileges", json!(false));
    dice.maybe(
        30,
        &mut process,
        "rlimits",
        json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]),
    );
    dice.maybe(30, &mut process, "oomScoreAdj", json!(1000));
    let user =
        json!({"uid": dice.number(&[0, 1000]), "gid": 5, "additionalGids": [7], "umask": 0o37});
    dice.maybe(50, &mut process, "user", user);
    Exec {
        flags: Vec::new(),
        command: Vec::new(),
        process: Some(process),
        terminal: false,
        fails: None,
    }
}

fn failing(dice: &mut Dice) -> Exec {
    let (flags, command, names): (&[&str], &[&str], &'static str) = [
        (&[][..], &["no-such-program"][..], "executable file not found in $PATH"),
        (&[], &["/no/such/program"], "no such file or directory"),
        (&[], &["/etc/passwd"], "permission denied"),
        (&[], &["/etc"], "is a directory"),
        (&["--cwd", "/etc/passwd"], &["true"], "not a directory"),
        (&["--cwd", "relative"], &["true"], "absolute path"),
        (&["--env", "no-equals-sign"], &["true"], "invalid environment variable"),
        (&["--user", "nobody"], &["true"], "nobody"),
    ][dice.below(8)];
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Exec {
        flags: owned(flags),
        command: owned(command),
        process: None,
        terminal: false,
        fails: Some(names),
    }
}
