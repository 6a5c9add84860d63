//! Resource limits (setrlimit(2)).

use crate::error::{Error, OsError, Result};
use crate::spec::{PosixRlimit, PosixRlimitType};
use crate::sys;

/// One limit, ready to be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rlimit {
    typ: PosixRlimitType,
    soft: u64,
    hard: u64,
}

/// Checks `process.rlimits`: no type twice, no soft limit above the hard one.
pub(super) fn parse(limits: &[PosixRlimit]) -> Result<Vec<Rlimit>> {
    let mut parsed: Vec<Rlimit> = Vec::with_capacity(limits.len());
    for (index, limit) in limits.iter().enumerate() {
        let wrong = |problem: String| Error::config(format!("process.rlimits[{index}]"), problem);
        let (typ, soft, hard) = (limit.typ(), limit.soft(), limit.hard());
        if parsed.iter().any(|other| other.typ == typ) {
            return Err(wrong(format!("{typ} is given twice")));
        }
        if soft > hard {
            return Err(wrong(format!(
                "{typ}: the soft limit {soft} is above the hard limit {hard}"
            )));
        }
        parsed.push(Rlimit { typ, soft, hard });
    }
    Ok(parsed)
}

impl Rlimit {
    /// Sets it for another process.
    pub(crate) fn set(&self, pid: i32) -> Result<()> {
        sys::set_rlimit(pid, self.resource(), self.soft, self.hard).map_err(|errno| {
            Error::Syscall {
                call: format!("error setting rlimit type {}", self.typ),
                errno: OsError(errno),
            }
        })
    }

    fn resource(&self) -> u32 {
        match self.typ {
            PosixRlimitType::RlimitCpu => libc::RLIMIT_CPU,
            PosixRlimitType::RlimitFsize => libc::RLIMIT_FSIZE,
            PosixRlimitType::RlimitData => libc::RLIMIT_DATA,
            PosixRlimitType::RlimitStack => libc::RLIMIT_STACK,
            PosixRlimitType::RlimitCore => libc::RLIMIT_CORE,
            PosixRlimitType::RlimitRss => libc::RLIMIT_RSS,
            PosixRlimitType::RlimitNproc => libc::RLIMIT_NPROC,
            PosixRlimitType::RlimitNofile => libc::RLIMIT_NOFILE,
            PosixRlimitType::RlimitMemlock => libc::RLIMIT_MEMLOCK,
            PosixRlimitType::RlimitAs => libc::RLIMIT_AS,
            PosixRlimitType::RlimitLocks => libc::RLIMIT_LOCKS,
            PosixRlimitType::RlimitSigpending => libc::RLIMIT_SIGPENDING,
            PosixRlimitType::RlimitMsgqueue => libc::RLIMIT_MSGQUEUE,
            PosixRlimitType::RlimitNice => libc::RLIMIT_NICE,
            PosixRlimitType::RlimitRtprio => libc::RLIMIT_RTPRIO,
            PosixRlimitType::RlimitRttime => libc::RLIMIT_RTTIME,
        }
    }
}
