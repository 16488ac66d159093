//! A session's life as a script: what goes in, what must come out.

use zabra_cnxn::{
    Action, After, CallError, CnxnOptions, Credentials, LinkError, Output, Removal, ResumedSession,
    SessionState, WatchKind,
};
use zabra_jute::{Decode, Reader};
use zabra_proto::client::{SetWatches, SetWatches2};
use zabra_proto::{ErrorCode, EventKind, OpCode, RemoveWatchesKind, SessionId, Xid, Zxid};

use crate::scene::{SESSION, Scene, TIMEOUT_MS, frame, greeting, options};

#[test]
fn a_new_session_asks_for_one_and_keeps_what_it_is_given() {
    let mut scene = Scene::new(options());
    let first = scene.greet();
    let request = greeting(&first);
    assert_eq!(request.session, SessionId::NONE);
    assert_eq!(request.password, [0; 16]);
    assert_eq!(request.timeout_ms, TIMEOUT_MS);
    assert_eq!(request.read_only, Some(false));
    assert_eq!(scene.states(), [SessionState::Connected]);
    assert_eq!(scene.cnxn.session(), (SESSION, [5; 16]));
}

#[test]
fn a_reconnect_takes_up_the_session_and_tells_what_was_seen() {
    let mut scene = Scene::connected();
    scene.get("/a");
    let request = &scene.requests()[0];
    scene.reply(request.xid, 42, ErrorCode::OK).unwrap();
    scene.lose();
    let first = scene.greet();
    let request = greeting(&first);
    assert_eq!((request.session, request.password), (SESSION, &[5; 16][..]));
    assert_eq!(request.last_zxid_seen, Zxid(42));
}

#[test]
fn zxids_of_pings_events_and_failed_lookups_are_not_what_was_seen() {
    let mut scene = Scene::connected();
    scene.reply(Xid::PING, 99, ErrorCode::OK).unwrap();
    scene.event(EventKind::NodeCreated, "/a");
    scene.get("/a");
    let request = &scene.requests()[0];
    scene
        .reply(request.xid, u64::MAX, ErrorCode::UNIMPLEMENTED)
        .unwrap();
    assert_eq!(scene.cnxn.seen(), Zxid::ZERO);
}

#[test]
fn requests_leave_and_are_answered_in_the_order_of_the_calls() {
    let mut scene = Scene::connected();
    let calls = ["/a", "/b", "/c"].map(|path| scene.get(path));
    let xids: Vec<_> = scene.requests().iter().map(|request| request.xid).collect();
    assert_eq!(xids, [Xid(1), Xid(2), Xid(3)]);
    for xid in xids {
        scene.reply(xid, 1, ErrorCode::OK).unwrap();
    }
    assert_eq!(scene.ended(), calls.map(|call| (call, Ok(()))));
}

#[test]
fn a_code_that_nobody_knows_is_an_error_of_its_call_and_no_more() {
    let mut scene = Scene::connected();
    let (first, second) = (scene.get("/a"), scene.get("/b"));
    let unknown = ErrorCode::from_code(-4711);
    let xids: Vec<_> = scene.requests().iter().map(|request| request.xid).collect();
    scene.reply(xids[0], 1, unknown).unwrap();
    scene.reply(xids[1], 1, ErrorCode::OK).unwrap();
    let ends = [(first, Err(CallError::Server(unknown))), (second, Ok(()))];
    assert_eq!(scene.ended(), ends);
}

#[test]
fn a_reply_out_of_order_ends_the_link_and_every_call_on_it() {
    let mut scene = Scene::connected();
    let calls = ["/a", "/b"].map(|path| scene.get(path));
    let answer = scene.reply(Xid(2), 1, ErrorCode::OK);
    assert_eq!(
        answer,
        Err(LinkError::OutOfOrder {
            found: Xid(2),
            expected: Some(Xid(1))
        })
    );
    assert_eq!(scene.cnxn.action(), Action::Wait);
    assert_eq!(
        scene.ended(),
        calls.map(|call| (call, Err(CallError::ConnectionLoss)))
    );
}

