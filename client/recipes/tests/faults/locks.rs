//! Locks under faults: who holds what, judged by a register that knows the fencing tokens.

use std::sync::{Arc, Mutex as StdMutex};

use crate::support::{Fault, Scene, on_one_server_and_on_three, rounds, within};
use zabra_recipes::{Guard, Limit, MultiLock, Mutex, ReadWriteLock, Semaphore, Sessions, Side};

/// What everybody who holds a lock writes to. It refuses who comes with a token that is too small.
#[derive(Clone, Default)]
struct Register(Arc<StdMutex<u64>>);

impl Register {
    /// A write of a holder. Whoever is refused was overtaken, and must find out.
    async fn write(&self, guard: &Guard) {
        if !self.accepts(guard.token().0) {
            within(guard.lost()).await;
        }
    }

    fn accepts(&self, token: u64) -> bool {
        let mut greatest = self.0.lock().unwrap();
        *greatest = token.max(*greatest);
        token == *greatest
    }
}

on_one_server_and_on_three!(
    one_holds_it_at_a_time_and_tokens_grow_under_every_fault: 3,
    without_ended_sessions_a_guard_that_is_held_is_alone: 0,
    a_dropped_acquire_leaves_the_queue: 0,
    a_holder_hears_that_it_is_asked_to_give_up_under_every_fault: 2,
    readers_share_and_writers_do_not_under_every_fault: 3,
    never_more_leases_than_there_are_under_every_fault: 4,
    several_locks_are_held_together_under_every_fault: 3,
);

async fn one_holds_it_at_a_time_and_tokens_grow_under_every_fault(mut scene: Scene) {
    let register = Register::default();
    for round in 0..rounds() {
        let work = |_, sessions: &Sessions| {
            let mutex = Mutex::new(sessions, "/locks/one");
            let register = register.clone();
            async move {
                let guard = mutex.acquire().await.unwrap();
                register.write(&guard).await;
                let _ = guard.run(tokio::task::yield_now()).await;
                register.write(&guard).await;
                guard.release().await.unwrap();
            }
        };
        scene.round(round, work).await;
    }
    assert_nothing_is_left(&scene, "/locks/one").await;
}

/// Ghosts of creates whose answers were lost go, too.
async fn assert_nothing_is_left(scene: &Scene, path: &str) {
    let client = scene.direct().await;
    let gone = async {
        loop {
            let (names, _, watch) = client.children_and_watch(path).await.unwrap();
            if names.is_empty() {
                return;
            }
            watch.await.unwrap();
        }
    };
    within(gone).await;
}

async fn without_ended_sessions_a_guard_that_is_held_is_alone(mut scene: Scene) {
    scene.join_lasting(3).await;
    let inside = Arc::new(StdMutex::new(Vec::<Arc<Guard>>::new()));
    for _ in 0..rounds() {
        let mut workers = Vec::new();
        for member in &scene.members {
            let mutex = Mutex::new(&member.sessions, "/locks/alone");
            let inside = Arc::clone(&inside);
            workers.push(tokio::spawn(async move {
                let guard = Arc::new(mutex.acquire().await.unwrap());
                {
                    let mut inside = inside.lock().unwrap();
                    assert!(inside.iter().all(|other| !other.is_held()), "two hold it");
                    inside.push(Arc::clone(&guard));
                }
                let _ = guard.run(tokio::task::yield_now()).await;
                inside
                    .lock()
                    .unwrap()
                    .retain(|other| other.token() != guard.token());
                drop(guard);
            }));
        }
        scene.strike_lightly().await;
        for worker in workers {
            scene.within(worker).await.unwrap();
        }
    }
}

