//! Whose turn it is: mutex, leader latch, leader selector, and every queue of sequential znodes with so many places.

use super::sequence::{Sequence, sequence};

/// What a contender is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision<'a> {
    /// It is its turn.
    Holds,
    /// Wait until this one is gone, then look again. Nobody else wakes when it goes.
    Waits {
        /// The name of the contender to watch.
        on: &'a str,
    },
    /// Its own znode is not there: the session has ended or somebody deleted it.
    Vanished,
    /// Two contenders bear the last number that a server gives; who came first cannot be told.
    ///
    /// The znode that they stand under must be deleted and made anew.
    Exhausted,
}

/// The turn of `mine` among `children`, where `places` may hold at a time.
///
/// A contender is a child with one of `marks` before its number; other children are not looked at.
#[must_use]
pub fn decide<'a>(children: &'a [String], mine: &str, marks: &[&str], places: u32) -> Decision<'a> {
    let number = |name: &str| marks.iter().find_map(|mark| sequence(name, mark));
    let Some(own) = number(mine) else {
        return Decision::Vanished;
    };
    let mut is_there = false;
    let mut before: Vec<(u32, &'a str)> = Vec::new();
    for child in children {
        let Some(other) = number(child) else {
            continue;
        };
        if child == mine {
            is_there = true;
        } else if let Some(distance) = own.after(other) {
            before.push((distance, child));
        } else if other == own && own == Sequence::LAST {
            return Decision::Exhausted;
        }
    }
    if !is_there {
        return Decision::Vanished;
    }
    let places = places.max(1) as usize;
    if before.len() < places {
        return Decision::Holds;
    }
    // The nearest goes last: with `places` before me I wait for the farthest of the nearest `places`.
    before.sort_unstable();
    Decision::Waits {
        on: before[places - 1].1,
    }
}

/// The contenders in their order, the holder first. Children without a number are left out.
#[must_use]
pub fn in_order<'a>(children: &'a [String], marks: &[&str]) -> Vec<&'a str> {
    let mut numbered: Vec<(Sequence, &'a str)> = children
        .iter()
        .filter_map(|name| {
            let found = marks.iter().find_map(|mark| sequence(name, mark));
            found.map(|number| (number, name.as_str()))
        })
        .collect();
    // Round the overflow there is no least number, only one that comes first among those present.
    let wraps =
        numbered.iter().any(|(n, _)| n.0 < 0) && numbered.iter().any(|(n, _)| n.0 > i32::MAX / 2);
    let key = |number: Sequence| {
        if wraps {
            i64::from(number.0.cast_unsigned())
        } else {
            i64::from(number.0)
        }
    };
    numbered.sort_unstable_by_key(|(number, name)| (key(*number), *name));
    numbered.into_iter().map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKS: &[&str] = &["lock-", "__lock__"];

    fn names(numbers: &[i32]) -> Vec<String> {
        numbers.iter().map(|n| name(*n)).collect()
    }

    fn name(number: i32) -> String {
        format!("_c_{:x}-lock-{}", number.wrapping_mul(7_919), java(number))
    }

    /// `%010d` with the sign within the width.
    fn java(number: i32) -> String {
        if number < 0 {
            format!("-{:09}", number.unsigned_abs())
        } else {
            format!("{number:010}")
        }
    }

    #[test]
    fn the_first_holds_and_each_other_waits_on_the_one_before() {
        let children = names(&[9, 3, 7]);
        assert_eq!(decide(&children, &name(3), MARKS, 1), Decision::Holds);
        assert_eq!(
            decide(&children, &name(7), MARKS, 1),
            Decision::Waits { on: &name(3) }
        );
        assert_eq!(
            decide(&children, &name(9), MARKS, 1),
            Decision::Waits { on: &name(7) }
        );
    }

    #[test]
    fn in_every_queue_exactly_so_many_hold_as_there_are_places() {
        // All subsets of eight numbers round the overflow, with one to four places.
        let numbers: Vec<i32> = (0..8).map(|n| (i32::MAX - 3).wrapping_add(n)).collect();
        for subset in 1_u32..256 {
            let chosen: Vec<i32> = (0..8)
                .filter(|n| subset & (1 << n) != 0)
                .map(|n| numbers[n])
                .collect();
            let children = names(&chosen);
            for places in 1..=4 {
                let holders = chosen
                    .iter()
                    .filter(|n| decide(&children, &name(**n), MARKS, places) == Decision::Holds);
                assert_eq!(
                    holders.count(),
                    chosen.len().min(places as usize),
                    "{chosen:?} {places}"
                );
            }
        }
    }

    #[test]
    fn nobody_is_woken_twice_by_the_same_release() {
        let numbers = [1, 4, 5, 6, 9, 12];
        let children = names(&numbers);
        for places in 1..=3 {
            let mut watched: Vec<&str> = numbers
                .iter()
                .filter_map(|n| match decide(&children, &name(*n), MARKS, places) {
                    Decision::Waits { on } => Some(on),
                    _ => None,
                })
                .collect();
            let all = watched.len();
            watched.sort_unstable();
            watched.dedup();
            assert_eq!(watched.len(), all);
        }
    }

    #[test]
    fn without_its_znode_nobody_holds() {
        assert_eq!(decide(&names(&[2]), &name(1), MARKS, 1), Decision::Vanished);
        assert_eq!(decide(&[], "nonsense", MARKS, 1), Decision::Vanished);
    }

    #[test]
    fn contenders_of_another_library_stand_in_the_same_queue() {
        let mut children = names(&[5]);
        children.push("8e0c__lock__0000000004".to_owned());
        children.push("unrelated".to_owned());
        assert_eq!(
            decide(&children, &name(5), MARKS, 1),
            Decision::Waits {
                on: "8e0c__lock__0000000004"
            }
        );
    }

    #[test]
    fn two_with_the_last_number_never_both_hold() {
        let children = vec![
            "_c_a-lock-2147483647".to_owned(),
            "_c_b-lock-2147483647".to_owned(),
        ];
        for mine in &children {
            assert_eq!(decide(&children, mine, MARKS, 1), Decision::Exhausted);
        }
        assert_eq!(
            decide(&children[..1], &children[0], MARKS, 1),
            Decision::Holds
        );
    }

    #[test]
    fn the_order_goes_round_the_overflow() {
        let children = names(&[i32::MIN + 1, i32::MAX, i32::MIN]);
        assert_eq!(
            in_order(&children, MARKS),
            [name(i32::MAX), name(i32::MIN), name(i32::MIN + 1)]
        );
        let children = names(&[0, -1, 3]);
        assert_eq!(in_order(&children, MARKS), [name(-1), name(0), name(3)]);
    }
}
