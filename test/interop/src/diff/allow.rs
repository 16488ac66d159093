//! Differences from Apache ZooKeeper 3.9 that are decided, each with its reason. Everything else is a failure.
//!
//! Most of them cannot be compared, because the servers would hold different trees afterwards: those are not sent.

use super::script::{Damage, Greeting, Request, Step};
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
    Allowed {
        what: "an echo of characters outside the basic plane",
        why: "Apache sends them as CESU-8, Zabra as UTF-8 (protocol 19.14)",
        shown_by: |step| match step {
            Step::Ask {
                request: Request::Of { op: op::SYNC, path },
                ..
            } => format!("{path:?}").contains('\u{1f600}'),
            _ => false,
        },
    },
    Allowed {
        what: "a multi whose body cannot be decoded takes a zxid",
        why: "Apache logs an error txn for it; Zabra logs nothing (protocol 4.9, 19.7)",
        shown_by: |step| match step {
            Step::Ask {
                request:
                    Request::Multi {
                        op: op::MULTI,
                        elements,
                    },
                damage,
                ..
            } => matches!(damage, Damage::Cut(_)) || elements.iter().any(undecodable_in_multi),
            _ => false,
        },
    },
];

/// Elements that make Apache refuse the body of a multi as a whole.
fn undecodable_in_multi(element: &Request) -> bool {
    match element {
        Request::Read { .. } => true,
        Request::Create {
            op: op::CREATE | op::CREATE2,
            flags,
            ..
        } => !(0..4).contains(flags),
        _ => false,
    }
}

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
