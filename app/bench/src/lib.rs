//! The load generator behind `zabra bench`: drives any server of the ZooKeeper protocol and says how fast it was.
//!
//! Closed loop: every session keeps a fixed number of requests outstanding; or open loop: requests are due at fixed times,
//! and latency counts from there. One epoll thread, raw TCP, requests that are encoded once and then patched: so the generator
//! is not what is measured. Every reply is checked.
//!
//! Not here: starting servers and comparing them (`cargo xtask bench`).
//!
//! Where to go next: [`Args`] is the command line; `load` runs the operations in a measured window, `fill`, `sessions`,
//! `watch`, `failover` and `ready` are the other works. They share `engine` (sessions on an epoll loop), `request` (templates and
//! what their replies must look like), `source` (what a session asks next), `schedule` (when, in an open loop),
//! `scaffold` (what is put up before and taken down after), `recorder` (the window and its figures) and `process` (CPU and
//! memory).

#![forbid(unsafe_code)]

mod args;
mod engine;
mod failover;
mod fill;
mod ground;
mod kill;
mod link;
mod load;
mod process;
mod ready;
mod recorder;
mod report;
mod request;
mod scaffold;
mod schedule;
mod sessions;
mod source;
mod watch;
mod weights;

pub use args::{
    Args, BlendArgs, ChildrenArgs, DeleteArgs, FailoverArgs, FillArgs, LoadArgs, MixArgs,
    MultiArgs, Rate, ReadyArgs, SessionsArgs, Target, WatchArgs, Work,
};
use ground::Operation;
pub use kill::Kill;
pub use report::{Figure, Report, Unit};
pub use weights::Weights;

/// Does the work and returns its figures.
///
/// # Errors
/// The server cannot be reached, ends a session, answers wrongly or not at all: one line says which session, what it
/// asked and what came back.
pub fn run(args: &Args) -> anyhow::Result<Report> {
    let target = &args.target;
    match &args.work {
        Work::Get(load) => load::run(target, load, &Operation::Get),
        Work::Set(load) => load::run(target, load, &Operation::Set),
        Work::Create(load) => load::run(target, load, &Operation::Create),
        Work::Exists(load) => load::run(target, load, &Operation::Exists { watch: false }),
        Work::ExistsWatch(load) => load::run(target, load, &Operation::Exists { watch: true }),
        Work::Ping(load) => load::run(target, load, &Operation::Ping),
        Work::Mix(mix) => {
            let reads_percent = mix.reads;
            load::run(target, &mix.load, &Operation::Mix { reads_percent })
        }
        Work::Multi(multi) => {
            let ops = multi.per_multi;
            load::run(target, &multi.load, &Operation::Multi { ops })
        }
        Work::Children(list) => {
            let children = list.children;
            load::run(target, &list.load, &Operation::Children { children })
        }
        Work::Blend(blend) => {
            let (children, weights) = (blend.children, blend.weights);
            load::run(target, &blend.load, &Operation::Blend { children, weights })
        }
        Work::Delete(delete) => {
            let znodes = delete.znodes;
            load::run(target, &delete.load, &Operation::Delete { znodes })
        }
        Work::Fill(fill) => fill::run(target, fill),
        Work::Sessions(sessions) => sessions::run(target, sessions),
        Work::Watch(watch) => watch::run(target, watch),
        Work::Failover(failover) => failover::run(target, failover),
        Work::Ready(ready) => ready::run(target, ready),
    }
}

/// [`run`], then prints the report as the arguments ask.
///
/// # Errors
/// As [`run`], and when the report says that the servers failed ([`Report::failure`]).
pub fn run_and_print(args: &Args) -> anyhow::Result<()> {
    let report = run(args)?;
    if args.target.json {
        println!("{:#}", report.to_json());
    } else {
        print!("{report}");
    }
    match report.failure() {
        Some(failure) => anyhow::bail!("{failure}"),
        None => Ok(()),
    }
}
