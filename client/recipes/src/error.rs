//! What can go wrong in a recipe, and how what was held is lost.

use thiserror::Error;
use zabra_client::ErrorCode;

/// Why a recipe gave up.
///
/// A lost connection is never among the reasons by itself: recipes wait and look again, as long as the session may live.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Error {
    /// The client could not do it, and asking again would not help.
    #[error(transparent)]
    Client(#[from] zabra_client::Error),
    /// What the recipe rests on was lost on the way.
    #[error("lost on the way: {0}")]
    Lost(#[from] Lost),
    /// The counter of sequential znodes under this path is used up. Delete the path and make it anew.
    #[error("the counter of sequential znodes under {path} is used up")]
    Exhausted {
        /// The parent of the contenders.
        path: String,
    },
    /// A change was sent, its answer was lost, and the session ended: it may have been made or not.
    #[error("the change of {path} may have been made or not")]
    InDoubt {
        /// The znode.
        path: String,
    },
    /// A znode holds what the recipe cannot read.
    #[error("{path} cannot be read: {why}")]
    Malformed {
        /// The znode.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// A cache would be larger than allowed.
    #[error("the copy of {path} is larger than allowed")]
    TooLarge {
        /// Its root.
        path: String,
    },
}

impl Error {
    /// Whether the session is to blame, so that all goes on in another one.
    #[must_use]
    pub fn is_end_of_session(&self) -> bool {
        match self {
            // Also as an answer: a server that is about to end the connection refuses what still comes.
            Self::Client(error) => error.is(ErrorCode::SESSION_EXPIRED),
            Self::Lost(lost) => matches!(lost, Lost::SessionEnded | Lost::SessionInDoubt),
            _ => false,
        }
    }

    pub(crate) fn malformed(path: &str, why: impl ToString) -> Self {
        Self::Malformed {
            path: path.to_owned(),
            why: why.to_string(),
        }
    }
}

/// How what was held was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Lost {
    /// The session has ended; so have its ephemerals.
    #[error("the session has ended")]
    SessionEnded,
    /// Nothing was heard for so long that the session may have ended.
    #[error("the session may have ended")]
    SessionInDoubt,
    /// Somebody deleted the znode.
    #[error("the znode was deleted")]
    Deleted,
    /// It was given back.
    #[error("it was given back")]
    Released,
}
