//! The man pages and completions of the sources are what the command line says.
//! `RRUN_BLESS=1 cargo test -p rrun --test generated` writes them anew.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

#[path = "../examples/docs.rs"]
#[allow(dead_code)]
mod docs;

#[test]
fn man_pages_and_completions_are_true() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let files = docs::files().unwrap();
    let expected: BTreeSet<PathBuf> = files.iter().map(|(path, _)| path.clone()).collect();
    if std::env::var_os("RRUN_BLESS").is_some() {
        for path in present(&dir).difference(&expected) {
            std::fs::remove_file(dir.join(path)).unwrap();
        }
        for (path, text) in &files {
            std::fs::create_dir_all(dir.join(path).parent().unwrap()).unwrap();
            std::fs::write(dir.join(path), text).unwrap();
        }
    }
    assert_eq!(present(&dir), expected, "set RRUN_BLESS=1 to write them");
    for (path, text) in &files {
        let text = String::from_utf8_lossy(text);
        let file = std::fs::read_to_string(dir.join(path)).unwrap();
        assert!(file == text, "{}: set RRUN_BLESS=1 to write it", path.display());
    }
}

/// The files that are there.
fn present(dir: &Path) -> BTreeSet<PathBuf> {
    let entries = ["man", "completions"].into_iter().filter_map(|folder| {
        Some(
            std::fs::read_dir(dir.join(folder))
                .ok()?
                .flatten()
                .map(move |entry| Path::new(folder).join(entry.file_name())),
        )
    });
    entries.flatten().collect()
}
