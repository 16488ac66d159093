//! What a client asks.

use zabra_jute::{Encode, Text};
use zabra_proto::client::{
    AuthPacket, CheckVersionRequest, CreateRequest, DeleteRequest, MultiHeader, PathRequest,
    PathWatchRequest, RequestHeader, SetDataRequest,
};
use zabra_proto::multi::encode_element;
use zabra_proto::{OpCode, Perms, RawAcl, RemoveWatchesKind, Xid, Zxid};

use super::Client;
use super::guarded::Grants;
use super::watched::Moving;
use crate::check::{Access, WatchKind, users};
use crate::say;
use crate::surroundings::Surroundings;
use crate::trace::hash_of;

/// A request that waits for its reply, as far as the reply needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// With the hash of the data.
    Create(u64),
    Set {
        path: String,
        hash: u64,
    },
    Write,
    Get {
        path: String,
        watches: bool,
    },
    Exists {
        path: String,
        watches: bool,
    },
    List {
        path: String,
        watches: bool,
    },
    /// Of an ACL, set or looked at.
    SetAcl(String),
    GetAcl(String),
    /// With what its elements are told.
    Multi,
    AddWatch(String, WatchKind),
    RemoveWatches(String, RemoveWatchesKind),
    HasWatches(String, RemoveWatchesKind),
    SetWatches,
    /// Both twins are written, with this.
    Twins(u64),
    TwinsRead,
    Sync,
    Ping,
    Close,
    /// The last write of a world.
    Last,
}

/// A request on its way.
pub(super) struct Waiting {
    /// The client's number for it.
    pub(super) xid: Xid,
    pub(super) asked: Asked,
    /// The last txn that anybody had been told of then.
    pub(super) floor: Zxid,
    /// What it needs, where not everybody has that.
    pub(super) access: Option<Access>,
    /// The list that it sets.
    pub(super) grants: Option<Grants>,
}

impl Waiting {
    pub(super) fn new(asked: Asked) -> Self {
        Self {
            xid: Xid(0),
            asked,
            floor: Zxid::ZERO,
            access: None,
            grants: None,
        }
    }
}

/// So many znodes that everybody writes to.
pub(super) const SHARED: usize = 6;
/// So many znodes with children, and so many children each.
pub(super) const DIRS: usize = 2;
pub(super) const CHILDREN: usize = 4;

impl Client {
    /// Asks for something, or says that it lives.
    pub(super) fn be_busy(&mut self, around: &mut Surroundings) {
        let now = around.kernel.now();
        let timeout_us = self.timeout_us(around);
        let Some(conn) = &self.conn else { return };
        let (outstanding, said) = (conn.asked.len(), conn.said);
        if self.is_calm {
            let last = if self.has_last_sync {
                Asked::Sync
            } else {
                Asked::Last
            };
            let is_asked = conn.asked.iter().any(|waiting| waiting.asked == last);
            if !self.is_served && !is_asked && self.has_last_sync {
                self.ask_sync("/", around);
            } else if !self.is_served && !is_asked {
                self.ask_last(around);
            } else if now.since(said) > timeout_us / 6 {
                self.ping(around);
            }
        } else if outstanding < around.plan.pipeline {
            self.ask_something(around);
        } else if now.since(said) > timeout_us / 6 {
            self.ping(around);
        }
    }

    fn ping(&mut self, around: &mut Surroundings) {
        self.put(Xid::PING, OpCode::Ping, &(), around);
        if let Some(conn) = &mut self.conn {
            let xid = Xid::PING;
            conn.asked.push_back(Waiting {
                xid,
                ..Waiting::new(Asked::Ping)
            });
        }
    }

    fn ask_last(&mut self, around: &mut Surroundings) {
        let path = format!("/last-{}", self.at);
        let create = create_request(&path, b"", 2);
        self.ask(OpCode::Create, &create, Asked::Last, around);
    }

