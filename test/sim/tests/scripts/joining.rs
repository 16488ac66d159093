//! Getting into step: P02, P03, P04, P06, P10.

use zabra_sim::plan::Plan;
use zabra_sim::script::Script;

/// Three servers, one of them a follower that was away while the others wrote.
fn with_one_behind(plan: Plan) -> (Script, usize) {
    let mut script = Script::of(plan);
    let leader = script.in_step();
    let away = (leader + 1) % 3;
    script.crash(away);
    for _ in 0..5 {
        script.write(0);
    }
    (script, away)
}

#[test]
fn p02_p03_p04_a_follower_that_dies_at_any_step_of_joining_forgets_nothing() {
    for always_snapshot in [false, true] {
        for effects in 0..40 {
            let plan = Plan {
                always_snapshot,
                ..Plan::scripted(3)
            };
            let (mut script, away) = with_one_behind(plan);
            script.start(away);
            script.until("it runs", |world| world.servers[away].process.is_some());
            script.world.die_in(away, effects);
            script.pass_ms(3000);
            script.start(away);
            let leader = script.in_step();
            // The one that was there all the time goes: what it alone would know is lost.
            let other = (0..3).find(|at| *at != leader && *at != away).unwrap_or(0);
            script.crash(leader);
            script.write(0);
            script.start(leader);
            script.crash(other);
            script.write(0);
            script.in_step();
        }
    }
}

#[test]
fn p06_commits_that_come_before_uptodate_are_applied() {
    let (mut script, away) = with_one_behind(Plan::scripted(3));
    script.start(away);
    // NEWLEADER waits for the disk, while others write.
    script.slow_disk_ms(away, 150);
    for _ in 0..20 {
        script.write(0);
    }
    script.in_step();
}

#[test]
fn p10_p14_what_only_a_dead_leader_logged_is_taken_back() {
    let mut script = Script::with(3);
    let leader = script.in_step();
    let client_at_leader = script.cut_off(leader);
    script.tie(0, leader);
    // Logged by the old leader alone, decided by nobody.
    script.begin_write(0);
    script.pass_ms(500);
    script.until("there is another leader", |world| {
        (0..3).any(|at| at != leader && leads(world, at))
    });
    script.crash(leader);
    script.heal(client_at_leader);
    script.start(leader);
    script.in_step();
}

fn leads(world: &zabra_sim::world::World, at: usize) -> bool {
    world.servers[at]
        .process
        .as_ref()
        .and_then(|process| process.in_step())
        .is_some_and(|(leader, _)| leader.0 as usize == at + 1)
}

#[test]
fn p16_a_follower_ahead_of_its_leaders_disk_keeps_what_is_decided() {
    let plan = Plan {
        commit_log_count: 1,
        ..Plan::scripted(5)
    };
    let mut script = Script::of(plan);
    let leader = script.in_step();
    let (one, other) = ((leader + 1) % 5, (leader + 2) % 5);
    script.tie(0, one);
    // What is decided from here on is on all disks but the leader's.
    script.slow_disk_ms(leader, 20_000);
    script.write(0);
    script.write(0);
    let fault = script.cut_off(other);
    // More than the leader keeps in memory of what is decided and on its disk.
    for _ in 0..12 {
        script.write(0);
    }
    script.heal(fault);
    script.in_step();
}
