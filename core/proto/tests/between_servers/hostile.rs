//! Bytes that no server sends: random ones, and recorded ones with damage. Nothing panics, nothing depends on how the
//! bytes were cut, and what is taken is written to bytes that are taken as the same.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use zabra_jute::{Encode, Limits};
use zabra_proto::notification::{InitialMessage, Notification, VERSION, frame};
use zabra_proto::quorum_packet::{PacketError, PacketReader, QuorumAuthPacket, QuorumPacket};

use crate::recording::{SIDES, bytes, names};

/// Bytes at random, or a recording with some of its bytes replaced, some of them by what lengths like to be wrong by.
fn hostile(election: bool) -> impl Strategy<Value = Vec<u8>> {
    let recordings: Vec<&'static [u8]> = names(election)
        .iter()
        .flat_map(|name| SIDES.map(|side| bytes(name, side)))
        .filter(|bytes| !bytes.is_empty())
        .collect();
    let damage = (
        any::<Index>(),
        select(vec![0, 1, 2, 0x10, 0x7f, 0x80, 0xff]),
    );
    let damaged = (select(recordings), vec(damage, 0..6)).prop_map(|(recorded, damage)| {
        let mut bytes = recorded.to_vec();
        for (index, value) in damage {
            let at = index.index(bytes.len().min(400));
            bytes[at] = value;
        }
        bytes
    });
    prop_oneof![vec(any::<u8>(), 0..200), damaged]
}

/// All packets that a reader takes from the bytes, encoded again, until it wants more or refuses.
fn packets(pieces: &[&[u8]], limits: Limits) -> (Vec<Vec<u8>>, Option<PacketError>) {
    let mut reader = PacketReader::new(limits);
    let mut taken = Vec::new();
    for piece in pieces {
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
        let again = reader.next_packet().unwrap().unwrap();
        assert_eq!(again.message(), Ok(message));
        assert!(reader.rest().is_empty());
    }
    let mut bytes = Vec::new();
    packet.encode(&mut bytes);
    bytes
}

proptest! {
    #[test]
    fn packets_do_not_depend_on_how_their_bytes_were_cut(
        bytes in hostile(false),
        cuts in vec(any::<Index>(), 0..8),
        value_len_max in select(vec![64, Limits::DEFAULT.value_len_max]),
    ) {
        let limits = Limits { value_len_max };
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in cuts {
            pieces.push(&bytes[from..cut]);
            from = cut;
        }
        pieces.push(&bytes[from..]);
        prop_assert_eq!(packets(&pieces, limits), packets(&[&bytes], limits));
    }

    #[test]
    fn a_step_of_authentication_is_incomplete_until_it_is_there(bytes in hostile(false)) {
        let mut first = None;
        for end in 0..=bytes.len().min(400) {
            match (&first, QuorumAuthPacket::decode(&bytes[..end], Limits::DEFAULT)) {
                (_, Ok(None)) => prop_assert!(first.is_none()),
                (None, decided) => first = Some(decided),
                (Some(decided), again) => prop_assert_eq!(decided, &again),
            }
        }
    }

    #[test]
    fn an_initial_message_is_incomplete_until_it_is_there(bytes in hostile(true)) {
        let mut first = None;
        for end in 0..=bytes.len().min(400) {
            match (&first, InitialMessage::decode(&bytes[..end])) {
                (_, Ok(None)) => prop_assert!(first.is_none()),
                (None, decided) => first = Some(decided),
                (Some(decided), again) => prop_assert_eq!(decided, &again),
            }
        }
        if let Some(Ok(Some((message, _)))) = first {
            let mut again = Vec::new();
            if message.encode(&mut again).is_ok() {
                let len = again.len();
                prop_assert_eq!(InitialMessage::decode(&again), Ok(Some((message, len))));
            }
        }
    }

    #[test]
    fn a_vote_is_written_as_one_that_says_the_same(bytes in hostile(true), skip in 0..60usize) {
        let bytes = bytes.get(skip..).unwrap_or_default();
        let body = match frame(bytes) {
            Ok(Some((body, len))) => {
                prop_assert_eq!(len, body.len() + 4);
                body
            }
            _ => bytes,
        };
        if let Ok(vote) = Notification::decode(body) {
            let mut again = Vec::new();
            vote.encode_frame(&mut again).unwrap();
            let (body, _) = frame(&again).unwrap().unwrap();
            let expected = Notification { version: VERSION, ..vote };
            prop_assert_eq!(Notification::decode(body), Ok(expected));
        }
    }
}
