//! Which four-letter words are answered.

use std::collections::BTreeSet;

use crate::error::ConfigError;
use crate::source::Source;

/// The four-letter words that are answered; `srvr` always is, and `isro` in read-only mode
/// (features FL-02).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Whitelist {
    all: bool,
    words: BTreeSet<String>,
}

/// What `*` stands for.
pub const WORDS: [&str; 18] = [
    "conf", "cons", "crst", "dirs", "dump", "envi", "gtmk", "hash", "isro", "mntr", "ruok", "srst",
    "srvr", "stat", "stmk", "wchc", "wchp", "wchs",
];

impl Whitelist {
    /// Reads a comma separated list.
    pub fn parse(list: &str, read_only_mode: bool) -> Self {
        let mut words = BTreeSet::from(["srvr".to_owned()]);
        if read_only_mode {
            words.insert("isro".to_owned());
        }
        for word in list.split(',').map(str::trim) {
            if word == "*" {
                return Self { all: true, words };
            }
            if WORDS.contains(&word) {
                words.insert(word.to_owned());
            }
        }
        Self { all: false, words }
    }

    pub(crate) fn read(source: &mut Source) -> Result<Self, ConfigError> {
        let read_only_mode = source.flag("readonlymode.enabled")?;
        let list = source.text("4lw.commands.whitelist").unwrap_or_default();
        for word in list
            .split(',')
            .map(str::trim)
            .filter(|w| !w.is_empty() && *w != "*" && !WORDS.contains(w))
        {
            source.warn(
                "4lw.commands.whitelist",
                format!("{word} is no four-letter word"),
            );
        }
        Ok(Self::parse(&list, read_only_mode))
    }

    /// Whether every word is answered.
    pub fn allows_all(&self) -> bool {
        self.all
    }

    /// Whether `word` is answered.
    pub fn allows(&self, word: &str) -> bool {
        if self.all {
            WORDS.contains(&word)
        } else {
            self.words.contains(word)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn srvr_is_always_answered_and_isro_in_read_only_mode() {
        let nothing = Whitelist::parse("", false);
        assert_eq!(
            WORDS
                .iter()
                .filter(|w| nothing.allows(w))
                .collect::<Vec<_>>(),
            [&"srvr"]
        );
        assert!(Whitelist::parse("", true).allows("isro"));
    }

    #[test]
    fn blanks_are_trimmed_and_unknown_words_ignored() {
        let list = Whitelist::parse(" mntr , ruok,bogus,", false);
        assert!(
            list.allows("mntr")
                && list.allows("ruok")
                && !list.allows("bogus")
                && !list.allows("stat")
        );
    }

    #[test]
    fn a_star_is_every_word_there_is() {
        let list = Whitelist::parse("ruok, *", false);
        assert!(WORDS.iter().all(|w| list.allows(w)));
        assert!(!list.allows("bogu"));
    }
}
