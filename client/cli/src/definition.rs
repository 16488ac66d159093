//! What the command line of the shell is made of: its options and commands, as data for help texts, manuals and completions.
//!
//! Reading a command line is done by `invocation`, with Apache's tolerance.

use crate::command::COMMANDS;

/// An option of the program. It has a letter, a word or both.
#[derive(Debug, Clone, Copy)]
pub struct ShellOption {
    /// Written with one hyphen.
    pub letter: Option<char>,
    /// Written with two hyphens, or with one as Apache's shell has it, see [`Self::has_one_hyphen`].
    pub word: Option<&'static str>,
    /// What its value stands for, if it takes one.
    pub value: Option<&'static str>,
    /// What it does.
    pub help: &'static str,
}

impl ShellOption {
    /// Whether manuals show the word with one hyphen: the habit of Apache's shell, whose words have no letters.
    #[must_use]
    pub const fn has_one_hyphen(&self) -> bool {
        self.letter.is_none()
    }

    /// As it stands in the help.
    fn head(&self) -> String {
        let letter = self.letter.map(|letter| format!("-{letter}"));
        let hyphens = if self.has_one_hyphen() { "-" } else { "--" };
        let word = self.word.map(|word| format!("{hyphens}{word}"));
        let names: Vec<String> = letter.into_iter().chain(word).collect();
        let value = self.value.map(|value| format!(" {value}"));
        format!("{}{}", names.join(", "), value.unwrap_or_default())
    }
}

/// The options of the program.
pub const OPTIONS: &[ShellOption] = &[
    apache(
        "server",
        Some("HOST[:PORT][,...][/CHROOT]"),
        "servers, and the path that is the root [default: localhost:2181]",
    ),
    apache(
        "timeout",
        Some("MS"),
        "session timeout to ask for [default: 30000]",
    ),
    ShellOption {
        letter: Some('r'),
        word: None,
        value: None,
        help: "a read-only server will do",
    },
    apache(
        "waitforconnection",
        None,
        "end with an error if there is no connection within the timeout",
    ),
    apache(
        "client-configuration",
        Some("FILE"),
        "properties of the client",
    ),
    ours('j', "json", "print one JSON value per command"),
    ours(
        'q',
        "quiet",
        "print results only, without greeting and the session's state",
    ),
    ours('h', "help", "print this"),
];

const fn apache(
    word: &'static str,
    value: Option<&'static str>,
    help: &'static str,
) -> ShellOption {
    ShellOption {
        letter: None,
        word: Some(word),
        value,
        help,
    }
}

const fn ours(letter: char, word: &'static str, help: &'static str) -> ShellOption {
    ShellOption {
        letter: Some(letter),
        word: Some(word),
        value: None,
        help,
    }
}

/// A command of the shell.
#[derive(Debug, Clone, Copy)]
pub struct ShellCommand {
    /// What is typed.
    pub name: &'static str,
    /// What follows the name.
    pub syntax: &'static str,
    /// What it does, in one sentence.
    pub help: &'static str,
}

/// The commands of the shell, sorted by name; without those that are other names of `help`.
pub fn commands() -> impl Iterator<Item = ShellCommand> {
    let named = COMMANDS
        .iter()
        .filter(|command| !matches!(command.name, "?" | "h"));
    named.map(|command| ShellCommand {
        name: command.name,
        syntax: command.syntax,
        help: command.help,
    })
}

/// What the program's exit codes mean.
pub const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 the (last) command failed, 2 bad client configuration, 127 unknown command";

/// What `--help` says.
pub(crate) fn help() -> String {
    let heads: Vec<String> = OPTIONS.iter().map(ShellOption::head).collect();
    let width = heads.iter().map(String::len).max().unwrap_or_default();
    let options: String = heads
        .iter()
        .zip(OPTIONS)
        .map(|(head, option)| format!("  {head:width$}  {}\n", option.help))
        .collect();
    format!(
        "The shell of ZooKeeper\n\n\
         Usage: zabra cli [OPTIONS] [COMMAND [ARGUMENT...]]\n\n\
         Without a command it reads commands from the terminal, or from standard input, one on a line.\n\
         `zabra cli help` lists the commands.\n\n\
         Options (Apache's, with one hyphen or two):\n{options}\n{EXIT_CODES}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invocation::Invocation;

    #[test]
    fn each_option_of_the_help_is_understood_in_each_of_its_forms() {
        for option in OPTIONS {
            let letter = option.letter.map(|letter| format!("-{letter}"));
            let word = option.word.iter();
            let words = word.flat_map(|word| [format!("-{word}"), format!("--{word}")]);
            for form in letter.into_iter().chain(words) {
                let value = option.value.map(|_| "5".to_owned());
                let args = std::iter::once(form.clone()).chain(value);
                let asked = Invocation::parse(args).unwrap();
                assert_eq!(asked.complaints, [""; 0], "{form}");
                assert!(asked.command.is_empty(), "{form}");
            }
        }
    }

    #[test]
    fn the_help_shows_apaches_options_with_one_hyphen() {
        let help = help();
        assert!(help.contains("\n  -server HOST[:PORT][,...][/CHROOT]  servers, and"));
        assert!(help.contains("\n  -r  ") && help.contains("\n  -j, --json  "));
    }
}
