//! A stream of bytes seen through a window that slides over it, with a running Adler-32.
//!
//! Logs and snapshots of any size are read with one buffer. The buffer grows only as far as bytes really arrive, so a
//! length that a damaged file claims reserves nothing (R13).

use std::io::{self, Read};

use simd_adler32::Adler32;

use crate::vfs::VfsFile;

const CHUNK: usize = 64 * 1024;

pub(crate) struct Window<R> {
    source: R,
    buf: Vec<u8>,
    /// Cursor: `buf[start..end]` has been read from the source and not been taken.
    start: usize,
    end: usize,
    /// Offset in the stream of `buf[0]`.
    base: u64,
    adler: Adler32,
    /// `buf[..hashed]` is in `adler`. Invariant: hashed <= start.
    hashed: usize,
}

impl<R: Read> Window<R> {
    pub(crate) fn new(source: R) -> Self {
        Self {
            source,
            buf: vec![0; CHUNK],
            start: 0,
            end: 0,
            base: 0,
            adler: Adler32::new(),
            hashed: 0,
        }
    }

    /// Offset in the stream of the next byte to be taken.
    pub(crate) fn position(&self) -> u64 {
        self.base + self.start as u64
    }

    /// Makes `n` bytes visible in [`Self::peek`]; false if the stream ends before.
    pub(crate) fn need(&mut self, n: usize) -> io::Result<bool> {
        if self.end - self.start >= n {
            return Ok(true);
        }
        self.fill(n)
    }

    #[cold]
    fn fill(&mut self, n: usize) -> io::Result<bool> {
        self.hash_taken();
        self.buf.copy_within(self.start..self.end, 0);
        self.base += self.start as u64;
        self.end -= self.start;
        self.start = 0;
        self.hashed = 0;
        while self.end < n {
            if self.end == self.buf.len() {
                // Doubles at most what has arrived.
                self.buf.resize(self.buf.len() * 2, 0);
            }
            let room = self.buf.get_mut(self.end..).unwrap_or_default();
            match self.source.read(room) {
                Ok(0) => return Ok(false),
                Ok(got) => self.end += got,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(true)
    }

    /// The bytes that are visible without reading.
    pub(crate) fn peek(&self) -> &[u8] {
        self.buf.get(self.start..self.end).unwrap_or_default()
    }

    /// The first `n` visible bytes; they must have been asked for with [`Self::need`].
    pub(crate) fn visible(&self, n: usize) -> &[u8] {
        self.buf.get(self.start..self.start + n).unwrap_or_default()
    }

    /// Moves the cursor over `n` visible bytes.
    pub(crate) fn advance(&mut self, n: usize) {
        debug_assert!(self.start + n <= self.end);
        self.start = (self.start + n).min(self.end);
    }

    /// Adler-32 of every byte taken so far.
    pub(crate) fn adler(&mut self) -> u32 {
        self.hash_taken();
        self.adler.finish()
    }

    fn hash_taken(&mut self) {
        self.adler
            .write(self.buf.get(self.hashed..self.start).unwrap_or_default());
        self.hashed = self.start;
    }
}

impl<R> std::fmt::Debug for Window<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Window")
            .field("base", &self.base)
            .field("start", &self.start)
            .finish_non_exhaustive()
    }
}

/// A file read from the front.
#[derive(Debug)]
pub(crate) struct FileSource {
    file: Box<dyn VfsFile>,
    offset: u64,
}

impl FileSource {
    pub(crate) fn new(file: Box<dyn VfsFile>) -> Self {
        Self { file, offset: 0 }
    }

    pub(crate) fn file(&self) -> &dyn VfsFile {
        &*self.file
    }
}

impl Read for FileSource {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(buf, self.offset)?;
        self.offset += n as u64;
        Ok(n)
    }
}

impl Window<FileSource> {
    pub(crate) fn file(&self) -> &dyn VfsFile {
        self.source.file()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte per read.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let n = self.0.len().min(buf.len()).min(1);
            let (head, tail) = self.0.split_at(n);
            buf[..n].copy_from_slice(head);
            self.0 = tail;
            Ok(n)
        }
    }

    #[test]
    fn the_checksum_covers_exactly_what_was_taken() {
        let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let mut w = Window::new(Drip(&bytes));
        for n in [1, 7, 100, 500] {
            assert!(w.need(n).unwrap());
            w.advance(n);
            let at = usize::try_from(w.position()).unwrap();
            let mut want = Adler32::new();
            want.write(&bytes[..at]);
            assert_eq!(w.adler(), want.finish());
        }
        assert!(!w.need(1000).unwrap());
        assert_eq!(w.peek().len(), 1000 - 608);
    }
}
