//! Elections: never two who lead while sessions end by time only, and somebody does in the end.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::locks::Inside;
use super::{ABRUPT, NATURAL, Stage, each_seed};
use crate::{Guard, LeaderLatch, LeaderSelector, Names, Side};

async fn latch(stage: &mut Stage) {
    let names = [Names::Curator, Names::Kazoo, Names::Curator];
    let latches = names.map(|names| LeaderLatch::start_as(stage.member(), "/latch", "", names));
    let is_strict = !stage.plan.abrupt;
    let leaders = |latches: &[LeaderLatch]| latches.iter().filter(|l| l.is_leader()).count();
    let mut latches = Vec::from(latches);
    while !latches.is_empty() {
        let check = || assert!(!is_strict || leaders(&latches) <= 1, "two lead");
        stage
            .play_until(check, || latches.iter().any(LeaderLatch::is_leader))
            .await;
        let leader = latches.iter().position(LeaderLatch::is_leader).unwrap();
        let closed = tokio::spawn(latches.remove(leader).close());
        stage.play(vec![closed], || ()).await;
    }
    assert_eq!(stage.left("/latch").await, [""; 0]);
}

#[test]
fn at_most_one_latch_leads_and_each_does_in_its_turn() {
    each_seed(NATURAL, latch);
}

#[test]
fn each_latch_leads_in_its_turn_whenever_sessions_end() {
    each_seed(ABRUPT, latch);
}

#[test]
fn selected_work_does_not_overlap_and_everybody_is_selected() {
    each_seed(NATURAL, async |stage| {
        let inside = Inside::default();
        let mut work = Vec::new();
        for _ in 0..3 {
            let selector = LeaderSelector::new(stage.member(), "/selector", "", Names::Curator);
            let inside = inside.clone();
            work.push(tokio::spawn(async move {
                let lead = async |guard: Arc<Guard>| {
                    inside.visit(Side::Write, &guard).await;
                    ControlFlow::Break(())
                };
                selector.run(lead).await.unwrap();
            }));
        }
        stage.play(work, || inside.check(NATURAL)).await;
        assert_eq!(stage.left("/selector").await, [""; 0]);
    });
}
