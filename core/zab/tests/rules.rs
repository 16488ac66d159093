//! The rules of quorum 19.4 that concern learners and leaders, one claim each, by their numbers.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::Arc;

use zabra_proto::quorum_packet::{LeaderInfo, LearnerInfo, Message, PROTOCOL_VERSION};
use zabra_proto::{MonoMillis, Sid, Zxid};
use zabra_quorum::{Membership, Views};
use zabra_zab::{
    CAPABILITIES, Entry, Epochs, History, Leader, LeaderAction, LeaderSettings, Learner,
    LearnerAction, LearnerSettings, Limits, LinkId, Packet,
};

const NOW: MonoMillis = MonoMillis(1000);

const LIMITS: Limits = Limits {
    tick_ms: 2000,
    init_limit: 10,
    sync_limit: 5,
};

fn z(epoch: u32, counter: u32) -> Zxid {
    Zxid::new(epoch, counter)
}

fn entry(zxid: Zxid) -> Entry {
    let payload: Arc<[u8]> = zxid.0.to_be_bytes().as_slice().into();
    Entry { zxid, payload }
}

fn entries(zxids: impl IntoIterator<Item = Zxid>) -> Vec<Entry> {
    zxids.into_iter().map(entry).collect()
}

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

    fn leaves(&self) -> bool {
        let leaves = |action: &LearnerAction| matches!(action, LearnerAction::Leave(_));
        self.wanted.iter().any(leaves)
    }
}

fn new_leader(epoch: u32) -> Packet {
    let membership = "server.1=a:1:2:participant\nversion=0".into();
    Packet::NewLeader { epoch, membership }
}

