//! The two clocks.

use rustix::time::ClockId;
#[cfg(not(shuttle))]
use rustix::time::clock_gettime;
use zabra_peer::Now;
use zabra_proto::{MonoMillis, WallMillis};
#[cfg(feature = "faults")]
use zabra_storage::faults::wall_ms as shown;

/// What time it is: the monotonic clock counts from the machine's start, as Java's does on Linux.
#[must_use]
pub fn now() -> Now {
    Now {
        mono: MonoMillis(millis(ClockId::Monotonic).unsigned_abs()),
        wall: WallMillis(shown(millis(ClockId::Realtime))),
    }
}

#[cfg(not(feature = "faults"))]
const fn shown(true_ms: i64) -> i64 {
    true_ms
}

#[cfg(shuttle)]
fn millis(_: ClockId) -> i64 {
    crate::sync::now().as_millis() as i64
}

#[cfg(not(shuttle))]
fn millis(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}

/// The wall time of a moment on the monotonic clock, for people to read.
#[must_use]
pub fn wall_of(moment: MonoMillis, now: Now) -> WallMillis {
    let ahead = i64::try_from(moment.since(now.mono)).unwrap_or(i64::MAX);
    let behind = i64::try_from(now.mono.since(moment)).unwrap_or(i64::MAX);
    WallMillis(now.wall.0.saturating_add(ahead).saturating_sub(behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_translated_by_their_distance_from_now() {
        let now = Now {
            mono: MonoMillis(1000),
            wall: WallMillis(50_000),
        };
        assert_eq!(wall_of(MonoMillis(1200), now), WallMillis(50_200));
        assert_eq!(wall_of(MonoMillis(700), now), WallMillis(49_700));
    }
}
