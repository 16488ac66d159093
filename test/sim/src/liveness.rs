//! The end of each run: faults have stopped, and the world must get into step within a bound (I-40, I-41).
//!
//! In some worlds only a quorum, its *core*, is healed: the others stay dead, or frozen, or cut off for ever, and some of
//! them go on to disturb those who can hear them (P69).

use std::collections::BTreeSet;

use zabra_election::ServerState;

use crate::client::Client;
use crate::event::{Event, ServerAt};
use crate::network::Node;
use crate::say;
use crate::server::Death;
use crate::world::World;

impl World {
    /// Faults end: everything that is broken is whole again from here on.
    pub(crate) fn calm(&mut self) {
        say!(self.around.kernel, "— calm —");
        self.calm_since = Some(self.around.kernel.now());
        self.around.plan.faults.restart_crash_permille = 0;
        self.around.plan.faults.early_permille = 0;
        self.around.plan.slow_disk_permille = 0;
        let fair = self.around.plan.fair_weather();
        self.around.net.set_weather(fair);
        let around = &mut self.around;
        around.net.unblock_all(&mut around.kernel);
        around.slow_disks.clear();
        around.slow_readers.clear();
        around.unresolved.clear();
        self.choose_core();
        for at in 0..self.servers.len() {
            if !self.is_in_core(at) {
                self.break_for_ever(at);
            }
        }
        let around = &mut self.around;
        around.votes.move_on(&mut around.kernel, &around.net);
        for at in 0..self.servers.len() {
            if self.is_in_core(at) {
                self.mend(at);
            }
        }
        if self.around.kernel.chance(300) {
            self.prepare_last_blow();
        }
        for client in &mut self.clients {
            client.calm_down();
        }
        self.around.kernel.after(0, Event::Look);
    }

    /// Everybody syncs, and while a leader asks a quorum for it all its links break: who comes back must answer for those.
    fn prepare_last_blow(&mut self) {
        for client in &mut self.clients {
            client.sync(&mut self.around);
        }
        let longest = self.around.plan.weather.delay_us.1;
        let delay = self.around.kernel.between((0, longest * 4));
        self.around.kernel.after(delay, Event::LastBlow);
    }

    pub(crate) fn last_blow(&mut self) {
        say!(self.around.kernel, "all quorum streams are reset");
        let around = &mut self.around;
        for stream in around.net.between_servers() {
            around.net.reset(&mut around.kernel, stream);
        }
    }

    /// A server is whole again, and runs.
    fn mend(&mut self, at: ServerAt) {
        self.servers[at].disk.heal();
        self.tell_disk_low(at, false);
        self.resume(at);
        if let Some(process) = &mut self.servers[at].process {
            process.dies_in = None;
        } else {
            self.around.kernel.after(0, Event::Start(at));
        }
    }

    /// Who is to be in step in the end, if not all are: a quorum of voters that have a history (P48) and need none of the
    /// others to mend it, and by chance some of
    /// the others.
    fn choose_core(&mut self) {
        let permille = self.around.plan.faults.core_permille;
        let voters = self.around.plan.voters;
        if !self.around.kernel.chance(permille) || voters < 3 {
            return;
        }
        let mut with_history: Vec<ServerAt> = (0..voters)
            .filter(|at| self.around.check.has_history(*at) && !self.servers[*at].is_damaged)
            .collect();
        let quorum = voters / 2 + 1;
        if with_history.len() < quorum {
            return;
        }
        self.around.kernel.rng.shuffle(&mut with_history);
        with_history.truncate(quorum);
        let mut core: BTreeSet<ServerAt> = with_history.into_iter().collect();
        for at in 0..self.servers.len() {
            if self.around.kernel.chance(200) {
                core.insert(at);
            }
        }
        if core.len() < self.servers.len() {
            say!(self.around.kernel, "only {core:?} are healed");
            self.around.check.heals_a_core();
            self.around.plan.patience_us *= 2;
            self.core = Some(core);
        }
    }

