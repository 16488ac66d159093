//! Which of two servers' connections survives (quorum 4.2): only one that was opened by the larger id.

use zabra_proto::Sid;

/// The id that says "an observer without an id" (quorum 4.1). Nobody can be called back by it.
const ANONYMOUS: Sid = Sid(i64::MAX);

/// What becomes of a connection that this server opened, once it has introduced itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AfterConnecting {
    /// It is the link.
    Keep,
    /// It was only a ring at the door: the other side connects back.
    HangUp,
}

/// What becomes of a connection that another server opened, once it has introduced itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AfterIntroduction {
    /// It is the link, and replaces any older one.
    Keep,
    /// It is closed, and so is any older link; this server connects back.
    ConnectBack,
    /// It is closed: nobody who could be talked to.
    Close,
}

pub(crate) fn after_connecting(me: Sid, to: Sid) -> AfterConnecting {
    if me > to {
        AfterConnecting::Keep
    } else {
        AfterConnecting::HangUp
    }
}

pub(crate) fn after_introduction(me: Sid, from: Sid) -> AfterIntroduction {
    match from.cmp(&me) {
        _ if from == ANONYMOUS || from.0 < 0 => AfterIntroduction::Close,
        std::cmp::Ordering::Greater => AfterIntroduction::Keep,
        std::cmp::Ordering::Less => AfterIntroduction::ConnectBack,
        std::cmp::Ordering::Equal => AfterIntroduction::Close,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_servers_exactly_one_opens_the_link() {
        for one in 0..4 {
            for other in (0..4).filter(|other| *other != one) {
                let (one, other) = (Sid(one), Sid(other));
                let opens = after_connecting(one, other) == AfterConnecting::Keep;
                let is_taken = after_introduction(other, one) == AfterIntroduction::Keep;
                assert_eq!(opens, is_taken, "{one} and {other} must agree");
                assert_ne!(
                    opens,
                    after_connecting(other, one) == AfterConnecting::Keep,
                    "{one} and {other} must not both open it"
                );
            }
        }
    }

    #[test]
    fn the_own_id_and_ids_of_nobody_get_no_link() {
        for from in [Sid(2), ANONYMOUS, Sid(-1), Sid(i64::MIN)] {
            assert_eq!(after_introduction(Sid(2), from), AfterIntroduction::Close);
        }
    }
}
