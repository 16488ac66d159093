//! What servers of Apache ZooKeeper 3.8.0 said on their election ports, read in full and written again byte for byte.

use zabra_jute::{Encode, Limits};
use zabra_proto::notification::{
    InitialForm, InitialMessage, Notification, ServerState, VERSION, frame,
};
use zabra_proto::quorum_packet::{AuthStatus, QuorumAuthPacket};
use zabra_proto::{Sid, Zxid};

use crate::recording::{SIDES, Side, bytes, names, timeline};

/// A side's messages, each with its place.
struct Election {
    initial: Option<InitialMessage<'static>>,
    auth: Vec<QuorumAuthPacket<'static>>,
    votes: Vec<Notification<'static>>,
    places: Vec<(usize, usize)>,
}

/// Reads all that a side sent, and checks that each message is written as it came.
fn read(name: &str, side: Side) -> Election {
    let all = bytes(name, side);
    let mut rest = all;
    let mut election = Election {
        initial: None,
        auth: Vec::new(),
        votes: Vec::new(),
        places: Vec::new(),
    };
    while !rest.is_empty() {
        let mut again = Vec::new();
        let len = if side == Side::Connector && election.places.is_empty() {
            let (message, len) = InitialMessage::decode(rest).unwrap().unwrap();
            message.encode(&mut again).unwrap();
            election.initial = Some(message);
            len
        } else if let Ok(packet) = QuorumAuthPacket::decode(rest, Limits::DEFAULT) {
            let (packet, len) = packet.unwrap();
            packet.encode(&mut again);
            election.auth.push(packet);
            len
        } else {
            let (body, len) = frame(rest).unwrap().unwrap();
            let vote = Notification::decode(body).unwrap();
            vote.encode_frame(&mut again).unwrap();
            election.votes.push(vote);
            len
        };
        assert_eq!(again, rest[..len], "{name} {side:?}");
        election.places.push((all.len() - rest.len(), len));
        rest = &rest[len..];
    }
    election
}

/// As the timeline writes it.
fn describe(vote: &Notification<'_>) -> String {
    let state = ServerState::from_code(vote.state).unwrap();
    let zxid = match vote.zxid.to_wire() {
        zxid @ 0.. => format!("{zxid:#x}"),
        zxid => format!("-{:#x}", zxid.unsigned_abs()),
    };
    let config = String::from_utf8(vote.config.unwrap().to_vec()).unwrap();
    format!(
        "NOTIFICATION state={} leader={} zxid={zxid} electionEpoch={} peerEpoch={} version={} config=\"{}\"",
        format!("{state:?}").to_uppercase(),
        vote.leader,
        vote.election_epoch,
        vote.peer_epoch,
        vote.version,
        config.replace('\n', " | "),
    )
}

#[test]
fn every_recording_is_read_in_full_and_written_again_byte_for_byte() {
    let mut votes = 0;
    for name in names(true) {
        for side in SIDES {
            votes += read(&name, side).votes.len();
        }
    }
    assert_eq!(votes, 24);
}

#[test]
fn initial_messages_and_votes_are_what_the_recorder_saw() {
    // The timeline of 07 has only bytes.
    for name in names(true).iter().filter(|name| !name.starts_with("07")) {
        for side in SIDES {
            let election = read(name, side);
            let mut described: Vec<String> = election.votes.iter().map(describe).collect();
            if let Some(initial) = &election.initial {
                let version = if initial.form == InitialForm::List {
                    -65_535
                } else {
                    -65_536
                };
                let addresses: Vec<String> = initial.reachable().map(ToString::to_string).collect();
                described.insert(
                    0,
                    format!(
                        "INIT version={version} sid={} addr={}",
                        initial.sid,
                        addresses.join("|")
                    ),
                );
            }
            let recorded = timeline(name, side);
            let places: Vec<_> = recorded.iter().map(|entry| (entry.at, entry.len)).collect();
            let texts: Vec<_> = recorded.into_iter().map(|entry| entry.text).collect();
            assert_eq!(election.places, places, "{name} {side:?}");
            assert_eq!(described, texts, "{name} {side:?}");
        }
    }
}

#[test]
fn initial_messages_say_where_the_sender_listens() {
    let single = read("01-election-first-round", Side::Connector)
        .initial
        .unwrap();
    assert_eq!((single.form, single.sid), (InitialForm::Single, Sid(2)));
    assert_eq!(single.addresses.len(), 1);
    assert_eq!(single.addresses[0].host, "127.0.0.1");
    assert_eq!(single.addresses[0].port, 31032);
    let list = read("06-election-multiaddress", Side::Connector)
        .initial
        .unwrap();
    assert_eq!((list.form, list.sid), (InitialForm::List, Sid(2)));
    let hosts: Vec<_> = list
        .addresses
        .iter()
        .map(|address| (&*address.host, address.port))
        .collect();
    assert_eq!(hosts, [("127.0.0.12", 31052), ("127.0.0.2", 31032)]);
}

#[test]
fn the_leader_answers_a_late_joiner_with_an_old_vote_and_then_the_present_one() {
    let election = read("02-election-late-joiner", Side::Acceptor);
    let states: Vec<_> = election.votes.iter().map(|vote| vote.state).collect();
    assert_eq!(
        states,
        [ServerState::Looking.code(), ServerState::Leading.code()]
    );
    let leading = &election.votes[1];
    assert_eq!((leading.leader, leading.zxid), (Sid(2), Zxid::ZERO));
    assert_eq!((leading.election_epoch, leading.peer_epoch), (1, 1));
    assert_eq!(leading.version, VERSION);
    assert_eq!(leading.config.unwrap().len(), 178);
    assert!(leading.config.unwrap().ends_with(b"\nversion=0"));
}

#[test]
fn an_observer_votes_for_nobody() {
    let election = read("03-election-observer", Side::Connector);
    let vote = &election.votes[0];
    assert_eq!(vote.leader, Sid::NON_VOTER);
    assert_eq!(vote.zxid, Zxid::from_wire(i64::MIN));
    assert_eq!(vote.peer_epoch, i64::MIN);
}

#[test]
fn a_voter_tells_a_joiner_the_established_membership() {
    let election = read("05a-election-joiner-learns-config", Side::Acceptor);
    let vote = &election.votes[0];
    assert_eq!(vote.state, ServerState::Following.code());
    assert_eq!(vote.leader, Sid(3));
    assert!(vote.config.unwrap().ends_with(b"\nversion=100000000"));
}

#[test]
fn authentication_stands_between_the_initial_message_and_the_votes() {
    let connector = read("07-election-sasl", Side::Connector);
    let acceptor = read("07-election-sasl", Side::Acceptor);
    let steps = |election: &Election| -> Vec<_> {
        election
            .auth
            .iter()
            .map(|packet| (packet.status, packet.token.map(<[u8]>::len)))
            .collect()
    };
    let in_progress = AuthStatus::InProgress;
    assert_eq!(
        steps(&connector),
        [(in_progress, Some(0)), (in_progress, Some(291))]
    );
    assert_eq!(
        steps(&acceptor),
        [(in_progress, Some(108)), (AuthStatus::Success, Some(40))]
    );
    assert_eq!(connector.votes.len(), 1);
    assert_eq!(acceptor.votes.len(), 2);
}