    pub(super) fn ask_anything(&mut self, around: &mut Surroundings) {
        let shared = format!("/k{}", around.kernel.rng.usize(0..SHARED));
        let own = format!("/e{}-{}", self.at, around.kernel.rng.usize(0..3));
        self.written += 1;
        let data = format!("c{}-{}", self.at, self.written).into_bytes();
        let hash = hash_of(&data);
        if around.kernel.chance(around.plan.guarded_permille) {
            return self.ask_guarded(&data, around);
        }
        if around.kernel.chance(around.plan.fading_permille) {
            return self.ask_fading(&data, around);
        }
        if around.kernel.chance(around.plan.lasting_permille) {
            return self.ask_lasting(around);
        }
        // One in three writes nothing, so that no write of its own stands between it and what it asks.
        let writes = self.at % 3 != 2;
        let kinds = if writes { 0..100 } else { 60..98 };
        match around.kernel.rng.u32(kinds) {
            0..=4 => self.ask_of_dir(&data, around),
            5..=14 => {
                let create = create_request(&shared, &data, 0);
                self.ask(OpCode::Create, &create, Asked::Create(hash), around);
            }
            15..=34 => {
                let set = SetDataRequest {
                    path: shared.as_str().into(),
                    data: Some(&data),
                    version: -1,
                };
                let path = shared.clone();
                self.ask(OpCode::SetData, &set, Asked::Set { path, hash }, around);
            }
            35..=41 => {
                let delete = DeleteRequest {
                    path: shared.as_str().into(),
                    version: -1,
                };
                self.ask(OpCode::Delete, &delete, Asked::Write, around);
            }
            42..=49 => {
                let create = create_request(&own, &data, 1);
                self.ask(OpCode::Create, &create, Asked::Create(hash), around);
            }
            50..=53 => {
                let create = create_request("/q-", &data, 3);
                self.ask(OpCode::Create, &create, Asked::Create(hash), around);
            }
            54..=59 => self.ask_multi(&shared, &own, &data, around),
            60..=89 => self.ask_read(shared, around),
            90..=95 => self.ask_sync(&shared, around),
            96 => self.ask(OpCode::CloseSession, &(), Asked::Close, around),
            97 if around.kernel.chance(300) => self.stray(around),
            97 => self.ping(around),
            _ => self.ask_of_dir(&data, around),
        }
    }

    pub(super) fn ask_sync(&mut self, path: &str, around: &mut Surroundings) {
        let sync = PathRequest { path: path.into() };
        self.ask(OpCode::Sync, &sync, Asked::Sync, around);
    }

    /// Something about a znode with children.
    fn ask_of_dir(&mut self, data: &[u8], around: &mut Surroundings) {
        let dir = format!("/d{}", around.kernel.rng.usize(0..DIRS));
        let child = format!("{dir}/x{}", around.kernel.rng.usize(0..CHILDREN));
        let hash = hash_of(data);
        match around.kernel.rng.u32(0..10) {
            0..=1 => {
                let create = create_request(&dir, data, 0);
                self.ask(OpCode::Create, &create, Asked::Create(hash), around);
            }
            2..=5 => {
                let is_ephemeral = i32::from(around.kernel.chance(500));
                let create = create_request(&child, data, is_ephemeral);
                self.ask(OpCode::Create, &create, Asked::Create(hash), around);
            }
            n => {
                let gone = if n == 9 { dir } else { child };
                let delete = DeleteRequest {
                    path: gone.as_str().into(),
                    version: -1,
                };
                self.ask(OpCode::Delete, &delete, Asked::Write, around);
            }
        }
    }

    /// Takes the watches of another connection along.
    pub(super) fn set_watches(&mut self, moving: Moving, around: &mut Surroundings) {
        let request = moving.request();
        say!(around.kernel, "c{} sets {request:?}", self.at);
        let Some(conn) = &mut self.conn else { return };
        let xid = Xid::SET_WATCHES;
        conn.asked.push_back(Waiting {
            xid,
            ..Waiting::new(Asked::SetWatches)
        });
        // Some clients know only the older form.
        match moving.old_request().filter(|_| self.at % 2 == 1) {
            Some(old) => self.put(xid, OpCode::SetWatches, &old, around),
            None => self.put(xid, OpCode::SetWatches2, &request, around),
        }
        if let Some(conn) = &mut self.conn {
            conn.moving = Some(moving);
        }
    }

