//! What Apache's shell prints for values: Stat blocks, ACLs, listings, dumps, dates.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use zabra_proto::{Acl, Perms, Stat};

/// The eleven lines of a Stat, without a newline at the end.
pub(crate) fn stat(stat: &Stat, zone: &TimeZone) -> String {
    [
        format!("cZxid = {:#x}", stat.czxid),
        format!("ctime = {}", date(stat.ctime, zone)),
        format!("mZxid = {:#x}", stat.mzxid),
        format!("mtime = {}", date(stat.mtime, zone)),
        format!("pZxid = {:#x}", stat.pzxid),
        format!("cversion = {}", stat.cversion),
        format!("dataVersion = {}", stat.version),
        format!("aclVersion = {}", stat.aversion),
        format!("ephemeralOwner = {:#x}", stat.ephemeral_owner),
        format!("dataLength = {}", stat.data_length),
        format!("numChildren = {}", stat.num_children),
    ]
    .join("\n")
}

/// A moment in ms since 1970 as Java's `Date` prints it, such as `Thu Jan 01 00:00:00 UTC 1970`.
pub(crate) fn date(millis: i64, zone: &TimeZone) -> String {
    Timestamp::from_millisecond(millis).map_or_else(
        |_| format!("{millis} ms"),
        |moment| {
            let moment = moment.to_zoned(zone.clone());
            moment.strftime("%a %b %d %H:%M:%S %Z %Y").to_string()
        },
    )
}

/// `[a, b]`.
pub(crate) fn listing(names: &[String]) -> String {
    format!("[{}]", names.join(", "))
}

/// An ACL entry: the identity on a line, its permissions on the next.
pub(crate) fn acl(entry: &Acl<'_>) -> String {
    format!(
        "'{},'{}\n: {}",
        escaped(&entry.scheme),
        escaped(&entry.id),
        perms(entry.perms)
    )
}

/// The letters of permissions, in the order that Apache prints them.
pub(crate) fn perms(perms: Perms) -> String {
    let letters = [
        (Perms::CREATE, 'c'),
        (Perms::DELETE, 'd'),
        (Perms::READ, 'r'),
        (Perms::WRITE, 'w'),
        (Perms::ADMIN, 'a'),
    ];
    letters
        .iter()
        .filter(|(bit, _)| perms.intersects(*bit))
        .map(|(_, letter)| letter)
        .collect()
}

/// How jute writes a string as text: what separates fields is escaped.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\0' => out.push_str("%00"),
            '\n' => out.push_str("%0A"),
            '\r' => out.push_str("%0D"),
            ',' => out.push_str("%2C"),
            '}' => out.push_str("%7D"),
            '%' => out.push_str("%25"),
            _ => out.push(c),
        }
    }
    out
}

/// Bytes in hex and as text, sixteen on a line, in a frame; nothing for no bytes.
pub(crate) fn hex_dump(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return String::new();
    }
    let rule = format!("+--------+{}+{}+", "-".repeat(49), "-".repeat(16));
    let mut lines = vec![
        format!("{:9}+{}+", "", "-".repeat(49)),
        format!(
            "{:9}|  0  1  2  3  4  5  6  7  8  9  a  b  c  d  e  f |",
            ""
        ),
        rule.clone(),
    ];
    for (row, chunk) in bytes.chunks(16).enumerate() {
        let hex: String = chunk.iter().map(|byte| format!(" {byte:02x}")).collect();
        let letters: String = chunk
            .iter()
            .map(|byte| match byte {
                0x20..=0x7e => char::from(*byte),
                _ => '.',
            })
            .collect();
        lines.push(format!("|{:08x}|{hex:48} |{letters:16}|", row * 16));
    }
    lines.push(rule);
    lines.join("\n")
}

/// Text from outside as a terminal may have it: without control characters that it would obey.
pub(crate) fn without_controls(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && !matches!(c, '\n' | '\t') {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    #[test]
    fn a_stat_has_eleven_lines() {
        let text = stat(
            &Stat {
                czxid: 2,
                ctime: 1_795_347_067_000,
                cversion: -1,
                ephemeral_owner: 0x1000_0000_0000_0001,
                ..Stat::default()
            },
            &TimeZone::UTC,
        );
        assert_eq!(
            text,
            "cZxid = 0x2\nctime = Sun Nov 22 11:31:07 UTC 2026\nmZxid = 0x0\n\
             mtime = Thu Jan 01 00:00:00 UTC 1970\npZxid = 0x0\ncversion = -1\ndataVersion = 0\naclVersion = 0\n\
             ephemeralOwner = 0x1000000000000001\ndataLength = 0\nnumChildren = 0"
        );
    }

    #[test]
    fn dates_are_in_the_zone_of_the_reader() {
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        assert_eq!(date(0, &berlin), "Thu Jan 01 01:00:00 CET 1970");
        assert_eq!(date(i64::MAX, &TimeZone::UTC), "9223372036854775807 ms");
    }

    #[test]
    fn an_acl_shows_its_identity_as_jute_writes_it() {
        let entry = Acl {
            perms: Perms::READ | Perms::ADMIN | Perms::CREATE,
            scheme: Cow::Borrowed("digest"),
            id: Cow::Borrowed("a,b:c%"),
        };
        assert_eq!(acl(&entry), "'digest,'a%2Cb:c%25\n: cra");
        assert_eq!(perms(Perms::ALL), "cdrwa");
    }

    #[test]
    fn a_hex_dump_has_a_frame() {
        let dump = hex_dump(b"hello");
        let lines: Vec<&str> = dump.lines().collect();
        assert_eq!(
            lines,
            [
                "         +-------------------------------------------------+",
                "         |  0  1  2  3  4  5  6  7  8  9  a  b  c  d  e  f |",
                "+--------+-------------------------------------------------+----------------+",
                "|00000000| 68 65 6c 6c 6f                                  |hello           |",
                "+--------+-------------------------------------------------+----------------+",
            ]
        );
        assert_eq!(hex_dump(&[0xff; 17]).lines().count(), 6);
        assert_eq!(hex_dump(b""), "");
    }

    #[test]
    fn a_terminal_gets_no_orders_from_data() {
        assert_eq!(without_controls("a\u{1b}[2Jb\n\tü"), "a\\u{1b}[2Jb\n\tü");
    }
}
