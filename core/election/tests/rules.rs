//! Lookers among themselves, one claim for each rule (quorum 5.2 to 5.7, pitfalls group D).

mod common;

use common::{Seat, config, looking, received, vote, voters};
use zabra_election::ServerState::{Following, Leading, Looking, Observing};
use zabra_election::{
    Effect, History, Input, LinkFact, NO_HISTORY, Notification, PeerEpoch, Received, Round, Vote,
};
use zabra_quorum::{Role, Sid, Views};

#[test]
fn a_looker_votes_for_itself_in_the_next_round_and_tells_all_voters() {
    let mut seat = Seat::new(1, config(&[1, 2, 3]));
    let effects = seat.look(5, 7);
    let Effect::Broadcast(sent) = effects[0] else {
        panic!("{effects:?}");
    };
    assert_eq!(sent, looking(vote(1, 5, 7), 1));
    assert_eq!(seat.election.recipients(), [Sid(2), Sid(3)].into());
    assert_eq!(seat.armed_in(&effects), 200);
}

#[test]
fn a_better_vote_of_the_same_round_is_adopted_and_passed_on() {
    let mut seat = Seat::new(1, config(&[1, 2, 3]));
    seat.look(5, 7);
    let effects = seat.hear(2, looking(vote(2, 5, 8), 1));
    assert_eq!(effects[0], Effect::Broadcast(looking(vote(2, 5, 8), 1)));
}

/// Its sender began to look after it was told, and would wait 200 ms for the next word.
#[test]
fn a_worse_vote_of_the_same_round_is_counted_and_answered_and_not_passed_on() {
    let mut seat = Seat::new(3, config(&[1, 2, 3]));
    seat.look(5, 7);
    let effects = seat.hear(1, looking(vote(1, 5, 7), 1));
    assert_eq!(effects, [seat.to(1, looking(vote(3, 5, 7), 1))]);
}

#[test]
fn a_later_round_begins_with_the_better_of_its_vote_and_ones_own() {
    let mut seat = Seat::new(2, config(&[1, 2, 3, 4, 5]));
    seat.look(5, 7);
    seat.hear(5, looking(vote(5, 5, 9), 1));
    // Compared with the first vote, not with the running proposal (quorum 5.4).
    let effects = seat.hear(3, looking(vote(3, 5, 7), 4));
    assert_eq!(effects[0], Effect::Broadcast(looking(vote(3, 5, 7), 4)));
    assert_eq!(seat.election.round(), Round(4));
    let effects = seat.hear(1, looking(vote(1, 5, 7), 6));
    assert_eq!(effects[0], Effect::Broadcast(looking(vote(2, 5, 7), 6)));
}

#[test]
fn who_spoke_in_an_earlier_round_has_not_spoken_in_this_one() {
    let mut seat = Seat::new(3, config(&[1, 2, 3]));
    seat.look(5, 7);
    seat.hear(2, looking(vote(2, 5, 7), 1));
    let effects = seat.hear(1, looking(vote(3, 5, 7), 5));
    assert_eq!(seat.decided(&effects), None);
    assert_eq!(seat.armed_in(&effects), 200);
    // Nor does a word from an earlier round end the wait.
    let effects = seat.hear(2, looking(vote(3, 5, 7), 1));
    assert_eq!(effects, [seat.to(2, looking(vote(3, 5, 7), 5))]);
}

#[test]
fn an_earlier_round_is_answered_and_not_counted() {
    let mut seat = Seat::new(3, config(&[1, 2, 3]));
    seat.look(5, 7);
    seat.look(5, 7);
    let effects = seat.hear(1, looking(vote(3, 5, 7), 1));
    assert_eq!(effects, [seat.to(1, looking(vote(3, 5, 7), 2))]);
}

#[test]
fn a_quorum_waits_200_ms_for_a_better_vote() {
    let mut seat = Seat::new(3, config(&[1, 2, 3]));
    seat.look(5, 7);
    let effects = seat.hear(1, looking(vote(3, 5, 7), 1));
    assert_eq!(seat.armed_in(&effects), 200);
    let effects = seat.fire();
    assert_eq!(
        seat.decided(&effects),
        Some((vote(3, 5, 7), Round(1), Leading))
    );
}

