//! One session of the shell: its client, its watches, and the word about its state.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use zabra_client::{Client, Error, SessionState};

use crate::configuration::Configuration;
use crate::invocation::Invocation;
use crate::watches::Watches;

/// A session that was begun.
pub(crate) struct Session {
    /// The client.
    pub(crate) client: Client,
    /// What is printed when something happens.
    pub(crate) watches: Watches,
    teller: Arc<Teller>,
}

impl Session {
    /// Begins a session and does not wait for a server. Called in a runtime.
    ///
    /// # Errors
    /// `host` is no list of servers.
    pub(crate) fn start(
        host: &str,
        asked: &Invocation,
        configuration: &Configuration,
        watches: Watches,
    ) -> Result<Self, Error> {
        let mut builder = Client::builder(host)
            .session_timeout(asked.timeout)
            .allow_read_only(asked.read_only);
        if let Some(timeout) = configuration.request_timeout {
            builder = builder.request_timeout(timeout);
        }
        let client = builder.start()?;
        watches.listen(client.events());
        let teller = Arc::new(Teller {
            told: Mutex::new(SessionState::Connecting),
            watches: watches.clone(),
            quiet: asked.quiet,
        });
        let (mut states, background) = (client.states(), Arc::clone(&teller));
        tokio::spawn(async move {
            while let Some(state) = states.next().await {
                background.tell(state);
            }
        });
        Ok(Self {
            client,
            watches,
            teller,
        })
    }

    /// Waits until a server serves the session, or the session has ended, at most for `limit`; then the state has been
    /// printed, so that no later output comes before it. `true` if a server serves it.
    pub(crate) async fn await_server(&self, limit: Duration) -> bool {
        let mut states = self.client.states();
        let settled = states.wait_for(|state| state.is_connected() || state.is_final());
        // Whatever came of it is seen in the state.
        let _ = tokio::time::timeout(limit, settled).await;
        let state = self.client.state();
        self.teller.tell(state);
        state.is_connected()
    }

    /// Whether it can still be used.
    pub(crate) fn is_alive(&self) -> bool {
        !self.client.state().is_final()
    }

    /// The state in Apache's words, for the prompt.
    pub(crate) fn state_name(&self) -> &'static str {
        match self.client.state() {
            SessionState::Connecting | SessionState::Suspended | SessionState::Lost => "CONNECTING",
            SessionState::Connected => "CONNECTED",
            SessionState::ReadOnly => "CONNECTEDREADONLY",
            SessionState::AuthFailed => "AUTH_FAILED",
            SessionState::Expired | SessionState::Closed => "CLOSED",
        }
    }

    /// Ends the session. If `tell`, what happens to watched znodes by that is printed, and then the end.
    pub(crate) async fn close(&self, tell: bool) {
        let was_alive = self.is_alive();
        self.teller.hold(SessionState::Closed);
        self.watches.flush().await;
        if !tell {
            self.watches.clear();
        }
        self.client.close().await;
        if tell && was_alive {
            self.watches.flush().await;
            self.teller.print(SessionState::Closed);
        }
        self.watches.clear();
    }
}

/// Prints each change of the state once, whoever notices it first.
struct Teller {
    told: Mutex<SessionState>,
    watches: Watches,
    /// Only bad news are told.
    quiet: bool,
}

impl Teller {
    fn tell(&self, state: SessionState) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news =
            !matches!(state, SessionState::Connecting | SessionState::Lost) && *told != state;
        if is_news && *told != SessionState::Closed {
            *told = state;
            self.print(state);
        }
    }

    fn print(&self, state: SessionState) {
        let is_expected = state.is_connected() || state == SessionState::Closed;
        if !(self.quiet && is_expected) {
            self.watches.on_state(state);
        }
    }

    /// Takes a state for told.
    fn hold(&self, state: SessionState) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}
