//! What a client is told.

use zabra_jute::{Decode, Reader};
use zabra_proto::client::{
    ConnectResponse, ErrorResponse, GetAclResponse, GetChildren2Response, GetDataResponse,
    MultiHeader, PathResponse, ReplyHeader, StatResponse, WatcherEvent,
};
use zabra_proto::{ErrorCode, OpCode, SessionId, Xid, Zxid};

use super::ask::{Asked, Waiting};
use super::watched::Moving;
use super::{Client, Session};
use crate::check::{Answer, Told, WatchKind};
use crate::network::StreamId;
use crate::say;
use crate::surroundings::Surroundings;
use crate::trace::{Z, hash_of};

/// What older servers put into the header of an event.
const NO_ZXID: Zxid = Zxid(u64::MAX);

impl Client {
    /// Bytes of the server.
    pub fn on_bytes(&mut self, stream: StreamId, bytes: &[u8], around: &mut Surroundings) {
        let now = around.kernel.now();
        let Some(conn) = self.conn.as_mut().filter(|conn| conn.stream == stream) else {
            return;
        };
        conn.heard = now;
        conn.input.extend_from_slice(bytes);
        while let Some(frame) = self.next_frame() {
            let is_open = self.conn.as_ref().is_some_and(|conn| conn.is_open);
            let understood = if is_open {
                self.on_frame(&frame, around)
            } else {
                self.on_connect_response(&frame, around)
            };
            if understood.is_none() {
                let text = format!("c{} cannot read {frame:02x?}", self.at);
                around.check.violate("wire", text);
            }
        }
    }

    fn next_frame(&mut self) -> Option<Vec<u8>> {
        let conn = self.conn.as_mut()?;
        let (head, rest) = conn.input.split_first_chunk()?;
        let len = u32::from_be_bytes(*head) as usize;
        let frame = rest.get(..len)?.to_vec();
        conn.input.drain(..4 + len);
        Some(frame)
    }

    fn on_connect_response(&mut self, frame: &[u8], around: &mut Surroundings) -> Option<()> {
        let response = ConnectResponse::decode(&mut Reader::new(frame)).ok()?;
        if response.timeout_ms == 0 {
            say!(around.kernel, "c{} has lost its session", self.at);
            if let Some(session) = self.session.take() {
                self.tally.lost_sessions += 1;
                around.check.lost_session(session.id);
            }
            self.leave(around);
            return Some(());
        }
        let had = self.session.map(|session| session.id);
        let is_known = had.is_some();
        around.check.granted(had, response.session);
        say!(
            around.kernel,
            "c{} has session {}",
            self.at,
            response.session
        );
        self.session = Some(Session {
            id: response.session,
            password: response.password,
            timeout_ms: u64::try_from(response.timeout_ms).unwrap_or(0),
        });
        self.conn.as_mut()?.is_open = true;
        self.show_itself(around);
        let left = std::mem::take(&mut self.left);
        if is_known && !left.is_empty() && around.kernel.chance(700) {
            self.set_watches(Moving::new(left, self.seen), around);
        }
        Some(())
    }

    fn on_frame(&mut self, frame: &[u8], around: &mut Surroundings) -> Option<()> {
        let mut r = Reader::new(frame);
        let header = ReplyHeader::decode(&mut r).ok()?;
        let session = self.session?.id;
        if header.xid == Xid::NOTIFICATION {
            return self.on_event(header, &mut r, session, around);
        }
        if header.xid == Xid::AUTH {
            if !header.error.is_ok() {
                let text = format!("{session} is not who it is: {:?}", header.error);
                around.check.violate("I-38 access", text);
            }
            return Some(());
        }
        if header.error == ErrorCode::SESSION_MOVED {
            around.check.moved_and_stays(session);
        }
        let conn = self.conn.as_mut()?;
        let Some(waiting) = conn.asked.pop_front() else {
            around.check.answers_nothing(session, header.xid);
            return Some(());
        };
        let required = conn.required.pop_front().unwrap_or_default();
        if conn.to < around.plan.voters {
            around.check.showed(conn.to, header.zxid, required);
        }
        let said = (header.xid, header.zxid);
        let xid = waiting.xid.0;
        around.check.answers_in_order(session, xid, said, conn.last);
        conn.last = header.zxid;
        around.check.sees(session, self.seen, header.zxid);
        self.seen = self.seen.max(header.zxid);
        let watches = &mut conn.watches;
        around.check.heard_up_to(session, watches, header.zxid);
        around.check.answered_on(session, header.zxid);
        say!(
            around.kernel,
            "c{} is told #{xid} {} {:?}",
            self.at,
            Z(header.zxid),
            header.error
        );
        if let Some(access) = &waiting.access {
            let errors = match waiting.asked {
                Asked::Multi if header.error.is_ok() => errors_of(r.rest())?,
                _ => vec![header.error],
            };
            around.check.accessed(session, access, header.zxid, &errors);
        }
        self.on_reply(header, waiting, &mut r, session, around)
    }

