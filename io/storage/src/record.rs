//! The frame of a log record, and the head of every file (protocol 12.1, 12.2).
//!
//! | Size | Field |
//! |---|---|
//! | 8 | Adler-32 of the payload, as a long |
//! | 4 | length of the payload |
//! | n | payload: TxnHeader, txn record, TxnDigest |
//! | 1 | `B` |
//!
//! The checksum covers neither the length nor the `B` nor the order of records; what it leaves open is closed by the
//! contiguity of zxids and by the durable mark (P35).

use zabra_proto::Zxid;

/// Bytes before the payload.
pub const RECORD_HEAD: usize = 12;
/// Bytes around the payload.
pub const RECORD_OVERHEAD: usize = RECORD_HEAD + 1;
/// The byte behind the payload.
pub const END_OF_RECORD: u8 = b'B';
/// Bytes of a TxnHeader: the shortest payload.
pub const TXN_HEADER_LEN: usize = 32;
/// Bytes of a FileHeader.
pub const FILE_HEADER_LEN: usize = 16;
/// How every segment begins: `ZKLG`, version 2, dbid 0.
pub const LOG_HEADER: [u8; FILE_HEADER_LEN] = *b"ZKLG\0\0\0\x02\0\0\0\0\0\0\0\0";
/// How every snapshot begins: `ZKSN`, version 2, dbid −1.
pub const SNAPSHOT_HEADER: [u8; FILE_HEADER_LEN] =
    *b"ZKSN\0\0\0\x02\xff\xff\xff\xff\xff\xff\xff\xff";

/// Adler-32 of some bytes.
#[must_use]
pub fn adler32(bytes: &[u8]) -> u32 {
    simd_adler32::adler32(&bytes)
}

/// Appends one framed record. Payloads are limited far below `i32::MAX` before they get a zxid (P116).
pub fn encode_record(payload: &[u8], out: &mut Vec<u8>) {
    debug_assert!(i32::try_from(payload.len()).is_ok());
    out.extend_from_slice(&u64::from(adler32(payload)).to_be_bytes());
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    out.extend_from_slice(payload);
    out.push(END_OF_RECORD);
}

/// The zxid in a payload's TxnHeader (at byte 12); `None` if it is too short to have one.
#[must_use]
pub fn payload_zxid(payload: &[u8]) -> Option<Zxid> {
    payload
        .get(..TXN_HEADER_LEN)?
        .get(12..)?
        .first_chunk()
        .map(|b| Zxid(u64::from_be_bytes(*b)))
}

/// The op code in a payload's TxnHeader (at byte 28).
#[must_use]
pub fn payload_op(payload: &[u8]) -> Option<i32> {
    payload
        .get(28..)?
        .first_chunk()
        .map(|b| i32::from_be_bytes(*b))
}

/// Checksum and length from the head of a record.
pub(crate) fn parse_head(head: &[u8]) -> Option<(u64, i32)> {
    let (sum, rest) = head.split_first_chunk::<8>()?;
    let len = rest.first_chunk::<4>()?;
    Some((u64::from_be_bytes(*sum), i32::from_be_bytes(*len)))
}

/// Whether `next` may stand directly behind `previous` in a history (I-4).
#[must_use]
pub fn follows(previous: Zxid, next: Zxid) -> bool {
    previous.may_precede(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_counter_or_a_new_epoch_follows() {
        assert!(follows(Zxid::new(1, 4), Zxid::new(1, 5)));
        assert!(follows(Zxid::new(1, 4), Zxid::new(3, 1)));
        assert!(follows(Zxid::new(1, u32::MAX), Zxid::new(2, 0)));
        assert!(follows(Zxid::ZERO, Zxid(1)));
        for (a, b) in [(4, 4), (4, 6), (4, 3)] {
            assert!(!follows(Zxid::new(1, a), Zxid::new(1, b)));
        }
        assert!(!follows(Zxid::new(1, 4), Zxid::new(2, 2)));
    }

    #[test]
    fn the_checksum_is_that_of_the_specification() {
        // Adler-32 of "Wikipedia", the usual example.
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
    }
}
