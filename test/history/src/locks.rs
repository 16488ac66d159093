//! Locks: one holder at a time, and nothing of an older holder behind a newer one's.

use std::collections::{BTreeMap, HashMap};

use crate::{History, Micros, Path, Rule, SessionId, Token, Verdict, What, Zxid};

/// Somebody held a lock.
struct Held {
    session: SessionId,
    token: Token,
    from: Micros,
    to: Micros,
}

/// Judges every lock of a history.
pub fn judge(history: &History, verdict: &mut Verdict) {
    let mut holds: BTreeMap<Path, Vec<Held>> = BTreeMap::new();
    let mut open: HashMap<(SessionId, Path), usize> = HashMap::new();
    let mut guarded: BTreeMap<Path, Vec<(Zxid, Token)>> = BTreeMap::new();
    for entry in &history.entries {
        let session = entry.session;
        match &entry.what {
            What::Holds { lock, token } => {
                let held = holds.entry(lock.clone()).or_default();
                open.insert((session, lock.clone()), held.len());
                held.push(Held {
                    session,
                    token: *token,
                    from: entry.at,
                    to: Micros::MAX,
                });
            }
            What::Frees { lock } => {
                let at = open.remove(&(session, lock.clone()));
                let held = at.and_then(|at| holds.get_mut(lock)?.get_mut(at));
                if let Some(held) = held {
                    held.to = entry.at;
                }
            }
            // Without its server a client does not know, and must not believe that it holds.
            What::Disconnected | What::Expired | What::Closed(_) => {
                let ended: Vec<_> = open
                    .keys()
                    .filter(|(of, _)| *of == session)
                    .cloned()
                    .collect();
                for key in ended {
                    let at = open.remove(&key);
                    if let Some(held) = at.and_then(|at| holds.get_mut(&key.1)?.get_mut(at)) {
                        held.to = entry.at;
                    }
                }
            }
            What::Guarded { lock, token, zxid } => {
                guarded
                    .entry(lock.clone())
                    .or_default()
                    .push((*zxid, *token));
            }
            _ => {}
        }
    }
    for (lock, mut held) in holds {
        held.sort_by_key(|held| held.from);
        judge_holders(&lock, &held, verdict);
    }
    for (lock, mut done) in guarded {
        done.sort_unstable();
        for pair in done.windows(2) {
            verdict.count("changes under a lock", 1);
            if pair[1].1 < pair[0].1 {
                let text = format!("{lock}: under token {} after {}", pair[1].1, pair[0].1);
                verdict.broken(Rule::FenceBroken, text);
            }
        }
    }
}

fn judge_holders(lock: &Path, held: &[Held], verdict: &mut Verdict) {
    for pair in held.windows(2) {
        verdict.count("locks handed over", 1);
        let (one, next) = (&pair[0], &pair[1]);
        if next.from < one.to {
            let text = format!("{lock}: 0x{:x} and 0x{:x}", one.session, next.session);
            verdict.broken(Rule::HeldTwice, text);
        }
        if next.token <= one.token {
            let text = format!("{lock}: token {} after {}", next.token, one.token);
            verdict.broken(Rule::TokenOrder, text);
        }
    }
}
