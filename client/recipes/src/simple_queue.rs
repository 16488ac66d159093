//! A queue without locks: an item is gone when it is taken.

use zabra_client::{CreateMode, Error as ClientError, ErrorCode};

use crate::decide::mirror::join;
use crate::error::Error;
use crate::patient::{Patient, is_passing};
use crate::queue::append;
use crate::sessions::Sessions;

/// A queue at a path whose takers delete an item first and work on it then; the layout of ZooKeeper's own queue recipe and
/// Curator's `SimpleDistributedQueue`, or of kazoo's `Queue`.
///
/// - Guaranteed: an item is taken at most once. The bytes of a znode are those of the item.
/// - Not guaranteed: that it is worked on. Who takes it and fails has lost it; if the answer to its deletion is lost and it is
///   gone, nobody knows who took it ([`Error::InDoubt`]). [`crate::Queue`] loses none.
/// - Order: that of putting; with kazoo's names that of priority, then of putting.
/// - A put whose answer is lost may put the item twice.
#[derive(Debug, Clone)]
pub struct SimpleQueue {
    sessions: Sessions,
    path: String,
    names: ItemNames,
}

/// What the names of items are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ItemNames {
    /// `qn-<number>`, as ZooKeeper's recipe and Curator have them.
    #[default]
    ZooKeeper,
    /// `entry-<priority>-<number>`, as kazoo has them; ours get its usual priority, 100.
    Kazoo,
}

impl ItemNames {
    /// What all begin with.
    const fn prefix(self) -> &'static str {
        match self {
            Self::ZooKeeper => "qn-",
            Self::Kazoo => "entry-",
        }
    }

    /// What those that are put begin with.
    const fn put_prefix(self) -> &'static str {
        match self {
            Self::ZooKeeper => "qn-",
            Self::Kazoo => "entry-100-",
        }
    }

    /// The items among `children`, in the order in which they are taken.
    fn in_order(self, children: &[String]) -> Vec<&str> {
        let names = children.iter().map(String::as_str);
        let mut items: Vec<&str> = names
            .filter(|name| name.starts_with(self.prefix()))
            .collect();
        items.sort_unstable();
        items
    }
}

impl SimpleQueue {
    /// The queue at a path; nothing is asked of the server yet.
    #[must_use]
    pub fn new(sessions: impl Into<Sessions>, path: &str) -> Self {
        Self {
            sessions: sessions.into(),
            path: path.to_owned(),
            names: ItemNames::default(),
        }
    }

    /// Whose names its items bear.
    #[must_use]
    pub const fn names(mut self, names: ItemNames) -> Self {
        self.names = names;
        self
    }

    /// Puts an item at the end.
    ///
    /// # Errors
    /// The session has ended or the server refuses.
    pub async fn put(&self, item: &[u8]) -> Result<(), Error> {
        let patient = self.sessions.patient().await?;
        append(&patient, &self.path, self.names.put_prefix(), item, false).await
    }

    /// How many items there are.
    ///
    /// # Errors
    /// The session has ended or the server refuses.
    pub async fn len(&self) -> Result<usize, Error> {
        let patient = self.sessions.patient().await?;
        let children = patient.children(&self.path).await?;
        Ok(children.map_or(0, |(names, _)| self.names.in_order(&names).len()))
    }

    /// Whether there are none.
    ///
    /// # Errors
    /// As [`SimpleQueue::len`].
    pub async fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.len().await? == 0)
    }

    /// Waits for the first item and takes it out. Not cancel safe: dropped, it may have taken one.
    ///
    /// # Errors
    /// The session has ended and there is no other, the server refuses, or an item is gone and it is not known whether it was
    /// taken for us ([`Error::InDoubt`]).
    pub async fn take(&self) -> Result<Vec<u8>, Error> {
        loop {
            let patient = self.sessions.patient().await?;
            let taken = self.take_on(&patient).await;
            if let Some(taken) = self.sessions.settled(taken) {
                return taken;
            }
        }
    }

    async fn take_on(&self, patient: &Patient) -> Result<Vec<u8>, Error> {
        let container = CreateMode::Container.into();
        patient.ensure(&self.path, &[], &container).await?;
        loop {
            let children = patient.children_watched(&self.path).await?;
            let Some((names, _, put)) = children else {
                patient.ensure(&self.path, &[], &container).await?;
                continue;
            };
            for name in self.names.in_order(&names) {
                if let Some(item) = take_out(patient, &join(&self.path, name)).await? {
                    return Ok(item);
                }
            }
            put.fired().await;
        }
    }
}

/// Reads an item and deletes it; `None` when another did.
async fn take_out(patient: &Patient, path: &str) -> Result<Option<Vec<u8>>, Error> {
    let Some((data, _)) = patient.data(path).await? else {
        return Ok(None);
    };
    let in_doubt = || Error::InDoubt {
        path: path.to_owned(),
    };
    loop {
        match patient.session().delete(path).await {
            Ok(()) => return Ok(Some(data)),
            Err(error) if error.is(ErrorCode::NO_NODE) => return Ok(None),
            Err(error) if is_passing(&error) => {
                let left = async {
                    patient.catch_up(path).await?;
                    patient.stat(path).await
                };
                if left.await.map_err(|_| in_doubt())?.is_none() {
                    return Err(in_doubt());
                }
            }
            Err(ClientError::SessionExpired) => return Err(in_doubt()),
            Err(error) => return Err(error.into()),
        }
    }
}
