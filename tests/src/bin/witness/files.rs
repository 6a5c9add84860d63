//! Files: descriptors, mounts, devices, and paths by name.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use rrun_tests::sys;

use crate::Report;

/// How much of a file is told.
const ENOUGH: usize = 400;

/// Every open descriptor below 64 with its flags and what it is.
pub(crate) fn open_descriptors() -> Vec<String> {
    (0..64)
        .filter_map(|number| sys::descriptor(number).map(|seen| format!("fd {number}: {seen}")))
        .collect()
}

/// Mounts, `/dev`, the root.
pub(crate) fn tell(report: &mut Report) {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for line in mountinfo.lines() {
        report.say(format!("mount {line}"));
    }
    for point in mountinfo.lines().filter_map(|line| line.split(' ').nth(4)) {
        let stat = rustix::fs::statvfs(point);
        // The size of a host's file system is nobody's choice, nor is that of one without a limit.
        let told = stat.map(|s| {
            let size = if s.f_blocks * s.f_frsize < 200 << 20 { s.f_blocks } else { 0 };
            format!("{:?} blocks {size}", s.f_flag)
        });
        report.say(format!("mounted {point}: {told:?} {}", metadata(point)));
        report.say(format!("mounted {point}: make a file: {}", try_file(point)));
    }
    tree(report, "/dev");
}

fn try_file(folder: &str) -> String {
    if !Path::new(folder).is_dir() || folder.starts_with("/proc") || folder.starts_with("/sys") {
        let opened = fs::File::options().write(true).open(folder);
        return format!("{:?}", opened.map(drop).map_err(|e| e.raw_os_error()));
    }
    let file = format!("{folder}/.witness");
    let made = fs::File::create(&file).map(drop).map_err(|e| e.raw_os_error());
    let owner = metadata(&file);
    let _ = fs::remove_file(&file);
    format!("{made:?} {owner}")
}

/// Kind, mode, owner and device number.
pub(crate) fn metadata(path: &str) -> String {
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(e) => return format!("{:?}", e.raw_os_error()),
    };
    let kind = meta.file_type();
    let owner = format!("{:o} {}:{}", meta.mode() & 0o7777, meta.uid(), meta.gid());
    let device = format!("{}:{}", rustix::fs::major(meta.rdev()), rustix::fs::minor(meta.rdev()));
    if kind.is_symlink() {
        format!("link {:?} {owner}", fs::read_link(path).unwrap_or_default())
    } else if kind.is_char_device() {
        format!("char {device} {owner}")
    } else if kind.is_block_device() {
        format!("block {device} {owner}")
    } else if kind.is_fifo() {
        format!("fifo {owner}")
    } else if kind.is_dir() {
        format!("dir {owner}")
    } else {
        format!("file {owner} {} bytes", meta.len().min(1 << 20))
    }
}

fn tree(report: &mut Report, folder: &str) {
    let Ok(entries) = fs::read_dir(folder) else {
        return report.say(format!("tree {folder}: none"));
    };
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    for name in names {
        let path = format!("{folder}/{name}");
        report.say(format!("tree {path}: {} {}", metadata(&path), usable(&path)));
        if fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir()) && path != "/dev/pts" {
            tree(report, &path);
        }
    }
}

/// Whether a device may be opened, which its cgroup decides; a tty or pty may have nobody behind it.
fn usable(path: &str) -> String {
    let Ok(meta) = fs::symlink_metadata(path) else { return String::new() };
    let kind = meta.file_type();
    if !(kind.is_char_device() || kind.is_block_device()) {
        return String::new();
    }
    let open = |write: bool| {
        let opened = fs::File::options().read(!write).write(write).open(path);
        opened.map(drop).map_err(|e| e.raw_os_error().unwrap_or_default())
    };
    format!("read {:?} write {:?}", open(false), open(true))
}

/// A file's text, cut, or why there is none.
pub(crate) fn content(path: &str) -> String {
    let mut bytes = vec![0u8; ENOUGH];
    match fs::File::open(path).and_then(|mut file| file.read(&mut bytes)) {
        Ok(n) => format!("{:?}", String::from_utf8_lossy(&bytes[..n])),
        Err(e) => format!("{:?}", e.raw_os_error()),
    }
}

/// A path that the configuration names.
pub(crate) fn path(report: &mut Report, path: &str) {
    report.say(format!("path {path}: {}", metadata(path)));
    let Ok(meta) = fs::metadata(path) else { return };
    if meta.is_dir() {
        let entries = fs::read_dir(path).map(|entries| {
            let mut names: Vec<_> = entries.flatten().map(|e| e.file_name()).collect();
            names.sort();
            // Processes and threads come and go.
            names.retain(|name| !name.to_string_lossy().bytes().all(|b| b.is_ascii_digit()));
            names.truncate(40);
            names
        });
        report.say(format!("path {path}: entries {:?}", entries.map_err(|e| e.raw_os_error())));
        report.say(format!("path {path}: make a file: {}", try_file(path)));
    } else if meta.is_file() {
        // Counters of the whole machine change between two runs: whether there is anything is told.
        let told = match content(path) {
            text if text == "\"\"" || text.starts_with("Some(") => text,
            _ if path.starts_with("/proc") || path.starts_with("/sys") => "something".to_owned(),
            text => text,
        };
        report.say(format!("path {path}: content {told}"));
        let write = fs::File::options().write(true).open(path);
        report
            .say(format!("path {path}: write {:?}", write.map(drop).map_err(|e| e.raw_os_error())));
    }
}
