//! Images of the tree at one moment, for snapshots, written while transactions go on.
//!
//! The walk goes over the slots in short chunks, each under a read lock of the shell; a znode whose parent is not
//! written yet waits until the chain above it is. Before a transaction changes or deletes a znode that the walk has not
//! reached, it saves the znode's record as it was; a znode that is born into a slot ahead of the walk is marked. So
//! what the walk meets is what was there when the image was begun, and the extra memory is what changes meanwhile.
//!
//! Walk and writer share one number, how far the walk is. It is stored under the read lock and read under the write
//! lock, so the writer sees it exactly; were it too low, a record would be saved in vain, and no more.
//!
//! What is written are the parts of a snapshot between its header and its first seal: sessions, ACL table, znodes, end
//! marker (protocol 13.2). Files, seals and compression are `zabra-storage`'s.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

use foldhash::fast::FixedState;
use zabra_jute::Encode;
use zabra_proto::{SessionId, Zxid};

use crate::tree::{DataTree, NodeId, ROOT};

/// The tree's side of an image that is being written.
pub(crate) struct ImageState {
    id: u64,
    /// Slots from here on were not in use at the beginning.
    limit: u32,
    /// Slots below this one are written.
    done: AtomicU32,
    before: HashMap<u32, Before, FixedState>,
    saved_bytes: usize,
}

/// What a slot held at the beginning, where that is not what it holds now.
enum Before {
    Nothing,
    Znode { parent: u32, record: Box<[u8]> },
}

/// The walk's side: how far it is, and what it will write.
pub struct ImageWalk {
    id: u64,
    zxid: Zxid,
    digest: Option<u64>,
    part: Part,
    sessions: Vec<(SessionId, i32)>,
    acl_count: usize,
    acl_end: u32,
    limit: u32,
    /// Slots that were written before the walk came to them, since they are above one that it came to earlier.
    ahead: Vec<u64>,
    /// A chain that waits to be written, the topmost last.
    chain: Vec<u32>,
    path: String,
}

enum Part {
    Begin,
    Sessions(usize),
    Acls(u32),
    Znodes(u32),
    Done,
}

/// Slots that one chunk looks at, at most, so that a tree full of holes is walked in short chunks too.
const SLOTS_PER_CHUNK: u32 = 8192;

impl DataTree {
    /// Begins an image of the tree as it is now. `None` while another one is written.
    pub fn begin_image(&mut self, sessions: Vec<(SessionId, i32)>) -> Option<ImageWalk> {
        if self.image.is_some() {
            return None;
        }
        self.images_begun += 1;
        let limit = self.nodes.slots();
        self.image = Some(ImageState {
            id: self.images_begun,
            limit,
            done: AtomicU32::new(0),
            before: HashMap::default(),
            saved_bytes: 0,
        });
        self.acls.pin();
        Some(ImageWalk {
            id: self.images_begun,
            zxid: self.last_zxid,
            digest: self.digest(),
            part: Part::Begin,
            sessions,
            acl_count: self.acls.len(),
            acl_end: self.acls.end(),
            limit,
            ahead: Vec::new(),
            chain: Vec::new(),
            path: String::new(),
        })
    }

    /// Ends an image, written to its end or not: records saved for it are dropped.
    pub fn end_image(&mut self, walk: ImageWalk) {
        if self.image.as_ref().is_some_and(|image| image.id == walk.id) {
            self.image = None;
            self.acls.unpin();
        }
    }

    /// Bytes of records that transactions saved for the image that is being written.
    #[must_use]
    pub fn image_saved_bytes(&self) -> usize {
        self.image.as_ref().map_or(0, |image| image.saved_bytes)
    }

    /// To be called before anything in the slot changes that an image holds.
    pub(crate) fn image_touch(&mut self, slot: u32) {
        if !self.image.as_ref().is_some_and(|image| image.awaits(slot)) {
            return;
        }
        let mut path = String::new();
        let mut record = Vec::new();
        self.encode_record(slot, &mut path, &mut record);
        let parent = self.nodes[slot].parent;
        if let Some(image) = &mut self.image {
            image.saved_bytes += record.len();
            image.before.insert(
                slot,
                Before::Znode {
                    parent,
                    record: record.into_boxed_slice(),
                },
            );
        }
    }

    /// To be called after a znode was put into a slot.
    pub(crate) fn image_born(&mut self, slot: u32) {
        if let Some(image) = &mut self.image
            && image.awaits(slot)
        {
            image.before.insert(slot, Before::Nothing);
        }
    }

