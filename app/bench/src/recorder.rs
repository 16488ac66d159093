//! The measured window: when it begins and ends, and what falls into it.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;

use crate::link::{Nanos, Pending};
use crate::process::CpuUsed;
use crate::report::grouped;
use crate::schedule::Schedule;

/// What ends a window.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Until {
    /// Time.
    Elapsed(Duration),
    /// So many operations.
    Operations(u64),
    /// The sources have nothing left.
    Exhausted,
}

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    WarmUp,
    Measured,
    Over,
}

/// What one thread measures.
#[derive(Debug)]
pub(crate) struct Recorder {
    phase: Phase,
    until: Until,
    /// When the warm-up ends; later, when the window began.
    begun: Nanos,
    ended: Nanos,
    operations: u64,
    latency: Histogram<u64>,
    /// The same by template, if they are told apart.
    kinds: Vec<Histogram<u64>>,
    open: Option<OpenLoop>,
    /// Only one thread asks for the CPU used, which is that of all.
    servers: Option<Vec<u32>>,
    cpu: CpuUsed,
    seconds: Option<Second>,
}

/// What a run measured.
#[derive(Debug)]
pub(crate) struct Measured {
    /// Replies within the window.
    pub(crate) operations: u64,
    /// Length of the window.
    pub(crate) window: Duration,
    /// From the time when a request was due to its reply, in nanoseconds. In a closed loop it is due when it is sent.
    pub(crate) latency: Histogram<u64>,
    /// The same for each template, if they are told apart.
    pub(crate) kinds: Vec<Histogram<u64>>,
    /// What an open loop knows besides.
    pub(crate) open: Option<OpenLoop>,
    /// CPU used in the window.
    pub(crate) cpu: CpuUsed,
}

/// Requests of an open loop. Latencies are those of requests that were due in the window, whenever their replies came.
#[derive(Debug)]
pub(crate) struct OpenLoop {
    /// Requests in a second that were asked for.
    pub(crate) asked: f64,
    /// Requests that were due in the window.
    pub(crate) due: u64,
    /// Requests that were due before its end and were not sent until then, since their sessions had no room.
    pub(crate) backlog: u64,
    /// From sending to reply, in nanoseconds, of the replies within the window.
    pub(crate) service: Histogram<u64>,
    window: Range<Nanos>,
}

impl OpenLoop {
    /// So many requests in a second; the window is one of due times.
    pub(crate) fn new(asked: f64, window: Range<Nanos>) -> Self {
        Self {
            asked,
            due: 0,
            backlog: 0,
            service: histogram(),
            window,
        }
    }
}

impl Recorder {
    /// A window that begins at `from`.
    pub(crate) fn new(from: Nanos, until: Until) -> Self {
        Self {
            phase: Phase::WarmUp,
            until,
            begun: from,
            ended: from,
            operations: 0,
            latency: histogram(),
            kinds: Vec::new(),
            open: None,
            servers: None,
            cpu: CpuUsed::default(),
            seconds: None,
        }
    }

    /// Also tells the latencies of so many templates apart.
    pub(crate) fn with_kinds(mut self, templates: usize) -> Self {
        self.kinds = (0..templates).map(|_| histogram()).collect();
        self
    }

    /// What counts for latencies is when a request was due.
    pub(crate) fn with_open_loop(mut self, open: OpenLoop) -> Self {
        self.open = Some(open);
        self
    }

    /// Also notes the CPU used by this process and these servers.
    pub(crate) fn with_cpu(mut self, servers: &[u32]) -> Self {
        self.servers = Some(servers.to_vec());
        self
    }

    /// Also tells the rate of each second.
    pub(crate) fn with_seconds(mut self, seconds: Arc<Seconds>) -> Self {
        self.seconds = Some(Second {
            number: 0,
            operations: 0,
            latency: histogram(),
            shared: seconds,
        });
        self
    }

    /// Whether more requests are to be sent.
    #[inline]
    pub(crate) fn wants_more(&self) -> bool {
        self.phase != Phase::Over
    }

