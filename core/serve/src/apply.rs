//! Commits: applied to the replica, told to watchers, answered.

use zabra_jute::{Encode, Text};
use zabra_mutant::{self as mutant, Mutant};
use zabra_peer::{Ask, Commit, Origin};
use zabra_proto::client::{
    Create2Response, ErrorResponse, GetDataResponse, MultiHeader, PathResponse, StatResponse,
};
use zabra_proto::txn::Payload;
use zabra_proto::{ErrorCode, MonoMillis, OpCode, SessionId, Stat, Txn, TxnHeader};
use zabra_tree::{Applied, Outcome};

use crate::conn::{NO_NAME, Parked, short_name};
use crate::frame::OpenFrame;
use crate::notify::Notifier;
use crate::{Clients, CloseReason, Replica};

impl Clients {
    /// Applies a commit to the replica. In this order, so that no client sees a state before its events (P90): events
    /// to watchers, the reply to who asked, the replies to that connection's reads behind it.
    pub fn apply(&mut self, replica: &mut Replica, commit: &Commit, now: MonoMillis) {
        let payload = Replica::decode(&commit.payload);
        if let (Some(audit), Txn::CloseSession(txn)) = (&mut self.audit, &payload.txn) {
            audit.on_session_end(payload.header.session, txn.as_ref(), replica);
        }
        let before = self.out_len(commit.origin);
        let mut notifier = Notifier {
            clients: self,
            zxid: commit.zxid,
            watchers: Vec::new(),
        };
        let applied = replica.apply(&payload, &mut notifier);
        let told = self.out_len(commit.origin);
        let Payload { header, txn, .. } = &payload;
        if let (Some(audit), Some(origin)) = (&mut self.audit, &commit.origin) {
            let is_success = error_of(txn, applied.outcome).is_ok();
            audit.on_commit(origin, txn, is_success);
        }
        match (commit.origin, txn) {
            (Some(origin), Txn::CreateSession(t)) if origin.ask == Ask::Session => {
                self.on_session_granted(origin.conn, header.session, t.timeout_ms);
                if let Some(conn) = self.conn_mut(origin.conn) {
                    conn.stats.last_op = "SESS";
                    conn.stats.last_xid = origin.xid;
                    conn.stats.last_zxid = header.zxid;
                }
            }
            // Told nothing: its client looks for a server, and takes the session along (protocol 10.5).
            (Some(origin), _) if is_moved(txn) && !mutant::on(Mutant::MovedSessionStays) => {
                self.close(origin.conn, CloseReason::SessionElsewhere);
            }
            (Some(origin), _) => self.answer_commit(origin, header, txn, &applied, replica, now),
            (None, _) => {}
        }
        if matches!(txn, Txn::CloseSession(_)) {
            self.end_session(header.session, commit.origin);
        }
        if let Some(origin) = commit.origin {
            self.serve_parked(origin.conn, replica, now);
            if mutant::on(Mutant::ReplyBeforeEvent)
                && let Some(conn) = self.conn_mut(origin.conn)
                && let Some(out) = conn.out.get_mut(before..)
            {
                out.rotate_left(told.saturating_sub(before).min(out.len()));
            }
        }
        self.ease();
    }

    /// What waits to be sent to who asked. For the mutant that tells of changes too late.
    fn out_len(&self, origin: Option<Origin>) -> usize {
        if !mutant::on(Mutant::ReplyBeforeEvent) {
            return 0;
        }
        let conn = origin.and_then(|origin| self.conn(origin.conn));
        conn.map_or(0, |conn| conn.out.len())
    }

    fn answer_commit(
        &mut self,
        origin: Origin,
        header: &TxnHeader,
        txn: &Txn<'_>,
        applied: &Applied,
        replica: &Replica,
        now: MonoMillis,
    ) {
        if self
            .conn(origin.conn)
            .is_none_or(|conn| conn.closing().is_some())
        {
            return self.on_late_reply(origin.ask);
        }
        let Some((conn, mut reading)) = self.reading(origin.conn, replica, now) else {
            return;
        };
        let Some(Parked { asked, .. }) = conn.next_committed(origin.seq) else {
            return;
        };
        let at = conn.out.len();
        let error = error_of(txn, applied.outcome);
        let frame = OpenFrame::reply(asked.xid, header.zxid, error, &mut conn.out);
        put_result(asked.op, txn, applied, replica, &mut conn.out);
        frame.end(&mut conn.out);
        let name = match txn {
            Txn::Error(_) => NO_NAME,
            _ => short_name(asked.op),
        };
        reading.count(conn, asked, name, header.zxid, at);
        self.outstanding -= 1;
        self.mark(origin.conn);
    }

