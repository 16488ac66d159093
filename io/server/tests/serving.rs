//! A server in this process, over real sockets and a real disk.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;
mod ensemble;

use std::io::{Read, Write};
use std::net::TcpStream;

use common::{Client, GatedVfs, Running, config, connect_request, frame, read_frame, word};
use zabra_proto::client::{RequestHeader, SetDataRequest};
use zabra_proto::{ErrorCode, OpCode, SessionId, Xid};

#[test]
fn what_was_acknowledged_is_there_after_a_restart_and_so_is_the_session() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(config(dir.path(), ""));
    let mut client = Client::open(server.address);
    let create = client.create("/a", b"one");
    assert_eq!(client.ask(&create), ErrorCode::OK);
    let set = client.set("/a", b"two");
    assert_eq!(client.ask(&set), ErrorCode::OK);
    server.stop();

    let server = Running::start(config(dir.path(), ""));
    let mut again = Client::resume(server.address, client.session, client.password);
    assert_eq!(again.session, client.session);
    assert_eq!(again.data("/a"), Ok(b"two".to_vec()));
    server.stop();
}

#[test]
fn a_session_reads_its_own_writes_and_never_a_later_one() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(config(dir.path(), ""));
    let mut client = Client::open(server.address);
    let mut bytes = client.create("/a", b"0");
    for round in 1..=200 {
        bytes.extend(client.set("/a", format!("{round}").as_bytes()));
        bytes.extend(client.get("/a"));
    }
    client.send(&bytes);
    assert_eq!(client.reply().0.xid, Xid(1));
    for round in 1..=200 {
        let (set, _) = client.reply();
        assert_eq!((set.error, set.xid), (ErrorCode::OK, Xid(2 * round)));
        assert_eq!(client.data_reply(), Ok(format!("{round}").into_bytes()));
    }
    server.stop();
}

#[test]
fn requests_behind_the_connect_request_in_one_segment_are_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(config(dir.path(), ""));
    let mut socket = TcpStream::connect(server.address).unwrap();
    let mut bytes = connect_request(SessionId::NONE, &[0; 16]);
    bytes.extend(frame(&[&RequestHeader {
        xid: Xid::PING,
        op: OpCode::Ping.code(),
    }]));
    socket.write_all(&bytes).unwrap();
    assert_eq!(read_frame(&mut socket).unwrap().len(), 37);
    assert_eq!(
        read_frame(&mut socket).unwrap()[..4],
        Xid::PING.0.to_be_bytes()
    );
    server.stop();
}

#[test]
fn while_a_flush_hangs_others_are_served_and_nothing_is_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let vfs = GatedVfs::default();
    let gate = std::sync::Arc::clone(&vfs.gate);
    let server = Running::start_on(config(dir.path(), ""), std::sync::Arc::new(vfs));
    let mut reader = Client::open(server.address);
    let mut writers: Vec<Client> = (0..3).map(|_| Client::open(server.address)).collect();

    gate.close();
    let create = writers[0].create("/0", b"held");
    writers[0].send(&create);
    gate.until_somebody_waits();
    // The poller sleeps in its flush; only another thread in its seat can answer these.
    assert_eq!(reader.data("/0"), Err(ErrorCode::NO_NODE));
    for (at, writer) in writers.iter_mut().enumerate().skip(1) {
        let create = writer.create(&format!("/{at}"), b"gathered");
        writer.send(&create);
    }
    assert_eq!(reader.data("/1"), Err(ErrorCode::NO_NODE));
    gate.open();
    for (at, writer) in writers.iter_mut().enumerate() {
        assert_eq!(writer.reply().0.error, ErrorCode::OK);
        assert!(reader.data(&format!("/{at}")).is_ok());
    }
    let set = reader.set("/2", b"on");
    assert_eq!(reader.ask(&set), ErrorCode::OK);
    server.stop();
}

