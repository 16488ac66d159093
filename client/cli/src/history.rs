//! What was typed: the numbered commands of this run, and what the file of all runs may keep.

use std::path::PathBuf;

/// How many commands before the running one `history` shows.
const SHOWN: usize = 10;

/// The commands of this run, numbered from 0.
#[derive(Debug, Default)]
pub(crate) struct History {
    lines: Vec<String>,
}

impl History {
    /// Takes the running command in; it has had the number [`Self::next`].
    pub(crate) fn push(&mut self, line: &str) {
        self.lines.push(line.to_owned());
    }

    /// The number of the next command, which the prompt shows.
    pub(crate) fn next(&self) -> usize {
        self.lines.len()
    }

    /// The command with this number, if it is an earlier one than the running one.
    pub(crate) fn earlier(&self, number: i64) -> Option<&str> {
        let number = usize::try_from(number).ok()?;
        let running = self.lines.len().checked_sub(1)?;
        self.lines[..running].get(number).map(String::as_str)
    }

    /// Puts another text in the place of the running command: what `redo` did counts, not `redo`.
    pub(crate) fn replace_running(&mut self, line: &str) {
        if let Some(running) = self.lines.last_mut() {
            line.clone_into(running);
        }
    }

    /// The running command and those before it, with their numbers.
    pub(crate) fn shown(&self) -> impl Iterator<Item = (usize, &str)> {
        let first = self.lines.len().saturating_sub(SHOWN + 1);
        let numbered = self.lines.iter().enumerate().skip(first);
        numbered.map(|(number, line)| (number, line.as_str()))
    }
}

/// Whether a line may be kept in the file: never one that holds a secret.
pub(crate) fn may_be_kept(line: &str) -> bool {
    !line.to_ascii_lowercase().contains("addauth")
}

/// The file that keeps lines over runs: in `$XDG_STATE_HOME/zabra`, which is `~/.local/state/zabra` when not set.
pub(crate) fn file() -> Option<PathBuf> {
    let absolute = |name: &str| {
        let path = PathBuf::from(std::env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    let state =
        absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    Some(state.join("zabra/cli_history"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_shows_the_running_command_and_ten_before() {
        let mut history = History::default();
        for number in 0..20 {
            history.push(&format!("c{number}"));
        }
        let shown: Vec<_> = history.shown().collect();
        assert_eq!(shown.first(), Some(&(9, "c9")));
        assert_eq!(shown.last(), Some(&(19, "c19")));
        assert_eq!(history.next(), 20);
    }

    #[test]
    fn only_earlier_commands_can_be_done_again() {
        let mut history = History::default();
        history.push("ls /");
        history.push("redo 0");
        assert_eq!(history.earlier(0), Some("ls /"));
        assert_eq!(history.earlier(1), None);
        assert_eq!(history.earlier(-1), None);
        history.replace_running("ls /");
        history.push("redo 1");
        assert_eq!(history.earlier(1), Some("ls /"));
    }

    #[test]
    fn secrets_are_not_kept() {
        assert!(may_be_kept("get /a"));
        assert!(!may_be_kept("addauth digest bob:secret"));
        assert!(!may_be_kept("  \"addauth\" digest bob:secret"));
        assert!(!may_be_kept("addAuth digest bob:secret"));
    }
}
