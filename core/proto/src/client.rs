//! The records of the client port (protocol 3.2, 3.3). Field order is wire order.

use zabra_jute::{Decode, Encode, JuteError, Reader, Text, record};

use crate::{
    Acl, ErrorCode, EventKind, RawAcl, RemoveWatchesKind, SessionId, Stat, WatchAddMode, Xid, Zxid,
};

/// A client's first frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectRequest<'a> {
    /// 0; servers ignore it.
    pub protocol_version: i32,
    /// The highest zxid that the client saw in a reply.
    pub last_zxid_seen: Zxid,
    /// Wanted session timeout in ms; any number.
    pub timeout_ms: i32,
    /// The session to take up again, or none.
    pub session: SessionId,
    /// Its password.
    pub password: &'a [u8],
    /// Whether the client accepts a read-only server. `None`: the byte was not there, as with clients up to 3.3, and
    /// the answer must not have it either.
    pub read_only: Option<bool>,
}

impl<'a> Decode<'a> for ConnectRequest<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(Self {
            protocol_version: r.i32()?,
            last_zxid_seen: Zxid::decode(r)?,
            timeout_ms: r.i32()?,
            session: SessionId::decode(r)?,
            password: r.buffer()?.unwrap_or_default(),
            read_only: if r.is_empty() { None } else { Some(r.bool()?) },
        })
    }
}

impl Encode for ConnectRequest<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.protocol_version.encode(out);
        self.last_zxid_seen.encode(out);
        self.timeout_ms.encode(out);
        self.session.encode(out);
        Some(self.password).encode(out);
        if let Some(read_only) = self.read_only {
            read_only.encode(out);
        }
    }
}

/// The answer to [`ConnectRequest`]. All zero: the session cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectResponse {
    /// 0.
    pub protocol_version: i32,
    /// The granted timeout in ms; 0 says that the session is gone.
    pub timeout_ms: i32,
    /// The session.
    pub session: SessionId,
    /// Its password.
    pub password: [u8; crate::password::LEN],
    /// Whether this server is read-only; left out for clients that did not send theirs.
    pub read_only: Option<bool>,
}

impl ConnectResponse {
    /// Refusal: wrong password, unknown or expired session; clients cannot tell which.
    #[must_use]
    pub fn rejected(read_only: Option<bool>) -> Self {
        Self {
            protocol_version: 0,
            timeout_ms: 0,
            session: SessionId::NONE,
            password: [0; crate::password::LEN],
            read_only,
        }
    }
}

impl<'a> Decode<'a> for ConnectResponse {
    fn decode(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        let protocol_version = r.i32()?;
        let timeout_ms = r.i32()?;
        let session = SessionId::decode(r)?;
        let mut password = [0; crate::password::LEN];
        for (to, from) in password.iter_mut().zip(r.buffer()?.unwrap_or_default()) {
            *to = *from;
        }
        let read_only = if r.is_empty() { None } else { Some(r.bool()?) };
        Ok(Self {
            protocol_version,
            timeout_ms,
            session,
            password,
            read_only,
        })
    }
}

impl Encode for ConnectResponse {
    fn encode(&self, out: &mut Vec<u8>) {
        self.protocol_version.encode(out);
        self.timeout_ms.encode(out);
        self.session.encode(out);
        Some(&self.password[..]).encode(out);
        if let Some(read_only) = self.read_only {
            read_only.encode(out);
        }
    }
}

record! {
    /// In front of every request after the first frame. The op code is kept as it came: it may be unknown.
    #[derive(Copy)]
    pub struct RequestHeader {
        /// The client's number for this request.
        pub xid: Xid,
        /// See [`OpCode`](crate::OpCode).
        pub op: i32,
    }

    /// In front of every reply and notification (16 bytes). A body follows only if `error` is 0.
    #[derive(Copy)]
    pub struct ReplyHeader {
        /// The request's number, or a special one.
        pub xid: Xid,
        /// See protocol 5.1.
        pub zxid: Zxid,
        /// What went wrong, if anything.
        pub error: ErrorCode,
    }

