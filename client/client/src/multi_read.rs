//! Several reads in one request.

use zabra_cnxn::{CallError, Reply};
use zabra_jute::{Decode, Encode, JuteError, JuteErrorKind, Reader};
use zabra_proto::client::{
    ErrorResponse, GetDataResponse, MultiHeader, NamesResponse, PathWatchRequest,
};
use zabra_proto::multi::encode_element;
use zabra_proto::{ErrorCode, OpCode, Stat};

use crate::call::Parts;
use crate::client::Client;
use crate::reads::strings;
use crate::transaction::Encoded;
use crate::{Call, Data, Error, Misuse};

/// Reads that travel together. Each is answered on its own; between two of them the tree may change.
#[derive(Debug, Clone)]
#[must_use = "nothing happens before `run`"]
pub struct MultiRead {
    client: Client,
    body: Vec<u8>,
    misuse: Option<Misuse>,
}

/// The result of one read.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ReadResult {
    /// Data and Stat.
    Data(Data, Stat),
    /// Names of children, in no particular order.
    Children(Vec<String>),
    /// The server refused this one.
    Error(ErrorCode),
}

impl Client {
    /// Reads to be collected and run. Servers from 3.6 on have it.
    pub fn multi_read(&self) -> MultiRead {
        MultiRead {
            client: self.clone(),
            body: Vec::new(),
            misuse: None,
        }
    }
}

impl MultiRead {
    /// Reads a znode's data.
    pub fn get(self, path: &str) -> Self {
        self.add(OpCode::GetData, path)
    }

    /// Reads the names of a znode's children.
    pub fn children(self, path: &str) -> Self {
        self.add(OpCode::GetChildren, path)
    }

    /// Runs the reads: one result each, in their order.
    ///
    /// # Errors
    ///
    /// Only if none of them was answered.
    pub fn run(mut self) -> Call<Vec<ReadResult>> {
        if let Some(misuse) = self.misuse {
            return Call::failed(misuse);
        }
        MultiHeader::END.encode(&mut self.body);
        self.client
            .send(OpCode::MultiRead, "", &Encoded(&self.body), finish)
    }

    fn add(mut self, op: OpCode, path: &str) -> Self {
        match self.client.chroot().full(path) {
            Ok(path) => {
                let read = PathWatchRequest { path, watch: false };
                encode_element(op, &read, &mut self.body);
            }
            Err(misuse) => {
                self.misuse.get_or_insert(misuse);
            }
        }
        self
    }
}

fn finish(parts: Parts, reply: Result<Reply, CallError>) -> Result<Vec<ReadResult>, Error> {
    parts.record(reply, |_, r| results(r))
}

fn results(r: &mut Reader<'_>) -> Result<Vec<ReadResult>, JuteError> {
    let mut results = Vec::new();
    loop {
        let offset = r.position();
        let header = MultiHeader::decode(r)?;
        if header.done {
            return Ok(results);
        }
        results.push(match OpCode::from_code(header.kind) {
            Some(OpCode::GetData) => {
                let response = GetDataResponse::decode(r)?;
                let data = response.data.map(|data| data.to_vec().into());
                ReadResult::Data(Data::new(data), response.stat)
            }
            Some(OpCode::GetChildren) => {
                ReadResult::Children(strings(NamesResponse::decode(r)?.names))
            }
            _ if header.kind == -1 => ReadResult::Error(ErrorResponse::decode(r)?.error),
            _ => {
                let kind = JuteErrorKind::Unknown {
                    what: "multiRead result",
                    value: header.kind,
                };
                return Err(JuteError { offset, kind });
            }
        });
    }
}
