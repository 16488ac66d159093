//! Whether some order of the calls explains what they were told, without believing any zxid (Wing and Gong, with the memory of
//! Lowe; a znode at a time, as linearizability is of each object by itself).
//!
//! What must be in one order: writes, and reads behind a `sync`, each between its question and its answer. A write without
//! an answer may happen at any time after its question, or never. Znodes that end with a session are left out: nobody asks for
//! that end.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::calls::Call;
use crate::{Answer, Ask, Micros, Path, Rule, Value, Verdict};

/// What a znode may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum State {
    /// It is not known: before the history.
    Any,
    Absent,
    Holds(Value),
}

/// A call as a step of one znode.
#[derive(Debug, Clone, Copy)]
struct Step {
    from: Micros,
    to: Micros,
    act: Act,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Create(Value),
    Set(Value),
    Delete,
    Shows(Value),
    ShowsNone,
    ShowsSome,
}

/// A place in the search: all steps before `base` and those of `done` behind it have happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct At {
    base: usize,
    done: u128,
    maybe: u64,
    state: State,
}

/// More places than this are not looked at: then nothing is said of that znode.
const PLACES_MAX: usize = 400_000;
/// So many steps may be open at the same time.
const OPEN_MAX: usize = u128::BITS as usize;
/// So many writes without an answer are considered.
const MAYBE_MAX: usize = u64::BITS as usize;

/// Searches for an order, znode by znode.
pub fn judge(calls: &[Call], verdict: &mut Verdict) {
    let mut paths: BTreeMap<&Path, Vec<&Call>> = BTreeMap::new();
    let mut ephemeral = BTreeSet::new();
    for call in calls {
        let Some(path) = call.ask.path() else {
            continue;
        };
        if matches!(
            call.ask,
            Ask::Create {
                ephemeral: true,
                ..
            }
        ) {
            ephemeral.insert(path);
        }
        paths.entry(path).or_default().push(call);
    }
    paths.retain(|path, _| !ephemeral.contains(path));
    for (path, calls) in paths {
        let (steps, maybe) = steps(&calls);
        if steps.is_empty() {
            continue;
        }
        match explain(&steps, &maybe) {
            Some(true) => verdict.count("steps in some order", steps.len() as u64),
            None => verdict.count("steps too many to order", steps.len() as u64),
            Some(false) => {
                let text = format!("{path}: no order of {} calls explains them", steps.len());
                verdict.broken(Rule::NotLinearizable, text);
            }
        }
    }
}

/// The steps that happened, by when they were asked, and those that may have.
fn steps(calls: &[&Call]) -> (Vec<Step>, Vec<Step>) {
    let (mut steps, mut maybe) = (Vec::new(), Vec::new());
    for call in calls {
        let act = match (&call.ask, call.told.map(|(_, answer)| answer)) {
            (Ask::Create { value, .. }, None | Some(Answer::Done)) => Act::Create(*value),
            (Ask::Set { value, .. }, None | Some(Answer::Done)) => Act::Set(*value),
            (Ask::Delete { .. }, None | Some(Answer::Done)) => Act::Delete,
            (Ask::Create { .. }, Some(Answer::Present)) => Act::ShowsSome,
            (Ask::Set { .. } | Ask::Delete { .. }, Some(Answer::Absent)) => Act::ShowsNone,
            (Ask::Read { .. }, Some(Answer::Data(shown))) if call.synced_at.is_some() => {
                Act::Shows(shown.value)
            }
            (Ask::Read { .. }, Some(Answer::Absent)) if call.synced_at.is_some() => Act::ShowsNone,
            _ => continue,
        };
        let step = Step {
            // A read behind a `sync` shows a state of any moment since that was asked for.
            from: call
                .synced_at
                .filter(|_| !call.ask.is_write())
                .unwrap_or(call.from),
            to: call.to,
            act,
        };
        if call.told.is_some() {
            steps.push(step);
        } else {
            maybe.push(step);
        }
    }
    // What nobody was shown may as well not have happened.
    let shown: BTreeSet<Value> = steps.iter().filter_map(|step| step.act.shows()).collect();
    maybe.retain(|step| match step.act {
        Act::Set(value) => shown.contains(&value),
        _ => true,
    });
    steps.sort_by_key(|step| step.from);
    maybe.sort_by_key(|step| step.from);
    (steps, maybe)
}

/// Whether some order explains all steps; `None` if that takes too long to find out.
fn explain(steps: &[Step], maybe: &[Step]) -> Option<bool> {
    if maybe.len() > MAYBE_MAX {
        return None;
    }
    let begin = At {
        base: 0,
        done: 0,
        maybe: 0,
        state: State::Any,
    };
    let mut seen = HashSet::from([begin]);
    let mut open = vec![begin];
    while let Some(at) = open.pop() {
        if at.base == steps.len() {
            return Some(true);
        }
        if seen.len() > PLACES_MAX {
            return None;
        }
        for next in at.nexts(steps, maybe)? {
            if seen.insert(next) {
                open.push(next);
            }
        }
    }
    Some(false)
}

impl At {
    /// Where one more step leads; the most promising last.
    fn nexts(&self, steps: &[Step], maybe: &[Step]) -> Option<Vec<Self>> {
        let mut ends = Micros::MAX;
        let mut candidates = Vec::new();
        for (at, step) in steps.iter().enumerate().skip(self.base) {
            let bit = at - self.base;
            if bit >= OPEN_MAX {
                return None;
            }
            if self.done >> bit & 1 == 1 {
                continue;
            }
            // Everything from here on was asked for after one that has not happened was answered.
            if step.from > ends {
                break;
            }
            ends = ends.min(step.to);
            candidates.push((bit, step));
        }
        candidates.retain(|(_, step)| step.from <= ends);
        candidates.sort_by_key(|(_, step)| std::cmp::Reverse(step.to));
        let mut nexts = Vec::new();
        for (at, step) in maybe.iter().enumerate() {
            if self.maybe >> at & 1 == 0
                && step.from <= ends
                && let Some(state) = step.act.on(self.state)
            {
                let maybe = self.maybe | 1 << at;
                nexts.push(Self {
                    maybe,
                    state,
                    ..*self
                });
            }
        }
        for (bit, step) in candidates {
            if let Some(state) = step.act.on(self.state) {
                let mut next = Self {
                    done: self.done | 1 << bit,
                    state,
                    ..*self
                };
                let gone = next.done.trailing_ones();
                next.done = next.done.checked_shr(gone).unwrap_or(0);
                next.base += gone as usize;
                nexts.push(next);
            }
        }
        Some(nexts)
    }
}

impl Act {
    /// What it makes of a state; `None` if it cannot be told so there.
    fn on(self, state: State) -> Option<State> {
        match (self, state) {
            (Self::Create(value), State::Any | State::Absent)
            | (Self::Set(value), State::Any | State::Holds(_)) => Some(State::Holds(value)),
            (Self::Delete, State::Any | State::Holds(_)) => Some(State::Absent),
            (Self::Shows(value), State::Any) => Some(State::Holds(value)),
            (Self::Shows(value), State::Holds(held)) => (value == held).then_some(state),
            (Self::ShowsNone, State::Any | State::Absent) => Some(State::Absent),
            (Self::ShowsSome, State::Any | State::Holds(_)) => Some(state),
            _ => None,
        }
    }

    const fn shows(self) -> Option<Value> {
        match self {
            Self::Shows(value) => Some(value),
            _ => None,
        }
    }
}
