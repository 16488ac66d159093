//! Finds a znode's slot by the hash of its whole path.
//!
//! The index is cut into many small tables, so that growth is never more than the doubling of one of them. Their
//! shares of the paths differ by up to a factor of two, so that they do not all double at the same time: the load,
//! and with it the memory for each znode, stays even at every size.

use std::hash::{BuildHasher, Hasher};

use foldhash::quality::FixedState;
use hashbrown::HashTable;

/// The index. It holds hashes and slots, never paths: the caller compares.
pub(crate) struct PathIndex {
    hasher: FixedState,
    shards: Vec<HashTable<Entry>>,
}

#[derive(Clone, Copy)]
struct Entry {
    hash: PathHash,
    slot: u32,
}

/// The hash of a path under this index's seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PathHash(u32);

const SHARDS: u32 = 1024;

impl PathHash {
    /// The shard: `SHARDS * log2(1 + u)`, nearly, for the hash as a fraction u. The slope falls from 4/3 to 2/3, so the
    /// largest shard is twice the smallest.
    const fn shard(self) -> usize {
        let u = self.0 >> 16;
        let bulge = (u * (0x1_0000 - u)) >> 16;
        let log = u + ((bulge * 11) >> 5);
        ((log * SHARDS) >> 16) as usize
    }

    /// What hashbrown places by: low bits for the bucket, high bits for the tag.
    const fn spread(self) -> u64 {
        (self.0 as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

impl PathIndex {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            hasher: FixedState::with_seed(seed),
            shards: (0..SHARDS).map(|_| HashTable::new()).collect(),
        }
    }

    pub(crate) fn hash(&self, path: &[u8]) -> PathHash {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(path);
        PathHash((hasher.finish() >> 32) as u32)
    }

    /// The slot with this hash for which `is_it` holds.
    pub(crate) fn find(&self, hash: PathHash, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        self.shards[hash.shard()]
            .find(hash.spread(), |entry| {
                entry.hash == hash && is_it(entry.slot)
            })
            .map(|entry| entry.slot)
    }

    pub(crate) fn insert(&mut self, hash: PathHash, slot: u32) {
        self.shards[hash.shard()].insert_unique(hash.spread(), Entry { hash, slot }, |entry| {
            entry.hash.spread()
        });
    }

    pub(crate) fn remove(&mut self, hash: PathHash, slot: u32) {
        let found = self.shards[hash.shard()].find_entry(hash.spread(), |entry| entry.slot == slot);
        debug_assert!(found.is_ok());
        if let Ok(entry) = found {
            entry.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hash_has_a_shard_and_shares_differ_by_two() {
        let mut shares = vec![0u32; SHARDS as usize];
        let mut last = 0;
        for high in 0..=0xffff_u32 {
            let shard = PathHash(high << 16).shard();
            assert!(shard >= last);
            last = shard;
            shares[shard] += 1;
        }
        assert_eq!(last, SHARDS as usize - 1);
        let (least, most) = (shares.iter().min(), shares.iter().max());
        assert!(
            least >= Some(&46) && most <= Some(&98),
            "{least:?} {most:?}"
        );
    }

    #[test]
    fn what_went_in_is_found_until_it_goes_out() {
        let mut index = PathIndex::new(7);
        let paths: Vec<String> = (0..10_000).map(|n| format!("/app/node-{n}")).collect();
        for (slot, path) in paths.iter().enumerate() {
            index.insert(index.hash(path.as_bytes()), slot as u32);
        }
        let find = |index: &PathIndex, path: &str| {
            index.find(index.hash(path.as_bytes()), |s| paths[s as usize] == path)
        };
        for (slot, path) in paths.iter().enumerate() {
            assert_eq!(find(&index, path), Some(slot as u32));
        }
        for (slot, path) in paths.iter().enumerate().step_by(2) {
            index.remove(index.hash(path.as_bytes()), slot as u32);
        }
        for (slot, path) in paths.iter().enumerate() {
            assert_eq!(find(&index, path), (slot % 2 == 1).then_some(slot as u32));
        }
        assert_eq!(find(&index, "/app"), None);
    }
}
