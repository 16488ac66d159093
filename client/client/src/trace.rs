//! What the client tells those who trace a program: a span of each call.
//!
//! Nothing is told to anybody who has not asked: a call then pays for one comparison. What happens to connections is told as
//! events, where it happens.

use tokio::sync::oneshot;
use tracing::field::{Empty, display};
use tracing::level_filters::LevelFilter;
use tracing::{Level, Span, debug_span};
use zabra_cnxn::{CallError, Reply};
use zabra_proto::{OpCode, SessionId, Xid};

use crate::shared::Answer;

/// Where a call's result goes.
#[derive(Debug)]
pub(crate) struct Caller {
    answer: oneshot::Sender<Result<Reply, CallError>>,
    /// From the call to its result.
    trace: Trace,
}

impl Caller {
    /// A caller, the answer it will get, and what there is to be told of its call.
    pub(crate) fn new(op: OpCode, path: &str) -> (Self, Answer, Trace) {
        let (sender, answer) = oneshot::channel();
        let trace = Trace::begin(op, path);
        let caller = Self {
            answer: sender,
            trace: trace.clone(),
        };
        (caller, answer, trace)
    }

    /// The call has ended.
    pub(crate) fn tell(self, result: Result<Reply, CallError>) {
        self.trace.end(&result);
        // Whoever dropped the call does not want to know.
        let _ = self.answer.send(result);
    }
}

/// The span of a call, if anybody wants it; on the heap, since hardly anybody does.
#[derive(Debug, Clone)]
pub(crate) struct Trace(Option<Box<Span>>);

impl Trace {
    fn begin(op: OpCode, path: &str) -> Self {
        if Level::DEBUG > LevelFilter::current() {
            return Self(None);
        }
        Self::listened_to(op, path)
    }

    #[cold]
    fn listened_to(op: OpCode, path: &str) -> Self {
        let span = debug_span!(
            target: TARGET,
            "call",
            ?op,
            path = display(path.replace('\0', ",")),
            xid = Empty,
            session = Empty,
            zxid = Empty,
            error = Empty,
        );
        Self((!span.is_disabled()).then(|| Box::new(span)))
    }

    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// The call has a number, and perhaps a session.
    pub(crate) fn made(self, xid: Xid, session: SessionId) {
        if let Some(span) = self.0 {
            span.record("xid", xid.0);
            if session != SessionId::NONE {
                span.record("session", display(session));
            }
        }
    }

    fn end(self, result: &Result<Reply, CallError>) {
        if let Some(span) = self.0 {
            match result {
                Ok(reply) => span.record("zxid", display(reply.zxid)),
                Err(error) => span.record("error", display(error)),
            };
        }
    }
}

/// What a filter names to have the spans and nothing else.
const TARGET: &str = "zabra_client::call";
