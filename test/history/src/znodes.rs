//! Each read is the state of its znode as of the zxid of its answer (I-22, I-23, I-25).
//!
//! The writes that were acknowledged have their zxid. One that was not answered gets it from whoever is shown its value. Then
//! every znode has a timeline, and every answer shows one place of it.

use std::collections::{BTreeMap, HashMap};

use crate::calls::{Call, Clock};
use crate::{Answer, Ask, History, Path, Rule, SessionId, Shown, Value, Verdict, Zxid};

/// What is known of all znodes.
#[derive(Debug, Default)]
pub struct Timelines {
    paths: HashMap<Path, Timeline>,
    /// Ephemeral znodes that were there and then were not, without anybody having deleted them.
    pub vanished: Vec<(SessionId, Zxid, Path)>,
    /// Ephemeral znodes as they were shown.
    pub shown: Vec<(SessionId, Zxid, Path)>,
}

/// What is known of a znode.
#[derive(Debug, Default)]
pub struct Timeline {
    /// Its changes.
    pub known: BTreeMap<Zxid, Effect>,
    /// Writes that may have happened, each with a zxid that it certainly comes after.
    pub unknown: Vec<Unknown>,
    seen: Vec<Seen>,
}

/// A change of a znode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It was created: holding this, if that is known; of this session, or 0.
    Created(Option<Value>, SessionId),
    /// It got another value.
    Set(Value),
    /// It was deleted.
    Deleted,
}

/// A write that was not answered.
#[derive(Debug, Clone)]
pub struct Unknown {
    /// What was asked.
    pub ask: Ask,
    session: SessionId,
    floor: Zxid,
    /// When it happened, if something showed it.
    pub happened: Option<Zxid>,
}

/// An answer that shows a znode.
#[derive(Debug, Clone, Copy)]
struct Seen {
    session: SessionId,
    zxid: Zxid,
    what: Look,
}

#[derive(Debug, Clone, Copy)]
enum Look {
    Shown(Shown),
    Absent,
    Present,
}

impl Timelines {
    /// What is known of a znode, if anything is.
    #[must_use]
    pub fn of(&self, path: &str) -> Option<&Timeline> {
        self.paths.get(path)
    }

    /// All znodes.
    pub fn iter(&self) -> impl Iterator<Item = (&Path, &Timeline)> {
        self.paths.iter()
    }
}

impl Unknown {
    fn value(&self) -> Option<Value> {
        match self.ask {
            Ask::Create { value, .. } | Ask::Set { value, .. } => Some(value),
            _ => None,
        }
    }

    fn effect(&self) -> Effect {
        match self.ask {
            Ask::Create {
                value, ephemeral, ..
            } => Effect::Created(Some(value), if ephemeral { self.session } else { 0 }),
            Ask::Set { value, .. } => Effect::Set(value),
            _ => Effect::Deleted,
        }
    }

    /// Whether it may be a creation, or a deletion, at or before a zxid.
    fn may(&self, is_wanted: fn(&Ask) -> bool, zxid: Zxid) -> bool {
        self.happened.is_none() && self.floor < zxid && is_wanted(&self.ask)
    }
}

/// Whether it deletes.
pub(crate) fn deletes(ask: &Ask) -> bool {
    matches!(ask, Ask::Delete { .. })
}

/// Whether it creates.
pub(crate) fn creates(ask: &Ask) -> bool {
    matches!(ask, Ask::Create { .. })
}

/// Puts every znode's changes in order and holds every answer against it.
pub fn judge(history: &History, calls: &[Call], verdict: &mut Verdict) -> Timelines {
    let clock = Clock::of(calls);
    let mut timelines = Timelines::default();
    for call in calls {
        let Some(path) = call.ask.path() else {
            continue;
        };
        let timeline = timelines.paths.entry(path.clone()).or_default();
        take(timeline, call, &clock);
    }
    let Timelines {
        paths,
        vanished,
        shown,
    } = &mut timelines;
    for (path, timeline) in paths {
        for seen in timeline.seen.clone() {
            if let Look::Shown(it) = seen.what {
                resolve(timeline, path, it, history.since, verdict);
                if it.owner != 0 {
                    shown.push((it.owner, seen.zxid, path.clone()));
                }
            }
        }
        for seen in &timeline.seen {
            verdict.count("reads as of their zxid", 1);
            if let Some(owner) = hold(timeline, path, seen, verdict) {
                vanished.push((owner, seen.zxid, path.clone()));
            }
        }
        follow(timeline, path, history.since, verdict);
    }
    timelines
}

