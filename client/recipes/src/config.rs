//! Configuration that is published in a znode and followed by all who use it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::error::{Error, Lost};
use crate::follow::{Follow, Seen, Versioned};
use crate::sessions::Sessions;

/// A configuration in a znode, read by a function of the user's and followed in the background.
///
/// - Guaranteed: the current configuration is the last one seen that could be read; a later one replaces it whole. A znode
///   that is deleted or cannot be read changes nothing, and is told by [`ConfigWatcher::fault`].
/// - Not guaranteed: that every version is seen; of several in a row the last one is.
#[derive(Debug)]
pub struct ConfigWatcher<T> {
    current: watch::Receiver<Current<T>>,
    /// mzxid of what was returned last; 0 before that.
    told: AtomicI64,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Current<T> {
    config: Option<Arc<Versioned<T>>>,
    fault: Option<Error>,
    is_over: bool,
}

impl<T: Send + Sync + 'static> ConfigWatcher<T> {
    /// Follows the znode from now on. `parse` reads its data; its error is a text for people.
    #[must_use]
    pub fn start<E: ToString>(
        sessions: impl Into<Sessions>,
        path: &str,
        parse: impl Fn(&[u8]) -> Result<T, E> + Send + Sync + 'static,
    ) -> Self {
        let follow = Follow::start(sessions.into(), path.to_owned());
        let first = Current {
            config: None,
            fault: None,
            is_over: false,
        };
        let (tell, current) = watch::channel(first);
        let path = path.to_owned();
        let task = tokio::spawn(async move {
            let mut changes = follow.changes();
            while changes.changed().await.is_ok() {
                let seen = changes.borrow_and_update().clone();
                tell.send_modify(|current| match seen {
                    Seen::Unknown => {}
                    Seen::Absent => current.fault = Some(Lost::Deleted.into()),
                    Seen::Ended(error) => {
                        current.fault = Some(error);
                        current.is_over = true;
                    }
                    Seen::Value(data) => match parse(&data.value) {
                        Err(why) => current.fault = Some(Error::malformed(&path, why)),
                        Ok(value) => {
                            let stat = data.stat;
                            current.config = Some(Arc::new(Versioned { value, stat }));
                            current.fault = None;
                        }
                    },
                });
            }
        });
        Self {
            current,
            told: AtomicI64::new(0),
            task,
        }
    }

    /// The configuration; the first time waits until there is one.
    ///
    /// # Errors
    /// It is not followed any more, as the session has ended.
    pub async fn current(&self) -> Result<Arc<Versioned<T>>, Error> {
        self.wait_for(|current| current.config.is_some() || current.is_over)
            .await
    }

    /// Waits until the configuration is another one than the last that was returned here or by
    /// [`ConfigWatcher::current`], and returns it. Cancel safe.
    ///
    /// # Errors
    /// It is not followed any more, as the session has ended.
    pub async fn changed(&self) -> Result<Arc<Versioned<T>>, Error> {
        let told = self.told.load(Ordering::SeqCst);
        let is_new = |config: &Arc<Versioned<T>>| config.stat.mzxid != told;
        self.wait_for(|current| current.config.as_ref().is_some_and(is_new) || current.is_over)
            .await
    }

    async fn wait_for(
        &self,
        is_it: impl FnMut(&Current<T>) -> bool,
    ) -> Result<Arc<Versioned<T>>, Error> {
        let mut current = self.current.clone();
        let settled = current.wait_for(is_it).await.map_err(|_| Lost::Released)?;
        match (&settled.config, &settled.fault) {
            (_, Some(fault)) if settled.is_over => Err(fault.clone()),
            (Some(config), _) => {
                self.told.store(config.stat.mzxid, Ordering::SeqCst);
                Ok(Arc::clone(config))
            }
            (None, _) => Err(Lost::Released.into()),
        }
    }

    /// Why the znode's present content is not the current configuration, if it is not.
    #[must_use]
    pub fn fault(&self) -> Option<Error> {
        self.current.borrow().fault.clone()
    }
}

impl<T> Drop for ConfigWatcher<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}
