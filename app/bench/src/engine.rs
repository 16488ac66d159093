//! Sessions on one epoll loop, and the closed loop over them; the open one is in `open`.

use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use rustix::event::{Timespec, epoll};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};
use zabra_jute::{Decode, Reader};
use zabra_proto::SessionId;
use zabra_proto::Xid;
use zabra_proto::client::{ConnectResponse, ReplyHeader};

use crate::args::Target;
use crate::link::{Clock, Link, Nanos, Pending, next_frame};
use crate::recorder::Recorder;
use crate::request::{self, Template};
use crate::source::Source;

mod open;

/// Who is asked, resolved.
#[derive(Debug, Clone)]
pub(crate) struct Servers {
    addresses: Vec<SocketAddr>,
    greeting: Vec<u8>,
    patience: Duration,
}

impl Servers {
    /// Resolves the names.
    pub(crate) fn of(target: &Target) -> Result<Self> {
        let mut addresses = Vec::new();
        for server in &target.server {
            let mut found = server
                .to_socket_addrs()
                .with_context(|| format!("`{server}` is not HOST:PORT or cannot be resolved"))?;
            addresses.push(
                found
                    .next()
                    .with_context(|| format!("{server} has no address"))?,
            );
        }
        Ok(Self {
            addresses,
            greeting: request::connect(target.session_timeout),
            patience: target.patience,
        })
    }

    /// The servers, in the order in which they were given.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The same, but only these servers, of which there is at least one.
    pub(crate) fn only(&self, addresses: &[SocketAddr]) -> Self {
        Self {
            addresses: addresses.to_vec(),
            ..self.clone()
        }
    }

    fn of_session(&self, index: usize) -> SocketAddr {
        self.addresses[index % self.addresses.len()]
    }
}

/// What sessions ask: the requests, and each session's choice among them.
#[derive(Debug)]
pub(crate) struct Job {
    /// Requests; sources name them by their number.
    pub(crate) templates: Vec<Template>,
    /// One for each session.
    pub(crate) sources: Vec<Source>,
}

/// Sessions that are driven by one thread.
#[derive(Debug)]
pub(crate) struct Engine {
    epoll: OwnedFd,
    /// Wakes the loop at moments that an epoll's own timeout, a number of milliseconds, is too coarse for.
    alarm: OwnedFd,
    clock: Clock,
    links: Vec<Link>,
    buffer: Vec<u8>,
    patience: Duration,
    last_heard: Nanos,
}

