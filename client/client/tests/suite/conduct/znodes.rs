//! Znodes: created, read, changed, refused.

use std::time::Duration;

use zabra_client::{
    CREATOR_ACL, CreateMode, CreateOptions, Error, ErrorCode, Misuse, READ_ACL, ReadResult,
    TransactionResult,
};

use super::Place;

pub(crate) async fn kinds(place: Place) {
    let client = place.client().await;
    let me = client.session().0;
    let plain = client
        .create("/plain", "data", CreateMode::Persistent)
        .await
        .unwrap();
    assert_eq!(plain.path, "/plain");
    assert_eq!(plain.stat, client.exists("/plain").await.unwrap());
    client
        .create("/mine", "", CreateMode::Ephemeral)
        .await
        .unwrap();
    assert_eq!(
        client
            .exists("/mine")
            .await
            .unwrap()
            .unwrap()
            .ephemeral_owner,
        me.0
    );
    let names = async |mode, path| client.create(path, "", mode).await.unwrap().path;
    assert_eq!(
        names(CreateMode::PersistentSequential, "/s-").await,
        "/s-0000000002"
    );
    assert_eq!(
        names(CreateMode::EphemeralSequential, "/s-").await,
        "/s-0000000003"
    );
    assert_eq!(
        names(CreateMode::PersistentSequential, "/plain/").await,
        "/plain/0000000000"
    );
    assert_eq!(
        names(CreateMode::PersistentSequential, "/").await,
        "/0000000004"
    );
    assert_eq!(names(CreateMode::Container, "/box").await, "/box");
    let expiring = |mode| CreateOptions::from(mode).ttl(Duration::from_secs(3600));
    let ttl = expiring(CreateMode::PersistentWithTtl);
    assert_eq!(client.create("/ttl", "", ttl).await.unwrap().path, "/ttl");
    let sequential = expiring(CreateMode::PersistentSequentialWithTtl);
    assert_eq!(
        client.create("/t-", "", &sequential).await.unwrap().path,
        "/t-0000000007"
    );
    client.close().await;
}

pub(crate) async fn refusals(place: Place) {
    let client = place.client().await;
    client
        .create("/a", "", CreateMode::Persistent)
        .await
        .unwrap();
    client
        .create("/a/b", "", CreateMode::Ephemeral)
        .await
        .unwrap();
    let refused = |code, path: &str| Error::Server(code, path.to_owned());
    let twice = client.create("/a", "", CreateMode::Persistent).await;
    assert_eq!(twice.unwrap_err(), refused(ErrorCode::NODE_EXISTS, "/a"));
    let orphan = client.create("/x/y", "", CreateMode::Persistent).await;
    assert_eq!(orphan.unwrap_err(), refused(ErrorCode::NO_NODE, "/x/y"));
    let child = client.create("/a/b/c", "", CreateMode::Persistent).await;
    assert_eq!(
        child.unwrap_err(),
        refused(ErrorCode::NO_CHILDREN_FOR_EPHEMERALS, "/a/b/c")
    );
    assert_eq!(
        client.delete("/a", None).await,
        Err(refused(ErrorCode::NOT_EMPTY, "/a"))
    );
    assert_eq!(
        client.delete("/a/b", Some(7)).await,
        Err(refused(ErrorCode::BAD_VERSION, "/a/b"))
    );
    assert_eq!(
        client.set("/a", "", Some(7)).await,
        Err(refused(ErrorCode::BAD_VERSION, "/a"))
    );
    assert_eq!(
        client.get("/none").await.unwrap_err(),
        refused(ErrorCode::NO_NODE, "/none")
    );
    assert_eq!(client.exists("/none").await, Ok(None));
    assert!(client.get_and_watch("/none").await.is_err());
    assert!(
        client
            .set_acl("/a", &[], None)
            .await
            .unwrap_err()
            .is(ErrorCode::INVALID_ACL)
    );
    for path in ["", "a", "/a/", "//", "/a/../b"] {
        let refused = client.get(path).await.unwrap_err();
        assert!(
            matches!(refused, Error::Misuse(Misuse::Path { .. })),
            "{path:?}"
        );
    }
    let missing = client.create("/t", "", CreateMode::PersistentWithTtl).await;
    assert_eq!(missing.unwrap_err(), Error::Misuse(Misuse::Ttl));
    client.close().await;
}

