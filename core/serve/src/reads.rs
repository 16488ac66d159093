//! Requests of an open connection: reads are answered here, from the replica.

use zabra_jute::{Decode, Encode, JuteError, Reader, Text};
use zabra_peer::{Ask, Input, Origin, WriteRequest};
use zabra_proto::client::{
    AuthPacket, ClientInfo, ErrorResponse, GetAclResponse, GetAllChildrenNumberResponse,
    GetDataResponse, GetEphemeralsRequest, MultiHeader, PathRequest, PathResponse,
    PathWatchRequest, RequestHeader, SaslToken, StatResponse, WhoAmIResponse,
};
use zabra_proto::multi::{self, MultiReadOp};
use zabra_proto::{ConnId, ErrorCode, MonoMillis, OpCode, Perms, Xid, Zxid};
use zabra_tree::{NodeId, WatchMode, WatchTable, Watcher, acl};

use crate::clients::{ServeOptions, Upstream};
use crate::conn::{Parked, Wait, short_name};
use crate::frame::{self, OpenFrame};
use crate::{Clients, CloseReason, Conn, Replica, ServerStats};

/// Why a read has no answer but an error.
pub(crate) enum ReadError {
    /// The body cannot be decoded.
    Malformed,
    /// The tree says no.
    Code(ErrorCode),
}

impl From<JuteError> for ReadError {
    fn from(_: JuteError) -> Self {
        Self::Malformed
    }
}

impl From<ErrorCode> for ReadError {
    fn from(code: ErrorCode) -> Self {
        Self::Code(code)
    }
}

