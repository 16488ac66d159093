//! The two epochs of a member, in one record that is replaced at once (R8), and in Apache's two files derived from it.
//!
//! `acceptedEpoch` is the highest epoch promised to a would-be leader, `currentEpoch` the epoch of the history that was
//! accepted. Both only grow, and current never exceeds accepted (I-11). Where the record and the files differ, Apache's
//! server ran in between or a crash came between two writes: the maximum of each counts.

use std::path::Path;

use zabra_mutant::{self as mutant, Mutant};
use zabra_proto::Zxid;

use crate::dirs::DataDirs;
use crate::error::{During, Result, StorageError};
use crate::mark::{seal_text, unseal_text};
use crate::names::{ACCEPTED_EPOCH, CURRENT_EPOCH, EPOCHS};
use crate::vfs::{Vfs, read_small, replace_small};

/// What a member has promised and accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Epochs {
    /// The highest epoch promised to a would-be leader.
    pub accepted: u32,
    /// The epoch of the history.
    pub current: u32,
}

impl Epochs {
    /// What the disk says, given the last zxid of the recovered history. Nothing is written: what is missing or behind is
    /// brought up by the next [`Self::store`]. A crash alone never makes it fail (I-18).
    pub fn load(vfs: &dyn Vfs, dirs: &DataDirs, last: Zxid) -> Result<Self> {
        let dir = dirs.snap();
        let record = load_record(vfs, dir)?;
        let known =
            |file: Option<u32>, record: Option<u32>| file.max(record).unwrap_or(last.epoch());
        let accepted_file = load_file(vfs, dir, ACCEPTED_EPOCH)?;
        let mut current = known(
            load_file(vfs, dir, CURRENT_EPOCH)?,
            record.map(|r| r.current),
        );
        let accepted = match accepted_file.max(record.map(|r| r.accepted)) {
            Some(accepted) => accepted,
            None => last.epoch().max(current),
        };
        if last.epoch() > current {
            if last.epoch() > accepted {
                return Err(StorageError::Epochs(format!(
                    "the history goes on to zxid {last} of epoch {}, but {} says {accepted}; a file was restored or \
                     lost: remove the data and let the server take it from the ensemble",
                    last.epoch(),
                    dir.join(ACCEPTED_EPOCH).display(),
                )));
            }
            // A crash came between the history of an epoch and the epoch itself, which is the order in which a learner
            // stores them (P03, P04). The history decides: a txn of an epoch stands behind all with which its leader began,
            // so that nobody with a lower epoch can have something committed that is not here.
            current = last.epoch();
        }
        if accepted < current {
            return Err(StorageError::Epochs(format!(
                "{} says {accepted}, less than currentEpoch ({current}); a file was restored or lost: remove the data \
                 and let the server take it from the ensemble",
                dir.join(ACCEPTED_EPOCH).display()
            )));
        }
        Ok(Self { accepted, current })
    }

    /// [`Self::load`], for a server that goes on from there: what the history says beyond the epochs on disk is made durable
    /// first. Else an epoch that was accepted because of it would be forgotten with a history that is cut (R1).
    pub fn restore(vfs: &dyn Vfs, dirs: &DataDirs, last: Zxid) -> Result<Self> {
        let epochs = Self::load(vfs, dirs, last)?;
        let is_said = Self::load(vfs, dirs, Zxid::ZERO)? == epochs;
        if !is_said && !mutant::on(Mutant::EpochOfHistoryUnsaved) {
            epochs.store(vfs, dirs)?;
        }
        Ok(epochs)
    }

    /// Makes both durable, before anything is said that depends on them (R1). The record first, which decides; then the
    /// promise, then the history's epoch, so that Apache's files agree with each other at every moment. An error must end
    /// the process (R3).
    pub fn store(self, vfs: &dyn Vfs, dirs: &DataDirs) -> Result<()> {
        let dir = dirs.snap();
        // A current epoch above the accepted one is a bug above; written down it would forbid every later start.
        if self.current > self.accepted {
            return Err(StorageError::Epochs(format!(
                "epoch {} cannot be current, only {} was accepted",
                self.current, self.accepted
            )));
        }
        let text = format!(
            "zabra-epochs 1\naccepted {}\ncurrent {}\n",
            self.accepted, self.current
        );
        store_file(vfs, dir, EPOCHS, &seal_text(text))?;
        store_file(
            vfs,
            dir,
            ACCEPTED_EPOCH,
            self.accepted.to_string().as_bytes(),
        )?;
        store_file(vfs, dir, CURRENT_EPOCH, self.current.to_string().as_bytes())
    }
}

fn store_file(vfs: &dyn Vfs, dir: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    if mutant::on(Mutant::EpochsUnsynced) {
        let path = dir.join(name);
        let _ = vfs.remove(&path);
        let written = vfs.create_new(&path);
        return written
            .and_then(|mut file| file.write_all_at(bytes, 0))
            .during("write", &path);
    }
    replace_small(vfs, dir, &format!("zabra-tmp-{name}"), name, bytes)
        .during("write", &dir.join(name))
}

fn load_record(vfs: &dyn Vfs, dir: &Path) -> Result<Option<Epochs>> {
    let path = dir.join(EPOCHS);
    if !vfs.exists(&path).during("look for", &path)? {
        return Ok(None);
    }
    let bytes = read_small(vfs, &path, SMALL_MAX).during("read", &path)?;
    let parsed = unseal_text(&bytes).and_then(|text| {
        let mut lines = text.lines();
        (lines.next()? == "zabra-epochs 1").then_some(())?;
        let accepted = lines.next()?.strip_prefix("accepted ")?.parse().ok()?;
        let current = lines.next()?.strip_prefix("current ")?.parse().ok()?;
        Some(Epochs { accepted, current })
    });
    // Never guessed: an epoch that is too low lets two leaders have one (P01).
    let what = "it holds the epochs this server promised; restore it, or remove the data and let the server take it \
                from the ensemble";
    parsed.map(Some).ok_or_else(|| StorageError::BadRecord {
        path,
        what: what.to_owned(),
    })
}

fn load_file(vfs: &dyn Vfs, dir: &Path, name: &str) -> Result<Option<u32>> {
    let path = dir.join(name);
    if !vfs.exists(&path).during("look for", &path)? {
        return Ok(None);
    }
    let bytes = read_small(vfs, &path, SMALL_MAX).during("read", &path)?;
    let number = std::str::from_utf8(&bytes)
        .ok()
        .and_then(|text| text.lines().next()?.trim().parse().ok());
    let what = "it does not hold an epoch; restore it, or remove the data and let the server take it from the ensemble";
    number.map(Some).ok_or_else(|| StorageError::BadRecord {
        path,
        what: what.to_owned(),
    })
}

const SMALL_MAX: usize = 4096;
