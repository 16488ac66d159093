//! The znodes of a run under load: what is there before, what is asked of it, what is to be removed afterwards.

use std::ops::Range;

use anyhow::{Context, Result, ensure};

use crate::args::{LoadArgs, root_or_default};
use crate::engine::Servers;
use crate::report::grouped;
use crate::request::{Path, Template};
use crate::scaffold::Scaffold;
use crate::source::{Rng, Source};

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
    keys: u64,
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
        Ok(Self {
            root: root_or_default(load.root.as_ref()),
            operation,
            data: vec![b'z'; load.size as usize],
            keys: load.keys.into(),
            sessions: load.sessions.into(),
            seed: load.seed,
        })
    }

    /// The znodes to choose from.
    fn key_path(&self) -> Path {
        Path::new(&self.root).keyed("/k", 8, 1)
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
    fn is_own(&self) -> bool {
        matches!(self.operation, Operation::Create | Operation::Delete { .. })
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
        if self.is_own() {
            scaffold.each(Template::create(&self.parent_path(), b""), 0..self.sessions)?;
            let own: Vec<Range<u64>> = (0..self.sessions)
                .map(|session| self.own_keys(session))
                .collect();
            scaffold.each_of(Template::create(&self.own_path(), &self.data), &own)?;
        } else if self.operation != Operation::Ping {
            scaffold.each(Template::create(&self.key_path(), &self.data), 0..self.keys)?;
        }
        scaffold.close()
    }

    /// Removes everything; `own` are the znodes that sessions made for themselves.
    pub(crate) fn remove(&self, servers: &Servers, own: &[Range<u64>]) -> Result<()> {
        let mut scaffold = Scaffold::open(servers)?;
        if self.is_own() {
            scaffold.each_of(Template::delete(&self.own_path()), own)?;
            scaffold.each(Template::delete(&self.parent_path()), 0..self.sessions)?;
        } else if self.operation != Operation::Ping {
            scaffold.each(Template::delete(&self.key_path()), 0..self.keys)?;
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
            Operation::Ping => vec![Template::ping()],
        }
    }

    pub(crate) fn source(&self, session: u64) -> Source {
        let (rng, keys) = (Rng::new(self.seed, session), self.keys);
        match self.operation {
            Operation::Mix {
                reads_percent: percent,
            } => Source::Mix { rng, keys, percent },
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
        _ => base..base,
    }
}

/// Keys between those of one session and those of the next.
const SPAN: u64 = 100_000_000;
/// `jute.maxbuffer` as servers have it.
const REQUEST_MAX: u64 = 1_000_000;
