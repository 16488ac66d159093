//! The order of votes, over every pair and triple of a small set (quorum 5.2, P59).

mod common;

use zabra_election::{NO_HISTORY, PeerEpoch, Vote};
use zabra_proto::Zxid;
use zabra_quorum::{Sid, Views, Weight};

/// Servers 1 to 3 in one group; server 2 weighs nothing.
fn weighted() -> Views {
    let text = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\ngroup.1=1:2:3\nweight.2=0";
    Views::settled(common::membership(text))
}

fn votes() -> Vec<Vote> {
    let zxids = [Zxid::ZERO, Zxid(9), Zxid::new(0x8000_0000, 1), NO_HISTORY];
    let mut votes = Vec::new();
    for leader in 1..=3 {
        for zxid in zxids {
            for epoch in [i64::MIN, -1, 0, 7] {
                votes.push(Vote {
                    leader: Sid(leader),
                    zxid,
                    epoch: PeerEpoch(epoch),
                });
            }
        }
    }
    votes
}

#[test]
fn of_two_different_votes_exactly_one_is_better() {
    for views in [weighted(), common::config(&[1, 2, 3])] {
        for one in votes() {
            for other in votes() {
                let better = (one.beats(&other, &views), other.beats(&one, &views));
                assert_eq!(better.0 != better.1, one != other, "{one:?} {other:?}");
                assert!(!(better.0 && better.1));
            }
        }
    }
}

#[test]
fn better_than_a_better_one_is_better() {
    let views = weighted();
    for a in votes() {
        for b in votes().into_iter().filter(|b| a.beats(b, &views)) {
            for c in votes().into_iter().filter(|c| b.beats(c, &views)) {
                assert!(a.beats(&c, &views), "{a:?} {b:?} {c:?}");
            }
        }
    }
}

#[test]
fn between_candidates_of_weight_epoch_decides_before_zxid_and_zxid_before_id() {
    let views = weighted();
    let weighs = |vote: &Vote| views.weight(vote.leader) > Weight(0);
    let real = |vote: &Vote| vote.zxid != NO_HISTORY && weighs(vote);
    for a in votes().into_iter().filter(real) {
        for b in votes().into_iter().filter(real) {
            let twin = if a.epoch != b.epoch {
                a.epoch > b.epoch
            } else if a.zxid != b.zxid {
                a.zxid > b.zxid
            } else {
                a.leader > b.leader
            };
            assert_eq!(a.beats(&b, &views), twin, "{a:?} {b:?}");
        }
    }
}
