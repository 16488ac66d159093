//! What a script is made of: steps that mean the same on both servers, whatever their zxids and session ids are.

use crate::wire::{Body, op};

/// One step of a script. `slot` is one of the script's sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A request on a session; connects (again) first if it must.
    Ask {
        /// Which session.
        slot: usize,
        /// What is asked.
        request: Request,
        /// What is done to the encoded body.
        damage: Damage,
    },
    /// The client drops the connection without a word; the session lives on.
    Drop {
        /// Which session.
        slot: usize,
    },
    /// The client takes its session up again on a new connection, the old one still standing or not.
    Resume {
        /// Which session.
        slot: usize,
        /// How it says hello.
        greeting: Greeting,
    },
    /// Bytes on an established connection that are no request.
    Garbage {
        /// Which session.
        slot: usize,
        /// The bytes, a frame length included.
        bytes: Vec<u8>,
    },
    /// Bytes on a connection of a stranger, who never says a proper hello.
    Stranger {
        /// The bytes.
        bytes: Vec<u8>,
    },
}

/// How a session is taken up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// With the right password.
    Right,
    /// As a client up to 3.3 does it, without the read-only byte.
    Old,
    /// With another password, while no connection of the session stands.
    WrongPassword,
    /// A session id that was never given.
    UnknownSession,
    /// Claiming to have seen a zxid that is not there yet.
    FromTheFuture,
    /// Asking for another time-out.
    OtherTimeout(i32),
}

/// What is done to a body before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Nothing.
    None,
    /// Cut off this many bytes at the end (all, if there are fewer).
    Cut(usize),
    /// Bytes too many at the end.
    Trailing(u8),
}

/// A path, relative to what the script has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Path {
    /// Below the script's own root.
    Under(String),
    /// Below `/zookeeper/quota` + the script's root.
    Quota(String),
    /// As it is.
    Literal(String),
    /// The n-th last path that a create of this script was answered with.
    Created(usize),
    /// A null string.
    Null,
}

/// A point in the past, in zxids of replies on this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// Zxid 0.
    Ever,
    /// The n-th last zxid of a reply.
    Back(usize),
}

/// One entry of an ACL.
pub type AclEntry = (i32, String, String);

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the fields are those of the protocol's records"
)]
pub enum Request {
    /// create, create2, createContainer by `op`.
    Create {
        op: i32,
        path: Path,
        data: Option<Vec<u8>>,
        acl: Option<Vec<AclEntry>>,
        flags: i32,
    },
    /// createTTL.
    CreateTtl {
        path: Path,
        data: Option<Vec<u8>>,
        acl: Option<Vec<AclEntry>>,
        flags: i32,
        ttl: i64,
    },
    /// delete, and check where it is an element of a multi, by `op`.
    Versioned { op: i32, path: Path, version: i32 },
    /// setData.
    SetData {
        path: Path,
        data: Option<Vec<u8>>,
        version: i32,
    },
    /// setACL.
    SetAcl {
        path: Path,
        acl: Option<Vec<AclEntry>>,
        version: i32,
    },
    /// exists, getData, getChildren, getChildren2 by `op`.
    Read { op: i32, path: Path, watch: bool },
    /// getACL, sync, getEphemerals, getAllChildrenNumber by `op`.
    Of { op: i32, path: Path },
    /// checkWatches, removeWatches, addWatch by `op`; `number` is the type or the mode.
    Watch { op: i32, path: Path, number: i32 },
    /// multi, multiRead by `op`.
    Multi { op: i32, elements: Vec<Request> },
    /// setWatches with three lists, setWatches2 with five.
    SetWatches { since: Since, lists: Vec<Vec<Path>> },
    /// auth.
    Auth {
        scheme: String,
        auth: Option<Vec<u8>>,
    },
    /// sasl.
    Sasl { token: Vec<u8> },
    /// reconfig.
    Reconfig { joining: String },
    /// ping, whoAmI, closeSession and operations that do not exist.
    Bare { op: i32 },
}

impl Request {
    /// The operation code.
    #[must_use]
    pub fn op(&self) -> i32 {
        match self {
            Self::Create { op, .. }
            | Self::Versioned { op, .. }
            | Self::Read { op, .. }
            | Self::Of { op, .. }
            | Self::Watch { op, .. }
            | Self::Multi { op, .. }
            | Self::Bare { op } => *op,
            Self::CreateTtl { .. } => op::CREATE_TTL,
            Self::SetData { .. } => op::SET_DATA,
            Self::SetAcl { .. } => op::SET_ACL,
            Self::SetWatches { lists, .. } => {
                if lists.len() > 3 {
                    op::SET_WATCHES2
                } else {
                    op::SET_WATCHES
                }
            }
            Self::Auth { .. } => op::AUTH,
            Self::Sasl { .. } => op::SASL,
            Self::Reconfig { .. } => op::RECONFIG,
        }
    }

