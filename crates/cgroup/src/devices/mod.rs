//! Access to devices: the devices controller on v1, an eBPF program on v2.

mod emulator;
mod program;
mod rule;
mod v1;
mod v2;

pub(crate) use emulator::Emulator;
pub use rule::{Access, DeviceKind, DeviceRule, device_rules};

use crate::cgroup::Cgroup;
use crate::controller::Controller;
use crate::error::{Error, Result};
use crate::file;
use crate::hierarchies::Mode;

impl Cgroup {
    /// Makes `rules`, applied in their order to a group without access to any device, the
    /// container's device access. On v1 only the difference to what is in force is written, so a
    /// running container never loses access it keeps.
    ///
    /// In a user namespace the kernel refuses this, and a container there could not make device
    /// nodes anyway: that is no error.
    ///
    /// # Errors
    ///
    /// [`Error::DeviceRule`] for rules that take something out of a wildcard,
    /// [`Error::DeviceMismatch`], [`Error::Unavailable`], [`Error::Write`], [`Error::Call`].
    pub fn set_devices(&self, rules: &[DeviceRule]) -> Result<()> {
        let Some(dir) = self.dir(Controller::Devices) else {
            return match self.options.rootless {
                true => Ok(()),
                false => Err(Error::Unavailable(Controller::Devices)),
            };
        };
        let target = emulator::Emulator::from_rules(rules)?;
        self.tell_systemd(|systemd| systemd.set_devices(rules))?;
        let result = match self.mode {
            Mode::V1 => v1::set(dir, &target),
            Mode::V2 => v2::set(dir, &target),
        };
        match result {
            Err(error) if error.is_permission() => match self.options.rootless || in_user_ns() {
                true => {
                    tracing::debug!("device rules are not in force: {error}");
                    Ok(())
                }
                false => Err(error),
            },
            result => result,
        }
    }
}

/// Whether the caller is in a user namespace other than the first: that one maps all ids to
/// themselves (user_namespaces(7)).
pub(crate) fn in_user_ns() -> bool {
    let map = file::read_value(std::path::Path::new("/proc/self/uid_map")).unwrap_or_default();
    map.split_ascii_whitespace().ne(["0", "0", "4294967295"])
}
