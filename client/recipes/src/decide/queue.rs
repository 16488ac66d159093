//! Names, order and bytes of the items of a distributed queue, in Curator's layout.
//!
//! | Queue | Name of an item |
//! |---|---|
//! | plain | `queue-<number>` |
//! | with ids | `queue-\|<id>\|<number>` |
//! | with priorities | `queue-<0 or 1><priority, 8 hex digits><number>`, 0 for negative ones |
//! | with delays | `queue-\|<ms since 1970, 8 hex digits or more>\|<number>` |
//!
//! The bytes of an item:
//!
//! | Bytes | Meaning |
//! |---|---|
//! | 4 | 0x00010001 |
//! | 1 + 4 + n, any number of times | 1, length, element |
//! | 1 | 2 |

use thiserror::Error;

/// What every item's name begins with.
pub const ITEM: &str = "queue-";

/// What is before and behind the id in a name.
const SEPARATOR: char = '|';

const VERSION: [u8; 4] = [0, 1, 0, 1];
const ELEMENT: u8 = 1;
const END: u8 = 2;

/// Why the bytes of an item cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not an item of a queue: {what} at byte {at}")]
pub struct ItemError {
    /// What is wrong.
    pub what: &'static str,
    /// Where.
    pub at: usize,
}

/// What the name of an item with this id begins with. Slashes and bars become underscores, as Curator has it.
#[must_use]
pub fn id_prefix(id: &str) -> String {
    let id = id.replace(['/', SEPARATOR], "_");
    format!("{ITEM}{SEPARATOR}{id}{SEPARATOR}")
}

/// What the name of an item with this priority begins with; lower ones come first.
#[must_use]
pub fn priority_prefix(priority: i32) -> String {
    format!("{ITEM}{}{priority:08X}", u8::from(priority >= 0))
}

/// The id in an item's name.
#[must_use]
pub fn id(name: &str) -> Option<&str> {
    let mut parts = name.splitn(3, SEPARATOR);
    let (_, id, _) = (parts.next()?, parts.next()?, parts.next()?);
    Some(id)
}

/// The priority in an item's name.
#[must_use]
pub fn priority(name: &str) -> Option<i32> {
    let digits = name.strip_prefix(ITEM)?.get(1..9)?;
    u32::from_str_radix(digits, 16).ok().map(u32::cast_signed)
}

/// What the name of an item begins with that may be taken from this moment on, in ms since 1970.
#[must_use]
pub fn due_prefix(due_ms: u64) -> String {
    format!("{ITEM}{SEPARATOR}{due_ms:08X}{SEPARATOR}")
}

/// The items of a queue with delays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due<'a> {
    /// Those that may be taken now, in the order of their moments, then of putting.
    pub now: Vec<&'a str>,
    /// The moment of the next one, in ms since 1970.
    pub next_ms: Option<u64>,
}

/// Which items among `children` are due at `now_ms`, in ms since 1970. One whose name says no moment always is.
#[must_use]
pub fn due(children: &[String], now_ms: u64) -> Due<'_> {
    let moment = |name: &str| id(name).and_then(|hex| u64::from_str_radix(hex, 16).ok());
    let items = in_order(children).into_iter();
    let mut items: Vec<(u64, &str)> = items
        .map(|name| (moment(name).unwrap_or(0), name))
        .collect();
    // Stable: those of the same moment stay in the order of putting.
    items.sort_by_key(|(due_ms, _)| *due_ms);
    let at = items.partition_point(|(due_ms, _)| *due_ms <= now_ms);
    Due {
        next_ms: items.get(at).map(|(due_ms, _)| *due_ms),
        now: items[..at].iter().map(|(_, name)| *name).collect(),
    }
}

/// The items among `children` in the order in which they are taken; other children are left out.
#[must_use]
pub fn in_order(children: &[String]) -> Vec<&str> {
    let mut items: Vec<&str> = children
        .iter()
        .map(String::as_str)
        .filter(|name| name.starts_with(ITEM))
        .collect();
    items.sort_by_key(|name| without_id(name));
    items
}

/// The name without its id: what the order goes by.
fn without_id(name: &str) -> (&str, &str) {
    let mut parts = name.splitn(3, SEPARATOR);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(before), Some(_), Some(behind)) => (before, behind),
        _ => (ITEM, name.strip_prefix(ITEM).unwrap_or(name)),
    }
}

