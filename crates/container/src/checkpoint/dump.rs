//! `checkpoint`.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use cgroup::{Controller, Hierarchies, Mode};
use nix::sched::CloneFlags;
use rust_criu::rust_criu_protobuf::rpc::{Criu_notify, Criu_opts, Criu_req_type};

use super::folders::Folders;
use super::options::mount_map;
use super::swrk::{self, Feature, Launch, Swrk};
use super::{CriuError, CriuOptions, outside};
use crate::error::{Error, OsError, Result, StatusError};
use crate::namespaces::clone_flag;
use crate::rootfs::{PlanContext, RootfsPlan};
use crate::spec::Spec;
use crate::{Container, Network, Status, cgroups, sys};

/// The first CRIU that freezes by the freezer of cgroup v2.
const FREEZES_UNIFIED: u32 = 3_14_00;
/// The first that says that lazy pages can be had by a notification.
const NOTIFIES_READY: u32 = 3_15_00;

impl Container {
    /// That it runs, or is paused.
    pub fn can_be_checkpointed(&self) -> Result<()> {
        match self.status()? {
            Status::Running | Status::Paused => Ok(()),
            status => Err(Error::Status(StatusError::Checkpoint(status))),
        }
    }

    /// Saves the state of the running or paused container as images. Its processes are gone afterwards, unless
    /// the options say otherwise; the container still has to be deleted then.
    pub fn checkpoint(&self, options: &CriuOptions, network: &mut dyn Network) -> Result<()> {
        self.can_be_checkpointed()?;
        let spec = self.config()?;
        let mut status_fd = options.status_fd.filter(|_| options.lazy_pages);
        let version = swrk::version()?;
        let folders = Folders::for_dump(options)?;
        network.checkpoint(self.dir(), &options.images).map_err(Error::Network)?;
        let mut criu = self.dump_options(options, &folders, &spec, version)?;
        let kind = match options.pre_dump {
            true => {
                swrk::require(Feature::MemTrack)?;
                Criu_req_type::PRE_DUMP
            }
            false => Criu_req_type::DUMP,
        };
        if options.lazy_pages {
            swrk::require(Feature::LazyPages)?;
            if let Some(fd) = status_fd {
                check_writable(fd)?;
                criu.status_fd = Some(fd).filter(|_| version < NOTIFIES_READY);
            }
        }
        if !options.pre_dump {
            outside::save_descriptors(&options.images, &self.state().descriptors)?;
        }
        let mut notified = |notify: &Criu_notify, _: Option<OwnedFd>| {
            if notify.script() == "status-ready" {
                tell_ready(status_fd.take());
            }
            Ok(())
        };
        let launch = Launch {
            inherit: criu.status_fd.map(sys::inherited_fd).into_iter().collect(),
            folders: Some(&folders),
            ..Launch::default()
        };
        let swrk = Swrk::start(&launch, &|| Ok(()))?;
        swrk.request(&swrk::request(kind, criu), &mut notified)
            .map_err(|error| folders.explain(error))?;
        // A pre-dump is meant to be the first of several requests: that no more come is no failure.
        swrk.end(options.pre_dump)
    }

    fn dump_options(
        &self,
        options: &CriuOptions,
        folders: &Folders,
        spec: &Spec,
        version: u32,
    ) -> Result<Criu_opts> {
        let state = self.state();
        let root = state.rootfs.to_string_lossy().into_owned();
        let mut criu = options.dump(folders, spec, root, state.pid);
        criu.external = outside::external(spec)?;
        let hierarchies = Hierarchies::detect()?;
        let cgroup = self.cgroup()?;
        if hierarchies.mode() == Mode::V1 || version >= FREEZES_UNIFIED {
            let freezer = cgroup.dir(Controller::Freezer);
            criu.freeze_cgroup = freezer.map(|dir| dir.to_string_lossy().into_owned());
        }
        if options.pre_dump {
            return Ok(criu);
        }
        let private = has_namespace(spec, CloneFlags::CLONE_NEWCGROUP);
        let rootfs = RootfsPlan::prepare(&PlanContext {
            spec,
            bundle: &state.bundle,
            mount_namespace: has_namespace(spec, CloneFlags::CLONE_NEWNS),
            user_namespace: has_namespace(spec, CloneFlags::CLONE_NEWUSER),
            rootless: !rustix::process::geteuid().is_root(),
            no_pivot: false,
            cgroup: cgroups::view(&hierarchies, &cgroup, private),
        })?;
        // A mount from outside has its mount point as its name in the images.
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let outside = rootfs.external_mounts()?;
        criu.ext_mnt = outside
            .iter()
            .map(|mount| mount_map(text(&mount.inside), text(&mount.inside)))
            .collect();
        let inside = PathBuf::from(format!("/proc/{}/root", state.pid));
        for path in rootfs.masked_files(&inside)? {
            criu.ext_mnt.push(mount_map(text(path), "/dev/null"));
        }
        Ok(criu)
    }
}

/// Whether config.json asks for a namespace of this kind, new or joined.
pub(super) fn has_namespace(spec: &Spec, kind: CloneFlags) -> bool {
    let linux = spec.linux().as_ref();
    let namespaces = linux.and_then(|linux| linux.namespaces().as_deref()).unwrap_or_default();
    namespaces.iter().any(|namespace| clone_flag(namespace.typ()) == kind)
}

fn check_writable(fd: i32) -> Result<(), CriuError> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let wrong = |problem: String| CriuError::StatusFd { fd, problem };
    if fd < 0 {
        return Err(wrong(OsError(nix::errno::Errno::EBADF).to_string()));
    }
    let flags = fcntl(sys::inherited_fd(fd), FcntlArg::F_GETFL)
        .map_err(|errno| wrong(OsError(errno).to_string()))?;
    match OFlag::from_bits_retain(flags) & OFlag::O_ACCMODE == OFlag::O_RDONLY {
        true => Err(wrong("not writable".to_owned())),
        false => Ok(()),
    }
}

/// Says that lazy pages can be had, once. Whoever waits for it sees at least the end.
fn tell_ready(fd: Option<i32>) {
    let Some(fd) = fd else { return };
    let fd = sys::own_fd(fd);
    if let Err(errno) = nix::unistd::write(&fd, &[0]) {
        tracing::warn!("can't write \\0 to status fd: {errno}");
    }
}
