//! A server's clocks: each runs at its own speed and starts at its own time.

use zabra_peer::Now;
use zabra_proto::{MonoMillis, WallMillis};

use crate::kernel::Micros;

/// How a server sees the time.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// What the monotonic clock says at time 0, ms.
    pub base_ms: u64,
    /// What the wall clock says at time 0, ms since 1970.
    pub wall_ms: i64,
    /// How fast it runs, in parts of a thousand.
    pub rate_permille: u64,
}

impl Clock {
    /// What it says.
    #[must_use]
    pub fn at(&self, now: Micros) -> Now {
        let passed = now.0 * self.rate_permille / 1_000_000;
        Now {
            mono: MonoMillis(self.base_ms + passed),
            wall: WallMillis(self.wall_ms + passed.cast_signed()),
        }
    }

    /// When it will say this.
    #[must_use]
    pub fn when(&self, mono: MonoMillis) -> Micros {
        let passed = mono.0.saturating_sub(self.base_ms);
        Micros((passed * 1_000_000).div_ceil(self.rate_permille))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_reached_when_it_is_said_to_be() {
        for rate_permille in [900, 999, 1000, 1001, 1100] {
            let clock = Clock {
                base_ms: 77,
                wall_ms: 0,
                rate_permille,
            };
            for mono in [78, 100, 1077, 123_456].map(MonoMillis) {
                let when = clock.when(mono);
                assert!(clock.at(when).mono >= mono);
                assert!(clock.at(Micros(when.0 - 1)).mono < mono);
            }
        }
    }
}
