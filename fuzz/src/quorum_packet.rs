//! One side of a connection between quorum ports.

use zabra_jute::{Encode, Limits};
use zabra_proto::quorum_packet::{PacketError, PacketReader, QuorumAuthPacket, QuorumPacket};

/// Reads the bytes as what a server says: authentication, if they begin so, then packets. The first byte says in how
/// small pieces they arrive, which changes nothing. What was read is written to bytes that are read as the same.
pub fn quorum_packet(bytes: &[u8]) {
    let Some((piece, bytes)) = bytes.split_first() else {
        return;
    };
    let rest = authentication(bytes);
    let piece = usize::from(*piece).max(1);
    assert_eq!(packets(rest, piece), packets(rest, usize::MAX));
}

/// Reads the steps of the authentication, and returns what is behind them.
fn authentication(mut bytes: &[u8]) -> &[u8] {
    while let Ok(Some((packet, len))) = QuorumAuthPacket::decode(bytes, Limits::DEFAULT) {
        let (head, rest) = bytes.split_at(len);
        let mut again = Vec::new();
        packet.encode(&mut again);
        assert_eq!(again, head);
        bytes = rest;
    }
    bytes
}

/// All packets that a reader takes from the bytes, encoded again, until it wants more or refuses.
fn packets(bytes: &[u8], piece: usize) -> (Vec<Vec<u8>>, Option<PacketError>) {
    let mut reader = PacketReader::new(Limits::DEFAULT);
    let mut taken = Vec::new();
    for piece in bytes.chunks(piece) {
        reader.push(piece);
        loop {
            match reader.next_packet() {
                Ok(Some(packet)) => taken.push(written(&packet)),
                Ok(None) => break,
                Err(error) => return (taken, Some(error)),
            }
        }
    }
    (taken, None)
}

/// A packet's bytes. What it says, written and read again, is the same.
fn written(packet: &QuorumPacket<'_>) -> Vec<u8> {
    if let Ok(message) = packet.clone().message() {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        let mut reader = PacketReader::new(Limits::DEFAULT);
        reader.push(&bytes);
        let again = reader
            .next_packet()
            .map(|read| read.map(QuorumPacket::message));
        assert_eq!(again, Ok(Some(Ok(message))));
    }
    let mut bytes = Vec::new();
    packet.encode(&mut bytes);
    bytes
}
