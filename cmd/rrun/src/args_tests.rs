use super::*;

fn words(line: &str) -> impl Iterator<Item = OsString> + use<> {
    let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
    words.into_iter()
}

/// The parsed line, in short, or the one-line error.
fn outcome(line: &str) -> Result<String, String> {
    match parse(words(line)) {
        Ok(cli) => Ok(format!("{cli:?}")),
        Err(Stop::Help(_)) => Err("help".to_owned()),
        Err(Stop::Usage { message, .. }) => Err(message),
    }
}

#[test]
fn the_definition_is_consistent() {
    command().debug_assert();
}

#[test]
fn flags_are_taken_in_the_positions_of_runc() {
    for line in [
        "rrun",
        "rrun -v",
        "rrun --version",
        "rrun --root /x --log /tmp/log --log-format json --debug list",
        "rrun --root=/x --systemd-cgroup --rootless=auto list -q",
        "rrun --root /x --root /y list --quiet -f json",
        "rrun --criu /usr/sbin/criu list",
        "rrun list --root /x --debug",
        "rrun run --log /tmp/log c1 --log-format json",
        "rrun run c1",
        "rrun run -b /b c1",
        "rrun run c1 -b /b",
        "rrun run --bundle=/b --pid-file p --console-socket s -d c1",
        "rrun run --detach --keep --no-subreaper --no-pivot --no-new-keyring --preserve-fds 3 c1",
        "rrun run bundle c1",
        "rrun run --net=bridge -p 8088:80 bundle",
        "rrun create --bundle /b --network none --hostname web c1",
        "rrun net ls -f json",
        "rrun create --bundle /b --pidfd-socket s c1",
        "rrun start c1",
        "rrun state c1",
        "rrun delete -f c1",
        "rrun delete c1 --force",
        "rrun kill c1",
        "rrun kill c1 KILL",
        "rrun kill -a c1 9",
        "rrun kill --all c1 9",
        "rrun pause c1",
        "rrun resume c1",
        "rrun ps c1",
        "rrun ps -f json c1",
        "rrun ps c1 -e -x",
        "rrun ps c1 -f json",
        "rrun spec",
        "rrun spec --rootless -b /b",
        "rrun checkpoint --image-path i --work-path w --parent-path ../p --leave-running c1",
        "rrun checkpoint --tcp-established --tcp-skip-in-flight --link-remap --ext-unix-sk c1",
        "rrun checkpoint --shell-job --lazy-pages --status-fd -1 --page-server 0.0.0.0:27277 c1",
        "rrun checkpoint --file-locks --pre-dump --manage-cgroups-mode ignore c1",
        "rrun checkpoint --empty-ns network --empty-ns=network --auto-dedup c1",
        "rrun restore -d -b /b --console-socket s --image-path i --work-path w --pid-file p c1",
        "rrun restore --detach --bundle /b --tcp-established --tcp-close --ext-unix-sk c1",
        "rrun restore --shell-job --file-locks --manage-cgroups-mode soft --no-subreaper c1",
        "rrun restore --no-pivot --empty-ns network --auto-dedup --lazy-pages c1",
        "rrun restore --lsm-profile apparmor:x --lsm-mount-context y c1",
        "rrun features",
        "rrun exec c1 ls -la",
        "rrun exec -t -d --cwd / -e A=1 -e B=-1 -u 0:0 -g 1 -g 2 c1 ls",
        "rrun exec -ti -- c1 ls",
        "rrun exec -p process.json c1",
        "rrun exec --process process.json --cgroup cpu,cpuacct:x --cgroup y:z --ignore-paused c1",
        "rrun exec -c CAP_KILL --cap CAP_CHOWN --no-new-privs --apparmor a --process-label l c1 ls",
        "rrun update --memory 1 c1",
        "rrun update c1 --memory-swap -1 --cpu-quota -1 --pids-limit -1 --cpu-idle -1",
        "rrun update -r - c1",
        "rrun update --resources file c1 --memory 50M --blkio-weight 10",
        "rrun events --stats c1",
        "rrun events --interval 100ms c1",
    ] {
        let outcome = outcome(line);
        // -i is no flag of runc's exec.
        assert_eq!(outcome.is_ok(), !line.contains("-ti"), "{line}: {outcome:?}");
    }
}

