//! Servers that behave on the wire as older releases of Apache's do (quorum 19), as far as that is safe: they do not say what they
//! are capable of and take no notice of others who do, and they use the freedoms that the protocol leaves and this
//! project's servers do not take.

use zabra_jute::Encode;
use zabra_proto::quorum_packet::{LeaderInfo, LearnerInfo, Message};
use zabra_proto::{Sid, Zxid};
use zabra_zab::Packet;

use crate::check::Checker;
use crate::surroundings::Surroundings;

/// What an older server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Older {
    /// It introduces itself without the version of its membership, as 3.4 does.
    pub says_less: bool,
    /// Its votes have 40 bytes and no membership, as those of 3.4.6.
    pub votes_briefly: bool,
    /// As a learner it acknowledges each proposal of a sync, before or behind NEWLEADER, as 3.5.10 to 3.9.1 do.
    pub acks_each: bool,
    /// As a leader it pings learners that do not serve yet, and holds no COMMIT back behind UPTODATE, as all do.
    pub is_eager: bool,
    /// As a leader it sends a snapshot where a DIFF would do.
    pub snaps: bool,
    /// Its txns carry no digest, and the end of a session lists no paths, as in 3.5.
    pub keeps_no_digest: bool,
}

pub(crate) const UNKNOWING: &str = "older: does not say what it is capable of";
pub(crate) const SAYS_LESS: &str = "older: says no version of its membership";
pub(crate) const VOTES_BRIEFLY: &str = "older: vote of 40 bytes";
pub(crate) const ACKS_EACH: &str = "older: proposals of a sync acknowledged";
pub(crate) const PINGS_EARLY: &str = "older: PING before UPTODATE";
pub(crate) const COMMITS_EARLY: &str = "older: COMMIT before UPTODATE";
pub(crate) const SNAPS: &str = "older: snapshot without need";
pub(crate) const NO_DIGEST: &str = "older: txn without digest";

/// Each of them.
pub const QUIRKS: [&str; 8] = [
    UNKNOWING,
    SAYS_LESS,
    VOTES_BRIEFLY,
    ACKS_EACH,
    PINGS_EARLY,
    COMMITS_EARLY,
    SNAPS,
    NO_DIGEST,
];

impl Older {
    pub(crate) fn draw(rng: &mut fastrand::Rng) -> Self {
        Self {
            says_less: rng.u32(0..3) == 0,
            votes_briefly: rng.bool(),
            acks_each: rng.bool(),
            is_eager: rng.bool(),
            snaps: rng.u32(0..3) == 0,
            keeps_no_digest: rng.u32(0..3) == 0,
        }
    }

    /// How it introduces itself; none of what is no introduction.
    pub(crate) fn introduction(self, packet: &Packet) -> Option<Vec<u8>> {
        let message = match blind(packet.message()) {
            Message::FollowerInfo { accepted, learner } => Message::FollowerInfo {
                accepted,
                learner: self.shorten(learner),
            },
            Message::ObserverInfo { accepted, learner } => Message::ObserverInfo {
                accepted,
                learner: self.shorten(learner),
            },
            message @ Message::LeaderInfo { .. } => message,
            _ => return None,
        };
        let mut out = Vec::new();
        message.encode(&mut out);
        Some(out)
    }

    fn shorten(self, learner: LearnerInfo<'_>) -> LearnerInfo<'_> {
        let config_version = learner.config_version.filter(|_| !self.says_less);
        LearnerInfo {
            config_version,
            ..learner
        }
    }

    /// A vote of version 2 as it sends it.
    pub(crate) fn vote(self, frame: Vec<u8>, check: &mut Checker) -> Vec<u8> {
        match frame.get(4..40) {
            Some(fields) if self.votes_briefly => {
                check.count(VOTES_BRIEFLY);
                let mut short = 40_i32.to_be_bytes().to_vec();
                short.extend_from_slice(fields);
                1_i32.encode(&mut short);
                short
            }
            _ => frame,
        }
    }
}

/// A message without what only servers of this project understand.
pub(crate) fn blind(message: Message<'_>) -> Message<'_> {
    match message {
        Message::FollowerInfo { accepted, learner } => Message::FollowerInfo {
            accepted,
            learner: LearnerInfo {
                capabilities: &[],
                ..learner
            },
        },
        Message::ObserverInfo { accepted, learner } => Message::ObserverInfo {
            accepted,
            learner: LearnerInfo {
                capabilities: &[],
                ..learner
            },
        },
        Message::LeaderInfo { zxid, leader } => Message::LeaderInfo {
            zxid,
            leader: LeaderInfo {
                capabilities: &[],
                ..leader
            },
        },
        message => message,
    }
}

/// What a link of an older server has seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Proposals of a sync that is not at its end.
    pub(crate) proposals: Vec<Zxid>,
    /// NEWLEADER has come.
    pub(crate) is_fenced: bool,
    /// UPTODATE is to be sent, behind what else is said.
    pub(crate) owes_up_to_date: bool,
}

impl Seen {
    /// A message has come to a server, from its leader or a learner.
    pub(crate) fn hear(
        &mut self,
        message: &Message<'_>,
        (me, learns): (Sid, bool),
        around: &mut Surroundings,
    ) {
        match message {
            Message::Ping {
                touched: Some(_), ..
            } if learns => {
                let text = format!("s{me} is promised what it does not know of");
                around.check.violate("no promise to older servers", text);
            }
            Message::Proposal { zxid, .. } if !self.is_fenced => self.proposals.push(*zxid),
            Message::NewLeader { .. } => self.is_fenced = true,
            _ => {}
        }
    }
}
