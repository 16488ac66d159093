//! How the name of a server becomes addresses.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use tokio::net::lookup_host;
use zabra_cnxn::HostPort;

/// Asked at each attempt to connect, so that a server that has moved is found (P73).
#[derive(Clone)]
pub(crate) struct Resolver(Arc<dyn Fn(HostPort) -> Resolving + Send + Sync>);

type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

impl Resolver {
    pub(crate) fn new<F>(resolve: impl Fn(HostPort) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    {
        Self(Arc::new(move |host| Box::pin(resolve(host))))
    }

    /// The addresses of a server, in an order of chance.
    pub(crate) async fn addresses(&self, host: &HostPort) -> io::Result<Vec<SocketAddr>> {
        let mut addresses = (self.0)(host.clone()).await?;
        fastrand::shuffle(&mut addresses);
        Ok(addresses)
    }
}

impl Default for Resolver {
    /// What the machine itself uses.
    fn default() -> Self {
        Self::new(|host| async move {
            let addresses = lookup_host((host.host, host.port)).await?;
            Ok(addresses.collect())
        })
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}
