//! Where a member stands in its log.
//!
//! ```text
//!   window (kept for learners)   │ tail
//! ───────────────────────────────┼───────────────────────────────
//!   released: in the tree        │ logged, not released
//!                                ▲ released ≤ min(committed, flushed), always (R4, P13)
//! ```
//!
//! What stands in the tail may still be undone: it is in no tree and no snapshot, so that a truncation never has to take
//! anything back (design 2.6).

use std::borrow::Cow;
use std::collections::VecDeque;

use zabra_mutant::{self as mutant, Mutant};
use zabra_proto::Zxid;

use crate::{Entry, Window};

/// A member's log, as far as it is in memory, and how far each of its parts has come.
#[derive(Debug)]
pub struct History {
    window: Window,
    tail: VecDeque<Entry>,
    released: Zxid,
    committed: Zxid,
    flushed: Zxid,
}

impl History {
    /// What a start finds: a tree up to `released`, and a durable, undecided tail behind it. `keep` committed entries stay
    /// in memory for learners.
    ///
    /// # Panics
    /// If the tail does not continue the tree: recovery has checked it (R2).
    #[must_use]
    pub fn new(keep: usize, released: Zxid, tail: Vec<Entry>) -> Self {
        let mut history = Self {
            window: Window::new(released, keep),
            tail: VecDeque::new(),
            released,
            committed: released,
            flushed: released,
        };
        tail.into_iter().for_each(|entry| history.append(entry));
        history.flushed = history.logged();
        history
    }

    /// The last entry given to the disk.
    #[must_use]
    pub fn logged(&self) -> Zxid {
        self.tail.back().map_or(self.released, |entry| entry.zxid)
    }

    /// The last entry known to be durable.
    #[must_use]
    pub fn flushed(&self) -> Zxid {
        self.flushed
    }

    /// The last entry known to be decided.
    #[must_use]
    pub fn committed(&self) -> Zxid {
        self.committed
    }

    /// The last entry that was given to the tree.
    #[must_use]
    pub fn released(&self) -> Zxid {
        self.released
    }

