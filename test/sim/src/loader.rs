//! From the files on a simulated disk to a replica: what the server's loader does, without its clocks.

use std::collections::BTreeMap;

use zabra_jute::Limits;
use zabra_proto::txn::Payload;
use zabra_proto::{Acl, SessionId, StatPersisted, TxnHeader, Zxid};
use zabra_serve::Replica;
use zabra_storage::{RecoverySink, Refusal, SnapshotSink};
use zabra_tree::{DataTree, TreeLoader, TreeOptions};
use zabra_zab::Entry;

/// Takes a snapshot's content; the txns behind it are applied (standalone) or kept apart (member: they are undecided).
pub struct Loader {
    options: TreeOptions,
    applies: bool,
    snapshot: Option<TreeLoader>,
    /// The txns behind the snapshot.
    pub tail: Vec<Entry>,
}

impl Loader {
    /// With nothing loaded.
    #[must_use]
    pub fn new(options: TreeOptions, applies: bool) -> Self {
        Self {
            options,
            applies,
            snapshot: None,
            tail: Vec::new(),
        }
    }

    /// What was loaded, and the txns behind the snapshot.
    pub fn finish(self, snapshot_zxid: Zxid) -> Result<(Replica, Vec<Entry>), Refusal> {
        let mut replica = match self.snapshot {
            None => Replica::new(DataTree::new(self.options), BTreeMap::new(), Zxid::ZERO),
            Some(loader) => {
                let loaded = loader.finish(snapshot_zxid).map_err(refusal)?;
                let mut tree = loaded.tree;
                tree.ensure_config_node();
                Replica::new(tree, loaded.sessions.into_iter().collect(), snapshot_zxid)
            }
        };
        if !self.applies {
            return Ok((replica, self.tail));
        }
        for entry in &self.tail {
            let limits = Limits {
                value_len_max: entry.payload.len(),
            };
            let payload = Payload::decode(&entry.payload, limits).map_err(refusal)?;
            replica.apply(&payload, &mut ());
        }
        Ok((replica, self.tail))
    }

    fn loader(&mut self) -> &mut TreeLoader {
        let options = self.options;
        self.snapshot
            .get_or_insert_with(|| TreeLoader::new(options))
    }
}

fn refusal(error: impl ToString) -> Refusal {
    Refusal(error.to_string())
}

impl SnapshotSink for Loader {
    fn reset(&mut self) {
        self.snapshot = None;
    }

    fn session(&mut self, id: SessionId, timeout_ms: i32) -> Result<(), Refusal> {
        self.loader().session(id, timeout_ms);
        Ok(())
    }

    fn acl(&mut self, key: i64, acl: Vec<Acl<'static>>) -> Result<(), Refusal> {
        self.loader().acl(key, &acl).map_err(refusal)
    }

    fn node(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        acl_key: i64,
        stat: &StatPersisted,
    ) -> Result<(), Refusal> {
        self.loader()
            .node(path, data, acl_key, stat)
            .map_err(refusal)
    }
}

impl RecoverySink for Loader {
    fn txn(&mut self, header: &TxnHeader, payload: &[u8]) -> Result<(), Refusal> {
        self.tail.push(Entry {
            zxid: header.zxid,
            payload: payload.into(),
        });
        Ok(())
    }
}
