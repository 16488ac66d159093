//! The seat: everything that one thread owns while it polls, and the round it goes through.
//!
//! A round: wait; read each ready socket once, answer its reads, hand its writes to the peer, until there is much to carry
//! out; carry out what the peer wants; send; then, with a batch to log, flush. Whoever holds the [`Seat`] is the poller.
//! A large batch is flushed by the other thread; during a flush of the poller's own the seat can change hands
//! ([`Handover`]). So reads, heartbeats and the next batch go on; `turn` is the loop of both threads.
//! Why it is so, with figures: `docs/decisions/0001-poller-round.md`.
//!
//! | Here | |
//! |---|---|
//! | [`Handover`], [`Flusher`], `turn` | who polls, who flushes |
//! | [`when_to_flush`], `pending` | when a flush waits for more |
//! | `doorway` | sockets of clients in and out |
//! | `effects`, `member` | what the peer wants done; what of it only a member of an ensemble does |
//! | `answer` | four-letter words |
//! | `snapshots`, `mail`, [`clock`] | when a snapshot is due; letters of other threads; time |

mod answer;
pub mod clock;
mod doorway;
mod effects;
mod flusher;
mod gather;
mod handover;
mod mail;
mod member;
mod pending;
mod snapshots;
#[cfg_attr(
    shuttle,
    expect(dead_code, reason = "the model of time has one of its own")
)]
mod timer;
mod turn;

use std::collections::VecDeque;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tracing::{info, warn};
use zabra_peer::{Effect, Input, Now, Peer};
use zabra_proto::{ConnId, MonoMillis, Zxid};
use zabra_serve::{Clients, Replica};
use zabra_storage::LogError;

pub(crate) use answer::Desk;
pub(crate) use doorway::Doorway;
pub use flusher::{Durable, Flusher, Record};
pub(crate) use gather::Gathering;
pub use gather::{FlushAt, FlushRules, Gathered, when_to_flush};
pub use handover::{Handover, PATIENCE, Patience, Turn, WORTH_A_WAKE};
pub(crate) use mail::Letters;
pub use mail::Mailbox;
pub(crate) use member::{Listeners, Member, MemberLetter, MemberOptions, listen};
pub(crate) use pending::Pending;
pub(crate) use snapshots::SnapshotPlan;
#[cfg(not(shuttle))]
pub(crate) use timer::Timer;
pub(crate) use turn::{Seated, hear, take_turns};

use crate::audit::AuditLog;
use crate::history::Failure;
use crate::links::BindError;
use crate::net::{ReadOutcome, Ready, Source};
use crate::run::{Background, Replaced};
use crate::stats::{Advanced, Basic, Counter, Metrics};
use crate::sync::RwLock;

/// Why the process must end.
#[derive(Debug, Error)]
pub enum Fatal {
    /// The history cannot be written any more (R1, R3).
    #[error(transparent)]
    Log(#[from] LogError),
    /// The system refuses what the loop cannot do without.
    #[error("the server's loop failed: {0}")]
    Loop(#[from] std::io::Error),
    /// A member's history cannot be cut, replaced or given an epoch (R3).
    #[error("the history cannot be changed: {0}")]
    History(#[from] Failure),
    /// The ports of a newer membership cannot be opened.
    #[error(transparent)]
    ElectionPort(BindError),
    /// The leader decided something else than it proposed.
    #[error("the leader decided {committed}, and {expected} was to be decided next")]
    CommitOutOfOrder {
        /// What was decided.
        committed: Zxid,
        /// What should have been.
        expected: Zxid,
    },
    /// A leader's history replaced the own one, and what belongs to it cannot be heard any more.
    #[error(
        "the leader was lost while its history replaced this server's; start it again, and it goes on from its disk"
    )]
    HistoryMoved,
    /// The leader cannot be followed with the history that is here.
    #[error(
        "{0}; remove the data of this server and let it take the history from the ensemble, if the others agree with \
         each other"
    )]
    CannotSync(String),
}

impl Fatal {
    /// The exit code that Apache's server has for it (quorum 18.3).
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Log(_) | Self::Loop(_) | Self::History(_) | Self::HistoryMoved => 1,
            Self::CommitOutOfOrder { .. } => 12,
            Self::CannotSync(_) => 13,
            Self::ElectionPort(_) => 14,
        }
    }
}