    /// create, create2, createContainer.
    pub struct CreateRequest<'a> {
        /// Where.
        pub path: Text<'a>,
        /// What; null is kept.
        pub data: Option<&'a [u8]>,
        /// For whom.
        pub acl: Option<Vec<RawAcl<'a>>>,
        /// See [`CreateMode`](crate::CreateMode); any number may come.
        pub flags: i32,
    }

    /// createTTL.
    pub struct CreateTtlRequest<'a> {
        /// Where.
        pub path: Text<'a>,
        /// What; null is kept.
        pub data: Option<&'a [u8]>,
        /// For whom.
        pub acl: Option<Vec<RawAcl<'a>>>,
        /// See [`CreateMode`](crate::CreateMode); any number may come.
        pub flags: i32,
        /// Time to live in ms, 1 to 0xff_ffff_ffff.
        pub ttl: i64,
    }

    /// delete.
    pub struct DeleteRequest<'a> {
        /// Which znode.
        pub path: Text<'a>,
        /// Its expected version, −1 for any.
        pub version: i32,
    }

    /// exists, getData, getChildren, getChildren2.
    pub struct PathWatchRequest<'a> {
        /// Which znode.
        pub path: Text<'a>,
        /// Whether to watch it.
        pub watch: bool,
    }

    /// getACL, sync, getAllChildrenNumber.
    pub struct PathRequest<'a> {
        /// Which znode.
        pub path: Text<'a>,
    }

    /// setData.
    pub struct SetDataRequest<'a> {
        /// Which znode.
        pub path: Text<'a>,
        /// What; null is kept.
        pub data: Option<&'a [u8]>,
        /// Expected version, −1 for any.
        pub version: i32,
    }

    /// setACL.
    pub struct SetAclRequest<'a> {
        /// Which znode.
        pub path: Text<'a>,
        /// For whom.
        pub acl: Option<Vec<RawAcl<'a>>>,
        /// Expected **aversion**, −1 for any.
        pub version: i32,
    }

    /// check, inside a multi.
    pub struct CheckVersionRequest<'a> {
        /// Which znode.
        pub path: Text<'a>,
        /// Expected version, −1 for any.
        pub version: i32,
    }

    /// In front of each element of a multi and of its result.
    #[derive(Copy)]
    pub struct MultiHeader {
        /// Op code, or −1 for an error and for the end.
        pub kind: i32,
        /// Only this ends the list.
        pub done: bool,
        /// −1 in requests; 0 or the code in results.
        pub error: i32,
    }

    /// reconfig.
    pub struct ReconfigRequest<'a> {
        /// Servers to add.
        pub joining: Option<Text<'a>>,
        /// Servers to remove.
        pub leaving: Option<Text<'a>>,
        /// The whole membership, instead of the two.
        pub members: Option<Text<'a>>,
        /// The expected configuration version, −1 for any.
        pub config_id: i64,
    }

    /// checkWatches, removeWatches.
    pub struct WatchesRequest<'a> {
        /// Which path.
        pub path: Text<'a>,
        /// Which of its watches.
        pub kind: RemoveWatchesKind,
    }

    /// auth.
    pub struct AuthPacket<'a> {
        /// 0; ignored.
        pub kind: i32,
        /// Which scheme.
        pub scheme: Option<Text<'a>>,
        /// The scheme's own bytes.
        pub auth: Option<&'a [u8]>,
    }

    /// setWatches.
    pub struct SetWatches<'a> {
        /// The last zxid that the client saw.
        pub relative_zxid: Zxid,
        /// Paths of getData and of exists on znodes that existed.
        pub data: Vec<Text<'a>>,
        /// Paths of exists on znodes that did not.
        pub exist: Vec<Text<'a>>,
        /// Paths of getChildren.
        pub child: Vec<Text<'a>>,
    }

    /// setWatches2.
    pub struct SetWatches2<'a> {
        /// The last zxid that the client saw.
        pub relative_zxid: Zxid,
        /// Paths of getData and of exists on znodes that existed.
        pub data: Vec<Text<'a>>,
        /// Paths of exists on znodes that did not.
        pub exist: Vec<Text<'a>>,
        /// Paths of getChildren.
        pub child: Vec<Text<'a>>,
        /// Paths of addWatch, persistent.
        pub persistent: Vec<Text<'a>>,
        /// Paths of addWatch, persistent recursive.
        pub persistent_recursive: Vec<Text<'a>>,
    }

    /// sasl, both ways.
    pub struct SaslToken<'a> {
        /// The mechanism's bytes.
        pub token: Option<&'a [u8]>,
    }

    /// getEphemerals.
    pub struct GetEphemeralsRequest<'a> {
        /// A plain string prefix; null, blank and `/` mean all.
        pub prefix: Option<Text<'a>>,
    }

    /// addWatch.
    pub struct AddWatchRequest<'a> {
        /// Any string.
        pub path: Text<'a>,
        /// How to watch it.
        pub mode: WatchAddMode,
    }

    /// Reply to create, and to sync.
    pub struct PathResponse<'a> {
        /// The path, with its counter if it has one.
        pub path: Text<'a>,
    }

    /// Reply to create2, createContainer, createTTL.
    pub struct Create2Response<'a> {
        /// The path, with its counter if it has one.
        pub path: Text<'a>,
        /// Stat of the new znode.
        pub stat: Stat,
    }

    /// Reply to exists, setData, setACL.
    #[derive(Copy)]
    pub struct StatResponse {
        /// Stat of the znode.
        pub stat: Stat,
    }

    /// Reply to getData and reconfig.
    pub struct GetDataResponse<'a> {
        /// The data; null stays null.
        pub data: Option<&'a [u8]>,
        /// Stat of the znode.
        pub stat: Stat,
    }

    /// Reply to getACL.
    pub struct GetAclResponse<'a> {
        /// The list.
        pub acl: Vec<Acl<'a>>,
        /// Stat of the znode.
        pub stat: Stat,
    }

    /// Reply to getChildren and getEphemerals.
    pub struct NamesResponse<'a> {
        /// Names of children, or paths of ephemerals, in no particular order.
        pub names: Vec<Text<'a>>,
    }

    /// Reply to getChildren2.
    pub struct GetChildren2Response<'a> {
        /// Names, in no particular order.
        pub names: Vec<Text<'a>>,
        /// Stat of the znode.
        pub stat: Stat,
    }

    /// Reply to addWatch (always 0), and result of a failed element of a multi.
    #[derive(Copy)]
    pub struct ErrorResponse {
        /// The code.
        pub error: ErrorCode,
    }

    /// Reply to getAllChildrenNumber.
    #[derive(Copy)]
    pub struct GetAllChildrenNumberResponse {
        /// Number of all descendants.
        pub total: i32,
    }

    /// One identity in a [`WhoAmIResponse`].
    pub struct ClientInfo<'a> {
        /// Scheme.
        pub scheme: Text<'a>,
        /// Without secrets.
        pub user: Text<'a>,
    }

    /// Reply to whoAmI.
    pub struct WhoAmIResponse<'a> {
        /// All identities of the connection.
        pub identities: Vec<ClientInfo<'a>>,
    }

    /// Body of a notification.
    pub struct WatcherEvent<'a> {
        /// What happened.
        pub kind: EventKind,
        /// Servers always send 3 (SyncConnected).
        pub state: i32,
        /// Where.
        pub path: Text<'a>,
    }
}

