//! The process that `exec` runs without a process.json: the container's own, with changes.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::bail;
use container::spec::{Capabilities, LinuxCapabilities, Process};

/// The flags that change the container's process.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Overrides {
    /// current working directory in the container
    #[arg(long, value_name = "DIR")]
    cwd: Option<PathBuf>,
    /// set environment variables
    #[arg(long, short, value_name = "NAME=VALUE", allow_hyphen_values = true)]
    env: Vec<String>,
    /// allocate a pseudo-TTY
    #[arg(long, short)]
    tty: bool,
    /// UID (format: <uid>[:<gid>])
    // Parsed later: what is no user is an error of exec (255), not of the command line, as in runc.
    #[arg(long, short, value_name = "UID[:GID]", allow_hyphen_values = true)]
    user: Option<String>,
    /// additional gids
    #[arg(long, short = 'g', value_name = "GID", allow_hyphen_values = true)]
    additional_gids: Vec<Number>,
    /// set the asm process label for the process commonly used with selinux
    #[arg(long, value_name = "LABEL")]
    process_label: Option<String>,
    /// set the apparmor profile for the process
    #[arg(long, value_name = "PROFILE")]
    apparmor: Option<String>,
    /// set the no new privileges value for the process
    #[arg(long)]
    no_new_privs: bool,
    /// add a capability to the bounding set for the process
    #[arg(long, short, value_name = "CAP")]
    cap: Vec<String>,
}

/// `--user`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct User {
    uid: u32,
    gid: Option<u32>,
}

/// A uid or gid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Number(u32);

/// What cannot be a uid or gid.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad {what} {value:?}: a decimal number from 0 to 4294967294 is expected")]
pub(super) struct BadNumber {
    what: &'static str,
    value: String,
}

/// Decimal digits only: neither signs nor other bases, which other tools read differently.
/// 4294967295 is -1, which means "leave as it is" to the kernel (setresuid(2)): a process meant to
/// be nobody would be root.
fn number(what: &'static str, value: &str) -> Result<u32, BadNumber> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    match value.parse() {
        Ok(number) if digits && number != u32::MAX => Ok(number),
        _ => Err(BadNumber { what, value: value.to_owned() }),
    }
}

impl FromStr for Number {
    type Err = BadNumber;

    fn from_str(s: &str) -> Result<Self, BadNumber> {
        number("gid", s).map(Self)
    }
}

impl FromStr for User {
    type Err = BadNumber;

    fn from_str(s: &str) -> Result<Self, BadNumber> {
        let (uid, gid) = match s.split_once(':') {
            Some((uid, gid)) => (uid, Some(number("gid", gid)?)),
            None => (s, None),
        };
        Ok(Self { uid: number("uid", uid)?, gid })
    }
}

impl Overrides {
    /// The container's process, changed as the flags say, running `command`.
    pub(super) fn apply(self, mut process: Process, command: &[String]) -> anyhow::Result<Process> {
        if command.is_empty() {
            bail!("exec args cannot be empty");
        }
        process.set_args(Some(command.to_vec()));
        if let Some(cwd) = self.cwd.filter(|cwd| !cwd.as_os_str().is_empty()) {
            process.set_cwd(cwd);
        }
        if let Some(profile) = self.apparmor.filter(|profile| !profile.is_empty()) {
            process.set_apparmor_profile(Some(profile));
        }
        if let Some(label) = self.process_label.filter(|label| !label.is_empty()) {
            process.set_selinux_label(Some(label));
        }
        if !self.env.is_empty() {
            process.env_mut().get_or_insert_default().extend(self.env);
        }
        // A terminal is never inherited from the container's own process.
        process.set_terminal(Some(self.tty));
        if self.no_new_privs {
            process.set_no_new_privileges(Some(true));
        }
        if let Some(user) = self.user {
            let User { uid, gid } = user.parse()?;
            process.user_mut().set_uid(uid);
            if let Some(gid) = gid {
                process.user_mut().set_gid(gid);
            }
        }
        if !self.additional_gids.is_empty() {
            let gids = process.user_mut().additional_gids_mut().get_or_insert_default();
            gids.extend(self.additional_gids.iter().map(|gid| gid.0));
        }
        let added = container::capabilities(&self.cap);
        if !added.is_empty() {
            let sets = process.capabilities().clone().unwrap_or_else(no_capabilities);
            process.set_capabilities(Some(add(sets, &added)));
        }
        Ok(process)
    }
}

/// A process without capabilities.
fn no_capabilities() -> LinuxCapabilities {
    let mut none = LinuxCapabilities::default();
    none.set_bounding(None);
    none.set_effective(None);
    none.set_permitted(None);
    none.set_inheritable(None);
    none.set_ambient(None);
    none
}

/// Adds to the bounding, effective and permitted sets; to the ambient one where there are
/// inheritable ones, because an ambient capability must be inheritable (capabilities(7)).
fn add(mut sets: LinuxCapabilities, added: &Capabilities) -> LinuxCapabilities {
    let with = |set: &Option<Capabilities>| -> Option<Capabilities> {
        Some(set.iter().flatten().chain(added).copied().collect())
    };
    sets.set_bounding(with(sets.bounding()));
    sets.set_effective(with(sets.effective()));
    sets.set_permitted(with(sets.permitted()));
    if sets.inheritable().is_some() {
        sets.set_ambient(with(sets.ambient()));
    }
    sets
}

