//! Who changed what: the entries of the audit log (SB-20).
//!
//! A change is noted when a client of this server asks for it and becomes an entry when its outcome is known here, whether
//! the client is still there or not: nobody escapes by hanging up. How an entry is written down is the shell's.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::IpAddr;

use hashbrown::HashSet;
use zabra_jute::{Decode, Reader};
use zabra_peer::Origin;
use zabra_proto::client::{
    CreateRequest, CreateTtlRequest, DeleteRequest, SetAclRequest, SetDataRequest,
};
use zabra_proto::multi::{self, MultiOp};
use zabra_proto::txn::CloseSessionTxn;
use zabra_proto::{ConnId, CreateMode, Identity, OpCode, Perms, RawAcl, SessionId, Txn};

use crate::{Conn, Replica};

/// One change and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Whose.
    pub session: SessionId,
    /// Who asked for it; none if nobody did, because the session ended.
    pub client: Option<AuditClient>,
    /// What.
    pub operation: AuditOperation,
    /// The znode, if it is one.
    pub znode: Option<Box<str>>,
    /// As what it was to be created.
    pub znode_type: Option<CreateMode>,
    /// The ACL that was to be set.
    pub acl: Option<Box<str>>,
    /// What came of it.
    pub result: AuditResult,
}

/// A client as the audit log names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditClient {
    /// Its names in all the schemes by which it has shown who it is.
    pub users: Vec<Box<str>>,
    /// Its address.
    pub ip: IpAddr,
}

/// The operations that are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditOperation {
    /// Any create.
    Create,
    /// A delete.
    Delete,
    /// A setData.
    SetData,
    /// A setACL.
    SetAcl,
    /// A multi that failed; the operations of one that did not are logged one by one.
    Multi,
    /// A change of the membership.
    Reconfig,
    /// An ephemeral went with its session.
    EphemeralEnd,
}

impl AuditOperation {
    /// Apache's name for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::SetData => "setData",
            Self::SetAcl => "setAcl",
            Self::Multi => "multiOperation",
            Self::Reconfig => "reconfig",
            Self::EphemeralEnd => "ephemeralZNodeDeletionOnSessionCloseOrExpire",
        }
    }

    fn of(op: OpCode) -> Option<Self> {
        Some(match op {
            OpCode::Create | OpCode::Create2 | OpCode::CreateContainer | OpCode::CreateTtl => {
                Self::Create
            }
            OpCode::Delete => Self::Delete,
            OpCode::SetData => Self::SetData,
            OpCode::SetAcl => Self::SetAcl,
            OpCode::Multi => Self::Multi,
            OpCode::Reconfig => Self::Reconfig,
            _ => return None,
        })
    }
}

/// What came of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditResult {
    /// It is done.
    Success,
    /// It was refused.
    Failure,
    /// It was asked for, and this server does not learn what became of it.
    Invoked,
}

impl AuditResult {
    /// Apache's name for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Invoked => "invoked",
        }
    }

    fn of(is_success: bool) -> Self {
        if is_success {
            Self::Success
        } else {
            Self::Failure
        }
    }
}

/// What is noted until the outcome is known.
#[derive(Debug, Default)]
pub(crate) struct AuditTrail {
    waiting: BTreeMap<(ConnId, u64), Noted>,
    done: Vec<AuditEntry>,
}

/// An entry whose result is still open.
#[derive(Debug)]
struct Noted {
    entry: AuditEntry,
    /// The creates of a multi: what was asked for where.
    creates: Vec<(Box<str>, CreateMode)>,
}

impl AuditTrail {
    /// A client asks for something.
    pub(crate) fn on_request(&mut self, conn: &Conn, seq: u64, op: OpCode, body: &[u8]) {
        let Some(operation) = AuditOperation::of(op) else {
            return;
        };
        let mut entry = AuditEntry {
            session: conn.session,
            client: Some(AuditClient {
                users: conn.identities.iter().filter_map(user).collect(),
                ip: conn.remote.ip().to_canonical(),
            }),
            operation,
            znode: None,
            znode_type: None,
            acl: None,
            result: AuditResult::Invoked,
        };
        // What cannot be decoded is refused: that is worth an entry, with what is known of it.
        let mut r = Reader::new(body);
        let creates = if op == OpCode::Multi {
            creates_of(&mut r).unwrap_or_default()
        } else {
            let _ = describe(&mut entry, op, &mut r);
            Vec::new()
        };
        self.waiting
            .insert((conn.id, seq), Noted { entry, creates });
    }

    /// A transaction that somebody here waits for is applied.
    pub(crate) fn on_commit(&mut self, origin: &Origin, txn: &Txn<'_>, is_success: bool) {
        let Some(Noted { mut entry, creates }) = self.take(origin) else {
            return;
        };
        let Txn::Multi(elements) = txn else {
            if is_success && let Some((_, path)) = subject(txn) {
                entry.znode = Some(path.into());
            }
            entry.result = AuditResult::of(is_success);
            return self.done.push(entry);
        };
        if elements
            .iter()
            .any(|element| matches!(element, Txn::Error(_)))
        {
            entry.result = AuditResult::Failure;
            return self.done.push(entry);
        }
        for (operation, path) in elements.iter().filter_map(subject) {
            let mode = creates.iter().rfind(|(created, _)| **created == *path);
            let is_create = operation == AuditOperation::Create;
            self.done.push(AuditEntry {
                operation,
                znode: Some(path.into()),
                znode_type: mode.filter(|_| is_create).map(|(_, mode)| *mode),
                result: AuditResult::Success,
                ..entry.clone()
            });
        }
    }

