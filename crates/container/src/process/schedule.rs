//! How a process is scheduled: CPU policy and affinity, I/O priority, memory policy, personality.

use super::memory_policy::MemoryPolicy;
use crate::error::{CallContext, Error, Result};
use crate::spec::{
    IOPriorityClass, LinuxIOPriority, LinuxPersonality, LinuxPersonalityDomain, LinuxSchedulerFlag,
    LinuxSchedulerPolicy, Scheduler,
};
use crate::sys::{self, SchedAttr};

/// `process.scheduler` as sched_setattr(2) wants it.
pub(crate) fn scheduler(spec: &Scheduler) -> Result<SchedAttr> {
    let policy = *spec.policy();
    let wrong =
        |field: &str, problem: String| Error::config(format!("process.scheduler.{field}"), problem);
    let nice = spec.nice().unwrap_or(0);
    let time_sharing =
        matches!(policy, LinuxSchedulerPolicy::SchedOther | LinuxSchedulerPolicy::SchedBatch);
    if time_sharing && !(-20..=19).contains(&nice) {
        return Err(wrong("nice", format!("{nice} is not between -20 and 19")));
    }
    let priority = spec.priority().unwrap_or(0);
    let real_time =
        matches!(policy, LinuxSchedulerPolicy::SchedFifo | LinuxSchedulerPolicy::SchedRr);
    if priority != 0 && !real_time {
        return Err(wrong("priority", "only possible for SCHED_FIFO and SCHED_RR".to_owned()));
    }
    let times = [spec.runtime(), spec.deadline(), spec.period()].map(|time| time.unwrap_or(0));
    if policy != LinuxSchedulerPolicy::SchedDeadline && times != [0; 3] {
        return Err(wrong(
            "runtime",
            "with deadline and period only possible for SCHED_DEADLINE".to_owned(),
        ));
    }
    let flags = spec.flags().iter().flatten().fold(0, |bits, flag| {
        // linux/sched.h
        bits | match flag {
            LinuxSchedulerFlag::SchedResetOnFork => 0x01,
            LinuxSchedulerFlag::SchedFlagReclaim => 0x02,
            LinuxSchedulerFlag::SchedFlagDLOverrun => 0x04,
            LinuxSchedulerFlag::SchedFlagKeepPolicy => 0x08,
            LinuxSchedulerFlag::SchedFlagKeepParams => 0x10,
            LinuxSchedulerFlag::SchedFlagUtilClampMin => 0x20,
            LinuxSchedulerFlag::SchedFlagUtilClampMax => 0x40,
        }
    });
    Ok(SchedAttr {
        size: size_of::<SchedAttr>() as u32,
        policy: match policy {
            LinuxSchedulerPolicy::SchedOther => 0,
            LinuxSchedulerPolicy::SchedFifo => 1,
            LinuxSchedulerPolicy::SchedRr => 2,
            LinuxSchedulerPolicy::SchedBatch => 3,
            LinuxSchedulerPolicy::SchedIso => 4,
            LinuxSchedulerPolicy::SchedIdle => 5,
            LinuxSchedulerPolicy::SchedDeadline => 6,
        },
        flags,
        nice,
        priority: u32::try_from(priority)
            .map_err(|_| wrong("priority", format!("{priority} is negative")))?,
        runtime: times[0],
        deadline: times[1],
        period: times[2],
        util_min: 0,
        util_max: 0,
    })
}

/// `process.ioPriority` as ioprio_set(2) wants it: the class in the upper bits.
pub(crate) fn io_priority(spec: &LinuxIOPriority) -> Result<i32> {
    let priority = spec.priority();
    if !(0..=7).contains(&priority) {
        return Err(Error::config(
            "process.ioPriority.priority",
            format!("{priority} is not between 0 and 7"),
        ));
    }
    let class = match spec.class() {
        IOPriorityClass::IoprioClassRt => 1,
        IOPriorityClass::IoprioClassBe => 2,
        IOPriorityClass::IoprioClassIdle => 3,
    };
    Ok((class << 13) | priority as i32)
}

