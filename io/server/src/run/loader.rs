//! From the files on disk to a [`Replica`].

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use zabra_proto::{Acl, SessionId, StatPersisted, TxnHeader, Zxid};
use zabra_serve::Replica;
use zabra_storage::{RecoverySink, Refusal, SnapshotSink, SnapshotTail};
use zabra_tree::{DataTree, TreeLoader, TreeOptions};
use zabra_zab::Entry;

/// Takes a snapshot's content, of a file or of a leader's stream.
///
/// A snapshot that turns out to be damaged leaves nothing behind: the next one begins with a fresh tree (P53).
pub(crate) struct SnapshotLoader {
    options: TreeOptions,
    /// None if no snapshot has come: a new database, or logs only.
    tree: Option<Box<TreeLoader>>,
    /// Up to where effects of transactions may be in the snapshot; all of them if it does not say.
    fuzzy_up_to: Zxid,
}

/// Takes a snapshot's content, and applies the transactions behind it: a standalone server has decided all that it logged.
pub struct Loader {
    snapshot: SnapshotLoader,
    replica: Option<Box<Replica>>,
    began: Instant,
    snapshot_took: Option<Duration>,
}

/// Takes a snapshot's content, applies those transactions behind it that are known to be decided, and keeps the rest as
/// bytes: they may still be taken back (design 2.6).
pub struct MemberLoader {
    loader: Loader,
    decided: Zxid,
    tail: Vec<Entry>,
}

/// What a member has loaded.
pub struct MemberLoaded {
    /// The state; digests are not compared in it until [`Replica::set_fuzzy_up_to`] says otherwise, if Apache's server
    /// wrote the snapshot while transactions went on.
    pub replica: Replica,
    /// What is behind it.
    pub tail: Vec<Entry>,
    /// How long the snapshot took, if there was one.
    pub snapshot_took: Option<Duration>,
}

impl SnapshotLoader {
    pub(crate) fn new(options: TreeOptions) -> Self {
        Self {
            options,
            tree: None,
            fuzzy_up_to: Zxid::ZERO,
        }
    }

    /// The state as of the snapshot's zxid; that of a new database if there was none.
    pub(crate) fn finish(&mut self, zxid: Zxid) -> Result<Replica, Refusal> {
        let Some(loader) = self.tree.take() else {
            let tree = DataTree::new(self.options);
            return Ok(Replica::new(tree, BTreeMap::new(), zxid));
        };
        let loaded = loader.finish(zxid).map_err(refusal)?;
        let mut tree = loaded.tree;
        tree.ensure_config_node();
        let mut replica = Replica::new(tree, loaded.sessions.into_iter().collect(), zxid);
        replica.set_fuzzy_up_to(self.fuzzy_up_to);
        Ok(replica)
    }

    fn tree(&mut self) -> &mut TreeLoader {
        self.tree
            .get_or_insert_with(|| Box::new(TreeLoader::new(self.options)))
    }
}

impl Loader {
    /// With nothing loaded.
    #[must_use]
    pub fn new(options: TreeOptions) -> Self {
        Self {
            snapshot: SnapshotLoader::new(options),
            replica: None,
            began: Instant::now(),
            snapshot_took: None,
        }
    }

    /// What was loaded, up to `last_zxid`, and how long its snapshot took, if there was one.
    pub fn finish(self, last_zxid: Zxid) -> Result<(Replica, Option<Duration>), Refusal> {
        let mut replica = self.replica.ok_or_else(nothing_loaded)?;
        if replica.last_zxid() != last_zxid {
            let why = format!(
                "the state ends with {} and the log with {last_zxid}",
                replica.last_zxid()
            );
            return Err(Refusal(why));
        }
        replica.set_fuzzy_up_to(Zxid::ZERO);
        Ok((*replica, self.snapshot_took))
    }

    fn apply(&mut self, payload: &[u8]) -> Result<(), Refusal> {
        let replica = self.replica.as_mut().ok_or_else(nothing_loaded)?;
        let limits = zabra_jute::Limits {
            value_len_max: payload.len(),
        };
        let payload = zabra_proto::txn::Payload::decode(payload, limits).map_err(refusal)?;
        replica.apply(&payload, &mut ());
        Ok(())
    }
}

