//! Ending a session from outside, as if it had expired.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use zabra_jute::{Decode, Encode, Reader};
use zabra_proto::client::{ConnectRequest, ConnectResponse, RequestHeader};
use zabra_proto::{OpCode, SessionId, Xid, Zxid, password};

/// Takes the session over with its password, which follows from its id, and closes it in the same breath. Returns whether it
/// was there.
pub(crate) fn expire(address: SocketAddr, session: SessionId) -> io::Result<bool> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(Duration::from_secs(60)))?;
    let connect = ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: Zxid::ZERO,
        timeout_ms: 10_000,
        session,
        password: &password::of(session),
        read_only: Some(false),
    };
    let close = RequestHeader {
        xid: Xid(1),
        op: OpCode::CloseSession.code(),
    };
    let frames = [frame(&connect), frame(&close)].concat();
    socket.write_all(&frames)?;
    let mut answer = Vec::new();
    // The server closes after its last word, one way or the other.
    match socket.read_to_end(&mut answer) {
        Err(error) if error.kind() != io::ErrorKind::ConnectionReset => return Err(error),
        _ => {}
    }
    let response = ConnectResponse::decode(&mut Reader::new(answer.get(4..).unwrap_or_default()));
    let response = response.map_err(|_| io::ErrorKind::UnexpectedEof)?;
    Ok(response.timeout_ms > 0)
}

fn frame(record: &impl Encode) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    record.encode(&mut bytes);
    let len = bytes.len() - 4;
    bytes.splice(..4, (len as u32).to_be_bytes());
    bytes
}
