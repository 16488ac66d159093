//! One session after the other: where recipes get their client from, also when a session has ended.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use zabra_client::{Client, Error as ClientError, SessionState};

use crate::error::Error;
use crate::patient::Patient;
use crate::session::Session;

/// Opens a session.
type Connect =
    dyn Fn() -> Pin<Box<dyn Future<Output = Result<Session, ClientError>> + Send>> + Send + Sync;

/// Where a recipe gets its client from.
///
/// A client is one session. From a [`Client`] alone a recipe works until that session ends; with a way to connect
/// ([`Sessions::new`]) it goes on in the next one: locks are asked for again, ephemerals published again, caches compared.
#[derive(Clone)]
pub struct Sessions(Arc<Inner>);

struct Inner {
    current: Mutex<Session>,
    connect: Option<Box<Connect>>,
}

impl Sessions {
    /// Connects now, and again whenever the session has ended.
    ///
    /// # Errors
    /// The first session could not be opened.
    pub async fn new<C, F>(connect: C) -> Result<Self, Error>
    where
        C: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<Client, ClientError>> + Send + 'static,
    {
        let client = connect().await?;
        let connect = move || {
            let connected = connect();
            async move { connected.await.map(Session::Client) }
        };
        Ok(Self::going_on(Session::Client(client), connect))
    }

    /// From this session on, in as many others as there will be.
    pub(crate) fn going_on<C, F>(session: Session, connect: C) -> Self
    where
        C: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<Session, ClientError>> + Send + 'static,
    {
        Self(Arc::new(Inner {
            current: Mutex::new(session),
            connect: Some(Box::new(move || Box::pin(connect()))),
        }))
    }

    /// The client of the present session, or of a new one if that has ended.
    ///
    /// # Errors
    /// The session has ended and there is no other, or the credentials were refused.
    pub async fn client(&self) -> Result<Client, Error> {
        Ok(self.patient().await?.client().clone())
    }

    async fn session(&self) -> Result<Session, Error> {
        let mut current = self.0.current.lock().await;
        let ended = match current.state() {
            SessionState::Expired => ClientError::SessionExpired,
            SessionState::AuthFailed => ClientError::AuthFailed,
            SessionState::Closed => ClientError::Closed,
            _ => return Ok(current.clone()),
        };
        let Some(connect) = self
            .0
            .connect
            .as_ref()
            .filter(|_| ended == ClientError::SessionExpired)
        else {
            return Err(ended.into());
        };
        *current = loop {
            match connect().await {
                Ok(session) => break session,
                Err(error @ (ClientError::AuthFailed | ClientError::Misuse(_))) => {
                    return Err(error.into());
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        };
        Ok(current.clone())
    }

    pub(crate) async fn patient(&self) -> Result<Patient, Error> {
        Ok(Patient::new(self.session().await?))
    }

    /// What to make of a result: `None` if its session has ended and the same can be done in the next one.
    pub(crate) fn settled<T>(&self, result: Result<T, Error>) -> Option<Result<T, Error>> {
        match &result {
            Err(error) if error.is_end_of_session() && self.0.connect.is_some() => None,
            _ => Some(result),
        }
    }
}

impl From<&Client> for Sessions {
    fn from(client: &Client) -> Self {
        Self(Arc::new(Inner {
            current: Mutex::new(Session::Client(client.clone())),
            connect: None,
        }))
    }
}

impl From<Client> for Sessions {
    fn from(client: Client) -> Self {
        Self::from(&client)
    }
}

impl From<&Self> for Sessions {
    fn from(sessions: &Self) -> Self {
        sessions.clone()
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

/// Before the next attempt, when no server could be reached.
const PAUSE: Duration = Duration::from_millis(100);
