//! Election under faults.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex as StdMutex};

use zabra_recipes::{LeaderLatch, LeaderSelector, Names, Sessions};

use crate::support::{Scene, looks, on_one_server_and_on_three, rounds, within};

/// The terms of leaders: a token each, and whoever is refused was overtaken.
type Terms = Arc<StdMutex<u64>>;

fn begin(terms: &Terms, token: u64) -> bool {
    let mut greatest = terms.lock().unwrap();
    let is_next = token >= *greatest;
    *greatest = token.max(*greatest);
    is_next
}

on_one_server_and_on_three!(
    at_most_one_leads_and_somebody_does_after_every_fault: 3,
    selected_work_never_overlaps_under_every_fault: 3,
);

async fn at_most_one_leads_and_somebody_does_after_every_fault(mut scene: Scene) {
    let latches: Vec<LeaderLatch> = scene
        .members
        .iter()
        .enumerate()
        .map(|(n, member)| LeaderLatch::start(&member.sessions, "/leaders/latch", &n.to_string()))
        .collect();
    let terms = Terms::default();
    for _ in 0..rounds() {
        scene.strike().await;
        let leads: Vec<_> = latches.iter().map(|latch| Box::pin(latch.lead())).collect();
        let guard = within(first(leads)).await.unwrap();
        if !begin(&terms, guard.token().0) {
            within(guard.lost()).await;
        }
    }
    for latch in latches {
        within(latch.close()).await;
    }
    assert!(
        scene
            .direct()
            .await
            .children("/leaders/latch")
            .await
            .unwrap()
            .is_empty()
    );
}

/// The first of several futures that is ready.
async fn first<F: Future + Unpin>(mut futures: Vec<F>) -> F::Output {
    std::future::poll_fn(|cx| {
        let mut polled = futures
            .iter_mut()
            .map(|future| std::pin::Pin::new(future).poll(cx));
        polled
            .find(std::task::Poll::is_ready)
            .unwrap_or(std::task::Poll::Pending)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaders_take_turns_and_all_are_known() {
    let scene = Scene::new(2).await;
    let one = LeaderLatch::start(&scene.members[0].sessions, "/leaders/turns", "one");
    let guard = within(one.lead()).await.unwrap();
    let two = LeaderLatch::start_as(
        &scene.members[1].sessions,
        "/leaders/turns",
        "two",
        Names::Kazoo,
    );
    let both = async {
        let mut looks = looks();
        while one.participants().await.unwrap().len() < 2 {
            looks.tick().await;
        }
    };
    within(both).await;
    assert_eq!(two.participants().await.unwrap(), ["one", "two"]);
    assert_eq!(two.leader().await.unwrap().as_deref(), Some("one"));
    assert!(one.is_leader() && !two.is_leader());
    within(one.close()).await;
    assert!(
        !guard.is_held(),
        "a guard that was kept does not keep the leadership"
    );
    within(two.lead()).await.unwrap();
}

async fn selected_work_never_overlaps_under_every_fault(mut scene: Scene) {
    let terms = Terms::default();
    for round in 0..rounds() {
        let work = |member: usize, sessions: &Sessions| {
            let id = member.to_string();
            let selector = LeaderSelector::new(sessions, "/leaders/selector", &id, Names::Curator);
            let terms = Arc::clone(&terms);
            async move {
                let lead = async |guard: Arc<zabra_recipes::Guard>| {
                    if begin(&terms, guard.token().0) {
                        tokio::task::yield_now().await;
                        ControlFlow::Break(())
                    } else {
                        // Overtaken: this leadership is over, and the next one will do.
                        guard.lost().await;
                        ControlFlow::Continue(())
                    }
                };
                selector.run(lead).await.unwrap();
            }
        };
        scene.round(round, work).await;
    }
}
