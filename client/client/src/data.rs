//! A znode's data.

use std::fmt;
use std::ops::Deref;

use bytes::Bytes;

/// The data of a znode: bytes, cheap to clone, with the one distinction that servers make between none and null.
#[derive(Clone, Default)]
pub struct Data(Option<Bytes>);

impl Data {
    /// Null, as of a znode that was created without data.
    pub const NULL: Self = Self(None);

    pub(crate) fn new(bytes: Option<Bytes>) -> Self {
        Self(bytes)
    }

    /// Whether it is null rather than bytes.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.0.is_none()
    }

    /// The bytes; none for null.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl Deref for Data {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl AsRef<[u8]> for Data {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl From<Data> for Bytes {
    fn from(data: Data) -> Self {
        data.0.unwrap_or_default()
    }
}

impl From<Data> for Vec<u8> {
    fn from(data: Data) -> Self {
        data.0.unwrap_or_default().into()
    }
}

impl<B: AsRef<[u8]> + ?Sized> PartialEq<B> for Data {
    fn eq(&self, other: &B) -> bool {
        self.as_bytes() == other.as_ref()
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("null"),
            Some(bytes) => bytes.fmt(f),
        }
    }
}
