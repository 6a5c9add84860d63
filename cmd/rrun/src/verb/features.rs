//! `rrun features` (runtime-spec, features.md and features-linux.md).

use libseccomp::{ScmpAction, ScmpArch, ScmpFilterContext};
use serde_json::{Value, json};

use crate::verb::SUCCESS;
use crate::{output, version};

/// show the enabled features
///
/// The result is parsable as a JSON. See
/// https://github.com/opencontainers/runtime-spec/blob/main/features.md for the type definition.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// `rrun features`.
pub(crate) fn features(_: &Args) -> anyhow::Result<u8> {
    output::print(&format!("{:#}\n", document()))?;
    Ok(SUCCESS)
}

/// What rrun recognises, whatever the host has.
fn document() -> Value {
    json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": version::SPEC,
        "hooks": [
            "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop",
        ],
        "mountOptions": container::known_mount_options(),
        "linux": {
            "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"],
            "capabilities": CAPABILITIES,
            "cgroup": {
                "v1": true, "v2": true, "systemd": true, "systemdUser": true, "rdma": true,
            },
            "seccomp": seccomp(),
            "apparmor": {"enabled": true},
            "selinux": {"enabled": true},
            "intelRdt": {"enabled": true, "schemata": true, "monitoring": true},
            "memoryPolicy": {
                "modes": [
                    "MPOL_BIND", "MPOL_DEFAULT", "MPOL_INTERLEAVE", "MPOL_LOCAL", "MPOL_PREFERRED",
                    "MPOL_PREFERRED_MANY", "MPOL_WEIGHTED_INTERLEAVE",
                ],
                "flags": ["MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"],
            },
            "mountExtensions": {"idmap": {"enabled": true}},
            "netDevices": {"enabled": true},
        },
        "annotations": annotations(),
        // One that ends in a point is a prefix.
        "potentiallyUnsafeConfigAnnotations": ["org.systemd.property.", "org.criu.config"],
    })
}

fn annotations() -> Value {
    let mut annotations = json!({
        "org.rrun.version": version::RRUN,
        "org.rrun.commit": version::commit(),
        // runc's key: engines ask it whether checkpoint and restore are there.
        "org.opencontainers.runc.checkpoint.enabled": "true",
    });
    if let Some(libseccomp) = version::libseccomp() {
        annotations["io.github.seccomp.libseccomp.version"] = libseccomp.into();
    }
    annotations
}

fn seccomp() -> Value {
    json!({
        "enabled": true,
        "actions": [
            "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS",
            "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE",
            "SCMP_ACT_TRAP",
        ],
        "operators": [
            "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT",
            "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE",
        ],
        "archs": archs(),
        "knownFlags": FLAGS,
        "supportedFlags": supported_flags(libseccomp::get_api()),
    })
}

/// The filter flags of the runtime-spec.
const FLAGS: [&str; 4] = [
    "SECCOMP_FILTER_FLAG_TSYNC",
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    "SECCOMP_FILTER_FLAG_LOG",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
];

/// The flags that libseccomp and the kernel have together, by libseccomp's API level
/// (seccomp_api_get(3)).
fn supported_flags(api: u32) -> Vec<&'static str> {
    FLAGS
        .iter()
        .zip([2, 4, 3, 7])
        .filter(|(_, level)| api >= *level)
        .map(|(flag, _)| *flag)
        .collect()
}

/// The architectures of the runtime-spec that the libseccomp linked in can filter for.
fn archs() -> Vec<&'static str> {
    // All of one filter must have the same byte order, so each gets its own.
    let takes = |arch: ScmpArch| {
        let mut filter = ScmpFilterContext::new(ScmpAction::Allow)?;
        filter.remove_arch(ScmpArch::Native)?;
        filter.add_arch(arch).map(drop)
    };
    let known = |name: &&str| name.parse().is_ok_and(|arch| takes(arch).is_ok());
    ARCHS.iter().copied().filter(known).collect()
}

const ARCHS: &[&str] = &[
    "SCMP_ARCH_AARCH64",
    "SCMP_ARCH_ARM",
    "SCMP_ARCH_LOONGARCH64",
    "SCMP_ARCH_MIPS",
    "SCMP_ARCH_MIPS64",
    "SCMP_ARCH_MIPS64N32",
    "SCMP_ARCH_MIPSEL",
    "SCMP_ARCH_MIPSEL64",
    "SCMP_ARCH_MIPSEL64N32",
    "SCMP_ARCH_PPC",
    "SCMP_ARCH_PPC64",
    "SCMP_ARCH_PPC64LE",
    "SCMP_ARCH_RISCV64",
    "SCMP_ARCH_S390",
    "SCMP_ARCH_S390X",
    "SCMP_ARCH_X32",
    "SCMP_ARCH_X86",
    "SCMP_ARCH_X86_64",
];

/// capabilities(7), in the kernel's order.
const CAPABILITIES: &[&str] = &[
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_can_parse_it() {
        let features: container::spec::Features = serde_json::from_value(document()).unwrap();
        assert_eq!(features.oci_version_max(), version::SPEC);
        assert_eq!(features.hooks().as_ref().unwrap().len(), 6);
    }

    #[test]
    fn lists_are_complete_and_sorted() {
        assert_eq!(CAPABILITIES.len(), 41);
        assert!(ARCHS.is_sorted());
    }

    #[test]
    fn supported_flags_follow_the_api_level() {
        assert_eq!(supported_flags(1), [""; 0]);
        assert_eq!(supported_flags(3).len(), 2);
        assert_eq!(supported_flags(7), FLAGS);
    }
}
