//! A client's list of servers, kept that of the ensemble.

use std::convert::Infallible;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::decide::ensemble::{Servers, servers};
use crate::error::{Error, Lost};
use crate::sessions::Sessions;

/// Keeps the list of servers of a client that of its ensemble, whoever joins or leaves it (Curator's `EnsembleTracker`).
///
/// It reads `/zookeeper/config` and is told of each change. The connection moves if its server is no member any more, and
/// else only as far as it takes to keep the load of the servers even
/// ([`update_server_list`](zabra_client::Client::update_server_list)).
///
/// - Guaranteed: no configuration is followed by an older one, and the list is never emptied: where members do not say at which
///   addresses they serve clients, as in a static configuration, or the configuration cannot be read, it stays as it was.
/// - Not guaranteed: that a client finds an ensemble of which no server is left that it has ever heard of.
#[derive(Debug)]
pub struct EnsembleTracker {
    seen: watch::Receiver<Seen>,
    task: JoinHandle<()>,
}

/// What was seen last.
#[derive(Debug, Default)]
struct Seen {
    servers: Servers,
    end: Option<Error>,
}

impl EnsembleTracker {
    /// Follows the configuration until it is dropped.
    #[must_use]
    pub fn start(sessions: impl Into<Sessions>) -> Self {
        let sessions = sessions.into();
        let (tell, seen) = watch::channel(Seen::default());
        let task = tokio::spawn(async move {
            loop {
                let Err(error) = track(&sessions, &tell).await;
                if let Some(Err(error)) = sessions.settled::<()>(Err(error)) {
                    tell.send_modify(|seen| seen.end = Some(error));
                    return;
                }
            }
        });
        Self { seen, task }
    }

    /// The servers by the last configuration that named any, as `host:port`; none before the first.
    #[must_use]
    pub fn servers(&self) -> Vec<String> {
        self.seen.borrow().servers.addresses.clone()
    }

    /// Waits until the servers are others than when this was last asked, and returns them. Cancel safe.
    ///
    /// # Errors
    /// They are not followed any more, as the session has ended.
    pub async fn changed(&mut self) -> Result<Vec<String>, Error> {
        let told = self.seen.changed().await;
        let seen = self.seen.borrow_and_update();
        match (&seen.end, told) {
            (Some(end), _) => Err(end.clone()),
            (None, Ok(())) => Ok(seen.servers.addresses.clone()),
            (None, Err(_)) => Err(Lost::Released.into()),
        }
    }
}

impl Drop for EnsembleTracker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Follows the configuration in one session.
async fn track(sessions: &Sessions, tell: &watch::Sender<Seen>) -> Result<Infallible, Error> {
    let patient = sessions.patient().await?;
    let client = patient.client();
    loop {
        let (config, _, changed) = patient.again(|| client.config_and_watch()).await?;
        match servers(&config) {
            Ok(servers) if servers.addresses.is_empty() => {}
            Ok(servers) => {
                tell.send_if_modified(|seen| seen.take(servers));
                let list = tell.borrow().servers.addresses.join(",");
                // A session that is new has the list of its own connect string.
                match client.update_server_list(&list) {
                    Ok(()) => info!(servers = %list, "the servers of the ensemble"),
                    Err(error) => warn!(servers = %list, %error, "the servers of the ensemble"),
                }
            }
            Err(why) => warn!(%why, "the ensemble's configuration cannot be read"),
        }
        // Whatever is heard, the next read says more.
        let _ = changed.await;
    }
}

impl Seen {
    /// Takes over a configuration unless the server that showed it is behind; whether the servers are others now.
    fn take(&mut self, servers: Servers) -> bool {
        if servers.version < self.servers.version {
            return false;
        }
        let is_new = servers.addresses != self.servers.addresses;
        self.servers = servers;
        is_new
    }
}

#[cfg(test)]
mod tests {
    use zabra_client::Client;
    use zabra_testserver::TestServer;

    use super::*;

    fn of(version: i64, address: &str) -> Servers {
        Servers {
            version,
            addresses: vec![address.to_owned()],
        }
    }

    #[test]
    fn no_configuration_is_followed_by_an_older_one() {
        let mut seen = Seen::default();
        assert!(seen.take(of(5, "a:1")));
        assert!(!seen.take(of(4, "b:1")));
        assert_eq!(seen.servers, of(5, "a:1"));
        assert!(!seen.take(of(6, "a:1")), "the same servers");
        assert!(seen.take(of(7, "b:1")));
    }

    #[tokio::test]
    async fn where_there_is_no_ensemble_the_list_stays() {
        let server = TestServer::start().expect("a server");
        let client = Client::connect(&server.connect_string())
            .await
            .expect("a session");
        let mut tracker = EnsembleTracker::start(&client);
        client
            .create("/a", "", zabra_client::CreateMode::Persistent)
            .await
            .expect("it is served");
        assert!(tracker.servers().is_empty());
        client.close().await;
        let ended = tracker.changed().await;
        assert!(
            matches!(ended, Err(Error::Client(zabra_client::Error::Closed))),
            "{ended:?}"
        );
    }
}
