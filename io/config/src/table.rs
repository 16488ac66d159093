//! Every setting of an Apache ZooKeeper server, and what this one makes of it.
//!
//! This table is the only place that names a key, its default or its fate: [`crate::Config`] takes defaults from it,
//! warnings and suggestions look keys up in it, and `docs/configuration.md` is printed from it.

use crate::setting::Kind::{Bool, Choice, Class, Int, Long, Path, Real, Secret, Text};
use crate::setting::Place::{Bare, File, Prefixed};
use crate::setting::Priority::{J, M, R, S};
use crate::setting::Status::{Accepted, Acts, Ensemble, NotBuilt, Refused};
use crate::setting::{Kind, Setting, Status};

/// A part of the table under its heading.
pub struct Section {
    /// The heading, as `docs/configuration.md` has it.
    pub title: &'static str,
    /// Its settings.
    pub settings: &'static [Setting],
}

/// The whole table.
pub const SECTIONS: &[Section] = &[
    Section {
        title: "Ports and connections",
        settings: PORTS,
    },
    Section {
        title: "Sessions and time",
        settings: TIME,
    },
    Section {
        title: "Storage",
        settings: STORAGE,
    },
    Section {
        title: "Limits and throttling",
        settings: LIMITS,
    },
    Section {
        title: "Znodes",
        settings: ZNODES,
    },
    Section {
        title: "Access and authentication",
        settings: ACCESS,
    },
    Section {
        title: "TLS for clients",
        settings: TLS_CLIENT,
    },
    Section {
        title: "TLS between servers",
        settings: TLS_QUORUM,
    },
    Section {
        title: "Ensemble",
        settings: ENSEMBLE,
    },
    Section {
        title: "Admin server, metrics and diagnosis",
        settings: ADMIN,
    },
    Section {
        title: "Of Java, of logging, of tests and of clients",
        settings: JAVA,
    },
];

/// All settings.
pub fn all() -> impl Iterator<Item = &'static Setting> {
    SECTIONS.iter().flat_map(|section| section.settings)
}

/// The setting whose own key in `zoo.cfg` is `key`; an exact key goes before a family.
pub fn by_key(key: &str) -> Option<&'static Setting> {
    let exact = all().find(|s| s.family().is_none() && s.key == key);
    exact.or_else(|| all().find(|s| s.family().is_some() && s.is_key(key)))
}

/// The setting that the system property `name` gives.
pub fn by_property(name: &str) -> Option<&'static Setting> {
    let also = || all().find(|s| s.also.contains(&name));
    let bare = || all().find(|s| s.place == Bare && s.is_key(name));
    let prefixed = || {
        let key = name.strip_prefix(crate::setting::PREFIX)?;
        by_key(key).filter(|s| s.place == Prefixed)
    };
    prefixed().or_else(bare).or_else(also)
}

/// The setting that the documentation lists as `name`, although Apache's code knows it by another.
pub fn by_documented_name(name: &str) -> Option<&'static Setting> {
    all().find(|s| s.documented_as.contains(&name))
}

const fn file(row: &'static str, key: &'static str, kind: Kind, default: &'static str) -> Setting {
    Setting::new(row, key, File, kind, default)
}

const fn prop(row: &'static str, key: &'static str, kind: Kind, default: &'static str) -> Setting {
    Setting::new(row, key, Prefixed, kind, default)
}

const fn bare(row: &'static str, key: &'static str, kind: Kind, default: &'static str) -> Setting {
    Setting::new(row, key, Bare, kind, default)
}

const TLS: Status = NotBuilt("TLS");
const SASL: Status = NotBuilt("SASL");
const ADMIN_SERVER: Status = NotBuilt("the admin server");
const LOCAL_SESSIONS: Status = NotBuilt("local sessions");
const OBSERVER_DELAYS: Status = NotBuilt("the delays of observers");
const OBSERVER_WITHOUT_DISK: Status = NotBuilt("observers that keep nothing on disk");
const SYNC_LIMITS: Status = NotBuilt("limits of observers that get into step at once");
const OBSERVER_MASTER: Status = NotBuilt("the observer master");
const MESSAGE_TRACKER: Status = NotBuilt("the message tracker");
const PATH_STATS: Status = NotBuilt("request path statistics");
const STALLS: Status = NotBuilt("the stall monitor");

const YES_NO: Kind = Choice(&["yes", "no"]);

