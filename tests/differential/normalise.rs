//! Takes out what differs between any two runs: numbers of processes, mounts, devices, namespaces.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::machine::{Machine, Runtime};

/// Words that /proc/self/status and the witness put before numbers of processes.
const PIDS: &[&str] = &[
    "status Pid:",
    "status PPid:",
    "status NStgid:",
    "status NSpid:",
    "status NSpgid:",
    "status NSsid:",
    "pid",
    "ppid",
    "session leader",
    "process group",
    "foreground group",
];

/// Names in place of numbers, given in the order in which the numbers are met.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Texts to replace: the lab's folder and its namespaces.
    fixed: Vec<(String, String)>,
    /// The version of the specification that the runtime follows.
    spec: String,
}

/// Numbers of one report.
#[derive(Debug, Default)]
struct Numbers {
    mounts: BTreeMap<String, usize>,
    devices: BTreeMap<String, usize>,
    peers: BTreeMap<String, usize>,
    own_pid: String,
}

fn named(names: &mut BTreeMap<String, usize>, key: &str) -> usize {
    let next = names.len();
    *names.entry(key.to_owned()).or_insert(next)
}

impl Names {
    pub(crate) fn new(machine: &Machine, runtime: &Runtime) -> Self {
        let folder = machine.lab.folder();
        let mut fixed = vec![(folder.display().to_string(), "FOLDER".to_owned())];
        if let Some(name) = folder.file_name() {
            fixed.push((name.to_string_lossy().into_owned(), "LAB".to_owned()));
        }
        for (links, name) in
            [(&machine.host_namespaces, "host"), (&machine.joined_namespaces, "joined")]
        {
            fixed.extend(links.iter().map(|link| (link.clone(), name.to_owned())));
        }
        Self { fixed, spec: runtime.spec().to_owned() }
    }

    /// `text` without what belongs to this lab alone.
    pub(crate) fn paths(&self, text: &str) -> String {
        self.fixed.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    }

    /// A witness's report.
    pub(crate) fn report(&self, text: &str) -> Vec<String> {
        let text = self.paths(text);
        let own = text.lines().find_map(|line| line.strip_prefix("pid ")).unwrap_or_default();
        let mut numbers = Numbers { own_pid: own.to_owned(), ..Numbers::default() };
        let mut lines: Vec<&str> = text.lines().collect();
        sort_hierarchies(&mut lines);
        lines.into_iter().map(|line| numbers.line(line)).collect()
    }

    /// What hooks wrote: the state as a line per field, the rest as in a report.
    pub(crate) fn hooks(&self, text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        let mut numbers = Numbers::default();
        for line in self.paths(text).lines() {
            let (hook, rest) =
                line.strip_prefix("hook ").and_then(|l| l.split_once(": ")).unwrap_or(("", line));
            match rest.strip_prefix("state ") {
                Some(state) => {
                    let mut fields = self.state(state);
                    // The program may have ended by then, or not: no runtime decides that.
                    let racing = |field: &String| {
                        field.starts_with("pid: ") || field.starts_with("status: ")
                    };
                    fields.retain(|field| !(hook.starts_with("poststart") && racing(field)));
                    lines.extend(fields.iter().map(|field| format!("{hook}: state {field}")));
                }
                None => lines.push(format!("{hook}: {}", numbers.line(rest))),
            }
        }
        lines
    }

    /// A container's state, a line per field.
    pub(crate) fn state(&self, text: &str) -> Vec<String> {
        let Ok(Value::Object(fields)) = serde_json::from_str(&self.paths(text)) else {
            return if text.is_empty() { Vec::new() } else { vec![format!("no JSON: {text}")] };
        };
        fields
            .iter()
            .map(|(key, value)| match key.as_str() {
                "pid" if value.as_i64().is_some_and(|pid| pid > 1) => "pid: some".to_owned(),
                "created" => {
                    format!("created: {} characters or so", value.to_string().len() / 10 * 10)
                }
                "ociVersion" if *value == *self.spec => "ociVersion: the runtime's".to_owned(),
                _ => format!("{key}: {value}"),
            })
            .collect()
    }
}