#[test]
fn a_reply_to_nothing_ends_the_link() {
    for xid in [Xid(1), Xid(-8), Xid(-4), Xid(0)] {
        let mut scene = Scene::connected();
        assert!(scene.reply(xid, 1, ErrorCode::OK).is_err(), "{xid:?}");
        assert_eq!(scene.cnxn.state(), SessionState::Suspended);
    }
}

#[test]
fn replies_in_any_pieces_are_the_same_replies() {
    let mut scene = Scene::connected();
    let call = scene.get("/a");
    let bytes = frame(&[&zabra_proto::client::ReplyHeader {
        xid: Xid(1),
        zxid: Zxid(3),
        error: ErrorCode::OK,
    }]);
    let mut given = Vec::new();
    for byte in bytes {
        given.push(byte);
        let used = scene.cnxn.on_bytes(scene.now, &given).unwrap();
        given.drain(..used);
    }
    assert!(given.is_empty());
    assert_eq!(scene.ended(), [(call, Ok(()))]);
}

#[test]
fn a_reply_longer_than_the_limit_costs_the_link_and_no_memory() {
    let mut scene = Scene::connected();
    scene.get("/a");
    for len in [i32::MAX, 0x10_0000, -1] {
        let mut scene = Scene::connected();
        let answer = scene.cnxn.on_bytes(scene.now, &len.to_be_bytes());
        assert_eq!(answer, Err(LinkError::FrameLength(len)));
    }
}

#[test]
fn a_request_longer_than_the_limit_is_refused_and_leaves_no_trace() {
    let mut scene = Scene::connected();
    let path = "x".repeat(0xfffff);
    let body = zabra_proto::client::PathRequest { path: path.into() };
    let refused = scene
        .cnxn
        .call(scene.now, OpCode::Sync, &body, After::Nothing, 9);
    assert!(matches!(refused, Err((9, CallError::TooLong { .. }))));
    assert!(!scene.cnxn.has_out());
    let call = scene.get("/a");
    scene.answer_all();
    assert_eq!(scene.ended(), [(call, Ok(()))]);
}

#[test]
fn calls_made_before_a_loss_fail_and_calls_made_after_it_wait_for_the_next_link() {
    let mut scene = Scene::connected();
    let (sent, unsent) = (scene.get("/a"), {
        scene.requests();
        scene.get("/b")
    });
    scene.lose();
    let loss = Err(CallError::ConnectionLoss);
    assert_eq!(scene.ended(), [(sent, loss), (unsent, loss)]);
    let waiting = [scene.get("/c"), scene.get("/d")];
    scene.greet();
    assert_eq!(scene.ops(), [OpCode::GetData, OpCode::GetData]);
    assert_eq!(scene.ended(), []);
    scene.reply(Xid(3), 1, ErrorCode::OK).unwrap();
    scene.reply(Xid(4), 1, ErrorCode::OK).unwrap();
    assert_eq!(scene.ended(), waiting.map(|call| (call, Ok(()))));
}

#[test]
fn calls_that_wait_fail_when_the_session_counts_as_lost_and_again_when_nobody_is_there() {
    let mut scene = Scene::connected();
    scene.lose();
    let call = scene.get("/a");
    let began = scene.now;
    while scene.cnxn.state() != SessionState::Lost {
        if matches!(scene.cnxn.action(), Action::Dial(_)) {
            scene.lose();
        } else {
            scene.pass_to_deadline();
        }
    }
    assert_eq!(scene.now.since(began), TIMEOUT_MS as u64);
    assert_eq!(scene.ended(), [(call, Err(CallError::ConnectionLoss))]);
    let call = scene.get("/a");
    scene.until_dialing();
    scene.lose();
    assert_eq!(scene.ended(), [(call, Err(CallError::ConnectionLoss))]);
    scene.greet();
    assert_eq!(scene.cnxn.state(), SessionState::Connected);
}

