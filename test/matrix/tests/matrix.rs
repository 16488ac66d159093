//! The 4,096 combinations, with each kind of damage.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use zabra_matrix::{
    Damage, ENTRIES, SERVERS, Stopped, first_lost, is_damaged, recovered, start_together,
};
use zabra_storage::StorageError;
use zabra_testkit::evidence;

const COMBINATIONS: u16 = 1 << (SERVERS * ENTRIES);

/// Runs one combination; whether there is a copy of everything.
fn run(stopped: &Stopped, combination: u16, how: Damage) -> bool {
    let disks = stopped.damaged(combination, how);
    let lost = first_lost(combination);
    for (server, found) in start_together(&disks).into_iter().enumerate() {
        match (found, lost) {
            (Ok(last), None) => {
                assert_eq!(last, stopped.entries[ENTRIES - 1].zxid);
                assert!(stopped.is_as_before(server, &disks[server]));
            }
            (Err(halted), Some(lost)) => {
                // Everything before the lost entry was found, so that is the one that is named.
                let before = lost.checked_sub(1).map(|at| stopped.entries[at].zxid);
                assert_eq!(
                    halted.lacks_behind,
                    Some(before.unwrap_or(stopped.before()))
                );
                assert!(matches!(halted.error, StorageError::Damaged { .. }));
            }
            (found, lost) => {
                panic!("{combination:012b} {how:?}, server {server}, lost {lost:?}: {found:?}")
            }
        }
    }
    lost.is_none()
}

#[test]
fn each_of_the_4096_is_mended_whole_or_stops_everybody() {
    let stopped = Stopped::make();
    let (mut mended, mut halted) = (0, 0);
    for how in [Damage::Bit, Damage::Length, Damage::Lost] {
        for combination in 0..COMBINATIONS {
            if run(&stopped, combination, how) {
                mended += 1;
            } else {
                halted += 1;
            }
        }
    }
    assert_eq!((mended, halted), (3 * 2401, 3 * 1695));
    evidence::leave(
        "matrix",
        &[
            (
                "combinations",
                format!("{COMBINATIONS} of {SERVERS} servers and {ENTRIES} entries"),
            ),
            ("kinds of damage", "bit, length, lost write".to_owned()),
            ("mended to the last byte", mended.to_string()),
            ("halted for want of a copy", halted.to_string()),
            ("wrong answers", 0.to_string()),
        ],
    );
}

#[test]
fn logs_that_end_in_the_middle_of_what_was_acknowledged_are_completed() {
    let stopped = Stopped::make();
    for cuts in 0..(ENTRIES + 1).pow(SERVERS as u32) {
        // Where each log is cut; the last number is nowhere.
        let cut = |server: usize| cuts / (ENTRIES + 1).pow(server as u32) % (ENTRIES + 1);
        let mut combination = 0;
        for server in 0..SERVERS {
            for entry in cut(server)..ENTRIES {
                combination |= 1 << (server * ENTRIES + entry);
            }
        }
        run(&stopped, combination, Damage::Cut);
    }
}

#[test]
fn alone_a_damaged_server_never_starts_with_less_than_it_had() {
    let stopped = Stopped::make();
    for how in [Damage::Bit, Damage::Length, Damage::Lost, Damage::Cut] {
        for combination in 0..1 << ENTRIES {
            let [disk, ..] = stopped.damaged(combination, how);
            match recovered(&disk) {
                Ok(found) => {
                    assert_eq!(combination, 0);
                    assert_eq!(found.last_zxid, stopped.entries[ENTRIES - 1].zxid);
                }
                Err(error) => {
                    let first = (0..ENTRIES)
                        .find(|at| is_damaged(combination, 0, *at))
                        .unwrap();
                    let text = error.to_string();
                    let place = format!("/data/version-2/{}", "log.");
                    let byte = format!("at byte {}", stopped.entries[first].from);
                    for part in [
                        &place,
                        &byte,
                        "behind zxid",
                        "restore the file from a backup",
                    ] {
                        assert!(text.contains(part), "{text}");
                    }
                }
            }
        }
    }
}

#[test]
fn mended_servers_elect_serve_and_have_lost_nothing() {
    // A spread over all that can be mended, and those in which each entry has a single copy.
    let single = [0b1100_1010_0111, 0b0111_1011_1101, 0b1110_1101_0011];
    let spread = (1..COMBINATIONS).step_by(167);
    let all = single.into_iter().chain(spread);
    let mut runs = 0;
    for combination in all.filter(|combination| first_lost(*combination).is_none()) {
        let stopped = Stopped::make();
        let disks = stopped.damaged(combination, Damage::Length);
        assert!(start_together(&disks).iter().all(Result::is_ok));
        stopped.go_on(&disks);
        runs += 1;
    }
    assert!(runs > 10, "{runs}");
}