fn take(timeline: &mut Timeline, call: &Call, clock: &Clock) {
    let session = call.session;
    let owner = |ephemeral: bool| if ephemeral { session } else { 0 };
    let Some((zxid, answer)) = call.told else {
        if call.ask.is_write() {
            timeline.unknown.push(Unknown {
                ask: call.ask.clone(),
                session,
                floor: clock.floor(call.from),
                happened: None,
            });
        }
        return;
    };
    let what = match (&call.ask, answer) {
        (
            Ask::Create {
                value, ephemeral, ..
            },
            Answer::Done,
        ) => {
            let effect = Effect::Created(Some(*value), owner(*ephemeral));
            timeline.known.insert(zxid, effect);
            return;
        }
        (Ask::Set { value, .. }, Answer::Done) => {
            timeline.known.insert(zxid, Effect::Set(*value));
            return;
        }
        (Ask::Delete { .. }, Answer::Done) => {
            timeline.known.insert(zxid, Effect::Deleted);
            return;
        }
        (Ask::Read { .. }, Answer::Data(shown)) => Look::Shown(shown),
        (_, Answer::Absent) => Look::Absent,
        (_, Answer::Present) => Look::Present,
        _ => return,
    };
    timeline.seen.push(Seen {
        session,
        zxid,
        what,
    });
}

/// Finds the write that a shown value comes from.
fn resolve(timeline: &mut Timeline, path: &Path, shown: Shown, since: Zxid, verdict: &mut Verdict) {
    let Shown {
        value,
        czxid,
        mzxid,
        owner,
    } = shown;
    if czxid > since && !timeline.known.contains_key(&czxid) && czxid != mzxid {
        // Created by a write that was not answered, and set since.
        if timeline.unknown.iter().any(|it| it.may(creates, czxid)) {
            timeline.known.insert(czxid, Effect::Created(None, owner));
        } else {
            let text = format!("{path}: created at 0x{czxid:x} by nobody");
            verdict.broken(Rule::Phantom, text);
        }
    }
    if mzxid <= since {
        return;
    }
    if let Some(effect) = timeline.known.get(&mzxid) {
        let written = match effect {
            Effect::Created(written, _) => *written,
            Effect::Set(written) => Some(*written),
            Effect::Deleted => None,
        };
        if written.is_some_and(|written| written != value) || *effect == Effect::Deleted {
            let text = format!("{path}: shows {value} of 0x{mzxid:x}, which is {effect:?}");
            verdict.broken(Rule::Phantom, text);
        }
        return;
    }
    let mut unknown = timeline.unknown.iter_mut();
    let Some(unknown) = unknown.find(|it| it.value() == Some(value)) else {
        let text = format!("{path}: shows {value} of 0x{mzxid:x}, which nobody wrote");
        return verdict.broken(Rule::Phantom, text);
    };
    verdict.count("unknown writes that happened", 1);
    let other = unknown.happened.replace(mzxid);
    if other.is_some() || mzxid <= unknown.floor {
        let text = format!(
            "{path}: {value} was written at 0x{mzxid:x}; {other:?} before; not before 0x{:x}",
            unknown.floor
        );
        verdict.broken(Rule::UnknownWrite, text);
    }
    let effect = unknown.effect();
    timeline.known.insert(mzxid, effect);
}