/// What the threads of a server share.
#[derive(Debug)]
pub struct Shared<S = Seat> {
    /// Where the seat lies during a flush.
    pub handover: Handover<Box<S>, Vec<Record>>,
    /// The log.
    pub flusher: Flusher,
    /// Letters to the poller.
    pub mailbox: Arc<Mailbox>,
    /// The snapshot thread.
    pub background: Background,
}

/// What the poller owns.
pub struct Seat {
    pub(crate) doorway: Doorway,
    pub(crate) clients: Clients,
    pub(crate) peer: Peer,
    pub(crate) replica: Arc<RwLock<Replica>>,
    /// Tells the snapshot thread when the replica was replaced.
    pub(crate) replaced: Replaced,
    /// What a member of an ensemble has besides.
    pub(crate) member: Option<Box<Member>>,
    pub(crate) effects: Vec<Effect>,
    pub(crate) pending: Pending,
    pub(crate) metrics: Metrics,
    pub(crate) snapshots: SnapshotPlan,
    pub(crate) snapshot_runs: bool,
    pub(crate) desk: Desk,
    pub(crate) audit: AuditLog,
    pub(crate) signals: Option<UnixStream>,
    pub(crate) tick_ms: u64,
    pub(crate) last_tick: MonoMillis,
    pub(crate) last_sweep: MonoMillis,
    pub(crate) patience: Patience,
    /// Why the process must end, found in the middle of a round.
    pub(crate) fatal: Option<Fatal>,
    /// When a member stops whatever its peer does; set once it is asked to.
    pub(crate) stops_by: Option<MonoMillis>,
    pub(crate) scratch: Box<[u8]>,
    /// Who is ready and not read yet, in turn.
    pub(crate) ready: VecDeque<Ready>,
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seat")
            .field("clients", &self.clients.len())
            .finish_non_exhaustive()
    }
}

/// How much is read from a socket at once.
pub(crate) const READ_LEN: usize = 64 << 10;
/// With so much to be carried out a round reads no more, so that the disk begins while the rest is read.
const EFFECTS_MAX: usize = 512;
/// How often silent and lingering connections are looked for.
const SWEEP_MS: u64 = 1_000;
/// A wake-up that is this late is the end of a pause: no scheduler keeps a thread waiting so long that is not starved.
const PAUSE_MS_MIN: u64 = 500;
/// So long a member may take to leave its ensemble in good order (pitfalls P68).
const STOP_MS_MAX: u64 = 5_000;

impl Seated for Seat {
    fn round(&mut self, shared: &Shared) -> Result<(), Fatal> {
        self.poll(shared)
    }

    fn pending(&mut self) -> &mut Pending {
        &mut self.pending
    }

    fn hands_on(&self, count: usize) -> bool {
        // A lone client waits for this very flush: there is nobody to go on for.
        self.clients.len() > 1 && (count >= WORTH_A_WAKE || self.patience.has_ended())
    }

    fn on_durable(&mut self, durable: Durable, shared: &Shared, now: Now) {
        self.note_durable(durable, shared, now);
    }

    fn on_letters(&mut self, letters: Letters, now: Now) {
        self.read_letters(letters, now);
    }

    fn is_at_rest(&self) -> bool {
        self.effects.is_empty()
    }

    fn part(&mut self) {
        self.close();
    }
}

impl Seat {
    /// One round, up to the flush.
    fn poll(&mut self, shared: &Shared) -> Result<(), Fatal> {
        let now = clock::now().mono;
        let due = self.next_tick();
        let tick = Duration::from_millis(due.since(now));
        let timeout = self.pending.timeout(&shared.flusher, now, tick);
        if self.ready.is_empty() {
            if timeout != Some(Duration::ZERO) {
                shared.handover.rest()?;
            }
            self.wait(timeout)?;
        }
        let now = clock::now();
        let late_ms = now.mono.since(due);
        if late_ms >= PAUSE_MS_MIN {
            warn!(
                late_ms,
                "this server was late; it was paused, its machine is busy, or one round took so long"
            );
            if self.member.is_some() {
                // What is left of an earlier wait may lack the others.
                self.wait(Some(Duration::ZERO))?;
                self.find_place(shared, now);
            }
        }
        self.read_ready(shared, now, EFFECTS_MAX);
        if self.tick_is_due(now.mono) {
            // What came while this thread could not read must be heard before anyone is declared silent (P71, P75).
            self.read_everything(shared, now)?;
            self.tick(now);
        }
        self.carry_out_and_send(now);
        self.take_latencies();
        let pending = &mut self.pending;
        pending.gathering.note(pending.batch.len(), now.mono);
        match self.fatal.take() {
            Some(fatal) => Err(fatal),
            None => Ok(()),
        }
    }

