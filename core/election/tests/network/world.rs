//! Servers, links that keep their order, and a clock that jumps from event to event.

use std::collections::{BTreeMap, BTreeSet};

use zabra_election::{
    Effect, Election, History, Input, LinkFact, Notification, PeerEpoch, ServerState, Settings,
    Timer,
};
use zabra_proto::MonoMillis;
use zabra_quorum::{Role, Sid, Views};

use crate::common;

/// SplitMix64.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// One process.
struct Server {
    election: Election,
    /// Which process of this server: what was meant for an earlier one is lost.
    life: u64,
    decided: Option<Decided>,
}

/// What a server made of its last decision.
struct Decided {
    leader: Sid,
    at: u64,
    /// The epoch in which the leader serves, once it does.
    epoch: Option<PeerEpoch>,
}

enum Event {
    Deliver {
        from: Sid,
        to: Sid,
        life: u64,
        sent: Notification,
    },
    Link {
        at: Sid,
        peer: Sid,
        life: u64,
        fact: LinkFact,
    },
    Timer {
        at: Sid,
        life: u64,
        timer: Timer,
    },
    /// Followers look whether their leader leads, leaders whether they have a quorum.
    Check {
        at: Sid,
        life: u64,
    },
}

pub(crate) struct World {
    pub(crate) name: String,
    pub(crate) decisions: usize,
    pub(crate) trace: Vec<String>,
    views: Views,
    now: u64,
    sequence: u64,
    lives: u64,
    rng: Rng,
    servers: BTreeMap<Sid, Server>,
    disks: BTreeMap<Sid, History>,
    events: BTreeMap<(u64, u64), Event>,
    /// When the last message of a link arrives: nothing overtakes it.
    arrivals: BTreeMap<(Sid, Sid), u64>,
    cuts: BTreeSet<(Sid, Sid)>,
    first: Option<(Sid, BTreeMap<Sid, History>)>,
}

const DELAY_MS: u64 = 40;
const CHECK_MS: u64 = 250;
/// How long a decision may remain without a leader that serves.
const PATIENCE_MS: u64 = 1_000;
/// Virtual time and steps within which every ensemble must have come to rest.
const SETTLE_MS: u64 = 30_000;
const STEPS_MAX: u64 = 60_000;

impl World {
    pub(crate) fn new(size: i64, seed: u64, name: String) -> Self {
        let sids: Vec<i64> = (1..=size).collect();
        Self {
            name,
            decisions: 0,
            trace: Vec::new(),
            views: common::config(&sids),
            now: 0,
            sequence: 0,
            lives: 0,
            rng: Rng::new(seed),
            servers: BTreeMap::new(),
            disks: BTreeMap::new(),
            events: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            cuts: BTreeSet::new(),
            first: None,
        }
    }

    /// Starts a server on this disk.
    pub(crate) fn start(&mut self, sid: Sid, history: History) {
        self.start_together(&[(sid, history)]);
    }

    /// Starts servers that all listen before the first of them speaks.
    pub(crate) fn start_together(&mut self, disks: &[(Sid, History)]) {
        for (sid, history) in disks {
            self.boot(*sid, *history);
        }
        for (sid, _) in disks {
            self.look(*sid);
        }
    }

    fn boot(&mut self, sid: Sid, history: History) {
        self.lives += 1;
        let settings = Settings::new(sid, Role::Participant);
        let server = Server {
            election: Election::new(settings, self.views.clone()),
            life: self.lives,
            decided: None,
        };
        self.servers.insert(sid, server);
        self.disks.insert(sid, history);
        let life = self.lives;
        self.schedule(CHECK_MS, Event::Check { at: sid, life });
    }

    /// Starts it on the disk that it has, if it is down.
    pub(crate) fn restart(&mut self, sid: Sid) {
        if !self.servers.contains_key(&sid) {
            let history = self.disks[&sid];
            self.start(sid, history);
        }
    }

    /// Everyone hears of it by a reset.
    pub(crate) fn crash(&mut self, sid: Sid) {
        if self.servers.remove(&sid).is_some() {
            self.tell_link(sid, LinkFact::Reset);
        }
    }

    /// No message passes between the two, and nobody is told.
    pub(crate) fn cut(&mut self, one: Sid, other: Sid) {
        self.cuts.insert((one, other));
        self.cuts.insert((other, one));
    }

    pub(crate) fn heal(&mut self) {
        let healed = std::mem::take(&mut self.cuts);
        for (at, peer) in healed {
            self.link_event(at, peer, LinkFact::Up);
        }
    }

