//! `linux.resources.unified`: files of the v2 group by their names.

use std::collections::{BTreeMap, HashMap};

use super::Files;
use crate::error::{Error, Result};
use crate::file;

/// Writes each value, line by line: files such as `io.max` take one line at a time.
pub(super) fn set(files: &Files<'_>, values: &HashMap<String, String>) -> Result<()> {
    // In a fixed order, so that what happens does not change from run to run.
    for (key, value) in values.iter().collect::<BTreeMap<_, _>>() {
        let is_name = !key.contains('/') && !key.starts_with('.');
        let (controller, _) = key
            .split_once('.')
            .filter(|_| is_name)
            .ok_or_else(|| Error::UnifiedKey(key.clone()))?;
        match write_lines(files, key, value) {
            Err(error) if error.is_permission() || error.is_gone() => {
                let enabled = file::read_value(&files.path("cgroup.controllers")?)?;
                let is_enabled = enabled.split_ascii_whitespace().any(|name| name == controller);
                return Err(match is_enabled || controller == "cgroup" {
                    true => error,
                    false => Error::UnifiedController {
                        key: key.clone(),
                        controller: controller.to_owned(),
                    },
                });
            }
            result => result?,
        }
    }
    Ok(())
}

fn write_lines(files: &Files<'_>, key: &str, value: &str) -> Result<()> {
    let path = files.path(key)?;
    let fd = file::open_write(&path)?;
    if value.is_empty() {
        return file::write_fd(&fd, &path, value);
    }
    value.split_inclusive('\n').try_for_each(|line| file::write_fd(&fd, &path, line))
}