#[test]
fn a_refused_session_has_expired_for_every_call_and_watch() {
    let mut scene = Scene::connected();
    let watcher = scene.watching("/a", WatchKind::Data);
    scene.lose();
    let call = scene.get("/a");
    scene.dial();
    scene.outputs();
    scene.accept(SessionId::NONE, 0, false);
    let error = CallError::SessionExpired;
    assert_eq!(
        scene.outputs(),
        [
            Output::Done {
                call,
                result: Err(error)
            },
            Output::Unwatched {
                watcher,
                error: Some(error)
            },
            Output::State(SessionState::Expired),
        ]
    );
    assert_eq!(scene.cnxn.action(), Action::End);
    let late = scene
        .cnxn
        .call(scene.now, OpCode::WhoAmI, &(), After::Nothing, 5);
    assert_eq!(late, Err((5, error)));
}

#[test]
fn a_resumed_session_is_asked_for_from_the_start() {
    let resumed = ResumedSession {
        id: SESSION,
        password: [5; 16],
    };
    let mut scene = Scene::with_hosts(options(), &["a"], Some(resumed));
    let first = scene.dial();
    assert_eq!(greeting(&first).session, SESSION);
    scene.accept(SessionId::NONE, 0, false);
    assert_eq!(scene.states(), [SessionState::Expired]);
}

#[test]
fn silence_of_two_thirds_of_the_timeout_ends_the_link_and_pings_prevent_it() {
    let mut scene = Scene::connected();
    scene.pass(1_999);
    assert_eq!(scene.ops(), []);
    scene.pass(1);
    assert_eq!(
        scene.ops(),
        [OpCode::Ping],
        "a third of the timeout, less a second"
    );
    scene.reply(Xid::PING, 0, ErrorCode::OK).unwrap();
    scene.pass(5_999);
    assert_eq!(scene.cnxn.state(), SessionState::Connected);
    scene.pass(1);
    assert_eq!(scene.cnxn.state(), SessionState::Suspended);
}

#[test]
fn requests_stand_for_pings() {
    let mut scene = Scene::connected();
    for _ in 0..10 {
        scene.pass(1_500);
        scene.get("/a");
        assert_eq!(scene.ops(), [OpCode::GetData]);
        scene.reply(Xid::PING, 0, ErrorCode::OK).unwrap();
    }
}

#[test]
fn a_server_that_accepts_and_says_nothing_has_its_share_of_the_timeout() {
    let mut scene = Scene::with_hosts(options(), &["a", "b", "c"], None);
    let first = scene.until_dialing();
    scene.cnxn.on_connected();
    scene.pass(2_999);
    assert_eq!(scene.cnxn.action(), Action::Serve);
    scene.pass(1);
    let second = scene.until_dialing();
    assert_ne!(first, second);
}

#[test]
fn a_granted_timeout_replaces_the_one_asked_for() {
    let mut scene = Scene::new(options());
    scene.dial();
    scene.accept(SESSION, 3_000, false);
    assert_eq!(scene.cnxn.timing().read_ms(), 2_000);
    scene.pass(2_000);
    assert_eq!(scene.cnxn.state(), SessionState::Suspended);
}

#[test]
fn local_expiry_comes_after_four_thirds_of_the_timeout_and_only_if_asked_for() {
    for (local_expiry, end) in [(true, SessionState::Expired), (false, SessionState::Lost)] {
        let mut scene = Scene::connected_with(CnxnOptions {
            local_expiry,
            ..options()
        });
        scene.lose();
        let mut states = scene.states();
        scene.pass(9_000);
        scene.pass(3_000);
        states.extend(scene.states());
        let mut expected = vec![SessionState::Suspended, SessionState::Lost];
        expected.extend((end == SessionState::Expired).then_some(end));
        assert_eq!(states, expected);
    }
}

