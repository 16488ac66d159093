//! Runs a script on two servers in lockstep and compares what each step shows.
//!
//! After a step that may change something every other connection is pinged: a notification is queued before any reply
//! to a request that was executed later (protocol 5.2), so what the step caused has come when the ping's reply has.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context, Result, bail};

use super::allow;
use super::field::{Field, Mapping, Value, of_frame, of_grant};
use super::generate::SLOTS;
use super::script::{Damage, Greeting, Place, Request, Step};
use crate::wire::{Body, Came, Frame, Grant, Hello, Wire, XID_AUTH, XID_PING, XID_SET_WATCHES, op};

/// Session time-out; far longer than any pause of a busy machine.
const TIMEOUT: i32 = 40_000;
/// One slot more, of a super user who looks at everything at the end.
const AUDITOR: usize = SLOTS;

/// The first step at which the servers differ.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Index of the step; the length of the script means: in the tree afterwards.
    pub step: usize,
    /// What differs.
    pub text: String,
}

/// What was met on the way, to see that a plan tries what it is meant to try.
#[derive(Debug, Default)]
pub struct Met {
    /// How often a request of an operation was answered with an error code.
    pub answers: BTreeMap<(i32, i32), u64>,
    /// How many notifications came.
    pub events: u64,
}

/// Runs `script` below `root` on both servers. `None`: no difference.
///
/// # Errors
/// Nothing to compare: a server cannot be reached.
pub fn run(
    script: &[Step],
    root: &str,
    theirs: SocketAddr,
    ours: SocketAddr,
    met: &mut Met,
) -> Result<Option<Difference>> {
    let mut twins = Twins {
        root,
        sides: [Side::new(theirs), Side::new(ours)],
        mapping: Mapping::default(),
        created: Vec::new(),
        xid: 0,
        met,
    };
    for (at, step) in script.iter().enumerate() {
        if let Some(text) = twins.step(step)? {
            return Ok(Some(Difference { step: at, text }));
        }
    }
    let text = twins.finish()?;
    Ok(text.map(|text| Difference {
        step: script.len(),
        text,
    }))
}

/// What one server knows of the script.
struct Side {
    addr: SocketAddr,
    conns: Vec<Option<Wire>>,
    grants: Vec<Option<Grant>>,
    zxids: Vec<i64>,
}

/// What a side shows: a line of fields per frame, or that the connection was closed.
type Shown = Vec<Vec<Field>>;

impl Side {
    fn new(addr: SocketAddr) -> Self {
        let slots = AUDITOR + 1;
        Self {
            addr,
            conns: (0..slots).map(|_| None).collect(),
            grants: vec![None; slots],
            zxids: Vec::new(),
        }
    }

    /// Connects with `hello`; what came back.
    fn greet(&mut self, slot: usize, hello: &Hello) -> Result<Shown> {
        self.conns[slot] = None;
        let Some((wire, grant)) = Wire::connect(self.addr, hello)? else {
            return Ok(vec![closed()]);
        };
        let shown = vec![of_grant(&grant)];
        if grant.session == 0 {
            self.grants[slot] = None;
        } else {
            self.grants[slot] = Some(grant);
            self.conns[slot] = Some(wire);
        }
        Ok(shown)
    }

    fn last_zxid(&self) -> i64 {
        self.zxids.last().copied().unwrap_or(0)
    }

    fn send(&mut self, slot: usize, xid: i32, op: i32, body: &Body) -> Result<()> {
        match &mut self.conns[slot] {
            Some(wire) => wire.send(xid, op, body),
            None => Ok(()),
        }
    }

    /// Reads until the reply with `xid`, or until the end. `op` says how to take the reply apart.
    fn read_until(&mut self, slot: usize, xid: i32, op: i32) -> Result<(Shown, Option<Frame>)> {
        let mut shown = Shown::new();
        let Some(wire) = &mut self.conns[slot] else {
            return Ok((vec![closed()], None));
        };
        loop {
            match wire.receive() {
                Ok(Came::Frame(frame)) => {
                    shown.push(of_frame(op, &frame));
                    if frame.xid == xid {
                        if frame.err == 0 || frame.zxid > 0 {
                            self.zxids.push(frame.zxid);
                        }
                        return Ok((shown, Some(frame)));
                    }
                }
                Ok(Came::Closed) => {
                    shown.push(closed());
                    self.conns[slot] = None;
                    return Ok((shown, None));
                }
                Err(error) => {
                    shown.push(vec![remark(&format!("{error:#}"))]);
                    self.conns[slot] = None;
                    return Ok((shown, None));
                }
            }
        }
    }

    /// Reads to the end of the connection.
    fn read_to_end(&mut self, slot: usize) -> Result<Shown> {
        let (shown, _) = self.read_until(slot, i32::MIN, 0)?;
        self.conns[slot] = None;
        Ok(shown)
    }
}

