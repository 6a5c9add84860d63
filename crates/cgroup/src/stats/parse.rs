//! The formats of statistics files. Total: any input gives a value or an error.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{Error, Result};
use crate::file;
use crate::stats::{BlkioEntry, Pressure, PressureLine};

/// A number; `max` is `u64::MAX`. Negative ones, which races in the kernel's memory counters
/// produce, are zero.
pub(crate) fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    if text == "max" {
        return Some(u64::MAX);
    }
    if let Some(digits) = text.strip_prefix('-') {
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        return is_number.then_some(0);
    }
    text.parse().ok()
}

/// A file of one number.
pub(super) fn number_file(path: &Path) -> Result<u64> {
    let text = file::read_value(path)?;
    number(&text).ok_or_else(|| Error::malformed(path, text))
}

/// As [`number_file`]; a missing file is `None`.
pub(super) fn optional(path: &Path) -> Result<Option<u64>> {
    present(number_file(path))
}

/// What is not there (or just vanished) is `None`.
pub(crate) fn present<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_gone() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Lines of `KEY NUMBER`.
pub(super) fn keyed(text: &str) -> std::result::Result<BTreeMap<String, u64>, String> {
    text.lines()
        .map(|line| {
            let (key, value) = line.split_once(' ').filter(|(key, _)| !key.is_empty())?;
            Some((key.to_owned(), number(value)?))
        })
        .zip(text.lines())
        .map(|(pair, line)| pair.ok_or_else(|| line.to_owned()))
        .collect()
}

/// A file of such lines.
pub(crate) fn keyed_file(path: &Path) -> Result<BTreeMap<String, u64>> {
    keyed(&file::read_text(path)?).map_err(|line| Error::malformed(path, line))
}

/// A list of numbers and ranges, `0-3,7`. Empty is no number.
pub(super) fn list(text: &str) -> Option<Vec<u16>> {
    let mut numbers = Vec::new();
    for part in text.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
        if first > last {
            return None;
        }
        numbers.extend(first..=last);
    }
    Some(numbers)
}

/// v1's blkio lines: `MAJOR:MINOR [OPERATION] NUMBER`, and one of `Total NUMBER`.
pub(super) fn blkio(text: &str) -> std::result::Result<Vec<BlkioEntry>, String> {
    let entry = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let (major, minor) = fields.next()?.split_once(':')?;
        let (second, third) = (fields.next()?, fields.next());
        let (op, value) = match third {
            Some(value) => (second, value),
            None => ("", second),
        };
        Some(BlkioEntry {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
            op: op.to_owned(),
            value: value.parse().ok()?,
        })
    };
    text.lines()
        .filter(|line| !line.starts_with("Total "))
        .map(|line| entry(line).ok_or_else(|| line.to_owned()))
        .collect()
}

/// v2's `io.stat`: `MAJOR:MINOR KEY=NUMBER...` as (major, minor, key, number).
pub(super) fn io_stat(text: &str) -> std::result::Result<Vec<(u64, u64, &str, u64)>, String> {
    let mut values = Vec::new();
    for line in text.lines() {
        let mut fields = line.split_ascii_whitespace();
        // A device without statistics is a bare number, a removed one has no number.
        let Some((major, minor)) = fields.next().and_then(|device| device.split_once(':')) else {
            continue;
        };
        let malformed = |_| line.to_owned();
        let major = major.parse().map_err(malformed)?;
        let minor = minor.parse().map_err(malformed)?;
        for (key, value) in fields.filter_map(|field| field.split_once('=')) {
            values.push((major, minor, key, value.parse().map_err(malformed)?));
        }
    }
    Ok(values)
}

/// `some avg10=N avg60=N avg300=N total=N` and the same with `full`.
pub(super) fn pressure(text: &str) -> std::result::Result<Pressure, String> {
    let mut pressure = Pressure::default();
    for line in text.lines() {
        let mut fields = line.split_ascii_whitespace();
        let into = match fields.next() {
            Some("some") => &mut pressure.some,
            Some("full") => &mut pressure.full,
            _ => continue,
        };
        *into = pressure_line(fields).ok_or_else(|| line.to_owned())?;
    }
    Ok(pressure)
}