#[test]
fn a_better_vote_during_the_wait_is_not_lost() {
    // P63
    let mut seat = Seat::new(2, config(&[1, 2, 3]));
    seat.look(5, 7);
    seat.hear(1, looking(vote(2, 5, 7), 1));
    let effects = seat.hear(3, looking(vote(3, 5, 8), 1));
    assert_eq!(effects[0], Effect::Broadcast(looking(vote(3, 5, 8), 1)));
    // With server 3's own voice there is a quorum for it, and everyone has voted.
    assert_eq!(
        seat.decided(&effects),
        Some((vote(3, 5, 8), Round(1), Following))
    );
}

#[test]
fn a_newcomer_of_a_later_round_waits_for_the_end_and_is_told_the_result() {
    // P63
    let mut seat = Seat::new(3, config(&[1, 2, 3]));
    seat.look(5, 7);
    seat.hear(1, looking(vote(3, 5, 7), 1));
    assert_eq!(seat.hear(2, looking(vote(2, 5, 6), 9)), []);
    let effects = seat.fire();
    let told = Notification {
        state: Leading,
        vote: vote(3, 5, 7),
        round: Round(1),
    };
    assert_eq!(effects[1..], [seat.to(2, told)]);
}

#[test]
fn a_better_newcomer_of_a_later_round_ends_the_wait() {
    let mut seat = Seat::new(2, config(&[1, 2, 3]));
    seat.look(5, 7);
    seat.hear(1, looking(vote(2, 5, 7), 1));
    let effects = seat.hear(3, looking(vote(3, 5, 8), 4));
    assert_eq!(effects[0], Effect::Broadcast(looking(vote(3, 5, 8), 4)));
    assert_eq!(seat.election.round(), Round(4));
}

#[test]
fn what_waited_is_heard_when_the_wait_ends_without_a_result() {
    // P63
    let mut seat = Seat::new(2, config(&[1, 2, 3, 4, 5]));
    seat.look(5, 7);
    seat.hear(1, looking(vote(2, 5, 7), 1));
    seat.hear(3, looking(vote(2, 5, 7), 1));
    assert_eq!(seat.hear(4, looking(vote(4, 5, 6), 9)), []);
    seat.hear(5, looking(vote(5, 5, 8), 1));
    assert_eq!(seat.election.round(), Round(9));
}

#[test]
fn a_quorum_that_is_lost_during_the_wait_decides_nothing() {
    // P59
    let mut seat = Seat::new(3, config(&[1, 2, 3]));
    seat.look(5, 7);
    seat.hear(1, looking(vote(3, 5, 7), 1));
    let gone = Notification {
        state: Following,
        vote: vote(2, 6, 9),
        round: Round(9),
    };
    let effects = seat.hear(1, gone);
    assert_eq!(seat.armed_in(&effects), 200);
    assert_eq!(seat.fire()[0], Effect::Broadcast(looking(vote(3, 5, 7), 1)));
}

#[test]
fn nobody_waits_when_every_voter_has_voted_or_cannot_be_reached() {
    // design 2.7
    let mut seat = Seat::new(3, config(&[1, 2, 3]));
    seat.look(5, 7);
    assert_eq!(seat.link(2, LinkFact::Refused), []);
    let effects = seat.hear(1, looking(vote(3, 5, 7), 1));
    assert_eq!(
        seat.decided(&effects),
        Some((vote(3, 5, 7), Round(1), Leading))
    );

    let mut seat = Seat::new(3, config(&[1, 2, 3]));
    seat.look(5, 7);
    seat.hear(1, looking(vote(3, 5, 7), 1));
    let effects = seat.link(2, LinkFact::Reset);
    assert!(seat.decided(&effects).is_some());
}

#[test]
fn a_candidate_that_has_gone_is_waited_for() {
    let mut seat = Seat::new(1, config(&[1, 2, 3]));
    seat.look(5, 7);
    seat.hear(3, looking(vote(3, 5, 7), 1));
    seat.link(3, LinkFact::Reset);
    let effects = seat.hear(2, looking(vote(3, 5, 7), 1));
    assert_eq!(seat.decided(&effects), None);
}

#[test]
fn silence_is_broken_by_sending_again_after_200_ms_and_twice_as_long_up_to_a_minute() {
    let mut seat = Seat::new(1, config(&[1, 2, 3]));
    seat.look(5, 7);
    let mut waits = Vec::new();
    for _ in 0..10 {
        let effects = seat.fire();
        assert_eq!(effects[0], Effect::Broadcast(looking(vote(1, 5, 7), 1)));
        waits.push(seat.armed_in(&effects));
    }
    let expected = [
        400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000,
    ];
    assert_eq!(waits, expected);
}

