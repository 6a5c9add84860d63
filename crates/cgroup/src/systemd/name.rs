//! From `linux.cgroupsPath` to a unit, its slice and its place in the hierarchies.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A unit by its name and the slice it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The last part of `cgroupsPath`, or the container's id.
    pub(super) container: String,
    /// `PREFIX-NAME.scope`, or a name that ends in `.slice` as it is.
    pub(super) unit: String,
    /// The slice, as systemd calls it.
    pub(super) slice: String,
    /// The same as a path below the manager's own group.
    pub(super) slice_path: PathBuf,
}

impl Place {
    /// `SLICE:PREFIX:NAME`; without it the container's id as a scope of the default slice.
    ///
    /// # Errors
    ///
    /// [`Error::SystemdPath`], [`Error::SliceName`].
    pub(super) fn new(cgroups_path: Option<&Path>, id: &str, user: bool) -> Result<Self> {
        let path = cgroups_path.filter(|path| !path.as_os_str().is_empty());
        let (slice, prefix, name) = match path.map(|path| path.to_string_lossy()) {
            None => (String::new(), "runc".to_owned(), id.to_owned()),
            Some(path) => match *path.split(':').collect::<Vec<_>>() {
                [slice, prefix, name] => (slice.to_owned(), prefix.to_owned(), name.to_owned()),
                _ => return Err(Error::SystemdPath(path.into_owned())),
            },
        };
        let unit = match name.ends_with(".slice") {
            true => name.clone(),
            false => format!("{prefix}-{name}.scope"),
        };
        if unit.contains('/') {
            return Err(Error::UnitName(unit));
        }
        let default = if user { "user.slice" } else { "system.slice" };
        let slice = if slice.is_empty() { default.to_owned() } else { slice };
        let slice_path = expand(&slice)?;
        Ok(Self { container: name, unit, slice, slice_path })
    }

    /// The unit's group below the manager's own.
    pub(super) fn path(&self) -> PathBuf {
        self.slice_path.join(&self.unit)
    }
}

/// A slice's name is its path: `a-b.slice` lies in `a.slice` (systemd.slice(5)).
fn expand(slice: &str) -> Result<PathBuf> {
    let invalid = || Error::SliceName(slice.to_owned());
    let name = slice.strip_suffix(".slice").filter(|name| !name.contains('/'));
    let name = name.ok_or_else(invalid)?;
    let mut path = PathBuf::new();
    if name == "-" {
        // The root slice.
        return Ok(path);
    }
    let mut level = String::new();
    for part in name.split('-') {
        if part.is_empty() {
            return Err(invalid());
        }
        level.push_str(part);
        path.push(format!("{level}.slice"));
        level.push('-');
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &str) -> Result<Place> {
        Place::new(Some(Path::new(path)), "id", false)
    }

    #[test]
    fn names_and_paths() {
        for (path, unit, full) in [
            ("", "runc-id.scope", "system.slice/runc-id.scope"),
            ("machine.slice:crio:abc", "crio-abc.scope", "machine.slice/crio-abc.scope"),
            (":docker:abc", "docker-abc.scope", "system.slice/docker-abc.scope"),
            ("-.slice:p:n", "p-n.scope", "p-n.scope"),
            (
                "kube-pod-x.slice:p:n",
                "p-n.scope",
                "kube.slice/kube-pod.slice/kube-pod-x.slice/p-n.scope",
            ),
            ("a.slice:p:a-b.slice", "a-b.slice", "a.slice/a-b.slice"),
            ("::n", "-n.scope", "system.slice/-n.scope"),
        ] {
            let place = place(path).unwrap();
            assert_eq!((place.unit.as_str(), place.path()), (unit, PathBuf::from(full)), "{path}");
        }
        let user = Place::new(None, "id", true).unwrap();
        assert_eq!(user.path(), Path::new("user.slice/runc-id.scope"));
    }

    #[test]
    fn malformed_paths() {
        for path in ["/foo", "a.slice:b", "a:b:c:d"] {
            let error = place(path).unwrap_err().to_string();
            let expected = format!(
                "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, \
                 got {path:?} instead"
            );
            assert_eq!(error, expected);
        }
        for slice in ["foo", "-a.slice", "a--b.slice", "a-.slice", "a/b.slice", ".slice"] {
            let error = place(&format!("{slice}:p:n")).unwrap_err().to_string();
            assert_eq!(error, format!("invalid slice name: {slice}"));
        }
        assert!(place("a.slice:p:../n").is_err());
    }
}
