//! Proxies between the members: each byte from one server to another passes here, and may come late, slowly, or not at all.
//!
//! They stand in the members' own networks. A member knows each other one by an *inner* address, 10.77.0.n, which in its
//! network is this machine's: a proxy listens there and passes everything on to the *outer* address, 10.78.0.n. So all members
//! have the same configuration, and none knows of it. What a link carries is never changed, and never lost in the middle of a
//! connection: TCP does not do that either. It is held, or the connection is reset.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::Sid;
use super::net::Hub;

/// How long a look at a socket or a link takes.
const LOOK: Duration = Duration::from_millis(20);
/// Bytes that are passed on at once.
const PIECE: usize = 16 * 1024;
/// How long connecting to a member may take.
const CONNECT: Duration = Duration::from_secs(1);

/// The way from one member to another, for connections that the first one opened.
#[derive(Debug, Default)]
pub struct Way {
    /// How late each piece is, ms.
    late_ms: AtomicU32,
    /// Bytes of a second; 0 is as many as there are.
    rate: AtomicU32,
    /// Whether what the first one says is held.
    holds_there: AtomicBool,
    /// Whether what it is answered is held.
    holds_back: AtomicBool,
    /// Connections of an earlier generation are reset.
    generation: AtomicU64,
}

/// All ways between the members.
#[derive(Debug)]
pub struct Proxies {
    ways: BTreeMap<(Sid, Sid), Arc<Way>>,
    stop: Arc<AtomicBool>,
}

impl Proxies {
    /// Stands between all members; each listens at these two ports of every address of its own.
    ///
    /// # Errors
    /// The machine does not allow it.
    pub fn start(hub: &Hub, ports: &[(Sid, [u16; 2])]) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut ways = BTreeMap::new();
        for (from, _) in ports {
            for (to, ports) in ports.iter().filter(|(to, _)| to != from) {
                let way = Arc::new(Way::default());
                ways.insert((*from, *to), Arc::clone(&way));
                let (outer, inner) = (super::net::outer(*to), super::net::inner(*to));
                for port in ports {
                    let ends = [SocketAddr::from((inner, *port)), (outer, *port).into()];
                    let (way, stop) = (Arc::clone(&way), Arc::clone(&stop));
                    hub.spawn_within(*from, move || stand(ends, &way, &stop))
                        .with_context(|| format!("a proxy of {from} before {to}"))?;
                }
            }
        }
        Ok(Self { ways, stop })
    }

    /// The ways to and from a member.
    fn of(&self, sid: Sid) -> impl Iterator<Item = ((Sid, Sid), &Arc<Way>)> {
        let is_of = move |(from, to): &(Sid, Sid)| *from == sid || *to == sid;
        let ways = self.ways.iter().map(|(ends, way)| (*ends, way));
        ways.filter(move |(ends, _)| is_of(ends))
    }

    /// Everything from and to a member comes so much later.
    pub fn delay(&self, sid: Sid, ms: u32) {
        self.of(sid)
            .for_each(|(_, way)| way.late_ms.store(ms, Ordering::SeqCst));
    }

    /// No more than so many bytes of a second come from and to a member, on each connection.
    pub fn throttle(&self, sid: Sid, rate: u32) {
        self.of(sid)
            .for_each(|(_, way)| way.rate.store(rate, Ordering::SeqCst));
    }

    /// All connections of a member with others are reset.
    pub fn reset(&self, sid: Sid) {
        self.of(sid).for_each(|(_, way)| {
            way.generation.fetch_add(1, Ordering::SeqCst);
        });
    }

    /// Nothing that a member says is heard.
    pub fn mute(&self, sid: Sid) {
        for ((from, _), way) in self.of(sid) {
            let held = if from == sid {
                &way.holds_there
            } else {
                &way.holds_back
            };
            held.store(true, Ordering::SeqCst);
        }
    }

    /// A member hears nothing.
    pub fn deafen(&self, sid: Sid) {
        for ((from, _), way) in self.of(sid) {
            let held = if from == sid {
                &way.holds_back
            } else {
                &way.holds_there
            };
            held.store(true, Ordering::SeqCst);
        }
    }

    /// Two members do not hear each other; both hear all others.
    pub fn part(&self, one: Sid, other: Sid) {
        for ends in [(one, other), (other, one)] {
            if let Some(way) = self.ways.get(&ends) {
                way.holds_there.store(true, Ordering::SeqCst);
                way.holds_back.store(true, Ordering::SeqCst);
            }
        }
    }

    /// Everything passes again; what was held comes late.
    pub fn heal(&self) {
        for way in self.ways.values() {
            way.late_ms.store(0, Ordering::SeqCst);
            way.rate.store(0, Ordering::SeqCst);
            way.holds_there.store(false, Ordering::SeqCst);
            way.holds_back.store(false, Ordering::SeqCst);
        }
    }
}

