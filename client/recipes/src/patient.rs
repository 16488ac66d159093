//! A client that waits: requests are made again over connection losses, until they are answered or the session ends.
//!
//! What it is not: it does not hide that a write may have been made twice. Each method here either can be repeated, or
//! finds out on the server what became of it.

use std::future::Future;
use std::time::Duration;

use tokio::runtime::Handle;
use zabra_client::SessionState;
use zabra_client::{
    AddWatchMode, Client, CreateMode, CreateOptions, Error as ClientError, ErrorCode, Stat,
};
use zabra_proto::path;

use crate::decide::mirror::join;
use crate::decide::sequence::find_protected;
use crate::error::{Error, Lost};
use crate::session::{Session, Stream, Watch};

/// Children and the Stat of their parent.
pub(crate) type Children = (Vec<String>, Stat);
/// Data and its Stat.
pub(crate) type Value = (Vec<u8>, Stat);

/// A client that waits, for as long as its session lives.
#[derive(Debug, Clone)]
pub(crate) struct Patient {
    session: Session,
    handle: Handle,
}

impl Patient {
    /// Within a runtime, as every client is.
    pub(crate) fn new(session: Session) -> Self {
        Self {
            session,
            handle: Handle::current(),
        }
    }

    pub(crate) const fn session(&self) -> &Session {
        &self.session
    }

    /// The client of the session, for its user.
    pub(crate) fn client(&self) -> &Client {
        match &self.session {
            Session::Client(client) => client,
            #[cfg(test)]
            Session::Model(_) => panic!("the model has no client"),
        }
    }

