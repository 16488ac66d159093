//! `wchs`, `wchc` and `wchp`. All three tell of data watches only (FL-25).

use std::fmt::Write;

use zabra_proto::SessionId;

/// The answer of `wchs`.
#[must_use]
pub fn wchs(connections: usize, paths: usize, watches: usize) -> String {
    format!("{connections} connections watching {paths} paths\nTotal watches:{watches}\n")
}

/// The answer of `wchc`: the paths that each session watches.
#[must_use]
pub fn wchc<'a, P: Iterator<Item = &'a str>>(
    sessions: impl Iterator<Item = (SessionId, P)>,
) -> String {
    let mut out = String::new();
    for (session, paths) in sessions {
        // Here and below: writing to a string cannot fail.
        let _ = writeln!(out, "{session}");
        for path in paths {
            let _ = writeln!(out, "\t{path}");
        }
    }
    out.push('\n');
    out
}

/// The answer of `wchp`: the sessions that watch each path.
#[must_use]
pub fn wchp<'a, S: Iterator<Item = SessionId>>(
    paths: impl Iterator<Item = (&'a str, S)>,
) -> String {
    let mut out = String::new();
    for (path, sessions) in paths {
        let _ = writeln!(out, "{path}");
        for session in sessions {
            let _ = writeln!(out, "\t{session}");
        }
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watches_are_counted_and_listed_both_ways() {
        let (a, b) = (SessionId(0x10), SessionId(-1));
        assert_eq!(
            wchs(2, 3, 4),
            "2 connections watching 3 paths\nTotal watches:4\n"
        );
        let by_session = [(a, vec!["/x", "/y"]), (b, vec!["/x"])];
        assert_eq!(
            wchc(
                by_session
                    .into_iter()
                    .map(|(s, paths)| (s, paths.into_iter()))
            ),
            "0x10\n\t/x\n\t/y\n0xffffffffffffffff\n\t/x\n\n"
        );
        let by_path = [("/x", vec![a, b])];
        assert_eq!(
            wchp(
                by_path
                    .into_iter()
                    .map(|(p, sessions)| (p, sessions.into_iter()))
            ),
            "/x\n\t0x10\n\t0xffffffffffffffff\n\n"
        );
        assert_eq!(
            wchp(std::iter::empty::<(&str, std::iter::Empty<SessionId>)>()),
            "\n"
        );
    }
}
