//! What a peer wants done.

use std::sync::Arc;

use zabra_election::Notification;
use zabra_proto::{ConnId, ErrorCode, SessionId, Sid, Zxid};
use zabra_quorum::Membership;
use zabra_tree::QuotaExceeded;
use zabra_zab::{Backlog, Epochs, LinkId, Packet};

use crate::{DialId, Origin};

/// A transaction that is decided for ever: to be applied, then answered.
#[derive(Debug, Clone)]
pub struct Commit {
    /// Its number.
    pub zxid: Zxid,
    /// Its bytes, as they are in the log.
    pub payload: Arc<[u8]>,
    /// Who waits for it on this server.
    pub origin: Option<Origin>,
}

/// Something to do, in the order given.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Append to the log; report [`Input::Flushed`](crate::Input::Flushed) once it is durable.
    Append {
        /// Its number.
        zxid: Zxid,
        /// Its bytes.
        payload: Arc<[u8]>,
    },
    /// Apply to the replica and answer; then report [`Input::Applied`](crate::Input::Applied).
    Commit(Commit),
    /// Answer a request that became no transaction.
    Reply(Origin, ErrorCode),
    /// The session is the connection's.
    SessionResumed {
        /// The connection.
        conn: ConnId,
        /// The session.
        session: SessionId,
        /// Its timeout.
        timeout_ms: i32,
    },
    /// The session cannot be had.
    SessionRefused(ConnId),
    /// A write exceeds a quota: worth a line in the log.
    QuotaExceeded(QuotaExceeded),
    /// Close the connection: its session is not known any more.
    HangUp(ConnId),
    /// Clients may be served from here on: sessions opened, requests taken. What stands before it is done.
    StartServing,
    /// No client is served any more: every connection is closed, what its requests wait for never comes.
    StopServing,
    /// Report the replica's sessions with [`Input::Sessions`](crate::Input::Sessions), after the commits before this.
    ListSessions,
    /// Make the epochs durable, then report [`Input::EpochsSaved`](crate::Input::EpochsSaved). The history that they
    /// stand for, up to NEWLEADER, is durable before (P03).
    SaveEpochs(Epochs),
    /// Cut everything behind this transaction from the disk, then report
    /// [`Input::Truncated`](crate::Input::Truncated) or [`Input::CannotTruncate`](crate::Input::CannotTruncate).
    /// Everything appended is durable, nothing behind it is applied.
    Truncate(Zxid),
    /// Put the text into `/zookeeper/config` of the replica, outside of any transaction.
    SetConfig(Box<Membership>),
    /// Tell a server this server's vote, with the text of the committed membership. It may replace an unsent older one.
    Notify {
        /// Whom.
        to: Sid,
        /// What.
        notification: Notification,
    },
    /// Connect to a server's quorum port, then report [`Input::Dialed`](crate::Input::Dialed). Its name is resolved
    /// anew. Trying again is the shell's, until the peer gives up by [`Self::StopDialing`].
    Dial {
        /// This attempt.
        dial: DialId,
        /// Whom.
        to: Sid,
    },
    /// Nobody waits for the attempt any more; a link that comes of it is to be closed.
    StopDialing(DialId),
    /// Send a packet. The packets of a link go in the order given; a link whose queue grows too long is closed.
    Send {
        /// Where.
        link: LinkId,
        /// What.
        packet: Packet,
    },
    /// Send the history that a learner lacks, from disk. What is sent to the link afterwards goes behind it. The link is
    /// closed if that cannot be done.
    SendBacklog {
        /// Where.
        link: LinkId,
        /// What.
        backlog: Backlog,
    },
    /// Close a quorum link, once what was sent before has gone.
    Close(LinkId),
    /// A newer membership was learnt from others (quorum 5.3, 14.4): links are made anew, files are written.
    AdoptConfig(Box<Membership>),
    /// Something worth a line for the operator.
    Note(Note),
    /// This server cannot go on in good faith; the process ends with Apache's exit code.
    Halt(Halt),
    /// The stop that was asked for is complete.
    Stopped,
}

/// What an operator should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// An election begins.
    Looking,
    /// An election has ended: whom this server follows or that it leads.
    Elected {
        /// Who leads.
        leader: Sid,
    },
    /// The server is in step and serves.
    InStep {
        /// Who leads.
        leader: Sid,
        /// In which epoch.
        epoch: u32,
    },
    /// A role ended.
    Left {
        /// Why, in words.
        why: String,
    },
    /// A learner's link was closed.
    LearnerLeft {
        /// Who, if it said so.
        sid: Option<Sid>,
        /// Why, in words.
        why: String,
    },
    /// A learner is in step.
    LearnerInStep {
        /// Who.
        sid: Sid,
    },
}

/// Why a member must end (quorum 18.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Halt {
    /// The leader decided something else than it proposed. Exit code 12.
    CommitOutOfOrder {
        /// What was decided.
        committed: Zxid,
        /// What should have been.
        expected: Zxid,
    },
    /// The leader asks to take back what was decided, or says something that cannot be obeyed. Exit code 13.
    CannotSync(String),
    /// A leader's history has replaced the own one when that leader was no longer followed. What came with its snapshot is
    /// on the disk and not known here, so no vote may be given before a start has read it (I-12).
    HistoryMoved,
}
