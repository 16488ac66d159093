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

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zabra_storage::{Access, DirEntry, Vfs, VfsFile};

/// The size of what a disk writes at once or not at all.
pub const SECTOR: u64 = 512;

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
    next_inode: u64,
    faults: Vec<Fault>,
    hits: u64,
    /// So many operations still come through, if that is limited.
    left: Option<usize>,
    free: Option<u64>,
    locked: BTreeSet<PathBuf>,
}

/// Names and contents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Image {
    names: BTreeMap<PathBuf, u64>,
    files: BTreeMap<u64, Vec<u8>>,
    dirs: BTreeSet<PathBuf>,
}

/// What was done to the disk.
#[derive(Debug, Clone)]
enum Op {
    Create {
        path: PathBuf,
        inode: u64,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Remove {
        path: PathBuf,
    },
    SyncDir {
        dir: PathBuf,
    },
    Write {
        inode: u64,
        offset: u64,
        bytes: Vec<u8>,
    },
    SetLen {
        inode: u64,
        len: u64,
    },
    SyncFile {
        inode: u64,
    },
}

/// An effect that a crash may lose while others are kept: names one by one, lengths one by one, bytes by the sector.
#[derive(Debug, Clone)]
enum Effect {
    /// A name leads to a file, or to nothing; a rename is one effect on two names.
    Names(Vec<(PathBuf, Option<u64>)>),
    Len {
        inode: u64,
        len: u64,
    },
    Sector {
        inode: u64,
        offset: u64,
        bytes: Vec<u8>,
    },
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
        let content = |inode| state.live.files.get(inode).cloned().unwrap_or_default();
        state
            .live
            .names
            .iter()
            .map(|(path, inode)| (path.clone(), content(inode)))
            .collect()
    }

