//! What reads need and commits change.

use std::collections::{BTreeMap, VecDeque};

use zabra_jute::Limits;
use zabra_proto::txn::Payload;
use zabra_proto::{SessionId, Txn, TxnDigest, Zxid};
use zabra_tree::{Applied, DataTree, EventSink};

/// The trees of two servers differ, or ours is not what the transaction says (P56). It stays once raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alarm {
    /// The first transaction after which the digests differed.
    pub zxid: Zxid,
    /// The digest that the transaction carries.
    pub expected: u64,
    /// The digest of the tree.
    pub actual: u64,
}

/// The state that transactions build: the same on every server that has applied the same ones (R5).
pub struct Replica {
    /// The znodes.
    pub tree: DataTree,
    sessions: BTreeMap<SessionId, i32>,
    last_zxid: Zxid,
    alarm: Option<Alarm>,
    mismatches: u64,
    digest_log: VecDeque<(Zxid, u64)>,
    /// Up to here digests are not compared.
    fuzzy_up_to: Zxid,
}

/// Every so many transactions the digest is noted, for the `hash` word; the newest notes are kept (protocol 15).
const DIGEST_LOG_INTERVAL: u64 = 128;
const DIGEST_LOG_LEN_MAX: usize = 1024;

impl Replica {
    /// A replica as it was read from disk.
    #[must_use]
    pub fn new(tree: DataTree, sessions: BTreeMap<SessionId, i32>, last_zxid: Zxid) -> Self {
        Self {
            tree,
            sessions,
            last_zxid,
            alarm: None,
            mismatches: 0,
            digest_log: VecDeque::new(),
            fuzzy_up_to: Zxid::ZERO,
        }
    }

    /// The last transaction that is in the tree.
    #[must_use]
    pub fn last_zxid(&self) -> Zxid {
        self.last_zxid
    }

    /// The sessions that exist, with their timeouts in ms, by id.
    #[must_use]
    pub fn sessions(&self) -> &BTreeMap<SessionId, i32> {
        &self.sessions
    }

    /// The first digest mismatch, if there was one, and how many there were.
    #[must_use]
    pub fn alarm(&self) -> Option<(Alarm, u64)> {
        self.alarm.map(|alarm| (alarm, self.mismatches))
    }

    /// Says that the tree may already hold effects of transactions up to this one, as after a snapshot that Apache wrote
    /// while transactions went on. Until then no digest can agree (protocol 14.3).
    pub fn set_fuzzy_up_to(&mut self, zxid: Zxid) {
        self.fuzzy_up_to = zxid;
    }

    /// Digests of the tree at every 128th zxid, oldest first.
    pub fn digest_log(&self) -> impl Iterator<Item = (Zxid, u64)> {
        self.digest_log.iter().copied()
    }

    /// Applies a transaction; what it triggers goes to `events`, in order. Only now does [`Self::last_zxid`] rise, so
    /// that nobody sees half of a multi (P100).
    pub fn apply(&mut self, payload: &Payload<'_>, events: &mut impl EventSink) -> Applied {
        let Payload {
            header,
            txn,
            digest,
        } = payload;
        assert!(
            header.zxid > self.last_zxid,
            "{} applied after {} (R2)",
            header.zxid,
            self.last_zxid
        );
        match txn {
            Txn::CreateSession(t) => {
                self.sessions.insert(header.session, t.timeout_ms);
            }
            Txn::CloseSession(_) => {
                self.sessions.remove(&header.session);
            }
            _ => {}
        }
        let applied = self.tree.apply(header, txn, events);
        self.last_zxid = header.zxid;
        if header.zxid >= self.fuzzy_up_to {
            if let Some(digest) = digest {
                self.compare(header.zxid, *digest);
            }
            self.note_digest();
        }
        applied
    }

    /// Decodes the bytes of a transaction that was validated when it was proposed or received.
    ///
    /// # Panics
    /// If the bytes are not a transaction: then this server can no longer follow, and must stop (P58).
    #[must_use]
    pub fn decode(payload: &[u8]) -> Payload<'_> {
        match Payload::decode(
            payload,
            Limits {
                value_len_max: payload.len(),
            },
        ) {
            Ok(payload) => payload,
            Err(e) => panic!("a committed transaction cannot be decoded: {e}"),
        }
    }

    /// Drops ephemerals whose session is not known, as Apache does at each start (protocol 14.1), and returns how many.
    pub fn drop_orphans(&mut self) -> usize {
        let orphaned = |session: &SessionId| !self.sessions.contains_key(session);
        let owners: Vec<SessionId> = self
            .tree
            .ephemeral_owners()
            .into_iter()
            .filter(orphaned)
            .collect();
        let mut dropped = 0;
        for session in owners {
            dropped += self.tree.ephemeral_count_of(session);
            self.tree
                .delete_ephemerals(session, self.last_zxid, &mut ());
        }
        dropped
    }

    fn note_digest(&mut self) {
        let Some(digest) = self
            .tree
            .digest()
            .filter(|_| self.last_zxid.0.is_multiple_of(DIGEST_LOG_INTERVAL))
        else {
            return;
        };
        if self.digest_log.len() == DIGEST_LOG_LEN_MAX {
            self.digest_log.pop_front();
        }
        self.digest_log.push_back((self.last_zxid, digest));
    }

    fn compare(&mut self, zxid: Zxid, digest: TxnDigest) {
        let Some(actual) = self
            .tree
            .digest()
            .filter(|_| digest.version == TxnDigest::VERSION)
        else {
            return;
        };
        let expected = digest.tree_digest.cast_unsigned();
        if expected != actual {
            self.mismatches += 1;
            self.alarm.get_or_insert(Alarm {
                zxid,
                expected,
                actual,
            });
        }
    }
}
