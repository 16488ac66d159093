//! Every piece of work under the clock: `cargo bench` in this folder.

use criterion::Criterion;
use zabra_hotpath::pieces;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for piece in pieces() {
        criterion.bench_function(piece.name, |bencher| {
            let mut work = (piece.prepare)();
            let mut number = 0;
            bencher.iter(|| {
                work(number);
                number += 1;
            });
        });
    }
    criterion.final_summary();
}
