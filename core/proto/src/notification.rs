//! Notifications: the votes that servers send each other on the election port (quorum 5.1).
//!
//! A connection begins with one [`InitialMessage`], by the side that connected; then both sides send frames, an int
//! length and a body, and each body is a [`Notification`]. Which connection of a pair survives and what a vote does
//! is not here: this module knows bytes only. The port on which elected servers work together is
//! [`quorum_packet`](crate::quorum_packet).

mod initial;

use thiserror::Error;
use zabra_jute::{Decode, Encode, JuteError, JuteErrorKind, Reader};

use crate::op::wire_enum;
use crate::{Sid, Zxid};

pub use initial::{ADDRESSES_LEN_MAX, ElectionAddress, InitialError, InitialForm, InitialMessage};

/// The longest body of a frame on the election port. A length outside 1..=this ends the connection (quorum 4.3).
pub const FRAME_LEN_MAX: usize = 524_288;

/// The version that is sent: a vote with the sender's membership.
pub const VERSION: i32 = 2;

wire_enum! {
    /// What a server says of itself in a notification.
    ServerState, "server state" {
        /// In an election.
        Looking = 0,
        /// Follows the leader that it names.
        Following = 1,
        /// Leads.
        Leading = 2,
        /// Observes the leader that it names.
        Observing = 3,
    }
}

/// A frame's length that no server may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a frame of {0} bytes on the election port, where 1 to {FRAME_LEN_MAX} are allowed")]
pub struct FrameError(pub i64);

/// The first frame's body, and how many bytes the frame takes; `None` if it has not arrived in full.
///
/// The length is judged as soon as it is there, so that nothing is reserved for a frame that will be refused (R13).
pub fn frame(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, FrameError> {
    let Some((len, rest)) = bytes.split_first_chunk() else {
        return Ok(None);
    };
    let claimed = i32::from_be_bytes(*len);
    match usize::try_from(claimed) {
        Ok(len @ 1..=FRAME_LEN_MAX) => Ok(rest.get(..len).map(|body| (body, 4 + len))),
        _ => Err(FrameError(claimed.into())),
    }
}

/// A body that is no notification. The message is dropped; the connection stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotificationError {
    /// The body ends inside a field. Also the 36 bytes of 3.4.0 to 3.4.5, which every server since 3.5 refuses.
    #[error("a notification of {0} bytes ends inside a field")]
    Short(usize),
    /// The membership's length is negative or goes beyond the body.
    #[error("a membership of {claimed} bytes where {remaining} remain")]
    ConfigLength {
        /// What the length says.
        claimed: i32,
        /// What is left of the body.
        remaining: usize,
    },
}

/// A vote, and what its sender is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification<'a> {
    /// The sender's [`ServerState`], as it came: an unknown number is still answered if the sender does not vote
    /// (quorum 5.3).
    pub state: i32,
    /// Whom the sender votes for.
    pub leader: Sid,
    /// The last zxid of the voted server.
    pub zxid: Zxid,
    /// The round of the election.
    pub election_epoch: i64,
    /// The epoch of the voted server. A long, as it may be the smallest one.
    pub peer_epoch: i64,
    /// What the sender says it speaks; 0 in the layouts of 28 and 40 bytes. What is sent always says [`VERSION`].
    pub version: i32,
    /// The sender's committed membership, as text. Here it is only bytes: text that cannot be read must not cost the
    /// vote, so whoever parses it takes a failure as "no membership". An empty text is none.
    pub config: Option<&'a [u8]>,
}

impl<'a> Notification<'a> {
    /// Reads the body of a frame, in any layout that servers since 3.5 take.
    pub fn decode(body: &'a [u8]) -> Result<Self, NotificationError> {
        let mut r = Reader::new(body);
        Self::decode_vote(&mut r, body.len())
            .map_err(|_| NotificationError::Short(body.len()))
            .and_then(|vote| vote.with_config(&mut r, body.len()))
    }

    fn decode_vote(r: &mut Reader<'a>, len: usize) -> Result<Self, JuteError> {
        let state = r.i32()?;
        let leader = Sid::decode(r)?;
        let zxid = Zxid::decode(r)?;
        let election_epoch = r.i64()?;
        let (peer_epoch, version) = match len {
            // Up to 3.3.
            28 => (zxid.to_wire() >> 32, 0),
            // 3.4.6 says 1 here, and nobody looks.
            40 => (r.i64()?, 0),
            _ => (r.i64()?, r.i32()?),
        };
        Ok(Self {
            state,
            leader,
            zxid,
            election_epoch,
            peer_epoch,
            version,
            config: None,
        })
    }

    fn with_config(self, r: &mut Reader<'a>, len: usize) -> Result<Self, NotificationError> {
        if self.version < VERSION {
            return Ok(self);
        }
        let claimed = r.i32().map_err(|_| NotificationError::Short(len))?;
        let text = usize::try_from(claimed)
            .ok()
            .and_then(|claimed| r.rest().get(..claimed))
            .ok_or(NotificationError::ConfigLength {
                claimed,
                remaining: r.remaining(),
            })?;
        let config = (!text.is_empty()).then_some(text);
        Ok(Self { config, ..self })
    }