#[cfg(test)]
mod tests {
    use container::spec::Capability;

    use super::*;

    fn user(s: &str) -> Result<(u32, Option<u32>), String> {
        s.parse::<User>().map(|u| (u.uid, u.gid)).map_err(|error| error.to_string())
    }

    #[test]
    fn users_are_numbers() {
        assert_eq!(user("0"), Ok((0, None)));
        assert_eq!(user("1000:100"), Ok((1000, Some(100))));
        assert_eq!(user("4294967294:4294967294"), Ok((4_294_967_294, Some(4_294_967_294))));
    }

    /// CVE-2016-3697, CVE-2024-40635 and their kin: what is not plainly a number is an error that
    /// names it.
    #[test]
    fn what_is_no_user_is_refused_by_name() {
        for (text, bad) in [
            ("", "uid \"\""),
            ("1000:", "gid \"\""),
            (":0", "uid \"\""),
            ("+0", "uid \"+0\""),
            ("0x0", "uid \"0x0\""),
            ("-1", "uid \"-1\""),
            ("0:-1", "gid \"-1\""),
            ("4294967295", "uid \"4294967295\""),
            ("4294967296", "uid \"4294967296\""),
            ("0:4294967295", "gid \"4294967295\""),
            ("root", "uid \"root\""),
            (" 0", "uid \" 0\""),
            ("0:0:0", "gid \"0:0\""),
            ("١", "uid \"١\""),
        ] {
            let error = user(text).unwrap_err();
            assert!(error.starts_with(&format!("bad {bad}: ")), "{text:?}: {error}");
        }
    }

    fn process(json: &str) -> Process {
        serde_json::from_str(json).unwrap()
    }

    const BASE: &str = r#"{
        "terminal": true, "user": {"uid": 1, "gid": 2, "additionalGids": [3]}, "args": ["init"],
        "env": ["A=1"], "cwd": "/srv", "noNewPrivileges": true, "capabilities": {"bounding": ["CAP_KILL"]}
    }"#;

    fn command() -> Vec<String> {
        vec!["ls".to_owned(), "-la".to_owned()]
    }

    #[test]
    fn without_flags_only_the_command_and_the_terminal_change() {
        let changed = Overrides::default().apply(process(BASE), &command()).unwrap();
        let mut expected = process(BASE);
        expected.set_args(Some(command()));
        expected.set_terminal(Some(false));
        assert_eq!(changed, expected);
    }

    #[test]
    fn flags_replace_or_add_as_in_runc() {
        let overrides = Overrides {
            cwd: Some("/tmp".into()),
            env: vec!["A=2".into(), "B=3".into()],
            tty: true,
            user: Some("7:8".to_owned()),
            additional_gids: vec![Number(9)],
            process_label: Some("label".into()),
            apparmor: Some("profile".into()),
            no_new_privs: true,
            cap: vec!["CAP_CHOWN".into(), "CAP_NO_SUCH".into(), "chown".into()],
        };
        let changed = overrides.apply(process(BASE), &command()).unwrap();
        let expected = r#"{
            "terminal": true, "user": {"uid": 7, "gid": 8, "additionalGids": [3, 9]},
            "args": ["ls", "-la"], "env": ["A=1", "A=2", "B=3"], "cwd": "/tmp",
            "noNewPrivileges": true, "apparmorProfile": "profile", "selinuxLabel": "label",
            "capabilities": {"bounding": ["CAP_KILL", "CAP_CHOWN"], "effective": ["CAP_CHOWN"],
                             "permitted": ["CAP_CHOWN"]}
        }"#;
        assert_eq!(changed, process(expected));
    }

    #[test]
    fn ambient_capabilities_follow_inheritable_ones() {
        let base = r#"{"user": {}, "cwd": "/", "capabilities": {"inheritable": ["CAP_KILL"]}}"#;
        let overrides = Overrides { cap: vec!["CAP_CHOWN".into()], ..Overrides::default() };
        let changed = overrides.apply(process(base), &command()).unwrap();
        let sets = changed.capabilities().as_ref().unwrap();
        assert_eq!(sets.ambient(), &Some([Capability::Chown].into()));
        assert_eq!(sets.inheritable(), &Some([Capability::Kill].into()));
    }

    #[test]
    fn a_process_without_capabilities_gets_only_the_added_ones() {
        let overrides = Overrides { cap: vec!["CAP_CHOWN".into()], ..Overrides::default() };
        let changed = overrides.apply(process(r#"{"user": {}, "cwd": "/"}"#), &command()).unwrap();
        let sets = changed.capabilities().as_ref().unwrap();
        assert_eq!(sets.bounding(), &Some([Capability::Chown].into()));
        assert_eq!(sets.inheritable(), &None);
        assert_eq!(sets.ambient(), &None);
    }

    #[test]
    fn a_command_is_needed() {
        let refused = Overrides::default().apply(process(BASE), &[]).unwrap_err();
        assert_eq!(refused.to_string(), "exec args cannot be empty");
    }
}
