//! The four-letter words and their answers to the letter (features, section 6).
//!
//! The answers are functions from facts to text. Where the facts come from is in [`crate::seat`]; `zabra-serve` tells a
//! word from a frame; `conf`, `envi` and the list of allowed words are the configuration's (`zabra-config`). Scripts and
//! exporters parse these texts, so each blank counts.

mod clients;
mod date;
mod dirs;
mod dump;
mod hash;
mod monitor;
mod state;
mod watches;
mod word;

pub use clients::{ClientFacts, SessionFacts, cons};
pub use date::JavaDate;
pub use dirs::dirs;
pub use dump::{DumpFacts, Expiring, dump};
pub use hash::hash;
pub use monitor::{Gauges, mntr};
pub use state::{Mode, StateFacts, isro, srvr, stat};
pub use watches::{wchc, wchp, wchs};
pub use word::Word;

/// The answer of most words while the server does not serve (FL-04).
pub const NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests\n";

/// What a word is answered while the server does not serve; none for those that are answered all the same (FL-04).
#[must_use]
pub fn while_not_serving(word: Word) -> Option<&'static str> {
    match word {
        Word::Ruok | Word::Envi | Word::Gtmk | Word::Stmk => None,
        Word::Isro => Some(isro(None)),
        // Apache's own line has no end here.
        Word::Hash => Some(NOT_SERVING.trim_ascii_end()),
        _ => Some(NOT_SERVING),
    }
}

/// The answer of `ruok`: it only says that the process answers.
pub const IMOK: &str = "imok";

/// The answer of `crst`.
pub const CONNECTION_STATS_RESET: &str = "Connection stats reset.\n";

/// The answer of `srst`.
pub const SERVER_STATS_RESET: &str = "Server stats reset.\n";

/// What the trace mask is until it is set.
pub const TRACE_MASK: i64 = 306;

/// The answer to a word that is not allowed.
#[must_use]
pub fn refusal(word: Word) -> String {
    format!(
        "{} is not executed because it is not in the whitelist.\n",
        word.name()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_without_a_leader_answers_only_what_needs_none() {
        for word in [*b"ruok", *b"envi", *b"gtmk", *b"stmk"] {
            assert_eq!(Word::from_bytes(word).and_then(while_not_serving), None);
        }
        assert_eq!(while_not_serving(Word::Isro), Some("null"));
        assert_eq!(while_not_serving(Word::Mntr), Some(NOT_SERVING));
        assert_eq!(
            while_not_serving(Word::Hash),
            Some("This ZooKeeper instance is not currently serving requests")
        );
    }
}