    /// A znode's record as it stands in a snapshot.
    fn encode_record(&self, slot: u32, path: &mut String, out: &mut Vec<u8>) {
        self.key_of(slot, path);
        path.as_str().encode(out);
        self.data(NodeId(slot)).encode(out);
        self.acl_id(NodeId(slot)).key().encode(out);
        self.persisted(NodeId(slot)).encode(out);
    }
}

impl ImageState {
    /// Whether the walk will come to this slot and must not find what is there now.
    fn awaits(&self, slot: u32) -> bool {
        slot < self.limit
            && slot >= self.done.load(Ordering::Relaxed)
            && !self.before.contains_key(&slot)
    }
}

impl ImageWalk {
    /// The last transaction that the image holds.
    #[must_use]
    pub const fn zxid(&self) -> Zxid {
        self.zxid
    }

    /// The tree's digest at that moment, if digests are enabled.
    #[must_use]
    pub const fn digest(&self) -> Option<u64> {
        self.digest
    }

    /// Appends about `max_bytes` of the image, at most one record more. Whether that was the end.
    ///
    /// # Panics
    /// If the tree is not the one that the walk was begun on, or its image was ended.
    pub fn chunk(&mut self, tree: &DataTree, max_bytes: usize, out: &mut Vec<u8>) -> bool {
        let image = tree.image.as_ref().filter(|image| image.id == self.id);
        let Some(image) = image else {
            panic!("an image is walked that is not begun");
        };
        let full = out.len() + max_bytes.max(1);
        let mut slots_left = SLOTS_PER_CHUNK;
        while out.len() < full && slots_left > 0 {
            match self.part {
                Part::Begin => {
                    (self.sessions.len() as i32).encode(out);
                    self.part = Part::Sessions(0);
                }
                Part::Sessions(at) => self.session(at, out),
                Part::Acls(id) => self.acl(tree, id, out),
                Part::Znodes(slot) => {
                    slots_left -= 1;
                    self.znode(tree, image, slot, out);
                }
                Part::Done => return true,
            }
        }
        // A chain in work is not written, and lies ahead.
        let done = match self.part {
            Part::Znodes(slot) => slot,
            Part::Done => self.limit,
            _ => 0,
        };
        image.done.store(done, Ordering::Relaxed);
        matches!(self.part, Part::Done)
    }

    fn session(&mut self, at: usize, out: &mut Vec<u8>) {
        if let Some((session, timeout)) = self.sessions.get(at) {
            session.encode(out);
            timeout.encode(out);
            self.part = Part::Sessions(at + 1);
        } else {
            self.sessions = Vec::new();
            (self.acl_count as i32).encode(out);
            self.part = Part::Acls(1);
        }
    }

    fn acl(&mut self, tree: &DataTree, id: u32, out: &mut Vec<u8>) {
        if id >= self.acl_end {
            self.ahead = vec![0; self.limit.div_ceil(64) as usize];
            self.part = Part::Znodes(ROOT);
            return;
        }
        if let Some(list) = tree.acls.get(id) {
            i64::from(id).encode(out);
            list.encode(out);
        }
        self.part = Part::Acls(id + 1);
    }

    /// Writes one znode: the topmost that waits, or that of the slot.
    fn znode(&mut self, tree: &DataTree, image: &ImageState, slot: u32, out: &mut Vec<u8>) {
        if self.chain.is_empty() {
            self.climb(tree, image, slot);
        }
        if let Some(top) = self.chain.pop() {
            match image.before.get(&top) {
                Some(Before::Znode { record, .. }) => out.extend_from_slice(record),
                Some(Before::Nothing) => {}
                None => tree.encode_record(top, &mut self.path, out),
            }
            self.ahead[(top / 64) as usize] |= 1 << (top % 64);
        }
        if self.chain.is_empty() {
            self.part = Part::Znodes(slot + 1);
            if slot + 1 >= self.limit {
                "/".encode(out);
                self.part = Part::Done;
            }
        }
    }

    /// Puts a slot on the chain, and what is above it and not written.
    fn climb(&mut self, tree: &DataTree, image: &ImageState, slot: u32) {
        let mut at = slot;
        while !self.is_written(slot, at) {
            // Who was whose parent never changes while both live, and no slot that the walk awaits is used again
            // without leaving a trace in `before`.
            let parent = match image.before.get(&at) {
                Some(Before::Znode { parent, .. }) => *parent,
                Some(Before::Nothing) => return,
                None => match tree.nodes.get(at) {
                    Some(node) => node.parent,
                    None => return,
                },
            };
            self.chain.push(at);
            if at == ROOT {
                return;
            }
            at = parent;
        }
    }

    fn is_written(&self, walked: u32, slot: u32) -> bool {
        slot < walked || self.ahead[(slot / 64) as usize] & (1 << (slot % 64)) != 0
    }
}
