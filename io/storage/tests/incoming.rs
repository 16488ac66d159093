//! A leader's history that comes in behind SNAP: nothing is given up before it is whole (P12), and then it is this
//! server's at once.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;

use common::{
    Server, Twin, data_of, dirs, new_leader, payload, sent_behind_snap, take_in, try_recover,
};
use zabra_jute::{Encode, Limits};
use zabra_proto::Zxid;
use zabra_proto::quorum_packet::{Message, PacketKind, PacketReader};
use zabra_storage::{
    IncomingError, LogError, StorageError, Vfs, adopt_history, list_snapshots, names, truncate,
};
use zabra_testkit::disk::{Fault, FaultHow, FaultOn, FaultyDisk};

fn vfs(disk: &FaultyDisk) -> Arc<dyn Vfs> {
    Arc::new(disk.clone())
}

fn txn(epoch: u32, counter: u32) -> (Zxid, Vec<u8>) {
    let zxid = Zxid::new(epoch, counter);
    (zxid, data_of(zxid, 30))
}

fn twin_of(txns: &[(Zxid, Vec<u8>)]) -> Twin {
    let txns = txns.iter().map(|(zxid, data)| (zxid.0, data.clone()));
    Twin {
        txns: txns.collect(),
        ..Twin::default()
    }
}

/// A server with the txns 1 to 4 in its log.
fn server(disk: &FaultyDisk) -> Server {
    let mut server = Server::start(&vfs(disk)).unwrap();
    server.append(&[10, 20, 30, 40]);
    server.log.flush().unwrap();
    server
}

/// The leader of epoch 2 has the txns 1 and 2 in its snapshot, and these behind it.
fn behind() -> Vec<(Zxid, Vec<u8>)> {
    vec![txn(0, 3), txn(2, 1), txn(2, 2)]
}

fn leaders(disk: &FaultyDisk, piece: usize) -> (Twin, zabra_storage::PendingHistory, Vec<u8>) {
    let bytes = sent_behind_snap(&twin_of(&[txn(0, 1), txn(0, 2)]), &behind());
    take_in(&vfs(disk), Zxid(2), &bytes, piece).unwrap()
}

fn kinds(packets: &[u8]) -> Vec<PacketKind> {
    let mut reader = PacketReader::new(Limits::DEFAULT);
    reader.push(packets);
    std::iter::from_fn(|| reader.next_packet().unwrap().map(|p| p.kind)).collect()
}

#[test]
fn snapshot_and_txns_become_the_history_at_once() {
    for piece in [1, 10, 333, usize::MAX] {
        let disk = FaultyDisk::new();
        let mut server = server(&disk);
        let (twin, history, rest) = leaders(&disk, piece);
        assert_eq!(twin.txns.len(), 2);
        use PacketKind::{Commit, NewLeader, Proposal};
        let packets = [
            Proposal, Commit, Proposal, Commit, Proposal, Commit, NewLeader,
        ];
        assert_eq!(kinds(&rest), packets, "pieces of {piece}");

        server.log.roll().unwrap();
        let mark = server.log.mark().clone();
        let adopted = adopt_history(&vfs(&disk), &dirs(), &mark, history).unwrap();
        assert_eq!(adopted.zxid, Zxid(2));
        server.log.restart_adopted(adopted).unwrap();

        let (found, recovered) = try_recover(&vfs(&disk)).unwrap();
        assert_eq!(recovered.last_zxid, Zxid::new(2, 2));
        let all = [vec![txn(0, 1), txn(0, 2)], behind()].concat();
        assert_eq!(found.txns, twin_of(&all).txns);
    }
}

#[test]
fn what_was_adopted_is_durable_as_soon_as_it_is_appended() {
    let disk = FaultyDisk::new();
    let mut server = server(&disk);
    let (_, history, _) = leaders(&disk, 100);
    server.log.roll().unwrap();
    let mark = server.log.mark().clone();
    let adopted = adopt_history(&vfs(&disk), &dirs(), &mark, history).unwrap();
    server.log.restart_adopted(adopted).unwrap();
    assert_eq!(server.log.last_flushed(), Zxid(2));
    let before = disk.operations();
    for (zxid, data) in behind() {
        server.log.append(zxid, &payload(zxid, &data)).unwrap();
        assert_eq!(server.log.flush().unwrap().last, zxid);
    }
    assert_eq!(disk.operations(), before);
    // Behind it the log goes on in a segment of its own.
    server.append_as(Zxid::new(2, 3), 50);
    server.log.flush().unwrap();
    let (_, recovered) = try_recover(&vfs(&disk)).unwrap();
    assert_eq!(recovered.last_zxid, Zxid::new(2, 3));
    assert!(disk.exists(&dirs().log().join("log.200000003")).unwrap());
}

#[test]
fn another_txn_than_the_adopted_one_ends_the_log() {
    let disk = FaultyDisk::new();
    let mut server = server(&disk);
    let (_, history, _) = leaders(&disk, 100);
    server.log.roll().unwrap();
    let mark = server.log.mark().clone();
    let adopted = adopt_history(&vfs(&disk), &dirs(), &mark, history).unwrap();
    server.log.restart_adopted(adopted).unwrap();
    let other = server.log.append(Zxid(3), &payload(Zxid(3), b"other"));
    assert!(matches!(other, Err(LogError::Adopted { .. })));
    assert!(server.log.is_poisoned());
}

