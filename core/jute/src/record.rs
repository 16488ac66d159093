//! The two traits that every record has, and their implementations for primitives.

use std::borrow::Cow;

use crate::{JuteError, JuteErrorKind, Reader};

/// A ustring that may not be null, borrowed from the frame it came in where that frame was valid UTF-8.
pub type Text<'a> = Cow<'a, str>;

/// Something that can be read from jute bytes.
pub trait Decode<'a>: Sized {
    /// Reads one value. On an error the reader stands somewhere inside the value.
    fn decode(r: &mut Reader<'a>) -> Result<Self, JuteError>;
}

/// Something that can be written as jute bytes. Encoding cannot fail.
///
/// Lengths are written as `int`: values longer than `i32::MAX` bytes cannot arise, since every value came through a
/// frame or a record that is limited far below that.
pub trait Encode {
    /// Appends the value.
    fn encode(&self, out: &mut Vec<u8>);
}

fn put_len(len: usize, out: &mut Vec<u8>) {
    debug_assert!(i32::try_from(len).is_ok());
    out.extend_from_slice(&(len as u32).to_be_bytes());
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_len(bytes.len(), out);
    out.extend_from_slice(bytes);
}

macro_rules! primitive {
    ($($ty:ident $read:ident),*) => {$(
        impl<'a> Decode<'a> for $ty {
            fn decode(r: &mut Reader<'a>) -> Result<Self, JuteError> {
                r.$read()
            }
        }
    )*};
}
primitive!(u8 u8, bool bool, i32 i32, i64 i64);

impl Encode for u8 {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(*self);
    }
}

impl Encode for bool {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
}

impl Encode for i32 {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_be_bytes());
    }
}

impl Encode for i64 {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_be_bytes());
    }
}

/// A record without fields.
impl Encode for () {
    fn encode(&self, _: &mut Vec<u8>) {}
}

impl<'a> Decode<'a> for Option<&'a [u8]> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        r.buffer()
    }
}

impl Encode for Option<&[u8]> {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Some(bytes) => put_bytes(bytes, out),
            None => (-1i32).encode(out),
        }
    }
}

impl Encode for str {
    fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(self.as_bytes(), out);
    }
}

impl<'a> Decode<'a> for Text<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        let at = r.position();
        r.string()?.ok_or(JuteError {
            offset: at,
            kind: JuteErrorKind::UnexpectedNull,
        })
    }
}

impl Encode for Text<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(self.as_bytes(), out);
    }
}

impl<'a> Decode<'a> for Option<Text<'a>> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        r.string()
    }
}

impl Encode for Option<Text<'_>> {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Some(text) => text.encode(out),
            None => (-1i32).encode(out),
        }
    }
}

impl<'a, T: Decode<'a>> Decode<'a> for Option<Vec<T>> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        let Some(count) = r.count()? else {
            return Ok(None);
        };
        // Grows with what is really there: the count alone reserves nothing (P119).
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(T::decode(r)?);
        }
        Ok(Some(items))
    }
}

impl<'a, T: Decode<'a>> Decode<'a> for Vec<T> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        let at = r.position();
        Option::<Self>::decode(r)?.ok_or(JuteError {
            offset: at,
            kind: JuteErrorKind::UnexpectedNull,
        })
    }
}

impl<T: Encode> Encode for [T] {
    fn encode(&self, out: &mut Vec<u8>) {
        put_len(self.len(), out);
        for item in self {
            item.encode(out);
        }
    }
}

impl<T: Encode> Encode for Vec<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.as_slice().encode(out);
    }
}

impl<T: Encode> Encode for Option<Vec<T>> {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Some(items) => items.encode(out),
            None => (-1i32).encode(out),
        }
    }
}

impl<T: Encode + ?Sized> Encode for &T {
    fn encode(&self, out: &mut Vec<u8>) {
        (**self).encode(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::record! {
        /// Two of each kind.
        struct Sample<'a> {
            /// A long.
            id: i64,
            /// A nullable buffer.
            data: Option<&'a [u8]>,
            /// A nullable list.
            names: Option<Vec<Text<'a>>>,
            /// A flag.
            flag: bool,
        }
    }

    #[test]
    fn a_record_survives_the_round_trip() {
        let sample = Sample {
            id: -5,
            data: Some(b""),
            names: Some(vec!["a".into(), "".into()]),
            flag: true,
        };
        let mut bytes = Vec::new();
        sample.encode(&mut bytes);
        assert_eq!(Sample::decode(&mut Reader::new(&bytes)), Ok(sample));
    }

    #[test]
    fn a_vector_that_claims_two_billion_elements_fails_at_the_end_of_the_bytes() {
        let mut bytes = i32::MAX.to_be_bytes().to_vec();
        bytes.extend_from_slice(&[0, 0, 0, 0]);
        let error = Vec::<Text<'_>>::decode(&mut Reader::new(&bytes)).unwrap_err();
        assert_eq!(
            error,
            JuteError {
                offset: 8,
                kind: JuteErrorKind::UnexpectedEnd
            }
        );
    }

    #[test]
    fn a_null_text_is_an_error_where_a_value_is_required() {
        let error = Text::decode(&mut Reader::new(&[0xff; 4])).unwrap_err();
        assert_eq!(error.kind, JuteErrorKind::UnexpectedNull);
    }
}
