//! Mount options: the strings of `mounts[].options` and what each stands for.
//!
//! The table is the one of runtime-spec config.md ("Linux mount options") as runc reads it. A string that is not in the
//! table is an option of the file system itself (`size=64k`) and goes to the kernel unchanged.

use std::ffi::{CStr, CString};

use libc::c_ulong;
use rustix::mount::MountAttrFlags as Attr;

use super::error::ConfigFault;
use crate::sys::MountAttr;

/// The flags that decide when a file's access time is written. With `MS_NODIRATIME` beside them.
pub(super) const ATIME: c_ulong =
    libc::MS_NOATIME | libc::MS_RELATIME | libc::MS_STRICTATIME | libc::MS_NODIRATIME;

/// The parsed options of one mount.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct MountOptions {
    /// `MS_*` flags asked for.
    pub(super) set: c_ulong,
    /// `MS_*` flags asked not to be there.
    pub(super) cleared: c_ulong,
    /// `MS_SHARED` and its like, with or without `MS_REC`: applied in this order after mounting.
    pub(super) propagation: Vec<c_ulong>,
    /// Attributes for the mount and all below it (`rro`).
    pub(super) recursive: Option<MountAttr>,
    /// Options of the file system.
    pub(super) data: Vec<FsOption>,
    /// `tmpcopyup`: fill the tmpfs with what it hides.
    pub(super) copy_up: bool,
    /// `idmap` (not recursive) or `ridmap` (recursive).
    pub(super) idmap: Option<bool>,
}

/// One option of a file system: `key` or `key=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FsOption {
    pub(super) key: CString,
    pub(super) value: Option<CString>,
}

impl FsOption {
    /// `key` alone.
    pub(super) fn flag(key: &CStr) -> Self {
        Self { key: key.to_owned(), value: None }
    }

    /// `key=value`.
    pub(super) fn pair(key: &CStr, value: CString) -> Self {
        Self { key: key.to_owned(), value: Some(value) }
    }

    fn parse(option: &str) -> Result<Self, ConfigFault> {
        let c_string = |text: &str| CString::new(text).map_err(|_| ConfigFault::NulByte);
        Ok(match option.split_once('=') {
            Some((key, value)) => Self { key: c_string(key)?, value: Some(c_string(value)?) },
            None => Self { key: c_string(option)?, value: None },
        })
    }
}

/// What an option does.
#[derive(Clone, Copy)]
enum Effect {
    Set(c_ulong),
    Clear(c_ulong),
    Propagation(c_ulong),
    RecursiveSet(Attr),
    RecursiveClear(Attr),
    CopyUp,
    IdMap { recursive: bool },
    Nothing,
}

use Effect::{Clear, CopyUp, IdMap, Nothing, Propagation, RecursiveClear, RecursiveSet, Set};

