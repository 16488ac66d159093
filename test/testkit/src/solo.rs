//! A standalone server in one value: the real peer, replica and connections, without sockets, disk or clock.
//!
//! Time moves when the test says so, and so does the disk: what is proposed is committed at [`Solo::flush`], or at once
//! if [`Solo::flushes_at_once`]. The live-connection fuzzer and the tests of `zabra-serve` drive the server this way.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use zabra_jute::Encode;
use zabra_peer::prep::PrepRules;
use zabra_peer::{Effect, Input, Now, Peer, PeerOptions, Restored, SweepOptions};
use zabra_proto::client::ConnectRequest;
use zabra_proto::{ConnId, MonoMillis, ServerId, SessionId, WallMillis, Zxid};
use zabra_serve::{Clients, LoadLimits, Replica, ServeOptions};
use zabra_session::TimeoutBounds;
use zabra_tree::acl::AclRules;
use zabra_tree::{DataTree, OwnerRules, TreeOptions};

/// A standalone server without I/O.
pub struct Solo {
    /// The connections.
    pub clients: Clients,
    /// The state machine.
    pub peer: Peer,
    /// The tree.
    pub replica: Replica,
    /// Every transaction that was appended, in order.
    pub log: Vec<Arc<[u8]>>,
    /// Whether what is proposed is durable at once.
    pub flushes_at_once: bool,
    now: Now,
    effects: Vec<Effect>,
    appended: Zxid,
}

impl Default for Solo {
    fn default() -> Self {
        Self::new()
    }
}

impl Solo {
    /// The wall clock at the start.
    pub const STARTED: WallMillis = WallMillis(1_700_000_000_000);

    /// A server with an empty tree, extended types on, ticks of 2 s, at time 1,000,000.
    #[must_use]
    pub fn new() -> Self {
        let owner = OwnerRules {
            extended_types: true,
            emulate_353_ttl: false,
        };
        let prep = PrepRules {
            acl: AclRules::default(),
            owner,
            enforce_quota: true,
            reconfig_enabled: false,
            close_session_len_max: 1 << 20,
            close_session_lists_paths: true,
        };
        let tree = DataTree::new(TreeOptions {
            owners: owner,
            ..TreeOptions::default()
        });
        let now = Now {
            mono: MonoMillis(1_000_000),
            wall: Self::STARTED,
        };
        let options = PeerOptions {
            server: ServerId::STANDALONE,
            tick_ms: 2000,
            prep,
            sweep: SweepOptions {
                interval_ms: 60_000,
                deletions_max: 10_000,
                never_used_ms_max: 0,
            },
        };
        Self {
            clients: Clients::new(serve_options(), 7),
            peer: Peer::new(
                options,
                &Restored {
                    last_zxid: Zxid::ZERO,
                    sessions: Vec::new(),
                },
                now,
            ),
            replica: Replica::new(tree, BTreeMap::new(), Zxid::ZERO),
            log: Vec::new(),
            flushes_at_once: true,
            now,
            effects: Vec::new(),
            appended: Zxid::ZERO,
        }
    }

    /// A client connects; nothing is sent yet.
    pub fn accept(&mut self) -> ConnId {
        self.clients.accept(
            SocketAddr::from((Ipv4Addr::LOCALHOST, 40_000)),
            self.now.mono,
        )
    }

