//! Compressions of snapshots. gzip is gzip; snappy is the stream of Java's library, not the standard frame format.
//!
//! ```text
//! 82 53 4e 41 50 50 59 00   magic
//! int 1, int 1              version, lowest compatible version
//! int length, raw block     repeated; 32 KiB of input each
//! ```

use std::io::{self, Read, Write};

use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use crate::names::Compression;

const MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
const HEADER_LEN: usize = 16;
const BLOCK: usize = 32 * 1024;
/// Longest block that is decompressed, both before and after (R13); Java's default is 32 KiB.
const BLOCK_MAX: usize = 16 << 20;

/// The bytes as they were before compression.
pub(super) fn decoder<'a>(source: impl Read + 'a, compression: Compression) -> Box<dyn Read + 'a> {
    match compression {
        Compression::None => Box::new(source),
        // Java's reader takes concatenated members, too.
        Compression::Gzip => Box::new(MultiGzDecoder::new(io::BufReader::with_capacity(
            BLOCK, source,
        ))),
        Compression::Snappy => Box::new(SnappyReader::new(io::BufReader::with_capacity(
            BLOCK, source,
        ))),
    }
}

/// Compresses what is written to it.
pub(super) enum Encoder<W: Write> {
    None(W),
    Gzip(GzEncoder<W>),
    Snappy(SnappyWriter<W>),
}

impl<W: Write> Encoder<W> {
    pub(super) fn new(sink: W, compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => Self::None(sink),
            Compression::Gzip => Self::Gzip(GzEncoder::new(sink, flate2::Compression::default())),
            Compression::Snappy => Self::Snappy(SnappyWriter::new(sink)?),
        })
    }

    pub(super) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::None(w) => w.write_all(bytes),
            Self::Gzip(w) => w.write_all(bytes),
            Self::Snappy(w) => w.write_all(bytes),
        }
    }

    /// Writes what is still held back.
    pub(super) fn finish(self) -> io::Result<W> {
        match self {
            Self::None(w) => Ok(w),
            Self::Gzip(w) => w.finish(),
            Self::Snappy(w) => w.finish(),
        }
    }
}

struct SnappyReader<R> {
    source: R,
    begun: bool,
    packed: Vec<u8>,
    block: Vec<u8>,
    taken: usize,
}

impl<R: Read> SnappyReader<R> {
    fn new(source: R) -> Self {
        Self {
            source,
            begun: false,
            packed: Vec::new(),
            block: Vec::new(),
            taken: 0,
        }
    }

    /// The next block; false at the end of the stream.
    fn next_block(&mut self) -> io::Result<bool> {
        let mut word = [0; 4];
        loop {
            if !read_or_end(&mut self.source, &mut word)? {
                return Ok(false);
            }
            let is_header = word == MAGIC[..4];
            if is_header {
                // At the begin, and where streams were concatenated.
                let mut rest = [0; HEADER_LEN - 4];
                self.source.read_exact(&mut rest)?;
                if rest[..4] != MAGIC[4..] {
                    return Err(bad("not the header of a snappy stream"));
                }
                self.begun = true;
                continue;
            }
            if !self.begun {
                return Err(bad("not the header of a snappy stream"));
            }
            let len = u32::from_be_bytes(word) as usize;
            if len > BLOCK_MAX {
                return Err(bad("a snappy block is too long"));
            }
            self.packed.clear();
            (&mut self.source)
                .take(len as u64)
                .read_to_end(&mut self.packed)?;
            if self.packed.len() < len {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let plain = snap::raw::decompress_len(&self.packed)
                .map_err(|_| bad("a snappy block is damaged"))?;
            if plain > BLOCK_MAX {
                return Err(bad("a snappy block is too long"));
            }
            self.block.resize(plain, 0);
            snap::raw::Decoder::new()
                .decompress(&self.packed, &mut self.block)
                .map_err(|_| bad("a snappy block is damaged"))?;
            self.taken = 0;
            if plain > 0 {
                return Ok(true);
            }
        }
    }
}

impl<R: Read> Read for SnappyReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.block.len() && !self.next_block()? {
            return Ok(0);
        }
        let rest = self.block.get(self.taken..).unwrap_or_default();
        let n = rest.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..n), rest.get(..n)) {
            to.copy_from_slice(from);
        }
        self.taken += n;
        Ok(n)
    }
}

fn bad(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Fills `buf`; false if the source is at its end, an error if it ends inside.
fn read_or_end(source: &mut impl Read, buf: &mut [u8]) -> io::Result<bool> {
    let (first, rest) = buf.split_at_mut(1);
    loop {
        match source.read(first) {
            Ok(0) => return Ok(false),
            Ok(_) => break,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    source.read_exact(rest)?;
    Ok(true)
}

pub(super) struct SnappyWriter<W> {
    sink: W,
    block: Vec<u8>,
    packed: Vec<u8>,
}

impl<W: Write> SnappyWriter<W> {
    fn new(mut sink: W) -> io::Result<Self> {
        sink.write_all(&MAGIC)?;
        sink.write_all(&[0, 0, 0, 1, 0, 0, 0, 1])?;
        Ok(Self {
            sink,
            block: Vec::with_capacity(BLOCK),
            packed: vec![0; snap::raw::max_compress_len(BLOCK)],
        })
    }

    fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK - self.block.len()));
            self.block.extend_from_slice(now);
            bytes = later;
            if self.block.len() == BLOCK {
                self.put_block()?;
            }
        }
        Ok(())
    }

    fn put_block(&mut self) -> io::Result<()> {
        let n = snap::raw::Encoder::new()
            .compress(&self.block, &mut self.packed)
            .map_err(|e| io::Error::other(e.to_string()))?;
        self.sink.write_all(&(n as u32).to_be_bytes())?;
        self.sink
            .write_all(self.packed.get(..n).unwrap_or_default())?;
        self.block.clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<W> {
        if !self.block.is_empty() {
            self.put_block()?;
        }
        Ok(self.sink)
    }
}
