//! Members of an ensemble, as the peer decides about them (quorum 8, 9, 11, 12; pitfalls A).

mod common;

use common::cluster::{Cluster, Disk};
use common::say::{create, set};
use zabra_peer::Input;
use zabra_proto::{ErrorCode, Sid, Zxid};
use zabra_zab::{Entry, Packet};

#[test]
fn three_servers_elect_a_leader_and_serve() {
    let mut cluster = Cluster::new(3, 0);
    let leader = cluster.form();
    assert_eq!(leader, Sid(3));
    for server in cluster.servers.values() {
        assert_eq!(server.disk.epochs.current, 1);
        assert_eq!(server.disk.epochs.accepted, 1);
    }
}

/// P48: an epoch without a transaction is nothing that a wiped disk could have lost, once all voters have said so.
#[test]
fn a_new_ensemble_whose_first_leader_died_with_its_epoch_elects_again() {
    let mut cluster = Cluster::new(3, 0);
    for sid in [1, 2, 3].map(Sid) {
        cluster.kill(sid);
    }
    let epochs = |accepted, current| Disk {
        log: Vec::new(),
        epochs: zabra_zab::Epochs { accepted, current },
    };
    cluster.boot(Sid(1), epochs(1, 0));
    cluster.boot(Sid(2), epochs(1, 1));
    cluster.boot(Sid(3), epochs(0, 0));
    cluster.form();
}

/// P03, P48: a txn of an epoch stands behind all that its leader began with, also where a crash of the leader came before its
/// history was acknowledged. Ranked by the epoch before, it would be cut for a shorter history of the same epoch.
#[test]
fn a_history_that_was_not_acknowledged_counts_by_the_epoch_of_its_last_txn() {
    let mut cluster = Cluster::new(3, 0);
    let leader = cluster.form();
    let session = cluster.open(leader);
    for path in ["/a", "/b", "/c"] {
        cluster.write(leader, session, &create(path, 0));
    }
    cluster.settle();
    let [log, ..] = [1, 2, 3].map(|sid| cluster.kill(Sid(sid)).log);
    assert_eq!(log.len(), 4);
    let disk = |len: usize, current| Disk {
        log: log[..len].to_vec(),
        epochs: zabra_zab::Epochs {
            accepted: 1,
            current,
        },
    };
    cluster.boot(Sid(1), disk(4, 0));
    cluster.boot(Sid(3), disk(2, 1));
    assert_eq!(cluster.form(), Sid(1));
}

/// I-12: what came with the snapshot is on the disk, and a vote by what is known here would say less than that.
#[test]
fn a_server_does_not_vote_on_a_history_that_was_replaced_behind_its_back() {
    let mut cluster = Cluster::new(3, 0);
    cluster.kill(Sid(2));
    cluster.kill(Sid(3));
    cluster.step(Sid(1), Input::SnapshotInstalled(Zxid::new(1, 5)));
    assert!(cluster.servers[&Sid(1)].halted);
}

#[test]
fn one_voter_alone_is_a_quorum() {
    let mut cluster = Cluster::new(1, 0);
    assert_eq!(cluster.form(), Sid(1));
    let session = cluster.open(Sid(1));
    let seq = cluster.write(Sid(1), session, &create("/a", 0));
    assert_eq!(cluster.reply(Sid(1), seq), Some(ErrorCode::OK));
}

#[test]
fn a_write_at_any_server_is_applied_on_all() {
    let mut cluster = Cluster::new(3, 1);
    cluster.form();
    for sid in cluster.up() {
        let session = cluster.open(sid);
        let path = format!("/{}", sid.0);
        let seq = cluster.write(sid, session, &create(&path, 0));
        cluster.settle();
        assert_eq!(cluster.reply(sid, seq), Some(ErrorCode::OK));
        let seq = cluster.write(sid, session, &create(&path, 0));
        cluster.settle();
        assert_eq!(cluster.reply(sid, seq), Some(ErrorCode::NODE_EXISTS));
    }
    for server in cluster.servers.values() {
        assert_eq!(server.applied.len(), 12);
        assert!(server.tree.find("/4").is_some());
    }
    cluster.assert_agreement();
}

#[test]
fn a_write_without_a_quorum_is_not_answered() {
    let mut cluster = Cluster::new(3, 0);
    let leader = cluster.form();
    let session = cluster.open(leader);
    cluster.slow_disks.extend([Sid(1), Sid(2)]);
    let seq = cluster.write(leader, session, &create("/a", 0));
    cluster.settle();
    assert_eq!(cluster.reply(leader, seq), None);
    cluster.flush(Sid(1));
    cluster.settle();
    assert_eq!(cluster.reply(leader, seq), Some(ErrorCode::OK));
}