#[rustfmt::skip]
const PORTS: &[Setting] = &[
    file("CP-03", "clientPort", Int, "").is(M, Acts, "port for clients; 0 takes a free one, absent opens none"),
    file("CP-04", "clientPortAddress", Text, "").is(M, Acts, "address to which the client port is bound; all by default"),
    file("CP-05", "secureClientPort", Int, "").is(M, TLS, "port for clients with TLS"),
    file("CP-06", "secureClientPortAddress", Text, "").is(M, TLS, "address to which the TLS port is bound"),
    file("CP-07", "clientPortListenBacklog", Int, "-1").is(S, Acts, "connections that wait to be accepted; -1 is the system's most"),
    file("CP-12", "maxClientCnxns", Int, "60").is(M, Acts, "connections of one client address; 0 is no limit"),
    prop("SP-08", "maxCnxns", Int, "0").is(S, Acts, "connections in all; 0 is no limit"),
    prop("SP-24", "serverCnxnFactory", Class, "org.apache.zookeeper.server.NIOServerCnxnFactory").is(M, Accepted, "NIO or Netty in Java; one network layer here"),
    prop("SP-51", "clientTcpKeepAlive", Bool, "false").is(S, Acts, "TCP keepalive on client connections"),
    prop("SP-78", "nio.sessionlessCnxnTimeout", Int, "10000").is(S, Acts, "ms until a connection that opened no session is closed"),
    prop("SP-49", "4lw.commands.whitelist", Text, "").is(M, Acts, "four-letter words that are answered, comma separated, * for all; srvr always is"),
    bare("SP-70", "readonlymode.enabled", Bool, "false").is(S, Acts, "lets isro answer; serves readers without a quorum in an ensemble"),
    prop("SA-15", "client.portUnification", Bool, "false").is(S, TLS, "clientPort takes TLS and plain connections"),
    prop("SA-15", "client.certReload", Bool, "false").is(S, TLS, "watches the client key stores for changes"),
];

#[rustfmt::skip]
const TIME: &[Setting] = &[
    file("CP-08", "tickTime", Int, "3000").is(M, Acts, "base unit of time in ms"),
    file("CP-13", "minSessionTimeout", Int, "-1").is(M, Acts, "shortest session timeout in ms; -1 is 2 ticks"),
    file("CP-14", "maxSessionTimeout", Int, "-1").is(M, Acts, "longest session timeout in ms; -1 is 20 ticks"),
];

#[rustfmt::skip]
const STORAGE: &[Setting] = &[
    file("CP-01", "dataDir", Path, "").is(M, Acts, "directory of snapshots, myid and epoch files; required"),
    file("CP-02", "dataLogDir", Path, "").is(M, Acts, "directory of transaction logs; dataDir by default"),
    file("CP-23", "autopurge.snapRetainCount", Int, "3").is(M, Acts, "snapshots that a purge keeps; at least 3"),
    file("CP-24", "autopurge.purgeInterval", Text, "0").is(M, Acts, "hours between purges, or a number with ms, s, m, h or d; 0 is never"),
    prop("SP-68", "datadir.autocreate", Bool, "true").is(M, Acts, "creates missing directories; false ends the start with code 3"),
    prop("SP-69", "db.autocreate", Bool, "true").is(S, Acts, "starts with an empty database; false asks for the file initialize"),
    prop("SP-03", "snapCount", Int, "100000").is(M, Acts, "transactions between snapshots; at least 2"),
    prop("SP-04", "snapSizeLimitInKb", Long, "4194304").is(S, Acts, "KiB of log between snapshots; 0 is no limit"),
    prop("SP-02", "preAllocSize", Long, "65536").is(S, Acts, "KiB by which a log file is extended"),
    prop("SP-05", "txnLogSizeLimitInKb", Long, "-1").is(S, Acts, "KiB after which a new log file begins; -1 is no limit"),
    prop("SP-64", "forceSync", YES_NO, "yes").is(M, Acts, "no acknowledges writes that may still be lost"),
    prop("SP-09", "fsync.warningthresholdms", Long, "1000").also(&["fsync.warningthresholdms"]).is(S, Acts, "ms after which a slow fsync is logged"),
    prop("SP-61", "snapshot.compression.method", Choice(&["", "gz", "snappy"]), "").is(S, Acts, "how new snapshots are compressed"),
    prop("SP-62", "snapshot.trust.empty", Bool, "false").is(S, Acts, "starts from logs without any snapshot, as 3.4 may leave them"),
    prop("SP-44", "serializeLastProcessedZxid.enabled", Bool, "true").is(S, Acts, "writes the last zxid into snapshots"),
    prop("SP-60", "digest.enabled", Bool, "true").is(S, Acts, "keeps a digest of the tree and writes it to log and snapshots"),
    prop("SP-73", "closeSessionTxn.enabled", Bool, "true").is(R, Acts, "closeSession transactions list the ephemerals"),
    prop("SP-25", "flushDelay", Long, "0").is(S, Acts, "ms after a flush of the log for which the next one is held back, to take more transactions along; 0 is not at all"),
    prop("SP-26", "maxWriteQueuePollTime", Long, "").is(R, Acts, "ms without a further transaction after which a flush is held back no longer; flushDelay / 3"),
    prop("SP-27", "maxBatchSize", Int, "1000").is(S, Acts, "transactions that one flush of the log takes at most, and that end its being held back; 1000 without a flushDelay is no bound"),
];

