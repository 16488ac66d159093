//! Znodes that are kept for others: members of groups are known while they live, and a time to live is that of its keeper.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::ensemble::Link;
use super::{ABRUPT, NATURAL, SESSION_TIMEOUT, Stage, a_while, each_seed};
use crate::sessions::Sessions;
use crate::{GroupMember, TtlNode};

/// Three join a group; then one leaves and another dies.
pub(super) async fn gather(stage: &mut Stage, join: impl Fn(&Sessions, &str) -> GroupMember) {
    let programs: Vec<Sessions> = (0..3).map(|_| stage.member()).collect();
    let joined = programs.iter().zip(["stays", "leaves", "dies"]);
    let mut members: Vec<GroupMember> = joined.map(|(program, id)| join(program, id)).collect();
    for data in ["1", "2"] {
        members
            .iter()
            .for_each(|member| member.set_data(data.as_bytes()));
        stage.play(vec![tokio::spawn(a_while())], || ()).await;
    }
    let faults = stage.faults;
    stage.left("/group").await;
    let all = ["stays", "leaves", "dies"].map(|id| (id.to_owned(), b"2".to_vec()));
    for member in &members {
        assert_eq!(member.members(), BTreeMap::from(all.clone()));
    }
    stage.faults = faults.max(stage.plan.faults / 2);
    drop(members.pop());
    stage.dies(&programs[2]).await;
    let leaver = members.pop().unwrap();
    let left = tokio::spawn(async move { leaver.leave().await.unwrap() });
    stage.play(vec![left], || ()).await;
    assert_eq!(stage.left("/group").await, ["stays"]);
    let known = members[0].members();
    assert_eq!(known.into_keys().collect::<Vec<_>>(), ["stays"]);
}

#[test]
fn whoever_lives_is_known_to_all_members_and_nobody_else_is() {
    let join = |sessions: &Sessions, id: &str| GroupMember::join(sessions, "/group", id, b"");
    for plan in [NATURAL, ABRUPT] {
        each_seed(plan, async |stage| gather(stage, join).await);
    }
}

/// A znode with a time to live and its keeper, whose connections break; then the keeper is gone.
pub(super) async fn outlive(stage: &mut Stage, touched_every: Duration) {
    stage.lock().ttl = TTL;
    let node = TtlNode::touched_every(touched_every, stage.member(), "/ttl", b"first", TTL);
    let ensemble = Arc::clone(&stage.ensemble);
    let is_there = || ensemble.lock().unwrap().tree.stat("/ttl").is_some();
    stage.play_until(|| (), is_there).await;
    let mut was_there = true;
    let (mut up_since, mut touchable) = (Instant::now(), Instant::now());
    let check = || {
        let is_up = |link: Link| link == Link::Up;
        if !ensemble
            .lock()
            .unwrap()
            .lines()
            .any(|line| is_up(line.link))
        {
            up_since = Instant::now();
        } else if up_since.elapsed() > SLACK {
            touchable = Instant::now();
        }
        let is_gone = was_there && !is_there();
        let early = touchable.elapsed() + SLACK < TTL / 2;
        assert!(!is_gone || !early, "it went while its keeper was there");
        was_there = is_there();
    };
    node.set_data(b"last");
    let time_passes = tokio::spawn(async {
        for _ in 0..16 {
            a_while().await;
        }
    });
    stage.play(vec![time_passes], check).await;
    stage.faults = 0;
    let quiet = tokio::spawn(tokio::time::timeout(TTL * 3, std::future::pending::<()>()));
    stage.play_until(|| (), || quiet.is_finished()).await;
    let data = stage.lock().tree.data("/ttl").map(<[u8]>::to_vec);
    assert_eq!(data.as_deref(), Some(b"last".as_slice()));
    drop(node);
    let begin = Instant::now();
    stage.play_until(|| (), || !is_there()).await;
    assert!(begin.elapsed() <= TTL * 2, "it stayed");
}

/// Longer than some faults, shorter than others.
pub(super) const TTL: Duration = SESSION_TIMEOUT.saturating_mul(3);
/// How long a request and its answer may take.
const SLACK: Duration = Duration::from_millis(20);

#[test]
fn a_znode_with_a_time_to_live_stays_while_its_keeper_is_there_and_goes_with_it() {
    for plan in [NATURAL, ABRUPT] {
        each_seed(plan, async |stage| outlive(stage, TTL / 2).await);
    }
}
