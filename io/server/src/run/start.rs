//! Starting and stopping.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use thiserror::Error;
use tracing::{info, warn};
use zabra_config::{Config, ConfigError, Mode, ThisMember};
use zabra_peer::{Peer, Restored, RestoredHistory};
use zabra_proto::{MonoMillis, Zxid};
use zabra_serve::{Clients, Replica};
use zabra_storage::{
    DataDirs, DirsLock, MarkFile, Recovered, Refusal, Start, StorageError, TxnLog, Vfs, recover,
};

use super::background::{Work, write_snapshot};
use super::crew::Crew;
use super::member::History;
use super::{Background, Loader, Replaced, member, options};
use crate::audit::AuditLog;
use crate::history::HistoryFiles;
use crate::links::BindError;
use crate::net::{Admission, Interest, Listener, ListenerOptions, Poller, Source};
use crate::seat::{
    Desk, Doorway, Fatal, Flusher, Gathering, Handover, Listeners, Mailbox, Member, Patience,
    Pending, READ_LEN, Seat, Shared, SnapshotPlan, clock,
};
use crate::stats::{Basic, MemberStats, Metrics};
use crate::sync::{RwLock, Waker};

/// Why a server does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The configuration is not one that this server can run.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Another process has the data directory.
    #[error("{0}")]
    Locked(#[source] StorageError),
    /// The data cannot be read, or a first snapshot not written.
    #[error("{0}")]
    Storage(#[source] StorageError),
    /// What was recovered is no state.
    #[error("the data cannot be loaded: {0}")]
    Load(#[from] Refusal),
    /// There is no data, and the configuration says that this is wrong.
    #[error(
        "{0} holds no data and db.autocreate is false; create the file `initialize` in dataDir for a new database"
    )]
    NoData(String),
    /// The port cannot be opened.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// Where.
        address: String,
        /// Why not.
        #[source]
        error: std::io::Error,
    },
    /// The ports for other servers cannot be opened.
    #[error(transparent)]
    Ports(#[from] BindError),
    /// No port is configured.
    #[error("no clientPort is configured; add clientPort=2181")]
    NoPort,
    /// The system refuses threads, signals or event queues.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
}

impl StartError {
    /// The exit code that Apache's server has for it: 2 configuration, 3 data directory, 1 anything else (TL-13).
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(error) => error.exit().code(),
            Self::NoPort => 2,
            Self::Locked(_) => 3,
            Self::Ports(_) => 14,
            _ => 1,
        }
    }
}

/// Why a server ended other than in good order.
#[derive(Debug, Error)]
pub enum RunError {
    /// It never began.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It could not go on.
    #[error(transparent)]
    Fatal(#[from] Fatal),
}

impl RunError {
    /// The exit code of the process.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Start(error) => error.exit_code(),
            Self::Fatal(error) => error.exit_code(),
        }
    }
}

/// A server's whole life: until SIGTERM or SIGINT, or until its disk fails.
pub fn run(config: Config) -> Result<(), RunError> {
    let audit = AuditLog::new(config.audit);
    let started = Server::start(config).and_then(|mut server| {
        server.stop_on_signals()?;
        Ok(server)
    });
    if started.is_err() {
        audit.not_started();
    }
    Ok(started?.run()?)
}

/// A server whose port is open and whose state is loaded.
#[derive(Debug)]
pub struct Server {
    crew: Crew<Seat>,
    seat: Box<Seat>,
    address: SocketAddr,
    lock: DirsLock,
}

/// Asks a server to stop, from any thread.
#[derive(Debug, Clone)]
pub struct Stopper {
    shared: Arc<Shared>,
}

impl Stopper {
    /// Asks for an orderly stop.
    pub fn stop(&self) {
        self.shared.mailbox.stop();
    }
}

/// The state with all that belongs to it on disk.
pub(super) struct Opened {
    pub(super) replica: Replica,
    pub(super) recovered: Recovered,
    pub(super) restored: Restored,
    /// What only a member takes over.
    pub(super) history: Option<RestoredHistory>,
    pub(super) vfs: Arc<dyn Vfs>,
    pub(super) dirs: DataDirs,
    pub(super) lock: DirsLock,
    pub(super) took: Duration,
    /// How much of it the snapshot took.
    pub(super) snapshot_took: Option<Duration>,
}

/// The sockets on which the server listens.
struct Ports {
    clients: Option<Listener>,
    /// A member's, for the other servers.
    servers: Option<Listeners>,
}

