//! The pages against the repository: links, names of tests, copies and lists.

// A panic is how a test fails.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// README and the other pages at the top, and all of `docs/`.
fn pages() -> Vec<(PathBuf, String)> {
    let folders = [root(), root().join("docs")];
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap().flatten());
    let pages: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "md"))
        .map(|path| (path.clone(), fs::read_to_string(&path).unwrap()))
        .collect();
    assert!(pages.len() > 8, "the pages are found");
    pages
}

#[test]
fn links_lead_somewhere() {
    let mut seen = 0;
    for (page, text) in pages() {
        for part in text.split("](").skip(1) {
            let target = part.split([')', '#']).next().unwrap();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            seen += 1;
            let path = page.parent().unwrap().join(target);
            assert!(path.exists(), "{}: {target} does not exist", page.display());
        }
    }
    assert!(seen > 10, "links are found");
}

#[test]
fn named_scripts_exist() {
    for (page, text) in pages() {
        for part in text.split("`hack/").skip(1) {
            let name: String = part.chars().take_while(|c| c.is_ascii_alphanumeric()).collect();
            assert!(root().join("hack").join(&name).exists(), "{}: hack/{name}", page.display());
        }
    }
}

#[test]
fn the_tests_that_security_names_exist() {
    let text = fs::read_to_string(root().join("docs/security.md")).unwrap();
    let mut seen = 0;
    for quoted in text.split('`').skip(1).step_by(2) {
        let Some((module, name)) = quoted.split_once("::") else { continue };
        let file = root().join(format!("tests/kernel/{module}.rs"));
        let Ok(source) = fs::read_to_string(&file) else { continue };
        seen += 1;
        let found = match name.strip_suffix('…') {
            Some(beginning) => source.contains(&format!("fn {beginning}")),
            None => name.is_empty() || source.contains(&format!("fn {name}()")),
        };
        assert!(found, "docs/security.md: no test {quoted}");
    }
    assert!(seen > 20, "names of tests are found: {seen}");
}

/// `UPDATE=1` writes the copy anew.
#[test]
fn the_ruleset_in_the_page_is_the_kernels() {
    let ruleset = fs::read_to_string(root().join("docs/ruleset.nft")).unwrap();
    let page = root().join("docs/network.md");
    let text = fs::read_to_string(&page).unwrap();
    let (head, rest) = text.split_once("<!-- ruleset -->").expect("where the copy begins");
    let (copy, tail) = rest.split_once("<!-- /ruleset -->").expect("where the copy ends");
    let wanted = format!("\n```nft\n{}\n```\n", ruleset.trim_end());
    if copy != wanted && std::env::var_os("UPDATE").is_some() {
        fs::write(&page, format!("{head}<!-- ruleset -->{wanted}<!-- /ruleset -->{tail}")).unwrap();
        return;
    }
    assert_eq!(copy, wanted, "UPDATE=1 cargo test -p rrun-tests --test docs brings it up to date");
}

#[test]
fn every_direct_dependency_has_its_line() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let page = fs::read_to_string(root().join("docs/dependencies.md")).unwrap();
    let (_, list) = manifest.split_once("[workspace.dependencies]").unwrap();
    let list = list.split("\n[").next().unwrap();
    let external = list.lines().filter(|line| line.contains('=') && !line.contains("path ="));
    let names: Vec<&str> =
        external.map(|line| line.split([' ', '=', '.']).next().unwrap()).collect();
    assert!(names.len() > 15, "dependencies are found");
    for name in names {
        assert!(page.contains(&format!("`{name}`")), "docs/dependencies.md: no line for {name}");
    }
}

#[test]
fn skips_have_reasons() {
    for line in include_str!("skips.txt").lines().filter(|line| !line.starts_with('#')) {
        let (_, reason) = line.split_once('#').unwrap_or_else(|| panic!("no reason: {line}"));
        assert!(reason.len() > 20, "no reason: {line}");
    }
}
