//! Numbers and values under faults.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use zabra_client::{Client, CreateMode};
use zabra_recipes::{
    AtomicInteger, AtomicLong, AtomicValue, ConfigWatcher, Error, Sessions, SharedCount,
    SharedValue,
};

use crate::support::{Scene, looks, on_one_server_and_on_three, rounds, until, within};

on_one_server_and_on_three!(
    sums_are_exact_under_every_fault: 3,
    while_sessions_live_no_sum_is_in_doubt: 0,
    one_of_all_who_compare_with_the_same_version_sets_it_under_every_fault: 3,
    a_value_is_followed_through_every_fault: 1,
    a_configuration_that_cannot_be_read_leaves_the_last_good_one: 1,
);

async fn sums_are_exact_under_every_fault(mut scene: Scene) {
    let number = |sessions: &Sessions| AtomicLong::new(sessions, "/values/sum");
    let numbers: Vec<AtomicLong> = scene.members.iter().map(|m| number(&m.sessions)).collect();
    let (made, in_doubt) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)));
    for round in 0..rounds() {
        let work = |member: usize, _: &Sessions| {
            let number = numbers[member].clone();
            let (made, in_doubt) = (Arc::clone(&made), Arc::clone(&in_doubt));
            async move {
                for _ in 0..2 {
                    match number.add(1).await {
                        Ok(done) => {
                            assert_eq!(done.after, done.before.unwrap_or(0) + 1);
                            made.fetch_add(1, Ordering::SeqCst);
                        }
                        Err(Error::InDoubt { .. }) => drop(in_doubt.fetch_add(1, Ordering::SeqCst)),
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        };
        scene.round(round, work).await;
        let (made, in_doubt) = (made.load(Ordering::SeqCst), in_doubt.load(Ordering::SeqCst));
        let sum = loop {
            match within(numbers[0].load()).await {
                Ok(sum) => break sum,
                Err(error) => assert!(error.is_end_of_session(), "{error}"),
            }
        };
        assert!(
            (made..=made + in_doubt).contains(&sum),
            "{sum} of {made} and {in_doubt} in doubt"
        );
    }
}

async fn while_sessions_live_no_sum_is_in_doubt(mut scene: Scene) {
    scene.join_lasting(2).await;
    let numbers: Vec<AtomicLong> = scene
        .members
        .iter()
        .map(|member| AtomicLong::new(&member.sessions, "/values/exact"))
        .collect();
    for round in 0..i64::from(rounds()) {
        scene.strike_lightly().await;
        let both = async { tokio::join!(numbers[0].add(1), numbers[1].add(1)) };
        let (one, two) = scene.within(both).await;
        one.unwrap();
        two.unwrap();
        assert_eq!(within(numbers[0].load()).await.unwrap(), 2 * (round + 1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_is_declined_changes_nothing() {
    let scene = Scene::new(1).await;
    let value = AtomicValue::new(&scene.members[0].sessions, "/values/declined");
    assert_eq!(value.update(|_| Ok(None)).await.unwrap(), None);
    assert_eq!(value.load().await.unwrap(), None);
    let done = value
        .update(|before| Ok(before.is_none().then(|| b"first".to_vec())))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((done.before, done.after), (None, b"first".to_vec()));
    let again = value
        .update(|before| Ok(before.is_none().then(|| b"second".to_vec())))
        .await
        .unwrap();
    assert_eq!(again, None);
    let number = AtomicLong::new(&scene.members[0].sessions, "/values/declined");
    assert!(matches!(number.load().await, Err(Error::Malformed { .. })));
    let small = AtomicInteger::new(&scene.members[0].sessions, "/values/small");
    small.add(i32::MAX).await.unwrap();
    assert_eq!(small.add(1).await.unwrap().after, i32::MIN);
    let (bytes, _) = scene.direct().await.get("/values/small").await.unwrap();
    assert_eq!(bytes, [0x80, 0, 0, 0]);
}

async fn one_of_all_who_compare_with_the_same_version_sets_it_under_every_fault(mut scene: Scene) {
    let mut counts = Vec::new();
    for member in &scene.members {
        counts.push(Arc::new(
            within(SharedCount::start(&member.sessions, "/values/count", 0))
                .await
                .unwrap(),
        ));
    }
    for round in 0..rounds() {
        let mut setters = Vec::new();
        let before = within(counts[0].current()).await.unwrap();
        for (n, count) in counts.iter().enumerate() {
            let count = Arc::clone(count);
            let (before, value) = (before.clone(), i32::try_from(n).unwrap());
            setters.push(tokio::spawn(
                async move { count.try_set(&before, value).await },
            ));
        }
        let (fault, _) = scene.strike().await;
        let mut won = 0;
        for setter in setters {
            // In doubt or on an ended session, nobody knows.
            won += u32::from(matches!(within(setter).await.unwrap(), Ok(true)));
        }
        assert!(won <= 1, "round {round}, {fault:?}");
        let seen = async {
            while counts[0].set(7).await.is_err() {}
            let mut looks = looks();
            while counts[0].current().await.unwrap().value != 7 {
                looks.tick().await;
            }
        };
        within(seen).await;
    }
}

async fn a_value_is_followed_through_every_fault(mut scene: Scene) {
    let value = within(SharedValue::start(
        &scene.members[0].sessions,
        "/values/value",
        b"seed",
    ))
    .await
    .unwrap();
    assert_eq!(value.current().await.unwrap().value, b"seed");
    let mut last = 0;
    for round in 0..rounds() {
        scene.strike().await;
        let text = round.to_string();
        let writer = scene.direct().await;
        set(&writer, "/values/value", &text).await;
        let seen = async {
            let mut looks = looks();
            loop {
                let current = value.current().await.unwrap();
                assert!(current.stat.mzxid >= last, "it went back");
                last = current.stat.mzxid;
                if current.value == text.as_bytes() {
                    return;
                }
                looks.tick().await;
            }
        };
        within(seen).await;
        writer.close().await;
    }
}

async fn a_configuration_that_cannot_be_read_leaves_the_last_good_one(mut scene: Scene) {
    let admin = scene.direct().await;
    let parse = |data: &[u8]| {
        std::str::from_utf8(data)
            .map_err(|e| e.to_string())?
            .parse::<u32>()
            .map_err(|e| e.to_string())
    };
    let config = ConfigWatcher::start(&scene.members[0].sessions, "/config", parse);
    admin
        .create("/config", "1", CreateMode::Persistent)
        .await
        .unwrap();
    assert_eq!(within(config.current()).await.unwrap().value, 1);
    admin.set("/config", "nonsense", None).await.unwrap();
    until(|| matches!(config.fault(), Some(Error::Malformed { .. }))).await;
    assert_eq!(config.current().await.unwrap().value, 1);
    for round in 0..rounds() {
        scene.strike().await;
        let admin = scene.direct().await;
        set(&admin, "/config", &(round + 2).to_string()).await;
        let seen = async { while config.changed().await.unwrap().value != round + 2 {} };
        within(seen).await;
        admin.close().await;
    }
    assert_eq!(config.fault(), None);
}

/// Sets it, as often as the connection is lost on the way.
async fn set(client: &Client, path: &str, data: &str) {
    while let Err(error) = within(client.set(path, data, None)).await {
        assert!(error.is_retryable(), "{error}");
    }
}
