//! Logs and snapshots that Apache wrote: after each transaction the tree has the digest that stands in the log.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Image, dump};
use zabra_jute::Limits;
use zabra_proto::txn::Payload;
use zabra_proto::{SessionId, TxnDigest, Zxid};
use zabra_tree::DataTree;

/// The payloads of a captured log.
fn payloads(log: &[u8]) -> Vec<Payload<'_>> {
    let mut payloads = Vec::new();
    let mut rest = &log[16..];
    while let Some((len, behind)) = rest[8..].split_first_chunk() {
        let len = u32::from_be_bytes(*len) as usize;
        if len == 0 {
            break;
        }
        payloads.push(Payload::decode(&behind[..len], Limits::DEFAULT).unwrap());
        rest = &behind[len + 1..];
    }
    payloads
}

fn replay(tree: &mut DataTree, log: &[u8]) -> usize {
    let mut checked = 0;
    for payload in payloads(log) {
        if payload.header.zxid <= tree.last_zxid() {
            continue;
        }
        tree.apply(&payload.header, &payload.txn, &mut ());
        if let Some(TxnDigest {
            version: 2,
            tree_digest,
        }) = payload.digest
        {
            let digest = tree.digest().map(u64::cast_signed);
            assert_eq!(digest, Some(tree_digest), "after {}", payload.header.zxid);
            checked += 1;
        }
    }
    checked
}

#[test]
fn after_each_txn_of_a_captured_log_the_digest_is_that_of_apache() {
    let mut tree = DataTree::new(common::OPTIONS);
    assert_eq!(
        replay(&mut tree, include_bytes!("captures/standalone-log.1")),
        16
    );
    let (snapshot, _) = Image::decode(&include_bytes!("captures/standalone-snapshot.11")[16..]);
    let loaded = snapshot.load(tree.last_zxid());
    assert_eq!(dump(&loaded.tree), dump(&tree));
    assert_eq!(loaded.tree.digest(), Some(0x2_6b72_5d37));
    assert_eq!(
        loaded.sessions,
        [(SessionId(0x0100_0018_c939_0000), 30_000)]
    );
    assert_eq!(
        loaded.tree.ephemerals(SessionId(0x0100_0018_c939_0000)),
        ["/app/e-0000000000"]
    );
}

#[test]
fn a_captured_log_without_digests_ends_in_the_known_one() {
    let mut tree = DataTree::new(common::OPTIONS);
    assert_eq!(
        replay(&mut tree, include_bytes!("captures/no-digest-log.1")),
        0
    );
    assert_eq!(tree.digest(), Some(0x993c_c041));
}

#[test]
fn a_captured_log_of_an_ensemble_over_its_snapshots_has_the_digests_of_apache() {
    let log = include_bytes!("captures/ensemble-log.100000001");
    let from = |snapshot: &[u8], zxid| {
        let mut tree = Image::decode(&snapshot[16..]).0.load(zxid).tree;
        let checked = replay(&mut tree, log);
        (tree, checked)
    };
    let (first, all) = from(include_bytes!("captures/ensemble-snapshot.0"), Zxid(0));
    let (second, some) = from(
        include_bytes!("captures/ensemble-snapshot.100000005"),
        Zxid(0x1_0000_0005),
    );
    assert!(all > some && some > 0);
    assert_eq!(first.digest(), Some(0x2_2288_3239));
    assert_eq!(second.digest(), first.digest());
}
