//! New session ids.

use zabra_proto::{ServerId, SessionId, WallMillis};

/// Hands out session ids: server id in the high byte, 40 bits of the start time, a counter from 0 (protocol 10.1).
///
/// Apache starts from the uptime, which a reboot can repeat (P82); ours start from the wall clock, and whoever asks
/// skips ids that are in use.
#[derive(Debug, Clone)]
pub struct SessionIds {
    next: i64,
}

impl SessionIds {
    /// Ids of a server that started at this time.
    #[must_use]
    pub fn new(server: ServerId, started: WallMillis) -> Self {
        let time = ((started.0.cast_unsigned() << 24) >> 8).cast_signed();
        let first = time | (i64::from(server.0) << 56);
        // The one value that would read as the mark of a container.
        Self {
            next: if first == i64::MIN { first + 1 } else { first },
        }
    }

    /// The next id that is not taken.
    pub fn next(&mut self, is_taken: impl Fn(SessionId) -> bool) -> SessionId {
        loop {
            let id = SessionId(self.next);
            self.next = self.next.wrapping_add(1);
            if id != SessionId::NONE && !is_taken(id) {
                return id;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_the_server_in_its_high_byte_and_the_time_behind_it() {
        let id = SessionIds::new(ServerId(3), WallMillis(0x0123_4567_89ab)).next(|_| false);
        assert_eq!(id.0.cast_unsigned(), 0x0323_4567_89ab_0000);
    }

    #[test]
    fn ids_in_use_are_skipped() {
        let mut ids = SessionIds::new(ServerId(1), WallMillis(5));
        let first = ids.clone().next(|_| false);
        assert_eq!(ids.next(|id| id == first).0, first.0 + 1);
    }
}
