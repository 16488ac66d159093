//! What can happen in a world, besides what follows at once.

use crate::faults::{Loss, Relief};
use crate::network::{Side, StreamId};
use crate::server::{JobId, Life};
use zabra_peer::DialId;
use zabra_proto::Sid;

/// A server by its place in the world.
pub type ServerAt = usize;
/// A client by its place in the world.
pub type ClientAt = usize;

/// Something that happens at a time.
#[derive(Debug, Clone)]
pub enum Event {
    /// The next piece of a stream reaches its end.
    Arrive(StreamId, Side),
    /// An end of a stream learns that it broke.
    Broken(StreamId, Side),
    /// A server looks at its clock.
    Timer(ServerAt, Life),
    /// A job of a server's disk is done.
    JobDone(ServerAt, Life, JobId),
    /// A server's attempt to connect to a leader comes to something.
    Dialing(ServerAt, Life, DialId),
    /// A client looks at its clock.
    ClientTimer(ClientAt),
    /// A client's attempt to connect comes to something.
    ClientConnect(ClientAt, u64),
    /// The next notification of one server to another arrives.
    VoteArrives {
        /// Who sent it.
        from: ServerAt,
        /// Who gets it.
        to: ServerAt,
        /// On which connection between the two.
        link: u64,
    },
    /// An election connection is made, or not.
    VoteDial {
        /// Who wants it.
        from: ServerAt,
        /// With whom.
        to: ServerAt,
        /// Which attempt.
        attempt: u64,
    },
    /// A server learns a fact about an election link.
    VoteFact(ServerAt, Life, Sid, bool),
    /// The next fault is due.
    Fault,
    /// A server has entered a phase and was waited for there.
    Ambush(ServerAt),
    /// A server is to be stopped in good order.
    Stop(ServerAt),
    /// A trouble of its own is over.
    Relief(Relief),
    /// A disk is lost.
    Loss(Loss),
    /// A server starts.
    Start(ServerAt),
    /// A server that stood still goes on.
    Resume(ServerAt),
    /// It has heard the other servers, and notices that time has passed.
    Woken(ServerAt, Life),
    /// The effects of a fault on the network end.
    Heal(u64),
    /// Faults end.
    Calm,
    /// All quorum links break, for the last time.
    LastBlow,
    /// The world looks whether it is in step.
    Look,
    /// The run is complete.
    End,
}
