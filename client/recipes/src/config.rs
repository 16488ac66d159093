//! Configuration that is published in a znode and followed by all who use it.

use std::sync::Arc;

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
        Self { current, task }
    }

    /// The configuration; the first time waits until there is one.
    ///
    /// # Errors
    /// There is none and never will be, as the session has ended.
    pub async fn current(&self) -> Result<Arc<Versioned<T>>, Error> {
        let mut current = self.current.clone();
        let settled = current
            .wait_for(|current| current.config.is_some() || current.is_over)
            .await;
        let settled = settled.map_err(|_| Lost::Released)?;
        match (&settled.config, &settled.fault) {
            (Some(config), _) => Ok(Arc::clone(config)),
            (None, Some(fault)) => Err(fault.clone()),
            (None, None) => Err(Lost::Released.into()),
        }
    }

    /// Waits until the configuration is another one than at the last call, and returns it. Cancel safe.
    ///
    /// # Errors
    /// It is not followed any more, as the session has ended.
    pub async fn changed(&mut self) -> Result<Arc<Versioned<T>>, Error> {
        let mut known = self
            .current
            .borrow()
            .config
            .as_ref()
            .map(|config| config.stat.mzxid);
        if !self.current.has_changed().unwrap_or(false) {
            self.current.mark_unchanged();
        } else {
            known = None;
        }
        loop {
            {
                let current = self.current.borrow_and_update();
                if let Some(config) = &current.config
                    && known != Some(config.stat.mzxid)
                {
                    return Ok(Arc::clone(config));
                }
                if let (true, Some(fault)) = (current.is_over, &current.fault) {
                    return Err(fault.clone());
                }
            }
            if self.current.changed().await.is_err() {
                return Err(Lost::Released.into());
            }
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
