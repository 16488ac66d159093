//! Connecting to other servers, on threads of its own: names are resolved and dead hosts waited for where nothing else
//! waits (R10, pitfalls P61, P73).

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use zabra_quorum::HostPort;

/// Why there is no connection.
#[derive(Debug)]
pub(crate) struct DialError {
    /// Nobody listens at any of the addresses.
    pub(crate) is_refused: bool,
    what: String,
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// Ends an attempt from outside.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cancel(Arc<AtomicBool>);

impl Cancel {
    pub(crate) fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// How often and for how long to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Persistence {
    /// From the first attempt to the end of the last.
    pub(crate) budget: Duration,
    /// Between two attempts.
    pub(crate) pause: Duration,
}

/// Of one server, or of one name, no more addresses are tried.
const ADDRESSES_MAX: usize = 16;

/// Connects to the first of these addresses that answers. All are tried at the same time: one may be dead.
pub(crate) fn connect(addresses: &[HostPort], timeout: Duration) -> Result<TcpStream, DialError> {
    let found = resolve(addresses)?;
    if let [only] = *found {
        return TcpStream::connect_timeout(&only, timeout).map_err(|error| failed(only, &error));
    }
    let (sender, results) = mpsc::channel();
    for address in found {
        let sender = sender.clone();
        spawn("dial", move || {
            let connected = TcpStream::connect_timeout(&address, timeout);
            // Nobody listens any more if another address was faster; then this socket closes.
            let _ = sender.send((address, connected));
        })
        .map_err(|error| unexpected(&error))?;
    }
    drop(sender);
    let mut is_refused = true;
    let mut all = Vec::new();
    for (address, connected) in results {
        match connected {
            Ok(stream) => return Ok(stream),
            Err(error) => {
                let error = failed(address, &error);
                is_refused &= error.is_refused;
                all.push(error.what);
            }
        }
    }
    Err(DialError {
        is_refused,
        what: all.join("; "),
    })
}

/// Tries until one attempt succeeds, the budget is spent and five were made (quorum 8.1), or nobody wants it any more.
pub(crate) fn connect_patiently(
    addresses: &[HostPort],
    persistence: Persistence,
    cancel: &Cancel,
) -> Result<TcpStream, DialError> {
    let end = Instant::now() + persistence.budget;
    let mut attempts = 0;
    loop {
        attempts += 1;
        let left = end.saturating_duration_since(Instant::now());
        let error = match connect(addresses, left.max(SHORTEST_ATTEMPT)) {
            Ok(stream) => return Ok(stream),
            Err(error) => error,
        };
        let is_over = attempts >= ATTEMPTS_MIN && Instant::now() + persistence.pause >= end;
        // A server that no configuration knows does not become known by waiting.
        if cancel.is_cancelled() || is_over || addresses.is_empty() {
            return Err(error);
        }
        thread::sleep(persistence.pause);
    }
}

/// A leader may open its port a little after it is elected.
const ATTEMPTS_MIN: u32 = 5;
/// An attempt that is made at all gets so long.
const SHORTEST_ATTEMPT: Duration = Duration::from_millis(10);

/// Starts a thread that nobody waits for.
pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map(drop)
}

/// Resolves anew, each time: addresses behind names change (pitfalls P73).
pub(crate) fn resolve(addresses: &[HostPort]) -> Result<Vec<SocketAddr>, DialError> {
    let mut found = Vec::new();
    let mut errors = Vec::new();
    for address in addresses {
        match (address.host.as_str(), address.port).to_socket_addrs() {
            Ok(resolved) => found.extend(resolved),
            Err(error) => errors.push(format!("cannot resolve {}: {error}", address.host)),
        }
    }
    found.dedup();
    found.truncate(ADDRESSES_MAX);
    if found.is_empty() {
        return Err(DialError {
            is_refused: false,
            what: if errors.is_empty() {
                "there is no address".to_owned()
            } else {
                errors.join("; ")
            },
        });
    }
    Ok(found)
}

fn failed(address: SocketAddr, error: &io::Error) -> DialError {
    DialError {
        is_refused: error.kind() == ErrorKind::ConnectionRefused,
        what: format!("cannot connect to {address}: {error}"),
    }
}

/// For want of a thread, as a rule.
pub(crate) fn unexpected(error: &io::Error) -> DialError {
    DialError {
        is_refused: false,
        what: format!("cannot connect: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(20);

    fn at(port: u16) -> HostPort {
        HostPort {
            host: "127.0.0.1".to_owned(),
            port,
        }
    }

    /// A port at which nobody listens, kept from others for as long as the socket lives.
    fn silent_port() -> (socket2::Socket, u16) {
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        socket.bind(&any.into()).unwrap();
        let port = socket.local_addr().unwrap().as_socket().unwrap().port();
        (socket, port)
    }

    #[test]
    fn of_several_addresses_the_one_that_answers_is_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (_kept, silent) = silent_port();
        let stream = connect(&[at(silent), at(port)], TIMEOUT).unwrap();
        assert_eq!(stream.peer_addr().unwrap().port(), port);
    }

    #[test]
    fn only_if_all_addresses_refuse_it_is_a_refusal() {
        let (_kept, silent) = silent_port();
        assert!(connect(&[at(silent)], TIMEOUT).unwrap_err().is_refused);
        assert!(
            connect(&[at(silent), at(silent)], TIMEOUT)
                .unwrap_err()
                .is_refused
        );
        let nowhere = HostPort {
            host: "no such name".to_owned(),
            port: silent,
        };
        assert!(!connect(&[nowhere], TIMEOUT).unwrap_err().is_refused);
        assert!(!connect(&[], TIMEOUT).unwrap_err().is_refused);
    }

    #[test]
    fn a_server_that_is_a_little_late_is_waited_for() {
        let (kept, port) = silent_port();
        let dialled = thread::spawn(move || {
            let persistence = Persistence {
                budget: TIMEOUT,
                pause: Duration::from_millis(1),
            };
            connect_patiently(&[at(port)], persistence, &Cancel::default()).is_ok()
        });
        kept.listen(1).unwrap();
        assert!(dialled.join().unwrap());
    }

    #[test]
    fn an_attempt_that_nobody_wants_any_more_ends() {
        let (_kept, port) = silent_port();
        let cancel = Cancel::default();
        cancel.cancel();
        let persistence = Persistence {
            budget: Duration::from_secs(3600),
            pause: Duration::from_millis(1),
        };
        assert!(connect_patiently(&[at(port)], persistence, &cancel).is_err());
        assert!(connect_patiently(&[], persistence, &Cancel::default()).is_err());
    }
}
