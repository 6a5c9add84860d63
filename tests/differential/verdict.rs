//! What became of each case, and of all.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use crate::case::Case;
use crate::compare::{Difference, differences};
use crate::drive::Report;
use crate::explained;
use crate::machine::{Host, Runtime};

/// How many percent of the right configurations must run.
const MUST_RUN: usize = 95;
/// How many cases are shown in full.
const SHOWN: usize = 40;
/// How many differences of a case.
const LINES: usize = 16;

/// What became of one case.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// Under both the witness said all it had to say.
    ran: bool,
    /// Number of each explanation that was needed, and how often.
    explained: BTreeMap<usize, usize>,
    unexplained: Vec<Difference>,
}

impl Verdict {
    pub(crate) fn new(host: &Host, case: &Case, reference: &Report, rrun: &Report) -> Self {
        let mut verdict = Self {
            ran: reference.ran && rrun.ran,
            explained: BTreeMap::new(),
            unexplained: Vec::new(),
        };
        let (left, right) = match case.wrong {
            Some(_) => (decisive(case, reference), decisive(case, rrun)),
            None => (seen(reference), seen(rrun)),
        };
        for difference in differences(&left, &right) {
            let holds = |entry: &explained::Explained| {
                (entry.holds)(host) && (entry.explains)(case, &difference)
            };
            match explained::ALL.iter().position(holds) {
                Some(number) => *verdict.explained.entry(number).or_default() += 1,
                None => verdict.unexplained.push(difference),
            }
        }
        verdict
    }
}

/// All but the wording of errors and warnings: that they come is in the exit codes.
fn seen(report: &Report) -> Vec<String> {
    report.lines.iter().filter(|line| !line.contains(": error: ")).cloned().collect()
}

/// Of a wrong configuration: all but the wording of the error, of which only what it must name.
fn decisive(case: &Case, report: &Report) -> Vec<String> {
    let names = case.wrong.map_or("", |wrong| wrong.names);
    let wording = |line: &String| {
        line.contains(": error: ") || line.starts_with("cgroup ") || line.starts_with("init: ")
    };
    let mut lines: Vec<String> =
        report.lines.iter().filter(|line| !wording(line)).cloned().collect();
    let told = match &report.refusal {
        Some(text) => format!(
            "refused; names {names:?}: {}",
            text.to_lowercase().contains(&names.to_lowercase())
        ),
        None => "not refused".to_owned(),
    };
    lines.push(told);
    lines
}

/// What became of all.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    ran: usize,
    refused: usize,
    wrong: usize,
    explained: BTreeMap<usize, usize>,
    failures: BTreeMap<u64, String>,
}

impl Tally {
    pub(crate) fn add(&mut self, case: &Case, verdict: Verdict, reports: [&Report; 2]) {
        match (verdict.ran, case.wrong) {
            (_, Some(_)) => self.wrong += 1,
            (true, None) => self.ran += 1,
            (false, None) => {
                self.refused += 1;
                eprintln!("seed {}: does not run: {:?}", case.seed, reports.map(|r| &r.refusal));
            }
        }
        for (number, times) in verdict.explained {
            *self.explained.entry(number).or_default() += times;
        }
        let kept = std::env::var_os("RRUN_DIFF_KEEP").map(PathBuf::from);
        if let Some(folder) = &kept {
            keep(folder, case, reports);
        }
        if verdict.unexplained.is_empty() {
            return;
        }
        let folder =
            kept.unwrap_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("differential"));
        keep(&folder, case, reports);
        let mut text = format!("seed {}: {}/{}.json", case.seed, folder.display(), case.seed);
        if let Some(wrong) = case.wrong {
            let _ = write!(text, " ({}): {:#?}", wrong.name, reports.map(|r| &r.refusal));
        }
        for difference in verdict.unexplained.iter().take(LINES) {
            let _ = write!(text, "\n  {difference}");
        }
        self.failures.insert(case.seed, text);
    }

    /// # Panics
    /// With the differences, when there are unexplained ones; when an explanation was not needed; when too few ran.
    pub(crate) fn finish(&self, host: &Host, runtimes: &[Runtime], whole: bool) {
        let total = self.ran + self.refused + self.wrong;
        eprintln!(
            "{total} configurations under {} and {}: {} ran, {} refused by either though right, {} wrong ones",
            runtimes[0].path.display(),
            runtimes[1].path.display(),
            self.ran,
            self.refused,
            self.wrong
        );
        for (number, entry) in explained::ALL.iter().enumerate().filter(|(_, e)| (e.holds)(host)) {
            let times = self.explained.get(&number).copied().unwrap_or(0);
            eprintln!("{times:6} differences: {}", entry.reason);
            assert!(
                !whole || times > 0 || !self.failures.is_empty(),
                "explains nothing, remove it: {}",
                entry.reason
            );
        }
        for text in self.failures.values().take(SHOWN) {
            eprintln!("{text}");
        }
        let old =
            if host.knows(1, 2) { "" } else { " (those of runc before 1.2 are not explained)" };
        assert!(
            self.failures.is_empty(),
            "{} of {total} configurations differ{old}, seeds {:?}; RRUN_DIFF_SEED=n runs one",
            self.failures.len(),
            self.failures.keys().collect::<Vec<_>>()
        );
        let right = self.ran + self.refused;
        let enough = !whole || self.ran * 100 >= right * MUST_RUN;
        assert!(enough, "only {} of {right} ran, {MUST_RUN} % must", self.ran);
    }
}

fn keep(folder: &Path, case: &Case, reports: [&Report; 2]) {
    fs::create_dir_all(folder).expect("folder to keep");
    let write = |end: &str, text: String| {
        fs::write(folder.join(format!("{}{end}", case.seed)), text).expect("file to keep");
    };
    let how = format!(
        "{:?} preserve {} listen {} flags {:?} shared {} execs {:#?}\n",
        case.way, case.preserved, case.listening, case.flags, case.shared, case.execs
    );
    write(".json", serde_json::to_string_pretty(&case.spec).expect("JSON"));
    write(".how", how);
    write(".runc", reports[0].lines.join("\n") + "\n");
    write(".rrun", reports[1].lines.join("\n") + "\n");
}
