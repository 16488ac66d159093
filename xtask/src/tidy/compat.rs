//! `COMPAT.md` has one row for every feature of `xtask/rules/features.txt`, in that order, with a status
//! that a program can read.

use super::{Finding, rules};
use crate::workspace::Workspace;

/// Where missing features are planned to go.
const AREAS: [&str; 11] = [
    "standalone",
    "ensemble",
    "tls",
    "sasl",
    "admin",
    "metrics",
    "cli",
    "client",
    "recipes",
    "tools",
    "packaging",
];

/// The state of the table.
pub(crate) struct Compat {
    pub(crate) works: usize,
    pub(crate) differs: usize,
    pub(crate) missing: usize,
    pub(crate) findings: Vec<Finding>,
}

/// A row of a table: its line, and the cells between the bars.
struct Row<'a> {
    line: usize,
    cells: Vec<&'a str>,
}

/// Reads the table and holds it against the list of features.
pub(crate) fn check(workspace: &Workspace) -> anyhow::Result<Compat> {
    let ids = rules::entries(workspace, "features.txt")?;
    Ok(check_text(&workspace.read("COMPAT.md")?, &ids))
}

fn check_text(text: &str, ids: &[String]) -> Compat {
    let rows = rows(text);
    let mut compat = Compat {
        works: 0,
        differs: 0,
        missing: 0,
        findings: Vec::new(),
    };
    for row in &rows {
        check_row(row, &mut compat);
    }
    let listed: Vec<&str> = rows.iter().map(|row| row.cells[0]).collect();
    let missing = ids.iter().filter(|id| !listed.contains(&id.as_str()));
    compat
        .findings
        .extend(missing.map(|id| Finding::new("COMPAT.md", format!("has no row for {id}"))));
    let unknown = rows
        .iter()
        .filter(|row| !ids.iter().any(|id| id == row.cells[0]));
    compat
        .findings
        .extend(unknown.map(|row| row.finding("is not an id of xtask/rules/features.txt")));
    if compat.findings.is_empty() && listed != ids {
        compat.findings.push(Finding::new(
            "COMPAT.md",
            "rows are repeated or out of order",
        ));
    }
    compat
}

/// The rows that begin with an id such as `OP-01`.
fn rows(text: &str) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let Some(inner) = line
            .strip_prefix("| ")
            .and_then(|line| line.strip_suffix(" |"))
        else {
            continue;
        };
        let cells: Vec<&str> = inner.split(" | ").map(str::trim).collect();
        if is_id(cells[0]) {
            rows.push(Row {
                line: index + 1,
                cells,
            });
        }
    }
    rows
}

/// Two capitals or more, a hyphen, digits.
fn is_id(cell: &str) -> bool {
    cell.split_once('-').is_some_and(|(group, number)| {
        group.len() >= 2
            && group.bytes().all(|byte| byte.is_ascii_uppercase())
            && !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

fn check_row(row: &Row<'_>, compat: &mut Compat) {
    let &[_, feature, status] = row.cells.as_slice() else {
        compat
            .findings
            .push(row.finding("must have three cells: id, feature, status"));
        return;
    };
    if feature.is_empty() {
        compat.findings.push(row.finding("must name the feature"));
    }
    match status.split_once(": ").unwrap_or((status, "")) {
        ("works", "") => compat.works += 1,
        ("differs", why) if !why.is_empty() => compat.differs += 1,
        ("missing", area) if AREAS.contains(&area.split([',', ';']).next().unwrap_or("")) => {
            compat.missing += 1
        }
        _ => {
            let what = format!(
                "`{status}` is none of `works`, `differs: why`, `missing: area` ({})",
                AREAS.join(", ")
            );
            compat.findings.push(row.finding(&what));
        }
    }
}

impl Row<'_> {
    fn finding(&self, what: &str) -> Finding {
        Finding::new(
            format!("COMPAT.md:{}", self.line),
            format!("{}: {what}", self.cells[0]),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::check_text;

    fn findings(text: &str, ids: &[&str]) -> usize {
        let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
        check_text(text, &ids).findings.len()
    }

    #[test]
    fn a_complete_table_is_counted() {
        let text = "| id | feature | status |\n| OP-01 | create | works |\n\
                    | OP-02 | delete | differs: slower |\n| OP-03 | exists | missing: ensemble |\n";
        let ids = ["OP-01", "OP-02", "OP-03"].map(str::to_owned);
        let compat = check_text(text, &ids);
        assert_eq!((compat.works, compat.differs, compat.missing), (1, 1, 1));
        assert!(compat.findings.is_empty());
    }

    #[test]
    fn missing_unknown_repeated_and_disordered_rows_are_found() {
        let (one, two) = (
            "| OP-01 | create | works |\n",
            "| OP-02 | delete | works |\n",
        );
        assert_eq!(findings(one, &["OP-01", "OP-02"]), 1);
        assert_eq!(findings(&format!("{one}{two}"), &["OP-01"]), 1);
        assert_eq!(findings(&format!("{one}{one}"), &["OP-01"]), 1);
        assert_eq!(findings(&format!("{two}{one}"), &["OP-01", "OP-02"]), 1);
    }

    #[test]
    fn a_status_of_other_words_is_found() {
        for status in [
            "",
            "yes",
            "differs",
            "differs: ",
            "missing",
            "missing: soon",
        ] {
            assert_eq!(
                findings(&format!("| OP-01 | create | {status} |\n"), &["OP-01"]),
                1,
                "{status}"
            );
        }
    }
}
