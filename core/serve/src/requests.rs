//! Requests of an open connection: what is answered here, what waits, what the peer must decide.
//!
//! How a read is answered is in [`reads`](crate::reads) and [`watching`](crate::watching).

use zabra_jute::{Decode, Reader};
use zabra_mutant::{self as mutant, Mutant};
use zabra_peer::{Ask, Input, Origin, WriteRequest};
use zabra_proto::client::{AuthPacket, PathRequest, RequestHeader, SaslToken};
use zabra_proto::{ConnId, ErrorCode, MonoMillis, OpCode, Xid, Zxid};

use crate::auth::{self, Shown};
use crate::clients::Upstream;
use crate::conn::{Asked, Wait};
use crate::{Clients, CloseReason, Replica, frame};

impl Clients {
    /// A request. Whatever came before it on this connection is answered before it.
    pub(crate) fn on_request(
        &mut self,
        id: ConnId,
        frame: &[u8],
        replica: &Replica,
        now: MonoMillis,
        upstream: &mut impl Upstream,
    ) {
        let mut r = Reader::new(frame);
        let Ok(RequestHeader { xid, op }) = RequestHeader::decode(&mut r) else {
            return self.close(id, CloseReason::Malformed);
        };
        let body = r.rest();
        // A check on its own would be logged as what no server can read back (P97).
        let Some(op) = OpCode::from_code(op).filter(|op| *op != OpCode::Check) else {
            return self.on_unknown_op(id, xid);
        };
        let since = self.conn(id).map_or(now, |conn| conn.came);
        let asked = Asked { xid, op, since };
        match op {
            OpCode::Auth => self.on_auth(id, xid, body),
            OpCode::Sasl => self.on_sasl(id, xid, body),
            OpCode::Sync => match PathRequest::decode(&mut Reader::new(body)) {
                Ok(r) => self.hand_on(id, asked, body, Some(r.path.into()), upstream),
                Err(_) => self.on_read(id, asked, body, replica, now),
            },
            op if op.is_write() => self.hand_on(id, asked, body, None, upstream),
            _ => self.on_read(id, asked, body, replica, now),
        }
    }

    /// Answers a read, or parks it behind what waits already.
    fn on_read(
        &mut self,
        id: ConnId,
        asked: Asked,
        body: &[u8],
        replica: &Replica,
        now: MonoMillis,
    ) {
        let Some((conn, mut reading)) = self.reading(id, replica, now) else {
            return;
        };
        if conn.parked.is_empty() || mutant::on(Mutant::ReadOvertakesWrite) {
            reading.answer(conn, asked, body);
            self.mark(id);
        } else {
            let body = body.into();
            let wait = Wait::Turn { body };
            conn.park(asked, wait);
            self.outstanding += 1;
            self.throttle(id);
        }
    }

    /// Parks a request that the peer must decide, and tells the peer.
    fn hand_on(
        &mut self,
        id: ConnId,
        asked: Asked,
        body: &[u8],
        echo: Option<Box<str>>,
        upstream: &mut impl Upstream,
    ) {
        self.note_for_audit(id, asked.op, body);
        let Some(conn) = self.conn_mut(id) else {
            return;
        };
        let seq = conn.next_seq;
        conn.next_seq += 1;
        let wait = Wait::Peer { seq, echo };
        conn.park(asked, wait);
        let Asked { xid, op, .. } = asked;
        let origin = Origin {
            conn: id,
            seq,
            xid,
            ask: Ask::Op(op),
        };
        if op == OpCode::Sync {
            let session = conn.session;
            upstream.input(Input::Sync { origin, session });
        } else {
            upstream.input(Input::Write(WriteRequest {
                origin,
                op,
                session: conn.session,
                body,
                identities: &conn.identities,
            }));
        }
        self.outstanding += 1;
        self.throttle(id);
    }

    fn note_for_audit(&mut self, id: ConnId, op: OpCode, body: &[u8]) {
        if let Some(mut audit) = self.audit.take() {
            if let Some(conn) = self.conn(id) {
                audit.on_request(conn, conn.next_seq, op, body);
            }
            self.audit = Some(audit);
        }
    }

    /// What is not served ends the connection, after an answer that does not wait for earlier ones (protocol 4.9).
    fn on_unknown_op(&mut self, id: ConnId, xid: Xid) {
        self.ready_to_write(id);
        if let Some(conn) = self.conn_mut(id) {
            frame::header(
                xid,
                Zxid::from_wire(-1),
                ErrorCode::UNIMPLEMENTED,
                &mut conn.out,
            );
        }
        self.close(id, CloseReason::UnknownOp);
    }

    /// Credentials are looked at at once, outside the order of the other requests (protocol 4.6).
    fn on_auth(&mut self, id: ConnId, xid: Xid, body: &[u8]) {
        let Ok(packet) = AuthPacket::decode(&mut Reader::new(body)) else {
            return self.close(id, CloseReason::Malformed);
        };
        self.ready_to_write(id);
        let Some(conn) = self
            .slots
            .get_mut(id.0 as u32 as usize)
            .and_then(|slot| slot.conn.as_deref_mut())
        else {
            return;
        };
        match auth::look_at(conn, &packet, &self.options, &mut self.stats.ensemble) {
            Shown::Taken => {
                frame::header(xid, Zxid::ZERO, ErrorCode::OK, &mut conn.out);
                self.mark(id);
            }
            Shown::Refused => {
                frame::header(xid, Zxid::ZERO, ErrorCode::AUTH_FAILED, &mut conn.out);
                self.stats.auth_failed += 1;
                self.close(id, CloseReason::AuthFailed);
            }
            // An error would end the client's session for good; so it goes and asks another server.
            Shown::NotForUs => self.close(id, CloseReason::WrongEnsemble),
        }
    }

    /// No SASL login is configured: the answer is an empty token (protocol 4.7).
    fn on_sasl(&mut self, id: ConnId, xid: Xid, body: &[u8]) {
        if SaslToken::decode(&mut Reader::new(body)).is_err() {
            return self.close(id, CloseReason::Malformed);
        }
        self.ready_to_write(id);
        if let Some(conn) = self.conn_mut(id) {
            frame::reply(xid, Zxid::ZERO, &SaslToken { token: None }, &mut conn.out);
        }
        self.mark(id);
    }
}
