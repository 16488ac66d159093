//! What servers of Apache ZooKeeper 3.8.0 said on their quorum ports, read in full and written again byte for byte.

use std::fmt::Write;

use zabra_jute::{Decode, Encode, Limits, Reader};
use zabra_proto::quorum_packet::{
    AuthInfo, AuthStatus, LeaderInfo, LearnerInfo, Message, PROTOCOL_VERSION, PacketKind,
    PacketReader, QuorumAuthPacket, QuorumPacket, Request, SessionTouch,
};
use zabra_proto::txn::Payload;
use zabra_proto::{ErrorCode, OpCode, SessionId, Sid, Txn, TxnKind, Xid, Zxid};

use crate::recording::{SIDES, Side, bytes, names, snapshot_len, timeline};

/// What stands in a stream.
#[derive(Debug, PartialEq)]
enum Item {
    Auth(QuorumAuthPacket<'static>),
    Packet(QuorumPacket<'static>),
    Snapshot,
}

/// Reads all that a side sent, and checks that each item is written as it came.
fn read(name: &str, side: Side) -> Vec<(usize, usize, Item)> {
    let all = bytes(name, side);
    let mut reader = PacketReader::new(Limits::DEFAULT);
    reader.push(all);
    let mut items: Vec<(usize, usize, Item)> = Vec::new();
    while !reader.rest().is_empty() {
        let at = all.len() - reader.rest().len();
        let behind_snap = matches!(items.last(), Some((_, _, Item::Packet(packet)))
            if packet.kind == PacketKind::Snap);
        let (item, len) = if behind_snap {
            let len = snapshot_len(&all[at..]);
            reader.skip(len);
            (Item::Snapshot, len)
        } else if let Ok(packet) = QuorumAuthPacket::decode(&all[at..], Limits::DEFAULT) {
            let (packet, len) = packet.unwrap();
            let mut again = Vec::new();
            packet.encode(&mut again);
            assert_eq!(again, all[at..at + len]);
            reader.skip(len);
            (Item::Auth(packet), len)
        } else {
            let mut again = Vec::new();
            reader.next_packet().unwrap().unwrap().encode(&mut again);
            let len = all.len() - reader.rest().len() - at;
            assert_eq!(again, all[at..at + len], "{name} {side:?} {at}");
            // The same once more, as it may outlive the reader.
            let packet = QuorumPacket::decode(&mut Reader::new(&all[at..at + len])).unwrap();
            (Item::Packet(packet), len)
        };
        items.push((at, len, item));
    }
    items
}

/// The packets of a side, taken apart.
fn messages(name: &str, side: Side) -> Vec<Message<'static>> {
    let packets = read(name, side)
        .into_iter()
        .filter_map(|(_, _, item)| match item {
            Item::Packet(packet) => Some(packet.message().unwrap()),
            _ => None,
        });
    packets.collect()
}

/// Whether the timeline says the same of a packet. It cuts long data short.
fn is_described(packet: &QuorumPacket<'_>, text: &str) -> bool {
    let kind = format!("{:?}", packet.kind).to_uppercase();
    let Some(text) = text.strip_prefix(&format!("{kind} zxid={} data", packet.zxid)) else {
        return false;
    };
    let Some((data, authinfo)) = text.rsplit_once(" authinfo=") else {
        return false;
    };
    let ids: Vec<_> = packet.authinfo.iter().flatten().collect();
    let expected: Vec<_> = ids
        .iter()
        .map(|id| format!("('{}', '{}')", id.scheme, id.id))
        .collect();
    let same_ids = match packet.authinfo {
        None => authinfo == "null",
        Some(_) => authinfo == format!("[{}]", expected.join(", ")),
    };
    let same_data = match packet.data {
        None => data == "=null",
        Some([]) => data == "=empty",
        Some(bytes) => data
            .strip_prefix(&format!("[{}]=", bytes.len()))
            .is_some_and(|shown| is_shown(bytes, shown)),
    };
    same_ids && same_data
}

/// Data as text between quotes, or as hex.
fn is_shown(bytes: &[u8], shown: &str) -> bool {
    if let Some(text) = shown.strip_prefix('"') {
        return text.trim_end_matches('"').replace(" | ", "\n").as_bytes() == bytes;
    }
    let mut hex = String::new();
    for byte in bytes {
        write!(hex, "{byte:02x}").unwrap();
    }
    match shown.strip_suffix("...") {
        Some(head) => hex.starts_with(head),
        None => hex == shown,
    }
}

#[test]
fn every_recording_is_read_in_full_as_the_recorder_saw_it() {
    let mut packets = 0;
    for name in names(false) {
        for side in SIDES {
            let items = read(&name, side);
            let recorded = timeline(&name, side);
            assert_eq!(items.len(), recorded.len(), "{name} {side:?}");
            for ((at, len, item), entry) in items.iter().zip(&recorded) {
                assert_eq!((*at, *len), (entry.at, entry.len), "{name} {side:?}");
                let agree = match item {
                    Item::Auth(packet) => entry
                        .text
                        .starts_with(&format!("status={} ", packet.status.code())),
                    Item::Snapshot => entry.text.starts_with("SNAPSHOT STREAM"),
                    Item::Packet(packet) => is_described(packet, &entry.text),
                };
                assert!(agree, "{name} {side:?} {item:?} {}", entry.text);
                packets += usize::from(matches!(item, Item::Packet(_)));
            }
        }
    }
    assert_eq!(packets, 521);
}

#[test]
fn every_packet_taken_apart_is_written_again_byte_for_byte() {
    for name in names(false) {
        for side in SIDES {
            let all = bytes(&name, side);
            for (at, len, item) in read(&name, side) {
                if let Item::Packet(packet) = item {
                    let message = packet.message().unwrap();
                    let mut again = Vec::new();
                    message.encode(&mut again);
                    assert_eq!(again, all[at..at + len], "{name} {side:?} {message:?}");
                }
            }
        }
    }
}

#[test]
fn every_transaction_in_a_packet_is_read_and_written_again_byte_for_byte() {
    let mut txns = 0;
    for name in names(false) {
        for message in messages(&name, Side::Acceptor) {
            let (Message::Proposal { zxid, txn }
            | Message::Inform { zxid, txn }
            | Message::InformAndActivate { zxid, txn, .. }) = message
            else {
                continue;
            };
            let payload = Payload::decode(txn, Limits::DEFAULT).unwrap();
            assert_eq!(payload.header.zxid, zxid);
            let mut again = Vec::new();
            payload.encode(&mut again);
            assert_eq!(again, txn);
            txns += 1;
        }
    }
    assert_eq!(txns, 68);
}

#[test]
fn a_packet_cut_anywhere_is_incomplete_and_then_the_same() {
    for name in names(false) {
        for side in SIDES {
            let all = bytes(&name, side);
            for (at, len, item) in read(&name, side) {
                let Item::Packet(packet) = item else { continue };
                for cut in at..at + len {
                    let mut reader = PacketReader::new(Limits::DEFAULT);
                    reader.push(&all[at..cut]);
                    assert_eq!(reader.next_packet(), Ok(None));
                    reader.push(&all[cut..]);
                    assert_eq!(reader.next_packet().unwrap().as_ref(), Some(&packet));
                }
            }
        }
    }
}

fn epoch(epoch: u32) -> Zxid {
    Zxid::new(epoch, 0)
}

fn learner(sid: i64) -> LearnerInfo<'static> {
    LearnerInfo {
        sid: Sid(sid),
        protocol: PROTOCOL_VERSION,
        config_version: Some(0),
        capabilities: &[],
    }
}

