//! Medians, ratios and the state of the machine.

use std::fmt;

use crate::Job;
use crate::measure::Series;

/// All results.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Report {
    kernel: String,
    processors: usize,
    load_before: String,
    load_after: String,
    rounds: usize,
    contenders: Vec<(String, String)>,
    lines: Vec<Line>,
}

#[derive(Debug, serde::Serialize)]
struct Line {
    work: &'static str,
    by: String,
    unit: &'static str,
    n: usize,
    median: f64,
    p10: f64,
    p90: f64,
    /// The median by crun's, where crun did the same work.
    to_crun: Option<f64>,
    /// The median by the floor's.
    to_floor: Option<f64>,
}

/// `/proc/loadavg`.
pub(crate) fn load() -> String {
    std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim().to_owned()
}

impl Report {
    pub(crate) fn new(job: &Job, load_before: String, series: Vec<Series>) -> Self {
        let medians: Vec<(&str, String, f64)> =
            series.iter().map(|s| (s.work, s.by.clone(), quantile(&s.values, 0.5))).collect();
        let ratio = |line: &Series, to: &str| {
            let other = medians.iter().find(|(work, by, _)| *work == line.work && by == to)?;
            (line.by != to).then(|| quantile(&line.values, 0.5) / other.2)
        };
        let lines = series
            .iter()
            .map(|s| Line {
                work: s.work,
                by: s.by.clone(),
                unit: s.unit,
                n: s.values.len(),
                median: quantile(&s.values, 0.5),
                p10: quantile(&s.values, 0.1),
                p90: quantile(&s.values, 0.9),
                to_crun: ratio(s, "crun"),
                to_floor: ratio(s, "floor"),
            })
            .collect();
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            kernel: kernel.trim().to_owned(),
            processors: std::thread::available_parallelism().map_or(0, usize::from),
            load_before,
            load_after: load(),
            rounds: job.rounds,
            contenders: job.contenders.iter().map(|c| (c.name.clone(), version(c))).collect(),
            lines,
        }
    }

    fn median(&self, work: &str, by: &str) -> Option<f64> {
        self.lines.iter().find(|l| l.work == work && l.by == by).map(|l| l.median)
    }
}

fn version(one: &crate::Contender) -> String {
    let out = std::process::Command::new(&one.path).arg("--version").output();
    let text = out.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}

fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    let at = (last as f64 * q).round() as usize;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "kernel {}, {} processors, {} rounds, taking turns",
            self.kernel, self.processors, self.rounds
        )?;
        writeln!(f, "load before: {}   after: {}", self.load_before, self.load_after)?;
        for (name, version) in &self.contenders {
            writeln!(f, "{name}: {version}")?;
        }
        writeln!(
            f,
            "\n{:<24} {:<7} {:>9} {:>9} {:>9} {:<5} {:>4}  {:>6} {:>7}",
            "work", "by", "median", "p10", "p90", "unit", "n", "x crun", "x floor"
        )?;
        let shown = |ratio: Option<f64>| ratio.map_or(String::new(), |r| format!("{r:.2}"));
        let mut work = "";
        for line in &self.lines {
            if line.work != work && !work.is_empty() {
                writeln!(f)?;
            }
            work = line.work;
            writeln!(
                f,
                "{:<24} {:<7} {:>9.1} {:>9.1} {:>9.1} {:<5} {:>4}  {:>6} {:>7}",
                line.work,
                line.by,
                line.median,
                line.p10,
                line.p90,
                line.unit,
                line.n,
                shown(line.to_crun),
                shown(line.to_floor)
            )?;
        }
        let (with, without) =
            (self.median("run --net=bridge -p", "rrun"), self.median("run /bin/true", "rrun"));
        if let (Some(with), Some(without)) = (with, without) {
            writeln!(f, "\na bridge with one port adds {:.1} ms to rrun run", with - without)?;
        }
        let podman = (
            self.median("run --net=bridge -p", "podman"),
            self.median("run, no network", "podman"),
        );
        if let (Some(with), Some(without)) = podman {
            writeln!(f, "                 and adds {:.1} ms to podman run", with - without)?;
        }
        Ok(())
    }
}
