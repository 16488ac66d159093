//! What a learner is sent, and that it is a whole history or nothing.

use std::io;

use zabra_jute::Limits;
use zabra_proto::Zxid;
use zabra_proto::quorum_packet::{Message, PacketReader};
use zabra_server::history::{BacklogError, CHUNK_MAX, HistoryOptions, How, Job, send_backlog};
use zabra_storage::{Discard, PurgeOptions, SnapshotTail, StreamReader, Vfs, purge};
use zabra_testkit::disk::FaultyDisk;
use zabra_zab::Backlog;

use crate::member::{Member, OPTIONS, dirs, entry, z};

/// What a learner is told, and which txns it is given; each is proposed and decided, in order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) first: (&'static str, Zxid),
    pub(crate) txns: Vec<Zxid>,
}

pub(crate) fn understand(bytes: &[u8]) -> Told {
    let mut reader = PacketReader::new(Limits::DEFAULT);
    reader.push(bytes);
    let first = match reader.next_packet().unwrap().unwrap().message().unwrap() {
        Message::Diff { zxid } => ("DIFF", zxid),
        Message::Trunc { zxid } => ("TRUNC", zxid),
        Message::Snap { zxid } => ("SNAP", zxid),
        other => panic!("{other:?}"),
    };
    if first.0 == "SNAP" {
        let rest = reader.rest();
        let end = StreamReader::new().push(rest, &mut Discard, None).unwrap();
        reader.skip(end.unwrap());
    }
    let mut txns = Vec::new();
    while let Some(packet) = reader.next_packet().unwrap() {
        match packet.message().unwrap() {
            Message::Proposal { zxid, txn } => {
                assert_eq!(*txn, *entry(zxid).payload);
                txns.push(zxid);
            }
            Message::Commit { zxid } => assert_eq!(Some(&zxid), txns.last()),
            other => panic!("{other:?}"),
        }
    }
    assert!(reader.rest().is_empty());
    Told { first, txns }
}

pub(crate) fn bytes_of(member: &Member, backlog: Backlog) -> Result<Vec<u8>, BacklogError> {
    let mut bytes = Vec::new();
    let sent = send_backlog(&member.files, backlog, &mut |chunk| {
        assert!(chunk.len() <= CHUNK_MAX);
        bytes.extend_from_slice(chunk);
        Ok(())
    })?;
    assert_eq!(sent.bytes, bytes.len() as u64);
    Ok(bytes)
}

fn told(member: &Member, learner: Zxid, up_to: Zxid) -> Told {
    let bytes = bytes_of(member, Backlog::Behind { learner, up_to }).unwrap();
    understand(&bytes)
}

fn diff(up_to: Zxid, txns: &[Zxid]) -> Told {
    Told {
        first: ("DIFF", up_to),
        txns: txns.to_vec(),
    }
}

fn snap(at: Zxid, txns: &[Zxid]) -> Told {
    Told {
        first: ("SNAP", at),
        txns: txns.to_vec(),
    }
}

/// The txns 0:1 to 0:4 and 2:1 to 2:3, in three segments; a snapshot at 0:2. Small files, so that no log is too long.
fn leader(disk: &FaultyDisk) -> Member {
    leader_with(disk, 0.0)
}

fn leader_with(disk: &FaultyDisk, snapshot_size_factor: f64) -> Member {
    let options = HistoryOptions {
        snapshot_size_factor,
        ..OPTIONS
    };
    let mut leader = Member::start_with(disk, options);
    leader.commit(&[z(0, 1), z(0, 2)]);
    leader.snapshot(&SnapshotTail::default());
    leader.commit(&[z(0, 3), z(0, 4)]);
    leader.commit(&[z(2, 1), z(2, 2), z(2, 3)]);
    leader
}

const ALL: [Zxid; 7] = [
    Zxid::new(0, 1),
    Zxid::new(0, 2),
    Zxid::new(0, 3),
    Zxid::new(0, 4),
    Zxid::new(2, 1),
    Zxid::new(2, 2),
    Zxid::new(2, 3),
];

#[test]
fn a_learner_that_is_in_the_log_gets_what_is_behind_it() {
    let disk = FaultyDisk::new();
    let leader = leader(&disk);
    for (at, learner) in ALL.iter().enumerate() {
        for to in at..ALL.len() {
            let up_to = ALL[to];
            let want = diff(up_to, &ALL[at + 1..=to]);
            assert_eq!(told(&leader, *learner, up_to), want);
        }
    }
}

