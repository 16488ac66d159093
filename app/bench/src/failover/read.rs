//! What each server says of the znodes in the end, behind a `sync`.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::json;
use zabra_jute::{Decode, Reader, Text};
use zabra_proto::client::{GetDataResponse, PathRequest, PathWatchRequest, ReplyHeader};
use zabra_proto::{ErrorCode, OpCode};

use super::connection::{Broken, Connection};
use super::ledger::{self, Found};
use super::writer::{Outcome, Plan};
use super::znode_name;
use crate::args::Target;
use crate::report::{Report, Unit};
use crate::request::{self, Known};

/// All that was read, and from whom not.
pub(crate) struct Reading {
    root: String,
    servers: Vec<(SocketAddr, Vec<Found>)>,
    /// Servers that did not answer, and why.
    missing: Vec<String>,
}

impl Reading {
    /// Reads all znodes from each server that answers. Waits for the first of them as long as the target's patience allows,
    /// then a little for the others.
    pub(crate) fn of(plan: &Plan, target: &Target, root: &str, znodes: u64) -> Result<Self> {
        let begun = Instant::now();
        let mut first: Option<Instant> = None;
        let mut reading = Self {
            root: root.to_owned(),
            servers: Vec::new(),
            missing: Vec::new(),
        };
        let mut left = plan.servers.clone();
        left.sort_unstable();
        left.dedup();
        loop {
            reading.missing.clear();
            let mut silent = Vec::new();
            for server in left {
                match read(plan, server, root, znodes) {
                    Ok(found) => reading.servers.push((server, found)),
                    Err(Broken::Protocol(error)) => return Err(error.context(server.to_string())),
                    Err(Broken::Link(error)) => {
                        reading.missing.push(format!("{server} ({error})"));
                        silent.push(server);
                    }
                }
            }
            left = silent;
            if !reading.servers.is_empty() {
                first.get_or_insert_with(Instant::now);
            }
            if left.is_empty() || first.is_some_and(|first| first.elapsed() > OTHERS) {
                return Ok(reading);
            }
            if first.is_none() && begun.elapsed() > target.patience {
                bail!("no server answers: {}", reading.missing.join(", "));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// The servers that answered.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.servers.iter().map(|(server, _)| *server).collect()
    }

    /// A line for each znode that does not hold what it must on some server; `each` znodes belong to a session.
    pub(crate) fn judge(&self, outcomes: &[Outcome], each: usize) -> Vec<String> {
        let znodes = outcomes.len() * each;
        let judge = |znode: usize| {
            let ledger = &outcomes[znode / each].ledger;
            self.servers.iter().find_map(|(server, found)| {
                let told = ledger.judge(znode % each, *found.get(znode)?)?;
                let name = znode_name(&self.root, znode as u64);
                Some(format!("{name} on {server} {told}"))
            })
        };
        (0..znodes).filter_map(judge).collect()
    }

    /// Which servers were read.
    pub(crate) fn tell(&self, report: &mut Report) {
        let count = self.servers.len() as f64;
        report.push("servers_read", count, Unit::Count);
        if !self.missing.is_empty() {
            report.note(format!("not read back: {}", self.missing.join(", ")));
            report.detail("not_read", json!(self.missing));
        }
    }
}

fn read(plan: &Plan, server: SocketAddr, root: &str, znodes: u64) -> Result<Vec<Found>, Broken> {
    let greeting = request::connect_again(plan.timeout, &Known::NONE);
    let (mut connection, _) = Connection::open(server, &greeting, plan.connect_limit())?;
    let path = Text::from(root);
    let sync = connection.send(OpCode::Sync, &PathRequest { path });
    connection.flush()?;
    let (header, _) = connection.await_reply(sync, LIMIT)?;
    if !header.error.is_ok() {
        let error = std::io::Error::other(format!("sync was answered with {}", header.error));
        return Err(Broken::Link(error));
    }
    let mut found = Vec::new();
    for first in (0..znodes).step_by(AT_ONCE) {
        let some = first..znodes.min(first + AT_ONCE as u64);
        let xids: Vec<_> = some
            .map(|znode| {
                let name = znode_name(root, znode);
                let path = Text::from(name.as_str());
                connection.send(OpCode::GetData, &PathWatchRequest { path, watch: false })
            })
            .collect();
        connection.flush()?;
        for xid in xids {
            let (header, frame) = connection.await_reply(xid, LIMIT)?;
            found.push(found_in(&header, &frame)?);
        }
    }
    let close = connection.send(OpCode::CloseSession, &());
    connection.flush()?;
    connection.await_reply(close, LIMIT)?;
    Ok(found)
}

fn found_in(header: &ReplyHeader, frame: &[u8]) -> Result<Found, Broken> {
    if header.error == ErrorCode::NO_NODE {
        return Ok(Found::Nothing);
    }
    if !header.error.is_ok() {
        let error = header.error;
        let error = anyhow::anyhow!("getData was answered with {error}");
        return Err(Broken::Protocol(error));
    }
    let body = frame.get(REPLY_HEADER..).unwrap_or_default();
    let reply = GetDataResponse::decode(&mut Reader::new(body))
        .map_err(|error| Broken::Protocol(error.into()))?;
    Ok(ledger::number(reply.data.unwrap_or_default()))
}

/// Reads that are outstanding at once.
const AT_ONCE: usize = 100;
/// How long a server may take for one answer.
const LIMIT: Duration = Duration::from_secs(5);
/// How long servers are tried again when another was read.
const OTHERS: Duration = Duration::from_secs(2);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(100);
/// Length of a reply header.
const REPLY_HEADER: usize = 16;
