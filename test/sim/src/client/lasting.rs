//! Watches that stay until they are taken back.

use zabra_proto::client::{AddWatchRequest, WatchesRequest};
use zabra_proto::{OpCode, RemoveWatchesKind, WatchAddMode};

use super::ask::{Asked, CHILDREN, DIRS, SHARED};
use super::{Client, guarded};
use crate::check::WatchKind;
use crate::surroundings::Surroundings;

/// Who watches so many paths takes one back.
const LASTING_MAX: usize = 4;

impl Client {
    /// Watches a path until it is taken back, or takes something back.
    pub(super) fn ask_lasting(&mut self, around: &mut Surroundings) {
        let Some(conn) = &self.conn else { return };
        let watched: Vec<String> = conn
            .watches
            .all()
            .map(|(path, _)| path.to_owned())
            .collect();
        let rng = &mut around.kernel.rng;
        if watched.len() >= LASTING_MAX && rng.bool() || rng.u32(0..10) == 0 {
            let path = match rng.choice(&watched) {
                Some(path) if rng.u32(0..10) > 0 => path.clone(),
                _ => any_path(rng),
            };
            let kinds = RemoveWatchesKind::ALL;
            let kind = kinds[rng.usize(0..kinds.len())];
            let request = WatchesRequest {
                path: path.as_str().into(),
                kind,
            };
            if rng.u32(0..4) == 0 {
                let asked = Asked::HasWatches(path.clone(), kind);
                return self.ask(OpCode::CheckWatches, &request, asked, around);
            }
            let asked = Asked::RemoveWatches(path.clone(), kind);
            return self.ask(OpCode::RemoveWatches, &request, asked, around);
        }
        let path = any_path(rng);
        let (mode, kind) = if rng.bool() {
            (WatchAddMode::Persistent, WatchKind::Persistent)
        } else {
            (WatchAddMode::PersistentRecursive, WatchKind::Recursive)
        };
        let request = AddWatchRequest {
            path: path.as_str().into(),
            mode,
        };
        let asked = Asked::AddWatch(path.clone(), kind);
        self.ask(OpCode::AddWatch, &request, asked, around);
    }
}

fn any_path(rng: &mut fastrand::Rng) -> String {
    match rng.u32(0..8) {
        0 => "/".to_owned(),
        1..=3 => format!("/k{}", rng.usize(0..SHARED)),
        4 => format!("/d{}", rng.usize(0..DIRS)),
        5 => format!("/d{}/x{}", rng.usize(0..DIRS), rng.usize(0..CHILDREN)),
        _ => guarded::any_path(rng),
    }
}
