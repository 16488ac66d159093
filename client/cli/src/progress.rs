//! A line that counts while long work goes on, on a terminal only.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often the line is drawn at most.
const INTERVAL: Duration = Duration::from_millis(100);

/// Short work shows no progress.
const DELAY: Duration = Duration::from_millis(500);

/// Counts something on standard error. The line is wiped when this is dropped.
pub(crate) struct Progress {
    what: &'static str,
    total: Option<u64>,
    done: u64,
    shown: bool,
    next: Instant,
    terminal: bool,
}

impl Progress {
    /// Counts what `what` says, such as `znodes read`.
    pub(crate) fn new(what: &'static str, total: Option<u64>) -> Self {
        Self {
            what,
            total,
            done: 0,
            shown: false,
            next: Instant::now() + DELAY,
            terminal: io::stderr().is_terminal(),
        }
    }

    /// So many more are done.
    pub(crate) fn add(&mut self, more: u64) {
        self.done += more;
        if self.terminal && Instant::now() >= self.next {
            self.next = Instant::now() + INTERVAL;
            self.shown = true;
            self.draw(&format!(
                "\r\x1b[K{}",
                line(self.what, self.done, self.total)
            ));
        }
    }

    #[expect(clippy::unused_self, reason = "only a progress draws")]
    fn draw(&self, text: &str) {
        // Progress that cannot be shown is not missed.
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            self.draw("\r\x1b[K");
        }
    }
}

fn line(what: &str, done: u64, total: Option<u64>) -> String {
    match total {
        Some(total) if total > 0 => {
            let percent = done.saturating_mul(100) / total;
            format!("{done} of {total} {what} ({percent} %)")
        }
        _ => format!("{done} {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn progress_tells_how_far_it_is_when_it_knows() {
        assert_eq!(
            line("znodes deleted", 5, Some(20)),
            "5 of 20 znodes deleted (25 %)"
        );
        assert_eq!(line("znodes read", 5, None), "5 znodes read");
    }
}
