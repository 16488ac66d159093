//! I-39: what a server keeps in memory for clients and peers has a bound that follows from its configuration, whoever is slow
//! and whoever asks for more and more.

use super::{Checker, Verdict, fails};
use crate::event::ServerAt;
use crate::plan::Plan;

pub(super) const NAME: &str = "I-39 memory";
pub(super) const SLOW_READER: &str = "I-39 a reader is slow";
pub(super) const CROWDED: &str = "I-39 too many requests wait";

/// What a server keeps, as it says itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Kept {
    /// Connections of clients.
    pub(crate) conns: usize,
    /// Requests of theirs that wait for the peer.
    pub(crate) waiting: usize,
    /// The most that waits to be sent on one connection, bytes.
    pub(crate) output: usize,
    /// Txns kept for learners although they are on this server's own disk and decided.
    pub(crate) window: usize,
    /// Txns logged and not applied.
    pub(crate) tail: usize,
    /// Znodes that undecided txns change.
    pub(crate) overlay: usize,
}

/// A window is never shorter than this, whatever `commitLogCount` says.
const WINDOW_MIN: usize = 8;

/// A server has done what was to be done in a round.
pub(super) fn is_bounded(at: ServerAt, kept: Kept, plan: &Plan) -> Verdict {
    // Whoever crosses the line is not read any more.
    let waiting_max = plan.outstanding_max + kept.conns + 1;
    let window_max = plan.commit_log_count.max(WINDOW_MIN);
    let broken = if kept.waiting > waiting_max {
        Some(("requests", waiting_max))
    } else if kept.output > plan.out_len_max {
        Some(("bytes of output", plan.out_len_max))
    } else if kept.window > window_max {
        Some(("txns for learners", window_max))
    } else if kept.tail == 0 && kept.overlay > 0 {
        Some(("undecided changes of nothing", 0))
    } else {
        None
    };
    match broken {
        Some((what, most)) => fails(
            NAME,
            format!("s{} keeps more than {most} {what}: {kept:?}", at + 1),
        ),
        None => Ok(()),
    }
}

impl Checker {
    /// A server has done what was to be done in a round.
    pub(crate) fn keeps(&mut self, at: ServerAt, kept: Kept, plan: &Plan) {
        if kept.output > 0 {
            self.count(SLOW_READER);
        }
        if kept.waiting > plan.outstanding_max {
            self.count(CROWDED);
        }
        let verdict = is_bounded(at, kept, plan);
        self.holds(NAME, verdict);
    }
}