/// runc mounts the cgroup v1 hierarchies in any order, each time another one.
fn sort_hierarchies(lines: &mut [&str]) {
    const BELOW: &str = "/sys/fs/cgroup/";
    let one = |line: &str| match line.split(' ').collect::<Vec<_>>()[..] {
        ["mount", _, _, _, _, point, ..] => point.starts_with(BELOW),
        ["mounted", point, ..] => point.starts_with(BELOW),
        _ => false,
    };
    let key = |line: &str| {
        let point = line.split(' ').find(|word| word.starts_with(BELOW)).unwrap_or_default();
        (point.trim_end_matches(':').to_owned(), line.contains("make a file"))
    };
    for run in lines.chunk_by_mut(|a, b| one(a) && one(b)) {
        run.sort_by_key(|line| key(line));
    }
}

impl Numbers {
    fn line(&mut self, line: &str) -> String {
        if let Some(rest) = line.strip_prefix("mount ") {
            return self.mount(rest);
        }
        if let Some(key) = PIDS
            .iter()
            .find(|key| line.strip_prefix(**key).is_some_and(|rest| rest.starts_with(' ')))
        {
            return self.pids(key, &line[key.len()..]);
        }
        if line.starts_with("namespace ") {
            return namespace(line);
        }
        if line.starts_with("fd ") {
            return descriptor(line);
        }
        if line.starts_with("/proc/self/cgroup ") {
            // The v2 hierarchy beside those of v1, which a lab does not mount, is nobody's concern.
            return match line.split_once("\\n0::") {
                Some((v1, _)) => v1.to_owned(),
                None => line.to_owned(),
            };
        }
        line.to_owned()
    }

    fn mount(&mut self, line: &str) -> String {
        let fields: Vec<&str> = line.split(' ').collect();
        let [id, parent, device, root, point, options, rest @ ..] = &fields[..] else {
            return format!("mount {line}");
        };
        let parent = match self.mounts.get(*parent) {
            Some(number) => number.to_string(),
            None => "outside".to_owned(),
        };
        let number = named(&mut self.mounts, id);
        let device = match device.strip_prefix("0:") {
            Some(anonymous) => format!("0:{}", named(&mut self.devices, anonymous)),
            None => (*device).to_owned(),
        };
        let rest: Vec<String> = rest.iter().map(|word| self.peer(word)).collect();
        format!("mount {number} on {parent} {device} {root} {point} {options} {}", rest.join(" "))
    }

    fn peer(&mut self, word: &str) -> String {
        match word.split_once(':') {
            Some((kind @ ("shared" | "master" | "propagate_from"), group)) => {
                format!("{kind}:{}", named(&mut self.peers, group))
            }
            _ => word.to_owned(),
        }
    }

    fn pids(&self, key: &str, rest: &str) -> String {
        let words = rest.split_whitespace().map(|word| match word {
            "0" | "1" => word,
            own if own == self.own_pid => "own",
            number if number.parse::<u32>().is_ok() => "other",
            word => word,
        });
        format!("{key} {}", words.collect::<Vec<_>>().join(" "))
    }
}

/// One that is neither the host's nor the one to be joined is new.
fn namespace(line: &str) -> String {
    match line.split_once(":[") {
        Some((before, _)) => {
            let words = before.rsplit_once(' ').map_or(before, |(words, _)| words);
            format!("{words} new")
        }
        None => line.to_owned(),
    }
}

/// Numbers of pipes and sockets, and of the files that collect output.
fn descriptor(line: &str) -> String {
    let line = match line.split_once(":[") {
        Some((before, _)) => before,
        None => line,
    };
    match line.split_once("/.std") {
        Some((before, rest)) => {
            let name = rest.split('-').next().unwrap_or_default();
            format!("{before}/.std{name}")
        }
        None => line.to_owned(),
    }
}

/// Messages of a runtime's stderr without time and decoration: `level=error msg="..."` of runc, a bare text
/// of others.
pub(crate) fn error_lines(text: &str) -> Vec<String> {
    text.lines().filter(|line| !line.trim().is_empty()).map(message).collect()
}

fn message(line: &str) -> String {
    let Some((_, rest)) = line.split_once("msg=") else { return line.to_owned() };
    let level =
        line.split_once("level=").and_then(|(_, l)| l.split(' ').next()).unwrap_or_default();
    let text = serde_json::from_str::<String>(rest).unwrap_or_else(|_| rest.to_owned());
    format!("{level}: {text}")
}
