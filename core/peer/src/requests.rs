//! What clients ask: decided here, or handed to the leader.

use zabra_mutant::{self as mutant, Mutant};
use zabra_proto::{ConnId, ErrorCode, MonoMillis, SessionId, Zxid};
use zabra_session::SessionIds;
use zabra_tree::DataTree;

use crate::leading;
use crate::member::Role;
use crate::peer::Peer;
use crate::primary::{Asker, Owner, Primary, Request, Scene};
use crate::{Effect, Now, Origin, WriteRequest};

impl Peer {
    /// Runs something on whoever decides here, then logs and proposes what it made.
    pub(crate) fn decide(
        &mut self,
        now: Now,
        tree: &DataTree,
        effects: &mut Vec<Effect>,
        act: impl FnOnce(&mut Primary, &mut SessionIds, &mut Scene<'_>),
    ) {
        let primary = match &mut self.role {
            Role::Standalone(primary) => primary,
            Role::Leading(leading) => match &mut leading.primary {
                Some(primary) => primary,
                None => return,
            },
            Role::Looking { .. } | Role::Learning(_) | Role::Halted => return,
        };
        let mut scene = leading::scene(now, tree, effects, self.disk_low);
        act(primary, &mut self.ids, &mut scene);
        self.log_fresh(now, effects);
    }

    /// Gives what was made to the log and to the learners: to them first, so that their disks work while this one does.
    pub(crate) fn log_fresh(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let primary = match &mut self.role {
            Role::Standalone(primary) => primary,
            Role::Leading(leading) => match &mut leading.primary {
                Some(primary) => primary,
                None => return,
            },
            _ => return,
        };
        let mut fresh = primary.take_fresh();
        let exhausted = primary.is_exhausted();
        for made in fresh.drain(..) {
            let entry = made.entry;
            let origin = made.origin.map(|origin| (entry.zxid, origin));
            self.origins.extend(origin);
            self.history.append(entry.clone());
            if let Role::Leading(leading) = &mut self.role {
                let outcomes = leading.act(&mut self.history, effects, |leader, _, actions| {
                    leader.propose(&entry, now.mono, actions);
                });
                debug_assert!(outcomes.is_empty(), "a proposal alone decides nothing");
            }
            effects.push(Effect::Append {
                zxid: entry.zxid,
                payload: entry.payload,
            });
        }
        if let Role::Standalone(primary) = &mut self.role {
            primary.recycle(fresh);
        } else if let Role::Leading(leading) = &mut self.role
            && let Some(primary) = &mut leading.primary
        {
            primary.recycle(fresh);
            if exhausted {
                self.look(now, "the epoch's numbers are used up", effects);
            }
        }
    }

    pub(crate) fn on_write(
        &mut self,
        now: Now,
        request: WriteRequest<'_>,
        tree: &DataTree,
        effects: &mut Vec<Effect>,
    ) {
        let WriteRequest {
            origin,
            op,
            session,
            body,
            identities,
        } = request;
        match &mut self.role {
            Role::Standalone(_) | Role::Leading(_) => {
                let request = Request {
                    asker: Asker::Here(origin),
                    session,
                    cxid: origin.xid,
                    op,
                    body,
                    identities,
                };
                self.decide(now, tree, effects, |primary, _, scene| {
                    primary.write(request, scene);
                });
            }
            Role::Learning(_) if self.disk_low && op != zabra_proto::OpCode::CloseSession => {
                effects.push(Effect::Reply(origin, ErrorCode::SYSTEM_ERROR));
            }
            Role::Learning(learning) if learning.is_active() => {
                let is_own = !mutant::on(Mutant::ClientsNumbersForwarded);
                let member = self.member.as_mut().filter(|_| is_own);
                let number = member.map_or(origin.xid, |member| member.numbers.take());
                learning.forward(&request, number, effects);
            }
            Role::Learning(_) | Role::Looking { .. } | Role::Halted => {
                effects.push(Effect::HangUp(origin.conn));
            }
        }
    }

    pub(crate) fn on_sync(
        &mut self,
        now: Now,
        origin: Origin,
        session: SessionId,
        effects: &mut Vec<Effect>,
    ) {
        match &mut self.role {
            Role::Standalone(primary) => {
                let behind = primary.proposed();
                self.order(behind, origin, effects);
            }
            Role::Leading(leading) => {
                let outcomes = leading.sync(origin, now, &mut self.history, effects);
                self.follow_leading(now, outcomes, effects);
            }
            Role::Learning(learning) if learning.is_active() => {
                learning.sync(origin, session, effects);
            }
            Role::Learning(_) | Role::Looking { .. } | Role::Halted => {
                effects.push(Effect::HangUp(origin.conn));
            }
        }
    }

    /// Answers a `sync` once everything up to here is applied.
    pub(crate) fn order(&mut self, behind: Zxid, origin: Origin, effects: &mut Vec<Effect>) {
        self.ordered.push_back((behind, origin));
        self.answer_ordered(effects);
    }

    pub(crate) fn answer_ordered(&mut self, effects: &mut Vec<Effect>) {
        let released = self.history.released();
        while let Some((_, origin)) = self.ordered.pop_front_if(|(behind, _)| *behind <= released) {
            effects.push(Effect::Reply(origin, ErrorCode::OK));
        }
    }

    pub(crate) fn on_open_session(
        &mut self,
        now: Now,
        conn: ConnId,
        timeout_ms: i32,
        tree: &DataTree,
        effects: &mut Vec<Effect>,
    ) {
        match &mut self.role {
            Role::Learning(learning) if learning.is_active() => {
                let session = self.ids.next(|_| false);
                learning.open_session(conn, session, timeout_ms, effects);
            }
            Role::Standalone(_) | Role::Leading(_) => {
                self.decide(now, tree, effects, |primary, ids, scene| {
                    primary.open_session(conn, timeout_ms, ids, scene);
                });
            }
            Role::Learning(_) | Role::Looking { .. } | Role::Halted => {
                effects.push(Effect::HangUp(conn));
            }
        }
    }

    pub(crate) fn on_resume_session(
        &mut self,
        now: Now,
        conn: ConnId,
        session: SessionId,
        timeout_ms: i32,
        effects: &mut Vec<Effect>,
    ) {
        let primary = match &mut self.role {
            Role::Standalone(primary) => Some(&mut **primary),
            Role::Leading(leading) => leading.primary.as_mut(),
            Role::Learning(learning) if learning.is_active() => {
                return learning.claim(conn, session, timeout_ms, effects);
            }
            Role::Learning(_) | Role::Looking { .. } | Role::Halted => None,
        };
        let Some(primary) = primary else {
            return effects.push(Effect::HangUp(conn));
        };
        effects.push(
            if primary.resume(session, timeout_ms, Owner::Here, now.mono) {
                Effect::SessionResumed {
                    conn,
                    session,
                    timeout_ms,
                }
            } else {
                Effect::SessionRefused(conn)
            },
        );
    }

    pub(crate) fn on_touched(&mut self, session: SessionId, timeout_ms: i32, heard: MonoMillis) {
        match &mut self.role {
            Role::Standalone(primary) => primary.touch(session, heard),
            Role::Leading(leading) => {
                if let Some(primary) = &mut leading.primary {
                    primary.touch(session, heard);
                }
            }
            Role::Learning(learning) => learning.touch(session, timeout_ms),
            Role::Looking { .. } | Role::Halted => {}
        }
    }
}
