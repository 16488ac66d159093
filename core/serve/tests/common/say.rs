//! Requests.

use zabra_jute::{Encode, Text};
use zabra_proto::client::{
    AddWatchRequest, AuthPacket, CheckVersionRequest, CreateRequest, CreateTtlRequest,
    DeleteRequest, GetEphemeralsRequest, MultiHeader, PathRequest, PathWatchRequest, RequestHeader,
    SetAclRequest, SetDataRequest, SetWatches2, WatchesRequest,
};
use zabra_proto::{OpCode, Perms, RawAcl, RemoveWatchesKind, WatchAddMode, Xid, Zxid};

/// An op code and the bytes behind it.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    pub op: i32,
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = String::from_utf8_lossy(&self.body);
        write!(f, "op {} {:?}", self.op, body.get(..60).unwrap_or(&body))
    }
}

impl Request {
    pub fn new(op: OpCode, record: &impl Encode) -> Self {
        Self::raw(op.code(), record)
    }

    pub fn raw(op: i32, record: &impl Encode) -> Self {
        let mut body = Vec::new();
        record.encode(&mut body);
        Self { op, body }
    }

    pub fn frame(&self, xid: i32) -> Vec<u8> {
        let mut bytes = ((self.body.len() + 8) as u32).to_be_bytes().to_vec();
        let header = RequestHeader {
            xid: Xid(xid),
            op: self.op,
        };
        header.encode(&mut bytes);
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// The first bytes of the body only.
    pub fn cut(mut self, len: usize) -> Self {
        self.body.truncate(len);
        self
    }
}

pub const PERSISTENT: i32 = 0;
pub const EPHEMERAL: i32 = 1;
pub const SEQUENTIAL: i32 = 2;
pub const EPHEMERAL_SEQUENTIAL: i32 = 3;
pub const CONTAINER: i32 = 4;
pub const TTL: i32 = 5;
pub const TTL_SEQUENTIAL: i32 = 6;

pub fn raw_acl(perms: Perms, scheme: &str, id: &str) -> RawAcl<'static> {
    RawAcl {
        perms,
        scheme: Some(Text::Owned(scheme.to_owned())),
        id: Some(Text::Owned(id.to_owned())),
    }
}

pub fn anyone(perms: Perms) -> Vec<RawAcl<'static>> {
    vec![raw_acl(perms, "world", "anyone")]
}

pub fn create_as(
    op: OpCode,
    path: &str,
    data: Option<&[u8]>,
    acl: Vec<RawAcl<'_>>,
    flags: i32,
) -> Request {
    let request = CreateRequest {
        path: path.into(),
        data,
        acl: Some(acl),
        flags,
    };
    Request::new(op, &request)
}

pub fn create(path: &str, flags: i32) -> Request {
    create_as(OpCode::Create, path, Some(b""), anyone(Perms::ALL), flags)
}

pub fn create_with(path: &str, data: &[u8]) -> Request {
    create_as(OpCode::Create, path, Some(data), anyone(Perms::ALL), 0)
}

pub fn create2(path: &str, flags: i32) -> Request {
    create_as(OpCode::Create2, path, Some(b""), anyone(Perms::ALL), flags)
}

pub fn create_container(path: &str, flags: i32) -> Request {
    create_as(
        OpCode::CreateContainer,
        path,
        Some(b""),
        anyone(Perms::ALL),
        flags,
    )
}

pub fn create_ttl(path: &str, flags: i32, ttl: i64) -> Request {
    let request = CreateTtlRequest {
        path: path.into(),
        data: Some(b""),
        acl: Some(anyone(Perms::ALL)),
        flags,
        ttl,
    };
    Request::new(OpCode::CreateTtl, &request)
}

pub fn delete(path: &str, version: i32) -> Request {
    let path = path.into();
    Request::new(OpCode::Delete, &DeleteRequest { path, version })
}

