//! What a client asks of znodes that not everybody may do everything to.

use zabra_jute::{Encode, Text};
use zabra_proto::client::{
    CheckVersionRequest, CreateRequest, DeleteRequest, MultiHeader, PathRequest, PathWatchRequest,
    SetAclRequest, SetDataRequest,
};
use zabra_proto::multi::encode_element;
use zabra_proto::{OpCode, Perms, RawAcl};

use super::Client;
use super::ask::{Asked, Raw, Waiting};
use crate::check::{Access, Grantee, Need, users};
use crate::surroundings::Surroundings;
use crate::trace::hash_of;

/// So many of them, and so many children each.
const GUARDED: usize = 3;
const CHILDREN: usize = 3;

/// What a list grants to whom.
pub(super) type Grants = Vec<(Perms, Grantee)>;

/// Which rights go together.
const RIGHTS: [Perms; 7] = [
    Perms::ALL,
    Perms::ALL,
    Perms::READ,
    Perms(1 | 2),
    Perms(4 | 8),
    Perms(1 | 16),
    Perms(2 | 4 | 8 | 16),
];

/// A guarded znode.
pub(super) fn any_path(rng: &mut fastrand::Rng) -> String {
    let dir = format!("/g{}", rng.usize(0..GUARDED));
    if rng.bool() {
        dir
    } else {
        format!("{dir}/x{}", rng.usize(0..CHILDREN))
    }
}

impl Client {
    /// Asks for something that may be denied.
    pub(super) fn ask_guarded(&mut self, data: &[u8], around: &mut Surroundings) {
        let rng = &mut around.kernel.rng;
        let dir = format!("/g{}", rng.usize(0..GUARDED));
        let child = format!("{dir}/x{}", rng.usize(0..CHILDREN));
        let at = if rng.bool() {
            dir.clone()
        } else {
            child.clone()
        };
        // One in three writes nothing.
        let kinds = if self.at % 3 == 2 { 10..16 } else { 0..16 };
        match rng.u32(kinds) {
            0..=1 => self.create_guarded("/", &dir, data, 0, around),
            2..=3 => {
                let flags = i32::from(around.kernel.chance(300));
                self.create_guarded(&dir, &child, data, flags, around);
            }
            4..=5 => {
                let request = SetDataRequest {
                    path: at.as_str().into(),
                    data: Some(data),
                    version: -1,
                };
                let (path, hash) = (at.clone(), hash_of(data));
                let asked = Asked::Set { path, hash };
                let needs = vec![(at.clone(), Perms::WRITE)];
                self.ask_for(OpCode::SetData, &request, asked, needs, around);
            }
            6..=7 => self.set_acl(at, around),
            8 => {
                let parent = if at == dir { "/".to_owned() } else { dir };
                let request = DeleteRequest {
                    path: at.as_str().into(),
                    version: -1,
                };
                let needs = vec![(parent, Perms::DELETE)];
                self.ask_for(OpCode::Delete, &request, Asked::Write, needs, around);
            }
            9 => self.check_and_set(dir, at, data, around),
            10 if around.kernel.chance(200) => self.show_more(around),
            _ => self.read_guarded(dir, at, around),
        }
    }

    /// Says that it is somebody, as soon as it is connected.
    pub(super) fn show_itself(&mut self, around: &mut Surroundings) {
        if around.plan.guarded_permille == 0 || around.kernel.chance(200) {
            return;
        }
        self.show(self.at % users::COUNT, around);
        if around.kernel.chance(150) {
            self.show(around.kernel.rng.usize(0..users::COUNT), around);
        }
    }

    /// Says that it is somebody else, too. Only while nothing depends on when exactly the server hears of it.
    fn show_more(&mut self, around: &mut Surroundings) {
        let depends = |conn: &super::Connection| {
            !conn.asked.is_empty() || !conn.watches.is_empty() || conn.moving.is_some()
        };
        if !self.conn.as_ref().is_none_or(depends) {
            let user = around.kernel.rng.usize(0..users::COUNT);
            self.show(user, around);
        }
    }

    fn create_guarded(
        &mut self,
        parent: &str,
        path: &str,
        data: &[u8],
        flags: i32,
        around: &mut Surroundings,
    ) {
        let grants = draw_grants(&mut around.kernel.rng);
        let request = CreateRequest {
            path: path.into(),
            data: Some(data),
            acl: Some(list_of(&grants)),
            flags,
        };
        let needs = vec![(parent.to_owned(), Perms::CREATE)];
        let asked = Asked::Create(hash_of(data));
        let waiting = self.waiting(asked, needs, true, Some(grants));
        self.ask_as(OpCode::Create, &request, waiting, around);
    }