#[test]
fn a_flush_that_may_wait_takes_as_many_transactions_as_it_may_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let vfs = GatedVfs::default();
    let gate = std::sync::Arc::clone(&vfs.gate);
    // So long that only the number of transactions ends the wait.
    let lines = "flushDelay=3600000\nmaxWriteQueuePollTime=3600000\nmaxBatchSize=3";
    let server = Running::start_on(config(dir.path(), lines), std::sync::Arc::new(vfs));
    let mut sockets = [(); 3].map(|()| TcpStream::connect(server.address).unwrap());
    let connect = connect_request(SessionId::NONE, &[0; 16]);
    sockets
        .iter_mut()
        .for_each(|socket| socket.write_all(&connect).unwrap());
    for socket in &mut sockets {
        assert_eq!(read_frame(socket).unwrap().len(), 37);
    }
    let before = gate.passed();
    let set = SetDataRequest {
        path: "/".into(),
        data: Some(b"x"),
        version: -1,
    };
    let header = RequestHeader {
        xid: Xid(1),
        op: OpCode::SetData.code(),
    };
    for round in 1..=10 {
        for socket in &mut sockets {
            socket.write_all(&frame(&[&header, &set])).unwrap();
        }
        for socket in &mut sockets {
            assert_eq!(read_frame(socket).unwrap().len(), 84);
        }
        assert_eq!(gate.passed() - before, round);
    }
    sockets[0]
        .write_all(&frame(&[&header, &set]).repeat(30))
        .unwrap();
    (0..30).for_each(|_| drop(read_frame(&mut sockets[0]).unwrap()));
    assert_eq!(gate.passed() - before, 20);
    server.stop();
}

#[test]
fn where_every_transaction_is_a_batch_each_has_its_flush() {
    let dir = tempfile::tempdir().unwrap();
    let vfs = GatedVfs::default();
    let gate = std::sync::Arc::clone(&vfs.gate);
    let server = Running::start_on(
        config(dir.path(), "maxBatchSize=1"),
        std::sync::Arc::new(vfs),
    );
    let mut client = Client::open(server.address);
    let before = gate.passed();
    let sets: Vec<u8> = (0..30).flat_map(|_| client.set("/", b"x")).collect();
    client.send(&sets);
    (0..30).for_each(|_| assert_eq!(client.reply().0.error, ErrorCode::OK));
    assert_eq!(gate.passed() - before, 30);
    server.stop();
}

#[test]
fn what_may_be_written_can_be_read_back_however_large_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let roomy = || {
        let mut config = config(dir.path(), "");
        config.limits.packet_max_bytes = 20 << 20;
        config
    };
    let server = Running::start(roomy());
    let mut client = Client::open(server.address);
    let large = vec![7; 18 << 20];
    let set = client.set("/", &large);
    assert_eq!(client.ask(&set), ErrorCode::OK);
    server.stop();
    let server = Running::start(roomy());
    let mut client = Client::open(server.address);
    assert!(client.data("/").unwrap() == large);
    server.stop();
}

#[test]
fn words_are_answered_where_they_are_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(config(
        dir.path(),
        "4lw.commands.whitelist=ruok,mntr,dirs,stat",
    ));
    let _client = Client::open(server.address);
    assert_eq!(word(server.address, "ruok"), "imok");
    let srvr = word(server.address, "srvr");
    assert!(
        srvr.starts_with("Zookeeper version: 3.9.5-zabra-"),
        "{srvr}"
    );
    assert!(
        srvr.ends_with("Zxid: 0x1\nMode: standalone\nNode count: 5\n"),
        "{srvr}"
    );
    assert_eq!(
        word(server.address, "wchs"),
        "wchs is not executed because it is not in the whitelist.\n"
    );
    assert!(word(server.address, "mntr").contains("zk_num_alive_connections\t2\n"));
    assert!(word(server.address, "dirs").starts_with("datadir_size: "));
    let stat = word(server.address, "stat");
    assert!(stat.contains("[1](queued=0,recved=1,sent=1)\n"), "{stat}");
    assert_eq!(word(server.address, "nope"), "", "closed without a word");
    server.stop();
}

