//! Sessions that do nothing but live: a process of their own that holds them, pings as clients do, and may leave watches.
//!
//! `zabra bench` closes its sessions when its load ends; these stay while other load runs. The parent ends the process by
//! killing it: the connections close and nobody says that the sessions are over, so that the server has to find out.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::bench::generator::Target;

/// What the process is told.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Where sessions are opened, in turn
    #[arg(long, value_delimiter = ',', required = true)]
    ports: Vec<u16>,
    /// How many
    #[arg(long)]
    sessions: u32,
    /// Session timeout in milliseconds
    #[arg(long)]
    timeout_ms: u32,
    /// Watches that each of them sets: on the first znodes that `zabra bench fill` creates
    #[arg(long)]
    watches: u32,
}

/// Sessions that live in other processes. They are abandoned when it is dropped: their connections close, they do not.
pub(crate) struct Crowd(Vec<Child>);

impl Crowd {
    /// Opens so many sessions, spread over the servers, each with so many watches.
    pub(crate) fn open(
        target: &Target,
        sessions: u32,
        timeout: Duration,
        watches: u32,
    ) -> anyhow::Result<Self> {
        let mut crowd = Self(Vec::new());
        let ports: Vec<String> = target.ports.iter().map(u16::to_string).collect();
        let mut left = sessions;
        while left > 0 {
            let share = left.min(PER_PROCESS);
            left -= share;
            // By this name even when a build has replaced the program meanwhile.
            let child = Command::new("/proc/self/exe")
                .args(["crowd", "--ports", &ports.join(",")])
                .args(["--sessions", &share.to_string()])
                .args(["--timeout-ms", &timeout.as_millis().to_string()])
                .args(["--watches", &watches.to_string()])
                // Its end tells a process that was left behind that it is to end.
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .context("cannot start a process with sessions")?;
            crowd.0.push(child);
        }
        for child in &mut crowd.0 {
            let stdout = child.stdout.take().context("no output of the sessions")?;
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line)?;
            ensure!(line.trim() == OPEN, "{sessions} sessions cannot be opened");
        }
        Ok(crowd)
    }

    /// Whether all are still there: an error when the server closed one of them.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        for child in &mut self.0 {
            ensure!(child.try_wait()?.is_none(), "idle sessions were closed");
        }
        Ok(())
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // It may have ended by itself; there is nothing else to do about an error.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The process: opens the sessions and lets them live until its input ends.
pub(crate) fn hold(args: &Args) -> anyhow::Result<bool> {
    // The first ones are due first, even while the last ones are opened.
    let begun = Instant::now();
    let sessions = open_all(args)?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{OPEN}")?;
    stdout.flush()?;
    let is_over = Arc::new(AtomicBool::new(false));
    let reader = Arc::clone(&is_over);
    std::thread::spawn(move || {
        // An error is an end, too.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        reader.store(true, Ordering::Relaxed);
    });
    let interval = Duration::from_millis(args.timeout_ms.into()) / PINGS_PER_TIMEOUT;
    let mut pinged = 0;
    while !is_over.load(Ordering::Relaxed) {
        std::thread::sleep(PAUSE);
        let due = begun.elapsed().as_secs_f64() / interval.as_secs_f64() * sessions.len() as f64;
        // So that they are spread over the interval, as those of many clients are.
        let due = (due as usize).min(pinged + sessions.len());
        let turn = || (pinged..due).map(|at| &sessions[at % sessions.len()]);
        for session in turn() {
            session.send(&ping())?;
        }
        for session in turn() {
            session.receive()?;
        }
        pinged = due;
    }
    Ok(true)
}

fn open_all(args: &Args) -> anyhow::Result<Vec<Session>> {
    let sessions = args.sessions as usize;
    let opened = std::thread::scope(|scope| {
        let thread = |thread: usize| {
            let share = sessions * thread / THREADS..sessions * (thread + 1) / THREADS;
            scope.spawn(move || {
                let open = |at: usize| {
                    let session =
                        Session::open(args.ports[at % args.ports.len()], args.timeout_ms)?;
                    session.watch(args.watches)?;
                    anyhow::Ok(session)
                };
                share.map(open).collect::<anyhow::Result<Vec<Session>>>()
            })
        };
        let threads: Vec<_> = (0..THREADS).map(thread).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        let shares: Vec<_> = threads.into_iter().map(join).collect();
        shares.into_iter().collect::<anyhow::Result<Vec<_>>>()
    })?;
    Ok(opened.into_iter().flatten().collect())
}

