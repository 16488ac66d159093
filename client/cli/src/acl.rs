//! The ACL argument: `scheme:id:perms`, several with commas between.

use std::borrow::Cow;

use zabra_proto::{Acl, Perms};

/// The entries that could be read, and a line for each part that could not.
///
/// As in Apache's shell a bad entry is left out and a bad letter passed over: what is left goes to the server.
pub(crate) fn parse(text: &str) -> (Vec<Acl<'static>>, Vec<String>) {
    let (mut entries, mut complaints) = (Vec::new(), Vec::new());
    for part in text.trim_end_matches(',').split(',') {
        let (Some(first), Some(last)) = (part.find(':'), part.rfind(':')) else {
            complaints.push(format!("{part} does not have the form scheme:id:perm"));
            continue;
        };
        if first == last {
            complaints.push(format!("{part} does not have the form scheme:id:perm"));
            continue;
        }
        entries.push(Acl {
            perms: perms(&part[last + 1..], &mut complaints),
            scheme: Cow::Owned(part[..first].to_owned()),
            id: Cow::Owned(part[first + 1..last].to_owned()),
        });
    }
    (entries, complaints)
}

fn perms(letters: &str, complaints: &mut Vec<String>) -> Perms {
    let mut perms = Perms::default();
    for letter in letters.chars() {
        perms = perms
            | match letter {
                'r' => Perms::READ,
                'w' => Perms::WRITE,
                'c' => Perms::CREATE,
                'd' => Perms::DELETE,
                'a' => Perms::ADMIN,
                _ => {
                    complaints.push(format!("Unknown perm type: {letter}"));
                    Perms::default()
                }
            };
    }
    perms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_may_hold_colons() {
        let (entries, complaints) = parse("digest:bob:hash=:cdrwa,world:anyone:r");
        assert!(complaints.is_empty());
        assert_eq!(entries[0].id.as_ref(), "bob:hash=");
        assert_eq!(entries[0].perms, Perms::ALL);
        assert_eq!(entries[1].perms, Perms::READ);
    }

    #[test]
    fn bad_parts_are_named_and_left_out() {
        let (entries, complaints) = parse("world:anyone:rz,foo,a:b");
        assert_eq!(entries.len(), 1);
        assert_eq!(
            complaints,
            [
                "Unknown perm type: z",
                "foo does not have the form scheme:id:perm",
                "a:b does not have the form scheme:id:perm"
            ]
        );
    }
}
