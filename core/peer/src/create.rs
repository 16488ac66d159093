//! Validation of the four creates: modes, names, and what the new znode will be (protocol 6.1, 8.2, 8.4).

use zabra_jute::Text;
use zabra_proto::client::{CreateRequest, CreateTtlRequest};
use zabra_proto::txn::{CreateContainerTxn, CreateTtlTxn, CreateTxn};
use zabra_proto::{Acl, CreateMode, ErrorCode, OpCode, Perms, StatPersisted, Txn, path};
use zabra_tree::{CONTAINER_OWNER, NodeKind, is_valid_ttl};

use crate::pending::{PendingAcl, PendingData, PendingNode};
use crate::prep::{Draft, data_len, has_no_nul, owned_list};

impl Draft<'_> {
    pub(crate) fn create_ttl<'a>(&mut self, r: CreateTtlRequest<'a>) -> Result<Txn<'a>, ErrorCode> {
        let CreateTtlRequest {
            path,
            data,
            acl,
            flags,
            ttl,
        } = r;
        self.create(
            OpCode::CreateTtl,
            CreateRequest {
                path,
                data,
                acl,
                flags,
            },
            Some(ttl),
        )
    }

    /// Any create; only createTTL has a TTL.
    pub(crate) fn create<'a>(
        &mut self,
        op: OpCode,
        r: CreateRequest<'a>,
        ttl: Option<i64>,
    ) -> Result<Txn<'a>, ErrorCode> {
        let mode = self.mode_of(op, r.flags, ttl)?;
        let (parent_path, _) = path::split(&r.path)
            .filter(|_| has_no_nul(&r.path))
            .ok_or(ErrorCode::BAD_ARGUMENTS)?;
        let acl = self.fix_up(r.acl)?;
        let mut parent = self.node(parent_path).ok_or(ErrorCode::NO_NODE)?;
        self.permit(&parent, Perms::CREATE)?;
        let parent_len = parent_path.len();
        let path = if mode.is_sequential() {
            Text::Owned(format!("{}{:010}", r.path, parent.stat.cversion))
        } else {
            r.path
        };
        path::validate(&path).map_err(|_| ErrorCode::BAD_ARGUMENTS)?;
        if self.node(&path).is_some() {
            return Err(ErrorCode::NODE_EXISTS);
        }
        if matches!(
            self.rules.owner.kind(parent.stat.ephemeral_owner),
            NodeKind::Ephemeral(_)
        ) {
            return Err(ErrorCode::NO_CHILDREN_FOR_EPHEMERALS);
        }
        self.within_quota(&path, 1, data_len(r.data))?;

        // As applying does it: cversion only rises, so it sticks at the largest number, and pzxid with it (P101).
        let parent_cversion = parent.stat.cversion.wrapping_add(1);
        if parent_cversion > parent.stat.cversion {
            parent.stat.cversion = parent_cversion;
            parent.stat.pzxid = self.zxid.to_wire();
        }
        parent.children += 1;
        let (parent_path, _) = path.split_at(parent_len);
        self.put(parent_path, parent);
        self.put(&path, self.born(mode, ttl, r.data, &acl));
        let txn = CreateTxn {
            path,
            data: r.data,
            acl: Some(acl),
            ephemeral: mode.is_ephemeral(),
            parent_cversion,
        };
        Ok(as_asked(op, ttl, txn))
    }

    /// The mode, if op code, flags and TTL agree. Apache lets some mixtures through, one of which kills it at each
    /// restart (protocol 19, defects 1 and 9); createContainer with a plain mode is kept for old clients, and makes a
    /// container.
    fn mode_of(&self, op: OpCode, flags: i32, ttl: Option<i64>) -> Result<CreateMode, ErrorCode> {
        let mode = CreateMode::from_code(flags).ok_or(ErrorCode::BAD_ARGUMENTS)?;
        if mode.has_ttl() && !self.rules.owner.extended_types {
            return Err(ErrorCode::UNIMPLEMENTED);
        }
        match (op, mode) {
            (OpCode::CreateTtl, _) if mode.has_ttl() && ttl.is_some_and(is_valid_ttl) => Ok(mode),
            (OpCode::CreateContainer, CreateMode::Container | CreateMode::Persistent) => {
                Ok(CreateMode::Container)
            }
            (OpCode::Create | OpCode::Create2, _)
                if !mode.has_ttl() && mode != CreateMode::Container =>
            {
                Ok(mode)
            }
            _ => Err(ErrorCode::BAD_ARGUMENTS),
        }
    }

    /// A new znode as it will be.
    fn born(
        &self,
        mode: CreateMode,
        ttl: Option<i64>,
        data: Option<&[u8]>,
        acl: &[Acl<'_>],
    ) -> PendingNode {
        let ephemeral_owner = match ttl {
            Some(ttl) => self.rules.owner.ttl_owner(ttl),
            None if mode == CreateMode::Container => CONTAINER_OWNER,
            None if mode.is_ephemeral() => self.session.0,
            None => 0,
        };
        let zxid = self.zxid.to_wire();
        let stat = StatPersisted {
            czxid: zxid,
            mzxid: zxid,
            ctime: self.time.0,
            mtime: self.time.0,
            version: 0,
            cversion: 0,
            aversion: 0,
            ephemeral_owner,
            pzxid: zxid,
        };
        PendingNode {
            stat,
            children: 0,
            acl: PendingAcl::New(owned_list(acl)),
            data: PendingData::New(data.map(Into::into)),
            digest: 0,
        }
    }
}

/// The transaction of the kind that was asked for.
fn as_asked(op: OpCode, ttl: Option<i64>, txn: CreateTxn<'_>) -> Txn<'_> {
    match (op, ttl) {
        (OpCode::Create, _) => Txn::Create(txn),
        (OpCode::CreateContainer, _) => Txn::CreateContainer(CreateContainerTxn {
            path: txn.path,
            data: txn.data,
            acl: txn.acl,
            parent_cversion: txn.parent_cversion,
        }),
        (_, Some(ttl)) => Txn::CreateTtl(CreateTtlTxn {
            path: txn.path,
            data: txn.data,
            acl: txn.acl,
            parent_cversion: txn.parent_cversion,
            ttl,
        }),
        _ => Txn::Create2(txn),
    }
}
