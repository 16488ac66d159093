//! I-40: who leads and is heard by no quorum, or follows and hears no leader, leaves its role within a bound, whatever its peers
//! and its disk do; and who is asked to stop, stops.

use std::collections::BTreeMap;

use zabra_election::ServerState;

use super::{Checker, Verdict, fails};
use crate::event::ServerAt;
use crate::kernel::Micros;
use crate::plan::Plan;

pub(super) const NAME: &str = "I-40 a role ends";
pub(super) const STOPS: &str = "I-40 a stop ends";

/// Who heard whom, and since when each server is what it is.
#[derive(Debug)]
pub(super) struct Roles {
    voters: usize,
    /// Silence may last so long, µs.
    bound_us: u64,
    /// A role of its own ends with `syncLimit`: behind that, silence is a premise.
    silent_us: u64,
    since: Vec<(Option<ServerState>, Micros)>,
    heard: BTreeMap<(ServerAt, ServerAt), Micros>,
    stops: BTreeMap<ServerAt, Micros>,
}

impl Roles {
    pub(super) fn new(plan: &Plan) -> Self {
        let tick_us = plan.tick_ms * 1000;
        // A learner tries to connect for `initLimit`, and then waits as long for what it is told first.
        let limits = u64::from(plan.init_limit * 2 + plan.sync_limit);
        // Clocks may be slow, and a look at the clock late.
        let by_clocks = |ticks: u64| tick_us * ticks * 1000 / (1000 - plan.drift_permille);
        Self {
            voters: plan.voters,
            bound_us: by_clocks(limits + 4),
            silent_us: tick_us * u64::from(plan.sync_limit),
            since: vec![(None, Micros(0)); plan.servers()],
            heard: BTreeMap::new(),
            stops: BTreeMap::new(),
        }
    }

    pub(super) fn forget_stop(&mut self, at: ServerAt) {
        self.stops.remove(&at);
    }

    /// Whom this server needs to hear, it has heard until then.
    fn heard_until(&self, at: ServerAt, state: ServerState) -> Option<Micros> {
        let (_, since) = self.since[at];
        let from = |other: ServerAt| {
            let heard = self.heard.get(&(at, other));
            heard.copied().unwrap_or_default().max(since)
        };
        let others = (0..self.since.len()).filter(|other| *other != at);
        if state == ServerState::Leading {
            let mut times: Vec<Micros> = others
                .filter(|other| *other < self.voters)
                .map(from)
                .collect();
            times.sort_unstable_by(|one, other| other.cmp(one));
            // With itself these are a quorum.
            let needed = self.voters / 2;
            return times.get(needed.checked_sub(1)?).copied();
        }
        others.map(from).max()
    }

    fn looks(&mut self, at: ServerAt, state: Option<ServerState>, now: Micros) -> Option<Verdict> {
        if self.since[at].0 != state {
            self.since[at] = (state, now);
        }
        let state = state.filter(|state| *state != ServerState::Looking)?;
        let silent_us = now.since(self.heard_until(at, state)?);
        if silent_us <= self.silent_us {
            return None;
        }
        if silent_us <= self.bound_us {
            return Some(Ok(()));
        }
        let text = format!(
            "s{} is {state:?} and has heard nobody that it needs for {} ms",
            at + 1,
            silent_us / 1000
        );
        Some(fails(NAME, text))
    }
}

impl Checker {
    /// A server heard another on a quorum link.
    pub fn heard_server(&mut self, at: ServerAt, from: ServerAt, now: Micros) {
        self.roles.heard.insert((at, from), now);
    }

    /// A server is this, and has looked at its clock.
    pub fn is_now(&mut self, at: ServerAt, state: Option<ServerState>, now: Micros) {
        if let Some(verdict) = self.roles.looks(at, state, now) {
            self.holds(NAME, verdict);
        }
    }

    /// A server begins something else, or goes on after it stood still: what it had heard before counts from now.
    pub fn turns(&mut self, at: ServerAt, now: Micros) {
        self.roles.since[at].1 = now;
    }

    /// A server is asked to stop.
    pub fn asked_to_stop(&mut self, at: ServerAt, now: Micros) {
        self.roles.stops.entry(at).or_insert(now);
    }

    /// A server's process has ended. If it was asked to, within a bound.
    pub fn has_ended(&mut self, at: ServerAt, now: Micros) {
        let Some(asked) = self.roles.stops.remove(&at) else {
            return;
        };
        self.count(STOPS);
        // What was under way is finished, on a disk that may be slow.
        let bound_us = self.roles.bound_us + 4 * self.freshness.slowest_disk_us();
        if now.since(asked) > bound_us {
            let text = format!(
                "s{} stops {} ms after it was asked to",
                at + 1,
                now.since(asked) / 1000
            );
            self.violate(STOPS, text);
        }
    }
}