async fn a_dropped_acquire_leaves_the_queue(mut scene: Scene) {
    scene.join_lasting(2).await;
    let mutexes: Vec<Mutex> = scene
        .members
        .iter()
        .map(|member| Mutex::new(&member.sessions, "/locks/left"))
        .collect();
    let held = mutexes[0].acquire().await.unwrap();
    let other = &mutexes[1];
    for _ in 0..rounds() {
        let fault = scene.strike_lightly().await;
        let mut acquire = Box::pin(other.acquire());
        for _ in 0..scene.random.u8(0..20) {
            tokio::select! {
                biased;
                _ = &mut acquire => panic!("it is held"),
                () = tokio::task::yield_now() => {}
            }
        }
        drop(acquire);
        if fault == Fault::Kill {
            // Who hears of no server for long must doubt what is held.
            for mutex in &mutexes {
                scene.within(mutex.participants()).await.unwrap();
            }
        }
    }
    assert!(held.is_held());
    held.release().await.unwrap();
    within(other.acquire())
        .await
        .unwrap()
        .release()
        .await
        .unwrap();
    assert_nothing_is_left(&scene, "/locks/left").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guard_knows_that_its_session_has_ended_and_drops_its_work() {
    let scene = Scene::new(1).await;
    let guard = Mutex::new(&scene.members[0].sessions, "/locks/lost")
        .acquire()
        .await
        .unwrap();
    scene.expire(0).await;
    let lost = within(guard.run(std::future::pending::<()>())).await;
    assert!(lost.is_err());
    assert!(!guard.is_held());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guard_knows_that_somebody_deleted_its_znode() {
    let scene = Scene::new(1).await;
    let guard = Mutex::new(&scene.members[0].sessions, "/locks/deleted")
        .acquire()
        .await
        .unwrap();
    scene
        .direct()
        .await
        .delete(guard.path(), None)
        .await
        .unwrap();
    assert_eq!(within(guard.lost()).await, zabra_recipes::Lost::Deleted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_can_be_asked_to_give_up() {
    let scene = Scene::new(2).await;
    let mutex = Mutex::new(&scene.members[0].sessions, "/locks/revoked").data("me");
    let guard = mutex.acquire().await.unwrap();
    let other = Mutex::new(&scene.members[1].sessions, "/locks/revoked");
    assert_eq!(other.contents().await.unwrap(), [b"me"]);
    let participants = other.participants().await.unwrap();
    assert_eq!(participants, [guard.path()]);
    other.revoke(&participants[0]).await.unwrap();
    within(guard.revoked()).await.unwrap();
    assert!(other.try_acquire().await.unwrap().is_none());
    guard.release().await.unwrap();
    assert!(other.try_acquire().await.unwrap().is_some());
}

async fn a_holder_hears_that_it_is_asked_to_give_up_under_every_fault(mut scene: Scene) {
    let path = "/locks/revocable";
    for round in 0..rounds() {
        let holder = Mutex::new(&scene.members[0].sessions, path);
        let guard = within(holder.acquire()).await.unwrap();
        // Asked in the middle of it, or lost by it: either way it hears.
        let heard = tokio::spawn(async move {
            let _ = guard.revoked().await;
            guard.release().await.unwrap();
        });
        let (fault, _) = scene.strike().await;
        let asker = Mutex::new(&scene.members[1].sessions, path);
        let taken = async {
            loop {
                if let Some(guard) = asker.try_acquire().await.unwrap() {
                    return guard.release().await.unwrap();
                }
                for participant in asker.participants().await.unwrap_or_default() {
                    let _ = asker.revoke(&participant).await;
                }
            }
        };
        within(taken).await;
        within(heard)
            .await
            .unwrap_or_else(|error| panic!("round {round}, {fault:?}: {error}"));
    }
    assert_nothing_is_left(&scene, path).await;
}

async fn readers_share_and_writers_do_not_under_every_fault(mut scene: Scene) {
    let path = "/locks/read-write";
    let register = Register::default();
    for round in 0..rounds() {
        let sides: u32 = scene.random.u32(..);
        let work = |member: usize, sessions: &Sessions| {
            let lock = ReadWriteLock::new(sessions, path);
            let reads = sides >> member & 1 == 0;
            let register = register.clone();
            async move {
                let guard = if reads {
                    lock.read().await.unwrap()
                } else {
                    lock.write().await.unwrap()
                };
                if !reads {
                    register.write(&guard).await;
                }
                let _ = guard.run(tokio::task::yield_now()).await;
                guard.release().await.unwrap();
            }
        };
        scene.round(round, work).await;
    }
    assert_nothing_is_left(&scene, path).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_becomes_a_reader_and_no_writer_gets_in_between() {
    let scene = Scene::new(3).await;
    let lock = |member: usize| ReadWriteLock::new(&scene.members[member].sessions, "/locks/down");
    let writer = lock(0).write().await.unwrap();
    let token = writer.token();
    let next = tokio::spawn({
        let lock = lock(1);
        async move { lock.write().await.unwrap() }
    });
    let reader = lock(0).downgrade(writer).await.unwrap();
    assert_eq!(reader.token(), token);
    assert!(lock(2).try_acquire(Side::Write).await.unwrap().is_none());
    reader.release().await.unwrap();
    let next = within(next).await.unwrap();
    assert!(next.token() > token);
    assert!(lock(2).try_acquire(Side::Read).await.unwrap().is_none());
}

async fn never_more_leases_than_there_are_under_every_fault(mut scene: Scene) {
    let path = "/locks/semaphore";
    for round in 0..rounds() {
        let work = |_, sessions: &Sessions| {
            let semaphore = Semaphore::new(sessions, path, Limit::Fixed(2));
            async move {
                let lease = semaphore.acquire().await.unwrap();
                let others = lease.run(semaphore.leases()).await;
                // Besides those that were given there is at most one that waits: only the first in line makes one.
                if let Ok(Ok(leases)) = others {
                    assert!(leases.len() <= 3, "{leases:?}");
                }
                lease.release().await.unwrap();
            }
        };
        scene.round(round, work).await;
    }
    assert_nothing_is_left(&scene, "/locks/semaphore/leases").await;
}

async fn several_locks_are_held_together_under_every_fault(mut scene: Scene) {
    let registers = [Register::default(), Register::default()];
    for round in 0..rounds() {
        let work = |member: usize, sessions: &Sessions| {
            let mut paths = ["/locks/first", "/locks/second"];
            paths.rotate_left(member % 2);
            let lock = MultiLock::new(paths.map(|path| Mutex::new(sessions, path)));
            let registers = registers.clone();
            async move {
                let held = loop {
                    match lock.acquire().await {
                        Ok(held) => break held,
                        // One was lost while the other was waited for.
                        Err(error) => assert!(error.is_end_of_session(), "{error}"),
                    }
                };
                let tokens: Vec<u64> = held.tokens().map(|(_, token)| token.0).collect();
                for (register, token) in registers.iter().zip(tokens) {
                    if !register.accepts(token) {
                        within(held.lost()).await;
                    }
                }
                held.release().await.unwrap();
            }
        };
        scene.round(round, work).await;
    }
    for path in ["/locks/first", "/locks/second"] {
        assert_nothing_is_left(&scene, path).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_are_counted_and_the_limit_may_move() {
    let scene = Scene::new(2).await;
    let sessions = &scene.members[0].sessions;
    let count = zabra_recipes::SharedCount::start(sessions, "/locks/limit", 1)
        .await
        .unwrap();
    let limit = || Limit::Shared("/locks/limit".to_owned());
    let ours = Semaphore::new(sessions, "/locks/leases", limit());
    let theirs = Semaphore::new(&scene.members[1].sessions, "/locks/leases", limit());
    let first = ours.acquire().await.unwrap();
    assert!(theirs.try_acquire().await.unwrap().is_none());
    let second = tokio::spawn(async move { theirs.acquire().await.unwrap() });
    count.set(2).await.unwrap();
    let second = within(second).await.unwrap();
    assert_eq!(ours.leases().await.unwrap().len(), 2);
    // Those above the limit are not taken back.
    count.set(1).await.unwrap();
    assert!(first.is_held() && second.is_held());
    first.release().await.unwrap();
    assert!(ours.try_acquire().await.unwrap().is_none());
    drop(second);
    within(ours.acquire()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_locks_are_held_together_or_not_at_all() {
    let scene = Scene::new(2).await;
    let locks =
        |sessions: &Sessions| ["/locks/b", "/locks/a"].map(|path| Mutex::new(sessions, path));
    let ours = MultiLock::new(locks(&scene.members[0].sessions));
    let theirs = MultiLock::new(locks(&scene.members[1].sessions));
    let held = ours.acquire().await.unwrap();
    let waiting = tokio::spawn(async move { theirs.acquire().await.unwrap() });
    assert_eq!(held.tokens().count(), 2);
    assert!(held.is_held());
    held.release().await.unwrap();
    let held = within(waiting).await.unwrap();
    let (path, _) = held.tokens().next().unwrap();
    scene.direct().await.delete(path, None).await.unwrap();
    assert_eq!(within(held.lost()).await, zabra_recipes::Lost::Deleted);
}
