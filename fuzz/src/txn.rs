//! What a log record and a proposal hold.

use zabra_jute::{Encode, Limits};
use zabra_proto::txn::Payload;

/// Decodes the bytes as a payload. What was decoded is encoded to bytes that decode to the same.
pub fn txn(bytes: &[u8]) {
    if let Ok(payload) = Payload::decode(bytes, Limits::DEFAULT) {
        let mut again = Vec::new();
        payload.encode(&mut again);
        assert_eq!(
            Payload::decode(&again, Limits::DEFAULT).as_ref(),
            Ok(&payload)
        );
    }
}
