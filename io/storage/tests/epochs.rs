//! Epochs never fall, over crashes and visits of Apache's server too (I-11).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::dirs;
use zabra_proto::Zxid;
use zabra_storage::{Epochs, Vfs};
use zabra_testkit::disk::{FaultyDisk, Subsets};

fn disk_with(files: &[(&str, &str)]) -> FaultyDisk {
    let disk = FaultyDisk::new();
    disk.create_dir_all(dirs().snap()).unwrap();
    for (name, text) in files {
        disk.put(&dirs().snap().join(name), text.as_bytes().to_vec());
    }
    disk
}

fn load(disk: &FaultyDisk, last: Zxid) -> Result<(u32, u32), String> {
    Epochs::load(disk, &dirs(), last)
        .map(|e| (e.accepted, e.current))
        .map_err(|e| e.to_string())
}

#[test]
fn missing_files_take_the_epoch_of_the_history() {
    assert_eq!(load(&disk_with(&[]), Zxid::new(3, 9)), Ok((3, 3)));
    assert_eq!(
        load(&disk_with(&[("currentEpoch", "5")]), Zxid::new(3, 9)),
        Ok((5, 5))
    );
}

/// A learner that crashed between a history and its epoch goes by the history, and its leader may have that cut.
#[test]
fn an_epoch_that_only_the_history_says_is_durable_before_anything_is_built_on_it() {
    let disk = disk_with(&[("acceptedEpoch", "15"), ("currentEpoch", "10")]);
    let restored = Epochs::restore(&disk, &dirs(), Zxid::new(15, 2)).unwrap();
    assert_eq!((restored.accepted, restored.current), (15, 15));
    assert_eq!(load(&disk, Zxid::new(10, 51)), Ok((15, 15)));
    let before = disk.operations();
    Epochs::restore(&disk, &dirs(), Zxid::new(15, 2)).unwrap();
    assert_eq!(
        disk.operations(),
        before,
        "what the disk says is not written again"
    );
}

#[test]
fn contradictions_refuse_the_start() {
    let never_promised = disk_with(&[("acceptedEpoch", "2"), ("currentEpoch", "2")]);
    assert!(
        load(&never_promised, Zxid::new(3, 1))
            .unwrap_err()
            .contains("epoch 3")
    );
    let promised_less = disk_with(&[("acceptedEpoch", "1"), ("currentEpoch", "2")]);
    assert!(
        load(&promised_less, Zxid::new(2, 1))
            .unwrap_err()
            .contains("less than currentEpoch")
    );
    assert!(
        load(&disk_with(&[("currentEpoch", "x")]), Zxid::ZERO)
            .unwrap_err()
            .contains("currentEpoch")
    );
    assert!(
        load(&disk_with(&[("zabra-epochs", "x")]), Zxid::ZERO)
            .unwrap_err()
            .contains("zabra-epochs")
    );
}

/// P04: Apache's server does not start here until somebody edits its files.
#[test]
fn a_history_that_is_ahead_of_its_promised_epoch_decides() {
    let behind = disk_with(&[("acceptedEpoch", "4"), ("currentEpoch", "2")]);
    assert_eq!(load(&behind, Zxid::new(3, 1)), Ok((4, 3)));
    assert_eq!(load(&behind, Zxid::new(4, 0)), Ok((4, 4)));
    assert_eq!(load(&behind, Zxid::new(2, 7)), Ok((4, 2)));
}

#[test]
fn an_interrupted_write_of_apaches_server_is_finished() {
    let disk = disk_with(&[
        ("acceptedEpoch", "3"),
        ("currentEpoch", "2"),
        ("currentEpoch.tmp", "3"),
    ]);
    assert_eq!(load(&disk, Zxid::new(3, 1)), Ok((3, 3)));
}

#[test]
fn the_higher_of_record_and_file_counts() {
    let disk = disk_with(&[]);
    Epochs {
        accepted: 7,
        current: 6,
    }
    .store(&disk, &dirs())
    .unwrap();
    assert_eq!(load(&disk, Zxid::new(6, 1)), Ok((7, 6)));
    // Apache's server ran, knowing nothing of the record.
    disk.put(&dirs().snap().join("acceptedEpoch"), b"9".to_vec());
    disk.put(&dirs().snap().join("currentEpoch"), b"9".to_vec());
    assert_eq!(load(&disk, Zxid::new(9, 1)), Ok((9, 9)));
    // Its files were lost.
    disk.put(&dirs().snap().join("acceptedEpoch"), b"1".to_vec());
    disk.put(&dirs().snap().join("currentEpoch"), b"1".to_vec());
    assert_eq!(load(&disk, Zxid::new(6, 1)), Ok((7, 6)));
}

#[test]
fn no_power_cut_makes_an_epoch_fall() {
    let disk = disk_with(&[]);
    let mut stored = vec![(0, (0, 0))];
    for (accepted, current) in [(1, 0), (1, 1), (2, 1), (5, 1), (5, 5), (6, 6)] {
        Epochs { accepted, current }.store(&disk, &dirs()).unwrap();
        stored.push((disk.operations(), (accepted, current)));
    }
    for cut in 0..=disk.operations() {
        let promised = stored.iter().rev().find(|(at, _)| *at <= cut).unwrap().1;
        for image in disk.crash_images(
            cut,
            &Subsets {
                single: 8,
                random: 8,
                seed: 1,
            },
        ) {
            let (accepted, current) = load(&image, Zxid::ZERO).unwrap();
            assert!(
                accepted >= promised.0 && current >= promised.1 && current <= accepted,
                "cut {cut}"
            );
            // Apache's own files agree with each other, too.
            image.remove(&dirs().snap().join("zabra-epochs")).ok();
            load(&image, Zxid::ZERO).unwrap();
        }
    }
}