    /// After a pause: what the other servers have said is heard before any client is answered, for they may have gone on
    /// without this one (P75).
    fn find_place(&mut self, shared: &Shared, now: Now) {
        let is_client = |ready: &Ready| matches!(ready.source, Source::Conn(_));
        let (clients, others) = self.ready.drain(..).partition(is_client);
        self.ready = others;
        self.read_ready(shared, now, usize::MAX);
        self.ready = clients;
        let replica = effects::read(&self.replica);
        let effects = &mut self.effects;
        self.peer.step(now, Input::Woken, &replica.tree, effects);
        drop(replica);
        self.carry_out_and_send(now);
    }

    pub(crate) fn take_latencies(&mut self) {
        let latencies = self.clients.latencies();
        self.metrics
            .sample_all(Advanced::Read, latencies.reads.take());
        self.metrics
            .sample_all(Advanced::Update, latencies.updates.take());
        self.metrics
            .sample_all(Advanced::RequestThrottle, latencies.throttled.take());
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Result<(), Fatal> {
        Ok(self
            .doorway
            .sockets
            .poller()
            .wait(&mut self.ready, timeout)?)
    }

    /// When [`Self::tick`] has something to do: every tick, when sessions expire, when silent connections are looked
    /// for, if there are any, and when accepting is taken up again.
    fn next_tick(&self) -> MonoMillis {
        let regular = self.last_tick.after(self.tick_ms);
        let sweep = self.last_sweep.after(SWEEP_MS);
        let regular = if self.clients.is_empty() {
            regular
        } else {
            regular.min(sweep)
        };
        let links = self.member.as_ref().and_then(|member| member.deadline());
        let others = [
            self.peer.next_deadline(),
            self.doorway.paused_until(),
            links,
            self.stops_by,
        ];
        others.into_iter().flatten().fold(regular, MonoMillis::min)
    }

    fn tick_is_due(&self, now: MonoMillis) -> bool {
        now >= self.next_tick()
    }

    /// Takes up what the poller reported.
    fn read_ready(&mut self, shared: &Shared, now: Now, effects_max: usize) {
        while self.effects.len() < effects_max
            && let Some(report) = self.ready.pop_front()
        {
            match report.source {
                Source::Conn(conn) => self.serve(conn, report, now),
                Source::Listener(number) => {
                    self.doorway.accept(number, &mut self.clients, now.mono)
                }
                Source::Waker => hear(self, shared, now),
                Source::Signals => self.on_signal(now),
                Source::Election(number) => self.on_election_ready(number, report, now),
                Source::Quorum(number) => self.on_quorum_ready(number, report, now),
            }
        }
    }

    fn read_everything(&mut self, shared: &Shared, now: Now) -> Result<(), Fatal> {
        // Each wait reports each ready socket at most once, and as many as it can hold.
        for _ in 0..=self.clients.len() / crate::net::Poller::REPORTS {
            self.wait(Some(Duration::ZERO))?;
            self.read_ready(shared, now, usize::MAX);
        }
        Ok(())
    }

    fn serve(&mut self, conn: ConnId, report: Ready, now: Now) {
        if report.write {
            self.doorway.send(conn, &mut self.clients, now.mono);
        }
        if !report.read {
            return;
        }
        if self.pending.stopping || !self.clients.is_readable(conn) {
            if report.gone {
                self.doorway.forget(conn, &mut self.clients);
            } else {
                self.doorway
                    .watch(conn, &mut self.clients, |interest| interest.read = false);
            }
            return;
        }
        match self.doorway.sockets.read(conn, &mut self.scratch) {
            ReadOutcome::Bytes(n) => self.take_bytes(conn, n, now),
            ReadOutcome::Nothing => {}
            ReadOutcome::Ended => self.doorway.forget(conn, &mut self.clients),
        }
    }

    fn take_bytes(&mut self, conn: ConnId, n: usize, now: Now) {
        self.metrics.count(Counter::BytesReceived, n as u64);
        let Self {
            clients,
            peer,
            effects,
            scratch,
            replica,
            metrics,
            ..
        } = self;
        let replica = effects::read(replica);
        let mut upstream = |input: Input<'_>| {
            effects::count_input(metrics, &input);
            peer.step(now, input, &replica.tree, effects);
        };
        let bytes = scratch.get(..n).unwrap_or_default();
        clients.on_bytes(conn, bytes, &replica, now.mono, &mut upstream);
    }

