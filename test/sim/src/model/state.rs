//! Who is where.

use std::collections::BTreeMap;

use super::history::{Histories, History};

/// All servers, and what they lead.
#[derive(Debug)]
pub struct Model {
    pub(super) voters: usize,
    pub(super) servers: Vec<Server>,
    pub(super) histories: Histories,
    /// What was proposed for each epoch, by whom. There may be several as long as none has a quorum.
    pub(super) terms: BTreeMap<(u32, usize), Term>,
    /// Whom each server has given its word for an epoch.
    pub(super) words: BTreeMap<(usize, u32), usize>,
    /// Everything that was ever delivered.
    pub(super) delivered: History,
}

/// One server.
#[derive(Debug, Clone)]
pub(super) struct Server {
    /// The greatest epoch that it gave its word for.
    pub(super) promised: u32,
    /// The epoch of its history.
    pub(super) accepted: u32,
    /// Both, as far as they are durable.
    pub(super) kept: (u32, u32),
    /// What is durable.
    pub(super) durable: History,
    /// What it has logged, durable or not.
    pub(super) logged: History,
    /// What replaces its history just now.
    pub(super) coming: Option<History>,
    /// What it has delivered.
    pub(super) delivered: History,
    /// The epoch and the history that were durable on the disk that it lost, until it has a history again.
    pub(super) lost: Option<(u32, History)>,
    pub(super) role: Role,
}

/// What a server is to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Nothing yet.
    Looking,
    /// It means to lead; in which epoch is not said yet.
    Elected,
    /// It leads, or means to.
    Leading(u32),
    /// It follows, in an epoch.
    Following(usize, u32),
}

/// An epoch under a leader.
#[derive(Debug, Clone)]
pub(super) struct Term {
    /// Whose word it has: the epoch of their histories, and those.
    pub(super) words: BTreeMap<usize, (u32, History)>,
    /// What it began with.
    pub(super) initial: History,
    /// With all that was proposed since.
    pub(super) history: History,
    /// Whether a quorum has accepted it.
    pub(super) is_established: bool,
}

impl Model {
    /// New servers, of which the first so many vote.
    #[must_use]
    pub fn new(servers: usize, voters: usize) -> Self {
        Self {
            voters,
            servers: vec![Server::new(); servers],
            histories: Histories::new(),
            terms: BTreeMap::new(),
            words: BTreeMap::new(),
            delivered: History::EMPTY,
        }
    }

    /// Whether a server leads, or means to.
    #[must_use]
    pub fn leads(&self, at: usize) -> bool {
        matches!(self.servers[at].role, Role::Leading(_))
    }

    /// Whether those voters for which something holds are a quorum.
    pub(super) fn is_quorum(&self, holds: impl Fn(usize, &Server) -> bool) -> bool {
        let voters = self.servers.iter().enumerate().take(self.voters);
        2 * voters.filter(|(at, server)| holds(*at, server)).count() > self.voters
    }
}

impl Server {
    pub(super) fn new() -> Self {
        Self {
            promised: 0,
            accepted: 0,
            kept: (0, 0),
            durable: History::EMPTY,
            logged: History::EMPTY,
            coming: None,
            delivered: History::EMPTY,
            lost: None,
            role: Role::Looking,
        }
    }
}