#[rustfmt::skip]
const LIMITS: &[Setting] = &[
    bare("SP-65", "jute.maxbuffer", Int, "1048575").is(M, Acts, "bytes of the largest packet and znode"),
    prop("SP-66", "jute.maxbuffer.extrasize", Int, "").is(S, Acts, "bytes beyond it that a record of the servers' own may have, on disk and between them; jute.maxbuffer, at least 1024"),
    prop("SP-01", "globalOutstandingLimit", Int, "1000").is(S, Acts, "requests in process above which busy connections are not read"),
    prop("SP-29", "request_throttle_max_requests", Int, "0").documented_as(&["requestThrottleLimit"]).is(S, Acts, "requests in process above which new ones wait; 0 is no limit"),
    prop("SP-30", "request_throttle_stall_time", Int, "100").documented_as(&["requestThrottleStallTime"]).is(S, Accepted, "ms for which a throttled request of Java's waits each time; here it goes on as soon as there is place"),
    prop("SP-31", "request_throttle_drop_stale", Bool, "true").documented_as(&["requestThrottleDropStale"]).is(S, Acts, "closes the connection of a request that waits and is stale, instead of running it; what a closed connection asked for and nobody has begun is never run"),
    prop("SP-32", "request_stale_latency_check", Bool, "false").documented_as(&["requestStaleLatencyCheck"]).is(S, Acts, "a request older than its session's timeout is stale"),
    prop("SP-33", "request_stale_connection_check", Bool, "true").documented_as(&["requestStaleConnectionCheck"]).is(S, Accepted, "a request of a closed connection is stale, and counted as such; it is never run here"),
    prop("SP-34", "request_throttler.shutdownTimeout", Int, "10000").is(R, Accepted, "ms that Java's throttler gets to drain; nothing drains apart here"),
    prop("SP-35", "throttled_op_wait_time", Int, "0").documented_as(&["throttledOpWaitTime"]).is(R, Acts, "ms of waiting after which a request is refused as throttled; 0 is never"),
    prop("SP-37", "largeRequestMaxBytes", Int, "104857600").is(S, Acts, "bytes of large requests in flight above which connections are closed"),
    prop("SP-38", "largeRequestThreshold", Int, "-1").is(S, Acts, "bytes from which a request counts as large; -1 is never"),
    prop("SP-18", "connection_throttle_tokens", Int, "0").documented_as(&["connectionMaxTokens"]).is(S, Acts, "connects that may come at once; 0 is no throttling"),
    prop("SP-19", "connection_throttle_fill_time", Int, "1").documented_as(&["connectionTokenFillTime"]).is(S, Acts, "ms between refills of the tokens"),
    prop("SP-19", "connection_throttle_fill_count", Int, "1").documented_as(&["connectionTokenFillCount"]).is(S, Acts, "tokens per refill"),
    prop("SP-20", "connection_throttle_freeze_time", Int, "-1").documented_as(&["connectionFreezeTime"]).is(R, Acts, "ms between changes of the drop probability; -1 is never"),
    prop("SP-21", "connection_throttle_drop_increase", Real, "0.02").documented_as(&["connectionDropIncrease"]).is(R, Acts, "by which the drop probability grows"),
    prop("SP-21", "connection_throttle_drop_decrease", Real, "0.002").documented_as(&["connectionDropDecrease"]).is(R, Acts, "by which the drop probability shrinks"),
    prop("SP-21", "connection_throttle_decrease_ratio", Real, "0").documented_as(&["connectionDecreaseRatio"]).is(R, Acts, "share of free tokens above which it shrinks"),
    prop("SP-22", "connection_throttle_weight_enabled", Bool, "false").is(R, Acts, "weighs connects by the kind of session"),
    prop("SP-23", "connection_throttle_global_session_weight", Int, "3").is(R, Acts, "tokens for a new session"),
    prop("SP-23", "connection_throttle_local_session_weight", Int, "1").is(R, Acts, "tokens for a new local session"),
    prop("SP-23", "connection_throttle_renew_session_weight", Int, "2").is(R, Acts, "tokens for a session that comes back"),
    prop("SP-10", "maxResponseCacheSize", Int, "400").is(S, Accepted, "cached getData replies; replies are not cached here"),
    prop("SP-11", "maxGetChildrenResponseCacheSize", Int, "400").is(S, Accepted, "cached getChildren2 replies; replies are not cached here"),
];

#[rustfmt::skip]
const ZNODES: &[Setting] = &[
    prop("SP-12", "extendedTypesEnabled", Bool, "false").is(M, Acts, "znodes with a time to live"),
    prop("SP-13", "emulate353TTLNodes", Bool, "false").is(R, Acts, "reads TTL znodes as 3.5.3 wrote them"),
    prop("SP-28", "enforceQuota", Bool, "false").is(M, Acts, "refuses what exceeds a hard quota, logs what exceeds a soft one"),
    bare("SP-74", "znode.container.checkIntervalMs", Int, "60000").is(M, Acts, "ms between sweeps for empty containers and expired TTL znodes"),
    bare("SP-75", "znode.container.maxPerMinute", Int, "10000").is(S, Acts, "deletions of a sweep per minute"),
    bare("SP-76", "znode.container.maxNeverUsedIntervalMs", Long, "0").is(S, Acts, "ms after which a container that never had children goes; 0 is never"),
];