/// P28: the leader's own disk is one of the quorum's, no more and no sooner. P13: what others made durable is applied here
/// only once it is durable here.
#[test]
fn a_leader_whose_disk_is_slow_decides_with_others_and_applies_later() {
    let mut cluster = Cluster::new(3, 0);
    let leader = cluster.form();
    let session = cluster.open(leader);
    cluster.slow_disks.insert(leader);
    let seq = cluster.write(leader, session, &create("/a", 0));
    cluster.settle();
    assert!(cluster.servers[&Sid(1)].tree.find("/a").is_some());
    assert_eq!(cluster.reply(leader, seq), None);
    cluster.flush(leader);
    assert_eq!(cluster.reply(leader, seq), Some(ErrorCode::OK));
}

#[test]
fn the_others_go_on_when_the_leader_dies() {
    let mut cluster = Cluster::new(3, 0);
    let leader = cluster.form();
    let session = cluster.open(Sid(1));
    let seq = cluster.write(Sid(1), session, &create("/a", 0));
    cluster.settle();
    assert_eq!(cluster.reply(Sid(1), seq), Some(ErrorCode::OK));
    let disk = cluster.kill(leader);
    let next = cluster.form();
    assert_eq!(next, Sid(2));
    assert!(cluster.servers[&next].tree.find("/a").is_some());
    let seq = cluster.write(Sid(1), session, &create("/b", 0));
    cluster.settle();
    assert_eq!(cluster.reply(Sid(1), seq), Some(ErrorCode::OK));
    // The old leader comes back and takes what it missed.
    cluster.boot(leader, disk);
    assert_eq!(cluster.form(), next);
    assert!(cluster.servers[&leader].tree.find("/b").is_some());
    cluster.assert_agreement();
    assert_eq!(cluster.servers[&leader].disk.epochs.current, 2);
}

/// P10, P15: what only a dead leader had is taken back from its log, and never was in its tree.
#[test]
fn a_tail_that_nobody_else_has_is_cut_when_its_server_returns() {
    let mut cluster = Cluster::new(3, 0);
    let leader = cluster.form();
    let session = cluster.open(leader);
    let before = cluster.servers[&leader].disk.log.last().unwrap().zxid;
    // The proposal reaches nobody.
    let seq = cluster.write(leader, session, &create("/lost", 0));
    let disk = cluster.kill(leader);
    assert_eq!(disk.log.last().unwrap().zxid, before.next());
    let next = cluster.form();
    let session = cluster.open(next);
    let _ = seq;
    cluster.write(next, session, &create("/kept", 0));
    cluster.settle();
    cluster.boot(leader, disk);
    cluster.form();
    let returned = &cluster.servers[&leader];
    assert!(returned.tree.find("/lost").is_none());
    assert!(returned.tree.find("/kept").is_some());
    let logged: Vec<Zxid> = returned.disk.log.iter().map(|entry| entry.zxid).collect();
    assert!(!logged.contains(&before.next()));
    cluster.assert_agreement();
}

/// P10, I-41: whose log cannot be cut waits for a snapshot of the leader that asked for the cut. To the next leader's election its
/// history counts as it would after a restart, or a leader that dies meanwhile leaves nobody who could be elected.
#[test]
fn a_voter_whose_log_cannot_be_cut_has_a_voice_when_its_leader_dies() {
    let mut cluster = Cluster::new(3, 0);
    let leader = cluster.form();
    let session = cluster.open(leader);
    cluster.write(leader, session, &create("/lost", 0));
    let disk = cluster.kill(leader);
    let next = cluster.form();
    cluster.full_disks.insert(leader);
    cluster.boot(leader, disk);
    cluster.advance(5_000);
    let is_cut = |packet: &Packet| matches!(packet, Packet::Trunc(_));
    assert!(cluster.seen.iter().any(|(_, _, packet)| is_cut(packet)));
    assert!(!cluster.servers[&leader].serves);
    cluster.kill(next);
    cluster.full_disks.clear();
    cluster.form();
    cluster.assert_agreement();
}

/// I-9: with the same tail on the candidate that wins, it is decided after all.
#[test]
fn a_tail_that_the_next_leader_has_is_decided() {
    let mut cluster = Cluster::new(3, 0);
    let leader = cluster.form();
    let session = cluster.open(leader);
    cluster.write(leader, session, &create("/a", 0));
    while cluster.deliver(leader, Sid(2)) {}
    let disk = cluster.kill(leader);
    assert_eq!(cluster.form(), Sid(2));
    for server in cluster.servers.values() {
        assert!(server.tree.find("/a").is_some());
    }
    cluster.boot(leader, disk);
    cluster.form();
    cluster.assert_agreement();
}