pub(crate) async fn transactions(place: Place) {
    let client = place.client().await;
    client
        .create("/a", "", CreateMode::Persistent)
        .await
        .unwrap();
    let results = client
        .transaction()
        .check("/a", Some(0))
        .create("/a/b", "1", CreateMode::Ephemeral)
        .create("/a/s-", "", CreateMode::PersistentSequential)
        .set("/a", "2", Some(0))
        .delete("/a/b", None)
        .commit()
        .await
        .unwrap();
    let [checked, created, numbered, set, deleted] = &results[..] else {
        panic!("{results:?}");
    };
    assert_eq!(
        [checked, deleted],
        [&TransactionResult::Checked, &TransactionResult::Deleted]
    );
    let path = |result: &TransactionResult| match result {
        TransactionResult::Created(created) => created.path.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!([path(created), path(numbered)], ["/a/b", "/a/s-0000000001"]);
    assert!(matches!(set, TransactionResult::Set(stat) if stat.version == 1));

    let failed = client
        .transaction()
        .set("/a", "3", None)
        .delete("/none", None)
        .check("/a", None)
        .commit()
        .await;
    let expected = Error::Transaction {
        failed: 1,
        path: "/none".to_owned(),
        codes: vec![
            ErrorCode::OK,
            ErrorCode::NO_NODE,
            ErrorCode::RUNTIME_INCONSISTENCY,
        ],
    };
    assert_eq!(failed, Err(expected));
    assert_eq!(client.get("/a").await.unwrap().0, "2");
    assert_eq!(client.transaction().commit().await, Ok(vec![]));
    if place.minor >= 6 {
        let read = client
            .multi_read()
            .get("/a")
            .children("/a")
            .get("/none")
            .run()
            .await
            .unwrap();
        assert!(
            matches!(&read[0], ReadResult::Data(data, stat) if *data == "2" && stat.version == 1)
        );
        assert!(matches!(&read[1], ReadResult::Children(names) if names == &["s-0000000001"]));
        assert!(matches!(read[2], ReadResult::Error(ErrorCode::NO_NODE)));
    }
    client.close().await;
}

pub(crate) async fn data(place: Place) {
    let client = place.client().await;
    let null = CreateOptions::from(CreateMode::Persistent).null_data();
    client.create("/null", "", null).await.unwrap();
    client
        .create("/empty", "", CreateMode::Persistent)
        .await
        .unwrap();
    let (null, _) = client.get("/null").await.unwrap();
    let (empty, _) = client.get("/empty").await.unwrap();
    assert!(null.is_null() && null.is_empty());
    assert!(!empty.is_null() && empty.is_empty());
    let long: Vec<u8> = (0..1_000_000u32).map(|n| n as u8).collect();
    client.set("/empty", &long, None).await.unwrap();
    assert_eq!(client.get("/empty").await.unwrap().0, long);
    let too_long = client
        .set("/empty", vec![0; 1 << 20], None)
        .await
        .unwrap_err();
    assert!(matches!(too_long, Error::Misuse(Misuse::TooLong { .. })));
    assert_eq!(client.get("/empty").await.unwrap().1.version, 1);
    client.close().await;
}

pub(crate) async fn identities(place: Place) {
    let chroot = place.fresh_chroot().await;
    let owner = place
        .builder(&chroot)
        .auth("digest", "owner:secret")
        .connect()
        .await
        .unwrap();
    let other = place.builder(&chroot).connect().await.unwrap();
    let private = CreateOptions::from(CreateMode::Persistent).acl(CREATOR_ACL);
    owner.create("/private", "x", private).await.unwrap();
    assert!(
        other
            .get("/private")
            .await
            .unwrap_err()
            .is(ErrorCode::NO_AUTH)
    );
    other.add_auth("digest", "owner:secret").await.unwrap();
    assert_eq!(other.get("/private").await.unwrap().0, "x");
    let (acl, stat) = other.acl("/private").await.unwrap();
    assert_eq!((acl.len(), stat.aversion), (1, 0));
    assert_eq!(acl[0].scheme, "digest");
    let stat = owner.set_acl("/private", READ_ACL, Some(0)).await.unwrap();
    assert_eq!(stat.aversion, 1);
    assert_eq!(owner.acl("/private").await.unwrap().0, READ_ACL);
    if place.minor >= 7 {
        let known = owner.whoami().await.unwrap();
        assert!(
            known
                .iter()
                .any(|who| who.scheme == "digest" && who.id == "owner")
        );
    }
    let stranger = place.builder(&chroot).connect().await.unwrap();
    let refused = stranger.add_auth("nonsense", "").await;
    assert_eq!(refused, Err(Error::AuthFailed));
    assert_eq!(stranger.exists("/private").await, Err(Error::AuthFailed));
    owner.close().await;
    other.close().await;
}

pub(crate) async fn questions(place: Place) {
    let client = place.client().await;
    for path in ["/a", "/a/b", "/a/c"] {
        client
            .create(path, "", CreateMode::Persistent)
            .await
            .unwrap();
    }
    client
        .create("/a/mine", "", CreateMode::Ephemeral)
        .await
        .unwrap();
    client.sync("/").await.unwrap();
    let mut names = client.children("/a").await.unwrap();
    names.sort();
    assert_eq!(names, ["b", "c", "mine"]);
    let (_, stat) = client.children_and_stat("/a").await.unwrap();
    assert_eq!((stat.num_children, stat.cversion), (3, 3));
    if place.minor >= 6 {
        assert_eq!(client.all_children_number("/").await, Ok(4));
        assert_eq!(
            client.ephemerals("/a").await,
            Ok(vec!["/a/mine".to_owned()])
        );
        assert_eq!(client.ephemerals("/b").await, Ok(vec![]));
    }
    assert_eq!(client.config().await.unwrap().1.version, 0);
    assert!(client.last_zxid().0 > 0);
    client.close().await;
}