#[test]
fn a_timer_that_was_replaced_does_nothing() {
    // R12
    let mut seat = Seat::new(3, config(&[1, 2, 3]));
    seat.look(5, 7);
    let old = seat.timer.expect("a timer");
    seat.hear(1, looking(vote(3, 5, 7), 1));
    assert_eq!(seat.step(Input::Timer(old)), []);
    seat.fire();
    assert_eq!(seat.fire(), []);
}

#[test]
fn a_link_that_comes_up_carries_the_proposal_at_once() {
    let mut seat = Seat::new(1, config(&[1, 2, 3]));
    seat.look(5, 7);
    let effects = seat.link(2, LinkFact::Up);
    assert_eq!(effects, [seat.to(2, looking(vote(1, 5, 7), 1))]);
    assert_eq!(seat.link(9, LinkFact::Up), []);
}

#[test]
fn an_empty_voter_that_hears_of_a_history_withdraws() {
    // P48, design 2.7
    let mut seat = Seat::new(3, config(&[1, 2, 3]));
    seat.step(Input::Look(History::EMPTY));
    let effects = seat.hear(1, looking(vote(1, 1, 4), 1));
    let mine = Vote {
        leader: Sid(3),
        zxid: NO_HISTORY,
        epoch: PeerEpoch(0),
    };
    assert_eq!(effects, [Effect::Broadcast(looking(mine, 1))]);
    // It helps nobody into office, and joins who is there.
    assert_eq!(seat.hear(2, looking(vote(1, 1, 4), 1)), []);
    let told = |state| Notification {
        state,
        vote: vote(1, 2, 4),
        round: Round(1),
    };
    seat.hear(2, told(Following));
    let effects = seat.hear(1, told(Leading));
    assert!(seat.decided(&effects).is_some());
}

#[test]
fn an_empty_voter_does_not_take_up_an_office_it_has_forgotten() {
    // P48
    let mut seat = Seat::new(3, config(&[1, 2, 3]));
    seat.step(Input::Look(History::EMPTY));
    for from in [1, 2] {
        let told = Notification {
            state: Following,
            vote: vote(3, 1, 4),
            round: Round(1),
        };
        let effects = seat.hear(from, told);
        assert_eq!(seat.decided(&effects), None);
    }
}

#[test]
fn what_a_leader_had_when_it_was_elected_is_not_what_it_has() {
    // P48: all were empty when they elected server 1, and are not now.
    let mut seat = Seat::new(3, config(&[1, 2, 3]));
    seat.step(Input::Look(History::EMPTY));
    let told = |state| Notification {
        state,
        vote: vote(1, 1, 0),
        round: Round(2),
    };
    seat.hear(1, told(Leading));
    let mine = looking(vote(3, 0, 0), 1);
    let effects = seat.link(2, LinkFact::Up);
    assert!(!effects.contains(&seat.to(2, mine)));
    let said = |effects: &[Effect]| {
        let says = |effect: &Effect| matches!(effect, Effect::Broadcast(n) if n.vote == mine.vote);
        effects.iter().any(says)
    };
    assert!(!said(&seat.hear(2, told(Following))));
}

#[test]
fn a_vote_for_this_server_of_a_life_before_is_not_repeated() {
    // I-12: what it says is on no disk any more.
    let mut seat = Seat::new(3, config(&[1, 2, 3]));
    seat.look(1, 4);
    for (round, said) in [(1, vote(3, 1, 5)), (2, vote(3, 2, 0))] {
        for effect in seat.hear(1, looking(said, round)) {
            let (Effect::Broadcast(notification) | Effect::Send { notification, .. }) = effect
            else {
                continue;
            };
            assert_eq!(notification.vote, vote(3, 1, 4));
        }
    }
    assert_eq!(
        seat.election.round(),
        Round(2),
        "it goes along with the others"
    );
}

#[test]
fn empty_voters_elect_one_of_themselves_when_all_they_hear_are_empty() {
    let mut seat = Seat::new(3, config(&[1, 2, 3]));
    seat.step(Input::Look(History::EMPTY));
    seat.hear(1, looking(vote(1, 0, 0), 1));
    let effects = seat.hear(2, looking(vote(3, 0, 0), 1));
    let decided = seat.decided(&effects);
    assert_eq!(decided, Some((vote(3, 0, 0), Round(1), Leading)));
}

#[test]
fn the_vote_of_a_voter_without_history_is_ignored() {
    let mut seat = Seat::new(1, config(&[1, 2, 3]));
    seat.look(5, 7);
    let empty = Vote {
        zxid: NO_HISTORY,
        ..vote(3, 9, 0)
    };
    assert_eq!(seat.hear(3, looking(empty, 1)), []);
    assert_eq!(seat.election.round(), Round(1));
}