/// The bytes of an item with these elements; nearly always one.
#[must_use]
pub fn encode<E: AsRef<[u8]>>(elements: &[E]) -> Vec<u8> {
    let mut bytes = VERSION.to_vec();
    for element in elements {
        let element = element.as_ref();
        bytes.push(ELEMENT);
        // A znode holds some megabytes at most, so the length always fits.
        let length = u32::try_from(element.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(element);
    }
    bytes.push(END);
    bytes
}

/// The elements of an item.
///
/// # Errors
/// The bytes are not those of an item.
pub fn decode(bytes: &[u8]) -> Result<Vec<Vec<u8>>, ItemError> {
    let fail = |what, at| Err(ItemError { what, at });
    let Some(mut rest) = bytes.strip_prefix(&VERSION) else {
        return fail("unknown version", 0);
    };
    let mut elements = Vec::new();
    loop {
        let at = bytes.len() - rest.len();
        match rest {
            [END, ..] => return Ok(elements),
            [ELEMENT, a, b, c, d, tail @ ..] => {
                let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
                let Some((element, tail)) = tail.split_at_checked(length) else {
                    return fail("length beyond the end", at + 1);
                };
                elements.push(element.to_vec());
                rest = tail;
            }
            [ELEMENT, ..] | [] => return fail("it ends too early", at),
            [_, ..] => return fail("unknown mark", at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_what_curator_writes() {
        assert_eq!(encode(&["hi"]), [0, 1, 0, 1, 1, 0, 0, 0, 2, b'h', b'i', 2]);
        assert_eq!(
            decode(&encode(&["hi", "", "x"])).unwrap(),
            [b"hi".to_vec(), vec![], b"x".to_vec()]
        );
    }

    #[test]
    fn broken_items_are_refused_where_they_break() {
        let at = |bytes: &[u8]| decode(bytes).unwrap_err().at;
        assert_eq!(at(b""), 0);
        assert_eq!(at(&[0, 1, 0, 2, 2]), 0);
        assert_eq!(at(&[0, 1, 0, 1]), 4);
        assert_eq!(at(&[0, 1, 0, 1, 3]), 4);
        assert_eq!(at(&[0, 1, 0, 1, 1, 0, 0]), 4);
        assert_eq!(at(&[0, 1, 0, 1, 1, 255, 255, 255, 255, 1, 2]), 5);
    }

    #[test]
    fn negative_priorities_come_before_the_others() {
        let priorities = [i32::MIN, -2, -1, 0, 1, 255, i32::MAX];
        let names: Vec<String> = priorities
            .iter()
            .map(|p| format!("{}0000000001", priority_prefix(*p)))
            .collect();
        assert_eq!(priority_prefix(-1), "queue-0FFFFFFFF");
        assert_eq!(priority_prefix(16), "queue-100000010");
        let mut shuffled = names.clone();
        shuffled.reverse();
        assert_eq!(in_order(&shuffled), names);
        for (name, p) in names.iter().zip(priorities) {
            assert_eq!(priority(name), Some(p));
        }
    }

    #[test]
    fn ids_do_not_change_the_order() {
        let children = ["queue-|z|0000000001", "queue-|a|0000000002", "other"].map(String::from);
        assert_eq!(
            in_order(&children),
            ["queue-|z|0000000001", "queue-|a|0000000002"]
        );
        assert_eq!(id(&children[0]), Some("z"));
        assert_eq!(id("queue-0000000001"), None);
        assert_eq!(id_prefix("a/b|c"), "queue-|a_b_c|");
    }
    #[test]
    fn items_are_due_in_the_order_of_their_moments_then_of_putting() {
        let name = |due_ms, number: u32| format!("{}{number:010}", due_prefix(due_ms));
        assert_eq!(due_prefix(255), "queue-|000000FF|");
        assert_eq!(due_prefix(0x1_89AB_CDEF_0123), "queue-|189ABCDEF0123|");
        let children = [name(9, 1), name(5, 3), name(5, 2), name(1 << 40, 0)];
        let all = due(&children, u64::MAX);
        assert_eq!(
            all.now,
            [&children[2], &children[1], &children[0], &children[3]]
        );
        assert_eq!(all.next_ms, None);
        let some = due(&children, 8);
        assert_eq!(some.now, [&children[2], &children[1]]);
        assert_eq!(some.next_ms, Some(9));
        assert_eq!(due(&children, 4).now, [""; 0]);
        let plain = ["queue-0000000009", "other"].map(String::from);
        assert_eq!(due(&plain, 0).now, ["queue-0000000009"]);
    }
}
