//! What a member of an ensemble goes through: elections, getting into step, proposals.
//!
//! [`MemberStats`] listens to the effects of the peer and knows nothing else of it; [`MemberView`] is what the words tell.

use std::collections::BTreeMap;

use zabra_peer::{Effect, Note, Peer};
use zabra_proto::{MonoMillis, Sid};
use zabra_quorum::{Membership, Role};
use zabra_zab::{Backlog, LinkId, Packet};

use super::{Basic, Counter, Metrics};

/// A member's part in its ensemble just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberView {
    /// What it does.
    pub part: Part,
    /// How many servers vote under the membership in force.
    pub quorum_size: usize,
    /// The membership in force.
    pub membership: Membership,
}

/// What a member does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// It is not in step with a leader, or does not lead a quorum: no client is served.
    Looking,
    /// It follows.
    Following {
        /// Whom.
        leader: Sid,
    },
    /// It observes.
    Observing {
        /// Whose commits it is told.
        master: Sid,
    },
    /// It leads.
    Leading(LeaderFigures),
}

/// What a leader tells of its learners (ME-24).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LeaderFigures {
    /// Connected learners, in step or not.
    pub learners: usize,
    /// Followers in step.
    pub synced_followers: usize,
    /// Those among them that have no vote.
    pub synced_non_voting_followers: usize,
    /// Observers in step.
    pub synced_observers: usize,
    /// Learners and clients that wait for a `sync`.
    pub pending_syncs: usize,
    /// How long it has led, ms.
    pub uptime_ms: u64,
    /// How large its proposals were.
    pub proposals: ProposalSizes,
}

/// Sizes of a leader's proposals in bytes; none before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProposalSizes {
    /// Of the last one.
    pub last: Option<u64>,
    /// The least.
    pub min: Option<u64>,
    /// The greatest.
    pub max: Option<u64>,
}

impl ProposalSizes {
    /// Takes note of one.
    pub fn add(&mut self, len: u64) {
        self.last = Some(len);
        self.min = Some(self.min.map_or(len, |min| min.min(len)));
        self.max = self.max.max(Some(len));
    }
}

/// Counts what a member goes through.
#[derive(Debug)]
pub struct MemberStats {
    me: Sid,
    membership: Membership,
    stage: Stage,
    /// Since when no client has been served.
    unavailable_since: Option<MonoMillis>,
    proposals: ProposalSizes,
    /// Learners that are being sent history from disk, and whether it seems to be a snapshot.
    in_flight: BTreeMap<LinkId, bool>,
}

/// How far it has come, each stage with its begin.
#[derive(Debug, Clone, Copy)]
enum Stage {
    Looking { since: MonoMillis },
    Elected { at: MonoMillis },
    InStep { leader: Sid, since: MonoMillis },
}

impl MemberStats {
    /// Of a member that begins to look for a leader.
    #[must_use]
    pub fn new(me: Sid, membership: Membership, now: MonoMillis) -> Self {
        Self {
            me,
            membership,
            stage: Stage::Looking { since: now },
            unavailable_since: Some(now),
            proposals: ProposalSizes::default(),
            in_flight: BTreeMap::new(),
        }
    }

    /// Takes note of what the peer wants done; to be told of every effect, in order.
    pub fn on_effect(&mut self, effect: &Effect, now: MonoMillis, metrics: &mut Metrics) {
        match effect {
            Effect::Note(note) => self.on_note(note, now, metrics),
            Effect::AdoptConfig(membership) => self.membership = (**membership).clone(),
            Effect::Append { payload, .. } => self.on_append(payload.len() as u64, metrics),
            Effect::Commit(_) if self.learns() => metrics.count(Counter::LearnerCommits, 1),
            // A learner that is cut back gets transactions, too; Apache counts both as one kind.
            Effect::Send {
                packet: Packet::Diff(_) | Packet::Trunc(_),
                ..
            } => metrics.count(Counter::Diffs, 1),
            Effect::SendBacklog { link, backlog } => {
                let is_snapshot = matches!(backlog, Backlog::Snapshot { .. });
                self.in_flight.insert(*link, is_snapshot);
                self.note_in_flight(is_snapshot, metrics);
            }
            _ => {}
        }
    }

    /// A learner was sent history from disk, as a snapshot or not; or it could not be sent.
    pub fn on_backlog(&mut self, link: LinkId, was_snapshot: Option<bool>, metrics: &mut Metrics) {
        if let Some(seemed) = self.in_flight.remove(&link) {
            self.note_in_flight(was_snapshot.unwrap_or(seemed), metrics);
        }
        match was_snapshot {
            Some(true) => metrics.count(Counter::Snaps, 1),
            Some(false) => metrics.count(Counter::Diffs, 1),
            None => {}
        }
    }

