//! Who works on what: pieces of work spread over the members of a group.

/// The pieces of `work` that are `mine` among `members`; none if I am not one of them.
///
/// Both lists are sorted, and each member takes every n-th piece, as kazoo's `SetPartitioner` does: the loads differ by
/// one at most, and every member finds the same answer without asking.
#[must_use]
pub fn decide<'a>(members: &[String], mine: &str, work: &'a [String]) -> Vec<&'a str> {
    let mut members: Vec<&str> = members.iter().map(String::as_str).collect();
    members.sort_unstable();
    members.dedup();
    let Ok(place) = members.binary_search(&mine) else {
        return Vec::new();
    };
    let mut work: Vec<&str> = work.iter().map(String::as_str).collect();
    work.sort_unstable();
    work.dedup();
    work.into_iter()
        .skip(place)
        .step_by(members.len())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_has_exactly_one_worker_and_loads_differ_by_one() {
        for members in 1..6 {
            for pieces in 0..12 {
                let members: Vec<String> = (0..members).map(|n| format!("m{n}")).collect();
                let work: Vec<String> = (0..pieces).map(|n| format!("{n:02}")).collect();
                let shares: Vec<Vec<&str>> =
                    members.iter().map(|m| decide(&members, m, &work)).collect();
                let mut all: Vec<&str> = shares.concat();
                all.sort_unstable();
                assert_eq!(all, work);
                let sizes = || shares.iter().map(Vec::len);
                assert!(sizes().max().unwrap() - sizes().min().unwrap() <= 1);
            }
        }
    }

    #[test]
    fn the_order_of_what_was_read_does_not_matter() {
        let members = ["b", "a"].map(String::from);
        let work = ["3", "1", "2"].map(String::from);
        assert_eq!(decide(&members, "a", &work), ["1", "3"]);
        assert_eq!(decide(&members, "b", &work), ["2"]);
    }

    #[test]
    fn who_is_no_member_works_on_nothing() {
        assert!(decide(&["a".to_owned()], "b", &["1".to_owned()]).is_empty());
    }
}
