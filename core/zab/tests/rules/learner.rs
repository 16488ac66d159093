//! What a learner does and says.

use zabra_proto::quorum_packet::{LeaderInfo, Message, PROTOCOL_VERSION};
use zabra_proto::{MonoMillis, Sid, Zxid};
use zabra_zab::{
    Entry, Epochs, HEARTBEAT_LIMIT_MS, HEARTBEAT_MS, History, Learner, LearnerAction,
    LearnerSettings, LinkId, Packet,
};

use crate::{LIMITS, NOW, entries, entry, proposal, z};

/// A learner with a disk that is as fast as the test wants.
struct Follower {
    learner: Learner,
    history: History,
    /// All that it said.
    said: Vec<Packet>,
    /// What it wants done and was not.
    wanted: Vec<LearnerAction>,
}

impl Follower {
    /// With a log of epoch 1 up to this counter, and this promise.
    fn new(counter: u32, accepted: u32) -> Self {
        Self::with(counter, accepted, false)
    }

    fn with(counter: u32, accepted: u32, observes: bool) -> Self {
        let history = History::new(100, Zxid::ZERO, entries((1..=counter).map(|c| z(1, c))));
        let settings = LearnerSettings {
            me: Sid(1),
            observes,
            config_version: 0,
            has_history: true,
            uncut_in: None,
            limits: LIMITS,
        };
        let epochs = Epochs {
            accepted,
            current: 1,
        };
        let mut wanted = Vec::new();
        let learner = Learner::new(settings, LinkId(1), epochs, &history, NOW, &mut wanted);
        let mut follower = Self {
            learner,
            history,
            said: Vec::new(),
            wanted,
        };
        follower.sort();
        follower
    }

    fn sort(&mut self) {
        for action in std::mem::take(&mut self.wanted) {
            match action {
                LearnerAction::Send(packet) => self.said.push(packet),
                other => self.wanted.push(other),
            }
        }
    }

    fn hear(&mut self, packet: &Packet) {
        self.hear_message(&packet.message());
    }

    fn hear_message(&mut self, message: &Message<'_>) {
        self.learner
            .on_packet(message, &mut self.history, NOW, &mut self.wanted);
        self.sort();
    }

    fn flush(&mut self) {
        self.history.flushed_to(self.history.logged());
        self.learner.on_flushed(&self.history, &mut self.wanted);
        self.sort();
    }

    /// Makes durable what epochs it wants saved.
    fn save(&mut self) {
        let saves = |action: &LearnerAction| matches!(action, LearnerAction::SaveEpochs(_));
        let at = self.wanted.iter().position(saves).expect("epochs to save");
        let LearnerAction::SaveEpochs(epochs) = self.wanted.remove(at) else {
            unreachable!()
        };
        self.learner.on_epochs_saved(epochs, &mut self.wanted);
        self.sort();
    }

    fn saves(&self) -> bool {
        let saves = |action: &LearnerAction| matches!(action, LearnerAction::SaveEpochs(_));
        self.wanted.iter().any(saves)
    }

    /// As far as the plan of a leader of this epoch.
    fn promised(counter: u32, epoch: u32) -> Self {
        let mut follower = Self::new(counter, epoch - 1);
        follower.hear(&Packet::LeaderInfo { epoch });
        follower.save();
        follower.said.clear();
        follower
    }

    /// In step behind an empty DIFF.
    fn in_step(counter: u32, epoch: u32) -> Self {
        let mut follower = Self::promised(counter, epoch);
        follower.hear(&Packet::Diff(z(1, counter)));
        follower.hear(&new_leader(epoch));
        follower.save();
        follower.hear(&Packet::UpToDate);
        follower.said.clear();
        follower.wanted.clear();
        follower
    }

    /// As [`Self::in_step`], with a leader that has promised heartbeats.
    fn in_step_and_fast(counter: u32, epoch: u32) -> Self {
        let mut follower = Self::in_step(counter, epoch);
        let touched = Some(Vec::new());
        let zxid = z(epoch, 0);
        follower.hear(&Packet::Ping { zxid, touched });
        follower.learner.tick(NOW, &mut follower.wanted);
        follower.wanted.clear();
        follower
    }

    fn tick(&mut self, now: MonoMillis) {
        self.learner.tick(now, &mut self.wanted);
    }

    fn leaves(&self) -> bool {
        let leaves = |action: &LearnerAction| matches!(action, LearnerAction::Leave(_));
        self.wanted.iter().any(leaves)
    }
}

fn new_leader(epoch: u32) -> Packet {
    let membership = "server.1=a:1:2:participant\nversion=0".into();
    Packet::NewLeader { epoch, membership }
}

