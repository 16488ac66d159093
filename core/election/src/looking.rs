//! While there is no leader: votes are compared, passed on and counted (quorum 5.4).

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use zabra_mutant::{self as mutant, Mutant};
use zabra_proto::MonoMillis;
use zabra_quorum::Sid;

use crate::election::Phase;
use crate::tally::{Ballot, Tally};
use crate::{
    Effect, Election, History, NO_HISTORY, Notification, Received, Round, ServerState, Vote,
};

/// How long a proposal that has its quorum waits for a better vote (quorum 5.7).
const FINALIZE_WAIT_MS: u64 = 200;

/// A running election.
#[derive(Debug)]
pub(crate) struct Looking {
    /// The best vote of this round.
    proposal: Vote,
    /// The votes of this round.
    tally: Tally,
    /// The votes of servers that have a leader, of any round.
    settled: Tally,
    /// Who has spoken in this round, whether the vote counts or not.
    heard: BTreeSet<Sid>,
    /// The wait before votes are sent again.
    resend_ms: u64,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// The proposal has no quorum.
    Gathering,
    /// It has one, and waits for a better vote. Votes of later rounds that are not better wait for the end (P63).
    Finalizing { parked: BTreeMap<Sid, Received> },
}

impl Looking {
    fn new(proposal: Vote, resend_ms: u64) -> Self {
        Self {
            proposal,
            tally: Tally::default(),
            settled: Tally::default(),
            heard: BTreeSet::new(),
            resend_ms,
            stage: Stage::Gathering,
        }
    }

    /// Goes back to gathering; the votes that were waiting.
    pub(crate) fn take_parked(&mut self) -> Vec<Received> {
        match std::mem::replace(&mut self.stage, Stage::Gathering) {
            Stage::Gathering => Vec::new(),
            Stage::Finalizing { parked } => parked.into_values().collect(),
        }
    }

    fn is_finalizing(&self) -> bool {
        matches!(self.stage, Stage::Finalizing { .. })
    }
}

impl Election {
    pub(crate) fn look(&mut self, now: MonoMillis, history: History, effects: &mut Vec<Effect>) {
        self.history = history;
        self.without_txn.clear();
        self.round = Round(self.round.0.saturating_add(1));
        let resend_ms = self.settings.resend_ms_min;
        self.phase = Phase::Looking(Looking::new(self.initial_vote(), resend_ms));
        self.broadcast(effects);
        self.arm(now, resend_ms, effects);
        self.conclude(now, effects);
    }

    pub(crate) fn on_timer(&mut self, now: MonoMillis, effects: &mut Vec<Effect>) {
        let (round, max) = (self.round, self.settings.resend_ms_max);
        let Some(looking) = self.looking() else {
            return;
        };
        if looking.is_finalizing() {
            let proposal = looking.proposal;
            self.decide(proposal, round, effects);
            return;
        }
        looking.resend_ms = looking.resend_ms.saturating_mul(2).min(max);
        let wait = looking.resend_ms;
        self.broadcast(effects);
        self.arm(now, wait, effects);
    }

    /// A vote of a voter, while this server looks.
    pub(crate) fn on_vote(
        &mut self,
        now: MonoMillis,
        received: Received,
        state: ServerState,
        effects: &mut Vec<Effect>,
    ) {
        self.hear(&received, state, effects);
        if state == ServerState::Looking && received.round < self.round {
            self.tell_late(received.sender, effects);
        }
        if !self.views.is_voter(received.vote.leader) {
            return;
        }
        match state {
            ServerState::Looking => self.on_looker(now, received, effects),
            ServerState::Following | ServerState::Leading => {
                self.on_settled(now, &received, state, effects);
            }
            ServerState::Observing => {}
        }
    }

