//! What can be read.

use bytes::Bytes;
use zabra_cnxn::{CallError, Reply, WatchKind};
use zabra_jute::{Decode, JuteError, Reader, Text};
use zabra_proto::client::{
    GetAclResponse, GetAllChildrenNumberResponse, GetChildren2Response, GetDataResponse,
    GetEphemeralsRequest, NamesResponse, PathRequest, PathWatchRequest, StatResponse,
    WhoAmIResponse,
};
use zabra_proto::{Acl, ErrorCode, Identity, OpCode, Stat};

use crate::call::{Finish, Parts, owned};
use crate::client::Client;
use crate::watch::OneshotWatch;
use crate::{Call, Data, Error};

/// Reads. All are answered by the server of the connection, which may lag behind others; call [`Client::sync`] before to see
/// all that was committed by then.
impl Client {
    /// A znode's data and Stat.
    ///
    /// # Errors
    ///
    /// `NO_NODE`, `NO_AUTH`.
    pub fn get(&self, path: &str) -> Call<(Data, Stat)> {
        self.read(OpCode::GetData, path, data)
    }

    /// The same, with a watch for the next change or the deletion. If the call fails, there is no watch.
    ///
    /// # Errors
    ///
    /// As [`Client::get`].
    pub fn get_and_watch(&self, path: &str) -> Call<(Data, Stat, OneshotWatch)> {
        self.read_watching(
            OpCode::GetData,
            path,
            WatchKind::Data,
            |mut parts, reply| {
                let watch = parts.one_shot()?;
                let (data, stat) = data(parts, reply)?;
                Ok((data, stat, watch))
            },
        )
    }

    /// A znode's Stat; `None` if there is no such znode.
    ///
    /// # Errors
    ///
    /// `NO_AUTH`.
    pub fn exists(&self, path: &str) -> Call<Option<Stat>> {
        self.read(OpCode::Exists, path, existence)
    }

    /// The same, with a watch for the creation, the next change or the deletion.
    ///
    /// # Errors
    ///
    /// As [`Client::exists`].
    pub fn exists_and_watch(&self, path: &str) -> Call<(Option<Stat>, OneshotWatch)> {
        self.read_watching(
            OpCode::Exists,
            path,
            WatchKind::Exist,
            |mut parts, reply| {
                let watch = parts.one_shot()?;
                Ok((existence(parts, reply)?, watch))
            },
        )
    }

    /// The names of a znode's children, in no particular order.
    ///
    /// # Errors
    ///
    /// `NO_NODE`, `NO_AUTH`.
    pub fn children(&self, path: &str) -> Call<Vec<String>> {
        self.read(OpCode::GetChildren, path, |parts, reply| {
            parts.record(reply, |_, r| {
                let response = NamesResponse::decode(r)?;
                Ok(strings(response.names))
            })
        })
    }

    /// The names of a znode's children, in no particular order, and its Stat.
    ///
    /// # Errors
    ///
    /// As [`Client::children`].
    pub fn children_and_stat(&self, path: &str) -> Call<(Vec<String>, Stat)> {
        self.read(OpCode::GetChildren2, path, children)
    }

    /// The same, with a watch for the next child that comes or goes, or the deletion of the znode itself.
    ///
    /// # Errors
    ///
    /// As [`Client::children`].
    pub fn children_and_watch(&self, path: &str) -> Call<(Vec<String>, Stat, OneshotWatch)> {
        self.read_watching(
            OpCode::GetChildren2,
            path,
            WatchKind::Child,
            |mut parts, reply| {
                let watch = parts.one_shot()?;
                let (names, stat) = children(parts, reply)?;
                Ok((names, stat, watch))
            },
        )
    }

    /// A znode's ACL and Stat. Without the permission to change it, digests are masked.
    ///
    /// # Errors
    ///
    /// `NO_NODE`, `NO_AUTH`.
    pub fn acl(&self, path: &str) -> Call<(Vec<Acl<'static>>, Stat)> {
        self.path_request(OpCode::GetAcl, path, |parts, reply| {
            parts.record(reply, |_, r| {
                let response = GetAclResponse::decode(r)?;
                let acl = response.acl.into_iter().map(Acl::into_owned).collect();
                Ok((acl, response.stat))
            })
        })
    }

    /// Brings the server of the connection up to date: reads made after this see all that was committed before it.
    pub fn sync(&self, path: &str) -> Call<()> {
        self.path_request(OpCode::Sync, path, Parts::nothing)
    }

    /// How many znodes are below a znode, at any depth.
    ///
    /// # Errors
    ///
    /// `NO_NODE`, `NO_AUTH`; `UNIMPLEMENTED` by servers before 3.6.
    pub fn all_children_number(&self, path: &str) -> Call<u32> {
        self.path_request(OpCode::GetAllChildrenNumber, path, |parts, reply| {
            parts.record(reply, |_, r| {
                let response: GetAllChildrenNumberResponse = owned(r)?;
                Ok(u32::try_from(response.total).unwrap_or(0))
            })
        })
    }

