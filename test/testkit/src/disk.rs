//! A disk in memory that remembers every operation, so that it can be cut off at any of them.
//!
//! [`FaultyDisk`] is a [`Vfs`]. Two things can be done with it:
//!
//! - *Crash images*: [`FaultyDisk::crash_images`] gives the disks that a power cut after a number of operations could
//!   leave: what was synced is there, and of the effects that were not, any subset: names one by one, lengths one by
//!   one, bytes by the sector.
//! - *Faults*: [`FaultyDisk::inject`] lets operations fail, once or for ever, or writes be short.
//! - *A process that ends*: [`FaultyDisk::stop_after`] lets nothing come through any more. What came through stays in the
//!   page cache: the next process reads it, synced or not.
//!
//! It knows what a file system promises, and nothing of logs and snapshots.

mod image;

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zabra_storage::{Access, DirEntry, Vfs, VfsFile};

use image::{Effect, Image, Op};

pub use image::SECTOR;

/// [`FaultyDisk::forget_durable`] leaves a record of so many operations alone: it is no burden.
const RECORD_MIN: usize = 1_000;

/// A disk in memory. Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub struct FaultyDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// What the process sees.
    live: Image,
    /// What was on the disk when recording began.
    begin: Image,
    log: Vec<Op>,
    /// What has effects that no sync made durable yet: files, and directories by the names in them.
    dirty_files: BTreeSet<u64>,
    dirty_dirs: BTreeSet<PathBuf>,
    next_inode: u64,
    /// How often each file is open: what no name leads to stays until the last of them is closed.
    open: BTreeMap<u64, usize>,
    faults: Vec<Fault>,
    hits: u64,
    /// So many operations still come through, if that is limited.
    left: Option<usize>,
    free: Option<u64>,
    locked: BTreeSet<PathBuf>,
}

/// Which operations fail.
#[derive(Debug, Clone)]
pub struct Fault {
    /// What kind of operation.
    pub on: FaultOn,
    /// Only files whose name contains this.
    pub name: &'static str,
    /// How many such operations succeed before.
    pub after: usize,
    /// How many fail then; `usize::MAX` is for ever.
    pub times: usize,
    /// How they fail.
    pub how: FaultHow,
}

/// The kinds of operations that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultOn {
    /// Reading a file.
    Read,
    /// Writing to a file, or changing its length.
    Write,
    /// Syncing a file.
    Sync,
    /// Creating a file.
    Create,
    /// Renaming a file.
    Rename,
    /// Syncing a directory.
    SyncDir,
    /// Removing a file.
    Remove,
}

/// How an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultHow {
    /// EIO. A failed sync leaves the written pages readable and marked clean: no later sync brings them to the disk.
    Io,
    /// ENOSPC.
    NoSpace,
    /// Only half of the bytes are written, without an error.
    Short,
}

/// How many images to make of one cut.
#[derive(Debug, Clone, Copy)]
pub struct Subsets {
    /// Images with one effect lost, and images with one effect kept, at most this many of each.
    pub single: usize,
    /// Images with random subsets of the effects.
    pub random: usize,
    /// Decides the random ones.
    pub seed: u64,
}

impl FaultyDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn with_image(image: Image) -> Self {
        let next_inode = image.files.keys().next_back().map_or(0, |n| n + 1);
        let state = State {
            live: image.clone(),
            begin: image,
            next_inode,
            ..State::default()
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many operations have been done.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.state().log.len()
    }

