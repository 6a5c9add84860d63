//! From a seed to a configuration and the way in which it is run.

use serde_json::{Value, json};

use crate::dice::Dice;
use crate::exec::{self, Exec};
use crate::machine::Host;
use crate::{hooks, mounts, namespaces, process, resources, seccomp, wrong};

/// Every so-many-th seed is a wrong configuration.
const WRONG_EACH: u64 = 4;

/// How a container is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// `run`, to its end.
    Run,
    /// `create`, `start`, further processes, `kill`, `delete`, with looks from outside in between.
    Life,
}

/// A configuration with all that belongs to it.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) seed: u64,
    pub(crate) spec: Value,
    pub(crate) way: Way,
    /// What is wrong with it, and what an error must name.
    pub(crate) wrong: Option<&'static wrong::Wrong>,
    /// The owner of the rootfs, which is the container's root.
    pub(crate) owner: u32,
    /// `--preserve-fds`.
    pub(crate) preserved: u32,
    /// `LISTEN_FDS` of the runtime.
    pub(crate) listening: u32,
    /// `--no-pivot`, `--no-new-keyring`.
    pub(crate) flags: Vec<&'static str>,
    /// The bundle lies on a mount that is shared.
    pub(crate) shared: bool,
    pub(crate) execs: Vec<Exec>,
}

impl Case {
    /// The case of `seed` on `host` for a reference runtime that knows what `host` says.
    pub(crate) fn new(seed: u64, host: &Host) -> Self {
        let mut dice = Dice::new(seed);
        // The first rolls of neighbours are alike in nothing, but a wrong one is one of a list, in turn.
        let wrong = (seed % WRONG_EACH == WRONG_EACH - 1)
            .then(|| wrong::number((seed / WRONG_EACH) as usize, host));
        let mut case = Self {
            seed,
            spec: frame(),
            way: if dice.chance(35) { Way::Run } else { Way::Life },
            wrong,
            owner: 0,
            preserved: if dice.chance(15) { 1 + dice.below(3) as u32 } else { 0 },
            listening: if dice.chance(10) { 1 + dice.below(2) as u32 } else { 0 },
            flags: Vec::new(),
            shared: dice.chance(25),
            execs: Vec::new(),
        };
        if let Some(wrong) = wrong {
            case.way = if dice.chance(70) { Way::Run } else { Way::Life };
            case.spec = rrun_tests::spec::default();
            case.spec["process"]["args"] = json!(["/bin/witness", "report"]);
            if case.way == Way::Life {
                // What was to be refused and is not must be seen to run.
                rrun_tests::spec::push(&mut case.spec["process"]["args"], json!("--hold"));
            }
            (case.preserved, case.listening, case.shared) = (0, 0, false);
            (wrong.spoil)(&mut case.spec);
            return case;
        }
        if dice.chance(10) {
            case.flags.push("--no-new-keyring");
        }
        process::fill(&mut dice, host, &mut case);
        namespaces::fill(&mut dice, host, &mut case);
        mounts::fill(&mut dice, host, &mut case);
        resources::fill(&mut dice, host, &mut case);
        seccomp::fill(&mut dice, host, &mut case);
        hooks::fill(&mut dice, host, &mut case);
        if case.way == Way::Life {
            case.execs = (0..1 + dice.below(2)).map(|_| exec::generate(&mut dice, &case)).collect();
        }
        name_paths(&mut case);
        case
    }
}

fn frame() -> Value {
    json!({
        "ociVersion": "1.0.2",
        "process": {"args": [], "cwd": "/", "user": {"uid": 0, "gid": 0}, "env": []},
        "root": {"path": "rootfs"},
        "mounts": [],
        "linux": {"namespaces": []},
    })
}

/// Lets the witness look at every path that the configuration names.
fn name_paths(case: &mut Case) {
    let mut paths: Vec<String> = Vec::new();
    for key in ["maskedPaths", "readonlyPaths"] {
        let listed = case.spec["linux"][key].as_array().into_iter().flatten();
        paths.extend(listed.filter_map(|path| path.as_str().map(str::to_owned)));
    }
    let mounts = case.spec["mounts"].as_array().into_iter().flatten();
    let below = |path: &str| !["/proc", "/sys", "/dev"].iter().any(|top| path.starts_with(top));
    paths.extend(
        mounts.filter_map(|m| m["destination"].as_str()).filter(|p| below(p)).map(str::to_owned),
    );
    let args = case.spec["process"]["args"].as_array_mut().expect("args");
    if case.way == Way::Life {
        args.push(json!("--hold"));
    }
    args.extend(paths.into_iter().map(Value::from));
}
