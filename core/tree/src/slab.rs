//! A slab in pages: growing it never moves what is in it, so that no write pays for a copy of everything.
//!
//! Slots are named by `u32` and used again. Vacant slots are chained through the values themselves, so that a mass
//! delete needs no memory.

use std::ops::{Index, IndexMut};

/// No slot.
pub(crate) const NIL: u32 = u32::MAX;

/// Something that lives in a [`Slab`].
pub(crate) trait Slot {
    /// A vacant slot that names the next vacant one ([`NIL`] for none).
    fn vacant(next: u32) -> Self;

    /// The next vacant slot, if this one is vacant.
    fn next_vacant(&self) -> Option<u32>;
}

/// The slab.
pub(crate) struct Slab<T> {
    /// Invariant: every page but the last holds `PAGE` values.
    pages: Vec<Vec<T>>,
    first_vacant: u32,
    len: u32,
}

const PAGE_BITS: u32 = 12;
const PAGE: usize = 1 << PAGE_BITS;

impl<T: Slot> Slab<T> {
    pub(crate) const fn new() -> Self {
        Self {
            pages: Vec::new(),
            first_vacant: NIL,
            len: 0,
        }
    }

    /// Number of values.
    pub(crate) const fn len(&self) -> usize {
        self.len as usize
    }

    /// Number of slots ever used: every value's slot is below.
    pub(crate) fn slots(&self) -> u32 {
        match self.pages.last() {
            Some(last) => (((self.pages.len() - 1) << PAGE_BITS) + last.len()) as u32,
            None => 0,
        }
    }

    /// The value in a slot, if the slot exists and is not vacant.
    pub(crate) fn get(&self, slot: u32) -> Option<&T> {
        let value = self
            .pages
            .get((slot >> PAGE_BITS) as usize)?
            .get(slot as usize & (PAGE - 1))?;
        value.next_vacant().is_none().then_some(value)
    }

    pub(crate) fn insert(&mut self, value: T) -> u32 {
        self.len += 1;
        if self.first_vacant != NIL {
            let slot = self.first_vacant;
            self.first_vacant = self[slot].next_vacant().unwrap_or(NIL);
            self[slot] = value;
            return slot;
        }
        let slot = self.slots();
        assert!(slot < NIL, "a tree holds less than 2^32 znodes");
        if self.pages.last().is_none_or(|page| page.len() == PAGE) {
            self.pages.push(Vec::with_capacity(PAGE));
        }
        if let Some(page) = self.pages.last_mut() {
            page.push(value);
        }
        slot
    }

    /// Takes a value out. The slot must be occupied.
    pub(crate) fn remove(&mut self, slot: u32) -> T {
        debug_assert!(self[slot].next_vacant().is_none());
        let vacant = T::vacant(self.first_vacant);
        self.first_vacant = slot;
        self.len -= 1;
        std::mem::replace(&mut self[slot], vacant)
    }
}

impl<T> Index<u32> for Slab<T> {
    type Output = T;

    fn index(&self, slot: u32) -> &T {
        &self.pages[(slot >> PAGE_BITS) as usize][slot as usize & (PAGE - 1)]
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, slot: u32) -> &mut T {
        &mut self.pages[(slot >> PAGE_BITS) as usize][slot as usize & (PAGE - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    enum Cell {
        Vacant(u32),
        Value(u32),
    }

    impl Slot for Cell {
        fn vacant(next: u32) -> Self {
            Self::Vacant(next)
        }

        fn next_vacant(&self) -> Option<u32> {
            match self {
                Self::Vacant(next) => Some(*next),
                Self::Value(_) => None,
            }
        }
    }

    #[test]
    fn vacant_slots_are_used_again_before_the_slab_grows() {
        let mut slab = Slab::new();
        let slots: Vec<u32> = (0..5).map(|n| slab.insert(Cell::Value(n))).collect();
        assert_eq!(slots, [0, 1, 2, 3, 4]);
        assert_eq!(slab.remove(1), Cell::Value(1));
        assert_eq!(slab.remove(3), Cell::Value(3));
        assert_eq!(slab.get(3), None);
        assert_eq!(slab.len(), 3);
        assert_eq!(slab.insert(Cell::Value(30)), 3);
        assert_eq!(slab.insert(Cell::Value(10)), 1);
        assert_eq!(slab.insert(Cell::Value(50)), 5);
        assert_eq!(slab.slots(), 6);
    }

    #[test]
    fn values_stay_where_they_are_over_many_pages() {
        let mut slab = Slab::new();
        let many = (3 * PAGE + 7) as u32;
        for n in 0..many {
            assert_eq!(slab.insert(Cell::Value(n)), n);
        }
        assert!((0..many).all(|n| slab[n] == Cell::Value(n)));
        assert_eq!(slab.slots(), many);
        assert_eq!(slab.get(many), None);
        assert_eq!(slab.get(NIL), None);
    }
}
