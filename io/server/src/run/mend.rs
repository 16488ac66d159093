//! A member whose log is damaged asks the others for the very txns that it lost, before it takes part in anything.
//!
//! What may be written, and why that is safe, is `zabra-storage`'s to say ([`Wound`]); what is said between the servers is in
//! `crate::links::donor`. Here is who asks whom, and when it is given up: as soon as all others have answered and none of
//! them has the txn or may still get it, or when nothing has come for a while. Then the server stops with the damage as its
//! reason, as a standalone one does at once.
//!
//! While it waits it gives others what is good in its own log. So an ensemble in which every log is damaged somewhere
//! becomes whole as long as each txn is intact anywhere (`test/matrix`).

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tracing::{info, warn};
use zabra_config::ThisMember;
use zabra_proto::Sid;
use zabra_quorum::HostPort;
use zabra_storage::{DataDirs, Healing, StorageError, Vfs, Wound};

use crate::links::{Answered, Asked, Donor, connect};
use crate::net::{Accepted, Listener};

/// When nothing has come for so long the server stops.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two rounds of questions, and two looks at the door.
const PAUSE: Duration = Duration::from_millis(100);
/// Between two lines that say what is waited for.
const REMINDER: Duration = Duration::from_secs(10);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(2);
/// So long others can still hear that this server does not have it either.
const FAREWELL: Duration = Duration::from_secs(2);

/// Mends the logs of a member at its start.
pub(super) struct Mender<'a> {
    vfs: &'a Arc<dyn Vfs>,
    dirs: &'a DataDirs,
    donor: Arc<Donor>,
    others: BTreeMap<Sid, Vec<HostPort>>,
    listeners: &'a [Listener],
    /// The damage that was mended last.
    mended: Option<(PathBuf, u64)>,
}

impl<'a> Mender<'a> {
    /// One that asks the other members, and answers them at the election port.
    pub(super) fn new(
        (vfs, dirs): (&'a Arc<dyn Vfs>, &'a DataDirs),
        this: &ThisMember,
        listeners: &'a [Listener],
    ) -> Self {
        let address = |at: &zabra_quorum::PeerAddress| HostPort {
            host: at.host.clone(),
            port: at.election_port,
        };
        let members = this.committed.members().values();
        let others = members.filter(|member| member.sid != this.sid);
        Self {
            vfs,
            dirs,
            donor: Arc::new(Donor::new(Arc::clone(vfs), dirs.clone())),
            others: others
                .map(|member| (member.sid, member.addresses.iter().map(address).collect()))
                .collect(),
            listeners,
            mended: None,
        }
    }

    /// Mends the damage that recovery met.
    ///
    /// # Errors
    /// It cannot be mended; the error is the one of recovery, with what the others said.
    pub(super) fn mend(&mut self, error: StorageError) -> Result<(), StorageError> {
        let Some(mut wound) = Wound::of(&error, &**self.vfs, self.dirs)? else {
            return Err(error);
        };
        // A disk that does not keep what is written is not tried again.
        if self.mended.is_some() && self.mended == place(&error) {
            return Err(error);
        }
        warn!(%error, "the log is damaged; the other members are asked for what it lacks");
        let is_over = AtomicBool::new(false);
        let answers = thread::scope(|scope| {
            scope.spawn(|| self.keep_the_door(&is_over));
            let answers = self.ask_all(&mut wound);
            is_over.store(true, Ordering::SeqCst);
            answers
        })?;
        let Some(answers) = answers else {
            info!("the log is mended with txns of other members");
            self.mended = place(&error);
            return Ok(());
        };
        Err(with_answers(error, &wound, &answers))
    }

