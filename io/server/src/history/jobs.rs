//! Jobs on the history that change it: one thread does them in the order in which they were asked for.

use std::collections::VecDeque;
use std::fmt;
use std::sync::PoisonError;

use thiserror::Error;
use zabra_proto::Zxid;
use zabra_serve::Replica;
use zabra_storage::{LogError, StorageError, TxnLog, adopt_history, truncate};
use zabra_zab::Epochs;

use super::{HistoryFiles, Received};
use crate::seat::Flusher;
use crate::sync::{Condvar, Mutex, MutexGuard, Slip, slips};

/// What the thread is asked to do.
#[derive(Debug)]
pub enum Job {
    /// `Effect::SaveEpochs`.
    SaveEpochs(Epochs),
    /// `Effect::Truncate`: everything appended is durable, and nothing is appended until the outcome is known.
    Truncate(Zxid),
    /// Make a received history this server's. As for truncation.
    Adopt(Received),
}

/// What came of it.
pub enum Outcome {
    /// `Input::EpochsSaved`.
    EpochsSaved(Epochs),
    /// `Input::Truncated`.
    Truncated(Zxid),
    /// The history cannot be cut there, and nothing was changed: the transaction is not in it, or every snapshot is newer.
    /// Only a leader's snapshot helps.
    CannotTruncate {
        /// Up to where the history should have stayed.
        to: Zxid,
        /// Why it cannot, in words.
        why: String,
    },
    /// The replica is to be replaced by this one, and `Input::SnapshotInstalled` to be told. Then the packets of `rest`
    /// come from the same link, all of them before the peer hears of anything else: what they propose is in the log
    /// already, and the peer must know it before it votes.
    ///
    /// Digests are not compared in the replica until [`Replica::set_fuzzy_up_to`] says otherwise, which the driver does at
    /// `StartServing`: a leader of Apache's goes on while it sends, so that the snapshot holds effects of transactions that
    /// follow before NEWLEADER.
    Installed {
        /// The zxid of the SNAP packet.
        zxid: Zxid,
        /// The snapshot's state.
        replica: Box<Replica>,
        /// What the leader sent behind the snapshot, as far as it was read: packets up to NEWLEADER, and bytes.
        rest: Vec<u8>,
    },
    /// The process must end (R3).
    Failed(Failure),
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EpochsSaved(epochs) => write!(f, "EpochsSaved({epochs:?})"),
            Self::Truncated(to) => write!(f, "Truncated({to})"),
            Self::CannotTruncate { to, why } => write!(f, "CannotTruncate({to}: {why})"),
            Self::Installed { zxid, .. } => write!(f, "Installed({zxid})"),
            Self::Failed(failure) => write!(f, "Failed({failure})"),
        }
    }
}

/// What is wrong with the disk.
#[derive(Debug, Error)]
pub enum Failure {
    /// A file cannot be written, synced, renamed or removed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The log cannot.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// The jobs that wait, and the bell.
#[derive(Debug, Default)]
pub struct Jobs {
    waiting: Mutex<Waiting>,
    bell: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    stop: bool,
}

impl Jobs {
    /// Asks for a job.
    pub fn ask(&self, job: Job) {
        self.waiting().jobs.push_back(job);
        self.bell.notify_one();
    }

    /// Asks the thread to end after the jobs that wait.
    pub fn stop(&self) {
        if slips(Slip::WorkerForgotten) {
            return;
        }
        self.waiting().stop = true;
        self.bell.notify_one();
    }

    /// The thread's life. It ends after [`Self::stop`], and after a failure.
    pub fn work(&self, files: &HistoryFiles, flusher: &Flusher, report: &dyn Fn(Outcome)) {
        while let Some(job) = self.next() {
            let outcome = run(files, flusher, job);
            let failed = matches!(outcome, Outcome::Failed(_));
            report(outcome);
            if failed {
                return;
            }
        }
    }

    fn next(&self) -> Option<Job> {
        let waiting = self
            .bell
            .wait_while(self.waiting(), |w| w.jobs.is_empty() && !w.stop);
        waiting
            .unwrap_or_else(PoisonError::into_inner)
            .jobs
            .pop_front()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Every change is one call: a panic elsewhere cannot leave it half done.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does a job on the calling thread.
pub(super) fn run(files: &HistoryFiles, flusher: &Flusher, job: Job) -> Outcome {
    let done = match job {
        Job::SaveEpochs(epochs) => save_epochs(files, epochs),
        Job::Truncate(to) => flusher.with_log(|log| cut(files, log, to)),
        Job::Adopt(received) => flusher.with_log(|log| adopt(files, log, received)),
    };
    done.unwrap_or_else(Outcome::Failed)
}

fn save_epochs(files: &HistoryFiles, epochs: Epochs) -> Result<Outcome, Failure> {
    let stored = zabra_storage::Epochs {
        accepted: epochs.accepted,
        current: epochs.current,
    };
    stored.store(&*files.vfs, &files.dirs)?;
    Ok(Outcome::EpochsSaved(epochs))
}

fn cut(files: &HistoryFiles, log: &mut TxnLog, to: Zxid) -> Result<Outcome, Failure> {
    let _changing = files.change();
    log.roll()?;
    files.next_generation();
    match truncate(&files.vfs, &files.dirs, &files.mark, to) {
        Ok(()) => {
            log.restart_behind(to)?;
            Ok(Outcome::Truncated(to))
        }
        Err(StorageError::CannotTruncate { to, why }) => Ok(Outcome::CannotTruncate { to, why }),
        Err(error) => Err(error.into()),
    }
}

fn adopt(files: &HistoryFiles, log: &mut TxnLog, received: Received) -> Result<Outcome, Failure> {
    let _changing = files.change();
    log.roll()?;
    files.next_generation();
    let zxid = received.zxid();
    let (history, replica, rest) = received.into_parts();
    let adopted = adopt_history(&files.vfs, &files.dirs, &files.mark, history)?;
    log.restart_adopted(adopted)?;
    Ok(Outcome::Installed {
        zxid,
        replica,
        rest,
    })
}
