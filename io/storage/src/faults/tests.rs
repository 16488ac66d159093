//! What is ordered happens, to those files and that often.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::thread;

use super::*;
use crate::vfs::VfsFile;

struct Scene {
    dir: tempfile::TempDir,
    faults: Arc<Faults>,
    disk: FaultyDisk,
}

impl Scene {
    fn new() -> Self {
        let faults = Arc::<Faults>::default();
        let disk = FaultyDisk::new(Arc::new(RealVfs), Arc::clone(&faults));
        let dir = tempfile::tempdir().unwrap();
        Self { dir, faults, disk }
    }

    fn told(self, orders: &[&str]) -> Self {
        for order in orders {
            assert_eq!(self.faults.obey(order, 0).as_deref(), Ok("ok"), "{order}");
        }
        self
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn VfsFile>> {
        self.disk.create_new(&self.dir.path().join(name))
    }

    fn struck(&self) -> String {
        self.faults.obey("struck", 0).unwrap()
    }
}

fn code<T>(done: io::Result<T>) -> Option<i32> {
    done.err()?.raw_os_error()
}

const EIO: Option<i32> = Some(5);
const ENOSPC: Option<i32> = Some(28);

#[test]
fn only_files_of_that_name_suffer() {
    let scene = Scene::new().told(&["sync log. eio always"]);
    let mut log = scene.create("log.1").unwrap();
    let mut mark = scene.create("zabra-mark").unwrap();
    assert_eq!(code(log.sync_data()), EIO);
    assert_eq!(code(log.sync_all()), EIO);
    assert_eq!(code(mark.sync_all()), None);
    assert_eq!(scene.struck(), "2");
}

#[test]
fn what_strikes_once_strikes_once() {
    let scene = Scene::new().told(&["create * full once", "rename b eio once"]);
    assert_eq!(code(scene.create("a")), ENOSPC);
    assert_eq!(code(scene.create("a")), None);
    let (from, to) = (scene.dir.path().join("a"), scene.dir.path().join("b"));
    assert_eq!(code(scene.disk.rename(&from, &to)), EIO);
    assert_eq!(code(scene.disk.rename(&from, &to)), None);
}

#[test]
fn what_a_sync_lost_is_gone_and_what_was_synced_before_is_not() {
    let scene = Scene::new();
    let mut log = scene.create("log.1").unwrap();
    log.write_all_at(b"kept", 0).unwrap();
    log.sync_data().unwrap();
    let scene = scene.told(&["sync log. lost once"]);
    log.write_all_at(b"lost", 4).unwrap();
    assert_eq!(code(log.sync_data()), EIO);
    assert_eq!(
        fs::read(scene.dir.path().join("log.1")).unwrap(),
        b"kept\0\0\0\0"
    );
}

#[test]
fn a_short_write_goes_on_and_a_torn_one_ends_in_the_middle() {
    let scene = Scene::new().told(&["write log. short always", "write snap torn once"]);
    let mut log = scene.create("log.1").unwrap();
    log.write_all_at(b"abcdefg", 0).unwrap();
    assert_eq!(
        fs::read(scene.dir.path().join("log.1")).unwrap(),
        b"abcdefg"
    );
    let mut snapshot = scene.create("snapshot.1").unwrap();
    assert_eq!(code(snapshot.write_all_at(b"abcdefg", 0)), EIO);
    assert_eq!(
        fs::read(scene.dir.path().join("snapshot.1")).unwrap(),
        b"abcd"
    );
}

#[test]
fn what_hangs_goes_on_when_it_is_healed() {
    let scene = Scene::new().told(&["sync * hang always"]);
    let mut log = scene.create("log.1").unwrap();
    thread::scope(|scope| {
        let syncing = scope.spawn(move || log.sync_data());
        while scene.struck() == "0" {
            thread::yield_now();
        }
        assert!(!syncing.is_finished());
        scene.faults.obey("heal", 0).unwrap();
        syncing.join().unwrap().unwrap();
    });
}

#[test]
fn a_clock_that_drifts_goes_on_from_where_it_was() {
    let mut clock = Clock::default();
    assert_eq!(clock.shows(5_000), 5_000);
    let faults = Faults::default();
    faults.obey("clock step -1000", 10_000).unwrap();
    assert_eq!(faults.state().clock.shows(10_000), 9_000);
    faults.obey("clock drift 500000", 10_000).unwrap();
    assert_eq!(faults.state().clock.shows(12_000), 12_000);
    faults.obey("clock drift 0", 12_000).unwrap();
    assert_eq!(faults.state().clock.shows(20_000), 20_000);
    faults.obey("clock right", 0).unwrap();
    clock.step_ms = 0;
    assert_eq!(faults.state().clock.shows(7), clock.shows(7));
}

#[test]
fn free_space_is_what_was_ordered_until_it_is_healed() {
    let scene = Scene::new().told(&["space 7"]);
    assert_eq!(scene.disk.free_space(scene.dir.path()).unwrap(), 7);
    let scene = scene.told(&["heal"]);
    assert!(scene.disk.free_space(scene.dir.path()).unwrap() > 7);
}

#[test]
fn words_that_are_no_order_change_nothing() {
    for line in [
        "",
        "sync",
        "sync * eio",
        "sync * eio twice",
        "sync * torn once",
        "write * lost once",
        "write * late once",
        "clock",
        "clock step x",
        "heal now",
    ] {
        assert!(Faults::default().obey(line, 0).is_err(), "{line}");
    }
}

#[test]
fn orders_lie_in_a_file_and_come_through_the_door() {
    let scene = Scene::new();
    fs::write(scene.dir.path().join("orders"), "space 3\n").unwrap();
    door::open(scene.dir.path(), &scene.faults).unwrap();
    assert_eq!(scene.disk.free_space(scene.dir.path()).unwrap(), 3);
    let stream = UnixStream::connect(scene.dir.path().join("faults.sock")).unwrap();
    let mut answers = BufReader::new(&stream).lines();
    for (order, answer) in [
        ("space 4", "ok"),
        ("struck", "0"),
        ("nonsense", "no: no such order: nonsense"),
    ] {
        writeln!(&stream, "{order}").unwrap();
        assert_eq!(answers.next().unwrap().unwrap(), answer);
    }
    assert_eq!(scene.disk.free_space(scene.dir.path()).unwrap(), 4);
}