impl ReadError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Malformed => ErrorCode::MARSHALLING_ERROR,
            Self::Code(code) => *code,
        }
    }
}

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
        match OpCode::from_code(op) {
            Some(OpCode::Auth) => self.on_auth(id, xid, body),
            Some(OpCode::Sasl) => self.on_sasl(id, xid, body),
            // A check on its own would be logged as what no server can read back (P97).
            None | Some(OpCode::Check) => self.on_unknown_op(id, xid),
            Some(op) if op.is_write() => self.hand_on(id, xid, op, body, None, now, upstream),
            Some(OpCode::Sync) => self.on_sync(id, xid, body, replica, now, upstream),
            Some(op) => self.on_read(id, xid, op, body, replica, now),
        }
    }

    fn on_read(
        &mut self,
        id: ConnId,
        xid: Xid,
        op: OpCode,
        body: &[u8],
        replica: &Replica,
        now: MonoMillis,
    ) {
        let Some((conn, mut reading)) = self.reading(id, replica, now) else {
            return;
        };
        if conn.parked.is_empty() {
            reading.answer(conn, xid, op, body, now);
            self.mark(id);
        } else {
            conn.park(Parked {
                xid,
                since: now,
                wait: Wait::Turn {
                    op,
                    body: body.into(),
                },
            });
            self.outstanding += 1;
            self.throttle(id);
        }
    }

    fn on_sync(
        &mut self,
        id: ConnId,
        xid: Xid,
        body: &[u8],
        replica: &Replica,
        now: MonoMillis,
        upstream: &mut impl Upstream,
    ) {
        match PathRequest::decode(&mut Reader::new(body)) {
            Ok(r) => self.hand_on(
                id,
                xid,
                OpCode::Sync,
                body,
                Some(r.path.into()),
                now,
                upstream,
            ),
            Err(_) => self.on_read(id, xid, OpCode::Sync, body, replica, now),
        }
    }

    /// Parks a request that the peer must decide, and tells the peer.
    #[allow(
        clippy::too_many_arguments,
        reason = "the parts of one request, each used once"
    )]
    fn hand_on(
        &mut self,
        id: ConnId,
        xid: Xid,
        op: OpCode,
        body: &[u8],
        echo: Option<Box<str>>,
        now: MonoMillis,
        upstream: &mut impl Upstream,
    ) {
        let Some(conn) = self.conn_mut(id) else {
            return;
        };
        let seq = conn.next_seq;
        conn.next_seq += 1;
        conn.park(Parked {
            xid,
            since: now,
            wait: Wait::Peer { seq, op, echo },
        });
        let origin = Origin {
            conn: id,
            seq,
            xid,
            ask: Ask::Op(op),
        };
        if op == OpCode::Sync {
            upstream.input(Input::Sync(origin));
        } else {
            let (session, identities) = (conn.session, conn.identities.as_slice());
            upstream.input(Input::Write(WriteRequest {
                origin,
                op,
                session,
                body,
                identities,
            }));
        }
        self.outstanding += 1;
        self.throttle(id);
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
        if crate::auth::add_identities(conn, &packet, &self.options) {
            frame::header(xid, Zxid::ZERO, ErrorCode::OK, &mut conn.out);
            self.mark(id);
        } else {
            frame::header(xid, Zxid::ZERO, ErrorCode::AUTH_FAILED, &mut conn.out);
            self.stats.auth_failed += 1;
            self.close(id, CloseReason::AuthFailed);
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

/// What it takes to answer a read.
pub(crate) struct Reading<'c> {
    pub(crate) replica: &'c Replica,
    pub(crate) watches: &'c mut WatchTable,
    pub(crate) options: &'c ServeOptions,
    pub(crate) stats: &'c mut ServerStats,
    pub(crate) now: MonoMillis,
}

impl Reading<'_> {
    /// Answers a parked request whose turn has come.
    pub(crate) fn answer_parked(&mut self, conn: &mut Conn, parked: Parked) {
        let Parked { xid, since, wait } = parked;
        match wait {
            Wait::Turn { op, body } => self.answer(conn, xid, op, &body, since),
            Wait::Answered { op, error, echo } => {
                let zxid = self.replica.last_zxid();
                let at = conn.out.len();
                match echo {
                    Some(path) if error.is_ok() => {
                        frame::reply(
                            xid,
                            zxid,
                            &PathResponse {
                                path: Text::Borrowed(&path),
                            },
                            &mut conn.out,
                        );
                    }
                    _ => frame::header(xid, zxid, error, &mut conn.out),
                }
                self.count(conn, op, xid, zxid, since, at);
            }
            Wait::Peer { .. } => {}
        }
    }

    /// Answers a read now.
    pub(crate) fn answer(
        &mut self,
        conn: &mut Conn,
        xid: Xid,
        op: OpCode,
        body: &[u8],
        since: MonoMillis,
    ) {
        let zxid = self.replica.last_zxid();
        let at = conn.out.len();
        if op == OpCode::Ping {
            // Whatever xid the ping had (protocol 4.5).
            frame::header(Xid::PING, zxid, ErrorCode::OK, &mut conn.out);
        } else if matches!(op, OpCode::SetWatches | OpCode::SetWatches2) {
            // Its events stand before its reply.
            let result = self.set_watches(conn, op, body);
            let error = result.err().map_or(ErrorCode::OK, |e: ReadError| e.code());
            frame::header(xid, zxid, error, &mut conn.out);
        } else {
            let frame = OpenFrame::reply(xid, zxid, ErrorCode::OK, &mut conn.out);
            match self.body(conn, op, body, &frame) {
                Ok(()) => frame.end(&mut conn.out),
                Err(error) => {
                    frame.abandon(&mut conn.out);
                    frame::header(xid, zxid, error.code(), &mut conn.out);
                }
            }
        }
        self.count(conn, op, xid, zxid, since, at);
    }

    /// Counts a reply that began at `at` in the output.
    pub(crate) fn count(
        &mut self,
        conn: &mut Conn,
        op: OpCode,
        xid: Xid,
        zxid: Zxid,
        since: MonoMillis,
        at: usize,
    ) {
        count(self.stats, conn, op, xid, zxid, since, self.now, at);
    }

    fn body(
        &mut self,
        conn: &mut Conn,
        op: OpCode,
        body: &[u8],
        frame: &OpenFrame,
    ) -> Result<(), ReadError> {
        let mut r = Reader::new(body);
        match op {
            OpCode::Exists => self.exists(conn, PathWatchRequest::decode(&mut r)?),
            OpCode::GetData => self.get_data(conn, PathWatchRequest::decode(&mut r)?),
            OpCode::GetChildren => {
                self.get_children(conn, PathWatchRequest::decode(&mut r)?, false)
            }
            OpCode::GetChildren2 => {
                self.get_children(conn, PathWatchRequest::decode(&mut r)?, true)
            }
            OpCode::GetAcl => self.get_acl(conn, PathRequest::decode(&mut r)?),
            OpCode::GetAllChildrenNumber => {
                self.count_descendants(conn, PathRequest::decode(&mut r)?)
            }
            OpCode::GetEphemerals => {
                self.get_ephemerals(conn, GetEphemeralsRequest::decode(&mut r)?)
            }
            OpCode::WhoAmI => {
                who_am_i(conn);
                Ok(())
            }
            OpCode::MultiRead => self.multi_read(conn, &multi::decode_reads(&mut r)?, frame),
            OpCode::AddWatch => {
                self.add_watch(conn, &mut r)?;
                ErrorResponse {
                    error: ErrorCode::OK,
                }
                .encode(&mut conn.out);
                Ok(())
            }
            OpCode::CheckWatches => self.check_watches(conn, &mut r),
            OpCode::RemoveWatches => self.remove_watches(conn, &mut r),
            OpCode::Sync => Err(ReadError::Malformed),
            _ => Err(ErrorCode::UNIMPLEMENTED.into()),
        }
    }

    fn permitted(&self, conn: &Conn, path: &str, wanted: Perms) -> Result<NodeId, ErrorCode> {
        let node = self.replica.tree.find(path).ok_or(ErrorCode::NO_NODE)?;
        if acl::check(
            self.replica.tree.acl(node),
            wanted,
            &conn.identities,
            &self.options.acl,
        ) {
            Ok(node)
        } else {
            Err(ErrorCode::NO_AUTH)
        }
    }

    fn watch(&mut self, conn: &Conn, path: &str, mode: WatchMode) {
        self.watches.add(Watcher(conn.id.0), path, mode);
    }

    /// The watch stays also when there is no znode: it will tell of its creation.
    fn exists(&mut self, conn: &mut Conn, r: PathWatchRequest<'_>) -> Result<(), ReadError> {
        if r.path.contains('\0') {
            return Err(ErrorCode::BAD_ARGUMENTS.into());
        }
        let node = self.permitted(conn, &r.path, Perms::READ);
        if r.watch && node != Err(ErrorCode::NO_AUTH) {
            self.watch(conn, &r.path, WatchMode::Data);
        }
        StatResponse {
            stat: self.replica.tree.stat(node?),
        }
        .encode(&mut conn.out);
        Ok(())
    }

    fn get_data(&mut self, conn: &mut Conn, r: PathWatchRequest<'_>) -> Result<(), ReadError> {
        let node = self.permitted(conn, &r.path, Perms::READ)?;
        if r.watch {
            self.watch(conn, &r.path, WatchMode::Data);
        }
        self.put_data(conn, node);
        Ok(())
    }

    fn put_data(&self, conn: &mut Conn, node: NodeId) {
        let tree = &self.replica.tree;
        GetDataResponse {
            data: tree.data(node),
            stat: tree.stat(node),
        }
        .encode(&mut conn.out);
    }

    fn get_children(
        &mut self,
        conn: &mut Conn,
        r: PathWatchRequest<'_>,
        with_stat: bool,
    ) -> Result<(), ReadError> {
        let node = self.permitted(conn, &r.path, Perms::READ)?;
        if r.watch {
            self.watch(conn, &r.path, WatchMode::Child);
        }
        self.put_children(conn, node);
        if with_stat {
            self.replica.tree.stat(node).encode(&mut conn.out);
        }
        Ok(())
    }

    fn put_children(&self, conn: &mut Conn, node: NodeId) {
        (self.replica.tree.child_count(node) as i32).encode(&mut conn.out);
        for name in self.replica.tree.children(node) {
            name.encode(&mut conn.out);
        }
    }

    /// Without ADMIN nobody sees the digests of others' passwords (CVE-2019-0201).
    fn get_acl(&self, conn: &mut Conn, r: PathRequest<'_>) -> Result<(), ReadError> {
        let node = self.permitted(conn, &r.path, Perms::READ | Perms::ADMIN)?;
        let tree = &self.replica.tree;
        let is_admin = acl::check(
            tree.acl(node),
            Perms::ADMIN,
            &conn.identities,
            &self.options.acl,
        );
        let list = tree.acl(node);
        let acl = if is_admin {
            list.to_vec()
        } else {
            acl::masked(list)
        };
        GetAclResponse {
            acl,
            stat: tree.stat(node),
        }
        .encode(&mut conn.out);
        Ok(())
    }

    fn count_descendants(&self, conn: &mut Conn, r: PathRequest<'_>) -> Result<(), ReadError> {
        let node = self.permitted(conn, &r.path, Perms::READ)?;
        let total = i32::try_from(self.replica.tree.descendant_count(node)).unwrap_or(i32::MAX);
        GetAllChildrenNumberResponse { total }.encode(&mut conn.out);
        Ok(())
    }

    fn get_ephemerals(
        &self,
        conn: &mut Conn,
        r: GetEphemeralsRequest<'_>,
    ) -> Result<(), ReadError> {
        let prefix = r.prefix.unwrap_or_default();
        let all = prefix.trim().is_empty() || prefix == "/";
        let paths = self.replica.tree.ephemerals(conn.session);
        let names: Vec<&str> = paths
            .iter()
            .map(String::as_str)
            .filter(|path| all || path.starts_with(&*prefix))
            .collect();
        names.encode(&mut conn.out);
        Ok(())
    }

    /// Each element is answered on its own. The reply is bounded while it is built (P118).
    fn multi_read(
        &mut self,
        conn: &mut Conn,
        ops: &[MultiReadOp<'_>],
        frame: &OpenFrame,
    ) -> Result<(), ReadError> {
        for op in ops {
            let (kind, path) = match op {
                MultiReadOp::GetData(r) => (OpCode::GetData, &r.path),
                MultiReadOp::GetChildren(r) => (OpCode::GetChildren, &r.path),
            };
            match self.permitted(conn, path, Perms::READ) {
                Ok(node) => {
                    MultiHeader {
                        kind: kind.code(),
                        done: false,
                        error: 0,
                    }
                    .encode(&mut conn.out);
                    match kind {
                        OpCode::GetData => self.put_data(conn, node),
                        _ => self.put_children(conn, node),
                    }
                }
                Err(error) => {
                    MultiHeader {
                        kind: -1,
                        done: false,
                        error: error.code(),
                    }
                    .encode(&mut conn.out);
                    ErrorResponse { error }.encode(&mut conn.out);
                }
            }
            if frame.len(&conn.out) > self.options.out_len_max / 2 {
                return Err(ReadError::Malformed);
            }
        }
        MultiHeader::END.encode(&mut conn.out);
        Ok(())
    }
}

#[allow(clippy::too_many_arguments, reason = "what one reply is counted by")]
pub(crate) fn count(
    stats: &mut ServerStats,
    conn: &mut Conn,
    op: OpCode,
    xid: Xid,
    zxid: Zxid,
    since: MonoMillis,
    now: MonoMillis,
    at: usize,
) {
    let latency = now.since(since);
    stats.sent += 1;
    stats.latency_ms.add(latency);
    stats.response_bytes.add(conn.out.len() - at);
    let own = &mut conn.stats;
    own.sent += 1;
    own.last_xid = xid;
    own.last_zxid = zxid;
    own.last_op = short_name(op);
    own.last_response = now;
    own.last_latency_ms = latency;
    own.latency_ms.add(latency);
}

/// Hashes of passwords are nobody's business, not even their owner's (AC-34).
fn who_am_i(conn: &mut Conn) {
    let shown = |identity: &zabra_proto::Identity| {
        let user = match identity.scheme.as_str() {
            "digest" => identity.id.split(':').next().unwrap_or_default(),
            _ => identity.id.as_str(),
        };
        ClientInfo {
            scheme: identity.scheme.clone().into(),
            user: user.to_owned().into(),
        }
    };
    let response = WhoAmIResponse {
        identities: conn.identities.iter().map(shown).collect(),
    };
    response.encode(&mut conn.out);
}
