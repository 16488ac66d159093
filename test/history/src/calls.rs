//! Questions with their answers.

use std::collections::HashMap;

use crate::{Answer, Ask, History, Micros, SessionId, What, Zxid};

/// A question, and what became of it.
#[derive(Debug, Clone)]
pub struct Call {
    /// Who asked.
    pub session: SessionId,
    /// What for.
    pub ask: Ask,
    /// When it was sent.
    pub from: Micros,
    /// When it was answered; for ever later if it was not.
    pub to: Micros,
    /// The answer with the zxid of its header; `None` if none came.
    pub told: Option<(Zxid, Answer)>,
    /// When the last `sync` before it in its session was sent, if that was answered.
    pub synced_at: Option<Micros>,
}

impl Call {
    /// The zxid of a write that was acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> Option<Zxid> {
        match self.told {
            Some((zxid, Answer::Done)) if self.ask.is_write() => Some(zxid),
            _ => None,
        }
    }

    /// Whether it is a write that may have happened or not.
    #[must_use]
    pub fn is_unknown_write(&self) -> bool {
        self.told.is_none() && self.ask.is_write()
    }
}

/// Finds the answers to all questions. Calls are in the order in which they were asked.
#[must_use]
pub fn pair(history: &History) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    let mut open: HashMap<(SessionId, u64), usize> = HashMap::new();
    let mut synced: HashMap<SessionId, Micros> = HashMap::new();
    for entry in &history.entries {
        match &entry.what {
            What::Asked { call, ask } => {
                open.insert((entry.session, *call), calls.len());
                calls.push(Call {
                    session: entry.session,
                    ask: ask.clone(),
                    from: entry.at,
                    to: Micros::MAX,
                    told: None,
                    synced_at: None,
                });
            }
            What::Told { call, zxid, answer } => {
                let Some(at) = open.remove(&(entry.session, *call)) else {
                    continue;
                };
                let Some(call) = calls.get_mut(at) else {
                    continue;
                };
                call.to = entry.at;
                call.told = Some((*zxid, *answer));
                call.synced_at = synced.get(&entry.session).copied();
                if call.ask == Ask::Sync && *answer == Answer::Done {
                    synced.insert(entry.session, call.from);
                }
            }
            _ => {}
        }
    }
    calls
}

/// What is known by time: the greatest zxid that anybody had been told of a write before a moment.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    /// Sorted; the second is the greatest so far.
    told: Vec<(Micros, Zxid)>,
    /// Sorted by when they were asked; the second is the smallest from here on.
    asked: Vec<(Micros, Zxid)>,
}

impl Clock {
    /// Of these calls.
    #[must_use]
    pub fn of(calls: &[Call]) -> Self {
        let writes = || {
            calls
                .iter()
                .filter_map(|call| Some((call, call.acknowledged()?)))
        };
        let mut told: Vec<_> = writes().map(|(call, zxid)| (call.to, zxid)).collect();
        told.sort_unstable();
        let mut greatest = Zxid::MIN;
        for (_, zxid) in &mut told {
            greatest = greatest.max(*zxid);
            *zxid = greatest;
        }
        let mut asked: Vec<_> = writes().map(|(call, zxid)| (call.from, zxid)).collect();
        asked.sort_unstable();
        let mut smallest = Zxid::MAX;
        for (_, zxid) in asked.iter_mut().rev() {
            smallest = smallest.min(*zxid);
            *zxid = smallest;
        }
        Self { told, asked }
    }

    /// Everything up to here was told to somebody before this moment.
    #[must_use]
    pub fn floor(&self, at: Micros) -> Zxid {
        let before = self.told.partition_point(|(to, _)| *to < at);
        let last = before.checked_sub(1).and_then(|last| self.told.get(last));
        last.map_or(Zxid::MIN, |(_, zxid)| *zxid)
    }

    /// What was asked for after this moment has no smaller zxid than this.
    #[must_use]
    pub fn ceiling(&self, at: Micros) -> Zxid {
        let first = self.asked.partition_point(|(from, _)| *from <= at);
        self.asked.get(first).map_or(Zxid::MAX, |(_, zxid)| *zxid)
    }
}