impl Engine {
    /// Opens sessions, `at_once` at a time; `first` is the number of the first one. Notes the time from the start of each
    /// connection to the session.
    pub(crate) fn open(
        servers: &Servers,
        clock: Clock,
        sessions: std::ops::Range<usize>,
        at_once: usize,
        latency: &mut Histogram<u64>,
    ) -> Result<Self> {
        allow_sockets(sessions.len() as u64)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let alarm = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK,
        )?;
        let data = epoll::EventData::new_u64(ALARM);
        epoll::add(&epoll, &alarm, data, epoll::EventFlags::IN)?;
        let mut engine = Self {
            epoll,
            alarm,
            clock,
            links: Vec::with_capacity(sessions.len()),
            buffer: vec![0; BUFFER],
            patience: servers.patience,
            last_heard: clock.now(),
        };
        let count = sessions.len();
        let (mut opened, mut waiting) = (0, sessions);
        while opened < count {
            while engine.links.len() - opened < at_once
                && let Some(index) = waiting.next()
            {
                engine.connect(servers, index)?;
            }
            engine.turn(&mut |link, frame, now| {
                on_granted(link, frame)?;
                latency.saturating_record(now.since(link.begun).as_nanos() as u64);
                opened += 1;
                Ok(())
            })?;
        }
        Ok(engine)
    }

    fn connect(&mut self, servers: &Servers, index: usize) -> Result<()> {
        let server = servers.of_session(index);
        let link = Link::connect(index, server, &servers.greeting, self.clock.now())?;
        let data = epoll::EventData::new_u64(self.links.len() as u64);
        let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT;
        epoll::add(&self.epoll, link.socket(), data, flags)?;
        self.links.push(link);
        Ok(())
    }

    /// How many sessions there are.
    pub(crate) fn len(&self) -> usize {
        self.links.len()
    }

    /// The clock of this run.
    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    /// Keeps `depth` requests of each session outstanding until the recorder or the sources end it, and waits for the last
    /// reply.
    pub(crate) fn run(&mut self, job: &mut Job, depth: u32, recorder: &mut Recorder) -> Result<()> {
        let Job { templates, sources } = job;
        let mut outstanding = 0u64;
        recorder.on_time(self.clock.now())?;
        for (position, source) in sources.iter_mut().enumerate() {
            let now = self.clock.now();
            for _ in 0..depth {
                let Some((number, key)) = source.next() else {
                    break;
                };
                self.links[position].send(&templates[usize::from(number)], number, key, now, now);
                outstanding += 1;
            }
            self.flush(position)?;
        }
        let first = self.links.first().map_or(0, |link| link.index);
        while outstanding > 0 {
            self.turn(&mut |link, frame, now| {
                let header = request::reply_header(frame)?;
                if header.xid == Xid::NOTIFICATION {
                    return Ok(());
                }
                outstanding -= 1;
                let request = on_reply(link, templates, &header, frame)?;
                recorder.record(&request, now)?;
                if recorder.wants_more()
                    && let Some((number, key)) = sources[link.index - first].next()
                {
                    link.send(&templates[usize::from(number)], number, key, now, now);
                    outstanding += 1;
                }
                Ok(())
            })?;
            recorder.on_time(self.clock.now())?;
        }
        recorder.end(self.clock.now())
    }

    /// Sends one request of one session, without waiting for its reply.
    pub(crate) fn send(&mut self, position: usize, template: &Template) -> Result<Nanos> {
        let now = self.clock.now();
        self.links[position].send(template, 0, 0, now, now);
        self.flush(position)?;
        Ok(now)
    }

    /// Waits for something to happen and hands on every frame that came.
    pub(crate) fn turn(
        &mut self,
        on_frame: &mut impl FnMut(&mut Link, &[u8], Nanos) -> Result<()>,
    ) -> Result<()> {
        self.turn_within(&TURN, on_frame)
    }

    /// Waits at most so long for something to happen and hands on every frame that came.
    fn turn_within(
        &mut self,
        longest: &Timespec,
        on_frame: &mut impl FnMut(&mut Link, &[u8], Nanos) -> Result<()>,
    ) -> Result<()> {
        let heard = self.last_heard;
        let mut events = [const { std::mem::MaybeUninit::uninit() }; EVENTS];
        let (events, _) = match epoll::wait(&self.epoll, &mut events, Some(longest)) {
            Err(rustix::io::Errno::INTR) => return Ok(()),
            other => other?,
        };
        for event in events.iter() {
            if event.data.u64() == ALARM {
                continue;
            }
            let position = event.data.u64() as usize;
            let flags = event.flags;
            if flags != epoll::EventFlags::OUT {
                self.receive(position, on_frame)?;
            }
            self.flush(position)?;
        }
        if self.last_heard == heard {
            self.check_silence()?;
        }
        Ok(())
    }

    fn check_silence(&self) -> Result<()> {
        let silence = self.clock.now().since(self.last_heard);
        if silence > self.patience {
            let outstanding: usize = self.links.iter().map(|link| link.pending.len()).sum();
            bail!(
                "no answer for {} s with {outstanding} requests outstanding",
                silence.as_secs()
            );
        }
        Ok(())
    }

    /// Lets a turn end when so much time has passed; zero is no time.
    fn set_alarm(&self, after: Duration) -> Result<()> {
        let none = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let alarm = Itimerspec {
            it_interval: none,
            it_value: Timespec {
                tv_sec: after.as_secs().cast_signed(),
                tv_nsec: after.subsec_nanos().into(),
            },
        };
        timerfd_settime(&self.alarm, TimerfdTimerFlags::empty(), &alarm)?;
        Ok(())
    }

    fn receive(
        &mut self,
        position: usize,
        on_frame: &mut impl FnMut(&mut Link, &[u8], Nanos) -> Result<()>,
    ) -> Result<()> {
        let link = &mut self.links[position];
        let filled = link.receive(&mut self.buffer)?;
        let now = self.clock.now();
        self.last_heard = now;
        let mut rest = &self.buffer[..filled];
        while let Some((frame, taken)) = next_frame(rest).with_context(|| link.name())? {
            on_frame(link, frame, now).with_context(|| link.name())?;
            rest = &rest[taken..];
        }
        link.keep(rest);
        Ok(())
    }

    /// Sends what a session has to send, and watches for room only while there is none.
    fn flush(&mut self, position: usize) -> Result<()> {
        let link = &mut self.links[position];
        let awaits_room = link.flush()?;
        if awaits_room != link.awaits_room {
            link.awaits_room = awaits_room;
            let mut flags = epoll::EventFlags::IN;
            flags.set(epoll::EventFlags::OUT, awaits_room);
            let data = epoll::EventData::new_u64(position as u64);
            epoll::modify(&self.epoll, link.socket(), data, flags)?;
        }
        Ok(())
    }

    /// Ends every session.
    pub(crate) fn close(mut self) -> Result<()> {
        let close = [Template::close()];
        let mut left = self.links.len();
        for position in 0..left {
            self.send(position, &close[0])?;
        }
        let first = self.links.first().map_or(0, |link| link.index);
        while left > 0 {
            let mut closed = Vec::new();
            self.turn(&mut |link, frame, _| {
                let header = request::reply_header(frame)?;
                if header.xid != Xid::NOTIFICATION {
                    on_reply(link, &close, &header, frame)?;
                    closed.push(link.index - first);
                }
                Ok(())
            })?;
            left -= closed.len();
            // What comes next is the end of the connection, which is as it should be.
            for position in closed {
                epoll::delete(&self.epoll, self.links[position].socket())?;
            }
        }
        Ok(())
    }
}

