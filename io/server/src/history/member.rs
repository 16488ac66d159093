//! What a member begins with.

use std::sync::Arc;
use std::time::Duration;

use zabra_peer::{Restored, RestoredHistory};
use zabra_serve::Replica;
use zabra_storage::{DataDirs, RecoverOptions, Recovered, Start, Vfs, recover};
use zabra_tree::TreeOptions;

use crate::run::{MemberLoader, StartError};

/// What a member takes over from disk.
pub struct MemberState {
    /// The tree as of the newest good snapshot, with the transactions behind it that are known to be decided.
    ///
    /// It may hold effects of transactions that follow, if Apache's server wrote the snapshot; digests are not compared
    /// until [`Replica::set_fuzzy_up_to`] says otherwise, which the driver does at `StartServing`: by then everything that
    /// can be in it is applied.
    pub replica: Replica,
    /// For the peer.
    pub restored: Restored,
    /// For the peer: the tail that is logged, durable and undecided, and the epochs.
    pub history: RestoredHistory,
    /// What was found on disk. With [`Start::New`] the first snapshot is to be written before anything is logged; its
    /// `last_zxid` is the end of the log, behind which a [`TxnLog`](zabra_storage::TxnLog) goes on.
    pub recovered: Recovered,
    /// How long loading the snapshot took, if there was one.
    pub snapshot_took: Option<Duration>,
}

/// Recovers a member's state. Nothing of the tail is in the tree (design 2.6).
pub fn recover_member(
    vfs: &Arc<dyn Vfs>,
    dirs: &DataDirs,
    options: &RecoverOptions,
    tree: TreeOptions,
) -> Result<MemberState, StartError> {
    let mut loader = MemberLoader::new(tree);
    let recovered = recover(vfs, dirs, options, &mut loader).map_err(StartError::Storage)?;
    let epochs = zabra_storage::Epochs::restore(&**vfs, dirs, recovered.last_zxid)
        .map_err(StartError::Storage)?;
    let loaded = loader.finish()?;
    let replica = loaded.replica;
    let sessions = replica.sessions().iter();
    let restored = Restored {
        last_zxid: replica.last_zxid(),
        sessions: sessions.map(|(id, timeout)| (*id, *timeout)).collect(),
    };
    let history = RestoredHistory {
        tail: loaded.tail,
        epochs: zabra_zab::Epochs {
            accepted: epochs.accepted,
            current: epochs.current,
        },
        has_history: recovered.start != Start::Empty,
    };
    Ok(MemberState {
        replica,
        restored,
        history,
        recovered,
        snapshot_took: loaded.snapshot_took,
    })
}
