//! Scenes with Curator.

use anyhow::{Result, ensure};
use zabra_recipes::discovery::{Discovery, DownPolicy, ServiceInstance, Strategy};
use zabra_recipes::{
    AtomicInteger, AtomicLong, Barrier, DoubleBarrier, GroupMember, LeaderLatch, LeaderSelector,
    Limit, MultiLock, Mutex, Names, PersistentNode, ReadWriteLock, Semaphore, SharedCount,
    SharedValue, Side,
};

use super::contender::Contender;
use super::{Scene, Stage};

pub(super) const SCENES: &[(&str, Scene)] = &[
    ("a mutex excludes both ways", mutex),
    ("revocation is heard both ways", revocation),
    ("readers share and writers do not", read_write),
    ("leases are counted together", semaphore),
    ("one latch leads, and the next one after it", latch),
    ("a count and a sum are the same", numbers),
    ("services are discovered both ways", discovery),
    ("several locks are taken together", multi_lock),
    ("one is selected, and the next one after it", selector),
    ("a value and a small sum are the same", values),
    ("a barrier holds both ways", plain_barrier),
    ("a kept znode is one behind the other", kept),
    ("a double barrier opens and closes together", barrier),
    ("members see each other", group),
];

/// How long a try of theirs takes that must fail, ms.
pub(super) const TRY: &str = "300";
/// How long one may take that must succeed, ms.
pub(super) const LONG: &str = "20000";

fn mutex(stage: &mut Stage, curator: &mut Contender) -> Result<()> {
    let ours = Mutex::new(&stage.client, "/curator/mutex");
    curator.expect(&format!("j lock /curator/mutex {LONG}"), "true")?;
    ensure!(
        stage.wait(ours.try_acquire())?.is_none(),
        "theirs is held, and ours, too"
    );
    let waiting = stage.begin({
        let ours = ours.clone();
        async move { ours.acquire().await }
    });
    curator.expect("j release", "true")?;
    let guard = stage.end(waiting)?;
    curator.expect(&format!("j lock /curator/mutex {TRY}"), "false")?;
    curator.tell(&format!("k lock /curator/mutex {LONG}"))?;
    let token = guard.token();
    stage.wait(guard.release())?;
    ensure!(
        curator.answer("k")? == "true",
        "ours is released, and theirs waits"
    );
    curator.expect("k release", "true")?;
    let next = stage.wait(ours.acquire())?;
    ensure!(next.token() > token, "tokens grow");
    stage.wait(next.release())
}

fn revocation(stage: &mut Stage, curator: &mut Contender) -> Result<()> {
    let ours = Mutex::new(&stage.client, "/curator/revocable");
    curator.tell(&format!("j revocable /curator/revocable {LONG}"))?;
    ensure!(curator.answer("j")? == "held");
    let participants = stage.wait(ours.participants())?;
    ensure!(participants.len() == 1, "{participants:?}");
    stage.wait(ours.revoke(&participants[0]))?;
    ensure!(curator.answer("j")? == "true", "they hear that we want it");
    curator.expect("j release", "true")?;
    let guard = stage.wait(ours.acquire())?;
    curator.expect("j revoke /curator/revocable", "true")?;
    stage.wait(guard.revoked())?;
    stage.wait(guard.release())
}

fn read_write(stage: &mut Stage, curator: &mut Contender) -> Result<()> {
    let path = "/curator/read-write";
    let ours = ReadWriteLock::new(&stage.client, path);
    curator.expect(&format!("r read {path} {LONG}"), "true")?;
    let reader = stage.wait(ours.read())?;
    ensure!(
        stage.wait(ours.try_acquire(Side::Write))?.is_none(),
        "we write while they read"
    );
    curator.expect(&format!("w write {path} {TRY}"), "false")?;
    curator.expect("r release", "true")?;
    curator.tell(&format!("w write {path} {LONG}"))?;
    stage.wait(reader.release())?;
    ensure!(curator.answer("w")? == "true");
    ensure!(
        stage.wait(ours.try_acquire(Side::Read))?.is_none(),
        "we read while they write"
    );
    let waiting = stage.begin({
        let ours = ours.clone();
        async move { ours.write().await }
    });
    curator.expect("w release", "true")?;
    let writer = stage.end(waiting)?;
    curator.expect(&format!("r read {path} {TRY}"), "false")?;
    let reader = stage.wait(ours.downgrade(writer))?;
    curator.expect(&format!("r read {path} {LONG}"), "true")?;
    curator.expect("r release", "true")?;
    stage.wait(reader.release())
}

fn semaphore(stage: &mut Stage, curator: &mut Contender) -> Result<()> {
    let path = "/curator/semaphore";
    let ours = Semaphore::new(&stage.client, path, Limit::Fixed(2));
    curator.expect(&format!("a lease {path} {LONG} 2"), "true")?;
    let lease = stage.wait(ours.acquire())?;
    ensure!(
        stage.wait(ours.try_acquire())?.is_none(),
        "a third lease of two"
    );
    curator.expect(&format!("b lease {path} {TRY} 2"), "false")?;
    curator.tell(&format!("b lease {path} {LONG} 2"))?;
    stage.wait(lease.release())?;
    ensure!(curator.answer("b")? == "true");
    curator.expect("a release", "true")?;
    let lease = stage.wait(ours.acquire())?;
    curator.expect("b release", "true")?;
    stage.wait(lease.release())
}

