//! A cursor over bytes that only moves forward and never reads outside them.

use std::borrow::Cow;

use crate::{JuteError, JuteErrorKind};

/// How long a single ustring or buffer may claim to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest accepted length of a ustring or buffer, in bytes.
    pub value_len_max: usize,
}

impl Limits {
    /// The server's default: `jute.maxbuffer` (0xfffff) plus as much again for what it writes around a request.
    pub const DEFAULT: Self = Self {
        value_len_max: 2 * 0xfffff,
    };
}

/// Reads jute primitives from a slice.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
    limits: Limits,
}

impl<'a> Reader<'a> {
    /// A reader of bytes that are all there, and no more than they may be: a value may be as long as all of them.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        let value_len_max = Limits::DEFAULT.value_len_max.max(bytes.len());
        Self::with_limits(bytes, Limits { value_len_max })
    }

    /// A reader that accepts values up to the given limits.
    #[must_use]
    pub fn with_limits(bytes: &'a [u8], limits: Limits) -> Self {
        Self {
            bytes,
            position: 0,
            limits,
        }
    }

    /// How far the reader has come.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// How many bytes are left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    /// Whether everything has been read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// The bytes not read yet, without reading them.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.position..).unwrap_or_default()
    }

    /// The next `n` bytes as they are.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], JuteError> {
        match self.rest().split_at_checked(n) {
            Some((head, _)) => {
                self.position += n;
                Ok(head)
            }
            None => Err(self.error(JuteErrorKind::UnexpectedEnd)),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], JuteError> {
        match self.rest().first_chunk::<N>() {
            Some(head) => {
                self.position += N;
                Ok(*head)
            }
            None => Err(self.error(JuteErrorKind::UnexpectedEnd)),
        }
    }

    /// A byte.
    pub fn u8(&mut self) -> Result<u8, JuteError> {
        self.array::<1>().map(|[b]| b)
    }

    /// A boolean; any byte but zero is true.
    pub fn bool(&mut self) -> Result<bool, JuteError> {
        self.u8().map(|b| b != 0)
    }

    /// An int.
    pub fn i32(&mut self) -> Result<i32, JuteError> {
        self.array().map(i32::from_be_bytes)
    }

    /// A long.
    pub fn i64(&mut self) -> Result<i64, JuteError> {
        self.array().map(i64::from_be_bytes)
    }

    /// A buffer; `None` is null.
    pub fn buffer(&mut self) -> Result<Option<&'a [u8]>, JuteError> {
        let at = self.position;
        let len = self.i32()?;
        if len == -1 {
            return Ok(None);
        }
        match usize::try_from(len) {
            Ok(n) if n <= self.limits.value_len_max => self.take(n).map(Some),
            _ => Err(JuteError {
                offset: at,
                kind: JuteErrorKind::BadLength(len),
            }),
        }
    }

    /// A ustring; `None` is null. Malformed UTF-8 is replaced by U+FFFD, as every server of the protocol does.
    pub fn string(&mut self) -> Result<Option<Cow<'a, str>>, JuteError> {
        Ok(self.buffer()?.map(text))
    }

    /// A vector's count; `None` is a null vector, other negative counts are empty ones (protocol 1).
    ///
    /// The count is a claim: never reserve memory by it.
    pub fn count(&mut self) -> Result<Option<usize>, JuteError> {
        let n = self.i32()?;
        Ok(if n == -1 {
            None
        } else {
            Some(usize::try_from(n).unwrap_or(0))
        })
    }

    /// An error at the present position.
    #[must_use]
    pub fn error(&self, kind: JuteErrorKind) -> JuteError {
        JuteError {
            offset: self.position,
            kind,
        }
    }
}

/// The check takes ASCII by words; what replaces looks at each byte.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    match str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_and_empty_buffers_stay_distinct() {
        assert_eq!(Reader::new(&[0xff; 4]).buffer(), Ok(None));
        assert_eq!(Reader::new(&[0; 4]).buffer(), Ok(Some(&[][..])));
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_the_bytes_are_looked_for() {
        let bytes = [0x7f, 0xff, 0xff, 0xff];
        let error = Reader::new(&bytes).buffer().unwrap_err();
        assert_eq!(
            error,
            JuteError {
                offset: 0,
                kind: JuteErrorKind::BadLength(i32::MAX)
            }
        );
    }

    #[test]
    fn a_length_below_minus_one_is_refused() {
        let bytes = (-2i32).to_be_bytes();
        assert_eq!(
            Reader::new(&bytes).buffer().unwrap_err().kind,
            JuteErrorKind::BadLength(-2)
        );
    }

    #[test]
    fn malformed_utf8_is_replaced() {
        let bytes = [0, 0, 0, 2, b'/', 0xff];
        assert_eq!(Reader::new(&bytes).string().unwrap().unwrap(), "/\u{fffd}");
    }

    #[test]
    fn negative_counts_other_than_null_are_empty() {
        assert_eq!(Reader::new(&(-1i32).to_be_bytes()).count(), Ok(None));
        assert_eq!(Reader::new(&(-7i32).to_be_bytes()).count(), Ok(Some(0)));
    }

    #[test]
    fn a_reader_at_the_end_stays_where_it_is() {
        let mut r = Reader::new(&[1, 2, 3]);
        assert!(r.i32().is_err());
        assert_eq!(r.position(), 0);
        assert_eq!(r.rest(), [1, 2, 3]);
    }
}
