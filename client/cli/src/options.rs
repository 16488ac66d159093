//! The options of one command, read as Apache's shell reads them.
//!
//! Options may stand anywhere, several letters may share a hyphen (`-se`), a value may follow its letter at once
//! (`-t100`) or after a blank or `=`. `--` ends the options. Everything that begins with a hyphen is taken for an
//! option, numbers too, unless an option waits for its value.

use std::fmt;

/// One option.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opt {
    /// Its letter or word, without the hyphen.
    pub(crate) name: &'static str,
    /// Whether a value follows.
    pub(crate) takes_value: bool,
    /// What it does, for the usage text.
    pub(crate) help: &'static str,
}

/// An option without a value.
pub(crate) const fn flag(name: &'static str, help: &'static str) -> Opt {
    Opt {
        name,
        takes_value: false,
        help,
    }
}

/// An option with a value.
pub(crate) const fn value(name: &'static str, help: &'static str) -> Opt {
    Opt {
        name,
        takes_value: true,
        help,
    }
}

/// How many of a command's options may be given at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Any.
    Free,
    /// At most one.
    AtMostOne,
    /// Exactly one.
    One,
}

/// What was given.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Given {
    options: Vec<(&'static str, Option<String>)>,
    /// The words that belong to no option; the first is the command.
    pub(crate) words: Vec<String>,
}

impl Given {
    /// Whether the option was given.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.options.iter().any(|(given, _)| *given == name)
    }

    /// The value of the option; the first one, when it was given more than once.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let (_, value) = self.options.iter().find(|(given, _)| *given == name)?;
        value.as_deref()
    }

    /// The word at `index`; the command itself is word 0.
    pub(crate) fn word(&self, index: usize) -> Option<&str> {
        self.words.get(index).map(String::as_str)
    }
}

/// Why the options of a command cannot be read; the texts are Apache's.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum OptionError {
    Unknown(String),
    NoValue(&'static str),
    Excluded(&'static str, &'static str),
    NoneGiven(Vec<Opt>),
}

impl PartialEq for Opt {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Opt {}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(token) => write!(f, "Unrecognized option: {token}"),
            Self::NoValue(name) => write!(f, "Missing argument for option: {name}"),
            Self::Excluded(second, first) => write!(
                f,
                "The option '{second}' was specified but an option from this group has already been selected: '{first}'"
            ),
            Self::NoneGiven(options) => {
                let names: Vec<String> = options
                    .iter()
                    .map(|option| format!("-{} {}", option.name, option.help))
                    .collect();
                write!(f, "Missing required option: [{}]", names.join(", "))
            }
        }
    }
}

/// Reads the words of a command, itself the first.
pub(crate) fn parse(
    options: &[Opt],
    choice: Choice,
    words: &[String],
) -> Result<Given, OptionError> {
    let mut reading = Reading {
        options,
        choice,
        given: Given::default(),
        waiting: None,
    };
    let mut rest = words.iter();
    for word in rest.by_ref() {
        if word == "--" {
            break;
        }
        reading.on_word(word)?;
    }
    reading.end_waiting()?;
    reading.given.words.extend(rest.cloned());
    if choice == Choice::One && reading.given.options.is_empty() {
        return Err(OptionError::NoneGiven(options.to_vec()));
    }
    Ok(reading.given)
}

struct Reading<'a> {
    options: &'a [Opt],
    choice: Choice,
    given: Given,
    /// The option whose value comes next.
    waiting: Option<Opt>,
}

