//! What the server is told of watches besides the calls that set them.

use zabra_jute::{Encode, Text};
use zabra_proto::client::{RequestHeader, WatchesRequest};
use zabra_proto::{MonoMillis, OpCode, RemoveWatchesKind, Xid};

use crate::cnxn::Phase;
use crate::handshake::put_frame;
use crate::pending::{Entry, Whose};
use crate::{After, Cnxn, Output, Removal, WatchSet, WatcherId};

impl<C> Cnxn<C> {
    /// Forgets a watch. If it was the last one of its path, the server is told.
    pub fn unwatch(&mut self, now: MonoMillis, path: &str, watcher: WatcherId) {
        if self.watches.remove(path, watcher) {
            self.tell_unwatched(now, path);
            return;
        }
        let mut asks = self.pending.watch_asks(path);
        if let Some(ask) = asks.find(|ask| ask.watcher == Some(watcher)) {
            ask.watcher = None;
        }
    }

    /// Tells the server that nobody here watches a path any more, unless somebody does or is about to. All kinds at once,
    /// since servers before 3.9 do not tell them apart (protocol 9.6).
    pub(crate) fn tell_unwatched(&mut self, now: MonoMillis, path: &str) {
        let is_watched =
            self.watches.contains(path) || self.pending.watch_asks(path).next().is_some();
        if self.phase != Phase::Up || is_watched {
            return;
        }
        let request = WatchesRequest {
            path: Text::Borrowed(path),
            kind: RemoveWatchesKind::Any,
        };
        // Not sent if it is too long, which a path that could be watched is not.
        let _ = self.request(
            now,
            OpCode::RemoveWatches,
            &request,
            After::Nothing,
            Whose::Call(None),
        );
    }

    /// Registrations leave before the calls that wait, so that what those read is watched already.
    pub(crate) fn register_watches(&mut self, now: MonoMillis) {
        let requests = self
            .watches
            .registrations(self.session.seen, WatchSet::CHUNK_LEN);
        for (op, body) in requests {
            let header = RequestHeader {
                xid: Xid::SET_WATCHES,
                op: op.code(),
            };
            put_frame(&mut self.out, |out| {
                header.encode(out);
                out.extend_from_slice(&body);
            });
            self.pending.push_front(Entry {
                xid: Xid::SET_WATCHES,
                whose: Whose::Registration,
                after: After::Nothing,
                at: now,
            });
        }
    }

    pub(crate) fn removed(&mut self, removal: &Removal) {
        for watcher in self.watches.remove_kind(&removal.path, removal.kind) {
            self.outputs.push(Output::Unwatched {
                watcher,
                error: None,
            });
        }
    }
}