impl Server {
    /// Opens the port, loads the data, and is ready to serve. Clients that connect meanwhile wait in the backlog.
    pub fn start(config: Config) -> Result<Self, StartError> {
        Self::start_on(config, disk()?)
    }

    /// The same on another file system, for tests with one that misbehaves.
    pub fn start_on(config: Config, vfs: Arc<dyn Vfs>) -> Result<Self, StartError> {
        zabra_config::dirs::prepare(&config.storage)?;
        let (ports, opened) = match &config.mode {
            Mode::Standalone => (Ports::standalone(&config)?, open(&config, vfs)?),
            Mode::Member(this) => {
                let ports = Ports::member(&config, this)?;
                let opened = member::open(&config, this, vfs, ports.servers.as_ref())?;
                (ports, opened)
            }
        };
        for note in &opened.recovered.notes {
            warn!("{note}");
        }
        let replayed = opened.recovered.replayed;
        info!(last_zxid = %opened.recovered.last_zxid, replayed, took = ?opened.took, "the data is loaded");
        assemble(Arc::new(config), ports, opened)
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A handle that stops it.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper {
            shared: Arc::clone(&self.crew.shared),
        }
    }

    /// Stops in good order on SIGTERM and SIGINT.
    pub fn stop_on_signals(&mut self) -> Result<(), StartError> {
        let (reader, writer) = UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        for signal in [SIGTERM, SIGINT] {
            signal_hook::low_level::pipe::register(signal, writer.try_clone()?)?;
        }
        self.seat
            .doorway
            .sockets
            .poller()
            .add(&reader, Source::Signals, Interest::READ)?;
        self.seat.signals = Some(reader);
        Ok(())
    }

    /// Serves until it is stopped.
    pub fn run(self) -> Result<(), Fatal> {
        let Self {
            crew,
            seat,
            address,
            lock,
        } = self;
        info!(%address, "listening for clients");
        seat.audit.started();
        let served = crew.serve(seat);
        drop(lock);
        served
    }
}

#[cfg(not(feature = "faults"))]
fn disk() -> std::io::Result<Arc<dyn Vfs>> {
    Ok(Arc::new(zabra_storage::RealVfs))
}

#[cfg(feature = "faults")]
use zabra_storage::faults::begin as disk;

impl Ports {
    fn standalone(config: &Config) -> Result<Self, StartError> {
        let clients = listen(config)?.ok_or(StartError::NoPort)?;
        Ok(Self {
            clients: Some(clients),
            servers: None,
        })
    }

    /// A member may be one that no client connects to.
    fn member(config: &Config, this: &ThisMember) -> Result<Self, StartError> {
        Ok(Self {
            clients: listen(config)?,
            servers: Some(member::open_ports(config, this)?),
        })
    }

    /// Where clients connect; nowhere is port 0.
    fn address(&self) -> SocketAddr {
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        self.clients.as_ref().map_or(nowhere, Listener::address)
    }
}

fn listen(config: &Config) -> Result<Option<Listener>, StartError> {
    let Some(client) = &config.client else {
        return Ok(None);
    };
    let options = ListenerOptions {
        address: client.address(),
        port: client.port(),
        backlog: config.listen_backlog,
        keep_alive: config.client_tcp_keep_alive,
    };
    let listener = Listener::bind(&options).map_err(|error| {
        let host = client
            .address()
            .map_or_else(|| "*".to_owned(), |address| address.to_string());
        StartError::Listen {
            address: format!("{host}:{}", client.port()),
            error,
        }
    })?;
    Ok(Some(listener))
}

/// The directories, which no other process has.
pub(super) fn open_dirs(
    config: &Config,
    vfs: &dyn Vfs,
) -> Result<(DataDirs, DirsLock), StartError> {
    let dirs = DataDirs::new(&config.storage.data_dir, Some(&config.storage.data_log_dir));
    dirs.create(vfs).map_err(StartError::Storage)?;
    let lock = dirs.lock(vfs).map_err(StartError::Locked)?;
    Ok((dirs, lock))
}

