//! The last committed transactions, in memory.

use std::collections::VecDeque;

use zabra_proto::Zxid;

use crate::{Entry, follows};

/// What a leader can send to learners that are not far behind, without a look at the disk.
///
/// Transactions of every committed request pass through here in order; the oldest are dropped, so that what is kept is
/// always the end of the history without a hole (pitfalls P07).
#[derive(Debug, Clone)]
pub struct Window {
    /// Oldest first. Invariant: each one follows the one before, the first one `behind`.
    entries: VecDeque<Entry>,
    /// The last transaction before the first entry.
    behind: Zxid,
    /// Invariant: the sum of the payloads' lengths.
    bytes: usize,
    count_max: usize,
    bytes_max: usize,
}

/// As much memory as is kept for learners; a window of more is shortened.
pub const WINDOW_BYTES_MAX: usize = 64 << 20;

/// Even of transactions so big that they exceed the bound, a learner that lost its link for a moment finds this many.
const COUNT_MIN: usize = 8;

impl Window {
    /// An empty one behind a transaction, which keeps this many (`commitLogCount`) if they fit in [`WINDOW_BYTES_MAX`].
    #[must_use]
    pub fn new(behind: Zxid, count: usize) -> Self {
        Self::bounded(behind, count, WINDOW_BYTES_MAX)
    }

    /// An empty one behind a transaction, with bounds of its own.
    #[must_use]
    pub fn bounded(behind: Zxid, count: usize, bytes: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            behind,
            bytes: 0,
            count_max: count.max(COUNT_MIN),
            bytes_max: bytes,
        }
    }

    /// Takes the next committed transaction.
    ///
    /// # Panics
    ///
    /// If it leaves a hole or repeats one: whoever commits has lost a transaction, and learners would inherit that.
    pub fn push(&mut self, entry: Entry) {
        self.keep(entry);
        while self.is_too_long() {
            let Some(oldest) = self.entries.pop_front() else {
                return;
            };
            self.bytes -= oldest.payload.len();
            self.behind = oldest.zxid;
        }
    }

    /// Takes the next one and drops none.
    pub(crate) fn keep(&mut self, entry: Entry) {
        let last = self.last();
        assert!(
            follows(entry.zxid, last),
            "{} committed behind {last}",
            entry.zxid
        );
        self.bytes += entry.payload.len();
        self.entries.push_back(entry);
    }

    /// Forgets everything; the next transaction comes behind this one.
    pub fn reset(&mut self, behind: Zxid) {
        self.entries.clear();
        self.bytes = 0;
        self.behind = behind;
    }

    /// The last transaction before the first that is kept, or where the window began: then it may be a bare zxid of a
    /// new epoch, or zero.
    #[must_use]
    pub fn behind(&self) -> Zxid {
        self.behind
    }

    /// The oldest that is kept.
    #[must_use]
    pub fn min(&self) -> Option<Zxid> {
        self.entries.front().map(|entry| entry.zxid)
    }

    /// The newest that is kept.
    #[must_use]
    pub fn max(&self) -> Option<Zxid> {
        self.entries.back().map(|entry| entry.zxid)
    }

    /// Where the history ends: the newest, or else [`Self::behind`].
    #[must_use]
    pub fn last(&self) -> Zxid {
        self.max().unwrap_or(self.behind)
    }

    /// How many are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All that are kept, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Those that come behind a zxid, oldest first. That nothing is missing between the two is the caller's to know.
    pub fn after(&self, zxid: Zxid) -> impl Iterator<Item = &Entry> {
        let first = self.entries.partition_point(|entry| entry.zxid <= zxid);
        self.entries.range(first..)
    }

    fn is_too_long(&self) -> bool {
        let count = self.entries.len();
        count > self.count_max || (count > COUNT_MIN && self.bytes > self.bytes_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(epoch: u32, counter: u32, len: usize) -> Entry {
        Entry {
            zxid: Zxid::new(epoch, counter),
            payload: vec![0; len].into(),
        }
    }

    fn filled(count: usize, bytes: usize, txns: u32, len: usize) -> Window {
        let mut window = Window::bounded(Zxid::new(1, 0), count, bytes);
        for counter in 1..=txns {
            window.push(entry(1, counter, len));
        }
        window
    }

    #[test]
    fn the_newest_are_kept_and_what_is_behind_them_is_known() {
        let window = filled(10, 1 << 20, 25, 3);
        assert_eq!(window.len(), 10);
        assert_eq!(window.behind(), Zxid::new(1, 15));
        assert_eq!(window.min(), Some(Zxid::new(1, 16)));
        assert_eq!(window.max(), Some(Zxid::new(1, 25)));
        assert_eq!(window.bytes, 30);
    }

    #[test]
    fn big_transactions_shorten_it_but_not_to_nothing() {
        assert_eq!(filled(100, 1000, 50, 50).len(), 20);
        assert_eq!(filled(100, 1000, 50, 900).len(), COUNT_MIN);
    }

    #[test]
    fn an_empty_one_knows_where_it_began() {
        let mut window = Window::new(Zxid::new(1, 7), 500);
        assert_eq!((window.min(), window.max()), (None, None));
        assert_eq!(window.last(), Zxid::new(1, 7));
        window.push(entry(1, 8, 1));
        window.reset(Zxid::new(1, 7));
        window.push(entry(2, 1, 1));
        assert_eq!(window.last(), Zxid::new(2, 1));
        assert_eq!(window.behind(), Zxid::new(1, 7));
    }

    #[test]
    fn what_comes_behind_a_zxid_is_found_whether_it_is_there_or_not() {
        let mut window = filled(10, 1 << 20, 3, 1);
        window.push(entry(3, 1, 1));
        let after = |zxid| window.after(zxid).map(|e| e.zxid).collect::<Vec<_>>();
        assert_eq!(after(Zxid::new(1, 2)), [Zxid::new(1, 3), Zxid::new(3, 1)]);
        assert_eq!(after(Zxid::new(2, 0)), [Zxid::new(3, 1)]);
        assert_eq!(after(Zxid::ZERO).len(), 4);
        assert_eq!(after(Zxid::new(3, 1)), []);
        assert_eq!(window.iter().count(), 4);
    }

    #[test]
    #[should_panic(expected = "0x100000005 committed behind 0x100000003")]
    fn a_hole_is_not_taken_in() {
        filled(10, 1 << 20, 3, 1).push(entry(1, 5, 1));
    }

    #[test]
    #[should_panic(expected = "committed behind")]
    fn a_transaction_is_not_taken_in_twice() {
        filled(10, 1 << 20, 3, 1).push(entry(1, 3, 1));
    }
}