#[rustfmt::skip]
const ACCESS: &[Setting] = &[
    prop("SP-67", "skipACL", YES_NO, "no").is(M, Acts, "yes lets everyone do everything"),
    prop("", "enableEagerACLCheck", Bool, "false").is(R, NotBuilt("the early check of ACLs"), "a learner checks ACLs before it forwards a write"),
    prop("SA-01", "DigestAuthenticationProvider.enabled", Bool, "true").is(M, Acts, "the digest scheme"),
    prop("SA-01", "DigestAuthenticationProvider.superDigest", Secret, "").is(M, Acts, "super:digest of the digest scheme's super user"),
    prop("SA-01", "DigestAuthenticationProvider.digestAlg", Text, "SHA1").is(M, Acts, "hash of the digest scheme, by its Java name"),
    prop("SA-02", "IPAuthenticationProvider.usexforwardedfor", Bool, "false").is(S, ADMIN_SERVER, "takes a client's address from X-Forwarded-For"),
    prop("SA-03", "X509AuthenticationProvider.superUser", Text, "").is(M, TLS, "certificate subject of the super user"),
    prop("SA-05", "ssl.authProvider", Text, "x509").is(R, TLS, "scheme that judges client certificates"),
    prop("SA-06", "ensembleAuthName", Text, "").is(S, Acts, "names of this ensemble, comma separated, one of which clients must give that use the scheme ensemble; authProvider.N switches that on"),
    prop("SA-09", "authProvider.N", Class, "").is(M, Acts, "class of an authentication scheme; Apache's own stand for the built-in ones"),
    prop("SA-07", "sessionRequireClientSASLAuth", Bool, "false").is(S, Refused("enforced authentication is not built yet"), "closes sessions that did not authenticate by SASL"),
    prop("SA-07", "enforce.auth.enabled", Bool, "false").is(S, Refused("enforced authentication is not built yet"), "closes sessions that did not authenticate"),
    prop("SA-07", "enforce.auth.schemes", Text, "").is(S, NotBuilt("enforced authentication"), "schemes of which one must be used"),
    prop("SA-04", "superUser", Text, "").is(S, SASL, "SASL name of the super user"),
    prop("SA-04", "superUser.*", Text, "").is(S, SASL, "further SASL super users"),
    prop("SA-08", "allowSaslFailedClients", Bool, "false").is(R, SASL, "keeps clients whose SASL failed"),
    prop("SA-08", "letAnySaslUserDoX", Text, "").is(R, SASL, "a SASL user with every permission"),
    prop("SA-08", "SASLAuthenticationProvider.superPassword", Secret, "").is(R, SASL, "password of the SASL super user"),
    prop("SA-10", "sasl.serverconfig", Text, "Server").is(M, SASL, "JAAS section for clients"),
    bare("SP-88", "java.security.auth.login.config", Path, "").is(S, SASL, "JAAS file"),
    bare("SP-88", "java.security.krb5.conf", Path, "").is(S, SASL, "Kerberos configuration"),
    prop("SA-11", "kerberos.removeHostFromPrincipal", Bool, "false").is(S, SASL, "shortens Kerberos names"),
    prop("SA-11", "kerberos.removeRealmFromPrincipal", Bool, "false").is(S, SASL, "shortens Kerberos names"),
    prop("SA-11", "kerberos.canonicalizeHostNames", Bool, "false").is(S, SASL, "resolves host names to their canonical ones"),
    prop("SA-12", "security.auth_to_local", Text, "DEFAULT").is(R, SASL, "rules for Kerberos names"),
    prop("SA-13", "kerberos.minReLoginTimeMs", Int, "60000").is(R, SASL, "ms between logins"),
    prop("SA-13", "requireKerberosConfig", Bool, "false").is(R, SASL, "asks for a Kerberos configuration"),
    prop("SA-13", "kinit", Path, "/usr/bin/kinit").is(R, SASL, "the kinit command"),
];

/// The settings of a TLS end, the same for clients and between servers but for the name's middle.
#[rustfmt::skip]
macro_rules! tls_settings {
    ($stem:literal, $client_names:literal) => {
        &[
            prop("SX-01", concat!($stem, "keyStore.location"), Path, "").is(M, TLS, "key store"),
            prop("SX-01", concat!($stem, "keyStore.password"), Secret, "").is(M, TLS, "its password"),
            prop("SX-01", concat!($stem, "keyStore.passwordPath"), Path, "").is(M, TLS, "file with its password"),
            prop("SX-01", concat!($stem, "keyStore.type"), Text, "").is(M, TLS, "JKS, PEM, PKCS12 or BCFKS; by extension"),
            prop("SX-02", concat!($stem, "trustStore.location"), Path, "").is(M, TLS, "trust store"),
            prop("SX-02", concat!($stem, "trustStore.password"), Secret, "").is(M, TLS, "its password"),
            prop("SX-02", concat!($stem, "trustStore.passwordPath"), Path, "").is(M, TLS, "file with its password"),
            prop("SX-02", concat!($stem, "trustStore.type"), Text, "").is(M, TLS, "JKS, PEM, PKCS12 or BCFKS; by extension"),
            prop("SX-03", concat!($stem, "protocol"), Text, "TLSv1.2").is(M, TLS, "protocol version"),
            prop("SX-04", concat!($stem, "enabledProtocols"), Text, "").is(M, TLS, "versions that are accepted"),
            prop("SX-05", concat!($stem, "ciphersuites"), Text, "").is(M, TLS, "cipher suites by their Java names"),
            prop("SX-06", concat!($stem, "context.supplier.class"), Class, "").is(J, Accepted, "Java class that makes the TLS context"),
            prop("SX-07", concat!($stem, "hostnameVerification"), Bool, "true").is(M, TLS, "verifies the server's name"),
            prop("SX-08", concat!($stem, "clientHostnameVerification"), Bool, $client_names).is(S, TLS, "verifies the name of a peer that connects"),
            prop("SX-09", concat!($stem, "allowReverseDnsLookup"), Bool, "false").is(S, TLS, "falls back to the reverse DNS name"),
            prop("SX-10", concat!($stem, "crl"), Bool, "false").is(S, TLS, "asks revocation lists"),
            prop("SX-10", concat!($stem, "ocsp"), Bool, "false").is(S, TLS, "asks OCSP responders"),
            prop("SX-11", concat!($stem, "clientAuth"), Choice(&["need", "want", "none"]), "need").is(M, TLS, "asks for a certificate"),
            prop("SX-12", concat!($stem, "handshakeDetectionTimeoutMillis"), Int, "5000").is(S, TLS, "ms to tell TLS from plain"),
        ]
    };
}

