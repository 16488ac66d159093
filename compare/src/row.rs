//! One row of the comparison: an operation in a shape, asked by both clients in turn.

use std::fmt;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::{Builder, Runtime};

use crate::client::{Client, Which, prepare};

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub enum Op {
    /// getData
    Get,
    /// setData
    Set,
}

/// How many ask at once.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Threads of the runtime.
    pub threads: usize,
    /// Tasks that share the session.
    pub tasks: usize,
    /// Calls under way in each.
    pub depth: usize,
}

/// An operation in a shape.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// What.
    pub op: Op,
    /// How.
    pub shape: Shape,
}

/// Medians of a row.
#[derive(Debug)]
pub struct Measured {
    row: Row,
    theirs: Median,
    ours: Median,
}

/// The median of a client's windows by CPU time.
#[derive(Debug, Default)]
pub struct Median {
    /// CPU time of a call, in µs.
    pub cpu_us: f64,
    /// How many were answered in a second.
    pub calls_per_s: f64,
}

impl Shape {
    /// One call at a time, on one thread.
    #[must_use]
    pub const fn is_lone(self) -> bool {
        self.threads == 1 && self.tasks == 1 && self.depth == 1
    }
}

impl Measured {
    /// CPU time of a call by each client, theirs and ours.
    #[must_use]
    pub const fn cpu_us(&self) -> [f64; 2] {
        [self.theirs.cpu_us, self.ours.cpu_us]
    }
}

impl Row {
    /// For people.
    #[must_use]
    pub fn name(&self) -> String {
        let Shape {
            threads,
            tasks,
            depth,
        } = self.shape;
        let op = match self.op {
            Op::Get => "get",
            Op::Set => "set",
        };
        let runtime = if threads == 1 { "" } else { ", 2 threads" };
        format!("{op} {tasks} × {depth}{runtime}")
    }

    /// Asks both clients in turn, `passes` times for `window_ms` each.
    ///
    /// # Errors
    /// A call failed.
    pub fn measure(
        self,
        servers: &str,
        passes: u32,
        window_ms: u64,
        only: Option<Which>,
    ) -> anyhow::Result<Measured> {
        let runtime = runtime(self.shape.threads)?;
        let window = Duration::from_millis(window_ms);
        runtime.block_on(async {
            prepare(servers).await?;
            let mut results = [Vec::new(), Vec::new()];
            for (which, results) in [Which::Theirs, Which::Ours].into_iter().zip(&mut results) {
                if only.is_none_or(|only| only == which) {
                    let client = Client::connect(which, servers).await?;
                    // Caches and buffers grow once.
                    self.window(&client, window / 4).await?;
                    results.push((client, Vec::new()));
                }
            }
            for _ in 0..passes {
                for (client, windows) in results.iter_mut().flatten() {
                    windows.push(self.window(client, window).await?);
                }
            }
            let [theirs, ours] = results.map(|mut of| of.pop().map(|(_, windows)| median(windows)));
            Ok(Measured {
                row: self,
                theirs: theirs.unwrap_or_default(),
                ours: ours.unwrap_or_default(),
            })
        })
    }

    async fn window(self, client: &Client, window: Duration) -> anyhow::Result<Median> {
        let meter = Meter::begin();
        let end = Instant::now() + window;
        let client = client.clone();
        // As a task, not on the thread that blocks: where there are two threads, that one is a third.
        let asked = tokio::spawn(async move { client.ask(self.op, self.shape, end).await });
        Ok(meter.end(asked.await??))
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { row, theirs, ours } = self;
        write!(
            f,
            "| {} | {:.2} | {:.2} | {:.2} | {:.0}, {:.0} |",
            row.name(),
            theirs.cpu_us,
            ours.cpu_us,
            ours.cpu_us / theirs.cpu_us,
            theirs.calls_per_s,
            ours.calls_per_s,
        )
    }
}

fn runtime(threads: usize) -> std::io::Result<Runtime> {
    if threads == 1 {
        return Builder::new_current_thread().enable_all().build();
    }
    Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
}

/// A window that is open.
#[derive(Debug)]
pub struct Meter {
    begin: Instant,
    cpu: Duration,
}

impl Meter {
    /// Begins.
    pub fn begin() -> Self {
        Self {
            begin: Instant::now(),
            cpu: cpu_time(),
        }
    }

    /// What so many calls took.
    pub fn end(self, calls: u64) -> Median {
        let calls = calls as f64;
        Median {
            cpu_us: (cpu_time() - self.cpu).as_secs_f64() * 1e6 / calls,
            calls_per_s: calls / self.begin.elapsed().as_secs_f64(),
        }
    }
}

/// CPU time of this process so far, of all its threads, in user and kernel.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
}

/// The window in the middle.
pub fn median(mut windows: Vec<Median>) -> Median {
    windows.sort_by(|a, b| a.cpu_us.total_cmp(&b.cpu_us));
    let middle = windows.len() / 2;
    windows.into_iter().nth(middle).unwrap_or_default()
}