    /// As Apache does: whenever one begins or ends.
    fn note_in_flight(&self, is_snapshot: bool, metrics: &mut Metrics) {
        let same = self.in_flight.values().filter(|kind| **kind == is_snapshot);
        let series = if is_snapshot {
            Basic::InflightSnaps
        } else {
            Basic::InflightDiffs
        };
        metrics.note(series, same.count() as u64);
    }

    /// Forgets the sizes of proposals, as `srst` wants it.
    pub fn reset(&mut self) {
        self.proposals = ProposalSizes::default();
    }

    /// The membership in force.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// What the words tell, with what only the peer knows.
    #[must_use]
    pub fn view(&self, peer: &Peer, now: MonoMillis) -> MemberView {
        let part = match self.stage {
            Stage::InStep { leader, since } if leader == self.me => {
                Part::Leading(self.leader_figures(peer, now.since(since)))
            }
            Stage::InStep { leader, .. } if self.observes() => Part::Observing { master: leader },
            Stage::InStep { leader, .. } => Part::Following { leader },
            Stage::Looking { .. } | Stage::Elected { .. } => Part::Looking,
        };
        MemberView {
            part,
            quorum_size: self.membership.voters().len(),
            membership: self.membership.clone(),
        }
    }

    fn leader_figures(&self, peer: &Peer, uptime_ms: u64) -> LeaderFigures {
        let learners = peer.learners();
        let (synced_followers, synced_observers) = peer.synced_count();
        let without_vote =
            |(sid, observes): &&(Sid, bool)| !observes && !self.membership.is_voter(*sid);
        LeaderFigures {
            learners: learners.len(),
            synced_followers,
            synced_non_voting_followers: learners
                .iter()
                .filter(without_vote)
                .count()
                .min(synced_followers),
            synced_observers,
            pending_syncs: peer.pending_syncs(),
            uptime_ms,
            proposals: self.proposals,
        }
    }

    fn on_note(&mut self, note: &Note, now: MonoMillis, metrics: &mut Metrics) {
        match note {
            Note::Looking => {
                metrics.count(Counter::Looking, 1);
                self.stage = Stage::Looking { since: now };
                self.unavailable_since.get_or_insert(now);
            }
            Note::Elected { .. } => {
                if let (Stage::Looking { since }, false) = (self.stage, self.observes()) {
                    metrics.note(Basic::Election, now.since(since));
                }
                self.stage = Stage::Elected { at: now };
            }
            Note::InStep { leader, .. } => self.on_in_step(*leader, now, metrics),
            Note::Left { .. } => {
                self.stage = Stage::Looking { since: now };
                self.unavailable_since.get_or_insert(now);
                // A leader's figures are of its own time only.
                self.proposals = ProposalSizes::default();
                self.in_flight.clear();
            }
            Note::LearnerLeft { .. } | Note::LearnerInStep { .. } => {}
        }
    }

    fn on_in_step(&mut self, leader: Sid, now: MonoMillis, metrics: &mut Metrics) {
        let leads = leader == self.me;
        if let Stage::Elected { at } = self.stage {
            match (leads, self.observes()) {
                (true, _) => {}
                (false, true) => metrics.note(Basic::ObserverSync, now.since(at)),
                (false, false) => metrics.note(Basic::FollowerSync, now.since(at)),
            }
        }
        if let Some(since) = self.unavailable_since.take() {
            let took = now.since(since);
            metrics.note(Basic::Unavailable, took);
            if leads {
                metrics.note(Basic::LeaderUnavailable, took);
            }
        }
        self.stage = Stage::InStep { leader, since: now };
    }

    /// Only in step: what comes while the history is being completed is no proposal of this leader's.
    fn on_append(&mut self, len: u64, metrics: &mut Metrics) {
        match self.stage {
            Stage::InStep { leader, .. } if leader == self.me => {
                self.proposals.add(len);
                metrics.count(Counter::Proposals, 1);
            }
            Stage::InStep { .. } if !self.observes() => {
                metrics.count(Counter::LearnerProposals, 1);
            }
            _ => {}
        }
    }

    fn learns(&self) -> bool {
        matches!(self.stage, Stage::InStep { leader, .. } if leader != self.me)
    }