fn proposal(zxid: Zxid) -> Packet {
    Packet::Proposal(entry(zxid))
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

/// A leader, server 3 of three, whose epochs are durable at once.
struct Lead {
    leader: Leader,
    history: History,
    did: Vec<LeaderAction>,
}

const ONE: LinkId = LinkId(1);
const TWO: LinkId = LinkId(2);

impl Lead {
    fn new(counter: u32) -> Self {
        let text = "server.1=a:1:2:participant\nserver.2=b:1:2:participant\n\
                    server.3=c:1:2:participant\nserver.4=d:1:2:observer\nversion=0";
        let membership = Membership::parse(text).unwrap();
        let settings = LeaderSettings {
            me: Sid(3),
            views: Views::settled(membership),
            membership: text.into(),
            limits: LIMITS,
            always_snapshot: false,
            syncs_from_log: true,
        };
        let history = History::new(100, Zxid::ZERO, entries((1..=counter).map(|c| z(1, c))));
        let epochs = Epochs {
            accepted: 1,
            current: 1,
        };
        let mut did = Vec::new();
        let leader = Leader::new(settings, epochs, &history, NOW, &mut did);
        Self {
            leader,
            history,
            did,
        }
    }

    fn hear(&mut self, link: LinkId, message: &Message<'_>) {
        self.leader
            .on_packet(link, message, &mut self.history, NOW, &mut self.did);
        while let Some(at) = self
            .did
            .iter()
            .position(|action| matches!(action, LeaderAction::SaveEpochs(_)))
        {
            let LeaderAction::SaveEpochs(epochs) = self.did.remove(at) else {
                unreachable!()
            };
            self.leader
                .on_epochs_saved(epochs, &mut self.history, NOW, &mut self.did);
        }
    }

    fn introduce(&mut self, link: LinkId, sid: Sid, accepted: u32) {
        self.introduce_with(link, sid, accepted, &[]);
    }

    fn introduce_with(&mut self, link: LinkId, sid: Sid, accepted: u32, capabilities: &[u8]) {
        self.leader.on_connected(link, NOW);
        let message = Message::FollowerInfo {
            accepted: z(accepted, 0),
            learner: LearnerInfo {
                sid,
                protocol: PROTOCOL_VERSION,
                config_version: Some(0),
                capabilities,
            },
        };
        self.hear(link, &message);
    }

    fn ack_epoch(&mut self, link: LinkId, last_logged: Zxid) {
        let message = Message::AckEpoch {
            last_logged,
            current_epoch: Some(1),
        };
        self.hear(link, &message);
    }

    fn ack(&mut self, link: LinkId, zxid: Zxid) {
        self.hear(link, &Message::Ack { zxid });
    }

    /// With follower 1 in step.
    fn serving(counter: u32) -> Self {
        let mut lead = Self::new(counter);
        lead.introduce(ONE, Sid(1), 1);
        lead.ack_epoch(ONE, z(1, counter));
        lead.ack(ONE, z(2, 0));
        while lead.history.release().is_some() {}
        lead.leader.serve(NOW, &mut lead.did);
        lead.did.clear();
        lead
    }

    fn propose(&mut self, counter: u32) {
        let entry = entry(z(2, counter));
        self.history.append(entry.clone());
        self.leader.propose(&entry, NOW, &mut self.did);
    }

    fn flush(&mut self) {
        self.history.flushed_to(self.history.logged());
        self.leader.on_flushed(&mut self.history, &mut self.did);
    }

    /// What was sent on a link since the last call.
    fn sent(&mut self, link: LinkId) -> Vec<Packet> {
        let mut sent = Vec::new();
        self.did.retain(|action| match action {
            LeaderAction::Send(to, packet) if *to == link => {
                sent.push(packet.clone());
                false
            }
            _ => true,
        });
        sent
    }

    fn has_closed(&self, link: LinkId) -> bool {
        let closes = |action: &LeaderAction| matches!(action, LeaderAction::Close { link: closed, .. } if *closed == link);
        self.did.iter().any(closes)
    }
}

#[test]
fn a_sync_whose_learners_come_back_on_other_links_is_answered() {
    let mut lead = Lead::serving(1);
    lead.leader.fence(&lead.history, NOW, &mut lead.did);
    // Its link breaks before it has answered the ping.
    lead.leader.on_closed(ONE, NOW);
    lead.introduce(TWO, Sid(1), 1);
    lead.ack_epoch(TWO, z(1, 1));
    lead.ack(TWO, z(2, 0));
    let has_passed = |lead: &Lead| {
        let passes = |did: &LeaderAction| matches!(did, LeaderAction::Fenced { .. });
        lead.did.iter().any(passes)
    };
    assert!(!has_passed(&lead), "nothing is proved yet");
    let pong = Message::Ping {
        zxid: Zxid::ZERO,
        touched: None,
    };
    lead.hear(TWO, &pong);
    assert!(has_passed(&lead));
}

#[test]
fn the_new_epoch_is_above_all_that_a_quorum_accepted() {
    let mut lead = Lead::new(3);
    assert_eq!(lead.leader.epoch(), None, "alone it is no quorum");
    lead.introduce(ONE, Sid(1), 41);
    assert_eq!(lead.leader.epoch(), Some(42));
    assert_eq!(lead.sent(ONE), [Packet::LeaderInfo { epoch: 42 }]);
}

#[test]
fn a_follower_with_more_history_is_refused_while_the_epoch_is_not_agreed() {
    let mut lead = Lead::new(3);
    lead.introduce(ONE, Sid(1), 1);
    lead.ack_epoch(ONE, z(1, 4));
    assert!(lead.has_closed(ONE));
}

/// P22: it could never join otherwise.
#[test]
fn a_voter_that_accepted_a_later_epoch_makes_the_leader_begin_anew() {
    let mut lead = Lead::serving(3);
    lead.introduce(TWO, Sid(2), 9);
    let leaves = |action: &LeaderAction| matches!(action, LeaderAction::Leave(_));
    assert!(lead.did.iter().any(leaves));
}

#[test]
fn rule_11_acks_of_proposals_may_come_before_the_ack_of_newleader() {
    let mut lead = Lead::serving(3);
    lead.introduce(TWO, Sid(2), 1);
    lead.ack_epoch(TWO, z(1, 3));
    lead.propose(1);
    lead.flush();
    lead.ack(TWO, z(2, 1));
    assert!(!lead.has_closed(TWO));
    assert_eq!(lead.history.committed(), z(1, 3), "it does not count yet");
    lead.ack(TWO, z(2, 0));
    assert_eq!(lead.history.committed(), z(2, 1));
}

#[test]
fn rule_12_decisions_are_held_back_until_uptodate_and_come_right_behind_it() {
    let mut lead = Lead::serving(3);
    lead.introduce(TWO, Sid(2), 1);
    lead.ack_epoch(TWO, z(1, 2));
    lead.propose(1);
    lead.flush();
    lead.ack(ONE, z(2, 1));
    let sent = lead.sent(TWO);
    assert_eq!(sent[0], Packet::LeaderInfo { epoch: 2 });
    assert_eq!(sent[1], Packet::Diff(z(1, 3)));
    assert_eq!(sent[2], proposal(z(1, 3)));
    assert_eq!(sent[3], Packet::Commit(z(1, 3)));
    assert!(matches!(sent[4], Packet::NewLeader { epoch: 2, .. }));
    assert_eq!(sent[5..], [proposal(z(2, 1))]);
    lead.ack(TWO, z(2, 0));
    assert_eq!(lead.sent(TWO), [Packet::UpToDate, Packet::Commit(z(2, 1))]);
}

#[test]
fn rule_13_proposals_and_decisions_go_in_order_and_whole_to_observers_only() {
    let mut lead = Lead::serving(3);
    lead.leader.on_connected(TWO, NOW);
    let learner = LearnerInfo {
        sid: Sid(4),
        protocol: PROTOCOL_VERSION,
        config_version: Some(0),
        capabilities: &[],
    };
    let accepted = z(1, 0);
    lead.hear(TWO, &Message::ObserverInfo { accepted, learner });
    lead.ack_epoch(TWO, z(1, 3));
    lead.ack(TWO, z(2, 0));
    lead.did.clear();
    for counter in 1..=3 {
        lead.propose(counter);
    }
    lead.ack(ONE, z(2, 3));
    assert_eq!(
        lead.history.committed(),
        z(1, 3),
        "its own disk counts, too (P28)"
    );
    lead.flush();
    let zxids = [z(2, 1), z(2, 2), z(2, 3)];
    let to_follower = [zxids.map(proposal), zxids.map(Packet::Commit)].concat();
    assert_eq!(lead.sent(ONE), to_follower);
    assert_eq!(
        lead.sent(TWO),
        zxids.map(|zxid| Packet::Inform(entry(zxid)))
    );
}

#[test]
fn an_observer_is_no_part_of_any_quorum() {
    let mut lead = Lead::serving(3);
    lead.leader.on_connected(TWO, NOW);
    let learner = LearnerInfo {
        sid: Sid(4),
        protocol: PROTOCOL_VERSION,
        config_version: Some(0),
        capabilities: &[],
    };
    let accepted = z(1, 0);
    lead.hear(TWO, &Message::ObserverInfo { accepted, learner });
    lead.ack_epoch(TWO, z(1, 3));
    lead.ack(TWO, z(2, 0));
    lead.propose(1);
    lead.flush();
    lead.ack(TWO, z(2, 1));
    assert_eq!(lead.history.committed(), z(1, 3));
}

#[test]
fn rule_23_a_learner_whose_membership_is_newer_is_refused() {
    let mut lead = Lead::new(3);
    lead.leader.on_connected(ONE, NOW);
    let learner = LearnerInfo {
        sid: Sid(1),
        protocol: PROTOCOL_VERSION,
        config_version: Some(0x1_0000_0000),
        capabilities: &[],
    };
    let accepted = z(1, 0);
    lead.hear(ONE, &Message::FollowerInfo { accepted, learner });
    assert!(lead.has_closed(ONE));
}

#[test]
fn a_follower_that_acknowledges_nothing_is_dropped_after_sync_limit() {
    let mut lead = Lead::serving(3);
    lead.propose(1);
    let almost = NOW.after(LIMITS.sync_ms() - 1);
    let pong = Message::Ping {
        zxid: z(2, 1),
        touched: Some(Vec::new()),
    };
    lead.leader
        .on_packet(ONE, &pong, &mut lead.history, almost, &mut lead.did);
    lead.leader.tick(almost, &mut lead.did);
    assert!(!lead.has_closed(ONE));
    lead.leader.tick(almost.after(1), &mut lead.did);
    assert!(lead.has_closed(ONE));
}

#[test]
fn a_follower_that_has_nothing_to_acknowledge_is_not_late() {
    let mut lead = Lead::serving(3);
    lead.introduce(TWO, Sid(2), 1);
    lead.ack_epoch(TWO, z(1, 3));
    lead.ack(TWO, z(2, 0));
    let mut now = NOW;
    for _ in 0..40 {
        now = now.after(500);
        let pong = Message::Ping {
            zxid: z(2, 0),
            touched: Some(Vec::new()),
        };
        for link in [ONE, TWO] {
            lead.leader
                .on_packet(link, &pong, &mut lead.history, now, &mut lead.did);
        }
        lead.leader.tick(now, &mut lead.did);
    }
    assert!(!lead.has_closed(TWO));
}

#[test]
fn fast_heartbeats_are_promised_only_where_every_voter_knows_them() {
    let mut lead = Lead::serving(3);
    lead.leader.tick(NOW.after(1000), &mut lead.did);
    let pings = lead.sent(ONE);
    assert_eq!(
        pings,
        [Packet::Ping {
            zxid: z(2, 0),
            touched: None
        }]
    );
}

/// Until it has the promise, a learner waits out `syncLimit` for a leader that hangs.
#[test]
fn the_promise_of_fast_heartbeats_goes_right_behind_uptodate() {
    let mut lead = Lead::new(3);
    lead.introduce_with(ONE, Sid(1), 1, CAPABILITIES);
    lead.ack_epoch(ONE, z(1, 3));
    lead.ack(ONE, z(2, 0));
    while lead.history.release().is_some() {}
    lead.leader.serve(NOW, &mut lead.did);
    assert_eq!(lead.sent(ONE).last(), Some(&Packet::UpToDate));
    assert_eq!(lead.leader.next_deadline(), NOW);
    lead.leader.tick(NOW, &mut lead.did);
    let promise = Packet::Ping {
        zxid: z(2, 0),
        touched: Some(Vec::new()),
    };
    assert_eq!(lead.sent(ONE), [promise]);
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
