//! The name of a user of the host.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};

/// No more of `/etc/passwd` is read than this, in bytes.
const LIMIT: u64 = 16 << 20;

/// The login name of a uid by the host's `/etc/passwd`, `#uid` where it has none (as runc prints).
/// The file is read directly: NSS would load modules into this static binary.
pub(crate) fn name(uid: u32) -> String {
    File::open("/etc/passwd")
        .ok()
        .and_then(|file| find(BufReader::new(file.take(LIMIT)), uid))
        .unwrap_or_else(|| format!("#{uid}"))
}

/// The first entry with this uid (passwd(5)).
fn find(passwd: impl BufRead, uid: u32) -> Option<String> {
    passwd.split(b'\n').map_while(Result::ok).find_map(|line| {
        let line = String::from_utf8(line).ok()?;
        let mut fields = line.split(':');
        let (name, _password, id) = (fields.next()?, fields.next()?, fields.next()?);
        (id.parse() == Ok(uid) && !name.is_empty()).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_entry_counts_and_broken_lines_do_not() {
        let passwd =
            b"root:x:0:0::/root:/bin/sh\nbroken\n\xff:x:7:7::/:\ntoor:x:0:0::/:\nme:x:7:7::/:";
        assert_eq!(find(&passwd[..], 0).as_deref(), Some("root"));
        assert_eq!(find(&passwd[..], 7).as_deref(), Some("me"));
        assert_eq!(find(&passwd[..], 8), None);
    }

    #[test]
    fn a_uid_without_a_name_is_shown_as_runc_shows_it() {
        assert_eq!(name(u32::MAX - 1), "#4294967294");
    }
}
