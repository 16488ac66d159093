//! Each ACL list once, referred to by number.
//!
//! Reference counts are derived from the znodes, never stored (P50). While an image is written, no entry that it may
//! hold is dropped and no number is given out again, so that the table and the znodes of the image always agree.

use std::hash::BuildHasher;

use foldhash::quality::FixedState;
use hashbrown::HashTable;
use zabra_proto::{Acl, Perms};

/// A list in the ACL table of one tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AclId(pub(crate) u32);

impl AclId {
    /// What znodes have that were made without a list: open to everyone. −1 in snapshots, not in the table.
    pub const OPEN: Self = Self(0);

    /// The key in snapshots.
    #[must_use]
    pub const fn key(self) -> i64 {
        if self.0 == 0 { -1 } else { self.0 as i64 }
    }
}

pub(crate) struct AclTable {
    hasher: FixedState,
    /// Invariant: entry 0 is the open list and never dropped.
    entries: Vec<Entry>,
    /// Entries but the first, by their list.
    by_list: HashTable<u32>,
    vacant: Vec<u32>,
    /// While set, entries are kept without references, and vacant numbers are not used.
    pinned: bool,
    /// Entries that lost their last reference while pinned.
    dying: Vec<u32>,
    /// The entry asked for last: most creates in a row use one list.
    recent: u32,
}

struct Entry {
    /// `None` for a number that is not in use.
    list: Option<Box<[Acl<'static>]>>,
    references: u32,
}

impl AclTable {
    pub(crate) fn new(seed: u64) -> Self {
        let open = Entry {
            list: Some(Box::new([Acl::world(Perms::ALL)])),
            references: 0,
        };
        Self {
            hasher: FixedState::with_seed(seed),
            entries: vec![open],
            by_list: HashTable::new(),
            vacant: Vec::new(),
            pinned: false,
            dying: Vec::new(),
            recent: 0,
        }
    }

    pub(crate) fn list(&self, id: AclId) -> &[Acl<'static>] {
        self.get(id.0).unwrap_or(NOBODY)
    }

    /// The list with this number, if there is one now.
    pub(crate) fn get(&self, id: u32) -> Option<&[Acl<'static>]> {
        self.entries.get(id as usize)?.list.as_deref()
    }

    /// Number of lists, the open one left out.
    pub(crate) fn len(&self) -> usize {
        self.by_list.len()
    }

