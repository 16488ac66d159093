//! Chooses instances of one service from a local copy.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::instance::ServiceInstance;
use crate::cache::{Cache, CacheEvents, CacheOptions};
use crate::decide::strategy::{Chosen, Down, DownPolicy, Strategy};
use crate::error::Error;
use crate::sessions::Sessions;

/// Chooses one instance after the other; the same as Curator's `ServiceProvider`.
#[derive(Debug)]
pub struct ServiceProvider {
    cache: Cache,
    strategy: Strategy,
    policy: DownPolicy,
    memory: Mutex<Memory>,
    start: Instant,
}

#[derive(Debug, Default)]
struct Memory {
    chosen: Chosen,
    down: Down,
}

impl ServiceProvider {
    pub(crate) async fn start(
        sessions: &Sessions,
        path: &str,
        strategy: Strategy,
        policy: DownPolicy,
    ) -> Result<Self, Error> {
        let cache = Cache::start(sessions, path, CacheOptions::default());
        cache.initialized().await?;
        Ok(Self {
            cache,
            strategy,
            policy,
            memory: Mutex::default(),
            start: Instant::now(),
        })
    }

    /// An instance to ask: enabled, not down. When all are down, all are tried.
    #[must_use]
    pub fn instance(&self) -> Option<ServiceInstance> {
        let now_ms = self.now_ms();
        let mut all = self.instances();
        let mut memory = self.memory();
        let is_up =
            |instance: &ServiceInstance| !memory.down.is_down(&instance.id, self.policy, now_ms);
        if all.iter().any(is_up) {
            all.retain(is_up);
        }
        let ids: Vec<&str> = all.iter().map(|instance| instance.id.as_str()).collect();
        let place = self
            .strategy
            .choose(&ids, fastrand::u64(..), &mut memory.chosen)?;
        Some(all.swap_remove(place))
    }

    /// Notes that an instance did not answer.
    pub fn note_error(&self, instance: &ServiceInstance) {
        let now_ms = self.now_ms();
        self.memory()
            .down
            .on_error(&instance.id, self.policy, now_ms);
    }

    /// All enabled instances, by id.
    #[must_use]
    pub fn instances(&self) -> Vec<ServiceInstance> {
        let nodes = self.cache.children(self.cache.root());
        let instances = nodes
            .iter()
            .filter_map(|node| ServiceInstance::from_json(&node.data).ok());
        instances.filter(|instance| instance.enabled).collect()
    }

    /// Changes of the instances from now on.
    #[must_use]
    pub fn changes(&self) -> CacheEvents {
        self.cache.events()
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