fn pressure_line<'a>(fields: impl Iterator<Item = &'a str>) -> Option<PressureLine> {
    let mut line = PressureLine::default();
    for field in fields {
        let (key, value) = field.split_once('=')?;
        let percent = || value.parse().ok().filter(|number: &f64| number.is_finite());
        match key {
            "avg10" => line.avg10 = percent()?,
            "avg60" => line.avg60 = percent()?,
            "avg300" => line.avg300 = percent()?,
            "total" => line.total = value.parse().ok()?,
            _ => {}
        }
    }
    Some(line)
}

/// `hugepages-2048kB` in sysfs is `2MB` in cgroupfs (mm/hugetlb_cgroup.c, `mem_fmt`).
pub(super) fn huge_page_size(name: &str) -> Option<String> {
    let kib: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
    Some(match kib {
        0x10_0000.. => format!("{}GB", kib >> 20),
        0x400.. => format!("{}MB", kib >> 10),
        _ => format!("{kib}KB"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (text, expected) in [
            ("12\n", Some(12)),
            ("max\n", Some(u64::MAX)),
            ("-7", Some(0)),
            ("-99999999999999999999999", Some(0)),
            ("", None),
            ("-", None),
            ("1 2", None),
            ("99999999999999999999999", None),
        ] {
            assert_eq!(number(text), expected, "{text}");
        }
    }

    #[test]
    fn keyed_lines() {
        let stat = keyed("cache 4096\nrss -1\n").unwrap();
        assert_eq!(stat["cache"], 4096);
        assert_eq!(stat["rss"], 0);
        assert_eq!(keyed("a 1\nb\n").unwrap_err(), "b");
        assert!(keyed(" 1\n").is_err());
        assert!(keyed("").unwrap().is_empty());
    }

    #[test]
    fn lists() {
        assert_eq!(list("0-2,7\n"), Some(vec![0, 1, 2, 7]));
        assert_eq!(list("\n"), Some(vec![]));
        for bad in ["3-1", "a", "1-", "-", "1-2-3", "70000"] {
            assert_eq!(list(bad), None, "{bad}");
        }
    }

    #[test]
    fn blkio_lines() {
        let entries = blkio("8:0 Read 12\n8:16 7\nTotal 19\n").unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!((entries[0].op.as_str(), entries[0].value), ("Read", 12));
        assert_eq!((entries[1].minor, entries[1].value), (16, 7));
        for bad in ["8:0\n", "8 Read 1\n", "8:x Read 1\n", "8:0 Read -\n"] {
            assert!(blkio(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn io_stat_lines() {
        let text = "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n8:16\n(unknown) a=b\n";
        let values = io_stat(text).unwrap();
        assert_eq!(values.len(), 6);
        assert_eq!(values[1], (8, 0, "wbytes", 2));
        assert!(io_stat("8:0 rbytes=x\n").is_err());
    }

    #[test]
    fn pressure_lines() {
        let text = "some avg10=1.50 avg60=0.00 avg300=0.25 total=77\nfull avg10=0.00 total=3\n";
        let pressure = pressure(text).unwrap();
        assert_eq!(pressure.some.avg10, 1.5);
        assert_eq!(pressure.some.total, 77);
        assert_eq!(pressure.full.total, 3);
        assert!(super::pressure("some avg10=NaN\n").is_err());
        assert!(super::pressure("some avg10\n").is_err());
    }

    #[test]
    fn huge_pages() {
        for (name, size) in [
            ("hugepages-2048kB", Some("2MB")),
            ("hugepages-1048576kB", Some("1GB")),
            ("hugepages-64kB", Some("64KB")),
            ("hugepages-2048", None),
            ("x", None),
        ] {
            assert_eq!(huge_page_size(name).as_deref(), size, "{name}");
        }
    }

    /// Any text gives a value or an error; the alphabet is the formats' own.
    #[test]
    fn parsers_are_total() {
        let alphabet: Vec<char> = "019-,:= \n\tmaxsomefull.kBNhugepages-é".chars().collect();
        let mut state = 1u64;
        let mut next = move || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            usize::try_from(state >> 40).unwrap()
        };
        for _ in 0..20_000 {
            let length = next() % 24;
            let text: String = (0..length).map(|_| alphabet[next() % alphabet.len()]).collect();
            let _ = number(&text);
            let _ = keyed(&text);
            let _ = list(&text);
            let _ = blkio(&text);
            let _ = io_stat(&text);
            let _ = super::pressure(&text);
            let _ = huge_page_size(&text);
        }
    }
}
