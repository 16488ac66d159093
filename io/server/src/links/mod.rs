//! The sockets between the servers of an ensemble.
//!
//! Two kinds, each on a port of its own: on *election links* votes go both ways between every pair of servers, at all
//! times (quorum 4); on *quorum links* a leader and its learners work together (quorum 7). All of them belong to the
//! poller and never block; connecting, resolving names and binding is done by threads that send a [`LinkLetter`].
//! What the bytes mean is decided in `zabra-peer`.
//!
//! | To | see |
//! |---|---|
//! | know which of two connections survives | `sid_rule`, `correspondent` |
//! | follow an election link | `election` |
//! | follow a quorum link | `quorum`, `quorum_link` |
//! | connect to another server | `dialer` |
//! | listen for others | `bind` |
//! | give others what their logs lack | `donor` |

mod bind;
mod correspondent;
mod dialer;
mod donor;
mod door;
mod election;
mod patient;
mod quorum;
mod quorum_link;
mod sid_rule;
mod socket;

use std::net::TcpStream;

use zabra_peer::DialId;
use zabra_proto::Sid;

pub use bind::BindError;
pub(crate) use bind::bind_patiently;
pub(crate) use dialer::{DialError, Persistence, connect, spawn};
pub(crate) use donor::{Answered, Asked, Donor};
pub(crate) use election::{ElectionNews, ElectionOptions, ElectionPort};
pub(crate) use quorum::{OUT_LEN_MAX, QuorumNews, QuorumOptions, QuorumPort};
pub(crate) use socket::SocketOptions;

/// What a thread tells the poller about a link.
#[derive(Debug)]
pub(crate) enum LinkLetter {
    /// How an attempt to connect to a server's election port ended.
    ElectionDialed {
        /// To whom.
        to: Sid,
        /// Which attempt.
        attempt: u64,
        /// The connection.
        result: Result<TcpStream, DialError>,
    },
    /// How an attempt to connect to the leader ended.
    QuorumDialed {
        /// Which attempt.
        dial: DialId,
        /// To whom.
        to: Sid,
        /// The connection.
        result: Result<TcpStream, DialError>,
    },
}
