//! The first frame of a connection, and the answer to it.

use zabra_jute::{Decode, Encode, Reader};
use zabra_proto::client::{ConnectRequest, ConnectResponse};

/// Decodes the bytes as both handshake records. What was decoded is encoded to bytes that decode to the same.
pub fn connect(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    if let Ok(request) = ConnectRequest::decode(&mut reader) {
        let mut again = Vec::new();
        request.encode(&mut again);
        assert_eq!(
            ConnectRequest::decode(&mut Reader::new(&again)),
            Ok(request)
        );
    }
    let mut reader = Reader::new(bytes);
    if let Ok(response) = ConnectResponse::decode(&mut reader) {
        let mut again = Vec::new();
        response.encode(&mut again);
        assert_eq!(
            ConnectResponse::decode(&mut Reader::new(&again)),
            Ok(response)
        );
    }
}