/// Loads the state; a new database gets its first snapshot before anything is logged.
fn open(config: &Config, vfs: Arc<dyn Vfs>) -> Result<Opened, StartError> {
    let began = Instant::now();
    let (dirs, lock) = open_dirs(config, &*vfs)?;
    let mut loader = Loader::new(options::tree(config));
    let recovered = recover(&vfs, &dirs, &options::recover(config), &mut loader)
        .map_err(StartError::Storage)?;
    if recovered.start == Start::Empty {
        return Err(StartError::NoData(
            config.storage.data_dir.display().to_string(),
        ));
    }
    let (mut replica, snapshot_took) = loader.finish(recovered.last_zxid)?;
    let orphans = replica.drop_orphans();
    if orphans > 0 {
        warn!(
            orphans,
            "ephemerals of sessions that do not exist any more were dropped"
        );
    }
    Ok(Opened {
        restored: restored(&replica, recovered.last_zxid),
        replica,
        recovered,
        history: None,
        vfs,
        dirs,
        lock,
        took: began.elapsed(),
        snapshot_took,
    })
}

fn assemble(config: Arc<Config>, ports: Ports, opened: Opened) -> Result<Server, StartError> {
    let address = ports.address();
    let Opened {
        replica,
        recovered,
        restored,
        history: restored_history,
        vfs,
        dirs,
        lock,
        took,
        snapshot_took,
    } = opened;
    let history = restored_history.is_some().then(|| {
        let options = options::history(&config, *replica.tree.options());
        let mark = Arc::clone(&recovered.mark);
        History::new(HistoryFiles::new(
            Arc::clone(&vfs),
            dirs.clone(),
            mark,
            options,
        ))
    });
    let files = history.as_ref().map(|history| Arc::clone(&history.files));
    let work = work(
        &config,
        replica,
        &recovered,
        (Arc::clone(&vfs), dirs),
        files,
    );
    if recovered.start == Start::New {
        write_first_snapshot(&work).map_err(StartError::Storage)?;
    }
    let log = log(
        &config,
        vfs,
        &work.dirs,
        recovered.mark,
        recovered.last_zxid,
    );
    let poller = Poller::new()?;
    let shared = Arc::new(shared(&config, log, &poller)?);
    let mut desk = Desk::new(Arc::clone(&config), address.port(), clock::now().mono);
    let (mailbox, listeners) = (&shared.mailbox, ports.servers);
    let member = member::member(&config, listeners, history.as_ref(), mailbox, &poller)?;
    desk.member = member_stats(&config);
    let clients = ports.clients.into_iter().collect();
    let seat = seat(SeatParts {
        doorway: Doorway::new(poller, clients, admission(&config))?,
        peer: peer(&config, &restored, restored_history),
        replica: Arc::clone(&work.replica),
        replaced: work.replaced.clone(),
        metrics: startup_metrics(took, snapshot_took, recovered.replayed),
        snapshots: snapshots(&config, recovered.replayed),
        desk,
        member,
        config,
    });
    Ok(Server {
        crew: Crew {
            shared,
            work,
            history,
        },
        seat: Box::new(seat),
        address,
        lock,
    })
}

/// What the background thread works on.
fn work(
    config: &Config,
    replica: Replica,
    recovered: &Recovered,
    (vfs, dirs): (Arc<dyn Vfs>, DataDirs),
    history: Option<Arc<HistoryFiles>>,
) -> Work {
    Work {
        replica: Arc::new(RwLock::new(replica)),
        vfs,
        mark: Arc::clone(&recovered.mark),
        compression: options::compression(config),
        writes_last_zxid: config.storage.serializes_last_zxid,
        replaced: Replaced::default(),
        history,
        purge_interval: config.storage.purge_interval,
        snap_retain_count: config.storage.snap_retain_count as usize,
        dirs,
    }
}

/// The log, which goes on behind what was recovered.
fn log(
    config: &Config,
    vfs: Arc<dyn Vfs>,
    dirs: &DataDirs,
    mark: Arc<MarkFile>,
    last: Zxid,
) -> TxnLog {
    TxnLog::new(vfs, dirs.log(), options::log(config), mark, last)
}

fn write_first_snapshot(work: &Work) -> Result<(), StorageError> {
    write_snapshot(work, |_| true)?;
    work.dirs.remove_initialize(&*work.vfs)
}

fn member_stats(config: &Config) -> Option<MemberStats> {
    let Mode::Member(this) = &config.mode else {
        return None;
    };
    let now = clock::now().mono;
    Some(MemberStats::new(this.sid, this.committed.clone(), now))
}

fn snapshots(config: &Config, replayed: u64) -> SnapshotPlan {
    let storage = &config.storage;
    SnapshotPlan::new(storage.snap_count, storage.snap_size_max_bytes, replayed)
}

