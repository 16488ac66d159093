//! What is taken on when it comes too fast or too large: connects, large requests, requests in flight.
//!
//! Nothing of it is limited by default, as in Apache's server. The bounds that always hold are in [`flow`](crate::flow).

use zabra_proto::{ConnId, MonoMillis, OpCode, SessionId};

use crate::conn::{Conn, State};
use crate::{Clients, CloseReason, LateRules};

/// The limits that an operator may set.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct LoadLimits {
    /// How fast clients may connect (SB-07).
    pub connects: Option<ConnectThrottle>,
    /// Large requests in flight (SB-06).
    pub large_requests: Option<LargeRequests>,
    /// With so many requests in flight, further ones wait (SB-04).
    pub requests_max: Option<usize>,
    /// What becomes of those that wait too long.
    pub late: LateRules,
}

/// A bucket of tokens for connects, with a drop probability that follows the load (BLUE).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConnectThrottle {
    /// Tokens in a full bucket.
    pub tokens_max: u32,
    /// Between refills, ms.
    pub fill_ms: u64,
    /// Tokens per refill.
    pub fill_count: u32,
    /// Between changes of the drop probability, ms; `None` leaves it at 0.
    pub freeze_ms: Option<u64>,
    /// By which the drop probability grows when the bucket is empty.
    pub drop_increase: f64,
    /// By which it shrinks.
    pub drop_decrease: f64,
    /// The share of taken tokens up to which it shrinks.
    pub decrease_ratio: f64,
    /// Tokens for a new session.
    pub weight_new: u32,
    /// Tokens for a session that comes back.
    pub weight_renewed: u32,
}

/// Large requests in flight, from the first of their bytes to their reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LargeRequests {
    /// A longer request is large.
    pub threshold: usize,
    /// The bytes of all of them together; the connection of who exceeds it is closed.
    pub sum_max: usize,
}

/// The state of a [`ConnectThrottle`].
#[derive(Debug)]
pub(crate) struct ConnectBucket {
    throttle: ConnectThrottle,
    tokens: u32,
    filled: MonoMillis,
    adjusted: MonoMillis,
    drop: f64,
    seed: u64,
}

impl ConnectBucket {
    /// A full one. The seed decides who is dropped.
    pub(crate) fn new(throttle: ConnectThrottle, seed: u64) -> Self {
        Self {
            throttle,
            tokens: throttle.tokens_max,
            filled: MonoMillis(0),
            adjusted: MonoMillis(0),
            drop: 0.0,
            seed,
        }
    }

    /// Whether a connect may go on that takes so many tokens.
    pub(crate) fn admits(&mut self, need: u32, now: MonoMillis) -> bool {
        self.refill(now);
        self.adjust(now);
        if self.random() < self.drop || self.tokens < need {
            return false;
        }
        self.tokens -= need;
        true
    }

    /// Tokens that are taken.
    pub(crate) fn deficit(&self) -> u32 {
        self.throttle.tokens_max - self.tokens
    }

    fn refill(&mut self, now: MonoMillis) {
        let since = now.since(self.filled);
        if since > self.throttle.fill_ms {
            let count = u128::from(self.throttle.fill_count);
            let refill = u128::from(since) * count / u128::from(self.throttle.fill_ms.max(1));
            let tokens = u128::from(self.tokens) + refill;
            self.tokens = u32::try_from(tokens)
                .unwrap_or(u32::MAX)
                .min(self.throttle.tokens_max);
            self.filled = now;
        }
    }

    /// The longer the bucket stays empty the more are dropped without a look at it, so that who comes back at once does
    /// not take every new token.
    fn adjust(&mut self, now: MonoMillis) {
        let throttle = &self.throttle;
        let is_due = |freeze| now.since(self.adjusted) > freeze;
        if !throttle.freeze_ms.is_some_and(is_due) {
            return;
        }
        self.adjusted = now;
        let threshold = (f64::from(throttle.tokens_max) * throttle.decrease_ratio).round();
        if self.tokens == 0 {
            self.drop = (self.drop + throttle.drop_increase).min(1.0);
        } else if f64::from(self.deficit()) <= threshold {
            self.drop = (self.drop - throttle.drop_decrease).max(0.0);
        }
    }

