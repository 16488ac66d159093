//! Requests that are encoded once, then copied and patched for each use: the xid and the digits of the path.
//!
//! A template also knows what its reply must look like. Every reply of this protocol to the requests used here has a
//! length that is known beforehand, and one number inside that tells whether it is the right one.

use std::time::Duration;

use anyhow::{Result, bail};
use zabra_jute::{Decode, Encode, Reader, Text};
use zabra_proto::client::{
    ConnectRequest, CreateRequest, DeleteRequest, MultiHeader, PathWatchRequest, ReplyHeader,
    RequestHeader, SetDataRequest,
};
use zabra_proto::multi::encode_element;
use zabra_proto::{CreateMode, OpCode, Perms, RawAcl, SessionId, Xid, Zxid};

/// Length of a reply header.
const REPLY_HEADER: usize = 16;
/// Length of a Stat.
const STAT: usize = 68;
/// Where the length of the data stands in a Stat.
const STAT_DATA_LENGTH: usize = 52;
/// Length of the header of a multi's element.
const MULTI_HEADER: usize = 9;
/// Where the xid stands in a frame, behind its length.
const XID_AT: usize = 4;

/// A path in which digits stand for the key: `Path::new("/bench").keyed("/k", ...)`.
#[derive(Debug, Clone)]
pub(crate) struct Path {
    text: String,
    digits: Vec<Digits>,
}

/// Decimal digits that depend on the key: `(key + offset) / divisor % modulus`, with leading zeros.
#[derive(Debug, Clone, Copy)]
struct Digits {
    at: usize,
    width: usize,
    offset: u64,
    divisor: u64,
    modulus: u64,
}

impl Path {
    /// A path that is the same for every key.
    pub(crate) fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            digits: Vec::new(),
        }
    }

    /// Appends a name with the lowest digits of `key / divisor`.
    pub(crate) fn keyed(mut self, name: &str, width: usize, divisor: u64) -> Self {
        self.text.push_str(name);
        let at = self.text.len();
        self.text.extend(std::iter::repeat_n('0', width));
        let modulus = (0..width).fold(1, |modulus, _| modulus * 10);
        self.digits.push(Digits {
            at,
            width,
            offset: 0,
            divisor,
            modulus,
        });
        self
    }

    /// The same path for the key that is `offset` further on, in a circle of `keys`.
    fn shifted(&self, offset: u64, keys: u64) -> Self {
        let mut path = self.clone();
        for digits in &mut path.digits {
            digits.offset = offset;
            digits.modulus = keys;
        }
        path
    }
}

/// A request that can be sent any number of times, for any key.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    op: OpCode,
    frame: Vec<u8>,
    digits: Vec<Digits>,
    /// Pings have an xid of their own.
    fixed_xid: bool,
    reply_len: usize,
    /// An int in the reply that must have this value.
    mark: Option<(usize, i32)>,
}

impl Template {
    /// getData.
    pub(crate) fn get(path: &Path, size: usize, watch: bool) -> Self {
        let reply_len = REPLY_HEADER + 4 + size + STAT;
        Self::plain(OpCode::GetData, path, &path_watch(path, watch), reply_len)
            .marked(REPLY_HEADER, size)
    }

    /// exists.
    pub(crate) fn exists(path: &Path, size: usize, watch: bool) -> Self {
        let reply_len = REPLY_HEADER + STAT;
        Self::plain(OpCode::Exists, path, &path_watch(path, watch), reply_len)
            .marked(REPLY_HEADER + STAT_DATA_LENGTH, size)
    }

    /// getChildren, or with the Stat getChildren2, of a znode with `count` children, whose names have so many bytes.
    pub(crate) fn children(path: &Path, count: usize, name_len: usize, stat: bool) -> Self {
        let (op, stat_len) = match stat {
            true => (OpCode::GetChildren2, STAT),
            false => (OpCode::GetChildren, 0),
        };
        let reply_len = REPLY_HEADER + 4 + count * (4 + name_len) + stat_len;
        Self::plain(op, path, &path_watch(path, false), reply_len).marked(REPLY_HEADER, count)
    }

    /// setData of any version.
    pub(crate) fn set(path: &Path, data: &[u8]) -> Self {
        let reply_len = REPLY_HEADER + STAT;
        Self::plain(OpCode::SetData, path, &set_data(path, data), reply_len)
            .marked(REPLY_HEADER + STAT_DATA_LENGTH, data.len())
    }