    fn on_reply(
        &mut self,
        header: ReplyHeader,
        waiting: Waiting,
        r: &mut Reader<'_>,
        session: SessionId,
        around: &mut Surroundings,
    ) -> Option<()> {
        if matches!(waiting.asked, Asked::SetAcl(_) | Asked::GetAcl(_)) {
            return self.on_acl_reply((header, session), waiting, r, around);
        }
        let ok = header.error.is_ok();
        let Waiting { asked, floor, .. } = waiting;
        let told = |answer| Told::new(session, header, floor, answer);
        let users = self.conn.as_ref().map(|conn| conn.watches.users);
        let users = users.unwrap_or_default();
        match asked {
            Asked::Create(hash) => {
                around.check.refused(session, header.error, hash);
                let path = ok.then(|| PathResponse::decode(r).ok()).flatten();
                if let (Some(created), Some(grants)) = (&path, &waiting.grants) {
                    let at = (&*created.path, header.zxid);
                    around.check.listed_as(session, at, grants, users);
                }
                let node = path.as_ref().map(|created| (&*created.path, hash));
                around.check.replied(&told(Answer::Written(node)));
                self.tally.writes += u64::from(ok);
            }
            Asked::Set { path, hash } => {
                around.check.refused(session, header.error, hash);
                let node = Some((path.as_str(), hash));
                around.check.replied(&told(Answer::Written(node)));
                self.tally.writes += u64::from(ok);
            }
            watch @ (Asked::AddWatch(..) | Asked::HasWatches(..) | Asked::RemoveWatches(..)) => {
                return self.on_watch_reply(watch, ok, session, around);
            }
            Asked::Write | Asked::Multi | Asked::Last => {
                around.check.replied(&told(Answer::Written(None)));
                self.tally.writes += u64::from(ok);
                self.is_served |= ok && asked == Asked::Last;
            }
            read @ (Asked::Get { .. } | Asked::Exists { .. } | Asked::List { .. }) => {
                return self.on_read_reply(header, (read, floor), r, session, around);
            }
            Asked::Twins(hash) => {
                return self.on_twins((header, floor), hash, r, session, around);
            }
            Asked::TwinsRead => return self.on_twins_read((header, floor), r, session, around),
            Asked::SetWatches => {
                let conn = self.conn.as_mut()?;
                if let Some(moving) = conn.moving.take() {
                    let check = &mut around.check;
                    conn.watches = moving.arrived(session, users, header.zxid, check);
                }
            }
            Asked::Close if ok => {
                around.check.replied(&told(Answer::Written(None)));
                self.session = None;
                self.leave(around);
            }
            Asked::Sync => {
                around.check.replied(&told(Answer::Synced));
                self.tally.syncs += u64::from(ok);
                self.is_served |= ok && self.has_last_sync;
            }
            Asked::SetAcl(_) | Asked::GetAcl(_) | Asked::Close | Asked::Ping => {}
        }
        Some(())
    }

    fn on_acl_reply(
        &mut self,
        (header, session): (ReplyHeader, SessionId),
        waiting: Waiting,
        r: &mut Reader<'_>,
        around: &mut Surroundings,
    ) -> Option<()> {
        let ok = header.error.is_ok();
        let users = self.conn.as_ref()?.watches.users;
        match waiting.asked {
            Asked::SetAcl(path) => {
                if let Some(grants) = waiting.grants.filter(|_| ok) {
                    let at = (path.as_str(), header.zxid);
                    around.check.listed_as(session, at, &grants, users);
                }
                let answer = Answer::Written(None);
                let told = Told::new(session, header, waiting.floor, answer);
                around.check.replied(&told);
                self.tally.writes += u64::from(ok);
            }
            Asked::GetAcl(path) if ok => {
                let shown = GetAclResponse::decode(r).ok()?;
                let at = (path.as_str(), header.zxid);
                around.check.shown_list(session, at, users, &shown.acl);
                self.tally.reads += 1;
            }
            _ => {}
        }
        Some(())
    }

