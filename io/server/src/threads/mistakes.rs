//! The claims see what they are for: each known mistake, planted, fails one.

use zabra_testkit::evidence;

use super::orders::hunt;
use super::{handover, history, inbox, server, snapshots};
use crate::sync::Slip;

/// A mistake, and the claim that does not hold with it.
const MISTAKES: [(Slip, fn()); 14] = [
    (Slip::SeatKept, server::a_hanging_flush),
    (Slip::WakeForgotten, inbox::letters_of_three_threads),
    (Slip::WakeNotedLate, inbox::letters_of_three_threads),
    (Slip::ToldTooEarly, server::batches_that_are_handed_on),
    (Slip::TwoFlushers, server::small_flushes_of_much),
    (Slip::ReportForgotten, server::batches_that_are_handed_on),
    (Slip::BellForgotten, server::batches_that_are_handed_on),
    (Slip::ReportLeft, server::batches_of_both_kinds),
    (Slip::BatchSleptOver, server::batches_that_are_handed_on),
    (Slip::StandbyForgotten, handover::one_seat),
    (Slip::WorkerForgotten, server::jobs_beside_writes),
    (Slip::ReplicaHeld, server::snapshots_beside_writes),
    (Slip::ReplacedUnseen, snapshots::a_tree_that_is_replaced),
    (Slip::CutUnseen, history::a_history_that_is_cut),
];

/// The mistake with this name.
pub(super) fn named(name: &str) -> Slip {
    let mut all = MISTAKES.iter().map(|(slip, _)| *slip);
    let slip = all.find(|slip| format!("{slip:?}") == name);
    slip.unwrap_or_else(|| panic!("no mistake is called {name}"))
}

#[test]
fn each_known_mistake_is_seen() {
    let seen = MISTAKES.map(|(slip, claim)| (format!("{slip:?}"), hunt(slip, claim)));
    let figure = |orders: Option<usize>| orders.map_or("not seen".to_owned(), |n| n.to_string());
    let figures = seen
        .iter()
        .map(|(name, orders)| (name.as_str(), figure(*orders)));
    evidence::leave("threads-mistakes", &figures.collect::<Vec<_>>());
    let unseen: Vec<_> = seen.iter().filter(|(_, orders)| orders.is_none()).collect();
    assert!(unseen.is_empty(), "not seen: {unseen:?}");
}