    pub(crate) fn run_for(&mut self, millis: u64) {
        let until = self.now + millis;
        while let Some(((at, _), event)) = self.next_before(until) {
            self.now = at;
            self.handle(event);
        }
        self.now = until;
    }

    /// Runs until all agree and one serves; who that is.
    pub(crate) fn settle(&mut self) -> Sid {
        let until = self.now + SETTLE_MS;
        let mut steps = 0;
        while let Some(((at, _), event)) = self.next_before(until) {
            self.now = at;
            self.handle(event);
            steps += 1;
            assert!(steps < STEPS_MAX, "{}: no end of messages", self.name);
            if let Some(leader) = self.agreed()
                && self.serves(leader)
            {
                return leader;
            }
        }
        panic!("{}: no leader after {SETTLE_MS} ms", self.name);
    }

    /// Whom all that run have as leader; it leads, and each of them follows it.
    pub(crate) fn agreed(&self) -> Option<Sid> {
        let leader = self.servers.values().next()?.decided.as_ref()?.leader;
        let agrees = |(sid, server): (&Sid, &Server)| {
            let role = if *sid == leader {
                ServerState::Leading
            } else {
                ServerState::Following
            };
            server.election.state() == Some(role)
                && server.decided.as_ref().is_some_and(|d| d.leader == leader)
        };
        let all = self.servers.iter().all(agrees);
        (all && self.servers.contains_key(&leader)).then_some(leader)
    }

    /// The server with the greatest (epoch, zxid, id).
    pub(crate) fn greatest(&self) -> Sid {
        let rank = |sid: Sid| (self.disks[&sid].epoch, self.disks[&sid].last_logged, sid);
        let sids = self.disks.keys().copied();
        sids.max_by_key(|sid| rank(*sid)).expect("servers")
    }

    pub(crate) fn first_leader(&self) -> Option<Sid> {
        self.first.as_ref().map(|(leader, _)| *leader)
    }

    /// How many servers the first leader was at least as great as when it was decided.
    pub(crate) fn first_leader_outranks(&self) -> usize {
        let (leader, disks) = self.first.as_ref().expect("a leader");
        let rank = |sid: Sid| (disks[&sid].epoch, disks[&sid].last_logged, sid);
        disks
            .keys()
            .filter(|sid| rank(**sid) <= rank(*leader))
            .count()
    }

    pub(crate) fn assert_first_leader_leads_a_quorum(&self) {
        let quorum = self.views.voters().len() / 2 + 1;
        assert!(self.first_leader_outranks() >= quorum, "{}", self.name);
    }

    fn serves(&self, leader: Sid) -> bool {
        let decided = self.servers[&leader].decided.as_ref();
        decided.is_some_and(|decided| decided.epoch.is_some())
    }

    fn next_before(&mut self, until: u64) -> Option<((u64, u64), Event)> {
        let first = *self.events.keys().next()?;
        (first.0 <= until)
            .then(|| self.events.remove_entry(&first))
            .flatten()
    }

    fn schedule(&mut self, wait: u64, event: Event) {
        self.sequence += 1;
        self.events.insert((self.now + wait, self.sequence), event);
    }

