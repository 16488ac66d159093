//! What a connection watches, kept beside the server's own tables by the rules of the protocol alone (9.1 to 9.6), and what it
//! hears held against what happened.
//!
//! A connection hears of everything in the order of the txns, and what a reply shows comes behind the events of all that it
//! shows. So with each reply it is known what must have been heard by then: exactly that ([`Checker::heard_up_to`]).

use std::collections::{BTreeMap, BTreeSet};

use zabra_proto::{EventKind, Perms, RemoveWatchesKind, SessionId, Zxid};

use super::happenings::Happening;
use super::users::Users;
use super::{Checker, i32_at_most_one_event, i33_event_before_data, i36_no_leak};
use crate::trace::Z;

/// What a client watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WatchKind {
    /// A znode that was there.
    Data,
    /// A znode that was not there.
    Birth,
    /// The children of a znode.
    Child,
    /// A path, until it is taken back.
    Persistent,
    /// A path and all below it.
    Recursive,
}

/// The watches of one connection, and what it was told since its last reply.
#[derive(Debug, Clone, Default)]
pub struct Watching {
    /// All that happened up to here has been heard.
    up_to: Zxid,
    /// What a client tells the next server of each: whether there was a znode.
    data: BTreeMap<String, WatchKind>,
    child: BTreeSet<String>,
    persistent: BTreeSet<String>,
    recursive: BTreeSet<String>,
    heard: Vec<Heard>,
    /// Who the client has shown itself to be.
    pub users: Users,
}

/// The three modes of watches live side by side.
pub(super) const MODES: &str = "P93 watch modes";

type Heard = (Zxid, EventKind, String);

impl Watching {
    /// Sets a watch, in the state that has been heard of.
    pub fn add(&mut self, path: String, kind: WatchKind) {
        match kind {
            WatchKind::Data | WatchKind::Birth => {
                self.data.entry(path).or_insert(kind);
            }
            WatchKind::Child => {
                self.child.insert(path);
            }
            WatchKind::Persistent => {
                self.persistent.insert(path);
            }
            WatchKind::Recursive => {
                self.recursive.insert(path);
            }
        }
    }

    /// Takes watches back. Whether there was one.
    pub fn remove(&mut self, path: &str, kind: RemoveWatchesKind) -> bool {
        use RemoveWatchesKind::{Any, Children, Data, Persistent, PersistentRecursive};
        let was = self.has(path, kind);
        if matches!(kind, Data | Any) {
            self.data.remove(path);
        }
        if matches!(kind, Children | Any) {
            self.child.remove(path);
        }
        if matches!(kind, Persistent | Any) {
            self.persistent.remove(path);
        }
        if matches!(kind, PersistentRecursive | Any) {
            self.recursive.remove(path);
        }
        was
    }

    /// Whether there is such a watch.
    #[must_use]
    pub fn has(&self, path: &str, kind: RemoveWatchesKind) -> bool {
        use RemoveWatchesKind::{Any, Children, Data, Persistent, PersistentRecursive};
        let of = |one| matches!(kind, Any) || kind == one;
        of(Data) && self.data.contains_key(path)
            || of(Children) && self.child.contains(path)
            || of(Persistent) && self.persistent.contains(path)
            || of(PersistentRecursive) && self.recursive.contains(path)
    }