    /// The session is gone: its connection is told nothing more, whoever asked for the end (P84).
    fn end_session(&mut self, session: SessionId, origin: Option<Origin>) {
        let Some(id) = self.by_session.remove(&session) else {
            return;
        };
        let asked = origin.is_some_and(|o| o.conn == id);
        self.close(
            id,
            if asked {
                CloseReason::SessionClosed
            } else {
                CloseReason::SessionGone
            },
        );
    }
}

/// Whether the leader holds that the session is another server's.
fn is_moved(txn: &Txn<'_>) -> bool {
    let is_moved = |txn: &Txn<'_>| matches!(txn, Txn::Error(ErrorCode::SESSION_MOVED));
    match txn {
        Txn::Multi(elements) => elements.iter().any(is_moved),
        txn => is_moved(txn),
    }
}

/// A failed multi is no error: its elements say what happened (protocol 7.3).
fn error_of(txn: &Txn<'_>, outcome: Outcome) -> ErrorCode {
    match txn {
        Txn::Error(code) => *code,
        Txn::Multi(_) => ErrorCode::OK,
        _ => outcome.error,
    }
}

fn put_result(op: OpCode, txn: &Txn<'_>, applied: &Applied, replica: &Replica, out: &mut Vec<u8>) {
    if !error_of(txn, applied.outcome).is_ok() {
        return;
    }
    let stat = applied.outcome.stat.unwrap_or_default();
    match txn {
        Txn::Create(t) if op == OpCode::Create => PathResponse {
            path: borrowed(&t.path),
        }
        .encode(out),
        Txn::Create(t) | Txn::Create2(t) => Create2Response {
            path: borrowed(&t.path),
            stat,
        }
        .encode(out),
        Txn::CreateContainer(t) => Create2Response {
            path: borrowed(&t.path),
            stat,
        }
        .encode(out),
        Txn::CreateTtl(t) => Create2Response {
            path: borrowed(&t.path),
            stat,
        }
        .encode(out),
        Txn::SetData(_) | Txn::SetAcl(_) => StatResponse { stat }.encode(out),
        Txn::Reconfig(t) => {
            let data = replica
                .tree
                .find(&t.path)
                .and_then(|node| replica.tree.data(node));
            GetDataResponse { data, stat }.encode(out);
        }
        Txn::Multi(elements) => put_elements(elements, &applied.elements, out),
        _ => {}
    }
}

fn borrowed<'a>(text: &'a Text<'_>) -> Text<'a> {
    Text::Borrowed(text)
}

/// Results of the elements; if one failed, errors for all (protocol 7.3).
fn put_elements(elements: &[Txn<'_>], outcomes: &[Outcome], out: &mut Vec<u8>) {
    if elements
        .iter()
        .any(|element| matches!(element, Txn::Error(_)))
    {
        for element in elements {
            let error = if let Txn::Error(code) = element {
                *code
            } else {
                ErrorCode::OK
            };
            MultiHeader {
                kind: -1,
                done: false,
                error: error.code(),
            }
            .encode(out);
            ErrorResponse { error }.encode(out);
        }
    } else {
        for (element, outcome) in elements.iter().zip(outcomes) {
            put_element(element, outcome.stat.unwrap_or_default(), out);
        }
    }
    MultiHeader::END.encode(out);
}

fn put_element(element: &Txn<'_>, stat: Stat, out: &mut Vec<u8>) {
    let header = |op: OpCode, out: &mut Vec<u8>| {
        MultiHeader {
            kind: op.code(),
            done: false,
            error: 0,
        }
        .encode(out)
    };
    let created = |path: &Text<'_>, out: &mut Vec<u8>| {
        header(OpCode::Create2, out);
        Create2Response {
            path: borrowed(path),
            stat,
        }
        .encode(out);
    };
    match element {
        Txn::Create(t) => {
            header(OpCode::Create, out);
            PathResponse {
                path: borrowed(&t.path),
            }
            .encode(out);
        }
        Txn::Create2(t) => created(&t.path, out),
        Txn::CreateContainer(t) => created(&t.path, out),
        Txn::CreateTtl(t) => created(&t.path, out),
        Txn::SetData(_) => {
            header(OpCode::SetData, out);
            StatResponse { stat }.encode(out);
        }
        Txn::Check(_) => header(OpCode::Check, out),
        _ => header(OpCode::Delete, out),
    }
}
