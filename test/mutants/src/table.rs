//! The checked-in table of what catches what.

use anyhow::Context as _;
use zabra_mutant::Mutant;

use crate::attempt::Kind;

/// `catches.txt`.
pub(crate) struct Table {
    rows: Vec<(String, Vec<Kind>)>,
    left_out: Vec<(String, String)>,
}

const TEXT: &str = include_str!("../catches.txt");

impl Table {
    /// Reads it.
    ///
    /// # Errors
    /// If it does not say of each mutant what catches it.
    pub(crate) fn read() -> anyhow::Result<Self> {
        let mut table = Self {
            rows: Vec::new(),
            left_out: Vec::new(),
        };
        for line in TEXT.lines().filter(|line| !line.starts_with('#')) {
            let mut words = line.split_whitespace();
            let (Some(label), Some(kinds)) = (words.next(), words.next()) else {
                continue;
            };
            let rest: Vec<&str> = words.collect();
            if kinds == "-" {
                table.left_out.push((label.to_owned(), rest.join(" ")));
                continue;
            }
            let kinds = kinds.split('+').map(Kind::named);
            let kinds: Option<Vec<Kind>> = kinds.collect();
            let kinds = kinds.with_context(|| format!("{label}: no such kind of test"))?;
            anyhow::ensure!(Mutant::named(label).is_some(), "there is no mutant {label}");
            table.rows.push((label.to_owned(), kinds));
        }
        for mutant in Mutant::ALL {
            table.kinds(*mutant)?;
        }
        Ok(table)
    }

    /// What catches a mutant.
    pub(crate) fn kinds(&self, mutant: Mutant) -> anyhow::Result<Vec<Kind>> {
        let row = self.rows.iter().find(|(label, _)| label == mutant.label());
        let row =
            row.with_context(|| format!("catches.txt does not say what catches {mutant:?}"))?;
        Ok(row.1.clone())
    }

    /// What is not planted, and why.
    pub(crate) fn left_out(&self) -> &[(String, String)] {
        &self.left_out
    }
}
