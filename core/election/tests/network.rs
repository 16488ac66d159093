//! Whole ensembles over a simulated network: from a seed, in virtual time, without threads.

mod common;
#[path = "network/world.rs"]
mod world;

use zabra_election::{History, PeerEpoch};
use zabra_proto::Zxid;
use zabra_quorum::Sid;

use world::{Rng, World};

const SIZES: [i64; 3] = [3, 5, 7];
const SEEDS: u64 = 150;

/// A history that is not empty.
fn history(rng: &mut Rng) -> History {
    History {
        last_logged: Zxid::new(1, rng.below(4) as u32 + 1),
        epoch: PeerEpoch(rng.below(3) as i64 + 1),
    }
}

fn each_world(mut check: impl FnMut(&mut World, &mut Rng, i64)) {
    for size in SIZES {
        for seed in 0..SEEDS {
            let mut rng = Rng::new(seed);
            let mut world = World::new(size, seed ^ 0xa5a5, format!("{size} servers, seed {seed}"));
            check(&mut world, &mut rng, size);
        }
    }
}

#[test]
fn servers_that_start_together_elect_the_greatest_of_all() {
    each_world(|world, rng, size| {
        let disks: Vec<(Sid, History)> = (1..=size).map(|sid| (Sid(sid), history(rng))).collect();
        world.start_together(&disks);
        let greatest = world.greatest();
        // Two round trips of 40 ms at most, and the wait of 200 ms.
        world.run_for(500);
        assert_eq!(world.agreed(), Some(greatest), "{}", world.name);
    });
}

#[test]
fn servers_that_start_one_by_one_elect_one_that_is_the_greatest_of_a_quorum() {
    each_world(|world, rng, size| {
        for sid in 1..=size {
            world.start(Sid(sid), history(rng));
            world.run_for(rng.below(400));
        }
        world.settle();
        world.assert_first_leader_leads_a_quorum();
    });
}

#[test]
fn a_late_joiner_finds_the_leader_and_does_not_disturb_it() {
    each_world(|world, rng, size| {
        for sid in 1..size {
            world.start(Sid(sid), history(rng));
        }
        let leader = world.settle();
        world.start(Sid(size), history(rng));
        world.run_for(2_000);
        assert_eq!(world.agreed(), Some(leader), "{}", world.name);
    });
}

#[test]
fn a_minority_never_decides() {
    each_world(|world, rng, size| {
        for sid in 1..=size / 2 {
            world.start(Sid(sid), history(rng));
        }
        world.run_for(10_000);
        assert_eq!(world.decisions, 0, "{}", world.name);
    });
}

#[test]
fn when_the_leader_dies_the_others_elect_the_greatest_of_themselves() {
    each_world(|world, rng, size| {
        for sid in 1..=size {
            world.start(Sid(sid), history(rng));
        }
        let leader = world.settle();
        world.crash(leader);
        let successor = world.settle();
        assert_ne!(leader, successor, "{}", world.name);
        world.start(leader, history(rng));
        world.run_for(2_000);
        assert_eq!(world.agreed(), Some(successor), "{}", world.name);
    });
}

#[test]
fn after_any_number_of_crashes_restarts_and_cuts_there_is_one_leader() {
    // P59
    each_world(|world, rng, size| {
        for sid in 1..=size {
            world.start(Sid(sid), history(rng));
        }
        for _ in 0..12 {
            let sid = Sid(1 + rng.below(size as u64) as i64);
            let other = Sid(1 + rng.below(size as u64) as i64);
            match rng.below(4) {
                0 => world.crash(sid),
                1 => world.restart(sid),
                2 => world.cut(sid, other),
                _ => world.heal(),
            }
            world.run_for(rng.below(700));
        }
        world.heal();
        for sid in 1..=size {
            world.restart(Sid(sid));
        }
        world.settle();
    });
}

#[test]
fn a_wiped_minority_never_makes_a_leader_out_of_one_who_knows_less() {
    // P48
    each_world(|world, rng, size| {
        let wiped = size / 2;
        for sid in 1..=wiped {
            world.start(Sid(sid), History::EMPTY);
            world.run_for(rng.below(100));
        }
        for sid in wiped + 1..=size {
            world.start(Sid(sid), history(rng));
        }
        let greatest = world.greatest();
        world.settle();
        let survivors = (size - wiped) as usize;
        assert!(world.first_leader_outranks() >= survivors, "{}", world.name);
        assert_eq!(world.first_leader(), Some(greatest), "{}", world.name);
    });
}

#[test]
fn one_seed_is_one_history() {
    let run = || {
        let mut world = World::new(5, 11, "twice".to_owned());
        let mut rng = Rng::new(3);
        for sid in 1..=5 {
            world.start(Sid(sid), history(&mut rng));
        }
        world.settle();
        world.trace
    };
    assert_eq!(run(), run());
}
