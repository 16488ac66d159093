//! I-44: what a run of many seeds must have put to the test, for its silence to mean something.

use super::invariants::INVARIANTS;
use super::{
    p20_nothing_out_of_order, p48_disk_lost, p59_elections, p102_sweep, p127_epoch_length,
};
use super::{r1_durable_first, servers};

use crate::older::QUIRKS;
use crate::plan::COINCIDENCES;

/// What must have happened besides the premises of invariants: other properties, and situations that worlds must get into.
const BESIDES: [&str; 20] = [
    p20_nothing_out_of_order::NAME,
    p48_disk_lost::NAME,
    p59_elections::ELECTED,
    p59_elections::NO_STORM,
    super::watches::MODES,
    p102_sweep::CONTAINER,
    p102_sweep::TIMED,
    p127_epoch_length::NAME,
    r1_durable_first::ACK,
    "disk failed",
    servers::SNAPSHOT_INSTALLED,
    servers::TRUNCATION,
    "model: accept",
    "model: cut",
    "model: deliver",
    "model: establish",
    "model: follow",
    "model: lose",
    "model: propose",
    "model: recover",
];

/// Premises that must have held, each at least once.
pub fn required() -> impl Iterator<Item = &'static str> {
    let premises = INVARIANTS.iter().flat_map(|invariant| invariant.premises);
    premises
        .chain(&BESIDES)
        .chain(&QUIRKS)
        .chain(&COINCIDENCES)
        .copied()
}
