//! Deciding: P28, P70, P105.

use zabra_sim::script::Script;

#[test]
fn p28_a_leader_counts_itself_only_when_its_disk_has_the_txn() {
    let mut script = Script::with(3);
    let leader = script.in_step();
    let others: Vec<usize> = (0..3).filter(|at| *at != leader).collect();
    script.crash(others[0]);
    script.slow_disk_ms(leader, 300);
    let before = script.world.around.check.last_decided();
    script.begin_write(0);
    // The other follower has it long ago.
    script.pass_ms(250);
    assert_eq!(script.world.around.check.last_decided(), before);
    script.until("it is decided", |world| world.clients[0].is_served());
}

#[test]
fn p28_followers_alone_decide_while_the_leaders_disk_is_busy() {
    let mut script = Script::with(3);
    let leader = script.in_step();
    script.slow_disk_ms(leader, 400);
    let before = script.world.around.check.last_decided();
    script.begin_write(0);
    script.until("the followers have decided it", |world| {
        world.around.check.last_decided() > before
    });
    // Decided, and not applied where it is not durable.
    assert_eq!(script.world.servers[leader].applied(), Some(before));
}

#[test]
fn p105_a_leader_that_was_cut_off_answers_no_sync() {
    let mut script = Script::with(3);
    let leader = script.in_step();
    script.tie(0, leader);
    script.write(0);
    let fault = script.cut_off(leader);
    {
        let world = &mut script.world;
        world.clients[0].sync(&mut world.around);
    }
    script.pass_ms(5000);
    assert_eq!(script.world.clients[0].tally.syncs, 0);
    script.heal(fault);
    script.in_step();
}

#[test]
fn p70_a_leader_that_hears_no_quorum_gives_up() {
    let mut script = Script::with(3);
    let leader = script.in_step();
    let fault = script.cut_off(leader);
    script.until("it serves no more", |world| {
        let process = world.servers[leader].process.as_ref();
        process.is_some_and(|process| !process.is_serving())
    });
    script.heal(fault);
    script.in_step();
}
