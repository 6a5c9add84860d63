//! seccomp: from the profile in config.json to BPF, compiled in the parent and cached.
//!
//! Compiling docker's default profile costs milliseconds, so the program is kept in the state root under a
//! hash of the profile. The whole profile is stored with the program and compared, so that two
//! profiles with one hash cannot be taken for each other.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use libseccomp::{
    ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall,
};

use super::enosys;
use crate::error::{CallContext, Error, Result};
use crate::spec::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompFilterFlag, LinuxSeccompOperator,
    LinuxSyscall,
};
use crate::{files, sys};

/// A compiled filter.
#[derive(Debug)]
pub(crate) struct Filter {
    program: Vec<u8>,
    flags: u64,
    /// The program sends notifications: a listener descriptor comes with it.
    pub(crate) notifies: bool,
}

impl Filter {
    /// The filter of this profile, from the cache below `state_root` if it is there.
    pub(crate) fn new(profile: &LinuxSeccomp, state_root: &Path) -> Result<Self> {
        check_names(profile)?;
        let notifies = check_notify(profile)?;
        let flags = filter_flags(profile, notifies);
        let key = serde_json::to_vec(profile)
            .map_err(|error| Error::config("linux.seccomp", error.to_string()))?;
        let entry = cache_entry(state_root, &key);
        if let Some(program) = read_cache(&entry, &key) {
            return Ok(Self { program, flags, notifies });
        }
        let program = compile(profile)?;
        write_cache(&entry, &key, &program);
        Ok(Self { program, flags, notifies })
    }

    /// Installs it in the caller; the listener if it notifies.
    pub(crate) fn install(&self) -> Result<Option<std::os::fd::OwnedFd>> {
        sys::seccomp_filter(&self.program, self.flags)
            .call(|| "unable to init seccomp: error loading seccomp filter into kernel".to_owned())
    }
}

/// The kernel takes the filter when the container is started; what it would refuse then is said now.
fn check_size(program: &[u8]) -> Result<()> {
    /// `BPF_MAXINSNS` of linux/bpf_common.h.
    const MAX: usize = 4096;
    match program.len() / size_of::<libc::sock_filter>() {
        count if count > MAX => Err(Error::config(
            "linux.seccomp",
            format!("the filter has {count} instructions, and the kernel takes {MAX} at most"),
        )),
        _ => Ok(()),
    }
}

fn check_names(profile: &LinuxSeccomp) -> Result<()> {
    match profile.syscalls().iter().flatten().any(|rule| rule.names().iter().any(String::is_empty))
    {
        true => Err(Error::config("linux.seccomp.syscalls", "empty string is not a valid syscall")),
        false => Ok(()),
    }
}

/// SCMP_ACT_NOTIFY is refused where its answer could never come, as in runc.
fn check_notify(profile: &LinuxSeccomp) -> Result<bool> {
    if profile.default_action() == LinuxSeccompAction::ScmpActNotify {
        return Err(Error::config(
            "linux.seccomp.defaultAction",
            "SCMP_ACT_NOTIFY cannot be used as default action",
        ));
    }
    let mut notifies = false;
    for rule in profile.syscalls().iter().flatten() {
        if rule.action() == LinuxSeccompAction::ScmpActNotify {
            if rule.names().iter().any(|name| name == "write") {
                return Err(Error::config(
                    "linux.seccomp.syscalls",
                    "SCMP_ACT_NOTIFY cannot be used for the write syscall",
                ));
            }
            notifies = true;
        }
    }
    let flags = profile.flags().as_deref().unwrap_or_default();
    if !notifies && flags.contains(&LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv) {
        return Err(Error::config(
            "linux.seccomp.flags",
            "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs a rule with SCMP_ACT_NOTIFY",
        ));
    }
    Ok(notifies)
}

fn filter_flags(profile: &LinuxSeccomp, notifies: bool) -> u64 {
    // Without a word on flags, the mitigation of speculative store bypass is not forced on, as in runc:
    // it costs more than it protects where nobody asked.
    let mut bits = match profile.flags() {
        None => libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW,
        Some(flags) => flags.iter().fold(0, |bits, flag| bits | flag_bit(*flag)),
    };
    if notifies {
        bits |= libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    }
    tracing::debug!("seccomp filter flags: {bits}");
    bits
}