#[test]
fn a_bare_zxid_of_a_new_epoch_is_as_good_as_the_txn_before_it() {
    let disk = FaultyDisk::new();
    let leader = leader(&disk);
    for fresh in [z(1, 0), z(2, 0)] {
        assert_eq!(told(&leader, fresh, z(2, 3)), diff(z(2, 3), &ALL[4..]));
    }
}

#[test]
fn a_learner_with_another_history_gets_a_snapshot_and_what_follows_it() {
    let disk = FaultyDisk::new();
    let leader = leader(&disk);
    let want = snap(z(0, 2), &ALL[2..]);
    for learner in [z(0, 5), z(1, 3)] {
        assert_eq!(told(&leader, learner, z(2, 3)), want);
    }
    // Nor does anything show that an empty one has what came before the first txn.
    assert_eq!(told(&leader, Zxid::ZERO, z(2, 3)), want);
}

#[test]
fn a_learner_that_is_ahead_goes_back_to_the_end() {
    let disk = FaultyDisk::new();
    let leader = leader(&disk);
    let told = told(&leader, z(2, 9), z(2, 3));
    assert_eq!(told.first, ("TRUNC", z(2, 3)));
    assert_eq!(told.txns, []);
}

#[test]
fn a_snapshot_is_the_newest_that_is_not_too_new() {
    let disk = FaultyDisk::new();
    let mut leader = leader(&disk);
    leader.snapshot(&SnapshotTail::default());
    let at = |up_to| understand(&bytes_of(&leader, Backlog::Snapshot { up_to }).unwrap());
    assert_eq!(at(z(2, 3)), snap(z(2, 3), &[]));
    assert_eq!(at(z(2, 2)), snap(z(0, 2), &ALL[2..6]));
    assert_eq!(at(z(0, 2)), snap(z(0, 2), &[]));
    assert_eq!(at(z(0, 1)), snap(Zxid::ZERO, &ALL[..1]));
}

#[test]
fn a_snapshot_that_is_damaged_or_ahead_of_its_name_is_passed_over() {
    let disk = FaultyDisk::new();
    let mut leader = leader(&disk);
    // Apache's server wrote it while txns went on, and some of them are not to be sent.
    leader.snapshot(&SnapshotTail {
        last_processed: Some(z(2, 5)),
        ..SnapshotTail::default()
    });
    let at = |up_to| understand(&bytes_of(&leader, Backlog::Snapshot { up_to }).unwrap());
    assert_eq!(at(z(2, 3)), snap(z(0, 2), &ALL[2..]));
    let path = dirs().snap().join("snapshot.2");
    let mut bytes = disk.files()[&path].clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    disk.put(&path, bytes);
    assert_eq!(at(z(2, 3)), snap(Zxid::ZERO, &ALL));
}

#[test]
fn a_log_that_is_long_beside_a_snapshot_is_not_sent() {
    let disk = FaultyDisk::new();
    // One segment behind the first is longer than a hundredth of a small snapshot.
    let leader = leader_with(&disk, 0.01);
    assert_eq!(told(&leader, z(0, 3), z(2, 3)).first.0, "SNAP");
    // The first that is needed does not count.
    assert_eq!(told(&leader, z(2, 1), z(2, 3)).first.0, "DIFF");
    let never = leader_with(&FaultyDisk::new(), -1.0);
    assert_eq!(told(&never, z(2, 1), z(2, 3)).first.0, "SNAP");
}

#[test]
fn the_log_may_be_written_behind_what_is_sent() {
    let disk = FaultyDisk::new();
    let leader = leader(&disk);
    let mut next = z(2, 4);
    let mut bytes = Vec::new();
    let backlog = Backlog::Snapshot { up_to: z(2, 3) };
    leader.log(&[next]);
    let sent = send_backlog(&leader.files, backlog, &mut |chunk| {
        bytes.extend_from_slice(chunk);
        next = next.next();
        leader.log(&[next]);
        Ok(())
    });
    assert_eq!(sent.unwrap().txns, 5);
    assert_eq!(understand(&bytes), snap(z(0, 2), &ALL[2..]));
}

