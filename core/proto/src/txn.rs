//! Transactions: what a server decided, as it stands in the log and in proposals (protocol 12.3).
//!
//! A payload is header, body and, since 3.6, the digest of the tree after it. It is encoded once, by the server that
//! validated the request; the same bytes go to the log and to every learner. Bodies hold absolute results (final path,
//! new version), so that applying one twice is harmless (protocol 14.2).

use zabra_jute::{Decode, Encode, JuteError, JuteErrorKind, Limits, Reader, Text, record};

use crate::{Acl, ErrorCode, SessionId, WallMillis, Xid, Zxid};

/// The type in a transaction's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum TxnKind {
    /// A session began.
    CreateSession = -10,
    /// A session ended.
    CloseSession = -11,
    /// A request was refused; the body holds the code.
    Error = -1,
    /// A znode of create.
    Create = 1,
    /// A znode went.
    Delete = 2,
    /// Its data was replaced.
    SetData = 5,
    /// Its ACL was replaced.
    SetAcl = 7,
    /// A version was checked; only inside a multi.
    Check = 13,
    /// Several, as one.
    Multi = 14,
    /// A znode of create2.
    Create2 = 15,
    /// The membership changed.
    Reconfig = 16,
    /// A container.
    CreateContainer = 19,
    /// A container or TTL znode was swept.
    DeleteContainer = 20,
    /// A znode with a time to live.
    CreateTtl = 21,
}

impl TxnKind {
    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> i32 {
        self as i32
    }

    /// From the number on the wire.
    #[must_use]
    pub const fn from_code(code: i32) -> Option<Self> {
        Some(match code {
            -10 => Self::CreateSession,
            -11 => Self::CloseSession,
            -1 => Self::Error,
            1 => Self::Create,
            2 => Self::Delete,
            5 => Self::SetData,
            7 => Self::SetAcl,
            13 => Self::Check,
            14 => Self::Multi,
            15 => Self::Create2,
            16 => Self::Reconfig,
            19 => Self::CreateContainer,
            20 => Self::DeleteContainer,
            21 => Self::CreateTtl,
            _ => return None,
        })
    }
}

impl<'a> Decode<'a> for TxnKind {
    fn decode(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        let offset = r.position();
        let value = r.i32()?;
        // R14: what is not known cannot be replayed, and must not be skipped.
        Self::from_code(value).ok_or(JuteError {
            offset,
            kind: JuteErrorKind::Unknown {
                what: "txn type",
                value,
            },
        })
    }
}

impl Encode for TxnKind {
    fn encode(&self, out: &mut Vec<u8>) {
        self.code().encode(out);
    }
}

record! {
    /// In front of each transaction (32 bytes).
    #[derive(Copy)]
    pub struct TxnHeader {
        /// The session that asked, or none for the server's own.
        pub session: SessionId,
        /// The xid of the request.
        pub cxid: Xid,
        /// Its number.
        pub zxid: Zxid,
        /// Wall clock of the server that validated the request; becomes ctime and mtime.
        pub time: WallMillis,
        /// What the body is.
        pub kind: TxnKind,
    }

    /// The digest of the tree after a transaction (12 bytes).
    #[derive(Copy)]
    pub struct TxnDigest {
        /// How it was computed; 2.
        pub version: i32,
        /// The sum.
        pub tree_digest: i64,
    }

    /// Body of create, create2.
    pub struct CreateTxn<'a> {
        /// Final path.
        pub path: Text<'a>,
        /// Data; null stays null.
        pub data: Option<&'a [u8]>,
        /// Expanded ACL.
        pub acl: Option<Vec<Acl<'a>>>,
        /// Whether the header's session owns it.
        pub ephemeral: bool,
        /// The parent's new cversion; −1 in logs of 3.3, meaning one more than it was.
        pub parent_cversion: i32,
    }

    /// Body of createContainer.
    pub struct CreateContainerTxn<'a> {
        /// Final path.
        pub path: Text<'a>,
        /// Data; null stays null.
        pub data: Option<&'a [u8]>,
        /// Expanded ACL.
        pub acl: Option<Vec<Acl<'a>>>,
        /// The parent's new cversion.
        pub parent_cversion: i32,
    }

    /// Body of createTTL.
    pub struct CreateTtlTxn<'a> {
        /// Final path.
        pub path: Text<'a>,
        /// Data; null stays null.
        pub data: Option<&'a [u8]>,
        /// Expanded ACL.
        pub acl: Option<Vec<Acl<'a>>>,
        /// The parent's new cversion.
        pub parent_cversion: i32,
        /// Time to live, ms.
        pub ttl: i64,
    }

    /// Body of delete, deleteContainer.
    pub struct DeleteTxn<'a> {
        /// Which znode.
        pub path: Text<'a>,
    }

    /// Body of setData, reconfig.
    pub struct SetDataTxn<'a> {
        /// Which znode.
        pub path: Text<'a>,
        /// Its data.
        pub data: Option<&'a [u8]>,
        /// Its new version.
        pub version: i32,
    }

    /// Body of setACL.
    pub struct SetAclTxn<'a> {
        /// Which znode.
        pub path: Text<'a>,
        /// Its expanded ACL.
        pub acl: Option<Vec<Acl<'a>>>,
        /// Its new aversion.
        pub version: i32,
    }

    /// Body of check.
    pub struct CheckVersionTxn<'a> {
        /// Which znode.
        pub path: Text<'a>,
        /// Its version, plus one.
        pub version: i32,
    }

    /// Body of createSession.
    #[derive(Copy)]
    pub struct CreateSessionTxn {
        /// Granted timeout, ms.
        pub timeout_ms: i32,
    }

    /// Body of closeSession since 3.6.
    pub struct CloseSessionTxn<'a> {
        /// The ephemerals that go with it.
        pub paths: Vec<Text<'a>>,
    }
}

