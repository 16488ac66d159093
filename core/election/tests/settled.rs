//! Servers that have a leader, and servers without a vote (quorum 5.3, 5.4, 5.6, pitfalls P59, P60).

mod common;

use common::{Seat, config, looking, received, vote};
use zabra_election::ServerState::{Following, Leading, Observing};
use zabra_election::{Effect, Input, Notification, PeerEpoch, Received, Round, Vote};
use zabra_proto::Zxid;
use zabra_quorum::{Role, Sid, Views};

#[test]
fn a_late_joiner_follows_a_leader_that_a_quorum_and_the_leader_itself_report() {
    let mut seat = Seat::new(3, config(&[1, 2, 3, 4, 5]));
    seat.look(5, 7);
    let told = |state| Notification {
        state,
        vote: vote(2, 6, 9),
        round: Round(4),
    };
    // A leader that is only told of may be dead.
    for from in [1, 4, 5] {
        assert_eq!(seat.hear(from, told(Following)), []);
    }
    let effects = seat.hear(2, told(Leading));
    assert_eq!(
        seat.decided(&effects),
        Some((vote(2, 6, 9), Round(4), Following))
    );
    assert_eq!(seat.election.round(), Round(4));
}

#[test]
fn whoever_has_found_a_leader_elsewhere_no_longer_votes_in_this_round() {
    // P59
    let mut seat = Seat::new(3, config(&[1, 2, 3, 4, 5]));
    seat.look(5, 7);
    seat.hear(1, looking(vote(3, 5, 7), 1));
    let elsewhere = Notification {
        state: Following,
        vote: vote(2, 6, 9),
        round: Round(9),
    };
    seat.hear(1, elsewhere);
    assert_eq!(seat.hear(4, looking(vote(3, 5, 7), 1)), []);
}

#[test]
fn settled_votes_of_an_earlier_round_do_not_help_in_a_later_one() {
    let mut seat = Seat::new(3, config(&[1, 2, 3, 4, 5]));
    seat.look(5, 7);
    let told = |state, epoch, round| Notification {
        state,
        vote: vote(2, epoch, 9),
        round: Round(round),
    };
    seat.hear(2, told(Leading, 6, 1));
    seat.hear(1, told(Following, 6, 1));
    seat.hear(4, looking(vote(4, 5, 7), 4));
    let effects = seat.hear(5, told(Following, 9, 4));
    assert_eq!(seat.decided(&effects), None);
}

#[test]
fn settled_votes_agree_by_leader_and_epoch_whatever_their_zxids_and_rounds() {
    let mut seat = Seat::new(3, config(&[1, 2, 3]));
    let told = |state, zxid, round, epoch| Notification {
        state,
        vote: vote(2, epoch, zxid),
        round: Round(round),
    };
    seat.look(5, 7);
    seat.hear(2, told(Leading, 9, 4, 6));
    assert_eq!(seat.hear(1, told(Following, 9, 4, 5)), []);
    let effects = seat.hear(1, told(Following, 3, 8, 6));
    assert!(seat.decided(&effects).is_some());
}

#[test]
fn epochs_are_not_compared_with_those_of_a_message_without_version() {
    let mut seat = Seat::new(3, config(&[1, 2, 3]));
    seat.look(5, 7);
    let told = |state, epoch| Notification {
        state,
        vote: vote(2, epoch, 9),
        round: Round(4),
    };
    seat.hear(2, told(Leading, 6));
    let old = Received {
        version: 0,
        ..received(1, told(Following, 5))
    };
    let effects = seat.step(Input::Received(old));
    assert!(seat.decided(&effects).is_some());
}

#[test]
fn in_the_same_round_ones_own_vote_helps_a_settled_leader() {
    let mut seat = Seat::new(1, config(&[1, 2, 3]));
    seat.look(5, 7);
    seat.hear(3, looking(vote(2, 5, 9), 1));
    let told = Notification {
        state: Leading,
        vote: vote(2, 5, 9),
        round: Round(1),
    };
    let effects = seat.hear(2, told);
    assert_eq!(
        seat.decided(&effects),
        Some((vote(2, 5, 9), Round(1), Following))
    );
}

#[test]
fn a_server_that_looks_again_no_longer_vouches_for_its_leader() {
    // P59
    let mut seat = Seat::new(3, config(&[1, 2, 3, 4, 5]));
    seat.look(5, 7);
    let told = |state| Notification {
        state,
        vote: vote(2, 6, 9),
        round: Round(4),
    };
    seat.hear(2, told(Leading));
    seat.hear(1, told(Following));
    seat.hear(1, looking(vote(1, 1, 1), 1));
    let effects = seat.hear(4, told(Following));
    assert_eq!(seat.decided(&effects), None);
    let effects = seat.hear(5, told(Following));
    assert!(seat.decided(&effects).is_some());
}

