//! Bundles: a directory with a config.json.

use std::path::{Path, PathBuf};

use crate::Result;
use crate::spec::Spec;

/// A bundle with its parsed config.json.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// The absolute path of the bundle.
    pub path: PathBuf,
    /// Its config.json. Callers may edit it before [`crate::create`]; the file stays as it is.
    pub spec: Spec,
}

impl Bundle {
    /// Reads `DIR/config.json`.
    pub fn load(_dir: &Path) -> Result<Self> {
        todo!()
    }
}