const TABLE: &[(&str, Effect)] = &[
    ("async", Clear(libc::MS_SYNCHRONOUS)),
    ("atime", Clear(libc::MS_NOATIME)),
    ("bind", Set(libc::MS_BIND)),
    ("defaults", Nothing),
    ("dev", Clear(libc::MS_NODEV)),
    ("diratime", Clear(libc::MS_NODIRATIME)),
    ("dirsync", Set(libc::MS_DIRSYNC)),
    ("exec", Clear(libc::MS_NOEXEC)),
    ("idmap", IdMap { recursive: false }),
    ("iversion", Set(libc::MS_I_VERSION)),
    ("lazytime", Set(libc::MS_LAZYTIME)),
    ("loud", Clear(libc::MS_SILENT)),
    ("mand", Set(libc::MS_MANDLOCK)),
    ("noatime", Set(libc::MS_NOATIME)),
    ("nodev", Set(libc::MS_NODEV)),
    ("nodiratime", Set(libc::MS_NODIRATIME)),
    ("noexec", Set(libc::MS_NOEXEC)),
    ("noiversion", Clear(libc::MS_I_VERSION)),
    ("nolazytime", Clear(libc::MS_LAZYTIME)),
    ("nomand", Clear(libc::MS_MANDLOCK)),
    ("norelatime", Clear(libc::MS_RELATIME)),
    ("nostrictatime", Clear(libc::MS_STRICTATIME)),
    ("nosuid", Set(libc::MS_NOSUID)),
    ("nosymfollow", Set(libc::MS_NOSYMFOLLOW)),
    ("private", Propagation(libc::MS_PRIVATE)),
    ("ratime", RecursiveClear(Attr::MOUNT_ATTR_NOATIME)),
    ("rbind", Set(libc::MS_BIND | libc::MS_REC)),
    ("rdev", RecursiveClear(Attr::MOUNT_ATTR_NODEV)),
    ("rdiratime", RecursiveClear(Attr::MOUNT_ATTR_NODIRATIME)),
    ("relatime", Set(libc::MS_RELATIME)),
    ("remount", Set(libc::MS_REMOUNT)),
    ("rexec", RecursiveClear(Attr::MOUNT_ATTR_NOEXEC)),
    ("ridmap", IdMap { recursive: true }),
    ("rnoatime", RecursiveSet(Attr::MOUNT_ATTR_NOATIME)),
    ("rnodev", RecursiveSet(Attr::MOUNT_ATTR_NODEV)),
    ("rnodiratime", RecursiveSet(Attr::MOUNT_ATTR_NODIRATIME)),
    ("rnoexec", RecursiveSet(Attr::MOUNT_ATTR_NOEXEC)),
    ("rnorelatime", RecursiveClear(Attr::MOUNT_ATTR_RELATIME)),
    ("rnostrictatime", RecursiveClear(Attr::MOUNT_ATTR_STRICTATIME)),
    ("rnosuid", RecursiveSet(Attr::MOUNT_ATTR_NOSUID)),
    ("rnosymfollow", RecursiveSet(Attr::MOUNT_ATTR_NOSYMFOLLOW)),
    ("ro", Set(libc::MS_RDONLY)),
    ("rprivate", Propagation(libc::MS_PRIVATE | libc::MS_REC)),
    ("rrelatime", RecursiveSet(Attr::MOUNT_ATTR_RELATIME)),
    ("rro", RecursiveSet(Attr::MOUNT_ATTR_RDONLY)),
    ("rrw", RecursiveClear(Attr::MOUNT_ATTR_RDONLY)),
    ("rshared", Propagation(libc::MS_SHARED | libc::MS_REC)),
    ("rslave", Propagation(libc::MS_SLAVE | libc::MS_REC)),
    ("rstrictatime", RecursiveSet(Attr::MOUNT_ATTR_STRICTATIME)),
    ("rsuid", RecursiveClear(Attr::MOUNT_ATTR_NOSUID)),
    ("rsymfollow", RecursiveClear(Attr::MOUNT_ATTR_NOSYMFOLLOW)),
    ("runbindable", Propagation(libc::MS_UNBINDABLE | libc::MS_REC)),
    ("rw", Clear(libc::MS_RDONLY)),
    ("shared", Propagation(libc::MS_SHARED)),
    ("silent", Set(libc::MS_SILENT)),
    ("slave", Propagation(libc::MS_SLAVE)),
    ("strictatime", Set(libc::MS_STRICTATIME)),
    ("suid", Clear(libc::MS_NOSUID)),
    ("symfollow", Clear(libc::MS_NOSYMFOLLOW)),
    ("sync", Set(libc::MS_SYNCHRONOUS)),
    ("tmpcopyup", CopyUp),
    ("unbindable", Propagation(libc::MS_UNBINDABLE)),
];

/// The names of all options that are not a file system's own, sorted, for `rrun features`.
pub fn known_mount_options() -> Vec<&'static str> {
    TABLE.iter().map(|(name, _)| *name).collect()
}

/// The `MS_*` flags of a value of `linux.rootfsPropagation`, such as `rslave`.
pub(super) fn propagation(name: &str) -> Option<c_ulong> {
    match find(name)? {
        Propagation(flags) => Some(flags),
        _ => None,
    }
}

