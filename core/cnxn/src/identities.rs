//! Who the client says that it is, on each link anew.

use zabra_jute::{Encode, Text};
use zabra_proto::client::{AuthPacket, RequestHeader};
use zabra_proto::{OpCode, Xid};

use crate::cnxn::Phase;
use crate::handshake::put_frame;
use crate::{CallError, Cnxn, Credentials, Reply};

/// An identity to claim on each link.
#[derive(Debug)]
pub(crate) struct Identity<C> {
    pub(crate) credentials: Credentials,
    /// Who waits to hear that it was taken.
    pub(crate) calls: Vec<C>,
}

impl<C> Cnxn<C> {
    /// Claims an identity, on this link and all later ones.
    ///
    /// # Errors
    ///
    /// The caller back, if the session has ended.
    pub fn add_auth(
        &mut self,
        credentials: Credentials,
        call: Option<C>,
    ) -> Result<(), (Option<C>, CallError)> {
        if let Some(error) = self.ended() {
            return Err((call, error));
        }
        let known = self
            .identities
            .iter()
            .position(|own| own.credentials == credentials);
        let at = known.unwrap_or(self.identities.len());
        match self.identities.get_mut(at) {
            Some(identity) => identity.calls.extend(call),
            None => self.identities.push(Identity {
                credentials,
                calls: call.into_iter().collect(),
            }),
        }
        if self.phase == Phase::Up {
            self.claim(at);
        }
        Ok(())
    }

    pub(crate) fn claim(&mut self, at: usize) {
        let Some(identity) = self.identities.get(at) else {
            return;
        };
        let credentials = &identity.credentials;
        put_frame(&mut self.out, |out| {
            let header = RequestHeader {
                xid: Xid::AUTH,
                op: OpCode::Auth.code(),
            };
            header.encode(out);
            AuthPacket {
                kind: 0,
                scheme: Some(Text::Borrowed(&credentials.scheme)),
                auth: Some(&credentials.auth),
            }
            .encode(out);
        });
        self.auths_sent.push_back(at);
    }

    /// The answer to the oldest claim on this link; `None` if there was no claim.
    pub(crate) fn on_claimed(&mut self) -> Option<()> {
        let at = self.auths_sent.pop_front()?;
        let calls = self
            .identities
            .get_mut(at)
            .map(|identity| std::mem::take(&mut identity.calls));
        for call in calls.into_iter().flatten() {
            let reply = Reply {
                zxid: self.session.seen,
                body: Vec::new(),
            };
            self.done(call, Ok(reply));
        }
        Some(())
    }
}
