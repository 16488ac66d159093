//! Order: of calls, whatever becomes of their futures.

use zabra_client::CreateMode;

use super::Place;

pub(crate) async fn of_calls(place: Place) {
    let client = place.client().await;
    client
        .create("/n", "", CreateMode::Persistent)
        .await
        .unwrap();
    let calls: Vec<_> = (0..1000)
        .map(|n: i32| (client.set("/n", n.to_string(), Some(n)), client.get("/n")))
        .collect();
    // The answers are looked at from the last to the first: they wait for nobody.
    for (n, (set, get)) in calls.into_iter().enumerate().rev() {
        assert_eq!(set.await.unwrap().version as usize, n + 1);
        let (data, stat) = get.await.unwrap();
        assert_eq!(
            (data.to_vec(), stat.version as usize),
            (n.to_string().into_bytes(), n + 1)
        );
    }
    client.close().await;
}

pub(crate) async fn of_dropped_calls(place: Place) {
    let client = place.client().await;
    client
        .create("/n", "", CreateMode::Persistent)
        .await
        .unwrap();
    for n in 0..1000 {
        drop(client.set("/n", "", Some(n)));
    }
    assert_eq!(client.get("/n").await.unwrap().1.version, 1000);
    client.close().await;
}

pub(crate) async fn of_tasks(place: Place) {
    let client = place.client().await;
    client
        .create("/n", "", CreateMode::Persistent)
        .await
        .unwrap();
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let client = client.clone();
            tokio::spawn(async move {
                for n in 0..50 {
                    let path = format!("/n/{task}-{n}");
                    client
                        .create(&path, path.as_bytes(), CreateMode::Ephemeral)
                        .await
                        .unwrap();
                    assert_eq!(client.get(&path).await.unwrap().0, path.as_bytes());
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(client.children("/n").await.unwrap().len(), 400);
    client.close().await;
}
