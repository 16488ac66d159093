//! When the members of a double barrier may go in and out.

/// The name of the znode that says that all are in.
pub const READY: &str = "ready";

/// What a member that wants in is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enter {
    /// The last one is here: make [`READY`], go in.
    Open,
    /// Wait for [`READY`].
    Wait,
}

/// What a member that wants out is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave<'a> {
    /// Everybody is out.
    Out,
    /// Delete the own znode, then look again.
    DeleteMine,
    /// Wait until this one is gone, then look again.
    WaitOn(&'a str),
}

/// Whether all `members` are among `children`.
#[must_use]
pub fn decide_enter(children: &[String], members: u32) -> Enter {
    let present = children.iter().filter(|name| *name != READY).count();
    if children.iter().any(|name| name == READY) || present >= members as usize {
        Enter::Open
    } else {
        Enter::Wait
    }
}

/// The next step of `mine` on its way out.
///
/// Everybody but the lowest deletes its znode at once and waits for the lowest to go; the lowest waits for the highest, so
/// that each deletion wakes one member and the last one wakes all.
#[must_use]
pub fn decide_leave<'a>(children: &'a [String], mine: &str) -> Leave<'a> {
    let members = || {
        children
            .iter()
            .map(String::as_str)
            .filter(|name| *name != READY)
    };
    let (Some(lowest), Some(highest)) = (members().min(), members().max()) else {
        return Leave::Out;
    };
    let is_in = members().any(|name| name == mine);
    match (is_in, lowest == mine) {
        (true, true) if highest == mine => Leave::DeleteMine,
        (true, true) => Leave::WaitOn(highest),
        (true, false) => Leave::DeleteMine,
        (false, _) => Leave::WaitOn(lowest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn children(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_last_one_opens() {
        assert_eq!(decide_enter(&children(&["a"]), 2), Enter::Wait);
        assert_eq!(decide_enter(&children(&["a", "b"]), 2), Enter::Open);
        assert_eq!(decide_enter(&children(&["a", "ready"]), 2), Enter::Open);
    }

    #[test]
    fn whatever_order_they_leave_in_all_get_out_and_none_before_all_left() {
        // Every order of steps of four members, as choices of who moves next.
        let names = ["a", "b", "c", "d"];
        let mut states = vec![children(&["a", "b", "c", "d", "ready"])];
        let mut seen = std::collections::BTreeSet::new();
        while let Some(state) = states.pop() {
            if !seen.insert(state.clone()) {
                continue;
            }
            let mut moves = 0;
            for mine in names {
                match decide_leave(&state, mine) {
                    Leave::DeleteMine => {
                        moves += 1;
                        states.push(state.iter().filter(|n| *n != mine).cloned().collect());
                    }
                    Leave::WaitOn(other) => {
                        assert!(other != mine && state.iter().any(|n| n == other))
                    }
                    Leave::Out => {
                        moves += 1;
                        assert_eq!(state, ["ready"]);
                    }
                }
            }
            assert!(moves > 0, "nobody can move in {state:?}");
        }
    }
}
