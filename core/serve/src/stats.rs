//! What is counted while serving.

use zabra_proto::{MonoMillis, Xid, Zxid};

/// Smallest, largest and mean of some numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spread {
    /// How many.
    pub count: u64,
    /// Their sum.
    pub total: u64,
    /// The smallest; 0 if there are none.
    pub min: u64,
    /// The largest.
    pub max: u64,
}

impl Spread {
    /// Adds a number.
    pub fn add(&mut self, value: u64) {
        self.min = if self.count == 0 {
            value
        } else {
            self.min.min(value)
        };
        self.max = self.max.max(value);
        self.count += 1;
        self.total += value;
    }
}

/// Numbers in the order in which they came, with equal neighbours as one entry. They are kept until they are taken, or
/// there are too many.
#[derive(Debug, Clone, Default)]
pub struct Runs(Vec<(u64, u64)>);

/// So many entries are kept; numbers that would need more are lost.
const RUNS_MAX: usize = 4096;

impl Runs {
    pub(crate) fn add(&mut self, value: u64) {
        if let Some((last, times)) = self.0.last_mut()
            && *last == value
        {
            *times += 1;
        } else if self.0.len() < RUNS_MAX {
            self.0.push((value, 1));
        }
    }

    /// Takes all of them: a number, and how often it came in a row.
    pub fn take(&mut self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.drain(..)
    }
}

/// Latencies in ms, for a longer summary than this crate keeps.
#[derive(Debug, Clone, Default)]
pub struct Latencies {
    /// Of what became no transaction.
    pub reads: Runs,
    /// Of transactions.
    pub updates: Runs,
    /// For how long requests waited for others, where that is limited.
    pub throttled: Runs,
}

/// Counters of the server since its start or since `srst`.
#[derive(Debug, Clone, Copy, Default)]
pub struct ServerStats {
    /// Frames that came.
    pub received: u64,
    /// Frames that went.
    pub sent: u64,
    /// Time from a request to its reply, ms.
    pub latency_ms: Spread,
    /// Replies with an error that closed the connection: refused credentials.
    pub auth_failed: u64,
    /// Connections closed because the client had seen a later zxid (P85).
    pub clients_ahead: u64,
    /// Connects that came too fast (SB-07).
    pub connects_throttled: u64,
    /// Tokens missing after each connect that was let in, if connects are throttled.
    pub token_deficit: Spread,
    /// Connections closed for too many bytes of large requests (SB-06).
    pub large_rejected: u64,
    /// Times that a request had to wait for others to finish (SB-04).
    pub held: u64,
    /// Requests that came too late (SB-04, SB-05).
    pub late: LateStats,
    /// Clients that named the ensemble that they look for (ME-37).
    pub ensemble: EnsembleStats,
    /// Connections closed because they opened no session in time.
    pub sessionless_closed: u64,
    /// Length of the last reply, and the smallest and largest, in bytes; −1 if there was none.
    pub response_bytes: ResponseBytes,
}

/// Requests that came too late.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LateStats {
    /// Run although they were stale.
    pub stale: u64,
    /// Dropped.
    pub stale_dropped: u64,
    /// Done, and answered to nobody or too late.
    pub stale_replies: u64,
    /// Refused as throttled.
    pub refused: u64,
}

/// Clients that named the ensemble that they look for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EnsembleStats {
    /// This one.
    pub success: u64,
    /// Another one: their connections were closed.
    pub fail: u64,
    /// None, or this server does not know its own.
    pub skip: u64,
}

/// Sizes of replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseBytes {
    /// The last.
    pub last: i64,
    /// The smallest.
    pub min: i64,
    /// The largest.
    pub max: i64,
}

impl Default for ResponseBytes {
    fn default() -> Self {
        Self {
            last: -1,
            min: -1,
            max: -1,
        }
    }
}

impl ResponseBytes {
    pub(crate) fn add(&mut self, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.last = bytes;
        self.min = if self.min < 0 {
            bytes
        } else {
            self.min.min(bytes)
        };
        self.max = self.max.max(bytes);
    }
}

/// Counters of one connection, for the `cons` and `stat` words.
#[derive(Debug, Clone, Copy)]
pub struct ConnStats {
    /// Since when.
    pub established: MonoMillis,
    /// Frames that came.
    pub received: u64,
    /// Frames that went.
    pub sent: u64,
    /// The last reply's xid; −1 if there was none.
    pub last_xid: Xid,
    /// The last reply's zxid; −1 if there was none.
    pub last_zxid: Zxid,
    /// The last request's name as Apache's words print it.
    pub last_op: &'static str,
    /// When the last reply went.
    pub last_response: MonoMillis,
    /// The last request's latency, ms.
    pub last_latency_ms: u64,
    /// Latencies, ms.
    pub latency_ms: Spread,
}

impl ConnStats {
    pub(crate) fn new(established: MonoMillis) -> Self {
        Self {
            established,
            received: 0,
            sent: 0,
            last_xid: Xid(-1),
            last_zxid: Zxid::from_wire(-1),
            last_op: crate::conn::NO_NAME,
            last_response: established,
            last_latency_ms: 0,
            latency_ms: Spread::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_numbers_in_a_row_are_one_entry_and_there_are_not_too_many() {
        let mut runs = Runs::default();
        for value in [0, 0, 3, 0] {
            runs.add(value);
        }
        assert_eq!(runs.take().collect::<Vec<_>>(), [(0, 2), (3, 1), (0, 1)]);
        (0..10_000).for_each(|value| runs.add(value));
        assert_eq!(runs.take().count(), RUNS_MAX);
        assert_eq!(runs.take().count(), 0);
    }

    #[test]
    fn a_spread_keeps_the_extremes() {
        let mut spread = Spread::default();
        for value in [5, 2, 9] {
            spread.add(value);
        }
        assert_eq!(
            spread,
            Spread {
                count: 3,
                total: 16,
                min: 2,
                max: 9
            }
        );
    }
}
