//! What is asked, and on what: the size of values, the number of servers, the cores of a server.

use anyhow::ensure;

use super::Sitting;
use super::curve::{Figure, Findings};
use crate::bench::ensemble::Ensemble;
use crate::bench::generator::Generator;
use crate::bench::server::Kind;

/// Values of this size on one server.
pub(super) fn size(
    sitting: &Sitting<'_>,
    kind: Kind,
    at: u32,
    found: &mut Findings,
) -> anyhow::Result<()> {
    let (place, x) = (sitting.place()?, f64::from(at));
    let server = place.start(kind, "sized", &sitting.generator)?.server;
    sitting.warm(&server.target())?;
    // All of them together are no more than caches and memory are used to.
    let keys = (VALUES / at.max(1)).clamp(64, 10_000);
    for (operation, figures, bandwidth) in [
        ("get", GET_OF_SIZE, GET_BYTES),
        ("set", SET_OF_SIZE, SET_BYTES),
    ] {
        let work = format!("{operation} -n 64 --size {at} --keys {keys}");
        let runs = sitting.runs(&sitting.generator, &server.target(), &work)?;
        for run in &runs {
            found.add(kind, bandwidth, x, run.of(RATE)? * x / 1e6);
        }
        found.add_runs(kind, &figures, x, &runs)?;
    }
    Ok(())
}

/// So many servers.
pub(super) fn servers(
    sitting: &Sitting<'_>,
    kind: Kind,
    at: u32,
    found: &mut Findings,
) -> anyhow::Result<()> {
    let place = sitting.place()?;
    let ensemble = Ensemble::start(&place, &sitting.generator, kind, "members", at as usize)?;
    let target = ensemble.target();
    sitting.warm(&target)?;
    for (work, figures) in [("set -n 64", SET_OF_ALL), ("get -n 64 -d 32", GET_OF_ALL)] {
        let runs = sitting.runs(&sitting.generator, &target, work)?;
        found.add_runs(kind, &figures, f64::from(at), &runs)?;
    }
    Ok(())
}

/// A server on so many cores, and the load on the others if there are any.
pub(super) fn cores(
    sitting: &Sitting<'_>,
    kind: Kind,
    at: u32,
    found: &mut Findings,
) -> anyhow::Result<()> {
    let all = std::thread::available_parallelism()?.get();
    let of_server = at as usize;
    ensure!(of_server <= all, "this machine has {all}");
    let place = sitting.place()?.with_cores(&format!("0-{}", of_server - 1));
    let generator = Generator::new(sitting.workspace);
    let generator = if of_server < all {
        generator.with_cores(&format!("{of_server}-{}", all - 1))
    } else {
        found.note(format!(
            "With {at} cores the server shares them with the load, for which none is left."
        ));
        generator
    };
    let server = place.start(kind, "pinned", &generator)?.server;
    sitting.warm(&server.target())?;
    for (work, figures) in [
        ("get -n 64", GET_ON_CORES),
        ("set -n 64", SET_ON_CORES),
        ("set -n 64 -d 32", DEEP_SET_ON_CORES),
    ] {
        let runs = sitting.runs(&generator, &server.target(), work)?;
        found.add_runs(kind, &figures, f64::from(at), &runs)?;
    }
    Ok(())
}

/// Bytes of all values together, about.
const VALUES: u32 = 64_000_000;

const RATE: &str = "ops_per_second";
const CPU: &str = "server_cpu_per_op_us";
const CORES: &str = "server_cores";

const BYTES: &str = "linear: each byte is copied a fixed number of times";
const GET_BYTES: Figure = Figure::told("get 64 × 1: values", "MB/s", "");
const SET_BYTES: Figure = Figure::told("set 64 × 1: values", "MB/s", "");
const GET_OF_SIZE: [Figure; 2] = [
    Figure::told("get 64 × 1", "op/s", RATE),
    Figure::held("get 64 × 1: server CPU", "µs/op", CPU, 1.0, BYTES),
];
const SET_OF_SIZE: [Figure; 2] = [
    Figure::told("set 64 × 1", "op/s", RATE),
    Figure::held("set 64 × 1: server CPU", "µs/op", CPU, 1.0, BYTES),
];

const EACH_SERVER: &str = "linear: each logs and applies every set";
const ONE_SERVER: &str = "flat: one server answers";
const SET_OF_ALL: [Figure; 3] = [
    Figure::told("set 64 × 1", "op/s", RATE),
    Figure::held(
        "set 64 × 1: CPU of all servers",
        "µs/op",
        CPU,
        1.0,
        EACH_SERVER,
    ),
    Figure::told("set 64 × 1: p99", "µs", "p99_us"),
];
const GET_OF_ALL: [Figure; 3] = [
    Figure::told("get 64 × 32", "op/s", RATE),
    Figure::held(
        "get 64 × 32: CPU of all servers",
        "µs/op",
        CPU,
        0.0,
        ONE_SERVER,
    ),
    Figure::told("get 64 × 32: p99", "µs", "p99_us"),
];

const NO_MORE_WORK: &str = "flat: more cores have no more to do";
const GET_ON_CORES: [Figure; 3] = [
    Figure::told("get 64 × 1", "op/s", RATE),
    Figure::held("get 64 × 1: server CPU", "µs/op", CPU, 0.0, NO_MORE_WORK),
    Figure::told("get 64 × 1: cores that the server used", "cores", CORES),
];
const SET_ON_CORES: [Figure; 3] = [
    Figure::told("set 64 × 1", "op/s", RATE),
    Figure::held("set 64 × 1: server CPU", "µs/op", CPU, 0.0, NO_MORE_WORK),
    Figure::told("set 64 × 1: cores that the server used", "cores", CORES),
];
const DEEP_SET_ON_CORES: [Figure; 3] = [
    Figure::told("set 64 × 32", "op/s", RATE),
    Figure::held("set 64 × 32: server CPU", "µs/op", CPU, 0.0, NO_MORE_WORK),
    Figure::told("set 64 × 32: cores that the server used", "cores", CORES),
];
