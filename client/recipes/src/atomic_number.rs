//! Numbers that are changed by what they are.

use std::fmt;
use std::marker::PhantomData;

use crate::atomic::{AtomicValue, Update};
use crate::error::Error;
use crate::sessions::Sessions;

/// A number of eight bytes; the same as Curator's `DistributedAtomicLong`.
pub type AtomicLong = AtomicNumber<i64>;
/// A number of four bytes; the same as Curator's `DistributedAtomicInteger`.
pub type AtomicInteger = AtomicNumber<i32>;

/// A number in a znode, big-endian: an [`AtomicLong`] or an [`AtomicInteger`]. Without a znode it is 0.
///
/// Guarantees are those of [`AtomicValue`]. Sums wrap at the ends, as Java's do.
#[derive(Debug, Clone)]
pub struct AtomicNumber<N> {
    value: AtomicValue,
    number: PhantomData<fn() -> N>,
}

/// A number that a znode can hold: `i64` or `i32`.
pub trait Number: Copy + Default + fmt::Debug + sealed::Sealed {
    #[doc(hidden)]
    fn plus(self, other: Self) -> Self;
    #[doc(hidden)]
    fn to_bytes(self) -> Vec<u8>;
    #[doc(hidden)]
    fn of_bytes(bytes: &[u8]) -> Option<Self>;
}

mod sealed {
    pub trait Sealed {}
}

/// Integers do not differ but in their size; the language has no trait that says so.
macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl sealed::Sealed for $number {}

        impl Number for $number {
            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }

            fn to_bytes(self) -> Vec<u8> {
                self.to_be_bytes().to_vec()
            }

            fn of_bytes(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self::from_be_bytes)
            }
        }
    )*};
}
numbers!(i64, i32);

impl<N: Number> AtomicNumber<N> {
    /// The number at a path; nothing is asked of the server yet.
    #[must_use]
    pub fn new(sessions: impl Into<Sessions>, path: &str) -> Self {
        Self {
            value: AtomicValue::new(sessions, path),
            number: PhantomData,
        }
    }

    /// The number.
    ///
    /// # Errors
    /// As [`AtomicValue::load`]; or the znode holds another number of bytes.
    pub async fn load(&self) -> Result<N, Error> {
        let data = self.value.load().await?;
        self.number(data.as_deref())
    }

    /// Adds to it; what it was and what it is.
    ///
    /// # Errors
    /// As [`AtomicValue::update`]; or the znode holds another number of bytes.
    pub async fn add(&self, delta: N) -> Result<Update<N>, Error> {
        let done = self.update(|number| Some(number.plus(delta))).await?;
        // A sum always is a change.
        Ok(done.unwrap_or(Update {
            before: None,
            after: delta,
        }))
    }

    /// Changes it to what `change` makes of it; `None` changes nothing.
    ///
    /// # Errors
    /// As [`AtomicNumber::add`].
    pub async fn update(
        &self,
        change: impl Fn(N) -> Option<N>,
    ) -> Result<Option<Update<N>>, Error> {
        let change = |before: Option<&[u8]>| {
            let after = change(self.number(before)?);
            Ok(after.map(N::to_bytes))
        };
        let done = self.value.update(change).await?;
        let number = |data: &[u8]| self.number(Some(data));
        done.map(|done| {
            Ok(Update {
                before: done.before.as_deref().map(number).transpose()?,
                after: number(&done.after)?,
            })
        })
        .transpose()
    }

    fn number(&self, data: Option<&[u8]>) -> Result<N, Error> {
        let Some(data) = data.filter(|data| !data.is_empty()) else {
            return Ok(N::default());
        };
        let wanted = size_of::<N>();
        let why = || Error::malformed(&self.value.path, format!("not a number of {wanted} bytes"));
        N::of_bytes(data).ok_or_else(why)
    }
}
