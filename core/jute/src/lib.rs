//! Jute: the encoding of every ZooKeeper record, on the wire and on disk.
//!
//! This crate turns bytes into primitives and back ([`Reader`], [`Encode`]), checks every length before it
//! believes it, and never panics on outside input. It does not know any record: those are in `zabra-proto`.
//!
//! | Type | Bytes |
//! |---|---|
//! | byte, boolean | 1 |
//! | int, long | 4, 8, big-endian, two's complement |
//! | ustring | int length, then UTF-8; −1 is null |
//! | buffer | int length, then bytes; −1 is null, 0 is empty, and the two stay distinct |
//! | vector | int count, then the elements; −1 is null |
//! | record | its fields in order, no tag, no padding |

#![forbid(unsafe_code)]

mod error;
mod reader;
mod record;

pub use error::{JuteError, JuteErrorKind};
pub use reader::{Limits, Reader};
pub use record::{Decode, Encode, Text};

/// Defines jute records: a struct with its fields in wire order, with [`Decode`] and [`Encode`].
///
/// A record borrows from the bytes it was decoded from; its lifetime is always called `'a`.
///
/// ```
/// use zabra_jute::{record, Decode, Encode, Reader, Text};
/// record! {
///     /// Asks for a path to be brought up to date.
///     pub struct SyncRequest<'a> {
///         /// Any string; it is echoed.
///         pub path: Text<'a>,
///     }
/// }
/// let mut bytes = Vec::new();
/// SyncRequest { path: "/a".into() }.encode(&mut bytes);
/// assert_eq!(bytes, [0, 0, 0, 2, b'/', b'a']);
/// let back = SyncRequest::decode(&mut Reader::new(&bytes)).unwrap();
/// assert_eq!(back.path, "/a");
/// ```
#[macro_export]
macro_rules! record {
    ($(
        $(#[$meta:meta])*
        $vis:vis struct $name:ident $(<$lt:lifetime>)? {
            $( $(#[$fmeta:meta])* $fvis:vis $field:ident : $ty:ty, )*
        }
    )*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        $vis struct $name $(<$lt>)? {
            $( $(#[$fmeta])* $fvis $field: $ty, )*
        }

        impl<'a> $crate::Decode<'a> for $name $(<$lt>)? {
            fn decode(r: &mut $crate::Reader<'a>) -> Result<Self, $crate::JuteError> {
                Ok(Self { $( $field: <$ty as $crate::Decode<'a>>::decode(r)?, )* })
            }
        }

        impl $(<$lt>)? $crate::Encode for $name $(<$lt>)? {
            fn encode(&self, out: &mut Vec<u8>) {
                $( $crate::Encode::encode(&self.$field, out); )*
            }
        }
    )*};
}