/// A transaction's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Txn<'a> {
    /// A session began.
    CreateSession(CreateSessionTxn),
    /// A session ended. `None`: written by 3.5 or older; its ephemerals are those that the tree lists for it.
    CloseSession(Option<CloseSessionTxn<'a>>),
    /// A refusal: only the zxid advances.
    Error(ErrorCode),
    /// create.
    Create(CreateTxn<'a>),
    /// create2.
    Create2(CreateTxn<'a>),
    /// createContainer.
    CreateContainer(CreateContainerTxn<'a>),
    /// createTTL.
    CreateTtl(CreateTtlTxn<'a>),
    /// delete.
    Delete(DeleteTxn<'a>),
    /// deleteContainer.
    DeleteContainer(DeleteTxn<'a>),
    /// setData.
    SetData(SetDataTxn<'a>),
    /// reconfig.
    Reconfig(SetDataTxn<'a>),
    /// setACL.
    SetAcl(SetAclTxn<'a>),
    /// check, inside a multi.
    Check(CheckVersionTxn<'a>),
    /// multi. If any element is an error, none has any effect.
    Multi(Vec<Txn<'a>>),
}

impl<'a> Txn<'a> {
    /// What the header says of it.
    #[must_use]
    pub const fn kind(&self) -> TxnKind {
        match self {
            Self::CreateSession(_) => TxnKind::CreateSession,
            Self::CloseSession(_) => TxnKind::CloseSession,
            Self::Error(_) => TxnKind::Error,
            Self::Create(_) => TxnKind::Create,
            Self::Create2(_) => TxnKind::Create2,
            Self::CreateContainer(_) => TxnKind::CreateContainer,
            Self::CreateTtl(_) => TxnKind::CreateTtl,
            Self::Delete(_) => TxnKind::Delete,
            Self::DeleteContainer(_) => TxnKind::DeleteContainer,
            Self::SetData(_) => TxnKind::SetData,
            Self::Reconfig(_) => TxnKind::Reconfig,
            Self::SetAcl(_) => TxnKind::SetAcl,
            Self::Check(_) => TxnKind::Check,
            Self::Multi(_) => TxnKind::Multi,
        }
    }

    fn decode_body(kind: TxnKind, r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(match kind {
            TxnKind::CreateSession => Self::CreateSession(CreateSessionTxn::decode(r)?),
            TxnKind::CloseSession => Self::CloseSession(close_session_of_any_age(r)?),
            TxnKind::Error => Self::Error(ErrorCode::decode(r)?),
            TxnKind::Create => Self::Create(create_of_any_age(r)?),
            TxnKind::Create2 => Self::Create2(CreateTxn::decode(r)?),
            TxnKind::CreateContainer => Self::CreateContainer(CreateContainerTxn::decode(r)?),
            TxnKind::CreateTtl => Self::CreateTtl(CreateTtlTxn::decode(r)?),
            TxnKind::Delete => Self::Delete(DeleteTxn::decode(r)?),
            TxnKind::DeleteContainer => Self::DeleteContainer(DeleteTxn::decode(r)?),
            TxnKind::SetData => Self::SetData(SetDataTxn::decode(r)?),
            TxnKind::Reconfig => Self::Reconfig(SetDataTxn::decode(r)?),
            TxnKind::SetAcl => Self::SetAcl(SetAclTxn::decode(r)?),
            TxnKind::Check => Self::Check(CheckVersionTxn::decode(r)?),
            TxnKind::Multi => Self::Multi(Self::decode_elements(r)?),
        })
    }

    fn decode_elements(r: &mut Reader<'a>) -> Result<Vec<Self>, JuteError> {
        let mut elements = Vec::new();
        for _ in 0..r.count()?.unwrap_or(0) {
            let offset = r.position();
            let kind = TxnKind::decode(r)?;
            let body = r.buffer()?.unwrap_or_default();
            match kind {
                // No nesting: the depth of the input must not become the depth of the stack (P57).
                TxnKind::Multi
                | TxnKind::CreateSession
                | TxnKind::CloseSession
                | TxnKind::Reconfig
                | TxnKind::SetAcl => {
                    let kind = JuteErrorKind::Unknown {
                        what: "type inside a multi",
                        value: kind.code(),
                    };
                    return Err(JuteError { offset, kind });
                }
                _ => elements.push(Self::decode_body(kind, &mut Reader::new(body)).map_err(
                    |e| JuteError {
                        offset: offset + 8 + e.offset,
                        kind: e.kind,
                    },
                )?),
            }
        }
        Ok(elements)
    }

    /// Appends the body without its type.
    pub fn encode_body(&self, out: &mut Vec<u8>) {
        match self {
            Self::CreateSession(t) => t.encode(out),
            Self::CloseSession(t) => {
                if let Some(t) = t {
                    t.encode(out);
                }
            }
            Self::Error(code) => code.encode(out),
            Self::Create(t) | Self::Create2(t) => t.encode(out),
            Self::CreateContainer(t) => t.encode(out),
            Self::CreateTtl(t) => t.encode(out),
            Self::Delete(t) | Self::DeleteContainer(t) => t.encode(out),
            Self::SetData(t) | Self::Reconfig(t) => t.encode(out),
            Self::SetAcl(t) => t.encode(out),
            Self::Check(t) => t.encode(out),
            Self::Multi(elements) => encode_elements(elements, out),
        }
    }
}

fn encode_elements(elements: &[Txn<'_>], out: &mut Vec<u8>) {
    (elements.len() as i32).encode(out);
    for element in elements {
        element.kind().encode(out);
        let length_at = out.len();
        0i32.encode(out);
        element.encode_body(out);
        let length = (out.len() - length_at - 4) as u32;
        if let Some(slot) = out.get_mut(length_at..length_at + 4) {
            slot.copy_from_slice(&length.to_be_bytes());
        }
    }
}

/// closeSession of 3.5 and older has no body, nor has that of a server with `closeSessionTxn.enabled=false`, which may
/// be followed by a digest: twelve bytes that begin with its version. A list of paths cannot look like that, since two
/// paths take more.
fn close_session_of_any_age<'a>(
    r: &mut Reader<'a>,
) -> Result<Option<CloseSessionTxn<'a>>, JuteError> {
    let is_digest =
        r.remaining() == TxnDigest::LEN && r.rest().starts_with(&TxnDigest::VERSION.to_be_bytes());
    if is_digest {
        return Ok(None);
    }
    let start = r.clone();
    match CloseSessionTxn::decode(r) {
        // No ephemeral is called so; with such paths a list could look like a digest after all.
        Ok(txn) if txn.paths.iter().any(|path| path.is_empty()) => Err(JuteError {
            offset: start.position(),
            kind: JuteErrorKind::Unknown {
                what: "length of an ephemeral's path",
                value: 0,
            },
        }),
        Ok(txn) => Ok(Some(txn)),
        Err(JuteError {
            kind: JuteErrorKind::UnexpectedEnd,
            ..
        }) => {
            *r = start;
            Ok(None)
        }
        Err(e) => Err(e),
    }
}

/// create of 3.3 and older lacks the parent's cversion (protocol 12.3, V0 rule).
fn create_of_any_age<'a>(r: &mut Reader<'a>) -> Result<CreateTxn<'a>, JuteError> {
    let mut old = r.clone();
    match CreateTxn::decode(r) {
        Err(JuteError {
            kind: JuteErrorKind::UnexpectedEnd,
            ..
        }) => {
            let txn = CreateTxn {
                path: Text::decode(&mut old)?,
                data: old.buffer()?,
                acl: Decode::decode(&mut old)?,
                ephemeral: old.bool()?,
                parent_cversion: -1,
            };
            *r = old;
            Ok(txn)
        }
        decided => decided,
    }
}

/// A whole payload: what a log record and a proposal hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload<'a> {
    /// In front.
    pub header: TxnHeader,
    /// What was decided.
    pub txn: Txn<'a>,
    /// The tree's digest after it, if the writer computes digests.
    pub digest: Option<TxnDigest>,
}

impl<'a> Payload<'a> {
    /// Decodes header, body, and the digest if twelve bytes are left.
    pub fn decode(bytes: &'a [u8], limits: Limits) -> Result<Self, JuteError> {
        let mut r = Reader::with_limits(bytes, limits);
        let header = TxnHeader::decode(&mut r)?;
        let txn = Txn::decode_body(header.kind, &mut r)?;
        let digest = if r.remaining() >= TxnDigest::LEN {
            Some(TxnDigest::decode(&mut r)?)
        } else {
            None
        };
        Ok(Self {
            header,
            txn,
            digest,
        })
    }
}

impl Encode for Payload<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        assert_eq!(
            self.header.kind,
            self.txn.kind(),
            "a header that names another body cannot be read back"
        );
        self.header.encode(out);
        self.txn.encode_body(out);
        if let Some(digest) = self.digest {
            digest.encode(out);
        }
    }
}

impl TxnHeader {
    /// Encoded length.
    pub const LEN: usize = 32;
}

impl TxnDigest {
    /// Encoded length.
    pub const LEN: usize = 12;
    /// The only way of computing it that is known here.
    pub const VERSION: i32 = 2;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(kind: TxnKind) -> TxnHeader {
        TxnHeader {
            session: SessionId(7),
            cxid: Xid(3),
            zxid: Zxid(9),
            time: WallMillis(1),
            kind,
        }
    }

    fn round_trip(payload: &Payload<'_>) {
        let mut bytes = Vec::new();
        payload.encode(&mut bytes);
        assert_eq!(
            Payload::decode(&bytes, Limits::DEFAULT).as_ref(),
            Ok(payload)
        );
    }

    #[test]
    fn payloads_survive_the_round_trip_with_and_without_digest() {
        for digest in [
            None,
            Some(TxnDigest {
                version: 2,
                tree_digest: -1,
            }),
        ] {
            for txn in [
                Txn::Error(ErrorCode::NO_NODE),
                Txn::SetData(SetDataTxn {
                    path: "/a".into(),
                    data: None,
                    version: 4,
                }),
                Txn::CloseSession(Some(CloseSessionTxn {
                    paths: vec!["/e".into()],
                })),
                Txn::Multi(vec![
                    Txn::Delete(DeleteTxn { path: "/a".into() }),
                    Txn::Error(ErrorCode::RUNTIME_INCONSISTENCY),
                ]),
            ] {
                round_trip(&Payload {
                    header: header(txn.kind()),
                    txn,
                    digest,
                });
            }
        }
    }

    #[test]
    fn a_close_session_without_body_is_an_old_one() {
        let payload = Payload {
            header: header(TxnKind::CloseSession),
            txn: Txn::CloseSession(None),
            digest: None,
        };
        round_trip(&payload);
    }

    #[test]
    fn a_close_session_without_body_may_carry_a_digest() {
        let digest = Some(TxnDigest {
            version: TxnDigest::VERSION,
            tree_digest: 0,
        });
        round_trip(&Payload {
            header: header(TxnKind::CloseSession),
            txn: Txn::CloseSession(None),
            digest,
        });
    }

    #[test]
    fn a_close_session_does_not_list_empty_paths() {
        let txn = Txn::CloseSession(Some(CloseSessionTxn {
            paths: vec!["/e".into(), "".into()],
        }));
        let payload = Payload {
            header: header(txn.kind()),
            txn,
            digest: None,
        };
        let mut bytes = Vec::new();
        payload.encode(&mut bytes);
        assert!(Payload::decode(&bytes, Limits::DEFAULT).is_err());
    }

    #[test]
    fn a_create_without_parent_cversion_is_of_3_3() {
        let mut bytes = Vec::new();
        header(TxnKind::Create).encode(&mut bytes);
        Text::from("/a").encode(&mut bytes);
        Some(&b"x"[..]).encode(&mut bytes);
        Some(vec![Acl::world(crate::Perms::ALL)]).encode(&mut bytes);
        true.encode(&mut bytes);
        let payload = Payload::decode(&bytes, Limits::DEFAULT).unwrap();
        let Txn::Create(create) = payload.txn else {
            panic!("{payload:?}")
        };
        assert_eq!((create.parent_cversion, create.ephemeral), (-1, true));
    }

    #[test]
    fn an_unknown_type_is_refused() {
        let mut bytes = Vec::new();
        header(TxnKind::Error).encode(&mut bytes);
        bytes[28..32].copy_from_slice(&99i32.to_be_bytes());
        assert!(Payload::decode(&bytes, Limits::DEFAULT).is_err());
    }

    #[test]
    fn multis_do_not_nest() {
        let inner = Txn::Multi(vec![]);
        let payload = Payload {
            header: header(TxnKind::Multi),
            txn: Txn::Multi(vec![inner]),
            digest: None,
        };
        let mut bytes = Vec::new();
        payload.encode(&mut bytes);
        assert!(Payload::decode(&bytes, Limits::DEFAULT).is_err());
    }
}
