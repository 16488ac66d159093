//! I-22: a write that was answered with success is decided, is this session's and says the same, and answered nothing else.
//! What is decided stays so by I-3 and I-9.

use std::collections::BTreeMap;

use zabra_proto::{ErrorCode, SessionId, Zxid};

use super::answers::Told;
use super::order::Order;
use super::{Verdict, fails};
use crate::trace::Z;

pub(super) const NAME: &str = "I-22 no acknowledged write lost";

/// The last txn that answered each session's write.
#[derive(Debug, Default)]
pub(super) struct Answered {
    last: BTreeMap<SessionId, Zxid>,
}

/// A write is answered. Its request's number is not compared: a learner may hand requests on under numbers of its own (P86).
pub(super) fn is_decided(order: &Order, told: &Told<'_>, node: Option<(&str, u64)>) -> Verdict {
    let (zxid, session) = (Z(told.zxid), told.session);
    if !told.error.is_ok() {
        return Ok(());
    }
    let Some(decided) = order.find(told.zxid).filter(|d| d.session == session) else {
        let text = format!("{session} was told {zxid}, which it did not ask for");
        return fails(NAME, text);
    };
    if decided.error.unwrap_or(ErrorCode::OK) != told.error {
        let text = format!("{session} was told Ok by {zxid}, which is {decided:?}");
        return fails(NAME, text);
    }
    if let Some((path, hash)) = node {
        let changes = order.changes(path);
        let is_there = changes
            .iter()
            .any(|change| change.zxid == told.zxid && change.now.is_some_and(|(_, is)| is == hash));
        let created = decided.created.as_ref();
        if !is_there || created.is_some_and(|created| created != path) {
            let text = format!("{session} was told of {path} by {zxid}, which is another");
            return fails(NAME, text);
        }
    }
    Ok(())
}

impl Answered {
    /// A write was answered with success: by a txn that answered none before.
    pub(super) fn by(&mut self, told: &Told<'_>) -> Verdict {
        let before = self.last.insert(told.session, told.zxid);
        if before.is_some_and(|before| before >= told.zxid) {
            let text = format!("{} was told Ok by {} twice", told.session, Z(told.zxid));
            return fails(NAME, text);
        }
        Ok(())
    }
}
