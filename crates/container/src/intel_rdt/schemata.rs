//! What is written to a group's `schemata` file: lines of `RESOURCE:DOMAIN=VALUE[;DOMAIN=VALUE]...`.

use super::filled;
use crate::error::{Error, Result};
use crate::spec::LinuxIntelRdt;

/// The lines that a config asks for, in the order in which they are to be written.
pub(super) fn of(rdt: &LinuxIntelRdt) -> Vec<&str> {
    let more = rdt.schemata().as_deref().unwrap_or_default();
    [filled(rdt.l3_cache_schema()), filled(rdt.mem_bw_schema())]
        .into_iter()
        .flatten()
        .chain(more.iter().map(String::as_str).filter(|line| !line.is_empty()))
        .collect()
}

/// Refuses what would be another line than its field says.
pub(crate) fn validate(rdt: &LinuxIntelRdt) -> Result<()> {
    let refuse =
        |field: &str, problem: &str| Err(Error::config(format!("linux.intelRdt.{field}"), problem));
    if let Some(schema) = filled(rdt.mem_bw_schema())
        && (!schema.starts_with("MB:") || schema.contains('\n'))
    {
        return refuse("memBwSchema", "must be one line that begins with \"MB:\"");
    }
    if rdt.schemata().iter().flatten().any(|line| line.contains('\n')) {
        return refuse("schemata", "must be one line each");
    }
    Ok(())
}

/// Whether a group whose file reads `there` has what `asked` would write: the same value for every
/// domain that is named. `step` is the granularity of bandwidth, in percent, to which the kernel
/// rounds up.
pub(super) fn agrees(asked: &str, there: &str, step: u64) -> bool {
    asked.lines().filter_map(parse).all(|(name, asked)| {
        let Some((_, there)) = there.lines().filter_map(parse).find(|(other, _)| *other == name)
        else {
            return false;
        };
        pairs(asked).all(|(domain, value)| {
            pairs(there).any(|(other, there)| other == domain && same(name, value, there, step))
        })
    })
}

/// The kernel sets names flush right.
fn parse(line: &str) -> Option<(&str, &str)> {
    line.trim().split_once(':')
}

fn pairs(domains: &str) -> impl Iterator<Item = (&str, &str)> {
    let texts = domains.split(';').map(str::trim).filter(|text| !text.is_empty());
    texts.map(|text| match text.split_once('=') {
        Some((domain, value)) => (domain.trim(), value.trim()),
        // What cannot be read agrees with nothing.
        None => (text, ""),
    })
}

/// Bandwidth is a decimal number, a mask of cache ways a hexadecimal one.
fn same(resource: &str, asked: &str, there: &str, step: u64) -> bool {
    let radix = if matches!(resource, "MB" | "SMBA") { 10 } else { 16 };
    let number = |text| u64::from_str_radix(text, radix);
    match (number(asked), number(there)) {
        (Ok(asked), Ok(there)) if radix == 10 => {
            asked == there || asked.checked_next_multiple_of(step) == Some(there)
        }
        (Ok(asked), Ok(there)) => asked == there,
        _ => asked == there && !asked.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As kernels print it on a machine with two sockets.
    const THERE: &str = "    MB:0= 30;1=100\n    L3:0=00ff;1=f0f\n";

    #[test]
    fn what_is_asked_for_is_there() {
        for asked in [
            "L3:0=ff;1=f0f",
            "L3:1=0f0f",
            "L3:0=FF;",
            "MB:1=100;0=30",
            // Rounded up to the next step of 10.
            "MB:0=25",
            "L3:0=ff\nMB:0=30",
        ] {
            assert!(agrees(asked, THERE, 10), "{asked}");
        }
    }

    #[test]
    fn what_is_asked_for_is_not_there() {
        for asked in ["L3:0=f", "L3:2=ff", "MB:0=40", "MB:0=20", "L2:0=ff", "L3:0", "L3:0=;1=f0f"] {
            assert!(!agrees(asked, THERE, 10), "{asked}");
        }
        // No granularity: to the letter.
        assert!(!agrees("MB:0=25", THERE, 1));
        assert!(!agrees("MB:0=25", THERE, 0));
    }
}