    /// Asks until the wound is closed; else what each other member said.
    fn ask_all(&self, wound: &mut Wound) -> Result<Option<BTreeMap<Sid, String>>, StorageError> {
        let mut progress = Instant::now();
        let mut reminded = Instant::now();
        if wound.close(&**self.vfs)? == Healing::Closed {
            return Ok(None);
        }
        loop {
            let mut answers = BTreeMap::new();
            let mut final_answers = 0;
            for (sid, addresses) in &self.others {
                let lacked = wound.lacks();
                self.donor.lacks_behind(lacked.0);
                match self.ask(wound, addresses)? {
                    Said::Closed => return Ok(None),
                    Said::Nothing(said, is_final) => {
                        final_answers += usize::from(is_final && wound.lacks() == lacked);
                        answers.insert(*sid, said);
                    }
                }
                if wound.lacks() != lacked {
                    progress = Instant::now();
                }
            }
            let nobody_has_it = final_answers == self.others.len();
            if nobody_has_it {
                thread::sleep(FAREWELL);
            }
            if nobody_has_it || progress.elapsed() > PATIENCE {
                return Ok(Some(answers));
            }
            if reminded.elapsed() > REMINDER {
                reminded = Instant::now();
                let (behind, _) = wound.lacks();
                warn!(%behind, said = ?answers, "the log is damaged, and nobody has given what it lacks");
            }
            thread::sleep(PAUSE);
        }
    }

    /// Asks one other member.
    fn ask(&self, wound: &mut Wound, addresses: &[HostPort]) -> Result<Said, StorageError> {
        let (behind, up_to) = wound.lacks();
        let stream = match connect(addresses, CONNECT) {
            Ok(stream) => stream,
            Err(error) => return Ok(Said::Nothing(error.to_string(), false)),
        };
        let mut healed = Ok(Healing::Lacks);
        let answered = Asked { behind, up_to }.ask(&stream, |payload| {
            healed = wound.take(payload, &**self.vfs);
            Ok(matches!(healed, Ok(Healing::Took | Healing::Lacks)))
        });
        Ok(match (healed?, answered) {
            (Healing::Closed, _) => Said::Closed,
            (Healing::Misfit, _) => Said::Nothing(
                "its txns do not fit what is left of this log".to_owned(),
                true,
            ),
            (_, Ok(Answered::Whole | Answered::Enough)) => {
                Said::Nothing(format!("has nothing behind {behind}"), true)
            }
            (_, Ok(Answered::LacksBehind(theirs))) => Said::Nothing(
                format!("is damaged itself behind {theirs}"),
                theirs == behind,
            ),
            (_, Err(error)) => Said::Nothing(no_answer(&error), false),
        })
    }

    /// Answers others that mend themselves; whoever wants something else comes back later.
    fn keep_the_door(&self, is_over: &AtomicBool) {
        while !is_over.load(Ordering::SeqCst) {
            for listener in self.listeners {
                while let Accepted::Conn(stream, _) = listener.accept() {
                    self.donor.receive(stream);
                }
            }
            thread::sleep(PAUSE / 4);
        }
    }
}

/// The file and the byte of a damage.
fn place(error: &StorageError) -> Option<(PathBuf, u64)> {
    match error {
        StorageError::Damaged { path, offset, .. } => Some((path.clone(), *offset)),
        _ => None,
    }
}

/// What another member said.
enum Said {
    /// What closed the wound.
    Closed,
    /// Nothing that helps, and whether it may say something else later.
    Nothing(String, bool),
}

fn no_answer(error: &io::Error) -> String {
    format!("does not answer ({error})")
}

/// The damage, and why the others did not help.
fn with_answers(
    error: StorageError,
    wound: &Wound,
    answers: &BTreeMap<Sid, String>,
) -> StorageError {
    let StorageError::Damaged {
        path,
        offset,
        after,
        what,
    } = error
    else {
        return error;
    };
    let said = answers
        .iter()
        .map(|(sid, said)| format!("server {} {said}", sid.0));
    let said = said.collect::<Vec<_>>().join(", ");
    let lacked = wound.lacks().0;
    StorageError::Damaged {
        path,
        offset,
        after,
        what: format!("{what}; what follows {lacked} was asked for in vain: {said}"),
    }
}
