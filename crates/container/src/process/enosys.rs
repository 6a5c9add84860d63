//! System calls newer than a seccomp profile answer ENOSYS instead of the profile's error.
//!
//! A profile lists what its author knew. A program that tries a newer call falls back to an older one on
//! ENOSYS, but takes EPERM for an answer and fails. So the filter is preceded by a few instructions
//! that look only at the number: above the highest one that the profile names for this architecture
//! means that its author could not know it. (What runc does since 1.0.0-rc93.)

use libseccomp::{ScmpArch, ScmpSyscall};

use crate::spec::{Arch, LinuxSeccomp, LinuxSeccompAction};

/// Bit of x32 calls in the number (asm/unistd.h, `__X32_SYSCALL_BIT`).
const X32_BIT: u32 = 0x4000_0000;
/// The architecture as audit.h and the kernel's seccomp_data say it.
const AUDIT_X86_64: u32 = Arch::ScmpArchX86_64 as u32;

/// Classic BPF (linux/filter.h): code, jump if true, jump if false, constant.
type Instruction = (u16, u8, u8, u32);

/// `ld [4]`: the architecture.
const LOAD_ARCH: Instruction = (0x20, 0, 0, 4);
/// `ld [0]`: the number of the call.
const LOAD_NUMBER: Instruction = (0x20, 0, 0, 0);
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const JUMP_BITS: u16 = 0x45;
/// `ret SECCOMP_RET_ERRNO | ENOSYS`.
const RETURN_ENOSYS: Instruction = (0x06, 0, 0, 0x0005_0000 | libc::ENOSYS as u32);

/// The instructions to put before the filter of this profile; none where its default answer would not
/// mislead anybody.
pub(super) fn prefix(profile: &LinuxSeccomp) -> Vec<u8> {
    let permissive = matches!(
        profile.default_action(),
        LinuxSeccompAction::ScmpActAllow
            | LinuxSeccompAction::ScmpActLog
            | LinuxSeccompAction::ScmpActTrace
    );
    if permissive || profile.default_errno_ret() == Some(libc::ENOSYS.cast_unsigned()) {
        return Vec::new();
    }
    let mut arches: Vec<Arch> = profile.architectures().clone().unwrap_or_default();
    // The native one is always part of a filter.
    arches.push(native());
    arches.retain(|arch| *arch != Arch::ScmpArchNative);
    arches.sort_unstable_by_key(|arch| *arch as u32);
    arches.dedup();
    let x32 =
        if arches.contains(&Arch::ScmpArchX32) { last(profile, Arch::ScmpArchX32) } else { None };
    arches
        .into_iter()
        .filter(|arch| *arch != Arch::ScmpArchX32)
        .filter_map(|arch| Some(section(arch as u32, last(profile, arch)?, x32)))
        .flatten()
        .flat_map(bytes)
        .collect()
}

fn native() -> Arch {
    match ScmpArch::native() {
        ScmpArch::Aarch64 => Arch::ScmpArchAarch64,
        ScmpArch::Riscv64 => Arch::ScmpArchRiscv64,
        ScmpArch::S390X => Arch::ScmpArchS390x,
        ScmpArch::Ppc64Le => Arch::ScmpArchPpc64le,
        ScmpArch::Loongarch64 => Arch::ScmpArchLoongarch64,
        ScmpArch::X86 => Arch::ScmpArchX86,
        ScmpArch::Arm => Arch::ScmpArchArm,
        _ => Arch::ScmpArchX86_64,
    }
}

/// The highest number that the profile names.
fn last(profile: &LinuxSeccomp, arch: Arch) -> Option<u32> {
    let arch = super::seccomp::architecture(arch);
    let names = profile.syscalls().iter().flatten().flat_map(|rule| rule.names());
    names
        .filter_map(|name| ScmpSyscall::from_name_by_arch(name, arch).ok())
        // Negative ones are libseccomp's own, for calls that this architecture does not have.
        .filter_map(|call| u32::try_from(call.as_raw_syscall()).ok())
        .max()
}