fn shared(config: &Config, log: TxnLog, poller: &Poller) -> Result<Shared, StartError> {
    let batch_max = options::flush(config).batch_max;
    Ok(Shared {
        handover: Handover::new()?,
        flusher: Flusher::new(log, config.storage.fsync_warning, batch_max),
        mailbox: Arc::new(Mailbox::new(Waker::new(poller)?)),
        background: Background::default(),
    })
}

/// Who decides: a server alone, or a member.
fn peer(config: &Config, restored: &Restored, history: Option<RestoredHistory>) -> Peer {
    let now = clock::now();
    match (&config.mode, history) {
        (Mode::Member(this), Some(history)) => {
            let options = options::member_peer(config, this.sid);
            let ensemble = options::ensemble(config, this);
            Peer::member(options, ensemble, restored, history, now)
        }
        _ => Peer::new(options::peer(config), restored, now),
    }
}

fn restored(replica: &Replica, last_zxid: Zxid) -> Restored {
    let sessions = replica.sessions().iter();
    Restored {
        last_zxid,
        sessions: sessions.map(|(id, timeout)| (*id, *timeout)).collect(),
    }
}

fn admission(config: &Config) -> Admission {
    Admission {
        per_address: config.limits.connections_per_client.most().unwrap_or(0),
        total: config.limits.connections.most().unwrap_or(0),
    }
}

struct SeatParts {
    config: Arc<Config>,
    doorway: Doorway,
    peer: Peer,
    replica: Arc<RwLock<Replica>>,
    replaced: Replaced,
    metrics: Metrics,
    snapshots: SnapshotPlan,
    desk: Desk,
    member: Option<Box<Member>>,
}

/// The seat as its first holder finds it.
fn seat(parts: SeatParts) -> Seat {
    let now = clock::now();
    let config = &parts.config;
    let tick_ms = config.sessions.tick.as_millis() as u64;
    let mut clients = Clients::new(options::serve(config), fastrand::u64(..));
    let mut last_tick = now.mono;
    if parts.member.is_some() {
        // Nobody is served before there is a leader, who is looked for from the first tick on: now.
        clients.stop_serving();
        last_tick = MonoMillis(now.mono.0.saturating_sub(tick_ms));
    }
    let audit = AuditLog::new(config.audit);
    if audit.is_on() {
        clients.keep_audit();
    }
    Seat {
        doorway: parts.doorway,
        clients,
        tick_ms,
        peer: parts.peer,
        replica: parts.replica,
        replaced: parts.replaced,
        member: parts.member,
        effects: Vec::new(),
        pending: Pending::new(Gathering::new(options::flush(config), now.mono)),
        metrics: parts.metrics,
        snapshots: parts.snapshots,
        snapshot_runs: false,
        desk: parts.desk,
        audit,
        signals: None,
        last_tick,
        last_sweep: now.mono,
        patience: Patience::default(),
        fatal: None,
        stops_by: None,
        scratch: vec![0; READ_LEN].into_boxed_slice(),
        ready: VecDeque::with_capacity(Poller::REPORTS),
    }
}

/// Where the time of the start went (ME-30).
fn startup_metrics(took: Duration, snapshot_took: Option<Duration>, replayed: u64) -> Metrics {
    let millis = |duration: Duration| duration.as_millis() as u64;
    let mut metrics = Metrics::default();
    metrics.note(Basic::DbInit, millis(took));
    metrics.note(Basic::StartupTxns, replayed);
    if let Some(snapshot_took) = snapshot_took {
        metrics.note(Basic::StartupSnapshotTime, millis(snapshot_took));
    }
    let txns_took = took.saturating_sub(snapshot_took.unwrap_or_default());
    metrics.note(Basic::StartupTxnsTime, millis(txns_took));
    metrics
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_start_is_parted_between_snapshot_and_log() {
        let ms = Duration::from_millis;
        let metrics = startup_metrics(ms(50), Some(ms(30)), 7);
        let sums = [
            Basic::DbInit,
            Basic::StartupSnapshotTime,
            Basic::StartupTxnsTime,
            Basic::StartupTxns,
        ]
        .map(|series| metrics.basic(series).sum());
        assert_eq!(sums, [50, 30, 20, 7]);
        let no_snapshot = startup_metrics(ms(1), None, 0);
        assert_eq!(no_snapshot.basic(Basic::StartupSnapshotTime).count(), 0);
    }
}
