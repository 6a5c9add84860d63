//! What CRIU is told: pure, from the caller's options to the message.

use std::path::PathBuf;
use std::str::FromStr;

use rust_criu::rust_criu_protobuf::rpc::{
    Criu_cg_mode, Criu_opts, Criu_page_server_info, Ext_mount_map,
};

use super::folders::Folders;
use super::{CriuError, outside};
use crate::spec::Spec;

/// The caller's options, those of runc's `checkpoint` and `restore`.
#[derive(Debug, Clone, Default)]
pub struct CriuOptions {
    /// The folder of the images, which is there.
    pub images: PathBuf,
    /// Where CRIU works and writes its log; where the images are, if not given.
    pub work: Option<PathBuf>,
    /// The images of an earlier pre-dump, relative to `images`.
    pub parent: Option<String>,
    /// Go on running after the checkpoint.
    pub leave_running: bool,
    /// Take established TCP connections along.
    pub tcp_established: bool,
    /// Leave out TCP connections that are not accepted yet.
    pub tcp_skip_in_flight: bool,
    /// Restore TCP connections as closed ones.
    pub tcp_close: bool,
    /// Give files without a name one, for the images' sake.
    pub link_remap: bool,
    /// Take connections to unix sockets outside along.
    pub ext_unix_sk: bool,
    /// The container's session or terminal is one of outside.
    pub shell_job: bool,
    /// Take file locks along.
    pub file_locks: bool,
    /// Memory only, and go on running.
    pub pre_dump: bool,
    /// Drop pages from the parent's images that the new ones hold.
    pub auto_dedup: bool,
    /// Leave the memory where it is until it is asked for.
    pub lazy_pages: bool,
    /// A descriptor of the caller's, to which a zero byte is written when the lazy pages can be had.
    pub status_fd: Option<i32>,
    /// Send the memory to this page server.
    pub page_server: Option<PageServer>,
    /// What to do about cgroups.
    pub cgroups: CgroupsMode,
    /// Restore with this LSM profile, `TYPE:NAME`.
    pub lsm_profile: Option<String>,
    /// Restore mounts with this SELinux context.
    pub lsm_mount_context: Option<String>,
}

/// A page server (`criu page-server`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageServer {
    /// Its address.
    pub address: String,
    /// Its TCP port.
    pub port: std::num::NonZeroU16,
}

/// What CRIU does about cgroups (`--manage-cgroups` in criu(8)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CgroupsMode {
    /// CRIU's own choice, which is soft.
    #[default]
    Default,
    /// Restore the properties of groups that it makes.
    Soft,
    /// Restore the properties of all.
    Full,
    /// The groups must be there, as they were.
    Strict,
    /// Leave them alone.
    Ignore,
}

impl FromStr for CgroupsMode {
    type Err = CriuError;

    fn from_str(text: &str) -> Result<Self, CriuError> {
        Ok(match text {
            "" => Self::Default,
            "soft" => Self::Soft,
            "full" => Self::Full,
            "strict" => Self::Strict,
            "ignore" => Self::Ignore,
            _ => return Err(CriuError::CgroupsMode),
        })
    }
}

impl From<CgroupsMode> for Criu_cg_mode {
    fn from(mode: CgroupsMode) -> Self {
        match mode {
            CgroupsMode::Default => Self::DEFAULT,
            CgroupsMode::Soft => Self::SOFT,
            CgroupsMode::Full => Self::FULL,
            CgroupsMode::Strict => Self::STRICT,
            CgroupsMode::Ignore => Self::IGNORE,
        }
    }
}

/// Everything is logged but the largest dumps of data.
const LOG_LEVEL: i32 = 4;

impl CriuOptions {
    /// For a checkpoint of the process `pid`.
    pub(super) fn dump(&self, folders: &Folders, spec: &Spec, root: String, pid: i32) -> Criu_opts {
        let ps = self.page_server.clone().map(|server| Criu_page_server_info {
            address: Some(server.address),
            port: Some(server.port.get().into()),
            ..Default::default()
        });
        Criu_opts {
            pid: Some(pid),
            leave_running: Some(self.leave_running),
            tcp_skip_in_flight: Some(self.tcp_skip_in_flight),
            link_remap: Some(self.link_remap),
            ps: ps.into(),
            parent_img: self.parent.clone(),
            track_mem: self.parent.as_ref().map(|_| true),
            ..self.both(folders, spec, root)
        }
    }

    /// For a restore.
    pub(super) fn restore(&self, folders: &Folders, spec: &Spec, root: String) -> Criu_opts {
        Criu_opts {
            evasive_devices: Some(true),
            // Init becomes a child of this process, not of CRIU.
            rst_sibling: Some(true),
            tcp_close: Some(self.tcp_close),
            lsm_profile: self.lsm_profile.clone(),
            lsm_mount_context: self.lsm_mount_context.clone(),
            ..self.both(folders, spec, root)
        }
    }

    /// What both times have in common.
    fn both(&self, folders: &Folders, spec: &Spec, root: String) -> Criu_opts {
        Criu_opts {
            images_dir_fd: Some(folders.images()),
            work_dir_fd: folders.work(),
            log_level: Some(LOG_LEVEL),
            log_file: Some(folders.log_name()),
            root: Some(root),
            // The older field of the two, for older versions.
            manage_cgroups: Some(true),
            manage_cgroups_mode: Some(Criu_cg_mode::from(self.cgroups).into()),
            notify_scripts: Some(true),
            shell_job: Some(self.shell_job),
            ext_unix_sk: Some(self.ext_unix_sk),
            tcp_established: Some(self.tcp_established),
            file_locks: Some(self.file_locks),
            auto_dedup: Some(self.auto_dedup),
            lazy_pages: Some(self.lazy_pages),
            orphan_pts_master: Some(true),
            // Links and addresses are not CRIU's: whoever made them makes them again.
            empty_ns: Some(libc::CLONE_NEWNET as u32),
            config_file: outside::config_file(spec),
            ..Default::default()
        }
    }
}

/// One mount that comes from outside.
pub(super) fn mount_map(key: impl Into<String>, val: impl Into<String>) -> Ext_mount_map {
    Ext_mount_map { key: Some(key.into()), val: Some(val.into()), ..Default::default() }
}