    /// The next of a sequence of numbers from 0 up to 1 (splitmix64).
    fn random(&mut self) -> f64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.seed ^ (self.seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

impl Clients {
    /// Whether a connect for this session may go on.
    pub(crate) fn admits_connect(&mut self, session: SessionId, now: MonoMillis) -> bool {
        let Some(bucket) = &mut self.connects else {
            return true;
        };
        let need = if session == SessionId::NONE {
            bucket.throttle.weight_new
        } else {
            bucket.throttle.weight_renewed
        };
        let admits = bucket.admits(need, now);
        if admits {
            self.stats.token_deficit.add(u64::from(bucket.deficit()));
        } else {
            self.stats.connects_throttled += 1;
        }
        admits
    }

    /// Whether a frame of this length may come in. It is asked as soon as the length is known, before the rest is kept.
    pub(crate) fn admits_frame(&mut self, id: ConnId, len: usize) -> bool {
        let limits = self.options.load.large_requests;
        let Some(limits) = limits.filter(|limits| len > limits.threshold) else {
            return true;
        };
        if self.conn(id).is_some_and(|conn| conn.gathers_large) {
            return true;
        }
        let mut holders = std::mem::take(&mut self.large_holders);
        let held = |id: ConnId| self.conn(id).map_or(0, |conn| conn.large_len);
        holders.retain(|holder| *holder != id && held(*holder) > 0);
        let sum: usize = holders.iter().copied().chain([id]).map(held).sum();
        holders.push(id);
        self.large_holders = holders;
        if sum + len > limits.sum_max {
            self.stats.large_rejected += 1;
            self.close(id, CloseReason::LargeRequests);
            return false;
        }
        if let Some(conn) = self.conn_mut(id) {
            conn.large_len += len;
            conn.gathers_large = true;
        }
        true
    }

    /// A frame was handled, with so many requests parked before: a large one counts until its reply.
    pub(crate) fn on_frame_handled(&mut self, id: ConnId, len: usize, parked_before: usize) {
        let Some(conn) = self.conn_mut(id).filter(|conn| conn.gathers_large) else {
            return;
        };
        conn.gathers_large = false;
        let is_parked = conn.parked.len() > parked_before;
        match conn.parked.back_mut() {
            Some(parked) if is_parked => parked.large_len = len,
            _ => conn.large_len -= len,
        }
    }

    /// Whether a request must wait for others to finish. What keeps or ends a session never does (P120).
    pub(crate) fn must_hold(&self, conn: &Conn, frame: &[u8]) -> bool {
        let is_full = |max| self.outstanding >= max;
        if conn.state != State::Open || !self.options.load.requests_max.is_some_and(is_full) {
            return false;
        }
        let op = frame.get(4..).and_then(|bytes| bytes.first_chunk::<4>());
        let op = op.and_then(|op| OpCode::from_code(i32::from_be_bytes(*op)));
        op.is_some_and(|op| {
            !matches!(
                op,
                OpCode::Ping | OpCode::Auth | OpCode::Sasl | OpCode::CloseSession
            )
        })
    }

    /// Has a connection's next request wait. Who had its turn and found no place waits since before.
    pub(crate) fn hold(&mut self, id: ConnId) {
        self.stats.held += 1;
        self.next_ticket += 1;
        let next = self.next_ticket;
        if let Some(conn) = self.conn_mut(id) {
            conn.held = true;
            let ticket = *conn.ticket.get_or_insert(next);
            self.held.insert((ticket, id));
        }
    }

    /// Gives their turn to as many held connections as there is place for requests. Some may not use it: call this
    /// again after their turn.
    pub(crate) fn release_held(&mut self) {
        let Some(max) = self.options.load.requests_max else {
            return;
        };
        let mut free = max.saturating_sub(self.outstanding);
        while free > 0
            && let Some((_, id)) = self.held.pop_first()
        {
            if let Some(conn) = self.conn_mut(id).filter(|conn| conn.closing().is_none()) {
                conn.held = false;
                self.resumable.push(id);
                free -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THROTTLE: ConnectThrottle = ConnectThrottle {
        tokens_max: 10,
        fill_ms: 100,
        fill_count: 2,
        freeze_ms: None,
        drop_increase: 0.5,
        drop_decrease: 0.25,
        decrease_ratio: 0.5,
        weight_new: 1,
        weight_renewed: 1,
    };

    fn admitted(bucket: &mut ConnectBucket, at: u64) -> usize {
        (0..100)
            .filter(|_| bucket.admits(1, MonoMillis(at)))
            .count()
    }

    #[test]
    fn a_bucket_gives_its_tokens_at_once_and_then_as_fast_as_it_is_filled() {
        let mut bucket = ConnectBucket::new(THROTTLE, 1);
        assert_eq!(admitted(&mut bucket, 1000), 10);
        assert_eq!(bucket.deficit(), 10);
        assert_eq!(
            admitted(&mut bucket, 1100),
            0,
            "not before the time is over"
        );
        assert_eq!(admitted(&mut bucket, 1150), 3);
        assert_eq!(
            admitted(&mut bucket, u64::MAX),
            10,
            "never more than it holds"
        );
    }

    #[test]
    fn a_connect_takes_as_many_tokens_as_it_weighs() {
        let mut bucket = ConnectBucket::new(THROTTLE, 1);
        let now = MonoMillis(1000);
        assert!(bucket.admits(7, now));
        assert!(!bucket.admits(4, now));
        assert!(bucket.admits(3, now));
    }

    #[test]
    fn the_drop_probability_grows_while_the_bucket_is_empty_and_shrinks_when_it_is_not() {
        let throttle = ConnectThrottle {
            freeze_ms: Some(50),
            fill_ms: 1000,
            ..THROTTLE
        };
        let mut bucket = ConnectBucket::new(throttle, 1);
        let mut drops = Vec::new();
        assert_eq!(admitted(&mut bucket, 1001), 10);
        for at in [
            1060, 1120, 1180, 3000, 10_000, 10_060, 10_120, 10_180, 10_240,
        ] {
            bucket.admits(0, MonoMillis(at));
            drops.push(bucket.drop);
        }
        // At 3000 there are tokens, but too few to tell that the storm is over.
        let expected = [0.5, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0, 0.0];
        assert_eq!(drops, expected);
    }

    #[test]
    fn who_is_dropped_is_drawn_with_the_drop_probability() {
        let mut bucket = ConnectBucket::new(THROTTLE, 42);
        bucket.drop = 0.5;
        let admitted = (0..1000)
            .filter(|_| bucket.admits(0, MonoMillis(1000)))
            .count();
        assert!((400..600).contains(&admitted), "{admitted}");
    }
}
