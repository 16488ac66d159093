//! What clients are told, for the checks that hold it against what was decided (I-22, I-24, I-25).

use zabra_proto::client::ReplyHeader;
use zabra_proto::{ErrorCode, SessionId, Xid, Zxid};

use super::{Checker, Verdict, i22_no_write_lost, i24_linearizable, i25_reads};

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
    /// A client got a reply.
    pub fn replied(&mut self, told: &Told<'_>) {
        match &told.answer {
            Answer::Written(node) => {
                self.count(i22_no_write_lost::NAME);
                let verdict = self.written(told, *node);
                self.judge(verdict);
            }
            Answer::Read { path, node } => {
                let verdict = i25_reads::read(&self.order, told, path, *node);
                self.holds(i25_reads::NAME, verdict);
                self.told = self.told.max(told.zxid);
            }
            Answer::Children { path, names } => {
                let verdict = i25_reads::listed(&self.order, told, path, names.as_deref());
                self.holds(i25_reads::NAME, verdict);
                self.told = self.told.max(told.zxid);
            }
            Answer::Synced if told.error.is_ok() => {
                self.holds(i24_linearizable::SYNC, i24_linearizable::synced(told));
            }
            Answer::Synced => {}
        }
    }

    /// The last txn that anybody has been told of.
    #[must_use]
    pub fn told(&self) -> Zxid {
        self.told
    }

    fn written(&mut self, told: &Told<'_>, node: Option<(&str, u64)>) -> Verdict {
        i22_no_write_lost::is_decided(&self.order, told, node)?;
        if told.error.is_ok() {
            i24_linearizable::written(told)?;
            self.told = self.told.max(told.zxid);
            self.answered.by(told)?;
        }
        Ok(())
    }
}