/// Holds one answer against the timeline. The session whose ephemeral znode it does not show any more.
fn hold(timeline: &Timeline, path: &Path, seen: &Seen, verdict: &mut Verdict) -> Option<SessionId> {
    let (session, zxid) = (seen.session, seen.zxid);
    let who = format!("0x{session:x}, {path} as of 0x{zxid:x}");
    let last = timeline.known.range(..=zxid).next_back();
    match (seen.what, last) {
        (Look::Shown(shown), last) => {
            let newer = last.filter(|(at, _)| **at > shown.mzxid);
            if shown.mzxid > zxid || newer.is_some() {
                let text = format!("{who}: shows 0x{:x}, newer is {newer:?}", shown.mzxid);
                verdict.broken(Rule::OldValue, text);
            }
            let created = timeline.known.get(&shown.czxid);
            if let Some(Effect::Created(_, owner)) = created
                && *owner != shown.owner
            {
                let text = format!("{who}: of 0x{:x}, made by 0x{owner:x}", shown.owner);
                verdict.broken(Rule::WrongOwner, text);
            }
        }
        (Look::Absent, Some((at, effect))) if *effect != Effect::Deleted => {
            if timeline.unknown.iter().any(|it| it.may(deletes, zxid)) {
                return None;
            }
            match timeline.owner(*at) {
                Some(owner) if owner != 0 => return Some(owner),
                _ => {
                    let text = format!("{who}: is not there, and {effect:?} at 0x{at:x} made it");
                    verdict.broken(Rule::Lost, text);
                }
            }
        }
        (Look::Present, Some((at, Effect::Deleted))) => {
            if !timeline.unknown.iter().any(|it| it.may(creates, zxid)) {
                let text = format!("{who}: is there, and was deleted at 0x{at:x}");
                verdict.broken(Rule::Phantom, text);
            }
        }
        // Nothing is known of what was before the history.
        (Look::Absent | Look::Present, _) => {}
    }
    None
}

/// Each change must be possible behind the one before it.
fn follow(timeline: &Timeline, path: &Path, since: Zxid, verdict: &mut Verdict) {
    let mut before: Option<(Zxid, Effect)> = None;
    for (&zxid, &effect) in &timeline.known {
        verdict.count("changes in order", 1);
        let is_there = before.map(|(_, effect)| effect != Effect::Deleted);
        let needs_it = !matches!(effect, Effect::Created(..));
        match is_there {
            Some(true) if !needs_it => {
                let owner = before.and_then(|(at, _)| timeline.owner(at));
                let may_be_gone = timeline.unknown.iter().any(|it| it.may(deletes, zxid))
                    || owner.is_none_or(|owner| owner != 0);
                if !may_be_gone {
                    let text = format!("{path}: created at 0x{zxid:x} over {before:?}");
                    verdict.broken(Rule::Lost, text);
                }
            }
            Some(false) if needs_it && !timeline.unknown.iter().any(|it| it.may(creates, zxid)) => {
                let text = format!("{path}: {effect:?} at 0x{zxid:x} behind {before:?}");
                verdict.broken(Rule::Phantom, text);
            }
            _ => {}
        }
        before = Some((zxid, effect));
    }
    // A znode that was shown absent stays so until it is created again.
    for seen in timeline
        .seen
        .iter()
        .filter(|seen| matches!(seen.what, Look::Absent))
    {
        let back = timeline.seen.iter().find(|later| match later.what {
            Look::Shown(shown) => {
                later.zxid >= seen.zxid && shown.czxid <= seen.zxid && shown.czxid > since
            }
            _ => false,
        });
        if let Some(back) = back {
            let text = format!(
                "{path}: absent as of 0x{:x} and the same one there as of 0x{:x}",
                seen.zxid, back.zxid
            );
            verdict.broken(Rule::OldValue, text);
        }
    }
}

impl Timeline {
    /// Whose the znode is that was there at a change; `None` if its creation is not known.
    #[must_use]
    pub fn owner(&self, at: Zxid) -> Option<SessionId> {
        let mut before = self.known.range(..=at).rev().map(|(_, effect)| effect);
        before.find_map(|effect| match effect {
            Effect::Created(_, owner) => Some(*owner),
            _ => None,
        })
    }
}
