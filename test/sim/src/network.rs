//! Streams between nodes: order kept, cut into any pieces, delayed, reset, held up by partitions.
//!
//! A stream is what TCP gives: bytes arrive in order and whole, or the stream breaks. While the way is blocked pieces
//! wait and arrive when it is open again; whoever sends does not notice. A node that stands still is a blocked way, too.
//! What is in the bytes is not known here.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::event::{ClientAt, Event, ServerAt};
use crate::kernel::Kernel;

/// One who can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    /// A server.
    Server(ServerAt),
    /// A client.
    Client(ClientAt),
}

/// A stream, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId(pub u64);

/// An end of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Who connected.
    Opener,
    /// Who accepted.
    Acceptor,
}

impl Side {
    /// The opposite end.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Opener => Self::Acceptor,
            Self::Acceptor => Self::Opener,
        }
    }
}

/// How the network behaves in this world.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// Delay of a piece, from and to, µs.
    pub delay_us: (u64, u64),
    /// How often in a thousand a piece takes much longer.
    pub slow_permille: u32,
    /// How long it then takes, from and to, µs.
    pub slow_us: (u64, u64),
    /// How often in a thousand what is sent is cut into pieces.
    pub cut_permille: u32,
}

#[derive(Debug)]
enum Piece {
    Bytes(Vec<u8>),
    End,
}

/// What reached an end.
#[derive(Debug)]
pub enum Arrived {
    /// Bytes.
    Bytes(Vec<u8>),
    /// The other end has closed.
    End,
}

#[derive(Debug, Default)]
struct Direction {
    pieces: VecDeque<Piece>,
    last_at: crate::kernel::Micros,
    /// Arrivals that found the way blocked.
    held_up: usize,
    /// The receiver has gone or closed.
    deaf: bool,
    /// The sender has closed.
    ended: bool,
}

#[derive(Debug)]
struct Stream {
    nodes: [Node; 2],
    /// To the opener, to the acceptor.
    to: [Direction; 2],
}

/// All streams of a world, and which ways are blocked.
#[derive(Debug)]
pub struct Network {
    weather: Weather,
    streams: BTreeMap<StreamId, Stream>,
    opened: u64,
    /// Ways that are blocked, and by which faults.
    blocked: BTreeMap<(Node, Node), BTreeSet<u64>>,
    still: BTreeSet<Node>,
    /// Breaks that an end cannot learn of yet.
    unlearnt: Vec<Unlearnt>,
}

#[derive(Debug, Clone, Copy)]
struct Unlearnt {
    stream: StreamId,
    side: Side,
    from: Node,
    to: Node,
    until: Until,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    /// The way is open.
    Open,
    /// The other node is back, and knows nothing of the stream.
    Back,
}

impl Network {
    /// Without streams.
    #[must_use]
    pub fn new(weather: Weather) -> Self {
        Self {
            weather,
            streams: BTreeMap::new(),
            opened: 0,
            blocked: BTreeMap::new(),
            still: BTreeSet::new(),
            unlearnt: Vec::new(),
        }
    }

    /// How the network behaves from here on.
    pub fn set_weather(&mut self, weather: Weather) {
        self.weather = weather;
    }

    /// How long a piece takes now, µs.
    pub fn delay(&self, kernel: &mut Kernel) -> u64 {
        if kernel.chance(self.weather.slow_permille) {
            kernel.between(self.weather.slow_us)
        } else {
            kernel.between(self.weather.delay_us)
        }
    }

    /// Whether nothing gets from one node to another just now.
    #[must_use]
    pub fn is_blocked(&self, from: Node, to: Node) -> bool {
        self.still.contains(&to)
            || self
                .blocked
                .get(&(from, to))
                .is_some_and(|by| !by.is_empty())
    }

    /// Makes a stream between two nodes.
    pub fn open(&mut self, opener: Node, acceptor: Node) -> StreamId {
        self.opened += 1;
        let id = StreamId(self.opened);
        let stream = Stream {
            nodes: [opener, acceptor],
            to: [Direction::default(), Direction::default()],
        };
        self.streams.insert(id, stream);
        id
    }

    /// The node at an end.
    #[must_use]
    pub fn node(&self, id: StreamId, side: Side) -> Option<Node> {
        self.streams
            .get(&id)
            .map(|stream| stream.nodes[side as usize])
    }

    /// The streams with an end at this node, and which end that is.
    #[must_use]
    pub fn of(&self, node: Node) -> Vec<(StreamId, Side)> {
        let ends = self.streams.iter().flat_map(|(id, stream)| {
            [Side::Opener, Side::Acceptor]
                .into_iter()
                .filter(|side| stream.nodes[*side as usize] == node)
                .map(|side| (*id, side))
        });
        ends.collect()
    }

