//! Members whose logs are damaged, and what the others give them. Every combination of damage is enumerated without
//! sockets, in `test/matrix`.

use std::path::{Path, PathBuf};

use zabra_storage::{RealVfs, SegmentReader};

use super::members::Ensemble;
use super::{create, until_it_has};

const ZNODES: usize = 12;

/// Three servers with znodes, stopped.
fn stopped() -> Ensemble {
    let mut ensemble = Ensemble::started(3, "");
    let mut client = ensemble.client(1);
    for n in 0..ZNODES {
        create(&mut client, &format!("/{n}"));
    }
    (1..=3).for_each(|sid| until_it_has(&ensemble, sid, &format!("/{}", ZNODES - 1)));
    (1..=3).for_each(|sid| ensemble.stop(sid));
    ensemble
}

/// The newest log of a server.
fn newest_log(ensemble: &Ensemble, sid: usize) -> PathBuf {
    let files = std::fs::read_dir(ensemble.logs(sid)).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let is_log = |path: &PathBuf| {
        path.file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with("log.")
    };
    paths.filter(is_log).max().unwrap()
}

/// Damages the record so many before the last one; its zxid, and what the file was before.
fn damage(log: &Path, before_last: usize) -> (u64, Vec<u8>) {
    let mut reader = SegmentReader::open(&RealVfs, log, 1 << 20).unwrap();
    let mut records = Vec::new();
    while reader.advance().unwrap() {
        let record = reader.record().unwrap();
        records.push((record.zxid.0, record.offset as usize));
    }
    let (zxid, offset) = records[records.len() - 1 - before_last];
    let good = std::fs::read(log).unwrap();
    let mut bad = good.clone();
    bad[offset + 20] ^= 1;
    std::fs::write(log, bad).unwrap();
    (zxid, good)
}

#[test]
fn a_member_with_a_damaged_log_is_mended_by_the_others_and_takes_part() {
    let mut ensemble = stopped();
    let log = newest_log(&ensemble, 2);
    let (_, good) = damage(&log, 4);
    ensemble.start(1);
    ensemble.start(3);
    ensemble.until_in_step();
    ensemble.start(2);
    let mended = std::fs::read(&log).unwrap();
    let all_but_padding = good.iter().rposition(|byte| *byte != 0).unwrap();
    assert_eq!(mended[..=all_but_padding], good[..=all_but_padding]);
    let leader = ensemble.until_in_step();
    // It counts: without one of the others it is one of the two who decide.
    let other = [1, 3].into_iter().find(|sid| *sid != leader).unwrap();
    ensemble.stop(other);
    create(&mut ensemble.client(2), "/by-the-mended");
    for n in 0..ZNODES {
        until_it_has(&ensemble, 2, &format!("/{n}"));
    }
    ensemble.stop_all();
}

#[test]
fn an_ensemble_in_which_every_log_is_damaged_elsewhere_becomes_whole() {
    let mut ensemble = stopped();
    for (sid, place) in [(1, 1), (2, 5), (3, 9)] {
        damage(&newest_log(&ensemble, sid), place);
    }
    let errors = ensemble.try_start_together();
    assert!(errors.is_empty(), "{errors:?}");
    ensemble.until_in_step();
    for sid in 1..=3 {
        (0..ZNODES).for_each(|n| until_it_has(&ensemble, sid, &format!("/{n}")));
    }
    ensemble.stop_all();
}

#[test]
fn nobody_starts_without_what_is_damaged_everywhere_and_each_says_what_that_is() {
    let mut ensemble = stopped();
    for sid in 1..=3 {
        damage(&newest_log(&ensemble, sid), 3);
    }
    let errors = ensemble.try_start_together();
    assert_eq!(errors.len(), 3, "{errors:?}");
    for error in errors {
        let text = error.to_string();
        for part in [
            "log.",
            "is damaged at byte",
            "behind zxid",
            "was asked for in vain",
            "server ",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
}
