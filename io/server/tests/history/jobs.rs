//! Epochs and truncation.

use zabra_proto::Zxid;
use zabra_server::history::{Job, Outcome};
use zabra_storage::SnapshotTail;
use zabra_testkit::disk::{Fault, FaultHow, FaultOn, FaultyDisk};
use zabra_zab::Epochs;

use crate::member::{Member, z};

#[test]
fn epochs_that_were_saved_are_found_again() {
    let disk = FaultyDisk::new();
    let member = Member::start(&disk);
    let epochs = Epochs {
        accepted: 4,
        current: 3,
    };
    let saved = member.run(Job::SaveEpochs(epochs));
    assert!(matches!(saved, Outcome::EpochsSaved(e) if e == epochs));
    drop(member);
    assert_eq!(Member::start(&disk).epochs, epochs);
}

#[test]
fn a_truncated_history_ends_there_and_goes_on_from_there() {
    let disk = FaultyDisk::new();
    let member = Member::start(&disk);
    member.log(&[z(0, 1), z(0, 2), z(0, 3)]);
    let before = member.files.generation();
    let done = member.run(Job::Truncate(z(0, 1)));
    assert!(matches!(done, Outcome::Truncated(to) if to == z(0, 1)));
    assert_ne!(member.files.generation(), before);
    member.log(&[z(2, 1)]);
    drop(member);
    let member = Member::start(&disk);
    assert_eq!(member.tail_zxids(), [z(0, 1), z(2, 1)]);
}

#[test]
fn a_history_that_cannot_be_cut_there_stays_as_it_is() {
    let disk = FaultyDisk::new();
    let mut member = Member::start(&disk);
    member.commit(&[z(0, 1), z(0, 2)]);
    member.snapshot(&SnapshotTail::default());
    member.log(&[z(0, 3)]);
    // P10: only a snapshot that holds the txn is left of what was before it.
    disk.put(
        &crate::member::dirs().snap().join("snapshot.0"),
        b"ZKSN".to_vec(),
    );
    for to in [z(0, 1), z(0, 9), z(1, 0)] {
        let done = member.run(Job::Truncate(to));
        assert!(matches!(done, Outcome::CannotTruncate { to: t, .. } if t == to));
    }
    // The log goes on.
    member.log(&[z(0, 4)]);
    drop(member);
    assert_eq!(Member::start(&disk).tail_zxids(), [z(0, 3), z(0, 4)]);
}

#[test]
fn a_disk_that_fails_ends_it_and_the_next_start_has_one_history_or_the_other() {
    for on in [
        FaultOn::Write,
        FaultOn::Sync,
        FaultOn::Rename,
        FaultOn::SyncDir,
    ] {
        for after in 0..6 {
            let disk = FaultyDisk::new();
            let member = Member::start(&disk);
            member.log(&[z(0, 1), z(0, 2), z(0, 3)]);
            disk.inject(Fault {
                on,
                name: "",
                after,
                times: usize::MAX,
                how: FaultHow::Io,
            });
            let done = member.run(Job::Truncate(z(0, 1)));
            disk.heal();
            drop(member);
            let found = Member::start(&disk).tail_zxids();
            match done {
                Outcome::Truncated(_) => assert_eq!(found, [z(0, 1)]),
                Outcome::Failed(_) => {
                    let is_whole = found.len() == 3 || found.len() == 1;
                    assert!(is_whole, "{on:?} {after}: {found:?}");
                }
                other => panic!("{on:?} {after}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_failure_ends_the_jobs() {
    let disk = FaultyDisk::new();
    let member = Member::start(&disk);
    disk.inject(Fault {
        on: FaultOn::Sync,
        name: "zabra-tmp-zabra-epochs",
        after: 0,
        times: 1,
        how: FaultHow::Io,
    });
    let failed = member.run(Job::SaveEpochs(Epochs::default()));
    assert!(matches!(failed, Outcome::Failed(_)));
    assert_eq!(member.replica.last_zxid(), Zxid::ZERO);
}
