//! I-38: nothing is shown and nothing is changed that the table of operations and rights denies (protocol 8.7), and nothing is
//! denied that it grants. Held against a small model of its own: the lists that the txns have set, and the rights in them.

use std::collections::BTreeSet;

use zabra_proto::{Acl, ErrorCode, Perms, SessionId, Txn, TxnHeader, Zxid};

use super::happenings::{Happenings, parent};
use super::users::{self, Users};
use super::{Checker, Verdict, fails};
use crate::trace::Z;

/// What an operation needs: one of these rights to that znode.
pub type Need = (String, Perms);

/// What a request needs, by its elements, and of whom it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// In the order in which they are asked for.
    pub needs: Vec<Need>,
    /// Who asked.
    pub users: Users,
    /// Whether it is a write: then it is judged in the state before its txn.
    pub is_write: bool,
}

/// An entry of an ACL as a client asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grantee {
    /// Everybody.
    World,
    /// Everybody at the address that all have.
    Address,
    /// One user.
    User(usize),
    /// Whoever the client has shown itself to be.
    Me,
}

pub(super) const PERMITTED: &str = "I-38 access: permitted";
pub(super) const DENIED: &str = "I-38 access: denied";
pub(super) const BY_TXN: &str = "I-38 access: txn";
pub(super) const LISTED: &str = "I-38 access: list as asked";
pub(super) const SHOWN: &str = "I-38 access: list shown";
pub(super) const HIDDEN: &str = "I-38 access: digests hidden";
const NAME: &str = "I-38 access";

impl Checker {
    /// A client has shown itself to be somebody, on a connection of this session.
    pub fn shows(&mut self, session: SessionId, user: usize) {
        let shown = self.shown.entry(session).or_default();
        *shown = shown.with(user);
    }

    /// A request was answered in the state behind this txn: its elements so, one after the other.
    pub fn accessed(
        &mut self,
        session: SessionId,
        access: &Access,
        zxid: Zxid,
        errors: &[ErrorCode],
    ) {
        let state = if access.is_write {
            Zxid(zxid.0.saturating_sub(1))
        } else {
            zxid
        };
        for ((path, wanted), error) in access.needs.iter().zip(errors) {
            let Some(list) = self.happenings.list(path, state) else {
                continue;
            };
            let is_granted = access.users.may(&list, *wanted);
            let is_past = matches!(
                *error,
                ErrorCode::OK
                    | ErrorCode::NO_NODE
                    | ErrorCode::NODE_EXISTS
                    | ErrorCode::NOT_EMPTY
                    | ErrorCode::BAD_VERSION
                    | ErrorCode::NO_CHILDREN_FOR_EPHEMERALS
            );
            let is_denied = *error == ErrorCode::NO_AUTH;
            if is_past {
                self.count(PERMITTED);
            } else if is_denied {
                self.count(DENIED);
            }
            if is_past && !is_granted || is_denied && is_granted {
                let text = format!(
                    "{session} as {:?} is told {error:?} at {} where {wanted:?} to {path} is needed, which has {list:?}",
                    access.users,
                    Z(zxid)
                );
                self.violate(NAME, text);
            }
        }
    }

    /// A list was to be set by this txn, and was: it says what was asked, `auth` replaced by who asked.
    pub fn listed_as(
        &mut self,
        session: SessionId,
        (path, zxid): (&str, Zxid),
        asked: &[(Perms, Grantee)],
        users: Users,
    ) {
        self.count(LISTED);
        let wanted: BTreeSet<(i32, &str, &str)> = asked
            .iter()
            .flat_map(|(perms, grantee)| {
                let ids = match grantee {
                    Grantee::World => vec![("world", "anyone")],
                    Grantee::Address => vec![("ip", users::ADDRESS)],
                    Grantee::User(user) => vec![("digest", users::id(*user))],
                    Grantee::Me => {
                        let mine = (0..users::COUNT).filter(|user| users.has(*user));
                        mine.map(|user| ("digest", users::id(user))).collect()
                    }
                };
                ids.into_iter().map(|(scheme, id)| (perms.0, scheme, id))
            })
            .collect();
        let list = self.happenings.list(path, zxid).unwrap_or_default();
        let stored = entries(&list);
        if stored != wanted {
            let text = format!(
                "{session} set {wanted:?} for {path} by {}, which has {stored:?}",
                Z(zxid)
            );
            self.violate(NAME, text);
        }
    }

