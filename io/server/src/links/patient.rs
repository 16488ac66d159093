//! A socket that does not block, for a thread that may: it waits until there is room or something to read.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Another handle of a link's socket. Closing both directions of the link ends every wait.
#[derive(Debug)]
pub(crate) struct PatientStream {
    stream: TcpStream,
    /// What was read before, and comes first.
    before: Vec<u8>,
    /// After so long without progress the other side is given up.
    patience: Duration,
}

impl PatientStream {
    pub(crate) fn new(stream: TcpStream, before: Vec<u8>, patience: Duration) -> Self {
        Self {
            stream,
            before,
            patience,
        }
    }

    /// What was read before and is not taken yet.
    pub(crate) fn take_before(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.before)
    }

    /// Writes all of it. Nothing to write still fails if the link is gone, so that whoever has nothing yet can ask.
    pub(crate) fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return self.check();
        }
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.wait(PollFlags::OUT)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn check(&self) -> io::Result<()> {
        let mut looked_at = [PollFd::new(&self.stream, PollFlags::empty())];
        poll(&mut looked_at, Some(&Timespec::default()))?;
        let gone = PollFlags::HUP | PollFlags::ERR;
        if looked_at.iter().any(|fd| fd.revents().intersects(gone)) {
            return Err(ErrorKind::BrokenPipe.into());
        }
        Ok(())
    }

    /// Waits for one of these, or for the end of the link.
    fn wait(&self, flags: PollFlags) -> io::Result<()> {
        let end = Instant::now() + self.patience;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let timeout = Timespec {
                tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            match poll(&mut [PollFd::new(&self.stream, flags)], Some(&timeout)) {
                Ok(0) if left.is_zero() => {
                    return Err(io::Error::new(ErrorKind::TimedOut, "it is stuck"));
                }
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Read for PatientStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if !self.before.is_empty() {
            let n = self.before.len().min(into.len());
            for (to, from) in into.iter_mut().zip(self.before.drain(..n)) {
                *to = from;
            }
            return Ok(n);
        }
        loop {
            match self.stream.read(into) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait(PollFlags::IN)?,
                result => return result,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Shutdown, TcpListener};
    use std::thread;

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (other, _) = listener.accept().unwrap();
        other.set_nonblocking(true).unwrap();
        (one, other)
    }

    #[test]
    fn what_was_read_before_comes_first() {
        let (mut far, near) = pair();
        let mut stream = PatientStream::new(near, b"abc".to_vec(), LONG);
        let mut got = [0; 2];
        stream.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"ab");
        far.write_all(b"d").unwrap();
        stream.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"cd");
        drop(far);
        assert_eq!(stream.read(&mut got).unwrap(), 0);
    }

    #[test]
    fn much_goes_through_a_small_buffer() {
        let (mut far, near) = pair();
        let sender = thread::spawn(move || {
            PatientStream::new(near, Vec::new(), LONG).send(&vec![7; 32 << 20])
        });
        let mut got = Vec::new();
        far.read_to_end(&mut got).unwrap();
        sender.join().unwrap().unwrap();
        assert_eq!(got.len(), 32 << 20);
    }

    #[test]
    fn whoever_takes_nothing_is_given_up_and_so_is_a_link_that_is_closed() {
        let (_far, near) = pair();
        let mut stream = PatientStream::new(near, Vec::new(), Duration::from_millis(1));
        let stuck = stream.send(&vec![7; 64 << 20]).unwrap_err();
        assert_eq!(stuck.kind(), ErrorKind::TimedOut);
        let (_far, near) = pair();
        let other = near.try_clone().unwrap();
        let mut idle = PatientStream::new(near.try_clone().unwrap(), Vec::new(), LONG);
        assert!(idle.send(&[]).is_ok());
        let waiting = thread::spawn(move || {
            PatientStream::new(near, Vec::new(), LONG)
                .read(&mut [0])
                .unwrap()
        });
        other.shutdown(Shutdown::Both).unwrap();
        assert_eq!(waiting.join().unwrap(), 0);
        assert!(idle.send(&[]).is_err());
    }
}
