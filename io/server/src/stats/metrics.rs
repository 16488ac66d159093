//! The counters and summaries that `mntr` shows beside the gauges (ME-30 to 33, 39, 46; of 42 what a member counts).

use super::{Percentiles, Summary};

macro_rules! names {
    ($(#[$meta:meta])* $ty:ident { $($(#[$vmeta:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $ty { $($(#[$vmeta])* $variant,)* }

        impl $ty {
            /// Every one of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Apache's name for it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

names! {
    /// A number that only grows.
    Counter {
        /// Snapshots that could not be written.
        SnapshotErrors = "snapshot_error_count",
        /// Snapshots put off by a rate limit.
        SnapshotsRateLimited = "snapshot_rate_limited_count",
        /// Restores that failed.
        RestoreErrors = "restore_error_count",
        /// Restores put off by a rate limit.
        RestoresRateLimited = "restore_rate_limited_count",
        /// Transactions applied.
        Commits = "commit_count",
        /// Connect requests.
        ConnectionRequests = "connection_request_count",
        /// Connections refused for a limit.
        ConnectionsRejected = "connection_rejected",
        /// Connections that ended.
        ConnectionsDropped = "connection_drop_count",
        /// Sessions taken up by a connect request.
        ConnectionsRevalidated = "connection_revalidate_count",
        /// Sessions taken up, asked by learners too.
        Revalidated = "revalidate_count",
        /// Connections closed because they never set up a session.
        SessionlessExpired = "sessionless_connections_expired",
        /// Sessions that expired.
        SessionsExpired = "stale_sessions_expired",
        /// Large requests refused.
        LargeRequestsRejected = "large_requests_rejected",
        /// Times that a request waited for others to finish.
        RequestWaits = "request_throttle_wait_count",
        /// Requests refused for having waited too long.
        ThrottledOps = "throttled_ops",
        /// Requests run although they were stale.
        StaleRequests = "stale_requests",
        /// Requests dropped for it.
        StaleRequestsDropped = "stale_requests_dropped",
        /// Requests whose answer came too late.
        StaleReplies = "stale_replies",
        /// Clients that named this ensemble.
        EnsembleAuthSuccess = "ensemble_auth_success",
        /// Clients that named another.
        EnsembleAuthFail = "ensemble_auth_fail",
        /// Clients that named none, or to which any will do.
        EnsembleAuthSkip = "ensemble_auth_skip",
        /// Bytes from clients.
        BytesReceived = "bytes_received_count",
        /// Errors that end the process.
        UnrecoverableErrors = "unrecoverable_error_count",
        /// Connections closed while the server did not serve.
        ClosedWhileNotServing = "cnxn_closed_without_zk_server_running",
        /// Elections that began.
        Looking = "looking_count",
        /// Learners that were sent what they lacked, or cut back.
        Diffs = "diff_count",
        /// Learners that were sent a snapshot.
        Snaps = "snap_count",
        /// Transactions that this server proposed as leader.
        Proposals = "proposal_count",
        /// Proposals that came from the leader.
        LearnerProposals = "learner_proposal_received_count",
        /// Commits that came from the leader.
        LearnerCommits = "learner_commit_received_count",
        /// Digests of the tree that did not match.
        DigestMismatches = "digest_mismatches_count",
    }
}

names! {
    /// A series of numbers without percentiles.
    Basic {
        /// Milliseconds of a flush of the log.
        Fsync = "fsynctime",
        /// Milliseconds of a snapshot.
        Snapshot = "snapshottime",
        /// Milliseconds of loading everything at start.
        DbInit = "dbinittime",
        /// Milliseconds of a restore.
        Restore = "restore_time",
        /// Transactions replayed at start.
        StartupTxns = "startup_txns_loaded",
        /// Milliseconds of replaying them.
        StartupTxnsTime = "startup_txns_load_time",
        /// Milliseconds of loading the snapshot at start.
        StartupSnapshotTime = "startup_snap_load_time",
        /// Tokens missing when a connection was throttled.
        TokenDeficit = "connection_token_deficit",
        /// Milliseconds of an election.
        Election = "election_time",
        /// Milliseconds from the election until a follower was in step.
        FollowerSync = "follower_sync_time",
        /// Milliseconds from the election until an observer was in step.
        ObserverSync = "observer_sync_time",
        /// Snapshots that were being sent when one more began.
        InflightSnaps = "inflight_snap_count",
        /// Diffs that were being sent when one more began.
        InflightDiffs = "inflight_diff_count",
        /// Milliseconds without service.
        Unavailable = "unavailable_time",
        /// Milliseconds a leader was without service.
        LeaderUnavailable = "leader_unavailable_time",
    }
}

names! {
    /// A series of numbers with percentiles.
    Advanced {
        /// Milliseconds from receiving a read to its answer.
        Read = "readlatency",
        /// Milliseconds from receiving a write to its answer.
        Update = "updatelatency",
        /// Milliseconds for which a request waited for others, where those in flight are limited.
        RequestThrottle = "request_throttle_queue_time_ms",
        /// Milliseconds from proposing a transaction to applying it.
        Propagation = "propagation_latency",
    }
}

/// All counters and summaries.
#[derive(Debug, Clone)]
pub struct Metrics {
    counters: [u64; Counter::ALL.len()],
    basic: [Summary; Basic::ALL.len()],
    advanced: [Percentiles; Advanced::ALL.len()],
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            counters: [0; Counter::ALL.len()],
            basic: [Summary::default(); Basic::ALL.len()],
            advanced: std::array::from_fn(|_| Percentiles::default()),
        }
    }
}

impl Metrics {
    /// Adds to a counter.
    pub fn count(&mut self, counter: Counter, more: u64) {
        self.counters[counter as usize] += more;
    }

    /// Sets a counter that is kept elsewhere.
    pub fn set(&mut self, counter: Counter, value: u64) {
        self.counters[counter as usize] = value;
    }

    /// What a counter stands at.
    #[must_use]
    pub fn counter(&self, counter: Counter) -> u64 {
        self.counters[counter as usize]
    }

    /// Adds a number to a series.
    pub fn note(&mut self, series: Basic, value: u64) {
        self.basic[series as usize].add(value);
    }

    /// A series.
    #[must_use]
    pub fn basic(&self, series: Basic) -> &Summary {
        &self.basic[series as usize]
    }

    /// Adds a number to a series with percentiles.
    pub fn sample(&mut self, series: Advanced, value: u64) {
        self.advanced[series as usize].add(value);
    }

    /// Adds a number to a series with percentiles as often as it came.
    pub fn sample_all(&mut self, series: Advanced, runs: impl Iterator<Item = (u64, u64)>) {
        for (value, times) in runs {
            (0..times).for_each(|_| self.sample(series, value));
        }
    }

    /// Replaces a series that is kept elsewhere.
    pub fn replace(&mut self, series: Basic, summary: Summary) {
        self.basic[series as usize] = summary;
    }

    /// A series with percentiles.
    #[must_use]
    pub fn advanced(&self, series: Advanced) -> &Percentiles {
        &self.advanced[series as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_once_and_numbers_where_they_were_added() {
        let mut metrics = Metrics::default();
        metrics.count(Counter::Commits, 2);
        metrics.note(Basic::Fsync, 9);
        metrics.sample(Advanced::Update, 4);
        assert_eq!(metrics.counter(Counter::Commits), 2);
        assert_eq!(metrics.counter(Counter::DigestMismatches), 0);
        assert_eq!(metrics.basic(Basic::Fsync).sum(), 9);
        assert_eq!(metrics.advanced(Advanced::Update).summary().count(), 1);
    }
}