fn flag_bit(flag: LinuxSeccompFilterFlag) -> u64 {
    match flag {
        LinuxSeccompFilterFlag::SeccompFilterFlagLog => libc::SECCOMP_FILTER_FLAG_LOG,
        // The process has one thread: there is nobody to synchronise.
        LinuxSeccompFilterFlag::SeccompFilterFlagTsync => 0,
        LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW,
        LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => {
            libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
        }
    }
}

fn cache_entry(state_root: &Path, key: &[u8]) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    (env!("CARGO_PKG_VERSION"), FORMAT).hash(&mut hasher);
    key.hash(&mut hasher);
    state_root.join(CACHE_DIR).join(format!("{:016x}", hasher.finish()))
}

/// Counts the ways in which this program has compiled profiles.
const FORMAT: u32 = 1;

/// The directory of the cache in the state root. It cannot be taken for a container: it has no state
/// file.
const CACHE_DIR: &str = ".seccomp";

/// An entry is the length of the key (8 bytes, little endian), the key, the program.
fn read_cache(entry: &Path, key: &[u8]) -> Option<Vec<u8>> {
    let bytes = std::fs::read(entry).ok()?;
    let (len, rest) = bytes.split_first_chunk::<8>()?;
    let len = usize::try_from(u64::from_le_bytes(*len)).ok()?;
    if rest.get(..len)? != key {
        return None;
    }
    let program = rest.get(len..)?;
    (!program.is_empty() && program.len().is_multiple_of(size_of::<libc::sock_filter>()))
        .then(|| program.to_vec())
}

/// Failing to keep a program costs time, nothing else.
fn write_cache(entry: &Path, key: &[u8], program: &[u8]) {
    let bytes = [&(key.len() as u64).to_le_bytes()[..], key, program].concat();
    let written = entry
        .parent()
        .map_or(Ok(()), |dir| files::make_dir(dir, 0o700))
        .and_then(|()| files::replace(entry, &bytes, 0o600));
    if let Err(error) = written {
        tracing::debug!("seccomp cache: {error}");
    }
}

fn compile(profile: &LinuxSeccomp) -> Result<Vec<u8>> {
    let problem = |what: &str, error: libseccomp::error::SeccompError| {
        Error::config(format!("linux.seccomp{what}"), error.to_string())
    };
    let default = action(profile.default_action(), profile.default_errno_ret());
    let mut filter = ScmpFilterContext::new(default).map_err(|e| problem(".defaultAction", e))?;
    filter.set_ctl_nnp(false).map_err(|e| problem("", e))?;
    for arch in profile.architectures().iter().flatten() {
        filter.add_arch(architecture(*arch)).map_err(|e| problem(".architectures", e))?;
    }
    for (index, rule) in profile.syscalls().iter().flatten().enumerate() {
        add_rule(&mut filter, rule, default)
            .map_err(|e| problem(&format!(".syscalls[{index}]"), e))?;
    }
    let mut file = files::in_memory("seccomp", &[]).call(|| "memfd_create".to_owned())?;
    filter.export_bpf(&file).map_err(|e| problem("", e))?;
    let mut program = enosys::prefix(profile);
    file.rewind()
        .and_then(|()| file.read_to_end(&mut program))
        .call(|| "read the seccomp program".to_owned())?;
    check_size(&program)?;
    Ok(program)
}

fn add_rule(
    filter: &mut ScmpFilterContext,
    rule: &LinuxSyscall,
    default: ScmpAction,
) -> Result<(), libseccomp::error::SeccompError> {
    let action = action(rule.action(), rule.errno_ret());
    if action == default {
        return Ok(());
    }
    for name in rule.names() {
        // A name that this architecture or library does not know cannot be called by it.
        let Ok(syscall) = ScmpSyscall::from_name(name) else {
            tracing::debug!("seccomp: unknown system call {name:?} ignored");
            continue;
        };
        match rule.args().as_deref().unwrap_or_default() {
            [] => filter.add_rule(action, syscall).map(drop)?,
            args => add_conditional(filter, action, syscall, args)?,
        }
    }
    Ok(())
}

