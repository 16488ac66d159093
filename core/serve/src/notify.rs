//! From what a transaction triggers to notifications in output buffers.

use zabra_mutant::{self as mutant, Mutant};
use zabra_proto::{Acl, ConnId, EventKind, Perms, Zxid};
use zabra_tree::{EventSink, Watcher, acl};

use crate::{Clients, frame};

/// Hears of one transaction's events, and tells the connections that watch.
pub(crate) struct Notifier<'c> {
    pub(crate) clients: &'c mut Clients,
    pub(crate) zxid: Zxid,
    pub(crate) watchers: Vec<Watcher>,
}

impl EventSink for Notifier<'_> {
    fn event(&mut self, kind: EventKind, path: &str, acl: &[Acl<'static>]) {
        self.watchers.clear();
        let watchers = &mut self.watchers;
        self.clients
            .watches
            .trigger(kind, path, |watcher| watchers.push(watcher));
        for watcher in &self.watchers {
            self.clients
                .notify(ConnId(watcher.0), kind, path, acl, self.zxid);
        }
    }
}

impl Clients {
    /// Tells one connection, if it may read the znode with the identities that it has now (protocol 9.4, P94). A
    /// one-shot watch is spent either way.
    fn notify(
        &mut self,
        id: ConnId,
        kind: EventKind,
        path: &str,
        list: &[Acl<'static>],
        zxid: Zxid,
    ) {
        let Some(conn) = self.conn(id) else { return };
        if conn.closing().is_some()
            || !acl::check(list, Perms::READ, &conn.identities, &self.options.acl)
        {
            return;
        }
        if mutant::on(Mutant::EventDropped) && conn.unsent_len() > 0 {
            return;
        }
        self.ready_to_write(id);
        if let Some(conn) = self.conn_mut(id) {
            frame::notification(kind, path, Some(zxid), &mut conn.out);
            conn.stats.sent += 1;
        }
        self.stats.sent += 1;
        self.mark(id);
    }
}