    /// The paths of this session's ephemerals that begin with a string; `/` means all.
    ///
    /// # Errors
    ///
    /// `UNIMPLEMENTED` by servers before 3.6.
    pub fn ephemerals(&self, prefix: &str) -> Call<Vec<String>> {
        let full = self.chroot().join(prefix);
        let body = GetEphemeralsRequest { prefix: Some(full) };
        self.send(OpCode::GetEphemerals, prefix, &body, |parts, reply| {
            parts.record(reply, |parts, r| {
                let paths = strings(NamesResponse::decode(r)?.names).into_iter();
                Ok(paths.map(|path| parts.chroot.strip(path)).collect())
            })
        })
    }

    /// The identities of the connection, without secrets.
    ///
    /// # Errors
    ///
    /// `UNIMPLEMENTED` by servers before 3.7.
    pub fn whoami(&self) -> Call<Vec<Identity>> {
        self.send(OpCode::WhoAmI, "", &(), |parts, reply| {
            parts.record(reply, |_, r| {
                let response = WhoAmIResponse::decode(r)?;
                let identities = response.identities.iter();
                Ok(identities
                    .map(|who| Identity::new(&who.scheme, &who.user))
                    .collect())
            })
        })
    }

    fn read<T>(&self, op: OpCode, path: &str, finish: Finish<T>) -> Call<T> {
        match self.chroot().full(path) {
            Ok(path_full) => {
                let body = PathWatchRequest {
                    path: path_full,
                    watch: false,
                };
                self.send(op, path, &body, finish)
            }
            Err(misuse) => Call::failed(misuse),
        }
    }

    fn read_watching<T>(
        &self,
        op: OpCode,
        path: &str,
        kind: WatchKind,
        finish: Finish<T>,
    ) -> Call<T> {
        match self.chroot().full(path) {
            Ok(full) => self.watching_at(op, (path, &full), kind, finish),
            Err(misuse) => Call::failed(misuse),
        }
    }

    pub(crate) fn watching_at<T>(
        &self,
        op: OpCode,
        (path, full): (&str, &str),
        kind: WatchKind,
        finish: Finish<T>,
    ) -> Call<T> {
        let body = PathWatchRequest {
            path: Text::Borrowed(full),
            watch: true,
        };
        self.send_watching(op, (path, full), &body, kind, finish)
    }

    fn path_request<T>(&self, op: OpCode, path: &str, finish: Finish<T>) -> Call<T> {
        match self.chroot().full(path) {
            Ok(full) => self.send(op, path, &PathRequest { path: full }, finish),
            Err(misuse) => Call::failed(misuse),
        }
    }
}

impl Parts {
    /// The watch that the call has set. It goes if the call has failed.
    pub(crate) fn one_shot(&mut self) -> Result<OneshotWatch, Error> {
        self.watch.take().map(OneshotWatch).ok_or(Error::Closed)
    }
}

pub(crate) fn data(parts: Parts, reply: Result<Reply, CallError>) -> Result<(Data, Stat), Error> {
    let reply = reply.map_err(|error| Error::of_call(error, &parts.path))?;
    Ok(data_of(reply.body)?)
}

/// Data without a copy: it is a part of the reply's bytes, or what is left of them.
pub(crate) fn data_of(mut body: Vec<u8>) -> Result<(Data, Stat), JuteError> {
    let mut r = Reader::new(&body);
    let response = GetDataResponse::decode(&mut r)?;
    let (len, stat) = (response.data.map(<[u8]>::len), response.stat);
    // Behind the length word, and all there, since it was read.
    let data = len.map(|len| {
        if len > SHIFTED_LEN_MAX {
            return Bytes::from(body).slice(4..4 + len);
        }
        // To move a few bytes is cheaper than to share a part of them.
        body.copy_within(4..4 + len, 0);
        body.truncate(len);
        Bytes::from(body)
    });
    Ok((Data::new(data), stat))
}

/// Longer data is not moved within a reply.
const SHIFTED_LEN_MAX: usize = 512;

fn existence(parts: Parts, reply: Result<Reply, CallError>) -> Result<Option<Stat>, Error> {
    match reply {
        Err(CallError::Server(ErrorCode::NO_NODE)) => Ok(None),
        reply => parts.record(reply, |_, r| {
            let response: StatResponse = owned(r)?;
            Ok(Some(response.stat))
        }),
    }
}

fn children(parts: Parts, reply: Result<Reply, CallError>) -> Result<(Vec<String>, Stat), Error> {
    parts.record(reply, |_, r| {
        let response = GetChildren2Response::decode(r)?;
        Ok((strings(response.names), response.stat))
    })
}

pub(crate) fn strings(names: Vec<Text<'_>>) -> Vec<String> {
    names.into_iter().map(Text::into_owned).collect()
}
