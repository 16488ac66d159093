//! The changes of a session's state.

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use zabra_cnxn::SessionState;

/// A stream of states, in their order: first the one at the time of [`Client::states`](crate::Client::states), then every
/// change. If more than 64 changes were not taken, the oldest are left out.
#[derive(Debug)]
pub struct States {
    current: Option<SessionState>,
    changes: Receiver<SessionState>,
    is_over: bool,
}

impl States {
    pub(crate) fn new(current: SessionState, changes: Receiver<SessionState>) -> Self {
        Self {
            current: Some(current),
            changes,
            is_over: false,
        }
    }

    /// The next state; `None` after a final one. Cancel-safe.
    pub async fn next(&mut self) -> Option<SessionState> {
        if self.is_over {
            return None;
        }
        let state = match self.current.take() {
            Some(state) => state,
            None => self.change().await?,
        };
        self.is_over = state.is_final();
        Some(state)
    }

    async fn change(&mut self) -> Option<SessionState> {
        loop {
            match self.changes.recv().await {
                Ok(state) => return Some(state),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// Waits for a state; `false` if it cannot come any more.
    pub async fn wait_for(&mut self, is_it: impl Fn(SessionState) -> bool) -> bool {
        while let Some(state) = self.next().await {
            if is_it(state) {
                return true;
            }
        }
        false
    }
}
