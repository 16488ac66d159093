//! I-20: of a multi everything is seen or nothing.
//!
//! Two znodes, the *twins*, are created, set and deleted together, by multis, of which some fail behind their first elements.
//! So both are there or none, with the same data and the same version: in the tree of every server behind each txn, in every
//! tree that a server starts from, and in whatever clients read of both at once. Events and digests of a part show in
//! I-32 and I-13.

use zabra_proto::SessionId;
use zabra_serve::Replica;

use super::{Checker, Verdict, fails};
use crate::event::ServerAt;
use crate::trace::{Z, hash_of};

pub(super) const NAME: &str = "I-20 multi is atomic";
pub(super) const READ: &str = "I-20 both twins are read";
pub(super) const FAILED: &str = "I-20 a failed multi leaves nothing";

/// The twins.
pub const TWINS: [&str; 2] = ["/twin0", "/twin1"];

/// What is known of a znode: its version and the hash of its data, if it is there.
pub type Seen = Option<(i32, u64)>;

/// A server stands behind a txn.
pub(super) fn stands(at: ServerAt, replica: &Replica) -> Option<Verdict> {
    let [one, other] = TWINS.map(|path| seen(replica, path));
    if one.is_none() && other.is_none() {
        return None;
    }
    if one == other {
        return Some(Ok(()));
    }
    let zxid = Z(replica.last_zxid());
    let text = format!("s{} at {zxid}: the twins are {one:?} and {other:?}", at + 1);
    Some(fails(NAME, text))
}

fn seen(replica: &Replica, path: &str) -> Seen {
    let node = replica.tree.find(path)?;
    let data = replica.tree.data(node).unwrap_or_default();
    Some((replica.tree.stat(node).version, hash_of(data)))
}

impl Checker {
    /// A client read both at once.
    pub fn twins_were_read(&mut self, session: SessionId, twins: [Seen; 2]) {
        self.count(READ);
        if twins[0] != twins[1] {
            let text = format!("{session} reads the twins as {twins:?}");
            self.violate(READ, text);
        }
    }

    /// A multi that changes the first twin, and then fails, was answered.
    pub fn multi_failed(&mut self) {
        self.count(FAILED);
    }
}