#[test]
fn the_trace_mask_is_what_it_was_set_to() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(config(dir.path(), "4lw.commands.whitelist=stmk,gtmk"));
    assert_eq!(word(server.address, "gtmk"), "306");
    assert_eq!(word(server.address, "stmk\0\0\0\0\0\0\x01\x04"), "260");
    assert_eq!(word(server.address, "gtmk"), "260");
    server.stop();
}

#[test]
fn latencies_are_counted_by_kind_until_they_are_reset() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(config(
        dir.path(),
        "4lw.commands.whitelist=mntr,srst\nconnection_throttle_tokens=1\nconnection_throttle_fill_time=100000000",
    ));
    let mut client = Client::open(server.address);
    let set = client.set("/", b"x");
    assert_eq!(client.ask(&set), ErrorCode::OK);
    assert!(client.data("/").is_ok());
    let mut refused = TcpStream::connect(server.address).unwrap();
    refused
        .write_all(&connect_request(SessionId::NONE, &[0; 16]))
        .unwrap();
    assert_eq!(read_frame(&mut refused), None);
    let mntr = word(server.address, "mntr");
    for row in [
        "zk_cnt_readlatency\t1\n",
        "zk_cnt_updatelatency\t1\n",
        "zk_connection_rejected\t1\n",
        "zk_sum_connection_token_deficit\t1\n",
    ] {
        assert!(mntr.contains(row), "{row} is not in {mntr}");
    }
    assert_eq!(word(server.address, "srst"), "Server stats reset.\n");
    let mntr = word(server.address, "mntr");
    for row in ["zk_cnt_readlatency\t0\n", "zk_connection_rejected\t0\n"] {
        assert!(mntr.contains(row), "{row} is not in {mntr}");
    }
    server.stop();
}

#[test]
fn garbage_costs_its_sender_the_connection_and_nobody_else_anything() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(config(dir.path(), ""));
    let mut client = Client::open(server.address);
    for garbage in [
        &b"\xff\xff\xff\xff"[..],
        b"\x00\x00\x00\x04abcd",
        b"GET / HTTP/1.1\r\n\r\n",
    ] {
        let mut socket = TcpStream::connect(server.address).unwrap();
        socket.write_all(garbage).unwrap();
        let mut rest = Vec::new();
        // The server may close while bytes are under way, which the system reports as a reset.
        let _ = socket.read_to_end(&mut rest);
        assert_eq!(rest, b"");
    }
    assert_eq!(client.data("/nope"), Err(ErrorCode::NO_NODE));
    server.stop();
}

#[test]
fn an_address_has_as_many_connections_as_it_may_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(config(dir.path(), "maxClientCnxns=2"));
    let first = Client::open(server.address);
    let _second = Client::open(server.address);
    let mut third = TcpStream::connect(server.address).unwrap();
    assert_eq!(read_frame(&mut third), None);
    drop(first);
    // The place is free when the server has seen the end of the first one, some rounds from now.
    let free = (0..10_000).any(|_| {
        let mut socket = TcpStream::connect(server.address).unwrap();
        socket
            .write_all(&connect_request(SessionId::NONE, &[0; 16]))
            .is_ok()
            && read_frame(&mut socket).is_some()
    });
    assert!(free);
    server.stop();
}

#[test]
fn a_snapshot_is_written_beside_the_writes_and_starts_the_next_server() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(config(dir.path(), "snapCount=20"));
    let mut client = Client::open(server.address);
    let snapshots = || {
        let files = std::fs::read_dir(dir.path().join("data/version-2")).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("snapshot.")).count()
    };
    let create = client.create("/a", b"");
    assert_eq!(client.ask(&create), ErrorCode::OK);
    let mut last = 0;
    while snapshots() < 3 {
        last += 1;
        let set = client.set("/a", format!("{last}").as_bytes());
        assert_eq!(client.ask(&set), ErrorCode::OK);
    }
    server.stop();
    let server = Running::start(config(dir.path(), "snapCount=20"));
    let mut client = Client::resume(server.address, client.session, client.password);
    assert_eq!(client.data("/a"), Ok(format!("{last}").into_bytes()));
    server.stop();
}
