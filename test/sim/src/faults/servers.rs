//! Processes that die, stop or stand still, and wall clocks.

use super::kind;
use crate::event::{Event, ServerAt};
use crate::process::Process;
use crate::say;
use crate::server::Death;
use crate::world::World;

impl World {
    /// A wall clock is set, by up to an hour.
    pub(super) fn set_wall_clock(&mut self, at: ServerAt) {
        self.meets(kind::CLOCK, at);
        let step = self.around.kernel.rng.i64(-3_600_000..=3_600_000);
        let server = &mut self.servers[at];
        say!(
            self.around.kernel,
            "s{}'s wall clock steps by {step} ms",
            server.sid
        );
        server.clock.wall_ms += step;
        if let Some(process) = &mut server.process {
            process.set_clock(server.clock);
        }
    }

    /// A server dies after so many effects.
    pub fn die_in(&mut self, at: ServerAt, effects: u32) {
        if let Some(process) = &mut self.servers[at].process {
            process.dies_in = Some(effects);
        }
    }

    /// A crash now, or at one of the next effects.
    pub(super) fn crash_somehow(&mut self, at: ServerAt) {
        let midway = self.around.plan.faults.midway_permille;
        let is_midway = self.around.kernel.chance(midway);
        let left = self.around.kernel.rng.u32(0..30);
        if self.servers[at].process.is_none() {
            return;
        }
        if is_midway {
            self.meets(kind::MIDWAY, at);
            return self.die_in(at, left);
        }
        let death = self.draw_death();
        let name = match death {
            Death::Power => kind::CRASH,
            Death::Silent => kind::POWER_CUT,
            Death::Process => kind::KILLED,
        };
        self.meets(name, at);
        self.die(at, death, None);
    }

    pub(super) fn crash_all(&mut self) {
        self.meets_all(kind::ALL_CRASH);
        say!(self.around.kernel, "all servers die");
        for at in 0..self.servers.len() {
            self.crash(at);
        }
    }

    fn draw_death(&mut self) -> Death {
        let (silent, process) = (
            self.around.plan.faults.silent_permille,
            self.around.plan.faults.process_permille,
        );
        if self.around.kernel.chance(silent) {
            Death::Silent
        } else if self.around.kernel.chance(process) {
            Death::Process
        } else {
            Death::Power
        }
    }

    /// A server dies, and is started again later.
    pub(crate) fn crash(&mut self, at: ServerAt) {
        let death = self.draw_death();
        self.die(at, death, None);
    }

    /// A server dies this way, and is started again after so long, µs, or when the plan has it.
    pub(crate) fn die(&mut self, at: ServerAt, death: Death, away_us: Option<u64>) {
        if self.servers[at].process.is_none() {
            return;
        }
        self.servers[at].crash(&mut self.around, death);
        for told in self.around.votes.die(at) {
            if death != Death::Silent {
                let delay = self.around.net.delay(&mut self.around.kernel);
                self.tell(told, delay);
            }
        }
        let delay = match away_us {
            _ if self.calm_since.is_some() => self.around.plan.tick_ms * 1000,
            Some(away) => away,
            None => {
                let away = self.around.plan.faults.away_us;
                self.around.kernel.spread(away)
            }
        };
        if self.is_in_core(at) {
            self.around.kernel.after(delay, Event::Start(at));
        }
    }

    /// A server is asked to stop. It starts again like one that died.
    pub(crate) fn stop(&mut self, at: ServerAt) {
        let stands_still = self.servers[at].standing_still.is_some();
        if self.servers[at].process.is_none() || stands_still || self.calm_since.is_some() {
            return;
        }
        self.meets(kind::STOP, at);
        say!(self.around.kernel, "s{} is to stop", self.servers[at].sid);
        self.with(at, Process::stop);
    }

    /// All servers are restarted, one after the other, whether the one before is in step again or not.
    pub(super) fn roll(&mut self) {
        say!(self.around.kernel, "all servers are restarted in turn");
        let pause = self.trouble();
        for at in 0..self.servers.len() {
            let delay = pause.saturating_mul(at as u64);
            self.around.kernel.after(delay, Event::Stop(at));
        }
    }

    /// Nothing happens to a server from here on, until it is resumed. Whether it ran.
    pub(crate) fn stand_still(&mut self, at: ServerAt) -> bool {
        let server = &mut self.servers[at];
        if server.process.is_none() || server.standing_still.is_some() {
            return false;
        }
        say!(self.around.kernel, "s{} stands still", server.sid);
        server.standing_still = Some(Vec::new());
        self.around.net.stand_still(server.node());
        true
    }

    pub(super) fn pause(&mut self, at: ServerAt) {
        if self.servers[at].standing_still.is_none() {
            self.meets(kind::PAUSE, at);
        }
        if self.stand_still(at) {
            let delay = self.trouble();
            self.around.kernel.after(delay, Event::Resume(at));
        }
    }

    /// A server that stood still goes on. As in the server's own loop it first hears what other servers sent meanwhile, then
    /// notices that time has passed, then hears its clients, then looks at its clock (P75).
    pub(crate) fn resume(&mut self, at: ServerAt) {
        let server = &mut self.servers[at];
        let Some(waiting) = server.standing_still.take() else {
            return;
        };
        say!(self.around.kernel, "s{} goes on", server.sid);
        self.around.check.turns(at, self.around.kernel.now());
        let around = &mut self.around;
        let heard_by = around.plan.weather.delay_us.1;
        around
            .net
            .move_again(&mut around.kernel, server.node(), heard_by + 2);
        around.votes.move_on(&mut around.kernel, &around.net);
        if let Some(process) = &server.process {
            let woken = Event::Woken(at, process.life());
            around.kernel.after(heard_by + 1, woken);
        }
        for event in waiting {
            let is_clock = matches!(event, Event::Timer(..));
            let delay = if is_clock { 2 * heard_by + 4 } else { 0 };
            around.kernel.after(delay, event);
        }
    }
}
