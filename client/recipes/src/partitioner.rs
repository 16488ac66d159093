//! Work spread over the members of a group, each piece with one worker at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::cache::Missed;
use crate::decide::mirror::join;
use crate::decide::partition::decide;
use crate::error::{Error, Lost};
use crate::group::GroupMember;
use crate::guard::Guard;
use crate::mutex::Mutex;
use crate::sessions::Sessions;

/// Spreads pieces of work over all who take part at the same path, as kazoo's `SetPartitioner` does.
///
/// - Guaranteed: no two hold the same piece ([`Mutex`] under `locks/<piece>`; its guarantees hold); when the members stay the
///   same, each piece is held by one of them and the loads differ by one at most.
/// - While members come and go, a piece may be held by nobody for a while. A piece that is to go to another is given back
///   at once; whoever works on it watches its guard.
/// - All must name the same work.
#[derive(Debug)]
pub struct Partitioner {
    shares: watch::Receiver<Share>,
    task: JoinHandle<()>,
}

/// The pieces that are held, with their guards.
#[derive(Debug, Clone, Default)]
pub struct Share {
    held: BTreeMap<String, Arc<Guard>>,
    ended: Option<Error>,
}

impl Share {
    /// Every piece that is ours, with its guard.
    pub fn pieces(&self) -> impl Iterator<Item = (&str, &Arc<Guard>)> {
        let held = self.held.iter().filter(|(_, guard)| guard.is_held());
        held.map(|(piece, guard)| (piece.as_str(), guard))
    }
}

impl Partitioner {
    /// Takes part from now on under an id that nobody else has.
    #[must_use]
    pub fn start(sessions: impl Into<Sessions>, path: &str, id: &str, work: &[String]) -> Self {
        let sessions = sessions.into();
        let (tell, shares) = watch::channel(Share::default());
        let worker = Worker {
            locks: join(path, LOCKS),
            member: GroupMember::join(&sessions, &join(path, MEMBERS), id, &[]),
            id: id.to_owned(),
            work: work.to_vec(),
            sessions,
            tell,
        };
        Self {
            shares,
            task: tokio::spawn(worker.run()),
        }
    }

    /// What is held at the moment.
    #[must_use]
    pub fn share(&self) -> Share {
        self.shares.borrow().clone()
    }

    /// Waits until the share is another one, and returns it. Cancel safe.
    ///
    /// # Errors
    /// The session has ended and there is no other, or the server refuses.
    pub async fn changed(&mut self) -> Result<Share, Error> {
        if self.shares.changed().await.is_err() {
            return Err(Lost::Released.into());
        }
        let share = self.shares.borrow_and_update().clone();
        match &share.ended {
            Some(error) => Err(error.clone()),
            None => Ok(share),
        }
    }
}

impl Drop for Partitioner {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The task that takes pieces and gives them back.
struct Worker {
    sessions: Sessions,
    locks: String,
    member: GroupMember,
    id: String,
    work: Vec<String>,
    tell: watch::Sender<Share>,
}

/// A piece that was waited for, or the end of one that was held.
enum Turn {
    Got(String, Result<Arc<Guard>, Error>),
    Lost(String),
}

impl Worker {
    async fn run(self) {
        if let Err(error) = self.work().await {
            self.tell.send_modify(|share| share.ended = Some(error));
        }
    }

    async fn work(&self) -> Result<(), Error> {
        let mut changes = self.member.changes();
        self.member.joined().await?;
        // Locks that are asked for and ends that are waited for, by piece.
        let mut turns = JoinSet::new();
        let mut asked = BTreeMap::new();
        loop {
            let members: Vec<String> = self.member.members().into_keys().collect();
            let wanted = decide(&members, &self.id, &self.work);
            self.give_back(&wanted);
            asked.retain(|piece: &String, handle: &mut tokio::task::AbortHandle| {
                let is_wanted = wanted.contains(&piece.as_str());
                if !is_wanted {
                    handle.abort();
                }
                is_wanted
            });
            for piece in wanted {
                if !asked.contains_key(piece) && !self.holds(piece) {
                    let mutex = Mutex::new(&self.sessions, &join(&self.locks, piece));
                    let name = piece.to_owned();
                    let ask = turns
                        .spawn(async move { Turn::Got(name, mutex.acquire().await.map(Arc::new)) });
                    asked.insert(piece.to_owned(), ask);
                }
            }
            tokio::select! {
                change = changes.next() => match change {
                    Ok(_) | Err(Missed::Some(_)) => {}
                    Err(Missed::Ended) => return Err(Lost::Released.into()),
                },
                Some(turn) = turns.join_next() => match turn {
                    Ok(Turn::Got(piece, guard)) => {
                        asked.remove(&piece);
                        let guard = guard?;
                        let watched = Arc::clone(&guard);
                        let name = piece.clone();
                        turns.spawn(async move {
                            watched.lost().await;
                            Turn::Lost(name)
                        });
                        self.tell.send_modify(|share| drop(share.held.insert(piece, guard)));
                    }
                    Ok(Turn::Lost(piece)) => {
                        self.tell.send_if_modified(|share| {
                            let is_lost = share.held.get(&piece).is_some_and(|guard| !guard.is_held());
                            if is_lost {
                                share.held.remove(&piece);
                            }
                            is_lost
                        });
                    }
                    // It was not wanted any more.
                    Err(_) => {}
                },
            }
        }
    }

    fn holds(&self, piece: &str) -> bool {
        self.tell.borrow().held.contains_key(piece)
    }

    fn give_back(&self, wanted: &[&str]) {
        let mut given = Vec::new();
        self.tell.send_if_modified(|share| {
            let unwanted = |piece: &String| !wanted.contains(&piece.as_str());
            let pieces: Vec<String> = share
                .held
                .keys()
                .filter(|piece| unwanted(piece))
                .cloned()
                .collect();
            given.extend(pieces.iter().filter_map(|piece| share.held.remove(piece)));
            !given.is_empty()
        });
        for guard in given {
            // Those who work on it see it lost at once.
            tokio::spawn(async move { drop(guard.end().await) });
        }
    }
}

/// The child with a lock for each piece.
const LOCKS: &str = "locks";
/// The child with the members.
const MEMBERS: &str = "party";
