//! What a leader does and says.

use zabra_proto::quorum_packet::{LearnerInfo, Message, PROTOCOL_VERSION};
use zabra_proto::{Sid, Zxid};
use zabra_quorum::{Membership, Views};
use zabra_zab::{
    CAPABILITIES, Epochs, History, Leader, LeaderAction, LeaderSettings, LinkId, NO_HISTORY, Packet,
};

use crate::{LIMITS, NOW, entries, entry, proposal, z};

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

    /// Observer 4, with all of epoch 1.
    fn bring_in_observer(&mut self, link: LinkId) {
        self.leader.on_connected(link, NOW);
        let learner = LearnerInfo {
            sid: Sid(4),
            protocol: PROTOCOL_VERSION,
            config_version: Some(0),
            capabilities: &[],
        };
        let accepted = z(1, 0);
        self.hear(link, &Message::ObserverInfo { accepted, learner });
        self.ack_epoch(link, z(1, 3));
        self.ack(link, z(2, 0));
    }

    fn ack_epoch(&mut self, link: LinkId, last_logged: Zxid) {
        let message = Message::AckEpoch {
            last_logged,
            current_epoch: Some(1),
        };
        self.hear(link, &message);
    }

    fn ack_epoch_empty(&mut self, link: LinkId, last_logged: Zxid) {
        let message = Message::AckEpoch {
            last_logged,
            current_epoch: Some(0),
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
        lead.leader.serve(&lead.history, NOW, &mut lead.did);
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

const PONG: Message<'_> = Message::Ping {
    zxid: Zxid::ZERO,
    touched: None,
};

/// P48: it may have helped to make a later epoch, and have lost that with its disk. A leader of the past would have a quorum
/// again with its voice.
#[test]
fn a_voter_without_a_history_is_taken_in_once_a_quorum_without_it_still_follows() {
    for empty in [Zxid::ZERO, NO_HISTORY] {
        let mut lead = Lead::serving(3);
        lead.introduce(TWO, Sid(2), 0);
        lead.ack_epoch_empty(TWO, empty);
        assert_eq!(lead.sent(TWO), [Packet::LeaderInfo { epoch: 2 }]);
        lead.hear(ONE, &PONG);
        let taken_in = |packet: &Packet| matches!(packet, Packet::NewLeader { .. });
        assert!(lead.sent(TWO).iter().any(taken_in));
    }
}

#[test]
fn a_leader_whose_followers_are_gone_takes_in_no_voter_without_a_history() {
    let mut lead = Lead::serving(3);
    lead.introduce(TWO, Sid(2), 0);
    lead.ack_epoch_empty(TWO, Zxid::ZERO);
    lead.leader.on_closed(ONE, NOW);
    assert_eq!(lead.sent(TWO), [Packet::LeaderInfo { epoch: 2 }]);
    let in_time = lead.leader.next_deadline();
    lead.leader.tick(in_time, &mut lead.did);
    let leaves = |action: &LeaderAction| matches!(action, LeaderAction::Leave(_));
    assert!(lead.did.iter().any(leaves));
}

#[test]
fn a_voter_without_a_history_makes_no_epoch_of_a_leader_that_has_one() {
    let mut lead = Lead::new(3);
    lead.introduce(ONE, Sid(1), 0);
    lead.ack_epoch_empty(ONE, Zxid::ZERO);
    let names = |packet: &Packet| matches!(packet, Packet::NewLeader { .. });
    assert!(!lead.sent(ONE).iter().any(names));
    lead.introduce(TWO, Sid(2), 1);
    lead.ack_epoch(TWO, z(1, 3));
    assert!(lead.sent(TWO).iter().any(names));
    assert!(!lead.sent(ONE).iter().any(names), "it was not asked for");
}

/// What it had it has still.
#[test]
fn a_voter_with_an_epoch_and_no_txn_is_no_new_one() {
    let mut lead = Lead::new(3);
    lead.introduce(ONE, Sid(1), 1);
    lead.ack_epoch(ONE, Zxid::ZERO);
    let names = |packet: &Packet| matches!(packet, Packet::NewLeader { .. });
    assert!(lead.sent(ONE).iter().any(names));
}

#[test]
fn voters_without_a_history_make_the_first_epoch() {
    let mut lead = Lead::new(0);
    lead.introduce(ONE, Sid(1), 0);
    lead.ack_epoch_empty(ONE, Zxid::ZERO);
    let names = |packet: &Packet| matches!(packet, Packet::NewLeader { .. });
    assert!(lead.sent(ONE).iter().any(names));
}

/// It lacks nothing but a log that could be cut, and has not forgotten its word.
#[test]
fn a_voter_that_gave_its_word_and_asks_for_a_snapshot_is_no_new_one() {
    let mut lead = Lead::serving(3);
    lead.leader.on_closed(ONE, NOW);
    lead.introduce(TWO, Sid(1), 2);
    let again = Message::AckEpoch {
        last_logged: NO_HISTORY,
        current_epoch: None,
    };
    lead.hear(TWO, &again);
    let names = |packet: &Packet| matches!(packet, Packet::NewLeader { .. });
    assert!(lead.sent(TWO).iter().any(names));
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
    lead.bring_in_observer(TWO);
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
    lead.bring_in_observer(TWO);
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
    lead.leader.serve(&lead.history, NOW, &mut lead.did);
    assert_eq!(lead.sent(ONE).last(), Some(&Packet::UpToDate));
    assert_eq!(lead.leader.next_deadline(), NOW);
    lead.leader.tick(NOW, &mut lead.did);
    let promise = Packet::Ping {
        zxid: z(2, 0),
        touched: Some(Vec::new()),
    };
    assert_eq!(lead.sent(ONE), [promise]);
}
