//! Histories: sequences of transactions, of which many have the same beginning.

use std::collections::HashMap;

use zabra_proto::Zxid;

/// A transaction: its number, and a hash of what it does.
pub type Txn = (Zxid, u64);

/// A history, by its last transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct History(u32);

impl History {
    /// Nothing yet.
    pub(super) const EMPTY: Self = Self(0);
}

/// All histories that there ever were: a tree, in which each one is the way from the root.
#[derive(Debug)]
pub(super) struct Histories {
    nodes: Vec<Node>,
    known: HashMap<(History, Txn), History>,
}

#[derive(Debug)]
struct Node {
    before: History,
    len: u32,
    last: Txn,
}

impl Histories {
    pub(super) fn new() -> Self {
        let root = Node {
            before: History::EMPTY,
            len: 0,
            last: (Zxid::ZERO, 0),
        };
        Self {
            nodes: vec![root],
            known: HashMap::new(),
        }
    }

    fn node(&self, history: History) -> &Node {
        // Handed out by this tree, which only grows.
        &self.nodes[history.0 as usize]
    }

    /// The number of the last transaction.
    pub(super) fn last(&self, history: History) -> Zxid {
        self.node(history).last.0
    }

    /// Whether a transaction is in a history.
    pub(super) fn has(&self, history: History, txn: Txn) -> bool {
        let up_to = self.up_to(history, txn.0);
        up_to.is_some_and(|up_to| self.node(up_to).last == txn)
    }

    /// A history and one more transaction.
    pub(super) fn with(&mut self, history: History, txn: Txn) -> History {
        if let Some(known) = self.known.get(&(history, txn)) {
            return *known;
        }
        let len = self.node(history).len + 1;
        let longer = History(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        self.nodes.push(Node {
            before: history,
            len,
            last: txn,
        });
        self.known.insert((history, txn), longer);
        longer
    }

    /// A history and several more.
    pub(super) fn with_all(&mut self, history: History, txns: &[Txn]) -> History {
        txns.iter().fold(history, |h, txn| self.with(h, *txn))
    }

    /// Whether one is the beginning of the other, or the same.
    pub(super) fn begins(&self, one: History, other: History) -> bool {
        let len = self.node(one).len;
        let mut other = other;
        while self.node(other).len > len {
            other = self.node(other).before;
        }
        one == other
    }

    /// The beginning up to a number; none if that transaction is not in it.
    pub(super) fn up_to(&self, history: History, zxid: Zxid) -> Option<History> {
        let mut history = history;
        while self.last(history) > zxid {
            history = self.node(history).before;
        }
        (self.last(history) == zxid).then_some(history)
    }

    /// How far two are the same.
    pub(super) fn common(&self, one: History, other: History) -> History {
        let (mut one, mut other) = (one, other);
        while one != other {
            let (a, b) = (self.node(one), self.node(other));
            if a.len >= b.len {
                one = a.before;
            } else {
                other = b.before;
            }
        }
        one
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histories_that_part_have_their_beginning_in_common() {
        let mut all = Histories::new();
        let txn = |epoch, counter| (Zxid::new(epoch, counter), 7);
        let trunk = all.with_all(History::EMPTY, &[txn(1, 1), txn(1, 2)]);
        let one = all.with(trunk, txn(1, 3));
        let other = all.with(trunk, txn(2, 1));
        assert_eq!(all.common(one, other), trunk);
        assert!(all.begins(trunk, one) && all.begins(trunk, trunk));
        assert!(!all.begins(one, other) && !all.begins(one, trunk));
        assert_eq!(all.up_to(one, Zxid::new(1, 2)), Some(trunk));
        assert_eq!(all.up_to(other, Zxid::new(1, 3)), None);
        assert_eq!(all.with(trunk, txn(2, 1)), other);
    }
}
