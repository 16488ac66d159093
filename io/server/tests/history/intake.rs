//! From a leader's disk to a learner's.

use zabra_jute::{Encode, Limits};
use zabra_proto::Zxid;
use zabra_proto::quorum_packet::{Message, PacketReader};
use zabra_server::history::{Job, Outcome, receive_snapshot};
use zabra_storage::{IncomingError, SnapshotTail};
use zabra_testkit::disk::{Fault, FaultHow, FaultOn, FaultyDisk};
use zabra_zab::Backlog;

use crate::backlog::bytes_of;
use crate::member::{Member, entry, z};

/// A leader with the txns 0:1, 0:2 in its snapshot, and 0:3, 2:1 and 2:2 behind it.
fn leader() -> Member {
    let mut leader = Member::start(&FaultyDisk::new());
    leader.commit(&[z(0, 1), z(0, 2)]);
    leader.snapshot(&SnapshotTail::default());
    leader.commit(&[z(0, 3), z(2, 1), z(2, 2)]);
    leader
}

/// What the leader sends behind the SNAP packet, with a proposal that it has not decided.
fn sent(leader: &Member) -> Vec<u8> {
    let up_to = z(2, 2);
    let mut bytes = bytes_of(leader, Backlog::Snapshot { up_to }).unwrap();
    let mut head = Vec::new();
    Message::Snap { zxid: z(0, 2) }.encode(&mut head);
    assert!(bytes.starts_with(&head));
    bytes.drain(..head.len());
    let undecided = entry(z(2, 3));
    for message in [
        Message::Proposal {
            zxid: undecided.zxid,
            txn: &undecided.payload,
        },
        Message::NewLeader {
            zxid: z(3, 0),
            membership: None,
        },
    ] {
        message.encode(&mut bytes);
    }
    bytes
}

/// A learner with 0:1 to 0:3, and 0:4 and 1:1 that its leader never had.
fn learner(disk: &FaultyDisk) -> Member {
    let mut learner = Member::start(disk);
    learner.commit(&[z(0, 1), z(0, 2)]);
    learner.log(&[z(0, 3), z(0, 4), z(1, 1)]);
    learner
}

/// Gives a few bytes per read.
struct Drip<'a>(&'a [u8]);

impl std::io::Read for Drip<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = self.0.len().min(buf.len()).min(97);
        let (now, later) = self.0.split_at(n);
        buf[..n].copy_from_slice(now);
        self.0 = later;
        Ok(n)
    }
}

#[test]
fn a_leaders_history_becomes_the_learners() {
    let leader = leader();
    let disk = FaultyDisk::new();
    let mut learner = learner(&disk);
    let bytes = sent(&leader);
    let received = receive_snapshot(&learner.files, z(0, 2), &mut Drip(&bytes)).unwrap();
    let Outcome::Installed {
        zxid,
        replica,
        rest,
    } = learner.run(Job::Adopt(received))
    else {
        panic!("not installed");
    };
    assert_eq!((zxid, replica.last_zxid()), (z(0, 2), z(0, 2)));
    learner.replica = *replica;

    // What follows comes as packets, and is durable already.
    let mut reader = PacketReader::new(Limits::DEFAULT);
    reader.push(&rest);
    let mut proposed = Vec::new();
    while let Some(packet) = reader.next_packet().unwrap() {
        if let Message::Proposal { zxid, .. } = packet.message().unwrap() {
            proposed.push(zxid);
        }
    }
    assert_eq!(proposed, [z(0, 3), z(2, 1), z(2, 2), z(2, 3)]);
    let before = disk.operations();
    learner.log(&proposed);
    assert_eq!(disk.operations(), before);
    learner.apply(&proposed[..3]);
    assert_eq!(learner.replica.tree.digest(), leader.replica.tree.digest());
    learner.log(&[z(2, 4)]);
    drop(learner);

    let again = Member::start(&disk);
    assert_eq!(again.replica.last_zxid(), z(0, 2));
    assert_eq!(
        again.tail_zxids(),
        [z(0, 3), z(2, 1), z(2, 2), z(2, 3), z(2, 4)]
    );
    assert!(again.has(z(0, 2)) && !again.has(z(0, 3)));
}

