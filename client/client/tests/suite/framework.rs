//! What stands on top of single calls.

use std::time::Duration;

use zabra_client::{
    AddWatchMode, CREATOR_ACL, Client, CreateMode, CreateOptions, Error, ErrorCode, OPEN_ACL,
    Parents, READ_ACL, RetryPolicy, SessionState, blocking,
};
use zabra_testserver::TestServer;

use crate::conduct::proxy::Proxy;

/// A server, and a client of it.
async fn served() -> (TestServer, Client) {
    let server = TestServer::start().unwrap();
    let client = Client::connect(&server.connect_string()).await.unwrap();
    (server, client)
}

/// The same with a link that can be broken.
async fn far() -> (TestServer, Proxy, Client, Client) {
    let (server, near) = served().await;
    let proxy = Proxy::to(&server.connect_string()).await;
    let client = Client::connect(&proxy.address()).await.unwrap();
    (server, proxy, client, near)
}

const BRISK: RetryPolicy = RetryPolicy::Forever {
    pause: Duration::from_millis(1),
};

#[tokio::test]
async fn a_protected_create_finds_its_own_znode() {
    let (_server, proxy, client, near) = far().await;
    near.create("/q", "", CreateMode::Persistent).await.unwrap();
    proxy.hold(true);
    let create = tokio::spawn({
        let client = client.clone();
        async move {
            let sequential = CreateMode::EphemeralSequential;
            client
                .create_protected("/q/n-", "x", sequential, BRISK)
                .await
        }
    });
    let name = loop {
        if let Some(name) = near.children("/q").await.unwrap().pop() {
            break name;
        }
    };
    proxy.cut();
    assert!(
        client
            .states()
            .wait_for(|state| state == SessionState::Suspended)
            .await
    );
    proxy.hold(false);
    let created = create.await.unwrap().unwrap();
    assert_eq!(created.path, format!("/q/{name}"));
    assert!(
        name.starts_with("_c_") && name.ends_with("-n-0000000000"),
        "{name}"
    );
    assert_eq!(created.stat, near.exists(&created.path).await.unwrap());
    assert_eq!(near.children("/q").await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_protected_create_at_the_root_is_one_too() {
    let (_server, client) = served().await;
    let mode = CreateMode::PersistentSequential;
    let created = client
        .create_protected("/n-", "", mode, RetryPolicy::NEVER)
        .await
        .unwrap();
    assert!(
        created.path.starts_with("/_c_") && created.path.ends_with("-n-0000000000"),
        "{created:?}"
    );
}

#[tokio::test]
async fn a_guaranteed_delete_is_done_after_the_connection_is_back() {
    let (server, proxy, client, near) = far().await;
    near.create("/a", "", CreateMode::Persistent).await.unwrap();
    proxy.refuse(true);
    proxy.cut();
    assert!(
        client
            .states()
            .wait_for(|state| state == SessionState::Suspended)
            .await
    );
    let delete = tokio::spawn(async move { client.delete_guaranteed("/a", None).await });
    proxy.refuse(false);
    delete.await.unwrap().unwrap();
    assert_eq!(near.exists("/a").await, Ok(None));
    drop(server);
}

#[tokio::test]
async fn a_policy_that_gives_up_passes_on_the_last_error() {
    let mut server = TestServer::start().unwrap();
    let client = Client::connect(&server.connect_string()).await.unwrap();
    server.stop().unwrap();
    let fails = RetryPolicy::Times {
        retries: 2,
        pause: Duration::ZERO,
    };
    let mut attempts = 0;
    let result = client
        .retry(fails, || {
            attempts += 1;
            async { Err::<(), _>(Error::ConnectionLoss) }
        })
        .await;
    assert_eq!((result, attempts), (Err(Error::ConnectionLoss), 3));
    let refused = client
        .retry(BRISK, || async {
            Err::<(), _>(Error::Server(ErrorCode::NO_NODE, String::new()))
        })
        .await;
    assert!(
        refused.unwrap_err().is(ErrorCode::NO_NODE),
        "what a server refuses is not asked again"
    );
}

#[tokio::test]
async fn missing_parents_are_created_and_existing_ones_left() {
    let (_server, client) = served().await;
    let created =
        client.create_with_parents("/a/b/c", "x", CreateMode::Persistent, Parents::Persistent);
    assert_eq!(created.await.unwrap().path, "/a/b/c");
    assert_eq!(client.get("/a/b").await.unwrap().0, "");
    let sequential = CreateMode::PersistentSequential;
    let numbered = client.create_with_parents("/a/d/", "x", sequential, Parents::Containers);
    assert_eq!(numbered.await.unwrap().path, "/a/d/0000000000");
    client
        .ensure_path("/a/b/e/f", Parents::Persistent)
        .await
        .unwrap();
    client
        .ensure_path("/a/b/e/f", Parents::Persistent)
        .await
        .unwrap();
    let twice =
        client.create_with_parents("/a/b/c", "", CreateMode::Persistent, Parents::Persistent);
    assert!(twice.await.unwrap_err().is(ErrorCode::NODE_EXISTS));
    let ttl = CreateOptions::from(CreateMode::PersistentWithTtl).ttl(Duration::from_secs(60));
    client
        .create_with_parents("/t/t/t", "", ttl, Parents::Persistent)
        .await
        .unwrap();
}

#[tokio::test]
async fn values_are_put_whether_they_exist_or_not_and_updated_on_what_was_seen() {
    let (_server, client) = served().await;
    let first = client.put("/n", "0", CreateMode::Persistent).await.unwrap();
    let second = client.put("/n", "1", CreateMode::Persistent).await.unwrap();
    assert_eq!([first, second].map(|stat| stat.unwrap().version), [0, 1]);
    let add = |data: &[u8]| {
        let number: u32 = std::str::from_utf8(data).ok()?.parse().ok()?;
        Some((number + 1).to_string().into_bytes())
    };
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                for _ in 0..25 {
                    client.update("/n", add).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(client.get("/n").await.unwrap().0, "101");
    assert_eq!(client.update("/n", |_| None).await, Ok(None));
}

#[tokio::test]
async fn subtrees_are_listed_from_above_and_deleted_from_below() {
    let (_server, client) = served().await;
    let mut expected = vec!["/t".to_owned()];
    for n in 0..30 {
        expected.push(format!("/t/{n:02}"));
    }
    for n in 0..30 {
        expected.extend((0..30).map(|m| format!("/t/{n:02}/{m:02}")));
    }
    let creates: Vec<_> = expected
        .iter()
        .map(|path| client.create(path, "", CreateMode::Persistent))
        .collect();
    for create in creates {
        create.await.unwrap();
    }
    assert_eq!(client.subtree("/t").await.unwrap(), expected);
    assert_eq!(client.subtree("/").await.unwrap().len(), expected.len() + 4);
    assert_eq!(client.delete_recursive("/t").await, Ok(expected.len()));
    assert!(
        client
            .delete_recursive("/t")
            .await
            .unwrap_err()
            .is(ErrorCode::NO_NODE)
    );
    client.delete_quietly("/t", None).await.unwrap();
}

#[tokio::test]
async fn a_namespace_is_the_same_session_below_a_znode() {
    let (_server, client) = served().await;
    let below = client.namespace("/app").unwrap().namespace("/x").unwrap();
    client
        .ensure_path("/app/x", Parents::Persistent)
        .await
        .unwrap();
    let mut events = below
        .watch("/", AddWatchMode::PersistentRecursive)
        .await
        .unwrap();
    let created = client
        .create("/app/x/a", "", CreateMode::Ephemeral)
        .await
        .unwrap();
    assert_eq!(created.path, "/app/x/a");
    assert_eq!(events.next().await.unwrap().path(), Some("/a"));
    assert_eq!(below.children("/").await.unwrap(), ["a"]);
    assert_eq!(below.ephemerals("/").await.unwrap(), ["/a"]);
    assert_eq!(below.session(), client.session());
    drop(client);
    assert!(
        below.get("/a").await.is_ok(),
        "a namespace keeps the session"
    );
}

#[test]
fn the_blocking_client_waits_and_closes_its_session() {
    let server = TestServer::start().unwrap();
    let client = blocking::Client::connect(&server.connect_string()).unwrap();
    let other = blocking::Client::connect(&server.connect_string()).unwrap();
    client.create("/a", "1", CreateMode::Ephemeral).unwrap();
    let (data, stat) = other.get("/a").unwrap();
    assert_eq!((data.as_bytes(), stat.version), (&b"1"[..], 0));
    let (_, _, gone) = other.wait(other.inner().get_and_watch("/a")).unwrap();
    client.set("/a", "2", Some(0)).unwrap();
    assert!(other.wait(gone).unwrap().kind().is_some());
    let results = other
        .commit(other.transaction().check("/a", Some(1)))
        .unwrap();
    assert_eq!(results.len(), 1);
    assert_eq!(other.children("/").unwrap().len(), 2);
    other.sync("/").unwrap();
    drop(client);
    assert_eq!(other.exists("/a").unwrap(), None);
    assert!(other.delete("/a", None).unwrap_err().is(ErrorCode::NO_NODE));
    other.close();
}

#[cfg(feature = "serde")]
#[tokio::test]
async fn typed_values_come_back_as_they_were() {
    let (_server, client) = served().await;
    let value = vec![("a".to_owned(), 1), ("b".to_owned(), 2)];
    client
        .create_json("/v", &value, CreateMode::Persistent)
        .await
        .unwrap();
    let (back, stat) = client.get_json::<Vec<(String, i32)>>("/v").await.unwrap();
    assert_eq!(back, value);
    client
        .set_json("/v", &"text", Some(stat.version))
        .await
        .unwrap();
    assert!(client.get_json::<Vec<i32>>("/v").await.is_err());
}

#[tokio::test]
async fn znodes_without_a_word_about_it_get_the_default_acl() {
    let server = TestServer::start().unwrap();
    let builder = Client::builder(&server.connect_string()).auth("digest", "me:secret");
    let client = builder.default_acl(CREATOR_ACL).connect().await.unwrap();
    let parents = Parents::Persistent;
    let mode = CreateMode::Persistent;
    client
        .create_with_parents("/a/b", "", mode, parents)
        .await
        .unwrap();
    let public = CreateOptions::from(mode).acl(OPEN_ACL);
    client.create("/public", "", public).await.unwrap();
    let readable = client.with_default_acl(READ_ACL);
    let transaction = readable.transaction().create("/read", "", mode);
    transaction.commit().await.unwrap();
    let owned = |scheme: &str| scheme == "digest";
    for path in ["/a", "/a/b"] {
        let (acl, _) = client.acl(path).await.unwrap();
        assert!(acl.iter().all(|entry| owned(&entry.scheme)), "{acl:?}");
    }
    assert_eq!(client.acl("/public").await.unwrap().0, OPEN_ACL);
    assert_eq!(client.acl("/read").await.unwrap().0, READ_ACL);
    client.close().await;
}

#[tokio::test]
async fn a_default_acl_may_go_by_the_path_as_the_server_knows_it() {
    let server = TestServer::start().unwrap();
    let root = Client::connect(&server.connect_string()).await.unwrap();
    root.create("/app", "", CreateMode::Persistent)
        .await
        .unwrap();
    let client = Client::builder(&format!("{}/app", server.address()))
        .default_acl_by_path(|path| match path.starts_with("/app/read") {
            true => READ_ACL.to_vec(),
            false => OPEN_ACL.to_vec(),
        })
        .connect()
        .await
        .unwrap();
    let (mode, numbered) = (CreateMode::Persistent, CreateMode::PersistentSequential);
    let below = client.namespace("/read").unwrap();
    let transaction = client.transaction().create("/open", "", mode);
    transaction
        .create("/readable-", "", numbered)
        .commit()
        .await
        .unwrap();
    client
        .ensure_path("/reader", Parents::Persistent)
        .await
        .unwrap();
    let other = below.with_default_acl_by_path(|_| OPEN_ACL.to_vec());
    other.create("/", "", mode).await.unwrap();
    let created = below.create("/x", "", mode).await.unwrap();
    for (path, acl) in [
        ("/app/open", OPEN_ACL),
        ("/app/readable-0000000001", READ_ACL),
        ("/app/reader", READ_ACL),
        ("/app/read", OPEN_ACL),
        ("/app/read/x", READ_ACL),
    ] {
        assert_eq!(root.acl(path).await.unwrap().0, acl, "{path}");
    }
    assert_eq!(created.path, "/x");
    client.close().await;
    root.close().await;
}
