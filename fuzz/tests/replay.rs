//! The seeds of every target, on the stable compiler.
//!
//! Besides the seeds themselves each target gets every prefix of them, every byte of them flipped in one bit, and
//! lengths that lie: cheap, the same on every run, and enough to keep a finding found.

use std::fs;
use std::path::Path;

use zabra_fuzz::{TARGETS, Target};

/// Values that lengths and counts like to be wrong by.
const LIES: [i32; 6] = [-1, i32::MIN, i32::MAX, 0x00ff_ffff, 0x7fff_0000, 1];

/// The seeds of a target, in the order of their names.
fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("seeds")
        .join(name);
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
        .into_iter()
        .map(|file| fs::read(file).unwrap())
        .collect()
}

/// Each target with each of its seeds.
fn for_each_seed(check: fn(Target, &[u8])) {
    for target in TARGETS {
        let seeds = seeds(target.0);
        assert!(!seeds.is_empty(), "{} has no seeds", target.0);
        for seed in seeds {
            check(*target, &seed);
        }
    }
}

/// Runs a target, and prints its input if it panics.
fn run((name, run): Target, bytes: &[u8]) {
    let witness = Witness { name, bytes };
    run(bytes);
    drop(witness);
}

/// What was run when a panic unwinds.
struct Witness<'a> {
    name: &'a str,
    bytes: &'a [u8],
}

impl Drop for Witness<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let hex: String = self
                .bytes
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            eprintln!("target {}, input {hex}", self.name);
        }
    }
}

#[test]
fn the_seeds_pass() {
    for_each_seed(run);
}

#[test]
fn every_prefix_of_a_seed_passes() {
    for_each_seed(|target, seed| {
        for end in 0..seed.len() {
            run(target, &seed[..end]);
        }
    });
}

#[test]
fn every_flipped_byte_of_a_seed_passes() {
    for_each_seed(|target, seed| {
        let mut damaged = seed.to_vec();
        for index in 0..damaged.len() {
            for bit in [0x01, 0x80] {
                damaged[index] ^= bit;
                run(target, &damaged);
                damaged[index] ^= bit;
            }
        }
    });
}

#[test]
fn every_lie_about_a_length_passes() {
    for_each_seed(|target, seed| {
        for start in 0..seed.len().saturating_sub(3) {
            for lie in LIES {
                let mut damaged = seed.to_vec();
                damaged[start..start + 4].copy_from_slice(&lie.to_be_bytes());
                run(target, &damaged);
            }
        }
    });
}

#[test]
fn every_target_is_replayed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("targets");
    let mut files: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    files.sort();
    let mut names: Vec<String> = TARGETS
        .iter()
        .map(|(name, _): &Target| (*name).to_owned())
        .collect();
    names.sort();
    assert_eq!(files, names);
}
