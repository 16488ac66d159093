//! One run of one kind of test under one seed.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use zabra_proto::Zxid;
use zabra_sim::plan::Plan;
use zabra_sim::seeds;
use zabra_sim::temper::Temper;
use zabra_sim::trace::Keeps;
use zabra_storage::{Compression, Epochs, PurgeOptions, Vfs, purge};
use zabra_testkit::disk::{Fault, FaultHow, FaultOn, FaultyDisk, SECTOR, Subsets};
use zabra_testkit::history::{Server, Twin, dirs, try_recover};
use zabra_testkit::life::{Script, drawn_life, every_cut, faulty_life};

/// A kind of test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A whole ensemble in virtual time (`test/sim`), of any temper or of one.
    Sim(Option<Temper>),
    /// Power cuts at each operation of a drawn life of a server's history.
    Cuts,
    /// A disk that fails once, then perhaps a power cut.
    Faults,
    /// Bytes and sectors of a stopped server's files damaged.
    Damage,
    /// A damaged snapshot, then a purge.
    Purge,
    /// Power cuts while a server starts with a history of a later epoch than its disk says, which is then cut.
    Epochs,
}

const KINDS: [(Kind, &str); 6] = [
    (Kind::Sim(None), "sim"),
    (Kind::Cuts, "cuts"),
    (Kind::Faults, "faults"),
    (Kind::Damage, "damage"),
    (Kind::Purge, "purge"),
    (Kind::Epochs, "epochs"),
];

impl Kind {
    /// The kind of this name.
    pub(crate) fn named(word: &str) -> Option<Self> {
        if let Some(temper) = word.strip_prefix("sim@") {
            return Some(Self::Sim(Some(Temper::named(temper)?)));
        }
        KINDS
            .iter()
            .find(|(_, name)| *name == word)
            .map(|(kind, _)| *kind)
    }

    /// The same, without what makes it quicker to see one mistake than another.
    pub(crate) fn at_large(self) -> Self {
        match self {
            Self::Sim(_) => Self::Sim(None),
            other => other,
        }
    }

    /// Runs it; what was wrong, if something was.
    pub(crate) fn run(self, seed: u64) -> Option<String> {
        match self {
            Self::Sim(temper) => sim(seed, temper),
            Self::Cuts => panicking(|| cuts(seed)),
            Self::Faults => panicking(|| faults(seed)),
            Self::Damage => panicking(|| damage(seed)),
            Self::Purge => panicking(|| damaged_purge(seed)),
            Self::Epochs => panicking(|| epochs(seed)),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Sim(Some(temper)) = self {
            return write!(f, "sim@{}", temper.name());
        }
        let name = KINDS.iter().find(|(kind, _)| kind == self);
        f.write_str(name.map_or("", |(_, name)| name))
    }
}

fn sim(seed: u64, temper: Option<Temper>) -> Option<String> {
    let plan = temper.map_or_else(|| Plan::of(seed), |temper| Plan::of_temper(seed, temper));
    let (outcome, _) = seeds::run_plan(plan, Keeps::Nothing);
    let violation = outcome.violation?;
    let text = shown(&violation.text);
    Some(format!("{}: {text}", violation.invariant))
}

/// Its beginning, for a table: paths may hold anything.
fn shown(text: &str) -> String {
    let visible = |c: char| if c.is_control() { '·' } else { c };
    text.chars().map(visible).take(TEXT_LEN).collect()
}

/// So much of what a test says is shown.
const TEXT_LEN: usize = 100;

fn panicking(test: impl FnOnce()) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(test)).err()?;
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    Some(shown(text.unwrap_or_default()))
}

fn cuts(seed: u64) {
    let mut script = Script::begin(&FaultyDisk::new());
    drawn_life(&mut script, seed);
    let subsets = Subsets {
        single: 8,
        random: 4,
        seed,
    };
    every_cut(&script, &subsets);
}

/// After a fault the server ends; whatever it had acknowledged must be there at its next start, and after a power cut.
fn faults(seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let disk = FaultyDisk::new();
    let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
    let Ok(mut server) = Server::start(&vfs) else {
        panic!("an empty disk cannot be begun with");
    };
    let on = [
        FaultOn::Write,
        FaultOn::Sync,
        FaultOn::SyncDir,
        FaultOn::Create,
    ];
    disk.inject(Fault {
        on: on[rng.usize(0..on.len())],
        name: if rng.bool() { "log." } else { "" },
        after: rng.usize(0..12),
        times: 1,
        how: *[FaultHow::Io, FaultHow::NoSpace, FaultHow::Short]
            .get(rng.usize(0..3))
            .unwrap_or(&FaultHow::Io),
    });
    let acked = faulty_life(&mut server);
    disk.heal();
    let subsets = Subsets {
        single: 4,
        random: 4,
        seed,
    };
    let mut disks = disk.crash_images(disk.operations(), &subsets);
    disks.push(disk);
    for disk in disks {
        let found = try_recover(&(Arc::new(disk) as Arc<dyn Vfs>));
        let (twin, recovered) = found.unwrap_or_else(|e| panic!("no start after a fault: {e}"));
        let last = recovered.last_zxid;
        assert!(
            last >= acked,
            "{acked} was acknowledged, found up to {last}"
        );
        let held: Vec<u64> = twin.txns.keys().copied().collect();
        assert!(held.iter().copied().eq(1..=last.0), "a hole before {last}");
    }
}

