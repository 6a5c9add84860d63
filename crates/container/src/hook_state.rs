//! The state of a container as hooks and `state` show it (runtime-spec, runtime.md, "State").

use std::collections::HashMap;
use std::path::PathBuf;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::spec::Spec;
use crate::{ContainerId, Status};

/// What of the state does not change.
#[derive(Debug, Clone)]
pub(crate) struct HookState {
    id: String,
    bundle: PathBuf,
    annotations: HashMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Json<'a> {
    /// That of the state's form, not of config.json.
    oci_version: &'a str,
    id: &'a str,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<i32>,
    bundle: &'a PathBuf,
    #[serde(skip_serializing_if = "HashMap::is_empty")]
    annotations: &'a HashMap<String, String>,
}

impl HookState {
    /// That of this container.
    pub(crate) fn new(id: &ContainerId, bundle: PathBuf, spec: &Spec) -> Self {
        Self {
            id: id.to_string(),
            bundle,
            annotations: spec.annotations().clone().unwrap_or_default(),
        }
    }

    /// The JSON for a hook's stdin; a pid of 0 is left out.
    pub(crate) fn json(&self, status: Status, pid: i32) -> Result<Vec<u8>> {
        serde_json::to_vec(&Json {
            oci_version: crate::SPEC_VERSION,
            id: &self.id,
            status,
            pid: Some(pid).filter(|pid| *pid > 0),
            bundle: &self.bundle,
            annotations: &self.annotations,
        })
        .map_err(|error| Error::config("annotations", error.to_string()))
    }
}
