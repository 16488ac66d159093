//! Znodes that are kept, groups, services and shares of work under faults.

use std::collections::BTreeMap;
use std::time::Duration;

use zabra_client::{Client, CreateMode};
use zabra_recipes::discovery::{Discovery, DownPolicy, ServiceInstance, ServiceType, Strategy};
use zabra_recipes::{GroupMember, Partitioner, PersistentNode, TtlNode};

use crate::support::{Scene, on_one_server_and_on_three, rounds, until, within};

/// Waits until a znode holds this.
async fn holds(client: &Client, path: &str, data: &str) {
    let held = async {
        loop {
            // The connection may be lost on the way.
            let Ok((stat, watch)) = client.exists_and_watch(path).await else {
                continue;
            };
            if stat.is_some() && client.get(path).await.is_ok_and(|(found, _)| found == data) {
                return;
            }
            watch.await.unwrap();
        }
    };
    within(held).await;
}

on_one_server_and_on_three!(
    a_kept_znode_comes_back_after_every_fault_and_every_deletion: 1,
    a_znode_with_a_time_to_live_is_touched_after_every_fault: 1,
    everybody_who_lives_is_a_member_after_every_fault: 3,
    live_instances_are_found_after_every_fault: 2,
    each_piece_of_work_has_one_worker_after_every_fault: 3,
);

async fn a_kept_znode_comes_back_after_every_fault_and_every_deletion(mut scene: Scene) {
    let node = PersistentNode::ephemeral(&scene.members[0].sessions, "/nodes/kept", b"0");
    within(node.created()).await.unwrap();
    for round in 1..=rounds() {
        if scene.random.bool() {
            let client = scene.direct().await;
            // A round before may have left it missing for the moment.
            let _ = client.delete("/nodes/kept", None).await;
            client.close().await;
        }
        scene.strike().await;
        let client = scene.direct().await;
        node.set_data(round.to_string().as_bytes());
        holds(&client, "/nodes/kept", &round.to_string()).await;
        client.close().await;
    }
    within(node.close()).await.unwrap();
    assert_eq!(
        scene.direct().await.exists("/nodes/kept").await.unwrap(),
        None
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_znode_of_somebody_else_is_waited_for() {
    let scene = Scene::new(1).await;
    let other = scene.direct().await;
    other
        .create("/taken", "theirs", CreateMode::Ephemeral)
        .await
        .unwrap();
    let node = PersistentNode::ephemeral(&scene.members[0].sessions, "/taken", b"ours");
    let client = scene.direct().await;
    assert_eq!(client.get("/taken").await.unwrap().0, "theirs");
    other.close().await;
    holds(&client, "/taken", "ours").await;
    within(node.close()).await.unwrap();
}

async fn a_znode_with_a_time_to_live_is_touched_after_every_fault(mut scene: Scene) {
    let ttl = Duration::from_millis(50);
    let node = TtlNode::start(&scene.members[0].sessions, "/nodes/ttl", b"x", ttl);
    within(node.created()).await.unwrap();
    for _ in 0..rounds() {
        scene.strike().await;
        let client = scene.direct().await;
        let mut first = None;
        let touched = async {
            loop {
                match client.exists_and_watch("/nodes/ttl/touch").await {
                    Ok((Some(stat), _)) if stat.version > *first.get_or_insert(stat.version) => {
                        return;
                    }
                    Ok((_, watch)) => drop(watch.await),
                    Err(error) => assert!(error.is_retryable(), "{error}"),
                }
            }
        };
        within(touched).await;
        holds(&client, "/nodes/ttl", "x").await;
        client.close().await;
    }
}

async fn everybody_who_lives_is_a_member_after_every_fault(mut scene: Scene) {
    let mut members = Vec::new();
    for (n, member) in scene.members.iter().enumerate() {
        let member = GroupMember::join(&member.sessions, "/nodes/group", &n.to_string(), b"");
        within(member.joined()).await.unwrap();
        members.push(member);
    }
    for round in 0..rounds() {
        let (_, unlucky) = scene.strike().await;
        let word = round.to_string();
        members[unlucky].set_data(word.as_bytes());
        for member in &members {
            let are_all = |all: &BTreeMap<String, Vec<u8>>| {
                all.len() == 3 && all[&unlucky.to_string()] == word.as_bytes()
            };
            until(|| are_all(&member.members())).await;
        }
    }
    within(members.remove(0).leave()).await.unwrap();
    until(|| members[0].members().len() == 2).await;
}

async fn live_instances_are_found_after_every_fault(mut scene: Scene) {
    let publisher = Discovery::new(&scene.members[0].sessions, "/services");
    let user = Discovery::new(&scene.members[1].sessions, "/services");
    let mut instance = ServiceInstance::new("search", "one", 0);
    let registration = within(publisher.publish(&instance)).await.unwrap();
    let provider = within(user.provider("search", Strategy::Random, DownPolicy::default()))
        .await
        .unwrap();
    for round in 1..=rounds() {
        scene.strike().await;
        instance.port = Some(i32::try_from(round).unwrap());
        registration.update(&instance);
        until(|| provider.instance().as_ref() == Some(&instance)).await;
    }
    within(registration.withdraw()).await.unwrap();
    assert!(within(user.instances("search")).await.unwrap().is_empty());
    assert_eq!(within(user.services()).await.unwrap(), ["search"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_that_fail_are_left_alone_and_permanent_ones_stay() {
    let scene = Scene::new(1).await;
    let discovery = Discovery::new(&scene.members[0].sessions, "/services");
    let mut kept = Vec::new();
    for id in ["a", "b"] {
        let mut instance = ServiceInstance::new("index", id, 0);
        instance.service_type = ServiceType::Permanent;
        kept.push(discovery.publish(&instance).await.unwrap());
    }
    let provider = discovery
        .provider("index", Strategy::Sticky, DownPolicy::default())
        .await
        .unwrap();
    let first = provider.instance().unwrap();
    assert_eq!(provider.instance().unwrap().id, first.id);
    provider.note_error(&first);
    provider.note_error(&first);
    assert_ne!(provider.instance().unwrap().id, first.id);
    for registration in kept {
        registration.withdraw().await.unwrap();
    }
    assert_eq!(discovery.instances("index").await.unwrap().len(), 2);
}

async fn each_piece_of_work_has_one_worker_after_every_fault(mut scene: Scene) {
    let work: Vec<String> = (0..7).map(|n| n.to_string()).collect();
    let workers: Vec<Partitioner> = scene
        .members
        .iter()
        .enumerate()
        .map(|(n, member)| Partitioner::start(&member.sessions, "/work", &n.to_string(), &work))
        .collect();
    for _ in 0..rounds() {
        scene.strike().await;
        until(|| {
            let shares: Vec<_> = workers.iter().map(Partitioner::share).collect();
            let mut sizes: Vec<usize> = shares.iter().map(|share| share.pieces().count()).collect();
            sizes.sort_unstable();
            let pieces = shares.iter().flat_map(|share| share.pieces());
            let mut pieces: Vec<&str> = pieces.map(|(piece, _)| piece).collect();
            pieces.sort_unstable();
            sizes == [2, 2, 3] && pieces == work
        })
        .await;
    }
}