/// What a start says of its epochs holds at the next one, whatever its leader has had cut meanwhile (I-11).
fn epochs(seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let disk = FaultyDisk::new();
    let current = rng.u32(0..10);
    let accepted = current + rng.u32(0..10);
    let last = Zxid::new(rng.u32(current..=accepted), 1);
    let is_set_up = disk.create_dir_all(dirs().snap()).is_ok()
        && Epochs { accepted, current }.store(&disk, &dirs()).is_ok();
    assert!(is_set_up, "an empty disk cannot be begun with");
    let said = match Epochs::restore(&disk, &dirs(), last) {
        Ok(said) => said,
        Err(e) => panic!("no start: {e}"),
    };
    let subsets = Subsets {
        single: 4,
        random: 4,
        seed,
    };
    for image in disk.crash_images(disk.operations(), &subsets) {
        let found = Epochs::load(&image, &dirs(), Zxid::new(current, 1));
        let found = found.unwrap_or_else(|e| panic!("no start after a cut: {e}"));
        assert!(
            found.accepted >= said.accepted && found.current >= said.current,
            "{said:?} was said, found {found:?}"
        );
    }
}

/// A server that has stopped in order after a drawn life, and its state.
fn stopped(seed: u64) -> (FaultyDisk, Twin) {
    let mut script = Script::begin(&FaultyDisk::new());
    drawn_life(&mut script, seed);
    script.write(&[30, 700]);
    script.save_mark();
    let disk = script.disk.copy();
    (disk.copy(), state_of(&disk))
}

fn state_of(disk: &FaultyDisk) -> Twin {
    let found = try_recover(&(Arc::new(disk.copy()) as Arc<dyn Vfs>));
    found
        .unwrap_or_else(|e| panic!("a server that stopped in order does not start: {e}"))
        .0
}

/// The right state or a refusal, never another state (I-19).
fn damage(seed: u64) {
    let (right, want) = stopped(seed);
    let mut rng = fastrand::Rng::with_seed(seed);
    let files: Vec<_> = right
        .files()
        .into_iter()
        .filter(|(_, bytes)| !bytes.is_empty())
        .collect();
    for _ in 0..DAMAGES {
        let (path, bytes) = &files[rng.usize(0..files.len())];
        let mut bad = bytes.clone();
        let at = rng.usize(0..bad.len());
        match rng.u32(0..4) {
            0 => {
                let from = at - at % SECTOR as usize;
                let to = bad.len().min(from + SECTOR as usize);
                bad[from..to].fill(0);
            }
            1 => bad.truncate(at),
            _ => bad[at] ^= 1 << rng.u32(0..8),
        }
        if bad == *bytes {
            continue;
        }
        let disk = right.copy();
        disk.put(path, bad);
        if let Ok((found, _)) = try_recover(&(Arc::new(disk) as Arc<dyn Vfs>)) {
            assert!(
                found == want,
                "{} damaged at {at}: another state",
                path.display()
            );
        }
    }
}

/// So many damages of one life.
const DAMAGES: usize = 60;

/// What can be recovered with a damaged snapshot can be recovered after a purge as well (P46).
fn damaged_purge(seed: u64) {
    let mut script = Script::begin(&FaultyDisk::new());
    drawn_life(&mut script, seed);
    script.snapshot(Compression::None);
    script.write(&[30, 700]);
    script.roll();
    script.snapshot(Compression::None);
    script.write(&[5]);
    script.save_mark();
    let disk = script.disk.copy();
    let newest = disk
        .files()
        .into_iter()
        .filter(|(path, _)| path.to_string_lossy().contains("/snapshot."))
        .max_by_key(|(path, _)| {
            let name = path.to_string_lossy().into_owned();
            name.rsplit('.')
                .next()
                .and_then(|hex| u64::from_str_radix(hex, 16).ok())
        });
    let Some((path, mut bytes)) = newest else {
        return;
    };
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x20;
    disk.put(&path, bytes);
    let vfs: Arc<dyn Vfs> = Arc::new(disk.copy());
    let Ok((want, recovered)) = try_recover(&vfs) else {
        return;
    };
    let options = PurgeOptions {
        keep: 1,
        ..PurgeOptions::default()
    };
    if let Err(e) = purge(&vfs, &dirs(), &options, Some(&recovered.mark)) {
        panic!("no purge: {e}");
    }
    match try_recover(&vfs) {
        Ok((found, _)) => assert!(found == want, "another state after a purge"),
        Err(e) => panic!("no start after a purge: {e}"),
    }
}
