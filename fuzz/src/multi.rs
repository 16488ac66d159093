//! The bodies of multi and multiRead.

use zabra_jute::Reader;
use zabra_proto::OpCode;
use zabra_proto::multi::{decode_reads, decode_writes};

/// No element is smaller than its header: type, end mark, error.
const ELEMENT_LEN_MIN: usize = 9;

/// Decodes the bytes as both. There are never more operations than the bytes can hold, and none is of a kind that the
/// list may not have.
pub fn multi(bytes: &[u8]) {
    if let Ok(writes) = decode_writes(&mut Reader::new(bytes)) {
        assert!(writes.len() * ELEMENT_LEN_MIN < bytes.len());
        assert!(
            writes
                .iter()
                .all(|write| write.op().is_write() || write.op() == OpCode::Check)
        );
    }
    if let Ok(reads) = decode_reads(&mut Reader::new(bytes)) {
        assert!(reads.len() * ELEMENT_LEN_MIN < bytes.len());
    }
}
