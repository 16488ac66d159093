//! I-27: a voter that serves shows nothing older than its bound, also when it was cut off or stood still (P75, P108).

use std::collections::VecDeque;

use zabra_proto::Zxid;

use super::{Verdict, fails};
use crate::event::ServerAt;
use crate::kernel::Micros;
use crate::plan::Plan;
use crate::trace::Z;

pub(super) const NAME: &str = "I-27 staleness bound";

/// What had been decided when.
pub(super) struct Freshness {
    plan: Plan,
    /// So long took the slowest disk of this world at its slowest.
    slowest_disk_us: u64,
    /// Txns by the time at which the first server applied them.
    recent: VecDeque<(Micros, Zxid)>,
    /// The last one that is older than the bound.
    required: Zxid,
}

impl Freshness {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            plan: plan.clone(),
            slowest_disk_us: plan.slow_disk_us.1,
            recent: VecDeque::new(),
            required: Zxid::ZERO,
        }
    }

    /// A disk begins to take so long for each job.
    pub(super) fn disk_takes(&mut self, each_us: u64) {
        self.slowest_disk_us = self.slowest_disk_us.max(each_us);
    }

    /// So long a disk took for a job at most.
    pub(super) fn slowest_disk_us(&self) -> u64 {
        self.slowest_disk_us
    }

    fn bound_us(&self) -> u64 {
        self.plan.staleness_us(self.slowest_disk_us)
    }

    /// A server has applied a txn, as the first one or not.
    pub(super) fn decided(&mut self, zxid: Zxid, now: Micros) {
        if self.recent.back().is_none_or(|(_, last)| *last < zxid) {
            self.recent.push_back((now, zxid));
        }
    }

    /// What was decided longer ago than the bound.
    pub(super) fn required(&mut self, now: Micros) -> Zxid {
        let bound_us = self.bound_us();
        while let Some((_, zxid)) = self
            .recent
            .pop_front_if(|(decided, _)| now.since(*decided) > bound_us)
        {
            self.required = zxid;
        }
        self.required
    }

    /// A server shows the state behind a txn to who asked when another was required.
    pub(super) fn showed(&self, at: ServerAt, shown: Zxid, required: Zxid) -> Verdict {
        if shown < required {
            let text = format!(
                "s{} shows {}, and {} was decided more than {} ms before that was asked",
                at + 1,
                Z(shown),
                Z(required),
                self.bound_us() / 1000
            );
            return fails(NAME, text);
        }
        Ok(())
    }
}
