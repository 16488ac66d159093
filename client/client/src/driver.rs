//! The task that carries a session's bytes: one per client.
//!
//! It reads once and writes once per wake-up, whatever number of calls that serves.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tracing::info;
use zabra_cnxn::{Action, HostPort, Output};
use zabra_proto::MonoMillis;

use crate::link::{Link, Linked};
use crate::resolver::Resolver;
use crate::shared::Shared;
use crate::trace::Caller;

/// Ends the session if the task ends before it, as when a runtime is shut down: nobody must wait for ever.
struct Guard(Arc<Shared>);

impl Drop for Guard {
    fn drop(&mut self) {
        let mut outputs = Vec::new();
        {
            let mut inner = self.0.lock();
            inner.cnxn.abandon();
            inner.cnxn.take_outputs(&mut outputs);
        }
        self.0.deliver(&mut outputs);
    }
}

/// Drives a session to its end.
pub(crate) async fn drive(shared: Arc<Shared>) {
    let guard = Guard(Arc::clone(&shared));
    let mut timer = Timer::new(&shared);
    loop {
        let action = shared.lock().cnxn.action();
        match &action {
            Action::End => break,
            Action::Dial(host) => {
                let dialed = timer.during(&action, dial(&shared.resolver, host)).await;
                let now = shared.now();
                match dialed {
                    Some(Ok((stream, address))) => {
                        {
                            let mut inner = shared.lock();
                            inner.server = Some(address);
                            inner.cnxn.on_connected();
                        }
                        timer.serve(Link::new(stream)).await;
                        let mut inner = shared.lock();
                        inner.server = None;
                        let silent_ms = shared.now().0.saturating_sub(inner.cnxn.heard_at().0);
                        drop(inner);
                        info!(server = %address, silent_ms, "the connection is over");
                    }
                    Some(Err(error)) => {
                        info!(%host, %error, "no connection");
                        shared.lock().cnxn.on_link_lost(now);
                    }
                    None => {}
                }
            }
            // A link that is gone is reported by whoever notices it.
            Action::Wait | Action::Serve => {
                timer.during(&action, std::future::pending::<()>()).await;
            }
        }
    }
    drop(guard);
}

/// The session's deadlines, and what they bring about.
struct Timer<'a> {
    shared: &'a Arc<Shared>,
    sleep: Pin<Box<Sleep>>,
    outputs: Vec<Output<Caller>>,
    /// Whether the last wake-up was spent on waiting for more to write.
    has_waited: bool,
    /// Whom calls and the timer wake.
    waker: Waker,
    /// Whether the timer knows that.
    is_timer_set: bool,
}

impl<'a> Timer<'a> {
    fn new(shared: &'a Arc<Shared>) -> Self {
        Self {
            shared,
            sleep: Box::pin(sleep_until(Instant::now())),
            outputs: Vec::new(),
            has_waited: false,
            waker: Waker::noop().clone(),
            is_timer_set: false,
        }
    }

