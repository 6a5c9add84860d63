//! From config.json to a [`RootfsPlan`]: parsing and checking only, in the parent, before anything exists.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use libc::c_ulong;
use oci_spec::runtime::{Linux, LinuxNamespaceType, Mount, Spec};
use rustix::fs::FileType;
use rustix::io::Errno;

use super::device::{DeviceNode, default_devices};
use super::error::{ConfigFault, Reason, RootfsError};
use super::idmap::{IdMap, IdMapSource};
use super::options::{self, FsOption, MountOptions};
use super::safe_path::clean;
use super::{CgroupView, RootfsPlan};

/// What a [`RootfsPlan`] is made from.
#[derive(Debug)]
pub(crate) struct PlanContext<'a> {
    /// The container's config.json.
    pub(crate) spec: &'a Spec,
    /// The bundle, absolute: relative paths of config.json start here.
    pub(crate) bundle: &'a Path,
    /// Init is in a mount namespace of its own, new or joined. Without one, nothing of the host's mount tree is
    /// re-propagated, and the rootfs is entered with `chroot`.
    pub(crate) mount_namespace: bool,
    /// Init is in a user namespace other than the host's: device nodes are then bound from the host.
    pub(crate) user_namespace: bool,
    /// The runtime itself is not root on the host.
    pub(crate) rootless: bool,
    /// `--no-pivot`: move the rootfs to `/` instead of `pivot_root`.
    pub(crate) no_pivot: bool,
    /// What a mount of `type: cgroup` is to show.
    pub(crate) cgroup: CgroupView,
}

/// One entry of `mounts`, ready to be mounted.
#[derive(Debug)]
pub(super) struct MountEntry {
    pub(super) kind: MountKind,
    /// `source` as config.json has it, bind sources made absolute.
    pub(super) source: PathBuf,
    /// Absolute and clean, inside the container.
    pub(super) destination: PathBuf,
    pub(super) options: MountOptions,
    pub(super) idmap: Option<IdMap>,
}

/// The kinds of mount that differ in how they are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MountKind {
    /// A file or directory of the host, with the mounts below it or without.
    Bind { recursive: bool },
    /// The container's view of the cgroups, v1 or v2 as the host has it.
    Cgroup,
    /// A new instance of a file system.
    Filesystem(CString),
}

impl MountEntry {
    /// The file system type is `name`.
    pub(super) fn is_type(&self, name: &str) -> bool {
        matches!(&self.kind, MountKind::Filesystem(fs_type) if fs_type.as_bytes() == name.as_bytes())
    }

    /// Read-only, but only at the end: mount points and device nodes are still to be made in it.
    pub(super) fn is_read_only_later(&self) -> bool {
        self.options.set & libc::MS_RDONLY != 0
            && (self.is_type("tmpfs") || self.destination == Path::new("/dev"))
    }
}

impl RootfsPlan {
    /// A cgroup v1 mount shows, of the hierarchies in which the container has no group of these, the group that
    /// it is in (`own`: mount point and group).
    pub(crate) fn show_cgroups(
        &mut self,
        paths: &BTreeMap<String, PathBuf>,
        own: &[(PathBuf, PathBuf)],
    ) {
        if let CgroupView::Legacy { hierarchies, .. } = &mut self.cgroup {
            hierarchies.retain_mut(|hierarchy| {
                if paths.values().any(|path| *path == hierarchy.cgroup) {
                    return true;
                }
                let found = own.iter().find(|(point, _)| *point == hierarchy.mount_point);
                found.map(|(_, group)| hierarchy.cgroup.clone_from(group)).is_some()
            });
        }
    }

    /// Whether an entry of `mounts` mounts what lies on a device of the host, which the container's device
    /// rules may forbid: these are then to be set after the mounts.
    pub(crate) fn mounts_block_devices(&self) -> bool {
        self.mounts.iter().any(|entry| {
            matches!(entry.kind, MountKind::Filesystem(_)) && entry.source.is_absolute()
        })
    }

