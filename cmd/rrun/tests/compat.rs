//! `docs/runc-compat.md` against the command line, the specification's types and the results of
//! runc's own tests. Its tables are written by `RRUN_BLESS=1 cargo test -p rrun --test compat`, from
//! `compat/flags.tsv`, `compat/fields.tsv` and `tests/conformance/*.tsv`; a flag or field that no line
//! speaks of, and a line that speaks of nothing, are errors.

// A panic is how a test fails.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "compat/schema.rs"]
mod schema;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The lines of a table: tab-separated cells, `#` for comments.
fn table(text: &str) -> Vec<Vec<&str>> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| line.split('\t').collect()).collect()
}

fn flags() -> Vec<Vec<&'static str>> {
    table(include_str!("compat/flags.tsv"))
}

fn fields() -> Vec<Vec<&'static str>> {
    table(include_str!("compat/fields.tsv"))
}

/// Every flag of every verb that is runc's, as the command line has it.
fn own_flags() -> BTreeSet<(String, String)> {
    let mut all = BTreeSet::new();
    let command = rrun::command();
    let mut add = |verb: &str, command: &clap::Command| {
        for arg in command.get_arguments() {
            let Some(long) = arg.get_long() else { continue };
            if !matches!(long, "help" | "version") {
                all.insert((verb.to_owned(), format!("--{long}")));
            }
        }
    };
    add("", &command);
    for verb in command.get_subcommands() {
        add(verb.get_name(), verb);
    }
    all
}

#[test]
fn every_flag_has_its_line() {
    let verbs: BTreeSet<&str> = flags().iter().map(|line| line[0]).collect();
    let listed: BTreeSet<(String, String)> = flags()
        .iter()
        .filter(|line| line[2] != "refused")
        .map(|line| (line[0].to_owned(), line[1].to_owned()))
        .collect();
    let own: BTreeSet<_> =
        own_flags().into_iter().filter(|(verb, _)| verbs.contains(verb.as_str())).collect();
    let missing: Vec<_> = own.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&own).collect();
    assert!(missing.is_empty() && gone.is_empty(), "no line: {missing:?}\nno flag: {gone:?}");
}

/// The flags of the runc that is installed here, if one is: none may be unknown to the table.
#[test]
fn every_flag_of_an_installed_runc_has_its_line() {
    let known: BTreeSet<(&str, &str)> = flags().iter().map(|line| (line[0], line[1])).collect();
    let verbs: BTreeSet<&str> = flags().iter().map(|line| line[0]).collect();
    let mut missing = Vec::new();
    for verb in verbs {
        let mut runc = std::process::Command::new("runc");
        runc.args([verb].iter().filter(|verb| !verb.is_empty())).arg("--help");
        // Machines without runc: hack/test installs it, so CI has one.
        let Ok(output) = runc.output() else { return };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        for line in text.lines().map(str::trim).filter(|line| line.starts_with("--")) {
            let flag = line.split([' ', ',', '=']).next().unwrap();
            let listed = known.contains(&(verb, flag)) || known.contains(&("", flag));
            if !matches!(flag, "--help" | "--version") && !listed {
                missing.push(format!("{verb} {flag}"));
            }
        }
    }
    assert!(missing.is_empty(), "flags of runc that the table does not know: {missing:?}");
}

#[test]
fn every_field_has_its_line() {
    let known = schema::fields();
    let mut idle: Vec<&str> = fields().iter().map(|line| line[0]).collect();
    for field in &known {
        let exact = fields().iter().any(|line| line[0] == field);
        let speaks = |line: &&Vec<&str>| line[0] == field || (!exact && covers(line[0], field));
        let lines: Vec<&str> = fields().iter().filter(speaks).map(|line| line[0]).collect();
        assert!(lines.len() == 1, "{field}: lines {lines:?}");
        idle.retain(|line| *line != lines[0]);
    }
    assert!(idle.is_empty(), "no such field: {idle:#?}");
}

/// `*` stands for one name, a last `**` for all that is below.
fn covers(pattern: &str, field: &str) -> bool {
    let mut names = field.split('.');
    for part in pattern.split('.') {
        let Some(name) = names.next() else { return false };
        if part == "**" {
            return true;
        }
        let list = name.ends_with("[]") == part.ends_with("[]");
        if part != name && !(part.trim_end_matches("[]") == "*" && list) {
            return false;
        }
    }
    names.next().is_none()
}

/// What a line rests on: `x.bats` is one of runc's tests and passes; `module::name` is a test of rrun's.
#[test]
fn what_the_lines_rest_on_is_there() {
    let results = conformance();
    for line in flags().iter().chain(&fields()) {
        let [.., rests_on, _note] = line[..] else { panic!("cells are missing: {line:?}") };
        match line[2] {
            "ignored" | "refused" => assert!(!line[4].is_empty(), "why? {line:?}"),
            _ => assert!(!rests_on.is_empty(), "who says so? {line:?}"),
        }
        for test in rests_on.split(' ').filter(|test| !test.is_empty()) {
            assert!(exists(test, &results), "{}: no test {test}", line[..2].join(" "));
        }
    }
}