#[test]
fn a_call_that_takes_too_long_fails_and_its_late_reply_is_matched() {
    let mut scene = Scene::connected_with(CnxnOptions {
        request_timeout_ms: Some(500),
        ..options()
    });
    let slow = scene.get("/a");
    scene.pass(300);
    let fast = scene.get("/b");
    scene.pass(200);
    assert_eq!(scene.ended(), [(slow, Err(CallError::Timeout))]);
    scene.answer_all();
    assert_eq!(scene.ended(), [(fast, Ok(()))]);
}

#[test]
fn identities_are_claimed_on_every_link_before_anything_else() {
    let mut scene = Scene::connected();
    let claim = Credentials {
        scheme: "digest".to_owned(),
        auth: b"u:p".to_vec(),
    };
    scene.cnxn.add_auth(claim, Some(70)).unwrap();
    assert_eq!(scene.ops(), [OpCode::Auth]);
    scene.reply(Xid::AUTH, 0, ErrorCode::OK).unwrap();
    assert_eq!(scene.ended(), [(70, Ok(()))]);
    scene.lose();
    scene.get("/a");
    scene.greet();
    assert_eq!(scene.ops(), [OpCode::Auth, OpCode::GetData]);
    scene.reply(Xid::AUTH, 0, ErrorCode::OK).unwrap();
}

#[test]
fn a_claim_whose_answer_was_lost_is_answered_on_the_next_link() {
    let mut scene = Scene::connected();
    let claim = Credentials {
        scheme: "digest".to_owned(),
        auth: b"u:p".to_vec(),
    };
    scene.cnxn.add_auth(claim, Some(70)).unwrap();
    scene.lose();
    assert_eq!(scene.ended(), []);
    scene.greet();
    scene.reply(Xid::AUTH, 0, ErrorCode::OK).unwrap();
    assert_eq!(scene.ended(), [(70, Ok(()))]);
}

#[test]
fn a_refused_identity_ends_the_session_for_this_client() {
    let mut scene = Scene::connected();
    let claim = Credentials {
        scheme: "digest".to_owned(),
        auth: b"u:p".to_vec(),
    };
    let call = scene.get("/a");
    scene.cnxn.add_auth(claim, Some(70)).unwrap();
    scene.reply(Xid::AUTH, 0, ErrorCode::AUTH_FAILED).unwrap();
    let refused = Err(CallError::AuthFailed);
    assert_eq!(scene.ended(), [(call, refused), (70, refused)]);
    assert_eq!(scene.cnxn.state(), SessionState::AuthFailed);
}

#[test]
fn a_watch_is_set_by_the_reply_and_its_event_comes_once() {
    let mut scene = Scene::connected();
    let (_, watcher) = scene.watch("/a", WatchKind::Data);
    scene.event(EventKind::NodeDataChanged, "/a");
    assert_eq!(
        scene.heard(),
        [],
        "an event before the reply is another watch's"
    );
    scene.answer_all();
    scene.event(EventKind::NodeDataChanged, "/a");
    scene.event(EventKind::NodeDataChanged, "/a");
    assert_eq!(scene.heard(), [watcher]);
}

#[test]
fn a_failed_read_sets_no_watch_except_on_the_absence_of_a_znode() {
    for (kind, is_set) in [
        (WatchKind::Data, false),
        (WatchKind::Child, false),
        (WatchKind::Exist, true),
    ] {
        let mut scene = Scene::connected();
        let (_, watcher) = scene.watch("/a", kind);
        scene.requests();
        scene.reply(Xid(1), 1, ErrorCode::NO_NODE).unwrap();
        scene.event(EventKind::NodeCreated, "/a");
        assert_eq!(scene.heard() == [watcher], is_set, "{kind:?}");
    }
}

