//! What `--version` prints.

pub(crate) use container::SPEC_VERSION as SPEC;

/// The version of rrun.
pub(crate) const RRUN: &str = env!("CARGO_PKG_VERSION");

/// The commit rrun was built from, where the build said so (`RRUN_COMMIT`): the build itself asks
/// nobody, so that the same sources give the same bytes.
pub(crate) fn commit() -> &'static str {
    option_env!("RRUN_COMMIT").unwrap_or("unknown")
}

/// The version of the libseccomp linked in.
pub(crate) fn libseccomp() -> Option<String> {
    libseccomp::ScmpVersion::current().ok().map(|version| version.to_string())
}

/// The name this program goes by: `runc` where it is called by that name, as a drop-in is, so that
/// whoever reads its words finds those that it knows; else `rrun`.
pub(crate) fn program() -> &'static str {
    let called = std::env::args_os().next();
    let name = called.as_ref().map(std::path::Path::new).and_then(std::path::Path::file_name);
    if name.is_some_and(|name| name == "runc") { "runc" } else { "rrun" }
}

/// runc's lines: engines read the words before the colons.
pub(crate) fn text() -> String {
    let mut text = format!("{} version {RRUN}\ncommit: {}\nspec: {SPEC}\n", program(), commit());
    if let Some(version) = libseccomp() {
        text.push_str(&format!("libseccomp: {version}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_lines_are_those_of_runc() {
        let text = super::text();
        let heads: Vec<&str> =
            text.lines().filter_map(|line| line.rsplit_once(' ')).map(|(head, _)| head).collect();
        assert_eq!(heads, ["rrun version", "commit:", "spec:", "libseccomp:"]);
    }
}