const TLS_CLIENT: &[Setting] = tls_settings!("ssl.", "false");

const TLS_QUORUM: &[Setting] = tls_settings!("ssl.quorum.", "true");

#[rustfmt::skip]
const ENSEMBLE: &[Setting] = &[
    file("CP-15", "server.N", Text, "").is(M, Ensemble, "a member: host:port:port[:role][;[address:]port]"),
    file("CP-15", "group.N", Text, "").is(M, Ensemble, "members of a group, colon separated"),
    file("CP-15", "weight.N", Text, "1").is(M, Ensemble, "weight of a member in its group"),
    file("CP-09", "initLimit", Int, "0").is(M, Ensemble, "ticks for connecting and synchronizing; required"),
    file("CP-10", "syncLimit", Int, "0").is(M, Ensemble, "ticks for which a learner may be silent; required"),
    file("CP-11", "connectToLearnerMasterLimit", Int, "0").is(S, Ensemble, "ticks for connecting to the leader; 0 is initLimit"),
    file("CP-16", "peerType", Choice(&["participant", "observer"]), "participant").is(M, Ensemble, "role; that of the server line wins"),
    file("CP-17", "syncEnabled", Bool, "true").is(S, OBSERVER_WITHOUT_DISK, "observers write log and snapshots"),
    prop("SP-55", "observer.syncEnabled", Bool, "true").is(S, OBSERVER_WITHOUT_DISK, "the same; wins over syncEnabled"),
    file("CP-18", "dynamicConfigFile", Path, "").is(M, Ensemble, "file of the server lines"),
    file("CP-19", "standaloneEnabled", Bool, "true").is(M, Ensemble, "false runs an ensemble of one"),
    file("CP-20", "reconfigEnabled", Bool, "false").is(M, Ensemble, "allows reconfig"),
    file("CP-21", "electionAlg", Int, "3").is(S, Refused("3 is the only election algorithm there is"), "election algorithm"),
    file("CP-22", "quorumListenOnAllIPs", Bool, "false").is(M, Ensemble, "binds quorum and election port on all addresses"),
    file("CP-25", "localSessionsEnabled", Bool, "false").is(S, LOCAL_SESSIONS, "sessions that only the contacted server knows"),
    file("CP-26", "localSessionsUpgradingEnabled", Bool, "false").is(S, LOCAL_SESSIONS, "makes them global at the first ephemeral"),
    file("CP-27", "sslQuorum", Bool, "false").is(M, Refused("TLS between servers is not built yet"), "TLS between servers"),
    file("CP-28", "portUnification", Bool, "false").is(M, TLS, "quorum ports take TLS and plain connections"),
    file("CP-29", "sslQuorumReloadCertFiles", Bool, "false").is(S, TLS, "watches the quorum key stores for changes"),
    file("CP-30", "quorum.auth.enableSasl", Bool, "false").is(M, Refused("SASL between servers is not built yet"), "SASL between servers"),
    file("CP-31", "quorum.auth.serverRequireSasl", Bool, "false").is(M, Refused("SASL between servers is not built yet"), "learners must authenticate"),
    file("CP-32", "quorum.auth.learnerRequireSasl", Bool, "false").is(M, Refused("SASL between servers is not built yet"), "this server authenticates to others"),
    file("CP-33", "quorum.auth.learner.saslLoginContext", Text, "QuorumLearner").is(M, SASL, "JAAS section as learner"),
    file("CP-34", "quorum.auth.server.saslLoginContext", Text, "QuorumServer").is(M, SASL, "JAAS section as server"),
    file("CP-35", "quorum.auth.kerberos.servicePrincipal", Text, "zkquorum/localhost").is(S, SASL, "Kerberos principal of the servers"),
    file("CP-36", "quorum.cnxn.threads.size", Int, "20").is(R, Accepted, "Java threads for election connections"),
    file("CP-37", "multiAddress.enabled", Bool, "false").also(&["zookeeper.multiAddress.enabled"]).is(S, Ensemble, "several addresses per server"),
    file("CP-38", "multiAddress.reachabilityCheckTimeoutMs", Int, "1000").also(&["zookeeper.multiAddress.reachabilityCheckTimeoutMs"]).is(S, Accepted, "ms for probing an address; here all addresses of a server are tried at once"),
    file("CP-39", "multiAddress.reachabilityCheckEnabled", Bool, "true").also(&["zookeeper.multiAddress.reachabilityCheckEnabled"]).is(S, Accepted, "probes addresses; here all addresses of a server are tried at once"),
    file("CP-40", "observerMasterPort", Int, "0").is(S, OBSERVER_MASTER, "port of a follower for observers; 0 is none"),
    file("CP-41", "oraclePath", Path, "").is(R, Refused("a quorum by oracle can lose writes and is not supported"), "file of the two-server oracle"),
    prop("SP-06", "commitLogCount", Int, "500").is(S, Ensemble, "proposals kept in memory for learners; at least 500"),
    prop("SP-07", "snapshotSizeFactor", Real, "0.33").is(S, Ensemble, "log on disk is used for learners up to this share of the snapshot"),
    prop("SP-16", "fastleader.minNotificationInterval", Int, "200").is(S, Ensemble, "ms until a vote is sent again, at first"),
    prop("SP-17", "fastleader.maxNotificationInterval", Int, "60000").is(S, Ensemble, "and at most"),
    prop("SP-46", "leaderServes", YES_NO, "yes").is(S, Ensemble, "no: the leader takes no clients"),
    prop("SP-47", "cnxTimeout", Int, "5000").is(S, Ensemble, "ms for opening an election connection"),
    prop("SP-48", "quorumCnxnTimeoutMs", Int, "-1").is(R, Ensemble, "ms of silence on an election connection; -1 is syncLimit ticks"),
    prop("SP-50", "tcpKeepAlive", Bool, "false").is(S, Ensemble, "TCP keepalive between servers"),
    prop("SP-52", "electionPortBindRetry", Int, "3").is(S, Ensemble, "attempts to bind the election port; 0 is for ever"),
    prop("SP-53", "observer.reconnectDelayMs", Long, "0").is(S, OBSERVER_DELAYS, "ms before an observer connects again"),
    prop("SP-54", "observer.election.DelayMs", Long, "200").is(S, OBSERVER_DELAYS, "ms before an observer looks for a leader again"),
    prop("SP-56", "observerMaster.sizeLimit", Int, "33554432").is(R, OBSERVER_MASTER, "bytes of history kept for observers"),
    prop("SP-57", "leaderConnectDelayDuringRetryMs", Int, "100").is(R, Ensemble, "ms between attempts to connect to the leader"),
    prop("SP-59", "leader.maxConcurrentSnapSyncs", Int, "10").documented_as(&["maxConcurrentSnapSyncs"]).is(S, SYNC_LIMITS, "snapshots sent to observers at once"),
    prop("SP-59", "leader.maxConcurrentDiffSyncs", Int, "100").documented_as(&["maxConcurrentDiffSyncs"]).is(S, SYNC_LIMITS, "diffs sent to observers at once"),
    prop("SP-45", "leader.maxTimeToWaitForEpoch", Int, "-1").documented_as(&["maxTimeToWaitForEpoch"]).is(R, NotBuilt("giving an epoch up early"), "ms for a new leader to collect epochs; -1 is initLimit ticks"),
    prop("SP-41", "learner.closeSocketAsync", Bool, "false").also(&["learner.closeSocketAsync"]).is(R, Accepted, "closing never blocks here"),
    prop("SP-41", "leader.closeSocketAsync", Bool, "false").also(&["leader.closeSocketAsync"]).is(R, Accepted, "closing never blocks here"),
    prop("SP-42", "learner.asyncSending", Bool, "false").also(&["learner.asyncSending"]).is(R, Accepted, "sending never blocks here"),
    prop("SP-71", "forceSnapshotSync", Bool, "false").is(R, Ensemble, "the leader always sends a snapshot"),
    prop("SP-82", "messageTracker.Enabled", Bool, "false").is(R, MESSAGE_TRACKER, "keeps the last packets of each learner"),
    prop("SP-82", "messageTracker.BufferSize", Int, "10").is(R, MESSAGE_TRACKER, "how many"),
    prop("SA-14", "fips-mode", Bool, "true").is(M, TLS, "restricts TLS and SASL to what FIPS allows"),
    prop("SP-58", "leader.ackLoggingFrequency", Int, "1000").is(J, Accepted, "how often slow acks are logged"),
    prop("SP-43", "forward_learner_requests_to_commit_processor_disabled", Bool, "false").is(J, Accepted, "of Java's pipeline"),
    prop("SP-72", "follower.skipLearnerRequestToNextProcessor", Bool, "false").is(J, Accepted, "of Java's pipeline"),
    bare("SP-84", "leader.nodelay", Bool, "true").is(J, Accepted, "TCP_NODELAY is always set"),
    bare("SP-84", "follower.nodelay", Bool, "true").is(J, Accepted, "TCP_NODELAY is always set"),
];