#[test]
fn watches_are_told_to_the_next_server_before_calls_that_wait() {
    let mut scene = Scene::connected();
    scene.watching("/data", WatchKind::Data);
    scene.watching("/there", WatchKind::Exist);
    scene.watching("/child", WatchKind::Child);
    scene.lose();
    let call = scene.get("/a");
    scene.greet();
    let requests = scene.requests();
    assert_eq!(requests[0].xid, Xid::SET_WATCHES);
    assert_eq!(requests[0].op, Some(OpCode::SetWatches));
    let told = SetWatches::decode(&mut Reader::new(&requests[0].body)).unwrap();
    assert_eq!(
        told.data,
        ["/data", "/there"],
        "what exists is watched for its data"
    );
    assert_eq!(told.child, ["/child"]);
    assert_eq!(requests[1].op, Some(OpCode::GetData));
    scene.reply(Xid::SET_WATCHES, 1, ErrorCode::OK).unwrap();
    scene.reply(requests[1].xid, 1, ErrorCode::OK).unwrap();
    assert_eq!(scene.ended(), [(call, Ok(()))]);
}

#[test]
fn watches_that_stay_learn_of_the_gap_and_one_shots_do_not() {
    let mut scene = Scene::connected();
    scene.watching("/a", WatchKind::Data);
    let lasting = [
        scene.watching("/a", WatchKind::Persistent),
        scene.watching("/", WatchKind::Recursive),
    ];
    scene.lose();
    scene.greet();
    assert_eq!(scene.heard(), lasting);
    let requests = scene.requests();
    assert_eq!(requests[0].op, Some(OpCode::SetWatches2));
    let told = SetWatches2::decode(&mut Reader::new(&requests[0].body)).unwrap();
    assert_eq!(told.data, ["/a"]);
    assert_eq!(told.persistent, ["/a"]);
    assert_eq!(told.persistent_recursive, ["/"]);
}

#[test]
fn the_server_is_told_when_the_last_watch_of_a_path_goes() {
    let mut scene = Scene::connected();
    let first = scene.watching("/a", WatchKind::Data);
    let second = scene.watching("/a", WatchKind::Recursive);
    scene.cnxn.unwatch(scene.now, "/a", first);
    assert_eq!(scene.ops(), []);
    scene.cnxn.unwatch(scene.now, "/a", second);
    assert_eq!(scene.ops(), [OpCode::RemoveWatches]);
    scene.reply(Xid(3), 1, ErrorCode::OK).unwrap();
}

#[test]
fn a_watch_given_up_before_its_reply_is_never_heard_of() {
    let mut scene = Scene::connected();
    let (call, watcher) = scene.watch("/a", WatchKind::Data);
    scene.cnxn.unwatch(scene.now, "/a", watcher);
    assert_eq!(scene.ops(), [OpCode::GetData]);
    scene.reply(Xid(1), 1, ErrorCode::OK).unwrap();
    assert_eq!(scene.ended(), [(call, Ok(()))]);
    assert_eq!(scene.ops(), [OpCode::RemoveWatches]);
    scene.event(EventKind::NodeDataChanged, "/a");
    assert_eq!(scene.heard(), []);
}

#[test]
fn a_watch_that_is_about_to_be_set_is_not_removed_with_another_one() {
    let mut scene = Scene::connected();
    let old = scene.watching("/a", WatchKind::Persistent);
    let (_, new) = scene.watch("/a", WatchKind::Data);
    scene.cnxn.unwatch(scene.now, "/a", old);
    assert_eq!(scene.ops(), [OpCode::GetData]);
    scene.reply(Xid(2), 1, ErrorCode::OK).unwrap();
    scene.event(EventKind::NodeDeleted, "/a");
    assert_eq!(scene.heard(), [new]);
}

#[test]
fn removed_watches_end_with_the_servers_word_or_without_it_if_it_is_local() {
    for (local, is_answered, is_removed) in [
        (false, true, true),
        (false, false, false),
        (true, false, true),
    ] {
        let mut scene = Scene::connected();
        let watcher = scene.watching("/a", WatchKind::Child);
        let removal = Removal {
            path: "/a".to_owned(),
            kind: RemoveWatchesKind::Any,
            local,
        };
        scene.call(
            OpCode::RemoveWatches,
            "/a",
            After::Remove(Box::new(removal)),
        );
        if is_answered {
            scene.answer_all();
        } else {
            scene.lose();
        }
        let removed = Output::Unwatched {
            watcher,
            error: None,
        };
        assert_eq!(scene.outputs().contains(&removed), is_removed);
    }
}

