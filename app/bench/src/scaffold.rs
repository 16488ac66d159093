//! What is put up before a run and taken down after it: requests outside of any measurement.

use std::ops::Range;

use anyhow::Result;

use crate::engine::{Engine, Job, Servers};
use crate::link::Clock;
use crate::recorder::{Recorder, Until, histogram};
use crate::request::Template;
use crate::source::Source;

/// A few sessions that create and delete, pipelined.
#[derive(Debug)]
pub(crate) struct Scaffold(Engine);

impl Scaffold {
    /// Opens the sessions.
    pub(crate) fn open(servers: &Servers) -> Result<Self> {
        let engine = Engine::open(
            servers,
            Clock::start(),
            0..SESSIONS,
            SESSIONS,
            &mut histogram(),
        )?;
        Ok(Self(engine))
    }

    /// One request.
    pub(crate) fn once(&mut self, template: Template) -> Result<()> {
        self.each(template, 0..1)
    }

    /// One request for each key.
    pub(crate) fn each(&mut self, template: Template, keys: Range<u64>) -> Result<()> {
        self.each_of(template, &[keys])
    }

    /// One request for each key of several ranges.
    pub(crate) fn each_of(&mut self, template: Template, keys: &[Range<u64>]) -> Result<()> {
        let mut job = Job {
            templates: vec![template],
            sources: Source::dealt(keys, PIECE, self.0.len()),
        };
        let mut recorder = Recorder::new(self.0.clock().now(), Until::Exhausted);
        self.0.run(&mut job, DEPTH, &mut recorder)
    }

    /// Ends the sessions.
    pub(crate) fn close(self) -> Result<()> {
        self.0.close()
    }
}

/// Sessions.
const SESSIONS: usize = 4;
/// Requests outstanding in each.
const DEPTH: u32 = 100;
/// Keys that one session takes at a time.
const PIECE: u64 = 1_000;
