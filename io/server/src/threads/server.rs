//! The whole crew: poller, standby, snapshots, jobs, with clients.

use std::sync::Arc;

use shuttle::thread;
use zabra_proto::Zxid;
use zabra_zab::Epochs;

use super::in_many_orders;
use super::stool::{Ask, Hall, Stool};
use super::world::{World, holds_first};
use crate::history::Job;
use crate::seat::FlushRules;

/// Two clients write twice each, one answer after the other; then the server is asked to stop.
fn serve(world: &World, seat: Stool) {
    serve_clients(world, seat, |hall, numbers| {
        for number in numbers {
            hall.ask(Ask::Write(number));
            hall.hear(number);
        }
    });
}

/// The same with clients who do not wait for answers before they go on.
fn serve_hasty(world: &World, seat: Stool) {
    serve_clients(world, seat, |hall, numbers| {
        numbers
            .iter()
            .for_each(|number| hall.ask(Ask::Write(*number)));
        numbers.iter().for_each(|number| hall.hear(*number));
    });
}

fn serve_clients(world: &World, seat: Stool, client: fn(&Hall, [u32; 2])) {
    let crew = world.crew();
    let clients = [[10, 11], [20, 21]].map(|numbers| {
        let hall = Arc::clone(&world.hall);
        thread::spawn(move || client(&hall, numbers))
    });
    let mailbox = Arc::clone(&world.shared.mailbox);
    let stopper = thread::spawn(move || {
        clients
            .into_iter()
            .for_each(|client| client.join().unwrap());
        mailbox.stop();
    });
    crew.serve(Box::new(seat)).unwrap();
    stopper.join().unwrap();
    // What the mark has not heard of is behind the tree.
    let (replica, tail) = world.found();
    let applied = replica.last_zxid().counter();
    assert!(holds_first(&replica, applied));
    let rest: Vec<Zxid> = (applied + 1..=4).map(|n| Zxid::new(0, n)).collect();
    assert_eq!(
        tail, rest,
        "what was answered is on disk, once and in order"
    );
}

pub(super) fn writes_are_answered_when_they_are_durable() {
    let world = World::new(100);
    let seat = world.seat(FlushRules::AT_ONCE);
    serve(&world, seat);
}

pub(super) fn batches_that_are_handed_on() {
    let world = World::new(100);
    let mut seat = world.seat(FlushRules::AT_ONCE);
    seat.hands_on = 100;
    serve(&world, seat);
}

/// As in the world: what is worth a wake-up is handed on, and what is not is flushed by the poller.
pub(super) fn batches_of_both_kinds() {
    let world = World::new(100);
    let mut seat = world.seat(FlushRules::AT_ONCE);
    seat.hands_on = 50;
    serve(&world, seat);
}

pub(super) fn small_flushes_of_much() {
    let world = World::new(1);
    let mut seat = world.seat(FlushRules::AT_ONCE);
    seat.hands_on = 50;
    serve_hasty(&world, seat);
}

pub(super) fn snapshots_beside_writes() {
    let world = World::new(100);
    let mut seat = world.seat(FlushRules::AT_ONCE);
    seat.snapshots = true;
    serve(&world, seat);
}

#[test]
fn every_write_is_answered_once_when_it_is_durable_and_the_server_stops() {
    in_many_orders(writes_are_answered_when_they_are_durable);
}

#[test]
fn a_standby_that_flushes_loses_nothing() {
    in_many_orders(batches_that_are_handed_on);
}

#[test]
fn a_standby_that_flushes_in_turn_with_the_poller_loses_nothing() {
    in_many_orders(batches_of_both_kinds);
}

#[test]
fn a_flush_that_may_not_take_all_leaves_nothing_behind() {
    in_many_orders(small_flushes_of_much);
}

#[test]
fn a_flush_that_is_held_back_comes_by_itself() {
    in_many_orders(|| {
        let world = World::new(2);
        let seat = world.seat(FlushRules {
            delay_ms: 30,
            quiet_ms: 10,
            batch_max: 2,
        });
        serve_hasty(&world, seat);
    });
}

#[test]
fn snapshots_keep_nobody_waiting_for_ever() {
    in_many_orders(snapshots_beside_writes);
}

pub(super) fn a_hanging_flush() {
    let world = World::new(100);
    let crew = world.crew();
    world.log_disk.hang(true);
    let (hall, disk) = (Arc::clone(&world.hall), Arc::clone(&world.log_disk));
    let mailbox = Arc::clone(&world.shared.mailbox);
    let client = thread::spawn(move || {
        hall.ask(Ask::Write(1));
        hall.ask(Ask::Read(2));
        hall.hear(2);
        hall.ask(Ask::Read(3));
        hall.hear(3);
        disk.hang(false);
        hall.hear(1);
        mailbox.stop();
    });
    crew.serve(Box::new(world.seat(FlushRules::AT_ONCE)))
        .unwrap();
    client.join().unwrap();
}

#[test]
fn reads_are_answered_while_a_flush_hangs() {
    in_many_orders(a_hanging_flush);
}

pub(super) fn a_stop_amid_requests() {
    let world = World::new(100);
    let crew = world.crew();
    let hall = Arc::clone(&world.hall);
    let mailbox = Arc::clone(&world.shared.mailbox);
    let client = thread::spawn(move || (1..=3).for_each(|number| hall.ask(Ask::Write(number))));
    let stopper = thread::spawn(move || mailbox.stop());
    crew.serve(Box::new(world.seat(FlushRules::AT_ONCE)))
        .unwrap();
    client.join().unwrap();
    stopper.join().unwrap();
}

#[test]
fn a_server_that_is_stopped_amid_requests_stops() {
    in_many_orders(a_stop_amid_requests);
}

pub(super) fn jobs_beside_writes() {
    let world = World::new(100);
    let mut seat = world.seat(FlushRules::AT_ONCE);
    seat.snapshots = true;
    let jobs = Arc::clone(&world.history.jobs);
    let asker = thread::spawn(move || {
        for accepted in [1, 2] {
            jobs.ask(Job::SaveEpochs(Epochs {
                accepted,
                current: 0,
            }));
        }
    });
    serve(&world, seat);
    asker.join().unwrap();
}

#[test]
fn jobs_on_the_history_end_with_the_server() {
    in_many_orders(jobs_beside_writes);
}