/// Sorts the events of a closing session, which come in no particular order: its ephemerals are a set.
fn in_any_order(shown: &mut Shown) {
    shown.sort_by_key(|fields| event(fields));
}

/// Type and path, if the fields are those of an event.
fn event(fields: &[Field]) -> Option<(i64, String)> {
    let value = |name: &str| {
        fields
            .iter()
            .find(|field| field.name == name)
            .map(|field| &field.value)
    };
    match (value("event type"), value("event path")) {
        (Some(Value::Int(kind)), Some(Value::Text(Some(path)))) => Some((*kind, path.clone())),
        _ => None,
    }
}

fn closed() -> Vec<Field> {
    vec![remark("closed")]
}

fn remark(text: &str) -> Field {
    Field {
        name: text.to_owned().into(),
        value: Value::Int(0),
    }
}

struct Twins<'a> {
    root: &'a str,
    sides: [Side; 2],
    mapping: Mapping,
    /// Paths that creates were answered with, the same on both sides.
    created: Vec<String>,
    xid: i32,
    met: &'a mut Met,
}

impl Twins<'_> {
    fn step(&mut self, step: &Step) -> Result<Option<String>> {
        match step {
            Step::Ask {
                slot,
                request,
                damage,
            } => self.ask(*slot, request, *damage),
            Step::Drop { slot } => {
                self.each(|side| side.conns[*slot] = None);
                Ok(None)
            }
            Step::Resume { slot, greeting } => self.resume(*slot, *greeting),
            Step::Garbage { slot, bytes } => self.garbage(*slot, bytes),
            Step::Stranger { bytes } => self.stranger(bytes),
        }
    }

    fn each(&mut self, mut act: impl FnMut(&mut Side)) {
        self.sides.iter_mut().for_each(&mut act);
    }

    fn compare(&mut self, theirs: &Shown, ours: &Shown) -> Option<String> {
        let events = theirs
            .iter()
            .filter(|fields| fields.iter().any(|field| field.name == "event type"));
        self.met.events += events.count() as u64;
        for at in 0..theirs.len().max(ours.len()) {
            match (theirs.get(at), ours.get(at)) {
                (Some(a), Some(b)) => {
                    if let Some(text) = self.mapping.difference(a, b) {
                        return Some(format!(
                            "{text}\n  theirs: {}\n  ours:   {}",
                            line(a),
                            line(b)
                        ));
                    }
                }
                (Some(a), None) => return Some(format!("only theirs: {}", line(a))),
                (None, Some(b)) => return Some(format!("only ours: {}", line(b))),
                (None, None) => {}
            }
        }
        None
    }

    /// Opens a connection for the slot where there is none: the session's again, or a new session.
    fn connect(&mut self, slot: usize) -> Result<Option<String>> {
        if self.sides.iter().all(|side| side.conns[slot].is_some()) {
            return Ok(None);
        }
        let mut shown = Vec::new();
        for side in &mut self.sides {
            let hello = match &side.grants[slot] {
                Some(grant) => Hello {
                    last_zxid: side.zxids.last().copied().unwrap_or(0),
                    session: grant.session,
                    password: grant.password.clone(),
                    ..Hello::new(TIMEOUT)
                },
                None => Hello::new(TIMEOUT),
            };
            shown.push(side.greet(slot, &hello)?);
        }
        let text = self.compare(&shown[0], &shown[1]);
        if text.is_none() && self.sides[0].conns[slot].is_none() {
            // Refused by both; the next try is a new session.
            self.each(|side| side.grants[slot] = None);
            return self.connect(slot);
        }
        Ok(text)
    }

    fn ask(&mut self, slot: usize, request: &Request, damage: Damage) -> Result<Option<String>> {
        if let Some(text) = self.connect(slot)? {
            return Ok(Some(text));
        }
        let op = request.op();
        let xid = match request {
            Request::SetWatches { .. } => XID_SET_WATCHES,
            Request::Auth { .. } => XID_AUTH,
            Request::Bare { op: op::PING } => XID_PING,
            _ => {
                self.xid += 1;
                self.xid
            }
        };
        for side in &mut self.sides {
            let place = Place {
                root: self.root,
                created: &self.created,
                zxids: &side.zxids,
            };
            let mut body = request.body(&place);
            match damage {
                Damage::None => {}
                Damage::Cut(n) => body.0.truncate(body.0.len().saturating_sub(n)),
                Damage::Trailing(byte) => body.0.push(byte),
            }
            side.send(slot, xid, op, &body)?;
        }
        let mut shown = Vec::new();
        let mut replies = Vec::new();
        for side in &mut self.sides {
            let (mut seen, reply) = side.read_until(slot, xid, op)?;
            if reply.as_ref().is_some_and(|reply| closes(op, reply)) {
                seen.extend(side.read_to_end(slot)?);
                if op == op::CLOSE_SESSION {
                    side.grants[slot] = None;
                    in_any_order(&mut seen);
                }
            }
            shown.push(seen);
            replies.push(reply);
        }
        if let [Some(theirs), Some(ours)] = &replies[..]
            && (request.may_change() && theirs.err == -5 && ours.err == -5)
        {
            self.mapping.void(theirs.zxid, ours.zxid);
        }
        if matches!(request, Request::SetWatches { .. }) {
            self.drop_filtered(slot, &mut shown)?;
        }
        if let Some(text) = self.compare(&shown[0], &shown[1]) {
            return Ok(Some(text));
        }
        if let Some(reply) = &replies[0] {
            *self.met.answers.entry((op, reply.err)).or_default() += 1;
            self.remember_created(op, reply);
        }
        if request.may_change() {
            self.settle(slot, op == op::CLOSE_SESSION)
        } else {
            Ok(None)
        }
    }

    /// Takes out catch-up events that only theirs has, of znodes that the session may not read ([`allow::CATCH_UP`]).
    fn drop_filtered(&mut self, slot: usize, shown: &mut [Shown]) -> Result<()> {
        let ours: Vec<_> = shown[1].iter().filter_map(|fields| event(fields)).collect();
        let mut unread = Vec::new();
        for (at, fields) in shown[0].iter().enumerate() {
            let Some((kind, path)) = event(fields) else {
                continue;
            };
            if !ours.contains(&(kind, path.clone())) && self.may_not_read(slot, &path)? {
                unread.push(at);
            }
        }
        for at in unread.into_iter().rev() {
            shown[0].remove(at);
        }
        Ok(())
    }

    /// Whether both servers refuse the session to look at a znode.
    fn may_not_read(&mut self, slot: usize, path: &str) -> Result<bool> {
        self.xid += 1;
        let mut refused = true;
        for side in &mut self.sides {
            side.send(
                slot,
                self.xid,
                op::EXISTS,
                &Body::new().string(path).bool(false),
            )?;
            let (_, reply) = side.read_until(slot, self.xid, op::EXISTS)?;
            refused &= reply.is_some_and(|reply| reply.err == -102);
        }
        Ok(refused)
    }

    fn remember_created(&mut self, op: i32, reply: &Frame) {
        let creates = matches!(
            op,
            op::CREATE | op::CREATE2 | op::CREATE_CONTAINER | op::CREATE_TTL
        );
        if !creates || reply.err != 0 {
            return;
        }
        if let Ok(Some(path)) = zabra_jute::Reader::new(&reply.body).string()
            && path.starts_with(self.root)
        {
            self.created.push(path.into_owned());
        }
    }

    /// Pings every other connection and compares what came before the replies.
    fn settle(&mut self, asked: usize, any_order: bool) -> Result<Option<String>> {
        for side in &mut self.sides {
            for slot in (0..SLOTS).filter(|slot| *slot != asked) {
                side.send(slot, XID_PING, op::PING, &Body::new())?;
            }
        }
        for slot in (0..SLOTS).filter(|slot| *slot != asked) {
            let mut shown = Vec::new();
            for side in &mut self.sides {
                if side.conns[slot].is_none() {
                    continue;
                }
                let (mut seen, _) = side.read_until(slot, XID_PING, op::PING)?;
                if any_order {
                    in_any_order(&mut seen);
                }
                shown.push(seen);
            }
            if let [theirs, ours] = &shown[..]
                && let Some(text) = self.compare(theirs, ours)
            {
                return Ok(Some(format!("on session {slot}: {text}")));
            }
        }
        Ok(None)
    }

    fn resume(&mut self, slot: usize, greeting: Greeting) -> Result<Option<String>> {
        if allow::needs_no_connection(greeting) {
            self.each(|side| side.conns[slot] = None);
        }
        let mut shown = Vec::new();
        for side in &mut self.sides {
            let Some(grant) = side.grants[slot].clone() else {
                return Ok(None);
            };
            let mut hello = Hello {
                last_zxid: side.last_zxid(),
                session: grant.session,
                password: grant.password.clone(),
                ..Hello::new(TIMEOUT)
            };
            match greeting {
                Greeting::Right => {}
                Greeting::Old => hello.read_only = None,
                Greeting::WrongPassword => hello.password[3] ^= 1,
                Greeting::UnknownSession => hello.session = 0x7777,
                Greeting::FromTheFuture => hello.last_zxid = i64::MAX,
                Greeting::OtherTimeout(timeout) => hello.timeout = timeout,
            }
            let before = side.conns[slot].take();
            let mut seen = side.greet(slot, &hello)?;
            if side.conns[slot].is_none() {
                // Refused: the session, and a connection that stands, are as they were.
                side.grants[slot] = Some(grant);
                side.conns[slot] = before;
            } else if let Some(old) = before {
                side.conns.push(Some(old));
                let ended = side.conns.len() - 1;
                seen.extend(side.read_to_end(ended)?);
                side.conns.pop();
            }
            shown.push(seen);
        }
        Ok(self.compare(&shown[0], &shown[1]))
    }

    fn garbage(&mut self, slot: usize, bytes: &[u8]) -> Result<Option<String>> {
        if let Some(text) = self.connect(slot)? {
            return Ok(Some(text));
        }
        let mut shown = Vec::new();
        for side in &mut self.sides {
            if let Some(wire) = &mut side.conns[slot] {
                wire.send_raw(bytes)?;
            }
        }
        for side in &mut self.sides {
            shown.push(side.read_to_end(slot)?);
        }
        Ok(self.compare(&shown[0], &shown[1]))
    }

    fn stranger(&mut self, bytes: &[u8]) -> Result<Option<String>> {
        let mut shown = Vec::new();
        for side in &mut self.sides {
            let mut wire = Wire::open(side.addr)?;
            wire.send_raw(bytes)?;
            shown.push(match wire.receive() {
                Ok(Came::Closed) => vec![closed()],
                Ok(Came::Frame(frame)) => vec![of_frame(0, &frame)],
                Err(error) => vec![vec![remark(&format!("{error:#}"))]],
            });
        }
        Ok(self.compare(&shown[0], &shown[1]))
    }

    /// Closes every session, then compares the whole tree below the root as a super user sees it.
    fn finish(&mut self) -> Result<Option<String>> {
        for slot in 0..SLOTS {
            if self.sides.iter().all(|side| side.grants[slot].is_some()) {
                let end = Request::Bare {
                    op: op::CLOSE_SESSION,
                };
                if let Some(text) = self.ask(slot, &end, Damage::None)? {
                    return Ok(Some(format!("closing session {slot}: {text}")));
                }
            }
        }
        let auth = Request::Auth {
            scheme: "digest".to_owned(),
            auth: Some(b"super:superpw".to_vec()),
        };
        if let Some(text) = self.ask(AUDITOR, &auth, Damage::None)? {
            return Ok(Some(text));
        }
        let quota = format!("/zookeeper/quota{}", self.root);
        let mut paths = vec![self.root.to_owned(), quota, "/".to_owned()];
        while let Some(path) = paths.pop() {
            match self.audit(&path)? {
                (Some(text), _) => return Ok(Some(format!("{path}: {text}"))),
                (None, children) => {
                    paths.extend(children.into_iter().map(|name| format!("{path}/{name}")))
                }
            }
        }
        self.ask(
            AUDITOR,
            &Request::Bare {
                op: op::CLOSE_SESSION,
            },
            Damage::None,
        )
    }

    /// Compares one znode; its children (none of `/`, which belongs to no script).
    fn audit(&mut self, path: &str) -> Result<(Option<String>, Vec<String>)> {
        let mut children = Vec::new();
        for op in [op::GET_DATA, op::GET_ACL, op::GET_CHILDREN2] {
            self.xid += 1;
            let mut shown = Vec::new();
            for side in &mut self.sides {
                let body = Body::new().string(path);
                let body = if op == op::GET_ACL {
                    body
                } else {
                    body.bool(false)
                };
                side.send(AUDITOR, self.xid, op, &body)?;
                let (seen, reply) = side.read_until(AUDITOR, self.xid, op)?;
                if op == op::GET_CHILDREN2 && path != "/" {
                    children = names(reply.context("no reply to the audit")?)?;
                }
                shown.push(seen);
            }
            if let Some(text) = self.compare(&shown[0], &shown[1]) {
                return Ok((Some(text), Vec::new()));
            }
        }
        Ok((None, children))
    }
}

fn names(reply: Frame) -> Result<Vec<String>> {
    let mut names = Vec::new();
    if reply.err != 0 {
        return Ok(names);
    }
    let mut r = zabra_jute::Reader::new(&reply.body);
    for _ in 0..r.count()?.unwrap_or(0) {
        let Some(name) = r.string()? else {
            bail!("a child without a name")
        };
        names.push(name.into_owned());
    }
    Ok(names)
}

/// Whether the server closes the connection after such a reply.
fn closes(op: i32, reply: &Frame) -> bool {
    let unknown =
        reply.err == -6 && !matches!(op, op::CREATE_TTL | op::RECONFIG | op::CREATE | op::CREATE2);
    unknown || reply.err == -115 || op == op::CLOSE_SESSION
}

fn line(fields: &[Field]) -> String {
    fields
        .iter()
        .map(|field| format!("{}={:?}", field.name, field.value))
        .collect::<Vec<_>>()
        .join(" ")
}