    /// create of a persistent znode that is open to all.
    pub(crate) fn create(path: &Path, data: &[u8]) -> Self {
        let record = CreateRequest {
            path: Text::Borrowed(&path.text),
            data: Some(data),
            acl: Some(vec![RawAcl {
                perms: Perms::ALL,
                scheme: Some("world".into()),
                id: Some("anyone".into()),
            }]),
            flags: CreateMode::Persistent.code(),
        };
        let len = path.text.len();
        Self::plain(OpCode::Create, path, &record, REPLY_HEADER + 4 + len).marked(REPLY_HEADER, len)
    }

    /// delete of any version.
    pub(crate) fn delete(path: &Path) -> Self {
        let record = DeleteRequest {
            path: Text::Borrowed(&path.text),
            version: -1,
        };
        Self::plain(OpCode::Delete, path, &record, REPLY_HEADER)
    }

    /// multi of `ops` setData of different keys out of `keys`.
    pub(crate) fn multi(path: &Path, data: &[u8], ops: u32, keys: u64) -> Self {
        let mut template = Self::header(OpCode::Multi);
        let ops = u64::from(ops);
        for op in 0..ops {
            let path = path.shifted(op * (keys / ops).max(1), keys);
            let start = template.frame.len() + MULTI_HEADER;
            encode_element(OpCode::SetData, &set_data(&path, data), &mut template.frame);
            template.place(&path, start);
        }
        MultiHeader::END.encode(&mut template.frame);
        template.reply_len = REPLY_HEADER + ops as usize * (MULTI_HEADER + STAT) + MULTI_HEADER;
        // Of a failed multi the first result is an error, and shorter.
        template.mark = Some((REPLY_HEADER, OpCode::SetData.code()));
        template.finished()
    }

    /// ping.
    pub(crate) fn ping() -> Self {
        let mut template = Self::header(OpCode::Ping);
        template.fixed_xid = true;
        template.frame[XID_AT..XID_AT + 4].copy_from_slice(&Xid::PING.0.to_be_bytes());
        template.finished()
    }

    /// The end of a session.
    pub(crate) fn close() -> Self {
        Self::header(OpCode::CloseSession).finished()
    }

    /// A request whose record begins with its path.
    fn plain(op: OpCode, path: &Path, record: &impl Encode, reply_len: usize) -> Self {
        let mut template = Self::header(op);
        let start = template.frame.len();
        record.encode(&mut template.frame);
        template.place(path, start);
        template.reply_len = reply_len;
        template.finished()
    }

    fn header(op: OpCode) -> Self {
        let mut frame = vec![0; 4];
        RequestHeader {
            xid: Xid(0),
            op: op.code(),
        }
        .encode(&mut frame);
        Self {
            op,
            frame,
            digits: Vec::new(),
            fixed_xid: false,
            reply_len: REPLY_HEADER,
            mark: None,
        }
    }

    /// Notes where the digits of a path are whose ustring starts at `start`.
    fn place(&mut self, path: &Path, start: usize) {
        self.digits.extend(path.digits.iter().map(|digits| Digits {
            at: start + 4 + digits.at,
            ..*digits
        }));
    }

    fn marked(mut self, at: usize, value: usize) -> Self {
        self.mark = Some((at, value as i32));
        self
    }

    fn finished(mut self) -> Self {
        let len = (self.frame.len() - 4) as u32;
        self.frame[..4].copy_from_slice(&len.to_be_bytes());
        self
    }

    /// Whether it is sent with the xid of pings instead of a number of its own.
    pub(crate) fn has_fixed_xid(&self) -> bool {
        self.fixed_xid
    }

    /// Appends the frame for this key.
    pub(crate) fn emit(&self, xid: Xid, key: u64, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.frame);
        let frame = &mut out[start..];
        if !self.fixed_xid {
            frame[XID_AT..XID_AT + 4].copy_from_slice(&xid.0.to_be_bytes());
        }
        for digits in &self.digits {
            let mut value = (key + digits.offset) / digits.divisor % digits.modulus;
            for digit in frame[digits.at..digits.at + digits.width].iter_mut().rev() {
                *digit = b'0' + (value % 10) as u8;
                value /= 10;
            }
        }
    }

    /// Whether a reply is the one to expect.
    pub(crate) fn check(&self, header: &ReplyHeader, reply: &[u8]) -> Result<()> {
        if !header.error.is_ok() {
            bail!("{:?} was answered with {}", self.op, header.error);
        }
        if reply.len() != self.reply_len {
            let expected = self.reply_len;
            bail!(
                "{:?}: a reply of {} bytes, {expected} expected",
                self.op,
                reply.len()
            );
        }
        if let Some((at, value)) = self.mark {
            let found = reply[at..]
                .first_chunk()
                .map(|bytes| i32::from_be_bytes(*bytes));
            if found != Some(value) {
                bail!(
                    "{:?}: the reply has {found:?} at byte {at}, {value} expected",
                    self.op
                );
            }
        }
        Ok(())
    }
}

