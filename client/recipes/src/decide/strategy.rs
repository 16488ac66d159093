//! Which instance of a service is asked next, and which are left alone because they failed.

use std::collections::BTreeMap;

/// How an instance is chosen among those that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// Any.
    Random,
    /// One after the other.
    RoundRobin,
    /// The same as long as it is there; then any other.
    Sticky,
}

/// What a strategy remembers between choices.
#[derive(Debug, Clone, Default)]
pub struct Chosen {
    turn: usize,
    stuck_to: Option<String>,
}

impl Strategy {
    /// The place in `ids` of the instance to ask; `None` if there is none. `random` is any number, a new one each time.
    pub fn choose(self, ids: &[&str], random: u64, chosen: &mut Chosen) -> Option<usize> {
        let count = ids.len();
        if count == 0 {
            return None;
        }
        // The rest of a division by a length is one of its places.
        let any = usize::try_from(random % count as u64).ok()?;
        match self {
            Self::Random => Some(any),
            Self::RoundRobin => {
                let place = chosen.turn % count;
                chosen.turn = chosen.turn.wrapping_add(1);
                Some(place)
            }
            Self::Sticky => {
                let same = ids
                    .iter()
                    .position(|id| Some(*id) == chosen.stuck_to.as_deref());
                let place = same.unwrap_or(any);
                chosen.stuck_to = Some(ids[place].to_owned());
                Some(place)
            }
        }
    }
}

/// When an instance counts as down: this many errors within this time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DownPolicy {
    /// Errors that make it so.
    pub errors: u32,
    /// How long errors are remembered, ms.
    pub window_ms: u64,
}

impl Default for DownPolicy {
    /// Two errors within 30 s, as Curator has it.
    fn default() -> Self {
        Self {
            errors: 2,
            window_ms: 30_000,
        }
    }
}

/// The errors of instances by id, with the times they were noted at.
#[derive(Debug, Clone, Default)]
pub struct Down {
    errors: BTreeMap<String, Vec<u64>>,
}

impl Down {
    /// Notes an error of an instance at a time, ms.
    pub fn on_error(&mut self, id: &str, policy: DownPolicy, now_ms: u64) {
        self.forget(policy, now_ms);
        let errors = self.errors.entry(id.to_owned()).or_default();
        errors.push(now_ms);
        // Older ones change nothing any more.
        let surplus = errors.len().saturating_sub(policy.errors as usize);
        errors.drain(..surplus);
    }

    /// Whether an instance is left alone at a time, ms.
    #[must_use]
    pub fn is_down(&self, id: &str, policy: DownPolicy, now_ms: u64) -> bool {
        let recent = |errors: &Vec<u64>| {
            let fresh = errors
                .iter()
                .filter(|at| now_ms.saturating_sub(**at) < policy.window_ms);
            fresh.count() >= policy.errors.max(1) as usize
        };
        self.errors.get(id).is_some_and(recent)
    }

    /// Drops what is too old to count.
    fn forget(&mut self, policy: DownPolicy, now_ms: u64) {
        self.errors.retain(|_, errors| {
            errors.retain(|at| now_ms.saturating_sub(*at) < policy.window_ms);
            !errors.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_chosen_among_none() {
        for strategy in [Strategy::Random, Strategy::RoundRobin, Strategy::Sticky] {
            assert_eq!(strategy.choose(&[], 7, &mut Chosen::default()), None);
        }
    }

    #[test]
    fn round_robin_goes_round() {
        let mut chosen = Chosen::default();
        let ids = ["a", "b", "c"];
        let turns: Vec<usize> = (0..6)
            .filter_map(|_| Strategy::RoundRobin.choose(&ids, 0, &mut chosen))
            .collect();
        assert_eq!(turns, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn sticky_stays_while_its_instance_does() {
        let mut chosen = Chosen::default();
        let sticky = Strategy::Sticky;
        assert_eq!(sticky.choose(&["a", "b", "c"], 1, &mut chosen), Some(1));
        assert_eq!(sticky.choose(&["x", "a", "b"], 0, &mut chosen), Some(2));
        assert_eq!(sticky.choose(&["x", "a"], 1, &mut chosen), Some(1));
        assert_eq!(sticky.choose(&["a", "x"], 1, &mut chosen), Some(0));
    }

    #[test]
    fn two_errors_within_the_window_are_down_and_time_mends_it() {
        let policy = DownPolicy::default();
        let mut down = Down::default();
        down.on_error("a", policy, 0);
        assert!(!down.is_down("a", policy, 0));
        down.on_error("a", policy, 20_000);
        assert!(down.is_down("a", policy, 29_999));
        assert!(!down.is_down("a", policy, 30_000));
        assert!(!down.is_down("b", policy, 20_000));
    }

    #[test]
    fn errors_do_not_pile_up() {
        let policy = DownPolicy::default();
        let mut down = Down::default();
        for now in 0..1_000 {
            down.on_error("a", policy, now);
        }
        assert_eq!(down.errors["a"].len(), 2);
        down.on_error("b", policy, 100_000);
        assert_eq!(down.errors.len(), 1);
    }
}
