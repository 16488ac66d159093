//! Rules for every text file, whatever its language.

use std::path::{Path, PathBuf};

use super::Finding;
use crate::workspace::Workspace;

/// Kinds of files that people edit; fixtures of tests keep every byte.
const EDITED: [&str; 8] = ["rs", "toml", "md", "sh", "py", "java", "yml", "xml"];

/// What must not stand in any file. Spelled in two halves, so that this file does not hold them itself.
const FORBIDDEN: [(&str, &str, &str); 5] = [
    ("/wo", "rk/", "a path of one machine"),
    ("/ro", "ot/", "a path of one machine"),
    ("arti", "factory", "a registry of one network"),
    ("TO", "DO", "open work belongs into an issue"),
    ("FIX", "ME", "open work belongs into an issue"),
];

/// Texts that are not ours to edit.
const FOREIGN: [&str; 3] = ["LICENSE", "Cargo.lock", "fuzz/Cargo.lock"];

/// Everything that is wrong with the text of `files`.
pub(crate) fn check(workspace: &Workspace, files: &[PathBuf]) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for file in files {
        let path = workspace.relative(file);
        if FOREIGN.contains(&path.as_str()) {
            continue;
        }
        // What is not UTF-8 is a fixture.
        let Ok(text) = String::from_utf8(std::fs::read(file)?) else {
            continue;
        };
        check_words(&path, &text, &mut findings);
        if path.starts_with(".ci/") || is_edited(file) {
            check_whitespace(&path, &text, &mut findings);
        }
    }
    Ok(findings)
}

fn is_edited(file: &Path) -> bool {
    file.extension()
        .is_some_and(|extension| EDITED.iter().any(|edited| extension == *edited))
}

fn check_words(path: &str, text: &str, findings: &mut Vec<Finding>) {
    for (index, line) in text.lines().enumerate() {
        for (head, tail, why) in FORBIDDEN {
            let word = [head, tail].concat();
            if line.contains(&word) {
                findings.push(Finding::new(
                    format!("{path}:{}", index + 1),
                    format!("`{word}`: {why}"),
                ));
            }
        }
    }
}

fn check_whitespace(path: &str, text: &str, findings: &mut Vec<Finding>) {
    for (index, line) in text.split('\n').enumerate() {
        if line.ends_with([' ', '\t', '\r']) {
            findings.push(Finding::new(
                format!("{path}:{}", index + 1),
                "ends with white space",
            ));
        }
    }
    if !text.is_empty() && !text.ends_with('\n') {
        findings.push(Finding::new(path, "does not end with a line feed"));
    }
}

#[cfg(test)]
mod tests {
    use super::{FORBIDDEN, check_whitespace, check_words};

    #[test]
    fn every_forbidden_word_is_found_with_its_line() {
        for (head, tail, _) in FORBIDDEN {
            let mut findings = Vec::new();
            check_words("a", &format!("fine\nnot {head}{tail}x\n"), &mut findings);
            assert_eq!(findings.len(), 1);
            assert_eq!(findings[0].place, "a:2");
        }
    }

    #[test]
    fn trailing_white_space_and_a_missing_line_feed_are_found() {
        let mut findings = Vec::new();
        check_whitespace("a", "one \ntwo", &mut findings);
        assert_eq!(findings.len(), 2);
    }
}
