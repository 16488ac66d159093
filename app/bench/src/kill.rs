//! A signal that is sent to a server while the load runs: `PID@SECOND[:SIGNAL]`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// Which process is sent which signal, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kill {
    pid: Pid,
    /// After the load began.
    pub(crate) at: Duration,
    signal: Signal,
}

impl Kill {
    /// Whether there is such a process, and it may be sent signals.
    pub(crate) fn can_be_sent(&self) -> bool {
        test_kill_process(self.pid).is_ok()
    }

    /// Sends the signal; what was done, in words.
    pub(crate) fn send(&self) -> String {
        match kill_process(self.pid, self.signal) {
            Ok(()) => self.to_string(),
            Err(error) => format!("{self}: {error}"),
        }
    }
}

impl fmt::Display for Kill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = SIGNALS.iter().find(|(_, signal)| *signal == self.signal);
        let (name, _) = name.unwrap_or(&SIGNALS[0]);
        let seconds = self.at.as_secs_f64();
        write!(f, "{name} to {} at {seconds} s", self.pid.as_raw_pid())
    }
}

impl FromStr for Kill {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (pid, rest) = text
            .split_once('@')
            .ok_or("must be PID@SECOND or PID@SECOND:SIGNAL, such as 4711@10 or 4711@10:STOP")?;
        let (second, signal) = rest.split_once(':').unwrap_or((rest, SIGNALS[0].0));
        let pid = pid
            .parse()
            .ok()
            // 1 is not a server, 0 and less are groups of processes.
            .filter(|pid| *pid > 1)
            .and_then(Pid::from_raw)
            .ok_or_else(|| format!("`{pid}` is no process id"))?;
        let at = second
            .parse()
            .ok()
            .filter(|second| (0.0..=1e6).contains(second))
            .map(Duration::from_secs_f64)
            .ok_or_else(|| format!("`{second}` is no number of seconds"))?;
        let name = signal.strip_prefix("SIG").unwrap_or(signal);
        let known = SIGNALS.iter().find(|(known, _)| *known == name);
        let (_, signal) = known.ok_or_else(|| {
            let names: Vec<&str> = SIGNALS.iter().map(|(name, _)| *name).collect();
            format!("`{signal}` is none of {}", names.join(", "))
        })?;
        let signal = *signal;
        Ok(Self { pid, at, signal })
    }
}

/// The signals that say something about a server. The first is sent when none is named.
const SIGNALS: [(&str, Signal); 5] = [
    ("KILL", Signal::KILL),
    ("TERM", Signal::TERM),
    ("INT", Signal::INT),
    ("STOP", Signal::STOP),
    ("CONT", Signal::CONT),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_kill_unless_it_is_named() {
        for (text, told) in [
            ("4711@10", "KILL to 4711 at 10 s"),
            ("4711@0.5:STOP", "STOP to 4711 at 0.5 s"),
            ("4711@3:SIGCONT", "CONT to 4711 at 3 s"),
        ] {
            assert_eq!(text.parse::<Kill>().unwrap().to_string(), told);
        }
    }

    #[test]
    fn what_is_wrong_with_a_kill_is_named() {
        for (text, told) in [
            ("4711", "must be PID@SECOND"),
            ("-1@5", "`-1` is no process id"),
            ("0@5", "`0` is no process id"),
            ("1@5", "`1` is no process id"),
            ("4711@soon", "`soon` is no number of seconds"),
            ("4711@-1", "`-1` is no number of seconds"),
            ("4711@1:HUG", "`HUG` is none of KILL, TERM"),
        ] {
            let error = text.parse::<Kill>().unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
