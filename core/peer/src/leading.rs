//! What a leader does besides ZAB: it decides requests of its own clients and of its learners'.

use std::collections::VecDeque;

use zabra_proto::quorum_packet::{Message, Request as Forwarded};
use zabra_proto::{Identity, OpCode, SessionId, Sid, TxnKind, Zxid};
use zabra_tree::DataTree;
use zabra_zab::{Epochs, History, Leader, LeaderAction, LinkId, Packet};

use crate::options::PeerOptions;
use crate::primary::{Asker, Owner, Primary, Request, Scene};
use crate::{Effect, Note, Now, Origin};

/// Who waits for a fence.
#[derive(Debug, Clone, Copy)]
enum SyncAsker {
    Here(Origin),
    Learner(LinkId),
}

/// The role.
#[derive(Debug)]
pub(crate) struct Leading {
    pub(crate) leader: Leader,
    /// Decides requests, once the history is applied.
    pub(crate) primary: Option<Primary>,
    syncs: VecDeque<SyncAsker>,
    actions: Vec<LeaderAction>,
    /// Every link that was given to this role and not closed.
    links: Vec<LinkId>,
}

/// What follows for the peer.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Save the epochs.
    Save(Epochs),
    /// The history is decided; tell the sessions.
    Established,
    /// Answer once everything up to here is applied.
    Ordered(Zxid, Origin),
    /// Leadership is over.
    Leave(String),
}

impl Leading {
    pub(crate) fn new(leader: Leader, actions: Vec<LeaderAction>) -> Self {
        Self {
            leader,
            primary: None,
            syncs: VecDeque::new(),
            actions,
            links: Vec::new(),
        }
    }

    /// Runs something on the leader, and gives back what follows from it.
    pub(crate) fn act(
        &mut self,
        history: &mut History,
        effects: &mut Vec<Effect>,
        act: impl FnOnce(&mut Leader, &mut History, &mut Vec<LeaderAction>),
    ) -> Vec<Outcome> {
        act(&mut self.leader, history, &mut self.actions);
        let mut outcomes = Vec::new();
        let mut actions = std::mem::take(&mut self.actions);
        for action in actions.drain(..) {
            match action {
                LeaderAction::Send(link, packet) => effects.push(Effect::Send { link, packet }),
                LeaderAction::Backlog(link, backlog) => {
                    effects.push(Effect::SendBacklog { link, backlog });
                }
                LeaderAction::Close { link, sid, why } => {
                    self.links.retain(|known| *known != link);
                    effects.push(Effect::Close(link));
                    effects.push(Effect::Note(Note::LearnerLeft { sid, why }));
                }
                LeaderAction::SaveEpochs(epochs) => outcomes.push(Outcome::Save(epochs)),
                LeaderAction::Established { .. } => outcomes.push(Outcome::Established),
                LeaderAction::InStep(sid) => {
                    effects.push(Effect::Note(Note::LearnerInStep { sid }));
                }
                LeaderAction::Fenced { behind } => match self.syncs.pop_front() {
                    Some(SyncAsker::Here(origin)) => {
                        outcomes.push(Outcome::Ordered(behind, origin));
                    }
                    Some(SyncAsker::Learner(link)) => {
                        let packet = Packet::Sync;
                        effects.push(Effect::Send { link, packet });
                    }
                    None => {}
                },
                LeaderAction::Leave(why) => outcomes.push(Outcome::Leave(why)),
            }
        }
        self.actions = actions;
        outcomes
    }

    /// The history is applied and these sessions exist: decide requests from here on.
    pub(crate) fn begin(
        &mut self,
        options: &PeerOptions,
        sessions: &[(SessionId, i32)],
        now: Now,
        history: &mut History,
        effects: &mut Vec<Effect>,
    ) -> Vec<Outcome> {
        let outcomes = self.act(history, effects, |leader, history, actions| {
            leader.serve(history, now.mono, actions);
        });
        let proposed = self.leader.proposed();
        let mut options = options.clone();
        // A leader cannot propose memberships yet; it says so as if they could not change.
        options.prep.reconfig_enabled = false;
        self.primary = Some(Primary::new(options, proposed, sessions, true, now));
        outcomes
    }

