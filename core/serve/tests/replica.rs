//! What is said of digests while a snapshot may be ahead of its log.

use std::collections::BTreeMap;

use zabra_proto::txn::{Payload, SetDataTxn};
use zabra_proto::{SessionId, Txn, TxnDigest, TxnHeader, TxnKind, WallMillis, Xid, Zxid};
use zabra_serve::Replica;
use zabra_tree::{DataTree, TreeOptions};

fn set_root(zxid: u64) -> Payload<'static> {
    Payload {
        header: TxnHeader {
            session: SessionId(1),
            cxid: Xid(1),
            zxid: Zxid(zxid),
            time: WallMillis(1),
            kind: TxnKind::SetData,
        },
        txn: Txn::SetData(SetDataTxn {
            path: "/".into(),
            data: None,
            version: 1,
        }),
        digest: Some(TxnDigest {
            version: TxnDigest::VERSION,
            tree_digest: 0,
        }),
    }
}

fn replica() -> Replica {
    let options = TreeOptions {
        digest_enabled: true,
        ..TreeOptions::default()
    };
    Replica::new(DataTree::new(options), BTreeMap::new(), Zxid(0))
}

#[test]
fn a_digest_that_does_not_agree_raises_an_alarm_that_stays() {
    let mut replica = replica();
    replica.apply(&set_root(1), &mut ());
    replica.apply(&set_root(2), &mut ());
    let (alarm, count) = replica.alarm().unwrap();
    assert_eq!((alarm.zxid, count), (Zxid(1), 2));
}

#[test]
fn while_a_snapshot_may_be_ahead_digests_are_neither_compared_nor_noted() {
    let mut replica = replica();
    replica.set_fuzzy_up_to(Zxid(129));
    replica.apply(&set_root(128), &mut ());
    assert_eq!(replica.alarm(), None);
    assert_eq!(replica.digest_log().count(), 0);
    replica.apply(&set_root(129), &mut ());
    assert_eq!(replica.alarm().unwrap().0.zxid, Zxid(129));
    replica.apply(&set_root(256), &mut ());
    assert_eq!(replica.digest_log().count(), 1);
}