/// Each section begins with the architecture and falls through to the next one.
fn section(arch: u32, last: u32, last_x32: Option<u32>) -> Vec<Instruction> {
    if arch != AUDIT_X86_64 {
        return vec![
            LOAD_ARCH,
            (JUMP_EQUAL, 0, 3, arch),
            LOAD_NUMBER,
            (JUMP_GREATER, 0, 1, last),
            RETURN_ENOSYS,
        ];
    }
    // Calls of x32 come with the architecture of x86-64 and a bit in their number. Where the profile
    // does not have that architecture they are the filter's business.
    let last_x32 = last_x32.map_or(u32::MAX, |last| last | X32_BIT);
    vec![
        LOAD_ARCH,
        (JUMP_EQUAL, 0, 5, arch),
        LOAD_NUMBER,
        (JUMP_BITS, 1, 0, X32_BIT),
        (JUMP_GREATER, 1, 2, last),
        (JUMP_GREATER, 0, 1, last_x32),
        RETURN_ENOSYS,
    ]
}

fn bytes((code, if_true, if_false, constant): Instruction) -> [u8; 8] {
    let ([c0, c1], [k0, k1, k2, k3]) = (code.to_ne_bytes(), constant.to_ne_bytes());
    [c0, c1, if_true, if_false, k0, k1, k2, k3]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Just enough of the machine to run a prefix: `None` is falling through to the filter.
    fn run(program: &[u8], arch: u32, number: u32) -> Option<u32> {
        let (mut at, mut register) = (0, 0);
        while let Some(instruction) = program.get(at * 8..at * 8 + 8) {
            let code = u16::from_ne_bytes([instruction[0], instruction[1]]);
            let constant = u32::from_ne_bytes(instruction[4..8].try_into().unwrap());
            let jump =
                |taken: bool| usize::from(if taken { instruction[2] } else { instruction[3] });
            at += 1;
            match code {
                0x20 => register = if constant == 4 { arch } else { number },
                JUMP_EQUAL => at += jump(register == constant),
                JUMP_GREATER => at += jump(register > constant),
                JUMP_BITS => at += jump(register & constant != 0),
                0x06 => return Some(constant),
                _ => panic!("{code:x}"),
            }
        }
        None
    }

    fn profile(text: &str) -> LinuxSeccomp {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn only_calls_beyond_the_profile_are_unknown() {
        let profile = profile(
            r#"{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86"],
                "syscalls":[{"names":["read","mkdir","statx"],"action":"SCMP_ACT_ALLOW"}]}"#,
        );
        let program = prefix(&profile);
        let enosys = Some(0x0005_0026);
        assert_eq!(run(&program, AUDIT_X86_64, 332), None);
        assert_eq!(run(&program, AUDIT_X86_64, 333), enosys);
        assert_eq!(run(&program, AUDIT_X86_64, 0), None);
        assert_eq!(run(&program, AUDIT_X86_64, 1000 | X32_BIT), None);
        assert_eq!(run(&program, 0x4000_0003, 383), None);
        assert_eq!(run(&program, 0x4000_0003, 384), enosys);
        assert_eq!(run(&program, 0xc000_00b7, 9999), None);
    }

    #[test]
    fn x32_is_checked_where_the_profile_has_it() {
        let profile = profile(
            r#"{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X32"],
                "syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW"}]}"#,
        );
        let program = prefix(&profile);
        assert_eq!(run(&program, AUDIT_X86_64, X32_BIT), None);
        assert_eq!(run(&program, AUDIT_X86_64, X32_BIT | 900), Some(0x0005_0026));
    }

    #[test]
    fn permissive_profiles_need_nothing() {
        assert!(prefix(&profile(r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#)).is_empty());
        assert!(
            prefix(&profile(r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38}"#))
                .is_empty()
        );
    }
}
