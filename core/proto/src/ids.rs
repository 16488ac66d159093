//! Numbers with a meaning.

use std::fmt;

use zabra_jute::{Decode, Encode, JuteError, Reader};

/// A transaction's number: epoch in the high 32 bits, counter in the low ones.
///
/// Compared as unsigned, so that epochs from 2^31 on still come after smaller ones (P127).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Zxid(pub u64);

impl Zxid {
    /// Before every transaction.
    pub const ZERO: Self = Self(0);

    /// The zxid with this epoch and counter.
    #[must_use]
    pub const fn new(epoch: u32, counter: u32) -> Self {
        Self(((epoch as u64) << 32) | counter as u64)
    }

    /// The epoch in which the transaction was proposed.
    #[must_use]
    pub const fn epoch(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The transaction's place within its epoch.
    #[must_use]
    pub const fn counter(self) -> u32 {
        self.0 as u32
    }

    /// The number after this one. A standalone server counts through the epoch bits, as Apache's does.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    /// Whether `next` may stand directly behind this one in a history (I-4, R2): the next counter of the same epoch, or the
    /// begin of a later one. A standalone server counts from the last counter into the next epoch, so counter 0 is legal,
    /// too.
    #[must_use]
    pub const fn may_precede(self, next: Self) -> bool {
        next.0 == self.0.wrapping_add(1) || (next.epoch() > self.epoch() && next.counter() <= 1)
    }

    /// As it stands in records.
    #[must_use]
    pub const fn to_wire(self) -> i64 {
        self.0.cast_signed()
    }

    /// From a record.
    #[must_use]
    pub const fn from_wire(raw: i64) -> Self {
        Self(raw.cast_unsigned())
    }
}

impl fmt::Display for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::LowerHex for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::LowerHex::fmt(&self.0, f)
    }
}

impl<'a> Decode<'a> for Zxid {
    fn decode(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        r.i64().map(Self::from_wire)
    }
}

impl Encode for Zxid {
    fn encode(&self, out: &mut Vec<u8>) {
        self.to_wire().encode(out);
    }
}

macro_rules! number {
    ($(#[$meta:meta])* $name:ident($inner:ident)) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $inner);

        impl<'a> Decode<'a> for $name {
            fn decode(r: &mut Reader<'a>) -> Result<Self, JuteError> {
                $inner::decode(r).map(Self)
            }
        }

        impl Encode for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                self.0.encode(out);
            }
        }
    };
}

number! {
    /// A session: the server id in the high byte, then a start time, then a counter (protocol 10.1). 0 is no session.
    SessionId(i64)
}

impl SessionId {
    /// Stands where there is no session: a client that asks for one, a transaction of the server itself.
    pub const NONE: Self = Self(0);
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

number! {
    /// The number that a client gave its request; the reply carries it back.
    Xid(i32)
}

impl Xid {
    /// The xid of every notification.
    pub const NOTIFICATION: Self = Self(-1);
    /// The xid of every ping's reply.
    pub const PING: Self = Self(-2);
    /// What clients use for auth packets.
    pub const AUTH: Self = Self(-4);
    /// What the C client uses for setWatches; the Java client uses an ordinary xid.
    pub const SET_WATCHES: Self = Self(-8);
}

number! {
    /// Milliseconds of the wall clock since 1970. Only data: it is written into transactions, no timer uses it (R9).
    WallMillis(i64)
}

/// Milliseconds of a clock that never goes back, from an arbitrary start. All timers use it (R9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MonoMillis(pub u64);

impl MonoMillis {
    /// This many milliseconds later, at most the end of time.
    #[must_use]
    pub const fn after(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to here; 0 if it is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A server of the ensemble (`myid`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId(pub u8);

impl ServerId {
    /// What a standalone server puts into its session ids.
    pub const STANDALONE: Self = Self(1);
}

number! {
    /// A server as the others call it, between servers: a long, so that it can also say that it is none (quorum 5.5).
    Sid(i64)
}

impl Sid {
    /// The vote of a server that does not vote.
    pub const NON_VOTER: Self = Self(i64::MIN);
    /// An observer that has no number of its own.
    pub const ANONYMOUS: Self = Self(i64::MAX);
}

impl From<ServerId> for Sid {
    fn from(id: ServerId) -> Self {
        Self(i64::from(id.0))
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A client connection of this server, never used twice: replies and watch events of a connection that is gone find
/// nobody (R12, P86).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_beyond_the_sign_bit_come_after_smaller_ones() {
        assert!(Zxid::new(0x8000_0000, 1) > Zxid::new(0x7fff_ffff, 9));
        assert_eq!(
            Zxid::from_wire(Zxid::new(0x8000_0000, 1).to_wire()),
            Zxid::new(0x8000_0000, 1)
        );
    }

    #[test]
    fn a_zxid_prints_as_operators_know_it() {
        assert_eq!(Zxid::new(5, 3).to_string(), "0x500000003");
    }
}
