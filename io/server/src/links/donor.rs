//! Giving other members copies of txns that are damaged in their logs.
//!
//! A member whose log is damaged asks before it takes part in anything (`crate::run`'s mending), at the election port, which
//! every member has open at all times. It begins with a number that no server of the protocol begins with; Apache's close
//! such a connection.
//!
//! | Bytes | Asked | Answered, each |
//! |---|---|---|
//! | 8 | [`HELLO`] | |
//! | 8 | the last zxid that is good | |
//! | 8 | the last zxid that was durable | |
//! | 4 | | length of a txn's payload; 0 at the end |
//! | n | | the payload |
//! | 8 | | at the end: behind which zxid the answerer itself lacks something; −1 if it is whole |
//!
//! Txns are read from the log on disk up to its first defect, on a thread of its own. Whoever may ask here may as well ask a
//! leader for its history at the quorum port: no more is told than there.

use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use tracing::{info, warn};
use zabra_proto::Zxid;
use zabra_storage::{DataDirs, Vfs, intact_behind};

use super::dialer::spawn;

/// How a question begins. A positive number would be a server id, and Apache's own versions are −65536 and −65535.
const HELLO: i64 = -0x7a_6162_7261_6d64;
/// Bytes of a question.
const ASKED_LEN: usize = 24;
/// Longest payload that is believed; far more than any server writes.
const PAYLOAD_MAX: usize = 64 << 20;
/// At most so many are answered at a time.
const ANSWERS_MAX: usize = 8;
/// Of one answer no more is sent: the asker asks again.
const ANSWER_LEN_MAX: usize = 8 << 20;
/// A socket that stands still for so long ends.
const PATIENCE: Duration = Duration::from_secs(5);
/// Told in place of a zxid by a server that lacks nothing.
const WHOLE: i64 = -1;

/// What is asked for: the txns behind one zxid, up to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) behind: Zxid,
    pub(crate) up_to: Zxid,
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answered {
    /// By a server whose log is whole.
    Whole,
    /// By one that itself lacks what is behind this zxid.
    LacksBehind(Zxid),
    /// The asker wanted no more of it.
    Enough,
}

impl Asked {
    /// Whether a connection begins with a question: `None` as long as that cannot be told.
    pub(crate) fn begins(bytes: &[u8]) -> Option<bool> {
        let known = HELLO.to_be_bytes();
        let (begun, known) = match bytes.get(..known.len()) {
            Some(begun) => (begun, &known[..]),
            None => (bytes, known.get(..bytes.len()).unwrap_or_default()),
        };
        if begun != known {
            return Some(false);
        }
        (bytes.len() >= ASKED_LEN).then_some(true)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let number = |at: usize| {
            let part = bytes.get(at..)?.first_chunk()?;
            Some(i64::from_be_bytes(*part))
        };
        let zxid = |at| number(at).map(|zxid| Zxid(zxid as u64));
        (number(0)? == HELLO).then_some(Self {
            behind: zxid(8)?,
            up_to: zxid(16)?,
        })
    }

    fn encode(self) -> Vec<u8> {
        let zxids = [self.behind, self.up_to].map(|zxid| zxid.0.to_be_bytes());
        [&HELLO.to_be_bytes()[..], &zxids.concat()].concat()
    }

    /// Asks on a connection, and hands out the payloads that come until `take` says false.
    ///
    /// # Errors
    /// The other side is no server that answers this, or the connection ended.
    pub(crate) fn ask(
        self,
        stream: &TcpStream,
        mut take: impl FnMut(&[u8]) -> io::Result<bool>,
    ) -> io::Result<Answered> {
        set_up(stream)?;
        (&*stream).write_all(&self.encode())?;
        let mut answer = BufReader::new(stream);
        loop {
            let mut len = [0; 4];
            answer.read_exact(&mut len)?;
            match usize::try_from(u32::from_be_bytes(len)) {
                Ok(0) => break,
                Ok(len @ ..=PAYLOAD_MAX) => {
                    // Memory grows with what really comes.
                    let mut payload = Vec::new();
                    let read = (&mut answer).take(len as u64).read_to_end(&mut payload)?;
                    if read < len {
                        return Err(ErrorKind::UnexpectedEof.into());
                    }
                    if !take(&payload)? {
                        return Ok(Answered::Enough);
                    }
                }
                _ => return Err(ErrorKind::InvalidData.into()),
            }
        }
        let mut lacks = [0; 8];
        answer.read_exact(&mut lacks)?;
        Ok(match i64::from_be_bytes(lacks) {
            WHOLE => Answered::Whole,
            behind => Answered::LacksBehind(Zxid(behind as u64)),
        })
    }
}

