//! Data that fits its kind of packet, and data that does not.

use zabra_jute::Encode;
use zabra_proto::quorum_packet::{
    BodyError, LeaderInfo, LearnerInfo, Message, PROTOCOL_VERSION, PacketKind, PacketReader,
    QuorumPacket,
};
use zabra_proto::{Sid, Zxid};

/// The kinds with data, and the shortest that each may have.
const SHORTEST: [(PacketKind, usize); 10] = [
    (PacketKind::Request, 16),
    (PacketKind::Proposal, 0),
    (PacketKind::Revalidate, 9),
    (PacketKind::Inform, 0),
    (PacketKind::CommitAndActivate, 8),
    (PacketKind::FollowerInfo, 8),
    (PacketKind::ObserverInfo, 8),
    (PacketKind::LeaderInfo, 4),
    (PacketKind::AckEpoch, 4),
    (PacketKind::InformAndActivate, 8),
];

fn message(kind: PacketKind, data: Option<&[u8]>) -> Result<Message<'_>, BodyError> {
    let packet = QuorumPacket {
        kind,
        zxid: Zxid::new(1, 2),
        data,
        authinfo: None,
    };
    packet.message()
}

#[test]
fn data_shorter_than_its_kind_needs_is_refused() {
    for (kind, shortest) in SHORTEST {
        let bytes = vec![0; shortest];
        assert_eq!(message(kind, None), Err(BodyError::Null(kind)));
        for len in 0..shortest {
            let refused = Err(BodyError::Length { kind, len });
            assert_eq!(message(kind, Some(&bytes[..len])), refused);
        }
        assert!(message(kind, Some(&bytes)).is_ok());
    }
}

#[test]
fn kinds_without_data_do_not_mind_any() {
    for kind in PacketKind::ALL {
        let has_data = SHORTEST.iter().any(|(with_data, _)| with_data == kind);
        if !has_data && *kind != PacketKind::Ping {
            assert!(message(*kind, None).is_ok(), "{kind:?}");
            assert!(message(*kind, Some(&[1])).is_ok(), "{kind:?}");
        }
    }
}

#[test]
fn tables_of_sessions_have_whole_entries() {
    let table = [0; 25];
    for len in 0..table.len() {
        let kind = PacketKind::Ping;
        let refused = Err(BodyError::Length { kind, len });
        match message(kind, Some(&table[..len])) {
            Ok(Message::Ping { touched, .. }) => {
                assert_eq!(touched.map(|touched| touched.len() * 12), Some(len));
            }
            other => assert_eq!(other, refused),
        }
    }
}

#[test]
fn a_question_after_a_session_and_its_answer_differ_in_length() {
    let bytes = [1; 13];
    for len in 9..=bytes.len() {
        let kind = PacketKind::Revalidate;
        let decoded = message(kind, Some(&bytes[..len]));
        match len {
            9 => assert!(matches!(
                decoded,
                Ok(Message::Revalidated { valid: true, .. })
            )),
            12 => assert!(matches!(decoded, Ok(Message::Revalidate(_)))),
            _ => assert_eq!(decoded, Err(BodyError::Length { kind, len })),
        }
    }
}

#[test]
fn capability_bytes_stand_behind_what_every_server_knows() {
    let learner = LearnerInfo {
        sid: Sid(3),
        protocol: PROTOCOL_VERSION,
        config_version: Some(0x1_0000_0000),
        capabilities: b"\x01\x02",
    };
    let leader = LeaderInfo {
        protocol: PROTOCOL_VERSION,
        capabilities: b"\x03",
    };
    let zxid = Zxid::new(4, 0);
    let introductions = [
        Message::FollowerInfo {
            accepted: zxid,
            learner,
        },
        Message::ObserverInfo {
            accepted: zxid,
            learner,
        },
        Message::LeaderInfo { zxid, leader },
    ];
    for (said, len) in introductions.into_iter().zip([22, 22, 5]) {
        let mut bytes = Vec::new();
        said.encode(&mut bytes);
        let mut reader = PacketReader::new(zabra_jute::Limits::DEFAULT);
        reader.push(&bytes);
        let packet = reader.next_packet().unwrap().unwrap();
        assert_eq!(packet.data.map(<[u8]>::len), Some(len));
        assert_eq!(packet.message(), Ok(said));
    }
}

#[test]
fn a_leader_before_protocol_1_0_names_no_membership() {
    let expected = Message::NewLeader {
        zxid: Zxid::new(1, 2),
        membership: None,
    };
    assert_eq!(message(PacketKind::NewLeader, None), Ok(expected));
}

#[test]
fn an_epoch_beyond_the_sign_bit_is_not_mistaken_for_none() {
    for (epoch, wire) in [(None, -1i32), (Some(0x8000_0000), i32::MIN), (Some(7), 7)] {
        let expected = Message::AckEpoch {
            last_logged: Zxid::new(1, 2),
            current_epoch: epoch,
        };
        let bytes = wire.to_be_bytes();
        assert_eq!(
            message(PacketKind::AckEpoch, Some(&bytes)),
            Ok(expected.clone())
        );
        assert_eq!(expected.data().as_deref(), Some(&bytes[..]));
    }
}