    /// Whether the request can cause events on other connections.
    #[must_use]
    pub fn may_change(&self) -> bool {
        matches!(
            self,
            Self::Create { .. }
                | Self::CreateTtl { .. }
                | Self::Versioned { .. }
                | Self::SetData { .. }
                | Self::SetAcl { .. }
                | Self::Multi { op: op::MULTI, .. }
                | Self::Bare { .. }
                | Self::Reconfig { .. }
        )
    }

    /// The bytes behind the request header, for a server that stands where `place` says.
    #[must_use]
    pub fn body(&self, place: &Place<'_>) -> Body {
        match self {
            Self::Create {
                path,
                data,
                acl,
                flags,
                ..
            } => write_acl(
                place.path(Body::new(), path).buffer(data.as_deref()),
                acl.as_deref(),
            )
            .i32(*flags),
            Self::CreateTtl {
                path,
                data,
                acl,
                flags,
                ttl,
            } => {
                let body = place.path(Body::new(), path).buffer(data.as_deref());
                write_acl(body, acl.as_deref()).i32(*flags).i64(*ttl)
            }
            Self::Versioned { path, version, .. } => place.path(Body::new(), path).i32(*version),
            Self::SetData {
                path,
                data,
                version,
            } => place
                .path(Body::new(), path)
                .buffer(data.as_deref())
                .i32(*version),
            Self::SetAcl { path, acl, version } => {
                write_acl(place.path(Body::new(), path), acl.as_deref()).i32(*version)
            }
            Self::Read { path, watch, .. } => place.path(Body::new(), path).bool(*watch),
            Self::Of { path, .. } => place.path(Body::new(), path),
            Self::Watch { path, number, .. } => place.path(Body::new(), path).i32(*number),
            Self::Multi { elements, .. } => multi(elements, place),
            Self::SetWatches { since, lists } => {
                let body = Body::new().i64(place.zxid(*since));
                lists
                    .iter()
                    .fold(body, |body, paths| place.paths(body, paths))
            }
            Self::Auth { scheme, auth } => {
                Body::new().i32(0).string(scheme).buffer(auth.as_deref())
            }
            Self::Sasl { token } => Body::new().buffer(Some(token)),
            Self::Reconfig { joining } => Body::new()
                .string(joining)
                .buffer(None)
                .buffer(None)
                .i64(-1),
            Self::Bare { .. } => Body::new(),
        }
    }
}

fn multi(elements: &[Request], place: &Place<'_>) -> Body {
    let element = |body: Body, request: &Request| {
        body.i32(request.op())
            .bool(false)
            .i32(-1)
            .raw(&request.body(place).0)
    };
    elements
        .iter()
        .fold(Body::new(), element)
        .i32(-1)
        .bool(true)
        .i32(-1)
}

fn write_acl(body: Body, acl: Option<&[AclEntry]>) -> Body {
    let Some(acl) = acl else { return body.i32(-1) };
    let count = i32::try_from(acl.len()).unwrap_or(0);
    acl.iter()
        .fold(body.i32(count), |body, (perms, scheme, id)| {
            body.i32(*perms).string(scheme).string(id)
        })
}

/// What paths and zxids of a script mean on one server.
#[derive(Debug)]
pub struct Place<'a> {
    /// The script's root.
    pub root: &'a str,
    /// Paths that creates were answered with, oldest first.
    pub created: &'a [String],
    /// Zxids of replies of this server, oldest first.
    pub zxids: &'a [i64],
}

impl Place<'_> {
    fn path(&self, body: Body, path: &Path) -> Body {
        match self.resolve(path) {
            Some(path) => body.string(&path),
            None => body.buffer(None),
        }
    }

    fn paths(&self, body: Body, paths: &[Path]) -> Body {
        let count = i32::try_from(paths.len()).unwrap_or(0);
        paths
            .iter()
            .fold(body.i32(count), |body, path| self.path(body, path))
    }

    /// The path as text; `None` for a null string.
    #[must_use]
    pub fn resolve(&self, path: &Path) -> Option<String> {
        match path {
            Path::Under(rest) => Some(format!("{}{rest}", self.root)),
            Path::Quota(rest) => Some(format!("/zookeeper/quota{}{rest}", self.root)),
            Path::Literal(path) => Some(path.clone()),
            Path::Created(back) => {
                let at = self.created.len().checked_sub(1 + back);
                Some(at.map_or_else(
                    || format!("{}/none", self.root),
                    |at| self.created[at].clone(),
                ))
            }
            Path::Null => None,
        }
    }

    fn zxid(&self, since: Since) -> i64 {
        match since {
            Since::Ever => 0,
            Since::Back(n) => self
                .zxids
                .len()
                .checked_sub(1 + n)
                .map_or(0, |at| self.zxids[at]),
        }
    }
}