impl MultiHeader {
    /// What ends a list.
    pub const END: Self = Self {
        kind: -1,
        done: true,
        error: -1,
    };
}

impl<'a> WatcherEvent<'a> {
    /// An event as servers send it.
    #[must_use]
    pub const fn new(kind: EventKind, path: &'a str) -> Self {
        Self {
            kind,
            state: 3,
            path: Text::Borrowed(path),
        }
    }
}

impl<'a> From<SetWatches<'a>> for SetWatches2<'a> {
    fn from(w: SetWatches<'a>) -> Self {
        Self {
            relative_zxid: w.relative_zxid,
            data: w.data,
            exist: w.exist,
            child: w.child,
            persistent: Vec::new(),
            persistent_recursive: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_read_only_byte_is_remembered_as_missing() {
        let mut bytes = Vec::new();
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: Zxid(9),
            timeout_ms: 1000,
            session: SessionId::NONE,
            password: &[0; 16],
            read_only: None,
        };
        request.encode(&mut bytes);
        assert_eq!(bytes.len(), 44);
        assert_eq!(
            ConnectRequest::decode(&mut Reader::new(&bytes)),
            Ok(request)
        );
    }

    #[test]
    fn a_null_password_is_an_empty_one() {
        let mut bytes = vec![0; 24];
        bytes.extend_from_slice(&(-1i32).to_be_bytes());
        bytes.push(1);
        let request = ConnectRequest::decode(&mut Reader::new(&bytes)).unwrap();
        assert_eq!(request.password, []);
        assert_eq!(request.read_only, Some(true));
    }

    #[test]
    fn a_rejection_is_thirty_seven_bytes_of_zero_and_a_length() {
        let mut bytes = Vec::new();
        ConnectResponse::rejected(Some(false)).encode(&mut bytes);
        let mut expected = vec![0; 37];
        expected[19] = 16;
        assert_eq!(bytes, expected);
    }
}
