//! Sessions: their writes in the order asked (I-26, I-30), their full time under each leader (I-29), their end within its
//! limit (P78).

use std::collections::BTreeMap;

use zabra_proto::{SessionId, Txn, TxnHeader, Xid, Zxid};

use super::{Verdict, fails};
use crate::event::ServerAt;
use crate::kernel::Micros;
use crate::trace::Z;

/// What is known of all sessions.
pub(super) struct Sessions {
    /// The last of its writes that took effect: which one of its client's, and by which txn.
    written: BTreeMap<SessionId, (u64, Zxid)>,
    /// The shortest timeout that was asked for it, ms.
    timeouts: BTreeMap<SessionId, u64>,
    /// Since when each server leads with a quorum behind it.
    leads_since: BTreeMap<ServerAt, Micros>,
    /// When each server last heard a session's client on a connection of its own.
    heard: BTreeMap<(ServerAt, SessionId), Micros>,
    paths_len_max: usize,
}

impl Sessions {
    pub(super) fn new(paths_len_max: usize) -> Self {
        Self {
            written: BTreeMap::new(),
            timeouts: BTreeMap::new(),
            leads_since: BTreeMap::new(),
            heard: BTreeMap::new(),
            paths_len_max,
        }
    }

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

    /// I-26, I-30: clients number what they write, and a session's writes take effect in this order, whichever server
    /// they went through.
    pub(super) fn decided(&mut self, header: &TxnHeader, txn: &Txn<'_>) -> Verdict {
        match txn {
            Txn::CreateSession(t) => self.asked(header.session, t.timeout_ms),
            Txn::Create(t) | Txn::Create2(t) => return self.wrote(header, t.data),
            Txn::SetData(t) => return self.wrote(header, t.data),
            Txn::Multi(elements) if !elements.iter().any(|e| matches!(e, Txn::Error(_))) => {
                return elements.iter().try_for_each(|e| self.decided(header, e));
            }
            Txn::CloseSession(Some(t)) => {
                let len: usize = t.paths.iter().map(|path| path.len() + 4).sum();
                if len > self.paths_len_max {
                    let text = format!("{} lists paths of {len} bytes", Z(header.zxid));
                    return fails("R6 no txn beyond its limit", text);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn wrote(&mut self, header: &TxnHeader, data: Option<&[u8]>) -> Verdict {
        let Some(number) = data.and_then(number_of) else {
            return Ok(());
        };
        let (session, zxid) = (header.session, header.zxid);
        let before = self.written.insert(session, (number, zxid));
        match before {
            Some((last, by)) if number < last || number == last && by != zxid => fails(
                "I-26 writes in their order",
                format!(
                    "{session} wrote {number} by {} after {last} by {}",
                    Z(zxid),
                    Z(by)
                ),
            ),
            _ => Ok(()),
        }
    }

    /// I-29: a leader ends no session before it has been its leader for the session's whole timeout (P79), nor before it
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
            return fails("I-29 lease", text);
        }
        Ok(())
    }
}

/// Whether a txn is a leader's own decision that a session is over: nobody asked for it.
pub(super) fn is_expiry(header: &TxnHeader, txn: &Txn<'_>) -> bool {
    matches!(txn, Txn::CloseSession(_)) && header.cxid == Xid(0)
}

/// The number behind the dash in what a client writes.
fn number_of(data: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(data).ok()?;
    text.rsplit_once('-')?.1.parse().ok()
}
