//! Barriers: nobody passes early, and all pass in the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use super::{ABRUPT, NATURAL, Plan, Stage, a_while, each_seed};
use crate::{Barrier, DoubleBarrier, Error};

/// Three wait for a barrier, which is put up and lifted.
pub(super) async fn stand(stage: &mut Stage) {
    // They are connected before it is put up, to servers that may not have heard of it.
    let waiters: Vec<_> = (0..3).map(|_| stage.member()).collect();
    let owner = Barrier::new(stage.member(), "/barrier");
    let set = owner.clone();
    let set = tokio::spawn(async move { while set.set().await.is_err() {} });
    stage.play(vec![set], || ()).await;
    let is_lifted = Arc::new(AtomicBool::new(false));
    let mut work = Vec::new();
    for sessions in waiters {
        let barrier = Barrier::new(sessions, "/barrier");
        let is_lifted = Arc::clone(&is_lifted);
        work.push(tokio::spawn(async move {
            barrier.wait().await.unwrap();
            assert!(is_lifted.load(SeqCst), "passed before it was lifted");
        }));
    }
    work.push(tokio::spawn(async move {
        a_while().await;
        is_lifted.store(true, SeqCst);
        while owner.lift().await.is_err() {}
    }));
    stage.play(work, || ()).await;
}

#[test]
fn nobody_passes_a_barrier_before_it_is_lifted_and_then_all_do() {
    each_seed(ABRUPT, stand);
}

/// Three members of a double barrier, and of another one.
async fn meet(stage: &mut Stage) {
    let rounds = 2;
    let there: Arc<[AtomicUsize]> = (0..rounds).map(|_| AtomicUsize::new(0)).collect();
    let leaving: Arc<[AtomicUsize]> = (0..rounds).map(|_| AtomicUsize::new(0)).collect();
    let mut work = Vec::new();
    for _ in 0..3 {
        let sessions = stage.member();
        let (there, leaving) = (Arc::clone(&there), Arc::clone(&leaving));
        work.push(tokio::spawn(async move {
            for round in 0..rounds {
                let barrier = DoubleBarrier::new(&sessions, &format!("/double-{round}"), 3);
                a_while().await;
                there[round].fetch_add(1, SeqCst);
                let entered = barrier.enter().await.unwrap();
                assert_eq!(there[round].load(SeqCst), 3, "in before all were there");
                a_while().await;
                leaving[round].fetch_add(1, SeqCst);
                entered.leave().await.unwrap();
                assert_eq!(leaving[round].load(SeqCst), 3, "out before all wanted out");
            }
        }));
    }
    stage.play(work, || ()).await;
    for round in 0..rounds {
        assert_eq!(stage.left(&format!("/double-{round}")).await, [""; 0]);
    }
}

#[test]
fn members_go_in_together_and_out_together_while_sessions_live() {
    // Connections break, and come back in time.
    let plan = Plan {
        cuts_only: true,
        ..NATURAL
    };
    each_seed(plan, meet);
}

#[test]
fn whoever_enters_leaves_whatever_becomes_of_the_others() {
    each_seed(ABRUPT, async |stage| {
        let inside = Arc::new(AtomicUsize::new(0));
        let mut work = Vec::new();
        for _ in 0..4 {
            // One more than it takes, so that some enter though one has ended.
            let barrier = DoubleBarrier::new(stage.member(), "/double", 3);
            let inside = Arc::clone(&inside);
            work.push(tokio::spawn(async move {
                let entered = tokio::select! {
                    biased;
                    entered = barrier.enter() => entered,
                    () = enough() => return,
                };
                match entered {
                    Ok(entered) => {
                        inside.fetch_add(1, SeqCst);
                        match entered.leave().await {
                            Ok(()) | Err(Error::Lost(_) | Error::Client(_)) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                    Err(Error::Lost(_) | Error::Client(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }));
        }
        stage.play(work, || ()).await;
    });
}

/// As long as a member waits for others that may never come.
async fn enough() {
    let time = super::SESSION_TIMEOUT * 20;
    drop(tokio::time::timeout(time, std::future::pending::<()>()).await);
}
