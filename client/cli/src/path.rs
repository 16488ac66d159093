//! What Apache's client says of a malformed path before it sends anything.

/// Checks a path; the error is Apache's text.
pub(crate) fn check(path: &str) -> Result<(), String> {
    if path.is_empty() {
        return Err("Path length must be > 0".to_owned());
    }
    if !path.starts_with('/') {
        return Err("Path must start with / character".to_owned());
    }
    if path.len() == 1 {
        return Ok(());
    }
    if path.ends_with('/') {
        return Err("Path must not end with / character".to_owned());
    }
    match fault(path) {
        Some(fault) => Err(format!("Invalid path string \"{path}\" caused by {fault}")),
        None => Ok(()),
    }
}

/// Checks the path of a znode to create; the name of a sequential one may be empty, as its number follows.
pub(crate) fn check_new(path: &str, sequential: bool) -> Result<(), String> {
    if sequential {
        check(&format!("{path}1"))
    } else {
        check(path)
    }
}

/// The first thing wrong inside of a path, with its place counted in UTF-16 as Java does.
fn fault(path: &str) -> Option<String> {
    let units: Vec<u16> = path.encode_utf16().collect();
    let is = |at: usize, c: char| units.get(at) == Some(&(c as u16));
    let ends_name = |at: usize| at == units.len() || is(at, '/');
    for (at, unit) in units.iter().enumerate().skip(1) {
        let fault = match *unit {
            0 => "null character not allowed",
            0x2f if is(at - 1, '/') => "empty node name specified",
            0x2e if ends_name(at + 1) && is(at - 1, '/') => "relative paths not allowed",
            0x2e if ends_name(at + 1) && is(at - 1, '.') && at >= 2 && is(at - 2, '/') => {
                "relative paths not allowed"
            }
            0x01..=0x1f | 0x7f..=0x9f | 0xd800..=0xf8ff | 0xfff0..=0xffff => "invalid character",
            _ => continue,
        };
        return Some(format!("{fault} @{at}"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_has_its_text() {
        for (path, text) in [
            ("", "Path length must be > 0"),
            ("a", "Path must start with / character"),
            ("/a/", "Path must not end with / character"),
            (
                "//x",
                "Invalid path string \"//x\" caused by empty node name specified @1",
            ),
            (
                "/a/./b",
                "Invalid path string \"/a/./b\" caused by relative paths not allowed @3",
            ),
            (
                "/a/..",
                "Invalid path string \"/a/..\" caused by relative paths not allowed @4",
            ),
            (
                "/a\u{1}",
                "Invalid path string \"/a\u{1}\" caused by invalid character @2",
            ),
            (
                "/\0",
                "Invalid path string \"/\0\" caused by null character not allowed @1",
            ),
        ] {
            assert_eq!(check(path), Err(text.to_owned()), "{path:?}");
        }
    }

    #[test]
    fn dots_inside_of_names_are_letters() {
        for path in ["/", "/a", "/...", "/a.", "/a/.b", "/a..", "/..a"] {
            assert_eq!(check(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn a_sequential_name_may_be_empty() {
        assert_eq!(check_new("/a/", true), Ok(()));
        assert!(check_new("/a/", false).is_err());
    }
}
