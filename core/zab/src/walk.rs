//! The search for the place in a history from which a learner lacks transactions.
//!
//! Fed with zxids only, so that the history may be in memory or on disk. What to make of a learner whose last transaction
//! lies outside of the history is [`plan_sync`](crate::plan_sync)'s.

use zabra_mutant::{self as mutant, Mutant};
use zabra_proto::Zxid;

/// Whether a transaction may come right behind another: the next number, or one of a later epoch. Anything else is a
/// hole (pitfalls R2).
#[must_use]
pub fn follows(zxid: Zxid, before: Zxid) -> bool {
    zxid.epoch() > before.epoch() || before.0.checked_add(1) == Some(zxid.0)
}

/// How a learner gets into step, as far as the history told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The learner's last transaction is in the history, or would be just here.
    Diff,
    /// The learner is ahead of the history, which ends with this transaction.
    TruncTo(Zxid),
    /// The learner's history is another one, or this one is not whole: only a snapshot helps.
    Snap,
}

/// What to do with the transaction that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The learner has it.
    Skip,
    /// The learner lacks it. Before the first of these the learner is told [`Walk::verdict`].
    Send,
    /// There is no use in going on. What was sent already, if the history broke off behind it, leads nowhere either.
    GiveUp,
}

/// Goes through a history, oldest transaction first, beside a learner's last zxid (quorum 9.4).
///
/// It must begin with a transaction that is at or before the learner's: where the history begins behind it, nothing shows
/// that the learner has all that came before.
#[derive(Debug, Clone)]
pub struct Walk {
    learner: Zxid,
    last: Option<Zxid>,
    verdict: Option<Verdict>,
}

impl Walk {
    /// For a learner whose last zxid is this.
    #[must_use]
    pub fn new(learner: Zxid) -> Self {
        Self {
            learner,
            last: None,
            verdict: None,
        }
    }

    /// Looks at the next transaction of the history.
    pub fn on(&mut self, zxid: Zxid) -> Step {
        let before = self.last.replace(zxid);
        if before.is_some_and(|before| !follows(zxid, before)) {
            self.verdict = Some(Verdict::Snap);
        }
        match self.verdict {
            Some(Verdict::Snap) => Step::GiveUp,
            Some(_) => Step::Send,
            None => self.decide(zxid, before),
        }
    }

    /// What is decided so far.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        self.verdict
    }

    /// What is decided when the history has ended.
    ///
    /// A learner that is ahead goes back to the end of this history, whatever its epoch: it has that transaction, or an
    /// epoch later than this history's could not have begun behind it. It goes back to no bare zxid of a new epoch, since
    /// there is no such transaction to be found in its log.
    #[must_use]
    pub fn end(&self) -> Verdict {
        self.verdict.unwrap_or(match self.last {
            Some(last) if self.learner.counter() != 0 && last.counter() != 0 => {
                Verdict::TruncTo(last)
            }
            _ => Verdict::Snap,
        })
    }

    /// Between two transactions of one epoch there is no room for a third, so that a learner that is not in the history
    /// has a bare zxid of a new epoch, or transactions of an epoch that went on differently here. The latter would have to
    /// be cut across the border of two epochs, which Apache's learners do not survive.
    fn decide(&mut self, zxid: Zxid, before: Option<Zxid>) -> Step {
        if zxid < self.learner {
            return Step::Skip;
        }
        let (verdict, step) = if zxid == self.learner {
            (Verdict::Diff, Step::Skip)
        } else if before.is_some() && self.learner.counter() == 0
            || mutant::on(Mutant::DiffByNumber)
        {
            (Verdict::Diff, Step::Send)
        } else {
            (Verdict::Snap, Step::GiveUp)
        };
        self.verdict = Some(verdict);
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn z(epoch: u32, counter: u32) -> Zxid {
        Zxid::new(epoch, counter)
    }

    fn walk(learner: Zxid, history: &[Zxid]) -> (Verdict, Vec<Zxid>) {
        let mut walk = Walk::new(learner);
        let sent = history
            .iter()
            .copied()
            .filter(|zxid| walk.on(*zxid) == Step::Send);
        let sent = sent.collect();
        (walk.end(), sent)
    }

    const HISTORY: [Zxid; 5] = [
        Zxid::new(1, 1),
        Zxid::new(1, 2),
        Zxid::new(1, 3),
        Zxid::new(3, 1),
        Zxid::new(3, 2),
    ];

    #[test]
    fn what_comes_behind_the_learners_last_transaction_is_sent() {
        let all = walk(z(1, 2), &HISTORY);
        assert_eq!(all, (Verdict::Diff, vec![z(1, 3), z(3, 1), z(3, 2)]));
        assert_eq!(walk(z(1, 1), &HISTORY).1.len(), 4);
        assert_eq!(walk(z(3, 2), &HISTORY), (Verdict::Diff, vec![]));
    }

    #[test]
    fn a_bare_zxid_of_a_new_epoch_gets_what_comes_behind_it() {
        let rest = (Verdict::Diff, vec![z(3, 1), z(3, 2)]);
        assert_eq!(walk(z(2, 0), &HISTORY), rest);
        assert_eq!(walk(z(3, 0), &HISTORY), rest);
    }

    #[test]
    fn a_history_that_begins_behind_the_learner_proves_nothing() {
        for learner in [z(0, 0), z(1, 0), z(0, 7)] {
            assert_eq!(walk(learner, &HISTORY), (Verdict::Snap, vec![]));
        }
        assert_eq!(walk(z(1, 1), &HISTORY[1..]), (Verdict::Snap, vec![]));
    }

    #[test]
    fn transactions_that_another_epoch_passed_over_are_not_cut_across_its_border() {
        assert_eq!(walk(z(1, 4), &HISTORY), (Verdict::Snap, vec![]));
        assert_eq!(walk(z(2, 1), &HISTORY), (Verdict::Snap, vec![]));
    }

    #[test]
    fn a_learner_that_is_ahead_goes_back_to_the_end() {
        assert_eq!(walk(z(3, 3), &HISTORY), (Verdict::TruncTo(z(3, 2)), vec![]));
        assert_eq!(walk(z(4, 1), &HISTORY), (Verdict::TruncTo(z(3, 2)), vec![]));
        assert_eq!(walk(z(4, 0), &HISTORY), (Verdict::Snap, vec![]));
        assert_eq!(walk(z(4, 1), &[z(4, 0)]), (Verdict::Snap, vec![]));
        assert_eq!(walk(z(4, 1), &[]), (Verdict::Snap, vec![]));
    }

    /// P07, P17: a hole that is handed on is a hole everywhere.
    #[test]
    fn a_hole_ends_the_walk_wherever_it_is() {
        let holed = [z(1, 1), z(1, 3), z(1, 4)];
        for learner in [z(1, 1), z(1, 2), z(1, 3), z(1, 9)] {
            assert_eq!(walk(learner, &holed), (Verdict::Snap, vec![]));
        }
        let late = [z(1, 1), z(1, 2), z(1, 4)];
        assert_eq!(walk(z(1, 1), &late), (Verdict::Snap, vec![z(1, 2)]));
    }

    #[test]
    fn nothing_follows_out_of_order() {
        assert!(follows(z(1, 2), z(1, 1)));
        assert!(follows(z(2, 1), z(1, 9)));
        assert!(follows(z(4, 3), z(1, 9)));
        assert!(!follows(z(1, 1), z(1, 1)));
        assert!(!follows(z(1, 3), z(1, 1)));
        assert!(!follows(z(1, 9), z(2, 1)));
        assert!(!follows(Zxid(0), Zxid(u64::MAX)));
    }
}
