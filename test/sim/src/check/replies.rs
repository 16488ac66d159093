//! What clients are told, held against what was decided.

use zabra_proto::client::ReplyHeader;
use zabra_proto::{ErrorCode, SessionId, Xid, Zxid};

use super::{Checker, Verdict, fails};
use crate::trace::Z;

/// A reply as a client got it.
#[derive(Debug, Clone)]
pub struct Told<'a> {
    /// The client's session.
    pub session: SessionId,
    /// The request's number.
    pub xid: Xid,
    /// From the reply's header.
    pub zxid: Zxid,
    /// From the reply's header.
    pub error: ErrorCode,
    /// The last txn that anybody had been told of when this was asked.
    pub floor: Zxid,
    /// What the reply says.
    pub answer: Answer<'a>,
}

/// What a reply says.
#[derive(Debug, Clone)]
pub enum Answer<'a> {
    /// A write was decided: which znode it created or set, and the hash of the data, where that is one znode's.
    Written(Option<(&'a str, u64)>),
    /// A read of a znode: version and hash of its data if it is there. The hash is missing if only the Stat was asked.
    Read {
        /// Which znode.
        path: &'a str,
        /// What the client was told of it.
        node: Option<(i32, Option<u64>)>,
    },
    /// The names of a znode's children; none if there is no such znode.
    Children {
        /// Which znode.
        path: &'a str,
        /// What the client was told.
        names: Option<Vec<String>>,
    },
    /// A sync.
    Synced,
}

impl<'a> Told<'a> {
    /// What a session is told.
    #[must_use]
    pub fn new(session: SessionId, header: ReplyHeader, floor: Zxid, answer: Answer<'a>) -> Self {
        Self {
            session,
            xid: header.xid,
            zxid: header.zxid,
            error: header.error,
            floor,
            answer,
        }
    }
}

impl Checker {
    /// A client got a reply. Checks I-22, I-23, I-25.
    pub fn replied(&mut self, told: &Told<'_>) {
        let verdict = match &told.answer {
            Answer::Written(node) => {
                self.count("I-22 no acknowledged write lost");
                self.written(told, *node)
            }
            Answer::Read { path, node } => {
                self.count("I-25 reads are of a state");
                self.read(told, path, *node)
            }
            Answer::Children { path, names } => {
                self.count("I-25 reads are of a state");
                self.told = self.told.max(told.zxid);
                self.listed(told, path, names.as_deref())
            }
            Answer::Synced if told.error.is_ok() => {
                self.count("I-24 sync sees all that was told");
                self.synced(told)
            }
            Answer::Synced => Ok(()),
        };
        self.judge(verdict);
    }

    /// The last txn that anybody has been told of.
    #[must_use]
    pub fn told(&self) -> Zxid {
        self.told
    }

    /// I-24: who syncs sees at least what anybody had been told before (P105).
    fn synced(&self, told: &Told<'_>) -> Verdict {
        if told.zxid < told.floor {
            let text = format!(
                "{} asked to sync when {} had been told of, and is at {}",
                told.session,
                Z(told.floor),
                Z(told.zxid)
            );
            return fails("I-24 sync sees all that was told", text);
        }
        Ok(())
    }

    /// The txn that answered is decided, of this session, says the same, and answered nothing else before. Its request's
    /// number is not compared: a learner may hand requests on under numbers of its own (P86).
    fn written(&mut self, told: &Told<'_>, node: Option<(&str, u64)>) -> Verdict {
        let (zxid, session) = (Z(told.zxid), told.session);
        let decided = self.order.find(told.zxid).filter(|d| d.session == session);
        let Some(decided) = decided else {
            // A refusal before a number was given carries the last number, of whomever.
            if !told.error.is_ok() {
                return Ok(());
            }
            let text = format!("{session} was told {zxid}, which it did not ask for");
            return fails("I-22 no acknowledged write lost", text);
        };
        let is_same = decided.error.unwrap_or(ErrorCode::OK) == told.error;
        if !is_same && told.error.is_ok() {
            let text = format!("{session} was told Ok by {zxid}, which is {decided:?}");
            return fails("I-22 no acknowledged write lost", text);
        }
        let created = decided.created.clone();
        if told.error.is_ok() {
            if let Some((path, hash)) = node {
                let changes = self.order.changes(path);
                let is_there = changes.iter().any(|change| {
                    change.zxid == told.zxid && change.now.is_some_and(|(_, is)| is == hash)
                });
                if !is_there || created.is_some_and(|created| created != path) {
                    let text = format!("{session} was told of {path} by {zxid}, which is another");
                    return fails("I-22 no acknowledged write lost", text);
                }
            }
            if told.zxid <= told.floor {
                let text = format!(
                    "{session} wrote {zxid} after {} had been told of",
                    Z(told.floor)
                );
                return fails("I-24 linearizable writes", text);
            }
            self.told = self.told.max(told.zxid);
            let before = self.answered.insert(session, told.zxid);
            if before.is_some_and(|before| before >= told.zxid) {
                let text = format!("{session} was told Ok by {zxid} twice");
                return fails("I-22 no acknowledged write lost", text);
            }
        }
        Ok(())
    }

    fn listed(&self, told: &Told<'_>, path: &str, names: Option<&[String]>) -> Verdict {
        let changes = self.order.changes(path);
        let seen = changes.partition_point(|change| change.zxid <= told.zxid);
        let last = seen.checked_sub(1).and_then(|at| changes.get(at));
        let is_there = last.is_some_and(|change| change.now.is_some());
        let expected = is_there.then(|| self.order.children(path, told.zxid));
        let names = names.map(|names| names.iter().map(String::as_str).collect());
        if expected != names {
            let text = format!(
                "{} was told of the children {names:?} of {path} at {}, they are {expected:?}",
                told.session,
                Z(told.zxid)
            );
            return fails("I-25 reads are of a state", text);
        }
        Ok(())
    }

    fn read(&mut self, told: &Told<'_>, path: &str, node: Option<(i32, Option<u64>)>) -> Verdict {
        let changes = self.order.changes(path);
        let seen = changes.partition_point(|change| change.zxid <= told.zxid);
        let expected = seen
            .checked_sub(1)
            .and_then(|at| changes.get(at))
            .and_then(|change| change.now);
        let agrees = match (expected, node) {
            (None, None) => true,
            (Some((version, hash)), Some((told_version, told_hash))) => {
                version == told_version && told_hash.is_none_or(|told| told == hash)
            }
            _ => false,
        };
        self.told = self.told.max(told.zxid);
        if !agrees {
            let text = format!(
                "{} was told {node:?} of {path} at {}, it is {expected:?}",
                told.session,
                Z(told.zxid)
            );
            return fails("I-25 reads are of a state", text);
        }
        Ok(())
    }
}
