//! Judges what clients saw of an ensemble, without knowing anything of its servers.
//!
//! A [`History`] is what each client noted, in its order: what it asked, what it was told and when, which events came, what
//! it held. [`judge`] says what in it no correct service could have done:
//!
//! | Part | Must hold |
//! |---|---|
//! | [`sessions`] | answers in the order of questions; a session never goes back in time; its connections neither (I-25, I-26) |
//! | [`writes`] | one order of all writes that respects real time, and reads behind a `sync` are not older (I-22, I-24) |
//! | [`znodes`] | each read is the state of its znode as of the answer's zxid; nothing lost, nothing that nobody wrote (I-22, I-23, I-25) |
//! | [`search`] | the same without believing any zxid: some order explains it (Wing and Gong, a znode at a time) |
//! | [`watches`] | each event once, for a change that happened, and before anything that shows it (I-32 to I-36) |
//! | [`ephemerals`] | there exactly as long as their session, and gone with it all at once (I-28) |
//! | [`locks`] | one holder at a time, and what it did under an older token never comes after (I-28, fencing) |
//!
//! The zxid of an answer is a witness, not a judge: it says which state the server claims to have shown, and everything is held
//! against that claim. Each value is written once in a history, so that a read names its write. A call without an answer
//! may have happened once or never, and what shows it settles that.
//!
//! It uses no other crate of this repository, so that a mistake there cannot hide here, and is itself tested with
//! histories that are wrong in one way each (`tests/wrong.rs`).

#![forbid(unsafe_code)]

pub mod calls;
mod entry;
pub mod ephemerals;
pub mod locks;
pub mod search;
pub mod sessions;
pub mod watches;
pub mod writes;
pub mod znodes;

use std::collections::BTreeMap;
use std::fmt;

pub use entry::{
    Answer, Ask, Change, Entry, History, Micros, Path, SessionId, Shown, Token, Value, What, Zxid,
};

/// What a history breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// An answer came out of order, or to no question.
    AnswerOrder,
    /// A session saw an older state than before.
    WentBack,
    /// Two writes have one zxid.
    ZxidTwice,
    /// A write comes before one that was answered before it was asked for.
    RealTime,
    /// A read behind a `sync` is older than what was answered before the `sync` was asked for.
    StaleSync,
    /// An acknowledged write is not there.
    Lost,
    /// Something is there that nobody wrote, or that was refused.
    Phantom,
    /// A write that was not answered happened twice, or before it was asked for.
    UnknownWrite,
    /// An answer shows an older value than its zxid says.
    OldValue,
    /// No order of the calls explains what they were told.
    NotLinearizable,
    /// An event for which there was no watch.
    EventWithoutWatch,
    /// An event for which nothing changed.
    EventWithoutChange,
    /// Something showed a change before its event came.
    EventLate,
    /// Events in another order than their changes.
    EventOrder,
    /// An ephemeral znode belongs to another session than the one that made it.
    WrongOwner,
    /// An ephemeral znode is there without its session, or its session without it.
    SessionEnd,
    /// A lock with two holders.
    HeldTwice,
    /// A later holder with a token that is not greater.
    TokenOrder,
    /// Something was done under an older token after it was done under a newer one.
    FenceBroken,
}

/// Something that no correct service could have done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// What it breaks.
    pub rule: Rule,
    /// Who saw what.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.text)
    }
}

/// What came of judging a history.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// Everything that is wrong.
    pub violations: Vec<Violation>,
    /// How often each part had something to judge, so that none is believed for nothing.
    pub counts: BTreeMap<&'static str, u64>,
}

impl Verdict {
    pub(crate) fn count(&mut self, what: &'static str, n: u64) {
        *self.counts.entry(what).or_default() += n;
    }

    pub(crate) fn broken(&mut self, rule: Rule, text: String) {
        self.violations.push(Violation { rule, text });
    }

    /// Whether something is wrong in this way.
    #[must_use]
    pub fn breaks(&self, rule: Rule) -> bool {
        self.violations
            .iter()
            .any(|violation| violation.rule == rule)
    }

    /// Adds what came of another history.
    pub fn add(&mut self, other: Self) {
        self.violations.extend(other.violations);
        for (what, n) in other.counts {
            self.count(what, n);
        }
    }
}

/// Judges a history by every rule.
#[must_use]
pub fn judge(history: &History) -> Verdict {
    let mut verdict = Verdict::default();
    sessions::judge(history, &mut verdict);
    let calls = calls::pair(history);
    writes::judge(&calls, &mut verdict);
    let timelines = znodes::judge(history, &calls, &mut verdict);
    search::judge(&calls, &mut verdict);
    watches::judge(history, &timelines, &mut verdict);
    ephemerals::judge(history, &calls, &timelines, &mut verdict);
    locks::judge(history, &mut verdict);
    verdict
}
