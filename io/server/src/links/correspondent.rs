//! One other server on the election port, as far as it can be decided without sockets.

use zabra_election::LinkFact;
use zabra_proto::{MonoMillis, Sid};

use super::sid_rule::{self, AfterConnecting, AfterIntroduction};

/// The slot for what it is told, whether a link stands, and what is under way to get one (quorum 4.2, 4.3).
#[derive(Debug)]
pub(crate) struct Correspondent {
    me: Sid,
    it: Sid,
    /// What waits for a link. A newer frame replaces it.
    unsent: Option<Vec<u8>>,
    /// What was last given to a socket. It may have been lost with it, so a new link begins with it.
    last: Option<Vec<u8>>,
    is_up: bool,
    /// Whether the election was told that a link stands.
    is_told_up: bool,
    dial: Dialling,
    /// Until then the other side is given time to connect back.
    connects_back_until: Option<MonoMillis>,
}

/// At most one attempt to connect is under way to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialling {
    Idle,
    Underway,
    /// It asked to be connected back meanwhile, perhaps at another address.
    Again,
}

/// What to do with a socket that connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Connected {
    /// Introduce this server; it is the link.
    Keep,
    /// Introduce this server, then close it.
    IntroduceAndClose,
    /// Close it: there is a link already.
    Close,
}

/// What to do with a socket whose other side introduced itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Introduced {
    /// It is the link; an older one is closed.
    Keep,
    /// Close it and any older link, and connect back, unless an attempt is under way.
    ConnectBack {
        /// Whether to begin an attempt.
        dials: bool,
    },
    /// Close it.
    Close,
}

/// What follows from an attempt that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failed {
    /// What the election should know.
    pub(crate) fact: Option<LinkFact>,
    /// Whether to try again at once, where it asked to be connected back.
    pub(crate) dials: bool,
}

/// So long the larger side is given to connect back: another ring at its door would make it drop the link that it is
/// about to have.
const CONNECT_BACK_MS: u64 = 1_000;

impl Correspondent {
    pub(crate) fn new(me: Sid, it: Sid) -> Self {
        Self {
            me,
            it,
            unsent: None,
            last: None,
            is_up: false,
            is_told_up: false,
            dial: Dialling::Idle,
            connects_back_until: None,
        }
    }

    /// Takes something to be told, in place of what was not sent yet. Whether to begin an attempt to connect.
    pub(crate) fn post(&mut self, frame: Vec<u8>, now: MonoMillis) -> bool {
        self.unsent = Some(frame);
        let waits = self.connects_back_until.is_some_and(|until| until > now);
        let dials = !self.is_up && !waits && self.dial == Dialling::Idle;
        if dials {
            self.dial = Dialling::Underway;
        }
        dials
    }

    /// What is to be written next on the link.
    pub(crate) fn take_unsent(&mut self) -> Option<&[u8]> {
        self.last = Some(self.unsent.take()?);
        self.last.as_deref()
    }

    /// An attempt gave a socket.
    pub(crate) fn on_connected(&mut self, now: MonoMillis) -> Connected {
        self.dial = Dialling::Idle;
        if self.is_up {
            return Connected::Close;
        }
        match sid_rule::after_connecting(self.me, self.it) {
            AfterConnecting::Keep => Connected::Keep,
            AfterConnecting::HangUp => {
                self.connects_back_until = Some(now.after(CONNECT_BACK_MS));
                Connected::IntroduceAndClose
            }
        }
    }

    /// An attempt gave no socket.
    pub(crate) fn on_connect_failed(&mut self, is_refused: bool) -> Failed {
        let dials = self.dial == Dialling::Again && !self.is_up;
        self.dial = if dials {
            Dialling::Underway
        } else {
            Dialling::Idle
        };
        let fact = if dials || self.is_up {
            None
        } else if is_refused {
            Some(LinkFact::Refused)
        } else {
            self.is_told_up.then_some(LinkFact::Reset)
        };
        self.is_told_up &= fact.is_none();
        Failed { fact, dials }
    }

    /// It connected and introduced itself.
    pub(crate) fn on_introduced(&mut self) -> Introduced {
        match sid_rule::after_introduction(self.me, self.it) {
            AfterIntroduction::Keep => Introduced::Keep,
            AfterIntroduction::Close => Introduced::Close,
            AfterIntroduction::ConnectBack => {
                self.is_up = false;
                let dials = self.dial == Dialling::Idle;
                self.dial = if dials {
                    Dialling::Underway
                } else {
                    Dialling::Again
                };
                Introduced::ConnectBack { dials }
            }
        }
    }

    /// A link stands, newly. It begins with what may have been lost with the last one.
    pub(crate) fn on_up(&mut self) -> LinkFact {
        self.is_up = true;
        self.is_told_up = true;
        if self.unsent.is_none() {
            self.unsent.clone_from(&self.last);
        }
        LinkFact::Up
    }

    /// The link broke. It is no news while the other side is about to replace it by another.
    pub(crate) fn on_lost(&mut self, now: MonoMillis) -> Option<LinkFact> {
        self.is_up = false;
        let waits = self.connects_back_until.is_some_and(|until| until > now);
        (!waits && self.dial == Dialling::Idle).then(|| {
            self.is_told_up = false;
            LinkFact::Reset
        })
    }

    /// When [`Self::on_time`] has something to do.
    pub(crate) fn deadline(&self) -> Option<MonoMillis> {
        self.connects_back_until
    }

