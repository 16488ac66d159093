//! A server's start: the real recovery, then the real state machines.

use std::sync::Arc;

use zabra_peer::prep::PrepRules;
use zabra_peer::{EnsembleOptions, Peer, PeerOptions, Restored, RestoredHistory, SweepOptions};
use zabra_proto::{ServerId, Sid};
use zabra_quorum::{ConfigVersion, Member, Membership, PeerAddress, Role};
use zabra_serve::{Clients, LoadLimits, Replica, ServeOptions};
use zabra_session::TimeoutBounds;
use zabra_storage::{RecoverOptions, Recovered, Start, StorageError, TxnLog, Vfs, recover};
use zabra_testkit::disk::FaultyDisk;
use zabra_tree::acl::AclRules;
use zabra_tree::{OwnerRules, TreeOptions};
use zabra_zab::{Entry, Epochs};

use crate::disk::{self, Files, Image};
use crate::loader::Loader;
use crate::plan::Plan;
use crate::process::{Parts, Process};
use crate::say;
use crate::server::Server;
use crate::surroundings::Surroundings;
use crate::trace::Z;

/// What was on a disk.
struct Found {
    replica: Replica,
    tail: Vec<Entry>,
    recovered: Recovered,
    epochs: Epochs,
}

/// Runs recovery on a server's disk and puts a process together.
///
/// If it `dies` in the midst of that, at some operation that the disk knows, nobody learns what it found: none of it is a
/// promise yet.
pub(crate) fn start(
    server: &Server,
    dies: bool,
    around: &mut Surroundings,
) -> Result<Process, String> {
    let vfs: Arc<dyn Vfs> = Arc::new(server.disk.clone());
    let mut found = find(&vfs, &around.plan, server.at)?;
    say!(
        around.kernel,
        "s{} starts: tree {}, log {}, epochs {}/{}{}",
        server.sid,
        Z(found.replica.last_zxid()),
        Z(found.recovered.last_zxid),
        found.epochs.accepted,
        found.epochs.current,
        if found.recovered.start == Start::New {
            ", new"
        } else {
            ""
        }
    );
    if !dies {
        around.check.recovered(
            server.at,
            &found.replica,
            &found.tail,
            found.recovered.last_zxid,
            found.epochs,
        );
    }
    let dirs = disk::dirs();
    if found.recovered.start == Start::New {
        let image = Image::of(&mut found.replica).ok_or("an image is made already")?;
        let written = image.write(&vfs, &dirs, &found.recovered.mark);
        written.map_err(|e| e.to_string())?;
        dirs.remove_initialize(&*vfs).map_err(|e| e.to_string())?;
    }
    let log = TxnLog::new(
        Arc::clone(&vfs),
        dirs.log(),
        disk::log_options(&around.plan),
        Arc::clone(&found.recovered.mark),
        found.recovered.last_zxid,
    );
    let peer = peer(server, around, &found);
    Ok(Process::new(Parts {
        at: server.at,
        sid: server.sid,
        life: server.life,
        clock: server.clock,
        peer,
        clients: Clients::new(serve_options(&around.plan), 7),
        replica: found.replica,
        files: Files {
            vfs,
            dirs,
            mark: found.recovered.mark,
            log,
        },
        disk: server.disk.clone(),
        plan: around.plan.clone(),
    }))
}

/// Whether recovery would start from a disk; it may change it.
pub(crate) fn examine(disk: &FaultyDisk, plan: &Plan, at: usize) -> Result<(), StorageError> {
    let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
    let dirs = disk::dirs();
    let mut loader = Loader::new(tree_options_of(plan, at), plan.is_standalone);
    let recovered = recover(&vfs, &dirs, &RecoverOptions::default(), &mut loader)?;
    if !plan.is_standalone {
        zabra_storage::Epochs::restore(&*vfs, &dirs, recovered.last_zxid)?;
    }
    Ok(())
}

fn find(vfs: &Arc<dyn Vfs>, plan: &Plan, at: usize) -> Result<Found, String> {
    let dirs = disk::dirs();
    let mut loader = Loader::new(tree_options_of(plan, at), plan.is_standalone);
    let options = RecoverOptions::default();
    let recovered = recover(vfs, &dirs, &options, &mut loader).map_err(|e| e.to_string())?;
    let snapshot_zxid = match &recovered.start {
        Start::Snapshot(file) => file.zxid,
        _ => zabra_proto::Zxid::ZERO,
    };
    let (replica, tail) = loader.finish(snapshot_zxid).map_err(|e| e.to_string())?;
    let epochs = if plan.is_standalone {
        Epochs::default()
    } else {
        let last = recovered.last_zxid;
        let loaded =
            zabra_storage::Epochs::restore(&**vfs, &dirs, last).map_err(|e| e.to_string())?;
        Epochs {
            accepted: loaded.accepted,
            current: loaded.current,
        }
    };
    Ok(Found {
        replica,
        tail,
        recovered,
        epochs,
    })
}

