//! What is on a disk, and what operations do to it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The size of what a disk writes at once or not at all.
pub const SECTOR: u64 = 512;

/// Names and contents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Image {
    /// Compared by bytes: comparing paths goes through their components.
    pub(super) names: BTreeMap<OsString, u64>,
    /// Shared with other images until one of them changes it.
    pub(super) files: BTreeMap<u64, Arc<Vec<u8>>>,
    pub(super) dirs: BTreeSet<PathBuf>,
}

/// What was done to the disk.
#[derive(Debug, Clone)]
pub(super) enum Op {
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
pub(super) enum Effect {
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

impl Image {
    /// The image with those effects on top that are to be kept.
    pub(super) fn with(&self, effects: &[Effect], keep: &[bool]) -> Self {
        let mut image = self.clone();
        for (effect, keep) in effects.iter().zip(keep) {
            if *keep {
                image.take_effect(effect);
            }
        }
        // What no name leads to is gone after a crash.
        image.forget_nameless();
        image
    }

    pub(super) fn inode(&self, path: &Path) -> Option<u64> {
        self.names.get(path.as_os_str()).copied()
    }

    pub(super) fn forget_nameless(&mut self) {
        let named: BTreeSet<u64> = self.names.values().copied().collect();
        self.files.retain(|inode, _| named.contains(inode));
    }

    pub(super) fn take_effect(&mut self, effect: &Effect) {
        match effect {
            Effect::Names(changes) => {
                for (path, inode) in changes {
                    match inode {
                        Some(inode) => {
                            self.names.insert(path.clone().into(), *inode);
                            self.files.entry(*inode).or_default();
                        }
                        None => {
                            self.names.remove(path.as_os_str());
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

    pub(super) fn file(&mut self, inode: u64) -> &mut Vec<u8> {
        Arc::make_mut(self.files.entry(inode).or_default())
    }

    pub(super) fn len(&self, inode: u64) -> u64 {
        self.files.get(&inode).map_or(0, |f| f.len() as u64)
    }

    /// The separate effects of an operation, given what was visible before it.
    pub(super) fn effects_of(&self, op: &Op) -> Vec<Effect> {
        match op {
            Op::Create { path, inode } => vec![Effect::Names(vec![(path.clone(), Some(*inode))])],
            Op::Remove { path } => vec![Effect::Names(vec![(path.clone(), None)])],
            Op::Rename { from, to } => {
                let inode = self.inode(from);
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

    /// All effects of an operation.
    pub(super) fn apply(&mut self, op: &Op) {
        if let Op::Write {
            inode,
            offset,
            bytes,
        } = op
        {
            let file = self.file(*inode);
            let at = *offset as usize;
            file.resize(file.len().max(at + bytes.len()), 0);
            file[at..at + bytes.len()].copy_from_slice(bytes);
        } else {
            for effect in self.effects_of(op) {
                self.take_effect(&effect);
            }
        }
    }
}

impl Effect {
    pub(super) fn inode(&self) -> Option<u64> {
        match self {
            Self::Names(_) => None,
            Self::Len { inode, .. } | Self::Sector { inode, .. } => Some(*inode),
        }
    }

    pub(super) fn is_in_dir(&self, dir: &Path) -> bool {
        match self {
            Self::Names(changes) => changes.iter().any(|(path, _)| path.parent() == Some(dir)),
            Self::Len { .. } | Self::Sector { .. } => false,
        }
    }
}
