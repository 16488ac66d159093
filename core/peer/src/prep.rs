//! Validation: a request, the tree and what is pending become a transaction or a refusal (protocol 6.1, 11.2).
//!
//! The order of the checks is Apache's: the first failure decides the error that the client sees. What cannot be
//! logged, replayed and applied by every server of the ensemble is refused here, before it has a number (R6). The
//! creates, with their modes, are in `create`.

use std::sync::Arc;

use zabra_jute::{Decode, Reader, Text};
use zabra_mutant::{self as mutant, Mutant};
use zabra_proto::client::{
    CheckVersionRequest, CreateRequest, DeleteRequest, ReconfigRequest, SetAclRequest,
    SetDataRequest,
};
use zabra_proto::multi::{self, MultiOp};
use zabra_proto::txn::{CheckVersionTxn, CloseSessionTxn, DeleteTxn, SetAclTxn, SetDataTxn};
use zabra_proto::{
    Acl, ErrorCode, Identity, OpCode, Perms, RawAcl, SessionId, Txn, WallMillis, Zxid, path,
};
use zabra_tree::acl::AclRules;
use zabra_tree::{DataTree, NodeKind, OwnerRules, QuotaExceeded, acl};

use crate::pending::{PendingAcl, PendingChanges, PendingData, PendingNode, key};

/// The znodes that cannot be deleted.
const SYSTEM_NODES: [&str; 4] = ["/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"];

/// What validation is told about the server.
#[derive(Debug, Clone)]
pub struct PrepRules {
    /// Schemes and switches of ACL checks.
    pub acl: AclRules,
    /// Which kinds of znode exist (`extendedTypesEnabled`).
    pub owner: OwnerRules,
    /// Whether hard quotas refuse (`enforceQuota`).
    pub enforce_quota: bool,
    /// Whether memberships may be changed (`reconfigEnabled`).
    pub reconfig_enabled: bool,
    /// Largest body of a closeSession that lists its paths; beyond it the body is left out and each server deletes what
    /// its own index lists (P78, protocol 10.8).
    pub close_session_len_max: usize,
    /// Whether closeSession lists its paths at all (`closeSessionTxn.enabled`).
    pub close_session_lists_paths: bool,
}

/// One request on its way to a transaction. Borrowed from the peer for as long as the validation takes.
pub(crate) struct Draft<'p> {
    pub(crate) tree: &'p DataTree,
    pub(crate) pending: &'p mut PendingChanges,
    pub(crate) rules: &'p PrepRules,
    pub(crate) zxid: Zxid,
    pub(crate) time: WallMillis,
    pub(crate) session: SessionId,
    pub(crate) identities: &'p [Identity],
    /// Quotas that the request exceeds, hard or soft: worth a line in the log.
    pub(crate) exceeded: Vec<QuotaExceeded>,
    /// By how many bytes the request's ACLs may still grow.
    pub(crate) acl_room: usize,
}

/// By how many bytes the ACLs of a request may grow: half of what a reader of transactions allows beyond a request.
pub(crate) const ACL_GROWTH_MAX: usize = 512 * 1024;

/// Why there is no transaction of the kind asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The body cannot be decoded: answered without a transaction (protocol 4.9).
    Malformed,
    /// Refused: logged as an error transaction.
    Code(ErrorCode),
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self::Code(code)
    }
}

fn decode<'a, T: Decode<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    T::decode(&mut Reader::new(body)).map_err(|_| Refusal::Malformed)
}

