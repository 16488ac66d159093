//! Election links: one per pair of servers, kept or made anew as in quorum 4.2 and 4.3, with notifications as bytes.
//!
//! Who connects and whose connection survives is simplified to "there is one link or none"; what servers can see of it is
//! not: a new link repeats the last message, which may be old; an unsent message is replaced by a newer one; what is on
//! its way is lost with the link.

use std::collections::{BTreeMap, VecDeque};

use zabra_election::LinkFact;

use crate::event::{Event, ServerAt};
use crate::kernel::{Kernel, Micros};
use crate::network::{Network, Node};

/// What a server is to be told of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Who.
    pub server: ServerAt,
    /// Of the link to whom.
    pub about: ServerAt,
    /// What.
    pub fact: LinkFact,
}

/// All election links.
#[derive(Debug, Default)]
pub struct ElectionLinks {
    links: BTreeMap<(ServerAt, ServerAt), u64>,
    ways: BTreeMap<(ServerAt, ServerAt), Way>,
    made: u64,
}

/// From one server to another.
#[derive(Debug, Default)]
struct Way {
    unsent: Option<Vec<u8>>,
    last: Option<Vec<u8>>,
    flying: VecDeque<(u64, Vec<u8>)>,
    last_at: Micros,
    held_up: Vec<u64>,
    /// The attempt to connect that is under way, and how often it was not answered.
    attempt: Option<(u64, u32)>,
}

/// A connect request that is not answered is repeated after this, µs, and so often.
const UNANSWERED_US: u64 = 1_000_000;
const UNANSWERED_MAX: u32 = 5;

fn pair(one: ServerAt, other: ServerAt) -> (ServerAt, ServerAt) {
    (one.min(other), one.max(other))
}

impl ElectionLinks {
    /// Hands a frame over to be sent; connects if there is no link.
    pub fn send(
        &mut self,
        kernel: &mut Kernel,
        net: &Network,
        from: ServerAt,
        to: ServerAt,
        frame: Vec<u8>,
    ) {
        self.ways.entry((from, to)).or_default().unsent = Some(frame);
        if self.links.contains_key(&pair(from, to)) {
            self.pump(kernel, net, from, to);
            return;
        }
        self.made += 1;
        let attempt = self.made;
        let way = self.ways.entry((from, to)).or_default();
        if way.attempt.is_none() {
            way.attempt = Some((attempt, 0));
            let delay = net.delay(kernel);
            kernel.after(delay, Event::VoteDial { from, to, attempt });
        }
    }

    /// An attempt to connect ended before it began: the name was not found. The next message tries again.
    pub fn unresolved(&mut self, from: ServerAt, to: ServerAt, attempt: u64) {
        let way = self.ways.entry((from, to)).or_default();
        way.attempt.take_if(|(current, _)| *current == attempt);
    }

    /// An attempt to connect comes to something. `listens` says of the two whether they run.
    pub fn dial(
        &mut self,
        kernel: &mut Kernel,
        net: &Network,
        (from, to): (ServerAt, ServerAt),
        attempt: u64,
        listens: [bool; 2],
    ) -> Vec<Told> {
        let way = self.ways.entry((from, to)).or_default();
        let Some((current, unanswered)) = way.attempt.filter(|(current, _)| *current == attempt)
        else {
            return Vec::new();
        };
        way.attempt = None;
        let (here, there) = (Node::Server(from), Node::Server(to));
        if !listens[0] || self.links.contains_key(&pair(from, to)) {
            return Vec::new();
        }
        if net.is_blocked(here, there) || net.is_blocked(there, here) {
            if unanswered < UNANSWERED_MAX {
                way.attempt = Some((current, unanswered + 1));
                kernel.after(UNANSWERED_US, Event::VoteDial { from, to, attempt });
            }
            return Vec::new();
        }
        if !listens[1] {
            let fact = LinkFact::Refused;
            return vec![Told {
                server: from,
                about: to,
                fact,
            }];
        }
        self.made += 1;
        self.links.insert(pair(from, to), self.made);
        for (one, other) in [(from, to), (to, from)] {
            let way = self.ways.entry((one, other)).or_default();
            way.attempt = None;
            way.flying.clear();
            way.held_up.clear();
            if way.unsent.is_none() {
                way.unsent.clone_from(&way.last);
            }
            self.pump(kernel, net, one, other);
        }
        let up = |server, about| Told {
            server,
            about,
            fact: LinkFact::Up,
        };
        vec![up(from, to), up(to, from)]
    }

    /// The next notification of a link, if it still is the one it was sent on.
    pub fn arrive(
        &mut self,
        net: &Network,
        from: ServerAt,
        to: ServerAt,
        link: u64,
    ) -> Option<Vec<u8>> {
        if self.links.get(&pair(from, to)) != Some(&link) {
            return None;
        }
        let way = self.ways.get_mut(&(from, to))?;
        if net.is_blocked(Node::Server(from), Node::Server(to)) {
            way.held_up.push(link);
            return None;
        }
        way.flying.pop_front().map(|(_, frame)| frame)
    }

    /// The link between two servers breaks; whom to tell.
    pub fn reset(&mut self, one: ServerAt, other: ServerAt) -> Vec<Told> {
        if self.links.remove(&pair(one, other)).is_none() {
            return Vec::new();
        }
        let reset = |server, about| Told {
            server,
            about,
            fact: LinkFact::Reset,
        };
        vec![reset(one, other), reset(other, one)]
    }

    /// A server's process has died. Whom to tell, unless it died silently.
    pub fn die(&mut self, server: ServerAt) -> Vec<Told> {
        self.ways.retain(|(from, _), _| *from != server);
        let mine: Vec<(ServerAt, ServerAt)> = self
            .links
            .keys()
            .copied()
            .filter(|(one, other)| *one == server || *other == server)
            .collect();
        let mut told = Vec::new();
        for (one, other) in mine {
            told.extend(self.reset(one, other));
        }
        told.retain(|told| told.server != server);
        told
    }

    /// Ways have opened: what was held up goes on.
    pub fn move_on(&mut self, kernel: &mut Kernel, net: &Network) {
        for ((from, to), way) in &mut self.ways {
            if net.is_blocked(Node::Server(*from), Node::Server(*to)) {
                continue;
            }
            for link in std::mem::take(&mut way.held_up) {
                let (from, to) = (*from, *to);
                kernel.after(0, Event::VoteArrives { from, to, link });
            }
        }
    }

    /// The pairs that have a link.
    #[must_use]
    pub fn pairs(&self) -> Vec<(ServerAt, ServerAt)> {
        self.links.keys().copied().collect()
    }

    fn pump(&mut self, kernel: &mut Kernel, net: &Network, from: ServerAt, to: ServerAt) {
        let Some(link) = self.links.get(&pair(from, to)).copied() else {
            return;
        };
        let way = self.ways.entry((from, to)).or_default();
        let Some(frame) = way.unsent.take() else {
            return;
        };
        way.last = Some(frame.clone());
        let delay = net.delay(kernel);
        way.last_at = way.last_at.max(kernel.now().after(delay));
        way.flying.push_back((link, frame));
        kernel.at(way.last_at, Event::VoteArrives { from, to, link });
    }
}
