//! The numbers that a server appends to sequential znodes, their order, and the names around them.
//!
//! A server prints the parent's counter with ten digits. Beyond 2147483647 an ensemble of 3.4 or 3.5 goes on with negative
//! numbers; from 3.6 on the counter stays where it is, and all later znodes bear the same number (protocol 8.2).

/// The number at the end of a sequential znode's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sequence(pub i32);

impl Sequence {
    /// The last number before the counter wraps or sticks.
    pub const LAST: Self = Self(i32::MAX);

    /// How many creates this one came after `other`; `None` if it did not.
    ///
    /// Counted round the overflow: those who stand in one queue at one time are never 2³¹ creates apart.
    #[must_use]
    pub const fn after(self, other: Self) -> Option<u32> {
        let distance = self.0.wrapping_sub(other.0);
        if distance > 0 {
            Some(distance.cast_unsigned())
        } else {
            None
        }
    }
}

/// The number behind the last `mark` in `name`; `None` if the mark is not there or no number follows.
///
/// ```
/// use zabra_recipes::decide::sequence::{Sequence, sequence};
/// assert_eq!(sequence("_c_3c1e-lock-0000000007", "lock-"), Some(Sequence(7)));
/// ```
#[must_use]
pub fn sequence(name: &str, mark: &str) -> Option<Sequence> {
    let at = name.rfind(mark)? + mark.len();
    number(&name[at..]).map(Sequence)
}

/// As `%010d` prints it: ten characters or more, all digits but a sign in front.
fn number(text: &str) -> Option<i32> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_number = text.len() >= 10 && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// The last ten or eleven characters of a name, for recipes whose names have no fixed mark.
#[must_use]
pub fn trailing(name: &str) -> Option<Sequence> {
    let digits = name.bytes().rev().take_while(u8::is_ascii_digit).count();
    let at = name.len() - digits.min(10);
    let number: i32 = (digits >= 10).then(|| name[at..].parse().ok()).flatten()?;
    Some(Sequence(number))
}

/// The name without the `_c_<uuid>-` of a protected create.
#[must_use]
pub fn unprotected(name: &str) -> &str {
    let Some(rest) = name.strip_prefix(PROTECTED) else {
        return name;
    };
    match rest.as_bytes().get(UUID_LENGTH) {
        Some(b'-') if rest.is_char_boundary(UUID_LENGTH) => &rest[UUID_LENGTH + 1..],
        _ => name,
    }
}

/// The one among `children` whose name begins with the prefix of this protected create.
///
/// A create whose answer was lost may have been applied: this finds out.
#[must_use]
pub fn find_protected<'a>(children: &'a [String], prefix: &str) -> Option<&'a str> {
    children
        .iter()
        .map(String::as_str)
        .find(|name| name.starts_with(prefix))
}

/// What the name of a protected create begins with, before its UUID.
pub const PROTECTED: &str = "_c_";

/// Characters of a UUID with its dashes.
const UUID_LENGTH: usize = 36;

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "11d3ba37-33c4-4b6a-9c1e-94ae7a6f1f7c";

    #[test]
    fn a_number_stands_behind_the_last_mark() {
        assert_eq!(
            sequence("lock-lock-0000000012", "lock-"),
            Some(Sequence(12))
        );
        assert_eq!(
            sequence("abc__lock__0000000003", "__lock__"),
            Some(Sequence(3))
        );
    }

    #[test]
    fn names_of_others_have_no_number() {
        for name in [
            "lock-",
            "lock-1",
            "lock-00000000x1",
            "latch-0000000001",
            "lock-99999999999",
            "lock-+000000001",
        ] {
            assert_eq!(sequence(name, "lock-"), None, "{name}");
        }
    }

    #[test]
    fn negative_numbers_come_after_the_last_positive_one() {
        let last = sequence("lock-2147483647", "lock-").unwrap();
        let wrapped = sequence("lock--2147483648", "lock-").unwrap();
        let later = sequence("lock--000000001", "lock-").unwrap();
        assert_eq!(later, Sequence(-1));
        assert_eq!(wrapped.after(last), Some(1));
        assert_eq!(last.after(wrapped), None);
        assert!(later.after(wrapped).is_some());
        assert!(Sequence(0).after(later).is_some());
    }

    #[test]
    fn order_is_strict() {
        for a in [i32::MIN, -1, 0, 1, i32::MAX] {
            assert_eq!(Sequence(a).after(Sequence(a)), None);
        }
    }

    #[test]
    fn the_prefix_of_a_protected_create_comes_off() {
        assert_eq!(
            unprotected(&format!("_c_{UUID}-lock-0000000001")),
            "lock-0000000001"
        );
        for kept in ["lock-1", "_c_short-lock-1", "_c_"] {
            assert_eq!(unprotected(kept), kept);
        }
        assert_eq!(
            unprotected("_c_ääääääääääääääääääääääääääääääääääää-x"),
            "_c_ääääääääääääääääääääääääääääääääääää-x"
        );
    }

    #[test]
    fn a_trailing_number_has_ten_digits() {
        assert_eq!(trailing("queue-0000000004"), Some(Sequence(4)));
        assert_eq!(trailing("queue-1000000010000000004"), Some(Sequence(4)));
        assert_eq!(trailing("queue-4"), None);
    }
}
