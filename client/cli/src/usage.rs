//! Usage texts: of the shell, and of one command.

use crate::command::{COMMANDS, Command};
use crate::options::Opt;

/// All commands in the form of Apache's shell.
pub(crate) fn all() -> String {
    let mut text =
        String::from("ZooKeeper -server host:port -client-configuration properties-file cmd args");
    for command in COMMANDS {
        text.push_str(&format!("\n\t{} {}", command.name, command.syntax));
    }
    text
}

/// One command, as errors show it.
pub(crate) fn of(command: &Command) -> String {
    let mut text = format!("{} {}", command.name, command.syntax);
    if command.lists_options {
        text.push('\n');
        text.push_str(&options(command.options));
    }
    text
}

/// All commands with a sentence each, as `help` shows them.
pub(crate) fn overview() -> String {
    let width = COMMANDS
        .iter()
        .map(|command| command.name.len())
        .max()
        .unwrap_or_default();
    let mut text = String::new();
    for command in COMMANDS
        .iter()
        .filter(|command| !matches!(command.name, "?" | "h"))
    {
        text.push_str(&format!("  {:width$}  {}\n", command.name, command.help));
    }
    text.push_str("`help COMMAND` shows how a command is written.");
    text
}

/// The command that was probably meant, if one is near.
pub(crate) fn nearest(name: &str) -> Option<&'static str> {
    let near = COMMANDS
        .iter()
        .map(|command| (distance(name, command.name), command.name));
    let (distance, nearest) = near.min()?;
    (distance * 2 <= name.len() && distance <= 2).then_some(nearest)
}

/// How many letters must be changed, put in, taken out or exchanged with the next; capitals are letters like others.
fn distance(a: &str, b: &str) -> usize {
    let letters = |text: &str| text.to_lowercase().chars().collect::<Vec<char>>();
    let (a, b) = (letters(a), letters(b));
    // Row i, column j: from the first i letters of one to the first j of the other.
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = changed.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

/// One command, as `help` shows it: with the sentence and all of its options.
pub(crate) fn help(command: &Command) -> String {
    let mut text = format!("{} {}\n  {}", command.name, command.syntax, command.help);
    if !command.options.is_empty() {
        text.push('\n');
        text.push_str(options(command.options).trim_end());
    }
    text
}

/// `ls -?` in Apache's words.
pub(crate) fn ls_help(command: &Command) -> String {
    let text = format!("usage: ls [options] path\n{}", options(command.options));
    text.trim_end().to_owned()
}

/// A line for each option, sorted, in two columns; ends with a newline.
fn options(options: &[Opt]) -> String {
    let mut sorted: Vec<&Opt> = options.iter().collect();
    sorted.sort_by_key(|option| (option.name.to_lowercase(), option.name));
    let heads: Vec<String> = sorted
        .iter()
        .map(|option| {
            format!(
                " -{}{}",
                option.name,
                if option.takes_value { " <arg>" } else { "" }
            )
        })
        .collect();
    let width = heads.iter().map(String::len).max().unwrap_or_default() + 3;
    let lines = heads.iter().zip(sorted);
    lines
        .map(|(head, option)| format!("{head:width$}{}\n", option.help))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::find;

    #[test]
    fn the_usage_of_set_lists_its_options() {
        assert_eq!(
            of(find("set").unwrap()),
            "set path data [-s] [-v version] [-b]\n \
             -b         Supply data in base64 format\n \
             -s         Print znode stats additionally\n \
             -v <arg>   Set with an expected version\n"
        );
    }

    #[test]
    fn most_usages_are_one_line() {
        assert_eq!(of(find("version").unwrap()), "version ");
        assert_eq!(of(find("sync").unwrap()), "sync path");
    }

    #[test]
    fn a_command_that_is_nearly_right_is_guessed() {
        assert_eq!(nearest("creat"), Some("create"));
        assert_eq!(nearest("getacl"), Some("getAcl"));
        assert_eq!(nearest("gte"), Some("get"));
        assert_eq!(nearest("dir"), None);
        assert_eq!(nearest("xyzzy"), None);
    }

    #[test]
    fn the_overview_has_a_line_for_each_command_with_a_name() {
        assert_eq!(overview().lines().count(), COMMANDS.len() - 2 + 1);
    }

    #[test]
    fn ls_has_a_help_of_its_own() {
        assert_eq!(
            ls_help(find("ls").unwrap()),
            "usage: ls [options] path\n -?   help\n -R   recurse\n -s   stat\n -w   watch"
        );
    }

    #[test]
    fn the_whole_usage_names_every_command_on_a_line() {
        let text = all();
        assert!(text.starts_with(
            "ZooKeeper -server host:port -client-configuration properties-file cmd args\n\t? [command]\n"
        ));
        assert!(text.contains("\n\tclose \n"));
        assert_eq!(text.lines().count(), COMMANDS.len() + 1);
    }
}
