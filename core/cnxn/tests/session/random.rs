//! Whatever happens to a session: no call is answered twice or out of order, and every one is answered.

use proptest::collection::vec;
use proptest::prelude::*;
use zabra_cnxn::{Action, CnxnOptions, WatchKind, WatcherId};
use zabra_proto::{ErrorCode, EventKind, SessionId, Xid};

use crate::scene::{SESSION, Scene, TIMEOUT_MS, options};

#[derive(Debug, Clone, Copy)]
enum Step {
    Get,
    Watch(u8),
    Unwatch(usize),
    /// The server takes this many requests and answers them.
    Answer(u8, bool),
    Event(u8),
    /// The link fails, or the attempt.
    Lose,
    /// The session is accepted, or refused.
    Connect(bool),
    Pass(u64),
    Garbage(u8),
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Get),
        4 => any::<u8>().prop_map(Step::Watch),
        2 => any::<usize>().prop_map(Step::Unwatch),
        6 => (any::<u8>(), any::<bool>()).prop_map(|(n, ok)| Step::Answer(n % 5, ok)),
        3 => any::<u8>().prop_map(Step::Event),
        2 => Just(Step::Lose),
        5 => prop::bool::weighted(0.97).prop_map(Step::Connect),
        2 => (0..5000u64).prop_map(Step::Pass),
        1 => any::<u8>().prop_map(Step::Garbage),
        1 => prop::bool::weighted(0.1).prop_map(|closes| if closes { Step::Close } else { Step::Get }),
    ]
}

const KINDS: [WatchKind; 5] = [
    WatchKind::Data,
    WatchKind::Exist,
    WatchKind::Child,
    WatchKind::Persistent,
    WatchKind::Recursive,
];

const EVENTS: [EventKind; 4] = [
    EventKind::NodeCreated,
    EventKind::NodeDeleted,
    EventKind::NodeDataChanged,
    EventKind::NodeChildrenChanged,
];

/// The calls that were made and those that have ended.
struct Run {
    scene: Scene,
    made: u32,
    ended: Vec<u32>,
    unanswered: Vec<Xid>,
    watchers: Vec<(String, WatcherId)>,
    is_closing: bool,
}

impl Run {
    fn take(&mut self, step: Step) {
        let is_over = self.is_closing || self.scene.cnxn.state().is_final();
        match step {
            Step::Get | Step::Watch(_) if is_over => {}
            Step::Get => self.made = self.scene.get("/a"),
            Step::Watch(n) => {
                let path = format!("/{}", n % 3);
                let (call, watcher) = self.scene.watch(&path, KINDS[usize::from(n) % 5]);
                self.made = call;
                self.watchers.push((path, watcher));
            }
            Step::Unwatch(n) if !self.watchers.is_empty() => {
                let (path, watcher) = self.watchers.swap_remove(n % self.watchers.len());
                self.scene.cnxn.unwatch(self.scene.now, &path, watcher);
            }
            Step::Answer(n, ok) => self.answer(n, ok),
            Step::Event(n) if self.is_up() => {
                self.scene
                    .event(EVENTS[usize::from(n) % 4], &format!("/{}", n % 3));
            }
            Step::Lose => self.scene.lose(),
            Step::Connect(accepted) => self.connect(accepted),
            Step::Pass(millis) => self.scene.pass(millis),
            Step::Garbage(byte) if self.is_up() => {
                let _ = self
                    .scene
                    .cnxn
                    .on_bytes(self.scene.now, &[0, 0, 0, 1, byte]);
            }
            Step::Close => {
                self.is_closing = true;
                self.scene.cnxn.close(self.scene.now, None);
            }
            _ => {}
        }
        self.check();
    }

    fn connect(&mut self, accepted: bool) {
        // It may expire while it waits.
        while self.scene.cnxn.action() == Action::Wait {
            self.scene.pass_to_deadline();
        }
        if matches!(self.scene.cnxn.action(), Action::Dial(_)) {
            self.scene.dial();
            let (session, timeout_ms) = match accepted {
                true => (SESSION, TIMEOUT_MS),
                false => (SessionId::NONE, 0),
            };
            self.scene.accept(session, timeout_ms, false);
            self.unanswered.clear();
        }
    }

    fn is_up(&self) -> bool {
        self.scene.cnxn.action() == Action::Serve
    }

    fn answer(&mut self, n: u8, ok: bool) {
        if !self.is_up() {
            return;
        }
        let asked = self.scene.requests();
        self.unanswered.extend(
            asked
                .iter()
                .map(|request| request.xid)
                .filter(|xid| *xid != Xid::PING),
        );
        for xid in self
            .unanswered
            .drain(..usize::from(n).min(self.unanswered.len()))
        {
            let code = if ok {
                ErrorCode::OK
            } else {
                ErrorCode::NO_NODE
            };
            self.scene.reply(xid, 1, code).unwrap();
        }
    }

    fn check(&mut self) {
        for (call, _) in self.scene.ended() {
            assert!(
                self.ended.last().is_none_or(|last| *last < call),
                "{call} after {:?}",
                self.ended.last()
            );
            self.ended.push(call);
        }
        if !self.is_up() {
            self.unanswered.clear();
        }
    }
}

proptest! {
    #[test]
    fn calls_end_once_and_in_their_order(
        steps in vec(step(), 1..200),
        request_timeout_ms in prop_oneof![Just(None), Just(Some(700))],
        local_expiry in any::<bool>(),
    ) {
        let options = CnxnOptions { request_timeout_ms, local_expiry, ..options() };
        let mut run = Run {
            scene: Scene::with_hosts(options, &["a", "b"], None),
            made: 0,
            ended: Vec::new(),
            unanswered: Vec::new(),
            watchers: Vec::new(),
            is_closing: false,
        };
        for step in steps {
            run.take(step);
        }
        run.scene.cnxn.abandon();
        run.check();
        prop_assert_eq!(run.ended, (1..=run.made).collect::<Vec<_>>());
        prop_assert_eq!(run.scene.cnxn.deadline(), None);
    }
}