    /// Whether everything logged is durable.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        self.flushed >= self.logged()
    }

    /// The committed entries kept for learners.
    #[must_use]
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// The end of the history up to `settled`, as if everything up to there had been released: a new leader's whole log
    /// is decided with its epoch, before it is applied.
    ///
    /// It reaches back to what is durable here, however long it gets: what others' disks decided and this one lacks is
    /// nowhere but in memory, and a learner that has it must not be told to take it back.
    #[must_use]
    pub fn settled_window(&self, settled: Zxid) -> Cow<'_, Window> {
        let mut window = Cow::Borrowed(&self.window);
        let tail = self.tail.iter();
        for entry in tail.take_while(|entry| entry.zxid <= settled) {
            if mutant::on(Mutant::WindowForgetsUndurable) {
                window.to_mut().push(entry.clone());
                continue;
            }
            window.to_mut().keep(entry.clone());
        }
        window
    }

    /// How many entries are logged and not released.
    #[must_use]
    pub fn tail_len(&self) -> usize {
        self.tail.len()
    }

    /// The logged, unreleased entries behind a zxid, in order.
    pub fn tail_after(&self, zxid: Zxid) -> impl Iterator<Item = &Entry> {
        let from = self.tail.partition_point(|entry| entry.zxid <= zxid);
        self.tail.range(from..)
    }

    /// The entry with this number, while it is in the tail.
    #[must_use]
    pub fn tail_entry(&self, zxid: Zxid) -> Option<&Entry> {
        self.tail_after(Zxid(zxid.0.checked_sub(1)?))
            .next()
            .filter(|entry| entry.zxid == zxid)
    }

    /// Takes an entry that goes to the disk.
    ///
    /// # Panics
    /// If it leaves a hole (R2): whoever takes entries from outside checks [`Zxid::may_precede`] first.
    pub fn append(&mut self, entry: Entry) {
        let logged = self.logged();
        assert!(
            logged.may_precede(entry.zxid),
            "{} logged behind {logged} (R2)",
            entry.zxid
        );
        self.tail.push_back(entry);
    }

    /// Everything up to here is durable.
    pub fn flushed_to(&mut self, zxid: Zxid) {
        assert!(
            zxid <= self.logged(),
            "{zxid} is durable and was never logged"
        );
        self.flushed = self.flushed.max(zxid);
    }

    /// Everything up to here is decided, whether it is durable here or not.
    pub fn commit_to(&mut self, zxid: Zxid) {
        self.committed = self.committed.max(zxid);
    }

    /// The next entry for the tree, if it is decided and durable (R4, P13).
    pub fn release(&mut self) -> Option<Entry> {
        let bound = if mutant::on(Mutant::ApplyWithoutOwnLog) {
            self.committed
        } else {
            self.committed.min(self.flushed)
        };
        let entry = self.tail.pop_front_if(|entry| entry.zxid <= bound)?;
        let is_first = std::mem::replace(&mut self.released, entry.zxid) == self.window.behind();
        if !(mutant::on(Mutant::SyncedMissInWindow) && is_first) {
            self.window.push(entry.clone());
        }
        Some(entry)
    }

    /// Whether everything behind `zxid` can be undone: nothing of it is in the tree.
    #[must_use]
    pub fn can_truncate(&self, zxid: Zxid) -> bool {
        zxid >= self.released
    }

    /// The disk holds nothing behind `zxid` any more.
    ///
    /// # Panics
    /// If something behind it is in the tree ([`Self::can_truncate`], P16).
    pub fn truncated(&mut self, zxid: Zxid) {
        assert!(
            self.can_truncate(zxid),
            "truncated to {zxid} below {} (P16)",
            self.released
        );
        let keep = self.tail.partition_point(|entry| entry.zxid <= zxid);
        self.tail.truncate(keep);
        self.flushed = self.logged();
        self.committed = self.committed.min(self.logged());
    }

    /// A leader's snapshot has replaced everything.
    pub fn replaced(&mut self, zxid: Zxid) {
        self.tail.clear();
        self.window.reset(zxid);
        self.released = zxid;
        self.committed = zxid;
        self.flushed = zxid;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(counter: u32) -> Entry {
        Entry {
            zxid: Zxid::new(1, counter),
            payload: [].into(),
        }
    }

    fn at(counter: u32) -> Zxid {
        Zxid::new(1, counter)
    }

    fn history() -> History {
        History::new(10, at(3), vec![entry(4), entry(5)])
    }

    #[test]
    fn a_restored_tail_is_durable_and_undecided() {
        let mut history = history();
        assert_eq!((history.logged(), history.flushed()), (at(5), at(5)));
        assert_eq!((history.released(), history.committed()), (at(3), at(3)));
        assert_eq!(history.release(), None);
    }

    #[test]
    fn the_settled_window_reaches_back_to_what_is_durable() {
        let mut history = History::new(1, at(3), Vec::new());
        (4..40).for_each(|counter| history.append(entry(counter)));
        history.commit_to(at(39));
        let window = history.settled_window(at(39));
        assert_eq!((window.behind(), window.last()), (at(3), at(39)));
    }

    #[test]
    fn an_entry_is_released_when_it_is_both_decided_and_durable() {
        let mut history = history();
        history.append(entry(6));
        history.commit_to(at(6));
        assert_eq!(history.release(), Some(entry(4)));
        assert_eq!(history.release(), Some(entry(5)));
        assert_eq!(history.release(), None, "6 is not durable");
        history.flushed_to(at(6));
        assert_eq!(history.release(), Some(entry(6)));
        assert_eq!(history.released(), at(6));
    }

    #[test]
    fn a_truncation_takes_back_the_tail_and_nothing_else() {
        let mut history = history();
        assert!(history.can_truncate(at(3)) && !history.can_truncate(at(2)));
        history.truncated(at(4));
        assert_eq!((history.logged(), history.flushed()), (at(4), at(4)));
        history.append(entry(5));
        assert!(!history.is_flushed());
    }

    #[test]
    fn the_tail_is_found_by_zxid() {
        let history = history();
        let behind: Vec<_> = history.tail_after(at(4)).map(|e| e.zxid).collect();
        assert_eq!(behind, [at(5)]);
        assert_eq!(history.tail_entry(at(4)), Some(&entry(4)));
        assert_eq!(history.tail_entry(at(3)), None);
    }

    #[test]
    fn a_snapshot_leaves_nothing_of_what_was() {
        let mut history = history();
        history.replaced(Zxid::new(2, 9));
        assert_eq!(history.logged(), Zxid::new(2, 9));
        assert_eq!(history.tail_len(), 0);
        history.append(Entry {
            zxid: Zxid::new(2, 10),
            payload: [].into(),
        });
    }
}