/// `linux.personality` as personality(2) wants it. Its flags mean nothing: the specification defines none
/// (config-linux.md, "Personality").
pub(crate) fn personality(spec: &LinuxPersonality) -> nix::sys::personality::Persona {
    use nix::sys::personality::Persona;
    if let Some(flags) = spec.flags().as_ref().filter(|flags| !flags.is_empty()) {
        tracing::warn!("linux.personality.flags is ignored, no flag is defined: {flags:?}");
    }
    match spec.domain() {
        LinuxPersonalityDomain::PerLinux => Persona::empty(),
        LinuxPersonalityDomain::PerLinux32 => Persona::from_bits_retain(0x0008),
    }
}

/// A CPU list such as `0-3,7` as the bit mask of sched_setaffinity(2).
pub(crate) fn cpu_mask(field: &str, list: &str) -> Result<Vec<u8>> {
    /// More CPUs than any kernel is built for.
    const MAX: usize = 65_536;
    bit_mask(list, MAX)
        .filter(|mask| mask.iter().any(|byte| *byte != 0))
        .ok_or_else(|| Error::config(field, format!("{list:?} is no list of CPUs")))
}

/// A list such as `0-3,7` of numbers below `limit` (cpuset(7), "List Format") as a bit mask of whole
/// words. `None` for what is no such list; an empty one has no bit set.
pub(super) fn bit_mask(list: &str, limit: usize) -> Option<Vec<u8>> {
    let number = |text: &str| text.trim().parse::<usize>().ok().filter(|bit| *bit < limit);
    let mut mask = vec![0u8; 128];
    for part in list.split(',').filter(|part| !part.trim().is_empty()) {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(part)?, number(part)?),
        };
        if first > last {
            return None;
        }
        if mask.len() <= last / 8 {
            mask.resize((last / 8 + 1).next_multiple_of(8), 0);
        }
        for bit in first..=last {
            if let Some(byte) = mask.get_mut(bit / 8) {
                *byte |= 1 << (bit % 8);
            }
        }
    }
    Some(mask)
}

/// What [`super::ProcessPlan`] applies of all this to the caller.
#[derive(Debug, Default)]
pub(crate) struct Scheduling {
    pub(super) scheduler: Option<SchedAttr>,
    pub(super) io_priority: Option<i32>,
    pub(super) personality: Option<nix::sys::personality::Persona>,
    pub(super) memory_policy: Option<MemoryPolicy>,
    /// `linux.resources.cpu.cpus` is set.
    pub(super) cpus_limited: bool,
}

impl Scheduling {
    /// SCHED_DEADLINE needs all CPUs of the root domain (sched(7)).
    fn scheduler_failed(&self, errno: nix::errno::Errno) -> Error {
        let call = if errno == nix::errno::Errno::EPERM && self.cpus_limited {
            "process scheduler can't be used together with AllowedCPUs"
        } else {
            "error setting scheduler"
        };
        Error::Syscall { call: call.to_owned(), errno: crate::error::OsError(errno) }
    }

    pub(super) fn apply(&self) -> Result<()> {
        if let Some(attr) = &self.scheduler {
            sys::set_scheduler(attr).map_err(|errno| self.scheduler_failed(errno))?;
        }
        if let Some(value) = self.io_priority {
            sys::set_io_priority(value).call(|| "failed to set io priority".to_owned())?;
        }
        if let Some(persona) = self.personality {
            nix::sys::personality::set(persona).call(|| "personality".to_owned())?;
        }
        self.memory_policy.as_ref().map_or(Ok(()), MemoryPolicy::apply)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_lists() {
        assert_eq!(cpu_mask("f", "0").unwrap()[0], 1);
        assert_eq!(cpu_mask("f", "0-2,5").unwrap()[0], 0b10_0111);
        assert_eq!(cpu_mask("f", "1024").unwrap()[128], 1);
        for bad in ["", "a", "3-1", "-1", "1-", "99999999999", "65536"] {
            assert!(cpu_mask("f", bad).is_err(), "{bad:?}");
        }
    }
}
