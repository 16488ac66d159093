//! What a client does with znodes that are swept away: containers, once their last child has gone, and znodes that live for a
//! time.

use zabra_jute::Text;
use zabra_proto::client::{
    CreateRequest, CreateTtlRequest, DeleteRequest, PathWatchRequest, SetDataRequest,
};
use zabra_proto::{CreateMode, OpCode, Perms, RawAcl};

use super::Client;
use super::ask::Asked;
use crate::surroundings::Surroundings;
use crate::trace::hash_of;

/// So many containers and so many znodes that live for a time, and so many children each.
const FADING: usize = 3;
const CHILDREN: usize = 2;

impl Client {
    /// Makes something that fades, keeps it alive, or looks at it.
    pub(super) fn ask_fading(&mut self, data: &[u8], around: &mut Surroundings) {
        let tick_ms = i64::try_from(around.plan.tick_ms).unwrap_or(1);
        let rng = &mut around.kernel.rng;
        let container = format!("/c{}", rng.usize(0..FADING));
        let timed = format!("/t{}", rng.usize(0..FADING));
        let parent = if rng.u32(0..4) == 0 {
            timed.clone()
        } else {
            container.clone()
        };
        let child = format!("{parent}/x{}", rng.usize(0..CHILDREN));
        let ttl = rng.i64(1..=tick_ms * 8);
        let hash = hash_of(data);
        // One in three writes nothing.
        let kinds = if self.at % 3 == 2 { 9..14 } else { 0..14 };
        match rng.u32(kinds) {
            0..=1 => {
                let request = create(&container, data, CreateMode::Container.code());
                self.ask(
                    OpCode::CreateContainer,
                    &request,
                    Asked::Create(hash),
                    around,
                );
            }
            2 => {
                let CreateRequest { path, acl, .. } = create(&timed, data, 0);
                let request = CreateTtlRequest {
                    path,
                    data: Some(data),
                    acl,
                    flags: CreateMode::PersistentWithTtl.code(),
                    ttl,
                };
                self.ask(OpCode::CreateTtl, &request, Asked::Create(hash), around);
            }
            3..=5 => {
                let request = create(&child, data, i32::from(rng.u32(0..4) == 0));
                self.ask(OpCode::Create, &request, Asked::Create(hash), around);
            }
            6..=7 => {
                let gone = if rng.u32(0..6) == 0 { parent } else { child };
                let request = DeleteRequest {
                    path: gone.as_str().into(),
                    version: -1,
                };
                self.ask(OpCode::Delete, &request, Asked::Write, around);
            }
            8 => {
                let request = SetDataRequest {
                    path: timed.as_str().into(),
                    data: Some(data),
                    version: -1,
                };
                let path = timed.clone();
                self.ask(OpCode::SetData, &request, Asked::Set { path, hash }, around);
            }
            n => self.look_at_fading(parent, n < 12, around),
        }
    }

    fn look_at_fading(&mut self, path: String, lists: bool, around: &mut Surroundings) {
        let watches = around.kernel.rng.bool();
        let shown = path.clone();
        let request = PathWatchRequest {
            path: shown.as_str().into(),
            watch: watches,
        };
        let (op, asked) = if lists {
            (OpCode::GetChildren2, Asked::List { path, watches })
        } else {
            (OpCode::GetData, Asked::Get { path, watches })
        };
        self.ask(op, &request, asked, around);
    }
}

fn create<'a>(path: &'a str, data: &'a [u8], flags: i32) -> CreateRequest<'a> {
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