fn path_watch(path: &Path, watch: bool) -> PathWatchRequest<'_> {
    PathWatchRequest {
        path: Text::Borrowed(&path.text),
        watch,
    }
}

fn set_data<'a>(path: &'a Path, data: &'a [u8]) -> SetDataRequest<'a> {
    SetDataRequest {
        path: Text::Borrowed(&path.text),
        data: Some(data),
        version: -1,
    }
}

/// A session as its client knows it.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// Which; or none.
    pub(crate) id: SessionId,
    /// What proves that it is ours.
    pub(crate) password: [u8; 16],
    /// The latest that was seen; a server that is behind it must not take the session.
    pub(crate) last_zxid: Zxid,
}

impl Known {
    /// No session yet.
    pub(crate) const NONE: Self = Self {
        id: SessionId::NONE,
        password: [0; 16],
        last_zxid: Zxid::ZERO,
    };
}

/// The frame that asks for a new session.
pub(crate) fn connect(timeout_ms: i32) -> Vec<u8> {
    let timeout = Duration::from_millis(timeout_ms.unsigned_abs().into());
    connect_again(timeout, &Known::NONE)
}

/// The frame that takes a session up again, or asks for a new one.
pub(crate) fn connect_again(timeout: Duration, session: &Known) -> Vec<u8> {
    let mut frame = vec![0; 4];
    ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: session.last_zxid,
        timeout_ms: i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX),
        session: session.id,
        password: &session.password,
        read_only: Some(false),
    }
    .encode(&mut frame);
    let len = (frame.len() - 4) as u32;
    frame[..4].copy_from_slice(&len.to_be_bytes());
    frame
}

/// The header of a reply or notification.
pub(crate) fn reply_header(frame: &[u8]) -> Result<ReplyHeader> {
    Ok(ReplyHeader::decode(&mut Reader::new(frame))?)
}

#[cfg(test)]
mod tests {
    use zabra_proto::ErrorCode;
    use zabra_proto::multi::{MultiOp, decode_writes};

    use super::*;

    fn emitted(template: &Template, key: u64) -> Vec<u8> {
        let mut out = Vec::new();
        template.emit(Xid(7), key, &mut out);
        let len = u32::from_be_bytes(*out.first_chunk().unwrap());
        assert_eq!(len as usize, out.len() - 4);
        out.split_off(4)
    }

    #[test]
    fn digits_of_the_path_follow_the_key() {
        let path = Path::new("/bench").keyed("/p", 5, 1000).keyed("/k", 7, 1);
        let frame = emitted(&Template::get(&path, 100, true), 12_345);
        let mut reader = Reader::new(&frame);
        let header = RequestHeader::decode(&mut reader).unwrap();
        assert_eq!((header.xid, header.op), (Xid(7), OpCode::GetData.code()));
        let request = PathWatchRequest::decode(&mut reader).unwrap();
        assert_eq!(request.path, "/bench/p00012/k0012345");
        assert_eq!(request.path.len(), 22);
        assert!(request.watch && reader.is_empty());
    }

    #[test]
    fn a_multi_sets_different_keys_in_a_circle() {
        let path = Path::new("/b").keyed("/k", 2, 1);
        let frame = emitted(&Template::multi(&path, b"x", 4, 10), 7);
        let ops = decode_writes(&mut Reader::new(&frame[8..])).unwrap();
        let paths: Vec<String> = ops
            .into_iter()
            .map(|op| match op {
                MultiOp::SetData(set) => set.path.into_owned(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(paths, ["/b/k07", "/b/k09", "/b/k01", "/b/k03"]);
    }

    #[test]
    fn pings_keep_their_own_xid() {
        assert_eq!(emitted(&Template::ping(), 0)[..4], (-2i32).to_be_bytes());
    }

    #[test]
    fn a_reply_of_wrong_error_length_or_mark_is_refused() {
        let template = Template::get(&Path::new("/a"), 2, false);
        let header = |error| ReplyHeader {
            xid: Xid(7),
            zxid: Zxid(1),
            error,
        };
        let mut reply = vec![0; 16 + 4 + 2 + 68];
        reply[19] = 2;
        let ok = header(ErrorCode::OK);
        assert!(template.check(&ok, &reply).is_ok());
        assert!(template.check(&ok, &reply[1..]).is_err());
        assert!(
            template
                .check(&header(ErrorCode::NO_NODE), &reply[..16])
                .is_err()
        );
        reply[19] = 3;
        assert!(template.check(&ok, &reply).is_err());
    }
}