#[test]
fn the_first_quorum_of_new_servers_needs_only_an_empty_diff() {
    let name = "10-follower-diff-empty";
    let accepted = Zxid::ZERO;
    let ack = Message::Ack { zxid: epoch(1) };
    assert_eq!(
        messages(name, Side::Connector)[..4],
        [
            Message::FollowerInfo {
                accepted,
                learner: learner(1)
            },
            Message::AckEpoch {
                last_logged: Zxid::ZERO,
                current_epoch: Some(0)
            },
            ack.clone(),
            ack,
        ]
    );
    let leader = messages(name, Side::Acceptor);
    let said = LeaderInfo {
        protocol: PROTOCOL_VERSION,
        capabilities: &[],
    };
    assert_eq!(
        leader[..2],
        [
            Message::LeaderInfo {
                zxid: epoch(1),
                leader: said
            },
            Message::Diff { zxid: Zxid::ZERO },
        ]
    );
    assert!(matches!(
        leader[2],
        Message::NewLeader { zxid, membership: Some(text) }
            if zxid == epoch(1) && text.len() == 178 && text.starts_with(b"server.1=")
    ));
    assert_eq!(leader[3], Message::UpToDate);
}

#[test]
fn a_server_that_accepted_the_epoch_before_is_not_counted_again() {
    let ack_epoch = |name| {
        messages(name, Side::Connector)
            .into_iter()
            .find(|message| message.kind() == PacketKind::AckEpoch)
    };
    let expected = |last_logged, current_epoch| {
        Some(Message::AckEpoch {
            last_logged,
            current_epoch,
        })
    };
    assert_eq!(
        ack_epoch("13-follower-diff-with-txns"),
        expected(Zxid::new(1, 0xb), None)
    );
    assert_eq!(
        ack_epoch("15-new-epoch"),
        expected(Zxid::new(1, 0x10), Some(1))
    );
    assert_eq!(ack_epoch("30-trunc"), expected(Zxid::new(1, 0xb), Some(1)));
}