    /// Appends the notification as a frame, in the layout of version 2. Nothing is appended if it is longer than
    /// receivers allow.
    pub fn encode_frame(&self, out: &mut Vec<u8>) -> Result<(), FrameError> {
        let config = self.config.unwrap_or_default();
        let len = 44 + config.len();
        if len > FRAME_LEN_MAX {
            return Err(FrameError(len as i64));
        }
        (len as i32).encode(out);
        self.state.encode(out);
        self.leader.encode(out);
        self.zxid.encode(out);
        self.election_epoch.encode(out);
        self.peer_epoch.encode(out);
        VERSION.encode(out);
        Some(config).encode(out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A vote of server 3 in the 40 bytes of 3.4.6, the version being `version`.
    fn body(version: i32) -> Vec<u8> {
        let mut body = Vec::new();
        ServerState::Leading.encode(&mut body);
        Sid(3).encode(&mut body);
        Zxid::new(7, 9).encode(&mut body);
        4i64.encode(&mut body);
        8i64.encode(&mut body);
        version.encode(&mut body);
        body
    }

    /// What the layouts without a version say of it.
    fn old_vote(peer_epoch: i64) -> Notification<'static> {
        Notification {
            state: ServerState::Leading.code(),
            leader: Sid(3),
            zxid: Zxid::new(7, 9),
            election_epoch: 4,
            peer_epoch,
            version: 0,
            config: None,
        }
    }

    #[test]
    fn the_oldest_layout_takes_the_epoch_from_the_zxid() {
        assert_eq!(Notification::decode(&body(2)[..28]), Ok(old_vote(7)));
    }

    #[test]
    fn the_version_of_the_layout_of_40_bytes_is_ignored() {
        for version in [0, 1, 2, i32::MAX] {
            assert_eq!(Notification::decode(&body(version)), Ok(old_vote(8)));
        }
    }

    #[test]
    fn lengths_between_the_layouts_are_refused() {
        let mut body = body(2);
        body.extend_from_slice(&[0; 3]);
        for len in (0..28).chain(29..40).chain(41..44) {
            let short = NotificationError::Short(len);
            assert_eq!(Notification::decode(&body[..len]), Err(short), "{len}");
        }
    }

    #[test]
    fn a_version_before_2_has_no_membership_whatever_follows() {
        let mut body = body(1);
        body.extend_from_slice(&[0, 0, 0, 1, b'x', b'y']);
        let vote = Notification::decode(&body).unwrap();
        assert_eq!((vote.version, vote.config), (1, None));
    }

    #[test]
    fn a_membership_beyond_the_body_drops_the_message() {
        for claimed in [-1, i32::MIN, 3, i32::MAX] {
            let mut body = body(2);
            claimed.encode(&mut body);
            body.extend_from_slice(b"xy");
            let remaining = 2;
            assert_eq!(
                Notification::decode(&body),
                Err(NotificationError::ConfigLength { claimed, remaining })
            );
        }
    }

    #[test]
    fn bytes_behind_the_membership_are_ignored() {
        let mut body = body(3);
        body.extend_from_slice(&[0, 0, 0, 1, b'x', b'y']);
        let vote = Notification::decode(&body).unwrap();
        assert_eq!((vote.version, vote.config), (3, Some(&b"x"[..])));
    }

    #[test]
    fn a_length_that_is_not_allowed_is_refused_before_the_body_arrives() {
        let max = FRAME_LEN_MAX as i32;
        for len in [0, -1, i32::MIN, max + 1, i32::MAX] {
            assert_eq!(frame(&len.to_be_bytes()), Err(FrameError(len.into())));
        }
        assert_eq!(frame(&max.to_be_bytes()), Ok(None));
        assert_eq!(frame(&[0, 0, 0]), Ok(None));
        assert_eq!(frame(&[0, 0, 0, 1, 9, 9]), Ok(Some((&[9][..], 5))));
    }

    #[test]
    fn a_membership_that_fits_no_frame_is_not_sent() {
        let mut vote = Notification::decode(&[0; 28]).unwrap();
        let config = vec![b'#'; FRAME_LEN_MAX - 43];
        let mut out = Vec::new();
        vote.config = Some(&config);
        assert_eq!(
            vote.encode_frame(&mut out),
            Err(FrameError(FRAME_LEN_MAX as i64 + 1))
        );
        assert!(out.is_empty());
        vote.config = config.get(1..);
        assert_eq!(vote.encode_frame(&mut out), Ok(()));
        assert_eq!(
            frame(&out).unwrap().map(|(_, len)| len),
            Some(4 + FRAME_LEN_MAX)
        );
    }
}
