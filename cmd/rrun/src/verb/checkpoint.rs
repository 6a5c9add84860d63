//! `rrun checkpoint`, and the flags that `restore` shares.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use container::{CriuOptions, PageServer};

use crate::global::{Global, is_initial_user_namespace};
use crate::net::Joint;
use crate::verb::create::absolute;
use crate::verb::{Id, SUCCESS};
use crate::version;

/// checkpoint a running container
///
/// The checkpoint command saves the state of the container instance. Its network is made again by
/// 'rrun restore': address, MAC address and published ports are kept with the images.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    container: Id,
    #[command(flatten)]
    criu: Common,
    /// path for previous criu image files in pre-dump
    #[arg(long, value_name = "PATH")]
    parent_path: Option<String>,
    /// leave the process running after checkpointing
    #[arg(long)]
    leave_running: bool,
    /// skip in-flight tcp connections
    #[arg(long)]
    tcp_skip_in_flight: bool,
    /// allow one to link unlinked files back when possible
    #[arg(long)]
    link_remap: bool,
    /// criu writes \0 to this FD once lazy-pages is ready
    #[arg(long, value_name = "FD", default_value_t = -1, hide_default_value = true)]
    #[arg(allow_negative_numbers = true)]
    status_fd: i32,
    /// ADDRESS:PORT of the page server
    #[arg(long, value_name = "ADDRESS:PORT")]
    page_server: Option<String>,
    /// dump container's memory information only, leave the container running after this
    #[arg(long)]
    pre_dump: bool,
}

/// What both verbs tell CRIU.
#[derive(Debug, clap::Args)]
pub(crate) struct Common {
    /// path to the criu image files, defaults to ./checkpoint
    #[arg(long, value_name = "PATH")]
    image_path: Option<PathBuf>,
    /// path for saving work files and logs
    #[arg(long, value_name = "PATH")]
    work_path: Option<PathBuf>,
    /// allow open tcp connections
    #[arg(long)]
    tcp_established: bool,
    /// allow external unix sockets
    #[arg(long)]
    ext_unix_sk: bool,
    /// allow shell jobs
    #[arg(long)]
    shell_job: bool,
    /// use userfaultfd to lazily restore memory pages
    #[arg(long)]
    lazy_pages: bool,
    /// handle file locks, for safety
    #[arg(long)]
    file_locks: bool,
    /// cgroups mode: soft|full|strict|ignore (default: soft)
    #[arg(long, value_name = "MODE", default_value = "", hide_default_value = true)]
    manage_cgroups_mode: String,
    /// create a namespace, but don't restore its properties
    #[arg(long, value_name = "NAMESPACE")]
    empty_ns: Vec<String>,
    /// enable auto deduplication of memory images
    #[arg(long)]
    auto_dedup: bool,
}

/// `rrun checkpoint`.
pub(crate) fn checkpoint(global: &Global, args: Args) -> anyhow::Result<u8> {
    warn_without_privilege();
    let root = global.state_root()?;
    let container = root.load(&args.container.id)?;
    // Before anything is made, the folder of the images among it.
    container.can_be_checkpointed()?;
    let options = args.options()?;
    let mut network = Joint::of_existing();
    container.checkpoint(&options, &mut network)?;
    if !options.leave_running
        && !options.pre_dump
        && let Err(error) = container.delete(true, &mut network)
    {
        tracing::warn!("{:#}", anyhow::Error::from(error));
    }
    Ok(SUCCESS)
}

/// CRIU needs the host's root, and says so itself.
pub(super) fn warn_without_privilege() {
    if !nix::unistd::geteuid().is_root() || !is_initial_user_namespace() {
        tracing::warn!("{} checkpoint is untested with rootless containers", version::program());
    }
}

impl Args {
    fn options(self) -> anyhow::Result<CriuOptions> {
        let common = self.criu.options()?;
        Ok(CriuOptions {
            parent: parent(&common.images, self.parent_path)?,
            leave_running: self.leave_running,
            tcp_skip_in_flight: self.tcp_skip_in_flight,
            link_remap: self.link_remap,
            status_fd: Some(self.status_fd).filter(|fd| *fd != -1),
            page_server: page_server(self.page_server.as_deref())?,
            pre_dump: self.pre_dump,
            ..common
        })
    }
}