#[test]
fn a_newer_configuration_in_a_vote_ends_the_election_if_configurations_may_change() {
    // quorum 5.3
    let newer = voters(&[1, 2, 3, 4], 0x1_0000_0000);
    let told = Received {
        config: Some(newer.clone()),
        ..received(2, looking(vote(2, 5, 8), 1))
    };
    let mut seat = Seat::new(1, config(&[1, 2, 3]));
    seat.look(5, 7);
    let effects = seat.step(Input::Received(told.clone()));
    assert_eq!(effects[0], Effect::Broadcast(looking(vote(2, 5, 8), 1)));

    seat = Seat::new(1, config(&[1, 2, 3])).adopting();
    seat.look(5, 7);
    let adopted = Effect::AdoptConfig {
        membership: newer,
        ends_election: true,
    };
    assert_eq!(seat.step(Input::Received(told)), [adopted]);
    assert_eq!(seat.election.state(), None);
    assert_eq!(seat.fire(), []);
}

#[test]
fn a_configuration_that_differs_in_its_version_only_does_not_disturb_the_election() {
    let mut seat = Seat::new(1, config(&[1, 2, 3])).adopting();
    seat.look(5, 7);
    let told = Received {
        config: Some(voters(&[1, 2, 3], 7)),
        ..received(2, looking(vote(2, 5, 8), 1))
    };
    let effects = seat.step(Input::Received(told.clone()));
    assert!(matches!(
        effects[0],
        Effect::AdoptConfig {
            ends_election: false,
            ..
        }
    ));
    assert!(matches!(effects[1], Effect::Broadcast(_)));
    let effects = seat.step(Input::Received(told));
    assert!(
        !effects
            .iter()
            .any(|e| matches!(e, Effect::AdoptConfig { .. }))
    );
}

#[test]
fn a_pending_configuration_needs_its_quorum_too() {
    let views = Views::new(voters(&[1, 2, 3], 1), voters(&[3, 4, 5], 2));
    let mut seat = Seat::new(3, views);
    seat.look(5, 7);
    for from in [1, 2] {
        let effects = seat.hear(from, looking(vote(3, 5, 7), 1));
        assert_eq!(effects, [], "server {from}");
    }
    let effects = seat.hear(4, looking(vote(3, 5, 7), 1));
    assert_eq!(seat.armed_in(&effects), 200);
}

#[test]
fn a_server_without_weight_never_wins() {
    let text = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\ngroup.1=1:2:3\nweight.3=0";
    let views = Views::settled(common::membership(text));
    assert!(vote(1, 0, 0).beats(&vote(3, 9, 9), &views));
    assert!(!vote(3, 9, 9).beats(&vote(1, 0, 0), &views));
}

#[test]
fn an_unknown_state_is_ignored_but_a_non_voter_is_answered_whatever_it_says() {
    let mut seat = Seat::new(1, config(&[1, 2, 3]));
    seat.look(5, 7);
    for (from, answers) in [(2, 0), (9, 1)] {
        let strange = Received {
            state: None,
            ..received(from, looking(vote(2, 5, 8), 1))
        };
        assert_eq!(seat.step(Input::Received(strange)).len(), answers);
    }
    assert_eq!(seat.election.state(), Some(Looking));
}

#[test]
fn a_single_voter_elects_itself_at_once() {
    let mut seat = Seat::new(1, config(&[1]));
    let effects = seat.look(5, 7);
    assert_eq!(
        seat.decided(&effects),
        Some((vote(1, 5, 7), Round(1), Leading))
    );
}

#[test]
fn two_servers_of_which_one_observes_do_not_answer_each_other_for_ever() {
    let mut observer = Seat::with_role(9, Role::Observer, config(&[1, 2, 3]));
    observer.look(5, 7);
    observer.look(5, 7);
    let late = looking(vote(1, 5, 7), 1);
    assert_eq!(
        observer.hear(1, late),
        [],
        "a voter of an earlier round hears nothing of one whose vote does not count"
    );
    let mut voter = Seat::new(1, config(&[1, 2, 3]));
    voter.look(5, 7);
    let settled = Notification {
        state: Observing,
        ..looking(vote(2, 5, 8), 2)
    };
    assert_eq!(
        voter.hear(9, settled),
        [],
        "who has settled wants no answer"
    );
}
