//! What kind of znode to create.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use zabra_proto::{Acl, CreateMode, Perms, RawAcl, Stat};

use crate::Misuse;

/// `world:anyone` may do everything.
pub const OPEN_ACL: &[Acl<'static>] = &[Acl::world(Perms::ALL)];
/// `world:anyone` may read.
pub const READ_ACL: &[Acl<'static>] = &[Acl::world(Perms::READ)];
/// Whoever is authenticated on this connection may do everything: the server replaces it by those identities.
pub const CREATOR_ACL: &[Acl<'static>] = &[Acl {
    perms: Perms::ALL,
    scheme: Cow::Borrowed("auth"),
    id: Cow::Borrowed(""),
}];

/// Mode, ACL and time to live of a znode to be created. A bare [`CreateMode`] stands for the client's default ACL.
///
/// ```
/// use std::time::Duration;
/// use zabra_client::{CREATOR_ACL, CreateMode, CreateOptions};
/// let ephemeral = CreateOptions::from(CreateMode::Ephemeral).acl(CREATOR_ACL);
/// let expiring = CreateOptions::from(CreateMode::PersistentWithTtl).ttl(Duration::from_secs(60));
/// # let _ = (ephemeral, expiring);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateOptions {
    pub(crate) mode: CreateMode,
    /// If it is said.
    pub(crate) acl: Option<Cow<'static, [Acl<'static>]>>,
    pub(crate) ttl: Option<Duration>,
    pub(crate) is_null: bool,
}

impl From<CreateMode> for CreateOptions {
    fn from(mode: CreateMode) -> Self {
        Self {
            mode,
            acl: None,
            ttl: None,
            is_null: false,
        }
    }
}

impl From<&Self> for CreateOptions {
    fn from(options: &Self) -> Self {
        options.clone()
    }
}

impl CreateOptions {
    /// Who may do what; if it is not said, the client's [`default_acl`](crate::Builder::default_acl).
    #[must_use]
    pub fn acl(mut self, acl: impl Into<Cow<'static, [Acl<'static>]>>) -> Self {
        self.acl = Some(acl.into());
        self
    }

    /// How long the znode may be childless and unmodified before servers delete it: 1 ms to 0xff_ffff_ffff ms. Needed by the
    /// two modes with a TTL, refused with the others.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Null instead of data, which is not the same as empty data to all clients.
    #[must_use]
    pub fn null_data(mut self) -> Self {
        self.is_null = true;
        self
    }

    /// The mode.
    #[must_use]
    pub fn mode(&self) -> CreateMode {
        self.mode
    }

    pub(crate) fn ttl_ms(&self) -> Result<Option<i64>, Misuse> {
        match (self.mode.has_ttl(), self.ttl) {
            (false, None) => Ok(None),
            (true, Some(ttl)) => match i64::try_from(ttl.as_millis()) {
                Ok(ms @ 1..=0xff_ffff_ffff) => Ok(Some(ms)),
                _ => Err(Misuse::Ttl),
            },
            _ => Err(Misuse::Ttl),
        }
    }

    pub(crate) fn data<'a>(&self, data: &'a [u8]) -> Option<&'a [u8]> {
        (!self.is_null).then_some(data)
    }
}

/// The ACL of znodes whose options say none.
#[derive(Clone)]
pub(crate) enum DefaultAcl {
    Same(Arc<[Acl<'static>]>),
    ByPath(Arc<AclOfPath>),
}

type AclOfPath = dyn Fn(&str) -> Vec<Acl<'static>> + Send + Sync;

impl DefaultAcl {
    pub(crate) fn same(acl: &[Acl<'static>]) -> Self {
        Self::Same(acl.into())
    }

    pub(crate) fn by_path(acl: impl Fn(&str) -> Vec<Acl<'static>> + Send + Sync + 'static) -> Self {
        Self::ByPath(Arc::new(acl))
    }

    pub(crate) fn of(&self, full_path: &str) -> Option<Vec<RawAcl<'static>>> {
        match self {
            Self::Same(acl) => raw(acl),
            Self::ByPath(acl) => raw(&acl(full_path)),
        }
    }
}

impl fmt::Debug for DefaultAcl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same(acl) => acl.fmt(f),
            Self::ByPath(_) => f.write_str("by path"),
        }
    }
}

pub(crate) fn raw(acl: &[Acl<'static>]) -> Option<Vec<RawAcl<'static>>> {
    let raw = acl.iter().map(|entry| RawAcl {
        perms: entry.perms,
        scheme: Some(entry.scheme.clone()),
        id: Some(entry.id.clone()),
    });
    Some(raw.collect())
}

/// A znode that was created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// Its path, with its counter if it is sequential.
    pub path: String,
    /// Its Stat. Servers before 3.7.2 and 3.8.2 do not tell it in a transaction.
    pub stat: Option<Stat>,
}
