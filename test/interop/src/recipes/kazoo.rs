//! Scenes with kazoo.

use anyhow::{Result, ensure};
use zabra_recipes::{DoubleBarrier, ItemNames, LeaderLatch, Mutex, Names, SimpleQueue};

use super::contender::Contender;
use super::{Scene, Stage};

pub(super) const SCENES: &[(&str, Scene)] = &[
    (
        "a lock excludes both ways under kazoo's names",
        |stage, kazoo| lock(stage, kazoo, "/kazoo/lock", Names::Kazoo, ""),
    ),
    (
        "and under Curator's, if kazoo is told of them",
        |stage, kazoo| lock(stage, kazoo, "/kazoo/told", Names::Curator, " -lock-"),
    ),
    ("one is elected, and the next one after it", election),
    ("items are handed over both ways", queue),
    ("a double barrier opens and closes together", barrier),
];

fn lock(
    stage: &mut Stage,
    kazoo: &mut Contender,
    path: &str,
    names: Names,
    patterns: &str,
) -> Result<()> {
    let ours = Mutex::new(&stage.client, path).names(names);
    kazoo.expect(&format!("p lock {path} 20000{patterns}"), "true")?;
    ensure!(
        stage.wait(ours.try_acquire())?.is_none(),
        "theirs is held, and ours, too"
    );
    let waiting = stage.begin(async move { ours.acquire().await });
    kazoo.expect("p release", "true")?;
    let guard = stage.end(waiting)?;
    kazoo.expect(&format!("p lock {path} 300{patterns}"), "false")?;
    kazoo.tell(&format!("q lock {path} 20000{patterns}"))?;
    stage.wait(guard.release())?;
    ensure!(
        kazoo.answer("q")? == "true",
        "ours is released, and theirs waits"
    );
    kazoo.expect("q release", "true")
}

fn election(stage: &mut Stage, kazoo: &mut Contender) -> Result<()> {
    let path = "/kazoo/election";
    kazoo.expect(&format!("python elect {path}"), "true")?;
    kazoo.expect("python leads 20000", "true")?;
    let ours = {
        let _runtime = stage.runtime.enter();
        LeaderLatch::start_as(&stage.client, path, "rust", Names::Kazoo)
    };
    while kazoo.ask("python contenders")? != "python rust" {}
    ensure!(!ours.is_leader(), "two lead");
    kazoo.expect("python resign", "true")?;
    stage.wait(ours.lead())?;
    kazoo.expect(&format!("python elect {path}"), "true")?;
    kazoo.expect("python leads 300", "false")?;
    stage.runtime.block_on(ours.close());
    kazoo.expect("python leads 20000", "true")?;
    kazoo.expect("python resign", "true")
}

fn queue(stage: &mut Stage, kazoo: &mut Contender) -> Result<()> {
    let path = "/kazoo/queue";
    let ours = SimpleQueue::new(&stage.client, path).names(ItemNames::Kazoo);
    stage.wait(ours.put(b"from-rust"))?;
    kazoo.expect(&format!("p put {path} from-python"), "true")?;
    kazoo.expect(&format!("p put {path} urgent 3"), "true")?;
    let item = stage.wait(ours.take())?;
    ensure!(item == b"urgent", "{item:?}");
    kazoo.expect(&format!("p get {path}"), "from-rust")?;
    let item = stage.wait(ours.take())?;
    ensure!(item == b"from-python", "{item:?}");
    kazoo.expect(&format!("p get {path}"), "none")
}

fn barrier(stage: &mut Stage, kazoo: &mut Contender) -> Result<()> {
    for round in 0..3 {
        let path = format!("/kazoo/barrier-{round}");
        let ours = DoubleBarrier::new(&stage.client, &path, 2);
        kazoo.tell(&format!("p enter {path} 2"))?;
        let entered = stage.wait(ours.enter())?;
        ensure!(kazoo.answer("p")? == "true");
        kazoo.tell("p leave")?;
        stage.wait(entered.leave())?;
        ensure!(kazoo.answer("p")? == "true");
    }
    Ok(())
}