    /// Reads `ctx.spec` into a plan. Looks at the file system only to find the rootfs and whether there is a
    /// `/proc/kcore`; changes nothing.
    ///
    /// Errors: [`RootfsError::Config`], naming the field.
    pub(crate) fn prepare(ctx: &PlanContext<'_>) -> Result<Self, RootfsError> {
        let rootfs = rootfs_path(ctx)?;
        let linux = ctx.spec.linux().as_ref();
        let mounts = ctx.spec.mounts().as_deref().unwrap_or_default();
        let mounts = mounts
            .iter()
            .enumerate()
            .map(|(index, mount)| mount_entry(ctx, &rootfs, index, mount))
            .collect::<Result<Vec<_>, _>>()?;
        let process = ctx.spec.process().as_ref();
        let user = process.map(|process| process.user());
        let root = ctx.spec.root().as_ref();
        let binds_dev = |entry: &MountEntry| {
            matches!(entry.kind, MountKind::Bind { .. }) && entry.destination == Path::new("/dev")
        };
        Ok(Self {
            sets_up_dev: !mounts.iter().any(binds_dev),
            mounts,
            rootfs,
            propagation: root_propagation(ctx, linux)?,
            devices: devices(linux)?,
            has_kcore: Path::new("/proc/kcore").exists(),
            read_only: root.and_then(|root| root.readonly()).unwrap_or(false),
            masked_paths: restricted_paths(ctx, "maskedPaths", linux.map(Linux::masked_paths))?,
            readonly_paths: restricted_paths(
                ctx,
                "readonlyPaths",
                linux.map(Linux::readonly_paths),
            )?,
            mount_label: mount_label(linux)?,
            umask: user.and_then(|user| user.umask()).unwrap_or(0o022),
            cwd: process.map(|process| process.cwd().clone()).unwrap_or_default(),
            mount_namespace: ctx.mount_namespace,
            user_namespace: ctx.user_namespace,
            rootless: ctx.rootless,
            no_pivot: ctx.no_pivot,
            cgroup: ctx.cgroup.clone(),
        })
    }
}

fn rootfs_path(ctx: &PlanContext<'_>) -> Result<PathBuf, RootfsError> {
    let missing = || RootfsError::config("root.path", ConfigFault::Missing);
    let path = ctx.spec.root().as_ref().ok_or_else(missing)?.path();
    if path.as_os_str().is_empty() {
        return Err(missing());
    }
    let unusable = |errno| {
        RootfsError::config(
            "root.path",
            ConfigFault::Rootfs { path: path.clone(), errno: Reason(errno) },
        )
    };
    let canonical = ctx
        .bundle
        .join(path)
        .canonicalize()
        .map_err(|error| unusable(Errno::from_io_error(&error).unwrap_or(Errno::INVAL)))?;
    match canonical.is_dir() {
        true => Ok(canonical),
        false => Err(unusable(Errno::NOTDIR)),
    }
}

fn mount_entry(
    ctx: &PlanContext<'_>,
    rootfs: &Path,
    index: usize,
    mount: &Mount,
) -> Result<MountEntry, RootfsError> {
    let fail =
        |field: &str, fault| Err(RootfsError::config(format!("mounts[{index}].{field}"), fault));
    let destination = mount.destination();
    if destination.as_os_str().is_empty() {
        return fail("destination", ConfigFault::Missing);
    }
    if has_nul(destination) {
        return fail("destination", ConfigFault::NulByte);
    }
    let options = match MountOptions::parse(mount.options().as_deref().unwrap_or_default()) {
        Ok(options) => options,
        Err(fault) => return fail("options", fault),
    };
    let kind = match mount_kind(mount, &options) {
        Ok(kind) => kind,
        Err(fault) => return fail("type", fault),
    };
    let mut source = mount.source().clone().unwrap_or_default();
    if has_nul(&source) {
        return fail("source", ConfigFault::NulByte);
    }
    if matches!(kind, MountKind::Bind { .. }) {
        if source.as_os_str().is_empty() {
            return fail("source", ConfigFault::Missing);
        }
        source = ctx.bundle.join(source);
    }
    if let Err(fault) = check_options(&kind, &options) {
        return fail("options", fault);
    }
    let idmap = match id_map(ctx, mount, &kind, &options) {
        Ok(idmap) => idmap,
        Err(fault) => return fail("uidMappings", fault),
    };
    Ok(MountEntry { kind, source, destination: inside(rootfs, destination), options, idmap })
}