    fn set_acl(&mut self, path: String, around: &mut Surroundings) {
        let grants = draw_grants(&mut around.kernel.rng);
        let request = SetAclRequest {
            path: path.as_str().into(),
            acl: Some(list_of(&grants)),
            version: -1,
        };
        let needs = vec![(path.clone(), Perms::ADMIN)];
        let asked = Asked::SetAcl(path.clone());
        let waiting = self.waiting(asked, needs, true, Some(grants));
        self.ask_as(OpCode::SetAcl, &request, waiting, around);
    }

    fn check_and_set(
        &mut self,
        checked: String,
        set: String,
        data: &[u8],
        around: &mut Surroundings,
    ) {
        let check = CheckVersionRequest {
            path: checked.as_str().into(),
            version: -1,
        };
        let request = SetDataRequest {
            path: set.as_str().into(),
            data: Some(data),
            version: -1,
        };
        let mut body = Vec::new();
        encode_element(OpCode::Check, &check, &mut body);
        encode_element(OpCode::SetData, &request, &mut body);
        MultiHeader::END.encode(&mut body);
        let needs = vec![(checked, Perms::READ), (set, Perms::WRITE)];
        self.ask_for(OpCode::Multi, &Raw(body), Asked::Multi, needs, around);
    }

    fn read_guarded(&mut self, dir: String, at: String, around: &mut Surroundings) {
        let watch = around.kernel.chance(300);
        let request = PathWatchRequest {
            path: at.as_str().into(),
            watch,
        };
        let needs = vec![(at.clone(), Perms::READ)];
        let (path, watches) = (at.clone(), watch);
        match around.kernel.rng.u32(0..8) {
            0..=2 => {
                let asked = Asked::Get { path, watches };
                self.ask_for(OpCode::GetData, &request, asked, needs, around);
            }
            3 => {
                let asked = Asked::Exists { path, watches };
                self.ask_for(OpCode::Exists, &request, asked, needs, around);
            }
            4..=5 => {
                let request = PathWatchRequest {
                    path: dir.as_str().into(),
                    watch,
                };
                let needs = vec![(dir.clone(), Perms::READ)];
                let path = dir.clone();
                let asked = Asked::List { path, watches };
                self.ask_for(OpCode::GetChildren2, &request, asked, needs, around);
            }
            _ => {
                let request = PathRequest {
                    path: at.as_str().into(),
                };
                let needs = vec![(at.clone(), Perms::READ | Perms::ADMIN)];
                let asked = Asked::GetAcl(path);
                self.ask_for(OpCode::GetAcl, &request, asked, needs, around);
            }
        }
    }

    fn ask_for(
        &mut self,
        op: OpCode,
        record: &impl Encode,
        asked: Asked,
        needs: Vec<Need>,
        around: &mut Surroundings,
    ) {
        let waiting = self.waiting(asked, needs, op.is_write(), None);
        self.ask_as(op, record, waiting, around);
    }

    fn waiting(
        &self,
        asked: Asked,
        needs: Vec<Need>,
        is_write: bool,
        grants: Option<Grants>,
    ) -> Waiting {
        let users = self.conn.as_ref().map(|conn| conn.watches.users);
        let access = Access {
            needs,
            users: users.unwrap_or_default(),
            is_write,
        };
        Waiting {
            access: Some(access),
            grants,
            ..Waiting::new(asked)
        }
    }
}

fn draw_grants(rng: &mut fastrand::Rng) -> Grants {
    let mut grant = || {
        let grantee = match rng.u32(0..8) {
            0..=1 => Grantee::World,
            2 => Grantee::Address,
            3 => Grantee::Me,
            _ => Grantee::User(rng.usize(0..users::COUNT)),
        };
        (RIGHTS[rng.usize(0..RIGHTS.len())], grantee)
    };
    let first = grant();
    let second = grant();
    if rng.bool() {
        vec![first]
    } else {
        vec![first, second]
    }
}

fn list_of(grants: &Grants) -> Vec<RawAcl<'static>> {
    let entry = |(perms, grantee): &(Perms, Grantee)| {
        let (scheme, id) = match grantee {
            Grantee::World => ("world", "anyone"),
            Grantee::Address => ("ip", users::ADDRESS),
            Grantee::User(user) => ("digest", users::id(*user)),
            Grantee::Me => ("auth", ""),
        };
        RawAcl {
            perms: *perms,
            scheme: Some(Text::Borrowed(scheme)),
            id: Some(Text::Borrowed(id)),
        }
    };
    grants.iter().map(entry).collect()
}
