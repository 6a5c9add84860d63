//! `$HOME` from the container's own /etc/passwd.
//!
//! Read by this bounded parser from inside the container and never through the C library's NSS, which
//! would load modules of the image into the runtime (CVE-2019-14271).

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// How much of /etc/passwd is looked at, in bytes.
const LIMIT: u64 = 1 << 20;

/// The home directory of this user by `/etc/passwd` of the caller's root; `/` where none is said.
pub(crate) fn home_of(uid: u32) -> String {
    open(Path::new("/etc/passwd"))
        .and_then(|file| find(BufReader::new(file.take(LIMIT)), uid))
        .unwrap_or_else(|| "/".to_owned())
}

/// A regular file only: opening a FIFO or device of the image must not block or act.
fn open(path: &Path) -> Option<File> {
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC)
        .open(path)
        .ok()?;
    file.metadata().ok()?.is_file().then_some(file)
}

/// `name:password:uid:gid:gecos:home:shell`, passwd(5).
fn find(lines: impl BufRead, uid: u32) -> Option<String> {
    lines.split(b'\n').map_while(Result::ok).find_map(|line| {
        let line = String::from_utf8(line).ok()?;
        let mut fields = line.split(':').skip(2);
        let same = fields.next()?.parse::<u32>() == Ok(uid);
        let home = fields.nth(2)?;
        (same && !home.is_empty()).then(|| home.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_entry_of_the_uid_counts() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbad line\nweb:x:33:33::/srv:/bin/false\nweb2:x:33:33::/other:\n";
        assert_eq!(find(passwd.as_bytes(), 0).unwrap(), "/root");
        assert_eq!(find(passwd.as_bytes(), 33).unwrap(), "/srv");
        assert_eq!(find(passwd.as_bytes(), 1), None);
    }

    #[test]
    fn noise_is_survived() {
        for passwd in [&b"\xff\xfe:x:0:0::/r:\n"[..], b"root:x:0", b":::::::", b"r:x:-1:0::/r:"] {
            assert_eq!(find(passwd, 0), None);
        }
    }
}