#[test]
fn a_learner_may_be_an_observer_or_ahead_of_the_leader() {
    let observer = Message::ObserverInfo {
        accepted: Zxid::ZERO,
        learner: learner(4),
    };
    assert_eq!(messages("12-observer", Side::Connector)[0], observer);
    let trunc = Message::Trunc {
        zxid: Zxid::new(1, 6),
    };
    assert!(messages("30-trunc", Side::Acceptor).contains(&trunc));
    let snap = Message::Snap { zxid: epoch(1) };
    assert_eq!(
        messages("11-follower-snap-then-serve", Side::Acceptor)[1],
        snap
    );
}

#[test]
fn requests_carry_the_bytes_and_the_identities_of_the_client() {
    let sync = Message::Request(Request {
        session: SessionId(0x0100_0012_c255_0000),
        cxid: Xid(4),
        op: OpCode::Sync.code(),
        record: b"\0\0\0\x02/a",
        authinfo: Some(vec![AuthInfo {
            scheme: "ip".into(),
            id: "127.0.0.1".into(),
        }]),
    });
    let create_session = Message::Request(Request {
        session: SessionId(0x0100_0012_c255_0000),
        cxid: Xid(0),
        op: TxnKind::CreateSession.code(),
        record: &[0, 0, 0x4e, 0x20],
        authinfo: None,
    });
    let learner = messages("10-follower-diff-empty", Side::Connector);
    assert!(learner.contains(&sync));
    assert!(learner.contains(&create_session));
    let leader = messages("10-follower-diff-empty", Side::Acceptor);
    assert!(leader.contains(&Message::Sync));
}

#[test]
fn a_refused_create_is_proposed_as_an_error_without_digest() {
    let zxid = Zxid::new(1, 6);
    let refused = messages("10-follower-diff-empty", Side::Acceptor)
        .into_iter()
        .find_map(|message| match message {
            Message::Proposal { zxid: at, txn } if at == zxid => Some(txn),
            _ => None,
        })
        .unwrap();
    let payload = Payload::decode(refused, Limits::DEFAULT).unwrap();
    assert_eq!(payload.txn, Txn::Error(ErrorCode::NODE_EXISTS));
    assert_eq!(payload.digest, None);
}

#[test]
fn pings_are_answered_with_the_sessions_heard_of() {
    let touch = |session| SessionTouch {
        session: SessionId(session),
        timeout_ms: 20_000,
    };
    let learner = messages("11-follower-snap-then-serve", Side::Connector);
    assert!(learner.contains(&Message::Ping {
        zxid: Zxid::new(1, 9),
        touched: Some(vec![
            touch(0x0400_0012_e380_0000),
            touch(0x0100_0012_c255_0000)
        ]),
    }));
    // Without sessions the table is empty, not null.
    assert!(learner.contains(&Message::Ping {
        zxid: epoch(1),
        touched: Some(Vec::new()),
    }));
    let leader = messages("11-follower-snap-then-serve", Side::Acceptor);
    assert!(leader.contains(&Message::Ping {
        zxid: epoch(1),
        touched: None,
    }));
    let asked = Message::Revalidate(touch(0x0100_0012_c255_0000));
    assert!(learner.contains(&asked));
    assert!(leader.contains(&Message::Revalidated {
        session: SessionId(0x0100_0012_c255_0000),
        valid: true,
    }));
}

#[test]
fn a_reconfiguration_names_the_leader_to_be() {
    let follower = messages("20-reconfig-follower", Side::Acceptor);
    let zxid = Zxid::new(1, 4);
    assert!(follower.contains(&Message::CommitAndActivate {
        zxid,
        designated_leader: Sid(1),
    }));
    let proposed = follower.iter().find_map(|message| match message {
        Message::Proposal { zxid: at, txn } if *at == zxid => Some(*txn),
        _ => None,
    });
    let observer = messages("22-reconfig-observer", Side::Acceptor);
    assert!(observer.contains(&Message::InformAndActivate {
        zxid,
        designated_leader: Sid(1),
        txn: proposed.unwrap(),
    }));
}

#[test]
fn authentication_stands_before_the_first_packet() {
    let statuses = |side| -> Vec<_> {
        read("25-sasl-follower", side)
            .into_iter()
            .map_while(|(_, _, item)| match item {
                Item::Auth(packet) => Some(packet.status),
                _ => None,
            })
            .collect()
    };
    let in_progress = AuthStatus::InProgress;
    assert_eq!(statuses(Side::Connector), [in_progress, in_progress]);
    assert_eq!(statuses(Side::Acceptor), [in_progress, AuthStatus::Success]);
}
