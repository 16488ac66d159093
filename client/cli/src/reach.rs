//! Why no server serves the session: each is tried once, for the person who waits.
//!
//! What it is not: the client goes on looking for a server by itself, with its own connections.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use zabra_client::ConnectString;

/// How long a server may take to accept a connection.
const PATIENCE: Duration = Duration::from_secs(1);

/// A line for each server of a connect string.
pub(crate) async fn why(servers: &str) -> Vec<String> {
    let Ok(servers) = servers.parse::<ConnectString>() else {
        return Vec::new();
    };
    let tries = servers.hosts.into_iter().map(|server| {
        let name = server.to_string();
        let found = tokio::spawn(async move {
            let connected = TcpStream::connect((server.host.as_str(), server.port));
            reason(timeout(PATIENCE, connected).await.ok())
        });
        (name, found)
    });
    let tries: Vec<_> = tries.collect();
    let mut lines = Vec::new();
    for (name, found) in tries {
        // A task that was not let run says nothing.
        if let Ok(reason) = found.await {
            lines.push(format!("{name}: {reason}"));
        }
    }
    lines
}

/// What the end of a try means; none is one that took too long.
fn reason<T>(connected: Option<io::Result<T>>) -> String {
    match connected {
        None => "does not answer".to_owned(),
        Some(Ok(_)) => "accepts connections, but does not serve sessions now".to_owned(),
        Some(Err(error)) => crate::failure::of_system(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_fail_has_its_words() {
        let refused: io::Result<()> = Err(io::Error::from_raw_os_error(111));
        assert_eq!(reason(Some(refused)), "Connection refused");
        assert_eq!(reason::<()>(None), "does not answer");
        assert!(reason(Some(Ok(()))).contains("does not serve"));
    }

    #[tokio::test]
    async fn each_server_is_named_with_its_reason() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        let lines = why(&format!("{server},{server}/app")).await;
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with(&format!("{server}: accepts")));
        assert!(why("").await.is_empty());
    }
}
