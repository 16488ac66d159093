//! Queues of items in znodes: in order of arrival, by priority, with ids.

use std::time::{Duration, SystemTime};

use zabra_client::{CreateMode, CreateOptions, Error as ClientError, ErrorCode};

use crate::decide::mirror::join;
use crate::decide::queue::{ITEM, decode, due, encode, id, id_prefix, in_order, priority_prefix};
use crate::decide::sequence::find_protected;
use crate::error::{Error, Lost};
use crate::patient::{Patient, is_passing};
use crate::session::Write;
use crate::sessions::Sessions;

/// A queue at a path; the layout of Curator's `DistributedQueue`, `DistributedIdQueue` and `DistributedPriorityQueue`.
///
/// - Guaranteed by [`Queue::take`]: each item is delivered at least once, and is gone only after [`Delivery::done`]; an item
///   whose taker's session ends is delivered to another. While a taker's session lives, nobody else has its item.
/// - Order: that of putting, or of priority; takers that run beside each other finish in any order.
/// - A put whose answer is lost may put the item twice. [`Queue::put_with_id`] under an id of its own finds out and does not,
///   unless somebody took the item and was done with it before we could look.
/// - Not guaranteed: the limit is looked at before each put, so that puts at the same time may pass it together.
///
/// A queue has items with priorities or without, not both: their names do not sort together. It is for hundreds of items,
/// as takers read all names. Curator's takers must use the same lock path.
#[derive(Debug, Clone)]
pub struct Queue {
    sessions: Sessions,
    path: String,
    locks: String,
    items_max: Option<usize>,
    /// Whether items are taken at their moments only, see [`crate::DelayQueue`].
    has_delays: bool,
}

/// An item that was taken and is ours until it is done, put back, or our session ends.
///
/// Dropped, it is put back in the background.
#[derive(Debug)]
pub struct Delivery {
    patient: Patient,
    item: String,
    lock: String,
    elements: Vec<Vec<u8>>,
    is_settled: bool,
}

impl Queue {
    /// The queue at a path, whose items are locked under `locks` while they are worked on. Nothing is asked of the server yet.
    #[must_use]
    pub fn new(sessions: impl Into<Sessions>, path: &str, locks: &str) -> Self {
        Self {
            sessions: sessions.into(),
            path: path.to_owned(),
            locks: locks.to_owned(),
            items_max: None,
            has_delays: false,
        }
    }

    /// The same with a moment in each item's name.
    pub(crate) const fn with_delays(mut self) -> Self {
        self.has_delays = true;
        self
    }

    /// How many items it may have; a put waits for room above that.
    #[must_use]
    pub const fn items_max(mut self, items: usize) -> Self {
        self.items_max = Some(items);
        self
    }

    /// Puts an item at the end.
    ///
    /// # Errors
    /// The session has ended or the server refuses.
    pub async fn put(&self, item: &[u8]) -> Result<(), Error> {
        self.put_as(ITEM, item).await
    }

    /// Puts an item behind all of the same or a smaller priority value: the smallest is taken first.
    ///
    /// # Errors
    /// As [`Queue::put`].
    pub async fn put_with_priority(&self, priority: i32, item: &[u8]) -> Result<(), Error> {
        self.put_as(&priority_prefix(priority), item).await
    }

    /// Puts an item at the end under an id, see [`Queue::remove`]. Slashes and bars in the id become underscores.
    ///
    /// # Errors
    /// As [`Queue::put`].
    pub async fn put_with_id(&self, id: &str, item: &[u8]) -> Result<(), Error> {
        self.put_as(&id_prefix(id), item).await
    }

    pub(crate) async fn put_as(&self, prefix: &str, item: &[u8]) -> Result<(), Error> {
        let patient = self.sessions.patient().await?;
        self.wait_for_room(&patient).await?;
        let is_unique = id(prefix).is_some() && !self.has_delays;
        let data = encode(&[item]);
        append(&patient, &self.path, prefix, &data, is_unique).await
    }

    async fn wait_for_room(&self, patient: &Patient) -> Result<(), Error> {
        let Some(items_max) = self.items_max else {
            return Ok(());
        };
        loop {
            let children = patient.children_watched(&self.path).await?;
            let Some((names, _, watch)) = children else {
                return Ok(());
            };
            if in_order(&names).len() < items_max {
                return Ok(());
            }
            watch.fired().await;
        }
    }

    /// How many items there are.
    ///
    /// # Errors
    /// The session has ended or the server refuses.
    pub async fn len(&self) -> Result<usize, Error> {
        let patient = self.sessions.patient().await?;
        let children = patient.children(&self.path).await?;
        Ok(children.map_or(0, |(names, _)| in_order(&names).len()))
    }