    /// Every stream between two servers.
    #[must_use]
    pub fn between_servers(&self) -> Vec<StreamId> {
        let quorum = self.streams.iter().filter(|(_, stream)| {
            stream
                .nodes
                .iter()
                .all(|node| matches!(node, Node::Server(_)))
        });
        quorum.map(|(id, _)| *id).collect()
    }

    /// Every stream.
    #[must_use]
    pub fn all(&self) -> Vec<StreamId> {
        self.streams.keys().copied().collect()
    }

    /// Sends bytes from an end, in one or several pieces.
    pub fn send(&mut self, kernel: &mut Kernel, id: StreamId, from: Side, bytes: Vec<u8>) {
        let mut rest = bytes;
        while rest.len() > 1 && kernel.chance(self.weather.cut_permille) {
            let at = kernel.rng.usize(1..rest.len());
            let tail = rest.split_off(at);
            self.push(kernel, id, from, Piece::Bytes(rest));
            rest = tail;
        }
        if !rest.is_empty() {
            self.push(kernel, id, from, Piece::Bytes(rest));
        }
    }

    /// Closes an end: what was sent still arrives, then the other end learns of it. Nothing arrives here any more.
    pub fn close(&mut self, kernel: &mut Kernel, id: StreamId, from: Side) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.to[from as usize].deaf = true;
        }
        self.push(kernel, id, from, Piece::End);
        self.tidy(id);
    }

    /// Breaks a stream: what is on its way is lost, and each end that still listens learns of it in its time.
    pub fn reset(&mut self, kernel: &mut Kernel, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        let nodes = stream.nodes;
        for direction in &mut stream.to {
            direction.pieces.clear();
            direction.held_up = 0;
            direction.ended = true;
        }
        let listening = [Side::Opener, Side::Acceptor].map(|side| {
            let listens = !stream.to[side as usize].deaf;
            listens.then_some(side)
        });
        for side in listening.into_iter().flatten() {
            self.tell_broken(kernel, id, side, nodes);
        }
    }

    /// A node's process has died: its ends are gone. Unless it died silently, the others learn of it.
    pub fn die(&mut self, kernel: &mut Kernel, node: Node, is_silent: bool) {
        for (id, side) in self.of(node) {
            let Some(stream) = self.streams.get_mut(&id) else {
                continue;
            };
            let nodes = stream.nodes;
            stream.to[side as usize].deaf = true;
            let other = side.other();
            let towards = &mut stream.to[other as usize];
            towards.ended = true;
            if towards.deaf {
                self.tidy(id);
            } else if is_silent {
                towards.pieces.clear();
                towards.held_up = 0;
                self.unlearnt.push(Unlearnt {
                    stream: id,
                    side: other,
                    from: node,
                    to: nodes[other as usize],
                    until: Until::Back,
                });
            } else {
                self.tell_broken(kernel, id, other, nodes);
            }
        }
    }

    /// A node's process runs again: whoever still believes in an old stream learns better.
    pub fn live(&mut self, kernel: &mut Kernel, node: Node) {
        let (told, kept) = std::mem::take(&mut self.unlearnt)
            .into_iter()
            .partition(|break_| break_.until == Until::Back && break_.from == node);
        self.unlearnt = kept;
        self.retell(kernel, told);
    }

    /// The next piece at an end, if the way is open.
    pub fn arrive(&mut self, id: StreamId, to: Side) -> Option<Arrived> {
        let nodes = self.streams.get(&id)?.nodes;
        let is_blocked = self.is_blocked(nodes[to.other() as usize], nodes[to as usize]);
        let direction = &mut self.streams.get_mut(&id)?.to[to as usize];
        if is_blocked {
            direction.held_up += 1;
            return None;
        }
        let piece = direction.pieces.pop_front()?;
        let deaf = direction.deaf;
        match piece {
            Piece::Bytes(bytes) => (!deaf).then_some(Arrived::Bytes(bytes)),
            Piece::End => {
                direction.deaf = true;
                self.tidy(id);
                (!deaf).then_some(Arrived::End)
            }
        }
    }

    /// Whether an end that is told of a break still has to be told, which it is now.
    pub fn take_break(&mut self, id: StreamId, side: Side) -> bool {
        let Some(stream) = self.streams.get_mut(&id) else {
            return false;
        };
        let nodes = stream.nodes;
        let was_deaf = std::mem::replace(&mut stream.to[side as usize].deaf, true);
        if !was_deaf && self.still.contains(&nodes[side as usize]) {
            if let Some(stream) = self.streams.get_mut(&id) {
                stream.to[side as usize].deaf = false;
            }
            self.learn_later(id, side, nodes);
            return false;
        }
        self.tidy(id);
        !was_deaf
    }

    /// Blocks the way from one node to another on behalf of a fault.
    pub fn block(&mut self, from: Node, to: Node, fault: u64) {
        self.blocked.entry((from, to)).or_default().insert(fault);
    }

    /// Takes back what a fault has blocked.
    pub fn unblock(&mut self, kernel: &mut Kernel, fault: u64) {
        for by in self.blocked.values_mut() {
            by.remove(&fault);
        }
        self.blocked.retain(|_, by| !by.is_empty());
        self.move_on(kernel);
    }

    /// Takes back everything that is blocked.
    pub fn unblock_all(&mut self, kernel: &mut Kernel) {
        self.blocked.clear();
        self.move_on(kernel);
    }

    /// A node stands still: nothing reaches it until [`Self::move_again`].
    pub fn stand_still(&mut self, node: Node) {
        self.still.insert(node);
    }

    /// It goes on, and hears what clients sent meanwhile so much later than what servers did, µs.
    pub fn move_again(&mut self, kernel: &mut Kernel, node: Node, clients_later: u64) {
        self.still.remove(&node);
        self.release_all(kernel, clients_later);
    }

    fn move_on(&mut self, kernel: &mut Kernel) {
        self.release_all(kernel, 0);
    }

    fn release_all(&mut self, kernel: &mut Kernel, clients_later: u64) {
        let ids: Vec<StreamId> = self.streams.keys().copied().collect();
        for id in ids {
            for side in [Side::Opener, Side::Acceptor] {
                self.release(kernel, id, side, clients_later);
            }
        }
        let waiting = std::mem::take(&mut self.unlearnt);
        let (kept, told) = waiting.into_iter().partition(|break_| {
            break_.until == Until::Back || self.is_blocked(break_.from, break_.to)
        });
        self.unlearnt = kept;
        self.retell(kernel, told);
    }

    fn release(&mut self, kernel: &mut Kernel, id: StreamId, side: Side, clients_later: u64) {
        let Some(stream) = self.streams.get(&id) else {
            return;
        };
        let nodes = stream.nodes;
        if stream.to[side as usize].held_up == 0
            || self.is_blocked(nodes[side.other() as usize], nodes[side as usize])
        {
            return;
        }
        let is_client = |node: &Node| matches!(node, Node::Client(_));
        let later = nodes.iter().any(is_client).then_some(clients_later);
        let delay = kernel.between(self.weather.delay_us) + later.unwrap_or(0);
        if let Some(stream) = self.streams.get_mut(&id) {
            let direction = &mut stream.to[side as usize];
            for _ in 0..std::mem::take(&mut direction.held_up) {
                kernel.after(delay, Event::Arrive(id, side));
            }
            direction.last_at = direction.last_at.max(kernel.now().after(delay));
        }
    }

    fn retell(&mut self, kernel: &mut Kernel, told: Vec<Unlearnt>) {
        for break_ in told {
            let delay = kernel.between(self.weather.delay_us);
            kernel.after(delay, Event::Broken(break_.stream, break_.side));
        }
    }

    fn learn_later(&mut self, stream: StreamId, side: Side, nodes: [Node; 2]) {
        self.unlearnt.push(Unlearnt {
            stream,
            side,
            from: nodes[side.other() as usize],
            to: nodes[side as usize],
            until: Until::Open,
        });
    }

    fn tell_broken(&mut self, kernel: &mut Kernel, id: StreamId, side: Side, nodes: [Node; 2]) {
        let (from, to) = (nodes[side.other() as usize], nodes[side as usize]);
        if self.is_blocked(from, to) {
            self.learn_later(id, side, nodes);
            return;
        }
        // What was sent before may still arrive, up to here.
        let delay = self.delay(kernel);
        kernel.after(delay, Event::Broken(id, side));
    }

    fn push(&mut self, kernel: &mut Kernel, id: StreamId, from: Side, piece: Piece) {
        let delay = self.delay(kernel);
        let to = from.other();
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        let direction = &mut stream.to[to as usize];
        if direction.ended {
            return;
        }
        direction.ended = matches!(piece, Piece::End);
        direction.last_at = direction.last_at.max(kernel.now().after(delay));
        direction.pieces.push_back(piece);
        kernel.at(direction.last_at, Event::Arrive(id, to));
    }

    /// Forgets a stream that both ends have left.
    fn tidy(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get(&id)
            && stream.to.iter().all(|direction| direction.deaf)
        {
            self.streams.remove(&id);
        }
    }
}