    /// A request became no transaction.
    pub(crate) fn on_reply(&mut self, origin: &Origin, is_success: bool) {
        if let Some(Noted { mut entry, .. }) = self.take(origin) {
            entry.result = AuditResult::of(is_success);
            self.done.push(entry);
        }
    }

    /// A session is about to end: its ephemerals go, those that the transaction names first.
    pub(crate) fn on_session_end(
        &mut self,
        session: SessionId,
        txn: Option<&CloseSessionTxn<'_>>,
        replica: &Replica,
    ) {
        let own = replica.tree.ephemerals(session);
        let named = txn.iter().flat_map(|txn| &txn.paths);
        let named = named.map(|path| &**path);
        let is_named: HashSet<&str> = named.clone().collect();
        let rest = own.iter().map(String::as_str);
        for path in named.chain(rest.filter(|path| !is_named.contains(path))) {
            self.done.push(AuditEntry {
                session,
                client: None,
                operation: AuditOperation::EphemeralEnd,
                znode: Some(path.into()),
                znode_type: None,
                acl: None,
                result: AuditResult::of(replica.tree.find(path).is_some()),
            });
        }
    }

    /// Nothing that the connection asked for is done any more.
    pub(crate) fn on_refused(&mut self, conn: ConnId) {
        while let Some((key, _)) = self.waiting.range((conn, 0)..=(conn, u64::MAX)).next() {
            let key = *key;
            if let Some(Noted { mut entry, .. }) = self.waiting.remove(&key) {
                entry.result = AuditResult::Failure;
                self.done.push(entry);
            }
        }
    }

    /// What anybody waits for here may be done or not, and this server does not learn it.
    pub(crate) fn on_lost(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        self.done
            .extend(waiting.into_values().map(|noted| noted.entry));
    }

    pub(crate) fn take_done(&mut self) -> Vec<AuditEntry> {
        std::mem::take(&mut self.done)
    }

    fn take(&mut self, origin: &Origin) -> Option<Noted> {
        self.waiting.remove(&(origin.conn, origin.seq))
    }
}

/// Puts into an entry what a request says.
fn describe(
    entry: &mut AuditEntry,
    op: OpCode,
    r: &mut Reader<'_>,
) -> Result<(), zabra_jute::JuteError> {
    let path = match op {
        OpCode::Create | OpCode::Create2 | OpCode::CreateContainer => {
            let request = CreateRequest::decode(r)?;
            entry.znode_type = CreateMode::from_code(request.flags);
            request.path
        }
        OpCode::CreateTtl => {
            let request = CreateTtlRequest::decode(r)?;
            entry.znode_type = CreateMode::from_code(request.flags);
            request.path
        }
        OpCode::Delete => DeleteRequest::decode(r)?.path,
        OpCode::SetData => SetDataRequest::decode(r)?.path,
        OpCode::SetAcl => {
            let request = SetAclRequest::decode(r)?;
            entry.acl = request.acl.as_deref().map(|acl| acl_text(acl).into());
            request.path
        }
        _ => return Ok(()),
    };
    entry.znode = Some(path.as_ref().into());
    Ok(())
}

/// The creates of a multi whose kind Apache's log tells: by the path that was asked for, and not those with a TTL.
fn creates_of(r: &mut Reader<'_>) -> Result<Vec<(Box<str>, CreateMode)>, zabra_jute::JuteError> {
    let ops = multi::decode_writes(r)?;
    let mode = |op: MultiOp<'_>| match op {
        MultiOp::Create(r) | MultiOp::Create2(r) | MultiOp::CreateContainer(r) => {
            Some((r.path.as_ref().into(), CreateMode::from_code(r.flags)?))
        }
        _ => None,
    };
    Ok(ops.into_iter().filter_map(mode).collect())
}

/// What a transaction does, and to which znode.
fn subject<'t>(txn: &'t Txn<'_>) -> Option<(AuditOperation, &'t str)> {
    Some(match txn {
        Txn::Create(t) | Txn::Create2(t) => (AuditOperation::Create, &t.path),
        Txn::CreateContainer(t) => (AuditOperation::Create, &t.path),
        Txn::CreateTtl(t) => (AuditOperation::Create, &t.path),
        Txn::Delete(t) | Txn::DeleteContainer(t) => (AuditOperation::Delete, &t.path),
        Txn::SetData(t) => (AuditOperation::SetData, &t.path),
        Txn::SetAcl(t) => (AuditOperation::SetAcl, &t.path),
        Txn::Reconfig(t) => (AuditOperation::Reconfig, &t.path),
        _ => return None,
    })
}

/// A user's name without what proves it.
fn user(identity: &Identity) -> Option<Box<str>> {
    let name = match identity.scheme.as_str() {
        "super" => "",
        "digest" => identity.id.split(':').next().unwrap_or_default(),
        _ => identity.id.as_str(),
    };
    (!name.trim().is_empty()).then(|| name.into())
}

/// Entries one behind the other, with nothing between them, as Apache's log has them.
fn acl_text(acl: &[RawAcl<'_>]) -> String {
    const LETTERS: [(Perms, char); 5] = [
        (Perms::CREATE, 'c'),
        (Perms::DELETE, 'd'),
        (Perms::READ, 'r'),
        (Perms::WRITE, 'w'),
        (Perms::ADMIN, 'a'),
    ];
    let mut text = String::new();
    for entry in acl {
        let (scheme, id) = (entry.scheme.as_deref(), entry.id.as_deref());
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "{}:{}:",
            scheme.unwrap_or_default(),
            id.unwrap_or_default()
        );
        let granted = |(perm, _): &&(Perms, char)| entry.perms.intersects(*perm);
        text.extend(LETTERS.iter().filter(granted).map(|(_, letter)| letter));
    }
    text
}
