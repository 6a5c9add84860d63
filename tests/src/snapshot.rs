//! What there is in a lab: the oracle for "nothing left behind".

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;

use crate::Lab;

/// Processes, mounts, cgroups, links, addresses, nf_tables rules and files of a lab, a line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot(BTreeSet<String>);

impl Snapshot {
    pub(crate) fn take(lab: &Lab, cgroups: Vec<String>) -> Self {
        let mut lines = BTreeSet::new();
        for (inner, outer) in lab.processes() {
            let args = fs::read(format!("/proc/{outer}/cmdline")).unwrap_or_default();
            let args = String::from_utf8_lossy(&args).replace('\0', " ");
            lines.insert(format!("process {inner} {args}"));
        }
        let mounts = fs::read_to_string(format!("/proc/{}/mountinfo", lab.pid())).expect("mounts");
        for mount in mounts.lines() {
            let fields: Vec<&str> = mount.split(' ').collect();
            lines.insert(format!("mount {} {}", fields[4], fields[3]));
        }
        lines.extend(cgroups.into_iter().map(|group| format!("cgroup {group}")));
        // Interface numbers grow with each veth, and packet counters with each packet.
        let seen =
            lab.sh("ip -o addr; ip -o link; ip -6 -o addr show dev lo; nft -s list ruleset").ok();
        lines.extend(network_lines(&seen.stdout()));
        for folder in ["/run", "/var/lib/rrun", "/etc/rrun"] {
            files(&lab.outside(folder), Path::new(folder), &mut lines);
        }
        Self(lines)
    }

    /// What is in `self` and was not in `before`.
    pub fn since<'a>(&'a self, before: &'a Self) -> Vec<&'a str> {
        self.0.difference(&before.0).map(String::as_str).collect()
    }

    /// Lines that hold `text`.
    pub fn mentions(&self, text: &str) -> Vec<&str> {
        self.0.iter().filter(|line| line.contains(text)).map(String::as_str).collect()
    }

    /// # Panics
    /// With the difference, when `self` is not what was `before`.
    #[track_caller]
    pub fn assert_same(&self, before: &Self) {
        let (more, less) = (self.since(before), before.since(self));
        assert!(
            more.is_empty() && less.is_empty(),
            "left behind:\n  {}\nlost:\n  {}",
            more.join("\n  "),
            less.join("\n  ")
        );
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// Lines of `ip -o` and `nft` without what changes by itself: interface numbers, states, lifetimes.
fn network_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut chain = String::new();
    for line in text.lines() {
        let numbered = line.split_once(": ").filter(|(n, _)| n.parse::<u32>().is_ok());
        if let Some((_, rest)) = numbered {
            let name = rest.split([':', '@', ' ']).next().unwrap_or_default();
            match rest.split_once(" inet") {
                Some((_, address)) => {
                    let address = address.split(" brd").next().unwrap_or(address);
                    let address = address.split('\\').next().unwrap_or(address).trim();
                    lines.push(format!("address {name} inet{address}"));
                }
                None => lines.push(format!("link {name}")),
            }
            continue;
        }
        let trimmed = line.trim();
        if trimmed.ends_with('{') {
            chain = trimmed.trim_end_matches('{').trim().to_owned();
        }
        // A map's elements are one long list: a line each shows which one is too many.
        let elements = trimmed.trim_start_matches("elements = {").trim_end_matches('}');
        for element in elements.split(", ").flat_map(|e| e.split(",\t")) {
            let element = element.trim().trim_end_matches(',');
            if !element.is_empty() {
                lines.push(format!("nft {chain}: {element}"));
            }
        }
    }
    lines
}

fn files(outside: &Path, inside: &Path, lines: &mut BTreeSet<String>) {
    let Ok(entries) = fs::read_dir(outside) else { return };
    for entry in entries.flatten() {
        let path = inside.join(entry.file_name());
        lines.insert(format!("file {}", path.display()));
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            files(&entry.path(), &path, lines);
        }
    }
}
