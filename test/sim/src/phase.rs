//! Where a server stands in the protocol, and which faults met it there.

use std::collections::BTreeMap;
use std::fmt;

/// A phase of the protocol, as one server goes through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Phase {
    /// It looks for a leader.
    #[default]
    Election,
    /// It leads or follows, and the epoch is not agreed upon.
    Discovery,
    /// Histories are made the same.
    Synchronization,
    /// It is in step. A server of its own always is.
    Broadcast,
}

impl Phase {
    /// All of them, in their order.
    pub const ALL: [Self; 4] = [
        Self::Election,
        Self::Discovery,
        Self::Synchronization,
        Self::Broadcast,
    ];
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Election => "election",
            Self::Discovery => "discovery",
            Self::Synchronization => "synchronization",
            Self::Broadcast => "broadcast",
        })
    }
}

/// How often each kind of fault met a server in each phase; in none if the server did not run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exposure(BTreeMap<(&'static str, Option<Phase>), u64>);

impl Exposure {
    /// One more.
    pub fn count(&mut self, fault: &'static str, phase: Option<Phase>) {
        *self.0.entry((fault, phase)).or_default() += 1;
    }

    /// Adds those of another run.
    pub fn add(&mut self, other: &Self) {
        for (key, count) in &other.0 {
            *self.0.entry(*key).or_default() += count;
        }
    }

    /// How often a fault met a server in a phase.
    #[must_use]
    pub fn of(&self, fault: &'static str, phase: Option<Phase>) -> u64 {
        self.0.get(&(fault, phase)).copied().unwrap_or(0)
    }

    /// All faults.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Those of `faults` that met no server at least so often in some phase.
    #[must_use]
    pub fn rarer_than(&self, least: u64, faults: &[&'static str]) -> Vec<String> {
        let all = faults
            .iter()
            .flat_map(|fault| Phase::ALL.map(|phase| (*fault, phase, self.of(fault, Some(phase)))));
        all.filter(|(.., count)| *count < least)
            .map(|(fault, phase, count)| format!("{fault} in {phase}: {count}"))
            .collect()
    }

    /// A line for each of `faults`, with a column for each phase and one for servers that did not run.
    #[must_use]
    pub fn table(&self, faults: &[&'static str]) -> Vec<String> {
        let row = |name: &str, cells: [String; 5]| {
            let cells = cells.map(|cell| format!("{cell:>16}")).concat();
            format!("  {name:<24}{cells}")
        };
        let [election, discovery, synchronization, broadcast] = Phase::ALL.map(|p| p.to_string());
        let head = [
            election,
            discovery,
            synchronization,
            broadcast,
            "not running".to_owned(),
        ];
        let mut lines = vec![row("", head)];
        for fault in faults {
            let [one, two, three, four] = Phase::ALL.map(|p| self.of(fault, Some(p)).to_string());
            let down = self.of(fault, None).to_string();
            lines.push(row(fault, [one, two, three, four, down]));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_that_met_a_phase_too_seldom_is_named() {
        let mut exposure = Exposure::default();
        for phase in Phase::ALL {
            exposure.count("pause", Some(phase));
            exposure.count("crash", Some(phase));
        }
        exposure.count("pause", None);
        let mut twice = exposure.clone();
        twice.add(&exposure);
        twice.count("crash", Some(Phase::Election));
        assert!(twice.rarer_than(2, &["pause", "crash"]).is_empty());
        assert_eq!(
            twice.rarer_than(3, &["crash"]),
            [
                "crash in discovery: 2",
                "crash in synchronization: 2",
                "crash in broadcast: 2"
            ]
        );
        assert_eq!(twice.total(), 19);
    }
}