    /// An own copy of the disk as the process sees it, everything durable.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self::with_image(self.state().live.clone())
    }

    /// Every file with its content.
    #[must_use]
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.state();
        let content = |inode| {
            state
                .live
                .files
                .get(inode)
                .map(|f| f.to_vec())
                .unwrap_or_default()
        };
        state
            .live
            .names
            .iter()
            .map(|(path, inode)| (PathBuf::from(path), content(inode)))
            .collect()
    }

    /// Puts a file on the disk, durably and without recording it: for damage, and for files of others.
    pub fn put(&self, path: &Path, bytes: Vec<u8>) {
        let mut state = self.state();
        let inode = match state.live.inode(path) {
            Some(inode) => inode,
            None => {
                let inode = state.next_inode;
                state.next_inode += 1;
                inode
            }
        };
        for dir in path.ancestors().skip(1) {
            state.live.dirs.insert(dir.to_owned());
        }
        state.live.names.insert(path.into(), inode);
        state.live.files.insert(inode, Arc::new(bytes));
        state.begin = state.live.clone();
        state.log.clear();
        state.dirty_files.clear();
        state.dirty_dirs.clear();
    }

    /// Lets operations fail from now on.
    pub fn inject(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    /// Takes all injected faults back.
    pub fn heal(&self) {
        self.state().faults.clear();
    }

    /// How often an injected fault was met.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.state().hits
    }

    /// Lets so many changes come through and none behind them, as when the process ends.
    pub fn stop_after(&self, operations: usize) {
        self.state().left = Some(operations);
    }

    /// Another process begins: it may write, and nobody else holds a lock.
    pub fn go_on(&self) {
        let mut state = self.state();
        state.left = None;
        state.locked.clear();
        state.forget_durable();
    }

    /// Lets the record begin now, if everything is durable: for those who cut it off only at what comes. Without this it
    /// grows with all that was ever written.
    pub fn forget_durable(&self) {
        let mut state = self.state();
        if state.log.len() > RECORD_MIN {
            state.forget_durable();
        }
    }

    /// What [`Vfs::free_space`] says.
    pub fn set_free_space(&self, bytes: u64) {
        self.state().free = Some(bytes);
    }

    /// The disks that a power cut after `cut` operations could leave, without repetition: nothing unsynced kept,
    /// everything kept, each single effect lost or kept, and random subsets.
    #[must_use]
    pub fn crash_images(&self, cut: usize, subsets: &Subsets) -> Vec<Self> {
        let (durable, effects) = self.state().at(cut);
        let choices = subsets.of(effects.len(), cut);
        choices
            .into_iter()
            .map(|keep| Self::with_image(durable.with(&effects, &keep)))
            .collect()
    }

    /// One of [`Self::crash_images`], by its number, which `choose` gets their count for.
    #[must_use]
    pub fn crash_image(
        &self,
        cut: usize,
        subsets: &Subsets,
        choose: impl FnOnce(usize) -> usize,
    ) -> Self {
        let (durable, effects) = self.state().at(cut);
        let mut choices = subsets.of(effects.len(), cut);
        let keep = choices.swap_remove(choose(choices.len()));
        Self::with_image(durable.with(&effects, &keep))
    }
}

impl Subsets {
    /// Which of `n` effects to keep, for each image. Never empty.
    fn of(&self, n: usize, cut: usize) -> Vec<Vec<bool>> {
        let mut choices: Vec<Vec<bool>> = vec![vec![false; n], vec![true; n]];
        let step = n.div_ceil(self.single.max(1)).max(1);
        for i in (0..n)
            .step_by(step)
            .take(if self.single == 0 { 0 } else { n })
        {
            choices.push((0..n).map(|j| j != i).collect());
            choices.push((0..n).map(|j| j == i).collect());
        }
        if n > 1 {
            let mut random = Random(self.seed ^ (cut as u64) << 20);
            for _ in 0..self.random {
                choices.push((0..n).map(|_| random.next() & 1 == 0).collect());
            }
        }
        choices.sort();
        choices.dedup();
        choices
    }
}

/// SplitMix64: enough to choose subsets by.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) >> 8
    }
}

impl State {
    fn forget_durable(&mut self) {
        if self.dirty_files.is_empty() && self.dirty_dirs.is_empty() {
            for op in self.log.drain(..) {
                self.begin.apply(&op);
            }
            self.begin.forget_nameless();
        }
    }

    /// What is durable after a number of operations, and the effects that are not, in order.
    fn at(&self, cut: usize) -> (Image, Vec<Effect>) {
        let mut durable = self.begin.clone();
        let mut seen = self.begin.clone();
        let mut pending: Vec<Effect> = Vec::new();
        for op in self.log.iter().take(cut) {
            let (now, later): (Vec<Effect>, Vec<Effect>) = match op {
                Op::SyncDir { dir } => pending.into_iter().partition(|e| e.is_in_dir(dir)),
                Op::SyncFile { inode } => {
                    pending.into_iter().partition(|e| e.inode() == Some(*inode))
                }
                other => {
                    pending.extend(seen.effects_of(other));
                    (Vec::new(), pending)
                }
            };
            for effect in &now {
                durable.take_effect(effect);
            }
            pending = later;
            seen.apply(op);
        }
        (durable, pending)
    }

