//! Reads a snapshot in one pass, without recursion, with one buffer.

use std::borrow::Cow;
use std::io::Read;
use std::path::Path;

use zabra_proto::{Acl, Perms, SessionId, StatPersisted, Zxid};

use super::codec::decoder;
use super::{Refusal, SnapshotDigest, SnapshotError, SnapshotFile, SnapshotSink, SnapshotTail};
use crate::names::Compression;
use crate::record::{FILE_HEADER_LEN, SNAPSHOT_HEADER};
use crate::vfs::{Access, Vfs};
use crate::window::{FileSource, Window};

type Result<T> = std::result::Result<T, SnapshotError>;

/// Longest path, znode data or ACL text that is believed. No request is as long.
const VALUE_MAX: usize = 256 << 20;
/// Path, data length, ACL key and Stat of a znode need this much besides their bytes.
const STAT_LEN: usize = 60;
const SEAL_LEN: usize = 8 + 5;
const DIGEST_LEN: usize = 8 + 4 + 8;

/// Reads a snapshot into a sink, which is reset first. On an error the sink holds a part, to be thrown away.
pub fn read_snapshot(
    vfs: &dyn Vfs,
    dir: &Path,
    file: &SnapshotFile,
    sink: &mut dyn SnapshotSink,
) -> Result<SnapshotTail> {
    let source = vfs.open(&dir.join(&file.name), Access::Read)?;
    read_stream(decoder(FileSource::new(source), file.compression), sink)
}

/// Reads a snapshot from memory, as a leader sends it.
pub fn read_snapshot_bytes(
    bytes: &[u8],
    compression: Compression,
    sink: &mut dyn SnapshotSink,
) -> Result<SnapshotTail> {
    read_stream(decoder(bytes, compression), sink)
}

fn read_stream(source: Box<dyn Read + '_>, sink: &mut dyn SnapshotSink) -> Result<SnapshotTail> {
    sink.reset();
    let mut input = Input {
        window: Window::new(source),
    };
    input.header()?;
    input.sessions(sink)?;
    input.acls(sink)?;
    input.nodes(sink)?;
    input.seal()?;
    let tail = input.tail()?;
    input.accept(sink.tail(&tail))?;
    Ok(tail)
}

struct Input<'s> {
    window: Window<Box<dyn Read + 's>>,
}

