//! The first bytes of a connection: a four-letter word, or a frame, or nonsense; and the list of allowed words.

use zabra_config::{WORDS, Whitelist};
use zabra_testkit::solo::Solo;

/// The largest first frame that a server accepts: no handshake is longer.
const FRAME_LEN_MAX: u32 = 4096;

/// The first byte says in how small pieces the bytes arrive. A connection says one word at most, with its first four
/// bytes, and never with bytes that are the length of a frame; its answer goes out as it is, and then nothing more. The
/// bytes as a whitelist allow words only.
pub fn words(bytes: &[u8]) {
    let Some((piece, bytes)) = bytes.split_first() else {
        return;
    };
    check_whitelist(&String::from_utf8_lossy(bytes));
    let mut server = Solo::new();
    let conn = server.accept();
    let mut said = Vec::new();
    for piece in bytes.chunks(usize::from(*piece).max(1)) {
        server.send(conn, piece);
        for asked in server.clients.take_words() {
            assert_eq!(asked.conn, conn);
            assert_eq!(asked.argument.is_some(), asked.word == *b"stmk");
            said.push(asked.word);
            server.clients.answer_word(conn, b"imok");
        }
    }
    if let Some(word) = said.first() {
        assert_eq!(said.len(), 1);
        assert_eq!(bytes.get(..4), Some(&word[..]));
        assert!(u32::from_be_bytes(*word) > FRAME_LEN_MAX);
        assert_eq!(server.receive(conn), b"imok");
        assert!(!server.is_open(conn));
    }
}

fn check_whitelist(list: &str) {
    for read_only in [false, true] {
        let allowed = Whitelist::parse(list, read_only);
        assert!(allowed.allows("srvr") && !allowed.allows(""));
        for word in list.split(',') {
            assert!(!allowed.allows(word) || WORDS.contains(&word));
        }
    }
}