#[test]
fn a_close_is_behind_all_calls_and_ends_with_the_servers_word() {
    let mut scene = Scene::connected();
    let call = scene.get("/a");
    scene.cnxn.close(scene.now, Some(80));
    assert_eq!(scene.ops(), [OpCode::GetData, OpCode::CloseSession]);
    let late = scene
        .cnxn
        .call(scene.now, OpCode::WhoAmI, &(), After::Nothing, 5);
    assert_eq!(late, Err((5, CallError::Closed)));
    scene.reply(Xid(1), 1, ErrorCode::OK).unwrap();
    scene.reply(Xid(2), 1, ErrorCode::OK).unwrap();
    assert_eq!(scene.ended(), [(call, Ok(())), (80, Ok(()))]);
    assert_eq!(scene.cnxn.action(), Action::End);
    assert_eq!(scene.cnxn.state(), SessionState::Closed);
}

#[test]
fn a_close_that_nobody_answers_ends_after_its_timeout() {
    let mut scene = Scene::connected();
    let call = scene.get("/a");
    scene.cnxn.close(scene.now, Some(80));
    scene.pass(999);
    assert_eq!(scene.cnxn.action(), Action::Serve);
    scene.pass(1);
    assert_eq!(
        scene.ended(),
        [(call, Err(CallError::Closed)), (80, Ok(()))]
    );
    assert_eq!(scene.cnxn.action(), Action::End);
}

#[test]
fn a_close_without_a_link_ends_at_once() {
    let mut scene = Scene::connected();
    scene.lose();
    scene.cnxn.close(scene.now, Some(80));
    assert_eq!(scene.ended(), [(80, Ok(()))]);
    assert_eq!(scene.cnxn.action(), Action::End);
}

#[test]
fn a_read_only_session_is_not_asked_for_again_and_a_better_server_is_looked_for() {
    let read_only = CnxnOptions {
        allow_read_only: true,
        ..options()
    };
    let mut scene = Scene::with_hosts(read_only, &["a", "b"], None);
    let here = scene.until_dialing();
    let first = scene.dial();
    assert_eq!(greeting(&first).read_only, Some(true));
    scene.accept(SESSION, TIMEOUT_MS, true);
    assert_eq!(scene.states(), [SessionState::ReadOnly]);
    scene.pass(100);
    let probed = scene.outputs().into_iter().find_map(|output| match output {
        Output::Probe(host) => Some(host),
        _ => None,
    });
    let better = probed.unwrap();
    assert_ne!(better.host, here);
    scene.cnxn.on_probed(scene.now, &better);
    assert_eq!(scene.until_dialing(), better.host);
    let second = scene.greet();
    assert_eq!(greeting(&second).session, SessionId::NONE);
    assert_eq!(
        scene.states(),
        [SessionState::Suspended, SessionState::Connected]
    );
}

#[test]
fn probes_come_ever_more_seldom() {
    let read_only = CnxnOptions {
        allow_read_only: true,
        ..options()
    };
    let mut scene = Scene::with_hosts(read_only, &["a", "b"], None);
    scene.dial();
    scene.accept(SESSION, TIMEOUT_MS, true);
    let mut at = Vec::new();
    let began = scene.now;
    while at.len() < 5 {
        scene.pass_to_deadline();
        scene.reply(Xid::PING, 0, ErrorCode::OK).unwrap();
        scene.frames();
        if scene
            .outputs()
            .iter()
            .any(|output| matches!(output, Output::Probe(_)))
        {
            at.push(scene.now.since(began));
        }
    }
    assert_eq!(at, [100, 200, 400, 800, 1600]);
}

#[test]
fn without_its_task_a_session_ends_for_everybody() {
    let mut scene = Scene::connected();
    let call = scene.get("/a");
    scene.cnxn.abandon();
    assert_eq!(scene.ended(), [(call, Err(CallError::Closed))]);
    assert_eq!(scene.cnxn.deadline(), None);
}
