//! Finding packets in a stream that does not say where they end.

use thiserror::Error;
use zabra_jute::{Decode, JuteError, Limits, Reader};

use super::{PacketKind, QuorumPacket};

/// Bytes that are no packet. The connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PacketError {
    /// The type names nothing: a version from the future, a peer that speaks SASL or TLS, or no server at all.
    #[error("unknown quorum packet type {0:#x}")]
    UnknownType(i32),
    /// The length of the data, or of a string, is below −1 or above the limit.
    #[error("length {0} in a quorum packet out of bounds")]
    BadLength(i32),
    /// The identities together are longer than a single value may be.
    #[error("{0} identities in a quorum packet are too many")]
    TooManyIdentities(i32),
    /// A value is wrong in itself.
    #[error("quorum packet: {0}")]
    Malformed(JuteError),
}

/// Where the scan of a packet stands.
#[derive(Debug, Clone, Copy)]
enum Stage {
    Kind,
    Data,
    Count,
    /// So many strings of the identities are left, which must end before this position.
    Strings {
        left: usize,
        end: usize,
    },
}

/// Finds a packet's end. It goes on where it stopped, so that a packet arriving in small pieces costs no more than one
/// arriving whole.
#[derive(Debug, Clone, Copy)]
struct Scan {
    stage: Stage,
    at: usize,
}

impl Scan {
    const START: Self = Self {
        stage: Stage::Kind,
        at: 0,
    };

    /// The length of the packet at the start of the bytes, which begin with those of the last call; `None` if more
    /// are needed. Lengths are judged before what they measure is there (R13).
    fn advance(&mut self, bytes: &[u8], limits: Limits) -> Result<Option<usize>, PacketError> {
        let max = limits.value_len_max;
        loop {
            if let Stage::Strings { left: 0, .. } = self.stage {
                return Ok((bytes.len() >= self.at).then_some(self.at));
            }
            let Some(value) = bytes.get(self.at..).and_then(<[u8]>::first_chunk) else {
                return Ok(None);
            };
            let value = i32::from_be_bytes(*value);
            match self.stage {
                Stage::Kind => {
                    PacketKind::from_code(value).ok_or(PacketError::UnknownType(value))?;
                    // Type and zxid.
                    self.at = 12;
                    self.stage = Stage::Data;
                }
                Stage::Data => {
                    self.at += 4 + value_len(value, max)?;
                    self.stage = Stage::Count;
                }
                Stage::Count => {
                    // As elsewhere in jute, a negative count is as good as 0.
                    let count = usize::try_from(value).unwrap_or(0);
                    // Two lengths each at least.
                    if count > max / 8 {
                        return Err(PacketError::TooManyIdentities(value));
                    }
                    self.at += 4;
                    self.stage = Stage::Strings {
                        left: 2 * count,
                        end: self.at + max,
                    };
                }
                Stage::Strings { left, end } => {
                    let next = self.at + 4 + value_len(value, max)?;
                    if next > end {
                        return Err(PacketError::BadLength(value));
                    }
                    self.at = next;
                    self.stage = Stage::Strings {
                        left: left - 1,
                        end,
                    };
                }
            }
        }
    }
}

/// How many bytes a buffer or string with this length takes behind it.
fn value_len(claimed: i32, max: usize) -> Result<usize, PacketError> {
    match usize::try_from(claimed) {
        Ok(len) if len <= max => Ok(len),
        Err(_) if claimed == -1 => Ok(0),
        _ => Err(PacketError::BadLength(claimed)),
    }
}

/// Takes packets from the bytes of a quorum connection as they arrive.
///
/// It holds what was pushed and not yet taken, and reserves nothing by what lengths claim. Between packets the bytes
/// can be taken raw, for what is not a packet.
///
/// ```
/// use zabra_jute::{Encode, Limits};
/// use zabra_proto::Zxid;
/// use zabra_proto::quorum_packet::{Message, PacketReader};
/// let mut bytes = Vec::new();
/// Message::Ack { zxid: Zxid::new(1, 5) }.encode(&mut bytes);
/// let mut reader = PacketReader::new(Limits::DEFAULT);
/// let (head, tail) = bytes.split_at(7);
/// reader.push(head);
/// assert_eq!(reader.next_packet(), Ok(None));
/// reader.push(tail);
/// let packet = reader.next_packet().unwrap().unwrap();
/// assert_eq!(packet.zxid, Zxid::new(1, 5));
/// ```
#[derive(Debug)]
pub struct PacketReader {
    bytes: Vec<u8>,
    taken: usize,
    scan: Scan,
    limits: Limits,
}