#[test]
fn rule_6_observers_introduce_themselves_as_such() {
    for observes in [false, true] {
        let follower = Follower::with(3, 1, observes);
        let introduction = Packet::LearnerInfo {
            observes,
            accepted: 1,
            sid: Sid(1),
            config_version: 0,
        };
        assert_eq!(follower.said, [introduction]);
    }
}

#[test]
fn rule_7_an_epoch_that_was_accepted_before_is_not_counted_again() {
    let mut follower = Follower::new(3, 4);
    follower.hear(&Packet::LeaderInfo { epoch: 4 });
    assert_eq!(
        follower.said.last(),
        Some(&Packet::AckEpoch {
            last_logged: z(1, 3),
            current_epoch: None
        })
    );
    assert!(!follower.saves());
    let mut follower = Follower::new(3, 3);
    follower.hear(&Packet::LeaderInfo { epoch: 4 });
    assert_eq!(
        follower.said.len(),
        1,
        "not before the promise is durable (R1)"
    );
    follower.save();
    assert_eq!(
        follower.said.last(),
        Some(&Packet::AckEpoch {
            last_logged: z(1, 3),
            current_epoch: Some(1)
        })
    );
    let mut follower = Follower::new(3, 5);
    follower.hear(&Packet::LeaderInfo { epoch: 4 });
    assert!(follower.leaves());
}

#[test]
fn rule_8_nothing_but_the_acks_is_said_before_uptodate() {
    let mut follower = Follower::promised(3, 2);
    let ping = Packet::Ping {
        zxid: z(2, 0),
        touched: None,
    };
    follower.hear(&Packet::Diff(z(1, 4)));
    follower.hear(&proposal(z(1, 4)));
    follower.hear(&Packet::Commit(z(1, 4)));
    follower.hear(&ping);
    follower.hear(&proposal(z(2, 1)));
    follower.hear(&new_leader(2));
    assert!(!follower.saves(), "the history first (P03)");
    follower.hear(&ping);
    follower.flush();
    assert_eq!(follower.said, []);
    follower.save();
    assert_eq!(follower.said, [Packet::Ack(z(2, 0))]);
    follower.hear(&proposal(z(2, 2)));
    follower.flush();
    follower.hear(&ping);
    assert_eq!(follower.said, [Packet::Ack(z(2, 0))]);
    follower.hear(&Packet::UpToDate);
    let acks = [z(2, 0), z(2, 0), z(2, 1), z(2, 2)].map(Packet::Ack);
    assert_eq!(follower.said, acks);
}

/// Bug f23: a leader closes the link to who does not acknowledge a proposal within `syncLimit`.
#[test]
fn a_proposal_that_is_decided_before_uptodate_is_acknowledged() {
    let mut follower = Follower::promised(3, 2);
    follower.hear(&Packet::Diff(z(1, 3)));
    follower.hear(&new_leader(2));
    follower.save();
    follower.hear(&proposal(z(2, 1)));
    follower.flush();
    follower.hear(&Packet::Commit(z(2, 1)));
    follower.hear(&Packet::UpToDate);
    let acks = [z(2, 0), z(2, 0), z(2, 1)].map(Packet::Ack);
    assert_eq!(follower.said, acks);
}

/// P06: a decision finds its proposal wherever NEWLEADER and UPTODATE stand.
#[test]
fn rule_9_proposals_and_decisions_come_anywhere() {
    let live = [
        proposal(z(2, 1)),
        proposal(z(2, 2)),
        Packet::Commit(z(2, 1)),
        Packet::Commit(z(2, 2)),
    ];
    for fence in 0..=live.len() {
        for open in fence..=live.len() {
            let mut follower = Follower::promised(3, 2);
            follower.hear(&Packet::Diff(z(1, 3)));
            live[..fence].iter().for_each(|p| follower.hear(p));
            follower.hear(&new_leader(2));
            follower.flush();
            follower.save();
            live[fence..open].iter().for_each(|p| follower.hear(p));
            follower.hear(&Packet::UpToDate);
            live[open..].iter().for_each(|p| follower.hear(p));
            follower.flush();
            assert!(!follower.leaves(), "{fence} {open}: {:?}", follower.wanted);
            assert_eq!(follower.history.committed(), z(2, 2), "{fence} {open}");
        }
    }
}

#[test]
fn what_the_epoch_does_not_decide_is_not_applied_before_uptodate() {
    let mut follower = Follower::promised(3, 2);
    follower.hear(&Packet::Diff(z(1, 3)));
    follower.hear(&new_leader(2));
    follower.save();
    assert_eq!(follower.history.release(), None);
    follower.hear(&Packet::UpToDate);
    assert_eq!(follower.history.release(), Some(entry(z(1, 1))));
}

#[test]
fn a_hole_among_proposals_ends_the_round() {
    let mut follower = Follower::in_step(3, 2);
    follower.hear(&proposal(z(2, 1)));
    follower.hear(&proposal(z(2, 3)));
    assert!(follower.leaves());
}

