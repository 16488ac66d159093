//! The table of settings as a page for people: `docs/configuration.md`.

use std::fmt::Write;

use crate::setting::{Kind, Place, Setting};
use crate::table::SECTIONS;

const INTRODUCTION: &str = "\
# Configuration

Zabra reads the `zoo.cfg` of Apache ZooKeeper, and the system properties that its servers know. This page is
printed from the table in `io/config/src/table.rs`; a test keeps the two equal.

- `zabra check CONFIG` tells what a file means without starting a server.
- A key that has a **property** can also be given as `-Dproperty=value`, to `zabra server` or in the environment
  variables `SERVER_JVMFLAGS` and `JVMFLAGS`. What is written in `zoo.cfg` wins, as in Apache's server.
- Properties without the prefix `zookeeper.` are taken from `zoo.cfg` too, where Apache's server would not see them;
  for these the `-D` wins.
- A bad value of a key without property ends the start with code 2. A bad value of a property counts as not given,
  with a warning. Both are Apache's rules.
- Rank: M must, S should, R rarely, J of Java or obsolete.
- Unknown keys are remarked with the nearest known one.
";

/// The whole page.
pub fn markdown() -> String {
    let mut page = String::from(INTRODUCTION);
    for section in SECTIONS {
        // Writing into a string cannot fail.
        let _ = write!(
            page,
            "\n## {}\n\n| Key | Property | Type | Default | Rank | Here | Meaning |\n|---|---|---|---|---|---|---|\n",
            section.title
        );
        for setting in section.settings {
            let _ = writeln!(page, "{}", row(setting));
        }
    }
    page
}

fn row(setting: &Setting) -> String {
    let code = |text: &str| {
        if text.is_empty() {
            String::new()
        } else {
            format!("`{text}`")
        }
    };
    let property = match setting.place {
        Place::File => setting
            .also
            .first()
            .map_or_else(String::new, |name| code(name)),
        _ => setting.property().as_deref().map_or_else(String::new, code),
    };
    let mut meaning = setting.about.to_owned();
    if let Some(name) = setting.documented_as.first() {
        // Writing into a string cannot fail.
        let _ = write!(meaning, "; also `{name}`, as the documentation has it");
    }
    let kind = match setting.kind {
        Kind::Choice(words) => words
            .iter()
            .filter(|w| !w.is_empty())
            .map(|w| code(w))
            .collect::<Vec<_>>()
            .join(", "),
        other => other.to_string(),
    };
    let cells = [
        code(setting.key),
        property,
        kind,
        code(setting.default),
        format!("{:?}", setting.priority),
        setting.status.to_string(),
        meaning,
    ];
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    format!("| {} |", cells.join(" | "))
}