#[test]
fn a_session_moves_to_another_server_and_its_old_one_may_do_nothing_more() {
    let mut cluster = Cluster::new(3, 0);
    let leader = cluster.form();
    let session = cluster.open(Sid(1));
    cluster.step(
        Sid(2),
        Input::ResumeSession {
            conn: common::CONN,
            session,
            timeout_ms: 10_000,
        },
    );
    cluster.settle();
    assert_eq!(cluster.servers[&Sid(2)].resumed, [(common::CONN, true)]);
    let late = cluster.write(Sid(1), session, &create("/late", 0));
    // P86: the client's numbers begin anew with its connection, and yet each answer finds its request.
    let new = cluster.write(Sid(2), session, &create("/new", 0));
    cluster.settle();
    assert_eq!(cluster.reply(Sid(1), late), Some(ErrorCode::SESSION_MOVED));
    assert_eq!(cluster.reply(Sid(2), new), Some(ErrorCode::OK));
    assert!(cluster.servers[&leader].tree.find("/late").is_none());
}

#[test]
fn a_session_that_nobody_hears_of_expires_by_the_leader_alone() {
    let mut cluster = Cluster::new(3, 0);
    let leader = cluster.form();
    let (silent, alive) = (cluster.open(Sid(1)), cluster.open(Sid(2)));
    for _ in 0..15 {
        let heard = cluster.now.mono;
        cluster.step(
            Sid(2),
            Input::Touched {
                session: alive,
                timeout_ms: 10_000,
                heard,
            },
        );
        cluster.advance(1000);
    }
    for server in cluster.servers.values() {
        assert!(!server.sessions.contains_key(&silent));
        assert!(server.sessions.contains_key(&alive));
    }
    assert_eq!(cluster.servers[&leader].peer.expired_count(), 1);
}

/// P105: a leader that was cut off cannot answer a sync.
#[test]
fn a_sync_waits_until_a_quorum_still_follows() {
    let mut cluster = Cluster::new(3, 0);
    let leader = cluster.form();
    let session = cluster.open(leader);
    let seq = cluster.sync(leader, session);
    assert_eq!(cluster.reply(leader, seq), None, "nobody was asked yet");
    cluster.settle();
    assert_eq!(cluster.reply(leader, seq), Some(ErrorCode::OK));
    let session = cluster.open(Sid(1));
    let seq = cluster.sync(Sid(1), session);
    cluster.settle();
    assert_eq!(cluster.reply(Sid(1), seq), Some(ErrorCode::OK));
}

#[test]
fn a_leader_without_its_quorum_stops_serving() {
    let mut cluster = Cluster::new(3, 0);
    let leader = cluster.form();
    cluster.kill(Sid(1));
    cluster.advance(3000);
    assert!(cluster.servers[&leader].serves);
    cluster.kill(Sid(2));
    cluster.advance(3000);
    assert!(!cluster.servers[&leader].serves);
}

#[test]
fn an_empty_server_joins_a_running_ensemble_by_snapshot() {
    let mut cluster = Cluster::new(3, 0);
    let leader = cluster.form();
    let session = cluster.open(leader);
    cluster.kill(Sid(1));
    for n in 0..20 {
        cluster.write(leader, session, &create(&format!("/{n}"), 0));
    }
    cluster.settle();
    cluster.boot(Sid(1), Disk::default());
    cluster.form();
    assert!(cluster.servers[&Sid(1)].tree.find("/19").is_some());
    cluster.write(leader, session, &set("/19", b"x", -1));
    cluster.settle();
    cluster.assert_agreement();
}

/// Quorum 19.3: between NEWLEADER and UPTODATE nothing is decided on a follower's link.
#[test]
fn decisions_wait_for_uptodate() {
    let mut cluster = Cluster::new(3, 0);
    let leader = cluster.form();
    let session = cluster.open(leader);
    let disk = cluster.kill(Sid(1));
    cluster.boot(Sid(1), disk);
    cluster.seen.clear();
    for n in 0..2000 {
        if n % 7 == 0 {
            cluster.write(leader, session, &create(&format!("/{n}"), 0));
        }
        cluster.deliver(leader, Sid(1));
        cluster.deliver(Sid(1), leader);
        cluster.deliver(leader, Sid(2));
        cluster.deliver(Sid(2), leader);
        cluster.now.mono = cluster.now.mono.after(1);
        for sid in cluster.up() {
            cluster.step(sid, Input::Tick);
        }
    }
    cluster.settle();
    let to_joiner: Vec<&Packet> = cluster
        .seen
        .iter()
        .filter(|(from, to, _)| (*from, *to) == (leader, Sid(1)))
        .map(|(_, _, packet)| packet)
        .collect();
    let at = |is: fn(&Packet) -> bool| to_joiner.iter().position(|p| is(p)).unwrap();
    let fence = at(|p| matches!(p, Packet::NewLeader { .. }));
    let open = at(|p| matches!(p, Packet::UpToDate));
    assert!(fence < open);
    assert!(
        !to_joiner[fence..open]
            .iter()
            .any(|p| matches!(p, Packet::Commit(_)))
    );
    let proposals = to_joiner.iter().filter_map(|p| match p {
        Packet::Proposal(Entry { zxid, .. }) => Some(*zxid),
        _ => None,
    });
    let proposals: Vec<Zxid> = proposals.collect();
    assert!(proposals.windows(2).all(|w| w[0].may_precede(w[1])));
    cluster.assert_agreement();
    assert!(cluster.servers[&Sid(1)].serves);
}

