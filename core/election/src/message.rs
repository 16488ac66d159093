//! What goes into an election and what comes out.

use zabra_proto::notification::{self, ServerState};
use zabra_proto::{MonoMillis, Zxid};
use zabra_quorum::{Membership, Sid};

use crate::{History, PeerEpoch, Round, Vote};

/// A notification to send. The sender adds version 2 and the text of the committed configuration (quorum 5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notification {
    /// What this server does.
    pub state: ServerState,
    /// Whom it votes for, or voted for.
    pub vote: Vote,
    /// In which round.
    pub round: Round,
}

/// A notification that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Who sent it, by the link's initial message.
    pub sender: Sid,
    /// What the sender does; none if the number is unknown.
    pub state: Option<ServerState>,
    /// Its vote.
    pub vote: Vote,
    /// The vote's round.
    pub round: Round,
    /// The version in the message, 0 for the short layouts (quorum 5.1).
    pub version: i32,
    /// The sender's configuration; none if there was no text or it could not be read.
    pub config: Option<Membership>,
}

impl Received {
    /// From the message's fields. A configuration that cannot be read is none: it must not cost the vote (quorum 5.1).
    #[must_use]
    pub fn new(sender: Sid, message: &notification::Notification<'_>) -> Self {
        let text = message.config.map(str::from_utf8);
        let config = text.and_then(|text| Membership::parse(text.ok()?).ok());
        Self {
            sender,
            state: ServerState::from_code(message.state),
            vote: Vote {
                leader: message.leader,
                zxid: message.zxid,
                epoch: PeerEpoch(message.peer_epoch),
            },
            round: Round(message.election_epoch),
            version: message.version,
            config,
        }
    }
}

impl Notification {
    /// The message that says this, with the text of the committed configuration.
    #[must_use]
    pub fn to_message<'a>(&self, config: &'a str) -> notification::Notification<'a> {
        notification::Notification {
            state: self.state.code(),
            leader: self.vote.leader,
            zxid: self.vote.zxid,
            election_epoch: self.round.0,
            peer_epoch: self.vote.epoch.0,
            version: notification::VERSION,
            config: Some(config.as_bytes()),
        }
    }
}

/// Names one armed timer. Only the one armed last counts (R12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Timer(pub(crate) u64);

/// What is known of the link to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkFact {
    /// It stands, newly.
    Up,
    /// Nobody listens there.
    Refused,
    /// It broke, and no other replaces it.
    Reset,
}

/// What an election takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// This server has no leader: begin a new round with this history.
    Look(History),
    /// A notification arrived.
    Received(Received),
    /// A timer ran out.
    Timer(Timer),
    /// A link changed.
    Link(Sid, LinkFact),
    /// The learner has synced, or the leader serves: all members now report this epoch (quorum 5.6).
    Established(PeerEpoch),
    /// A reconfiguration named the leader: the state follows from it at once, without an election (quorum 14.4).
    Designated {
        /// Who leads.
        leader: Sid,
        /// The reconfiguration's zxid.
        zxid: Zxid,
    },
}

/// What an election wants done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Write to one server, connecting if need be. An unsent older notification to it may be replaced.
    Send {
        /// Whom to.
        to: Sid,
        /// What.
        notification: Notification,
    },
    /// The same to every voter of both views but this server itself.
    Broadcast(Notification),
    /// Come back with this timer at this time. It replaces any armed before.
    ArmTimer {
        /// What to come back with.
        timer: Timer,
        /// When.
        at: MonoMillis,
    },
    /// The election is over.
    Decided(Decision),
    /// A newer configuration was told (quorum 5.3): make it the committed one. Unless only its version differs, this
    /// election has ended without a result; links are made anew and an election over the new views begins at round 0.
    AdoptConfig {
        /// The configuration.
        membership: Membership,
        /// Whether this election has ended.
        ends_election: bool,
    },
}

/// How an election ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Who leads, and the vote that says so.
    pub vote: Vote,
    /// In which round.
    pub round: Round,
    /// What this server becomes; never looking.
    pub state: ServerState,
}
