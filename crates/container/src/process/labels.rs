//! Labels of security modules: AppArmor's profile, SELinux's context.
//!
//! They are written through a procfs that the container has never seen: a mount in the container could
//! otherwise swallow the label of the process that comes to it (CVE-2025-52881, CVE-2019-16884).

use std::io::Write;
use std::path::Path;

use pathrs::flags::OpenFlags;
use pathrs::procfs::{ProcfsBase, ProcfsHandle};

use crate::error::{Error, OsError, Result, with_causes};
use crate::spec::Process;

/// `SELINUX_MAGIC` of linux/magic.h.
const SELINUX_MAGIC: u64 = 0xf97c_ff8c;

/// What a process shall be labelled as.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Labels {
    apparmor: Option<String>,
    selinux: Option<String>,
}

impl Labels {
    /// Those of `process`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a label of a module that the host does not have (runc's texts).
    pub(crate) fn new(process: &Process) -> Result<Self> {
        let given = |label: &Option<String>| label.clone().filter(|label| !label.is_empty());
        let labels = Self {
            apparmor: given(process.apparmor_profile()),
            selinux: given(process.selinux_label()),
        };
        if labels.apparmor.is_some() && !matches!(libcontainer::apparmor::is_enabled(), Ok(true)) {
            let problem = "apparmor: config provided but apparmor not supported";
            return Err(Error::config("process.apparmorProfile", problem));
        }
        if labels.selinux.is_some() && !selinux_is_enabled() {
            let problem =
                "selinux label is specified in config, but selinux is disabled or not supported";
            return Err(Error::config("process.selinuxLabel", problem));
        }
        Ok(labels)
    }

    /// Child: the program that is executed next has these labels.
    pub(crate) fn apply(&self) -> Result<()> {
        if let Some(profile) = &self.apparmor {
            libcontainer::apparmor::apply_profile(profile).map_err(|error| {
                Error::config(
                    "process.apparmorProfile",
                    format!(
                        "unable to apply apparmor profile {profile:?}: {}",
                        with_causes(&error)
                    ),
                )
            })?;
        }
        self.write("exec")
    }

    /// Child: keys that are made from here on have the process's label, until it executes its program.
    pub(crate) fn label_keys(&self) -> Result<()> {
        self.write("keycreate")
    }

    /// Writes SELinux's label into an attribute of the calling thread (selinux's setexeccon(3), ...).
    fn write(&self, attribute: &str) -> Result<()> {
        let Some(label) = &self.selinux else { return Ok(()) };
        let failed = |problem: String| {
            Error::config(
                "process.selinuxLabel",
                format!("unable to set {label:?} as attr/{attribute}: {problem}"),
            )
        };
        let flags = OpenFlags::O_WRONLY | OpenFlags::O_CLOEXEC;
        let path = Path::new("attr").join(attribute);
        ProcfsHandle::new()
            .and_then(|procfs| procfs.open(ProcfsBase::ProcThreadSelf, &path, flags))
            .map_err(|error| failed(with_causes(&error)))?
            .write_all(label.as_bytes())
            .map_err(|error| failed(OsError::from(&error).to_string()))
    }
}

/// Whether the host has SELinux, with a policy.
pub(crate) fn selinux_is_enabled() -> bool {
    rustix::fs::statfs("/sys/fs/selinux").is_ok_and(|fs| fs.f_type as u64 == SELINUX_MAGIC)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn labels(field: &str, label: &str) -> Result<Labels> {
        let mut process = json!({"cwd": "/", "user": {"uid": 0, "gid": 0}});
        process[field] = json!(label);
        Labels::new(&serde_json::from_value(process).unwrap())
    }

    #[test]
    fn an_empty_label_is_none() {
        for field in ["apparmorProfile", "selinuxLabel"] {
            let labels = labels(field, "").unwrap();
            assert_eq!(labels, Labels::default());
            labels.apply().unwrap();
            labels.label_keys().unwrap();
        }
    }

    #[test]
    fn a_label_of_no_module_of_the_host_s_is_refused_by_name() {
        if !selinux_is_enabled() {
            let refused = labels("selinuxLabel", "a:b:c:s0").unwrap_err().to_string();
            assert!(refused.starts_with("process.selinuxLabel: selinux label is"), "{refused}");
        }
        if libcontainer::apparmor::is_enabled().ok() != Some(true) {
            let refused = labels("apparmorProfile", "a").unwrap_err().to_string();
            assert!(refused.starts_with("process.apparmorProfile: apparmor: config"), "{refused}");
        }
    }
}
