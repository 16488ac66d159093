//! The checked-in table of what catches what.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use zabra_mutant::Mutant;

use crate::attempt::Kind;

/// `catches.txt`.
pub(crate) struct Table {
    /// What stands before the first row.
    head: String,
    rows: Vec<Row>,
    left_out: Vec<(String, String)>,
}

/// What catches a mutant.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    label: String,
    /// These take turns.
    pub(crate) kinds: Vec<Kind>,
    /// The seed that caught it when the row was written.
    pub(crate) seed: u64,
}

const TEXT: &str = include_str!("../catches.txt");

impl Table {
    /// Reads it.
    ///
    /// # Errors
    /// If it does not say of each mutant what catches it.
    pub(crate) fn read() -> anyhow::Result<Self> {
        let head = TEXT.lines().take_while(|line| line.starts_with('#'));
        let mut table = Self {
            head: head.map(|line| format!("{line}\n")).collect(),
            rows: Vec::new(),
            left_out: Vec::new(),
        };
        for line in TEXT.lines().filter(|line| !line.starts_with('#')) {
            let mut words = line.split_whitespace();
            let (Some(label), Some(kinds)) = (words.next(), words.next()) else {
                continue;
            };
            if kinds == "-" {
                let rest: Vec<&str> = words.collect();
                table.left_out.push((label.to_owned(), rest.join(" ")));
                continue;
            }
            let kinds = kinds.split('+').map(Kind::named);
            let kinds: Option<Vec<Kind>> = kinds.collect();
            let kinds = kinds.with_context(|| format!("{label}: no such kind of test"))?;
            let seed = words.next().and_then(|seed| seed.parse().ok());
            let seed = seed.with_context(|| format!("{label}: no seed"))?;
            anyhow::ensure!(Mutant::named(label).is_some(), "there is no mutant {label}");
            let label = label.to_owned();
            table.rows.push(Row { label, kinds, seed });
        }
        for mutant in Mutant::ALL {
            table.row(*mutant)?;
        }
        Ok(table)
    }

    /// What catches a mutant.
    pub(crate) fn row(&self, mutant: Mutant) -> anyhow::Result<&Row> {
        let row = self.rows.iter().find(|row| row.label == mutant.label());
        row.with_context(|| format!("catches.txt does not say what catches {mutant:?}"))
    }

    /// What is not planted, and why.
    pub(crate) fn left_out(&self) -> &[(String, String)] {
        &self.left_out
    }

    /// This seed catches a mutant now.
    pub(crate) fn learn(&mut self, mutant: Mutant, seed: u64) {
        let mut rows = self.rows.iter_mut();
        if let Some(row) = rows.find(|row| row.label == mutant.label()) {
            row.seed = seed;
        }
    }

    /// Writes it back to the sources.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn write(&self) -> anyhow::Result<()> {
        let mut text = self.head.clone();
        for row in &self.rows {
            let kinds: Vec<String> = row.kinds.iter().map(Kind::to_string).collect();
            let (label, kinds, seed) = (&row.label, kinds.join("+"), row.seed);
            writeln!(text, "{label:<9} {kinds:<18} {seed}")?;
        }
        text.push_str("#\n# left out, and why\n");
        for (label, why) in &self.left_out {
            writeln!(text, "{label:<9} -  {why}")?;
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("catches.txt");
        std::fs::write(&path, text).with_context(|| format!("{} stays as it was", path.display()))
    }
}
