//! What a session asks next.

use std::ops::Range;

use crate::weights::{Kind, Weights};

/// One session's choice of requests. A request is the number of its template and a key.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// A random key of so many.
    Random { rng: Rng, keys: u64 },
    /// A random key; template 0 in so many of a hundred cases, else template 1.
    Mix { rng: Rng, keys: u64, percent: u8 },
    /// Templates by weight. Set, get and list take a random key of so many. Create takes the key behind those in `own`,
    /// which are the znodes that are there because of it; delete takes the first of them, and creates if there is none.
    Blend {
        rng: Rng,
        keys: u64,
        weights: Weights,
        own: Range<u64>,
    },
    /// Each key of these ranges, then nothing.
    Keys(Vec<Range<u64>>),
}

impl Source {
    /// The next request; `None` when there is nothing left to ask.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<(u8, u64)> {
        match self {
            Self::Random { rng, keys } => Some((0, rng.below(*keys))),
            Self::Mix { rng, keys, percent } => {
                let template = u8::from(rng.below(100) >= u64::from(*percent));
                Some((template, rng.below(*keys)))
            }
            Self::Blend {
                rng,
                keys,
                weights,
                own,
            } => {
                let mut kind = weights.pick(rng.below(weights.total()));
                if kind == Kind::Delete && own.is_empty() {
                    kind = Kind::Create;
                }
                let key = match kind {
                    Kind::Delete => own.next()?,
                    Kind::Create => {
                        own.end += 1;
                        own.end - 1
                    }
                    Kind::Set | Kind::Get | Kind::List => rng.below(*keys),
                };
                Some((kind as u8, key))
            }
            Self::Keys(ranges) => loop {
                let range = ranges.last_mut()?;
                match range.next() {
                    Some(key) => return Some((0, key)),
                    None => ranges.pop(),
                };
            },
        }
    }

    /// Each key of one range.
    pub(crate) fn range(keys: Range<u64>) -> Self {
        Self::Keys(std::iter::once(keys).collect())
    }

    /// Deals the keys of `ranges` out to `sessions` sources, in pieces of at most `piece` keys.
    pub(crate) fn dealt(ranges: &[Range<u64>], piece: u64, sessions: usize) -> Vec<Self> {
        let mut hands = vec![Vec::new(); sessions];
        let mut turn = 0;
        for range in ranges {
            let mut start = range.start;
            while start < range.end {
                let end = range.end.min(start + piece);
                hands[turn % sessions].push(start..end);
                turn += 1;
                start = end;
            }
        }
        hands
            .into_iter()
            .map(|mut ranges| {
                // They are taken from the end.
                ranges.reverse();
                Self::Keys(ranges)
            })
            .collect()
    }
}

/// A small random generator (xorshift64*): the choice of a key must cost nothing beside the request.
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    /// A generator for one of many sessions of a seed.
    pub(crate) fn new(seed: u64, session: u64) -> Self {
        // Splitmix64, so that neighbouring seeds have nothing in common; zero is the one state that never moves.
        let mut z = seed
            .wrapping_add(session.wrapping_mul(0x9e37_79b9_7f4a_7c15))
            .wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self((z ^ (z >> 31)) | 1)
    }

    /// A number below `limit`.
    #[inline]
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let random = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d);
        ((u128::from(random) * u128::from(limit)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_keys_cover_the_whole_range_and_nothing_else() {
        let mut rng = Rng::new(1, 2);
        let mut seen = [false; 100];
        for _ in 0..5_000 {
            seen[usize::try_from(rng.below(100)).unwrap()] = true;
        }
        assert!(seen.iter().all(|seen| *seen));
    }

    #[test]
    fn a_mix_has_its_share_of_reads() {
        let mut source = Source::Mix {
            rng: Rng::new(3, 0),
            keys: 10,
            percent: 80,
        };
        let reads = (0..10_000)
            .filter(|_| source.next().unwrap().0 == 0)
            .count();
        assert!((7_800..8_200).contains(&reads), "{reads}");
    }

    #[test]
    fn a_blend_deletes_what_it_created_oldest_first() {
        let mut source = Source::Blend {
            rng: Rng::new(5, 0),
            keys: 10,
            weights: "create=1,set=1,delete=1".parse().unwrap(),
            own: 100..100,
        };
        let mut there = 100..100;
        for _ in 0..10_000 {
            match source.next().unwrap() {
                (0, key) => {
                    assert_eq!(key, there.end);
                    there.end += 1;
                }
                (4, key) => assert_eq!(Some(key), there.next()),
                (template, key) => assert!(template == 1 && key < 10),
            }
        }
        assert!(there.end - there.start < 500, "{there:?}");
    }

    #[test]
    fn every_key_is_dealt_once() {
        let mut keys = Vec::new();
        for mut source in Source::dealt(&[0..10, 100..107, 5..5], 4, 3) {
            while let Some((template, key)) = source.next() {
                assert_eq!(template, 0);
                keys.push(key);
            }
        }
        keys.sort_unstable();
        assert_eq!(keys, (0..10).chain(100..107).collect::<Vec<u64>>());
    }
}
