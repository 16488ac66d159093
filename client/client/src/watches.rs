//! Watches that stay, and how watches are removed.

use std::borrow::Cow;

use zabra_cnxn::{After, Removal, WatchKind};
use zabra_jute::Text;
use zabra_proto::client::{AddWatchRequest, WatchesRequest};
use zabra_proto::{OpCode, RemoveWatchesKind, WatchAddMode};

use crate::Call;
use crate::call::Parts;
use crate::client::Client;
use crate::watch::WatchStream;

/// Watches beyond those that come with reads.
impl Client {
    /// Watches a path for as long as the stream is kept: the path alone, or all below it, too. The znode need not exist.
    ///
    /// # Errors
    ///
    /// `UNIMPLEMENTED` by servers before 3.6.
    pub fn watch(&self, path: &str, mode: WatchAddMode) -> Call<WatchStream> {
        let full = match self.chroot().full(path) {
            Ok(full) => full,
            Err(misuse) => return Call::failed(misuse),
        };
        let body = AddWatchRequest {
            path: Cow::Borrowed(&full),
            mode,
        };
        let kind = match mode {
            WatchAddMode::Persistent => WatchKind::Persistent,
            WatchAddMode::PersistentRecursive => WatchKind::Recursive,
        };
        self.send_watching(
            OpCode::AddWatch,
            (path, &full),
            &body,
            kind,
            |mut parts, reply| {
                let watch = parts.watch.take().map(WatchStream);
                parts.nothing(reply)?;
                watch.ok_or(crate::Error::Closed)
            },
        )
    }

    /// Removes all watches of a kind that this client has at a path; they end. With `local` they end even if no server can be
    /// asked. Dropping a watch does the same for it alone.
    ///
    /// # Errors
    ///
    /// `NO_WATCHER`; `MARSHALLING_ERROR` by servers before 3.9 for the two persistent kinds.
    pub fn remove_watches(&self, path: &str, kind: RemoveWatchesKind, local: bool) -> Call<()> {
        let full = match self.chroot().full(path) {
            Ok(full) => full,
            Err(misuse) => return Call::failed(misuse),
        };
        let body = WatchesRequest {
            path: Text::Borrowed(&full),
            kind,
        };
        let removal = Removal {
            path: full.clone().into_owned(),
            kind,
            local,
        };
        let after = After::Remove(Box::new(removal));
        self.send_with(OpCode::RemoveWatches, path, &body, after, Parts::nothing)
    }

    /// Asks whether the server knows a watch of this kind of this connection.
    ///
    /// # Errors
    ///
    /// `NO_WATCHER` if it does not.
    pub fn check_watches(&self, path: &str, kind: RemoveWatchesKind) -> Call<()> {
        match self.chroot().full(path) {
            Ok(full) => {
                let body = WatchesRequest { path: full, kind };
                self.send(OpCode::CheckWatches, path, &body, Parts::nothing)
            }
            Err(misuse) => Call::failed(misuse),
        }
    }
}