impl MemberLoader {
    /// With nothing loaded.
    #[must_use]
    pub fn new(options: TreeOptions) -> Self {
        Self {
            loader: Loader::new(options),
            decided: Zxid::ZERO,
            tail: Vec::new(),
        }
    }

    /// What was loaded.
    pub fn finish(self) -> Result<MemberLoaded, Refusal> {
        Ok(MemberLoaded {
            replica: *self.loader.replica.ok_or_else(nothing_loaded)?,
            tail: self.tail,
            snapshot_took: self.loader.snapshot_took,
        })
    }
}

fn refusal(error: impl ToString) -> Refusal {
    Refusal(error.to_string())
}

fn nothing_loaded() -> Refusal {
    Refusal("nothing was loaded".to_owned())
}

impl SnapshotSink for SnapshotLoader {
    fn reset(&mut self) {
        self.tree = None;
        self.fuzzy_up_to = Zxid::ZERO;
    }

    fn session(&mut self, id: SessionId, timeout_ms: i32) -> Result<(), Refusal> {
        self.tree().session(id, timeout_ms);
        Ok(())
    }

    fn acl(&mut self, key: i64, acl: Vec<Acl<'static>>) -> Result<(), Refusal> {
        self.tree().acl(key, &acl).map_err(refusal)
    }

    fn node(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        acl_key: i64,
        stat: &StatPersisted,
    ) -> Result<(), Refusal> {
        self.tree().node(path, data, acl_key, stat).map_err(refusal)
    }

    fn tail(&mut self, tail: &SnapshotTail) -> Result<(), Refusal> {
        // A snapshot without a single znode is one all the same, and no tree.
        self.tree();
        self.fuzzy_up_to = tail.effects_up_to().unwrap_or(Zxid(u64::MAX));
        Ok(())
    }
}

/// What a loader does with the records of a snapshot: hand them to the part that takes them.
macro_rules! snapshot_sink {
    ($loader:ty, $part:ident) => {
        impl SnapshotSink for $loader {
            fn reset(&mut self) {
                self.$part.reset();
            }

            fn session(&mut self, id: SessionId, timeout_ms: i32) -> Result<(), Refusal> {
                self.$part.session(id, timeout_ms)
            }

            fn acl(&mut self, key: i64, acl: Vec<Acl<'static>>) -> Result<(), Refusal> {
                self.$part.acl(key, acl)
            }

            fn node(
                &mut self,
                path: &str,
                data: Option<&[u8]>,
                acl_key: i64,
                stat: &StatPersisted,
            ) -> Result<(), Refusal> {
                self.$part.node(path, data, acl_key, stat)
            }

            fn tail(&mut self, tail: &SnapshotTail) -> Result<(), Refusal> {
                self.$part.tail(tail)
            }
        }
    };
}

snapshot_sink!(Loader, snapshot);
snapshot_sink!(MemberLoader, loader);

impl RecoverySink for Loader {
    fn replay(&mut self, from: Zxid, _: Zxid) -> Result<(), Refusal> {
        let has_snapshot = self.snapshot.tree.is_some();
        self.replica = Some(Box::new(self.snapshot.finish(from)?));
        self.snapshot_took = has_snapshot.then(|| self.began.elapsed());
        Ok(())
    }

    fn txn(&mut self, _: &TxnHeader, payload: &[u8]) -> Result<(), Refusal> {
        self.apply(payload)
    }
}

impl RecoverySink for MemberLoader {
    fn replay(&mut self, from: Zxid, decided: Zxid) -> Result<(), Refusal> {
        self.decided = decided;
        self.loader.replay(from, decided)
    }

    fn txn(&mut self, header: &TxnHeader, payload: &[u8]) -> Result<(), Refusal> {
        if header.zxid <= self.decided {
            return self.loader.apply(payload);
        }
        // What cannot be applied later is found out now, not when it is decided (P58).
        let limits = zabra_jute::Limits {
            value_len_max: payload.len(),
        };
        zabra_proto::txn::Payload::decode(payload, limits).map_err(refusal)?;
        self.tail.push(Entry {
            zxid: header.zxid,
            payload: payload.into(),
        });
        Ok(())
    }
}
