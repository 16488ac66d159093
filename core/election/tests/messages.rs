//! From and to the messages of the election port, and what hostile ones may do (quorum 5.1, R13).

mod common;

use common::{Seat, config, looking, vote, voters};
use proptest::prelude::*;
use zabra_election::{Effect, Input, LinkFact, PeerEpoch, Received, Round, ServerState, Vote};
use zabra_proto::{Zxid, notification};
use zabra_quorum::Sid;

#[test]
fn what_is_sent_is_received_with_the_configuration() {
    let membership = voters(&[1, 2, 3], 7);
    let text = membership.to_string();
    let sent = looking(vote(2, 5, 8), 4);
    let received = Received::new(Sid(2), &sent.to_message(&text));
    let expected = Received {
        config: Some(membership),
        ..common::received(2, sent)
    };
    assert_eq!(received, expected);
}

#[test]
fn a_configuration_that_cannot_be_read_does_not_cost_the_vote() {
    let sent = looking(vote(2, 5, 8), 4);
    for text in [
        &b"server.x=a:1:2"[..],
        b"\xff",
        b"version=0",
        b"server.1=a:b:c",
    ] {
        let message = notification::Notification {
            config: Some(text),
            ..sent.to_message("")
        };
        assert_eq!(Received::new(Sid(2), &message), common::received(2, sent));
    }
}

/// Small numbers, so that votes often meet, and the special ones.
fn number() -> impl Strategy<Value = i64> {
    prop_oneof![8 => 0..6i64, 1 => Just(-1), 1 => Just(i64::MIN), 1 => Just(i64::MAX)]
}

fn heard() -> impl Strategy<Value = Input> {
    let states = ServerState::ALL;
    let state = prop::option::weighted(0.95, prop::sample::select(states));
    let numbers = (number(), number(), number(), number(), number(), 0..3i32);
    (state, numbers, prop::option::weighted(0.05, 0..9u64)).prop_map(
        |(state, (sender, leader, zxid, epoch, round, version), config)| {
            Input::Received(Received {
                sender: Sid(sender),
                state,
                vote: Vote {
                    leader: Sid(leader),
                    zxid: Zxid::from_wire(zxid),
                    epoch: PeerEpoch(epoch),
                },
                round: Round(round),
                version,
                config: config.map(|version| voters(&[1, 2, 3, 4, 5], version)),
            })
        },
    )
}

fn link() -> impl Strategy<Value = Input> {
    let fact = prop::sample::select(vec![LinkFact::Up, LinkFact::Refused, LinkFact::Reset]);
    (number(), fact).prop_map(|(sid, fact)| Input::Link(Sid(sid), fact))
}

proptest! {
    #[test]
    fn whatever_is_heard_only_voters_are_elected_and_little_is_sent(
        inputs in prop::collection::vec(prop_oneof![6 => heard(), 1 => link()], 1..60),
        ticks in prop::collection::vec(any::<bool>(), 60),
    ) {
        let views = config(&[1, 2, 3, 4, 5]);
        let mut seat = Seat::new(3, views.clone()).adopting();
        seat.look(2, 3);
        for (input, tick) in inputs.into_iter().zip(ticks) {
            let mut effects = seat.step(input);
            if tick {
                effects.extend(seat.fire());
            }
            // A message answers, raises and ends at most; parked ones are at most one of each voter.
            prop_assert!(effects.len() <= 16, "{effects:?}");
            for effect in &effects {
                if let Effect::Decided(decision) = effect {
                    prop_assert!(views.is_voter(decision.vote.leader));
                    prop_assert_ne!(decision.state, ServerState::Looking);
                }
            }
            if seat.election.state() != Some(ServerState::Looking) {
                seat.look(2, 3);
            }
        }
    }
}
