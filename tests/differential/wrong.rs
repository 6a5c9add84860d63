//! Configurations with one thing wrong.

use serde_json::{Value, json};

use crate::machine::Host;

/// A fault.
#[derive(Debug)]
pub(crate) struct Wrong {
    /// What is wrong.
    pub(crate) name: &'static str,
    /// What the error must name, in any case of letters: the part that tells a user what to change.
    pub(crate) names: &'static str,
    /// The release of runc that knows the field.
    since: (u32, u32),
    /// Puts the fault into a configuration that is right.
    pub(crate) spoil: fn(&mut Value),
}

const fn wrong(name: &'static str, names: &'static str, spoil: fn(&mut Value)) -> Wrong {
    Wrong { name, names, since: (1, 1), spoil }
}

const fn later(name: &'static str, names: &'static str, spoil: fn(&mut Value)) -> Wrong {
    Wrong { name, names, since: (1, 2), spoil }
}

/// The fault number `number` of those that the reference runtime can know, again from the first after
/// the last.
pub(crate) fn number(number: usize, host: &Host) -> &'static Wrong {
    let known: Vec<&Wrong> =
        ALL.iter().filter(|wrong| host.knows(wrong.since.0, wrong.since.1)).collect();
    known[number % known.len()]
}

fn without(spec: &mut Value, kind: &str) {
    rrun_tests::spec::share(spec, kind);
}

fn mount(spec: &mut Value, mount: Value) {
    rrun_tests::spec::push(&mut spec["mounts"], mount);
}

fn unset(object: &mut Value, key: &str) {
    object.as_object_mut().expect("an object").remove(key);
}

