//! From the configuration to the options of the parts.

use std::time::Duration;

use zabra_config::{
    Config, DigestAlgorithm, Limits, MembershipFiles, RequestThrottle, Scheme, ThisMember,
};
use zabra_peer::prep::PrepRules;
use zabra_peer::{EnsembleOptions, PeerOptions, SweepOptions};
use zabra_proto::{ServerId, Sid};
use zabra_serve::{ConnectThrottle, LargeRequests, LateRules, LoadLimits, ServeOptions};
use zabra_session::TimeoutBounds;
use zabra_storage::{Compression, LogOptions, PAYLOAD_MAX_DEFAULT, RecoverOptions};
use zabra_tree::acl::{AclRules, DigestHash};
use zabra_tree::{OwnerRules, TreeOptions};

use crate::history::HistoryOptions;
use crate::links::{OUT_LEN_MAX as LINK_OUT_LEN_MAX, Persistence, QuorumOptions, SocketOptions};
use crate::seat::{FlushRules, MemberOptions};

/// While so much output waits, nothing more of the connection is read: each request would only add to it.
const OUT_LEN_PAUSE: usize = 1 << 20;
/// With so much output waiting a connection is closed (P95). One reply may be as long as the largest frame.
const OUT_LEN_MAX: usize = 64 << 20;

pub(super) fn owners(config: &Config) -> OwnerRules {
    OwnerRules {
        extended_types: config.znodes.extended_types,
        emulate_353_ttl: config.znodes.emulate_353_ttl,
    }
}

pub(super) fn tree(config: &Config) -> TreeOptions {
    TreeOptions {
        owners: owners(config),
        digest_enabled: config.storage.digest,
        hash_seed: fastrand::u64(..),
    }
}

fn acl(config: &Config) -> AclRules {
    let access = &config.access;
    AclRules {
        skip: access.skips_acl,
        digest: access.digest_enabled,
        digest_hash: match access.digest_algorithm {
            DigestAlgorithm::Sha1 => DigestHash::Sha1,
            DigestAlgorithm::Sha256 => DigestHash::Sha256,
        },
        ..AclRules::default()
    }
}

pub(super) fn serve(config: &Config) -> ServeOptions {
    let (limits, access) = (&config.limits, &config.access);
    ServeOptions {
        timeouts: TimeoutBounds {
            timeout_ms_min: millis(config.sessions.timeout_min),
            timeout_ms_max: millis(config.sessions.timeout_max),
        },
        frame_len_max: limits.packet_max_bytes,
        outstanding_max: limits
            .outstanding_max
            .most()
            .map_or(usize::MAX, |most| most as usize),
        out_len_pause: OUT_LEN_PAUSE,
        out_len_max: OUT_LEN_MAX.max(4 * limits.packet_max_bytes),
        greeting_ms_max: config.sessionless_timeout.as_millis() as u64,
        acl: acl(config),
        super_digest: access
            .super_digest
            .as_ref()
            .map(|secret| secret.reveal().to_owned()),
        ensemble: access
            .schemes
            .contains(&Scheme::Ensemble)
            .then(|| access.ensemble_names.clone()),
        load: load(limits),
    }
}

/// Local sessions are not there, so that each new one weighs as a global one.
fn load(limits: &Limits) -> LoadLimits {
    let count = |n: i32| u32::try_from(n).unwrap_or(0);
    let connects = &limits.connection_throttle;
    let large = &limits.large_requests;
    LoadLimits {
        connects: (connects.tokens_max > 0).then(|| ConnectThrottle {
            tokens_max: count(connects.tokens_max),
            fill_ms: connects.fill_interval.as_millis() as u64,
            fill_count: count(connects.fill_count),
            freeze_ms: connects.freeze.map(|freeze| freeze.as_millis() as u64),
            drop_increase: connects.drop_increase,
            drop_decrease: connects.drop_decrease,
            decrease_ratio: connects.decrease_ratio,
            weight_new: count(connects.weights.global),
            weight_renewed: count(connects.weights.renew),
        }),
        large_requests: large.threshold_bytes.map(|threshold| LargeRequests {
            threshold: threshold as usize,
            sum_max: usize::try_from(large.sum_max_bytes).unwrap_or(0),
        }),
        requests_max: limits
            .request_throttle
            .requests_max
            .most()
            .map(|most| most as usize),
        late: late(&limits.request_throttle),
    }
}

fn late(throttle: &RequestThrottle) -> LateRules {
    LateRules {
        stale_by_age: throttle.stale_by_latency,
        stale_by_close: throttle.stale_by_connection,
        drops_stale: throttle.drops_stale,
        refuse_after_ms: throttle.refuse_after.map(|after| after.as_millis() as u64),
    }
}

pub(super) fn peer(config: &Config) -> PeerOptions {
    let znodes = &config.znodes;
    let per_interval =
        u128::from(znodes.sweep_deletions_per_minute) * znodes.sweep_interval.as_millis() / 60_000;
    PeerOptions {
        server: ServerId::STANDALONE,
        tick_ms: config.sessions.tick.as_millis() as u64,
        prep: PrepRules {
            acl: acl(config),
            owner: owners(config),
            enforce_quota: znodes.enforce_quota,
            reconfig_enabled: config.ensemble.reconfig_enabled,
            close_session_len_max: config.limits.packet_max_bytes,
            close_session_lists_paths: config.storage.close_session_txn,
        },
        sweep: SweepOptions {
            interval_ms: znodes.sweep_interval.as_millis() as u64,
            deletions_max: usize::try_from(per_interval).unwrap_or(usize::MAX).max(1),
            never_used_ms_max: znodes
                .container_never_used_max
                .map_or(0, |max| max.as_millis() as i64),
        },
    }
}