    /// Puts a file on the disk, durably and without recording it: for damage, and for files of others.
    pub fn put(&self, path: &Path, bytes: Vec<u8>) {
        let mut state = self.state();
        let inode = match state.live.names.get(path) {
            Some(inode) => *inode,
            None => {
                let inode = state.next_inode;
                state.next_inode += 1;
                inode
            }
        };
        for dir in path.ancestors().skip(1) {
            state.live.dirs.insert(dir.to_owned());
        }
        state.live.names.insert(path.to_owned(), inode);
        state.live.files.insert(inode, bytes);
        state.begin = state.live.clone();
        state.log.clear();
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

    /// What [`Vfs::free_space`] says.
    pub fn set_free_space(&self, bytes: u64) {
        self.state().free = Some(bytes);
    }

    /// The disks that a power cut after `cut` operations could leave, without repetition: nothing unsynced kept,
    /// everything kept, each single effect lost or kept, and random subsets.
    #[must_use]
    pub fn crash_images(&self, cut: usize, subsets: &Subsets) -> Vec<Self> {
        let (durable, effects) = self.state().at(cut);
        let n = effects.len();
        let mut choices: Vec<Vec<bool>> = vec![vec![false; n], vec![true; n]];
        let step = n.div_ceil(subsets.single.max(1)).max(1);
        for i in (0..n)
            .step_by(step)
            .take(if subsets.single == 0 { 0 } else { n })
        {
            choices.push((0..n).map(|j| j != i).collect());
            choices.push((0..n).map(|j| j == i).collect());
        }
        if n > 1 {
            let mut random = Random(subsets.seed ^ (cut as u64) << 20);
            for _ in 0..subsets.random {
                choices.push((0..n).map(|_| random.next() & 1 == 0).collect());
            }
        }
        choices.sort();
        choices.dedup();
        choices
            .into_iter()
            .map(|keep| {
                let kept = effects.iter().zip(keep).filter_map(|(e, k)| k.then_some(e));
                Self::with_image(durable.with(kept))
            })
            .collect()
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
    /// Lets the record begin at the last moment when everything was durable.
    fn forget_durable(&mut self) {
        let mut settled = 0;
        self.replay(self.log.len(), |at, pending| {
            if pending.is_empty() {
                settled = at + 1;
            }
        });
        (self.begin, _) = self.at(settled);
        self.log.drain(..settled);
    }

    /// What is durable after a number of operations, and the effects that are not, in order.
    fn at(&self, cut: usize) -> (Image, Vec<Effect>) {
        self.replay(cut, |_, _| {})
    }

    /// The same, with a look after each operation.
    fn replay(&self, cut: usize, mut look: impl FnMut(usize, &[Effect])) -> (Image, Vec<Effect>) {
        let mut durable = self.begin.clone();
        let mut seen = self.begin.clone();
        let mut pending: Vec<Effect> = Vec::new();
        for (at, op) in self.log.iter().take(cut).enumerate() {
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
            look(at, &pending);
        }
        (durable, pending)
    }

    fn apply(&mut self, op: Op) {
        self.live.apply(&op);
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
            .names
            .get(path)
            .copied()
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

impl Image {
    /// The image with some effects on top.
    fn with<'e>(&self, effects: impl Iterator<Item = &'e Effect>) -> Self {
        let mut image = self.clone();
        for effect in effects {
            image.take_effect(effect);
        }
        // What no name leads to is gone after a crash.
        let named: BTreeSet<u64> = image.names.values().copied().collect();
        image.files.retain(|inode, _| named.contains(inode));
        image
    }

    fn take_effect(&mut self, effect: &Effect) {
        match effect {
            Effect::Names(changes) => {
                for (path, inode) in changes {
                    match inode {
                        Some(inode) => {
                            self.names.insert(path.clone(), *inode);
                            self.files.entry(*inode).or_default();
                        }
                        None => {
                            self.names.remove(path);
                        }
                    }
                }
            }
            Effect::Len { inode, len } => self.file(*inode).resize(*len as usize, 0),
            Effect::Sector {
                inode,
                offset,
                bytes,
            } => {
                // Bytes beyond a length that was lost are lost with it.
                let file = self.file(*inode);
                let at = (*offset as usize).min(file.len());
                let n = bytes.len().min(file.len() - at);
                file[at..at + n].copy_from_slice(&bytes[..n]);
            }
        }
    }

    fn file(&mut self, inode: u64) -> &mut Vec<u8> {
        self.files.entry(inode).or_default()
    }

    fn len(&self, inode: u64) -> u64 {
        self.files.get(&inode).map_or(0, |f| f.len() as u64)
    }

    /// The separate effects of an operation, given what was visible before it.
    fn effects_of(&self, op: &Op) -> Vec<Effect> {
        match op {
            Op::Create { path, inode } => vec![Effect::Names(vec![(path.clone(), Some(*inode))])],
            Op::Remove { path } => vec![Effect::Names(vec![(path.clone(), None)])],
            Op::Rename { from, to } => {
                let inode = self.names.get(from).copied();
                vec![Effect::Names(vec![
                    (from.clone(), None),
                    (to.clone(), inode),
                ])]
            }
            Op::SetLen { inode, len } => vec![Effect::Len {
                inode: *inode,
                len: *len,
            }],
            Op::Write {
                inode,
                offset,
                bytes,
            } => {
                let mut effects = Vec::new();
                let end = offset + bytes.len() as u64;
                if end > self.len(*inode) {
                    effects.push(Effect::Len {
                        inode: *inode,
                        len: end,
                    });
                }
                let mut at = *offset;
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    let (now, later) =
                        rest.split_at(rest.len().min((SECTOR - at % SECTOR) as usize));
                    effects.push(Effect::Sector {
                        inode: *inode,
                        offset: at,
                        bytes: now.to_vec(),
                    });
                    at += now.len() as u64;
                    rest = later;
                }
                effects
            }
            Op::SyncDir { .. } | Op::SyncFile { .. } => Vec::new(),
        }
    }

    fn apply(&mut self, op: &Op) {
        for effect in self.effects_of(op) {
            self.take_effect(&effect);
        }
    }
}

impl Effect {
    fn inode(&self) -> Option<u64> {
        match self {
            Self::Names(_) => None,
            Self::Len { inode, .. } | Self::Sector { inode, .. } => Some(*inode),
        }
    }

    fn is_in_dir(&self, dir: &Path) -> bool {
        match self {
            Self::Names(changes) => changes.iter().any(|(path, _)| path.parent() == Some(dir)),
            Self::Len { .. } | Self::Sector { .. } => false,
        }
    }
}

impl Vfs for FaultyDisk {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
        let mut state = self.state();
        state.pass()?;
        state.check(FaultOn::Create, path)?;
        if state.live.names.contains_key(path) {
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
        Ok(Box::new(OpenFile {
            disk: self.clone(),
            path: path.to_owned(),
            inode,
            writable: true,
        }))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn VfsFile>> {
        let inode = self.state().inode(path)?;
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
        let here = state
            .live
            .names
            .iter()
            .filter(|(path, _)| path.parent() == Some(dir));
        Ok(here
            .filter_map(|(path, inode)| {
                let name = path.file_name()?.to_str()?.to_owned();
                Some(DirEntry {
                    name,
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
        Ok(state.live.names.contains_key(path) || state.live.dirs.contains(path))
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