    /// Notes the reply to a request.
    #[inline]
    pub(crate) fn record(&mut self, request: &Pending, now: Nanos) -> Result<()> {
        let is_measured = self.phase == Phase::Measured;
        let counts = match &mut self.open {
            None => is_measured,
            Some(open) => {
                if is_measured {
                    let service = nanos_since(request.sent, now);
                    open.service.saturating_record(service);
                }
                open.window.contains(&request.due)
            }
        };
        let nanos = nanos_since(request.due, now);
        if counts {
            self.latency.saturating_record(nanos);
            if let Some(kind) = self.kinds.get_mut(usize::from(request.template)) {
                kind.saturating_record(nanos);
            }
        }
        if !is_measured {
            return Ok(());
        }
        self.operations += 1;
        if let Some(second) = &mut self.seconds {
            second.operations += 1;
            second.latency.saturating_record(nanos);
        }
        match self.until {
            Until::Operations(limit) if self.operations >= limit => self.end(now),
            _ => Ok(()),
        }
    }

    /// Notes that a request of an open loop is due.
    #[inline]
    pub(crate) fn on_due(&mut self, due: Nanos) {
        if let Some(open) = &mut self.open {
            open.due += u64::from(open.window.contains(&due));
        }
    }

    /// Notes what was due before the end of the window and was not sent. It counts with the time that it had waited until
    /// then: to leave it out would leave out the worst.
    pub(crate) fn on_unsent(&mut self, schedule: &Schedule) {
        let Some(open) = &mut self.open else {
            return;
        };
        let end = open.window.end;
        for due in schedule.waiting().filter(|due| *due < end) {
            open.backlog += 1;
            if open.window.contains(&due) {
                self.latency.saturating_record(nanos_since(due, end));
            }
        }
    }

