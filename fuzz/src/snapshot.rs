//! Snapshot files in all three codecs, loaded into a tree.

use zabra_proto::{Acl, SessionId, StatPersisted, Zxid};
use zabra_storage::{Compression, Refusal, SnapshotSink, read_snapshot_bytes};
use zabra_tree::{TreeLoader, TreeOptions};

/// The first byte chooses the codec. A tree that was loaded holds its invariants.
pub fn snapshot(bytes: &[u8]) {
    let Some((choice, bytes)) = bytes.split_first() else {
        return;
    };
    let codec =
        [Compression::None, Compression::Gzip, Compression::Snappy][usize::from(*choice) % 3];
    let mut load = Load::default();
    if read_snapshot_bytes(bytes, codec, &mut load).is_ok() {
        load.check();
    }
}

/// Builds a tree.
pub(crate) struct Load(TreeLoader);

impl Default for Load {
    fn default() -> Self {
        Self(TreeLoader::new(TreeOptions::default()))
    }
}

impl Load {
    /// What was loaded holds its invariants, if it is a tree.
    pub(crate) fn check(self) {
        if let Ok(loaded) = self.0.finish(Zxid(1)) {
            assert_eq!(loaded.tree.check_invariants(), Ok(()));
        }
    }
}

impl SnapshotSink for Load {
    fn reset(&mut self) {
        *self = Self::default();
    }

    fn session(&mut self, id: SessionId, timeout_ms: i32) -> Result<(), Refusal> {
        self.0.session(id, timeout_ms);
        Ok(())
    }

    fn acl(&mut self, key: i64, acl: Vec<Acl<'static>>) -> Result<(), Refusal> {
        self.0
            .acl(key, &acl)
            .map_err(|error| Refusal(error.to_string()))
    }

    fn node(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        acl_key: i64,
        stat: &StatPersisted,
    ) -> Result<(), Refusal> {
        self.0
            .node(path, data, acl_key, stat)
            .map_err(|error| Refusal(error.to_string()))
    }
}
