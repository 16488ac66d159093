//! The answers to four-letter words, from what the seat owns.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use zabra_config::{Config, Environment, Running, conf_text, version};
use zabra_peer::Now;
use zabra_proto::{ConnId, MonoMillis, SessionId};
use zabra_serve::{Clients, CloseReason, Conn, Replica};
use zabra_tree::Watcher;

use super::{Seat, clock, effects};
use crate::stats::{
    Average, Basic, Counter, MemberStats, MemberView, Metrics, Part, ProposalSizes, Summary,
};
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
    /// What a member of an ensemble counts; a standalone server has none.
    pub(crate) member: Option<MemberStats>,
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
            member: None,
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
        if !self.clients.is_serving()
            && let Some(answer) = words::while_not_serving(word)
        {
            return answer.to_owned();
        }
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
                self.desk.member.iter_mut().for_each(MemberStats::reset);
                return words::SERVER_STATS_RESET.to_owned();
            }
            _ => {}
        }
        self.refresh_counters();
        let replica = effects::read(&self.replica);
        let stats = self.desk.member.as_ref();
        let member = stats.map(|stats| stats.view(&self.peer, now.mono));
        let member = member.as_ref();
        match word {
            Word::Ruok => words::IMOK.to_owned(),
            Word::Isro => words::isro(Some(Mode::of(member))).to_owned(),
            Word::Srvr => words::srvr(&self.state(&replica, member)),
            Word::Stat => words::stat(&self.state(&replica, member), self.client_facts(asker, now)),
            Word::Cons => words::cons(self.client_facts(asker, now)),
            Word::Mntr => self.mntr(&replica, member, now),
            Word::Conf => self.conf(member),
            Word::Dirs => {
                let [data, log] = self.dir_sizes();
                words::dirs(data, log)
            }
            Word::Envi => Environment::here().envi_text(),
            Word::Dump => words::dump(&self.dump(&replica, member, now)),
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
            (Counter::ThrottledOps, stats.late.refused),
            (Counter::StaleRequests, stats.late.stale),
            (Counter::StaleRequestsDropped, stats.late.stale_dropped),
            (Counter::StaleReplies, stats.late.stale_replies),
            (Counter::EnsembleAuthSuccess, stats.ensemble.success),
            (Counter::EnsembleAuthFail, stats.ensemble.fail),
            (Counter::EnsembleAuthSkip, stats.ensemble.skip),
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

    fn state<'a>(&'a self, replica: &Replica, member: Option<&MemberView>) -> StateFacts<'a> {
        let stats = self.clients.stats();
        StateFacts {
            version: &self.desk.version,
            mode: Mode::of(member),
            latency: [stats.latency_ms.min, stats.latency_ms.max],
            latency_mean: Average::of(stats.latency_ms.total, stats.latency_ms.count),
            received: stats.received,
            sent: stats.sent,
            connections: self.clients.len(),
            outstanding: self.clients.outstanding() as u64,
            zxid: replica.last_zxid(),
            node_count: replica.tree.node_count(),
            proposal_sizes: member.and_then(proposal_sizes),
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

    fn mntr(&self, replica: &Replica, member: Option<&MemberView>, now: Now) -> String {
        let state = self.state(replica, member);
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
        words::mntr(&state, &gauges, member, &self.metrics)
    }

    fn conf(&self, member: Option<&MemberView>) -> String {
        let [snapshot_dir_bytes, log_dir_bytes] = self.dir_sizes();
        let client_port = i32::from(self.desk.client_port);
        let running = Running {
            client_port,
            secure_client_port: -1,
            snapshot_dir_bytes,
            log_dir_bytes,
        };
        let here = std::env::current_dir().unwrap_or_default();
        conf_text(
            &self.desk.config,
            running,
            member.map(|member| &member.membership),
            &here,
        )
    }

    fn dir_sizes(&self) -> [u64; 2] {
        let storage = &self.desk.config.storage;
        [storage.snapshot_dir(), storage.log_dir()].map(|dir| size_of(&dir))
    }

    fn dump(&self, replica: &Replica, member: Option<&MemberView>, now: Now) -> DumpFacts {
        let learns = member.is_some_and(|member| !matches!(member.part, Part::Leading(_)));
        let buckets = self.peer.tracker().expiry().buckets();
        let sessions = buckets.into_iter().map(|(at, members)| Expiring {
            at: clock::wall_of(at, now),
            members: members.iter().copied().collect(),
        });
        let owners = replica.tree.ephemeral_owners();
        let ephemerals = owners.into_iter();
        // Whoever does not expire sessions knows which there are.
        let known = || replica.sessions().iter().map(|(id, ms)| (*id, *ms));
        DumpFacts {
            sessions: sessions.collect(),
            known: learns.then(|| known().collect()),
            ephemerals: ephemerals
                .map(|owner| (owner, replica.tree.ephemerals(owner)))
                .collect(),
            connections: self.expiring_connections(now),
        }
    }

    /// Connections end when nothing came for their session's timeout, or for that of a connection without one. Apache
    /// collects them in sets as wide as the latter.
    fn expiring_connections(&self, now: Now) -> Vec<Expiring<(SocketAddr, SessionId)>> {
        let width = self.desk.config.sessionless_timeout.as_millis() as u64;
        let width = width.max(1);
        let mut sets: BTreeMap<u64, Vec<(SocketAddr, SessionId)>> = BTreeMap::new();
        for conn in self.clients.iter() {
            let timeout = match conn.session() {
                SessionId::NONE => width,
                _ => u64::try_from(conn.timeout_ms()).unwrap_or(0),
            };
            let due = conn.stats().last_response.0 + timeout;
            let set = (due / width + 1) * width;
            sets.entry(set)
                .or_default()
                .push((conn.remote(), conn.session()));
        }
        let sets = sets.into_iter().map(|(at, members)| Expiring {
            at: clock::wall_of(MonoMillis(at), now),
            members,
        });
        sets.collect()
    }
}

/// The sizes that only a leader tells.
fn proposal_sizes(member: &MemberView) -> Option<ProposalSizes> {
    match member.part {
        Part::Leading(figures) => Some(figures.proposals),
        _ => None,
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
