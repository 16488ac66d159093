//! What a znode's path may look like (protocol 8.1).

use thiserror::Error;

/// Why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PathError {
    /// No bytes at all.
    #[error("path is empty")]
    Empty,
    /// The first character is not a slash.
    #[error("path does not start with /")]
    NotAbsolute,
    /// A slash at the end.
    #[error("path ends with /")]
    TrailingSlash,
    /// Two slashes in a row.
    #[error("empty name in the path")]
    EmptyName,
    /// A name that is `.` or `..`.
    #[error("relative name in the path")]
    RelativeName,
    /// A control character, a surrogate, or another one that the protocol refuses.
    #[error("character {0:?} is not allowed in a path")]
    BadCharacter(char),
}

/// Checks a path in full, as writes do before they use it. Reads check nothing: to them a malformed path is a znode
/// that does not exist.
pub fn validate(path: &str) -> Result<(), PathError> {
    if path.is_empty() {
        return Err(PathError::Empty);
    }
    let Some(names) = path.strip_prefix('/') else {
        return Err(PathError::NotAbsolute);
    };
    if names.is_empty() {
        return Ok(());
    }
    if names.ends_with('/') {
        return Err(PathError::TrailingSlash);
    }
    if is_plain(path) {
        return Ok(());
    }
    if let Some(bad) = names.chars().find(|c| is_refused(*c)) {
        return Err(PathError::BadCharacter(bad));
    }
    for name in names.split('/') {
        match name {
            "" => return Err(PathError::EmptyName),
            "." | ".." => return Err(PathError::RelativeName),
            _ => {}
        }
    }
    Ok(())
}

/// Whether there is nothing but printable ASCII, and no name begins with a dot or is empty: almost always, and then all
/// is well. Looks at every byte, since the compiler takes many at a time then.
fn is_plain(path: &str) -> bool {
    let bytes = path.as_bytes();
    let pairs = bytes.iter().zip(bytes.iter().skip(1));
    pairs.fold(true, |is_plain, (before, byte)| {
        let begins_badly = (*before == b'/') & ((*byte == b'/') | (*byte == b'.'));
        is_plain & (*byte >= b' ') & (*byte <= b'~') & !begins_badly
    })
}

/// Characters outside the basic plane are refused too: Apache looks at UTF-16 units, and both of theirs are surrogates.
fn is_refused(c: char) -> bool {
    matches!(c, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..='\u{ffff}')
        || c > '\u{ffff}'
}

/// The path of the parent and the name, for a path with a slash in it: `/a/b` is `/a` and `b`, `/a` is `""` (the root)
/// and `a`.
#[must_use]
pub fn split(path: &str) -> Option<(&str, &str)> {
    path.rsplit_once('/')
}

/// The parent's path as clients write it: `/` for the root.
#[must_use]
pub fn parent(path: &str) -> Option<&str> {
    match split(path)? {
        ("", "") => None,
        ("", _) => Some("/"),
        (parent, _) => Some(parent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_paths() {
        for path in [
            "/",
            "/a",
            "/a/b",
            "/...",
            "/a/.b",
            "/\u{f900}",
            "/\u{ffef}",
            "/ü",
            "/a b",
        ] {
            assert_eq!(validate(path), Ok(()), "{path:?}");
        }
    }

    #[test]
    fn refused_paths() {
        for (path, why) in [
            ("", PathError::Empty),
            ("a", PathError::NotAbsolute),
            ("/a/", PathError::TrailingSlash),
            ("//", PathError::TrailingSlash),
            ("/a//b", PathError::EmptyName),
            ("/./a", PathError::RelativeName),
            ("/a/..", PathError::RelativeName),
            ("/a\0", PathError::BadCharacter('\0')),
            ("/\u{1f}", PathError::BadCharacter('\u{1f}')),
            ("/\u{7f}", PathError::BadCharacter('\u{7f}')),
            ("/\u{9f}", PathError::BadCharacter('\u{9f}')),
            ("/\u{e000}", PathError::BadCharacter('\u{e000}')),
            ("/\u{fff0}", PathError::BadCharacter('\u{fff0}')),
            ("/\u{1f600}", PathError::BadCharacter('\u{1f600}')),
        ] {
            assert_eq!(validate(path), Err(why), "{path:?}");
        }
    }

    #[test]
    fn parents() {
        assert_eq!(parent("/"), None);
        assert_eq!(parent("/a"), Some("/"));
        assert_eq!(parent("/a/b"), Some("/a"));
        assert_eq!(parent("a"), None);
    }
}