impl PacketReader {
    /// A reader at the start of a connection.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            bytes: Vec::new(),
            taken: 0,
            scan: Scan::START,
            limits,
        }
    }

    /// Appends bytes that arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next packet; `None` if it has not arrived in full. After an error nothing can be made of the rest: there is
    /// no way to tell where another packet would begin, and the error comes again.
    pub fn next_packet(&mut self) -> Result<Option<QuorumPacket<'_>>, PacketError> {
        let rest = self.bytes.get(self.taken..).unwrap_or_default();
        let Some(len) = self.scan.advance(rest, self.limits)? else {
            return Ok(None);
        };
        let bytes = rest.get(..len).unwrap_or_default();
        let packet = QuorumPacket::decode(&mut Reader::with_limits(bytes, self.limits))
            .map_err(PacketError::Malformed)?;
        self.taken += len;
        self.scan = Scan::START;
        Ok(Some(packet))
    }

    /// What was pushed and not yet taken.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        self.bytes.get(self.taken..).unwrap_or_default()
    }

    /// Takes this many bytes, at most all, as something other than packets: SASL, or the snapshot behind a SNAP.
    pub fn skip(&mut self, len: usize) {
        self.taken += len.min(self.rest().len());
        self.scan = Scan::START;
    }
}

#[cfg(test)]
mod tests {
    use zabra_jute::Encode;

    use super::super::AuthInfo;
    use super::*;
    use crate::Zxid;

    const LIMITS: Limits = Limits { value_len_max: 64 };

    fn refused(parts: &[&[u8]]) -> PacketError {
        let mut reader = PacketReader::new(LIMITS);
        let bytes = parts.concat();
        // All but the last byte must not be enough: a packet is refused at the value that is wrong.
        reader.push(&bytes[..bytes.len() - 1]);
        assert_eq!(reader.next_packet(), Ok(None));
        reader.push(&bytes[bytes.len() - 1..]);
        let error = reader.next_packet().unwrap_err();
        assert_eq!(reader.next_packet(), Err(error));
        error
    }

    fn int(value: i32) -> [u8; 4] {
        value.to_be_bytes()
    }

    #[test]
    fn an_unknown_type_is_refused_at_its_fourth_byte() {
        for kind in [0, -1, 20, 0x5f24_3501, 0x1603_0100] {
            assert_eq!(refused(&[&int(kind)]), PacketError::UnknownType(kind));
        }
    }

    #[test]
    fn a_length_out_of_bounds_is_refused_before_the_data_arrives() {
        for len in [-2, 65, i32::MAX, i32::MIN] {
            let error = refused(&[&int(3), &[0; 8], &int(len)]);
            assert_eq!(error, PacketError::BadLength(len));
        }
    }

    #[test]
    fn more_identities_than_could_fit_are_refused_at_the_count() {
        let head = [&int(1)[..], &[0; 8], &int(-1)].concat();
        for count in [9, i32::MAX] {
            let error = refused(&[&head, &int(count)]);
            assert_eq!(error, PacketError::TooManyIdentities(count));
        }
    }

    #[test]
    fn identities_together_are_no_longer_than_one_value() {
        let head = [&int(1)[..], &[0; 8], &int(-1), &int(2)].concat();
        let error = refused(&[&head, &int(28), &[b'a'; 28], &int(29)]);
        assert_eq!(error, PacketError::BadLength(29));
    }

    #[test]
    fn negative_counts_other_than_null_are_empty() {
        let mut reader = PacketReader::new(LIMITS);
        reader.push(&[&int(3)[..], &[0; 8], &int(-1), &int(-7)].concat());
        let packet = reader.next_packet().unwrap().unwrap();
        assert_eq!(packet.authinfo, Some(Vec::new()));
    }

    #[test]
    fn a_null_scheme_is_refused() {
        let head = [&int(1)[..], &[0; 8], &int(-1), &int(1)].concat();
        let error = refused(&[&head, &int(-1), &int(0)]);
        assert!(matches!(error, PacketError::Malformed(_)));
    }

    #[test]
    fn bytes_between_packets_can_be_taken_raw() {
        let packet = QuorumPacket {
            kind: PacketKind::Request,
            zxid: Zxid::from_wire(-1),
            data: Some(b""),
            authinfo: Some(vec![AuthInfo {
                scheme: "ip".into(),
                id: "127.0.0.1".into(),
            }]),
        };
        let mut bytes = b"raw".to_vec();
        packet.encode(&mut bytes);
        bytes.extend_from_slice(b"tail");
        let mut reader = PacketReader::new(LIMITS);
        reader.push(&bytes);
        assert!(reader.next_packet().is_err());
        reader.skip(3);
        assert_eq!(reader.next_packet(), Ok(Some(packet)));
        assert_eq!(reader.rest(), b"tail");
        reader.skip(usize::MAX);
        assert_eq!(reader.next_packet(), Ok(None));
    }
}
