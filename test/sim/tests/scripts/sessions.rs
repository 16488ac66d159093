//! Sessions: P75, P79.

use zabra_sim::plan::Plan;
use zabra_sim::script::Script;

#[test]
fn p75_a_server_that_stood_still_expires_nobody_who_spoke_meanwhile() {
    for is_standalone in [false, true] {
        let plan = Plan {
            is_standalone,
            ..Plan::scripted(1)
        };
        let mut script = Script::of(plan);
        // A session lasts for 10 ticks of 200 ms; its client speaks four times as often.
        script.pause_ms(0, 1200);
        script.pass_ms(6000);
        assert_eq!(script.world.clients[0].tally.lost_sessions, 0);
    }
}

#[test]
fn p75_a_leader_that_stood_still_is_replaced_and_expires_nobody() {
    let mut script = Script::with(3);
    let leader = script.in_step();
    script.pause_ms(leader, 30_000);
    script.until("others lead", |world| {
        let in_step = |at: usize| world.servers[at].process.as_ref()?.in_step();
        (0..3).any(|at| {
            at != leader && in_step(at).is_some_and(|(sid, _)| sid.0 != leader as i64 + 1)
        })
    });
    script.write(0);
    script.pass_ms(40_000);
    script.in_step();
    assert_eq!(script.world.clients[0].tally.lost_sessions, 0);
}

#[test]
fn p79_sessions_get_their_full_time_from_a_new_leader() {
    let mut script = Script::with(3);
    for _ in 0..4 {
        let leader = script.in_step();
        script.crash(leader);
        script.write(0);
        script.start(leader);
        script.pass_ms(2500);
    }
    script.in_step();
    assert_eq!(script.world.clients[0].tally.lost_sessions, 0);
}

/// f10: the numbers of an epoch end in the midst of sessions that expire in one tick.
#[test]
fn p127_sessions_that_expire_together_do_not_overrun_their_epoch() {
    let mut plan = Plan::scripted(3);
    plan.clients = 5;
    plan.epoch_len_max = 12;
    let mut script = Script::of(plan);
    assert_eq!(script.world.around.check.last_decided().counter(), 10);
    script.silence_clients();
    script.until("all five have expired", |world| {
        let decided = world.around.check.decided();
        decided.iter().filter(|d| d.error.is_none()).count() >= 15
    });
    assert!(script.world.around.check.last_decided().epoch() > 1);
}
