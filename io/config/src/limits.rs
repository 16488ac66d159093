//! How much a server takes on: connections, bytes, requests.

use std::fmt;
use std::time::Duration;

use crate::error::ConfigError;
use crate::source::Source;

/// How much of everything is taken on.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Connections of one client address.
    pub connections_per_client: Cap,
    /// Connections in all.
    pub connections: Cap,
    /// Bytes of the largest packet.
    pub packet_max_bytes: usize,
    /// Bytes beyond it that a record of the server's own may have, on disk and between servers.
    pub packet_extra_bytes: usize,
    /// Requests in process above which a connection with outstanding requests is not read.
    pub outstanding_max: Cap,
    /// Requests that wait before they are looked at.
    pub request_throttle: RequestThrottle,
    /// Large requests in flight.
    pub large_requests: LargeRequests,
    /// Connects that come too fast.
    pub connection_throttle: ConnectionThrottle,
}

/// At most so many; zero and below is no limit. Prints as it was written, which four-letter words
/// need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cap(i32);

impl Cap {
    /// The limit as configured.
    pub fn new(written: i32) -> Self {
        Self(written)
    }

    /// The most that is allowed, if there is a limit.
    pub fn most(self) -> Option<u32> {
        u32::try_from(self.0).ok().filter(|most| *most > 0)
    }

    /// Whether `count` of them are too many.
    pub fn is_exceeded_by(self, count: usize) -> bool {
        self.most()
            .is_some_and(|most| usize::try_from(most).is_ok_and(|most| count > most))
    }

    /// The number as it was written.
    pub fn written(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Cap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Requests that wait before they are looked at (features SB-04).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestThrottle {
    /// Requests in process above which new ones wait.
    pub requests_max: Cap,
    /// For how long one waits each time.
    pub stall: Duration,
    /// Whether stale requests are dropped.
    pub drops_stale: bool,
    /// Whether a request older than its session's timeout is stale.
    pub stale_by_latency: bool,
    /// Whether a request of a closed connection is stale.
    pub stale_by_connection: bool,
    /// After which wait a request is answered with THROTTLEDOP; `None` is never.
    pub refuse_after: Option<Duration>,
}

/// Large requests in flight (features SB-06).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LargeRequests {
    /// From how many bytes a request counts as large; `None` is never.
    pub threshold_bytes: Option<u32>,
    /// Their sum above which a connection is closed.
    pub sum_max_bytes: i32,
}

/// A bucket of tokens for connects, with a drop probability that follows the load (features SB-07).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConnectionThrottle {
    /// Tokens in a full bucket, weighed; 0 is no throttling.
    pub tokens_max: i32,
    /// Between refills.
    pub fill_interval: Duration,
    /// Tokens per refill, weighed.
    pub fill_count: i32,
    /// Between changes of the drop probability; `None` leaves it at 0.
    pub freeze: Option<Duration>,
    /// By which the drop probability grows.
    pub drop_increase: f64,
    /// By which it shrinks.
    pub drop_decrease: f64,
    /// The share of free tokens above which it shrinks.
    pub decrease_ratio: f64,
    /// Tokens that a connect takes.
    pub weights: ConnectWeights,
}

/// Tokens that a connect takes, by the kind of session. All are 1 when weighing is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectWeights {
    /// A new session.
    pub global: i32,
    /// A new local session.
    pub local: i32,
    /// A session that comes back.
    pub renew: i32,
}

/// Below this, records of the server's own would not fit.
const PACKET_EXTRA_BYTES_MIN: i32 = 1024;

impl Limits {
    /// Bytes of the largest buffer or string in a record of the servers' own, on disk and between them.
    pub fn record_max_bytes(&self) -> usize {
        self.packet_max_bytes
            .saturating_add(self.packet_extra_bytes)
    }