fn latch(stage: &mut Stage, curator: &mut Contender) -> Result<()> {
    let path = "/curator/latch";
    curator.expect(&format!("java latch {path}"), "true")?;
    curator.expect(&format!("java leads {LONG}"), "true")?;
    let ours = {
        let _runtime = stage.runtime.enter();
        LeaderLatch::start(&stage.client, path, "rust")
    };
    let both = async {
        // Ours stands in line in the background.
        while ours.participants().await?.len() < 2 {
            tokio::task::yield_now().await;
        }
        ours.participants().await
    };
    let participants = stage.wait(both)?;
    ensure!(participants == ["java", "rust"], "{participants:?}");
    ensure!(!ours.is_leader(), "two lead");
    curator.expect("java resign", "true")?;
    let guard = stage.wait(ours.lead())?;
    ensure!(guard.is_held());
    curator.expect(&format!("java latch {path}"), "true")?;
    curator.expect(&format!("java leads {TRY}"), "false")?;
    curator.expect("java leader", "rust")?;
    stage.runtime.block_on(ours.close());
    curator.expect(&format!("java leads {LONG}"), "true")?;
    curator.expect("java resign", "true")
}

fn numbers(stage: &mut Stage, curator: &mut Contender) -> Result<()> {
    curator.expect("j count /curator/count 5", "0")?;
    let count = stage.wait(SharedCount::start(&stage.client, "/curator/count", 0))?;
    let seen = stage.wait(count.current())?;
    ensure!(seen.value == 5, "{seen:?}");
    ensure!(stage.wait(count.try_set(&seen, -7))?, "nobody else sets it");
    curator.expect("j count /curator/count", "-7")?;
    let sum = AtomicLong::new(&stage.client, "/curator/sum");
    curator.expect("j add /curator/sum 3", "3")?;
    ensure!(stage.wait(sum.add(1 << 40))?.after == (1 << 40) + 3);
    curator.expect("j add /curator/sum -3", &(1_u64 << 40).to_string())?;
    ensure!(stage.wait(sum.load())? == 1 << 40);
    let fresh = AtomicLong::new(&stage.client, "/curator/fresh");
    stage.wait(fresh.add(4))?;
    curator.expect("j add /curator/fresh 4", "8")
}

fn discovery(stage: &mut Stage, curator: &mut Contender) -> Result<()> {
    let base = "/curator/services";
    let ours = Discovery::new(&stage.client, base);
    curator.expect(
        &format!("j publish {base} search java 10.0.0.1 80 hello"),
        "true",
    )?;
    let found = stage.wait(ours.instances("search"))?;
    ensure!(found.len() == 1, "{found:?}");
    ensure!(
        found[0].id == "java" && found[0].uri().as_deref() == Some("http://10.0.0.1:80"),
        "{found:?}"
    );
    ensure!(found[0].payload == Some("hello".into()), "{found:?}");
    let mut instance = ServiceInstance::new("search", "rust", 1_700_000_000_000);
    instance.address = Some("10.0.0.2".to_owned());
    instance.ssl_port = Some(443);
    instance.payload = Some("there".into());
    instance.uri_spec = found[0].uri_spec.clone();
    let published = stage.wait(ours.publish(&instance))?;
    curator.expect(
        &format!("j instances {base} search"),
        "java=http://10.0.0.1:80,hello rust=https://10.0.0.2:,there",
    )?;
    let services = stage.wait(ours.services())?;
    ensure!(services == ["search"], "{services:?}");
    let provider =
        stage.wait(ours.provider("search", Strategy::RoundRobin, DownPolicy::default()))?;
    let chosen: Vec<String> = (0..4)
        .filter_map(|_| provider.instance())
        .map(|one| one.id)
        .collect();
    ensure!(chosen == ["java", "rust", "java", "rust"], "{chosen:?}");
    stage.wait(published.withdraw())?;
    curator.expect(
        &format!("j instances {base} search"),
        "java=http://10.0.0.1:80,hello",
    )?;
    curator.expect("j release", "true")
}

fn multi_lock(stage: &mut Stage, curator: &mut Contender) -> Result<()> {
    let paths = ["/curator/multi-a", "/curator/multi-b"];
    let ours = MultiLock::new(paths.map(|path| Mutex::new(&stage.client, path)));
    curator.expect(&format!("j both {} {} {LONG}", paths[0], paths[1]), "true")?;
    let one = Mutex::new(&stage.client, paths[1]);
    ensure!(
        stage.wait(one.try_acquire())?.is_none(),
        "theirs holds both, and ours one"
    );
    let waiting = stage.begin(async move { ours.acquire().await });
    curator.expect("j release", "true")?;
    let held = stage.end(waiting)?;
    curator.expect(&format!("j both {} {} {TRY}", paths[0], paths[1]), "false")?;
    stage.wait(held.release())?;
    curator.expect(&format!("j both {} {} {LONG}", paths[0], paths[1]), "true")?;
    curator.expect("j release", "true")
}

