//! All checks of one world: their ghost state, how often their premises held, and the first thing that went wrong.

use std::collections::{BTreeMap, BTreeSet};

use zabra_proto::{SessionId, Zxid};

use crate::event::ServerAt;
use crate::model::{Model, Step};
use crate::plan::Plan;

use super::disks::Disks;
use super::happenings::Happenings;
use super::i17_replay_law::Replays;
use super::i21_sequential_names::Names;
use super::i22_no_write_lost::Answered;
use super::i23_no_phantom::Writes;
use super::i26_session_order::Written;
use super::i27_staleness::Freshness;
use super::i29_lease::Leases;
use super::i31_told_on_time::Closed;
use super::i40_roles_end::Roles;
use super::order::{Decided, Order};
use super::p59_elections::Elections;
use super::p102_sweep::Fading;
use super::promises::Promises;
use super::users::Users;

/// Something that must not happen has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// What does not hold.
    pub invariant: &'static str,
    /// How it shows.
    pub text: String,
}

/// How often the premise of each invariant held.
pub type Counts = BTreeMap<&'static str, u64>;

/// What a check says.
pub(super) type Verdict = Result<(), Violation>;

pub(super) fn fails(invariant: &'static str, text: String) -> Verdict {
    Err(Violation { invariant, text })
}

/// All checks of one world.
pub struct Checker {
    violation: Option<Violation>,
    counts: Counts,
    pub(super) is_standalone: bool,
    pub(super) epoch_len_max: u32,
    pub(super) paths_len_max: usize,
    pub(super) order: Order,
    pub(super) disks: Disks,
    pub(super) promises: Promises,
    pub(super) elections: Elections,
    pub(super) leases: Leases,
    pub(super) written: Written,
    pub(super) writes: Writes,
    pub(super) roles: Roles,
    pub(super) replays: Replays,
    pub(super) answered: Answered,
    /// The last txn that any client was told of.
    pub(super) told: Zxid,
    pub(super) is_quiet: bool,
    /// Who is whole when the world is quiet, if not all are.
    pub(super) core: Option<BTreeSet<ServerAt>>,
    pub(super) freshness: Freshness,
    pub(super) model: Model,
    pub(super) names: Names,
    pub(super) closed: Closed,
    pub(super) fading: Fading,
    pub(super) happenings: Happenings,
    /// Who each session's clients have shown themselves to be.
    pub(super) shown: BTreeMap<SessionId, Users>,
}

/// Every step is one of the abstract protocol.
const REFINEMENT: &str = "refinement of ZAB";

impl Checker {
    /// Nothing has happened.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        Self {
            violation: None,
            counts: Counts::new(),
            is_standalone: plan.is_standalone,
            epoch_len_max: plan.epoch_len_max,
            paths_len_max: plan.close_session_len_max,
            order: Order::new(plan.servers()),
            disks: Disks::new(plan.servers(), plan.voters),
            promises: Promises::new(plan.servers(), plan.voters),
            elections: Elections::new(plan.voters, plan.tick_ms * 1000),
            leases: Leases::default(),
            written: Written::default(),
            writes: Writes::default(),
            roles: Roles::new(plan),
            replays: Replays::default(),
            answered: Answered::default(),
            told: Zxid::ZERO,
            is_quiet: false,
            core: None,
            freshness: Freshness::new(plan),
            model: Model::new(plan.servers(), plan.voters),
            names: Names::default(),
            closed: Closed::new(),
            fading: Fading::new(plan.never_used_ms_max),
            happenings: Happenings::default(),
            shown: BTreeMap::new(),
        }
    }

    /// Notes that something is wrong; the first time counts.
    pub fn violate(&mut self, invariant: &'static str, text: String) {
        self.violation.get_or_insert(Violation { invariant, text });
    }

    /// Whether something is wrong.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.violation.is_some()
    }

    /// What is wrong.
    #[must_use]
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// How often premises held.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// What is decided.
    #[must_use]
    pub fn decided(&self) -> &[Decided] {
        self.order.decided()
    }

    /// The last txn that anybody has decided.
    #[must_use]
    pub fn last_decided(&self) -> Zxid {
        self.order.last()
    }

    /// The premise of an invariant held.
    pub fn count(&mut self, invariant: &'static str) {
        *self.counts.entry(invariant).or_default() += 1;
    }

    /// The premise of an invariant held so often.
    pub(super) fn count_many(&mut self, invariant: &'static str, times: u64) {
        if times > 0 {
            *self.counts.entry(invariant).or_default() += times;
        }
    }

    pub(super) fn judge(&mut self, verdict: Verdict) {
        if let Err(Violation { invariant, text }) = verdict {
            self.violate(invariant, text);
        }
    }

    /// The premise of an invariant held, and this came of it.
    pub(super) fn holds(&mut self, invariant: &'static str, verdict: Verdict) {
        self.count(invariant);
        self.judge(verdict);
    }

    /// What a member did is a step of the abstract protocol.
    pub(super) fn refine(&mut self, step: &Step<'_>) {
        if self.is_standalone || self.has_failed() {
            return;
        }
        self.count(step.name());
        if let Err(why) = self.model.step(step) {
            self.violate(REFINEMENT, format!("{step:x?}: {why}"));
        }
    }
}