pub fn set(path: &str, data: &[u8], version: i32) -> Request {
    let request = SetDataRequest {
        path: path.into(),
        data: Some(data),
        version,
    };
    Request::new(OpCode::SetData, &request)
}

pub fn set_acl(path: &str, acl: Vec<RawAcl<'_>>, version: i32) -> Request {
    let request = SetAclRequest {
        path: path.into(),
        acl: Some(acl),
        version,
    };
    Request::new(OpCode::SetAcl, &request)
}

pub fn check(path: &str, version: i32) -> Request {
    let path = path.into();
    Request::new(OpCode::Check, &CheckVersionRequest { path, version })
}

fn read(op: OpCode, path: &str, watch: bool) -> Request {
    let path = path.into();
    Request::new(op, &PathWatchRequest { path, watch })
}

pub fn exists(path: &str, watch: bool) -> Request {
    read(OpCode::Exists, path, watch)
}

pub fn get(path: &str, watch: bool) -> Request {
    read(OpCode::GetData, path, watch)
}

pub fn children(path: &str, watch: bool) -> Request {
    read(OpCode::GetChildren, path, watch)
}

pub fn children2(path: &str, watch: bool) -> Request {
    read(OpCode::GetChildren2, path, watch)
}

pub fn about(op: OpCode, path: &str) -> Request {
    Request::new(op, &PathRequest { path: path.into() })
}

pub fn sync(path: &str) -> Request {
    about(OpCode::Sync, path)
}

pub fn get_acl(path: &str) -> Request {
    about(OpCode::GetAcl, path)
}

pub fn bare(op: OpCode) -> Request {
    Request::new(op, &())
}

pub fn ping() -> Request {
    bare(OpCode::Ping)
}

pub fn close_session() -> Request {
    bare(OpCode::CloseSession)
}

pub fn ephemerals(prefix: Option<&str>) -> Request {
    let prefix = prefix.map(Into::into);
    Request::new(OpCode::GetEphemerals, &GetEphemeralsRequest { prefix })
}

pub fn auth(scheme: &str, bytes: &[u8]) -> Request {
    let packet = AuthPacket {
        kind: 0,
        scheme: Some(scheme.into()),
        auth: Some(bytes),
    };
    Request::new(OpCode::Auth, &packet)
}

pub fn add_watch(path: &str, mode: WatchAddMode) -> Request {
    let path = path.into();
    Request::new(OpCode::AddWatch, &AddWatchRequest { path, mode })
}

pub fn check_watches(path: &str, kind: RemoveWatchesKind) -> Request {
    let path = path.into();
    Request::new(OpCode::CheckWatches, &WatchesRequest { path, kind })
}

pub fn remove_watches(path: &str, kind: RemoveWatchesKind) -> Request {
    let path = path.into();
    Request::new(OpCode::RemoveWatches, &WatchesRequest { path, kind })
}

/// setWatches2 with these paths in the five lists.
pub fn set_watches(since: Zxid, lists: [&[&str]; 5]) -> Request {
    let [data, exist, child, persistent, persistent_recursive] =
        lists.map(|list| list.iter().map(|path| (*path).into()).collect());
    let request = SetWatches2 {
        relative_zxid: since,
        data,
        exist,
        child,
        persistent,
        persistent_recursive,
    };
    Request::new(OpCode::SetWatches2, &request)
}

fn batch(op: OpCode, elements: &[Request]) -> Request {
    let mut body = Vec::new();
    for element in elements {
        let header = MultiHeader {
            kind: element.op,
            done: false,
            error: -1,
        };
        header.encode(&mut body);
        body.extend_from_slice(&element.body);
    }
    MultiHeader::END.encode(&mut body);
    Request {
        op: op.code(),
        body,
    }
}

pub fn multi(elements: &[Request]) -> Request {
    batch(OpCode::Multi, elements)
}

pub fn multi_read(elements: &[Request]) -> Request {
    batch(OpCode::MultiRead, elements)
}
