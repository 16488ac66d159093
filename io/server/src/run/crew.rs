//! The threads of a server: how they begin, and in which order they end.

use std::sync::Arc;

use tracing::{error, info};

use super::background::Work;
use super::member::{self, History};
use crate::seat::{Fatal, Seated, Shared, take_turns};
use crate::sync::{exit, thread};

/// What the threads have besides the seat.
#[derive(Debug)]
pub(crate) struct Crew<S> {
    pub(crate) shared: Arc<Shared<S>>,
    pub(crate) work: Work,
    /// Of a member only.
    pub(crate) history: Option<History>,
}

impl<S: Seated + Send + 'static> Crew<S> {
    /// Serves until the server is stopped. The calling thread has the seat first.
    pub(crate) fn serve(self, seat: Box<S>) -> Result<(), Fatal> {
        let Self {
            shared,
            work,
            history,
        } = self;
        let background = thread::Builder::new()
            .name("background".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || shared.background.work(&work, &shared.mailbox)
            })?;
        let standby = thread::Builder::new().name("standby".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || {
                if let Err(error) = take_turns(&shared, None) {
                    // The seat is lost with this thread, and with it every connection: nothing is left to serve with.
                    error!(%error, "the server must stop");
                    exit(error.exit_code().into());
                }
            }
        })?;
        let jobs = history.as_ref().map(|history| Arc::clone(&history.jobs));
        let worker = history.map(|history| member::work(history, Arc::clone(&shared)));
        let worker = worker.transpose()?;
        let served = take_turns(&shared, Some(seat));
        shared.background.stop();
        jobs.iter().for_each(|jobs| jobs.stop());
        if served.is_ok() {
            for thread in [standby, background].into_iter().chain(worker) {
                // A thread that panicked has said so; the server ends anyway.
                let _ = thread.join();
            }
            info!("the server has stopped");
        }
        served
    }
}
