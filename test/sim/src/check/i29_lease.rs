//! I-29: a session has its full time under each leader, and none ends in a world in which nothing is wrong.

use std::collections::BTreeMap;

use zabra_proto::{SessionId, Txn, TxnHeader, Xid};

use super::{Checker, Verdict, fails};
use crate::event::ServerAt;
use crate::kernel::Micros;

pub(super) const NAME: &str = "I-29 lease";

/// What is known of the time of all sessions.
#[derive(Debug, Default)]
pub(super) struct Leases {
    /// The shortest timeout that was asked for it, ms.
    timeouts: BTreeMap<SessionId, u64>,
    /// Since when each server leads with a quorum behind it.
    leads_since: BTreeMap<ServerAt, Micros>,
    /// When each server last heard a session's client on a connection of its own.
    heard: BTreeMap<(ServerAt, SessionId), Micros>,
}

impl Leases {
    /// A client asks for this timeout for a session of its own.
    pub(super) fn asked(&mut self, session: SessionId, timeout_ms: i32) {
        let timeout_ms = u64::try_from(timeout_ms).unwrap_or(0);
        let known = self.timeouts.entry(session).or_insert(timeout_ms);
        *known = timeout_ms.min(*known);
    }

    pub(super) fn heard_of(&mut self, at: ServerAt, session: SessionId, now: Micros) {
        self.heard.insert((at, session), now);
    }

    pub(super) fn leads(&mut self, at: ServerAt, now: Micros) {
        self.leads_since.insert(at, now);
    }

    /// A txn is decided.
    pub(super) fn decided(&mut self, header: &TxnHeader, txn: &Txn<'_>) {
        if let Txn::CreateSession(t) = txn {
            self.asked(header.session, t.timeout_ms);
        }
    }

    /// A leader ends no session before it has been its leader for the session's whole timeout (P79), nor before it
    /// has itself heard nothing of it for as long (P128).
    /// `rate_permille` is how fast its clock runs.
    pub(super) fn expires(
        &self,
        at: ServerAt,
        header: &TxnHeader,
        now: Micros,
        rate_permille: u64,
    ) -> Verdict {
        let heard = self.heard.get(&(at, header.session));
        let since = self.leads_since.get(&at).max(heard);
        let known = since.zip(self.timeouts.get(&header.session));
        let Some((since, timeout_ms)) = known else {
            return Ok(());
        };
        let passed_ms = now.since(*since) * rate_permille / 1_000_000;
        if passed_ms + 1 < *timeout_ms {
            let text = format!(
                "s{} leads, or has heard of it, for {passed_ms} ms and ends {}, which has {timeout_ms} ms",
                at + 1,
                header.session
            );
            return fails(NAME, text);
        }
        Ok(())
    }
}

/// Whether a txn is a leader's own decision that a session is over: nobody asked for it.
pub(super) fn is_expiry(header: &TxnHeader, txn: &Txn<'_>) -> bool {
    matches!(txn, Txn::CloseSession(_)) && header.cxid == Xid(0)
}

impl Checker {
    /// A client asks for a timeout for a session that it has.
    pub fn asked_timeout(&mut self, session: SessionId, timeout_ms: i32) {
        self.leases.asked(session, timeout_ms);
    }

    /// A client has lost its session: not while nothing is wrong.
    pub fn lost_session(&mut self, session: SessionId) {
        if self.is_quiet && self.core.is_none() {
            self.violate(NAME, format!("{session} is lost"));
        }
    }
}