    /// A server outside of the core is never whole again.
    fn break_for_ever(&mut self, at: ServerAt) {
        let fault = self.next_fault();
        match self.around.kernel.rng.u32(0..5) {
            0 => {
                let is_silent = self.around.kernel.rng.bool();
                let death = if is_silent {
                    Death::Silent
                } else {
                    Death::Power
                };
                self.die(at, death, None);
            }
            1 => {
                self.stand_still(at);
            }
            2 => self.cut_off(at, fault),
            // It is heard and hears nothing, or hears and is not heard.
            way @ 3..=4 => {
                for other in (0..self.servers.len()).filter(|other| *other != at) {
                    let (here, there) = (Node::Server(at), Node::Server(other));
                    let (from, to) = if way == 3 {
                        (there, here)
                    } else {
                        (here, there)
                    };
                    self.around.net.block(from, to, fault);
                }
            }
            _ => {}
        }
        if self.servers[at].process.is_some() && self.around.kernel.rng.bool() {
            self.around
                .slow_disks
                .insert(at, self.around.plan.slow_disk_us.1);
        }
    }

    /// Looks whether everything is in step, until it is or patience ends.
    pub(crate) fn look(&mut self) {
        let Some(since) = self.calm_since else { return };
        match self.what_is_missing() {
            None if self.around.kernel.now() < since.after(self.aftermath_us()) => {
                let delay = self.around.plan.tick_ms * 1000;
                self.around.kernel.after(delay, Event::Look);
            }
            None if !self.clients.iter().all(Client::has_last_sync) => {
                // Nobody writes any more: it passes by itself.
                for client in &mut self.clients {
                    client.ask_last_sync();
                }
                self.around.kernel.after(0, Event::Look);
            }
            None => {
                say!(self.around.kernel, "— in step —");
                self.in_step_at = Some(self.around.kernel.now());
                self.around.check.in_step_again(self.core.clone());
                let quiet = self.around.plan.quiet_us;
                self.around.kernel.after(quiet, Event::End);
            }
            Some(missing) => {
                if self.around.kernel.now().since(since) > self.around.plan.patience_us {
                    self.around.check.still_missing(missing);
                }
                let delay = self.around.plan.tick_ms * 1000;
                self.around.kernel.after(delay, Event::Look);
            }
        }
    }

    /// So long after the faults somebody may still be left because of what was on its way then.
    fn aftermath_us(&self) -> u64 {
        let plan = &self.around.plan;
        plan.weather.slow_us.1 + plan.tick_ms * 1000 * u64::from(plan.sync_limit)
    }

    /// What keeps the world from being in step.
    fn what_is_missing(&self) -> Option<String> {
        let mut epochs = Vec::new();
        let core = self.servers.iter().filter(|s| self.is_in_core(s.at));
        for server in core.clone() {
            let Some(process) = &server.process else {
                return Some(format!("s{} does not run", server.sid));
            };
            if self.around.plan.is_standalone {
                continue;
            }
            let Some(step) = process.in_step() else {
                let state = process.state();
                return Some(format!("s{} is not in step: {state:?}", server.sid));
            };
            epochs.push(step);
            let serves =
                self.around.plan.leader_serves || process.state() != Some(ServerState::Leading);
            if serves && !process.is_serving() {
                return Some(format!("s{} does not serve", server.sid));
            }
        }
        if epochs.iter().any(|step| Some(step) != epochs.first()) {
            return Some(format!("they follow different leaders: {epochs:?}"));
        }
        if let Some(client) = self.clients.iter().find(|client| !client.is_served()) {
            return Some(format!("c{} is not served", client.at));
        }
        let last = self.around.check.last_decided();
        let behind = core.clone().find(|s| s.applied() != Some(last))?;
        let applied = behind.applied().unwrap_or_default();
        Some(format!("s{} has applied {applied} of {last}", behind.sid))
    }
}