    /// Whether there are none.
    ///
    /// # Errors
    /// As [`Queue::len`].
    pub async fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.len().await? == 0)
    }

    /// Removes all items with an id that nobody works on; how many there were.
    ///
    /// # Errors
    /// The session has ended or the server refuses.
    pub async fn remove(&self, wanted: &str) -> Result<usize, Error> {
        let patient = self.sessions.patient().await?;
        let prefix = id_prefix(wanted);
        let children = patient.children(&self.path).await?;
        let names = children.map(|(names, _)| names).unwrap_or_default();
        let mut removed = 0;
        for name in names.iter().filter(|name| name.starts_with(&prefix)) {
            if let Some(delivery) = self.lock(&patient, name).await? {
                delivery.done().await?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Waits for the first item that nobody works on, and takes it. Cancel safe.
    ///
    /// # Errors
    /// The session has ended and there is no other, the server refuses, or the first item is none of a queue
    /// ([`Error::Malformed`]).
    pub async fn take(&self) -> Result<Delivery, Error> {
        loop {
            let patient = self.sessions.patient().await?;
            let taken = self.take_on(&patient).await;
            if let Some(taken) = self.sessions.settled(taken) {
                return taken;
            }
        }
    }

    async fn take_on(&self, patient: &Patient) -> Result<Delivery, Error> {
        let persistent = CreateMode::Container.into();
        patient.ensure(&self.path, &[], &persistent).await?;
        patient.ensure(&self.locks, &[], &persistent).await?;
        loop {
            // First the locks, then the items: an item that is put back in between has its lock's end told.
            let locks = patient.children_watched(&self.locks).await?;
            let items = patient.children_watched(&self.path).await?;
            let (Some((locked, _, unlock)), Some((names, _, put))) = (locks, items) else {
                return Err(Lost::Deleted.into());
            };
            let (items, next) = match self.has_delays {
                true => due_now(&names),
                false => (in_order(&names), None),
            };
            let is_free = |name: &&str| !locked.iter().any(|other| other == name);
            for name in items.into_iter().filter(is_free) {
                if let Some(delivery) = self.lock(patient, name).await? {
                    return Ok(delivery);
                }
            }
            tokio::select! {
                biased;
                () = unlock.fired() => {}
                () = put.fired() => {}
                () = tokio::time::sleep(next.unwrap_or_default()), if next.is_some() => {}
            }
        }
    }

    /// Locks an item and reads it; `None` when another has it or it is gone.
    async fn lock(&self, patient: &Patient, name: &str) -> Result<Option<Delivery>, Error> {
        let mut delivery = Delivery {
            patient: patient.clone(),
            item: join(&self.path, name),
            lock: join(&self.locks, name),
            elements: Vec::new(),
            is_settled: false,
        };
        match patient.create_ephemeral(&delivery.lock, &[]).await {
            Ok(_) => {}
            Err(Error::Client(ClientError::Server(ErrorCode::NODE_EXISTS, _))) => {
                delivery.is_settled = true;
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
        let Some((data, _)) = patient.data(&delivery.item).await? else {
            delivery.put_back().await?;
            return Ok(None);
        };
        delivery.elements = decode(&data).map_err(|why| Error::malformed(&delivery.item, why))?;
        Ok(Some(delivery))
    }
}

/// Puts an item at the end of those under `parent`. If its answer is lost, it is looked for when the prefix is its own alone;
/// otherwise it is put again.
pub(crate) async fn append(
    patient: &Patient,
    parent: &str,
    prefix: &str,
    data: &[u8],
    is_unique: bool,
) -> Result<(), Error> {
    let path = join(parent, prefix);
    let mode = CreateOptions::from(CreateMode::PersistentSequential);
    loop {
        match patient.session().create(&path, data, &mode).await {
            Ok(_) => return Ok(()),
            Err(error) if error.is(ErrorCode::NO_NODE) => patient.ensure_parent(&path).await?,
            Err(error) if is_passing(&error) && is_unique => {
                patient.catch_up(parent).await?;
                let children = patient.children(parent).await?;
                if children.is_some_and(|(names, _)| find_protected(&names, prefix).is_some()) {
                    return Ok(());
                }
            }
            Err(error) if is_passing(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The items that are due by this machine's clock, and how long it is until the next one is.
fn due_now(names: &[String]) -> (Vec<&str>, Option<Duration>) {
    let now_ms = ms(SystemTime::now());
    let due = due(names, now_ms);
    // A clock may be set: it is asked again at times.
    let wait = |next_ms: u64| Duration::from_millis(next_ms - now_ms).min(Duration::from_secs(60));
    (due.now, due.next_ms.map(wait))
}

/// Since 1970; what was before counts as that.
pub(crate) fn ms(moment: SystemTime) -> u64 {
    let since = moment.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

impl Delivery {
    /// What was put; several elements if Curator put several at once.
    #[must_use]
    pub fn elements(&self) -> &[Vec<u8>] {
        &self.elements
    }

    /// The path of the item.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.item
    }

    /// Waits until it is not ours any more, as the session has ended or may have.
    pub async fn lost(&self) -> Lost {
        self.patient.session_lost().await
    }

    /// The work is done: the item goes.
    ///
    /// # Errors
    /// [`Error::Lost`] if it was not ours any more, so that it is delivered again; or the server refuses.
    pub async fn done(mut self) -> Result<(), Error> {
        self.is_settled = true;
        loop {
            let writes = [&self.lock, &self.item].map(|path| Write::Delete { path });
            match self.patient.session().commit(&writes).await {
                Ok(_) => return Ok(()),
                Err(error) if is_passing(&error) => {
                    self.patient.catch_up(&self.item).await?;
                    if self.patient.stat(&self.item).await?.is_none() {
                        return Ok(());
                    }
                }
                Err(ClientError::Transaction { failed: 0, .. }) => return Err(Lost::Deleted.into()),
                // Somebody removed the item; what is left is the lock.
                Err(ClientError::Transaction { failed: 1, .. }) => {
                    return self.patient.delete(&self.lock).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The work is not done: the item is delivered again, to whoever comes first.
    ///
    /// # Errors
    /// The server refuses. A session that has ended has put it back.
    pub async fn put_back(mut self) -> Result<(), Error> {
        self.is_settled = true;
        match self.patient.delete(&self.lock).await {
            Err(error) if error.is_end_of_session() => Ok(()),
            deleted => deleted,
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if !self.is_settled {
            let lock = std::mem::take(&mut self.lock);
            self.patient.in_background(move |patient| async move {
                // The end of the session does the same.
                let _ = patient.delete(&lock).await;
            });
        }
    }
}
