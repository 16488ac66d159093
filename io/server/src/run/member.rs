//! What the start of a member of an ensemble does besides that of a standalone server.

use std::sync::Arc;

use std::time::Instant;

use tracing::{info, warn};
use zabra_config::{Config, MembershipFiles, Mode, ThisMember};
use zabra_storage::Vfs;

use super::mend::Mender;
use super::options;
use super::start::{Opened, StartError, open_dirs};
use crate::history::{HistoryFiles, Jobs, recover_member};
use crate::net::Poller;
use crate::seat::{Listeners, Mailbox, Member, MemberLetter, Shared, listen};
use crate::sync::thread::{self, JoinHandle};

/// The jobs on a member's history, and the files that they work on.
#[derive(Debug, Clone)]
pub(crate) struct History {
    pub(crate) files: Arc<HistoryFiles>,
    pub(crate) jobs: Arc<Jobs>,
}

impl History {
    pub(crate) fn new(files: HistoryFiles) -> Self {
        Self {
            files: Arc::new(files),
            jobs: Arc::default(),
        }
    }
}

/// Keeps a copy of the static file where a membership may be written into another (quorum 2.2).
fn back_up(config: &Config) {
    let ensemble = &config.ensemble;
    let is_static = ensemble.reconfig_enabled && ensemble.dynamic_file.is_none();
    if let Some(file) = config.file.as_deref().filter(|_| is_static)
        && let Err(error) = MembershipFiles::of(file).back_up()
    {
        warn!(%error, "the configuration file cannot be copied");
    }
}

/// Opens the ports for the other servers. It may try for ever, if the configuration says so.
pub(super) fn open_ports(config: &Config, this: &ThisMember) -> Result<Listeners, StartError> {
    let addresses = this.line().map_or(&[][..], |line| &line.addresses);
    Ok(listen(&options::links(config, this), addresses)?)
}

/// Loads the state; what is logged and not known to be decided stays out of the tree. A damaged log is mended first, with
/// the help of others.
pub(super) fn open(
    config: &Config,
    this: &ThisMember,
    vfs: Arc<dyn Vfs>,
    listeners: Option<&Listeners>,
) -> Result<Opened, StartError> {
    let began = Instant::now();
    back_up(config);
    let (dirs, lock) = open_dirs(config, &*vfs)?;
    let recover = options::recover(config);
    let listeners = listeners.map_or(&[][..], |listeners| &listeners.election);
    let mut mender = Mender::new((&vfs, &dirs), this, listeners);
    let state = loop {
        match recover_member(&vfs, &dirs, &recover, options::tree(config)) {
            Ok(state) => break state,
            // Each damage that is mended is one less, and nobody makes new ones.
            Err(StartError::Storage(error)) => mender.mend(error).map_err(StartError::Storage)?,
            Err(error) => return Err(error),
        }
    };
    let undecided = state.history.tail.len();
    let epochs = state.history.epochs;
    info!(
        undecided,
        accepted = epochs.accepted,
        current = epochs.current,
        "the history is loaded"
    );
    Ok(Opened {
        replica: state.replica,
        recovered: state.recovered,
        restored: state.restored,
        history: Some(state.history),
        vfs,
        dirs,
        lock,
        took: began.elapsed(),
        snapshot_took: state.snapshot_took,
    })
}

/// The member's part of the seat, listening; none of a standalone server.
pub(super) fn member(
    config: &Config,
    listeners: Option<Listeners>,
    history: Option<&History>,
    mailbox: &Arc<Mailbox>,
    poller: &Poller,
) -> Result<Option<Box<Member>>, StartError> {
    let (Mode::Member(this), Some(listeners), Some(history)) = (&config.mode, listeners, history)
    else {
        return Ok(None);
    };
    let mut member = Member::new(
        options::links(config, this),
        this.committed.clone(),
        this.last_seen.clone(),
        (Arc::clone(&history.files), Arc::clone(&history.jobs)),
        Arc::clone(mailbox),
    )?;
    member.listen(listeners, poller)?;
    Ok(Some(Box::new(member)))
}

/// The thread of the jobs on the history.
pub(super) fn work<S: Send + 'static>(
    history: History,
    shared: Arc<Shared<S>>,
) -> std::io::Result<JoinHandle<()>> {
    thread::Builder::new()
        .name("history".to_owned())
        .spawn(move || {
            let report = |outcome| {
                let letter = MemberLetter::Job(outcome);
                shared.mailbox.post(|letters| letters.member.push(letter));
            };
            history.jobs.work(&history.files, &shared.flusher, &report);
        })
}
