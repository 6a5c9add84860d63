//! Differences that are meant, each with its reason. One that explains nothing in a whole run is an error.

use crate::case::{Case, Way};
use crate::compare::Difference;
use crate::machine::Host;

/// A reason for differences.
pub(crate) struct Explained {
    /// Why rrun is right to differ.
    pub(crate) reason: &'static str,
    /// The reference runtimes for which it holds.
    pub(crate) holds: fn(&Host) -> bool,
    /// Whether it explains this difference of this case.
    pub(crate) explains: fn(&Case, &Difference) -> bool,
}

fn always(_: &Host) -> bool {
    true
}

/// A line of a hook of the host or of the container.
fn of_hook(line: &str) -> bool {
    line.starts_with("hooks: ") || line.starts_with("inner hooks: ")
}

fn of_exec(line: &str) -> bool {
    line.starts_with("exec ")
}

fn standard_stream(line: &str) -> bool {
    ["fd 0: ", "fd 1: ", "fd 2: "].iter().any(|stream| line.contains(stream))
}

fn is_wrong(case: &Case, names: &[&str]) -> bool {
    case.wrong.is_some_and(|wrong| names.contains(&wrong.name))
}

/// All of them.
pub(crate) const ALL: &[Explained] = &[
    Explained {
        reason: "a process without `capabilities` has none; runc leaves it all that it has itself, \
                 and `runc exec --cap` there ends in a panic",
        holds: always,
        explains: |case, difference| {
            case.wrong.is_none()
                && case.spec["process"]["capabilities"].is_null()
                && ["init: ", "exec ", "inner hooks: "]
                    .iter()
                    .any(|p| difference.line.starts_with(p))
        },
    },
    Explained {
        reason: "hooks have files in memory as streams, so that one that reads nothing, writes much or \
                 leaves a daemon behind blocks nobody; runc's have pipes",
        holds: always,
        explains: |_, difference| of_hook(&difference.line) && standard_stream(&difference.line),
    },
    Explained {
        reason: "runc hands descriptors of its own and of its caller on to hooks, rrun none",
        holds: always,
        explains: |_, difference| {
            !difference.rrun && of_hook(&difference.line) && difference.line.contains(": fd ")
        },
    },
    Explained {
        reason: "`run` and `exec` in the foreground hand their own streams over; runc copies through \
                 pipes, which costs a process that stays and every byte twice",
        holds: always,
        explains: |case, difference| {
            let foreground = case.way == Way::Run && difference.line.starts_with("init: ");
            (foreground || of_exec(&difference.line)) && standard_stream(&difference.line)
        },
    },
    Explained {
        reason: "`state` names the owner of the container, as `list` of both does; runc's leaves it empty",
        holds: always,
        explains: |_, difference| {
            difference.line.starts_with("state ") && difference.line.contains(": owner: ")
        },
    },
    Explained {
        reason: "runc runs what `run` calls in the bundle, having changed there; to rrun the caller's \
                 working directory stays what relative paths are relative to",
        holds: always,
        explains: |_, difference| of_hook(&difference.line) && difference.line.contains(": cwd "),
    },
    Explained {
        reason: "the message queues of a user namespace belong to its root and root's group; runc makes \
                 them while its group is not yet mapped",
        holds: always,
        explains: |case, difference| {
            case.owner != 0
                && difference.line.contains(match difference.rrun {
                    true => "dir 1777 0:0",
                    false => "dir 1777 0:65534",
                })
        },
    },
    Explained {
        reason: "`exec` joins the session keyring of the container's user namespace; runc looks for it before it \
                 enters that, and makes another of the same name",
        holds: always,
        explains: |case, difference| {
            case.owner != 0
                && of_exec(&difference.line)
                && difference.line.contains("session keyring")
        },
    },
    Explained {
        reason: "`oomScoreAdj` and `user.umask` of `exec --process` count; runc takes those of the \
                 container's config.json",
        holds: always,
        explains: |_, difference| {
            let line = &difference.line;
            of_exec(line)
                && ["oom_score_adj", "status Umask", "make a file"]
                    .iter()
                    .any(|part| line.contains(part))
        },
    },
    Explained {
        reason: "a device has the mode that config.json says; Go's type of modes drops the set-user-ID bit",
        holds: always,
        explains: |_, difference| difference.line.contains("/random: "),
    },
    Explained {
        reason: "of capabilities that are unknown or cannot be ambient either warns, but on the terminal of an `exec` \
                 not at the same time",
        holds: always,
        explains: |_, difference| of_exec(&difference.line) && difference.line.contains("WARN"),
    },
    Explained {
        reason: "a line of /etc/passwd without a user id is nobody's; to runc it is root's, with an empty home",
        holds: always,
        explains: |case, difference| {
            let hidden = case.spec["mounts"]
                .as_array()
                .is_some_and(|mounts| mounts.iter().any(|m| m["destination"] == "/etc/passwd"));
            hidden
                && difference.line.ends_with(if difference.rrun {
                    " env HOME=/"
                } else {
                    " env HOME="
                })
        },
    },
    Explained {
        reason: "a container that could not be created leaves no group and no mount point behind; runc leaves some",
        holds: always,
        explains: |_, difference| {
            let line = &difference.line;
            !difference.rrun
                && (line.starts_with("left behind: more: cgroup ")
                    || line.starts_with("bundle: FOLDER/b/rootfs/"))
        },
    },
    Explained {
        reason: "what fails in `start` is told by `start`: a missing interpreter, a startContainer hook; runc's is gone before",
        holds: always,
        explains: |case, _| {
            is_wrong(case, &["interpreter not there", "hook in the container fails"])
        },
    },
    Explained {
        reason: "the specification forbids it (duplicate limits: config.md, \"POSIX process\"; versions: config.md, \
                 \"Specification version\"; paths that are not absolute), so it is an error",
        holds: always,
        explains: |case, _| {
            is_wrong(
                case,
                &["the same limit twice", "masked path not absolute", "version 2", "no version"],
            )
        },
    },
    Explained {
        reason: "mappings without a user namespace would not be in effect: an error, as in runc until 1.1",
        holds: |host| host.knows(1, 2),
        explains: |case, _| is_wrong(case, &["mappings without a user namespace"]),
    },
    Explained {
        reason: "runc until 1.5 takes each of `--additional-gids` twice",
        holds: |host| !host.knows(1, 6),
        explains: |_, difference| {
            let line = &difference.line;
            of_exec(line) && (line.contains(": groups ") || line.contains("status Groups: "))
        },
    },
    Explained {
        reason: "with `rootfsPropagation` slave, runc until 1.5 makes private what lies on a shared mount",
        holds: |host| !host.knows(1, 6),
        explains: |case, difference| {
            let propagation = case.spec["linux"]["rootfsPropagation"].as_str().unwrap_or_default();
            case.shared
                && ["slave", "rslave"].contains(&propagation)
                && difference.line.contains(": mount ")
        },
    },
    Explained {
        reason: "a container may have a terminal though the caller of `run` has none: its output is passed on",
        holds: always,
        explains: |case, _| is_wrong(case, &["terminal without a console"]),
    },
];