fn has_nul(path: &Path) -> bool {
    path.as_os_str().as_bytes().contains(&0)
}

/// The destination as a path of the container. Like runc, one that names the rootfs itself first means what is below.
pub(super) fn inside(rootfs: &Path, destination: &Path) -> PathBuf {
    let destination = clean(destination);
    match destination.strip_prefix(rootfs) {
        Ok(below) if !below.as_os_str().is_empty() => Path::new("/").join(below),
        _ => destination,
    }
}

/// A bind mount is one by its option (the type then means nothing) or by its type.
fn mount_kind(mount: &Mount, options: &MountOptions) -> Result<MountKind, ConfigFault> {
    let recursive = options.set & libc::MS_REC != 0;
    if options.set & libc::MS_BIND != 0 {
        return Ok(MountKind::Bind { recursive });
    }
    match mount.typ().as_deref() {
        None | Some("") => Err(ConfigFault::Missing),
        Some("bind") => Ok(MountKind::Bind { recursive: false }),
        Some("rbind") => Ok(MountKind::Bind { recursive: true }),
        Some("cgroup") => Ok(MountKind::Cgroup),
        Some(fs_type) => {
            CString::new(fs_type).map(MountKind::Filesystem).map_err(|_| ConfigFault::NulByte)
        }
    }
}

fn check_options(kind: &MountKind, options: &MountOptions) -> Result<(), ConfigFault> {
    let is_bind = matches!(kind, MountKind::Bind { .. });
    if let Some(option) = options.data.first()
        && is_bind
    {
        // The kernel would ignore it: these belong to the superblock, which the bind mount shares.
        return Err(ConfigFault::BindData(option.key.to_string_lossy().into_owned()));
    }
    if options.recursive.is_some() && !is_bind {
        return Err(ConfigFault::OnlyFor { option: "a recursive mount attribute", kind: "bind" });
    }
    if options.set & libc::MS_REMOUNT != 0 && *kind == MountKind::Cgroup {
        return Err(ConfigFault::OnlyFor { option: "remount", kind: "bind and file system" });
    }
    if options.copy_up && *kind != MountKind::Filesystem(c"tmpfs".to_owned()) {
        return Err(ConfigFault::OnlyFor { option: "tmpcopyup", kind: "tmpfs" });
    }
    Ok(())
}

fn id_map(
    ctx: &PlanContext<'_>,
    mount: &Mount,
    kind: &MountKind,
    options: &MountOptions,
) -> Result<Option<IdMap>, ConfigFault> {
    let (uids, gids) = (mount.uid_mappings(), mount.gid_mappings());
    if options.idmap.is_none() && uids.is_none() && gids.is_none() {
        return Ok(None);
    }
    if !matches!(kind, MountKind::Bind { .. }) {
        return Err(ConfigFault::OnlyFor { option: "an id mapping", kind: "bind" });
    }
    if ctx.rootless {
        return Err(ConfigFault::RootlessIdMap);
    }
    let source = match (uids, gids) {
        (None, None) => container_id_map(ctx)?,
        _ => IdMapSource::from_mappings(uids.as_deref(), gids.as_deref())?,
    };
    Ok(Some(IdMap::new(options.idmap.unwrap_or(false), source)))
}