/// A session and its connection.
struct Session(TcpStream);

impl Session {
    fn open(port: u16, timeout_ms: u32) -> anyhow::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .with_context(|| format!("cannot connect to port {port}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let session = Self(stream);
        session.send(&greeting(timeout_ms))?;
        let answer = session.receive().context("a session is not granted")?;
        // Version, then the timeout, which is not positive when the session is refused.
        let timeout = answer.get(4..8).and_then(<[u8]>::first_chunk);
        ensure!(
            timeout.is_some_and(|bytes| i32::from_be_bytes(*bytes) > 0),
            "the server refuses a session"
        );
        Ok(session)
    }

    /// Sets a watch on the first znodes of `zabra bench fill`.
    fn watch(&self, watches: u32) -> anyhow::Result<()> {
        let keys: Vec<u32> = (0..watches).collect();
        let mut replies = BufReader::new(&self.0);
        for keys in keys.chunks(PIPELINE) {
            let requests: Vec<u8> = keys.iter().flat_map(|key| exists_and_watch(*key)).collect();
            self.send(&requests)?;
            for key in keys {
                let reply = receive(&mut replies)?;
                // Behind xid and zxid stands the error code.
                ensure!(
                    reply.get(12..16) == Some(&[0; 4]),
                    "a watch on {} was not set",
                    filled(*key)
                );
            }
        }
        Ok(())
    }

    fn send(&self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok((&self.0).write_all(bytes)?)
    }

    fn receive(&self) -> anyhow::Result<Vec<u8>> {
        receive(&mut &self.0)
    }
}

/// One frame without its length.
fn receive(stream: &mut impl Read) -> anyhow::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > FRAME_MAX {
        bail!("a frame of {length} bytes: this is no server of the protocol");
    }
    let mut frame = vec![0; length];
    stream.read_exact(&mut frame)?;
    Ok(frame)
}

/// The path that `zabra bench fill` gives to this znode.
pub(super) fn filled(key: u32) -> String {
    format!("/bench/p{:05}/k{key:07}", key / 1000)
}

/// Asks for a new session.
fn greeting(timeout_ms: u32) -> Vec<u8> {
    // Version and last zxid, timeout, no session, its password, not read-only.
    let mut body = vec![0; 12];
    body.extend(timeout_ms.to_be_bytes());
    body.extend([0; 8]);
    body.extend(16_u32.to_be_bytes());
    body.extend([0; 17]);
    framed(&body)
}

fn ping() -> Vec<u8> {
    let mut body = Vec::from((-2_i32).to_be_bytes());
    body.extend(11_i32.to_be_bytes());
    framed(&body)
}

fn exists_and_watch(key: u32) -> Vec<u8> {
    let path = filled(key);
    let mut body = Vec::from(1_i32.to_be_bytes());
    body.extend(3_i32.to_be_bytes());
    body.extend((path.len() as u32).to_be_bytes());
    body.extend(path.as_bytes());
    body.push(1);
    framed(&body)
}

fn framed(body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::from((body.len() as u32).to_be_bytes());
    frame.extend_from_slice(body);
    frame
}

/// What the process says when all sessions are open.
const OPEN: &str = "open";
/// Sessions in one process: below a usual limit of open files.
const PER_PROCESS: u32 = 10_000;
/// Threads that open sessions, so that a flush of the server serves several.
const THREADS: usize = 16;
/// Clients ping when a third of the timeout has passed.
const PINGS_PER_TIMEOUT: u32 = 3;
/// Between two looks at what is due.
const PAUSE: Duration = Duration::from_millis(20);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Requests that are sent before their replies are read.
const PIPELINE: usize = 500;
/// No reply that is asked for here comes near.
const FRAME_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_the_lengths_of_the_protocol() {
        assert_eq!(greeting(4_000).len(), 4 + 45);
        assert_eq!(ping().len(), 4 + 8);
        let watch = exists_and_watch(12_345);
        assert_eq!(watch.len(), 4 + 8 + 4 + 22 + 1);
        assert!(watch.ends_with(b"/bench/p00012/k0012345\x01"));
    }

    #[test]
    fn a_frame_that_no_server_sends_is_refused() {
        assert!(receive(&mut &b"HTTP/1.1"[..]).is_err());
        assert_eq!(receive(&mut &[0, 0, 0, 1, 7][..]).unwrap(), [7]);
        assert!(receive(&mut &[0, 0, 0, 2, 7][..]).is_err());
    }
}