    /// Whether nothing is watched.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.data.is_empty() && self.child.is_empty() && !self.is_lasting()
    }

    /// Whether anything is watched until it is taken back.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        !self.persistent.is_empty() || !self.recursive.is_empty()
    }

    /// Everything that is watched.
    pub fn all(&self) -> impl Iterator<Item = (&str, WatchKind)> {
        let data = self.data.iter().map(|(path, kind)| (path.as_str(), *kind));
        data.chain(of(&self.child, WatchKind::Child))
            .chain(of(&self.persistent, WatchKind::Persistent))
            .chain(of(&self.recursive, WatchKind::Recursive))
    }

    /// An event has come.
    pub fn hear(&mut self, zxid: Zxid, kind: EventKind, path: &str) {
        self.heard.push((zxid, kind, path.to_owned()));
    }

    /// Whether it is for one of these watches; those that tell once are spent.
    fn fires(&mut self, Happening { kind, path, .. }: &Happening) -> bool {
        let is_of_node = *kind != EventKind::NodeChildrenChanged;
        let is_of_children = matches!(
            kind,
            EventKind::NodeChildrenChanged | EventKind::NodeDeleted
        );
        let by_data = is_of_node && self.data.remove(path).is_some();
        let by_child = is_of_children && self.child.remove(path);
        let is_below = |top: &String| {
            let below = path.strip_prefix(top.as_str());
            top == "/" || below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        by_data
            || by_child
            || self.persistent.contains(path)
            || is_of_node && self.recursive.iter().any(is_below)
    }
}

fn of(paths: &BTreeSet<String>, kind: WatchKind) -> impl Iterator<Item = (&str, WatchKind)> {
    paths.iter().map(move |path| (path.as_str(), kind))
}

impl Checker {
    /// A client gets an answer in the state behind this txn: by now it has heard of all that it watched up to there, of each
    /// once, and of nothing else (I-32, I-33, I-36).
    pub fn heard_up_to(&mut self, session: SessionId, watching: &mut Watching, up_to: Zxid) {
        let is_anything = !watching.is_empty() || !watching.heard.is_empty();
        let up_to = up_to.max(watching.up_to);
        if is_anything {
            self.count(i33_event_before_data::NAME);
            self.hold_against(session, watching, up_to, true);
            if let Some((zxid, kind, path)) = watching.heard.first() {
                let text = format!(
                    "{session} is told {kind:?} of {path} by {} and then answered at {}, and watches {watching:?}",
                    Z(*zxid),
                    Z(up_to)
                );
                self.violate(i32_at_most_one_event::NAME, text);
            }
        }
        watching.up_to = up_to;
    }

    /// A connection ends. The end of what was said may be lost: what it heard must still be what happened.
    pub fn hears_no_more(&mut self, session: SessionId, watching: &mut Watching) {
        if let Some((last, ..)) = watching.heard.last() {
            let up_to = *last;
            let before = Zxid(up_to.0 - 1);
            self.hold_against(session, watching, before, true);
            self.hold_against(session, watching, up_to, false);
            if let Some((zxid, kind, path)) = watching.heard.first() {
                let text = format!(
                    "{session} is told {kind:?} of {path} by {}, and watches {watching:?}",
                    Z(*zxid)
                );
                self.violate(i32_at_most_one_event::NAME, text);
            }
        }
    }

    /// Takes from what was heard what had to be, txn by txn.
    fn hold_against(
        &mut self,
        session: SessionId,
        watching: &mut Watching,
        up_to: Zxid,
        is_all: bool,
    ) {
        let mut missing = None;
        let mut leaked = None;
        let (mut withheld, mut told) = (0, 0);
        let (mut once, mut lasting) = (0, 0);
        for happening in self.happenings.between(watching.up_to, up_to) {
            let Happening {
                zxid,
                kind,
                path,
                list,
            } = happening;
            let is_this = |heard: &Heard| (heard.0, heard.1, &heard.2) == (*zxid, *kind, path);
            let at = watching.heard.iter().position(is_this);
            if at.is_none() && !is_all {
                continue;
            }
            let left = (watching.data.len(), watching.child.len());
            if !watching.fires(happening) {
                continue;
            }
            if left == (watching.data.len(), watching.child.len()) {
                lasting += 1;
            } else {
                once += 1;
            }
            let may_hear = watching.users.may(list, Perms::READ);
            match at {
                Some(at) => {
                    watching.heard.remove(at);
                    told += 1;
                    if !may_hear {
                        leaked.get_or_insert_with(|| (*zxid, *kind, path.clone()));
                    }
                }
                None if may_hear => {
                    missing.get_or_insert_with(|| (*zxid, *kind, path.clone()));
                }
                None => withheld += 1,
            }
        }
        watching.up_to = watching.up_to.max(up_to);
        self.count_many(i32_at_most_one_event::NAME, told);
        self.count_many(i32_at_most_one_event::ONCE, once);
        self.count_many(i32_at_most_one_event::LASTING, lasting);
        self.count_many(i36_no_leak::NAME, told);
        self.count_many(i36_no_leak::WITHHELD, withheld);
        if let Some((zxid, kind, path)) = leaked {
            let text = format!(
                "{session} is told {kind:?} of {path} by {}, which it may not read",
                Z(zxid)
            );
            self.violate(i36_no_leak::NAME, text);
        }
        if let Some((zxid, kind, path)) = missing {
            let text = format!(
                "{session} hears of {} and not of the {kind:?} of {path} by {}",
                Z(up_to),
                Z(zxid)
            );
            self.violate(i33_event_before_data::NAME, text);
        }
    }