    fn observes(&self) -> bool {
        self.membership.role(self.me) == Some(Role::Observer)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use zabra_proto::Zxid;

    use super::*;

    const TEXT: &str = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\nserver.4=d:1:2:observer";

    pub(crate) fn members() -> Membership {
        Membership::parse(TEXT).expect("well formed")
    }

    /// A member with its metrics, told effects at times.
    struct Told(MemberStats, Metrics);

    impl Told {
        fn new(me: Sid) -> Self {
            let stats = MemberStats::new(me, members(), MonoMillis(0));
            Self(stats, Metrics::default())
        }

        fn tell(&mut self, at: u64, effect: &Effect) {
            self.0.on_effect(effect, MonoMillis(at), &mut self.1);
        }

        fn note(&mut self, at: u64, note: Note) {
            self.tell(at, &Effect::Note(note));
        }

        fn append(&mut self, len: usize) {
            let payload = Arc::from(vec![0; len]);
            let zxid = Zxid(1);
            self.tell(0, &Effect::Append { zxid, payload });
        }

        fn elect(&mut self, leader: Sid) {
            self.note(10, Note::Looking);
            self.note(40, Note::Elected { leader });
            self.note(90, Note::InStep { leader, epoch: 1 });
        }

        fn sums<const N: usize>(&self, series: [Basic; N]) -> [u64; N] {
            series.map(|series| self.1.basic(series).sum())
        }
    }

    const TIMES: [Basic; 5] = [
        Basic::Election,
        Basic::FollowerSync,
        Basic::ObserverSync,
        Basic::Unavailable,
        Basic::LeaderUnavailable,
    ];

    #[test]
    fn the_way_into_step_is_timed_by_role() {
        let mut follower = Told::new(Sid(1));
        follower.elect(Sid(2));
        assert_eq!(follower.sums(TIMES), [30, 50, 0, 90, 0]);
        let mut observer = Told::new(Sid(4));
        observer.elect(Sid(2));
        assert_eq!(observer.sums(TIMES), [0, 0, 50, 90, 0]);
        let mut leader = Told::new(Sid(2));
        leader.elect(Sid(2));
        assert_eq!(leader.sums(TIMES), [30, 0, 0, 90, 90]);
        assert_eq!(leader.1.counter(Counter::Looking), 1);
    }

    #[test]
    fn a_gap_in_the_service_is_timed_from_its_begin() {
        let mut told = Told::new(Sid(1));
        told.elect(Sid(2));
        let why = "the leader is silent".to_owned();
        told.note(1_000, Note::Left { why });
        told.note(1_001, Note::Looking);
        told.note(1_002, Note::Looking);
        told.note(1_100, Note::Elected { leader: Sid(1) });
        told.note(
            1_150,
            Note::InStep {
                leader: Sid(1),
                epoch: 2,
            },
        );
        let sums = told.sums([Basic::Unavailable, Basic::LeaderUnavailable]);
        assert_eq!(sums, [90 + 150, 150]);
    }

    #[test]
    fn proposals_are_measured_where_they_are_made_and_counted_where_they_arrive() {
        let mut leader = Told::new(Sid(2));
        leader.append(9);
        leader.elect(Sid(2));
        [48, 36, 127].into_iter().for_each(|len| leader.append(len));
        let sizes = leader.0.proposals;
        assert_eq!(
            (sizes.last, sizes.min, sizes.max),
            (Some(127), Some(36), Some(127))
        );
        assert_eq!(leader.1.counter(Counter::Proposals), 3);
        leader.0.reset();
        assert_eq!(leader.0.proposals, ProposalSizes::default());

        let mut follower = Told::new(Sid(1));
        follower.elect(Sid(2));
        follower.append(48);
        assert_eq!(follower.1.counter(Counter::LearnerProposals), 1);
        assert_eq!(follower.1.counter(Counter::Proposals), 0);
    }

    #[test]
    fn a_learner_that_gets_a_diff_is_counted_however_it_is_sent() {
        let mut leader = Told::new(Sid(2));
        leader.elect(Sid(2));
        let link = LinkId(1);
        for packet in [
            Packet::Diff(Zxid(1)),
            Packet::Trunc(Zxid(1)),
            Packet::UpToDate,
        ] {
            leader.tell(100, &Effect::Send { link, packet });
        }
        leader.0.on_backlog(link, Some(false), &mut leader.1);
        leader.0.on_backlog(link, Some(true), &mut leader.1);
        leader.0.on_backlog(link, None, &mut leader.1);
        assert_eq!(leader.1.counter(Counter::Diffs), 3);
        assert_eq!(leader.1.counter(Counter::Snaps), 1);
    }

    #[test]
    fn those_in_flight_are_counted_when_one_begins_and_when_one_ends() {
        let mut leader = Told::new(Sid(2));
        leader.elect(Sid(2));
        let up_to = Zxid(9);
        for link in [LinkId(1), LinkId(2)] {
            let backlog = Backlog::Snapshot { up_to };
            leader.tell(100, &Effect::SendBacklog { link, backlog });
        }
        leader.0.on_backlog(LinkId(1), Some(true), &mut leader.1);
        leader.0.on_backlog(LinkId(2), None, &mut leader.1);
        let series = leader.1.basic(Basic::InflightSnaps);
        assert_eq!(
            (series.count(), series.sum(), series.max()),
            (4, 1 + 2 + 1, 2)
        );
        assert_eq!(leader.1.basic(Basic::InflightDiffs).count(), 0);
    }
}
