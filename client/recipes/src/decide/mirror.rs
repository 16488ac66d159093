//! A local copy of a znode or a subtree: which reads it takes, and what changed. The copy of [`crate::Cache`].
//!
//! Events say that something changed, reads say what. After a gap in the events (the first look, a reconnection) a *pass*
//! compares the Stats of everything known with those on the server: one read per znode, and data only where `mzxid` moved.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use zabra_proto::Stat;

/// How far down the copy goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// One znode.
    Node,
    /// A znode and everything below it.
    Subtree,
}

/// A znode as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its path.
    pub path: String,
    /// Its data.
    pub data: Vec<u8>,
    /// Its Stat. The numbers about children are those of the last look.
    pub stat: Stat,
}

/// What changed in the copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheEvent {
    /// A znode is there that was not.
    Created(Arc<Node>),
    /// Its data was set, or it was deleted and created again unseen.
    Changed {
        /// As it was.
        before: Arc<Node>,
        /// As it is.
        after: Arc<Node>,
    },
    /// It is gone; this is how it was.
    Deleted(Arc<Node>),
    /// The first pass is through: everything that was there has been told.
    Initialized,
}

/// A read to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// Data and Stat.
    Whole(String),
    /// Stat.
    Probe(String),
    /// Children and Stat.
    Children(String),
}

/// What an event says about a znode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// It was created, or its data was set.
    Set,
    /// It was deleted.
    Gone,
}

/// The copy would hold more than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge;

/// What is asked about a path at the moment.
#[derive(Debug, Clone, Copy, Default)]
struct Asked {
    /// Something changed after the question: ask again.
    again: bool,
    /// It was deleted after the question: the answer may be older than that.
    stale: bool,
}

/// The copy. Events and answers go in, reads to make and changes come out.
#[derive(Debug)]
pub struct Mirror {
    root: String,
    depth: Depth,
    bytes_max: usize,
    /// Invariant: the sum of what [`cost`] says of each znode.
    bytes: usize,
    nodes: BTreeMap<String, Arc<Node>>,
    /// Reads to make, in order.
    wanted: VecDeque<Read>,
    /// Invariant: the paths of [`Read::Whole`] in `wanted`.
    wanted_whole: HashSet<String>,
    /// Reads under way. Invariant: at most one for a path.
    asked: HashMap<String, Asked>,
    /// Whose children this pass has read or will read.
    visited: BTreeSet<String>,
    is_passing: bool,
    is_initialized: bool,
    changes: VecDeque<CacheEvent>,
}

impl Mirror {
    /// An empty copy of what is at `root`, of `bytes_max` bytes at most: data, paths, and about 200 bytes for each znode.
    #[must_use]
    pub fn new(root: &str, depth: Depth, bytes_max: usize) -> Self {
        Self {
            root: root.to_owned(),
            depth,
            bytes_max,
            bytes: 0,
            nodes: BTreeMap::new(),
            wanted: VecDeque::new(),
            wanted_whole: HashSet::new(),
            asked: HashMap::new(),
            visited: BTreeSet::new(),
            is_passing: false,
            is_initialized: false,
            changes: VecDeque::new(),
        }
    }

    /// Every znode of the copy by its path.
    #[must_use]
    pub const fn nodes(&self) -> &BTreeMap<String, Arc<Node>> {
        &self.nodes
    }

    /// Whether a first pass went through.
    #[must_use]
    pub const fn is_initialized(&self) -> bool {
        self.is_initialized
    }

