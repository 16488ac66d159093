//! Scenes with Curator's queues, all of them.

use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use zabra_recipes::{DelayQueue, Error, Queue, SimpleQueue};

use super::contender::Contender;
use super::curator::LONG;
use super::{Scene, Stage};

pub(super) const SCENES: &[(&str, Scene)] = &[
    ("items are handed over both ways", plain),
    ("by priority", priority),
    ("with ids, which remove them", ids),
    ("with delays", delays),
    ("and without locks", simple),
];

/// Takes an item of theirs, which must be this one.
fn expect(stage: &Stage, queue: &Queue, wanted: &str) -> Result<()> {
    let delivery = stage.wait(queue.take())?;
    ensure!(delivery.elements() == [wanted.as_bytes()], "{delivery:?}");
    stage.wait(delivery.done())
}

/// Waits until nothing is left.
fn end(stage: &Stage, queue: &Queue) -> Result<()> {
    stage.wait(async {
        while !queue.is_empty().await? {
            tokio::task::yield_now().await;
        }
        Ok::<_, Error>(())
    })
}

fn plain(stage: &mut Stage, curator: &mut Contender) -> Result<()> {
    let ours = Queue::new(&stage.client, "/curator/queue", "/curator/queue-locks");
    curator.expect("j put /curator/queue from-java", "true")?;
    expect(stage, &ours, "from-java")?;
    stage.wait(ours.put(b"from-rust"))?;
    curator.expect(
        &format!("j take /curator/queue {LONG} /curator/queue-locks"),
        "from-rust",
    )?;
    end(stage, &ours)
}

fn priority(stage: &mut Stage, curator: &mut Contender) -> Result<()> {
    let ours = Queue::new(&stage.client, "/curator/sorted", "/curator/sorted-locks");
    curator.expect("j put /curator/sorted java-7 priority 7", "true")?;
    stage.wait(ours.put_with_priority(-3, b"rust--3"))?;
    curator.expect("j put /curator/sorted java--9 priority -9", "true")?;
    stage.wait(ours.put_with_priority(300, b"rust-300"))?;
    for wanted in ["java--9", "rust--3", "java-7"] {
        expect(stage, &ours, wanted)?;
    }
    curator.expect(
        &format!("j take /curator/sorted {LONG} /curator/sorted-locks priority"),
        "rust-300",
    )?;
    end(stage, &ours)
}

fn ids(stage: &mut Stage, curator: &mut Contender) -> Result<()> {
    let ours = Queue::new(&stage.client, "/curator/ids", "/curator/ids-locks");
    curator.expect("j put /curator/ids one id a", "true")?;
    curator.expect("j put /curator/ids two id b", "true")?;
    stage.wait(ours.put_with_id("c", b"three"))?;
    stage.wait(ours.put_with_id("d", b"four"))?;
    let removed = stage.wait(ours.remove("a"))?;
    ensure!(removed == 1, "{removed}");
    curator.expect("j remove /curator/ids c /curator/ids-locks", "1")?;
    expect(stage, &ours, "two")?;
    curator.expect(
        &format!("j take /curator/ids {LONG} /curator/ids-locks id"),
        "four",
    )?;
    end(stage, &ours)
}

fn delays(stage: &mut Stage, curator: &mut Contender) -> Result<()> {
    let (path, locks) = ("/curator/delays", "/curator/delays-locks");
    let ours = DelayQueue::new(&stage.client, path, locks);
    let an_hour = Duration::from_secs(3_600);
    stage.wait(ours.put(b"rust-late", SystemTime::now() + an_hour))?;
    curator.expect(&format!("j put {path} java-late delay 7200000"), "true")?;
    curator.expect(&format!("j put {path} java-soon delay 50"), "true")?;
    let delivery = stage.wait(ours.take())?;
    ensure!(delivery.elements() == [b"java-soon"], "{delivery:?}");
    stage.wait(delivery.done())?;
    let soon = SystemTime::now() + Duration::from_millis(50);
    stage.wait(ours.put(b"rust-soon", soon))?;
    curator.expect(&format!("j take {path} {LONG} {locks} delay"), "rust-soon")?;
    // The two that are due in hours.
    stage.wait(async {
        while ours.len().await? != 2 {
            tokio::task::yield_now().await;
        }
        Ok::<_, Error>(())
    })
}

fn simple(stage: &mut Stage, curator: &mut Contender) -> Result<()> {
    let ours = SimpleQueue::new(&stage.client, "/curator/simple");
    curator.expect("j offer /curator/simple from-java", "true")?;
    stage.wait(ours.put(b"from-rust"))?;
    let item = stage.wait(ours.take())?;
    ensure!(item == b"from-java", "{item:?}");
    curator.expect(&format!("j poll /curator/simple {LONG}"), "from-rust")?;
    curator.tell(&format!("j poll /curator/simple {LONG}"))?;
    stage.wait(ours.put(b"waited-for"))?;
    ensure!(curator.answer("j")? == "waited-for");
    Ok(())
}