    fn ask_read(&mut self, path: String, around: &mut Surroundings) {
        let watches = around.kernel.chance(300);
        if around.kernel.chance(250) {
            let path = format!("/d{}", around.kernel.rng.usize(0..DIRS));
            let request = PathWatchRequest {
                path: path.clone().into(),
                watch: watches,
            };
            let asked = Asked::List { path, watches };
            return self.ask(OpCode::GetChildren2, &request, asked, around);
        }
        let request = PathWatchRequest {
            path: path.clone().into(),
            watch: watches,
        };
        if around.kernel.chance(300) {
            let asked = Asked::Exists { path, watches };
            self.ask(OpCode::Exists, &request, asked, around);
        } else {
            let asked = Asked::Get { path, watches };
            self.ask(OpCode::GetData, &request, asked, around);
        }
    }

    fn ask_multi(&mut self, shared: &str, own: &str, data: &[u8], around: &mut Surroundings) {
        let mut body = Vec::new();
        let set = SetDataRequest {
            path: shared.into(),
            data: Some(data),
            version: -1,
        };
        encode_element(OpCode::SetData, &set, &mut body);
        match around.kernel.rng.u32(0..3) {
            0 => encode_element(OpCode::Create, &create_request(own, data, 1), &mut body),
            1 => encode_element(
                OpCode::Check,
                &CheckVersionRequest {
                    path: shared.into(),
                    version: 1,
                },
                &mut body,
            ),
            _ => encode_element(
                OpCode::Delete,
                &DeleteRequest {
                    path: own.into(),
                    version: -1,
                },
                &mut body,
            ),
        }
        MultiHeader::END.encode(&mut body);
        self.ask(OpCode::Multi, &Raw(body), Asked::Write, around);
    }

    pub(super) fn ask(
        &mut self,
        op: OpCode,
        record: &impl Encode,
        asked: Asked,
        around: &mut Surroundings,
    ) {
        self.ask_as(op, record, Waiting::new(asked), around);
    }

    pub(super) fn ask_as(
        &mut self,
        op: OpCode,
        record: &impl Encode,
        waiting: Waiting,
        around: &mut Surroundings,
    ) {
        let Some(conn) = &mut self.conn else { return };
        self.next_xid += 1;
        let xid = Xid(self.next_xid);
        let asked = &waiting.asked;
        say!(
            around.kernel,
            "c{} asks #{} {op:?} {asked:?}",
            self.at,
            xid.0
        );
        let floor = around.check.told();
        conn.asked.push_back(Waiting {
            xid,
            floor,
            ..waiting
        });
        self.put(xid, op, record, around);
    }

    /// Says that it is somebody.
    pub(super) fn show(&mut self, user: usize, around: &mut Surroundings) {
        let (Some(session), Some(conn)) = (self.session, &mut self.conn) else {
            return;
        };
        say!(around.kernel, "c{} is user {user}", self.at);
        conn.watches.users = conn.watches.users.with(user);
        around.check.shows(session.id, user);
        let packet = AuthPacket {
            kind: 0,
            scheme: Some(Text::Borrowed("digest")),
            auth: Some(users::credentials(user).as_bytes()),
        };
        let mut body = Vec::new();
        let (xid, op) = (Xid::AUTH, OpCode::Auth.code());
        RequestHeader { xid, op }.encode(&mut body);
        packet.encode(&mut body);
        self.send(&body, around);
    }

    fn put(&mut self, xid: Xid, op: OpCode, record: &impl Encode, around: &mut Surroundings) {
        let mut body = Vec::new();
        let op = op.code();
        RequestHeader { xid, op }.encode(&mut body);
        record.encode(&mut body);
        if let Some(conn) = &mut self.conn {
            let required = around.check.must_show(around.kernel.now());
            conn.required.push_back(required);
        }
        self.send(&body, around);
    }
}

/// Bytes that are encoded already.
pub(super) struct Raw(pub(super) Vec<u8>);

impl Encode for Raw {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

pub(super) fn create_request<'a>(path: &'a str, data: &'a [u8], flags: i32) -> CreateRequest<'a> {
    let everybody = RawAcl {
        perms: Perms::ALL,
        scheme: Some(Text::Borrowed("world")),
        id: Some(Text::Borrowed("anyone")),
    };
    CreateRequest {
        path: path.into(),
        data: Some(data),
        acl: Some(vec![everybody]),
        flags,
    }
}
