//! What clients are told, held against what was decided.

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
    /// What the reply says.
    pub answer: Answer<'a>,
}

/// What a reply says.
#[derive(Debug, Clone)]
pub enum Answer<'a> {
    /// A write was decided; the path of what it created.
    Written(Option<&'a str>),
    /// A read of a znode: version and hash of its data if it is there. The hash is missing if only the Stat was asked.
    Read {
        /// Which znode.
        path: &'a str,
        /// What the client was told of it.
        node: Option<(i32, Option<u64>)>,
    },
    /// Nothing that can be checked.
    Other,
}

impl Checker {
    /// A client got a reply. Checks I-22, I-23, I-25.
    pub fn replied(&mut self, told: &Told<'_>) {
        let verdict = match &told.answer {
            Answer::Written(path) => {
                self.count("I-22 no acknowledged write lost");
                self.written(told, *path)
            }
            Answer::Read { path, node } => {
                self.count("I-25 reads are of a state");
                self.read(told, path, *node)
            }
            Answer::Other => Ok(()),
        };
        self.judge(verdict);
    }

    fn written(&self, told: &Told<'_>, path: Option<&str>) -> Verdict {
        let (zxid, session) = (Z(told.zxid), told.session);
        let Some(decided) = self.order.find(told.zxid) else {
            let text = format!("{session} was told {zxid}, which is not decided");
            return fails("I-22 no acknowledged write lost", text);
        };
        let is_mine = (decided.session, decided.cxid) == (session, told.xid);
        // A refusal before a number was given carries the last number of others.
        if !is_mine && !told.error.is_ok() {
            return Ok(());
        }
        let is_same = decided.error.unwrap_or(ErrorCode::OK) == told.error;
        if !is_mine || !is_same {
            let text = format!(
                "{session} was told {:?} for #{} by {zxid}, which is {decided:?}",
                told.error, told.xid.0
            );
            return fails("I-22 no acknowledged write lost", text);
        }
        if told.error.is_ok() && path.is_some() && decided.created.as_deref() != path {
            let text = format!("{session} was told of {path:?}, {zxid} is {decided:?}");
            return fails("I-22 no acknowledged write lost", text);
        }
        Ok(())
    }

    fn read(&self, told: &Told<'_>, path: &str, node: Option<(i32, Option<u64>)>) -> Verdict {
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