impl Reading<'_> {
    fn on_word(&mut self, word: &str) -> Result<(), OptionError> {
        if let Some(option) = self.waiting
            && !self.looks_like_option(word)
        {
            self.waiting = None;
            self.give(option, Some(without_quotes(word)));
            return Ok(());
        }
        match word.strip_prefix('-') {
            Some(name) if !name.is_empty() && !name.starts_with('-') => self.on_option(word, name),
            Some(name) if name.starts_with('-') => Err(OptionError::Unknown(word.to_owned())),
            _ => {
                self.end_waiting()?;
                self.given.words.push(word.to_owned());
                Ok(())
            }
        }
    }

    /// A word after a single hyphen.
    fn on_option(&mut self, word: &str, name: &str) -> Result<(), OptionError> {
        if let Some(option) = self.find(name) {
            return self.begin(option);
        }
        if let Some((name, value)) = name.split_once('=') {
            return match self.find(name) {
                Some(option) if option.takes_value && name.len() == 1 => {
                    self.begin(option)?;
                    self.waiting = None;
                    self.give(option, Some(value));
                    Ok(())
                }
                _ => Err(OptionError::Unknown(word.to_owned())),
            };
        }
        for (at, letter) in name.char_indices() {
            let after = &name[at + letter.len_utf8()..];
            let option = self
                .find(&name[at..at + letter.len_utf8()])
                .ok_or_else(|| OptionError::Unknown(word.to_owned()))?;
            self.begin(option)?;
            if self.waiting.is_some() && !after.is_empty() {
                self.waiting = None;
                self.give(option, Some(without_quotes(after)));
                break;
            }
        }
        Ok(())
    }

    fn begin(&mut self, option: Opt) -> Result<(), OptionError> {
        self.end_waiting()?;
        let other = self
            .given
            .options
            .iter()
            .find(|(name, _)| *name != option.name);
        if let Some((first, _)) = other
            && self.choice != Choice::Free
        {
            return Err(OptionError::Excluded(option.name, first));
        }
        if option.takes_value {
            self.waiting = Some(option);
        } else {
            self.give(option, None);
        }
        Ok(())
    }

    fn give(&mut self, option: Opt, value: Option<&str>) {
        self.given
            .options
            .push((option.name, value.map(str::to_owned)));
    }

    fn end_waiting(&self) -> Result<(), OptionError> {
        match self.waiting {
            Some(option) => Err(OptionError::NoValue(option.name)),
            None => Ok(()),
        }
    }

    /// Whether a word that could be a value is an option of this command. Numbers are values.
    fn looks_like_option(&self, word: &str) -> bool {
        let Some(name) = word.strip_prefix('-') else {
            return false;
        };
        if word.parse::<f64>().is_ok() {
            return false;
        }
        let name = name.split('=').next().unwrap_or_default();
        let first = name.chars().next().map_or(0, char::len_utf8);
        !name.is_empty() && (self.find(name).is_some() || self.find(&name[..first]).is_some())
    }

    fn find(&self, name: &str) -> Option<Opt> {
        self.options
            .iter()
            .find(|option| option.name == name)
            .copied()
    }
}

/// The text without a pair of double quotes around it.
fn without_quotes(text: &str) -> &str {
    let inner = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    inner.filter(|inner| !inner.contains('"')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::split;

    const CREATE: [Opt; 4] = [
        flag("e", "ephemeral"),
        flag("s", "sequential"),
        flag("c", "container"),
        value("t", "ttl"),
    ];
    const QUOTA: [Opt; 2] = [value("n", "num soft quota"), value("b", "bytes soft quota")];

    fn free(line: &str) -> Result<Given, OptionError> {
        parse(&CREATE, Choice::Free, &split(line))
    }

    #[test]
    fn options_stand_anywhere() {
        let given = free("create /a -s data -e").unwrap();
        assert_eq!(given.words, ["create", "/a", "data"]);
        assert!(given.has("s") && given.has("e") && !given.has("c"));
    }

    #[test]
    fn letters_share_a_hyphen_and_values_follow_at_once() {
        let given = free("create -set100 /a").unwrap();
        assert!(given.has("s") && given.has("e"));
        assert_eq!(given.value("t"), Some("100"));
        assert_eq!(free("create -t=5 /a").unwrap().value("t"), Some("5"));
        assert_eq!(free("create -t -5 /a").unwrap().value("t"), Some("-5"));
        assert_eq!(free("create -t -x /a").unwrap().value("t"), Some("-x"));
    }

    #[test]
    fn the_first_value_counts() {
        assert_eq!(free("create -t 1 -t 2 /a").unwrap().value("t"), Some("1"));
    }

    #[test]
    fn what_is_no_option_and_begins_with_a_hyphen_is_refused() {
        for (line, token) in [
            ("create /a -z", "-z"),
            ("create /a -1", "-1"),
            ("create --s /a", "--s"),
            ("create -sz /a", "-sz"),
            ("create -s=5 /a", "-s=5"),
        ] {
            assert_eq!(free(line), Err(OptionError::Unknown(token.to_owned())));
        }
    }

    #[test]
    fn a_lone_hyphen_is_a_word_and_two_end_the_options() {
        assert_eq!(free("create /a -").unwrap().words, ["create", "/a", "-"]);
        assert_eq!(
            free("create /a -- -z -s").unwrap().words,
            ["create", "/a", "-z", "-s"]
        );
    }

    #[test]
    fn a_value_must_follow() {
        assert_eq!(free("create /a -t"), Err(OptionError::NoValue("t")));
        assert_eq!(free("create /a -t -s"), Err(OptionError::NoValue("t")));
    }

    #[test]
    fn a_choice_takes_one_option() {
        let read = |line: &str| parse(&QUOTA, Choice::One, &split(line));
        assert_eq!(
            read("setquota -n 5 -b 5 /a").unwrap_err().to_string(),
            "The option 'b' was specified but an option from this group has already been selected: 'n'"
        );
        assert_eq!(
            read("setquota /a").unwrap_err().to_string(),
            "Missing required option: [-n num soft quota, -b bytes soft quota]"
        );
        assert_eq!(read("setquota -n 5 /a").unwrap().value("n"), Some("5"));
    }
}
