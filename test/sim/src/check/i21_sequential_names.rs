//! I-21: sequential names under a znode are given out in the order of their txns, none twice.

use super::{Verdict, fails};

pub(super) const NAME: &str = "I-21 sequential names";

/// The last number that was given out under the one znode where clients ask for sequential names.
#[derive(Debug, Default)]
pub(super) struct Names {
    last: Option<i64>,
}

/// What such a path begins with.
const PREFIX: &str = "/q-";

impl Names {
    /// A znode was created. Whether the path is one of these.
    pub(super) fn created(&mut self, path: &str) -> Option<Verdict> {
        let number: i64 = path.strip_prefix(PREFIX)?.parse().ok()?;
        let before = self.last.replace(number);
        Some(match before {
            Some(before) if number <= before => {
                fails(NAME, format!("{path} is created behind {before}"))
            }
            _ => Ok(()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_was_given_out_is_not_given_again() {
        let mut names = Names::default();
        assert_eq!(names.created("/k1"), None);
        assert_eq!(names.created("/q-0000000002"), Some(Ok(())));
        assert_eq!(names.created("/q-0000000004"), Some(Ok(())));
        assert!(matches!(names.created("/q-0000000004"), Some(Err(_))));
    }
}