#[test]
fn a_decision_out_of_order_ends_the_server() {
    let mut follower = Follower::in_step(3, 2);
    follower.hear(&proposal(z(2, 1)));
    follower.hear(&proposal(z(2, 2)));
    follower.hear(&Packet::Commit(z(2, 2)));
    assert!(follower.wanted.contains(&LearnerAction::CommitOutOfOrder {
        committed: z(2, 2),
        expected: z(2, 1)
    }));
}

/// Quorum 15.2: some leaders give an error the number of the transaction before it.
#[test]
fn an_error_that_repeats_a_number_is_acknowledged_and_not_logged() {
    let mut follower = Follower::in_step(3, 2);
    follower.hear(&proposal(z(2, 1)));
    follower.flush();
    follower.wanted.clear();
    let error = Entry {
        zxid: z(2, 1),
        payload: b"error".as_slice().into(),
    };
    follower.hear(&Packet::Proposal(error.clone()));
    assert_eq!(follower.wanted, []);
    assert_eq!(follower.said, [z(2, 1), z(2, 1)].map(Packet::Ack));
    follower.hear(&Packet::Commit(z(2, 1)));
    follower.hear(&Packet::Commit(z(2, 1)));
    assert_eq!(follower.wanted, [LearnerAction::Repeated(error)]);
}

/// P16: what is decided is not taken back.
#[test]
fn a_truncation_below_what_is_applied_is_refused() {
    let mut follower = Follower::in_step(3, 2);
    while follower.history.release().is_some() {}
    let Follower { history, .. } = follower;
    let settings = LearnerSettings {
        me: Sid(1),
        observes: false,
        config_version: 0,
        has_history: true,
        uncut_in: None,
        limits: LIMITS,
    };
    let epochs = Epochs {
        accepted: 2,
        current: 2,
    };
    let mut wanted = Vec::new();
    let learner = Learner::new(settings, LinkId(2), epochs, &history, NOW, &mut wanted);
    let mut follower = Follower {
        learner,
        history,
        said: Vec::new(),
        wanted: Vec::new(),
    };
    follower.hear(&Packet::LeaderInfo { epoch: 3 });
    follower.save();
    follower.hear(&Packet::Trunc(z(1, 2)));
    assert_eq!(follower.wanted, [LearnerAction::CannotTruncate(z(1, 2))]);
}

#[test]
fn an_observer_logs_what_it_is_told_and_acknowledges_nothing() {
    let mut observer = Follower::with(3, 1, true);
    observer.hear(&Packet::LeaderInfo { epoch: 2 });
    observer.save();
    observer.hear(&Packet::Diff(z(1, 3)));
    observer.hear(&new_leader(2));
    observer.save();
    observer.hear(&Packet::Inform(entry(z(2, 1))));
    observer.hear(&Packet::UpToDate);
    observer.hear(&Packet::Inform(entry(z(2, 2))));
    observer.flush();
    assert_eq!(observer.history.committed(), z(2, 2));
    let acks = observer.said.iter().filter_map(|packet| match packet {
        Packet::Ack(zxid) => Some(*zxid),
        _ => None,
    });
    let acks: Vec<Zxid> = acks.collect();
    assert_eq!(acks, [z(2, 0), z(2, 0)]);
}

/// The bytes behind LEADERINFO are ignored by whoever does not know them.
#[test]
fn a_leader_of_apaches_names_its_epoch_without_capabilities() {
    let mut follower = Follower::new(3, 1);
    let leader = LeaderInfo {
        protocol: PROTOCOL_VERSION,
        capabilities: &[],
    };
    follower.hear_message(&Message::LeaderInfo {
        zxid: z(2, 0),
        leader,
    });
    assert!(follower.saves());
}

#[test]
fn a_learner_does_not_take_its_own_pause_for_a_silence_of_the_leaders() {
    let mut follower = Follower::in_step_and_fast(3, 2);
    let woken = NOW.after(LIMITS.tick_ms);
    follower.tick(woken);
    assert!(!follower.leaves(), "its own pause");
    let mut now = woken;
    while now < woken.after(HEARTBEAT_LIMIT_MS - HEARTBEAT_MS) {
        assert!(!follower.leaves(), "at {now:?}");
        now = now.after(HEARTBEAT_MS);
        follower.tick(now);
    }
    assert!(follower.leaves(), "the leader's silence");
}

/// Bug f18.
#[test]
fn p75_a_learner_that_stood_still_for_sync_limit_and_hears_nothing_leaves_at_once() {
    let mut follower = Follower::in_step_and_fast(3, 2);
    follower.tick(NOW.after(LIMITS.sync_ms()));
    assert!(follower.leaves(), "it may have been left behind");
}