    /// Makes a call that does no harm when it is made twice.
    pub(crate) async fn again<T, F>(&self, call: impl Fn() -> F) -> Result<T, ClientError>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        loop {
            match call().await {
                Err(error) if is_passing(&error) => self.pause(&error).await,
                answer => return answer,
            }
        }
    }

    /// Before the same is asked again. A lost connection needs no pause: calls wait for the next one.
    async fn pause(&self, error: &ClientError) {
        if *error != ClientError::ConnectionLoss {
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Children; `None` without such a znode.
    pub(crate) async fn children(&self, path: &str) -> Result<Option<Children>, Error> {
        found(self.again(|| self.session.children(path)).await)
    }

    /// The same, and a watch that fires when they change or the znode goes.
    pub(crate) async fn children_watched(
        &self,
        path: &str,
    ) -> Result<Option<(Vec<String>, Stat, Watch)>, Error> {
        found(self.again(|| self.session.children_and_watch(path)).await)
    }

    /// Data; `None` without such a znode.
    pub(crate) async fn data(&self, path: &str) -> Result<Option<Value>, Error> {
        found(self.again(|| self.session.get(path)).await)
    }

    /// The same, and a watch that fires when the data changes or the znode goes.
    pub(crate) async fn data_watched(
        &self,
        path: &str,
    ) -> Result<Option<(Vec<u8>, Stat, Watch)>, Error> {
        found(self.again(|| self.session.get_and_watch(path)).await)
    }

    /// Stat; `None` without such a znode.
    pub(crate) async fn stat(&self, path: &str) -> Result<Option<Stat>, Error> {
        Ok(self.again(|| self.session.exists(path)).await?)
    }

    /// The same, and a watch that fires when the data changes or the znode comes or goes.
    pub(crate) async fn stat_watched(&self, path: &str) -> Result<(Option<Stat>, Watch), Error> {
        Ok(self.again(|| self.session.exists_and_watch(path)).await?)
    }

    /// Data if there is any, and a watch that fires when that changes in whatever way.
    pub(crate) async fn value_watched(&self, path: &str) -> Result<(Option<Value>, Watch), Error> {
        loop {
            if let Some((data, stat, watch)) = self.data_watched(path).await? {
                return Ok((Some((data, stat)), watch));
            }
            if let (None, watch) = self.stat_watched(path).await? {
                return Ok((None, watch));
            }
        }
    }

    /// A watch that stays.
    pub(crate) async fn stream(&self, path: &str, mode: AddWatchMode) -> Result<Stream, Error> {
        Ok(self.again(|| self.session.watch(path, mode)).await?)
    }

    /// Sets the data whatever it is; `None` without such a znode.
    pub(crate) async fn overwrite(&self, path: &str, data: &[u8]) -> Result<Option<Stat>, Error> {
        found(self.again(|| self.session.set(path, data, None)).await)
    }

    /// Deletes a znode whatever it holds. That there is none is what was wanted.
    pub(crate) async fn delete(&self, path: &str) -> Result<(), Error> {
        found(self.again(|| self.session.delete(path)).await)?;
        Ok(())
    }

    /// Waits until this server has seen what the leader has. After a connection was lost, this is what makes a change of
    /// ours visible whose answer was lost with it.
    pub(crate) async fn catch_up(&self, path: &str) -> Result<(), Error> {
        self.again(|| self.session.sync(path)).await?;
        Ok(())
    }

    /// Creates a znode with all above it; that it is there already is as good.
    pub(crate) async fn ensure(
        &self,
        path: &str,
        data: &[u8],
        options: &CreateOptions,
    ) -> Result<(), Error> {
        while !self.ensure_below(path, data, options).await? {
            self.ensure_parent(path).await?;
        }
        Ok(())
    }

    /// The same below a znode that others make; whether that is there.
    pub(crate) async fn ensure_below(
        &self,
        path: &str,
        data: &[u8],
        options: &CreateOptions,
    ) -> Result<bool, Error> {
        let create = || self.session.create(path, data, options);
        match self.again(create).await {
            Ok(_) => Ok(true),
            Err(error) if error.is(ErrorCode::NODE_EXISTS) => Ok(true),
            Err(error) if error.is(ErrorCode::NO_NODE) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Creates all above a path, as containers where the server has them.
    pub(crate) async fn ensure_parent(&self, path: &str) -> Result<(), Error> {
        let Some(parent) = path::parent(path).filter(|parent| *parent != "/") else {
            return Ok(());
        };
        let made = Box::pin(self.ensure(parent, &[], &CreateMode::Container.into())).await;
        match made {
            Err(Error::Client(error)) if error.is(ErrorCode::UNIMPLEMENTED) => {
                Box::pin(self.ensure(parent, &[], &CreateMode::Persistent.into())).await
            }
            made => made,
        }
    }

    /// Creates an ephemeral sequential znode of ours, exactly one. `prefix` is unique to it.
    pub(crate) async fn create_own(
        &self,
        parent: &str,
        prefix: &str,
        mark: &str,
        data: &[u8],
    ) -> Result<(String, Stat), Error> {
        let path = join(parent, &format!("{prefix}{mark}"));
        let mode = CreateOptions::from(CreateMode::EphemeralSequential);
        loop {
            match self.session.create(&path, data, &mode).await {
                Ok(created) => {
                    let name = created
                        .path
                        .rsplit('/')
                        .next()
                        .unwrap_or_default()
                        .to_owned();
                    let stat = match created.stat {
                        Some(stat) => Some(stat),
                        None => self.stat(&created.path).await?,
                    };
                    return Ok((name, stat.ok_or(Lost::Deleted)?));
                }
                Err(error) if error.is(ErrorCode::NO_NODE) => self.ensure_parent(&path).await?,
                Err(error) if is_passing(&error) => {
                    self.pause(&error).await;
                    if let Some(found) = self.find_own(parent, prefix).await? {
                        return Ok(found);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What became of a create whose answer was lost.
    async fn find_own(&self, parent: &str, prefix: &str) -> Result<Option<(String, Stat)>, Error> {
        self.catch_up(parent).await?;
        let children = self.children(parent).await?;
        let Some((names, _)) = children else {
            return Ok(None);
        };
        let Some(name) = find_protected(&names, prefix) else {
            return Ok(None);
        };
        let stat = self.stat(&join(parent, name)).await?;
        Ok(stat.map(|stat| (name.to_owned(), stat)))
    }

    /// Creates an ephemeral of ours at a path that is ours alone.
    pub(crate) async fn create_ephemeral(&self, path: &str, data: &[u8]) -> Result<Stat, Error> {
        let mode = CreateOptions::from(CreateMode::Ephemeral);
        loop {
            self.ensure(path, data, &mode).await?;
            match self.stat(path).await? {
                Some(stat) if stat.ephemeral_owner == self.session.id() => return Ok(stat),
                Some(_) => {
                    let exists = ClientError::Server(ErrorCode::NODE_EXISTS, path.to_owned());
                    return Err(exists.into());
                }
                None => {}
            }
        }
    }

    /// Does something without waiting for it; also where no runtime is entered, as in a drop.
    pub(crate) fn in_background<F: Future<Output = ()> + Send + 'static>(
        &self,
        work: impl FnOnce(Self) -> F,
    ) {
        drop(self.handle.spawn(work(self.clone())));
    }

    /// Waits until the session has ended or may have.
    ///
    /// A server that hears nothing ends a session when its timeout is over, counted from what it heard last. The client
    /// calls a silent link lost after two thirds of the timeout; a sixth after that nothing is certain any more.
    pub(crate) async fn session_lost(&self) -> Lost {
        let mut states = self.session.states();
        let mut state = states.next().await;
        loop {
            state = match state {
                None
                | Some(SessionState::Expired | SessionState::AuthFailed | SessionState::Closed) => {
                    return Lost::SessionEnded;
                }
                Some(SessionState::Lost) => return Lost::SessionInDoubt,
                Some(SessionState::Connected | SessionState::ReadOnly) => states.next().await,
                Some(SessionState::Suspended | SessionState::Connecting) => {
                    let doubt = self.session.timeout() / 6;
                    match tokio::time::timeout(doubt, states.connected()).await {
                        Err(_) => return Lost::SessionInDoubt,
                        Ok(false) => return Lost::SessionEnded,
                        Ok(true) => states.next().await,
                    }
                }
            };
        }
    }

    /// A name that nobody else has: a random UUID.
    pub(crate) fn uuid() -> String {
        let random = fastrand::u128(..);
        // The six bits that say "random" (RFC 9562).
        let bits = random & !(0xf << 76) & !(0b11 << 62) | (4 << 76) | (0b10 << 62);
        let hex = format!("{bits:032x}");
        let (a, b, c) = (&hex[..8], &hex[8..12], &hex[12..16]);
        format!("{a}-{b}-{c}-{}-{}", &hex[16..20], &hex[20..])
    }
}

/// What an own create may leave behind, deleted in the background unless it is disarmed.
#[derive(Debug)]
pub(crate) struct Ghost {
    patient: Patient,
    parent: String,
    prefix: String,
    is_armed: bool,
}

impl Ghost {
    /// From before the create on.
    pub(crate) fn new(patient: &Patient, parent: &str, prefix: &str) -> Self {
        Self {
            patient: patient.clone(),
            parent: parent.to_owned(),
            prefix: prefix.to_owned(),
            is_armed: true,
        }
    }

    /// Nothing is left.
    pub(crate) const fn disarm(&mut self) {
        self.is_armed = false;
    }
}

impl Drop for Ghost {
    fn drop(&mut self) {
        if !self.is_armed {
            return;
        }
        let parent = std::mem::take(&mut self.parent);
        let prefix = std::mem::take(&mut self.prefix);
        self.patient.in_background(|patient| async move {
            // A session that has ended took it along.
            while let Ok(Some((name, _))) = patient.find_own(&parent, &prefix).await {
                if patient.delete(&join(&parent, &name)).await.is_err() {
                    return;
                }
            }
        });
    }
}

/// Whether the same may succeed on the next connection. A session that was taken to another server in the middle of a call
/// is told so, rarely, before the old connection ends (P80).
pub(crate) fn is_passing(error: &ClientError) -> bool {
    error.is_retryable() || error.is(ErrorCode::SESSION_MOVED)
}

/// Turns "no such znode" into `None`.
fn found<T>(answer: Result<T, ClientError>) -> Result<Option<T>, Error> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.is(ErrorCode::NO_NODE) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Before a server that is overloaded is asked again.
const PAUSE: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::sequence::{PROTECTED, unprotected};

    #[test]
    fn a_uuid_is_one() {
        let uuid = Patient::uuid();
        assert_eq!(unprotected(&format!("{PROTECTED}{uuid}-x")), "x");
        assert_eq!(uuid.as_bytes()[14], b'4');
        assert!(matches!(uuid.as_bytes()[19], b'8' | b'9' | b'a' | b'b'));
        assert_ne!(uuid, Patient::uuid());
    }
}
