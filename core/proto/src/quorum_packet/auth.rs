//! The records of the SASL exchange between servers (quorum 16.2). They stand before the first packet or notification.

use thiserror::Error;
use zabra_jute::{Decode, Encode, JuteError, JuteErrorKind, Limits, Reader};

use crate::op::wire_enum;

/// First long of each record.
const MAGIC: i64 = 0x5f24_3501_3501_edcc;

wire_enum! {
    /// How the exchange stands.
    AuthStatus, "quorum authentication status" {
        /// The token asks or answers; there is more to come.
        InProgress = 0,
        /// The peer is who it says.
        Success = 1,
        /// It is not, or the exchange broke.
        Error = -1,
    }
}

/// Bytes that are no record of the exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AuthError {
    /// They do not begin with the magic: the peer does not authenticate.
    #[error("no quorum authentication: the peer's bytes do not begin with the magic")]
    NotMagic,
    /// They do, and are wrong.
    #[error("quorum authentication: {0}")]
    Malformed(JuteError),
}

/// A step of the exchange, in either direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumAuthPacket<'a> {
    /// How the exchange stands.
    pub status: AuthStatus,
    /// What the mechanism says; may be empty or null.
    pub token: Option<&'a [u8]>,
}

impl<'a> QuorumAuthPacket<'a> {
    /// The record at the start of the bytes, and how many of them it takes; `None` if more are needed. An acceptor
    /// that does not require authentication goes on with the same bytes after [`AuthError::NotMagic`].
    pub fn decode(bytes: &'a [u8], limits: Limits) -> Result<Option<(Self, usize)>, AuthError> {
        let magic = MAGIC.to_be_bytes();
        if !bytes.iter().zip(magic).all(|(have, want)| *have == want) {
            return Err(AuthError::NotMagic);
        }
        let mut r = Reader::with_limits(bytes, limits);
        let decoded = r.take(magic.len()).and_then(|_| {
            Ok(Self {
                status: AuthStatus::decode(&mut r)?,
                token: r.buffer()?,
            })
        });
        match decoded {
            Ok(packet) => Ok(Some((packet, r.position()))),
            Err(e) if e.kind == JuteErrorKind::UnexpectedEnd => Ok(None),
            Err(e) => Err(AuthError::Malformed(e)),
        }
    }
}

impl Encode for QuorumAuthPacket<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        MAGIC.encode(out);
        self.status.encode(out);
        self.token.encode(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_does_not_authenticate_shows_at_its_first_byte() {
        for bytes in [&[0][..], &[0x5f, 0x24, 0x35, 0x02], &[0xff; 8]] {
            let decoded = QuorumAuthPacket::decode(bytes, Limits::DEFAULT);
            assert_eq!(decoded, Err(AuthError::NotMagic));
        }
    }

    #[test]
    fn every_part_of_a_record_is_incomplete() {
        let mut bytes = Vec::new();
        let packet = QuorumAuthPacket {
            status: AuthStatus::Error,
            token: Some(b"why"),
        };
        packet.encode(&mut bytes);
        for end in 0..bytes.len() {
            let decoded = QuorumAuthPacket::decode(&bytes[..end], Limits::DEFAULT);
            assert_eq!(decoded, Ok(None));
        }
        let decoded = QuorumAuthPacket::decode(&bytes, Limits::DEFAULT);
        assert_eq!(decoded, Ok(Some((packet, bytes.len()))));
    }

    #[test]
    fn an_unknown_status_and_a_token_out_of_bounds_are_refused() {
        for (status, len) in [(2i32, 0i32), (0, -2), (0, i32::MAX)] {
            let mut bytes = Vec::new();
            MAGIC.encode(&mut bytes);
            status.encode(&mut bytes);
            len.encode(&mut bytes);
            let decoded = QuorumAuthPacket::decode(&bytes, Limits::DEFAULT);
            assert!(matches!(decoded, Err(AuthError::Malformed(_))));
        }
    }
}