#[rustfmt::skip]
const ADMIN: &[Setting] = &[
    prop("AD-01", "admin.enableServer", Bool, "true").is(M, Acts, "the HTTP admin server; not built yet, so that a line at start says that none listens"),
    prop("AD-02", "admin.serverAddress", Text, "0.0.0.0").is(M, ADMIN_SERVER, "its address"),
    prop("AD-03", "admin.serverPort", Int, "8080").is(M, ADMIN_SERVER, "its port"),
    prop("AD-04", "admin.commandURL", Text, "/commands").is(M, ADMIN_SERVER, "prefix of its commands"),
    prop("AD-05", "admin.idleTimeout", Int, "30000").is(S, ADMIN_SERVER, "ms after which an idle connection is closed"),
    prop("AD-06", "admin.httpVersion", Int, "11").is(J, Accepted, "Jetty's number of the HTTP version"),
    prop("AD-07", "admin.portUnification", Bool, "false").is(S, ADMIN_SERVER, "HTTP and HTTPS on one port"),
    prop("AD-08", "admin.forceHttps", Bool, "false").is(S, ADMIN_SERVER, "HTTPS only"),
    prop("AD-09", "admin.needClientAuth", Bool, "false").is(S, ADMIN_SERVER, "asks for a client certificate"),
    prop("AD-11", "admin.snapshot.enabled", Bool, "true").is(S, ADMIN_SERVER, "the snapshot command"),
    prop("AD-11", "admin.restore.enabled", Bool, "true").is(S, ADMIN_SERVER, "the restore command"),
    prop("AD-12", "admin.rateLimiterIntervalInMS", Int, "300000").is(S, ADMIN_SERVER, "ms between restores"),
    file("CP-42", "metricsProvider.className", Class, "org.apache.zookeeper.metrics.impl.DefaultMetricsProvider").is(M, Acts, "Default or Null; Prometheus is not built yet: a line at start"),
    file("CP-43", "metricsProvider.*", Text, "").is(M, NotBuilt("the Prometheus endpoint"), "settings of the metrics provider"),
    prop("SP-63", "audit.enable", Bool, "false").is(S, Acts, "logs one line per change: who, from where, what, with what result"),
    prop("SP-63", "audit.impl.class", Class, "org.apache.zookeeper.audit.Slf4jAuditLogger").is(S, Accepted, "Java class that writes it; there is one audit log here, to standard error"),
    file("CP-44", "jvm.pause.monitor", Bool, "false").is(R, STALLS, "logs pauses of the process"),
    file("CP-45", "jvm.pause.warn-threshold.ms", Long, "10000").is(R, STALLS, "ms from which one is a warning"),
    file("CP-45", "jvm.pause.info-threshold.ms", Long, "1000").is(R, STALLS, "ms from which one is logged"),
    file("CP-45", "jvm.pause.sleep.time.ms", Long, "500").is(R, STALLS, "ms between looks"),
    prop("SP-83", "pathStats.enabled", Bool, "false").is(R, PATH_STATS, "logs the busiest paths"),
    prop("SP-83", "pathStats.slotCapacity", Int, "60").is(R, PATH_STATS, "slots kept"),
    prop("SP-83", "pathStats.slotDuration", Int, "15").is(R, PATH_STATS, "seconds of a slot"),
    prop("SP-83", "pathStats.maxDepth", Int, "6").is(R, PATH_STATS, "names of a path that count"),
    prop("SP-83", "pathStats.sampleRate", Real, "0.1").is(R, PATH_STATS, "share of requests counted"),
    prop("SP-83", "pathStats.initialDelay", Long, "5").is(R, PATH_STATS, "seconds until the first report"),
    prop("SP-83", "pathStats.delay", Long, "5").is(R, PATH_STATS, "seconds between reports"),
    prop("SP-83", "pathStats.topPathMax", Int, "20").is(R, PATH_STATS, "paths in a report"),
];

