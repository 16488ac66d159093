//! The answers to four-letter words, from what the seat owns.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use zabra_config::{Config, Environment, Running, conf_text, version};
use zabra_peer::Now;
use zabra_proto::{ConnId, MonoMillis, SessionId};
use zabra_serve::{Clients, CloseReason, Conn, Replica};
use zabra_tree::Watcher;

use super::{Seat, clock, effects};
use crate::stats::{Average, Basic, Counter, Metrics, Summary};
use crate::words::{
    self, ClientFacts, DumpFacts, Expiring, Gauges, Mode, SessionFacts, StateFacts, Word,
};

/// What does not change while the server runs.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) config: Arc<Config>,
    /// The text after `Zookeeper version: `.
    pub(crate) version: String,
    pub(crate) client_port: u16,
    pub(crate) started: MonoMillis,
    pub(crate) trace_mask: i64,
    /// Sessions that had expired when the statistics were reset.
    pub(crate) expired_before: u64,
}

impl Desk {
    pub(crate) fn new(config: Arc<Config>, client_port: u16, started: MonoMillis) -> Self {
        let trace_mask = words::TRACE_MASK;
        Self {
            config,
            version: version::full_version(),
            client_port,
            started,
            trace_mask,
            expired_before: 0,
        }
    }
}

impl Seat {
    /// Answers the words that came.
    pub(crate) fn answer_words(&mut self, now: Now) {
        for asked in self.clients.take_words() {
            let conn = asked.conn;
            let Some(word) = Word::from_bytes(asked.word) else {
                self.clients.close(conn, CloseReason::BadLength);
                continue;
            };
            self.clients.count_word(conn);
            if word == Word::Interrupt && self.desk.config.words.allows_all() {
                // As with Apache there is nothing to say, where it is not refused.
                self.clients.close(conn, CloseReason::WordAnswered);
                continue;
            }
            let answer = if self.desk.config.words.allows(word.name()) {
                self.desk.trace_mask = asked.argument.unwrap_or(self.desk.trace_mask);
                self.answer(word, conn, now)
            } else {
                words::refusal(word)
            };
            self.clients.answer_word(conn, answer.as_bytes());
        }
    }

    fn answer(&mut self, word: Word, asker: ConnId, now: Now) -> String {
        self.take_latencies();
        match word {
            Word::Crst => {
                self.clients.reset_conn_stats();
                return words::CONNECTION_STATS_RESET.to_owned();
            }
            Word::Srst => {
                self.clients.reset_stats();
                self.metrics = Metrics::default();
                self.doorway.reset_counters();
                self.desk.expired_before = self.peer.expired_count();
                return words::SERVER_STATS_RESET.to_owned();
            }
            _ => {}
        }
        self.refresh_counters();
        let replica = effects::read(&self.replica);
        match word {
            Word::Ruok => words::IMOK.to_owned(),
            Word::Isro => words::isro(Some(Mode::Standalone)).to_owned(),
            Word::Srvr => words::srvr(&self.state(&replica)),
            Word::Stat => words::stat(&self.state(&replica), self.client_facts(asker, now)),
            Word::Cons => words::cons(self.client_facts(asker, now)),
            Word::Mntr => self.mntr(&replica, now),
            Word::Conf => self.conf(),
            Word::Dirs => {
                let [data, log] = self.dir_sizes();
                words::dirs(data, log)
            }
            Word::Envi => Environment::here().envi_text(),
            Word::Dump => words::dump(&self.dump(&replica, now)),
            Word::Gtmk | Word::Stmk => self.desk.trace_mask.to_string(),
            Word::Hash => words::hash(replica.digest_log()),
            Word::Wchs => {
                let counts = self.clients.watches().counts();
                words::wchs(counts.connections, counts.paths, counts.watches)
            }
            Word::Wchc => {
                let by_watcher = self.clients.watches().by_watcher();
                words::wchc(
                    by_watcher
                        .into_iter()
                        .map(|(w, paths)| (session(&self.clients, w), paths.into_iter())),
                )
            }
            Word::Wchp => {
                let sessions = |watchers: Vec<Watcher>| {
                    watchers.into_iter().map(|w| session(&self.clients, w))
                };
                let by_path = self.clients.watches().by_path();
                words::wchp(
                    by_path
                        .into_iter()
                        .map(|(path, watchers)| (path, sessions(watchers))),
                )
            }
            Word::Crst | Word::Srst | Word::Interrupt => String::new(),
        }
    }

