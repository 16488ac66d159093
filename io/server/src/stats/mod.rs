//! What the server counts beside what `zabra-serve` counts for it: the counters and summaries of `mntr`.
//!
//! Everything here belongs to the seat and is changed by one thread at a time, so it is plain numbers. Latencies are
//! whole milliseconds, as in Apache. How the numbers are printed is in [`crate::words`].

mod member;
mod metrics;
mod summary;

pub use member::{LeaderFigures, MemberStats, MemberView, Part, ProposalSizes};
pub use metrics::{Advanced, Basic, Counter, Metrics};
pub use summary::{Average, Percentiles, Summary};