/// All conditions together make one rule; libseccomp takes each argument only once, so where one is
/// compared twice every condition is a rule of its own (what runc and docker do).
fn add_conditional(
    filter: &mut ScmpFilterContext,
    action: ScmpAction,
    syscall: ScmpSyscall,
    args: &[crate::spec::LinuxSeccompArg],
) -> Result<(), libseccomp::error::SeccompError> {
    let conditions: Vec<_> = args
        .iter()
        .map(|arg| {
            let (op, datum) = match arg.op() {
                LinuxSeccompOperator::ScmpCmpNe => (ScmpCompareOp::NotEqual, arg.value()),
                LinuxSeccompOperator::ScmpCmpLt => (ScmpCompareOp::Less, arg.value()),
                LinuxSeccompOperator::ScmpCmpLe => (ScmpCompareOp::LessOrEqual, arg.value()),
                LinuxSeccompOperator::ScmpCmpEq => (ScmpCompareOp::Equal, arg.value()),
                LinuxSeccompOperator::ScmpCmpGe => (ScmpCompareOp::GreaterEqual, arg.value()),
                LinuxSeccompOperator::ScmpCmpGt => (ScmpCompareOp::Greater, arg.value()),
                LinuxSeccompOperator::ScmpCmpMaskedEq => {
                    (ScmpCompareOp::MaskedEqual(arg.value()), arg.value_two().unwrap_or_default())
                }
            };
            ScmpArgCompare::new(arg.index() as u32, op, datum)
        })
        .collect();
    let mut indexes: Vec<_> = args.iter().map(crate::spec::LinuxSeccompArg::index).collect();
    indexes.sort_unstable();
    indexes.dedup();
    if indexes.len() == args.len() {
        return filter.add_rule_conditional(action, syscall, &conditions).map(drop);
    }
    for condition in conditions {
        filter.add_rule_conditional(action, syscall, &[condition])?;
    }
    Ok(())
}

fn action(action: LinuxSeccompAction, errno: Option<u32>) -> ScmpAction {
    /// What a refused call returns unless the profile says otherwise (runtime-spec,
    /// config-linux.md, "seccomp").
    const DEFAULT_ERRNO: i32 = libc::EPERM;
    match action {
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => {
            ScmpAction::KillThread
        }
        LinuxSeccompAction::ScmpActKillProcess => ScmpAction::KillProcess,
        LinuxSeccompAction::ScmpActTrap => ScmpAction::Trap,
        LinuxSeccompAction::ScmpActErrno => {
            ScmpAction::Errno(errno.map_or(DEFAULT_ERRNO, |n| n.cast_signed()))
        }
        LinuxSeccompAction::ScmpActNotify => ScmpAction::Notify,
        LinuxSeccompAction::ScmpActTrace => {
            ScmpAction::Trace(errno.map_or(DEFAULT_ERRNO as u16, |n| n as u16))
        }
        LinuxSeccompAction::ScmpActLog => ScmpAction::Log,
        LinuxSeccompAction::ScmpActAllow => ScmpAction::Allow,
    }
}

pub(super) fn architecture(arch: Arch) -> ScmpArch {
    match arch {
        Arch::ScmpArchNative => ScmpArch::Native,
        Arch::ScmpArchX86 => ScmpArch::X86,
        Arch::ScmpArchX86_64 => ScmpArch::X8664,
        Arch::ScmpArchX32 => ScmpArch::X32,
        Arch::ScmpArchArm => ScmpArch::Arm,
        Arch::ScmpArchAarch64 => ScmpArch::Aarch64,
        Arch::ScmpArchMips => ScmpArch::Mips,
        Arch::ScmpArchMips64 => ScmpArch::Mips64,
        Arch::ScmpArchMips64n32 => ScmpArch::Mips64N32,
        Arch::ScmpArchMipsel => ScmpArch::Mipsel,
        Arch::ScmpArchMipsel64 => ScmpArch::Mipsel64,
        Arch::ScmpArchMipsel64n32 => ScmpArch::Mipsel64N32,
        Arch::ScmpArchPpc => ScmpArch::Ppc,
        Arch::ScmpArchPpc64 => ScmpArch::Ppc64,
        Arch::ScmpArchPpc64le => ScmpArch::Ppc64Le,
        Arch::ScmpArchS390 => ScmpArch::S390,
        Arch::ScmpArchS390x => ScmpArch::S390X,
        Arch::ScmpArchParisc => ScmpArch::Parisc,
        Arch::ScmpArchParisc64 => ScmpArch::Parisc64,
        Arch::ScmpArchRiscv64 => ScmpArch::Riscv64,
        Arch::ScmpArchLoongarch64 => ScmpArch::Loongarch64,
        Arch::ScmpArchM68k => ScmpArch::M68k,
        Arch::ScmpArchSh => ScmpArch::Sh,
        Arch::ScmpArchSheb => ScmpArch::Sheb,
    }
}