#[test]
fn observers_votes_and_votes_for_non_voters_are_not_counted() {
    // P60
    let text = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\nserver.4=d:1:2:observer";
    let mut seat = Seat::new(1, Views::settled(common::membership(text)));
    seat.look(5, 7);
    for from in [4, 9] {
        let effects = seat.hear(from, looking(vote(1, 5, 7), 1));
        assert_eq!(effects, [seat.to(from, looking(vote(1, 5, 7), 1))]);
    }
    assert_eq!(seat.hear(2, looking(vote(4, 9, 9), 1)), []);
    assert_eq!(seat.hear(2, looking(vote(i64::MIN, 9, 9), 1)), []);
    let observing = Notification {
        state: Observing,
        ..looking(vote(2, 9, 9), 1)
    };
    assert_eq!(seat.hear(2, observing), []);
}

#[test]
fn a_non_voter_is_told_the_last_result_and_the_running_round() {
    let mut seat = Seat::new(3, config(&[1, 2, 3]));
    seat.look(5, 7);
    seat.hear(1, looking(vote(3, 5, 7), 1));
    seat.fire();
    seat.step(Input::Established(PeerEpoch(6)));
    seat.look(6, 9);
    let effects = seat.hear(8, looking(vote(i64::MIN, 0, 0), 1));
    assert_eq!(effects, [seat.to(8, looking(vote(3, 6, 7), 2))]);
}

#[test]
fn an_observer_votes_for_nobody_three_times_and_joins_what_the_voters_elect() {
    let text = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\nserver.4=d:1:2:observer";
    let views = Views::settled(common::membership(text));
    let mut seat = Seat::with_role(4, Role::Observer, views);
    let effects = seat.look(5, 7);
    let nothing = Vote {
        leader: Sid::NON_VOTER,
        zxid: Zxid(1 << 63),
        epoch: PeerEpoch::NONE,
    };
    assert_eq!(effects[0], Effect::Broadcast(looking(nothing, 1)));
    seat.hear(1, looking(vote(3, 5, 7), 1));
    seat.hear(3, looking(vote(3, 5, 7), 1));
    let effects = seat.fire();
    assert_eq!(
        seat.decided(&effects),
        Some((vote(3, 5, 7), Round(1), Observing))
    );
}

#[test]
fn a_participant_in_no_configuration_votes_for_nobody_and_follows() {
    let mut seat = Seat::new(9, config(&[1, 2, 3]));
    let effects = seat.look(5, 7);
    assert_eq!(
        effects[0],
        Effect::Broadcast(looking(vote(i64::MIN, 5, 7), 1))
    );
    seat.hear(1, looking(vote(3, 5, 7), 1));
    seat.hear(2, looking(vote(3, 5, 7), 1));
    let effects = seat.fire();
    assert_eq!(
        seat.decided(&effects),
        Some((vote(3, 5, 7), Round(1), Following))
    );
}

#[test]
fn whoever_looks_is_answered_with_the_vote_of_the_decision_and_the_epoch_that_came_of_it() {
    // quorum 5.6
    let mut seat = Seat::new(3, config(&[1, 2, 3]));
    seat.look(5, 7);
    seat.hear(1, looking(vote(3, 5, 7), 1));
    seat.fire();
    seat.step(Input::Established(PeerEpoch(6)));
    let told = Notification {
        state: Leading,
        vote: vote(3, 6, 7),
        round: Round(1),
    };
    assert_eq!(seat.hear(2, looking(vote(2, 5, 7), 9)), [seat.to(2, told)]);
    let following = Notification {
        state: Following,
        ..told
    };
    assert_eq!(seat.hear(2, following), []);
}

#[test]
fn a_designated_leader_is_taken_without_an_election() {
    // quorum 14.4
    let mut seat = Seat::new(3, config(&[1, 2, 3]));
    seat.look(5, 7);
    let zxid = Zxid::new(5, 8);
    let leader = Sid(1);
    assert_eq!(seat.step(Input::Designated { leader, zxid }), []);
    let told = Notification {
        state: Following,
        vote: Vote {
            leader,
            zxid,
            epoch: PeerEpoch(-1),
        },
        round: Round(-1),
    };
    assert_eq!(seat.hear(2, looking(vote(2, 5, 7), 2)), [seat.to(2, told)]);
}
