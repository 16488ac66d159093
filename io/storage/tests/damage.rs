//! Every byte of a data directory damaged, one at a time: the server finds the right state or says what is wrong. It
//! never serves less, or something else, without a word (I-19).
//!
//! A sample by default; every byte with `ZABRA_TEST_LONG=1`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use common::{Server, Twin, dirs, try_recover};
use zabra_proto::Zxid;
use zabra_storage::{Compression, Vfs};
use zabra_testkit::disk::{FaultyDisk, SECTOR};

/// How many bytes to go from one damaged byte to the next.
fn stride(short: usize) -> usize {
    if std::env::var_os("ZABRA_TEST_LONG").is_some() {
        1
    } else {
        short
    }
}

/// A directory with two snapshots, segments of two epochs, and a server that stopped in order.
fn stopped_server() -> FaultyDisk {
    let disk = FaultyDisk::new();
    let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
    let mut server = Server::start(&vfs).unwrap();
    server.append(&[10, 300, 20]);
    server.log.flush().unwrap();
    server.snapshot(Compression::Gzip).unwrap();
    server.append(&[40, 600]);
    server.log.roll().unwrap();
    server.append(&[7, 7]);
    server.log.roll().unwrap();
    server.append_as(Zxid::new(1, 1), 100);
    server.log.flush().unwrap();
    server.snapshot(Compression::None).unwrap();
    server.append(&[5, 500]);
    server.log.flush().unwrap();
    server.log.mark().save().unwrap();
    disk.copy()
}

/// Starts on a damaged disk; returns whether the state was found.
fn judge(disk: &FaultyDisk, want: &Twin, what: &str) -> bool {
    match try_recover(&(Arc::new(disk.clone()) as Arc<dyn Vfs>)) {
        Ok((found, _)) => {
            let (has, should) = (found.txns.keys(), want.txns.keys());
            assert!(found == *want, "{what}: found {has:x?}, want {should:x?}");
            true
        }
        Err(e) => {
            assert!(!e.to_string().contains('\n'), "{what}: {e}");
            false
        }
    }
}

/// The state that the undamaged disk stands for.
fn state_of(right: &FaultyDisk) -> Twin {
    try_recover(&(Arc::new(right.copy()) as Arc<dyn Vfs>))
        .unwrap()
        .0
}

#[test]
fn a_damaged_byte_never_changes_the_state_in_silence() {
    let right = stopped_server();
    let want = state_of(&right);
    let (mut found, mut refused) = (0, 0);
    for (path, bytes) in right.files() {
        for at in (0..bytes.len()).step_by(stride(5)) {
            for change in [bytes[at] ^ 1, bytes[at] ^ 0xff, 0] {
                if change == bytes[at] {
                    continue;
                }
                let mut bad = bytes.clone();
                bad[at] = change;
                let disk = right.copy();
                disk.put(&path, bad);
                if judge(
                    &disk,
                    &want,
                    &format!("{} byte {at} = {change:#x}", path.display()),
                ) {
                    found += 1;
                } else {
                    refused += 1;
                }
            }
        }
    }
    // Both happen: older snapshots and unneeded bytes are survived, needed ones are not.
    assert!(
        found > 100 && refused > 100,
        "{found} found, {refused} refused"
    );
}

#[test]
fn a_lost_or_misplaced_sector_never_changes_the_state_in_silence() {
    let right = stopped_server();
    let want = state_of(&right);
    let sector = SECTOR as usize;
    for (path, bytes) in right.files() {
        let sectors = bytes.len().div_ceil(sector);
        for i in 0..sectors {
            for j in 0..=sectors {
                let mut bad = bytes.clone();
                let at = i * sector..bytes.len().min((i + 1) * sector);
                if j == sectors {
                    bad[at].fill(0);
                } else {
                    let from = bytes[j * sector..bytes.len().min((j + 1) * sector)].to_vec();
                    let n = at.len().min(from.len());
                    bad[at.start..at.start + n].copy_from_slice(&from[..n]);
                }
                let disk = right.copy();
                disk.put(&path, bad);
                judge(
                    &disk,
                    &want,
                    &format!("{} sector {i} from {j}", path.display()),
                );
            }
        }
    }
}

#[test]
fn a_shortened_or_missing_file_never_changes_the_state_in_silence() {
    let right = stopped_server();
    let want = state_of(&right);
    for (path, bytes) in right.files() {
        for len in (0..bytes.len()).step_by(stride(7)) {
            let disk = right.copy();
            disk.put(&path, bytes[..len].to_vec());
            judge(&disk, &want, &format!("{} cut to {len}", path.display()));
        }
        let disk = right.copy();
        disk.remove(&path).unwrap();
        judge(&disk, &want, &format!("{} missing", path.display()));
    }
}

/// Apache leaves no mark. What looks like a write that a crash cut is taken for one, as Apache does; but only the last
/// record can look so.
#[test]
fn a_damaged_byte_of_apaches_log_costs_at_most_a_torn_last_record() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/standalone");
    let snapshot = fs::read(vectors.join("snapshot.0")).unwrap();
    let log = fs::read(vectors.join("log.1")).unwrap();
    let (last_record, used) = (0x6db, 1838);
    let start = |log: Vec<u8>| {
        let disk = FaultyDisk::new();
        disk.put(&dirs().snap().join("snapshot.0"), snapshot.clone());
        disk.put(&dirs().log().join("log.1"), log);
        let vfs: Arc<dyn Vfs> = Arc::new(disk);
        let mut sink = Zxids::default();
        zabra_storage::recover(
            &vfs,
            &dirs(),
            &zabra_storage::RecoverOptions::default(),
            &mut sink,
        )
        .map(|recovered| (recovered.last_zxid.0, sink.0))
    };
    let right = start(log.clone()).unwrap();
    assert_eq!(right.0, 0x11);
    for at in (0..log.len()).step_by(stride(2)) {
        for change in [log[at] ^ 1, log[at] ^ 0xff, 0] {
            if change == log[at] {
                continue;
            }
            let mut bad = log.clone();
            bad[at] = change;
            let Ok((last, txns)) = start(bad) else {
                continue;
            };
            let whole = last == 0x11 && txns == right.1;
            let torn = last == 0x10 && txns == right.1[..0x10];
            let may_look_torn = (last_record..used).contains(&at);
            assert!(
                whole || torn && may_look_torn,
                "byte {at:#x} = {change:#x}: up to {last:#x}"
            );
        }
    }
}

/// Which txns came, with the checksum of each.
#[derive(Default)]
struct Zxids(Vec<(u64, u32)>);

impl zabra_storage::SnapshotSink for Zxids {
    fn reset(&mut self) {
        self.0.clear();
    }

    fn session(&mut self, _: zabra_proto::SessionId, _: i32) -> Result<(), zabra_storage::Refusal> {
        Ok(())
    }

    fn acl(
        &mut self,
        _: i64,
        _: Vec<zabra_proto::Acl<'static>>,
    ) -> Result<(), zabra_storage::Refusal> {
        Ok(())
    }

    fn node(
        &mut self,
        _: &str,
        _: Option<&[u8]>,
        _: i64,
        _: &zabra_proto::StatPersisted,
    ) -> Result<(), zabra_storage::Refusal> {
        Ok(())
    }
}

impl zabra_storage::RecoverySink for Zxids {
    fn txn(
        &mut self,
        header: &zabra_proto::TxnHeader,
        payload: &[u8],
    ) -> Result<(), zabra_storage::Refusal> {
        self.0
            .push((header.zxid.0, zabra_storage::record::adler32(payload)));
        Ok(())
    }
}