    /// Lets the time pass; called between rounds of the loop.
    pub(crate) fn on_time(&mut self, now: Nanos) -> Result<()> {
        match self.phase {
            Phase::WarmUp if now >= self.begun => {
                self.phase = Phase::Measured;
                self.begun = now;
                if let Some(servers) = &self.servers {
                    self.cpu = CpuUsed::now(servers)?;
                }
            }
            Phase::Measured => {
                if let Some(second) = &mut self.seconds {
                    second.on_time(now.since(self.begun));
                }
                if let Until::Elapsed(duration) = self.until
                    && now.since(self.begun) >= duration
                {
                    self.end(now)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Ends the window, unless it has ended.
    pub(crate) fn end(&mut self, now: Nanos) -> Result<()> {
        if self.phase == Phase::Over {
            return Ok(());
        }
        self.phase = Phase::Over;
        self.ended = now;
        if let Some(servers) = &self.servers {
            self.cpu = CpuUsed::now(servers)?.since(self.cpu);
        }
        Ok(())
    }

    /// What was measured.
    pub(crate) fn finish(self) -> Measured {
        Measured {
            operations: self.operations,
            window: self.ended.since(self.begun),
            latency: self.latency,
            kinds: self.kinds,
            open: self.open,
            cpu: self.cpu,
        }
    }
}

impl Measured {
    /// Why the rate asked for was not reached, if it was not: of what was due in the window more is without a reply at its
    /// end than can be under way at the time.
    pub(crate) fn shortfall(&self, sessions: u64) -> Option<String> {
        let open = self.open.as_ref()?;
        let missing = open.due.saturating_sub(self.operations);
        (missing > sessions.max(open.due / 100)).then(|| {
            let reached = self.operations as f64 / self.window.as_secs_f64().max(1e-9);
            format!(
                "{} operations a second were asked for, {} were reached; {} requests were due and not yet sent at the end, \
                 and count with the time that they had waited until then",
                grouped(open.asked, 0),
                grouped(reached, 0),
                grouped(open.backlog as f64, 0)
            )
        })
    }

    /// Adds what another thread measured at the same time.
    pub(crate) fn merge(&mut self, other: &Self) -> Result<()> {
        self.operations += other.operations;
        self.window = self.window.max(other.window);
        self.latency.add(&other.latency)?;
        for (kind, other) in self.kinds.iter_mut().zip(&other.kinds) {
            kind.add(other)?;
        }
        if let (Some(open), Some(other)) = (&mut self.open, &other.open) {
            open.due += other.due;
            open.backlog += other.backlog;
            open.service.add(&other.service)?;
        }
        Ok(())
    }
}

fn nanos_since(earlier: Nanos, now: Nanos) -> u64 {
    now.0.saturating_sub(earlier.0)
}

/// A histogram of nanoseconds with three digits, up to an hour.
pub(crate) fn histogram() -> Histogram<u64> {
    let hour = Duration::from_secs(3600).as_nanos() as u64;
    // A least value of 1, a greatest of twice that or more and up to five digits are always accepted.
    Histogram::new_with_bounds(1, hour, 3).expect("bounds of a histogram")
}

/// The running second of one thread.
#[derive(Debug)]
struct Second {
    number: u64,
    operations: u64,
    latency: Histogram<u64>,
    shared: Arc<Seconds>,
}

impl Second {
    fn on_time(&mut self, elapsed: Duration) {
        if elapsed.as_secs() <= self.number {
            return;
        }
        self.shared.add(self.number, self.operations, &self.latency);
        self.number = elapsed.as_secs();
        self.operations = 0;
        self.latency.reset();
    }
}

/// Seconds of a window over all threads; each is printed when the last thread has told its part.
#[derive(Debug)]
pub(crate) struct Seconds {
    threads: u32,
    told: Mutex<Vec<Told>>,
}

/// One second as far as it has been told.
#[derive(Debug, Clone)]
struct Told {
    parts: u32,
    operations: u64,
    latency: Histogram<u64>,
}

impl Seconds {
    /// Seconds of a run with so many threads.
    pub(crate) fn of(threads: u32) -> Arc<Self> {
        Arc::new(Self {
            threads,
            told: Mutex::new(Vec::new()),
        })
    }

    /// Operations in each second that is complete.
    pub(crate) fn rates(&self) -> Vec<u64> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let complete = told.iter().filter(|second| second.parts == self.threads);
        complete.map(|second| second.operations).collect()
    }

    fn add(&self, number: u64, operations: u64, latency: &Histogram<u64>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let index = number as usize;
        while told.len() <= index {
            told.push(Told {
                parts: 0,
                operations: 0,
                latency: histogram(),
            });
        }
        let second = &mut told[index];
        second.parts += 1;
        second.operations += operations;
        // Both have the same bounds.
        let _ = second.latency.add(latency);
        if second.parts == self.threads {
            eprintln!("{}", second.line(number + 1));
        }
    }
}

impl Told {
    fn line(&self, second: u64) -> String {
        let micros = |quantile| self.latency.value_at_quantile(quantile) as f64 / 1e3;
        format!(
            "{second:>5} s {:>12} /s   p50 {:>10} µs   p99 {:>10} µs   p99.9 {:>10} µs   max {:>10} µs",
            grouped(self.operations as f64, 0),
            grouped(micros(0.5), 0),
            grouped(micros(0.99), 0),
            grouped(micros(0.999), 0),
            grouped(self.latency.max() as f64 / 1e3, 0)
        )
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use zabra_proto::Xid;

    use super::*;

    const MILLI: u64 = 1_000_000;

    fn request(due: u64, sent: u64) -> Pending {
        Pending {
            due: Nanos(due),
            sent: Nanos(sent),
            xid: Xid(1),
            template: 0,
        }
    }

    fn recorder(until: Until) -> Recorder {
        Recorder::new(Nanos(10 * MILLI), until)
    }

    /// Lets a reply come in each millisecond.
    fn run(recorder: &mut Recorder, millis: Range<u64>) {
        for milli in millis {
            let now = Nanos(milli * MILLI);
            recorder.on_time(now).unwrap();
            let sent = now.0.saturating_sub(milli * 1_000);
            recorder.record(&request(sent, sent), now).unwrap();
        }
    }

    #[test]
    fn replies_before_and_after_the_window_do_not_count() {
        let mut recorder = recorder(Until::Elapsed(Duration::from_millis(20)));
        run(&mut recorder, 0..30);
        assert!(recorder.wants_more());
        run(&mut recorder, 30..50);
        assert!(!recorder.wants_more());
        let measured = recorder.finish();
        assert_eq!((measured.operations, measured.latency.len()), (20, 20));
        assert_eq!(measured.window, Duration::from_millis(20));
    }

    #[test]
    fn a_window_of_operations_ends_with_the_last_of_them() {
        let mut recorder = recorder(Until::Operations(5));
        run(&mut recorder, 0..50);
        let measured = recorder.finish();
        assert_eq!(measured.operations, 5);
        assert_eq!(measured.window, Duration::from_millis(4));
    }

    #[test]
    fn seconds_count_once_every_thread_has_told_them() {
        let seconds = Seconds::of(2);
        let mut recorders: Vec<Recorder> = (0..2)
            .map(|_| recorder(Until::Exhausted).with_seconds(Arc::clone(&seconds)))
            .collect();
        run(&mut recorders[0], 10..1_020);
        assert_eq!(seconds.rates(), Vec::<u64>::new());
        run(&mut recorders[1], 10..1_020);
        assert_eq!(seconds.rates(), [2_000]);
    }

    fn open(asked: f64, millis: Range<u64>) -> Recorder {
        let window = Nanos(millis.start * MILLI)..Nanos(millis.end * MILLI);
        let length = window.end.since(window.start);
        Recorder::new(window.start, Until::Elapsed(length))
            .with_open_loop(OpenLoop::new(asked, window))
    }

    #[test]
    fn in_an_open_loop_latency_begins_when_a_request_is_due() {
        let mut recorder = open(1_000.0, 10..20);
        recorder.on_time(Nanos(10 * MILLI)).unwrap();
        // Due before the window, in it, and in it with a reply behind its end.
        for (due, sent, now) in [(9, 9, 11), (10, 14, 15), (19, 20, 27)] {
            let now = Nanos(now * MILLI);
            recorder.on_time(now).unwrap();
            recorder
                .record(&request(due * MILLI, sent * MILLI), now)
                .unwrap();
        }
        let measured = recorder.finish();
        assert_eq!((measured.operations, measured.latency.len()), (2, 2));
        let service = measured.open.unwrap().service;
        let near = |nanos: u64, millis: u64| nanos.abs_diff(millis * MILLI) < MILLI / 100;
        assert!(near(measured.latency.min(), 5) && near(measured.latency.max(), 8));
        assert!(near(service.min(), 1) && near(service.max(), 2));
    }

    #[test]
    fn what_is_never_sent_counts_with_its_wait() {
        // Ten are due in the window and two before it; three are sent.
        let mut schedule = Schedule::new(Nanos(8 * MILLI), 1_000.0, 1, 0..1);
        let mut recorder = open(1_000.0, 10..20);
        for _ in 0..15 {
            recorder.on_due(schedule.next_due());
            schedule.arrive();
        }
        for _ in 0..3 {
            schedule.take(0).unwrap();
        }
        recorder.on_unsent(&schedule);
        let measured = recorder.finish();
        assert_eq!(measured.latency.len(), 9);
        assert_eq!(measured.latency.max() / MILLI, 9);
        let told = measured.shortfall(1).unwrap();
        assert!(told.contains("9 requests were due"), "{told}");
        let open = measured.open.unwrap();
        assert_eq!((open.due, open.backlog), (10, 9));
    }

    #[test]
    fn what_is_under_way_at_the_end_is_no_shortfall() {
        let mut measured = open(1_000.0, 0..1_000).finish();
        measured.open.as_mut().unwrap().due = 1_000;
        measured.window = Duration::from_secs(1);
        for (operations, sessions, falls_short) in
            [(990, 1, false), (950, 64, false), (900, 64, true)]
        {
            measured.operations = operations;
            let told = measured.shortfall(sessions);
            assert_eq!(told.is_some(), falls_short, "{operations}: {told:?}");
        }
    }

    #[test]
    fn threads_are_put_together() {
        let measured = || {
            let mut recorder = recorder(Until::Operations(5));
            run(&mut recorder, 0..50);
            recorder.finish()
        };
        let mut all = measured();
        all.merge(&measured()).unwrap();
        assert_eq!((all.operations, all.latency.len()), (10, 10));
        assert_eq!(all.window, Duration::from_millis(4));
    }
}
