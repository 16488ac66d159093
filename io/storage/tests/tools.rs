//! The tools print what Apache's 3.9.5 printed for the same files (kept in `vectors/tools`).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use zabra_storage::tools::{
    DumpOptions, SnapshotFormat, chop_txn_log, dump_txn_log, print_snapshot, write_purged,
};
use zabra_storage::{DirEntry, Purged, RealVfs, record};

fn vector(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/vectors")
        .join(name)
}

fn expected(name: &str) -> String {
    fs::read_to_string(vector("tools").join(name)).unwrap()
}

fn dump(path: &Path, options: DumpOptions, answers: &str) -> (String, Option<(u8, String)>) {
    let mut out = Vec::new();
    let done = dump_txn_log(&RealVfs, path, &options, &mut answers.as_bytes(), &mut out);
    (
        String::from_utf8(out).unwrap(),
        done.err().map(|e| (e.exit, e.message)),
    )
}

/// The standalone log with two flipped bits, as `bad.log` in a directory of its own.
fn bad_log() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bad.log");
    let mut bytes = fs::read(vector("standalone/log.1")).unwrap();
    bytes[0x90] ^= 1;
    bytes[0x150] ^= 1;
    fs::write(&path, bytes).unwrap();
    (dir, path)
}

#[test]
fn a_dump_is_apaches() {
    for (log, text) in [
        ("standalone/log.1", "standalone-log.1.txt"),
        ("ensemble/log.100000001", "ensemble-log.txt"),
        ("no-digest/log.1", "no-digest-log.1.txt"),
    ] {
        assert_eq!(
            dump(&vector(log), DumpOptions::default(), ""),
            (expected(text), None),
            "{log}"
        );
    }
    let (_dir, path) = bad_log();
    assert_eq!(
        dump(&path, DumpOptions::default(), ""),
        (expected("bad-dump.txt"), None)
    );
}

#[test]
fn a_repair_is_apaches() {
    let yes = DumpOptions {
        recover: true,
        yes: true,
        verbose: false,
    };
    for (options, answers, text) in [
        (yes, "", "bad-fixed.txt"),
        (
            DumpOptions {
                verbose: true,
                ..yes
            },
            "",
            "bad-fixed-verbose.txt",
        ),
        (
            DumpOptions { yes: false, ..yes },
            "n\nx\ny\n",
            "bad-asked.txt",
        ),
    ] {
        let (_dir, path) = bad_log();
        assert_eq!(
            dump(&path, options, answers),
            (expected(text), None),
            "{text}"
        );
        let fixed = path.with_file_name("bad.log.fixed");
        assert_eq!(fs::metadata(&fixed).unwrap().len(), 16 + (64 << 20));
        let (again, _) = dump(&fixed, DumpOptions::default(), "");
        let errors = if options.yes { 0 } else { 1 };
        assert_eq!(again.matches("CRC ERROR").count(), errors);
        // A second repair does not overwrite the first.
        let (_, failure) = dump(&path, options, answers);
        assert_eq!(
            failure,
            Some((
                1,
                "Recovery file bad.log.fixed already exists or not writable".into()
            ))
        );
    }
    let (_dir, path) = bad_log();
    let (_, failure) = dump(&path, DumpOptions { yes: false, ..yes }, "a\n");
    assert_eq!(failure, Some((0, "Recovery aborted.".into())));
}

#[test]
fn failures_have_apaches_texts_and_codes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.log");
    let good = fs::read(vector("standalone/log.1")).unwrap();
    let with = |change: fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        fs::write(&path, bytes).unwrap();
        dump(&path, DumpOptions::default(), "")
    };
    assert_eq!(
        with(|b| b[0] = 0).1,
        Some((2, "Invalid magic number for x.log".into()))
    );
    assert_eq!(
        with(|b| b[0x72d] = 0).1,
        Some((1, "Last transaction was partial.".into()))
    );
    assert!(
        with(|b| b.truncate(0x710))
            .0
            .ends_with("EOF reached after 16 txns.\n")
    );
    let missing = dump(Path::new("no/such"), DumpOptions::default(), "").1;
    assert_eq!(
        missing,
        Some((1, "File doesn't exist or not readable: no/such".into()))
    );
    let none = print_snapshot(
        &RealVfs,
        Path::new("/no/such"),
        SnapshotFormat::Text,
        &mut Vec::new(),
    );
    let none = none.unwrap_err();
    assert_eq!(
        (none.exit, none.message.as_str()),
        (2, "File '/no/such' does not exist.")
    );
}

#[test]
fn removed_files_are_listed_as_by_apache() {
    let removed = |name: &str, modified_ms| {
        let entry = DirEntry {
            name: name.to_owned(),
            len: 1,
            modified_ms,
        };
        (Path::new("pt/version-2").join(name), entry)
    };
    let removed = vec![
        removed("snapshot.0", 1_795_325_775_000),
        removed("log.1", 0),
    ];
    let mut out = Vec::new();
    write_purged(
        &Purged {
            removed,
            good_snapshots: 3,
        },
        &mut out,
    )
    .unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "Removing file: Nov 22, 2026, 5:36:15 AM\tpt/version-2/snapshot.0\n\
         Removing file: Jan 1, 1970, 12:00:00 AM\tpt/version-2/log.1\n"
    );
}

#[test]
fn a_chop_is_apaches() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.1");
    fs::copy(vector("standalone/log.1"), &path).unwrap();
    let head = "ZooKeeper Transactional Log File with dbid 0 txnlog format version 2\n";
    let chop = |zxid| {
        let mut out = Vec::new();
        chop_txn_log(&RealVfs, &path, zxid, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    assert_eq!(
        chop(5),
        format!("{head}Chopping at 5 new log has 5 records\n")
    );
    assert_eq!(
        fs::metadata(dir.path().join("log.1.chopped5"))
            .unwrap()
            .len(),
        509
    );
    let missing =
        format!("{head}EOF reached after 17 txns.\nGot exception: Failed to chop log.1\n");
    assert_eq!(chop(999), missing);
    let chopped = fs::read(dir.path().join("log.1.chopped5")).unwrap();
    assert_eq!(chopped, fs::read(&path).unwrap()[..509]);
    assert_eq!(chopped[..16], record::LOG_HEADER);
}

#[test]
fn a_snapshot_is_printed_as_by_apache() {
    let print = |file: &str, format| {
        let mut out = Vec::new();
        print_snapshot(&RealVfs, &vector(file), format, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    for file in [
        "standalone/snapshot.11",
        "compressed/snapshot.11.gz",
        "compressed/snapshot.11.snappy",
    ] {
        assert_eq!(
            print(file, SnapshotFormat::Text),
            expected("standalone-snapshot.11.txt"),
            "{file}"
        );
    }
    let with_data = print("standalone/snapshot.11", SnapshotFormat::TextWithData);
    assert_eq!(with_data, expected("standalone-snapshot.11-data.txt"));
    assert_eq!(
        print("standalone/snapshot.0", SnapshotFormat::Text),
        expected("standalone-snapshot.0.txt")
    );
    let json = expected("standalone-snapshot.11.json");
    let time = json
        .split("\"timestamp\":")
        .nth(1)
        .unwrap()
        .split('}')
        .next()
        .unwrap();
    let format = SnapshotFormat::Json {
        now: time.parse().unwrap(),
    };
    assert_eq!(print("standalone/snapshot.11", format), json);
}