impl Common {
    /// The options, with a folder for the images made.
    pub(super) fn options(self) -> anyhow::Result<CriuOptions> {
        let images = self.image_path.filter(|path| !path.as_os_str().is_empty());
        let images = images.unwrap_or_else(|| PathBuf::from("checkpoint"));
        let images =
            std::path::absolute(&images).with_context(|| format!("path {}", images.display()))?;
        make_folder(&images).with_context(|| format!("mkdir {}", images.display()))?;
        if let Some(other) = self.empty_ns.iter().find(|name| *name != "network") {
            bail!("namespace {other:?} is not supported");
        }
        Ok(CriuOptions {
            images,
            work: absolute(self.work_path.as_deref())?,
            tcp_established: self.tcp_established,
            ext_unix_sk: self.ext_unix_sk,
            shell_job: self.shell_job,
            lazy_pages: self.lazy_pages,
            file_locks: self.file_locks,
            cgroups: self.manage_cgroups_mode.parse()?,
            auto_dedup: self.auto_dedup,
            ..CriuOptions::default()
        })
    }
}

/// Images hold the memory of the container.
fn make_folder(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// The images of an earlier pre-dump: CRIU follows the path from those of this one.
fn parent(images: &Path, path: Option<String>) -> anyhow::Result<Option<String>> {
    let Some(path) = path.filter(|path| !path.is_empty()) else { return Ok(None) };
    ensure!(!Path::new(&path).is_absolute(), "--parent-path must be relative");
    let real = images.join(&path);
    let metadata = std::fs::metadata(&real)
        .with_context(|| format!("invalid --parent-path: {}", real.display()))?;
    ensure!(metadata.is_dir(), "invalid --parent-path: {}: not a directory", real.display());
    Ok(Some(path))
}

/// `ADDRESS:PORT`, an IPv6 address in brackets.
fn page_server(text: Option<&str>) -> anyhow::Result<Option<PageServer>> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    const USE: &str = "Use --page-server ADDRESS:PORT to specify page server";
    let (address, port) = text.rsplit_once(':').context(USE)?;
    let bare = address.strip_prefix('[').and_then(|address| address.strip_suffix(']'));
    ensure!(bare.is_some() || !address.contains([':', '[', ']']), USE);
    let address = bare.unwrap_or(address);
    ensure!(!address.is_empty() && !port.is_empty(), USE);
    let port = port.parse().ok().context("Invalid port number")?;
    Ok(Some(PageServer { address: address.to_owned(), port }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_server_has_an_address_and_a_port() {
        let of = |text| page_server(Some(text)).map_err(|error| error.to_string());
        let port = std::num::NonZeroU16::new(27).unwrap();
        let server = |address: &str| Some(PageServer { address: address.to_owned(), port });
        assert_eq!(page_server(None).unwrap(), None);
        assert_eq!(of(""), Ok(None));
        assert_eq!(of("0.0.0.0:27"), Ok(server("0.0.0.0")));
        assert_eq!(of("[::1]:27"), Ok(server("::1")));
        for wrong in ["x", ":27", "x:", "::1:27", "[::1:27", "[]:27"] {
            assert!(of(wrong).unwrap_err().starts_with("Use --page-server"), "{wrong}");
        }
        for wrong in ["x:y", "x:0", "x:-1", "x:65536"] {
            assert_eq!(of(wrong).unwrap_err(), "Invalid port number");
        }
    }

    #[test]
    fn a_parent_is_a_folder_found_from_the_images() {
        let folder = tempfile::tempdir().unwrap();
        let images = folder.path().join("images");
        std::fs::create_dir_all(&images).unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        let of = |path: &str| {
            parent(&images, Some(path.to_owned())).map_err(|error| format!("{error:#}"))
        };
        assert_eq!(of(""), Ok(None));
        assert_eq!(of(".."), Ok(Some("..".to_owned())));
        assert_eq!(of("/").unwrap_err(), "--parent-path must be relative");
        assert!(of("../file").unwrap_err().contains("not a directory"));
        assert!(of("../no").unwrap_err().starts_with("invalid --parent-path: "));
    }

    #[test]
    fn only_a_network_can_be_empty() {
        let images = tempfile::tempdir().unwrap();
        let of = |namespace: &str, cgroups: &str| {
            let common = Common {
                image_path: Some(images.path().join("a/b")),
                work_path: None,
                tcp_established: false,
                ext_unix_sk: false,
                shell_job: false,
                lazy_pages: false,
                file_locks: false,
                manage_cgroups_mode: cgroups.to_owned(),
                empty_ns: vec![namespace.to_owned()],
                auto_dedup: false,
            };
            common.options().map(drop).map_err(|error| error.to_string())
        };
        assert_eq!(of("network", "ignore"), Ok(()));
        assert_eq!(of("network", "x").unwrap_err(), "invalid manage-cgroups-mode value");
        assert_eq!(of("pid", "").unwrap_err(), "namespace \"pid\" is not supported");
    }
}
