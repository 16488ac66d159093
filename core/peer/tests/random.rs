//! Random writes, flushed and applied in random portions: what is accepted can be applied, and comes out as foretold
//! (P96, P99, I-14). [`common::apply`] compares.

mod common;

use std::collections::VecDeque;

use common::Bench;
use common::say::{self, Request};
use proptest::prelude::*;
use zabra_peer::Input;
use zabra_proto::{ErrorCode, Perms, SessionId};

#[derive(Debug, Clone)]
enum Step {
    Write(Request),
    CloseSession,
    FlushSome(usize),
    ApplySome(usize),
    Tick(u64),
}

fn path() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "/", "/a", "/a/b", "/a/b/c", "/a/-", "/-", "/e", "/a/e",
    ])
}

fn element() -> impl Strategy<Value = Request> {
    prop_oneof![
        5 => (path(), 0..4).prop_map(|(path, flags)| say::create(path, flags)),
        1 => path().prop_map(|path| say::create_container(path, say::CONTAINER)),
        1 => path().prop_map(|path| say::create_ttl(path, say::TTL, 100)),
        4 => (path(), -1..2).prop_map(|(path, version)| say::delete(path, version)),
        4 => (path(), -1..2, 0_usize..9)
            .prop_map(|(path, version, len)| say::set(path, &[b'x'; 9][..len], version)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let check = (path(), -1..2).prop_map(|(path, version)| say::check(path, version));
    let in_multi = prop_oneof![6 => element(), 1 => check];
    let acl = (path(), 0..32, -1..2).prop_map(|(path, perms, version)| {
        say::set_acl(path, say::anyone(Perms(perms | 16)), version)
    });
    prop_oneof![
        8 => element().prop_map(Step::Write),
        1 => acl.prop_map(Step::Write),
        4 => prop::collection::vec(in_multi, 0..7).prop_map(|ops| Step::Write(say::multi(&ops))),
        1 => Just(Step::CloseSession),
        3 => (1_usize..6).prop_map(Step::FlushSome),
        4 => (1_usize..6).prop_map(Step::ApplySome),
        1 => (1_u64..70_000).prop_map(Step::Tick),
    ]
}

struct World {
    bench: Bench,
    sessions: VecDeque<SessionId>,
}

impl World {
    fn step(&mut self, step: &Step) {
        let bench = &mut self.bench;
        match step {
            Step::Write(request) => {
                // Each in turn, so that they meet in the same places.
                self.sessions.rotate_left(1);
                bench.propose(self.sessions[0], request);
            }
            Step::CloseSession => {
                bench.propose(self.sessions[0], &say::close_session());
            }
            Step::FlushSome(n) => {
                let n = *n.min(&bench.unflushed.len());
                if let Some(last) = bench.unflushed.drain(..n).collect::<Vec<_>>().last() {
                    bench.step(Input::Flushed(*last));
                }
            }
            Step::ApplySome(n) => {
                for _ in 0..*n {
                    bench.apply_one();
                }
            }
            Step::Tick(millis) => bench.advance(*millis),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_accepted_comes_out_as_foretold(steps in prop::collection::vec(step(), 1..100)) {
        let mut bench = Bench::new();
        let sessions: VecDeque<SessionId> = (0..3).map(|_| bench.open()).collect();
        let mut world = World { bench, sessions };
        for step in &steps {
            world.step(step);
        }
        let World { mut bench, sessions } = world;
        bench.settle();
        // Whatever happened, the end of a session leaves nothing of it.
        for session in sessions {
            bench.propose(session, &say::close_session());
            bench.settle();
            assert!(bench.tree.ephemerals(session).is_empty());
        }
        assert!(bench.peer.tracker().is_empty());
        assert!(bench.replies.iter().all(|(_, code)| *code == ErrorCode::SESSION_EXPIRED));
    }
}
