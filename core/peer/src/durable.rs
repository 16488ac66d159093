//! What the disk and the tree report back: more is durable, more is applied, the history is another one.

use zabra_proto::Zxid;
use zabra_zab::Epochs;

use crate::member::Role;
use crate::peer::Peer;
use crate::{Commit, Effect, Halt, Now};

impl Peer {
    pub(crate) fn on_flushed(&mut self, now: Now, zxid: Zxid, effects: &mut Vec<Effect>) {
        self.history.flushed_to(zxid);
        match &mut self.role {
            // A standalone server's quorum is its disk (R1, P28).
            Role::Standalone(_) => self.history.commit_to(zxid),
            Role::Leading(leading) => {
                let outcomes =
                    leading.act(&mut self.history, effects, |leader, history, actions| {
                        leader.on_flushed(history, actions);
                    });
                self.follow_leading(now, outcomes, effects);
            }
            Role::Learning(learning) => {
                let outcomes =
                    learning.act(&mut self.history, effects, |learner, history, actions| {
                        learner.on_flushed(history, actions);
                    });
                self.follow_learning(now, outcomes, effects);
            }
            Role::Looking { .. } | Role::Halted => {}
        }
        self.release(effects);
        self.maybe_vote(now, effects);
        self.maybe_stop(effects);
    }

    /// Gives to the tree what is decided and durable (R4, P13).
    pub(crate) fn release(&mut self, effects: &mut Vec<Effect>) {
        while let Some(entry) = self.history.release() {
            let origin = match &mut self.role {
                Role::Learning(learning) => learning.origin_of(&entry),
                _ => {
                    let first = self.origins.pop_front_if(|(zxid, _)| *zxid == entry.zxid);
                    first.map(|(_, origin)| origin)
                }
            };
            effects.push(Effect::Commit(Commit {
                zxid: entry.zxid,
                payload: entry.payload,
                origin,
            }));
            // In its place among the writes of its session (P98).
            self.answer_ordered(effects);
        }
    }

    pub(crate) fn on_applied(&mut self, zxid: Zxid, effects: &mut Vec<Effect>) {
        assert!(
            zxid <= self.history.released(),
            "applied what is not decided (R4)"
        );
        match &mut self.role {
            Role::Standalone(primary) => primary.applied(zxid),
            Role::Leading(leading) => {
                if let Some(primary) = &mut leading.primary {
                    primary.applied(zxid);
                }
            }
            Role::Looking { .. } | Role::Learning(_) | Role::Halted => {}
        }
        self.maybe_stop(effects);
    }

    pub(crate) fn on_epochs_saved(&mut self, now: Now, saved: Epochs, effects: &mut Vec<Effect>) {
        let Some(member) = &mut self.member else {
            return;
        };
        if member.saving.take_if(|saving| *saving == saved).is_none() {
            return;
        }
        assert!(
            saved.accepted >= member.epochs.accepted && saved.current >= member.epochs.current,
            "epochs fell (I-11)"
        );
        member.epochs = saved;
        match &mut self.role {
            Role::Leading(leading) => {
                let outcomes =
                    leading.act(&mut self.history, effects, |leader, history, actions| {
                        leader.on_epochs_saved(saved, history, now.mono, actions);
                    });
                self.follow_leading(now, outcomes, effects);
            }
            Role::Learning(learning) => {
                let outcomes = learning.act(&mut self.history, effects, |learner, _, actions| {
                    learner.on_epochs_saved(saved, actions);
                });
                self.follow_learning(now, outcomes, effects);
            }
            Role::Looking { .. } => self.maybe_vote(now, effects),
            Role::Standalone(_) | Role::Halted => {}
        }
    }

    pub(crate) fn on_truncated(&mut self, now: Now, zxid: Zxid, effects: &mut Vec<Effect>) {
        if let Some(member) = &mut self.member {
            member.truncating = false;
        }
        if let Role::Learning(learning) = &mut self.role {
            let outcomes = learning.act(&mut self.history, effects, |learner, history, actions| {
                learner.on_truncated(zxid, history, actions);
            });
            self.follow_learning(now, outcomes, effects);
        } else {
            self.history.truncated(zxid);
            self.maybe_vote(now, effects);
        }
    }

    /// Joins again, and gets a snapshot as a server without a history does.
    pub(crate) fn on_cannot_truncate(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if let Some(member) = &mut self.member {
            member.truncating = false;
            member.uncut_in = Some(member.epochs.accepted);
        }
        self.look(now, "the log cannot be cut as the leader asks", effects);
    }

    pub(crate) fn on_snapshot_installed(
        &mut self,
        now: Now,
        zxid: Zxid,
        effects: &mut Vec<Effect>,
    ) {
        let Role::Learning(learning) = &mut self.role else {
            self.role = Role::Halted;
            return effects.push(Effect::Halt(Halt::HistoryMoved));
        };
        self.began_at = zxid;
        let config = self.member.as_ref().map(|m| m.views.committed().clone());
        effects.extend(config.map(|config| Effect::SetConfig(Box::new(config))));
        let outcomes = learning.act(&mut self.history, effects, |learner, history, _| {
            learner.on_installed(zxid, history, now.mono);
        });
        self.follow_learning(now, outcomes, effects);
    }
}
