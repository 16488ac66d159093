//! What each step changed at each server, for those who read a trace.

use crate::event::ServerAt;
use crate::trace::Z;
use crate::world::World;

impl World {
    /// Adds a line to the trace for each server that is not as it was before, with what is different.
    pub(crate) fn show_differences(&mut self) {
        if !self.around.kernel.trace.keeps_lines() {
            return;
        }
        self.shown.resize(self.servers.len(), Vec::new());
        let now = self.around.kernel.now();
        for at in 0..self.servers.len() {
            let state = self.state_of(at);
            let before = std::mem::replace(&mut self.shown[at], state);
            let was = |name: &str| {
                let known = before.iter().find(|(known, _)| *known == name);
                known.map_or("", |(_, value)| value.as_str())
            };
            let changed: Vec<String> = self.shown[at]
                .iter()
                .filter(|(name, value)| was(name) != value)
                .map(|(name, value)| format!("{name} {} → {value}", was(name)))
                .collect();
            if !changed.is_empty() {
                let line = format_args!("        Δ s{}: {}", at + 1, changed.join(", "));
                self.around.kernel.trace.aside(now, line);
            }
        }
    }

    /// What can be seen of a server, by name.
    fn state_of(&self, at: ServerAt) -> Vec<(&'static str, String)> {
        let server = &self.servers[at];
        let Some(process) = &server.process else {
            return vec![("runs", "no".to_owned())];
        };
        let still = server.standing_still.is_some();
        let mut state = vec![
            (
                "runs",
                if still { "stands still" } else { "yes" }.to_owned(),
            ),
            ("applied", Z(process.replica().last_zxid()).to_string()),
            ("flushed", Z(process.flushed()).to_string()),
            ("serves", process.is_serving().to_string()),
            ("jobs", process.job_count().to_string()),
        ];
        if !self.around.plan.is_standalone {
            let follows = process.in_step();
            state.extend([
                ("phase", process.phase().to_string()),
                (
                    "state",
                    process
                        .state()
                        .map_or_else(String::new, |s| format!("{s:?}")),
                ),
                (
                    "in step",
                    follows.map_or_else(String::new, |(sid, e)| format!("s{sid} in {e}")),
                ),
            ]);
        }
        state
    }
}
