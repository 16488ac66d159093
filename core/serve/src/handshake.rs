//! How a connection gets its session (protocol 4.3, 4.4, 10.4).

use zabra_jute::{Decode, Reader};
use zabra_mutant::{self as mutant, Mutant};
use zabra_peer::Input;
use zabra_proto::client::{ConnectRequest, ConnectResponse};
use zabra_proto::{ConnId, MonoMillis, SessionId, Zxid, password};

use crate::clients::Upstream;
use crate::conn::State;
use crate::frame::OpenFrame;
use crate::{Clients, CloseReason, Replica};

impl Clients {
    /// The first frame. No further frame is read until the session is decided; what came early is kept.
    pub(crate) fn on_connect_request(
        &mut self,
        id: ConnId,
        frame: &[u8],
        replica: &Replica,
        now: MonoMillis,
        upstream: &mut impl Upstream,
    ) {
        let Ok(request) = ConnectRequest::decode(&mut Reader::new(frame)) else {
            return self.close(id, CloseReason::Malformed);
        };
        if !self.serving {
            return self.close(id, CloseReason::NotServing);
        }
        if !self.admits_connect(request.session, now) {
            return self.close(id, CloseReason::ConnectThrottled);
        }
        // Headers without a zxid carry −1, and some clients remember it as the last that they saw.
        let seen = request.last_zxid_seen;
        let is_ahead = seen > replica.last_zxid() && seen != Zxid::from_wire(-1);
        if is_ahead && !mutant::on(Mutant::ClientAheadAccepted) {
            // The client must not go back in time (P85): it will try another server.
            self.stats.clients_ahead += 1;
            return self.close(id, CloseReason::ClientAhead);
        }
        let timeout_ms = self.options.timeouts.grant(request.timeout_ms);
        let Some(conn) = self.conn_mut(id) else {
            return;
        };
        conn.state = State::Connecting {
            read_only: request.read_only,
        };
        conn.heard = now;
        if request.session == SessionId::NONE {
            upstream.input(Input::OpenSession {
                conn: id,
                timeout_ms,
            });
        } else if password::matches(request.session, request.password) {
            self.close_elsewhere(request.session, id);
            upstream.input(Input::ResumeSession {
                conn: id,
                session: request.session,
                timeout_ms,
            });
        } else {
            // Checked before anything is closed: a guess must not cut off the session's owner (protocol 19, 5).
            self.on_session_refused(id);
        }
    }

    /// A session has one connection: an older one is closed, after what it was already told.
    fn close_elsewhere(&mut self, session: SessionId, id: ConnId) {
        if let Some(older) = self.by_session.get(&session).copied()
            && older != id
        {
            self.close(older, CloseReason::SessionElsewhere);
            self.by_session.remove(&session);
        }
    }

    /// The session is the connection's.
    pub fn on_session_granted(&mut self, id: ConnId, session: SessionId, timeout_ms: i32) {
        self.ready_to_write(id);
        let Some(State::Connecting { read_only }) = self.conn(id).map(|conn| conn.state) else {
            return;
        };
        // Another connection may have asked for it meanwhile, and got it: the last one has it.
        self.close_elsewhere(session, id);
        self.ready_to_write(id);
        let Some(conn) = self.conn_mut(id) else {
            return;
        };
        let response = ConnectResponse {
            protocol_version: 0,
            timeout_ms,
            session,
            password: password::of(session),
            read_only: read_only.map(|_| false),
        };
        conn.state = State::Open;
        conn.session = session;
        conn.timeout_ms = timeout_ms;
        conn.stats.sent += 1;
        conn.touched = true;
        write(&response, &mut conn.out);
        self.stats.sent += 1;
        self.by_session.insert(session, id);
        self.mark(id);
        self.will_resume(id);
    }

    /// The session cannot be had; the client is told so, and goes.
    pub fn on_session_refused(&mut self, id: ConnId) {
        self.ready_to_write(id);
        let Some(conn) = self.conn_mut(id) else {
            return;
        };
        if let State::Connecting { read_only } = conn.state {
            write(
                &ConnectResponse::rejected(read_only.map(|_| false)),
                &mut conn.out,
            );
        }
        self.close(id, CloseReason::SessionRefused);
    }
}

fn write(response: &ConnectResponse, out: &mut Vec<u8>) {
    let frame = OpenFrame::begin(out);
    zabra_jute::Encode::encode(response, out);
    frame.end(out);
}
