//! The znodes of a run under load: what is there before, what is asked of it, what is to be removed afterwards.

use std::ops::Range;

use anyhow::{Context, Result, ensure};

use crate::args::{LoadArgs, root_or_default};
use crate::engine::Servers;
use crate::report::grouped;
use crate::request::{Path, Template};
use crate::scaffold::Scaffold;
use crate::source::{Rng, Source};
use crate::weights::{KINDS, Weights};

/// What is asked under load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Get,
    Set,
    Mix { reads_percent: u8 },
    Create,
    Delete { znodes: u32 },
    Exists { watch: bool },
    Multi { ops: u32 },
    Children { children: u32 },
    Blend { children: u32, weights: Weights },
    Ping,
}

/// The znodes of a run.
#[derive(Debug)]
pub(crate) struct Ground {
    /// The parent of all.
    pub(crate) root: String,
    /// What is asked.
    pub(crate) operation: Operation,
    data: Vec<u8>,
    /// Znodes to choose from.
    keys: u64,
    /// How many of them are under each parent, if they have parents of their own. Invariant: divides `keys`.
    children: Option<u64>,
    sessions: u64,
    seed: u64,
}

impl Ground {
    pub(crate) fn new(load: &LoadArgs, operation: Operation) -> Result<Self> {
        ensure!(
            load.threads <= load.sessions,
            "{} threads have nothing to do with {} sessions",
            load.threads,
            load.sessions
        );
        ensure!(
            load.rate.is_none() || !matches!(operation, Operation::Delete { .. }),
            "delete ends when nothing is left and has no --rate"
        );
        if let Operation::Multi { ops } = operation {
            ensure!(
                ops <= load.keys,
                "a multi sets {ops} different znodes, there are {}",
                load.keys
            );
            let bytes = u64::from(ops) * (u64::from(load.size) + 64);
            ensure!(
                bytes < REQUEST_MAX,
                "a multi of {bytes} bytes is larger than servers accept"
            );
        }
        let children = match operation {
            Operation::Children { children } | Operation::Blend { children, .. } => {
                Some(u64::from(children))
            }
            _ => None,
        };
        Ok(Self {
            root: root_or_default(load.root.as_ref()),
            operation,
            data: vec![b'z'; load.size as usize],
            keys: u64::from(load.keys).next_multiple_of(children.unwrap_or(1)),
            children,
            sessions: load.sessions.into(),
            seed: load.seed,
        })
    }

    /// The znodes to choose from.
    fn key_path(&self) -> Path {
        let parent = match self.children {
            Some(children) => self.key_parent_path(children),
            None => Path::new(&self.root),
        };
        parent.keyed("/k", KEY_DIGITS, 1)
    }

    /// Their parents; the key is that of a child, of which each parent has so many.
    fn key_parent_path(&self, children: u64) -> Path {
        Path::new(&self.root).keyed("/p", 8, children)
    }

    /// The parents of the znodes that each session makes for itself; the key is the session's number.
    fn parent_path(&self) -> Path {
        Path::new(&self.root).keyed("/s", 5, 1)
    }

    /// Those znodes; the key is the session's number times [`SPAN`], plus the znode's.
    fn own_path(&self) -> Path {
        Path::new(&self.root).keyed("/s", 5, SPAN).keyed("/n", 8, 1)
    }

    /// Whether each session has znodes of its own.
    fn has_own(&self) -> bool {
        matches!(
            self.operation,
            Operation::Create | Operation::Delete { .. } | Operation::Blend { .. }
        )
    }

    /// Whether there are znodes to choose from.
    fn has_keys(&self) -> bool {
        !matches!(
            self.operation,
            Operation::Create | Operation::Delete { .. } | Operation::Ping
        )
    }

    /// The parents of the znodes to choose from, and how many they are.
    fn key_parents(&self) -> Option<(Path, Range<u64>)> {
        let parents = self.keys / self.children?;
        Some((self.key_parent_path(1), 0..parents))
    }

    /// The znodes of its own that this session has before the run.
    fn own_keys(&self, session: u64) -> Range<u64> {
        let count = match self.operation {
            Operation::Delete { znodes } => {
                let znodes = u64::from(znodes);
                znodes * (session + 1) / self.sessions - znodes * session / self.sessions
            }
            _ => 0,
        };
        session * SPAN..session * SPAN + count
    }

    pub(crate) fn prepare(&self, servers: &Servers) -> Result<()> {
        let mut scaffold = Scaffold::open(servers)?;
        scaffold
            .once(Template::create(&Path::new(&self.root), b""))
            .with_context(|| format!("cannot create {}", self.root))?;
        if let Some((path, parents)) = self.key_parents() {
            scaffold.each(Template::create(&path, b""), parents)?;
        }
        if self.has_keys() {
            scaffold.each(Template::create(&self.key_path(), &self.data), 0..self.keys)?;
        }
        if self.has_own() {
            scaffold.each(Template::create(&self.parent_path(), b""), 0..self.sessions)?;
            let own: Vec<Range<u64>> = (0..self.sessions)
                .map(|session| self.own_keys(session))
                .collect();
            scaffold.each_of(Template::create(&self.own_path(), &self.data), &own)?;
        }
        scaffold.close()
    }