/// Takes a session from the server's first frame.
fn on_granted(link: &mut Link, frame: &[u8]) -> Result<()> {
    if link.session != SessionId::NONE {
        bail!("a frame that nothing was asked for");
    }
    let response = ConnectResponse::decode(&mut Reader::new(frame))?;
    if response.timeout_ms <= 0 {
        bail!("the server refused a new session");
    }
    link.session = response.session;
    link.timeout = Duration::from_millis(response.timeout_ms.unsigned_abs().into());
    Ok(())
}

/// Takes the oldest outstanding request off and checks the reply against it.
#[inline]
pub(crate) fn on_reply(
    link: &mut Link,
    templates: &[Template],
    header: &ReplyHeader,
    frame: &[u8],
) -> Result<Pending> {
    let Some(pending) = link.pending.pop_front() else {
        bail!(
            "a reply with xid {} that nothing was asked for",
            header.xid.0
        );
    };
    if header.xid != pending.xid {
        bail!(
            "a reply with xid {}, while {} was due",
            header.xid.0,
            pending.xid.0
        );
    }
    // What keeps a session alive is none of the job's.
    if let Some(template) = templates.get(usize::from(pending.template)) {
        template.check(header, frame)?;
    }
    Ok(pending)
}

/// Lets this process have so many connections.
fn allow_sockets(count: u64) -> Result<()> {
    let needed = count + SPARE_FILES;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    if limit.maximum.is_some_and(|maximum| maximum < needed) {
        let maximum = limit.maximum.unwrap_or_default();
        bail!("{count} sessions need {needed} open files, {maximum} are allowed (ulimit -Hn)");
    }
    let raised = Rlimit {
        current: Some(needed),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).context("cannot raise the limit of open files")
}

/// Bytes read from a connection at once.
const BUFFER: usize = 256 << 10;
/// Events taken from the kernel at once.
const EVENTS: usize = 256;
/// Files that are open besides the connections.
const SPARE_FILES: u64 = 64;
/// What the alarm's events carry instead of a position.
const ALARM: u64 = u64::MAX;
/// How long a turn waits; also the grain of the window's ends while nothing arrives.
const TURN: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 5_000_000,
};
