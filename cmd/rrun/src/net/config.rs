//! The network mode of `run` where no flag says it: `RRUN_NET`, else `default_net` of
//! `/etc/rrun/rrun.toml`.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context;
use netplan::NetworkMode;
use network::Home;
use serde::Deserialize;

/// `/etc/rrun/rrun.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The network mode of `run` without `--net`.
    default_net: Option<NetworkMode>,
}

/// The default mode of `run`.
pub(super) fn default_mode(home: &Home) -> anyhow::Result<Option<NetworkMode>> {
    match std::env::var("RRUN_NET") {
        Ok(text) if !text.is_empty() => {
            Ok(Some(text.parse().context("environment variable RRUN_NET")?))
        }
        _ => configured(&home.etc.join("rrun.toml")),
    }
}

fn configured(path: &Path) -> anyhow::Result<Option<NetworkMode>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    let config: Config = toml::from_str(&text).with_context(|| path.display().to_string())?;
    Ok(config.default_net)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_may_be_absent_or_say_a_mode_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rrun.toml");
        assert_eq!(configured(&path).unwrap(), None);
        std::fs::write(&path, "").unwrap();
        assert_eq!(configured(&path).unwrap(), None);
        std::fs::write(&path, "default_net = \"bridge\"\n").unwrap();
        assert_eq!(configured(&path).unwrap(), Some(NetworkMode::Bridge(None)));
        for bad in ["default_net = \"brigde\"", "defaultnet = \"bridge\"", "default_net = 1", "="] {
            std::fs::write(&path, bad).unwrap();
            let error = format!("{:#}", configured(&path).unwrap_err());
            assert!(error.contains("rrun.toml"), "{error}");
        }
    }
}