#[test]
fn a_server_that_has_nothing_gets_everything() {
    let leader = leader();
    let disk = FaultyDisk::new();
    let fresh = Member::start(&disk);
    let bytes = sent(&leader);
    let received = receive_snapshot(&fresh.files, z(0, 2), &mut &bytes[..]).unwrap();
    let done = fresh.run(Job::Adopt(received));
    assert!(matches!(done, Outcome::Installed { .. }));
    drop(fresh);
    assert_eq!(Member::start(&disk).tail_zxids().len(), 4);
}

/// P11, P12: the memory of a learner whose leader goes away in the midst of it is what its disk says.
#[test]
fn a_link_that_breaks_anywhere_leaves_the_learner_as_it_was() {
    let leader = leader();
    let bytes = sent(&leader);
    let disk = FaultyDisk::new();
    let learner = learner(&disk);
    let before = disk.files();
    for cut in (0..bytes.len()).step_by(23) {
        let broken = receive_snapshot(&learner.files, z(0, 2), &mut &bytes[..cut]);
        assert!(
            matches!(broken, Err(IncomingError::Link(_))),
            "cut at {cut}"
        );
        assert!(disk.files() == before, "cut at {cut}");
    }
    let whole = receive_snapshot(&learner.files, z(0, 2), &mut &bytes[..]);
    assert_eq!(whole.unwrap().zxid(), z(0, 2));
    assert!(disk.files() == before, "it was dropped, not adopted");
    drop(learner);
    assert_eq!(Member::start(&disk).tail_zxids().len(), 5);
}

#[test]
fn a_snapshot_that_is_no_tree_is_refused() {
    let disk = FaultyDisk::new();
    let learner = learner(&disk);
    let before = disk.files();
    let znode = |path: &str| {
        let mut bytes = Vec::new();
        path.encode(&mut bytes);
        bytes.extend_from_slice(&[0; 4 + 68]);
        bytes
    };
    let orphan = [vec![0; 8], znode(""), znode("/a/b")].concat();
    let twice = [vec![0; 8], znode(""), znode("/a"), znode("/a")].concat();
    let rootless = [vec![0; 8], znode("/a")].concat();
    for bytes in [orphan, twice, rootless] {
        let refused = receive_snapshot(&learner.files, z(0, 2), &mut &bytes[..]);
        assert!(matches!(refused, Err(IncomingError::Stream(_))));
    }
    let mut empty = [vec![0; 8], b"\0\0\0\x01/\0\0\0\x0aBenWasHere".to_vec()].concat();
    Message::NewLeader {
        zxid: z(3, 0),
        membership: None,
    }
    .encode(&mut empty);
    let refused = receive_snapshot(&learner.files, z(0, 2), &mut &empty[..]);
    assert!(matches!(refused, Err(IncomingError::Refused(_))));
    assert!(disk.files() == before);
}

#[test]
fn a_disk_that_fails_during_the_adoption_leaves_one_history_or_the_other() {
    let leader = leader();
    let bytes = sent(&leader);
    let all = [
        FaultOn::Write,
        FaultOn::Sync,
        FaultOn::Rename,
        FaultOn::SyncDir,
        FaultOn::Remove,
    ];
    for on in all {
        for after in 0..5 {
            let disk = FaultyDisk::new();
            let learner = learner(&disk);
            let received = receive_snapshot(&learner.files, z(0, 2), &mut &bytes[..]).unwrap();
            disk.inject(Fault {
                on,
                name: "",
                after,
                times: usize::MAX,
                how: FaultHow::Io,
            });
            let done = learner.run(Job::Adopt(received));
            disk.heal();
            drop(learner);
            let found = Member::start(&disk).tail_zxids();
            let old: &[Zxid] = &[z(0, 1), z(0, 2), z(0, 3), z(0, 4), z(1, 1)];
            let new: &[Zxid] = &[z(0, 3), z(2, 1), z(2, 2), z(2, 3)];
            match done {
                Outcome::Installed { .. } => assert_eq!(found, new),
                Outcome::Failed(_) => {
                    assert!(found == old || found == new, "{on:?} {after}: {found:?}");
                }
                other => panic!("{on:?} {after}: {other:?}"),
            }
        }
    }
}
