//! A live connection: arbitrary bytes to a whole standalone server, without sockets.

use zabra_jute::{Decode, Reader};
use zabra_proto::client::{PathWatchRequest, ReplyHeader, RequestHeader};
use zabra_proto::{ConnId, ErrorCode, OpCode, Xid};
use zabra_testkit::solo::{Solo, frame};

/// The request that the honest client sends: exists `/zookeeper`, without a watch.
const HONEST_XID: Xid = Xid(77);

/// The first byte chooses: bit 0, whether the bytes come after a handshake or are all that the client ever says; bit 1,
/// whether the disk is slow; the rest, in how small pieces they arrive. Whatever they are, another session is still
/// served, replies of the connection are whole frames, and the tree holds its invariants, also after the session of the
/// connection has expired.
pub fn conn(bytes: &[u8]) {
    let Some((mode, bytes)) = bytes.split_first() else {
        return;
    };
    let mut server = Solo::new();
    let (honest, _) = server.open(10_000);
    let after_handshake = mode & 1 == 1;
    let hostile = if after_handshake {
        server.open(10_000).0
    } else {
        server.accept()
    };
    server.flushes_at_once = mode & 2 == 0;
    let piece = usize::from(mode >> 2).max(1);
    let mut output = Vec::new();
    for (index, bytes) in bytes.chunks(piece).enumerate() {
        server.send(hostile, bytes);
        if index % 8 == 7 {
            server.flush();
            output.extend(server.receive(hostile));
        }
    }
    server.flush();
    output.extend(server.receive(hostile));
    if after_handshake {
        check_frames(&output);
    }
    server.flushes_at_once = true;
    check_honest(&mut server, honest);
    server.hang_up(hostile);
    for _ in 0..6 {
        server.advance(4_000);
        check_honest(&mut server, honest);
    }
    server.flush();
    assert_eq!(server.replica.tree.check_invariants(), Ok(()));
    assert!(
        server.replica.alarm().is_none(),
        "the tree and its digest differ"
    );
}

/// Everything that was sent is frames, and each begins with a reply's header.
fn check_frames(mut output: &[u8]) {
    while !output.is_empty() {
        let (len, rest) = output.split_first_chunk().expect("a frame has a length");
        let (body, rest) = rest.split_at(u32::from_be_bytes(*len) as usize);
        assert!(ReplyHeader::decode(&mut Reader::new(body)).is_ok());
        output = rest;
    }
}

/// The honest session asks for a znode that is always there, and gets it.
fn check_honest(server: &mut Solo, conn: ConnId) {
    let mut request = Vec::new();
    zabra_jute::Encode::encode(
        &RequestHeader {
            xid: HONEST_XID,
            op: OpCode::Exists.code(),
        },
        &mut request,
    );
    zabra_jute::Encode::encode(
        &PathWatchRequest {
            path: "/zookeeper".into(),
            watch: false,
        },
        &mut request,
    );
    server.send(conn, &frame(&Raw(&request)));
    let reply = server.receive(conn);
    let header = ReplyHeader::decode(&mut Reader::new(reply.get(4..).unwrap_or_default()));
    assert!(
        header.is_ok_and(|header| header.xid == HONEST_XID && header.error == ErrorCode::OK),
        "the honest client is served"
    );
}

/// Bytes that are a record already.
struct Raw<'a>(&'a [u8]);

impl zabra_jute::Encode for Raw<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0);
    }
}