/// As a member of an ensemble: its number is in the ids of sessions.
pub(super) fn member_peer(config: &Config, me: Sid) -> PeerOptions {
    PeerOptions {
        // Of a larger number only the low byte has room there, as with Apache's servers.
        server: ServerId(me.0 as u8),
        ..peer(config)
    }
}

pub(super) fn ensemble(config: &Config, this: &ThisMember) -> EnsembleOptions {
    let ensemble = &config.ensemble;
    EnsembleOptions {
        me: this.sid,
        role: this.role,
        membership: this.committed.clone(),
        last_seen: this.last_seen.clone(),
        reconfig_enabled: ensemble.reconfig_enabled,
        init_limit: this.init_limit,
        sync_limit: this.sync_limit,
        connect_limit: this.connect_limit,
        vote_resend_ms: (
            ensemble.notification_interval_min.as_millis() as u64,
            ensemble.notification_interval_max.as_millis() as u64,
        ),
        commit_log_count: ensemble.commit_log_count,
        always_snapshot: ensemble.always_snapshot,
        syncs_from_log: ensemble.snapshot_size_factor >= 0.0,
        leader_serves: ensemble.leader_serves,
    }
}

pub(super) fn links(config: &Config, this: &ThisMember) -> MemberOptions {
    let (ensemble, limits) = (&config.ensemble, &config.limits);
    let value_len_max = limits.record_max_bytes();
    let ticks = |count: u32| config.sessions.tick.saturating_mul(count);
    let init_limit = ticks(this.init_limit);
    let socket = SocketOptions {
        keep_alive: ensemble.tcp_keep_alive,
        unacknowledged_max: init_limit,
    };
    MemberOptions {
        me: this.sid,
        multi_address: ensemble.multi_address,
        listens_everywhere: this.listens_everywhere,
        keep_alive: ensemble.tcp_keep_alive,
        bind_attempts: ensemble.election_bind_attempts,
        connect_timeout: ensemble.election_connect_timeout,
        election_silence_max: this.election_silence_max,
        quorum: QuorumOptions {
            limits: zabra_jute::Limits { value_len_max },
            out_len_max: LINK_OUT_LEN_MAX.max(4 * value_len_max),
            silence_ms_max: init_limit.as_millis() as u64,
            persistence: Persistence {
                budget: ticks(this.connect_limit),
                pause: ensemble.leader_connect_delay,
            },
            socket,
        },
        files: config.file.as_deref().map(MembershipFiles::of),
    }
}

pub(super) fn history(config: &Config, tree: TreeOptions) -> HistoryOptions {
    let value_len_max = config.limits.record_max_bytes();
    HistoryOptions {
        packet_limits: zabra_jute::Limits { value_len_max },
        compression: compression(config),
        tree,
        snapshot_size_factor: config.ensemble.snapshot_size_factor,
    }
}

pub(super) fn recover(config: &Config) -> RecoverOptions {
    RecoverOptions {
        trust_empty: config.storage.trusts_empty_snapshot,
        autocreate: config.storage.creates_db,
        payload_max: PAYLOAD_MAX_DEFAULT.max(config.limits.record_max_bytes()),
        ..RecoverOptions::default()
    }
}

pub(super) fn log(config: &Config) -> LogOptions {
    let storage = &config.storage;
    LogOptions {
        preallocate: storage.prealloc_bytes,
        segment_len_max: storage.log_size_max_bytes.unwrap_or(0),
        force_sync: storage.force_sync,
        ..LogOptions::default()
    }
}

pub(super) fn flush(config: &Config) -> FlushRules {
    let storage = &config.storage;
    FlushRules {
        delay_ms: storage.flush_delay.as_millis() as u64,
        quiet_ms: storage.write_queue_poll_max.as_millis() as u64,
        batch_max: batch_max(storage.batch_max, storage.flush_delay),
    }
}

/// Apache's `maxBatchSize`, where none is given.
const BATCH_MAX_DEFAULT: u32 = 1000;

/// With nothing said about it a flush takes all that a round has brought: to cut that up would only mean more flushes for
/// the same transactions.
fn batch_max(configured: Option<u32>, delay: Duration) -> usize {
    let is_default = configured == Some(BATCH_MAX_DEFAULT) && delay.is_zero();
    let bound = configured.filter(|_| !is_default);
    bound.map_or(usize::MAX, |max| max as usize)
}

pub(super) fn compression(config: &Config) -> Compression {
    match config.storage.compression {
        zabra_config::Compression::None => Compression::None,
        zabra_config::Compression::Gzip => Compression::Gzip,
        zabra_config::Compression::Snappy => Compression::Snappy,
    }
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flush_is_bounded_where_it_may_be_held_back_or_a_bound_is_given() {
        let (none, some) = (Duration::ZERO, Duration::from_millis(5));
        assert_eq!(batch_max(Some(1000), none), usize::MAX);
        assert_eq!(batch_max(Some(1000), some), 1000);
        assert_eq!(batch_max(Some(999), none), 999);
        assert_eq!(batch_max(None, some), usize::MAX);
    }
}