#[rustfmt::skip]
const JAVA: &[Setting] = &[
    prop("SP-14", "watchManagerName", Class, "org.apache.zookeeper.server.watch.WatchManager").is(R, Accepted, "one table of watches here, which is compact"),
    prop("SP-15", "watcherCleanThreadsNum", Int, "2").is(J, Accepted, "of Java's optimized watch table"),
    prop("SP-15", "watcherCleanThreshold", Int, "1000").is(J, Accepted, "of Java's optimized watch table"),
    prop("SP-15", "watcherCleanIntervalInSeconds", Int, "600").is(J, Accepted, "of Java's optimized watch table"),
    prop("SP-15", "maxInProcessingDeadWatchers", Int, "-1").is(J, Accepted, "of Java's optimized watch table"),
    prop("SP-15", "bitHashCacheSize", Int, "10").is(J, Accepted, "of Java's optimized watch table"),
    prop("SP-36", "netty.advancedFlowControl.enabled", Bool, "false").documented_as(&["advancedFlowControlEnabled"]).is(J, Accepted, "flow control is always per connection"),
    prop("SP-39", "netty.server.outstandingHandshake.limit", Int, "-1").is(S, TLS, "TLS handshakes in progress; -1 is no limit"),
    prop("SP-40", "netty.server.earlyDropSecureConnectionHandshakes", Bool, "false").is(R, TLS, "drops TLS handshakes while not serving"),
    prop("SP-77", "nio.numSelectorThreads", Int, "").is(J, Accepted, "of Java's threads"),
    prop("SP-77", "nio.numWorkerThreads", Int, "").is(J, Accepted, "of Java's threads"),
    prop("SP-79", "nio.directBufferBytes", Int, "65536").is(J, Accepted, "of Java's buffers"),
    prop("SP-79", "nio.shutdownTimeout", Long, "5000").is(J, Accepted, "of Java's threads"),
    prop("SP-80", "commitProcessor.numWorkerThreads", Int, "").is(J, Accepted, "of Java's threads"),
    prop("SP-80", "commitProcessor.maxReadBatchSize", Int, "-1").is(J, Accepted, "of Java's threads"),
    prop("SP-80", "commitProcessor.maxCommitBatchSize", Int, "1").is(J, Accepted, "of Java's threads"),
    prop("SP-80", "commitProcessor.shutdownTimeout", Long, "5000").is(J, Accepted, "of Java's threads"),
    prop("SP-81", "intBufferStartingSizeBytes", Int, "1024").is(J, Accepted, "of Java's buffers"),
    prop("SP-85", "controllerPort", Int, "").is(J, Accepted, "of Apache's tests"),
    prop("SP-86", "jmx.log4j.disable", Bool, "false").is(J, Accepted, "of Java's logging"),
    prop("SP-86", "jmx.log4j.mbean", Text, "").is(J, Accepted, "of Java's logging"),
    prop("SP-86", "log.dir", Path, "").is(J, Accepted, "of Java's logging; logs go to standard error"),
    prop("SP-86", "log.file", Path, "").is(J, Accepted, "of Java's logging; logs go to standard error"),
    prop("SP-86", "log.threshold", Text, "").is(J, Accepted, "of Java's logging"),
    prop("SP-86", "console.threshold", Text, "").is(J, Accepted, "of Java's logging"),
    prop("SP-86", "root.logger", Text, "").is(J, Accepted, "of Java's logging"),
    prop("SP-87", "testingonly.initialZxid", Long, "").is(J, Accepted, "of Apache's tests"),
    prop("SP-87", "test.allowDiscontinuousProposals", Bool, "false").is(J, Accepted, "of Apache's tests"),
    prop("SA-17", "ssl.sslProvider", Text, "JDK").is(J, Accepted, "of Java's TLS"),
    prop("SX-45", "sasl.client*", Text, "").is(J, Accepted, "of clients"),
    prop("SX-45", "server.principal", Text, "").is(J, Accepted, "of clients"),
    prop("SX-45", "server.realm", Text, "").is(J, Accepted, "of clients"),
    prop("EV-08", "clientCnxnSocket", Class, "").is(J, Accepted, "of clients"),
    prop("EV-08", "client.secure", Bool, "false").is(J, Accepted, "of clients"),
    prop("EV-08", "request.timeout", Int, "0").is(J, Accepted, "of clients"),
    prop("EV-08", "disableAutoWatchReset", Bool, "false").is(J, Accepted, "of clients"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_name_belongs_to_one_setting() {
        let mut keys = HashSet::new();
        let mut properties = HashSet::new();
        for setting in all() {
            assert!(keys.insert(setting.key), "{} twice", setting.key);
            let own = setting.property();
            for name in own
                .iter()
                .map(String::as_str)
                .chain(setting.also.iter().copied())
            {
                assert!(properties.insert(name.to_owned()), "{name} twice");
            }
            for name in setting.documented_as {
                assert!(by_key(name).is_none(), "{name}");
            }
        }
    }

    #[test]
    fn every_setting_is_found_by_its_names_and_tells_what_it_does() {
        for setting in all().filter(|s| s.family().is_none()) {
            assert_eq!(by_key(setting.key).map(|s| s.key), Some(setting.key));
            if let Some(property) = setting.property() {
                assert_eq!(
                    by_property(&property).map(|s| s.key),
                    Some(setting.key),
                    "{property}"
                );
            }
            assert!(!setting.about.is_empty(), "{}", setting.key);
        }
        assert_eq!(by_key("server.12").map(|s| s.key), Some("server.N"));
        assert_eq!(
            by_key("metricsProvider.httpPort").map(|s| s.key),
            Some("metricsProvider.*")
        );
        assert_eq!(
            by_property("zookeeper.authProvider.sasl").map(|s| s.key),
            Some("authProvider.N")
        );
        assert_eq!(by_property("zookeeper.tickTime").map(|s| s.key), None);
    }

    #[test]
    fn defaults_are_of_the_type_that_the_row_names() {
        for setting in all().filter(|s| !s.default.is_empty()) {
            let fits = match setting.kind {
                Int => setting.default.parse::<i32>().is_ok(),
                Long => setting.default.parse::<i64>().is_ok(),
                Real => setting.default.parse::<f64>().is_ok(),
                Bool => setting.default.parse::<bool>().is_ok(),
                Choice(words) => words.contains(&setting.default),
                Secret => false,
                Text | Path | Class => true,
            };
            assert!(fits, "{}", setting.key);
        }
    }

    #[test]
    fn secrets_are_typed_as_such() {
        for setting in all() {
            assert_eq!(
                setting.is_secret(),
                crate::secret::is_secret_key(setting.key),
                "{}",
                setting.key
            );
        }
    }

    #[test]
    fn rows_of_rank_j_are_never_refused() {
        for setting in all().filter(|s| s.priority == J) {
            assert_eq!(setting.status, Accepted, "{}", setting.key);
            assert_ne!(setting.place, File, "{}", setting.key);
        }
    }
}
