//! The end of each run: faults have stopped, and the world must get into step within a bound (I-40, I-41).

use zabra_election::ServerState;

use crate::event::Event;
use crate::say;
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
        around.votes.move_on(&mut around.kernel, &around.net);
        for at in 0..self.servers.len() {
            self.servers[at].disk.heal();
            self.resume(at);
            if let Some(process) = &mut self.servers[at].process {
                process.dies_in = None;
            } else {
                self.around.kernel.after(0, Event::Start(at));
            }
        }
        for client in &mut self.clients {
            client.calm_down();
        }
        self.around.kernel.after(0, Event::Look);
    }

    /// Looks whether everything is in step, until it is or patience ends.
    pub(crate) fn look(&mut self) {
        let Some(since) = self.calm_since else { return };
        match self.what_is_missing() {
            None if self.around.kernel.now() < since.after(self.aftermath_us()) => {
                let delay = self.around.plan.tick_ms * 1000;
                self.around.kernel.after(delay, Event::Look);
            }
            None => {
                say!(self.around.kernel, "— in step —");
                self.in_step_at = Some(self.around.kernel.now());
                self.around.check.count("I-41 progress");
                self.around.check.expect_quiet();
                let quiet = self.around.plan.quiet_us;
                self.around.kernel.after(quiet, Event::End);
            }
            Some(missing) => {
                if self.around.kernel.now().since(since) > self.around.plan.patience_us {
                    self.around.check.violate("I-41 progress", missing);
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
        for server in &self.servers {
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
        let behind = self.servers.iter().find(|s| s.applied() != Some(last))?;
        let applied = behind.applied().unwrap_or_default();
        Some(format!("s{} has applied {applied} of {last}", behind.sid))
    }
}
