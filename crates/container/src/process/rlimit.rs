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
    /// Parent, before the clone: raises the hard limit where it must be, which only root of the initial
    /// user namespace may. A clone inherits it.
    pub(crate) fn raise(&self) -> Result<()> {
        let (soft, hard) = sys::rlimit(self.resource()).map_err(|errno| self.failed(errno))?;
        if self.hard <= hard {
            return Ok(());
        }
        sys::set_rlimit(self.resource(), soft, self.hard).map_err(|errno| self.failed(errno))
    }

    /// Child: sets it for the caller.
    pub(super) fn set(&self) -> Result<()> {
        sys::set_rlimit(self.resource(), self.soft, self.hard).map_err(|errno| self.failed(errno))
    }

    fn failed(&self, errno: nix::errno::Errno) -> Error {
        Error::Syscall {
            call: format!("error setting rlimit type {}", self.typ),
            errno: OsError(errno),
        }
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