    /// An empty server that hears of a history withdraws: what it acked may be what it has lost (P48). It comes back when
    /// it has heard from all that there is nothing to lose.
    fn hear(&mut self, received: &Received, state: ServerState, effects: &mut Vec<Effect>) {
        let was_outsider = self.is_outsider();
        self.has_heard_history |= received.vote.has_history();
        if received.vote.has_txn() {
            self.has_heard_txn = true;
        } else if state == ServerState::Looking {
            // One that has a leader says what that had when it was elected.
            self.without_txn.insert(received.sender);
        }
        if self.is_outsider() == was_outsider {
            return;
        }
        let initial = self.initial_vote();
        if let Some(looking) = self.looking() {
            looking.proposal = initial;
            looking.take_parked();
            self.broadcast(effects);
        }
    }

    fn on_looker(&mut self, now: MonoMillis, received: Received, effects: &mut Vec<Effect>) {
        let is_outsider = self.is_outsider();
        let (round, initial) = (self.round, self.initial_vote());
        let views = &self.views;
        let Phase::Looking(looking) = &mut self.phase else {
            return;
        };
        // It has no leader any more (P59).
        looking.settled.remove(received.sender);
        if is_outsider || received.vote.zxid == NO_HISTORY {
            looking.heard.insert(received.sender);
            self.conclude(now, effects);
            return;
        }
        // A vote for this server that says more than it has is of a life that it lost with its disk, or of before a leader
        // took txns back from it: others repeat it, this server does not (I-12).
        let may_adopt = received.vote.leader != self.settings.me;
        let is_better = may_adopt && received.vote.beats(&looking.proposal, views);
        let (mut parked, mut is_behind) = (Vec::new(), false);
        match received.round.cmp(&round) {
            Ordering::Less if !mutant::on(Mutant::OldRoundCounted) => return,
            Ordering::Less => {}
            Ordering::Greater => {
                if let Stage::Finalizing { parked } = &mut looking.stage
                    && !is_better
                {
                    parked.insert(received.sender, received);
                    return;
                }
                parked = looking.take_parked();
                looking.tally.clear();
                looking.heard.clear();
                let beats_mine = may_adopt && received.vote.beats(&initial, views);
                looking.proposal = if beats_mine { received.vote } else { initial };
                self.round = received.round;
                self.broadcast(effects);
            }
            Ordering::Equal if is_better => {
                parked = looking.take_parked();
                looking.proposal = received.vote;
                self.broadcast(effects);
            }
            Ordering::Equal => is_behind = looking.proposal.beats(&received.vote, views),
        }
        if is_behind {
            // It began to look after it was told, and would hear of this vote only when votes are sent again.
            self.tell_late(received.sender, effects);
        }
        self.count(&received, ServerState::Looking);
        self.conclude(now, effects);
        for waiting in parked {
            self.on_looker(now, waiting, effects);
        }
    }

    fn count(&mut self, received: &Received, state: ServerState) {
        if let Some(looking) = self.looking() {
            let ballot = Ballot::new(received, state);
            looking.tally.insert(received.sender, ballot);
            looking.heard.insert(received.sender);
        }
    }

    /// A server that has a leader: perhaps there is one for all.
    fn on_settled(
        &mut self,
        now: MonoMillis,
        received: &Received,
        state: ServerState,
        effects: &mut Vec<Effect>,
    ) {
        let (vote, round, is_outsider) = (received.vote, received.round, self.is_outsider());
        let is_this_round = round == self.round;
        let me = self.own_ballot();
        let quorum = self.views.quorum_set();
        let (my_sid, is_me) = (self.settings.me, vote.leader == self.settings.me);
        let Some(looking) = self.looking() else {
            return;
        };
        looking.heard.insert(received.sender);
        let ballot = Ballot::new(received, state);
        let is_confirmed = |tally: &Tally| {
            if is_me {
                is_this_round && !is_outsider
            } else {
                tally.has_leading(vote.leader)
            }
        };
        // What it voted in this round before it found its leader counts no longer (P59).
        looking.tally.remove(received.sender);
        let mut is_decided = false;
        if is_this_round {
            // Rounds of other instances are compared here, so that only the leader is: stored without version.
            let stored = Ballot {
                is_versioned: false,
                ..ballot
            };
            looking.tally.insert(received.sender, stored);
            let mut tally = looking.tally.clone();
            if let Some(mine) = me {
                tally.insert(my_sid, mine);
            }
            is_decided = quorum.is_quorum(&tally.supporters(&ballot)) && is_confirmed(&tally);
        }
        looking.settled.insert(received.sender, ballot);
        let settled = &looking.settled;
        is_decided |= quorum.is_quorum(&settled.supporters(&ballot)) && is_confirmed(settled);
        if is_decided {
            self.round = round;
            self.decide(vote, round, effects);
        } else {
            self.conclude(now, effects);
        }
    }

