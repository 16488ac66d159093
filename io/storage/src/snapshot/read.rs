//! Reads a snapshot in one pass, without recursion, with one buffer.

use std::io::{self, Read};
use std::path::Path;

use zabra_proto::Zxid;

use super::body::{Body, BodyError, MARKER, Step};
use super::codec::decoder;
use super::{Refusal, SnapshotDigest, SnapshotError, SnapshotFile, SnapshotSink, SnapshotTail};
use crate::names::Compression;
use crate::record::{FILE_HEADER_LEN, SNAPSHOT_HEADER};
use crate::vfs::{Access, Vfs};
use crate::window::{FileSource, Window};

type Result<T> = std::result::Result<T, SnapshotError>;

/// Longest text of a digest that is believed.
const DIGEST_TEXT_MAX: usize = 4096;
const SEAL_LEN: usize = 8 + 5;
const DIGEST_LEN: usize = 8 + 4 + 8;

/// Reads a snapshot into a sink, which is reset first. On an error the sink holds a part, to be thrown away.
pub fn read_snapshot(
    vfs: &dyn Vfs,
    dir: &Path,
    file: &SnapshotFile,
    sink: &mut dyn SnapshotSink,
) -> Result<SnapshotTail> {
    read_snapshot_raw(vfs, dir, file, sink, &mut |_| Ok(()))
}

/// Reads a snapshot into a sink, and hands `each` the bytes of every record between header and end marker as they stand
/// there before compression. They count only once this has returned: the seals come last.
pub(crate) fn read_snapshot_raw(
    vfs: &dyn Vfs,
    dir: &Path,
    file: &SnapshotFile,
    sink: &mut dyn SnapshotSink,
    each: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<SnapshotTail> {
    let source = vfs.open(&dir.join(&file.name), Access::Read)?;
    let source = decoder(FileSource::new(source), file.compression);
    read_stream(source, sink, each)
}

/// Reads a snapshot file's content from memory.
pub fn read_snapshot_bytes(
    bytes: &[u8],
    compression: Compression,
    sink: &mut dyn SnapshotSink,
) -> Result<SnapshotTail> {
    read_stream(decoder(bytes, compression), sink, &mut |_| Ok(()))
}

fn read_stream(
    source: Box<dyn Read + '_>,
    sink: &mut dyn SnapshotSink,
    each: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<SnapshotTail> {
    sink.reset();
    let mut input = Input {
        window: Window::new(source),
    };
    input.header()?;
    input.body(sink, each)?;
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

    fn header(&mut self) -> Result<()> {
        self.need(FILE_HEADER_LEN)?;
        if self.window.visible(4) != &SNAPSHOT_HEADER[..4] {
            return self.damaged("not the header of a snapshot");
        }
        self.window.advance(FILE_HEADER_LEN);
        Ok(())
    }

    /// Sessions, ACL table and tree, up to and with the end marker; `each` sees every record, and not the marker.
    fn body(
        &mut self,
        sink: &mut dyn SnapshotSink,
        each: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<()> {
        let mut body = Body::new();
        loop {
            let step = match body.step(self.window.peek(), sink) {
                Ok(step) => step,
                Err(BodyError::Damaged(what)) => return self.damaged(what),
                Err(BodyError::Refused(why)) => return self.accept(Err(why)),
            };
            match step {
                Step::Need(n) => self.need(n)?,
                Step::Took(n) => {
                    each(self.window.visible(n))?;
                    self.window.advance(n);
                }
                Step::Ended => {
                    self.window.advance(MARKER.len());
                    return Ok(());
                }
            }
        }
    }

    /// The text of an old digest.
    fn text(&mut self) -> Result<String> {
        let len = usize::try_from(self.i32()?).unwrap_or(0);
        if len > DIGEST_TEXT_MAX {
            return self.damaged("a length is out of bounds");
        }
        self.need(len)?;
        let text = String::from_utf8_lossy(self.window.visible(len)).into_owned();
        self.window.advance(len);
        Ok(text)
    }

    fn seal(&mut self) -> Result<()> {
        let want = u64::from(self.window.adler());
        let offset = self.window.position();
        let sum = self.i64()?.cast_unsigned();
        let marker = self.array()?;
        if sum != want || marker != MARKER {
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