    fn tick(&mut self, now: Now) {
        self.last_tick = now.mono;
        {
            let Self {
                clients,
                peer,
                effects,
                replica,
                ..
            } = self;
            let replica = effects::read(replica);
            let mut upstream = |input: Input<'_>| peer.step(now, input, &replica.tree, effects);
            clients.report_touches(now.mono, &mut upstream);
            upstream(Input::Tick);
        }
        if now.mono.since(self.last_sweep) >= SWEEP_MS {
            self.last_sweep = now.mono;
            self.clients.close_idle(now.mono);
        }
        self.doorway.housekeep(&mut self.clients, now.mono);
        if let Some(member) = &mut self.member {
            member.on_time(now.mono, self.doorway.sockets.poller());
            self.take_news(now);
        }
        if self.stops_by.is_some_and(|by| by <= now.mono) {
            warn!("the ensemble cannot be left in good order in time");
            self.finish();
        }
    }

    /// Everything up to here is on disk.
    fn note_durable(&mut self, durable: Durable, shared: &Shared, now: Now) {
        self.patience.note(durable.took);
        self.pending.gathering.on_flushed(now.mono);
        self.metrics
            .note(Basic::Fsync, durable.took.as_millis() as u64);
        {
            let Self {
                peer,
                effects,
                replica,
                ..
            } = self;
            let replica = effects::read(replica);
            peer.step(now, Input::Flushed(durable.last), &replica.tree, effects);
        }
        self.carry_out_and_send(now);
        let may_write = self
            .member
            .as_ref()
            .is_none_or(|member| member.is_in_step());
        let is_free = !self.snapshot_runs && !self.pending.stopping && may_write;
        if is_free && self.snapshots.is_due(durable.segment_len) {
            self.snapshots.begun();
            self.snapshot_runs = true;
            shared.flusher.ask_for_roll();
            shared.background.ask_for_snapshot();
        }
    }

    fn read_letters(&mut self, letters: Letters, now: Now) {
        if let Some(low) = letters.disk_low {
            let Self {
                peer,
                effects,
                replica,
                ..
            } = self;
            peer.step(
                now,
                Input::DiskLow(low),
                &effects::read(replica).tree,
                effects,
            );
        }
        if let Some(written) = letters.snapshot {
            self.snapshot_runs = false;
            match written {
                Ok(took) => self.metrics.note(Basic::Snapshot, took.as_millis() as u64),
                Err(()) => self.metrics.count(Counter::SnapshotErrors, 1),
            }
        }
        self.on_link_letters(letters.links, now);
        for letter in letters.member {
            self.on_member_letter(letter, now);
        }
        if letters.stop {
            self.stop(now);
        }
    }

    fn on_signal(&mut self, now: Now) {
        if let Some(signals) = &mut self.signals {
            // One byte for each; what they are for is said below.
            let _ = signals.read(&mut [0; 16]);
        }
        if self.pending.stopping || self.stops_by.is_some() {
            warn!("a second signal ends the server at once");
            std::process::exit(1);
        }
        info!("a signal asks the server to stop");
        self.stop(now);
    }

    /// Asks the peer to leave its ensemble, if there is one, and then stops.
    fn stop(&mut self, now: Now) {
        if self.member.is_none() {
            return self.finish();
        }
        if self.stops_by.is_none() {
            self.stops_by = Some(now.mono.after(STOP_MS_MAX));
            let replica = effects::read(&self.replica);
            self.peer
                .step(now, Input::Stop, &replica.tree, &mut self.effects);
        }
    }

    /// Takes no more requests; what was taken is finished.
    pub(crate) fn finish(&mut self) {
        if !self.pending.stopping {
            self.pending.stopping = true;
            self.stops_by = None;
            self.audit.stopping();
            self.doorway.stop_listening();
        }
    }

    /// Closes every connection, after what it can still be told without waiting.
    fn close(&mut self) {
        let now = clock::now();
        self.clients.close_all();
        self.send_links(now);
        self.doorway.send_all(&mut self.clients, now.mono);
        if !self.clients.is_empty() {
            warn!(
                connections = self.clients.len(),
                "connections were closed with output that their clients did not take"
            );
        }
    }
}
