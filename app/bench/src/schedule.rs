//! When the requests of an open loop are due: at times that are fixed beforehand and do not wait for any reply.
//!
//! Pure; `engine::open` keeps to it. A request that is due while its session has no room waits here, and what it waited
//! counts: a generator that asks later because the server is slow would leave out just what the server did wrong
//! ("coordinated omission").

use std::ops::Range;

use crate::link::Nanos;

/// The requests of one thread's sessions: evenly spaced over all sessions of the run, which take turns.
#[derive(Debug)]
pub(crate) struct Schedule {
    origin: Nanos,
    /// Nanoseconds between two requests of the run.
    interval: f64,
    /// Sessions of the run.
    all: u64,
    /// The first session of this thread.
    first: u64,
    /// Requests of this thread whose time has come.
    arrived: u64,
    /// How many of those each session has taken. Invariant: never more than have arrived for it.
    taken: Vec<u64>,
}

impl Schedule {
    /// `rate` requests in a second over `all` sessions, of which `mine` (not empty) are this thread's; the first is due at
    /// `origin`.
    pub(crate) fn new(origin: Nanos, rate: f64, all: u64, mine: Range<u64>) -> Self {
        Self {
            origin,
            interval: 1e9 / rate,
            all,
            first: mine.start,
            arrived: 0,
            taken: mine.map(|_| 0).collect(),
        }
    }

    /// When the next request is due that has not arrived.
    #[inline]
    pub(crate) fn next_due(&self) -> Nanos {
        let (round, position) = self.place(self.arrived);
        self.due(round, position)
    }

    /// Lets the next request arrive; the position of its session.
    #[inline]
    pub(crate) fn arrive(&mut self) -> usize {
        let (_, position) = self.place(self.arrived);
        self.arrived += 1;
        position as usize
    }

    /// Takes the oldest request that waits for this session; when it was due.
    #[inline]
    pub(crate) fn take(&mut self, position: usize) -> Option<Nanos> {
        let round = self.taken[position];
        if round == self.arrived_for(position as u64) {
            return None;
        }
        self.taken[position] += 1;
        Some(self.due(round, position as u64))
    }

    /// When each request was due that has arrived and was not taken.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = Nanos> {
        self.taken
            .iter()
            .zip(0..)
            .flat_map(move |(&taken, position)| {
                let rounds = taken..self.arrived_for(position);
                rounds.map(move |round| self.due(round, position))
            })
    }

    fn arrived_for(&self, position: u64) -> u64 {
        let (rounds, next) = self.place(self.arrived);
        rounds + u64::from(position < next)
    }

    /// Round and position of this thread's request of that number.
    fn place(&self, number: u64) -> (u64, u64) {
        let sessions = self.taken.len() as u64;
        (number / sessions, number % sessions)
    }

    fn due(&self, round: u64, position: u64) -> Nanos {
        let number = round * self.all + self.first + position;
        // Exact to a nanosecond for a hundred days.
        Nanos(self.origin.0 + (number as f64 * self.interval) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Positions and due times of the next `count` requests.
    fn arrivals(schedule: &mut Schedule, count: usize) -> Vec<(usize, u64)> {
        let mut arrive = || {
            let due = schedule.next_due().0;
            (schedule.arrive(), due)
        };
        (0..count).map(|_| arrive()).collect()
    }

    #[test]
    fn sessions_take_turns_at_even_times() {
        let mut schedule = Schedule::new(Nanos(500), 1e8, 3, 0..3);
        let expected = [(0, 500), (1, 510), (2, 520), (0, 530), (1, 540)];
        assert_eq!(arrivals(&mut schedule, 5), expected);
    }

    #[test]
    fn threads_share_one_sequence() {
        let mut all: Vec<u64> = Vec::new();
        for mine in [0..2, 2..3, 3..5] {
            let rounds = 4 * mine.clone().count();
            let mut schedule = Schedule::new(Nanos(0), 1e9, 5, mine);
            all.extend(arrivals(&mut schedule, rounds).iter().map(|(_, due)| due));
        }
        all.sort_unstable();
        assert_eq!(all, (0..20).collect::<Vec<u64>>());
    }

    #[test]
    fn an_interval_that_is_no_whole_number_does_not_drift() {
        let mut schedule = Schedule::new(Nanos(0), 3.0, 1, 0..1);
        let last = arrivals(&mut schedule, 3_000_001).pop();
        assert_eq!(last, Some((0, 1_000_000 * 1_000_000_000)));
    }

    #[test]
    fn what_waits_keeps_its_own_time_and_order() {
        let mut schedule = Schedule::new(Nanos(0), 1e8, 2, 0..2);
        assert_eq!(schedule.take(0), None);
        arrivals(&mut schedule, 5);
        assert_eq!(schedule.take(0), Some(Nanos(0)));
        assert_eq!(schedule.take(0), Some(Nanos(20)));
        assert_eq!(schedule.take(1), Some(Nanos(10)));
        let waiting: Vec<u64> = schedule.waiting().map(|due| due.0).collect();
        assert_eq!(waiting, [40, 30]);
        assert_eq!(schedule.take(0), Some(Nanos(40)));
        assert_eq!(schedule.take(0), None);
    }
}