impl Drop for Proxies {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

/// Listens at one end and connects to the other.
fn stand([inner, outer]: [SocketAddr; 2], way: &Arc<Way>, stop: &Arc<AtomicBool>) -> Result<()> {
    let listener = TcpListener::bind(inner).with_context(|| format!("listen at {inner}"))?;
    listener.set_nonblocking(true)?;
    let (way, stop) = (Arc::clone(way), Arc::clone(stop));
    thread::spawn(move || {
        while !stop.load(Ordering::SeqCst) {
            let Ok((near, _)) = listener.accept() else {
                thread::sleep(LOOK / 4);
                continue;
            };
            let (way, stop) = (Arc::clone(&way), Arc::clone(&stop));
            thread::spawn(move || carry(near, outer, &way, &stop));
        }
    });
    Ok(())
}

/// One connection, until either side ends it or it is reset.
fn carry(near: TcpStream, outer: SocketAddr, way: &Arc<Way>, stop: &Arc<AtomicBool>) {
    let generation = way.generation.load(Ordering::SeqCst);
    let Ok(far) = TcpStream::connect_timeout(&outer, CONNECT) else {
        return reset(&near);
    };
    let copies = near
        .try_clone()
        .and_then(|near| Ok((near, far.try_clone()?)));
    let (Ok((near_back, far_back)), Ok(())) = (copies, near.set_nonblocking(false)) else {
        return reset(&near);
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            pump(
                &far_back,
                &near_back,
                way,
                generation,
                &way.holds_back,
                stop,
            )
        });
        pump(&near, &far, way, generation, &way.holds_there, stop);
    });
}

fn pump(
    from: &TcpStream,
    to: &TcpStream,
    way: &Way,
    generation: u64,
    held: &AtomicBool,
    stop: &AtomicBool,
) {
    let is_over =
        || stop.load(Ordering::SeqCst) || way.generation.load(Ordering::SeqCst) != generation;
    let passed = (|| -> std::io::Result<()> {
        from.set_read_timeout(Some(LOOK))?;
        to.set_nodelay(true)?;
        let mut piece = vec![0; PIECE];
        loop {
            let n = match (&*from).read(&mut piece) {
                Ok(0) => return to.shutdown(Shutdown::Write),
                Ok(n) => n,
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => 0,
                Err(e) => return Err(e),
            };
            if is_over() {
                return Err(ErrorKind::ConnectionReset.into());
            }
            if n == 0 {
                continue;
            }
            let rate = u64::from(way.rate.load(Ordering::SeqCst));
            let slow = (n as u64 * 1000).checked_div(rate).unwrap_or(0);
            let late = u64::from(way.late_ms.load(Ordering::SeqCst)) + slow;
            thread::sleep(Duration::from_millis(late));
            while held.load(Ordering::SeqCst) && !is_over() {
                thread::sleep(LOOK / 4);
            }
            (&*to).write_all(&piece[..n])?;
        }
    })();
    if passed.is_err() {
        reset(from);
        reset(to);
    }
}

/// Ends a connection so that both sides are told at once.
fn reset(stream: &TcpStream) {
    // It may be gone already.
    let _ = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
    let _ = stream.shutdown(Shutdown::Both);
}