    fn life(&self, sid: Sid) -> Option<u64> {
        self.servers.get(&sid).map(|server| server.life)
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Deliver {
                from,
                to,
                life,
                sent,
            } => {
                if self.life(to) == Some(life) && !self.cuts.contains(&(from, to)) {
                    let received = common::received(from.0, sent);
                    self.step(to, Input::Received(received));
                }
            }
            Event::Link {
                at,
                peer,
                life,
                fact,
            } => {
                if self.life(at) == Some(life) {
                    self.step(at, Input::Link(peer, fact));
                }
            }
            Event::Timer { at, life, timer } => {
                if self.life(at) == Some(life) {
                    self.step(at, Input::Timer(timer));
                }
            }
            Event::Check { at, life } => {
                if self.life(at) == Some(life) {
                    self.check(at);
                    self.schedule(CHECK_MS, Event::Check { at, life });
                }
            }
        }
    }

    fn look(&mut self, sid: Sid) {
        let history = self.disks[&sid];
        self.servers.get_mut(&sid).expect("it runs").decided = None;
        self.step(sid, Input::Look(history));
    }

    fn step(&mut self, sid: Sid, input: Input) {
        let mut effects = Vec::new();
        let server = self.servers.get_mut(&sid).expect("it runs");
        let life = server.life;
        server
            .election
            .step(MonoMillis(self.now), input, &mut effects);
        let voters = server.election.recipients();
        for effect in effects {
            self.trace.push(format!("{} {sid}: {effect:?}", self.now));
            match effect {
                Effect::Send { to, notification } => self.send(sid, to, notification),
                Effect::Broadcast(notification) => {
                    for to in &voters {
                        self.send(sid, *to, notification);
                    }
                }
                Effect::ArmTimer { timer, at } => {
                    let wait = at.since(MonoMillis(self.now));
                    self.schedule(
                        wait,
                        Event::Timer {
                            at: sid,
                            life,
                            timer,
                        },
                    );
                }
                Effect::Decided(decision) => self.on_decided(sid, decision.vote.leader),
                Effect::AdoptConfig { .. } => panic!("{}: no configurations here", self.name),
            }
        }
    }

    fn on_decided(&mut self, sid: Sid, leader: Sid) {
        self.decisions += 1;
        if self.first.is_none() {
            self.first = Some((leader, self.disks.clone()));
        }
        let at = self.now;
        self.servers.get_mut(&sid).expect("it runs").decided = Some(Decided {
            leader,
            at,
            epoch: None,
        });
    }

    fn send(&mut self, from: Sid, to: Sid, sent: Notification) {
        let Some(life) = self.life(to) else {
            self.link_event(from, to, LinkFact::Refused);
            return;
        };
        let wanted = self.now + 1 + self.rng.below(DELAY_MS);
        let last = self.arrivals.entry((from, to)).or_default();
        *last = wanted.max(*last);
        let wait = *last - self.now;
        let event = Event::Deliver {
            from,
            to,
            life,
            sent,
        };
        self.schedule(wait, event);
    }

    fn tell_link(&mut self, peer: Sid, fact: LinkFact) {
        for at in self.views.voters() {
            self.link_event(at, peer, fact);
        }
    }

    fn link_event(&mut self, at: Sid, peer: Sid, fact: LinkFact) {
        if let Some(life) = self.life(at) {
            let wait = 1 + self.rng.below(DELAY_MS);
            self.schedule(
                wait,
                Event::Link {
                    at,
                    peer,
                    life,
                    fact,
                },
            );
        }
    }

    /// A crude stand-in for discovery and synchronization: a leader with a quorum of followers begins a new epoch, whose
    /// followers then have its history.
    fn check(&mut self, sid: Sid) {
        let Some(decided) = &self.servers[&sid].decided else {
            return;
        };
        let (leader, is_late) = (decided.leader, self.now > decided.at + PATIENCE_MS);
        let epoch = if leader == sid {
            self.epoch_as_leader(sid)
        } else {
            self.epoch_as_follower(sid, leader)
        };
        match epoch {
            Some(epoch) => {
                let last_logged = self.disks[&leader].last_logged;
                self.disks.insert(sid, History { last_logged, epoch });
                let server = self.servers.get_mut(&sid).expect("it runs");
                if let Some(decided) = &mut server.decided {
                    decided.epoch = Some(epoch);
                }
                self.step(sid, Input::Established(epoch));
            }
            None if is_late => self.look(sid),
            None => {}
        }
    }

    fn epoch_as_leader(&self, sid: Sid) -> Option<PeerEpoch> {
        let mut members: BTreeSet<Sid> = self.followers(sid).collect();
        members.insert(sid);
        if !self.views.quorum_set().is_quorum(&members) {
            return None;
        }
        let begun = self.servers[&sid].decided.as_ref().and_then(|d| d.epoch);
        let epochs = members.iter().map(|member| self.disks[member].epoch.0);
        begun.or_else(|| epochs.max().map(|greatest| PeerEpoch(greatest + 1)))
    }

    fn epoch_as_follower(&self, sid: Sid, leader: Sid) -> Option<PeerEpoch> {
        let server = self.servers.get(&leader)?;
        let leads = server.election.state() == Some(ServerState::Leading);
        let connected = leads && !self.cuts.contains(&(sid, leader));
        connected.then(|| server.decided.as_ref()?.epoch).flatten()
    }

    fn followers(&self, leader: Sid) -> impl Iterator<Item = Sid> {
        let follows = move |(sid, server): &(&Sid, &Server)| {
            !self.cuts.contains(&(**sid, leader))
                && server.election.state() == Some(ServerState::Following)
                && server.decided.as_ref().is_some_and(|d| d.leader == leader)
        };
        self.servers.iter().filter(follows).map(|(sid, _)| *sid)
    }
}