    pub(crate) fn connected(&mut self, link: LinkId, now: Now) {
        self.links.push(link);
        self.leader.on_connected(link, now.mono);
    }

    pub(crate) fn closed(&mut self, link: LinkId, now: Now) {
        self.links.retain(|known| *known != link);
        self.leader.on_closed(link, now.mono);
    }

    /// The links that end with the role.
    pub(crate) fn into_links(self) -> Vec<LinkId> {
        self.links
    }

    /// A client's `sync`.
    pub(crate) fn sync(
        &mut self,
        origin: Origin,
        now: Now,
        history: &mut History,
        effects: &mut Vec<Effect>,
    ) -> Vec<Outcome> {
        self.syncs.push_back(SyncAsker::Here(origin));
        self.act(history, effects, |leader, history, actions| {
            leader.fence(history, now.mono, actions);
        })
    }

    /// A packet of a learner. Requests are the primary's, the rest is ZAB's.
    pub(crate) fn on_packet(
        &mut self,
        link: LinkId,
        message: &Message<'_>,
        history: &mut History,
        scene: &mut Scene<'_>,
    ) -> Vec<Outcome> {
        let now = scene.now.mono;
        let mut outcomes = self.act(history, scene.effects, |leader, history, actions| {
            leader.on_packet(link, message, history, now, actions);
        });
        if !self.leader.is_active(link) {
            return outcomes;
        }
        let Some(primary) = &mut self.primary else {
            return outcomes;
        };
        match message {
            Message::Request(request) if request.op == OpCode::Sync.code() => {
                self.syncs.push_back(SyncAsker::Learner(link));
                outcomes.extend(
                    self.act(history, scene.effects, |leader, history, actions| {
                        leader.fence(history, now, actions);
                    }),
                );
            }
            Message::Request(request) => forwarded(primary, link, request, scene),
            Message::Revalidate(claim) => {
                let owner = Owner::Learner(link);
                let valid = primary.resume(claim.session, claim.timeout_ms, owner, now);
                let packet = Packet::Revalidated {
                    session: claim.session,
                    valid,
                };
                scene.effects.push(Effect::Send { link, packet });
            }
            Message::Ping {
                touched: Some(touched),
                ..
            } => {
                for touch in touched {
                    primary.touch(touch.session, now);
                }
            }
            _ => {}
        }
        outcomes
    }

    /// How many wait for a `sync`.
    pub(crate) fn pending_syncs(&self) -> usize {
        self.syncs.len()
    }

    /// The learners in step, for those who look: followers and observers.
    pub(crate) fn learners(&self) -> impl Iterator<Item = (Sid, bool)> {
        self.leader.learners()
    }
}

/// A write of a learner's client. Whatever becomes of it, there will be one transaction that answers it.
fn forwarded(primary: &mut Primary, link: LinkId, request: &Forwarded<'_>, scene: &mut Scene<'_>) {
    if request.op == CREATE_SESSION {
        return primary.open_forwarded(request.session, request.record, link, scene);
    }
    let identities: Vec<Identity> = request
        .authinfo
        .iter()
        .flatten()
        .map(|id| Identity::new(&id.scheme, &id.id))
        .collect();
    let op = OpCode::from_code(request.op).filter(|op| op.is_write() && *op != OpCode::Check);
    primary.write(
        Request {
            asker: Asker::Learner(link),
            session: request.session,
            cxid: request.cxid,
            // Of an op that is none, or no write, the peer says that it is not implemented.
            op: op.unwrap_or(OpCode::Check),
            body: request.record,
            identities: &identities,
        },
        scene,
    );
}

/// How a learner asks for a new session.
pub(crate) const CREATE_SESSION: i32 = TxnKind::CreateSession as i32;

/// What a primary sees of this moment.
pub(crate) fn scene<'a>(
    now: Now,
    tree: &'a DataTree,
    effects: &'a mut Vec<Effect>,
    disk_low: bool,
) -> Scene<'a> {
    Scene {
        now,
        tree,
        effects,
        disk_low,
    }
}
