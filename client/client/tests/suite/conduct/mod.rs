//! Scenarios that hold with every server of the protocol, Apache's from 3.5 on and this project's.
//!
//! Each has a chroot of its own. They panic where something is not as it should be. `test/interop` runs them, too.

#![allow(clippy::unwrap_used, reason = "a test")]

mod links;
mod order;
pub(crate) mod proxy;
mod sessions;
mod watches;
mod znodes;

use std::pin::Pin;

use zabra_client::{Builder, Client, CreateMode};

/// Where a scenario plays.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The servers, without a chroot.
    pub(crate) servers: String,
    /// Their release: 9 for 3.9.
    pub(crate) minor: u32,
}

pub(crate) type Scenario = fn(Place) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// All of them, with the claim that each proves.
pub(crate) const SCENARIOS: &[(&str, Scenario)] = &[
    ("every kind of znode can be created", |p| {
        Box::pin(znodes::kinds(p))
    }),
    ("refusals have their codes", |p| {
        Box::pin(znodes::refusals(p))
    }),
    ("transactions happen as a whole", |p| {
        Box::pin(znodes::transactions(p))
    }),
    ("null, empty and long data stay what they are", |p| {
        Box::pin(znodes::data(p))
    }),
    ("identities open what they protect", |p| {
        Box::pin(znodes::identities(p))
    }),
    ("questions about the tree are answered", |p| {
        Box::pin(znodes::questions(p))
    }),
    ("a watch for one event hears one", |p| {
        Box::pin(watches::one_shots(p))
    }),
    ("a watch that stays hears all", |p| {
        Box::pin(watches::streams(p))
    }),
    ("what all watches hear comes in one order, once", |p| {
        Box::pin(watches::in_one_order(p))
    }),
    ("dropped watches are gone", |p| {
        Box::pin(watches::dropped(p))
    }),
    ("removed watches end", |p| Box::pin(watches::removed(p))),
    ("requests are carried out in the order of the calls", |p| {
        Box::pin(order::of_calls(p))
    }),
    ("dropped futures change no order", |p| {
        Box::pin(order::of_dropped_calls(p))
    }),
    ("many tasks share a session", |p| {
        Box::pin(order::of_tasks(p))
    }),
    ("a closed session takes its ephemerals along", |p| {
        Box::pin(sessions::closed(p))
    }),
    ("a session can be taken up by another client", |p| {
        Box::pin(sessions::taken_up(p))
    }),
    ("a dropped client closes its session", |p| {
        Box::pin(sessions::dropped(p))
    }),
    ("a foreign session is refused", |p| {
        Box::pin(sessions::foreign(p))
    }),
    ("a lost link keeps session, watches and identities", |p| {
        Box::pin(links::lost(p))
    }),
    ("what happened while away is told", |p| {
        Box::pin(links::away(p))
    }),
    ("calls on a lost link end, calls after it wait", |p| {
        Box::pin(links::calls(p))
    }),
    ("a silent server is given up", |p| {
        Box::pin(links::silent(p))
    }),
    ("a slow answer is not waited for", |p| {
        Box::pin(links::slow(p))
    }),
];

impl Place {
    /// A client below a chroot of its own.
    pub(crate) async fn client(&self) -> Client {
        let chroot = self.fresh_chroot().await;
        self.builder(&chroot).connect().await.unwrap()
    }

    pub(crate) fn builder(&self, chroot: &str) -> Builder {
        Client::builder(&format!("{}{chroot}", self.servers))
    }

    /// A znode that nobody else uses.
    pub(crate) async fn fresh_chroot(&self) -> String {
        let root = Client::connect(&self.servers).await.unwrap();
        let created = root
            .create("/conduct-", "", CreateMode::PersistentSequential)
            .await;
        root.close().await;
        created.unwrap().path
    }
}
