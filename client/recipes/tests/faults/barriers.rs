//! Barriers under faults.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use zabra_recipes::{Barrier, DoubleBarrier};

use crate::support::{Scene, on_one_server_and_on_three, rounds, within};

on_one_server_and_on_three!(
    nobody_passes_before_it_is_lifted_and_then_all_do_under_every_fault: 3,
    all_go_in_together_and_out_together_while_sessions_live: 0,
    whoever_is_inside_gets_out_under_every_fault: 3,
);

async fn nobody_passes_before_it_is_lifted_and_then_all_do_under_every_fault(mut scene: Scene) {
    for round in 0..rounds() {
        let owner = Barrier::new(scene.direct().await, "/barriers/one");
        scene.within(owner.set()).await.unwrap();
        let passed = Arc::new(AtomicUsize::new(0));
        let mut waiting = Vec::new();
        for member in &scene.members {
            let barrier = Barrier::new(&member.sessions, "/barriers/one");
            let passed = Arc::clone(&passed);
            waiting.push(tokio::spawn(async move {
                barrier.wait().await.unwrap();
                passed.fetch_add(1, Ordering::SeqCst);
            }));
        }
        let (fault, _) = scene.strike().await;
        assert_eq!(passed.load(Ordering::SeqCst), 0, "round {round}, {fault:?}");
        scene.within(owner.lift()).await.unwrap();
        for waiting in waiting {
            scene.within(waiting).await.unwrap();
        }
    }
}

async fn all_go_in_together_and_out_together_while_sessions_live(mut scene: Scene) {
    scene.join_lasting(3).await;
    for round in 0..rounds() {
        let path = format!("/barriers/double-{}", round % 3);
        let (there, leaving) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut members = Vec::new();
        for member in &scene.members {
            let barrier = DoubleBarrier::new(&member.sessions, &path, 3);
            let (there, leaving) = (Arc::clone(&there), Arc::clone(&leaving));
            members.push(tokio::spawn(async move {
                there.fetch_add(1, Ordering::SeqCst);
                let entered = barrier.enter().await.unwrap();
                assert_eq!(there.load(Ordering::SeqCst), 3, "in before all were there");
                leaving.fetch_add(1, Ordering::SeqCst);
                entered.leave().await.unwrap();
                assert_eq!(
                    leaving.load(Ordering::SeqCst),
                    3,
                    "out before all wanted out"
                );
            }));
        }
        // Whose session ends is not waited for, so nobody's does.
        let fault = scene.strike_lightly().await;
        for member in members {
            let end = scene.within(member).await;
            end.unwrap_or_else(|error| panic!("round {round}, {fault:?}: {error}"));
        }
    }
}

async fn whoever_is_inside_gets_out_under_every_fault(mut scene: Scene) {
    for round in 0..rounds() {
        let path = format!("/barriers/out-{round}");
        let mut inside = Vec::new();
        for member in &scene.members {
            let barrier = DoubleBarrier::new(&member.sessions, &path, 3);
            inside.push(tokio::spawn(async move {
                loop {
                    // A session that ended in the round before is found out about here.
                    match barrier.enter().await {
                        Ok(entered) => return entered,
                        Err(error) => assert!(error.is_end_of_session(), "{error}"),
                    }
                }
            }));
        }
        let mut leaving = Vec::new();
        for entered in inside {
            leaving.push(scene.within(entered).await.unwrap().leave());
        }
        let leaving: Vec<_> = leaving.into_iter().map(tokio::spawn).collect();
        let (fault, _) = scene.strike().await;
        for left in leaving {
            // Out, or told that it was out already.
            if let Err(error) = scene.within(left).await.unwrap() {
                assert!(
                    error.is_end_of_session(),
                    "round {round}, {fault:?}: {error}"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_dies_is_not_waited_for_on_the_way_out() {
    let scene = Scene::new(2).await;
    let barrier = |n: usize| DoubleBarrier::new(&scene.members[n].sessions, "/barriers/dies", 2);
    let (one, two) = (barrier(0), barrier(1));
    let (one, two) = within(async { tokio::join!(one.enter(), two.enter()) }).await;
    scene.expire(1).await;
    within(one.unwrap().leave()).await.unwrap();
    drop(two);
    let alone = barrier(0);
    tokio::select! {
        biased;
        _ = alone.enter() => panic!("one of two is not enough"),
        () = tokio::task::yield_now() => {}
    }
}