#[test]
fn flags_end_where_the_command_begins() {
    let Ok(Cli { verb: Some(Verb::Exec(args)), .. }) =
        parse(words("rrun exec -t c1 sh -c -t --cwd --help -- -v"))
    else {
        panic!("no exec")
    };
    let shown = format!("{args:?}");
    assert!(
        shown.contains(r#"words: ["c1", "sh", "-c", "-t", "--cwd", "--help", "--", "-v"]"#),
        "{shown}"
    );
    for line in ["rrun kill c1 -9", "rrun ps c1 -f json", "rrun ps c1 -h"] {
        assert!(outcome(line).is_ok(), "{line}");
    }
}

#[test]
fn verbs_that_enter_containers_are_seen_wherever_they_stand() {
    for (line, enters) in [
        ("rrun create c1", true),
        ("rrun --root /x --debug run c1", true),
        ("rrun --log=run.log exec c1 ls", true),
        ("rrun --log=run.log state c1", false),
        ("rrun list", false),
        ("rrun", false),
    ] {
        assert_eq!(enters_container(words(line)), enters, "{line}");
    }
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    for (line, message) in [
        ("rrun foo", "No help topic for 'foo'"),
        ("rrun foo -h", "No help topic for 'foo'"),
        ("rrun --log-format xml list", "invalid log-format: xml"),
        ("rrun --rootless maybe list", "'true', 'false' or 'auto' is expected"),
        ("rrun --nope list", "unexpected argument '--nope' found"),
        ("rrun list --rootless auto", "unexpected argument '--rootless' found"),
        ("rrun list c1", "unexpected argument 'c1' found"),
        ("rrun list -f xml", "invalid format option"),
        ("rrun state", "required arguments were not provided: <CONTAINER_ID>"),
        ("rrun state ", "container id cannot be empty"),
        ("rrun state ../x", "invalid container ID format"),
        ("rrun state a b", "unexpected argument 'b' found"),
        ("rrun delete a b", "unexpected argument 'b' found"),
        ("rrun exec", "required arguments were not provided"),
        ("rrun exec -g -1 c1 ls", "bad gid \"-1\""),
        ("rrun exec --preserve-fds -1 c1 ls", "-1"),
        ("rrun run --preserve-fds x c1", "invalid value 'x'"),
        ("rrun run", "required arguments were not provided"),
        ("rrun run --net=brigde c1", "invalid value 'brigde'"),
        ("rrun run -p 80:65536 c1", "invalid value '80:65536'"),
        ("rrun update --memory 5x c1", "invalid suffix: 'x'"),
        ("rrun update --cpu-share -1 c1", "invalid value '-1'"),
        ("rrun events --interval 0s c1", "duration interval must be greater than 0"),
        ("rrun run a b c", "unexpected argument 'c' found"),
    ] {
        let error = outcome(line).unwrap_err();
        assert!(error.contains(message), "{line}: {error}");
        assert!(!error.contains('\n'), "{line}: {error}");
    }
}

#[test]
fn errors_go_where_the_flags_say_even_when_the_rest_is_wrong() {
    let Err(Stop::Usage { global: Some(global), .. }) =
        parse(words("rrun --log /tmp/log --log-format json state --nope c1"))
    else {
        panic!("no usage error with flags")
    };
    assert_eq!(global.log_file(), Some(std::path::Path::new("/tmp/log")));
    assert_eq!(global.log_format, log::Format::Json);
}

#[test]
fn help_pages_have_the_head_of_runc() {
    for verb in command().get_subcommands().map(|verb| verb.get_name().to_owned()) {
        for flag in ["-h", "--help"] {
            let Err(Stop::Help(help)) = parse(words(&format!("rrun {verb} {flag}"))) else {
                panic!("{verb} {flag}")
            };
            let text = help.to_string();
            let head = format!("NAME:\n   rrun {verb} - ");
            assert!(text.starts_with(&head), "{verb}: {text}");
        }
    }
    let Err(Stop::Help(help)) = parse(words("rrun --help")) else { panic!("--help") };
    let text = help.to_string();
    assert!(text.starts_with("NAME:\n   rrun - Open Container Initiative runtime"), "{text}");
    assert!(!text.contains("--criu"), "{text}");
}