    /// Removes everything; `own` are the znodes that sessions made for themselves.
    pub(crate) fn remove(&self, servers: &Servers, own: &[Range<u64>]) -> Result<()> {
        let mut scaffold = Scaffold::open(servers)?;
        if self.has_own() {
            scaffold.each_of(Template::delete(&self.own_path()), own)?;
            scaffold.each(Template::delete(&self.parent_path()), 0..self.sessions)?;
        }
        if self.has_keys() {
            scaffold.each(Template::delete(&self.key_path()), 0..self.keys)?;
        }
        if let Some((path, parents)) = self.key_parents() {
            scaffold.each(Template::delete(&path), parents)?;
        }
        scaffold.once(Template::delete(&Path::new(&self.root)))?;
        scaffold.close()
    }

    pub(crate) fn templates(&self) -> Vec<Template> {
        let (path, size) = (self.key_path(), self.data.len());
        match self.operation {
            Operation::Get => vec![Template::get(&path, size, false)],
            Operation::Set => vec![Template::set(&path, &self.data)],
            Operation::Mix { .. } => {
                vec![
                    Template::get(&path, size, false),
                    Template::set(&path, &self.data),
                ]
            }
            Operation::Create => vec![Template::create(&self.own_path(), &self.data)],
            Operation::Delete { .. } => vec![Template::delete(&self.own_path())],
            Operation::Exists { watch } => vec![Template::exists(&path, size, watch)],
            Operation::Multi { ops } => vec![Template::multi(&path, &self.data, ops, self.keys)],
            Operation::Children { children } => vec![self.list(children, true)],
            // In the order of their kinds.
            Operation::Blend { children, .. } => vec![
                Template::create(&self.own_path(), &self.data),
                Template::set(&path, &self.data),
                Template::get(&path, size, false),
                self.list(children, false),
                Template::delete(&self.own_path()),
            ],
            Operation::Ping => vec![Template::ping()],
        }
    }

    fn list(&self, children: u32, stat: bool) -> Template {
        let path = self.key_parent_path(children.into());
        Template::children(&path, children as usize, 1 + KEY_DIGITS, stat)
    }

    /// How the report calls each template, where there are several.
    pub(crate) fn kinds(&self) -> &'static [&'static str] {
        match self.operation {
            Operation::Mix { .. } => &["get", "set"],
            Operation::Blend { .. } => &KINDS,
            _ => &[],
        }
    }

    pub(crate) fn source(&self, session: u64) -> Source {
        let (rng, keys) = (Rng::new(self.seed, session), self.keys);
        match self.operation {
            Operation::Mix {
                reads_percent: percent,
            } => Source::Mix { rng, keys, percent },
            Operation::Blend { weights, .. } => Source::Blend {
                rng,
                keys,
                weights,
                own: self.own_keys(session),
            },
            Operation::Create => Source::range(session * SPAN..(session + 1) * SPAN),
            Operation::Delete { .. } => Source::range(self.own_keys(session)),
            _ => Source::Random { rng, keys },
        }
    }

    pub(crate) fn title(&self, load: &LoadArgs) -> String {
        let what = match self.operation {
            Operation::Get => "get".to_owned(),
            Operation::Set => "set".to_owned(),
            Operation::Mix { reads_percent } => format!("mix of {reads_percent} % get with set"),
            Operation::Create => "create".to_owned(),
            Operation::Delete { .. } => "delete".to_owned(),
            Operation::Exists { watch: false } => "exists".to_owned(),
            Operation::Exists { watch: true } => "exists with watch".to_owned(),
            Operation::Multi { ops } => format!("multi of {ops} set"),
            Operation::Children { children } => {
                format!("list of {} children", grouped(children.into(), 0))
            }
            Operation::Blend { weights, .. } => format!("blend of {weights}"),
            Operation::Ping => "ping".to_owned(),
        };
        let (sessions, depth) = (load.sessions, load.depth);
        let size = grouped(load.size.into(), 0);
        let due = load.rate.map_or_else(String::new, |rate| {
            format!(", {} due a second", grouped(rate.0, 0))
        });
        format!("{what}, {sessions} × {depth}, {size} B{due}")
    }
}

/// The znodes of its own that a session has after a run: those it created, or those it did not come to delete.
pub(crate) fn made(source: &Source, session: u64) -> Range<u64> {
    let base = session * SPAN;
    match source {
        Source::Keys(ranges) => match ranges.last() {
            Some(left) if left.end == base + SPAN => base..left.start,
            Some(left) => left.clone(),
            None => base..base,
        },
        Source::Blend { own, .. } => own.clone(),
        _ => base..base,
    }
}

/// Digits in the names of the znodes to choose from.
const KEY_DIGITS: usize = 8;
/// Keys between those of one session and those of the next.
const SPAN: u64 = 100_000_000;
/// `jute.maxbuffer` as servers have it.
const REQUEST_MAX: u64 = 1_000_000;