    /// Counters that are kept where things happen.
    fn refresh_counters(&mut self) {
        let stats = self.clients.stats();
        let expired = self.peer.expired_count() - self.desk.expired_before;
        for (counter, value) in [
            (
                Counter::ConnectionsRejected,
                self.doorway.rejected + stats.connects_throttled,
            ),
            (Counter::SessionlessExpired, stats.sessionless_closed),
            (Counter::SessionsExpired, expired),
            (Counter::LargeRequestsRejected, stats.large_rejected),
            (Counter::RequestWaits, stats.held),
        ] {
            self.metrics.set(counter, value);
        }
        self.metrics
            .replace(Basic::TokenDeficit, Summary::of(&stats.token_deficit));
        self.metrics
            .set(Counter::ConnectionsDropped, self.doorway.dropped);
        let mismatches = effects::read(&self.replica)
            .alarm()
            .map_or(0, |(_, count)| count);
        self.metrics.set(Counter::DigestMismatches, mismatches);
    }

    fn state<'a>(&'a self, replica: &Replica) -> StateFacts<'a> {
        let stats = self.clients.stats();
        StateFacts {
            version: &self.desk.version,
            mode: Mode::Standalone,
            latency: [stats.latency_ms.min, stats.latency_ms.max],
            latency_mean: Average::of(stats.latency_ms.total, stats.latency_ms.count),
            received: stats.received,
            sent: stats.sent,
            connections: self.clients.len(),
            outstanding: self.clients.outstanding() as u64,
            zxid: replica.last_zxid(),
            node_count: replica.tree.node_count(),
            proposal_sizes: None,
        }
    }

    fn client_facts(&self, asker: ConnId, now: Now) -> impl Iterator<Item = ClientFacts<'_>> {
        self.clients.iter().map(move |conn| ClientFacts {
            peer: conn.remote(),
            interest: self.interest(conn, asker),
            queued: conn.outstanding() as u64,
            stats: conn.stats(),
            session: (conn.session() != SessionId::NONE).then(|| SessionFacts {
                id: conn.session(),
                established: clock::wall_of(conn.stats().established, now),
                timeout_ms: conn.timeout_ms(),
            }),
        })
    }

    /// As Java's selector has it: 1 to read, 4 to write. Who asks is not selected any more.
    fn interest(&self, conn: &Conn, asker: ConnId) -> u8 {
        let interest = self
            .doorway
            .sockets
            .interest(conn.id())
            .filter(|_| conn.id() != asker);
        interest.map_or(0, |interest| {
            u8::from(interest.read) | u8::from(interest.write) << 2
        })
    }

    fn mntr(&self, replica: &Replica, now: Now) -> String {
        let state = self.state(replica);
        let gauges = Gauges {
            uptime: now.mono.since(self.desk.started),
            watch_count: self.clients.watches().watch_count(),
            ephemerals_count: replica.tree.ephemeral_count(),
            approximate_data_size: replica.tree.approximate_data_size(),
            global_sessions: replica.sessions().len(),
            local_sessions: 0,
            open_file_descriptor_count: std::fs::read_dir("/proc/self/fd")
                .map_or(0, |fds| fds.count() as u64),
            max_file_descriptor_count: rustix::process::getrlimit(
                rustix::process::Resource::Nofile,
            )
            .current
            .unwrap_or(u64::MAX),
        };
        words::mntr(&state, &gauges, &self.metrics)
    }

    fn conf(&self) -> String {
        let [snapshot_dir_bytes, log_dir_bytes] = self.dir_sizes();
        let client_port = i32::from(self.desk.client_port);
        let running = Running {
            client_port,
            secure_client_port: -1,
            snapshot_dir_bytes,
            log_dir_bytes,
        };
        let here = std::env::current_dir().unwrap_or_default();
        conf_text(&self.desk.config, running, &here)
    }

    fn dir_sizes(&self) -> [u64; 2] {
        let storage = &self.desk.config.storage;
        [storage.snapshot_dir(), storage.log_dir()].map(|dir| size_of(&dir))
    }

    fn dump(&self, replica: &Replica, now: Now) -> DumpFacts {
        let tracker = self.peer.tracker();
        let buckets = tracker.expiry().buckets();
        let mut facts = DumpFacts::default();
        let remotes: HashMap<SessionId, SocketAddr> = self
            .clients
            .iter()
            .map(|conn| (conn.session(), conn.remote()))
            .collect();
        for (at, members) in buckets {
            let at = clock::wall_of(at, now);
            let connected = members
                .iter()
                .filter_map(|session| Some((*remotes.get(session)?, *session)));
            let connections: Vec<_> = connected.collect();
            if !connections.is_empty() {
                facts.connections.push(Expiring {
                    at,
                    members: connections,
                });
            }
            facts.sessions.push(Expiring {
                at,
                members: members.iter().copied().collect(),
            });
        }
        let owners = replica.tree.ephemeral_owners();
        facts.ephemerals = owners
            .into_iter()
            .map(|owner| (owner, replica.tree.ephemerals(owner)))
            .collect();
        facts
    }
}

fn session(clients: &Clients, watcher: Watcher) -> SessionId {
    clients
        .conn(ConnId(watcher.0))
        .map_or(SessionId::NONE, Conn::session)
}

/// Bytes of all files below a directory.
fn size_of(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return 0;
    };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size_of(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.sum()
}