    /// The number of a list, with one reference more. `None` is the open list.
    pub(crate) fn acquire(&mut self, list: Option<&[Acl<'_>]>) -> AclId {
        let Some(list) = list else {
            return AclId::OPEN;
        };
        let id = self.intern(list);
        self.recent = id.0;
        self.entries[id.0 as usize].references += 1;
        id
    }

    fn intern(&mut self, list: &[Acl<'_>]) -> AclId {
        if self.recent != 0 && self.get(self.recent) == Some(list) {
            return AclId(self.recent);
        }
        let hash = hash_list(&self.hasher, list);
        if let Some(id) = self.by_list.find(hash, |id| self.get(*id) == Some(list)) {
            return AclId(*id);
        }
        let entry = Entry {
            list: Some(list.iter().cloned().map(Acl::into_owned).collect()),
            references: 0,
        };
        let vacant = if self.pinned { None } else { self.vacant.pop() };
        let id = match vacant {
            Some(id) => {
                self.entries[id as usize] = entry;
                id
            }
            None => {
                self.entries.push(entry);
                (self.entries.len() - 1) as u32
            }
        };
        let Self {
            hasher,
            entries,
            by_list,
            ..
        } = self;
        by_list.insert_unique(hash, id, |id| {
            hash_list(
                hasher,
                entries[*id as usize].list.as_deref().unwrap_or_default(),
            )
        });
        AclId(id)
    }

    /// One reference less; the last one takes the entry along.
    pub(crate) fn release(&mut self, id: AclId) {
        if id == AclId::OPEN {
            return;
        }
        let entry = &mut self.entries[id.0 as usize];
        debug_assert!(entry.references > 0);
        entry.references -= 1;
        if entry.references == 0 {
            if self.pinned {
                self.dying.push(id.0);
            } else {
                self.drop_entry(id.0);
            }
        }
    }

    /// One reference more to a known list.
    pub(crate) fn retain(&mut self, id: AclId) {
        if id != AclId::OPEN {
            self.entries[id.0 as usize].references += 1;
        }
    }

    /// Takes a list out that has no references.
    fn drop_entry(&mut self, id: u32) {
        let Some(list) = self.entries[id as usize].list.take() else {
            return;
        };
        if let Ok(found) = self
            .by_list
            .find_entry(hash_list(&self.hasher, &list), |other| *other == id)
        {
            found.remove();
        }
        self.vacant.push(id);
        if self.recent == id {
            self.recent = 0;
        }
    }

    /// Adds a list that may get references later; [`Self::drop_unused`] takes it away again if it gets none.
    pub(crate) fn preload(&mut self, list: &[Acl<'_>]) -> AclId {
        self.intern(list)
    }

    pub(crate) fn drop_unused(&mut self) {
        for id in 1..self.end() {
            if self.entries[id as usize].references == 0 {
                self.drop_entry(id);
            }
        }
    }

    pub(crate) fn pin(&mut self) {
        self.pinned = true;
    }

    pub(crate) fn unpin(&mut self) {
        self.pinned = false;
        for id in std::mem::take(&mut self.dying) {
            // It may have come back, and it may be listed twice.
            if self.entries[id as usize].references == 0 {
                self.drop_entry(id);
            }
        }
    }

    /// One past the highest number.
    pub(crate) fn end(&self) -> u32 {
        self.entries.len() as u32
    }
}

/// A list that grants nothing: what a znode has whose list is missing. Access is closed, never open (P50).
pub(crate) const NOBODY: &[Acl<'static>] = &[Acl::world(Perms(0))];

fn hash_list(hasher: &FixedState, list: &[Acl<'_>]) -> u64 {
    hasher.hash_one(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(id: &'static str) -> Vec<Acl<'static>> {
        vec![Acl {
            perms: Perms::READ,
            scheme: "digest".into(),
            id: id.into(),
        }]
    }

    #[test]
    fn a_list_is_kept_once_and_goes_with_its_last_reference() {
        let mut table = AclTable::new(1);
        let a = table.acquire(Some(&list("a:x")));
        let b = table.acquire(Some(&list("b:x")));
        assert_eq!((a.key(), b.key()), (1, 2));
        assert_eq!(table.acquire(Some(&list("a:x"))), a);
        table.release(a);
        assert_eq!(table.list(a), list("a:x"));
        table.release(a);
        assert_eq!(table.len(), 1);
        assert_eq!(table.list(a), NOBODY);
        assert_eq!(
            table.acquire(Some(&list("c:x"))),
            a,
            "the number is free again"
        );
        table.release(b);
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn no_list_is_open_and_an_open_list_is_ordinary() {
        let mut table = AclTable::new(1);
        let none = table.acquire(None);
        assert_eq!((none, none.key()), (AclId::OPEN, -1));
        assert_eq!(table.list(none), [Acl::world(Perms::ALL)]);
        let asked = table.acquire(Some(&[Acl::world(Perms::ALL)]));
        assert_eq!(asked.key(), 1);
        let empty = table.acquire(Some(&[]));
        assert_eq!(table.list(empty), []);
        table.release(empty);
        table.release(none);
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn while_pinned_no_number_changes_its_meaning() {
        let mut table = AclTable::new(1);
        let a = table.acquire(Some(&list("a:x")));
        let b = table.acquire(Some(&list("b:x")));
        let free = table.acquire(Some(&list("free")));
        table.release(free);
        table.pin();
        table.release(a);
        table.release(b);
        assert_eq!(table.list(a), list("a:x"));
        let c = table.acquire(Some(&list("c:x")));
        assert_eq!(c.key(), 4);
        assert_eq!(table.acquire(Some(&list("b:x"))), b, "it came back");
        table.unpin();
        assert_eq!(table.list(a), NOBODY);
        assert_eq!(table.list(b), list("b:x"));
        assert_eq!(table.len(), 2);
    }
}
