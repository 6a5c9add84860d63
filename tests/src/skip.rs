//! Tests that a machine cannot run. A skip counts as a failure unless `skips.txt` lists its reason.

use std::fs;
use std::io::Write;

/// What a test may need and a machine may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Raising hard limits: CAP_SYS_RESOURCE.
    SysResource,
    /// User namespaces.
    UserNamespace,
    /// The kernel's br_netfilter, whose sysctls each network namespace has.
    BridgeNetfilter,
    /// CRIU 4 or newer.
    Criu,
    /// rrun itself under test, not a stand-in.
    Rrun,
}

impl Need {
    fn reason(self) -> &'static str {
        match self {
            Self::SysResource => "no-cap-sys-resource",
            Self::UserNamespace => "no-user-namespaces",
            Self::BridgeNetfilter => "no-br-netfilter",
            Self::Criu => "no-criu-4",
            Self::Rrun => "stand-in-runtime",
        }
    }

    fn met(self) -> bool {
        match self {
            Self::SysResource => has_capability(24),
            Self::UserNamespace => fs::metadata("/proc/self/ns/user").is_ok(),
            Self::BridgeNetfilter => {
                fs::metadata("/proc/sys/net/bridge/bridge-nf-call-iptables").is_ok()
            }
            Self::Criu => criu_version().is_some_and(|major| major >= 4),
            Self::Rrun => crate::is_rrun(),
        }
    }
}

/// True where `need` is met. Otherwise says so on stderr, for the count of skips.
///
/// # Panics
/// When `need` is not met and `skips.txt` does not list the reason.
pub fn can(test: &str, need: Need) -> bool {
    if !need.met() {
        skip(test, need.reason());
    }
    need.met()
}

/// Says on stderr, for the count of skips, that `test` cannot run and why.
///
/// # Panics
/// When `skips.txt` does not list the reason.
pub fn skip(test: &str, reason: &str) {
    let listed = include_str!("../skips.txt")
        .lines()
        .any(|line| line.split_once('#').map_or(line, |(before, _)| before).trim() == reason);
    assert!(listed, "{test} cannot run here ({reason}) and tests/skips.txt does not allow that");
    // Not by eprintln!, whose text is not shown for tests that pass.
    let said = writeln!(std::io::stderr(), "SKIP {test}: {reason}");
    assert!(said.is_ok(), "a skip that nobody hears of: {said:?}");
}

/// The first number in `Version: 4.2`.
fn criu_version() -> Option<u32> {
    let said = std::process::Command::new("criu").arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    let version = text.lines().find_map(|line| line.strip_prefix("Version:"))?.trim();
    version.split('.').next()?.parse().ok()
}

fn has_capability(number: u32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .is_some_and(|set| set & (1 << number) != 0)
}