fn find(name: &str) -> Option<Effect> {
    let at = TABLE.binary_search_by_key(&name, |(name, _)| name).ok()?;
    TABLE.get(at).map(|(_, effect)| *effect)
}

impl MountOptions {
    /// Reads `options` in order; of two that contradict each other the later one holds.
    pub(super) fn parse(options: &[String]) -> Result<Self, ConfigFault> {
        let mut parsed = Self::default();
        for option in options {
            match find(option) {
                Some(effect) => parsed.apply(effect),
                None => parsed.data.push(FsOption::parse(option)?),
            }
        }
        Ok(parsed)
    }

    fn apply(&mut self, effect: Effect) {
        match effect {
            Set(flags) => {
                self.set |= flags;
                self.cleared &= !flags;
            }
            Clear(flags) => {
                self.set &= !flags;
                self.cleared |= flags;
            }
            Propagation(flags) => self.propagation.push(flags),
            RecursiveSet(attr) => self.recurse(attr, true),
            RecursiveClear(attr) => self.recurse(attr, false),
            CopyUp => self.copy_up = true,
            IdMap { recursive } => self.idmap = Some(recursive),
            Nothing => {}
        }
    }

    fn recurse(&mut self, attr: Attr, set: bool) {
        let bits = u64::from(attr.bits());
        let atime = u64::from(Attr::MOUNT_ATTR__ATIME.bits());
        let recursive = self.recursive.get_or_insert_default();
        if set {
            recursive.set |= bits;
            recursive.clear &= !bits;
        } else {
            recursive.clear |= bits;
            recursive.set &= !bits;
        }
        // The access time setting is a number in three bits (relatime is 0), and the kernel takes a new one only if
        // all three are cleared: mount_setattr(2).
        if bits & atime == bits {
            recursive.clear |= atime;
        }
    }
}

/// The `MOUNT_ATTR_*` form of the per-mount flags among `MS_*` `flags`, access time excluded.
pub(super) fn attributes(flags: c_ulong) -> Attr {
    const PAIRS: &[(c_ulong, Attr)] = &[
        (libc::MS_RDONLY, Attr::MOUNT_ATTR_RDONLY),
        (libc::MS_NOSUID, Attr::MOUNT_ATTR_NOSUID),
        (libc::MS_NODEV, Attr::MOUNT_ATTR_NODEV),
        (libc::MS_NOEXEC, Attr::MOUNT_ATTR_NOEXEC),
        (libc::MS_NOSYMFOLLOW, Attr::MOUNT_ATTR_NOSYMFOLLOW),
    ];
    PAIRS
        .iter()
        .filter(|(flag, _)| flags & flag != 0)
        .fold(Attr::empty(), |attributes, (_, attr)| attributes | *attr)
}

/// The access time setting among `MS_*` `flags` as `mount(2)` reads it: strictatime before noatime before relatime.
pub(super) fn atime_attributes(flags: c_ulong) -> Attr {
    let enumerated = if flags & libc::MS_STRICTATIME != 0 {
        Attr::MOUNT_ATTR_STRICTATIME
    } else if flags & libc::MS_NOATIME != 0 {
        Attr::MOUNT_ATTR_NOATIME
    } else {
        Attr::MOUNT_ATTR_RELATIME
    };
    if flags & libc::MS_NODIRATIME != 0 {
        enumerated | Attr::MOUNT_ATTR_NODIRATIME
    } else {
        enumerated
    }
}