impl Input<'_> {
    fn damaged<T>(&self, what: &'static str) -> Result<T> {
        Err(SnapshotError::Damaged {
            offset: self.window.position(),
            what,
        })
    }

    fn accept(&self, taken: std::result::Result<(), Refusal>) -> Result<()> {
        taken.map_err(|why| SnapshotError::Refused {
            offset: self.window.position(),
            why,
        })
    }

    fn need(&mut self, n: usize) -> Result<()> {
        if self.window.need(n)? {
            Ok(())
        } else {
            self.damaged("the file ends too early")
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.need(N)?;
        let Some(bytes) = self.window.peek().first_chunk::<N>().copied() else {
            return self.damaged("the file ends too early");
        };
        self.window.advance(N);
        Ok(bytes)
    }

    fn i32(&mut self) -> Result<i32> {
        self.array().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> Result<i64> {
        self.array().map(i64::from_be_bytes)
    }

    /// A vector's count; a claim only, so nothing is reserved by it. Null and other negatives are empty.
    fn count(&mut self) -> Result<usize> {
        Ok(usize::try_from(self.i32()?).unwrap_or(0))
    }

    fn header(&mut self) -> Result<()> {
        self.need(FILE_HEADER_LEN)?;
        if self.window.visible(4) != &SNAPSHOT_HEADER[..4] {
            return self.damaged("not the header of a snapshot");
        }
        self.window.advance(FILE_HEADER_LEN);
        Ok(())
    }

    fn sessions(&mut self, sink: &mut dyn SnapshotSink) -> Result<()> {
        for _ in 0..self.count()? {
            let id = SessionId(self.i64()?);
            let timeout_ms = self.i32()?;
            self.accept(sink.session(id, timeout_ms))?;
        }
        Ok(())
    }

    fn acls(&mut self, sink: &mut dyn SnapshotSink) -> Result<()> {
        for _ in 0..self.count()? {
            let key = self.i64()?;
            let mut acl = Vec::new();
            for _ in 0..self.count()? {
                let perms = Perms(self.i32()?);
                let scheme = self.text()?.into();
                let id = self.text()?.into();
                acl.push(Acl { perms, scheme, id });
            }
            self.accept(sink.acl(key, acl))?;
        }
        Ok(())
    }

    fn text(&mut self) -> Result<String> {
        let len = usize::try_from(self.i32()?).unwrap_or(0);
        self.check_len(len)?;
        self.need(len)?;
        let text = String::from_utf8_lossy(self.window.visible(len)).into_owned();
        self.window.advance(len);
        Ok(text)
    }

    fn check_len(&self, len: usize) -> Result<()> {
        if len > VALUE_MAX {
            self.damaged("a length is out of bounds")
        } else {
            Ok(())
        }
    }

    fn nodes(&mut self, sink: &mut dyn SnapshotSink) -> Result<()> {
        loop {
            if self.node(sink)? {
                return Ok(());
            }
        }
    }

    /// One znode; true if it was the end marker.
    fn node(&mut self, sink: &mut dyn SnapshotSink) -> Result<bool> {
        self.need(4)?;
        let path_len = be_len(self.window.peek());
        if path_len < 0 {
            return self.damaged("a path has a negative length");
        }
        let path_len = path_len as usize;
        self.check_len(path_len)?;
        self.need(4 + path_len)?;
        if self.window.visible(4 + path_len).get(4..) == Some(b"/") {
            self.window.advance(4 + path_len);
            return Ok(true);
        }
        self.need(4 + path_len + 4)?;
        let data_len = be_len(self.window.peek().get(4 + path_len..).unwrap_or_default());
        if data_len < -1 {
            return self.damaged("a znode's data has a negative length");
        }
        let data_bytes = usize::try_from(data_len).unwrap_or(0);
        self.check_len(data_bytes)?;
        let whole = 4 + path_len + 4 + data_bytes + 8 + STAT_LEN;
        self.need(whole)?;
        let bytes = self.window.visible(whole);
        let (path, rest) = bytes.get(4..).unwrap_or_default().split_at(path_len);
        let (data, rest) = rest.get(4..).unwrap_or_default().split_at(data_bytes);
        let path: Cow<'_, str> = match std::str::from_utf8(path) {
            Ok(path) => Cow::Borrowed(path),
            Err(_) => String::from_utf8_lossy(path),
        };
        let (acl_key, stat) = acl_key_and_stat(rest);
        let taken = sink.node(&path, (data_len >= 0).then_some(data), acl_key, &stat);
        self.accept(taken)?;
        self.window.advance(whole);
        Ok(false)
    }

    fn seal(&mut self) -> Result<()> {
        let want = u64::from(self.window.adler());
        let offset = self.window.position();
        let sum = self.i64()?.cast_unsigned();
        let marker: [u8; 5] = self.array()?;
        if sum != want || marker != *b"\0\0\0\x01/" {
            return Err(SnapshotError::Damaged {
                offset,
                what: "a seal does not agree with the content",
            });
        }
        Ok(())
    }

    /// The sections behind the first seal. What is there is told by how much is there: each is optional on its own,
    /// and sections of releases to come are left alone, as by every reader of the format.
    fn tail(&mut self) -> Result<SnapshotTail> {
        let mut tail = SnapshotTail::default();
        if !self.window.need(1)? {
            return Ok(tail);
        }
        let only_zxid = !self.window.need(8 + SEAL_LEN + 1)?;
        if !only_zxid {
            tail.digest = Some(self.digest()?);
            self.seal()?;
            if !self.window.need(1)? {
                return Ok(tail);
            }
        }
        tail.last_processed = Some(Zxid::from_wire(self.i64()?));
        self.seal()?;
        Ok(tail)
    }

    fn digest(&mut self) -> Result<SnapshotDigest> {
        self.need(DIGEST_LEN)?;
        let zxid = Zxid::from_wire(self.i64()?);
        let version = self.i32()?;
        let value = if version < 2 {
            let hex = self.text()?;
            u64::from_str_radix(&hex, 16).unwrap_or(0)
        } else {
            self.i64()?.cast_unsigned()
        };
        Ok(SnapshotDigest {
            zxid,
            version,
            value,
        })
    }
}

fn be_len(bytes: &[u8]) -> i32 {
    bytes.first_chunk().map_or(-2, |b| i32::from_be_bytes(*b))
}

/// The fixed part behind a znode's data. The caller has made sure that all of it is there.
fn acl_key_and_stat(bytes: &[u8]) -> (i64, StatPersisted) {
    let long = |at: usize| {
        bytes
            .get(at..)
            .and_then(|b| b.first_chunk())
            .map_or(0, |b| i64::from_be_bytes(*b))
    };
    let int = |at: usize| {
        bytes
            .get(at..)
            .and_then(|b| b.first_chunk())
            .map_or(0, |b| i32::from_be_bytes(*b))
    };
    let stat = StatPersisted {
        czxid: long(8),
        mzxid: long(16),
        ctime: long(24),
        mtime: long(32),
        version: int(40),
        cversion: int(44),
        aversion: int(48),
        ephemeral_owner: long(52),
        pzxid: long(60),
    };
    (long(0), stat)
}
