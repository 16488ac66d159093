//! Work that is spread: no piece has two workers at a time, and in the end each has one and the loads differ by one.

use super::{ABRUPT, NATURAL, Stage, a_while, each_seed};
use crate::Partitioner;
use crate::sessions::Sessions;

const WORK: [&str; 5] = ["a", "b", "c", "d", "e"];

/// The pieces that somebody believes to hold, sorted, and how many each holds, sorted.
fn held(workers: &[Partitioner]) -> (Vec<String>, Vec<usize>) {
    let shares: Vec<_> = workers.iter().map(Partitioner::share).collect();
    let mut loads: Vec<usize> = shares.iter().map(|share| share.pieces().count()).collect();
    let pieces = shares.iter().flat_map(|share| share.pieces());
    let mut pieces: Vec<String> = pieces.map(|(piece, _)| piece.to_owned()).collect();
    loads.sort_unstable();
    pieces.sort_unstable();
    (pieces, loads)
}

/// Three share five pieces, then one of them dies.
pub(super) async fn spread(stage: &mut Stage) {
    let work = WORK.map(str::to_owned);
    let programs: Vec<Sessions> = (0..3).map(|_| stage.member()).collect();
    let start = |(id, program)| Partitioner::start(program, "/work", &format!("{id}"), &work);
    let mut workers: Vec<Partitioner> = programs.iter().enumerate().map(start).collect();
    let is_strict = !stage.plan.abrupt;
    let check = |workers: &[Partitioner]| {
        let (mut pieces, _) = held(workers);
        let count = pieces.len();
        pieces.dedup();
        assert!(!is_strict || pieces.len() == count, "two hold a piece");
    };
    let time_passes = tokio::spawn(async {
        for _ in 0..8 {
            a_while().await;
        }
    });
    stage.play(vec![time_passes], || check(&workers)).await;
    let all = WORK.map(str::to_owned).to_vec();
    let is_spread =
        |workers: &[Partitioner], loads: &[usize]| held(workers) == (all.clone(), loads.to_vec());
    let faults = stage.faults;
    stage.left("/work").await;
    assert!(is_spread(&workers, &[1, 2, 2]), "{:?}", held(&workers));
    stage.faults = faults.max(stage.plan.faults / 2);
    drop(workers.pop());
    stage.dies(&programs[2]).await;
    let is_settled = || is_spread(&workers, &[2, 3]);
    stage.play_until(|| check(&workers), is_settled).await;
    stage.left("/work").await;
    assert!(is_spread(&workers, &[2, 3]), "{:?}", held(&workers));
}

#[test]
fn no_piece_has_two_workers_and_in_the_end_each_has_one() {
    each_seed(NATURAL, spread);
}

#[test]
fn each_piece_has_a_worker_in_the_end_whenever_sessions_end() {
    each_seed(ABRUPT, spread);
}