fn peer(server: &Server, around: &Surroundings, found: &Found) -> Peer {
    let now = server.clock.at(around.kernel.now());
    let plan = &around.plan;
    let sessions = found.replica.sessions().iter();
    let restored = Restored {
        last_zxid: found.replica.last_zxid(),
        sessions: sessions.map(|(id, timeout)| (*id, *timeout)).collect(),
    };
    let options = peer_options(plan, server.at);
    if plan.is_standalone {
        return Peer::new(options, &restored, now);
    }
    let history = RestoredHistory {
        tail: found.tail.clone(),
        epochs: found.epochs,
        has_history: found.recovered.start != Start::Empty,
    };
    let mut ensemble = ensemble_options(plan, server.sid, server.role);
    ensemble.always_snapshot |= plan.older(server.at).is_some_and(|older| older.snaps);
    let peer = Peer::member(options, ensemble, &restored, history, now);
    peer.with_counter_max(plan.epoch_len_max)
}

fn owners() -> OwnerRules {
    OwnerRules {
        extended_types: true,
        emulate_353_ttl: false,
    }
}

/// How every tree is kept.
#[must_use]
pub fn tree_options() -> TreeOptions {
    TreeOptions {
        owners: owners(),
        ..TreeOptions::default()
    }
}

fn keeps_no_digest(plan: &Plan, at: usize) -> bool {
    plan.older(at).is_some_and(|older| older.keeps_no_digest)
}

/// How the tree of a server is kept.
#[must_use]
pub fn tree_options_of(plan: &Plan, at: usize) -> TreeOptions {
    TreeOptions {
        digest_enabled: !keeps_no_digest(plan, at),
        ..tree_options()
    }
}

fn peer_options(plan: &Plan, at: usize) -> PeerOptions {
    PeerOptions {
        server: ServerId(u8::try_from(at + 1).unwrap_or(u8::MAX)),
        tick_ms: plan.tick_ms,
        prep: PrepRules {
            acl: AclRules::default(),
            owner: owners(),
            enforce_quota: false,
            reconfig_enabled: false,
            close_session_len_max: plan.close_session_len_max,
            close_session_lists_paths: !keeps_no_digest(plan, at),
        },
        sweep: SweepOptions {
            interval_ms: plan.sweep_ms,
            deletions_max: 10_000,
            never_used_ms_max: plan.never_used_ms_max,
        },
    }
}

fn ensemble_options(plan: &Plan, me: Sid, role: Role) -> EnsembleOptions {
    EnsembleOptions {
        me,
        role,
        membership: membership(plan),
        last_seen: None,
        reconfig_enabled: false,
        init_limit: plan.init_limit,
        sync_limit: plan.sync_limit,
        connect_limit: 0,
        vote_resend_ms: (200.min(plan.tick_ms), (plan.tick_ms * 10).max(2000)),
        commit_log_count: plan.commit_log_count,
        always_snapshot: plan.always_snapshot,
        syncs_from_log: plan.syncs_from_log,
        leader_serves: plan.leader_serves,
    }
}

/// The ensemble of a plan.
///
/// # Panics
/// Never: a plan has voters.
#[must_use]
pub fn membership(plan: &Plan) -> Membership {
    let member = |at: usize| Member {
        sid: Sid(at as i64 + 1),
        addresses: vec![PeerAddress {
            host: format!("s{}", at + 1),
            quorum_port: 2888,
            election_port: 3888,
        }],
        role: if at < plan.voters {
            Role::Participant
        } else {
            Role::Observer
        },
        client: None,
        secure_client: None,
    };
    let members = (0..plan.servers()).map(member);
    match Membership::majority(members, ConfigVersion::INITIAL) {
        Ok(membership) => membership,
        Err(error) => panic!("the plan is no ensemble: {error}"),
    }
}

fn serve_options(plan: &Plan) -> ServeOptions {
    let ticks = |n: u64| i32::try_from(plan.tick_ms * n).unwrap_or(i32::MAX);
    ServeOptions {
        timeouts: TimeoutBounds {
            timeout_ms_min: ticks(2),
            timeout_ms_max: ticks(plan.timeout_ticks.1.max(20)),
        },
        frame_len_max: 0xfffff,
        outstanding_max: plan.outstanding_max,
        out_len_pause: plan.out_len_max / 4,
        out_len_max: plan.out_len_max,
        greeting_ms_max: plan.tick_ms * 5,
        acl: AclRules::default(),
        super_digest: None,
        ensemble: None,
        load: LoadLimits::default(),
    }
}
