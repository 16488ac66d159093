//! What the peer wants done, in the order given.

use zabra_election::ServerState;
use zabra_peer::{Commit, Effect, Input, Note};
use zabra_proto::SessionId;
use zabra_quorum::Membership;
use zabra_serve::CloseReason;
use zabra_zab::Entry;

use super::jobs::Job;
use super::{Fate, Process};
use crate::event::Event;
use crate::phase::Phase;
use crate::say;
use crate::surroundings::Surroundings;
use crate::trace::Z;

impl Process {
    pub(super) fn carry_out(&mut self, around: &mut Surroundings) {
        let mut todo = std::mem::take(&mut self.effects).into_iter();
        for effect in todo.by_ref() {
            if let Some(left) = &mut self.dies_in {
                if *left == 0 {
                    self.fate = Fate::Ends(None);
                    return;
                }
                *left -= 1;
            }
            self.perform(effect, around);
            if self.fate != Fate::Runs || around.check.has_failed() {
                return;
            }
        }
    }

    fn perform(&mut self, effect: Effect, around: &mut Surroundings) {
        let now = self.now(around);
        match effect {
            Effect::Append { zxid, payload } => self.append(Entry { zxid, payload }, around),
            Effect::Commit(commit) => self.commit(&commit, around),
            Effect::Reply(origin, error) => {
                self.clients
                    .on_reply(origin, error, &self.replica, now.mono);
            }
            Effect::SessionResumed {
                conn,
                session,
                timeout_ms,
            } => self.clients.on_session_granted(conn, session, timeout_ms),
            Effect::SessionRefused(conn) => self.clients.on_session_refused(conn),
            Effect::QuotaExceeded(_) => {}
            Effect::HangUp(conn) => self.clients.close(conn, CloseReason::SessionGone),
            Effect::StartServing => {
                say!(around.kernel, "s{} serves", self.sid);
                self.is_tree_in_step = true;
                self.clients.start_serving();
            }
            Effect::StopServing => {
                say!(around.kernel, "s{} serves no more", self.sid);
                self.clients.stop_serving();
                self.in_step = None;
            }
            Effect::ListSessions => {
                self.is_tree_in_step = true;
                let sessions = self.replica.sessions().iter();
                let list: Vec<(SessionId, i32)> = sessions.map(|(s, t)| (*s, *t)).collect();
                self.step(now, Input::Sessions(&list));
            }
            Effect::SetConfig(membership) => self.set_config(&membership, around),
            other => self.perform_as_member(other, around),
        }
    }

    fn perform_as_member(&mut self, effect: Effect, around: &mut Surroundings) {
        match effect {
            Effect::SaveEpochs(epochs) => {
                around.check.epochs_wanted(self.at, epochs);
                self.begin_in_order(Job::Epochs(epochs), around);
            }
            Effect::Truncate(to) => {
                self.require_durable("Truncate", around);
                around
                    .check
                    .truncating(self.at, to, self.replica.last_zxid());
                self.begin_in_order(Job::Truncate(to), around);
            }
            Effect::Notify { to, notification } => {
                let at = around.kernel.now();
                around.check.vote(self.at, to, &notification, at);
                let config = crate::start::membership(&self.plan).to_string();
                let mut frame = Vec::new();
                if notification
                    .to_message(&config)
                    .encode_frame(&mut frame)
                    .is_ok()
                    && let Ok(to) = usize::try_from(to.0 - 1)
                    && to < self.plan.servers()
                {
                    let (kernel, net) = (&mut around.kernel, &around.net);
                    let frame = match self.plan.older(self.at) {
                        Some(older) => older.vote(frame, &mut around.check),
                        None => frame,
                    };
                    around.votes.send(kernel, net, self.at, to, frame);
                }
            }
            Effect::Dial { dial, to } => {
                say!(around.kernel, "s{} dials s{to}", self.sid);
                self.dials.insert(dial, (to, 0));
                let delay = around.net.delay(&mut around.kernel);
                let event = Event::Dialing(self.at, self.life, dial);
                around.kernel.after(delay, event);
            }
            Effect::StopDialing(dial) => {
                self.dials.remove(&dial);
            }
            Effect::Send { link, packet } => self.send_packet(link, &packet, around),
            Effect::SendBacklog { link, backlog } => {
                say!(around.kernel, "s{} → link {} {backlog:?}", self.sid, link.0);
                if let Some(link) = self.links.link_mut(link) {
                    link.hold();
                }
                self.begin(Job::Backlog(link, backlog), around);
            }
            Effect::Close(link) => self.close_link(link, around),
            Effect::AdoptConfig(_) => {
                let text = format!("s{} adopts a membership that nobody made", self.sid);
                around.check.violate("membership", text);
            }
            Effect::Note(note) => self.note(&note, around),
            Effect::Halt(halt) => {
                say!(around.kernel, "s{} halts: {halt:?}", self.sid);
                let text = format!("s{}: {halt:?}", self.sid);
                around.check.violate("no member halts", text);
                self.fate = Fate::Ends(Some(format!("{halt:?}")));
            }
            Effect::Stopped => self.fate = Fate::Ends(Some("stopped".to_owned())),
            other => {
                let text = format!("s{} wants {other:?}", self.sid);
                around.check.violate("unknown effect", text);
            }
        }
    }

