//! Learners as Apache ZooKeeper 3.8.0 has them: a member is given what a recorded leader sent, and must say what the
//! recorded learner said. What its clients and timers made it say is left out.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::fs;
use std::path::Path;

use zabra_election::{PeerEpoch, Received, Round, Vote};
use zabra_jute::{Decode, Reader};
use zabra_peer::{Effect, EnsembleOptions, Input, Now, Peer, Restored, RestoredHistory};
use zabra_proto::notification::ServerState;
use zabra_proto::quorum_packet::{Message, QuorumPacket};
use zabra_proto::{MonoMillis, Sid, WallMillis, Zxid};
use zabra_quorum::{ConfigVersion, Membership, Role};
use zabra_tree::{DataTree, TreeOptions};
use zabra_zab::{CAPABILITIES, Epochs, LinkId, Packet};

const LINK: LinkId = LinkId(1);

/// What one side of a recorded connection sent.
fn messages(name: &str, side: &str) -> Vec<Message<'static>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/tests/vectors/quorum");
    let bytes: &'static [u8] = fs::read(folder.join(format!("{name}.{side}.bin")))
        .unwrap()
        .leak();
    let mut rest = bytes;
    let mut messages = Vec::new();
    while !rest.is_empty() {
        let mut r = Reader::new(rest);
        let message = QuorumPacket::decode(&mut r).unwrap().message().unwrap();
        rest = r.rest();
        if matches!(message, Message::Snap { .. }) {
            const SIGNATURE: &[u8] = b"BenWasHere";
            let ends = |at: &usize| rest[*at..].starts_with(SIGNATURE);
            rest = &rest[(0..rest.len()).find(ends).unwrap() + SIGNATURE.len()..];
        }
        messages.push(message);
    }
    messages
}

/// What a learner says by itself: introductions and acks.
fn is_own(message: &Message<'_>) -> bool {
    matches!(
        message,
        Message::FollowerInfo { .. }
            | Message::ObserverInfo { .. }
            | Message::AckEpoch { .. }
            | Message::Ack { .. }
    )
}

struct Learner {
    peer: Peer,
    tree: DataTree,
    now: Now,
    said: Vec<Packet>,
    serves: bool,
    /// Memberships that it put in force.
    adopted: Vec<ConfigVersion>,
    has_left: bool,
}

