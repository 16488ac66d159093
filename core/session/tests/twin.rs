//! The tracker against a list of sessions that is searched from end to end.

use proptest::prelude::*;
use zabra_proto::{MonoMillis, SessionId};
use zabra_session::{SessionTracker, Standing};

const TICK: u64 = 10;

#[derive(Debug, Clone)]
enum Step {
    Open(i64, i32),
    /// Heard of this many ms ago.
    Touch(i64, u64),
    TouchWith(i64, i32),
    BeginClose(i64),
    Closed(i64),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let session = || 1_i64..6;
    let timeout =
        || prop_oneof![5 => 1..100_i32, 1 => Just(0), 1 => Just(i32::MIN), 1 => Just(i32::MAX)];
    prop_oneof![
        3 => (session(), timeout()).prop_map(|(s, t)| Step::Open(s, t)),
        4 => (session(), 0_u64..200).prop_map(|(s, ago)| Step::Touch(s, ago)),
        1 => (session(), timeout()).prop_map(|(s, t)| Step::TouchWith(s, t)),
        1 => session().prop_map(Step::BeginClose),
        1 => session().prop_map(Step::Closed),
        6 => (0_u64..80).prop_map(Step::Pass),
    ]
}

#[derive(Debug, Clone)]
struct Known {
    id: i64,
    timeout_ms: i32,
    /// The end of its tick.
    until: u64,
    closing: bool,
}

fn until(heard: u64, timeout_ms: i32) -> u64 {
    let timeout = if timeout_ms < 0 { 0 } else { timeout_ms as u64 };
    ((heard + timeout) / TICK + 1) * TICK
}

#[derive(Debug, Default)]
struct Twin {
    known: Vec<Known>,
}

impl Twin {
    fn find(&mut self, id: i64) -> Option<&mut Known> {
        self.known.iter_mut().find(|known| known.id == id)
    }

    fn touch(&mut self, id: i64, timeout_ms: Option<i32>, heard: u64) {
        if let Some(known) = self.find(id) {
            known.timeout_ms = timeout_ms.unwrap_or(known.timeout_ms);
            known.until = known.until.max(until(heard, known.timeout_ms));
        }
    }

    fn open(&mut self, id: i64, timeout_ms: i32, now: u64) {
        if self.find(id).is_some() {
            return self.touch(id, Some(timeout_ms), now);
        }
        self.known.push(Known {
            id,
            timeout_ms,
            until: until(now, timeout_ms),
            closing: false,
        });
    }

    fn expire(&mut self, now: u64) -> Vec<i64> {
        let mut due: Vec<&mut Known> = self
            .known
            .iter_mut()
            .filter(|known| !known.closing && known.until <= now)
            .collect();
        due.sort_by_key(|known| (known.until, known.id));
        due.iter_mut().for_each(|known| known.closing = true);
        due.iter().map(|known| known.id).collect()
    }
}

fn expire_all(tracker: &mut SessionTracker, now: u64) -> Vec<i64> {
    let mut expired = Vec::new();
    loop {
        let bucket = tracker.expire(MonoMillis(now));
        if bucket.is_empty() {
            return expired;
        }
        expired.extend(bucket.iter().map(|session| session.0));
    }
}

fn run(steps: Vec<Step>) {
    let mut tracker = SessionTracker::new(TICK);
    let mut twin = Twin::default();
    let mut now = 1000;
    for step in steps {
        match step {
            Step::Open(id, timeout) => {
                tracker.open(SessionId(id), timeout, MonoMillis(now));
                twin.open(id, timeout, now);
            }
            Step::Touch(id, ago) => {
                tracker.touch(SessionId(id), MonoMillis(now - ago));
                twin.touch(id, None, now - ago);
            }
            Step::TouchWith(id, timeout) => {
                tracker.touch_with(SessionId(id), timeout, MonoMillis(now));
                twin.touch(id, Some(timeout), now);
            }
            Step::BeginClose(id) => {
                tracker.begin_close(SessionId(id));
                twin.find(id)
                    .into_iter()
                    .for_each(|known| known.closing = true);
            }
            Step::Closed(id) => {
                tracker.closed(SessionId(id));
                twin.known.retain(|known| known.id != id);
            }
            Step::Pass(ms) => {
                now += ms;
                assert_eq!(expire_all(&mut tracker, now), twin.expire(now));
            }
        }
        assert_eq!(tracker.len(), twin.known.len());
        let open = twin.known.iter().filter(|known| !known.closing);
        let next = open.clone().map(|known| MonoMillis(known.until)).min();
        assert_eq!(tracker.next_due(), next);
        let queued: usize = tracker.expiry().buckets().map(|(_, s)| s.len()).sum();
        assert_eq!(queued, open.count());
        for id in 1..6 {
            let standing = match twin.find(id) {
                None => Standing::Unknown,
                Some(known) if known.closing => Standing::Closing,
                Some(_) => Standing::Open,
            };
            assert_eq!(tracker.standing(SessionId(id)), standing);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sessions_expire_as_a_plain_list_says(steps in prop::collection::vec(step(), 1..60)) {
        run(steps);
    }
}