#[test]
fn a_purge_leaves_what_is_being_sent() {
    let disk = FaultyDisk::new();
    let mut leader = leader(&disk);
    leader.snapshot(&SnapshotTail::default());
    let vfs: std::sync::Arc<dyn Vfs> = std::sync::Arc::new(disk);
    let backlog = Backlog::Behind {
        learner: z(0, 1),
        up_to: z(2, 3),
    };
    let mut bytes = Vec::new();
    let sent = send_backlog(&leader.files, backlog, &mut |chunk| {
        let options = PurgeOptions {
            keep: 1,
            leased: leader.files.leased(),
            dry_run: false,
        };
        purge(&vfs, &dirs(), &options, None).unwrap();
        bytes.extend_from_slice(chunk);
        Ok(())
    });
    sent.unwrap();
    assert_eq!(understand(&bytes), diff(z(2, 3), &ALL[1..]));
    assert_eq!(leader.files.leased(), None);
    // With the lease gone the logs go, even if nobody tells the mark, and there is only the snapshot.
    let all = PurgeOptions {
        keep: 1,
        ..PurgeOptions::default()
    };
    purge(&vfs, &dirs(), &all, None).unwrap();
    assert_eq!(told(&leader, z(0, 1), z(2, 3)), snap(z(2, 3), &[]));
}

#[test]
fn what_was_cut_meanwhile_is_not_sent() {
    let disk = FaultyDisk::new();
    let leader = leader(&disk);
    // Enough for several chunks.
    let many: Vec<Zxid> = (4..3000).map(|counter| z(2, counter)).collect();
    leader.log(&many);
    let backlog = Backlog::Behind {
        learner: z(0, 1),
        up_to: z(2, 2999),
    };
    let mut chunks = 0;
    let sent = send_backlog(&leader.files, backlog, &mut |_| {
        chunks += 1;
        if chunks == 1 {
            leader.run(Job::Truncate(z(2, 3)));
        }
        Ok(())
    });
    assert!(matches!(sent, Err(BacklogError::Outdated)));
    assert_eq!(chunks, 1);
}

#[test]
fn a_hole_is_never_sent() {
    let disk = FaultyDisk::new();
    let leader = leader(&disk);
    let path = dirs().log().join("log.3");
    disk.remove(&path).unwrap();
    let backlog = |learner| Backlog::Behind {
        learner,
        up_to: z(2, 3),
    };
    for learner in [z(0, 1), z(0, 3)] {
        let nothing = bytes_of(&leader, backlog(learner));
        assert!(matches!(nothing, Err(BacklogError::NoWay(_))));
    }
    // Behind the hole all is well.
    assert_eq!(told(&leader, z(2, 1), z(2, 3)), diff(z(2, 3), &ALL[5..]));
}

#[test]
fn nothing_is_sent_beyond_what_is_there() {
    let disk = FaultyDisk::new();
    let leader = leader(&disk);
    for backlog in [
        Backlog::Snapshot { up_to: z(2, 4) },
        Backlog::Behind {
            learner: z(0, 1),
            up_to: z(2, 4),
        },
    ] {
        let mut calls = 0;
        let sent = send_backlog(&leader.files, backlog, &mut |_| {
            calls += 1;
            Ok(())
        });
        assert!(matches!(sent, Err(BacklogError::NoWay(_))) && calls == 0);
    }
}

#[test]
fn a_link_that_breaks_ends_it() {
    let disk = FaultyDisk::new();
    let leader = leader(&disk);
    for backlog in [
        Backlog::Snapshot { up_to: z(2, 3) },
        Backlog::Behind {
            learner: z(0, 1),
            up_to: z(2, 3),
        },
    ] {
        let sent = send_backlog(&leader.files, backlog, &mut |_| {
            Err(io::ErrorKind::BrokenPipe.into())
        });
        assert!(matches!(sent, Err(BacklogError::Link(_))));
    }
}

#[test]
fn the_snapshots_name_is_reported() {
    let disk = FaultyDisk::new();
    let leader = leader(&disk);
    let backlog = Backlog::Snapshot { up_to: z(2, 3) };
    let sent = send_backlog(&leader.files, backlog, &mut |_| Ok(())).unwrap();
    assert_eq!((sent.how, sent.txns), (How::Snap(z(0, 2)), 5));
}
