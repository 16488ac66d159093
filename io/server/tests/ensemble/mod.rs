//! Ensembles of servers in this process, over real sockets and real disks.

mod members;
mod mending;
mod words;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use members::Ensemble;
use zabra_proto::ErrorCode;

use crate::common::{self, Client};

/// Creates a znode, over a server that answers.
fn create(client: &mut Client, path: &str) {
    let create = client.create(path, path.as_bytes());
    assert_eq!(client.ask(&create), ErrorCode::OK, "{path}");
}

/// Waits until a server has a znode. It may lag behind: reads are its own.
fn until_it_has(ensemble: &Ensemble, sid: usize, path: &str) {
    let mut client = ensemble.client(sid);
    ensemble.until(path, |_| {
        (client.data(path) == Ok(path.as_bytes().to_vec())).then_some(())
    });
}

#[test]
fn what_is_written_at_one_server_is_read_at_all() {
    let ensemble = Ensemble::started(3, "");
    for sid in 1..=3 {
        create(&mut ensemble.client(sid), &format!("/by-{sid}"));
    }
    for sid in 1..=3 {
        for by in 1..=3 {
            until_it_has(&ensemble, sid, &format!("/by-{by}"));
        }
    }
    ensemble.stop_all();
}

#[test]
fn without_a_quorum_nobody_is_served() {
    let mut ensemble = Ensemble::new(3, "");
    ensemble.start(1);
    let mut client = TcpStream::connect(ensemble.address(1)).unwrap();
    let request = common::connect_request(zabra_proto::SessionId::NONE, &[0; 16]);
    client.write_all(&request).unwrap();
    assert!(common::read_frame(&mut client).is_none());
    ensemble.start(2);
    ensemble.until_in_step();
    create(&mut ensemble.client(1), "/a");
    ensemble.stop_all();
}

#[test]
fn the_others_go_on_when_the_leader_stops_and_it_catches_up_when_it_comes_back() {
    let mut ensemble = Ensemble::started(3, "");
    let leader = ensemble.until_in_step();
    create(&mut ensemble.client(leader), "/before");
    ensemble.stop(leader);
    let next = ensemble.until_in_step();
    assert_ne!(next, leader);
    create(&mut ensemble.client(next), "/meanwhile");
    ensemble.start(leader);
    ensemble.until_in_step();
    until_it_has(&ensemble, leader, "/before");
    until_it_has(&ensemble, leader, "/meanwhile");
    ensemble.stop_all();
}

#[test]
fn a_session_goes_on_at_another_server() {
    let mut ensemble = Ensemble::started(3, "");
    let leader = ensemble.until_in_step();
    let client = ensemble.client(leader);
    ensemble.stop(leader);
    let next = ensemble.until_in_step();
    let mut again = Client::resume(ensemble.address(next), client.session, client.password);
    assert_eq!(again.session, client.session);
    create(&mut again, "/on");
    ensemble.stop_all();
}

#[test]
fn a_member_without_data_gets_all_of_it() {
    let mut ensemble = Ensemble::started(3, "");
    let leader = ensemble.until_in_step();
    let wiped = if leader == 1 { 2 } else { 1 };
    for n in 0..50 {
        create(&mut ensemble.client(leader), &format!("/{n}"));
    }
    ensemble.stop(wiped);
    ensemble.wipe(wiped);
    ensemble.start(wiped);
    ensemble.until_in_step();
    until_it_has(&ensemble, wiped, "/0");
    until_it_has(&ensemble, wiped, "/49");
    create(&mut ensemble.client(wiped), "/by-the-wiped");
    until_it_has(&ensemble, leader, "/by-the-wiped");
    // It goes on from what it was given.
    ensemble.stop(wiped);
    ensemble.start(wiped);
    ensemble.until_in_step();
    until_it_has(&ensemble, wiped, "/by-the-wiped");
    ensemble.stop_all();
}

#[test]
fn all_come_back_with_all_they_have() {
    let mut ensemble = Ensemble::started(3, "");
    create(&mut ensemble.client(2), "/a");
    (1..=3).for_each(|sid| ensemble.stop(sid));
    (1..=3).for_each(|sid| ensemble.start(sid));
    ensemble.until_in_step();
    (1..=3).for_each(|sid| until_it_has(&ensemble, sid, "/a"));
    ensemble.stop_all();
}

#[test]
fn whoever_talks_nonsense_to_the_ports_of_servers_disturbs_nobody() {
    let ensemble = Ensemble::started(3, "");
    let leader = ensemble.until_in_step();
    let mut client = ensemble.client(leader);
    let silent: Vec<TcpStream> = (1..=3)
        .flat_map(|sid| [ensemble.quorum_address(sid), ensemble.election_address(sid)])
        .map(|address| TcpStream::connect(address).unwrap())
        .collect();
    for sid in 1..=3 {
        for address in [ensemble.quorum_address(sid), ensemble.election_address(sid)] {
            for bytes in [&b"GET / HTTP/1.0\r\n\r\n"[..], &[0xff; 64], &[0; 64]] {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.write_all(bytes).unwrap();
                // It is closed, with or without a reset, and perhaps before this says that nothing more comes.
                let _ = stream.shutdown(Shutdown::Write);
                let _ = stream.read_to_end(&mut Vec::new());
            }
        }
        create(&mut client, &format!("/{sid}"));
    }
    ensemble.until_in_step();
    drop(silent);
    ensemble.stop_all();
}

#[test]
fn an_ensemble_of_one_serves() {
    let ensemble = Ensemble::new_of_one();
    create(&mut ensemble.client(1), "/a");
    assert_eq!(ensemble.modes(), [(1, "leader".to_owned())]);
    ensemble.stop_all();
}
