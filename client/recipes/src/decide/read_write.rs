//! Whose turn it is at a read/write lock: many readers, or one writer, in the order of their requests.

use super::lock::Decision;
use super::sequence::{Sequence, sequence};

/// What stands before the number of a reader.
pub const READ: &str = "__READ__";
/// What stands before the number of a writer.
pub const WRITE: &str = "__WRIT__";

/// Which side of the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Shares the lock with other readers.
    Read,
    /// Has it alone.
    Write,
}

impl Side {
    /// What stands before the number.
    #[must_use]
    pub const fn mark(self) -> &'static str {
        match self {
            Self::Read => READ,
            Self::Write => WRITE,
        }
    }
}

/// Side and number of a contender.
fn place(name: &str) -> Option<(Side, Sequence)> {
    [Side::Read, Side::Write]
        .into_iter()
        .find_map(|side| sequence(name, side.mark()).map(|number| (side, number)))
}

/// The turn of `mine` among `children`.
///
/// A writer waits for everyone before it; a reader for writers only, and watches the nearest. A reader with the number of
/// a writer is what became of that writer, and stands beside it.
#[must_use]
pub fn decide<'a>(children: &'a [String], mine: &str) -> Decision<'a> {
    let Some((side, own)) = place(mine) else {
        return Decision::Vanished;
    };
    if !children.iter().any(|child| child == mine) {
        return Decision::Vanished;
    }
    let mut nearest: Option<(u32, &'a str)> = None;
    for child in children {
        let Some((other_side, other)) = place(child) else {
            continue;
        };
        if child == mine || (side, other_side) == (Side::Read, Side::Read) {
            continue;
        }
        if other == own && own == Sequence::LAST {
            return Decision::Exhausted;
        }
        if let Some(distance) = own.after(other)
            && nearest.is_none_or(|(least, _)| distance < least)
        {
            nearest = Some((distance, child));
        }
    }
    match nearest {
        None => Decision::Holds,
        Some((_, on)) => Decision::Waits { on },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(sides: &str) -> Vec<String> {
        let name = |(number, side): (usize, char)| {
            let mark = if side == 'r' { READ } else { WRITE };
            format!("_c_{}-{mark}{number:010}", number * 31 % 7)
        };
        sides.chars().enumerate().map(name).collect()
    }

    #[test]
    fn readers_before_the_first_writer_share_it() {
        let children = queue("rrwr");
        assert_eq!(decide(&children, &children[0]), Decision::Holds);
        assert_eq!(decide(&children, &children[1]), Decision::Holds);
        assert_eq!(
            decide(&children, &children[2]),
            Decision::Waits { on: &children[1] }
        );
        assert_eq!(
            decide(&children, &children[3]),
            Decision::Waits { on: &children[2] }
        );
    }

    #[test]
    fn in_no_queue_does_a_writer_hold_beside_anyone() {
        for shape in 0_u32..256 {
            let sides: String = (0..8)
                .map(|n| if shape & (1 << n) == 0 { 'r' } else { 'w' })
                .collect();
            let children = queue(&sides);
            let holders: Vec<&String> = children
                .iter()
                .filter(|c| decide(&children, c) == Decision::Holds)
                .collect();
            assert!(!holders.is_empty(), "{sides}: somebody holds");
            let writes = holders.iter().any(|name| name.contains(WRITE));
            assert!(!writes || holders.len() == 1, "{sides}");
        }
    }

    #[test]
    fn every_release_in_order_lets_the_next_in() {
        for shape in 0_u32..64 {
            let sides: String = (0..6)
                .map(|n| if shape & (1 << n) == 0 { 'r' } else { 'w' })
                .collect();
            let mut children = queue(&sides);
            while !children.is_empty() {
                let first = children[0].clone();
                assert_eq!(decide(&children, &first), Decision::Holds);
                children.remove(0);
            }
        }
    }

    #[test]
    fn a_writer_that_became_a_reader_keeps_its_place() {
        let children = vec![
            format!("_c_a-{WRITE}0000000004"),
            format!("_c_b-{READ}0000000004"),
            format!("_c_c-{WRITE}0000000005"),
        ];
        assert_eq!(decide(&children, &children[1]), Decision::Holds);
        assert!(matches!(
            decide(&children, &children[2]),
            Decision::Waits { .. }
        ));
        assert_eq!(
            decide(&children[1..], &children[2]),
            Decision::Waits { on: &children[1] }
        );
    }
}