    /// A client is shown the list of a znode: as it is to who may set it, else without the digests (CVE-2019-0201).
    pub fn shown_list(
        &mut self,
        session: SessionId,
        (path, zxid): (&str, Zxid),
        users: Users,
        shown: &[Acl<'_>],
    ) {
        let list = self.happenings.list(path, zxid).unwrap_or_default();
        let is_admin = users.may(&list, Perms::ADMIN);
        self.count(if is_admin { SHOWN } else { HIDDEN });
        let hidden = |(perms, scheme, id): (i32, &str, &str)| {
            let id = match id.split_once(':') {
                Some((user, _)) if scheme == "digest" && !is_admin => format!("{user}:x"),
                _ => id.to_owned(),
            };
            (perms, scheme.to_owned(), id)
        };
        let is: BTreeSet<_> = entries(shown)
            .into_iter()
            .map(|(perms, scheme, id)| (perms, scheme.to_owned(), id.to_owned()))
            .collect();
        let must: BTreeSet<_> = entries(&list).into_iter().map(hidden).collect();
        if is != must {
            let text = format!(
                "{session} is shown {is:?} of {path} at {}, it is {must:?}",
                Z(zxid)
            );
            self.violate(NAME, text);
        }
    }

    /// A txn is decided, and what it does is not done yet: somebody whom its session ever showed itself to be may do it.
    pub(super) fn changes(&mut self, header: &TxnHeader, txn: &Txn<'_>) -> Verdict {
        let users = self.shown.get(&header.session).copied();
        let users = users.unwrap_or_default();
        let (judged, verdict) = may_change(&mut self.happenings, header, txn, users);
        self.count_many(BY_TXN, judged);
        verdict
    }
}

/// Does a txn in the model, each element behind the one before, if it may be done.
fn may_change(
    happenings: &mut Happenings,
    header: &TxnHeader,
    txn: &Txn<'_>,
    users: Users,
) -> (u64, Verdict) {
    if let Txn::Multi(elements) = txn {
        if elements.iter().any(|e| matches!(e, Txn::Error(_))) {
            return (0, Ok(()));
        }
        let mut judged = 0;
        for element in elements {
            let (more, verdict) = may_change(happenings, header, element, users);
            judged += more;
            if verdict.is_err() {
                return (judged, verdict);
            }
        }
        return (judged, Ok(()));
    }
    let need = match txn {
        Txn::Create(t) | Txn::Create2(t) => Some((parent(&t.path), Perms::CREATE)),
        Txn::CreateContainer(t) => Some((parent(&t.path), Perms::CREATE)),
        Txn::CreateTtl(t) => Some((parent(&t.path), Perms::CREATE)),
        Txn::Delete(t) => Some((parent(&t.path), Perms::DELETE)),
        Txn::SetData(t) => Some((&*t.path, Perms::WRITE)),
        Txn::SetAcl(t) => Some((&*t.path, Perms::ADMIN)),
        Txn::Check(t) => Some((&*t.path, Perms::READ)),
        _ => None,
    };
    let verdict = match need {
        Some((path, wanted)) => {
            let list = happenings.list(path, header.zxid);
            match list.filter(|list| !users.may(list, wanted)) {
                Some(list) => fails(
                    NAME,
                    format!(
                        "{} of {} needs {wanted:?} to {path}, which has {list:?}",
                        Z(header.zxid),
                        header.session
                    ),
                ),
                None => Ok(()),
            }
        }
        None => Ok(()),
    };
    happenings.decided(header, txn);
    (u64::from(need.is_some()), verdict)
}

fn entries<'a>(list: &'a [Acl<'_>]) -> BTreeSet<(i32, &'a str, &'a str)> {
    let entry = |entry: &'a Acl<'_>| (entry.perms.0, &*entry.scheme, &*entry.id);
    list.iter().map(entry).collect()
}
