//! I-25: a read is of a state, the one behind the txn that its answer names; and a session's states never go back, whichever
//! server shows them.

use zabra_proto::{SessionId, Zxid};

use super::answers::Told;
use super::order::Order;
use super::{Checker, Verdict, fails};
use crate::trace::Z;

pub(super) const NAME: &str = "I-25 reads are of a state";
const NEVER_BACK: &str = "I-25 reads never go back";

/// The children of a znode are told; none if there is no such znode.
pub(super) fn listed(
    order: &Order,
    told: &Told<'_>,
    path: &str,
    names: Option<&[String]>,
) -> Verdict {
    let is_there = order.at(path, told.zxid).is_some();
    let expected = is_there.then(|| order.children(path, told.zxid));
    let names = names.map(|names| names.iter().map(String::as_str).collect());
    if expected != names {
        let text = format!(
            "{} was told of the children {names:?} of {path} at {}, they are {expected:?}",
            told.session,
            Z(told.zxid)
        );
        return fails(NAME, text);
    }
    Ok(())
}

/// A znode is told of: its version and the hash of its data; none if it is not there.
pub(super) fn read(
    order: &Order,
    told: &Told<'_>,
    path: &str,
    node: Option<(i32, Option<u64>)>,
) -> Verdict {
    let expected = order.at(path, told.zxid);
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
        return fails(NAME, text);
    }
    Ok(())
}

impl Checker {
    /// A session that has seen the state behind a txn is shown that behind another.
    pub fn sees(&mut self, session: SessionId, seen: Zxid, zxid: Zxid) {
        if zxid < seen {
            let text = format!("{session} has seen {} and is told {}", Z(seen), Z(zxid));
            self.violate(NEVER_BACK, text);
        }
    }
}
