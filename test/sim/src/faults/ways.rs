//! Ways between nodes: cut, broken, misused, not found.

use super::{Relief, kind};
use crate::client::Client;
use crate::event::{Event, ServerAt};
use crate::network::{Node, Side, StreamId};
use crate::say;
use crate::world::World;

/// How servers are cut off from each other.
#[derive(Debug, Clone, Copy)]
enum Shape {
    /// Two sides.
    Halves,
    /// Two sides, of which one still reaches the other.
    OneWay,
    /// Two sides between which some ways stay open.
    Partial,
    /// Two sides that only one server sees both of (P69).
    Bridge,
    /// Each server sees its two neighbours only.
    Ring,
    /// One server is alone.
    Isolation,
}

const SHAPES: [(Shape, &str); 6] = [
    (Shape::Halves, kind::PARTITION),
    (Shape::OneWay, kind::ONE_WAY),
    (Shape::Partial, kind::PARTIAL),
    (Shape::Bridge, kind::BRIDGE),
    (Shape::Ring, kind::RING),
    (Shape::Isolation, kind::ISOLATION),
];

impl World {
    /// Cuts ways between servers, and between some clients and servers.
    pub(super) fn partition(&mut self, at: ServerAt) {
        let fault = self.next_fault();
        let n = self.servers.len();
        let rng = &mut self.around.kernel.rng;
        let (shape, name) = SHAPES[rng.usize(0..SHAPES.len())];
        let sides: Vec<bool> = (0..n).map(|_| rng.bool()).collect();
        let cuts_clients = rng.bool();
        let silences = rng.u32(0..1000) < self.around.plan.faults.silence_permille;
        self.meets(name, at);
        say!(
            self.around.kernel,
            "partition {fault}: {shape:?} {sides:?} s{}",
            at + 1
        );
        for (from, to) in (0..n).flat_map(|from| (0..n).map(move |to| (from, to))) {
            let differ = sides[from] != sides[to];
            let between = from.abs_diff(to);
            let is_cut = match shape {
                Shape::Halves => differ,
                Shape::OneWay => differ && sides[to] == sides[at],
                Shape::Partial => differ && self.around.kernel.rng.bool(),
                Shape::Bridge => differ && from != at && to != at,
                Shape::Ring => between > 1 && between < n - 1,
                Shape::Isolation => from == at || to == at,
            };
            if is_cut && from != to {
                let net = &mut self.around.net;
                net.block(Node::Server(from), Node::Server(to), fault);
            }
        }
        for client in 0..self.clients.len() {
            let lost = if silences {
                0..n
            } else if cuts_clients {
                let at = self.around.kernel.rng.usize(0..n);
                at..at + 1
            } else {
                0..0
            };
            for at in lost {
                let (client, server) = (Node::Client(client), Node::Server(at));
                self.around.net.block(client, server, fault);
                self.around.net.block(server, client, fault);
            }
        }
        let delay = self.trouble();
        self.around.kernel.after(delay, Event::Heal(fault));
    }

    /// A number for what blocks ways.
    pub(crate) fn next_fault(&mut self) -> u64 {
        self.cuts += 1;
        self.cuts
    }

    /// A server hears no other server, and is heard by none.
    pub(crate) fn cut_off(&mut self, at: ServerAt, fault: u64) {
        for other in (0..self.servers.len()).filter(|other| *other != at) {
            let (here, there) = (Node::Server(at), Node::Server(other));
            self.around.net.block(here, there, fault);
            self.around.net.block(there, here, fault);
        }
    }

    pub(crate) fn heal(&mut self, fault: u64) {
        let around = &mut self.around;
        say!(around.kernel, "partition {fault} heals");
        around.net.unblock(&mut around.kernel, fault);
        around.votes.move_on(&mut around.kernel, &around.net);
    }

    pub(super) fn reset_client(&mut self) {
        let at = self.around.kernel.rng.usize(0..self.clients.len());
        if let Some(stream) = self.clients[at].stream() {
            self.meets_all(kind::CLIENT_RESET);
            say!(self.around.kernel, "c{at}'s connection is reset");
            let around = &mut self.around;
            around.net.reset(&mut around.kernel, stream);
        }
    }

