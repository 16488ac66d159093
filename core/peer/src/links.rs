//! What happens on quorum links, at either end.

use zabra_mutant::{self as mutant, Mutant};
use zabra_proto::quorum_packet::Message;
use zabra_tree::DataTree;
use zabra_zab::{Learner, LinkId};

use crate::leading;
use crate::learning;
use crate::member::{Introduction, Role};
use crate::peer::Peer;
use crate::{DialId, Effect, Now};

/// More learners than this need not wait for a leader that does not know yet that it is one.
const EARLY_MAX: usize = 256;

impl Peer {
    pub(crate) fn on_learner_connected(
        &mut self,
        now: Now,
        link: LinkId,
        effects: &mut Vec<Effect>,
    ) {
        match &mut self.role {
            Role::Leading(leading) => leading.connected(link, now),
            Role::Looking { early, .. } if early.len() < EARLY_MAX => {
                early.insert(link, None);
            }
            _ => effects.push(Effect::Close(link)),
        }
    }

    pub(crate) fn on_dialed(
        &mut self,
        now: Now,
        dial: DialId,
        link: Option<LinkId>,
        effects: &mut Vec<Effect>,
    ) {
        let (Role::Learning(learning), Some(member)) = (&mut self.role, &self.member) else {
            return effects.extend(link.map(Effect::Close));
        };
        let is_wanted = matches!(&learning.stage,
            learning::Stage::Dialing { dial: wanted, .. } if *wanted == dial);
        match link {
            _ if !is_wanted => effects.extend(link.map(Effect::Close)),
            None => self.look(now, "the leader cannot be reached", effects),
            Some(link) => {
                let mut actions = Vec::new();
                let learner = Learner::new(
                    member.learner_settings(),
                    link,
                    member.epochs,
                    &self.history,
                    now.mono,
                    &mut actions,
                );
                learning.stage = learning::Stage::Linked(Box::new(learner));
                let outcomes = learning.act(&mut self.history, effects, |_, _, out| {
                    out.append(&mut actions);
                });
                self.follow_learning(now, outcomes, effects);
            }
        }
    }

    pub(crate) fn on_packet(
        &mut self,
        now: Now,
        link: LinkId,
        message: &Message<'_>,
        tree: &DataTree,
        effects: &mut Vec<Effect>,
    ) {
        match &mut self.role {
            Role::Leading(leading) => {
                let mut scene = leading::scene(now, tree, effects, self.disk_low);
                let outcomes = leading.on_packet(link, message, &mut self.history, &mut scene);
                self.log_fresh(now, effects);
                self.follow_leading(now, outcomes, effects);
            }
            Role::Learning(learning)
                if learning.link() == Some(link) || mutant::on(Mutant::OldLinkStaysAlive) =>
            {
                let outcomes =
                    learning.act(&mut self.history, effects, |learner, history, actions| {
                        learner.on_packet(message, history, now.mono, actions);
                    });
                self.follow_learning(now, outcomes, effects);
            }
            Role::Looking { early, .. } => {
                let introduction = Introduction::from_message(message);
                match early.get_mut(&link) {
                    Some(known @ None) if introduction.is_some() => *known = introduction,
                    Some(_) => {
                        early.remove(&link);
                        effects.push(Effect::Close(link));
                    }
                    None => {}
                }
            }
            Role::Standalone(_) | Role::Learning(_) | Role::Halted => {}
        }
    }

    pub(crate) fn on_link_closed(&mut self, now: Now, link: LinkId, effects: &mut Vec<Effect>) {
        match &mut self.role {
            Role::Leading(leading) => leading.closed(link, now),
            Role::Learning(learning) if learning.link() == Some(link) => {
                self.look(now, "the link to the leader broke", effects);
            }
            Role::Looking { early, .. } => {
                early.remove(&link);
            }
            Role::Standalone(_) | Role::Learning(_) | Role::Halted => {}
        }
    }
}
