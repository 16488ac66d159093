//! Calls that wait for their replies, in the order in which they were made.

use std::collections::VecDeque;

use zabra_proto::{MonoMillis, RemoveWatchesKind, Xid};

use crate::WatcherId;

/// What a successful reply means beyond its body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum After {
    /// Nothing.
    #[default]
    Nothing,
    /// A watch is set from the moment of the reply on.
    Watch(Box<WatchAsk>),
    /// Watches are gone.
    Remove(Box<Removal>),
}

/// A watch that comes with a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchAsk {
    /// Whose it is; none if nobody waits for it any more.
    pub watcher: Option<WatcherId>,
    /// Where, as the server knows it.
    pub path: String,
    /// Which; a watch for a znode's existence becomes one of its data, if it exists.
    pub kind: crate::WatchKind,
}

/// Watches that go with a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// Where, as the server knows it.
    pub path: String,
    /// Which.
    pub kind: RemoveWatchesKind,
    /// Whether they go here even if no server could be asked.
    pub local: bool,
}

/// Whose reply it will be.
#[derive(Debug)]
pub(crate) enum Whose<C> {
    /// A call's; none when it has been answered already, since it took too long.
    Call(Option<C>),
    /// Of a registration of watches.
    Registration,
    /// Of the end of the session.
    Close(Option<C>),
}

/// A request without a reply.
#[derive(Debug)]
pub(crate) struct Entry<C> {
    pub(crate) xid: Xid,
    pub(crate) whose: Whose<C>,
    pub(crate) after: After,
    /// When the call was made.
    pub(crate) at: MonoMillis,
}

/// Requests without replies, oldest first.
#[derive(Debug)]
pub(crate) struct Pending<C> {
    entries: VecDeque<Entry<C>>,
    /// Invariant: so many of the oldest calls have been answered, since they took too long.
    overdue: usize,
    last_xid: i32,
}

impl<C> Default for Pending<C> {
    fn default() -> Self {
        Self {
            entries: VecDeque::new(),
            overdue: 0,
            last_xid: 0,
        }
    }
}

impl<C> Pending<C> {
    /// The number for the next request: from 1 up, and 1 again after the last (features SE-10).
    pub(crate) fn next_xid(&mut self) -> Xid {
        self.last_xid = self.last_xid.checked_add(1).unwrap_or(1);
        Xid(self.last_xid)
    }

    pub(crate) fn push(&mut self, entry: Entry<C>) {
        self.entries.push_back(entry);
    }

    /// Puts requests in front of those that wait for a connection.
    pub(crate) fn push_front(&mut self, entry: Entry<C>) {
        self.entries.push_front(entry);
        // What is answered already stays so; the count is of the front.
        if self.overdue > 0 {
            self.overdue += 1;
        }
    }

    /// The request that a reply must be for.
    pub(crate) fn front(&self) -> Option<&Entry<C>> {
        self.entries.front()
    }

    pub(crate) fn pop(&mut self) -> Option<Entry<C>> {
        self.overdue = self.overdue.saturating_sub(1);
        self.entries.pop_front()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// All of them, oldest first; nothing waits any more.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Entry<C>> {
        self.overdue = 0;
        std::mem::take(&mut self.entries).into_iter()
    }

    /// Since when the oldest call waits that nobody has answered.
    pub(crate) fn oldest(&self) -> Option<MonoMillis> {
        self.entries.get(self.overdue).map(|entry| entry.at)
    }

    /// The calls that were made at `before` or earlier. Their entries stay, to be matched with late replies.
    pub(crate) fn take_overdue(&mut self, before: MonoMillis) -> Vec<C> {
        let mut calls = Vec::new();
        while let Some(entry) = self.entries.get_mut(self.overdue)
            && entry.at <= before
        {
            self.overdue += 1;
            if let Whose::Call(call) = &mut entry.whose {
                calls.extend(call.take());
            }
        }
        calls
    }

    /// The watches that come with calls at this path.
    pub(crate) fn watch_asks(&mut self, path: &str) -> impl Iterator<Item = &mut WatchAsk> {
        self.entries
            .iter_mut()
            .filter_map(move |entry| match &mut entry.after {
                After::Watch(ask) if ask.path == path => Some(&mut **ask),
                _ => None,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xids_begin_at_one_and_begin_again() {
        let mut pending: Pending<()> = Pending::default();
        assert_eq!(pending.next_xid(), Xid(1));
        pending.last_xid = i32::MAX - 1;
        assert_eq!(pending.next_xid(), Xid(i32::MAX));
        assert_eq!(pending.next_xid(), Xid(1));
    }
}