fn exists(test: &str, results: &BTreeMap<String, Vec<Vec<String>>>) -> bool {
    if test.ends_with(".bats") {
        let mut lines = results.values().flatten();
        return lines.any(|line| line[0] == test && line[2] == "pass");
    }
    if test == "differential" {
        return root().join("tests/differential").exists();
    }
    let Some((file, name)) = test.rsplit_once("::") else { return false };
    let path = match file.split_once('/') {
        // A unit test: crate/module::name.
        Some((name, module)) => root().join("crates").join(name).join("src").join(module),
        None => root().join("tests/kernel").join(file),
    };
    let sources = [path.with_extension("rs"), path.join("mod.rs"), path.join("tests.rs")];
    let mut sources = sources.iter().filter_map(|path| fs::read_to_string(path).ok());
    sources.any(|source| source.contains(&format!("fn {name}()")))
}

/// Results by machine: file, test, rrun's result, runc's, reason.
fn conformance() -> BTreeMap<String, Vec<Vec<String>>> {
    let entries = fs::read_dir(root().join("tests/conformance")).unwrap().flatten();
    let lists = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "tsv"));
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let lines =
            table(&text).into_iter().map(|line| line.iter().map(|c| (*c).to_owned()).collect());
        (path.file_stem().unwrap().to_string_lossy().into_owned(), lines.collect())
    };
    lists.map(read).collect()
}

/// A test that runc passes and rrun does not needs a reason.
#[test]
fn exceptions_have_reasons() {
    for (machine, lines) in conformance() {
        for line in lines {
            let [file, test, rrun, runc, reason] = &line[..] else { panic!("cells: {line:?}") };
            let worse = runc == "pass" && rrun != "pass";
            assert!(!worse || reason.len() > 20, "{machine}: no reason: {file}: {test}");
        }
    }
}

fn conformance_tables() -> String {
    let mut text = String::from(
        "| machine | runtime | pass | fail | skip |\n| --- | --- | --- | --- | --- |\n",
    );
    let mut exceptions = String::new();
    for (machine, lines) in conformance() {
        for (runtime, column) in [("runc", 3), ("rrun", 2)] {
            let count = |result: &str| {
                lines
                    .iter()
                    .filter(|line| {
                        line[column] == result || (result == "pass" && line[column] == "any")
                    })
                    .count()
            };
            let [pass, fail, skip] = ["pass", "fail", "skip"].map(count);
            writeln!(text, "| {machine} | {runtime} | {pass} | {fail} | {skip} |").unwrap();
        }
        for line in lines.iter().filter(|line| !line[4].is_empty()) {
            let [file, test, rrun, runc, reason] = &line[..] else { panic!("cells: {line:?}") };
            writeln!(exceptions, "| {machine} | `{file}` {test} | {runc} | {rrun} | {reason} |")
                .unwrap();
        }
    }
    if !exceptions.is_empty() {
        text.push_str(
            "\n| machine | test | runc | rrun | reason |\n| --- | --- | --- | --- | --- |\n",
        );
        text.push_str(&exceptions);
    }
    text
}

fn flag_table() -> String {
    let mut text = String::from("| command | flag | | how |\n| --- | --- | --- | --- |\n");
    for line in flags() {
        let verb = if line[0].is_empty() { "(global)" } else { line[0] };
        writeln!(text, "| {verb} | `{}` | {} | {} |", line[1], line[2], line[4]).unwrap();
    }
    text
}

fn field_table() -> String {
    let mut text = String::from("| field | | how |\n| --- | --- | --- |\n");
    for line in fields() {
        writeln!(text, "| `{}` | {} | {} |", line[0], line[2], line[4]).unwrap();
    }
    text
}

#[test]
fn the_page_has_the_tables() {
    let path = root().join("docs/runc-compat.md");
    let mut page = fs::read_to_string(&path).unwrap();
    let old = page.clone();
    for (name, table) in
        [("conformance", conformance_tables()), ("flags", flag_table()), ("fields", field_table())]
    {
        let (begin, end) = (format!("<!-- {name} -->"), format!("<!-- /{name} -->"));
        let (head, rest) = page.split_once(&begin).unwrap_or_else(|| panic!("no {begin}"));
        let (_, tail) = rest.split_once(&end).unwrap_or_else(|| panic!("no {end}"));
        page = format!("{head}{begin}\n{table}{end}{tail}");
    }
    if std::env::var_os("RRUN_BLESS").is_some() {
        fs::write(&path, &page).unwrap();
        return;
    }
    assert!(page == old, "RRUN_BLESS=1 cargo test -p rrun --test compat writes the tables anew");
}