    fn on_watch_reply(
        &mut self,
        asked: Asked,
        ok: bool,
        session: SessionId,
        around: &mut Surroundings,
    ) -> Option<()> {
        let watches = &mut self.conn.as_mut()?.watches;
        match asked {
            Asked::AddWatch(path, kind) if ok => watches.add(path, kind),
            Asked::HasWatches(path, kind) => {
                let has = watches.has(&path, kind);
                around.check.watches_found(session, (&path, kind), has, ok);
            }
            Asked::RemoveWatches(path, kind) => {
                let had = watches.remove(&path, kind);
                around.check.watches_found(session, (&path, kind), had, ok);
            }
            _ => {}
        }
        Some(())
    }

    fn on_read_reply(
        &mut self,
        header: ReplyHeader,
        (asked, floor): (Asked, Zxid),
        r: &mut Reader<'_>,
        session: SessionId,
        around: &mut Surroundings,
    ) -> Option<()> {
        let ok = header.error.is_ok();
        let told = |answer| Told::new(session, header, floor, answer);
        match asked {
            Asked::Get { path, watches } => {
                let node = match header.error {
                    ErrorCode::OK => {
                        let read = GetDataResponse::decode(r).ok()?;
                        let hash = hash_of(read.data.unwrap_or_default());
                        Some((read.stat.version, Some(hash)))
                    }
                    ErrorCode::NO_NODE => None,
                    _ => return Some(()),
                };
                around
                    .check
                    .replied(&told(Answer::Read { path: &path, node }));
                self.on_read(path, WatchKind::Data, watches && ok);
            }
            Asked::Exists { path, watches } => {
                let node = match header.error {
                    ErrorCode::OK => Some((StatResponse::decode(r).ok()?.stat.version, None)),
                    ErrorCode::NO_NODE => None,
                    _ => return Some(()),
                };
                around
                    .check
                    .replied(&told(Answer::Read { path: &path, node }));
                let kind = if ok {
                    WatchKind::Data
                } else {
                    WatchKind::Birth
                };
                self.on_read(path, kind, watches);
            }
            Asked::List { path, watches } => {
                let names = match header.error {
                    ErrorCode::OK => {
                        let listed = GetChildren2Response::decode(r).ok()?;
                        Some(listed.names.iter().map(ToString::to_string).collect())
                    }
                    ErrorCode::NO_NODE => None,
                    _ => return Some(()),
                };
                let path_told = &path;
                around.check.replied(&told(Answer::Children {
                    path: path_told,
                    names,
                }));
                self.on_read(path, WatchKind::Child, watches && ok);
            }
            _ => {}
        }
        Some(())
    }

    fn on_read(&mut self, path: String, kind: WatchKind, watches: bool) {
        self.tally.reads += 1;
        if let Some(conn) = self.conn.as_mut().filter(|_| watches) {
            conn.watches.add(path, kind);
        }
    }

    fn on_event(
        &mut self,
        header: ReplyHeader,
        r: &mut Reader<'_>,
        session: SessionId,
        around: &mut Surroundings,
    ) -> Option<()> {
        let event = WatcherEvent::decode(r).ok()?;
        let conn = self.conn.as_mut()?;
        if header.zxid != NO_ZXID {
            let check = &mut around.check;
            check.event_behind(session, &event.path, header.zxid, conn.event);
            conn.event = header.zxid;
        }
        match &mut conn.moving {
            Some(moving) => moving.told(&event.path, event.kind),
            None => conn.watches.hear(header.zxid, event.kind, &event.path),
        }
        say!(
            around.kernel,
            "c{} hears {:?} {} of {}",
            self.at,
            event.kind,
            event.path,
            Z(header.zxid)
        );
        self.tally.events += 1;
        Some(())
    }
}

/// What each element of a check and a set is told.
fn errors_of(body: &[u8]) -> Option<Vec<ErrorCode>> {
    let mut r = Reader::new(body);
    let mut errors = Vec::new();
    loop {
        let header = MultiHeader::decode(&mut r).ok()?;
        let error = match OpCode::from_code(header.kind) {
            _ if header.done => return Some(errors),
            None => ErrorResponse::decode(&mut r).ok()?.error,
            Some(OpCode::Check) => ErrorCode::OK,
            Some(_) => {
                StatResponse::decode(&mut r).ok()?;
                ErrorCode::OK
            }
        };
        errors.push(error);
    }
}