    /// Waits for something as long as it is what the session wants; `None` if it wants something else now.
    async fn during<T>(&mut self, action: &Action, f: impl Future<Output = T>) -> Option<T> {
        let mut f = pin!(f);
        poll_fn(|cx| {
            self.meet(cx);
            loop {
                let deadline = {
                    let mut inner = self.shared.lock();
                    inner.cnxn.on_timer(self.shared.now());
                    inner.cnxn.take_outputs(&mut self.outputs);
                    inner.is_asleep = true;
                    if inner.cnxn.action() != *action {
                        return Poll::Ready(None);
                    }
                    inner.cnxn.deadline()
                };
                self.pass_on();
                if let Poll::Ready(result) = f.as_mut().poll(cx) {
                    return Poll::Ready(Some(result));
                }
                let Some(deadline) = deadline else {
                    return Poll::Pending;
                };
                self.sleep.as_mut().reset(self.shared.instant(deadline));
                if self.sleep.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    /// Carries bytes until the link is lost or not wanted any more.
    async fn serve(&mut self, mut link: Link) {
        poll_fn(|cx| self.poll_serve(&mut link, cx)).await;
    }

    fn poll_serve(&mut self, link: &mut Link, cx: &mut Context<'_>) -> Poll<()> {
        self.meet(cx);
        let mut read = link.poll_read(cx);
        loop {
            let Poll::Ready(deadline) = self.exchange(link, &read, cx) else {
                return Poll::Pending;
            };
            let Some(deadline) = deadline else {
                return Poll::Ready(());
            };
            match link.poll_write(cx) {
                Linked::Up => {}
                Linked::Lost(error) => {
                    info!(%error, "the connection is lost");
                    self.shared.lock().cnxn.on_link_lost(self.shared.now());
                    return Poll::Ready(());
                }
            }
            if read.is_ready() {
                // There may be more, and only a read that finds nothing is woken up by what comes.
                read = link.poll_read(cx);
                if read.is_ready() {
                    continue;
                }
            }
            if !self.is_due(self.shared.instant(deadline), cx) {
                return Poll::Pending;
            }
        }
    }

    /// Gives what was read to the session and takes what it wants written; what it brings about is passed on. Returns the
    /// session's next deadline, or none if the link is lost or not wanted any more; pending if it is better to write later.
    fn exchange(
        &mut self,
        link: &mut Link,
        read: &Poll<io::Result<()>>,
        cx: &Context<'_>,
    ) -> Poll<Option<MonoMillis>> {
        let now = self.shared.now();
        let mut inner = self.shared.lock();
        // Time first: after a pause of the process what comes may be of a session that is gone (P75).
        inner.cnxn.on_timer(now);
        match read {
            Poll::Ready(Ok(())) => link.take_in(&mut inner.cnxn, now),
            Poll::Ready(Err(error)) => {
                info!(%error, "the connection is lost");
                inner.cnxn.on_link_lost(now);
            }
            Poll::Pending => {}
        }
        inner.cnxn.take_outputs(&mut self.outputs);
        let is_one_of_many = inner.cnxn.has_out() && inner.cnxn.waiting() > 1;
        if read.is_pending() && is_one_of_many && !self.has_waited {
            // Where many call, more calls follow at once: they leave together after one turn of the others.
            self.has_waited = true;
            cx.waker().wake_by_ref();
            drop(inner);
            self.pass_on();
            return Poll::Pending;
        }
        self.has_waited = false;
        link.give_out(&mut inner.cnxn, now);
        inner.is_asleep = true;
        let wants_link = inner.cnxn.is_serving() && !matches!(read, Poll::Ready(Err(_)));
        let deadline = inner.cnxn.deadline().filter(|_| wants_link);
        drop(inner);
        self.pass_on();
        Poll::Ready(deadline)
    }

    /// Sees to it that calls and the timer wake this task.
    fn meet(&mut self, cx: &Context<'_>) {
        if !self.waker.will_wake(cx.waker()) {
            self.waker.clone_from(cx.waker());
            self.shared.set_waker(&self.waker);
            self.is_timer_set = false;
        }
    }

    /// Whether a deadline has been reached. The timer is moved only if it would fire too late: deadlines move away with each
    /// message.
    fn is_due(&mut self, deadline: Instant, cx: &mut Context<'_>) -> bool {
        let is_soon_enough = self.sleep.deadline() <= deadline && !self.sleep.is_elapsed();
        if self.is_timer_set && is_soon_enough {
            return false;
        }
        self.is_timer_set = true;
        self.sleep.as_mut().reset(deadline);
        self.sleep.as_mut().poll(cx).is_ready()
    }

    fn pass_on(&mut self) {
        if self.outputs.is_empty() {
            return;
        }
        for host in self.shared.deliver(&mut self.outputs) {
            tokio::spawn(probe(Arc::clone(self.shared), host));
        }
    }
}

/// Resolves and connects; each address of the name in turn.
async fn dial(resolver: &Resolver, host: &HostPort) -> io::Result<(TcpStream, SocketAddr)> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in resolver.addresses(host).await? {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok((stream, address));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Asks a server whether it takes writes, and tells the session if so (features CL-11).
async fn probe(shared: Arc<Shared>, host: HostPort) {
    let asked = async {
        let (mut stream, _) = dial(&shared.resolver, &host).await?;
        stream.write_all(b"isro").await?;
        let mut answer = [0; 2];
        stream.read_exact(&mut answer).await?;
        io::Result::Ok(answer)
    };
    if let Ok(Ok([b'r', b'w'])) = timeout(PROBE_TIME_MAX, asked).await {
        shared.change(|inner, now| inner.cnxn.on_probed(now, &host));
    }
}

/// How long a server may take to say whether it takes writes.
const PROBE_TIME_MAX: Duration = Duration::from_secs(1);
