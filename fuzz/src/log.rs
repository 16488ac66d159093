//! Transaction log files, as they stand on the disk.

use std::path::Path;
use std::sync::Arc;

use zabra_proto::{TxnHeader, Zxid};
use zabra_storage::record::{LOG_HEADER, adler32, encode_record, payload_zxid};
use zabra_storage::{
    DataDirs, Discard, LogReader, RecoverOptions, RecoverySink, Refusal, SegmentReader,
    SnapshotSink, Vfs, recover,
};
use zabra_testkit::disk::FaultyDisk;

/// Longest payload that the readers believe here.
const PAYLOAD_MAX: usize = 1 << 20;

/// The file of every run: the name says which zxid is its first.
const NAME: &str = "log.1";

/// Reads a segment, a history and a whole start from a file with these bytes. Behind an odd first byte the rest is cut
/// into payloads that get their checksums, so that the readers see more than the first record.
///
/// A record lies in the file where the reader says, and has the checksum and the zxid that it says; offsets rise.
pub fn log(bytes: &[u8]) {
    let Some((mode, bytes)) = bytes.split_first() else {
        return;
    };
    let file = if mode % 2 == 1 {
        framed(bytes)
    } else {
        bytes.to_vec()
    };
    let dirs = DataDirs::new(Path::new("/data"), None);
    let disk = FaultyDisk::new();
    disk.put(&dirs.log().join(NAME), file.clone());
    read_segment(&disk, &dirs, &file);
    let vfs: Arc<dyn Vfs> = Arc::new(disk);
    read_history(&vfs, &dirs);
    let options = RecoverOptions {
        trust_empty: true,
        payload_max: PAYLOAD_MAX,
        ..RecoverOptions::default()
    };
    // Both outcomes are right for some bytes; a state and a second start must agree.
    if let Ok(first) = recover(&vfs, &dirs, &options, &mut Count::default()) {
        let mut count = Count::default();
        let second = recover(&vfs, &dirs, &options, &mut count);
        assert_eq!(
            second.ok().map(|again| again.last_zxid),
            Some(first.last_zxid)
        );
        assert_eq!(count.txns, first.replayed);
    }
}

/// A log whose records have these payloads: one byte of length in front of each.
fn framed(mut bytes: &[u8]) -> Vec<u8> {
    let mut file = LOG_HEADER.to_vec();
    while let Some((len, rest)) = bytes.split_first() {
        let (payload, rest) = rest.split_at(rest.len().min(usize::from(*len)));
        encode_record(payload, &mut file);
        bytes = rest;
    }
    file
}

fn read_segment(disk: &FaultyDisk, dirs: &DataDirs, file: &[u8]) {
    let Ok(mut reader) = SegmentReader::open(disk, &dirs.log().join(NAME), PAYLOAD_MAX) else {
        return;
    };
    let mut behind = 0;
    while reader.advance().is_ok_and(|found| found) {
        let Some(record) = reader.record() else {
            panic!("a record was found and is not there")
        };
        assert!(record.offset >= behind);
        let start = record.offset as usize + 12;
        assert_eq!(
            file.get(start..start + record.payload.len()),
            Some(record.payload)
        );
        assert_eq!(adler32(record.payload), record.checksum);
        assert_eq!(payload_zxid(record.payload), Some(record.zxid));
        behind = record.offset + 12 + record.payload.len() as u64 + 1;
    }
    if let Some(end) = reader.end() {
        assert!(end.offset == 0 || end.offset >= behind);
    }
}

fn read_history(vfs: &Arc<dyn Vfs>, dirs: &DataDirs) {
    let Ok(mut reader) = LogReader::open(Arc::clone(vfs), dirs.log(), Zxid::ZERO, PAYLOAD_MAX)
    else {
        return;
    };
    let mut last = Zxid::ZERO;
    while reader.advance().is_ok_and(|found| found) {
        assert!(reader.last() > last);
        last = reader.last();
    }
}

/// Counts the txns of a recovery and keeps nothing.
#[derive(Default)]
struct Count {
    txns: u64,
}

impl SnapshotSink for Count {
    fn reset(&mut self) {
        self.txns = 0;
    }

    fn session(&mut self, id: zabra_proto::SessionId, timeout_ms: i32) -> Result<(), Refusal> {
        Discard.session(id, timeout_ms)
    }

    fn acl(&mut self, key: i64, acl: Vec<zabra_proto::Acl<'static>>) -> Result<(), Refusal> {
        Discard.acl(key, acl)
    }

    fn node(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        acl_key: i64,
        stat: &zabra_proto::StatPersisted,
    ) -> Result<(), Refusal> {
        Discard.node(path, data, acl_key, stat)
    }
}

impl RecoverySink for Count {
    fn txn(&mut self, _: &TxnHeader, _: &[u8]) -> Result<(), Refusal> {
        self.txns += 1;
        Ok(())
    }
}