#[test]
fn a_planned_stop_leaves_nothing_undecided() {
    let mut cluster = Cluster::new(3, 0);
    let leader = cluster.form();
    let session = cluster.open(leader);
    let seq = cluster.write(leader, session, &create("/last", 0));
    cluster.step(leader, Input::Stop);
    assert!(!cluster.servers[&leader].stopped);
    cluster.settle();
    assert_eq!(cluster.reply(leader, seq), Some(ErrorCode::OK));
    assert!(cluster.servers[&leader].stopped);
    cluster.kill(leader);
    let before = cluster.now.mono;
    assert_eq!(cluster.form(), Sid(2));
    // Everyone has voted or is known to be gone: nothing is waited for.
    assert!(cluster.now.mono.since(before) <= 100);
}

#[test]
fn a_planned_stop_does_not_wait_for_what_is_asked_meanwhile() {
    let mut cluster = Cluster::new(3, 0);
    let leader = cluster.form();
    let session = cluster.open(leader);
    let seq = cluster.write(leader, session, &create("/begun", 0));
    cluster.step(leader, Input::Stop);
    cluster.write(leader, session, &create("/later", 0));
    let follower = *cluster.up().iter().find(|sid| **sid != leader).unwrap();
    // The first is decided while the second is on its way.
    for _ in 0..100 {
        if cluster.reply(leader, seq).is_none() {
            cluster.deliver(leader, follower);
            cluster.deliver(follower, leader);
        }
    }
    assert_eq!(cluster.reply(leader, seq), Some(ErrorCode::OK));
    assert!(cluster.servers[&leader].stopped);
}

#[test]
fn a_silent_leader_is_left_within_a_second() {
    let mut cluster = Cluster::new(3, 0);
    let leader = cluster.form();
    cluster.advance(1000);
    // It hangs: nothing comes from it, and nothing tells that it is gone.
    let hung = cluster.servers.remove(&leader).unwrap();
    cluster.down.insert(leader);
    cluster.advance(1000);
    assert_eq!(cluster.leader(), Some(Sid(2)), "{:?}", cluster.states());
    drop(hung);
}

/// P98: a sync and a later write of its session are answered in their order, whatever proves first that the leader leads.
#[test]
fn a_sync_is_answered_before_a_later_write_of_its_session() {
    for sid in [Sid(3), Sid(1)] {
        let mut cluster = Cluster::new(3, 0);
        let leader = cluster.form();
        let session = cluster.open(sid);
        let first = cluster.write(sid, session, &create("/a", 0));
        let sync = cluster.sync(sid, session);
        let second = cluster.write(sid, session, &create("/b", 0));
        // The answers to pings come last.
        for _ in 0..20 {
            while cluster.deliver(Sid(1), leader) {}
            cluster.deliver(leader, Sid(2));
            while cluster.deliver(Sid(2), leader) {}
        }
        cluster.settle();
        let order: Vec<u64> = cluster.servers[&sid].replies.iter().map(|r| r.0).collect();
        assert_eq!(order, [first, sync, second]);
    }
}

#[test]
fn a_sync_in_an_epoch_without_writes_is_answered() {
    let mut cluster = Cluster::new(3, 0);
    let leader = cluster.form();
    let session = cluster.open(Sid(1));
    cluster.kill(leader);
    let next = cluster.form();
    for sid in [next, Sid(1)] {
        let seq = cluster.sync(sid, session);
        cluster.settle();
        assert_eq!(cluster.reply(sid, seq), Some(ErrorCode::OK));
    }
}

/// P75: what a leader would answer after a long pause may be long outdated.
#[test]
fn a_leader_that_was_paused_serves_nobody_before_it_knows_that_it_still_leads() {
    let mut cluster = Cluster::new(3, 0);
    let leader = cluster.form();
    cluster.now.mono = cluster.now.mono.after(60_000);
    cluster.step(leader, Input::Woken);
    assert!(!cluster.servers[&leader].serves);
}