fn selector(stage: &mut Stage, curator: &mut Contender) -> Result<()> {
    let path = "/curator/selector";
    curator.expect(&format!("java select {path} {LONG}"), "true")?;
    let ours = LeaderSelector::new(&stage.client, path, "rust", Names::Curator);
    let (release, released) = tokio::sync::oneshot::channel::<()>();
    let (tell, selected) = tokio::sync::oneshot::channel();
    let leading = stage.begin({
        let ours = ours.clone();
        async move {
            let lead = async |_| {
                let _ = tell.send(());
                let _ = released.await;
            };
            ours.run_once(lead).await
        }
    });
    while stage.wait(ours.participants())? != ["java", "rust"] {}
    curator.expect("java release", "true")?;
    stage.wait(selected)?;
    curator.expect(&format!("java select {path} {TRY}"), "false")?;
    let _ = release.send(());
    stage.end(leading)?;
    curator.expect("java release", "true")
}

fn values(stage: &mut Stage, curator: &mut Contender) -> Result<()> {
    curator.expect("j value /curator/value theirs", "seed")?;
    let value = stage.wait(SharedValue::start(
        &stage.client,
        "/curator/value",
        b"other",
    ))?;
    let seen = stage.wait(value.current())?;
    ensure!(seen.value == b"theirs", "{seen:?}");
    ensure!(
        stage.wait(value.try_set(&seen, b"ours"))?,
        "nobody else sets it"
    );
    curator.expect("j value /curator/value", "ours")?;
    let sum = AtomicInteger::new(&stage.client, "/curator/small");
    curator.expect("j addint /curator/small 3", "3")?;
    ensure!(stage.wait(sum.add(-5))?.after == -2);
    curator.expect("j addint /curator/small 4", "2")?;
    ensure!(stage.wait(sum.load())? == 2);
    Ok(())
}

fn plain_barrier(stage: &mut Stage, curator: &mut Contender) -> Result<()> {
    let path = "/curator/plain-barrier";
    let ours = Barrier::new(&stage.client, path);
    curator.expect(&format!("j stand {path}"), "true")?;
    let waiting = stage.begin({
        let ours = ours.clone();
        async move { ours.wait().await }
    });
    curator.expect(&format!("k wait {path} {TRY}"), "false")?;
    ensure!(!waiting.is_finished(), "ours passes theirs");
    curator.expect(&format!("j lift {path}"), "true")?;
    stage.end(waiting)?;
    stage.wait(ours.set())?;
    curator.expect(&format!("k wait {path} {TRY}"), "false")?;
    curator.tell(&format!("k wait {path} {LONG}"))?;
    stage.wait(ours.lift())?;
    ensure!(
        curator.answer("k")? == "true",
        "ours is lifted, and theirs waits"
    );
    Ok(())
}

fn kept(stage: &mut Stage, curator: &mut Contender) -> Result<()> {
    let path = "/curator/kept";
    curator.expect(&format!("java keep {path} {LONG}"), "true")?;
    let ours = {
        let _runtime = stage.runtime.enter();
        PersistentNode::ephemeral(&stage.client, path, b"rust")
    };
    let (data, _) = stage.wait(stage.client.get(path))?;
    ensure!(data == "java", "{data:?}");
    curator.expect("java release", "true")?;
    stage.wait(ours.created())?;
    let (data, _) = stage.wait(stage.client.get(path))?;
    ensure!(data == "rust", "{data:?}");
    stage.wait(ours.close())
}

fn barrier(stage: &mut Stage, curator: &mut Contender) -> Result<()> {
    let path = "/curator/barrier";
    let ours = DoubleBarrier::new(&stage.client, path, 2);
    for _ in 0..3 {
        curator.tell(&format!("j enter {path} {LONG} 2"))?;
        let entered = stage.wait(ours.enter())?;
        ensure!(curator.answer("j")? == "true");
        curator.tell(&format!("j leave {LONG}"))?;
        stage.wait(entered.leave())?;
        ensure!(curator.answer("j")? == "true");
    }
    Ok(())
}

fn group(stage: &mut Stage, curator: &mut Contender) -> Result<()> {
    curator.expect("java join /curator/group", "true")?;
    let ours = {
        let _runtime = stage.runtime.enter();
        GroupMember::join(&stage.client, "/curator/group", "rust", b"rust")
    };
    stage.wait(ours.joined())?;
    let both = async {
        let mut changes = ours.changes();
        while ours.members().len() < 2 {
            let _ = changes.next().await;
        }
        Ok::<_, zabra_recipes::Error>(())
    };
    stage.wait(both)?;
    ensure!(
        ours.members()
            .get("java")
            .is_some_and(|data| data == b"java")
    );
    while curator.ask("java members")? != "java rust" {}
    stage.wait(ours.leave())?;
    while curator.ask("java members")? != "java" {}
    curator.expect("java part", "true")
}