/// `idmap` without mappings means those of the container's user namespace.
fn container_id_map(ctx: &PlanContext<'_>) -> Result<IdMapSource, ConfigFault> {
    let linux = ctx.spec.linux().as_ref().ok_or(ConfigFault::HalfIdMap)?;
    let namespaces = linux.namespaces().as_deref().unwrap_or_default();
    let user = namespaces
        .iter()
        .find(|namespace| namespace.typ() == LinuxNamespaceType::User)
        .ok_or(ConfigFault::HalfIdMap)?;
    match user.path() {
        Some(path) if !path.as_os_str().is_empty() => Ok(IdMapSource::Namespace(path.clone())),
        _ => IdMapSource::from_mappings(
            linux.uid_mappings().as_deref(),
            linux.gid_mappings().as_deref(),
        ),
    }
}

/// `linux.rootfsPropagation` as `MS_*` flags. Absent is rslave, as in runc: mounts that appear on the host later reach
/// the container through its slave mounts, and none of the container's reach the host.
fn root_propagation(
    ctx: &PlanContext<'_>,
    linux: Option<&Linux>,
) -> Result<Option<c_ulong>, RootfsError> {
    let name = linux.and_then(|linux| linux.rootfs_propagation().as_deref());
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    let fail = |fault| Err(RootfsError::config("linux.rootfsPropagation", fault));
    match options::propagation(name) {
        None => fail(ConfigFault::UnknownPropagation(name.to_owned())),
        Some(flags) if ctx.no_pivot && flags & libc::MS_PRIVATE != 0 => {
            fail(ConfigFault::PrivateWithoutPivot)
        }
        flags => Ok(flags),
    }
}

/// The default devices, those that config.json lists in place of a default, and the others it lists.
fn devices(linux: Option<&Linux>) -> Result<Vec<DeviceNode>, RootfsError> {
    let listed = linux.and_then(|linux| linux.devices().as_deref());
    let mut nodes: Vec<DeviceNode> = default_devices()
        .filter(|node| {
            !listed.unwrap_or_default().iter().any(|device| clean(device.path()) == node.path)
        })
        .collect();
    for (index, device) in listed.unwrap_or_default().iter().enumerate() {
        let node = DeviceNode::from_spec(device).map_err(|(field, fault)| {
            RootfsError::config(format!("linux.devices[{index}].{field}"), fault)
        })?;
        // /dev/ptmx is a link to the container's own devpts, whatever config.json lists.
        if node.path != Path::new("/dev/ptmx") {
            nodes.push(node);
        }
    }
    debug_assert!(nodes.iter().all(|node| node.kind != FileType::Unknown));
    Ok(nodes)
}

fn restricted_paths(
    ctx: &PlanContext<'_>,
    field: &str,
    paths: Option<&Option<Vec<String>>>,
) -> Result<Vec<PathBuf>, RootfsError> {
    let paths = paths.and_then(Option::as_deref).unwrap_or_default();
    if !paths.is_empty() && !ctx.mount_namespace {
        return Err(RootfsError::config(format!("linux.{field}"), ConfigFault::NoMountNamespace));
    }
    let mut unique = Vec::with_capacity(paths.len());
    for (index, path) in paths.iter().enumerate() {
        let fail = |fault| Err(RootfsError::config(format!("linux.{field}[{index}]"), fault));
        let path = Path::new(path);
        if has_nul(path) {
            return fail(ConfigFault::NulByte);
        }
        if !path.is_absolute() {
            return fail(ConfigFault::Relative(path.to_owned()));
        }
        let path = clean(path);
        if !unique.contains(&path) {
            unique.push(path);
        }
    }
    Ok(unique)
}

fn mount_label(linux: Option<&Linux>) -> Result<Option<FsOption>, RootfsError> {
    let label = linux.and_then(|linux| linux.mount_label().as_deref());
    label
        .filter(|label| !label.is_empty())
        .map(|label| match CString::new(label) {
            Ok(label) => Ok(FsOption::pair(c"context", label)),
            Err(_) => Err(RootfsError::config("linux.mountLabel", ConfigFault::NulByte)),
        })
        .transpose()
}
