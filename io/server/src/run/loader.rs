//! From the files on disk to a [`Replica`].

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use zabra_proto::{Acl, SessionId, StatPersisted, TxnHeader, Zxid};
use zabra_serve::Replica;
use zabra_storage::{RecoverySink, Refusal, SnapshotSink, SnapshotTail};
use zabra_tree::{DataTree, TreeLoader, TreeOptions};

/// Takes a snapshot's content, then the transactions behind it.
///
/// A snapshot that turns out to be damaged leaves nothing behind: the next one begins with a fresh loader (P53).
pub struct Loader {
    options: TreeOptions,
    stage: Stage,
    snapshot_zxid: Zxid,
    /// Up to where effects of transactions may be in the snapshot; all of them if it does not say.
    fuzzy_up_to: Zxid,
    began: Instant,
    snapshot_took: Option<Duration>,
}

enum Stage {
    /// No snapshot has come: a new database, or logs only.
    Nothing,
    Snapshot(Box<TreeLoader>),
    Replay(Box<Replica>),
}

impl Loader {
    /// With nothing loaded.
    #[must_use]
    pub fn new(options: TreeOptions) -> Self {
        Self {
            options,
            stage: Stage::Nothing,
            snapshot_zxid: Zxid::ZERO,
            fuzzy_up_to: Zxid::ZERO,
            began: Instant::now(),
            snapshot_took: None,
        }
    }

    /// What was loaded, up to `last_zxid`, and how long its snapshot took, if there was one.
    pub fn finish(mut self, last_zxid: Zxid) -> Result<(Replica, Option<Duration>), Refusal> {
        self.snapshot_zxid = last_zxid;
        self.replica()?;
        match self.stage {
            Stage::Replay(mut replica) => {
                replica.set_fuzzy_up_to(Zxid::ZERO);
                Ok((*replica, self.snapshot_took))
            }
            Stage::Nothing | Stage::Snapshot(_) => Err(Refusal("nothing was loaded".to_owned())),
        }
    }

    /// The tree as far as it is loaded. Afterwards only transactions may come.
    fn replica(&mut self) -> Result<&mut Replica, Refusal> {
        let stage = std::mem::replace(&mut self.stage, Stage::Nothing);
        let replica = match stage {
            Stage::Replay(replica) => replica,
            Stage::Nothing => Box::new(Replica::new(
                DataTree::new(self.options),
                BTreeMap::new(),
                self.snapshot_zxid,
            )),
            Stage::Snapshot(loader) => {
                let loaded = loader.finish(self.snapshot_zxid).map_err(refusal)?;
                let mut tree = loaded.tree;
                tree.ensure_config_node();
                let sessions = loaded.sessions.into_iter().collect();
                let mut replica = Replica::new(tree, sessions, self.snapshot_zxid);
                replica.set_fuzzy_up_to(self.fuzzy_up_to);
                self.snapshot_took = Some(self.began.elapsed());
                Box::new(replica)
            }
        };
        self.stage = Stage::Replay(replica);
        match &mut self.stage {
            Stage::Replay(replica) => Ok(replica),
            Stage::Nothing | Stage::Snapshot(_) => Err(Refusal("nothing was loaded".to_owned())),
        }
    }

    fn loader(&mut self) -> &mut TreeLoader {
        if !matches!(self.stage, Stage::Snapshot(_)) {
            self.stage = Stage::Snapshot(Box::new(TreeLoader::new(self.options)));
        }
        match &mut self.stage {
            Stage::Snapshot(loader) => loader,
            Stage::Nothing | Stage::Replay(_) => unreachable!("it was put there above"),
        }
    }
}

fn refusal(error: impl ToString) -> Refusal {
    Refusal(error.to_string())
}

impl SnapshotSink for Loader {
    fn reset(&mut self) {
        self.stage = Stage::Nothing;
        self.fuzzy_up_to = Zxid::ZERO;
    }

    fn tail(&mut self, tail: &SnapshotTail) -> Result<(), Refusal> {
        self.fuzzy_up_to = tail.effects_up_to().unwrap_or(Zxid(u64::MAX));
        Ok(())
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
        if !matches!(self.stage, Stage::Replay(_)) {
            // The transactions behind a snapshot follow it without a gap: where the first one stands, it ends.
            self.snapshot_zxid = Zxid(header.zxid.0.saturating_sub(1));
        }
        let replica = self.replica()?;
        let decoded = zabra_proto::txn::Payload::decode(
            payload,
            zabra_jute::Limits {
                value_len_max: payload.len(),
            },
        );
        let payload = decoded.map_err(refusal)?;
        replica.apply(&payload, &mut ());
        Ok(())
    }
}