    /// A client connects and gets a new session with this timeout.
    pub fn open(&mut self, timeout_ms: i32) -> (ConnId, SessionId) {
        let conn = self.accept();
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: Zxid::ZERO,
            timeout_ms,
            session: SessionId::NONE,
            password: &[0; 16],
            read_only: Some(false),
        };
        self.send(conn, &frame(&request));
        self.flush();
        let _ = self.receive(conn);
        let session = self
            .clients
            .conn(conn)
            .map_or(SessionId::NONE, zabra_serve::Conn::session);
        (conn, session)
    }

    /// Bytes from a client, cut anywhere.
    pub fn send(&mut self, conn: ConnId, bytes: &[u8]) {
        let Self {
            clients,
            peer,
            replica,
            effects,
            now,
            ..
        } = self;
        clients.on_bytes(conn, bytes, replica, now.mono, &mut |input: Input<'_>| {
            peer.step(*now, input, &replica.tree, effects);
        });
        self.settle();
    }

    /// Bytes for a client since the last call. A connection that the server has closed is gone afterwards.
    pub fn receive(&mut self, conn: ConnId) -> Vec<u8> {
        let out = self.clients.output(conn).to_vec();
        self.clients.sent(conn, out.len());
        if self
            .clients
            .conn(conn)
            .is_some_and(|c| c.closing().is_some())
        {
            self.clients.remove(conn);
        }
        self.settle();
        out
    }

    /// Whether the connection is still open.
    #[must_use]
    pub fn is_open(&self, conn: ConnId) -> bool {
        self.clients
            .conn(conn)
            .is_some_and(|c| c.closing().is_none())
    }

    /// The client goes without a word.
    pub fn hang_up(&mut self, conn: ConnId) {
        self.clients.remove(conn);
    }

    /// The disk catches up: everything proposed is committed, applied and answered.
    pub fn flush(&mut self) {
        self.step(Input::Flushed(self.appended));
        self.settle();
    }

    /// Time passes, and a tick with it.
    pub fn advance(&mut self, millis: u64) {
        self.now.mono = self.now.mono.after(millis);
        self.now.wall = WallMillis(self.now.wall.0 + millis.cast_signed());
        let Self {
            clients,
            peer,
            replica,
            effects,
            now,
            ..
        } = self;
        clients.report_touches(now.mono, &mut |input: Input<'_>| {
            peer.step(*now, input, &replica.tree, effects);
        });
        self.step(Input::Tick);
        self.clients.close_idle(self.now.mono);
        self.settle();
    }

    /// One input to the peer.
    pub fn step(&mut self, input: Input<'_>) {
        self.peer
            .step(self.now, input, &self.replica.tree, &mut self.effects);
    }

    /// Does what is to be done until nothing is left.
    fn settle(&mut self) {
        loop {
            for effect in std::mem::take(&mut self.effects) {
                self.perform(effect);
            }
            if self.clients.has_resumable() {
                let Self {
                    clients,
                    peer,
                    replica,
                    effects,
                    now,
                    ..
                } = self;
                clients.resume(replica, now.mono, &mut |input: Input<'_>| {
                    peer.step(*now, input, &replica.tree, effects);
                });
            } else if self.flushes_at_once && self.peer.outstanding() > 0 {
                self.step(Input::Flushed(self.appended));
            } else if self.effects.is_empty() {
                return;
            }
        }
    }

    fn perform(&mut self, effect: Effect) {
        let now = self.now.mono;
        match effect {
            Effect::Append { zxid, payload } => {
                self.appended = zxid;
                self.log.push(payload);
            }
            Effect::Commit(commit) => {
                self.clients.apply(&mut self.replica, &commit, now);
                self.step(Input::Applied(commit.zxid));
            }
            Effect::Reply(origin, code) => self.clients.on_reply(origin, code, &self.replica, now),
            Effect::SessionResumed {
                conn,
                session,
                timeout_ms,
            } => {
                self.clients.on_session_granted(conn, session, timeout_ms);
            }
            Effect::SessionRefused(conn) => self.clients.on_session_refused(conn),
            Effect::HangUp(conn) => self
                .clients
                .close(conn, zabra_serve::CloseReason::SessionGone),
            Effect::QuotaExceeded(_) => {}
            other => panic!("a standalone server knows no {other:?}"),
        }
    }
}

/// How the server in a value serves.
fn serve_options() -> ServeOptions {
    ServeOptions {
        timeouts: TimeoutBounds {
            timeout_ms_min: 4000,
            timeout_ms_max: 40_000,
        },
        frame_len_max: 0xfffff,
        outstanding_max: 1000,
        out_len_pause: 1 << 20,
        out_len_max: 64 << 20,
        greeting_ms_max: 10_000,
        acl: AclRules::default(),
        super_digest: None,
        ensemble: None,
        load: LoadLimits::default(),
    }
}

/// A record as a frame.
#[must_use]
pub fn frame(record: &impl Encode) -> Vec<u8> {
    let mut body = Vec::new();
    record.encode(&mut body);
    let mut bytes = (body.len() as u32).to_be_bytes().to_vec();
    bytes.append(&mut body);
    bytes
}