    /// Drops a file that can neither be read nor found any more.
    fn forget_closed(&mut self, inode: u64) {
        let is_open = self.open.contains_key(&inode);
        if !is_open && !self.live.names.values().any(|named| *named == inode) {
            self.live.files.remove(&inode);
        }
    }

    /// Notes what an operation leaves to be synced, or syncs.
    fn soil(&mut self, op: &Op) {
        let dir = |path: &Path| path.parent().map(Path::to_owned);
        // A file that no name leads to is nothing to sync once the directory is.
        if let Op::Remove { path } | Op::Rename { to: path, .. } = op
            && let Some(inode) = self.live.inode(path)
        {
            self.dirty_files.remove(&inode);
        }
        match op {
            Op::Create { path, .. } | Op::Remove { path } => self.dirty_dirs.extend(dir(path)),
            Op::Rename { from, to } => {
                self.dirty_dirs.extend(dir(from).into_iter().chain(dir(to)));
            }
            Op::SyncDir { dir } => {
                self.dirty_dirs.remove(dir);
            }
            Op::Write { inode, .. } | Op::SetLen { inode, .. } => {
                self.dirty_files.insert(*inode);
            }
            Op::SyncFile { inode } => {
                self.dirty_files.remove(inode);
            }
        }
    }

    fn apply(&mut self, op: Op) {
        self.soil(&op);
        let replaced = match &op {
            Op::Remove { path } | Op::Rename { to: path, .. } => self.live.inode(path),
            _ => None,
        };
        self.live.apply(&op);
        if let Some(inode) = replaced {
            self.forget_closed(inode);
        }
        self.log.push(op);
    }

    /// Whether a fault hits this operation, and how.
    fn fault(&mut self, on: FaultOn, path: &Path) -> Option<FaultHow> {
        if self.faults.is_empty() {
            return None;
        }
        let name = path
            .file_name()
            .and_then(|n| n.to_str())
            .unwrap_or_default();
        for fault in self
            .faults
            .iter_mut()
            .filter(|f| f.on == on && name.contains(f.name))
        {
            if fault.after > 0 {
                fault.after -= 1;
            } else if fault.times > 0 {
                fault.times = fault
                    .times
                    .saturating_sub(usize::from(fault.times != usize::MAX));
                self.hits += 1;
                return Some(fault.how);
            }
        }
        None
    }