/// Every fault.
const ALL: &[Wrong] = &[
    wrong("program not in PATH", "executable file not found in $PATH", |s| {
        s["process"]["args"] = json!(["no-such-program"])
    }),
    wrong("program not there", "no such file or directory", |s| {
        s["process"]["args"] = json!(["/no/such/program"])
    }),
    wrong("program not executable", "permission denied", |s| {
        s["process"]["args"] = json!(["/etc/passwd"])
    }),
    wrong("program is a directory", "is a directory", |s| s["process"]["args"] = json!(["/etc"])),
    wrong("program of no format", "exec format error", |s| {
        s["process"]["args"] = json!(["/not-a-program"])
    }),
    wrong("interpreter not there", "no such file or directory", |s| {
        s["process"]["args"] = json!(["/no-interpreter"])
    }),
    wrong("no PATH", "executable file not found in $PATH", |s| {
        s["process"]["env"] = json!(["A=1"]);
        s["process"]["args"] = json!(["no-such-program"]);
    }),
    wrong("no arguments", "args must not be empty", |s| s["process"]["args"] = json!([])),
    wrong("empty program", "", |s| s["process"]["args"] = json!([""])),
    wrong("relative cwd", "absolute path", |s| s["process"]["cwd"] = json!("tmp")),
    wrong("no cwd", "cwd", |s| s["process"]["cwd"] = json!("")),
    wrong("cwd is a file", "not a directory", |s| s["process"]["cwd"] = json!("/etc/passwd")),
    wrong("cwd not to be entered", "permission denied", |s| {
        s["process"]["cwd"] = json!("/locked");
        s["process"]["user"] = json!({"uid": 1000, "gid": 1000});
        s["process"]["capabilities"] = json!({});
    }),
    wrong("environment without =", "invalid environment variable", |s| {
        s["process"]["env"] = json!(["A"])
    }),
    wrong("limit of no kind", "RLIMIT_NONSENSE", |s| {
        s["process"]["rlimits"] = json!([{"type": "RLIMIT_NONSENSE", "soft": 1, "hard": 1}])
    }),
    wrong("soft limit over the hard one", "rlimit", |s| {
        s["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 500, "hard": 100}])
    }),
    wrong("the same limit twice", "RLIMIT_NOFILE", |s| {
        s["process"]["rlimits"] = json!([
        {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 100}, {"type": "RLIMIT_NOFILE", "soft": 90, "hard": 90}])
    }),
    wrong("hostname in the host's UTS namespace", "uts namespace", |s| without(s, "uts")),
    later("domainname in the host's UTS namespace", "uts namespace", |s| {
        without(s, "uts");
        unset(s, "hostname");
        s["domainname"] = json!("example.org");
    }),
    wrong("sysctl of the host's network", "not allowed in host network namespace", |s| {
        without(s, "network");
        s["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1"});
    }),
    wrong("sysctl of the host's IPC", "not allowed in the hosts ipc namespace", |s| {
        without(s, "ipc");
        s["linux"]["sysctl"] = json!({"kernel.msgmax": "4242"});
    }),
    wrong("sysctl of the machine", "is not in a separate kernel namespace", |s| {
        s["linux"]["sysctl"] = json!({"vm.swappiness": "1"})
    }),
    wrong("sysctl of the hostname", "conflicts with the OCI", |s| {
        s["linux"]["sysctl"] = json!({"kernel.hostname": "x"})
    }),
    wrong("sysctl that is not there", "no such file", |s| {
        s["linux"]["sysctl"] = json!({"net.ipv4.no_such_thing": "1"})
    }),
    wrong("sysctl with a wrong value", "invalid argument", |s| {
        s["linux"]["sysctl"] = json!({"net.ipv4.ip_default_ttl": "many"})
    }),
    wrong("namespace of no kind", "namespace", |s| {
        rrun_tests::spec::push(&mut s["linux"]["namespaces"], json!({"type": "nonsense"}))
    }),
    wrong("the same namespace twice", "duplicated ns", |s| {
        rrun_tests::spec::push(&mut s["linux"]["namespaces"], json!({"type": "pid"}))
    }),
    wrong("namespace path not there", "/no/such/ns", |s| {
        without(s, "network");
        rrun_tests::spec::push(
            &mut s["linux"]["namespaces"],
            json!({"type": "network", "path": "/no/such/ns"}),
        );
    }),
    wrong("namespace path of another kind", "", |s| {
        without(s, "network");
        rrun_tests::spec::push(
            &mut s["linux"]["namespaces"],
            json!({"type": "network", "path": "/proc/self/ns/uts"}),
        );
    }),
    wrong("user namespace without mappings", "mappings", |s| {
        rrun_tests::spec::push(&mut s["linux"]["namespaces"], json!({"type": "user"}))
    }),
    wrong("mappings without a user namespace", "user namespace", |s| {
        s["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": 1, "size": 1}]);
        s["linux"]["gidMappings"] = json!([{"containerID": 0, "hostID": 1, "size": 1}]);
    }),
    wrong("masked paths in the host's mount namespace", "mnt namespace", |s| without(s, "mount")),
    wrong("rootfs not there", "no such file or directory", |s| {
        s["root"]["path"] = json!("nowhere")
    }),
    wrong("rootfs is a file", "not a directory", |s| s["root"]["path"] = json!("config.json")),
    wrong("no root", "root", |s| unset(s, "root")),
    wrong("no process", "process", |s| unset(s, "process")),
    wrong("bind source not there", "no such file or directory", |s| {
        mount(
            s,
            json!({"destination": "/m", "type": "bind", "source": "/no/such/source", "options": ["bind"]}),
        )
    }),
    wrong("file on a directory", "not a directory", |s| {
        mount(
            s,
            json!({"destination": "/tmp", "type": "bind", "source": "src/file", "options": ["bind"]}),
        )
    }),
    wrong("directory on a file", "not a directory", |s| {
        mount(
            s,
            json!({"destination": "/etc/passwd", "type": "bind", "source": "src/dir", "options": ["bind"]}),
        )
    }),
    wrong("file system of no kind", "no such device", |s| {
        mount(s, json!({"destination": "/m", "type": "nonsensefs", "source": "x"}))
    }),
    wrong("mount below /proc", "/proc/acpi", |s| {
        mount(s, json!({"destination": "/proc/acpi", "type": "tmpfs", "source": "tmpfs"}))
    }),
    wrong("bind onto /proc", "/proc", |s| {
        mount(
            s,
            json!({"destination": "/proc", "type": "bind", "source": "src/dir", "options": ["bind"]}),
        )
    }),
    wrong("option of no tmpfs", "invalid argument", |s| {
        mount(
            s,
            json!({"destination": "/m", "type": "tmpfs", "source": "tmpfs", "options": ["nonsense=1"]}),
        )
    }),
    wrong("propagation of no kind", "rootfsPropagation", |s| {
        s["linux"]["rootfsPropagation"] = json!("nonsense")
    }),
    wrong("masked path not absolute", "", |s| s["linux"]["maskedPaths"] = json!(["etc/passwd"])),
    wrong("device of no kind", "device", |s| {
        s["linux"]["devices"] = json!([{"path": "/dev/x", "type": "z", "major": 1, "minor": 3}])
    }),
    wrong("device rule of no kind", "", |s| {
        s["linux"]["resources"]["devices"] = json!([{"allow": true, "type": "z", "access": "rwm"}])
    }),
    wrong("device rule with odd access", "", |s| {
        s["linux"]["resources"]["devices"] = json!([{"allow": true, "type": "c", "access": "rx"}])
    }),
    wrong("CPU that is not there", "cpuset.cpus", |s| {
        s["linux"]["resources"]["cpu"] = json!({"cpus": "4095"})
    }),
    wrong("CPUs of no form", "cpuset.cpus", |s| {
        s["linux"]["resources"]["cpu"] = json!({"cpus": "zero"})
    }),
    wrong("CPU period too short", "invalid argument", |s| {
        s["linux"]["resources"]["cpu"] = json!({"period": 5, "quota": 5})
    }),
    wrong("swap below memory", "", |s| {
        s["linux"]["resources"]["memory"] = json!({"limit": 200_000_000, "swap": 100_000_000})
    }),
    wrong("swappiness over 100", "swappiness", |s| {
        s["linux"]["resources"]["memory"] = json!({"swappiness": 101})
    }),
    wrong("seccomp action of no kind", "SCMP_ACT_NONSENSE", |s| {
        s["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_NONSENSE"})
    }),
    wrong("seccomp operator of no kind", "SCMP_CMP_NONSENSE", |s| {
        s["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["getcwd"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_NONSENSE"}]}]})
    }),
    wrong("seccomp argument 6", "index", |s| {
        s["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["getcwd"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}]})
    }),
    wrong("seccomp architecture of no kind", "SCMP_ARCH_NONSENSE", |s| {
        s["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_NONSENSE"],
        "syscalls": [{"names": ["getcwd"], "action": "SCMP_ACT_ERRNO"}]})
    }),
    wrong("seccomp flag of no kind", "SECCOMP_FILTER_FLAG_NONSENSE", |s| {
        s["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_NONSENSE"],
        "syscalls": [{"names": ["getcwd"], "action": "SCMP_ACT_ERRNO"}]})
    }),
    wrong("notify without a listener", "listenerPath", |s| {
        s["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["getcwd"], "action": "SCMP_ACT_NOTIFY"}]})
    }),
    wrong("ambient capability that is not permitted", "", |s| {
        s["process"]["capabilities"]["ambient"] = json!(["CAP_SYS_ADMIN"])
    }),
    wrong("capability that the machine lacks", "", |s| {
        for set in ["bounding", "permitted", "effective"] {
            s["process"]["capabilities"][set] = json!(["CAP_SYS_RESOURCE"]);
        }
    }),
    wrong("hook not there", "/no/such/hook", |s| {
        s["hooks"]["createRuntime"] = json!([{"path": "/no/such/hook"}])
    }),
    wrong("hook fails", "createRuntime", |s| {
        s["hooks"]["createRuntime"] =
            json!([{"path": "/bin/sh", "args": ["sh", "-c", "echo because; exit 3"]}])
    }),
    wrong("hook in the container fails", "startContainer", |s| {
        s["hooks"]["startContainer"] = json!([{"path": "/bin/false"}])
    }),
    wrong("hook path not absolute", "", |s| s["hooks"]["prestart"] = json!([{"path": "bin/true"}])),
    wrong("cgroup path is a file", "", |s| s["linux"]["cgroupsPath"] = json!("/cgroup.procs")),
    wrong("terminal without a console", "", |s| s["process"]["terminal"] = json!(true)),
    wrong("AppArmor profile on a kernel without", "apparmor", |s| {
        s["process"]["apparmorProfile"] = json!("docker-default")
    }),
    wrong("version 2", "2.0.0", |s| s["ociVersion"] = json!("2.0.0")),
    wrong("no version", "", |s| unset(s, "ociVersion")),
    wrong("uid not a number", "uid", |s| s["process"]["user"]["uid"] = json!("root")),
    wrong("uid negative", "uid", |s| s["process"]["user"]["uid"] = json!(-1)),
    wrong("mounts not a list", "mounts", |s| s["mounts"] = json!({})),
    wrong("unmapped user", "", |s| {
        rrun_tests::spec::map_users(s, 100_000, 1000);
        s["process"]["user"] = json!({"uid": 5000, "gid": 0});
    }),
    later("time offsets without a time namespace", "time namespace", |s| {
        s["linux"]["timeOffsets"] = json!({"monotonic": {"secs": 1}})
    }),
    later("scheduler of no kind", "SCHED_NONSENSE", |s| {
        s["process"]["scheduler"] = json!({"policy": "SCHED_NONSENSE"})
    }),
    later("nice out of range", "nice", |s| {
        s["process"]["scheduler"] = json!({"policy": "SCHED_OTHER", "nice": 77})
    }),
    later("I/O priority out of range", "priority", |s| {
        s["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_BE", "priority": 99})
    }),
    later("I/O class of no kind", "IOPRIO_CLASS_NONSENSE", |s| {
        s["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_NONSENSE", "priority": 1})
    }),
    later("personality of no kind", "NONSENSE", |s| {
        s["linux"]["personality"] = json!({"domain": "NONSENSE"})
    }),
    later("idmap of a tmpfs", "", |s| {
        let map = json!([{"containerID": 0, "hostID": 5000, "size": 1000}]);
        mount(
            s,
            json!({"destination": "/m", "type": "tmpfs", "source": "tmpfs", "uidMappings": map, "gidMappings": map}),
        );
    }),
    later("idmap without mappings", "", |s| {
        mount(
            s,
            json!({"destination": "/m", "type": "bind", "source": "src/dir", "options": ["bind", "idmap"]}),
        )
    }),
];
