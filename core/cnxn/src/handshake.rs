//! The first frame of each side (protocol 4.3, 4.4).

use zabra_jute::{Decode, Encode, JuteError, Reader};
use zabra_proto::client::{ConnectRequest, ConnectResponse};
use zabra_proto::{SessionId, Zxid, password};

use crate::{CnxnOptions, ResumedSession};

/// What a client knows of its session.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) password: [u8; password::LEN],
    /// Whether a server that takes writes has made it. What a read-only server gives is known to nobody else
    /// (features CL-11).
    pub(crate) is_lasting: bool,
    /// The last transaction seen in a reply: no server that has seen less will be taken (features SE-07, SE-12).
    pub(crate) seen: Zxid,
}

impl Session {
    pub(crate) fn new(resumed: Option<ResumedSession>) -> Self {
        let (id, password) = match resumed {
            Some(session) => (session.id, session.password),
            None => (SessionId::NONE, [0; password::LEN]),
        };
        Self {
            id,
            password,
            is_lasting: resumed.is_some(),
            seen: Zxid::ZERO,
        }
    }

    /// Remembers the zxid of a reply. Some replies have none: 0 or −1 (protocol 5.1).
    pub(crate) fn on_zxid(&mut self, zxid: Zxid) {
        if zxid != Zxid(u64::MAX) {
            self.seen = self.seen.max(zxid);
        }
    }

    /// The frame that asks for the session, or for a new one.
    pub(crate) fn greet(&self, options: &CnxnOptions, out: &mut Vec<u8>) {
        let (session, password) = if self.is_lasting {
            (self.id, self.password)
        } else {
            (SessionId::NONE, [0; password::LEN])
        };
        put_frame(out, |out| {
            ConnectRequest {
                protocol_version: 0,
                last_zxid_seen: self.seen,
                timeout_ms: options.session_timeout_ms,
                session,
                password: &password,
                read_only: Some(options.allow_read_only),
            }
            .encode(out);
        });
    }
}

/// Reads a server's first frame.
pub(crate) fn greeting(frame: &[u8]) -> Result<ConnectResponse, JuteError> {
    ConnectResponse::decode(&mut Reader::new(frame))
}

/// Appends a frame with what `body` writes, and returns the length of that.
pub(crate) fn put_frame(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) -> usize {
    let begin = out.len();
    out.extend_from_slice(&[0; 4]);
    body(out);
    let len = out.len() - begin - 4;
    if let Some(word) = out.get_mut(begin..begin + 4) {
        word.copy_from_slice(&(len as u32).to_be_bytes());
    }
    len
}
