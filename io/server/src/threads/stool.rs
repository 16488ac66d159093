//! A seat without sockets: it logs what it is asked to, applies what is durable, and answers.

use std::collections::{BTreeSet, VecDeque};
use std::mem::take;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use shuttle::rand::Rng;
use zabra_jute::Encode;
use zabra_peer::Now;
use zabra_proto::txn::{CreateTxn, Payload};
use zabra_proto::{SessionId, Txn, TxnHeader, TxnKind, WallMillis, Xid, Zxid};
use zabra_serve::Replica;
use zabra_storage::MarkFile;

use crate::seat::{
    Durable, Fatal, Letters, MemberLetter, Pending, Record, Seated, Shared, clock, hear,
};
use crate::sync::{Bell, Condvar, Mutex, RwLock};

/// What a client wants. The number is its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    Write(u32),
    Read(u32),
}

/// Where clients and the poller meet.
#[derive(Default)]
pub(super) struct Hall {
    pub(super) bell: Arc<Bell>,
    asked: Mutex<Vec<Ask>>,
    answered: Mutex<BTreeSet<u32>>,
    told: Condvar,
    polled: AtomicBool,
}

impl Hall {
    pub(super) fn new(bell: Arc<Bell>) -> Self {
        Self {
            bell,
            ..Self::default()
        }
    }

    pub(super) fn ask(&self, ask: Ask) {
        let mut asked = self.asked.lock().unwrap();
        asked.push(ask);
        self.bell.set_sockets(true);
    }

    /// Waits for the answer.
    pub(super) fn hear(&self, number: u32) {
        let answered = self.answered.lock().unwrap();
        let waited = self
            .told
            .wait_while(answered, |answered| !answered.contains(&number));
        drop(waited.unwrap());
    }

    fn take(&self) -> Vec<Ask> {
        let mut asked = self.asked.lock().unwrap();
        self.bell.set_sockets(false);
        take(&mut *asked)
    }

    fn answer(&self, number: u32) {
        let is_new = self.answered.lock().unwrap().insert(number);
        assert!(is_new, "{number} is answered twice");
        self.told.notify_all();
    }
}

/// The seat.
pub(super) struct Stool {
    pub(super) hall: Arc<Hall>,
    pub(super) pending: Pending,
    pub(super) replica: Arc<RwLock<Replica>>,
    pub(super) mark: Arc<MarkFile>,
    /// What is logged and not applied, with who asked for it.
    pub(super) unapplied: VecDeque<(Record, u32)>,
    pub(super) next: u32,
    pub(super) told: Zxid,
    /// How often of a hundred times a batch is handed on.
    pub(super) hands_on: u32,
    /// Whether a snapshot is wanted whenever there is none under way.
    pub(super) snapshots: bool,
    pub(super) snapshot_runs: bool,
    /// What has come of jobs.
    pub(super) jobs_done: Arc<Mutex<usize>>,
}

impl Stool {
    fn take_asked(&mut self) {
        for ask in self.hall.take() {
            match ask {
                Ask::Read(number) => {
                    let _ = self.replica.read().unwrap().last_zxid();
                    self.hall.answer(number);
                }
                Ask::Write(number) => {
                    let record = record(Zxid::new(0, self.next));
                    self.next += 1;
                    self.unapplied.push_back((record.clone(), number));
                    self.pending.batch.push(record);
                }
            }
        }
    }

    fn apply_to(&mut self, last: Zxid) {
        while let Some((record, number)) = self.unapplied.pop_front_if(|(r, _)| r.zxid <= last) {
            let mut replica = self.replica.write().unwrap();
            let _ = replica.apply(&Replica::decode(&record.payload), &mut ());
            drop(replica);
            self.hall.answer(number);
        }
    }

    /// How far the mark says that the log is on disk.
    fn synced(&self) -> Zxid {
        let mark = self.mark.current();
        let segments = mark.sealed.iter().chain(&mark.open);
        segments
            .map(|segment| segment.last)
            .max()
            .unwrap_or(Zxid::ZERO)
    }
}

impl Seated for Stool {
    fn round(&mut self, shared: &Shared<Self>) -> Result<(), Fatal> {
        let was = self.hall.polled.swap(true, Ordering::Relaxed);
        assert!(!was, "two threads poll");
        let now = clock::now().mono;
        let timeout = self.pending.timeout(&shared.flusher, now, Duration::MAX);
        if timeout != Some(Duration::ZERO) {
            shared.handover.rest()?;
        }
        let rung = self.hall.bell.wait(timeout);
        if rung.waker {
            hear(self, shared, clock::now());
        }
        if rung.sockets {
            self.take_asked();
        }
        let pending = &mut self.pending;
        pending
            .gathering
            .note(pending.batch.len(), clock::now().mono);
        self.hall.polled.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn pending(&mut self) -> &mut Pending {
        &mut self.pending
    }

    fn hands_on(&self, _: usize) -> bool {
        shuttle::rand::thread_rng().gen_ratio(self.hands_on, 100)
    }

    fn on_durable(&mut self, durable: Durable, shared: &Shared<Self>, now: Now) {
        assert!(durable.last >= self.told, "flushes are told in order");
        assert!(durable.last <= self.synced(), "what is told is on disk");
        self.told = durable.last;
        self.pending.gathering.on_flushed(now.mono);
        self.apply_to(durable.last);
        if self.snapshots && !self.snapshot_runs && !self.pending.stopping {
            self.snapshot_runs = true;
            shared.flusher.ask_for_roll();
            shared.background.ask_for_snapshot();
        }
    }

    fn on_letters(&mut self, letters: Letters, _: Now) {
        if letters.snapshot.is_some() {
            assert!(take(&mut self.snapshot_runs), "no snapshot was asked for");
        }
        for letter in letters.member {
            assert!(matches!(letter, MemberLetter::Job(_)));
            *self.jobs_done.lock().unwrap() += 1;
        }
        self.pending.stopping |= letters.stop;
    }

    fn is_at_rest(&self) -> bool {
        true
    }

    fn part(&mut self) {
        assert!(self.unapplied.is_empty(), "what was taken is finished");
    }
}

/// The record of a transaction that creates `/n<number>`.
pub(super) fn record(zxid: Zxid) -> Record {
    let path = format!("/n{}", zxid.counter());
    let payload = Payload {
        header: TxnHeader {
            session: SessionId(7),
            cxid: Xid(1),
            zxid,
            time: WallMillis(1_700_000_000_000),
            kind: TxnKind::Create,
        },
        txn: Txn::Create(CreateTxn {
            path: path.as_str().into(),
            data: Some(&[b'x'; VALUE_LEN]),
            acl: Some(Vec::new()),
            ephemeral: false,
            parent_cversion: -1,
        }),
        digest: None,
    };
    let mut bytes = Vec::new();
    payload.encode(&mut bytes);
    Record {
        zxid,
        payload: bytes.into(),
    }
}

/// So that a few znodes are more than one chunk of a snapshot.
const VALUE_LEN: usize = 40 << 10;
