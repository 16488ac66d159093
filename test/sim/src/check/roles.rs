//! What is seen of members in their roles, and what they say to each other: which checks that is for.

use zabra_election::Notification;
use zabra_proto::quorum_packet::Message;
use zabra_proto::{Sid, Zxid};
use zabra_zab::{Epochs, Packet};

use crate::event::ServerAt;
use crate::kernel::Micros;
use crate::model::Step;

use super::servers::txn_of;
use super::{
    Checker, i01_one_leader, i07_leader_completeness, i10_sync_result, i11_epochs, i12_votes,
    p20_nothing_out_of_order, p59_elections, r1_durable_first,
};

impl Checker {
    /// A server wants these epochs durable.
    pub fn epochs_wanted(&mut self, at: ServerAt, epochs: Epochs) {
        let before = self.promises.wanted[at];
        let verdict = i11_epochs::wanted(&mut self.promises, at, epochs);
        self.holds(i11_epochs::NAME, verdict);
        if epochs.accepted != before.accepted {
            self.refine(&Step::Promise(at, epochs.accepted));
        }
        if epochs.current != before.current {
            self.refine(&Step::Accept(at, epochs.current));
        }
    }

    /// They are.
    pub fn epochs_saved(&mut self, at: ServerAt, epochs: Epochs) {
        self.promises.saved(at, epochs);
        self.refine(&Step::Keep(at, (epochs.accepted, epochs.current)));
    }

    /// A server leads with a quorum behind it.
    pub fn established(&mut self, at: ServerAt, epoch: u32) {
        let verdict = i10_sync_result::established(&self.promises, epoch);
        self.holds(i10_sync_result::NAME, verdict);
        let verdict = i01_one_leader::established(&mut self.promises, at, epoch);
        self.holds(i01_one_leader::NAME, verdict);
        self.refine(&Step::Establish(at, epoch));
        let verdict = i07_leader_completeness::established(&self.disks, at, epoch, &self.order);
        self.holds(i07_leader_completeness::NAME, verdict);
    }

    /// A server is in step behind a leader.
    pub fn in_step(&mut self, at: ServerAt, leader: Sid, epoch: u32) {
        self.disks.in_step(at);
        let verdict = i01_one_leader::follows(&self.promises, at, leader, epoch);
        self.holds(i01_one_leader::NAME, verdict);
    }

    /// A server is without a leader.
    pub fn left(&mut self, at: ServerAt, why: &str) {
        let verdict = p20_nothing_out_of_order::leaves(at, why);
        self.holds(p20_nothing_out_of_order::NAME, verdict);
        self.leaves_needlessly(at, why);
    }

    /// A server votes.
    pub fn vote(&mut self, at: ServerAt, to: Sid, notification: &Notification, now: Micros) {
        self.elections.said(at, notification);
        let verdict = self.elections.said_to(at, to, now);
        self.holds(p59_elections::NO_STORM, verdict);
        let last = self.disks.last(at);
        if let Some(verdict) = i12_votes::votes(&self.promises, at, notification, last) {
            self.holds(i12_votes::NAME, verdict);
        }
    }

    /// A server looks for a leader.
    pub fn looks(&mut self, at: ServerAt) {
        self.elections.looks(at);
        self.refine(&Step::Look(at));
    }

    /// A server finds itself elected.
    pub fn elected(&mut self, at: ServerAt) {
        let verdict = self.elections.elected(at);
        self.holds(p59_elections::ELECTED, verdict);
        self.refine(&Step::Elect(at));
    }

    /// A server leads, and decides requests from here on.
    pub fn leads(&mut self, at: ServerAt, now: Micros) {
        self.leases.leads(at, now);
    }

    /// A learner hears its leader: what it is sent before NEWLEADER is what the epoch begins with (I-10).
    pub fn heard(&mut self, at: ServerAt, message: &Message<'_>) {
        self.disks.heard(at, message);
    }

    /// A server sends a packet.
    pub fn packet_sent(&mut self, at: ServerAt, to: Option<Sid>, packet: &Packet) {
        match packet {
            Packet::AckEpoch {
                last_logged,
                current_epoch,
            } => self.ack_epoch(at, to, (*last_logged, *current_epoch)),
            Packet::Proposal(entry) => self.refine(&Step::Propose(at, txn_of(entry))),
            Packet::UpToDate => {
                let epoch = self.promises.current(at);
                self.established(at, epoch);
            }
            Packet::Ack(zxid) => self.ack(at, to, *zxid),
            _ => {}
        }
    }

    fn ack_epoch(&mut self, at: ServerAt, to: Option<Sid>, says: (Zxid, Option<u32>)) {
        let last = self.disks.last(at);
        let verdict = i12_votes::acks_epoch(&self.promises, at, says, last);
        self.holds(i12_votes::NAME, verdict);
        let Some(to) = to else { return };
        let counts = says.1.is_some();
        if counts {
            let verdict = i11_epochs::gives_its_word(&mut self.promises, at, to);
            self.judge(verdict);
        }
        if let Ok(leader) = usize::try_from(to.0 - 1) {
            self.refine(&Step::Follow { at, leader, counts });
        }
    }

    fn ack(&mut self, at: ServerAt, to: Option<Sid>, zxid: Zxid) {
        let verdict = r1_durable_first::acked(&self.disks, at, zxid);
        self.holds(r1_durable_first::ACK, verdict);
        if zxid.counter() > 0 {
            return;
        }
        let epoch = zxid.epoch();
        let verdict = r1_durable_first::acked_leader(&self.promises, at, epoch);
        self.judge(verdict);
        if let Some(to) = to {
            let verdict = i11_epochs::acks(&mut self.promises, at, to, epoch);
            self.judge(verdict);
        }
        let verdict = i10_sync_result::acked(&self.disks, at);
        self.holds(i10_sync_result::NAME, verdict);
    }
}