    /// Whether a pass is under way.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        self.is_passing
    }

    /// The next read to make. At most one is under way for a path.
    pub fn next_read(&mut self) -> Option<Read> {
        for _ in 0..self.wanted.len() {
            let read = self.wanted.pop_front()?;
            if self.asked.contains_key(read.path()) {
                self.wanted.push_back(read);
                continue;
            }
            if let Read::Whole(path) = &read {
                self.wanted_whole.remove(path);
            }
            self.asked.insert(read.path().to_owned(), Asked::default());
            return Some(read);
        }
        None
    }

    /// The next change to tell.
    pub fn next_change(&mut self) -> Option<CacheEvent> {
        self.changes.pop_front()
    }

    /// Events may have been missed up to here, and none will be from here on: begins a pass. Answers to earlier reads must
    /// not come in any more.
    pub fn on_gap(&mut self) {
        self.wanted.clear();
        self.wanted_whole.clear();
        self.asked.clear();
        self.visited.clear();
        self.is_passing = true;
        let root = self.root.clone();
        self.visit(&root);
    }

    /// A watch fired.
    pub fn on_event(&mut self, path: &str, hint: Hint) {
        if !self.covers(path) {
            return;
        }
        match hint {
            Hint::Set => match self.asked.get_mut(path) {
                Some(asked) => asked.again = true,
                None => self.want_whole(path),
            },
            Hint::Gone => {
                self.forget(path);
                if let Some(asked) = self.asked.get_mut(path) {
                    *asked = Asked {
                        again: true,
                        stale: true,
                    };
                }
            }
        }
    }

    /// The answer to [`Read::Whole`], or to [`Read::Probe`] if data came with it; `None` when there is no such znode.
    ///
    /// # Errors
    /// The copy is full.
    pub fn on_whole(
        &mut self,
        path: &str,
        answer: Option<(Vec<u8>, Stat)>,
    ) -> Result<(), TooLarge> {
        if self.answered(path, Read::Whole(path.to_owned())) {
            match answer {
                None => self.forget(path),
                Some((data, stat)) => {
                    self.store(path, data, stat)?;
                    if stat.num_children == 0 {
                        self.forget_below(path);
                    } else if self.is_passing {
                        self.want_children(path);
                    }
                }
            }
        }
        self.maybe_finish();
        Ok(())
    }

    /// The answer to [`Read::Probe`].
    pub fn on_probe(&mut self, path: &str, answer: Option<Stat>) {
        if self.answered(path, Read::Probe(path.to_owned())) {
            match answer {
                None => self.forget(path),
                Some(stat) => {
                    self.compare(path, stat);
                    match stat.num_children {
                        0 => self.forget_below(path),
                        _ => self.want_children(path),
                    }
                }
            }
        }
        self.maybe_finish();
    }

    /// The answer to [`Read::Children`].
    pub fn on_children(&mut self, path: &str, answer: Option<(Vec<String>, Stat)>) {
        if self.answered(path, Read::Children(path.to_owned())) {
            match answer {
                None => self.forget(path),
                Some((names, stat)) => {
                    self.compare(path, stat);
                    let there: BTreeSet<String> =
                        names.iter().map(|name| join(path, name)).collect();
                    for gone in self.known_children(path) {
                        if !there.contains(&gone) {
                            self.forget(&gone);
                        }
                    }
                    for child in &there {
                        self.visit(child);
                    }
                }
            }
        }
        self.maybe_finish();
    }

    /// Takes note of an answer; `false` if it may be older than a deletion and must not be looked at.
    fn answered(&mut self, path: &str, read: Read) -> bool {
        let asked = self.asked.remove(path).unwrap_or_default();
        if asked.again {
            self.want_whole(path);
            if !asked.stale && !matches!(read, Read::Whole(_)) {
                // The children of this pass are still to be looked at, and are, with this answer.
                return true;
            }
        }
        !asked.stale
    }

    /// One look of this pass at a znode.
    fn visit(&mut self, path: &str) {
        if !self.nodes.contains_key(path) {
            self.want_whole(path);
        } else if self.below(path).next().is_none() || self.depth == Depth::Node {
            self.wanted.push_back(Read::Probe(path.to_owned()));
        } else {
            self.want_children(path);
        }
    }

    fn want_whole(&mut self, path: &str) {
        if self.wanted_whole.insert(path.to_owned()) {
            self.wanted.push_back(Read::Whole(path.to_owned()));
        }
    }

    fn want_children(&mut self, path: &str) {
        if self.depth == Depth::Subtree && self.visited.insert(path.to_owned()) {
            self.wanted.push_back(Read::Children(path.to_owned()));
        }
    }

    /// Reads a znode again if its data is not what is known.
    fn compare(&mut self, path: &str, stat: Stat) {
        match self.nodes.get_mut(path) {
            Some(node) if node.stat.mzxid == stat.mzxid && node.stat.czxid == stat.czxid => {
                if node.stat != stat {
                    Arc::make_mut(node).stat = stat;
                }
            }
            _ => self.want_whole(path),
        }
    }

    fn store(&mut self, path: &str, data: Vec<u8>, stat: Stat) -> Result<(), TooLarge> {
        let known = self.nodes.get(path).cloned();
        let is_older = |known: &Arc<Node>| {
            (stat.mzxid.cast_unsigned(), stat.czxid.cast_unsigned())
                < (
                    known.stat.mzxid.cast_unsigned(),
                    known.stat.czxid.cast_unsigned(),
                )
        };
        if known.as_ref().is_some_and(is_older) {
            return Ok(());
        }
        let node = Arc::new(Node {
            path: path.to_owned(),
            data,
            stat,
        });
        let without = self.bytes - known.as_ref().map_or(0, |known| cost(known));
        if without + cost(&node) > self.bytes_max {
            return Err(TooLarge);
        }
        self.bytes = without + cost(&node);
        self.nodes.insert(path.to_owned(), Arc::clone(&node));
        match known {
            None => self.changes.push_back(CacheEvent::Created(node)),
            Some(before) if (before.stat.mzxid, before.stat.czxid) != (stat.mzxid, stat.czxid) => {
                self.changes.push_back(CacheEvent::Changed {
                    before,
                    after: node,
                });
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Takes a znode and all below it out of the copy, the lowest first.
    fn forget(&mut self, path: &str) {
        self.forget_below(path);
        self.remove(path);
    }

    /// The same with all below it alone. A znode may be known before the one above it is.
    fn forget_below(&mut self, path: &str) {
        let gone: Vec<String> = self.below(path).cloned().collect();
        gone.iter().rev().for_each(|path| self.remove(path));
    }

    fn remove(&mut self, path: &str) {
        if let Some(node) = self.nodes.remove(path) {
            self.bytes -= cost(&node);
            self.changes.push_back(CacheEvent::Deleted(node));
        }
    }

    /// The paths of all known descendants.
    fn below<'a>(&'a self, path: &str) -> impl Iterator<Item = &'a String> + use<'a> {
        let begin = join(path, "");
        // '0' is the character after '/'.
        let end = format!("{}0", begin.trim_end_matches('/'));
        self.nodes
            .range(begin.clone()..end)
            .map(|(path, _)| path)
            .filter(move |path| path.len() > begin.len())
    }

    /// The children that are known, by themselves or by something below them.
    fn known_children(&self, path: &str) -> BTreeSet<String> {
        let length = join(path, "").len();
        let child = |below: &String| {
            let end = below[length..].find('/').map(|at| length + at);
            below[..end.unwrap_or(below.len())].to_owned()
        };
        self.below(path).map(child).collect()
    }

    fn covers(&self, path: &str) -> bool {
        path == self.root
            || (self.depth == Depth::Subtree && path.starts_with(&join(&self.root, "")))
    }

    fn maybe_finish(&mut self) {
        if self.is_passing && self.wanted.is_empty() && self.asked.is_empty() {
            self.is_passing = false;
            self.visited.clear();
            if !self.is_initialized {
                self.is_initialized = true;
                self.changes.push_back(CacheEvent::Initialized);
            }
        }
    }
}

impl Read {
    /// The path to read.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Whole(path) | Self::Probe(path) | Self::Children(path) => path,
        }
    }
}

/// The path of a child.
#[must_use]
pub fn join(parent: &str, name: &str) -> String {
    format!("{}/{name}", parent.trim_end_matches('/'))
}

/// What a znode counts towards the limit: its data, its path in node and index, Stat and links.
fn cost(node: &Node) -> usize {
    node.data.len() + 2 * node.path.len() + 200
}

#[cfg(test)]
mod tests;
