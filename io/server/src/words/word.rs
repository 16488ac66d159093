//! The words themselves. Which are allowed is the configuration's matter.

/// A command of four letters as the first bytes of a connection (protocol 17).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Word {
    /// The configuration.
    Conf,
    /// The connections with their statistics.
    Cons,
    /// Resets the statistics of the connections.
    Crst,
    /// Sizes of the data directories.
    Dirs,
    /// Sessions, ephemerals and connections by expiry.
    Dump,
    /// The environment.
    Envi,
    /// The trace mask.
    Gtmk,
    /// Digests of the tree's history.
    Hash,
    /// Whether the server is read-only.
    Isro,
    /// All metrics.
    Mntr,
    /// Whether the process answers.
    Ruok,
    /// Resets the statistics of the server.
    Srst,
    /// The state of the server.
    Srvr,
    /// The state of the server and its clients.
    Stat,
    /// Sets the trace mask.
    Stmk,
    /// Watches by session.
    Wchc,
    /// Watches by path.
    Wchp,
    /// The number of watches.
    Wchs,
    /// What telnet sends when it is interrupted.
    Interrupt,
}

/// Every word with its bytes.
const WORDS: [(Word, [u8; 4]); 19] = [
    (Word::Conf, *b"conf"),
    (Word::Cons, *b"cons"),
    (Word::Crst, *b"crst"),
    (Word::Dirs, *b"dirs"),
    (Word::Dump, *b"dump"),
    (Word::Envi, *b"envi"),
    (Word::Gtmk, *b"gtmk"),
    (Word::Hash, *b"hash"),
    (Word::Isro, *b"isro"),
    (Word::Mntr, *b"mntr"),
    (Word::Ruok, *b"ruok"),
    (Word::Srst, *b"srst"),
    (Word::Srvr, *b"srvr"),
    (Word::Stat, *b"stat"),
    (Word::Stmk, *b"stmk"),
    (Word::Wchc, *b"wchc"),
    (Word::Wchp, *b"wchp"),
    (Word::Wchs, *b"wchs"),
    (Word::Interrupt, 0xfff4_fffd_u32.to_be_bytes()),
];

impl Word {
    /// The word of these bytes, if they are one.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 4]) -> Option<Self> {
        WORDS
            .iter()
            .find(|(_, spelling)| *spelling == bytes)
            .map(|(word, _)| *word)
    }

    /// How it is written; the interrupt has Apache's name for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        let spelling = WORDS
            .iter()
            .find(|(word, _)| *word == self)
            .and_then(|(_, s)| std::str::from_utf8(s).ok());
        spelling.unwrap_or("telnet close")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_larger_than_any_frame_length() {
        for (word, spelling) in WORDS {
            assert!(u32::from_be_bytes(spelling) >= 0x636f_6e66, "{word:?}");
            assert_eq!(Word::from_bytes(spelling), Some(word));
        }
        assert_eq!(Word::from_bytes(*b"srvR"), None);
    }
}
