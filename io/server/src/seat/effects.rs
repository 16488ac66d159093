//! What the peer wants done.

use std::sync::PoisonError;

use zabra_peer::{Effect, Input, Now};
use zabra_serve::{Clients, CloseReason, Replica};

use super::member::{Around, Left};
use super::{Record, Seat};
use crate::stats::{Counter, Metrics};
use crate::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// So many effects are carried out under one write guard: then the snapshot thread may read a chunk.
const EFFECTS_PER_GUARD: usize = 256;

impl Seat {
    /// Carries out what the peer wants, and what follows from it, until nothing is left.
    pub(crate) fn carry_out(&mut self, now: Now) {
        loop {
            self.answer_words(now);
            if !self.effects.is_empty() {
                self.carry_out_effects(now);
                self.audit.write(&mut self.clients);
            } else if self.clients.has_resumable() {
                self.resume(now);
            } else {
                return;
            }
        }
    }

    /// The same, then sends what came of it to clients and servers.
    pub(crate) fn carry_out_and_send(&mut self, now: Now) {
        loop {
            self.carry_out(now);
            if !self.send_links(now) {
                break;
            }
        }
        self.doorway.send_all(&mut self.clients, now.mono);
    }

    fn carry_out_effects(&mut self, now: Now) {
        let mut todo = std::mem::take(&mut self.effects);
        let Self {
            clients,
            peer,
            effects,
            replica,
            metrics,
            member,
            fatal,
            ..
        } = self;
        let mut stopped = false;
        let mut guard: Option<RwLockWriteGuard<'_, Replica>> = None;
        for (at, effect) in todo.drain(..).enumerate() {
            if at % EFFECTS_PER_GUARD == 0 {
                guard = None;
            }
            if let Some(stats) = &mut self.desk.member {
                stats.on_effect(&effect, now.mono, metrics);
            }
            match effect {
                Effect::Append { zxid, payload } => {
                    self.pending.batch.push(Record { zxid, payload });
                    self.snapshots.on_txn();
                }
                Effect::Commit(commit) => {
                    let replica = guard.get_or_insert_with(|| write(replica));
                    clients.apply(replica, &commit, now.mono);
                    metrics.count(Counter::Commits, 1);
                    peer.step(now, Input::Applied(commit.zxid), &replica.tree, effects);
                }
                other => {
                    let Some(other) = tell_clients(other, clients, &mut guard, replica, now) else {
                        continue;
                    };
                    let Some(member) = member else {
                        tracing::error!(?other, "a standalone server knows no such effect");
                        continue;
                    };
                    let around = Around {
                        clients,
                        peer,
                        effects,
                        guard: &mut guard,
                        replica,
                        poller: self.doorway.sockets.poller(),
                        now,
                    };
                    match member.carry_out(other, around) {
                        Left::Nothing => {}
                        Left::Stop => stopped = true,
                        Left::End(why) => *fatal = Some(why),
                    }
                    if fatal.is_some() {
                        break;
                    }
                }
            }
        }
        drop(guard);
        // The buffer is used again, unless new effects have come.
        if effects.is_empty() {
            *effects = todo;
        }
        if stopped {
            self.finish();
        }
    }

    /// Goes on with connections that were held back.
    fn resume(&mut self, now: Now) {
        let resumed = {
            let Self {
                clients,
                peer,
                effects,
                replica,
                ..
            } = self;
            let replica = read(replica);
            let mut upstream = |input: Input<'_>| peer.step(now, input, &replica.tree, effects);
            clients.resume(&replica, now.mono, &mut upstream)
        };
        for conn in resumed {
            if !self.pending.stopping && self.clients.is_readable(conn) {
                self.doorway
                    .watch(conn, &mut self.clients, |interest| interest.read = true);
            }
        }
    }
}

/// Tells clients what concerns them alone; gives back what does not.
fn tell_clients<'r>(
    effect: Effect,
    clients: &mut Clients,
    guard: &mut Option<RwLockWriteGuard<'r, Replica>>,
    replica: &'r RwLock<Replica>,
    now: Now,
) -> Option<Effect> {
    match effect {
        Effect::Reply(origin, error) => {
            let replica = guard.get_or_insert_with(|| write(replica));
            clients.on_reply(origin, error, replica, now.mono);
        }
        Effect::SessionResumed {
            conn,
            session,
            timeout_ms,
        } => clients.on_session_granted(conn, session, timeout_ms),
        Effect::SessionRefused(conn) => clients.on_session_refused(conn),
        Effect::QuotaExceeded(exceeded) => tracing::warn!("{exceeded}"),
        Effect::HangUp(conn) => clients.close(conn, CloseReason::SessionGone),
        other => return Some(other),
    }
    None
}

/// Counts what a client's frame led to.
pub(crate) fn count_input(metrics: &mut Metrics, input: &Input<'_>) {
    match input {
        Input::OpenSession { .. } => metrics.count(Counter::ConnectionRequests, 1),
        Input::ResumeSession { .. } => {
            metrics.count(Counter::ConnectionRequests, 1);
            metrics.count(Counter::ConnectionsRevalidated, 1);
            metrics.count(Counter::Revalidated, 1);
        }
        _ => {}
    }
}

// A panic while a guard is held ends the process in service (`panic = "abort"`); in tests the state is whole enough to
// be looked at.

pub(crate) fn read(replica: &RwLock<Replica>) -> RwLockReadGuard<'_, Replica> {
    replica.read().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn write(replica: &RwLock<Replica>) -> RwLockWriteGuard<'_, Replica> {
    replica.write().unwrap_or_else(PoisonError::into_inner)
}
