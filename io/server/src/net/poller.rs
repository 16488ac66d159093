//! The readiness loop's system calls: epoll, level-triggered, and the eventfd that wakes it.
//!
//! Level-triggered, since a socket is read once a round: what did not fit into the read is reported again, and no read is
//! spent on finding a socket empty (docs/decisions/0001-poller-round.md).

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use zabra_proto::ConnId;

/// Who is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A listener: new connections wait.
    Listener(u32),
    /// [`Waker::wake`] was called.
    Waker,
    /// A signal arrived.
    Signals,
    /// A connection.
    Conn(ConnId),
    /// A socket of the election port.
    Election(u32),
    /// A socket of the quorum port.
    Quorum(u32),
}

// Connection ids have a generation in their high half; the highest ones are left to the others.
const OTHERS: u64 = (u32::MAX as u64) << 32;
const ELECTION: u64 = (u32::MAX as u64 - 1) << 32;
const QUORUM: u64 = (u32::MAX as u64 - 2) << 32;
const WAKER: u64 = u64::MAX;
const SIGNALS: u64 = u64::MAX - 1;

impl Source {
    fn to_data(self) -> epoll::EventData {
        epoll::EventData::new_u64(match self {
            Self::Waker => WAKER,
            Self::Signals => SIGNALS,
            Self::Listener(number) => OTHERS | u64::from(number),
            Self::Election(number) => ELECTION | u64::from(number),
            Self::Quorum(number) => QUORUM | u64::from(number),
            Self::Conn(id) => id.0,
        })
    }

    fn from_data(data: epoll::EventData) -> Self {
        match data.u64() {
            WAKER => Self::Waker,
            SIGNALS => Self::Signals,
            other if other >= OTHERS => Self::Listener(other as u32),
            other if other >= ELECTION => Self::Election(other as u32),
            other if other >= QUORUM => Self::Quorum(other as u32),
            id => Self::Conn(ConnId(id)),
        }
    }
}

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interest {
    /// Bytes from the client; off while the connection is held.
    pub read: bool,
    /// Room in the socket's buffer; on only while output is left over.
    pub write: bool,
}

impl Interest {
    /// Of a connection with nothing to send.
    pub const READ: Self = Self {
        read: true,
        write: false,
    };

    fn flags(self) -> epoll::EventFlags {
        let mut flags = epoll::EventFlags::empty();
        flags.set(epoll::EventFlags::IN, self.read);
        flags.set(epoll::EventFlags::OUT, self.write);
        flags
    }
}

/// One report of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    /// Who.
    pub source: Source,
    /// There is something to read, or the connection ended.
    pub read: bool,
    /// There is room to write.
    pub write: bool,
    /// Both directions are gone: nothing can be sent any more.
    pub gone: bool,
}

/// The epoll instance.
#[derive(Debug)]
pub struct Poller {
    epoll: OwnedFd,
}

impl Poller {
    /// How many reports one wait takes: the rest comes with the next one, in turn.
    pub const REPORTS: usize = 256;

    /// An instance that watches nothing.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
        })
    }

    /// Watches a file descriptor.
    pub fn add(&self, fd: impl AsFd, source: Source, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(
            &self.epoll,
            fd,
            source.to_data(),
            interest.flags(),
        )?)
    }

    /// Watches it for something else.
    pub fn change(&self, fd: impl AsFd, source: Source, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(
            &self.epoll,
            fd,
            source.to_data(),
            interest.flags(),
        )?)
    }

    /// Watches it no longer. Closing its last descriptor does so as well.
    pub fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, fd)?)
    }

    /// Waits until someone is ready or the time is over, and puts the reports into `ready`.
    pub fn wait(&self, ready: &mut VecDeque<Ready>, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: timeout.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        });
        ready.clear();
        // On the stack, since the kernel's records are not `Send` and the seat changes threads.
        let mut events = [const { std::mem::MaybeUninit::uninit() }; Self::REPORTS];
        let (events, _) = match epoll::wait(&self.epoll, &mut events, timeout.as_ref()) {
            Err(rustix::io::Errno::INTR) => return Ok(()),
            other => other?,
        };
        ready.extend(events.iter().map(|event| {
            let flags = event.flags;
            let gone = flags.intersects(epoll::EventFlags::HUP | epoll::EventFlags::ERR);
            Ready {
                source: Source::from_data(event.data),
                read: gone || flags.contains(epoll::EventFlags::IN),
                write: flags.contains(epoll::EventFlags::OUT),
                gone,
            }
        }));
        Ok(())
    }
}

/// Wakes a waiting [`Poller`] from another thread.
#[derive(Debug, Clone)]
pub struct Waker {
    eventfd: Arc<OwnedFd>,
}

impl Waker {
    /// A waker that is watched by `poller` as [`Source::Waker`].
    pub fn new(poller: &Poller) -> io::Result<Self> {
        let eventfd = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        poller.add(&*eventfd, Source::Waker, Interest::READ)?;
        Ok(Self { eventfd })
    }

    /// Ends the wait that is going on, or the next one.
    pub fn wake(&self) {
        // It fails only when the counter is full, and then the wait ends anyway.
        let _ = rustix::io::write(&*self.eventfd, &1_u64.to_ne_bytes());
    }

    /// Takes note of a wake-up; before looking at what it was for.
    pub fn acknowledge(&self) {
        // It fails only when the counter is zero already.
        let _ = rustix::io::read(&*self.eventfd, &mut [0; 8]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waker_ends_the_wait_until_it_is_acknowledged() {
        let poller = Poller::new().unwrap();
        let waker = Waker::new(&poller).unwrap();
        let mut ready = VecDeque::new();
        poller.wait(&mut ready, Some(Duration::ZERO)).unwrap();
        assert!(ready.is_empty());
        let other = waker.clone();
        std::thread::spawn(move || other.wake()).join().unwrap();
        poller.wait(&mut ready, None).unwrap();
        assert_eq!(
            ready,
            [Ready {
                source: Source::Waker,
                read: true,
                write: false,
                gone: false
            }]
        );
        waker.acknowledge();
        poller.wait(&mut ready, Some(Duration::ZERO)).unwrap();
        assert!(ready.is_empty());
    }

    #[test]
    fn sources_survive_the_way_through_the_kernel() {
        for source in [
            Source::Waker,
            Source::Signals,
            Source::Listener(0),
            Source::Listener(7),
            Source::Election(0),
            Source::Election(u32::MAX),
            Source::Quorum(0),
            Source::Quorum(u32::MAX),
            Source::Conn(ConnId(0)),
            Source::Conn(ConnId(5 << 32 | 9)),
        ] {
            assert_eq!(Source::from_data(source.to_data()), source);
        }
    }
}
