//! Events: each once, for a change, and before anything that shows the change (I-32 to I-36).
//!
//! A watch is set by a read, in the state that the answer's zxid names. It belongs to the session: a client that connects
//! again takes it along.

use std::collections::{BTreeSet, HashMap};

use crate::znodes::{Effect, Timelines, creates, deletes};
use crate::{Answer, Ask, Change, History, Path, Rule, SessionId, Verdict, What, Zxid};

/// The watches of a session.
#[derive(Debug, Default)]
struct Watches {
    /// What is watched, and as of when.
    set: HashMap<(Path, Kind), Zxid>,
    /// What was asked for with a watch and is not answered.
    asked: HashMap<u64, (Path, Kind)>,
    /// The zxid of the last event.
    told: Zxid,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Data,
    Children,
}

/// When things happened, as far as that is known.
struct Changes<'a> {
    timelines: &'a Timelines,
    /// By parent.
    children: HashMap<&'a str, BTreeSet<Zxid>>,
    /// Parents whose children may change unseen.
    restless: BTreeSet<&'a str>,
}

/// Judges all events of a history.
pub fn judge(history: &History, timelines: &Timelines, verdict: &mut Verdict) {
    let changes = Changes::of(timelines);
    let mut sessions: HashMap<SessionId, Watches> = HashMap::new();
    for entry in &history.entries {
        let watches = sessions.entry(entry.session).or_default();
        match &entry.what {
            What::Asked { call, ask } => {
                let watched = match ask {
                    Ask::Read { path, watch: true } => Some((path.clone(), Kind::Data)),
                    Ask::Children { path, watch: true } => Some((path.clone(), Kind::Children)),
                    _ => None,
                };
                watches
                    .asked
                    .extend(watched.map(|watched| (*call, watched)));
            }
            What::Told { call, zxid, answer } => {
                watches.require_told(entry.session, *zxid, &changes, verdict);
                let asked = watches.asked.remove(call);
                let is_set = matches!(answer, Answer::Data(_) | Answer::Children(_));
                if let Some(watched) = asked.filter(|_| is_set) {
                    watches.set.insert(watched, *zxid);
                }
            }
            What::Event { path, change, zxid } => {
                let event = (path, *change, *zxid);
                watches.on_event(entry.session, event, &changes, verdict);
            }
            What::Disconnected => watches.asked.clear(),
            What::Closed(_) | What::Expired => *watches = Watches::default(),
            _ => {}
        }
    }
}

impl Watches {
    /// Whatever is shown as of a zxid, the events of all changes up to there have come before.
    fn require_told(
        &mut self,
        session: SessionId,
        zxid: Zxid,
        changes: &Changes<'_>,
        verdict: &mut Verdict,
    ) {
        for ((path, kind), since) in &mut self.set {
            verdict.count("watches behind answers", 1);
            if let Some(at) = changes.first(path, *kind, *since).filter(|at| *at <= zxid) {
                let text = format!(
                    "0x{session:x}: an answer as of 0x{zxid:x}, and no event for {path} ({kind:?}) at 0x{at:x}"
                );
                verdict.broken(Rule::EventLate, text);
                // Once is enough.
                *since = zxid;
            }
        }
    }

    fn on_event(
        &mut self,
        session: SessionId,
        (path, change, zxid): (&Path, Change, Option<Zxid>),
        changes: &Changes<'_>,
        verdict: &mut Verdict,
    ) {
        verdict.count("events", 1);
        let kinds: &[Kind] = match change {
            Change::Data => &[Kind::Data],
            Change::Children => &[Kind::Children],
            Change::Deleted => &[Kind::Data, Kind::Children],
        };
        let set = kinds
            .iter()
            .filter_map(|kind| self.set.remove(&(path.clone(), *kind)));
        let Some(since) = set.max() else {
            let text = format!("0x{session:x}: {change:?} of {path}");
            return verdict.broken(Rule::EventWithoutWatch, text);
        };
        if !changes.may_be(path, change, since) {
            let text = format!("0x{session:x}: {change:?} of {path}, watched since 0x{since:x}");
            verdict.broken(Rule::EventWithoutChange, text);
        }
        if let Some(zxid) = zxid {
            if zxid < self.told || zxid <= since {
                let text = format!(
                    "0x{session:x}: {change:?} of {path} at 0x{zxid:x}, after 0x{:x}, watched since 0x{since:x}",
                    self.told
                );
                verdict.broken(Rule::EventOrder, text);
            }
            self.told = self.told.max(zxid);
        }
    }
}

impl<'a> Changes<'a> {
    fn of(timelines: &'a Timelines) -> Self {
        let mut children: HashMap<&str, BTreeSet<Zxid>> = HashMap::new();
        let mut restless = BTreeSet::new();
        for (path, timeline) in timelines.iter() {
            let Some((parent, _)) = path.rsplit_once('/') else {
                continue;
            };
            let changes = children.entry(parent).or_default();
            for (zxid, effect) in &timeline.known {
                if !matches!(effect, Effect::Set(_)) {
                    changes.insert(*zxid);
                }
                if matches!(effect, Effect::Created(_, owner) if *owner != 0) {
                    restless.insert(parent);
                }
            }
            if timeline
                .unknown
                .iter()
                .any(|it| creates(&it.ask) || deletes(&it.ask))
            {
                restless.insert(parent);
            }
        }
        Self {
            timelines,
            children,
            restless,
        }
    }

    /// The first known change behind a zxid.
    fn first(&self, path: &str, kind: Kind, since: Zxid) -> Option<Zxid> {
        let behind = since + 1..;
        match kind {
            Kind::Children => self.children.get(path)?.range(behind).next().copied(),
            Kind::Data => {
                let known = &self.timelines.of(path)?.known;
                known.range(behind).next().map(|(zxid, _)| *zxid)
            }
        }
    }

    /// Whether a change behind a zxid is known or possible.
    fn may_be(&self, path: &str, change: Change, since: Zxid) -> bool {
        let timeline = self.timelines.of(path);
        let known = |is_it: fn(&Effect) -> bool| {
            let mut behind = timeline.iter().flat_map(|it| it.known.range(since + 1..));
            behind.any(|(_, effect)| is_it(effect))
        };
        let unknown = |is_it: fn(&Ask) -> bool| {
            let mut open = timeline.iter().flat_map(|it| &it.unknown);
            open.any(|it| is_it(&it.ask))
        };
        match change {
            Change::Data => {
                known(|effect| *effect != Effect::Deleted)
                    || unknown(|ask| matches!(ask, Ask::Set { .. }))
            }
            Change::Deleted => {
                let owner = timeline.and_then(|it| it.owner(Zxid::MAX));
                known(|effect| *effect == Effect::Deleted)
                    || unknown(deletes)
                    || owner.is_some_and(|owner| owner != 0)
            }
            Change::Children => {
                self.first(path, Kind::Children, since).is_some() || self.restless.contains(path)
            }
        }
    }
}
