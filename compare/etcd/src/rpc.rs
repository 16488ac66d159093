//! A connection to an etcd, and calls on it.

use anyhow::{Context, ensure};
use bytes::{Bytes, BytesMut};
use h2::client::SendRequest;
use http::{HeaderMap, Method, Request, Version};
use tokio::net::TcpStream;

use crate::wire;

/// The server answered that it does not do it: under much load its own deadline of 7 s passes.
#[derive(Debug)]
pub struct Refused(String);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// A connection that any number of calls share. A copy is the same connection.
#[derive(Debug, Clone)]
pub struct Session {
    requests: SendRequest<Bytes>,
    authority: String,
}

impl Session {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens, or does not speak HTTP/2.
    pub async fn open(server: &str) -> anyhow::Result<Self> {
        let socket = TcpStream::connect(server).await?;
        socket.set_nodelay(true)?;
        let (requests, connection) = h2::client::Builder::new()
            .initial_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .handshake(socket)
            .await?;
        // It ends with the session; what went wrong is seen by the calls.
        tokio::spawn(connection);
        Ok(Self {
            requests,
            authority: server.to_owned(),
        })
    }

    /// Reads a key; the length of its value.
    ///
    /// # Errors
    /// The server did not answer, or with an error.
    pub async fn range(&mut self, key: &[u8], serializable: bool) -> anyhow::Result<Option<usize>> {
        let answer = self.call("Range", wire::range(key, serializable)).await?;
        wire::value_len(&answer)
    }

    /// Writes a key.
    ///
    /// # Errors
    /// As [`Session::range`].
    pub async fn put(&mut self, key: &[u8], value: &[u8]) -> anyhow::Result<()> {
        self.call("Put", wire::put(key, value)).await?;
        Ok(())
    }

    async fn call(&mut self, method: &str, message: Bytes) -> anyhow::Result<BytesMut> {
        let uri = format!("http://{}/etcdserverpb.KV/{method}", self.authority);
        let request = Request::builder()
            .method(Method::POST)
            .version(Version::HTTP_2)
            .uri(uri)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())?;
        let mut ready = self.requests.clone().ready().await?;
        let (answer, mut body) = ready.send_request(request, false)?;
        body.send_data(message, true)?;
        let answer = answer.await?;
        ensure!(answer.status().is_success(), "HTTP {}", answer.status());
        // An error without an answer has its status here.
        check(answer.headers())?;
        let mut body = answer.into_body();
        let mut message = BytesMut::new();
        while let Some(part) = body.data().await {
            let part = part?;
            body.flow_control().release_capacity(part.len())?;
            message.extend_from_slice(&part);
        }
        let trailers = body.trailers().await?.context("no status")?;
        check(&trailers)?;
        Ok(message)
    }
}

/// An error unless gRPC's status is missing or 0.
fn check(headers: &HeaderMap) -> anyhow::Result<()> {
    match headers.get("grpc-status") {
        None => Ok(()),
        Some(status) if status == "0" => Ok(()),
        Some(status) => {
            let why = headers.get("grpc-message");
            Err(Refused(format!("gRPC status {status:?}: {why:?}")).into())
        }
    }
}

/// Bytes that the server may send before they were read: more than all answers under way.
const WINDOW: u32 = 16 << 20;
