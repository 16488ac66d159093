//! What a frame of the server does to the session.

use zabra_jute::{Decode, Reader};
use zabra_proto::client::{ConnectResponse, ReplyHeader, WatcherEvent};
use zabra_proto::{ErrorCode, MonoMillis, SessionId, Xid, Zxid};

use crate::cnxn::Phase;
use crate::handshake::greeting;
use crate::pending::{Entry, Whose};
use crate::{
    After, CallError, Cnxn, LinkError, Output, Reply, SessionState, Timing, WatchAsk, WatchKind,
    Watched,
};

impl<C> Cnxn<C> {
    pub(crate) fn on_frame(&mut self, now: MonoMillis, frame: &[u8]) -> Result<(), LinkError> {
        if let Phase::Greeting { .. } = self.phase {
            let response = greeting(frame)?;
            self.on_greeting(now, &response);
            return Ok(());
        }
        let mut reader = Reader::new(frame);
        let header = ReplyHeader::decode(&mut reader)?;
        match header.xid {
            Xid::NOTIFICATION => self.on_notification(header.zxid, &mut reader)?,
            Xid::PING => {}
            Xid::AUTH if !header.error.is_ok() => {
                self.end(SessionState::AuthFailed, CallError::AuthFailed);
            }
            Xid::AUTH => self.on_claimed().ok_or(LinkError::OutOfOrder {
                found: Xid::AUTH,
                expected: None,
            })?,
            _ => self.on_reply(now, header, reader.rest())?,
        }
        Ok(())
    }

    fn on_greeting(&mut self, now: MonoMillis, response: &ConnectResponse) {
        let read_only = response.read_only.unwrap_or(false);
        if response.timeout_ms <= 0 {
            // Refused: wrong password, unknown or expired, nobody can tell which (protocol 4.4).
            if self.session.is_lasting {
                self.end(SessionState::Expired, CallError::SessionExpired);
            } else {
                self.on_link_lost(now);
            }
            return;
        }
        self.timing = Timing::new(response.timeout_ms, self.hosts.len());
        if response.session != SessionId::NONE {
            self.session.id = response.session;
            self.session.password = response.password;
        }
        self.session.is_lasting |= !read_only;
        self.on_granted(now, read_only);
    }

    fn on_notification(&mut self, zxid: Zxid, reader: &mut Reader<'_>) -> Result<(), LinkError> {
        let event = WatcherEvent::decode(reader)?;
        let zxid = Some(zxid).filter(|zxid| zxid.to_wire() != -1);
        let watchers = self.watches.on_event(event.kind, &event.path);
        if !watchers.is_empty() {
            let event = Watched::Znode {
                kind: event.kind,
                path: event.path.into_owned(),
                zxid,
            };
            self.outputs.push(Output::Event { watchers, event });
        }
        Ok(())
    }

    fn on_reply(
        &mut self,
        now: MonoMillis,
        header: ReplyHeader,
        body: &[u8],
    ) -> Result<(), LinkError> {
        let expected = self.pending.front().map(|entry| entry.xid);
        let entry = match self.pending.pop() {
            Some(entry) if entry.xid == header.xid => entry,
            // Nothing that this server says can be matched any more. What was popped ends like the others.
            other => {
                if let Some(entry) = other {
                    self.pending.push_front(entry);
                }
                return Err(LinkError::OutOfOrder {
                    found: header.xid,
                    expected,
                });
            }
        };
        self.session.on_zxid(header.zxid);
        let Entry { whose, after, .. } = entry;
        self.after_reply(now, after, header.error);
        match whose {
            Whose::Call(Some(call)) => {
                let result = result(header, body);
                self.done(call, result);
            }
            Whose::Call(None) | Whose::Registration => {}
            Whose::Close(call) => {
                if let Some(call) = call {
                    self.closed(call);
                }
                self.end(SessionState::Closed, CallError::Closed);
            }
        }
        Ok(())
    }

    /// Watches come and go with the reply, before anything behind it is read.
    fn after_reply(&mut self, now: MonoMillis, after: After, error: ErrorCode) {
        match after {
            After::Nothing => {}
            After::Watch(ask) => {
                let WatchAsk {
                    watcher,
                    path,
                    kind,
                } = *ask;
                let kind = match (kind, error) {
                    // It is registered as what it is after a reconnect (features WA-18).
                    (WatchKind::Exist, ErrorCode::OK) => WatchKind::Data,
                    (WatchKind::Exist, ErrorCode::NO_NODE) => WatchKind::Exist,
                    (kind, ErrorCode::OK) => kind,
                    // The server keeps none of a call that failed (features WA-19).
                    _ => return,
                };
                match watcher {
                    Some(watcher) => self.watches.insert(&path, kind, watcher),
                    None => self.tell_unwatched(now, &path),
                }
            }
            After::Remove(removal) => {
                if error.is_ok() || removal.local {
                    self.removed(&removal);
                }
            }
        }
    }
}

fn result(header: ReplyHeader, body: &[u8]) -> Result<Reply, CallError> {
    match header.error {
        ErrorCode::OK => Ok(Reply {
            zxid: header.zxid,
            body: body.to_vec(),
        }),
        ErrorCode::SESSION_EXPIRED => Err(CallError::SessionExpired),
        code => Err(CallError::Server(code)),
    }
}
