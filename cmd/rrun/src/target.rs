//! Which bundle and which id `create` and `run` mean.

use std::path::{Path, PathBuf};

use container::ContainerId;

/// The file that makes a directory a bundle.
pub(crate) const CONFIG: &str = "config.json";

/// A bundle and the id of the container to make from it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The bundle directory.
    pub(crate) bundle: PathBuf,
    /// The id.
    pub(crate) id: ContainerId,
}

/// Why the arguments name no bundle and id.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetError {
    /// Two names where the first can only be the id.
    #[error("one argument, the container id, is expected here, and {0:?} follows it")]
    SecondArgument(String),
    /// The id cannot name a container.
    #[error(transparent)]
    Id(#[from] container::InvalidId),
    /// The directory cannot be reached.
    #[error("bundle {path:?}: {error}")]
    Bundle {
        /// The directory as given.
        path: PathBuf,
        /// What the kernel said.
        error: std::io::Error,
    },
    /// The directory's name cannot be an id.
    #[error("the name of bundle {path:?} is no container id ({error}): give the id after it")]
    FolderName {
        /// The directory.
        path: PathBuf,
        /// What is wrong with the name.
        error: container::InvalidId,
    },
}

impl Target {
    /// `ARG` is runc's container id: the bundle is `--bundle` or the current directory. Without
    /// `--bundle` it is the bundle if it holds a `/` (no id does), or if `ARG/config.json` exists
    /// and the current directory has no config.json; then the id is the second argument or the
    /// directory's name. Nothing that works with runc changes meaning.
    pub(crate) fn resolve(
        cwd: &Path,
        bundle: Option<&Path>,
        arg: &str,
        second: Option<&str>,
    ) -> Result<Self, TargetError> {
        let names_bundle = bundle.is_none()
            && (arg.contains('/')
                || (!arg.is_empty()
                    && !cwd.join(CONFIG).exists()
                    && cwd.join(arg).join(CONFIG).exists()));
        if names_bundle {
            let bundle = real(&cwd.join(arg))?;
            let id = second.map_or_else(|| folder_name(&bundle), |id| Ok(id.parse()?))?;
            return Ok(Self { bundle, id });
        }
        if let Some(second) = second {
            return Err(TargetError::SecondArgument(second.to_owned()));
        }
        let id = arg.parse()?;
        let bundle = bundle.map_or_else(|| Ok(cwd.to_owned()), |bundle| real(&cwd.join(bundle)))?;
        Ok(Self { bundle, id })
    }
}

/// The directory by its own name: what `state` shows then is the same however it was reached.
fn real(path: &Path) -> Result<PathBuf, TargetError> {
    path.canonicalize().map_err(|error| TargetError::Bundle { path: path.to_owned(), error })
}

/// The id that a bundle directory's own name gives.
fn folder_name(bundle: &Path) -> Result<ContainerId, TargetError> {
    let name = bundle.file_name().unwrap_or_default().to_string_lossy();
    name.parse().map_err(|error| TargetError::FolderName { path: bundle.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory with `bundle/config.json`, `empty/` and `sp ace/config.json`, gone afterwards.
    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str) -> Self {
            let root =
                std::env::temp_dir().join(format!("rrun-target-{name}-{}", std::process::id()));
            for dir in ["bundle", "empty", "sp ace"] {
                std::fs::create_dir_all(root.join(dir)).unwrap();
            }
            for dir in ["bundle", "sp ace"] {
                std::fs::write(root.join(dir).join(CONFIG), "{}").unwrap();
            }
            Self(root)
        }

        fn ask(&self, cwd: &str, bundle: Option<&str>, args: &[&str]) -> Result<String, String> {
            let second = args.get(1).copied();
            Target::resolve(&self.0.join(cwd), bundle.map(Path::new), args[0], second)
                .map(|target| {
                    let bundle = target.bundle.canonicalize().unwrap();
                    let bundle = bundle.strip_prefix(self.0.canonicalize().unwrap()).unwrap();
                    format!("{} {}", bundle.display(), target.id)
                })
                .map_err(|error| error.to_string())
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn runc_ways_keep_their_meaning() {
        let tree = Tree::new("runc");
        assert_eq!(tree.ask("bundle", None, &["c1"]), Ok("bundle c1".into()));
        assert_eq!(tree.ask("", Some("bundle"), &["c1"]), Ok("bundle c1".into()));
        // An id that happens to be the name of a bundle is an id where --bundle or the current
        // directory says which bundle is meant.
        assert_eq!(tree.ask("", Some("bundle"), &["bundle"]), Ok("bundle bundle".into()));
        std::fs::write(tree.0.join(CONFIG), "{}").unwrap();
        assert_eq!(tree.ask("", None, &["bundle"]), Ok(" bundle".into()));
    }

    #[test]
    fn a_bundle_may_be_named_directly() {
        let tree = Tree::new("direct");
        assert_eq!(tree.ask("", None, &["bundle"]), Ok("bundle bundle".into()));
        assert_eq!(tree.ask("", None, &["bundle", "web"]), Ok("bundle web".into()));
        assert_eq!(tree.ask("empty", None, &["../bundle"]), Ok("bundle bundle".into()));
        assert_eq!(tree.ask("bundle", None, &["./"]), Ok("bundle bundle".into()));
        assert_eq!(tree.ask("bundle", None, &["../bundle/", "x"]), Ok("bundle x".into()));
        assert_eq!(tree.ask("", None, &["sp ace", "x"]), Ok("sp ace x".into()));
    }

    #[test]
    fn what_names_nothing_is_refused() {
        let tree = Tree::new("refused");
        let refused = |cwd, bundle, args: &[&str]| tree.ask(cwd, bundle, args).unwrap_err();
        assert_eq!(refused("bundle", None, &[""]), "container id cannot be empty");
        assert!(refused("bundle", None, &["c1", "c2"]).contains("\"c2\""));
        assert!(refused("", Some("bundle"), &["c1", "c2"]).contains("\"c2\""));
        assert!(refused("", Some("bundle"), &["../c1"]).contains("invalid container ID format"));
        assert!(refused("", None, &["sp ace"]).contains("give the id after it"));
        assert!(refused("", None, &["../nothing/there"]).contains("No such file"));
        assert!(refused("", None, &["/"]).contains("container id cannot be empty"));
        assert!(refused("", None, &["bundle", ".."]).contains("invalid container ID format"));
    }
}
