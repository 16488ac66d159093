//! The same seed gives the same run (I-43), and a run puts every invariant to the test (I-44).

use zabra_sim::plan::Plan;
use zabra_sim::seeds;
use zabra_sim::trace::Keeps;

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..6 {
        let (one, _) = seeds::run_plan(Plan::of(seed), Keeps::Hash);
        let (other, _) = seeds::run_plan(Plan::of(seed), Keeps::Lines);
        assert_eq!(
            (one.hash, one.steps),
            (other.hash, other.steps),
            "seed {seed}"
        );
        assert_eq!(one.violation, None, "seed {seed}");
    }
}

#[test]
fn different_seeds_give_different_traces() {
    let hash = |seed| seeds::run_plan(Plan::of(seed), Keeps::Hash).0.hash;
    assert_ne!(hash(1), hash(2));
}
