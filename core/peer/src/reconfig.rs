//! Memberships that change while this server follows (quorum 14.4, 14.5).

use zabra_jute::Limits;
use zabra_proto::txn::Payload;
use zabra_proto::{Sid, Txn, TxnKind, Zxid};
use zabra_quorum::{Membership, Role as Seat};
use zabra_zab::Entry;

use crate::peer::Peer;
use crate::{Effect, Now};

impl Peer {
    /// A reconfiguration is decided.
    pub(crate) fn on_activate(
        &mut self,
        now: Now,
        zxid: Zxid,
        designated_leader: Sid,
        effects: &mut Vec<Effect>,
    ) {
        let Some(member) = &self.member else { return };
        if !member.options.reconfig_enabled {
            return;
        }
        let Some(membership) = self.membership_in(zxid) else {
            return self.look(now, "a reconfiguration cannot be understood", effects);
        };
        let leader = self.leader();
        let moved = leader.is_some_and(|leader| leader != designated_leader);
        self.put_in_force(now, membership, moved, effects);
    }

    /// The membership with which an epoch begins.
    pub(crate) fn on_adopt(&mut self, now: Now, membership: Membership, effects: &mut Vec<Effect>) {
        let Some(member) = &self.member else { return };
        let known = member.views.committed();
        if !member.options.reconfig_enabled || membership.version() <= known.version() {
            return;
        }
        let leader = self.leader();
        let address = |of: &Membership| {
            let member = leader.and_then(|leader| of.member(leader))?;
            Some(member.addresses.clone())
        };
        let moved = address(&membership) != address(known)
            || leader.is_some_and(|leader| !membership.is_voter(leader) || !known.is_voter(leader));
        self.put_in_force(now, membership, moved, effects);
    }

    /// Obeys a membership. A server whose role changed, or whose leader is another one now, leaves its leader.
    fn put_in_force(
        &mut self,
        now: Now,
        membership: Membership,
        moved: bool,
        effects: &mut Vec<Effect>,
    ) {
        let leader = self.leader();
        let Some(member) = &mut self.member else {
            return;
        };
        if membership.version() <= member.views.committed().version() {
            return;
        }
        let before = member.options.role;
        effects.push(Effect::AdoptConfig(Box::new(membership.clone())));
        effects.push(Effect::SetConfig(Box::new(membership.clone())));
        if membership.has_same_members(member.views.committed()) {
            member.views = zabra_quorum::Views::settled(membership);
            return;
        }
        let role = membership.role(member.options.me);
        let changed = role.unwrap_or(Seat::Participant) != before;
        if moved || changed {
            member.adopt(membership);
            self.look(now, "the membership has changed", effects);
        } else {
            let epoch = member.epochs.current;
            member.go_on_under(membership, leader, Some(epoch), now.mono);
        }
    }

    fn membership_in(&self, zxid: Zxid) -> Option<Membership> {
        let before = Zxid(zxid.0.checked_sub(1)?);
        let history = self.history();
        let released = history.window().after(before).next();
        let entry = history.tail_entry(zxid).or(released)?;
        membership_of(entry)
    }
}

/// Where the kind of a transaction stands in its header.
const KIND: std::ops::Range<usize> = 28..32;

/// The membership that an entry brings; none if it is no reconfiguration, or one that cannot be understood.
pub(crate) fn membership_of(entry: &Entry) -> Option<Membership> {
    // Every proposal passes here: only a reconfiguration is decoded.
    let kind = entry.payload.get(KIND)?.try_into().ok()?;
    if i32::from_be_bytes(kind) != TxnKind::Reconfig as i32 {
        return None;
    }
    let limits = Limits {
        value_len_max: entry.payload.len(),
    };
    let payload = Payload::decode(&entry.payload, limits).ok()?;
    let Txn::Reconfig(txn) = payload.txn else {
        return None;
    };
    Membership::parse(str::from_utf8(txn.data?).ok()?).ok()
}