    fn append(&mut self, entry: Entry, around: &mut Surroundings) {
        say!(around.kernel, "s{} ⛁ append {}", self.sid, Z(entry.zxid));
        let leads = !matches!(
            self.peer.state(),
            Some(ServerState::Looking | ServerState::Following | ServerState::Observing)
        );
        around.check.appended(self.at, &entry, leads);
        if leads {
            let (now, rate) = (around.kernel.now(), self.clock.rate_permille);
            around.check.made(self.at, &entry, now, rate);
        }
        self.batch.push(entry);
    }

    fn commit(&mut self, commit: &Commit, around: &mut Surroundings) {
        let now = self.now(around);
        say!(around.kernel, "s{} applies {}", self.sid, Z(commit.zxid));
        let flushed = self.files.log.last_flushed();
        let last = self.replica.last_zxid();
        if !around.check.may_apply(self.at, commit.zxid, flushed, last) {
            return;
        }
        self.clients.apply(&mut self.replica, commit, now.mono);
        self.txns_since_snapshot += 1;
        let at = around.kernel.now();
        around.check.applied(self.at, commit, &self.replica, at);
        self.step(now, Input::Applied(commit.zxid));
    }

    fn set_config(&mut self, membership: &Membership, around: &mut Surroundings) {
        let text = membership.to_string();
        let version = zabra_proto::Zxid::from_wire(membership.version().0);
        let wall = self.now(around).wall;
        self.replica
            .tree
            .set_local_config(text.as_bytes(), version, wall);
    }

    fn note(&mut self, note: &Note, around: &mut Surroundings) {
        say!(around.kernel, "s{} {note:?}", self.sid);
        match note {
            Note::InStep { leader, epoch } => {
                self.in_step = Some((*leader, *epoch));
                self.enter(Phase::Broadcast, around);
                if *leader == self.sid {
                    around.check.established(self.at, *epoch);
                    around.check.leads(self.at, around.kernel.now());
                }
                around.check.in_step(self.at, *leader, *epoch);
            }
            Note::Elected { leader } => {
                if *leader == self.sid {
                    around.check.elected(self.at);
                }
                let early = around.plan.faults.early_permille;
                if around.kernel.chance(early) {
                    let effects = around.plan.faults.early_effects.max(1);
                    self.dies_in = Some(around.kernel.rng.u32(0..effects));
                }
                self.enter(Phase::Discovery, around);
            }
            Note::Looking | Note::Left { .. } => {
                if let Note::Left { why } = note {
                    around.check.left(self.at, why);
                }
                around.check.looks(self.at);
                around.check.turns(self.at, around.kernel.now());
                self.in_step = None;
                self.is_tree_in_step = false;
                self.enter(Phase::Election, around);
            }
            _ => {}
        }
    }

    /// What the effect relies on: all that was appended is durable.
    fn require_durable(&mut self, what: &str, around: &mut Surroundings) {
        if self.is_flushing || !self.batch.is_empty() {
            around.check.relies_on_undurable(self.at, what);
        }
    }
}
