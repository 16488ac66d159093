//! What a leader sends behind SNAP: the snapshot's stream, loaded into a tree, and the packets up to NEWLEADER.

use std::path::Path;
use std::sync::Arc;

use zabra_jute::Limits;
use zabra_proto::Zxid;
use zabra_storage::{Compression, DataDirs, Incoming, StreamReader, Vfs};
use zabra_testkit::disk::FaultyDisk;

use crate::snapshot::Load;

/// The first byte says in how small pieces the bytes arrive, which changes nothing. A tree that was loaded holds its
/// invariants; a history that came in to its end can be kept; what did not leaves no file.
pub fn snapshot_stream(bytes: &[u8]) {
    let Some((piece, bytes)) = bytes.split_first() else {
        return;
    };
    let piece = usize::from(*piece).max(1);
    assert_eq!(stream(bytes, piece), stream(bytes, bytes.len().max(1)));
    assert_eq!(history(bytes, piece), history(bytes, bytes.len().max(1)));
}

/// Where the stream ended, if it did, or why it was refused.
fn stream(bytes: &[u8], piece: usize) -> Result<Option<u64>, String> {
    let mut load = Load::default();
    let mut reader = StreamReader::new();
    for piece in bytes.chunks(piece) {
        let end = reader.push(piece, &mut load, None);
        if end.map_err(|error| error.to_string())?.is_some() {
            load.check();
            return Ok(Some(reader.offset()));
        }
    }
    Ok(None)
}

/// How many bytes came out behind the snapshot, if the history came to its end, or why it was refused.
fn history(bytes: &[u8], piece: usize) -> Result<Option<usize>, String> {
    let disk = FaultyDisk::new();
    let dirs = DataDirs::new(Path::new("/data"), None);
    let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
    let came = vfs
        .create_dir_all(dirs.snap())
        .map_err(|error| error.to_string())
        .and_then(|()| take_in(&vfs, &dirs, bytes, piece));
    assert!(disk.files().is_empty(), "files are left");
    came
}

fn take_in(
    vfs: &Arc<dyn Vfs>,
    dirs: &DataDirs,
    bytes: &[u8],
    piece: usize,
) -> Result<Option<usize>, String> {
    let (none, limits) = (Compression::None, Limits::DEFAULT);
    let mut incoming = Incoming::begin("fuzz-", vfs, dirs, Zxid(1 << 32), none, limits)
        .map_err(|error| error.to_string())?;
    let mut load = Load::default();
    let mut ended = false;
    for piece in bytes.chunks(piece) {
        let pushed = incoming.push(piece, &mut load);
        ended = pushed.map_err(|error| error.to_string())?;
    }
    if !ended {
        return Ok(None);
    }
    let kept = incoming.finish().map_err(|error| error.to_string())?;
    Ok(Some(kept.1.len()))
}