    /// What a watch has missed when it is set again in the state behind `at`, by a client that has seen all up to `seen`
    /// (P87).
    pub(super) fn missed(
        &self,
        (path, kind): (&str, WatchKind),
        seen: Zxid,
        at: Zxid,
    ) -> Option<EventKind> {
        let changes = self.order.changes(path);
        let behind = changes.partition_point(|change| change.zxid <= at);
        let last = behind.checked_sub(1).and_then(|last| changes.get(last));
        let is_there = last.is_some_and(|change| change.now.is_some());
        match kind {
            WatchKind::Persistent | WatchKind::Recursive => None,
            WatchKind::Birth => is_there.then_some(EventKind::NodeCreated),
            _ if !is_there => Some(EventKind::NodeDeleted),
            WatchKind::Data => last
                .filter(|change| change.zxid > seen)
                .map(|_| EventKind::NodeDataChanged),
            WatchKind::Child => {
                let born = changes
                    .iter()
                    .take(behind)
                    .rfind(|change| !change.was_there);
                let children = self.order.child_changes(path);
                let behind = children.partition_point(|change| change.zxid <= at);
                let child = behind.checked_sub(1).and_then(|last| children.get(last));
                let zxids = [born.map(|c| c.zxid), child.map(|c| c.zxid)];
                let pzxid = zxids.into_iter().flatten().max();
                (pzxid > Some(seen)).then_some(EventKind::NodeChildrenChanged)
            }
        }
    }

    /// A client asks for watches of a kind, or takes them back: whether there are any (P93).
    pub fn watches_found(
        &mut self,
        session: SessionId,
        watch: (&str, RemoveWatchesKind),
        is: bool,
        told: bool,
    ) {
        self.count(MODES);
        if is != told {
            let text = format!("{session} is told {told} of its watches {watch:?}, it is {is}");
            self.violate(MODES, text);
        }
    }

    /// A client has set its watches again, in the state behind `at`: it was told of what they had missed, no more and no
    /// less (I-35, P87). What it may not read it is not told of, and that watch is gone. What stands is returned.
    pub fn moved(
        &mut self,
        session: SessionId,
        (left, users): (&Watching, Users),
        (seen, at): (Zxid, Zxid),
        mut told: Vec<(String, EventKind)>,
    ) -> Watching {
        let mut due = Vec::new();
        let mut stands = Watching {
            up_to: at,
            users,
            ..Watching::default()
        };
        let mut withheld = 0;
        for (path, kind) in left.all() {
            let list = self.happenings.list(path, at);
            let may_hear = list.is_none_or(|list| users.may(&list, Perms::READ));
            match self.missed((path, kind), seen, at) {
                Some(event) if may_hear => due.push((path.to_owned(), event)),
                Some(_) => withheld += 1,
                None => stands.add(path.to_owned(), kind),
            }
        }
        due.sort();
        told.sort();
        self.count_many(i36_no_leak::WITHHELD_MOVING, withheld);
        self.caught_up(session, &due, &told);
        stands
    }
}
