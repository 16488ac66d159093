//! How long the other side may take.

use zabra_proto::MonoMillis;

/// Limits in ticks, as the configuration gives them.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Length of a tick, ms.
    pub tick_ms: u64,
    /// Ticks that each step up to being in step may take (`initLimit`).
    pub init_limit: u32,
    /// Ticks that the other side may be silent afterwards (`syncLimit`).
    pub sync_limit: u32,
}

/// How often a leader beats when all voters are servers of this project (design 1.1).
pub const HEARTBEAT_MS: u64 = 100;
/// After this long without a sign of a leader that has promised heartbeats, a learner leaves it.
pub const HEARTBEAT_LIMIT_MS: u64 = 600;

impl Limits {
    /// `initLimit`, in ms.
    #[must_use]
    pub fn init_ms(self) -> u64 {
        u64::from(self.init_limit).saturating_mul(self.tick_ms)
    }

    /// `syncLimit`, in ms.
    #[must_use]
    pub fn sync_ms(self) -> u64 {
        u64::from(self.sync_limit).saturating_mul(self.tick_ms)
    }

    /// Half a tick: the time between two pings.
    #[must_use]
    pub fn ping_ms(self) -> u64 {
        (self.tick_ms / 2).max(1)
    }

    /// When `initLimit` is over.
    #[must_use]
    pub fn init_deadline(self, from: MonoMillis) -> MonoMillis {
        from.after(self.init_ms())
    }

    /// When `syncLimit` is over.
    #[must_use]
    pub fn sync_deadline(self, from: MonoMillis) -> MonoMillis {
        from.after(self.sync_ms())
    }
}
