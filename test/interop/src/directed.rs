//! Small scripts with known answers: behaviours of Apache 3.9 that older captures do not show, and those that a random
//! script in lockstep cannot meet (expiry, pipelining, limits of frames).
//!
//! Each runs on Apache 3.9 first, so that what is expected is what Apache does; the ones in [`OURS`] are decided
//! differences and run on Zabra only.

use anyhow::{Context, Result, bail, ensure};
use zabra_jute::Reader;

use crate::peer::{Line, Peer, Server, Settings};
use crate::step::step;
use crate::wire::{
    Body, Came, Frame, Grant, Hello, Wire, XID_NOTIFICATION, XID_PING, XID_SET_WATCHES, op,
};

/// A claim about a server and the script that checks it.
type Claim = (&'static str, fn(&Server) -> Result<()>);

/// True of Apache 3.9 and of Zabra.
const BOTH: [Claim; 12] = [
    (
        "an event carries the zxid of the txn that caused it",
        event_zxid,
    ),
    (
        "a catch-up event of setWatches carries zxid -1",
        catch_up_zxid,
    ),
    (
        "an event without READ is not sent, and spends the watch",
        read_filter,
    ),
    ("create2 in a multi is answered with a Stat", multi_create2),
    ("a failed multi names the failing element", multi_failed),
    (
        "an expired session loses its ephemerals and its connection",
        expiry,
    ),
    (
        "what is sent behind the connect request is not lost",
        early_requests,
    ),
    (
        "pipelined reads see the writes before them and not those behind",
        pipelined,
    ),
    (
        "a frame of jute.maxbuffer bytes is served, a longer one closes the connection",
        frame_limit,
    ),
    (
        "a session moves to a new connection and closes the old one",
        session_moves,
    ),
    (
        "an event comes before the reply to the request that caused it",
        event_before_reply,
    ),
    (
        "ephemerals of a closed session go in one txn",
        close_is_one_txn,
    ),
];

/// True of Zabra only; each is a decided difference.
const OURS: [Claim; 3] = [
    (
        "a wrong password leaves the live connection alone",
        wrong_password,
    ),
    (
        "deleteContainer and createSession from a client are unknown operations",
        internal_ops,
    ),
    (
        "createTTL with a flag that is not TTL is refused",
        ttl_flags,
    ),
];

/// Checks every claim on Apache 3.9 and on `peer`.
///
/// # Errors
/// A claim does not hold, or something is missing.
pub fn run(peer: Peer) -> Result<String> {
    peer.provide()?;
    let mut broken = Vec::new();
    step("known answers, of Apache 3.9", || {
        broken.extend(check(Peer::Apache(Line::V3_9), &BOTH)?);
        Ok(())
    })?;
    step(format_args!("known answers, of {peer}"), || {
        broken.extend(check(peer, &BOTH)?);
        if peer == Peer::Zabra {
            broken.extend(check(peer, &OURS)?);
        }
        Ok(())
    })?;
    ensure!(
        broken.is_empty(),
        "{} claims do not hold:\n{}",
        broken.len(),
        broken.join("\n")
    );
    Ok(format!("{} claims hold", BOTH.len() + OURS.len()))
}

/// The claims that do not hold. Each gets a server of its own state: a path of its own would do, but not for expiry.
fn check(peer: Peer, claims: &[Claim]) -> Result<Vec<String>> {
    let dir = tempfile::tempdir()?;
    // Short ticks, so that sessions can expire in seconds.
    let settings = Settings::base()
        .config("tickTime=500")
        .property("zookeeper.extendedTypesEnabled=true")
        .property("znode.container.checkIntervalMs=100000000");
    let server = peer.start(dir.path(), &settings)?;
    let check = |(claim, script): &Claim| {
        script(&server)
            .err()
            .map(|why| format!("  {peer}: {claim}: {why:#}"))
    };
    let broken = claims.iter().filter_map(check).collect();
    server.kill()?;
    Ok(broken)
}

/// A session whose notifications are kept.
struct Session {
    wire: Wire,
    grant: Grant,
    xid: i32,
    events: Vec<Event>,
}

#[derive(Debug, PartialEq, Eq)]
struct Event {
    zxid: i64,
    kind: i32,
    path: String,
}

impl Session {
    fn open(server: &Server) -> Result<Self> {
        Self::greet(server, &Hello::new(10_000))
    }

    fn greet(server: &Server, hello: &Hello) -> Result<Self> {
        let (wire, grant) =
            Wire::connect(server.addr(), hello)?.context("closed at the handshake")?;
        Ok(Self {
            wire,
            grant,
            xid: 0,
            events: Vec::new(),
        })
    }

    /// The next frame that is not a notification; those are kept.
    fn reply(&mut self) -> Result<Frame> {
        loop {
            match self.wire.receive()? {
                Came::Frame(frame) if frame.xid == XID_NOTIFICATION => {
                    let mut r = Reader::new(&frame.body);
                    let kind = r.i32()?;
                    r.i32()?;
                    let path = r.string()?.context("an event without a path")?.into_owned();
                    self.events.push(Event {
                        zxid: frame.zxid,
                        kind,
                        path,
                    });
                }
                Came::Frame(frame) => return Ok(frame),
                Came::Closed => bail!("closed instead of a reply"),
            }
        }
    }

    fn call(&mut self, op: i32, body: &Body) -> Result<Frame> {
        self.xid += 1;
        self.wire.send(self.xid, op, body)?;
        self.reply()
    }

    /// A call that must succeed.
    fn done(&mut self, op: i32, body: &Body) -> Result<Frame> {
        let frame = self.call(op, body)?;
        ensure!(frame.err == 0, "op {op} was answered {}", frame.err);
        Ok(frame)
    }

    /// Makes sure that everything that was on its way is here.
    fn settle(&mut self) -> Result<()> {
        self.wire.send(XID_PING, op::PING, &Body::new())?;
        self.reply().map(drop)
    }

    fn is_closed(&mut self) -> Result<()> {
        loop {
            if self.wire.receive()? == Came::Closed {
                return Ok(());
            }
        }
    }
}

const OPEN: [(i32, &str, &str); 1] = [(31, "world", "anyone")];

fn create(path: &str, flags: i32) -> Body {
    Body::new()
        .string(path)
        .buffer(Some(b"data"))
        .acl(&OPEN)
        .i32(flags)
}

fn read(path: &str, watch: bool) -> Body {
    Body::new().string(path).bool(watch)
}

fn set(path: &str, data: &[u8]) -> Body {
    Body::new().string(path).buffer(Some(data)).i32(-1)
}

fn event_zxid(server: &Server) -> Result<()> {
    let (mut watcher, mut writer) = (Session::open(server)?, Session::open(server)?);
    writer.done(op::CREATE, &create("/event-zxid", 0))?;
    watcher.done(op::GET_DATA, &read("/event-zxid", true))?;
    let cause = writer.done(op::SET_DATA, &set("/event-zxid", b"x"))?;
    watcher.settle()?;
    let expected = Event {
        zxid: cause.zxid,
        kind: 3,
        path: "/event-zxid".to_owned(),
    };
    ensure!(
        watcher.events == [expected],
        "{:?} after zxid {}",
        watcher.events,
        cause.zxid
    );
    Ok(())
}

fn catch_up_zxid(server: &Server) -> Result<()> {
    let mut session = Session::open(server)?;
    session.done(op::CREATE, &create("/catch-up", 0))?;
    let body = Body::new()
        .i64(0)
        .strings(&["/catch-up"])
        .strings::<&str>(&[])
        .strings::<&str>(&[]);
    session.wire.send(XID_SET_WATCHES, op::SET_WATCHES, &body)?;
    session.reply()?;
    let expected = Event {
        zxid: -1,
        kind: 3,
        path: "/catch-up".to_owned(),
    };
    ensure!(session.events == [expected], "{:?}", session.events);
    Ok(())
}

fn read_filter(server: &Server) -> Result<()> {
    let (mut watcher, mut writer) = (Session::open(server)?, Session::open(server)?);
    writer.done(op::CREATE, &create("/filter", 0))?;
    watcher.done(op::GET_DATA, &read("/filter", true))?;
    let acl = |perms| {
        Body::new()
            .string("/filter")
            .acl(&[(perms, "world", "anyone")])
            .i32(-1)
    };
    writer.done(op::SET_ACL, &acl(30))?;
    writer.done(op::SET_DATA, &set("/filter", b"unseen"))?;
    writer.done(op::SET_ACL, &acl(31))?;
    writer.done(op::SET_DATA, &set("/filter", b"unwatched"))?;
    watcher.settle()?;
    ensure!(watcher.events.is_empty(), "{:?}", watcher.events);
    Ok(())
}

fn multi(elements: &[(i32, Body)]) -> Body {
    let element =
        |body: Body, (op, one): &(i32, Body)| body.i32(*op).bool(false).i32(-1).raw(&one.0);
    elements
        .iter()
        .fold(Body::new(), element)
        .i32(-1)
        .bool(true)
        .i32(-1)
}

fn multi_create2(server: &Server) -> Result<()> {
    let mut session = Session::open(server)?;
    let container = create("/multi-c", 4);
    let elements = [
        (op::CREATE2, create("/multi-2", 0)),
        (op::CREATE_CONTAINER, container),
    ];
    let reply = session.done(op::MULTI, &multi(&elements))?;
    let mut r = Reader::new(&reply.body);
    for path in ["/multi-2", "/multi-c"] {
        ensure!(
            (r.i32()?, r.bool()?, r.i32()?) == (op::CREATE2, false, 0),
            "not a result of create2"
        );
        ensure!(r.string()?.as_deref() == Some(path), "not the path {path}");
        ensure!(r.i64()? == reply.zxid, "not the Stat of {path}");
        r.take(60)?;
    }
    ensure!(
        (r.i32()?, r.bool()?, r.i32()?, r.remaining()) == (-1, true, -1, 0),
        "not the end"
    );
    Ok(())
}

fn multi_failed(server: &Server) -> Result<()> {
    let mut session = Session::open(server)?;
    let delete = Body::new().string("/none").i32(-1);
    let elements = [
        (op::CREATE, create("/multi-f", 0)),
        (op::DELETE, delete),
        (op::CHECK, Body::new().string("/").i32(-1)),
    ];
    let reply = session.done(op::MULTI, &multi(&elements))?;
    let mut r = Reader::new(&reply.body);
    for code in [0, -101, -2] {
        ensure!(
            (r.i32()?, r.bool()?, r.i32()?, r.i32()?) == (-1, false, code, code),
            "not a result {code}"
        );
    }
    let missing = session.call(op::EXISTS, &read("/multi-f", false))?;
    ensure!(
        missing.err == -101 && missing.zxid == reply.zxid,
        "{missing:?}"
    );
    Ok(())
}

fn expiry(server: &Server) -> Result<()> {
    let mut watcher = Session::open(server)?;
    let mut mortal = Session::greet(server, &Hello::new(1))?;
    ensure!(
        mortal.grant.timeout == 1000,
        "time-out {}",
        mortal.grant.timeout
    );
    mortal.done(op::CREATE, &create("/mortal", 1))?;
    watcher.done(op::EXISTS, &read("/mortal", true))?;
    for _ in 0..600 {
        watcher.settle()?;
        if !watcher.events.is_empty() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    ensure!(
        !watcher.events.is_empty(),
        "a session of 1 s is there after 30 s"
    );
    ensure!(
        watcher.events[0].kind == 2 && watcher.events[0].path == "/mortal",
        "{:?}",
        watcher.events
    );
    mortal.is_closed()?;
    let again = Hello {
        session: mortal.grant.session,
        password: mortal.grant.password.clone(),
        ..Hello::new(10_000)
    };
    let refused = Session::greet(server, &again)?;
    ensure!(
        refused.grant.session == 0 && refused.grant.timeout == 0,
        "{:?}",
        refused.grant
    );
    Ok(())
}

fn early_requests(server: &Server) -> Result<()> {
    let mut wire = Wire::open(server.addr())?;
    let hello = Body::new()
        .i32(0)
        .i64(0)
        .i32(10_000)
        .i64(0)
        .buffer(Some(&[0; 16]))
        .bool(false);
    let request = |xid, op, body: Body| Body::new().i32(xid).i32(op).raw(&body.0);
    let frames = [
        hello,
        request(
            -4,
            op::AUTH,
            Body::new()
                .i32(0)
                .string("digest")
                .buffer(Some(b"bob:bobspw")),
        ),
        request(1, op::CREATE, create("/early", 1)),
        request(2, op::GET_DATA, read("/early", false)),
        request(XID_PING, op::PING, Body::new()),
    ];
    let bytes = frames
        .iter()
        .fold(Body::new(), |all, frame| all.buffer(Some(&frame.0)));
    wire.send_raw(&bytes.0)?;
    wire.receive()?; // the connect response, read as if it had a reply header
    let mut xids = Vec::new();
    for _ in 0..4 {
        match wire.receive()? {
            Came::Frame(frame) if frame.err == 0 => xids.push(frame.xid),
            other => bail!("{other:?}"),
        }
    }
    ensure!(xids == [-4, 1, 2, XID_PING], "{xids:?}");
    Ok(())
}

fn pipelined(server: &Server) -> Result<()> {
    let mut session = Session::open(server)?;
    session.done(op::CREATE, &create("/pipe", 0))?;
    let rounds = 200;
    for n in 0..rounds {
        session.wire.send(
            1000 + n,
            op::SET_DATA,
            &set("/pipe", n.to_string().as_bytes()),
        )?;
        session
            .wire
            .send(2000 + n, op::GET_DATA, &read("/pipe", false))?;
    }
    let mut zxid = 0;
    for n in 0..rounds {
        let (wrote, got) = (session.reply()?, session.reply()?);
        ensure!(
            wrote.xid == 1000 + n && got.xid == 2000 + n,
            "replies out of order at {n}"
        );
        ensure!(
            wrote.zxid > zxid && got.zxid >= wrote.zxid,
            "zxids go down at {n}"
        );
        zxid = got.zxid;
        let data = Reader::new(&got.body).buffer()?.map(<[u8]>::to_vec);
        ensure!(
            data == Some(n.to_string().into_bytes()),
            "round {n} read {data:?}"
        );
    }
    Ok(())
}

fn frame_limit(server: &Server) -> Result<()> {
    const LIMIT: usize = 1_048_575;
    let mut session = Session::open(server)?;
    session.done(op::CREATE, &create("/large", 0))?;
    let around = set("/large", b"").0.len() + 8;
    let fits = set("/large", &vec![b'x'; LIMIT - around]);
    session.done(op::SET_DATA, &fits)?;
    let back = session.done(op::GET_DATA, &read("/large", false))?;
    ensure!(
        back.body.len() > LIMIT - 200,
        "{} bytes came back",
        back.body.len()
    );
    session.wire.send(
        9,
        op::SET_DATA,
        &set("/large", &vec![b'x'; LIMIT - around + 1]),
    )?;
    session.is_closed()
}

fn session_moves(server: &Server) -> Result<()> {
    let mut old = Session::open(server)?;
    old.done(op::CREATE, &create("/moves", 1))?;
    let hello = Hello {
        session: old.grant.session,
        password: old.grant.password.clone(),
        ..Hello::new(10_000)
    };
    let mut new = Session::greet(server, &hello)?;
    ensure!(new.grant.session == old.grant.session, "{:?}", new.grant);
    old.is_closed()?;
    new.done(op::EXISTS, &read("/moves", false)).map(drop)
}

fn event_before_reply(server: &Server) -> Result<()> {
    let mut session = Session::open(server)?;
    session.call(op::EXISTS, &read("/own", true))?;
    session.done(op::CREATE, &create("/own", 0))?;
    ensure!(session.events.len() == 1, "{:?}", session.events);
    Ok(())
}

fn close_is_one_txn(server: &Server) -> Result<()> {
    let (mut watcher, mut leaver) = (Session::open(server)?, Session::open(server)?);
    for n in 0..5 {
        leaver.done(op::CREATE, &create(&format!("/leaver-{n}"), 1))?;
        watcher.done(op::EXISTS, &read(&format!("/leaver-{n}"), true))?;
    }
    let end = leaver.done(-11, &Body::new())?;
    leaver.is_closed()?;
    watcher.settle()?;
    ensure!(watcher.events.len() == 5, "{:?}", watcher.events);
    ensure!(
        watcher
            .events
            .iter()
            .all(|event| event.zxid == end.zxid && event.kind == 2),
        "{:?}",
        watcher.events
    );
    Ok(())
}

fn wrong_password(server: &Server) -> Result<()> {
    let mut session = Session::open(server)?;
    let hello = Hello {
        session: session.grant.session,
        password: vec![1; 16],
        ..Hello::new(10_000)
    };
    let refused = Session::greet(server, &hello)?;
    ensure!(refused.grant.session == 0, "a wrong password was taken");
    session.settle()
}

fn internal_ops(server: &Server) -> Result<()> {
    for op in [20, -10] {
        let mut session = Session::open(server)?;
        let reply = session.call(op, &Body::new().string("/zookeeper"))?;
        ensure!(reply.err == -6, "op {op} was answered {}", reply.err);
        session.is_closed()?;
    }
    Ok(())
}

fn ttl_flags(server: &Server) -> Result<()> {
    let mut session = Session::open(server)?;
    for flags in 0..5 {
        let reply = session.call(op::CREATE_TTL, &create("/ttl", flags).i64(-1))?;
        ensure!(reply.err == -8, "flags {flags} were answered {}", reply.err);
    }
    Ok(())
}
