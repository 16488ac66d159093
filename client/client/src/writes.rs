//! What can be written.

use zabra_jute::Decode;
use zabra_proto::client::{
    Create2Response, CreateRequest, CreateTtlRequest, DeleteRequest, SetAclRequest, SetDataRequest,
    StatResponse,
};
use zabra_proto::{Acl, CreateMode, OpCode, Stat};

use crate::call::{Finish, Parts, owned};
use crate::client::Client;
use crate::create::{CreateOptions, Created, raw};
use crate::{Call, Misuse};

/// Writes. Each is carried out by all servers in the same order, and durable when it is answered.
///
/// A call that ends with an error for which [`Error::is_uncertain`](crate::Error::is_uncertain) holds may have been carried
/// out; see [`Client::create_protected`](crate::Client::create_protected) for creates that can tell.
impl Client {
    /// Creates a znode. The options are a [`CreateMode`], or [`CreateOptions`] for an ACL or a time to live. To sequential
    /// znodes the server adds ten digits.
    ///
    /// # Errors
    ///
    /// `NODE_EXISTS`, `NO_NODE` (the parent), `NO_AUTH`, `INVALID_ACL`, `NO_CHILDREN_FOR_EPHEMERALS`, `QUOTA_EXCEEDED`;
    /// `UNIMPLEMENTED` for a TTL on servers that have it switched off.
    pub fn create(
        &self,
        path: &str,
        data: impl AsRef<[u8]>,
        options: impl Into<CreateOptions>,
    ) -> Call<Created> {
        let options = options.into();
        match self.create_full(path, data.as_ref(), &options) {
            Ok(call) => call,
            Err(misuse) => Call::failed(misuse),
        }
    }

    fn create_full(
        &self,
        path: &str,
        data: &[u8],
        options: &CreateOptions,
    ) -> Result<Call<Created>, Misuse> {
        let chroot = self.chroot();
        let full = match options.mode.is_sequential() {
            true => chroot.full_sequential(path)?,
            false => chroot.full(path)?,
        };
        let (data, acl, flags) = (
            options.data(data),
            self.acl_of(options, &full),
            options.mode.code(),
        );
        let finish: Finish<Created> = |parts, reply| {
            parts.record(reply, |parts, r| {
                let response = Create2Response::decode(r)?;
                Ok(Created {
                    path: parts.chroot.strip(response.path.into_owned()),
                    stat: Some(response.stat),
                })
            })
        };
        if let Some(ttl) = options.ttl_ms()? {
            let body = CreateTtlRequest {
                path: full,
                data,
                acl,
                flags,
                ttl,
            };
            return Ok(self.send(OpCode::CreateTtl, path, &body, finish));
        }
        let op = match options.mode {
            CreateMode::Container => OpCode::CreateContainer,
            _ => OpCode::Create2,
        };
        let body = CreateRequest {
            path: full,
            data,
            acl,
            flags,
        };
        Ok(self.send(op, path, &body, finish))
    }

    /// Replaces a znode's data, if it has the given version.
    ///
    /// # Errors
    ///
    /// `NO_NODE`, `NO_AUTH`, `BAD_VERSION`, `QUOTA_EXCEEDED`.
    pub fn set(&self, path: &str, data: impl AsRef<[u8]>, version: Option<i32>) -> Call<Stat> {
        match self.chroot().full(path) {
            Ok(full) => {
                let body = SetDataRequest {
                    path: full,
                    data: Some(data.as_ref()),
                    version: version.unwrap_or(ANY),
                };
                self.send(OpCode::SetData, path, &body, stat())
            }
            Err(misuse) => Call::failed(misuse),
        }
    }

    /// Deletes a znode, if it has the given version and no children.
    ///
    /// # Errors
    ///
    /// `NO_NODE`, `NO_AUTH` (on the parent), `BAD_VERSION`, `NOT_EMPTY`.
    pub fn delete(&self, path: &str, version: Option<i32>) -> Call<()> {
        match self.chroot().full(path) {
            Ok(full) => {
                let body = DeleteRequest {
                    path: full,
                    version: version.unwrap_or(ANY),
                };
                self.send(OpCode::Delete, path, &body, Parts::nothing)
            }
            Err(misuse) => Call::failed(misuse),
        }
    }

    /// Replaces a znode's ACL, if the ACL has the given version ([`Stat::aversion`]).
    ///
    /// # Errors
    ///
    /// `NO_NODE`, `NO_AUTH`, `BAD_VERSION`, `INVALID_ACL`.
    pub fn set_acl(&self, path: &str, acl: &[Acl<'static>], version: Option<i32>) -> Call<Stat> {
        match self.chroot().full(path) {
            Ok(full) => {
                let body = SetAclRequest {
                    path: full,
                    acl: raw(acl),
                    version: version.unwrap_or(ANY),
                };
                self.send(OpCode::SetAcl, path, &body, stat())
            }
            Err(misuse) => Call::failed(misuse),
        }
    }
}

fn stat() -> Finish<Stat> {
    |parts, reply| {
        parts.record(reply, |_, r| {
            let response: StatResponse = owned(r)?;
            Ok(response.stat)
        })
    }
}

/// The version that matches all.
pub(crate) const ANY: i32 = -1;