impl Draft<'_> {
    /// The transaction of a request, its changes now pending.
    pub(crate) fn prepare<'a>(&mut self, op: OpCode, body: &'a [u8]) -> Result<Txn<'a>, Refusal> {
        Ok(match op {
            OpCode::Create | OpCode::Create2 | OpCode::CreateContainer => {
                self.create(op, decode::<CreateRequest<'_>>(body)?, None)?
            }
            OpCode::CreateTtl => self.create_ttl(decode(body)?)?,
            OpCode::Delete => self.delete(decode(body)?)?,
            OpCode::SetData => self.set_data(decode(body)?)?,
            OpCode::SetAcl => self.set_acl(decode(body)?)?,
            OpCode::Multi => return self.multi(body),
            OpCode::CloseSession => self.close_session(),
            OpCode::Reconfig => return Err(self.reconfig(body)),
            _ => return Err(ErrorCode::UNIMPLEMENTED.into()),
        })
    }

    /// A standalone server has no membership to change.
    fn reconfig(&self, body: &[u8]) -> Refusal {
        match decode::<ReconfigRequest<'_>>(body) {
            Err(malformed) => malformed,
            Ok(_) if !self.rules.reconfig_enabled => ErrorCode::RECONFIG_DISABLED.into(),
            Ok(_) => ErrorCode::UNIMPLEMENTED.into(),
        }
    }

    /// All elements, or the errors of all of them (protocol 7.2, 7.3).
    fn multi<'a>(&mut self, body: &'a [u8]) -> Result<Txn<'a>, Refusal> {
        let ops = multi::decode_writes(&mut Reader::new(body))
            .map_err(|_| Refusal::Code(ErrorCode::MARSHALLING_ERROR))?;
        self.pending.begin_multi();
        let total = ops.len();
        let mut txns = Vec::with_capacity(total);
        for op in ops {
            match self.element(op) {
                Ok(txn) => txns.push(txn),
                Err(code) => {
                    self.pending.undo_multi();
                    txns.push(Txn::Error(code));
                    txns.resize(total, Txn::Error(ErrorCode::RUNTIME_INCONSISTENCY));
                    return Ok(Txn::Multi(txns));
                }
            }
        }
        self.pending.keep_multi();
        Ok(Txn::Multi(txns))
    }

    fn element<'a>(&mut self, op: MultiOp<'a>) -> Result<Txn<'a>, ErrorCode> {
        match op {
            MultiOp::Create(r) => self.create(OpCode::Create, r, None),
            MultiOp::Create2(r) => self.create(OpCode::Create2, r, None),
            MultiOp::CreateContainer(r) => self.create(OpCode::CreateContainer, r, None),
            MultiOp::CreateTtl(r) => self.create_ttl(r),
            MultiOp::Delete(r) => self.delete(r),
            MultiOp::SetData(r) => self.set_data(r),
            MultiOp::Check(r) => self.check(r),
        }
    }

    fn delete<'a>(&mut self, r: DeleteRequest<'a>) -> Result<Txn<'a>, ErrorCode> {
        let (parent_path, _) = path::split(&r.path)
            .filter(|_| has_no_nul(&r.path))
            .ok_or(ErrorCode::BAD_ARGUMENTS)?;
        if SYSTEM_NODES.contains(&&*r.path) {
            return Err(ErrorCode::BAD_ARGUMENTS);
        }
        let parent = self.node(parent_path).ok_or(ErrorCode::NO_NODE)?;
        self.permit(&parent, Perms::DELETE)?;
        let node = self.node(&r.path).ok_or(ErrorCode::NO_NODE)?;
        version_matches(r.version, node.stat.version)?;
        if node.children > 0 {
            return Err(ErrorCode::NOT_EMPTY);
        }
        self.gone(parent_path, parent, &r.path, &node);
        Ok(Txn::Delete(DeleteTxn { path: r.path }))
    }

    fn gone(&mut self, parent_path: &str, mut parent: PendingNode, path: &str, node: &PendingNode) {
        let pzxid = Zxid::from_wire(parent.stat.pzxid).max(self.zxid);
        parent.stat.pzxid = pzxid.to_wire();
        parent.children = parent.children.saturating_sub(1);
        self.put(parent_path, parent);
        self.pending.remove(self.tree, self.zxid, path, node);
    }

    fn set_data<'a>(&mut self, r: SetDataRequest<'a>) -> Result<Txn<'a>, ErrorCode> {
        path::validate(&r.path).map_err(|_| ErrorCode::BAD_ARGUMENTS)?;
        let mut node = self.node(&r.path).ok_or(ErrorCode::NO_NODE)?;
        self.permit(&node, Perms::WRITE)?;
        if self.rules.enforce_quota {
            let before = data_len(PendingChanges::data(self.tree, &r.path, &node));
            self.within_quota(&r.path, 0, data_len(r.data) - before)?;
        }
        let version = next_version(r.version, node.stat.version)?;
        node.stat.version = version;
        node.stat.mzxid = self.zxid.to_wire();
        node.stat.mtime = self.time.0;
        node.data = PendingData::New(r.data.map(Into::into));
        self.put(&r.path, node);
        Ok(Txn::SetData(SetDataTxn {
            path: r.path,
            data: r.data,
            version,
        }))
    }

    fn set_acl<'a>(&mut self, r: SetAclRequest<'a>) -> Result<Txn<'a>, ErrorCode> {
        path::validate(&r.path).map_err(|_| ErrorCode::BAD_ARGUMENTS)?;
        let acl = self.fix_up(r.acl)?;
        let mut node = self.node(&r.path).ok_or(ErrorCode::NO_NODE)?;
        self.permit(&node, Perms::ADMIN)?;
        let version = next_version(r.version, node.stat.aversion)?;
        node.stat.aversion = version;
        node.acl = PendingAcl::New(owned_list(&acl));
        self.put(&r.path, node);
        Ok(Txn::SetAcl(SetAclTxn {
            path: r.path,
            acl: Some(acl),
            version,
        }))
    }

    fn check<'a>(&mut self, r: CheckVersionRequest<'a>) -> Result<Txn<'a>, ErrorCode> {
        path::validate(&r.path).map_err(|_| ErrorCode::BAD_ARGUMENTS)?;
        let node = self.node(&r.path).ok_or(ErrorCode::NO_NODE)?;
        self.permit(&node, Perms::READ)?;
        let version = next_version(r.version, node.stat.version)?;
        Ok(Txn::Check(CheckVersionTxn {
            path: r.path,
            version,
        }))
    }

    /// The session's end, with all that it owns at this point of the order (P77).
    pub(crate) fn close_session<'a>(&mut self) -> Txn<'a> {
        let paths = self.pending.ephemerals(self.tree, self.session);
        for path in &paths {
            let Some((parent_path, _)) = path::split(path) else {
                continue;
            };
            if let (Some(parent), Some(node)) = (self.node(parent_path), self.node(path)) {
                self.gone(parent_path, parent, path, &node);
            }
        }
        let len: usize = paths.iter().map(|p| p.len() + 4).sum();
        let is_too_long = len > self.rules.close_session_len_max;
        if !self.rules.close_session_lists_paths
            || is_too_long && !mutant::on(Mutant::ClosePathsUnbounded)
        {
            return Txn::CloseSession(None);
        }
        let paths = paths.into_iter().map(Text::Owned).collect();
        Txn::CloseSession(Some(CloseSessionTxn { paths }))
    }

    /// The sweep's deletion of a container or TTL znode, checked again in order (P102): what the sweep saw may have
    /// changed since.
    pub(crate) fn sweep(
        &mut self,
        path: &str,
        never_used_ms_max: i64,
    ) -> Result<Txn<'static>, ErrorCode> {
        let node = self.node(path).ok_or(ErrorCode::NO_NODE)?;
        if node.children > 0 {
            return Err(ErrorCode::NOT_EMPTY);
        }
        let age_ms = self.time.0.saturating_sub(node.stat.mtime);
        let due = match self.rules.owner.kind(node.stat.ephemeral_owner) {
            NodeKind::Container if node.stat.cversion > 0 => true,
            NodeKind::Container => never_used_ms_max > 0 && age_ms > never_used_ms_max,
            NodeKind::Ttl(ttl_ms) => ttl_ms > 0 && age_ms > ttl_ms,
            NodeKind::Persistent | NodeKind::Ephemeral(_) | NodeKind::Unknown => false,
        };
        if !due {
            return Err(ErrorCode::BAD_VERSION);
        }
        let (parent_path, _) = path::split(path).ok_or(ErrorCode::BAD_ARGUMENTS)?;
        let parent = self.node(parent_path).ok_or(ErrorCode::NO_NODE)?;
        self.gone(parent_path, parent, path, &node);
        Ok(Txn::DeleteContainer(DeleteTxn {
            path: Text::Owned(path.to_owned()),
        }))
    }

    pub(crate) fn node(&self, path: &str) -> Option<PendingNode> {
        self.pending.node(self.tree, path)
    }

    pub(crate) fn put(&mut self, path: &str, node: PendingNode) {
        self.pending.put(self.tree, self.zxid, path, node);
    }

    pub(crate) fn permit(&self, node: &PendingNode, wanted: Perms) -> Result<(), ErrorCode> {
        let list = PendingChanges::acl(self.tree, node);
        if acl::check(list, wanted, self.identities, &self.rules.acl) {
            Ok(())
        } else {
            Err(ErrorCode::NO_AUTH)
        }
    }

    /// The list to be stored. The scheme `auth` stands for every identity of the client, so a request could ask for a
    /// transaction much larger than itself (R6, P116).
    pub(crate) fn fix_up<'a>(
        &mut self,
        list: Option<Vec<RawAcl<'a>>>,
    ) -> Result<Vec<Acl<'a>>, ErrorCode> {
        let is_auth = |entry: &&RawAcl<'_>| entry.scheme.as_deref() == Some("auth");
        let times = list.iter().flatten().filter(is_auth).count();
        if times > 0 {
            let len = |identity: &Identity| identity.scheme.len() + identity.id.len() + 12;
            let expanded = self.identities.iter().map(len).sum::<usize>();
            self.acl_room = times
                .checked_mul(expanded)
                .and_then(|grown| self.acl_room.checked_sub(grown))
                .ok_or(ErrorCode::INVALID_ACL)?;
        }
        acl::fix_up(list.as_deref(), self.identities, &self.rules.acl)
    }

    pub(crate) fn within_quota(
        &mut self,
        path: &str,
        count: i64,
        bytes: i64,
    ) -> Result<(), ErrorCode> {
        if !self.rules.enforce_quota {
            return Ok(());
        }
        match self.tree.quota_check(key(path), count, bytes) {
            Ok(soft) => self.exceeded.extend(soft),
            Err(hard) => {
                self.exceeded.push(hard);
                return Err(ErrorCode::QUOTA_EXCEEDED);
            }
        }
        Ok(())
    }
}

pub(crate) fn owned_list(acl: &[Acl<'_>]) -> Arc<[Acl<'static>]> {
    let keep = |entry: &Acl<'_>| match &*entry.scheme {
        // The usual one, whose only id is `anyone`: nothing to copy.
        "world" => Acl::world(entry.perms),
        _ => entry.clone().into_owned(),
    };
    acl.iter().map(keep).collect()
}

pub(crate) fn has_no_nul(path: &str) -> bool {
    !path.contains('\0')
}

pub(crate) fn data_len(data: Option<&[u8]>) -> i64 {
    data.map_or(0, |d| i64::try_from(d.len()).unwrap_or(i64::MAX))
}

/// −1 expects nothing; every other number is compared as it is (protocol 8.6).
fn version_matches(expected: i32, current: i32) -> Result<(), ErrorCode> {
    if expected == -1 || expected == current {
        Ok(())
    } else {
        Err(ErrorCode::BAD_VERSION)
    }
}

/// Versions wrap as Apache's 32-bit ones do (P101).
fn next_version(expected: i32, current: i32) -> Result<i32, ErrorCode> {
    version_matches(expected, current)?;
    Ok(current.wrapping_add(1))
}
