//! Values: sums are exact, one of all who compare sets, what is followed never goes back and comes to the last, what is kept
//! is there in the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};

use super::{ABRUPT, LOCAL, NATURAL, Plan, Stage, a_while, each_seed};
use crate::{AtomicLong, ConfigWatcher, Error, PersistentNode, SharedCount, SharedValue};

async fn sum(stage: &mut Stage) {
    let (made, doubtful) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)));
    let mut work = Vec::new();
    for _ in 0..3 {
        let number = AtomicLong::new(stage.member(), "/sum");
        let (made, doubtful) = (Arc::clone(&made), Arc::clone(&doubtful));
        work.push(tokio::spawn(async move {
            for _ in 0..3 {
                match number.add(1).await {
                    Ok(done) => {
                        assert_eq!(done.after, done.before.unwrap_or(0) + 1);
                        made.fetch_add(1, SeqCst);
                    }
                    Err(Error::InDoubt { .. }) => drop(doubtful.fetch_add(1, SeqCst)),
                    Err(error) => panic!("{error}"),
                }
            }
        }));
    }
    stage.play(work, || ()).await;
    let ensemble = stage.lock();
    let sum = ensemble.tree.data("/sum").unwrap_or_default();
    let sum = sum.try_into().map_or(0, i64::from_be_bytes);
    let (made, doubtful) = (made.load(SeqCst), doubtful.load(SeqCst));
    assert!((made..=made + doubtful).contains(&sum), "{sum} of {made}");
    assert!(
        !stage.plan.cuts_only || doubtful == 0,
        "in doubt for nothing"
    );
}

#[test]
fn a_sum_is_exact_but_for_what_was_said_to_be_in_doubt() {
    each_seed(ABRUPT, sum);
}

#[test]
fn no_sum_is_in_doubt_while_sessions_live() {
    let plan = Plan {
        cuts_only: true,
        ..NATURAL
    };
    each_seed(plan, sum);
}

#[test]
fn one_of_all_who_compare_with_a_version_sets_it() {
    each_seed(ABRUPT, async |stage| {
        stage.lock().plant("/count", &7_i32.to_be_bytes(), 0);
        let winners = Arc::new(AtomicI64::new(0));
        let mut work = Vec::new();
        for number in 0..3 {
            let sessions = stage.member();
            let winners = Arc::clone(&winners);
            work.push(tokio::spawn(async move {
                let count = loop {
                    if let Ok(count) = SharedCount::start(&sessions, "/count", 7).await {
                        break count;
                    }
                };
                let seen = count.current().await.unwrap();
                if seen.value == 7 && matches!(count.try_set(&seen, number).await, Ok(true)) {
                    winners.fetch_add(1, SeqCst);
                }
            }));
        }
        stage.play(work, || ()).await;
        assert!(winners.load(SeqCst) <= 1, "two set it");
    });
}

/// Sets a value again and again, the last time to this.
async fn set_all(value: SharedValue, last: u32) {
    for number in 1..=last {
        a_while().await;
        while value.set(number.to_string().as_bytes()).await.is_err() {}
    }
}

/// One sets a value again and again, and others follow it.
pub(super) async fn follow(stage: &mut Stage) {
    let (writer, reader, other) = (stage.member(), stage.member(), stage.member());
    let written = async move {
        loop {
            if let Ok(value) = SharedValue::start(&writer, "/value", b"0").await {
                return set_all(value, 6).await;
            }
        }
    };
    let read = async move {
        let value = loop {
            if let Ok(value) = SharedValue::start(&reader, "/value", b"0").await {
                break value;
            }
        };
        let mut changes = value.changes();
        let mut last = 0;
        while value.current().await.unwrap().value != b"6" {
            let now = value.current().await.unwrap().stat.mzxid;
            assert!(now >= last, "it went back");
            last = now;
            changes.next().await.unwrap();
        }
    };
    let configured = async move {
        let parse = |data: &[u8]| match std::str::from_utf8(data).unwrap().parse::<u32>() {
            Ok(number) if number % 2 == 0 => Ok(number),
            _ => Err("odd"),
        };
        let config = ConfigWatcher::start(&other, "/value", parse);
        let mut last = 0;
        while last != 6 {
            let now = config.changed().await.unwrap().value;
            assert!(now >= last, "it went back");
            last = now;
        }
    };
    let work = vec![
        tokio::spawn(written),
        tokio::spawn(read),
        tokio::spawn(configured),
    ];
    stage.play(work, || ()).await;
}

#[test]
fn what_is_followed_never_goes_back_and_comes_to_the_last() {
    each_seed(ABRUPT, follow);
    each_seed(LOCAL, follow);
}

#[test]
fn a_kept_znode_is_there_in_the_end_with_what_was_set_last() {
    each_seed(ABRUPT, async |stage| {
        stage.lock().plant("/kept", b"", 0);
        let node = PersistentNode::ephemeral(stage.member(), "/kept/node", b"first");
        // Another one keeps the same: one is behind the other.
        let heir = PersistentNode::ephemeral(stage.member(), "/kept/node", b"heir");
        for data in ["second", "third"] {
            node.set_data(data.as_bytes());
            stage.play(vec![tokio::spawn(a_while())], || ()).await;
        }
        assert_eq!(stage.left("/kept").await, ["node"]);
        let data = stage.lock().tree.data("/kept/node").map(<[u8]>::to_vec);
        let data = data.unwrap();
        assert!(data == b"third" || data == b"heir", "{data:?}");
        for node in [node, heir] {
            let closed = tokio::spawn(async move { node.close().await.unwrap() });
            stage.play(vec![closed], || ()).await;
        }
        assert_eq!(stage.left("/kept").await, [""; 0]);
    });
}
