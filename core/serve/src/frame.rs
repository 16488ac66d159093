//! Replies and notifications as frames in an output buffer.

use zabra_jute::Encode;
use zabra_proto::client::{ReplyHeader, WatcherEvent};
use zabra_proto::{ErrorCode, EventKind, Xid, Zxid};

/// A frame that is being written: its length is filled in at the end.
#[derive(Debug)]
pub(crate) struct OpenFrame {
    at: usize,
}

impl OpenFrame {
    /// Starts a frame.
    pub(crate) fn begin(out: &mut Vec<u8>) -> Self {
        let at = out.len();
        0i32.encode(out);
        Self { at }
    }

    /// Starts a reply.
    pub(crate) fn reply(xid: Xid, zxid: Zxid, error: ErrorCode, out: &mut Vec<u8>) -> Self {
        let frame = Self::begin(out);
        ReplyHeader { xid, zxid, error }.encode(out);
        frame
    }

    /// Bytes written since the frame began.
    pub(crate) fn len(&self, out: &[u8]) -> usize {
        out.len() - self.at
    }

    /// Ends the frame.
    pub(crate) fn end(self, out: &mut [u8]) {
        let length = (out.len() - self.at - 4) as u32;
        if let Some(slot) = out.get_mut(self.at..self.at + 4) {
            slot.copy_from_slice(&length.to_be_bytes());
        }
    }

    /// Takes the frame back.
    pub(crate) fn abandon(self, out: &mut Vec<u8>) {
        out.truncate(self.at);
    }
}

/// A reply without a body.
pub(crate) fn header(xid: Xid, zxid: Zxid, error: ErrorCode, out: &mut Vec<u8>) {
    OpenFrame::reply(xid, zxid, error, out).end(out);
}

/// A reply with a body.
pub(crate) fn reply(xid: Xid, zxid: Zxid, body: &impl Encode, out: &mut Vec<u8>) {
    let frame = OpenFrame::reply(xid, zxid, ErrorCode::OK, out);
    body.encode(out);
    frame.end(out);
}

/// A notification. Since 3.9 its header carries the zxid of the cause; catch-up events of setWatches have none.
pub(crate) fn notification(kind: EventKind, path: &str, cause: Option<Zxid>, out: &mut Vec<u8>) {
    let zxid = cause.unwrap_or(Zxid::from_wire(-1));
    reply(Xid::NOTIFICATION, zxid, &WatcherEvent::new(kind, path), out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_knows_its_length() {
        let mut out = vec![9];
        header(Xid(1), Zxid(2), ErrorCode::NO_NODE, &mut out);
        assert_eq!(out[1..5], 16i32.to_be_bytes());
        assert_eq!(out.len(), 21);
    }

    #[test]
    fn a_notification_is_twenty_eight_bytes_and_the_path() {
        let mut out = Vec::new();
        notification(EventKind::NodeCreated, "/abc", None, &mut out);
        assert_eq!(out.len(), 4 + 28 + 4);
        assert_eq!(out[8..16], [0xff; 8]);
    }
}
