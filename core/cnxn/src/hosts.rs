//! Which server next, and how long to wait before.

use crate::HostPort;

/// The servers of a session, in an order of chance.
///
/// Chance comes in as a seed: the same seed gives the same order and the same pauses.
#[derive(Debug, Clone)]
pub struct Hosts {
    list: Vec<HostPort>,
    /// The place of the next attempt.
    next: usize,
    /// Attempts since a server last greeted.
    failures: usize,
    chance: Chance,
}

/// What a new list means for the connection that there is (features CL-10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rebalance {
    /// It may stay.
    Stay,
    /// It should move, so that the servers carry equal loads.
    Move,
}

impl Hosts {
    /// Pause before the first attempt after a loss, at most: not all clients of a server that died at once.
    const FIRST_PAUSE_MS_MAX: u64 = 100;
    /// Pause after each server was tried in vain, at most (features CL-03).
    const ROUND_PAUSE_MS_MAX: u64 = 1_000;

    /// These servers, shuffled.
    #[must_use]
    pub fn new(mut list: Vec<HostPort>, seed: u64) -> Self {
        let mut chance = Chance(seed);
        chance.shuffle(&mut list);
        Self {
            list,
            next: 0,
            failures: 0,
            chance,
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The server of the present or coming attempt.
    #[must_use]
    pub fn current(&self) -> Option<&HostPort> {
        self.list.get(self.next)
    }

    /// Whether all servers have been tried in vain since one last greeted.
    #[must_use]
    pub fn is_round_over(&self) -> bool {
        self.failures >= self.list.len()
    }

    /// The current server has greeted.
    pub fn on_greeted(&mut self) {
        self.failures = 0;
    }

    /// The attempt, or the connection that it led to, is over: the next server's turn. Returns how many ms to wait before.
    pub fn on_failed(&mut self) -> u64 {
        let is_first = self.failures == 0;
        self.failures += 1;
        self.next = (self.next + 1) % self.list.len().max(1);
        if is_first {
            self.chance.below(Self::FIRST_PAUSE_MS_MAX + 1)
        } else if self.failures.is_multiple_of(self.list.len()) {
            self.chance.below(Self::ROUND_PAUSE_MS_MAX + 1)
        } else {
            0
        }
    }

    /// Makes this server the next one, if it is on the list.
    pub fn prefer(&mut self, host: &HostPort) {
        if let Some(at) = self.list.iter().position(|known| known == host) {
            self.next = at;
        }
    }

    /// A server other than the current one, in turn: to ask whether it is better.
    #[must_use]
    pub fn other(&self, turn: usize) -> Option<&HostPort> {
        let others = self.list.len().checked_sub(1).filter(|n| *n > 0)?;
        self.list
            .get((self.next + 1 + turn % others) % self.list.len())
    }

    /// Takes a new list. With many clients doing the same, their loads come out even again: the chance to move is what the
    /// fuller servers have too much (features CL-10).
    pub fn update(&mut self, mut list: Vec<HostPort>, is_connected: bool) -> Rebalance {
        let old = std::mem::take(&mut self.list);
        let current = old.get(self.next).cloned();
        self.chance.shuffle(&mut list);
        let stays = current.as_ref().filter(|host| list.contains(host));
        let (kept, added): (Vec<_>, Vec<_>) = list.into_iter().partition(|host| old.contains(host));
        let total = kept.len() + added.len();
        let grew = total > old.len();
        // Where to begin: with a server that was there before, or with a new one.
        let (rebalance, kept_first) = match stays {
            Some(_) if !grew || !self.chance.happens(total - old.len(), total) => {
                (Rebalance::Stay, true)
            }
            Some(_) => (Rebalance::Move, false),
            None if grew => (Rebalance::Move, false),
            None => {
                let gone = old.len() - kept.len();
                let to_kept = kept.len() * (old.len() - total);
                (Rebalance::Move, self.chance.happens(to_kept, total * gone))
            }
        };
        let order = if kept_first {
            [kept, added]
        } else {
            [added, kept]
        };
        self.list = order.into_iter().flatten().collect();
        self.next = 0;
        self.failures = 0;
        if !is_connected {
            return Rebalance::Stay;
        }
        if rebalance == Rebalance::Stay
            && let Some(host) = current
        {
            self.prefer(&host);
        }
        rebalance
    }

    /// A number below `end`, to spread what would otherwise happen at once.
    pub fn jitter(&mut self, end: u64) -> u64 {
        self.chance.below(end)
    }
}

/// A stream of numbers from a seed (SplitMix64).
#[derive(Debug, Clone)]
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`; 0 if that is 0. The bias is far below what anybody could measure here.
    fn below(&mut self, end: u64) -> u64 {
        self.next().checked_rem(end).unwrap_or(0)
    }

    /// True `part` times out of `whole`.
    fn happens(&mut self, part: usize, whole: usize) -> bool {
        self.below(whole as u64) < part as u64
    }

    fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            let other = self.below(last as u64 + 1) as usize;
            list.swap(last, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(names: &[&str]) -> Vec<HostPort> {
        names
            .iter()
            .map(|name| HostPort {
                host: (*name).to_owned(),
                port: 2181,
            })
            .collect()
    }

    #[test]
    fn each_server_gets_its_turn_before_any_gets_a_second() {
        for seed in 0..50 {
            let mut list = Hosts::new(hosts(&["a", "b", "c", "d"]), seed);
            let mut seen: Vec<_> = (0..4)
                .map(|_| {
                    let host = list.current().unwrap().host.clone();
                    list.on_failed();
                    host
                })
                .collect();
            assert!(list.is_round_over());
            seen.sort();
            assert_eq!(seen, ["a", "b", "c", "d"]);
        }
    }

    #[test]
    fn orders_differ_between_seeds() {
        let first = |seed| {
            Hosts::new(hosts(&["a", "b", "c"]), seed)
                .current()
                .unwrap()
                .host
                .clone()
        };
        let mut firsts: Vec<_> = (0..50).map(first).collect();
        firsts.sort();
        firsts.dedup();
        assert_eq!(firsts, ["a", "b", "c"]);
    }

    #[test]
    fn pauses_stand_before_the_first_attempt_and_after_each_round_and_are_bounded() {
        for seed in 0..200 {
            let mut list = Hosts::new(hosts(&["a", "b", "c"]), seed);
            list.on_greeted();
            assert!(list.on_failed() <= 100, "after a loss");
            assert_eq!(list.on_failed(), 0, "within a round");
            assert!(list.on_failed() <= 1_000, "after a round");
            assert_eq!(list.on_failed(), 0, "within a round");
        }
    }

    #[test]
    fn a_lone_server_is_not_asked_in_a_tight_loop() {
        let mut list = Hosts::new(hosts(&["a"]), 7);
        list.on_failed();
        let pauses: u64 = (0..100).map(|_| list.on_failed()).sum();
        assert!(pauses > 20_000, "{pauses}");
    }

    #[test]
    fn a_grown_list_moves_the_share_of_clients_that_the_new_servers_are_due() {
        let moved = (0..3000)
            .filter(|seed| {
                let mut list = Hosts::new(hosts(&["a", "b"]), *seed);
                list.update(hosts(&["a", "b", "c"]), true) == Rebalance::Move
            })
            .count();
        assert!(
            (850..1150).contains(&moved),
            "{moved} of 3000, a third is due"
        );
    }

    #[test]
    fn a_client_that_moves_after_growth_begins_with_a_new_server() {
        for seed in 0..200 {
            let mut list = Hosts::new(hosts(&["a", "b"]), seed);
            if list.update(hosts(&["a", "b", "c"]), true) == Rebalance::Move {
                assert_eq!(list.current().unwrap().host, "c");
            }
        }
    }

    #[test]
    fn a_client_stays_where_it_is_when_only_others_leave() {
        for seed in 0..50 {
            let mut list = Hosts::new(hosts(&["a", "b", "c"]), seed);
            let here = list.current().unwrap().host.clone();
            let rest = if here == "a" {
                ["a", "b"]
            } else {
                ["a", &here]
            };
            assert_eq!(list.update(hosts(&rest), true), Rebalance::Stay);
            assert_eq!(list.current().unwrap().host, here);
        }
    }

    #[test]
    fn a_client_whose_server_left_moves() {
        let mut list = Hosts::new(hosts(&["a"]), 3);
        assert_eq!(list.update(hosts(&["b"]), true), Rebalance::Move);
        assert_eq!(list.current().unwrap().host, "b");
    }
}