/// The flags among `MS_*` `flags` that belong to the superblock, as options for `fsconfig(2)`.
pub(super) fn superblock_options(flags: c_ulong) -> impl Iterator<Item = &'static CStr> {
    const PAIRS: [(c_ulong, &CStr); 5] = [
        (libc::MS_RDONLY, c"ro"),
        (libc::MS_SYNCHRONOUS, c"sync"),
        (libc::MS_DIRSYNC, c"dirsync"),
        (libc::MS_MANDLOCK, c"mand"),
        (libc::MS_LAZYTIME, c"lazytime"),
    ];
    PAIRS.into_iter().filter(move |(flag, _)| flags & flag != 0).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[&str]) -> MountOptions {
        let options: Vec<String> = options.iter().map(|option| option.to_string()).collect();
        MountOptions::parse(&options).unwrap()
    }

    #[test]
    fn the_table_is_sorted() {
        let names = known_mount_options();
        assert!(names.is_sorted());
        for name in names {
            assert!(find(name).is_some(), "{name}");
        }
    }

    #[test]
    fn the_later_of_two_opposites_holds() {
        let options = parse(&["ro", "nosuid", "rw", "suid", "nosuid"]);
        assert_eq!((options.set, options.cleared), (libc::MS_NOSUID, libc::MS_RDONLY));
    }

    #[test]
    fn what_is_not_known_goes_to_the_filesystem() {
        let options = parse(&["size=64k", "ro", "newinstance", "context=a,b", "x=y=z"]);
        let data: Vec<_> = options
            .data
            .iter()
            .map(|option| {
                let value = option.value.as_ref().map(|value| value.to_str().unwrap());
                (option.key.to_str().unwrap(), value)
            })
            .collect();
        let expected = [
            ("size", Some("64k")),
            ("newinstance", None),
            ("context", Some("a,b")),
            ("x", Some("y=z")),
        ];
        assert_eq!(data, expected);
        assert_eq!(options.set, libc::MS_RDONLY);
    }

    #[test]
    fn defaults_mean_nothing() {
        assert_eq!(parse(&["defaults", "loud"]).data, []);
    }

    #[test]
    fn nul_is_refused() {
        let options = ["a\0b".to_owned()];
        assert_eq!(MountOptions::parse(&options), Err(ConfigFault::NulByte));
    }

    #[test]
    fn propagation_keeps_its_order() {
        let options = parse(&["rslave", "shared"]);
        assert_eq!(options.propagation, [libc::MS_SLAVE | libc::MS_REC, libc::MS_SHARED]);
        assert_eq!(propagation("rslave"), Some(libc::MS_SLAVE | libc::MS_REC));
        assert_eq!(propagation("ro"), None);
        assert_eq!(propagation("nonsense"), None);
    }

    #[test]
    fn recursive_attributes() {
        let rro = parse(&["rro", "rnosuid", "rsuid"]).recursive.unwrap();
        let bits = |attr: Attr| u64::from(attr.bits());
        assert_eq!(rro.set, bits(Attr::MOUNT_ATTR_RDONLY));
        assert_eq!(rro.clear, bits(Attr::MOUNT_ATTR_NOSUID));
        // A new access time setting is taken only with the whole field cleared.
        let atime = bits(Attr::MOUNT_ATTR__ATIME);
        for option in ["ratime", "rnoatime", "rrelatime", "rnorelatime", "rstrictatime"] {
            assert_eq!(parse(&[option]).recursive.unwrap().clear & atime, atime, "{option}");
        }
        assert_eq!(parse(&["rnodiratime"]).recursive.unwrap().clear, 0);
        assert_eq!(parse(&["ro"]).recursive, None);
    }

    #[test]
    fn access_time_flags_as_mount_reads_them() {
        let relatime = Attr::MOUNT_ATTR_RELATIME;
        assert_eq!(atime_attributes(0), relatime);
        assert_eq!(atime_attributes(libc::MS_RELATIME), relatime);
        assert_eq!(atime_attributes(libc::MS_NOATIME), Attr::MOUNT_ATTR_NOATIME);
        let strict = libc::MS_STRICTATIME | libc::MS_NOATIME;
        assert_eq!(atime_attributes(strict), Attr::MOUNT_ATTR_STRICTATIME);
        let no_dir = libc::MS_NODIRATIME;
        assert_eq!(atime_attributes(no_dir), relatime | Attr::MOUNT_ATTR_NODIRATIME);
    }

    #[test]
    fn flags_of_the_superblock() {
        let flags = libc::MS_RDONLY | libc::MS_NOSUID | libc::MS_DIRSYNC;
        assert_eq!(superblock_options(flags).collect::<Vec<_>>(), [c"ro", c"dirsync"]);
    }
}
