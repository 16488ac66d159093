//! A call on its way.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use zabra_cnxn::{CallError, Reply};
use zabra_jute::{Decode, Reader};

use crate::Error;
use crate::chroot::Chroot;
use crate::shared::Answer;
use crate::watch::Registered;

/// The result of a call, to be awaited.
///
/// **The request was put into the session's order when the call was made**, not when this is first polled: requests reach the
/// server in the order of the calls. Dropping it gives up the result, not the request.
#[must_use = "the call is made; its result is only known by awaiting"]
pub struct Call<T> {
    answer: Result<Answer, Option<Error>>,
    finish: Finish<T>,
    parts: Option<Parts>,
}

/// Makes the result from the reply.
pub(crate) type Finish<T> = fn(Parts, Result<Reply, CallError>) -> Result<T, Error>;

/// What a result needs besides the reply.
pub(crate) struct Parts {
    /// The path as the caller wrote it.
    pub(crate) path: String,
    pub(crate) chroot: Chroot,
    pub(crate) watch: Option<Registered>,
}

impl Parts {
    /// The record in a successful reply.
    pub(crate) fn record<T>(
        &self,
        reply: Result<Reply, CallError>,
        f: impl FnOnce(&Self, &mut Reader<'_>) -> Result<T, zabra_jute::JuteError>,
    ) -> Result<T, Error> {
        let reply = reply.map_err(|error| Error::of_call(error, &self.path))?;
        Ok(f(self, &mut Reader::new(&reply.body))?)
    }

    /// A successful reply without a record.
    pub(crate) fn nothing(self, reply: Result<Reply, CallError>) -> Result<(), Error> {
        reply
            .map(drop)
            .map_err(|error| Error::of_call(error, &self.path))
    }
}

/// A record that owns all it has.
pub(crate) fn owned<T: for<'a> Decode<'a>>(r: &mut Reader<'_>) -> Result<T, zabra_jute::JuteError> {
    T::decode(r)
}

impl<T> Call<T> {
    pub(crate) fn new(answer: Result<Answer, CallError>, parts: Parts, finish: Finish<T>) -> Self {
        let answer = answer.map_err(|error| Some(Error::of_call(error, &parts.path)));
        Self {
            answer,
            finish,
            parts: Some(parts),
        }
    }

    /// A call that was not made.
    pub(crate) fn failed(error: impl Into<Error>) -> Self {
        Self {
            answer: Err(Some(error.into())),
            finish: |_, _| Err(Error::Closed),
            parts: None,
        }
    }
}

impl<T> Future for Call<T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let reply = match &mut self.answer {
            Ok(answer) => match ready!(Pin::new(answer).poll(cx)) {
                Ok(reply) => reply,
                // The task is gone, with the runtime.
                Err(_) => Err(CallError::Closed),
            },
            Err(error) => return Poll::Ready(Err(error.take().unwrap_or(Error::Closed))),
        };
        self.answer = Err(None);
        Poll::Ready(match self.parts.take() {
            Some(parts) => (self.finish)(parts, reply),
            None => Err(Error::Closed),
        })
    }
}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.parts.as_ref().map(|parts| &parts.path);
        f.debug_struct("Call")
            .field("path", &path)
            .finish_non_exhaustive()
    }
}