    /// This server's own vote, if it counts.
    fn own_ballot(&self) -> Option<Ballot> {
        let Phase::Looking(looking) = &self.phase else {
            return None;
        };
        self.counts_itself().then_some(Ballot {
            vote: looking.proposal,
            round: self.round,
            state: ServerState::Looking,
            is_versioned: true,
        })
    }

    /// Decides, begins to wait for better votes, or stops waiting, as the tally says.
    pub(crate) fn conclude(&mut self, now: MonoMillis, effects: &mut Vec<Effect>) {
        let counts_itself = self.counts_itself();
        let (me, round) = (self.settings.me, self.round);
        let (voters, quorum) = (self.recipients(), self.views.quorum_set());
        let Phase::Looking(looking) = &mut self.phase else {
            return;
        };
        let proposal = looking.proposal;
        let mut supporters = looking.tally.supporters(&Ballot {
            vote: proposal,
            round,
            state: ServerState::Looking,
            is_versioned: true,
        });
        if counts_itself {
            supporters.insert(me);
        }
        let has_quorum = quorum.is_quorum(&supporters);
        // Nobody is left who could say anything better (a matter of liveness only). A candidate that has gone since it
        // voted gets the full wait.
        let is_known = |sid: &Sid| looking.heard.contains(sid) || self.down.contains(sid);
        let is_complete = voters.iter().all(is_known) && !self.down.contains(&proposal.leader);
        match (looking.is_finalizing(), has_quorum) {
            (_, true) if is_complete => self.decide(proposal, round, effects),
            (false, true) => {
                looking.stage = Stage::Finalizing {
                    parked: BTreeMap::new(),
                };
                self.arm(now, FINALIZE_WAIT_MS, effects);
            }
            (true, false) => {
                let (parked, wait) = (looking.take_parked(), looking.resend_ms);
                self.arm(now, wait, effects);
                for waiting in parked {
                    self.on_looker(now, waiting, effects);
                }
            }
            (true, true) | (false, false) => {}
        }
    }

    /// The running proposal to one server.
    pub(crate) fn tell_proposal(&self, to: Sid, effects: &mut Vec<Effect>) {
        if let Some(notification) = self.proposal() {
            effects.push(Effect::Send { to, notification });
        }
    }

    /// Tells a voter what it has missed. Who has no vote does not: it would be answered like any who has none, whatever it
    /// says, hear the same of that voter again, and tell it again, without an end.
    fn tell_late(&self, to: Sid, effects: &mut Vec<Effect>) {
        if self.views.is_voter(self.settings.me) || mutant::on(Mutant::ObserverAnswers) {
            self.tell_proposal(to, effects);
        }
    }

    fn broadcast(&self, effects: &mut Vec<Effect>) {
        effects.extend(self.proposal().map(Effect::Broadcast));
    }

    fn proposal(&self) -> Option<Notification> {
        let Phase::Looking(looking) = &self.phase else {
            return None;
        };
        Some(Notification {
            state: ServerState::Looking,
            vote: looking.proposal,
            round: self.round,
        })
    }
}