/// Who answers from this server's log.
#[derive(Debug)]
pub(crate) struct Donor {
    vfs: Arc<dyn Vfs>,
    dirs: DataDirs,
    busy: AtomicUsize,
    /// Behind which zxid this server itself lacks something, or [`WHOLE`].
    lacks: AtomicI64,
}

impl Donor {
    /// One that answers from these files, which are whole.
    pub(crate) fn new(vfs: Arc<dyn Vfs>, dirs: DataDirs) -> Self {
        Self {
            vfs,
            dirs,
            busy: AtomicUsize::new(0),
            lacks: AtomicI64::new(WHOLE),
        }
    }

    /// This server lacks something behind this zxid.
    pub(crate) fn lacks_behind(&self, zxid: Zxid) {
        self.lacks.store(zxid.0 as i64, Ordering::SeqCst);
    }

    /// Answers a question that has been read, on another thread. With too many under way the connection is closed.
    pub(crate) fn answer(self: &Arc<Self>, stream: TcpStream, asked: Asked) {
        self.on_a_thread(move |donor| donor.send(&stream, asked));
    }

    /// Reads a question and answers it, on another thread. Whoever asks something else is not answered.
    pub(crate) fn receive(self: &Arc<Self>, stream: TcpStream) {
        self.on_a_thread(move |donor| {
            set_up(&stream)?;
            let mut question = [0; ASKED_LEN];
            (&stream).read_exact(&mut question)?;
            let asked = Asked::decode(&question).ok_or(ErrorKind::InvalidData)?;
            donor.send(&stream, asked)
        });
    }

    fn on_a_thread(self: &Arc<Self>, work: impl FnOnce(&Self) -> io::Result<()> + Send + 'static) {
        if self.busy.fetch_add(1, Ordering::SeqCst) >= ANSWERS_MAX {
            self.busy.fetch_sub(1, Ordering::SeqCst);
            return;
        }
        let donor = Arc::clone(self);
        let begun = spawn("donor", move || {
            // The other side has gone, or was no server that mends itself: it asks again if it wants to.
            let _ = work(&donor);
            donor.busy.fetch_sub(1, Ordering::SeqCst);
        });
        if let Err(error) = begun {
            self.busy.fetch_sub(1, Ordering::SeqCst);
            warn!(%error, "no thread to give another server txns for its log");
        }
    }

    fn send(&self, stream: &TcpStream, asked: Asked) -> io::Result<()> {
        set_up(stream)?;
        let mut out = BufWriter::new(stream);
        let (mut txns, mut len) = (0_u32, 0);
        let mut sent = Ok(());
        let range = (asked.behind, asked.up_to);
        let read = intact_behind(&self.vfs, &self.dirs, range, |_, payload| {
            let head = u32::try_from(payload.len()).map_err(|_| ErrorKind::InvalidData.into());
            sent = head.and_then(|head| {
                out.write_all(&head.to_be_bytes())?;
                out.write_all(payload)
            });
            txns += 1;
            len += payload.len();
            sent.is_ok() && len < ANSWER_LEN_MAX
        });
        sent?;
        if let Err(error) = read {
            // What was purged, cut meanwhile, or is damaged here as well.
            info!(%error, "the log gives no more to a server that mends its own");
        }
        if txns > 0 {
            let behind = asked.behind;
            info!(txns, %behind, "txns were given to a server that mends its log");
        }
        out.write_all(&0_u32.to_be_bytes())?;
        out.write_all(&self.lacks.load(Ordering::SeqCst).to_be_bytes())?;
        out.flush()
    }
}

fn set_up(stream: &TcpStream) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Asked = Asked {
        behind: Zxid(0x1_0000_0004),
        up_to: Zxid(0x2_0000_0001),
    };

    #[test]
    fn a_question_is_told_from_votes_by_its_first_bytes() {
        let question = ASKED.encode();
        assert_eq!(question.len(), ASKED_LEN);
        for len in 0..ASKED_LEN {
            assert_eq!(Asked::begins(&question[..len]), None, "{len}");
        }
        assert_eq!(Asked::begins(&question), Some(true));
        assert_eq!(Asked::decode(&question), Some(ASKED));
        for version in [-65536_i64, -65535, 1] {
            assert_eq!(Asked::begins(&version.to_be_bytes()), Some(false));
            assert_eq!(Asked::decode(&[version.to_be_bytes(); 3].concat()), None);
        }
    }
}