    pub(crate) fn read(source: &mut Source) -> Result<Self, ConfigError> {
        let mut packet_max = source.int("jute.maxbuffer")?;
        if packet_max <= 0 {
            source.warn(
                "jute.maxbuffer",
                format!("jute.maxbuffer = {packet_max} lets no packet through; 1048575 is used"),
            );
            packet_max = 0xf_ffff;
        }
        let extra = source
            .int_if_given("jute.maxbuffer.extrasize")?
            .unwrap_or(packet_max)
            .max(PACKET_EXTRA_BYTES_MIN);
        let bytes = |n: i32| usize::try_from(n).unwrap_or(0);
        Ok(Self {
            connections_per_client: Cap(source.int("maxClientCnxns")?),
            connections: Cap(source.int("maxCnxns")?.max(0)),
            packet_max_bytes: bytes(packet_max),
            packet_extra_bytes: bytes(extra),
            outstanding_max: Cap(source.int("globalOutstandingLimit")?),
            request_throttle: RequestThrottle::read(source)?,
            large_requests: LargeRequests::read(source)?,
            connection_throttle: ConnectionThrottle::read(source)?,
        })
    }
}

impl RequestThrottle {
    fn read(source: &mut Source) -> Result<Self, ConfigError> {
        let refuse_after = source.millis("throttled_op_wait_time")?;
        Ok(Self {
            requests_max: Cap(source.int("request_throttle_max_requests")?),
            stall: source.millis("request_throttle_stall_time")?,
            drops_stale: source.flag("request_throttle_drop_stale")?,
            stale_by_latency: source.flag("request_stale_latency_check")?,
            stale_by_connection: source.flag("request_stale_connection_check")?,
            refuse_after: (!refuse_after.is_zero()).then_some(refuse_after),
        })
    }
}

impl LargeRequests {
    fn read(source: &mut Source) -> Result<Self, ConfigError> {
        let mut sum_max_bytes = source.int("largeRequestMaxBytes")?;
        if sum_max_bytes <= 0 {
            let text = format!(
                "largeRequestMaxBytes = {sum_max_bytes} lets no large request through; 104857600 is used"
            );
            source.warn("largeRequestMaxBytes", text);
            sum_max_bytes = 100 << 20;
        }
        let mut threshold = source.int("largeRequestThreshold")?;
        if threshold == 0 || threshold < -1 {
            source.warn(
                "largeRequestThreshold",
                format!("largeRequestThreshold = {threshold} counts as -1, which is never"),
            );
            threshold = -1;
        }
        Ok(Self {
            threshold_bytes: u32::try_from(threshold).ok(),
            sum_max_bytes,
        })
    }
}

impl ConnectionThrottle {
    fn read(source: &mut Source) -> Result<Self, ConfigError> {
        let weighs = source.flag("connection_throttle_weight_enabled")?;
        let weights = match weighs {
            true => ConnectWeights::read(source)?,
            false => ConnectWeights {
                global: 1,
                local: 1,
                renew: 1,
            },
        };
        // Tokens are configured for new global sessions.
        let mut tokens =
            |key| Ok::<_, ConfigError>(source.int(key)?.saturating_mul(weights.global));
        let (tokens_max, fill_count) = (
            tokens("connection_throttle_tokens")?,
            tokens("connection_throttle_fill_count")?,
        );
        let freeze = source.int("connection_throttle_freeze_time")?;
        Ok(Self {
            tokens_max: tokens_max.max(0),
            fill_interval: source.millis("connection_throttle_fill_time")?,
            fill_count,
            freeze: u64::try_from(freeze)
                .ok()
                .filter(|ms| *ms > 0)
                .map(Duration::from_millis),
            drop_increase: source.real("connection_throttle_drop_increase")?,
            drop_decrease: source.real("connection_throttle_drop_decrease")?,
            decrease_ratio: source.real("connection_throttle_decrease_ratio")?,
            weights,
        })
    }
}

impl ConnectWeights {
    fn read(source: &mut Source) -> Result<Self, ConfigError> {
        let mut weight = |key: &str, default: i32, floor: i32| -> Result<i32, ConfigError> {
            let given = source.int(key)?;
            if given > 0 && given >= floor {
                return Ok(given);
            }
            let used = if given <= 0 { default } else { floor };
            source.warn(key, format!("{key} = {given} is too small; {used} is used"));
            Ok(used)
        };
        let local = weight("connection_throttle_local_session_weight", 1, 1)?;
        Ok(Self {
            global: weight("connection_throttle_global_session_weight", 3, local)?,
            local,
            renew: weight("connection_throttle_renew_session_weight", 2, local)?,
        })
    }
}