    /// Nobody connected back in time: a link that was there before is gone for good.
    pub(crate) fn on_time(&mut self, now: MonoMillis) -> Option<LinkFact> {
        self.connects_back_until.take_if(|until| *until <= now)?;
        let is_lost = self.is_told_up && !self.is_up && self.dial == Dialling::Idle;
        is_lost.then(|| {
            self.is_told_up = false;
            LinkFact::Reset
        })
    }

    /// Whether nothing would be lost with it but what it was told last.
    pub(crate) fn is_idle(&self) -> bool {
        !self.is_up && self.dial == Dialling::Idle && self.connects_back_until.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: MonoMillis = MonoMillis(1_000);

    fn later() -> MonoMillis {
        T.after(CONNECT_BACK_MS)
    }

    /// Server 2 as 1 sees it, and as 3 does.
    fn larger() -> Correspondent {
        Correspondent::new(Sid(1), Sid(2))
    }

    fn smaller() -> Correspondent {
        Correspondent::new(Sid(3), Sid(2))
    }

    fn up(mut it: Correspondent) -> Correspondent {
        assert_eq!(it.on_up(), LinkFact::Up);
        it
    }

    #[test]
    fn a_newer_frame_replaces_an_unsent_one_and_one_attempt_is_enough() {
        let mut it = smaller();
        assert!(it.post(b"old".to_vec(), T));
        assert!(!it.post(b"new".to_vec(), T));
        assert_eq!(it.on_connected(T), Connected::Keep);
        it.on_up();
        assert_eq!(it.take_unsent(), Some(&b"new"[..]));
        assert_eq!(it.take_unsent(), None);
        assert!(!it.post(b"next".to_vec(), T), "there is a link");
    }

    #[test]
    fn a_new_link_begins_with_what_was_told_last() {
        let mut it = up(smaller());
        it.post(b"told".to_vec(), T);
        it.take_unsent();
        assert_eq!(it.on_lost(T), Some(LinkFact::Reset));
        it.on_up();
        assert_eq!(it.take_unsent(), Some(&b"told"[..]));
        it.on_lost(T);
        it.post(b"newer".to_vec(), T);
        it.on_up();
        assert_eq!(it.take_unsent(), Some(&b"newer"[..]));
        assert_eq!(it.take_unsent(), None);
    }

    #[test]
    fn the_larger_side_is_left_time_to_connect_back() {
        let mut it = larger();
        assert!(it.post(b"vote".to_vec(), T));
        assert_eq!(it.on_connected(T), Connected::IntroduceAndClose);
        assert!(!it.post(b"vote".to_vec(), T));
        assert_eq!(it.on_time(later()), None, "no link was there before");
        assert!(it.post(b"vote".to_vec(), later()));
    }

    #[test]
    fn a_link_that_the_larger_side_replaces_has_not_broken() {
        let mut it = larger();
        it.post(b"vote".to_vec(), T);
        assert_eq!(it.on_connected(T), Connected::IntroduceAndClose);
        // What it had opened by itself came first; then it drops that for the one that it was rung for.
        it.on_up();
        assert_eq!(it.on_lost(T), None);
        assert_eq!(it.on_introduced(), Introduced::Keep);
        it.on_up();
        assert_eq!(it.on_time(later()), None);
        // The same, but it never comes back.
        it.on_connected(T);
        let mut it = larger();
        it.on_connected(T);
        it.on_up();
        assert_eq!(it.on_lost(T), None);
        assert_eq!(it.on_time(later()), Some(LinkFact::Reset));
        assert_eq!(it.on_time(later()), None);
    }

    #[test]
    fn a_socket_that_comes_too_late_does_not_ring_at_the_door_again() {
        let mut it = larger();
        it.post(b"vote".to_vec(), T);
        it.on_up();
        assert_eq!(it.on_connected(T), Connected::Close);
        assert_eq!(it.on_lost(T), Some(LinkFact::Reset));
    }

    #[test]
    fn the_smaller_side_is_connected_back_and_its_old_link_has_not_broken() {
        let mut it = up(smaller());
        assert_eq!(it.on_introduced(), Introduced::ConnectBack { dials: true });
        assert_eq!(
            it.on_introduced(),
            Introduced::ConnectBack { dials: false },
            "one attempt at a time"
        );
        // The second introduction may have come from another address.
        let failed = it.on_connect_failed(true);
        assert_eq!((failed.fact, failed.dials), (None, true));
        let failed = it.on_connect_failed(false);
        assert_eq!(
            (failed.fact, failed.dials),
            (Some(LinkFact::Reset), false),
            "the link that was there is not replaced"
        );
        let failed = it.on_connect_failed(false);
        assert_eq!(failed.fact, None, "it is told once");
    }

    #[test]
    fn refusal_is_told_and_silence_is_not() {
        let mut it = smaller();
        it.post(b"vote".to_vec(), T);
        assert_eq!(it.on_connect_failed(true).fact, Some(LinkFact::Refused));
        it.post(b"vote".to_vec(), T);
        assert_eq!(it.on_connect_failed(false).fact, None);
    }

    #[test]
    fn it_can_be_forgotten_when_nothing_is_under_way() {
        let mut it = larger();
        assert!(it.is_idle());
        it.post(b"vote".to_vec(), T);
        assert!(!it.is_idle());
        it.on_connected(T);
        assert!(!it.is_idle());
        it.on_time(later());
        assert!(it.is_idle());
        it.on_up();
        assert!(!it.is_idle());
    }
}
