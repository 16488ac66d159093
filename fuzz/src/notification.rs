//! One side of a connection between election ports.

use zabra_proto::notification::{InitialMessage, Notification, VERSION, frame};

/// Reads the bytes as what a server says: behind an odd first byte the initial message, then frames with votes. What
/// was read is written to bytes that are read as the same, a vote in the layout of today.
pub fn notification(bytes: &[u8]) {
    let Some((mode, mut bytes)) = bytes.split_first() else {
        return;
    };
    if mode % 2 == 1 {
        let Ok(Some((message, len))) = InitialMessage::decode(bytes) else {
            return;
        };
        let (head, rest) = bytes.split_at(len);
        for end in 0..len {
            assert_eq!(InitialMessage::decode(&head[..end]), Ok(None));
        }
        let mut again = Vec::new();
        // An address may be written longer than it came: with brackets, or with U+FFFD for what is no text.
        if message.encode(&mut again).is_ok() {
            let expected = Some((message, again.len()));
            assert_eq!(InitialMessage::decode(&again), Ok(expected));
        }
        bytes = rest;
    }
    while let Ok(Some((body, len))) = frame(bytes) {
        assert_eq!(len, body.len() + 4);
        if let Ok(vote) = Notification::decode(body) {
            vote_round_trips(vote);
        }
        bytes = &bytes[len..];
    }
}

fn vote_round_trips(vote: Notification<'_>) {
    let mut again = Vec::new();
    if vote.encode_frame(&mut again).is_err() {
        panic!("a vote that came in a frame fits into one");
    }
    let read = frame(&again).map(|frame| frame.map(|(body, _)| Notification::decode(body)));
    let expected = Notification {
        version: VERSION,
        ..vote
    };
    assert_eq!(read, Ok(Some(Ok(expected))));
}
