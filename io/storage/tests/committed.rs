//! What is known to have been committed: recovery may apply it at once, and nothing may take it back.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;

use common::{Server, dirs};
use zabra_proto::{Acl, SessionId, StatPersisted, TxnHeader, Zxid};
use zabra_storage::{
    RecoverOptions, RecoverySink, Refusal, SnapshotSink, Vfs, record, recover, truncate,
};
use zabra_testkit::disk::FaultyDisk;

fn vfs(disk: &FaultyDisk) -> Arc<dyn Vfs> {
    Arc::new(disk.clone())
}

/// Notes what it is told to be decided.
#[derive(Default)]
struct Decided {
    from: Zxid,
    decided: Zxid,
}

impl SnapshotSink for Decided {
    fn reset(&mut self) {}

    fn session(&mut self, _: SessionId, _: i32) -> Result<(), Refusal> {
        Ok(())
    }

    fn acl(&mut self, _: i64, _: Vec<Acl<'static>>) -> Result<(), Refusal> {
        Ok(())
    }

    fn node(
        &mut self,
        _: &str,
        _: Option<&[u8]>,
        _: i64,
        _: &StatPersisted,
    ) -> Result<(), Refusal> {
        Ok(())
    }
}

impl RecoverySink for Decided {
    fn replay(&mut self, from: Zxid, decided: Zxid) -> Result<(), Refusal> {
        (self.from, self.decided) = (from, decided);
        Ok(())
    }

    fn txn(&mut self, _: &TxnHeader, _: &[u8]) -> Result<(), Refusal> {
        Ok(())
    }
}

fn decided(disk: &FaultyDisk) -> (Zxid, Zxid) {
    let mut sink = Decided::default();
    recover(&vfs(disk), &dirs(), &RecoverOptions::default(), &mut sink).unwrap();
    (sink.from, sink.decided)
}

/// A disk with the txns 1 to 3, of which 2 are known to be committed.
fn committed_disk() -> FaultyDisk {
    let disk = FaultyDisk::new();
    let mut server = Server::start(&vfs(&disk)).unwrap();
    server.append(&[10, 20, 30]);
    server.log.flush().unwrap();
    server.log.mark().committed(Zxid(2));
    server.log.mark().save().unwrap();
    disk
}

#[test]
fn what_was_committed_is_known_after_a_restart_and_after_the_next() {
    let disk = committed_disk();
    for _ in 0..3 {
        assert_eq!(decided(&disk), (Zxid::ZERO, Zxid(2)));
    }
}

/// Somebody may have removed the data and begun anew with Apache's server: the mark alone does not show it.
#[test]
fn where_another_server_wrote_nothing_is_known_to_be_committed() {
    let disk = committed_disk();
    let mut segment = record::LOG_HEADER.to_vec();
    record::encode_record(&common::payload(Zxid(4), b"x"), &mut segment);
    disk.put(&dirs().log().join("log.4"), segment);
    assert_eq!(decided(&disk), (Zxid::ZERO, Zxid::ZERO));
}

#[test]
fn a_truncation_leaves_nothing_committed_behind_it() {
    let disk = committed_disk();
    let server = Server::start(&vfs(&disk)).unwrap();
    truncate(&vfs(&disk), &dirs(), server.log.mark(), Zxid(1)).unwrap();
    assert_eq!(decided(&disk), (Zxid::ZERO, Zxid(1)));
}
