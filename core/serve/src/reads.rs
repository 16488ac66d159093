//! Reads, answered from the replica.

use zabra_jute::{Decode, Encode, JuteError, Reader, Text};
use zabra_proto::client::{
    ClientInfo, ErrorResponse, GetAclResponse, GetAllChildrenNumberResponse, GetDataResponse,
    GetEphemeralsRequest, MultiHeader, PathRequest, PathResponse, PathWatchRequest, StatResponse,
    WhoAmIResponse,
};
use zabra_proto::multi::{self, MultiReadOp};
use zabra_proto::{ErrorCode, MonoMillis, OpCode, Perms, Xid, Zxid};
use zabra_tree::{NodeId, WatchMode, WatchTable, Watcher, acl};

use crate::clients::ServeOptions;
use crate::conn::{Asked, NO_NAME, Parked, Wait, short_name};
use crate::frame::{self, OpenFrame};
use crate::late::is_older_than_session;
use crate::{Conn, Latencies, Replica, ServerStats};

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

/// What it takes to answer a read.
pub(crate) struct Reading<'c> {
    pub(crate) replica: &'c Replica,
    pub(crate) watches: &'c mut WatchTable,
    pub(crate) options: &'c ServeOptions,
    pub(crate) stats: &'c mut ServerStats,
    pub(crate) latencies: &'c mut Latencies,
    pub(crate) now: MonoMillis,
}

impl Reading<'_> {
    /// Answers a parked request whose turn has come.
    pub(crate) fn answer_parked(&mut self, conn: &mut Conn, parked: Parked) {
        let Parked { asked, wait, .. } = parked;
        match wait {
            Wait::Turn { body } => self.answer(conn, asked, &body),
            Wait::Answered { error, echo } => {
                let zxid = self.replica.last_zxid();
                let at = conn.out.len();
                match echo {
                    Some(path) if error.is_ok() => {
                        let path = Text::Borrowed(&path);
                        frame::reply(asked.xid, zxid, &PathResponse { path }, &mut conn.out);
                    }
                    _ => frame::header(asked.xid, zxid, error, &mut conn.out),
                }
                let name = if error.is_ok() {
                    short_name(asked.op)
                } else {
                    NO_NAME
                };
                self.count(conn, asked, name, zxid, at);
            }
            Wait::Peer { .. } => {}
        }
    }

    /// Answers a read now.
    pub(crate) fn answer(&mut self, conn: &mut Conn, asked: Asked, body: &[u8]) {
        let Asked { xid, op, .. } = asked;
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
        self.count(conn, asked, short_name(op), zxid, at);
    }

    /// Counts a reply that began at `at` in the output.
    pub(crate) fn count(
        &mut self,
        conn: &mut Conn,
        asked: Asked,
        name: &'static str,
        zxid: Zxid,
        at: usize,
    ) {
        let latency_ms = self.now.since(asked.since);
        self.stats.sent += 1;
        self.stats.latency_ms.add(latency_ms);
        if asked.op.is_write() {
            self.latencies.updates.add(latency_ms);
        } else {
            self.latencies.reads.add(latency_ms);
        }
        if self.options.load.late.stale_by_age && is_older_than_session(conn, latency_ms) {
            self.stats.late.stale_replies += 1;
        }
        self.stats.response_bytes.add(conn.out.len() - at);
        let own = &mut conn.stats;
        own.sent += 1;
        // The last that the client chose: pings and the like are not what is asked for here.
        if asked.xid.0 >= 0 {
            own.last_xid = asked.xid;
        }
        own.last_zxid = zxid;
        own.last_op = name;
        own.last_response = self.now;
        own.last_latency_ms = latency_ms;
        own.latency_ms.add(latency_ms);
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
