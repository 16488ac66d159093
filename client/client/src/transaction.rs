//! Several writes as one.

use zabra_cnxn::{CallError, Reply};
use zabra_jute::{Decode, Encode, JuteError, JuteErrorKind, Reader};
use zabra_proto::client::{
    CheckVersionRequest, Create2Response, CreateRequest, CreateTtlRequest, DeleteRequest,
    ErrorResponse, MultiHeader, PathResponse, SetDataRequest, StatResponse,
};
use zabra_proto::multi::encode_element;
use zabra_proto::{CreateMode, ErrorCode, OpCode, Stat};

use crate::call::Parts;
use crate::client::Client;
use crate::create::{CreateOptions, Created};
use crate::writes::ANY;
use crate::{Call, Error, Misuse};

/// Writes that are carried out together or not at all.
///
/// ```no_run
/// # async fn example(client: zabra_client::Client) -> Result<(), zabra_client::Error> {
/// use zabra_client::{CreateMode, TransactionResult};
/// let results = client
///     .transaction()
///     .check("/config", Some(3))
///     .create("/config/new", b"1", CreateMode::Persistent)
///     .set("/config", b"4", None)
///     .commit()
///     .await?;
/// if let TransactionResult::Created(created) = &results[1] {
///     println!("{}", created.path);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing happens before `commit`"]
pub struct Transaction {
    client: Client,
    body: Vec<u8>,
    /// As the caller wrote them, for errors.
    paths: Vec<String>,
    misuse: Option<Misuse>,
}

/// The result of one operation of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransactionResult {
    /// Of a create.
    Created(Created),
    /// Of a set: the new Stat.
    Set(Stat),
    /// Of a delete.
    Deleted,
    /// Of a check.
    Checked,
}

impl Client {
    /// A transaction to be filled and committed.
    pub fn transaction(&self) -> Transaction {
        Transaction {
            client: self.clone(),
            body: Vec::new(),
            paths: Vec::new(),
            misuse: None,
        }
    }
}

impl Transaction {
    /// The znode must exist, with this version.
    pub fn check(self, path: &str, version: Option<i32>) -> Self {
        self.add(path, |full, body| {
            let check = CheckVersionRequest {
                path: full.into(),
                version: version.unwrap_or(ANY),
            };
            encode_element(OpCode::Check, &check, body);
        })
    }

    /// Creates a znode, as [`Client::create`] does.
    pub fn create(
        mut self,
        path: &str,
        data: impl AsRef<[u8]>,
        options: impl Into<CreateOptions>,
    ) -> Self {
        let options = options.into();
        let chroot = self.client.chroot();
        let full = match options.mode().is_sequential() {
            true => chroot.full_sequential(path),
            false => chroot.full(path),
        };
        let (full, ttl) = match full.and_then(|full| Ok((full.into_owned(), options.ttl_ms()?))) {
            Ok(checked) => checked,
            Err(misuse) => return self.refuse(misuse),
        };
        self.paths.push(path.to_owned());
        let (data, acl, flags) = (
            options.data(data.as_ref()),
            self.client.acl_of(&options, &full),
            options.mode().code(),
        );
        if let Some(ttl) = ttl {
            let create = CreateTtlRequest {
                path: full.into(),
                data,
                acl,
                flags,
                ttl,
            };
            encode_element(OpCode::CreateTtl, &create, &mut self.body);
            return self;
        }
        let op = match options.mode() {
            CreateMode::Container => OpCode::CreateContainer,
            _ => OpCode::Create2,
        };
        let create = CreateRequest {
            path: full.into(),
            data,
            acl,
            flags,
        };
        encode_element(op, &create, &mut self.body);
        self
    }

    /// Replaces a znode's data, as [`Client::set`] does.
    pub fn set(self, path: &str, data: impl AsRef<[u8]>, version: Option<i32>) -> Self {
        self.add(path, |full, body| {
            let set = SetDataRequest {
                path: full.into(),
                data: Some(data.as_ref()),
                version: version.unwrap_or(ANY),
            };
            encode_element(OpCode::SetData, &set, body);
        })
    }