#[test]
fn a_history_that_is_cut_is_cut_where_it_was_adopted_too() {
    let disk = FaultyDisk::new();
    let mut server = server(&disk);
    let (_, history, _) = leaders(&disk, 100);
    server.log.roll().unwrap();
    let mark = server.log.mark().clone();
    let adopted = adopt_history(&vfs(&disk), &dirs(), &mark, history).unwrap();
    server.log.restart_adopted(adopted).unwrap();
    let to = Zxid(3);
    truncate(&vfs(&disk), &dirs(), &mark, to).unwrap();
    server.log.restart_behind(to).unwrap();
    server.append_as(Zxid::new(3, 1), 10);
    server.log.flush().unwrap();
    let (found, _) = try_recover(&vfs(&disk)).unwrap();
    let found: Vec<u64> = found.txns.keys().copied().collect();
    assert_eq!(found, [1, 2, 3, Zxid::new(3, 1).0]);
}

#[test]
fn what_is_dropped_before_it_is_adopted_leaves_nothing_and_touches_nothing() {
    let disk = FaultyDisk::new();
    let server = server(&disk);
    let before = disk.files();
    let bytes = sent_behind_snap(&twin_of(&[txn(0, 1), txn(0, 2)]), &behind());
    for cut in [0, 1, 100, bytes.len() / 2, bytes.len() - 1] {
        let broken = take_in(&vfs(&disk), Zxid(2), &bytes[..cut], 64);
        assert!(
            matches!(broken, Err(IncomingError::Link(_))),
            "cut at {cut}"
        );
        assert!(disk.files() == before, "cut at {cut}");
    }
    drop(leaders(&disk, 64));
    assert!(disk.files() == before);
    drop(server);
}

#[test]
fn a_disk_that_fails_leaves_the_old_history() {
    for on in [
        FaultOn::Create,
        FaultOn::Write,
        FaultOn::Sync,
        FaultOn::Read,
    ] {
        let disk = FaultyDisk::new();
        let server = server(&disk);
        let before = disk.files();
        disk.inject(Fault {
            on,
            name: "zabra-tmp-received",
            after: 0,
            times: usize::MAX,
            how: FaultHow::NoSpace,
        });
        let bytes = sent_behind_snap(&twin_of(&[txn(0, 1), txn(0, 2)]), &behind());
        let failed = take_in(&vfs(&disk), Zxid(2), &bytes, 64);
        assert!(matches!(failed, Err(IncomingError::Disk(_))), "{on:?}");
        disk.heal();
        assert!(disk.files() == before, "{on:?}");
        drop(server);
    }
}

fn packets(messages: &[Message<'_>]) -> Result<Vec<PacketKind>, IncomingError> {
    let disk = FaultyDisk::new();
    drop(server(&disk));
    let mut bytes = sent_behind_snap(&twin_of(&[txn(0, 1), txn(0, 2)]), &[]);
    let mut end = Vec::new();
    new_leader().encode(&mut end);
    bytes.truncate(bytes.len() - end.len());
    messages.iter().for_each(|m| m.encode(&mut bytes));
    bytes.extend_from_slice(&end);
    // What is pushed behind the end is kept as well.
    Message::Ack { zxid: Zxid(1) }.encode(&mut bytes);
    let (_, _, rest) = take_in(&vfs(&disk), Zxid(2), &bytes, 41)?;
    Ok(kinds(&rest))
}

#[test]
fn what_the_snapshot_holds_may_come_again_and_a_hole_may_not() {
    let zxid = |z| Zxid(z);
    let (two, three, four) = (
        payload(zxid(2), b"b"),
        payload(zxid(3), b"c"),
        payload(zxid(4), b"d"),
    );
    let propose = |z, txn| Message::Proposal { zxid: zxid(z), txn };
    let repeated = [propose(2, &two[..]), propose(3, &three)];
    assert_eq!(packets(&repeated).unwrap().len(), 4);
    for holed in [
        vec![propose(4, &four[..])],
        vec![propose(3, &three[..]), propose(3, &three)],
        // The number in the packet is not that of the txn.
        vec![propose(3, &four[..])],
    ] {
        assert!(matches!(packets(&holed), Err(IncomingError::Packets(_))));
    }
}

#[test]
fn undecided_txns_and_informs_are_kept_in_their_order() {
    use PacketKind::{Ack, Inform, NewLeader, Ping, Proposal};
    let (three, four) = (payload(Zxid(3), b"c"), payload(Zxid(4), b"d"));
    let told = packets(&[
        Message::Inform {
            zxid: Zxid(3),
            txn: &three,
        },
        Message::Ping {
            zxid: Zxid(3),
            touched: None,
        },
        Message::Proposal {
            zxid: Zxid(4),
            txn: &four,
        },
    ]);
    assert_eq!(told.unwrap(), [Inform, Ping, Proposal, NewLeader, Ack]);
}

#[test]
fn the_adopted_snapshot_stands_alone() {
    let disk = FaultyDisk::new();
    let mut server = server(&disk);
    server.snapshot(zabra_storage::Compression::Gzip).unwrap();
    server.log.roll().unwrap();
    let (_, history, _) = leaders(&disk, 100);
    let mark = server.log.mark().clone();
    adopt_history(&vfs(&disk), &dirs(), &mark, history).unwrap();
    let left: Vec<String> = list_snapshots(&disk, dirs().snap())
        .unwrap()
        .into_iter()
        .map(|file| file.name)
        .collect();
    // The newer one of this server's own went, with what the leader may not have.
    assert_eq!(left, ["snapshot.2", "snapshot.0"]);
    assert!(!disk.exists(&dirs().log().join(names::TRUNCATION)).unwrap());
    // Were it damaged, nothing else would do.
    disk.put(&dirs().snap().join("snapshot.2"), b"ZKSN".to_vec());
    assert!(matches!(
        try_recover(&vfs(&disk)),
        Err(StorageError::NoValidSnapshot { .. })
    ));
}
