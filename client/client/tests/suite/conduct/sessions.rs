//! Sessions: closed, taken up, refused.

use zabra_client::{CreateMode, Error, SessionId, SessionState};

use super::Place;

pub(crate) async fn closed(place: Place) {
    let chroot = place.fresh_chroot().await;
    let client = place.builder(&chroot).connect().await.unwrap();
    let other = place.builder(&chroot).connect().await.unwrap();
    client
        .create("/mine", "", CreateMode::Ephemeral)
        .await
        .unwrap();
    assert!(other.exists("/mine").await.unwrap().is_some());
    let mut states = client.states();
    let pending = client.get("/mine");
    let clone = client.clone();
    client.close().await;
    assert!(pending.await.is_ok(), "what was called before is answered");
    assert_eq!(clone.get("/mine").await.unwrap_err(), Error::Closed);
    assert_eq!(states.next().await, Some(SessionState::Connected));
    assert_eq!(states.next().await, Some(SessionState::Closed));
    assert_eq!(states.next().await, None);
    clone.close().await;
    assert_eq!(other.exists("/mine").await, Ok(None));
    other.close().await;
}

pub(crate) async fn taken_up(place: Place) {
    let chroot = place.fresh_chroot().await;
    let first = place.builder(&chroot).connect().await.unwrap();
    first
        .create("/mine", "", CreateMode::Ephemeral)
        .await
        .unwrap();
    let (id, password) = first.session();
    let second = place
        .builder(&chroot)
        .session(id, password)
        .connect()
        .await
        .unwrap();
    assert_eq!(second.session().0, id);
    let stat = second.exists("/mine").await.unwrap().unwrap();
    assert_eq!(stat.ephemeral_owner, id.0);
    second.close().await;
    assert!(
        first
            .states()
            .wait_for(|state| state == SessionState::Expired)
            .await
    );
    assert_eq!(first.get("/mine").await.unwrap_err(), Error::SessionExpired);
}

pub(crate) async fn dropped(place: Place) {
    let chroot = place.fresh_chroot().await;
    let other = place.builder(&chroot).connect().await.unwrap();
    let client = place.builder(&chroot).connect().await.unwrap();
    client
        .create("/mine", "", CreateMode::Ephemeral)
        .await
        .unwrap();
    let (_, _, gone) = other.get_and_watch("/mine").await.unwrap();
    drop(client);
    gone.await.unwrap();
    assert_eq!(other.exists("/mine").await, Ok(None));
    other.close().await;
}

pub(crate) async fn foreign(place: Place) {
    let refused = place
        .builder("")
        .session(SessionId(0x1234), [1; 16])
        .connect()
        .await;
    assert_eq!(refused.unwrap_err(), Error::SessionExpired);
}