    /// For a while one of the clients takes nothing of what is sent to it.
    pub(super) fn slow_reader(&mut self, at: ServerAt) {
        let connected: Vec<StreamId> = self.clients.iter().filter_map(Client::stream).collect();
        if let Some(stream) = self.around.kernel.pick(&connected).copied() {
            self.meets(kind::SLOW_READER, at);
            say!(self.around.kernel, "stream {} is not read", stream.0);
            self.around.slow_readers.insert(stream);
            let delay = self.trouble();
            let relief = Event::Relief(Relief::SlowReader(stream));
            self.around.kernel.after(delay, relief);
        }
    }

    /// A quorum link of this server breaks, or any if it has none.
    pub(super) fn reset_quorum_link(&mut self, at: ServerAt) {
        let net = &self.around.net;
        let all = net.between_servers();
        let is_mine = |id: &StreamId| {
            let ends = [Side::Opener, Side::Acceptor].map(|side| net.node(*id, side));
            ends.contains(&Some(Node::Server(at)))
        };
        let mine: Vec<StreamId> = all.iter().copied().filter(is_mine).collect();
        let streams = if mine.is_empty() { all } else { mine };
        if let Some(stream) = self.around.kernel.pick(&streams).copied() {
            self.meets_all(kind::RESET);
            let around = &mut self.around;
            say!(around.kernel, "quorum stream {} is reset", stream.0);
            around.net.reset(&mut around.kernel, stream);
        }
    }

    /// An election link breaks, of this server if it has one.
    pub(super) fn reset_election_link(&mut self, at: ServerAt) {
        let all = self.around.votes.pairs();
        let is_mine = |(one, other): &(ServerAt, ServerAt)| *one == at || *other == at;
        let mine: Vec<_> = all.iter().copied().filter(is_mine).collect();
        let pairs = if mine.is_empty() { all } else { mine };
        if let Some((one, other)) = self.around.kernel.pick(&pairs).copied() {
            self.meets(kind::VOTE_RESET, at);
            say!(
                self.around.kernel,
                "election link s{} s{} is reset",
                one + 1,
                other + 1
            );
            for told in self.around.votes.reset(one, other) {
                let delay = self.around.net.delay(&mut self.around.kernel);
                self.tell(told, delay);
            }
        }
    }

    /// Somebody connects to a port and sends what is no message, or the beginning of one.
    pub(super) fn send_garbage(&mut self, at: ServerAt) {
        let server = &self.servers[at];
        if server.process.is_none() || server.standing_still.is_some() {
            return;
        }
        let rng = &mut self.around.kernel.rng;
        let mut bytes: Vec<u8> = (0..rng.usize(1..200)).map(|_| rng.u8(..)).collect();
        if rng.bool() {
            // A length that may be believed, so that what is behind it is looked at.
            bytes.splice(0..0, [0, 0, 0, rng.u8(..)]);
        }
        let port = rng.u32(0..3);
        let sid = server.sid;
        say!(self.around.kernel, "s{sid} is sent garbage, port {port}");
        match port {
            0 => {
                self.meets(kind::GARBAGE_ELECTION, at);
                self.with(at, |p, around| p.on_strange_vote(&bytes, around));
            }
            1 => {
                self.meets(kind::GARBAGE_QUORUM, at);
                let stream = self.open_strange(at);
                self.with(at, |p, around| p.on_learner(stream, around));
                self.say_strange(stream, bytes);
            }
            _ => {
                self.meets(kind::GARBAGE_CLIENT, at);
                let stream = self.open_strange(at);
                if let Some(process) = &mut self.servers[at].process {
                    process.on_client(stream, &mut self.around);
                }
                self.say_strange(stream, bytes);
            }
        }
    }

    /// A connection of somebody who is no client of the world: what a client hears on it, it does not understand.
    fn open_strange(&mut self, at: ServerAt) -> StreamId {
        let net = &mut self.around.net;
        let stream = net.open(Node::Client(0), Node::Server(at));
        self.around.strange.insert(stream);
        stream
    }

    fn say_strange(&mut self, stream: StreamId, bytes: Vec<u8>) {
        let around = &mut self.around;
        around
            .net
            .send(&mut around.kernel, stream, Side::Opener, bytes);
        around.net.close(&mut around.kernel, stream, Side::Opener);
    }

    /// For a while a server does not find the others by their names.
    pub(super) fn forget_names(&mut self, at: ServerAt) {
        self.meets(kind::UNRESOLVED, at);
        let sid = self.servers[at].sid;
        say!(self.around.kernel, "s{sid} cannot resolve names");
        self.around.unresolved.insert(at);
        let delay = self.trouble();
        let relief = Event::Relief(Relief::Unresolved(at));
        self.around.kernel.after(delay, relief);
    }
}
