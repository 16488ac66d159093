//! Differences from Apache ZooKeeper 3.9 that are decided, each with its reason. Everything else is a failure.
//!
//! Most of them cannot be compared, because the servers would hold different trees afterwards: those are not sent.

use super::script::{Greeting, Path, Request, Step};
use crate::wire::op;

/// A decided difference.
#[derive(Debug)]
pub struct Allowed {
    /// What differs.
    pub what: &'static str,
    /// Why.
    pub why: &'static str,
    /// Whether a step would show it. Such steps are left out.
    pub shown_by: fn(&Step) -> bool,
}

/// Compared by the runner: an event that only Apache sends must be of a znode that the session may not read.
pub const CATCH_UP: Allowed = Allowed {
    what: "catch-up events of setWatches are filtered by READ",
    why: "Apache sends them to sessions that may not read the znode, unlike all other events (pitfalls P94)",
    shown_by: |_| false,
};

/// Not compared: what stands behind the header of a multiRead that failed as a whole.
pub const CUT_OFF_BODY: Allowed = Allowed {
    what: "the body behind an error of a multiRead",
    why: "Apache appends what it had ready, and no client looks at it (protocol 7.4)",
    shown_by: |_| false,
};

/// Compared by the runner: the zxid of such a reply need not have a counterpart of its own.
pub const VOID_ZXID: Allowed = Allowed {
    what: "a write that is answered -5 takes a zxid",
    why: "Apache logs an error txn for what it cannot decode or trips over; Zabra logs nothing (protocol 4.9, 19.7)",
    shown_by: |_| false,
};

/// Every decided difference that a script could show.
pub const TABLE: &[Allowed] = &[
    Allowed {
        what: "createTTL with flags that are not TTL",
        why: "Apache accepts a negative ttl there and can then not load its own log (protocol 19.1)",
        shown_by: |step| {
            any(
                step,
                |request| matches!(request, Request::CreateTtl { flags, .. } if !(5..7).contains(flags)),
            )
        },
    },
    Allowed {
        what: "create with flag 4, createContainer with other flags",
        why: "Apache's leader and its tree then disagree on the kind of znode (protocol 19.9)",
        shown_by: |step| {
            any(
                step,
                |request| matches!(request, Request::Create { op, flags, .. } if (*op == op::CREATE_CONTAINER) != (*flags == 4)),
            )
        },
    },
    Allowed {
        what: "deleteContainer and createSession from a client",
        why: "Apache serves them, without any check of ACLs (protocol 19.3, 19.4)",
        shown_by: |step| any(step, |request| matches!(request.op(), 20 | -10)),
    },
    Allowed {
        what: "a wrong password closes the live connection of the session",
        why: "anyone who knows an id could do it; Zabra checks the password first (protocol 19.5)",
        // The runner drops the connection before it tries a wrong password.
        shown_by: |_| false,
    },
    CATCH_UP,
    CUT_OFF_BODY,
    VOID_ZXID,
    Allowed {
        what: "an echo of characters outside the basic plane",
        why: "Apache sends them as CESU-8, Zabra as UTF-8 (protocol 19.14)",
        shown_by: |step| match step {
            Step::Ask {
                request: request @ (Request::Of { op: op::SYNC, .. } | Request::SetWatches { .. }),
                ..
            } => format!("{request:?}").contains('\u{1f600}'),
            _ => false,
        },
    },
    Allowed {
        what: "a create without an ACL vector in a multi",
        why: "Apache trips over the null while it decodes and refuses the multi as a whole; alone it answers -114, and \
              Zabra does so in both places (protocol 8.7)",
        shown_by: |step| match step {
            Step::Ask {
                request: Request::Multi { elements, .. },
                ..
            } => elements
                .iter()
                .any(|element| matches!(element, Request::Create { acl: None, .. })),
            _ => false,
        },
    },
    Allowed {
        what: "a null path",
        why: "what Apache answers depends on where it trips over the null (0, -5, -8 or -121, some with a zxid); no client \
              sends one, and Zabra answers -5 as to any body that it cannot use (protocol 4.9)",
        shown_by: |step| match step {
            Step::Ask { request, .. } => {
                format!("{request:?}").contains("path: Null") || null_in_lists(request)
            }
            _ => false,
        },
    },
    Allowed {
        what: "getAllChildrenNumber of the empty path",
        why: "Apache's table has the root under two names and counts one of them here (protocol 8.9)",
        shown_by: |step| match step {
            Step::Ask {
                request:
                    Request::Of {
                        op: op::GET_ALL_CHILDREN_NUMBER,
                        path,
                    },
                ..
            } => *path == Path::Literal(String::new()),
            _ => false,
        },
    },
];

/// Whether a step would show a decided difference.
#[must_use]
pub fn shows_decided_difference(step: &Step) -> bool {
    TABLE.iter().any(|allowed| (allowed.shown_by)(step))
}

/// Whether a greeting needs the session's connection to be gone.
#[must_use]
pub const fn needs_no_connection(greeting: Greeting) -> bool {
    matches!(greeting, Greeting::WrongPassword)
}

fn null_in_lists(request: &Request) -> bool {
    matches!(request, Request::SetWatches { lists, .. } if lists.iter().flatten().any(|path| *path == Path::Null))
}

fn any(step: &Step, shows: impl Fn(&Request) -> bool + Copy) -> bool {
    match step {
        Step::Ask {
            request: Request::Multi { elements, .. },
            ..
        } => elements.iter().any(shows),
        Step::Ask { request, .. } => shows(request),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_allowed_difference_has_a_reason() {
        assert!(
            TABLE
                .iter()
                .all(|allowed| !allowed.what.is_empty() && !allowed.why.is_empty())
        );
    }
}