    /// Deletes a znode, as [`Client::delete`] does.
    pub fn delete(self, path: &str, version: Option<i32>) -> Self {
        self.add(path, |full, body| {
            let delete = DeleteRequest {
                path: full.into(),
                version: version.unwrap_or(ANY),
            };
            encode_element(OpCode::Delete, &delete, body);
        })
    }

    /// How many operations it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.paths.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Carries it out: the results of the operations, in their order.
    ///
    /// # Errors
    ///
    /// [`Error::Transaction`] if an operation failed: then none of them has happened. [`Misuse`] if one of them could not have
    /// succeeded.
    pub fn commit(mut self) -> Call<Vec<TransactionResult>> {
        if let Some(misuse) = self.misuse {
            return Call::failed(misuse);
        }
        MultiHeader::END.encode(&mut self.body);
        // The paths travel in one string, which is looked at only if something fails.
        let paths = self.paths.join("\0");
        self.client
            .send(OpCode::Multi, &paths, &Encoded(&self.body), finish)
    }

    fn add(mut self, path: &str, encode: impl FnOnce(&str, &mut Vec<u8>)) -> Self {
        match self.client.chroot().full(path) {
            Ok(full) => {
                self.paths.push(path.to_owned());
                encode(&full, &mut self.body);
                self
            }
            Err(misuse) => self.refuse(misuse),
        }
    }

    fn refuse(mut self, misuse: Misuse) -> Self {
        self.misuse.get_or_insert(misuse);
        self
    }
}

/// A record that is encoded already.
pub(crate) struct Encoded<'a>(pub(crate) &'a [u8]);

impl Encode for Encoded<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0);
    }
}

fn finish(parts: Parts, reply: Result<Reply, CallError>) -> Result<Vec<TransactionResult>, Error> {
    let (results, codes) = parts.record(reply, results)?;
    let failed = codes
        .iter()
        .position(|code| !code.is_ok() && *code != ErrorCode::RUNTIME_INCONSISTENCY);
    let Some(failed) = failed else {
        return Ok(results);
    };
    let path = parts.path.split('\0').nth(failed).unwrap_or_default();
    Err(Error::Transaction {
        failed,
        path: path.to_owned(),
        codes,
    })
}

/// All results, or the codes of a transaction that failed (features MU-04).
fn results(
    parts: &Parts,
    r: &mut Reader<'_>,
) -> Result<(Vec<TransactionResult>, Vec<ErrorCode>), JuteError> {
    let (mut results, mut codes) = (Vec::new(), Vec::new());
    loop {
        let offset = r.position();
        let header = MultiHeader::decode(r)?;
        if header.done {
            return Ok((results, codes));
        }
        let strip = |path: std::borrow::Cow<'_, str>| parts.chroot.strip(path.into_owned());
        results.push(match OpCode::from_code(header.kind) {
            Some(OpCode::Create) => TransactionResult::Created(Created {
                path: strip(PathResponse::decode(r)?.path),
                stat: None,
            }),
            Some(OpCode::Create2) => {
                let response = Create2Response::decode(r)?;
                TransactionResult::Created(Created {
                    path: strip(response.path),
                    stat: Some(response.stat),
                })
            }
            Some(OpCode::SetData) => TransactionResult::Set(StatResponse::decode(r)?.stat),
            Some(OpCode::Delete) => TransactionResult::Deleted,
            Some(OpCode::Check) => TransactionResult::Checked,
            _ if header.kind == -1 => {
                codes.push(ErrorResponse::decode(r)?.error);
                continue;
            }
            _ => {
                return Err(JuteError {
                    offset,
                    kind: JuteErrorKind::Unknown {
                        what: "multi result",
                        value: header.kind,
                    },
                });
            }
        });
    }
}