    /// Counts a change. An error if the process has ended.
    fn pass(&mut self) -> io::Result<()> {
        match &mut self.left {
            Some(0) => Err(io::Error::other("the process has ended")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn check(&mut self, on: FaultOn, path: &Path) -> io::Result<()> {
        match self.fault(on, path) {
            None | Some(FaultHow::Short) => Ok(()),
            Some(how) => Err(how.error()),
        }
    }

    fn inode(&self, path: &Path) -> io::Result<u64> {
        self.live
            .inode(path)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl FaultHow {
    fn error(self) -> io::Error {
        match self {
            Self::NoSpace => io::ErrorKind::StorageFull.into(),
            Self::Io | Self::Short => io::Error::other("injected input/output error"),
        }
    }
}

impl Vfs for FaultyDisk {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
        let mut state = self.state();
        state.pass()?;
        state.check(FaultOn::Create, path)?;
        if state.live.inode(path).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if !path
            .parent()
            .is_some_and(|dir| state.live.dirs.contains(dir))
        {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inode = state.next_inode;
        state.next_inode += 1;
        state.apply(Op::Create {
            path: path.to_owned(),
            inode,
        });
        *state.open.entry(inode).or_default() += 1;
        Ok(Box::new(OpenFile {
            disk: self.clone(),
            path: path.to_owned(),
            inode,
            writable: true,
        }))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn VfsFile>> {
        let mut state = self.state();
        let inode = state.inode(path)?;
        *state.open.entry(inode).or_default() += 1;
        let writable = access == Access::Write;
        Ok(Box::new(OpenFile {
            disk: self.clone(),
            path: path.to_owned(),
            inode,
            writable,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.pass()?;
        state.check(FaultOn::Rename, to)?;
        state.inode(from)?;
        state.apply(Op::Rename {
            from: from.to_owned(),
            to: to.to_owned(),
        });
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.pass()?;
        state.check(FaultOn::Remove, path)?;
        state.inode(path)?;
        state.apply(Op::Remove {
            path: path.to_owned(),
        });
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let state = self.state();
        if !state.live.dirs.contains(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mut prefix = dir.as_os_str().to_owned();
        prefix.push("/");
        let prefix = prefix.as_encoded_bytes();
        let names = state.live.names.iter();
        Ok(names
            .filter_map(|(path, inode)| {
                let name = path.as_encoded_bytes().strip_prefix(prefix)?;
                let name = std::str::from_utf8(name)
                    .ok()
                    .filter(|n| !n.contains('/'))?;
                Some(DirEntry {
                    name: name.to_owned(),
                    len: state.live.len(*inode),
                    modified_ms: 0,
                })
            })
            .collect())
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        // Directories are made once, before anything is promised: they never get lost here.
        let mut state = self.state();
        for dir in dir.ancestors() {
            state.live.dirs.insert(dir.to_owned());
            state.begin.dirs.insert(dir.to_owned());
        }
        Ok(())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let state = self.state();
        Ok(state.live.inode(path).is_some() || state.live.dirs.contains(path))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.pass()?;
        state.check(FaultOn::SyncDir, dir)?;
        state.apply(Op::SyncDir {
            dir: dir.to_owned(),
        });
        Ok(())
    }

    fn free_space(&self, _: &Path) -> io::Result<u64> {
        Ok(self.state().free.unwrap_or(u64::MAX))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send>> {
        if !self.state().locked.insert(path.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(Lock {
            disk: self.clone(),
            path: path.to_owned(),
        }))
    }
}

struct Lock {
    disk: FaultyDisk,
    path: PathBuf,
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.disk.state().locked.remove(&self.path);
    }
}

#[derive(Debug)]
struct OpenFile {
    disk: FaultyDisk,
    path: PathBuf,
    inode: u64,
    writable: bool,
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if let Some(open) = state.open.get_mut(&self.inode) {
            *open -= 1;
            if *open == 0 {
                state.open.remove(&self.inode);
                state.forget_closed(self.inode);
            }
        }
    }
}

impl OpenFile {
    fn change(&mut self, op: Op) -> io::Result<()> {
        let mut state = self.disk.state();
        if !self.writable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        state.pass()?;
        state.check(FaultOn::Write, &self.path)?;
        state.apply(op);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.pass()?;
        if let Err(e) = state.check(FaultOn::Sync, &self.path) {
            // The kernel marks the pages clean although they were never written (P29): the file reads as before, but
            // what was unsynced is out of reach of every later sync.
            state.forget_unsynced(self.inode);
            return Err(e);
        }
        state.apply(Op::SyncFile { inode: self.inode });
        Ok(())
    }
}

impl State {
    /// Takes this file's unsynced writes out of the record, but not out of what the process sees.
    fn forget_unsynced(&mut self, inode: u64) {
        let synced = self
            .log
            .iter()
            .rposition(|op| matches!(op, Op::SyncFile { inode: i } if *i == inode));
        let keep_to = synced.map_or(0, |at| at + 1);
        let mut at = 0;
        self.log.retain(|op| {
            at += 1;
            let unsynced = matches!(op, Op::Write { inode: i, .. } | Op::SetLen { inode: i, .. } if *i == inode);
            at <= keep_to || !unsynced
        });
        self.dirty_files.remove(&inode);
    }
}

impl VfsFile for OpenFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.state();
        state.check(FaultOn::Read, &self.path)?;
        let Some(file) = state.live.files.get(&self.inode) else {
            return Ok(0);
        };
        let rest = file.get(offset as usize..).unwrap_or_default();
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let fault = {
            let mut state = self.disk.state();
            state.pass()?;
            state.fault(FaultOn::Write, &self.path)
        };
        let n = match fault {
            Some(FaultHow::Short) => bytes.len().div_ceil(2),
            Some(how) => return Err(how.error()),
            None => bytes.len(),
        };
        if !self.writable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let op = Op::Write {
            inode: self.inode,
            offset,
            bytes: bytes[..n].to_vec(),
        };
        self.disk.state().apply(op);
        Ok(n)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&mut self) -> io::Result<()> {
        self.sync()
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.change(Op::SetLen {
            inode: self.inode,
            len,
        })
    }

    fn preallocate(&mut self, len: u64) -> io::Result<()> {
        if self.size()? < len {
            self.set_len(len)
        } else {
            Ok(())
        }
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.state().live.len(self.inode))
    }
}
