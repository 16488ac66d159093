//! Completion: commands, their options, and the paths of znodes.

use crate::command::{self, COMMANDS};
use crate::words;

/// Where the completed word begins in the line, and what may stand there.
pub(crate) type Candidates = (usize, Vec<String>);

/// What can stand at the end of `line`. `children` lists the names below a path; nothing when there are none.
pub(crate) fn complete(line: &str, children: impl FnOnce(&str) -> Vec<String>) -> Candidates {
    let (start, word) = words::last(line);
    let before = words::split(&line[..start]);
    if word.starts_with('/') {
        let quote = line[..start]
            .chars()
            .next_back()
            .filter(|c| matches!(c, '"' | '\''));
        return (start, paths(word, quote, children));
    }
    match before.first().map(String::as_str) {
        None | Some("help" | "?" | "h") => (start, commands(word)),
        Some("printwatches") => (start, matching(["on", "off"].into_iter(), word)),
        Some(name) if word.starts_with('-') => (start, options(name, word)),
        Some(_) => (start, Vec::new()),
    }
}

fn commands(word: &str) -> Vec<String> {
    matching(COMMANDS.iter().map(|command| command.name), word)
}

fn options(name: &str, word: &str) -> Vec<String> {
    let options = command::find(name).map_or(&[][..], |command| command.options);
    let names: Vec<String> = options
        .iter()
        .map(|option| format!("-{}", option.name))
        .collect();
    matching(names.iter().map(String::as_str), word)
}

/// Those that begin with the word; a blank follows if it can only be this one.
fn matching<'a>(names: impl Iterator<Item = &'a str>, word: &str) -> Vec<String> {
    let mut found: Vec<String> = names
        .filter(|name| name.starts_with(word))
        .map(str::to_owned)
        .collect();
    if let [only] = found.as_mut_slice() {
        only.push(' ');
    }
    found
}

/// The paths that go on from `word`, behind the quote that stands open, if one does.
fn paths(
    word: &str,
    quote: Option<char>,
    children: impl FnOnce(&str) -> Vec<String>,
) -> Vec<String> {
    let cut = word.rfind('/').unwrap_or_default();
    let parent = if cut == 0 { "/" } else { &word[..cut] };
    let prefix = &word[cut + 1..];
    let mut names = children(parent);
    names.retain(|name| name.starts_with(prefix));
    names.sort();
    let is_only = names.len() == 1;
    let paths = names.iter().map(|name| {
        let path = format!("{}/{name}", &word[..cut]);
        match quote {
            // What was opened is closed when there is nothing to choose.
            Some(quote) if is_only => format!("{path}{quote}"),
            None if path.contains(' ') => format!("\"{path}{}", if is_only { "\"" } else { "" }),
            _ => path,
        }
    });
    paths.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Vec<String> {
        complete(line, |parent| match parent {
            "/" => ["b", "a c", "ab"].map(str::to_owned).to_vec(),
            "/ab" => vec!["x".to_owned()],
            _ => Vec::new(),
        })
        .1
    }

    #[test]
    fn the_first_word_is_a_command() {
        assert_eq!(of("getA"), ["getAcl", "getAllChildrenNumber"]);
        assert_eq!(of("getAc"), ["getAcl "]);
        assert_eq!(of("help who"), ["whoami "]);
        assert!(of("foo b").is_empty());
    }

    #[test]
    fn a_word_with_a_slash_is_a_path() {
        assert_eq!(of("ls /"), ["\"/a c", "/ab", "/b"]);
        assert_eq!(of("ls -s /ab/"), ["/ab/x"]);
        assert_eq!(of("ls '/a"), ["/a c", "/ab"]);
        assert_eq!(of("ls '/a "), ["/a c'"]);
        assert!(of("ls /none/").is_empty());
        assert_eq!(complete("get /a", |_| Vec::new()).0, 4);
    }

    #[test]
    fn a_hyphen_is_an_option_of_the_command() {
        assert_eq!(of("stat -"), ["-w "]);
        assert_eq!(of("get -"), ["-s", "-w", "-b", "-x"]);
        assert_eq!(of("printwatches o"), ["on", "off"]);
    }
}