impl Learner {
    /// A member in the place of the recorded one.
    fn like(recorded: &[Message<'_>], membership: Membership) -> Self {
        let (observes, accepted, sid) = match &recorded[0] {
            Message::FollowerInfo { accepted, learner } => (false, accepted.epoch(), learner.sid),
            Message::ObserverInfo { accepted, learner } => (true, accepted.epoch(), learner.sid),
            other => panic!("{other:?}"),
        };
        let Message::AckEpoch {
            last_logged,
            current_epoch,
        } = recorded[1]
        else {
            panic!("{:?}", recorded[1]);
        };
        let role = if observes {
            Role::Observer
        } else {
            Role::Participant
        };
        let ensemble = EnsembleOptions {
            reconfig_enabled: true,
            ..common::ensemble_options(sid, role, membership)
        };
        let restored = Restored {
            last_zxid: last_logged,
            sessions: Vec::new(),
        };
        let history = RestoredHistory {
            tail: Vec::new(),
            epochs: Epochs {
                accepted,
                current: current_epoch.unwrap_or(accepted),
            },
            has_history: true,
        };
        let now = Now {
            mono: MonoMillis(1_000_000),
            wall: WallMillis(0),
        };
        Self {
            peer: Peer::member(common::options(), ensemble, &restored, history, now),
            tree: DataTree::new(TreeOptions::default()),
            now,
            said: Vec::new(),
            serves: false,
            adopted: Vec::new(),
            has_left: false,
        }
    }

    fn step(&mut self, input: Input<'_>) {
        let mut effects = Vec::new();
        self.peer.step(self.now, input, &self.tree, &mut effects);
        for effect in effects {
            match effect {
                Effect::Append { zxid, .. } => self.step(Input::Flushed(zxid)),
                Effect::SaveEpochs(epochs) => self.step(Input::EpochsSaved(epochs)),
                Effect::Truncate(zxid) => self.step(Input::Truncated(zxid)),
                Effect::Commit(commit) => self.step(Input::Applied(commit.zxid)),
                Effect::Dial { dial, .. } => {
                    let link = Some(LINK);
                    self.step(Input::Dialed { dial, link });
                }
                Effect::Send { packet, .. } => self.said.push(packet),
                Effect::StartServing => self.serves = true,
                Effect::AdoptConfig(membership) => self.adopted.push(membership.version()),
                Effect::Close(LINK) => self.has_left = true,
                Effect::Halt(_) => panic!("{effect:?} after {:?}", self.said),
                _ => {}
            }
        }
    }

    /// Two servers tell that they have a leader.
    fn find_leader(&mut self, leaders: [Sid; 2]) {
        self.step(Input::Tick);
        for (sender, state) in [
            (leaders[0], ServerState::Leading),
            (leaders[1], ServerState::Following),
        ] {
            let vote = Vote {
                leader: leaders[0],
                zxid: Zxid::ZERO,
                epoch: PeerEpoch(1),
            };
            self.step(Input::Vote(&Received {
                sender,
                state: Some(state),
                vote,
                round: Round(1),
                version: 2,
                config: None,
            }));
        }
    }
}

fn text_of(leader: &[Message<'static>]) -> Membership {
    let text = leader.iter().find_map(|message| match message {
        Message::NewLeader { membership, .. } => *membership,
        _ => None,
    });
    Membership::parse(str::from_utf8(text.unwrap()).unwrap()).unwrap()
}

fn replay(name: &str) -> Learner {
    let (recorded, leader) = (messages(name, "c2s"), messages(name, "s2c"));
    let (me, version) = match &recorded[0] {
        Message::FollowerInfo { learner, .. } | Message::ObserverInfo { learner, .. } => {
            (learner.sid, learner.config_version.unwrap())
        }
        other => panic!("{other:?}"),
    };
    let membership = text_of(&leader).with_version(ConfigVersion(version));
    let mut learner = Learner::like(&recorded, membership.clone());
    let others: Vec<Sid> = membership
        .voters()
        .into_iter()
        .filter(|sid| *sid != me)
        .collect();
    // Who leads matters where the membership changes: there it was the last of them.
    learner.find_leader([others[1], others[0]]);
    let mut installed = Zxid::ZERO;
    for message in &leader {
        if learner.has_left {
            break;
        }
        learner.step(Input::Packet(LINK, message));
        if let Message::Snap { zxid } = message {
            installed = *zxid;
            learner.step(Input::SnapshotInstalled(*zxid));
        }
    }
    assert!(learner.serves, "{name}");
    let said = learner.said.clone();
    let said: Vec<Message<'_>> = said.iter().map(Packet::message).collect();
    // 3.8.0 acknowledges also what was decided before it was in step; 3.9.3 and this server do not (quorum 19.3).
    let synced = synced_up_to(&leader).max(installed);
    let expected: Vec<Message<'_>> = recorded
        .into_iter()
        .filter(is_own)
        .filter(|m| !matches!(m, Message::Ack { zxid } if zxid.counter() > 0 && *zxid <= synced))
        .map(with_capabilities)
        .collect();
    let said: Vec<Message<'_>> = said.into_iter().filter(is_own).collect();
    assert_eq!(said, expected, "{name}");
    learner
}

/// The last transaction that the leader decided before NEWLEADER.
fn synced_up_to(leader: &[Message<'_>]) -> Zxid {
    let before = leader
        .iter()
        .take_while(|message| !matches!(message, Message::NewLeader { .. }));
    let commits = before.filter_map(|message| match message {
        Message::Commit { zxid } => Some(*zxid),
        _ => None,
    });
    commits.max().unwrap_or(Zxid::ZERO)
}

/// As a server of this project introduces itself (design 1.1).
fn with_capabilities(mut message: Message<'static>) -> Message<'static> {
    if let Message::FollowerInfo { learner, .. } | Message::ObserverInfo { learner, .. } =
        &mut message
    {
        learner.capabilities = CAPABILITIES;
    }
    message
}

#[test]
fn a_follower_says_what_a_recorded_one_said() {
    for name in [
        "10-follower-diff-empty",
        "11-follower-snap-then-serve",
        "13-follower-diff-with-txns",
        "14-follower-snap-wiped",
        "15-new-epoch",
        "16-old-leader-rejoins",
    ] {
        assert!(!replay(name).has_left, "{name}");
    }
}

#[test]
fn an_observer_says_what_a_recorded_one_said() {
    replay("12-observer");
}

/// Quorum 14.5: whatever a running ensemble of Apache's decides about its members is obeyed.
#[test]
fn a_follower_obeys_recorded_reconfigurations_and_leaves_a_leader_that_was_removed() {
    let learner = replay("20-reconfig-follower");
    // The one that comes with the epoch, and three that were asked for.
    let versions = [0, 2, 3, 4].map(|counter| ConfigVersion::of(Zxid::new(1, counter)));
    assert_eq!(learner.adopted, versions);
    assert!(learner.has_left);
}

#[test]
fn a_follower_without_a_role_that_becomes_an_observer_comes_again_as_one() {
    let learner = replay("21-reconfig-nonvoter-becomes-observer");
    assert!(learner.has_left);
}

#[test]
fn an_observer_obeys_recorded_reconfigurations() {
    let learner = replay("22-reconfig-observer");
    assert!(!learner.adopted.is_empty());
}
